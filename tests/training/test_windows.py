"""Windows gathered on any device are those that the coder's kernel gathers."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec.networks.context.window import INPUTS, PLACES
from ddpmcodec.training.windows import gather_by_kernel, gather_many


def planes(height: int, width: int, largest: int, seed: int) -> torch.Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randint(-largest, largest + 1, (2, height, width, 3), dtype=torch.int16, generator=generator)


@settings(max_examples=40)
@given(st.integers(1, 12), st.integers(1, 12), st.sampled_from([1, 40, 90, 255, 510]))
def test_both_gather_the_same(height: int, width: int, largest: int) -> None:
    coarse, coded, known = (planes(height, width, largest, seed) for seed in range(3))
    at = (coarse[..., 0] >= -largest).nonzero()
    found, expected = gather_many(coarse, coded, known, at), gather_by_kernel(coarse, coded, known, at)
    assert found[0].shape == (2 * height * width, INPUTS)
    assert found[1].shape == (2 * height * width, 3, PLACES)
    for own, kernels in zip(found, expected, strict=True):
        assert own.dtype == kernels.dtype
        assert own.equal(kernels)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_gathers_the_same() -> None:
    coarse, coded, known = (planes(9, 13, 510, seed) for seed in range(3))
    at = (coarse[..., 0] > -511).nonzero()
    found = gather_many(coarse.cuda(), coded.cuda(), known.cuda(), at.cuda())
    for own, kernels in zip(found, gather_by_kernel(coarse, coded, known, at), strict=True):
        assert own.cpu().equal(kernels)
