"""What the paper's system computes does not depend on the settings of PyTorch and numpy that other code chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec import archive, codec
from ddpmcodec.paper import gaussian_model as model_file
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.numerics import exact_torch, fingerprint, new_process, torch_settings
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.schedule import ddpm_linear
from ddpmcodec.paper.unet import UNet, UNetConfig

pytestmark = pytest.mark.usefixtures("one_thread")
State = Callable[[], AbstractContextManager[object]]


@contextmanager
def changed(change: Callable[[Any], object], value: object, before: object) -> Iterator[None]:
    change(value)
    try:
        yield
    finally:
        change(before)


def set_onednn(enabled: bool) -> None:
    torch.backends.mkldnn.enabled = enabled  # its context manager warns of Intel's GPUs


@contextmanager
def low_precision() -> Iterator[None]:
    """Of convolutions, where this PyTorch has a choice."""
    conv = getattr(torch.backends.mkldnn, "conv", None)
    before = getattr(conv, "fp32_precision", None)
    if before is not None:
        conv.fp32_precision = "bf16"
    try:
        yield
    finally:
        if before is not None:
            conv.fp32_precision = before


STATES: dict[str, State] = {
    "autocast": lambda: torch.autocast("cpu"),
    "autocast to half": lambda: torch.autocast("cpu", dtype=torch.float16),
    "default dtype double": lambda: changed(torch.set_default_dtype, torch.float64, torch.float32),
    "default dtype bfloat16": lambda: changed(torch.set_default_dtype, torch.bfloat16, torch.float32),
    "default device": lambda: torch.device("meta"),
    "inference": torch.inference_mode,
    "gradients": torch.enable_grad,
    "deterministic": lambda: changed(torch.use_deterministic_algorithms, True, False),
    "matmul precision": lambda: changed(torch.set_float32_matmul_precision, "medium", "highest"),
    "convolution precision": low_precision,
    "no oneDNN": lambda: changed(set_onednn, False, True),
    "no NNPACK": lambda: torch.backends.nnpack.flags(enabled=False),
    "threads": lambda: changed(torch.set_num_threads, 3, 1),
    "flush to zero": lambda: changed(torch.set_flush_denormal, True, False),
    "errstate": lambda: np.errstate(all="raise"),
}


def pictures() -> list[np.ndarray]:
    y, x = np.mgrid[:20, :24]
    smooth = np.stack([5 * x + y, 240 - 4 * y, np.where(x > y, 60, 190)], -1).astype(np.uint8)
    return [smooth, smooth[:, ::-1].copy(), smooth[:9, :7, 0]]


class Coded:
    """What bits back makes of images, and back, with a model that was loaded before."""

    def __init__(self, latent: GaussianModel) -> None:
        named = [(f"{i}.png", picture) for i, picture in enumerate(3 * pictures())]
        self.bits_back = archive.create(named, model=latent, bits_back=[2.0, 12.0, 90.0], effort=1)
        self.extracted = [image.tobytes() for _, image in archive.extract(self.bits_back, model=latent)]


@pytest.fixture(scope="module")
def expected(gaussian_model: GaussianModel) -> Coded:
    return Coded(gaussian_model)


@pytest.mark.parametrize("name", STATES)
def test_archives_are_the_same_under_any_settings(gaussian_model: GaussianModel, expected: Coded, name: str) -> None:
    with STATES[name]():
        found = Coded(gaussian_model)
    assert vars(found) == vars(expected)


@pytest.mark.parametrize("name", STATES)
def test_models_that_are_loaded_under_any_settings_are_the_same(
    tiny_gaussian: Path, gaussian_model: GaussianModel, name: str
) -> None:
    c = np.arange(-5, 7).reshape(1, 2, 2, 3)
    with STATES[name]():
        latent = find_denoiser(tiny_gaussian)
        inside = latent.predict(c, 1.0, 3000).sha256()
    assert inside == latent.predict(c, 1.0, 3000).sha256() == gaussian_model.predict(c, 1.0, 3000).sha256()


@pytest.mark.parametrize("name", ["flush to zero", "errstate"])
def test_files_and_previews_are_the_same_under_settings_of_the_processor_and_numpy(
    context_path: Path, name: str
) -> None:
    def coded() -> tuple[bytes, ...]:
        data = codec.encode(pictures()[0], model=context_path)
        shown = (codec.decode(data[: len(data) * share // 4], model=context_path, partial=True) for share in (1, 2, 3))
        return data, *(image.tobytes() for image in shown)

    expected = coded()
    with STATES[name]():
        assert coded() == expected


def test_autocast_would_change_what_the_gaussian_model_computes(gaussian_model: GaussianModel) -> None:
    """The attack, on the predictor that the model checks."""
    c = np.arange(-150, 150).reshape(1, 10, 10, 3)
    bare = gaussian_model.predictor.chosen()
    right = bare.predict(c, 1.0, 3000).sha256()
    with torch.autocast("cpu"):
        assert bare.predict(c, 1.0, 3000).sha256() != right
        assert gaussian_model.predict(c, 1.0, 3000).sha256() == right


def test_the_known_answer_is_asked_again_where_settings_change(
    tiny_gaussian: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model, asked = find_denoiser(tiny_gaussian), []
    answer = model_file.KnownAnswer.answer
    monkeypatch.setattr(
        model_file.KnownAnswer, "answer", lambda known, predictor: asked.append(known) or answer(known, predictor)
    )
    c = np.zeros((1, 2, 2, 3), np.int64)
    model.predict(c, 1.0, 1024)
    assert asked == []
    with changed(set_onednn, False, True):
        model.predict(c, 1.0, 1024)
        assert len(asked) == 1
        model.predict(c, 1.0, 1024)
    assert len(asked) == 1


@pytest.fixture(scope="module")
def paper() -> PaperDenoiser:
    torch.manual_seed(0)
    network = UNet(UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)).eval()
    return PaperDenoiser(network, ddpm_linear())


@pytest.fixture(scope="module")
def right(paper: PaperDenoiser) -> str:
    return fingerprint(paper, paper.levels[[0, 500, 999]].tolist())


@pytest.mark.parametrize("name", [name for name in STATES if name != "flush to zero"])
def test_a_numerics_profile_is_the_same_under_any_settings(paper: PaperDenoiser, right: str, name: str) -> None:
    with STATES[name]():
        assert fingerprint(paper, paper.levels[[0, 500, 999]].tolist()) == right


def test_settings_come_back() -> None:
    def all_of_them() -> tuple[object, ...]:
        here = torch.get_default_dtype(), torch.is_autocast_enabled("cpu"), torch.zeros(1).device.type
        return torch_settings(), here, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()

    before = all_of_them()
    states = ("autocast", "default device", "no oneDNN", "matmul precision")
    with ExitStack() as stack:
        for name in states:
            stack.enter_context(STATES[name]())
        inner = all_of_them()
        with new_process():
            assert torch_settings() == before[0]
            assert torch.zeros(1).device.type == "cpu"
        assert all_of_them() == inner
        with exact_torch():
            assert not torch.is_autocast_enabled("cpu")
        assert all_of_them() == inner
    assert all_of_them() == before
