"""Where training computes, and in which type."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from ddpmcodec.errors import TrainingError
from ddpmcodec.training import device
from ddpmcodec.training.device import device_of, product_type


@pytest.fixture(autouse=True)
def asked_anew() -> Iterator[None]:
    product_type.cache_clear()
    yield
    product_type.cache_clear()


@pytest.mark.parametrize(
    ("flags", "expected"),
    [
        ("fpu avx512f avx512_vnni", torch.float32),
        ("fpu avx512_bf16 amx_tile", torch.bfloat16),
        ("amx_bf16", torch.bfloat16),
    ],
)
def test_products_are_in_bfloat16_where_that_is_fast(
    flags: str, expected: torch.dtype, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "cpuinfo").write_text(f"model name\t: some\nflags\t\t: {flags}\nbugs\t: amx_bf16\n")
    monkeypatch.setattr(device, "CPUINFO", tmp_path / "cpuinfo")
    assert product_type(torch.device("cpu")) == expected


def test_a_processor_that_is_not_described_computes_in_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(device, "CPUINFO", Path("/nowhere"))
    assert product_type(torch.device("cpu")) == torch.float32
    assert product_type(torch.device("cuda")) == torch.bfloat16


def test_a_device_that_is_not_there_is_named() -> None:
    assert device_of("cpu") == torch.device("cpu")
    with pytest.raises(TrainingError, match="--device nowhere: cannot be used here"):
        device_of("nowhere")
