"""The numerics profile: the same bits in any company, and a fingerprint that any other bits change."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator
from threading import Thread
from typing import Any

import pytest
import torch
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.paper import schedule
from ddpmcodec.paper.diffusion import Prediction
from ddpmcodec.paper.numerics import check, describe, differences, fingerprint, fingerprint_input, fixed_numerics, run
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.unet import UNet, UNetConfig

LEVELS = schedule.ddpm_linear()[[0, 99, 999]].tolist()
S_T = LEVELS[1]


@pytest.fixture(scope="module")
def denoiser() -> PaperDenoiser:
    torch.manual_seed(6)
    unet = UNet(UNetConfig(channels=32, multipliers=(1, 2), attention=(1,), blocks=1))
    torch.nn.init.normal_(unet.conv_out.weight, std=0.1)
    return PaperDenoiser(unet)


@pytest.fixture
def threads() -> Iterator[Callable[[int], None]]:
    before = torch.get_num_threads()
    yield torch.set_num_threads
    torch.set_num_threads(before)


def images(n: int, height: int = 8, width: int = 12) -> Tensor:
    return 60 * torch.randn(n, 3, height, width, generator=torch.Generator().manual_seed(n))


def assert_same_bits(found: Prediction, expected: Prediction) -> None:
    assert all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def part(prediction: Prediction, rows: slice) -> Prediction:
    return Prediction(*(tensor[rows] for tensor in prediction))


# --- running


def test_an_image_gives_the_same_bits_in_any_company(denoiser: PaperDenoiser) -> None:
    c_t = images(7)
    together = run(denoiser, c_t, S_T)
    assert together.mean.shape == (7, 3, 8, 12)
    for rows in (slice(0, 1), slice(6, 7), slice(1, 4), slice(2, 7)):
        assert_same_bits(run(denoiser, c_t[rows], S_T), part(together, rows))


def test_the_numbers_are_those_of_the_network(denoiser: PaperDenoiser) -> None:
    c_t = images(3)
    for found, expected in zip(run(denoiser, c_t, S_T), denoiser(c_t, S_T), strict=True):
        assert found.dtype == torch.float32
        assert torch.allclose(found, expected, atol=1e-3)


def test_neither_type_nor_layout_of_the_input_matters(denoiser: PaperDenoiser) -> None:
    c_t = images(2)
    expected = run(denoiser, c_t, S_T)
    crooked = torch.cat([torch.zeros(1), c_t.flatten()])[1:].view_as(c_t)  # not aligned
    for same in (c_t.double(), c_t.contiguous(memory_format=torch.channels_last), crooked):
        assert_same_bits(run(denoiser, same, S_T), expected)


# --- settings


def settings() -> tuple[Any, ...]:
    return (
        torch.get_num_threads(),
        torch.are_deterministic_algorithms_enabled(),
        torch.get_float32_matmul_precision(),
        torch.backends.nnpack.is_available() and torch._C._get_nnpack_enabled(),  # type: ignore[no-untyped-call]
    )


def test_settings_hold_inside_and_are_put_back(threads: Callable[[int], None]) -> None:
    threads(2)
    before = settings()
    with fixed_numerics():
        assert settings() == (1, True, "highest", False)
    assert settings() == before


def test_settings_are_put_back_after_an_error() -> None:
    before = settings()
    with pytest.raises(ZeroDivisionError), fixed_numerics():
        _ = 1 / 0
    assert settings() == before


def test_other_threads_wait_for_their_turn(denoiser: PaperDenoiser, threads: Callable[[int], None]) -> None:
    threads(2)
    c_t = images(2)
    expected, found = run(denoiser, c_t, S_T), []
    workers = [Thread(target=lambda: found.append(run(denoiser, c_t, S_T))) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert len(found) == 4
    for prediction in found:
        assert_same_bits(prediction, expected)
    assert torch.get_num_threads() == 2


# --- fingerprints


def test_the_fingerprint_does_not_depend_on_what_was_set_before(
    denoiser: PaperDenoiser, threads: Callable[[int], None]
) -> None:
    expected = fingerprint(denoiser, LEVELS)
    threads(2)
    torch.randn(5)
    assert fingerprint(denoiser, LEVELS) == expected
    assert len(bytes.fromhex(expected)) == 32


def test_the_last_bit_of_one_weight_changes_the_fingerprint(denoiser: PaperDenoiser) -> None:
    before = fingerprint(denoiser, LEVELS)
    bias = denoiser.unet.conv_out.bias.data
    kept = bias.clone()
    bias[1] = torch.nextafter(bias[1] + 0.5, bias[1] + 1) - 0.5
    assert (bias - kept).abs().max() < 1e-6
    assert fingerprint(denoiser, LEVELS) != before
    bias.copy_(kept)
    assert fingerprint(denoiser, LEVELS) == before


def test_levels_are_those_of_the_schedule(denoiser: PaperDenoiser) -> None:
    levels = schedule.cosine(30)
    other = PaperDenoiser(denoiser.unet, levels)
    with pytest.raises(ModelError, match="of the 30"):
        fingerprint(other, LEVELS)
    found = fingerprint(other, levels[:2].tolist())
    assert found != fingerprint(other, levels[1:3].tolist())


def test_the_input_is_made_from_published_numbers() -> None:
    found = fingerprint_input(10.0)
    assert (found.shape, found.dtype) == ((1, 3, 32, 32), torch.float32)
    assert (
        hashlib.sha256(found.numpy().tobytes()).hexdigest()
        == "afeff40f33b85e8892a502ef89ebb64ce69c69f14fa2fa0e7bf4593658a4e697"
    )
    assert found.abs().max() <= (255 + 35) / 2


# --- checking


def test_the_machine_that_wrote_a_file_reads_it(denoiser: PaperDenoiser) -> None:
    check(denoiser, fingerprint(denoiser, LEVELS), describe(), LEVELS)


def test_another_fingerprint_is_refused_with_what_differs(denoiser: PaperDenoiser) -> None:
    found, here = fingerprint(denoiser, LEVELS), describe()
    with pytest.raises(ModelError) as caught:
        check(denoiser, "ab" * 32, here | {"torch": "1.0", "processor": "vax"}, LEVELS)
    facts = ("abababababababab", found[:16], "vax", str(here["processor"]), "1.0", str(here["torch"]))
    assert all(fact in str(caught.value) for fact in facts)


def test_differences_in_words() -> None:
    here = describe()
    assert differences(here, here) == "all that is described is the same"
    assert differences({**here, "dtype": "float64"}, here) == "dtype was float64, and is float32"
    assert differences({}, {"batch": 1}) == "batch was not recorded, and is 1"
    assert differences({"moon": "full"}, {}) == "moon was full, and is not recorded"
    assert set(here) == {"torch", "processor", "threads", "batch", "dtype"}
