"""Figures published elsewhere."""

from __future__ import annotations

from ddpmcodec.benchmarks._data import Dataset
from ddpmcodec.benchmarks._literature import literature, literature_curves


def test_literature_stands_beside_cifar10s_test_set_alone_and_is_marked() -> None:
    test, train = (Dataset("CIFAR-10", [], of, split) for of, split in ((10_000, "test"), (50_000, "train")))
    assert literature(train) == literature_curves(train) == []
    for each in [*literature(test), *literature_curves(test)]:
        assert (each["note"], bool(each["source"])) == ("literature, not measured", True)
    for each in literature_curves(test):
        assert len(each["points"]["bpp"]) == len(each["points"]["psnr"]) > 2
