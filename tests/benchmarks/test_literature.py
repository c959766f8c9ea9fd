"""Figures published elsewhere."""

from __future__ import annotations

import numpy as np
import pytest

from ddpmcodec.benchmarks._data import Dataset
from ddpmcodec.benchmarks._literature import caption, literature, literature_curves


def test_literature_stands_beside_cifar10s_test_set_alone_and_is_marked() -> None:
    test, train = (Dataset("CIFAR-10", [], of, split) for of, split in ((10_000, "test"), (50_000, "train")))
    assert literature(train) == literature_curves(train) == []
    for each in [*literature(test), *literature_curves(test)]:
        assert (each["note"], bool(each["source"])) == ("literature, not measured", True)
    for each in literature_curves(test):
        assert len(each["points"]["bpp"]) == len(each["points"]["psnr"]) > 2


@pytest.mark.parametrize(("name", "of"), [("Kodak", 24), ("DIV2K", 100), ("CLIC.p", 41)])
def test_beside_photographs_it_stands_for_the_whole_set_alone(name: str, of: int) -> None:
    images = [np.zeros((1, 1, 3), np.uint8)] * of
    assert literature(Dataset(name, images[1:], of)) == []
    published = literature(Dataset(name, images, of))
    assert published[0]["system"] == "JPEG XL"
    assert all(each["source"] and each["bits_per_dim"] <= published[0]["bits_per_dim"] for each in published)
    assert caption(name).startswith(name)
    assert ("lattice" in caption(name)) == (name == "Kodak")
