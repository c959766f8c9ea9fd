"""Many images through several processes: python tests/attacks/load.py --images 10000 --photographs 100 --out DIR

Each process encodes its share, by the calls for one image and for many and into archives, decodes again, and compares.
Memory is measured after every batch. Exit code 1 where an image came back otherwise, or the memory of a process grew.
Small images are those of CIFAR-10 in $DDPMCODEC_DATA; photographs lie in --folder.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import archive, codec
from ddpmcodec.formats.folders import IMAGE_SUFFIXES
from ddpmcodec.training.data import load_images
from measures import memory

Pixels = NDArray[np.uint8]
BATCH = 50  # small images
GROWTH = 1.05  # of the most memory in the second half of a process's work over that in the first half, at most


class Report(NamedTuple):
    """Of one process. different: images that came back otherwise. memory: MB after each batch; most: at any time."""

    images: int
    bytes: int
    different: int
    seconds: float
    memory: list[float]
    most: float

    @property
    def is_flat(self) -> bool:
        half = len(self.memory) // 2
        return half < 2 or max(self.memory[half:]) <= GROWTH * max(self.memory[1:half])


def small(images: Sequence[Pixels]) -> Report:
    return measured([images[first : first + BATCH] for first in range(0, len(images), BATCH)])


def photographs(paths: Sequence[Path]) -> Report:
    return measured([path] for path in paths)


def measured(batches: Any) -> Report:
    start, used, most, images, size, different = time.monotonic(), list[float](), 0.0, 0, 0, 0
    for number, batch in enumerate(batches):
        pixels = [each if isinstance(each, np.ndarray) else opened(each) for each in batch]
        memory()  # begins a new peak
        data, found = there_and_back(pixels, number)
        most = max(most, memory(peak=True))
        used.append(memory())
        images, size = images + len(pixels), size + data
        different += sum(not np.array_equal(a, b) for a, b in zip(found, pixels, strict=True))
    return Report(images, size, different, time.monotonic() - start, used, most)


def opened(path: Path) -> Pixels:
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


def there_and_back(images: list[Pixels], number: int) -> tuple[int, list[Pixels]]:
    """Bytes of the files, and what they decode to; by another way for every number."""
    if number % 3 == 0 or len(images) == 1:
        files = [codec.encode(image, effort=1 + number % 3) for image in images]
        return sum(map(len, files)), [codec.decode(file, as_array=True) for file in files]
    if number % 3 == 1:
        files = codec.encode_many(images)
        return sum(map(len, files)), [np.asarray(image) for image in codec.decode_many(files)]
    packed = archive.create((f"{n:05}", image) for n, image in enumerate(images))
    found = dict(archive.extract(packed))
    return len(packed), [np.asarray(found[name]) for name in sorted(found)]


def shares(items: Sequence[Any], count: int) -> list[Sequence[Any]]:
    return [items[first::count] for first in range(count)]


def run(function: Any, items: Sequence[Any], processes: int) -> list[Report]:
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as executor:
        return list(executor.map(function, shares(items, processes)))


def say(name: str, reports: Sequence[Report]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "images": sum(each.images for each in reports),
        "bytes": sum(each.bytes for each in reports),
        "different": sum(each.different for each in reports),
        "seconds": round(max(each.seconds for each in reports), 1),
        "memory": [[round(each.memory[0]), round(max(each.memory)), round(each.memory[-1])] for each in reports],
        "most": [round(each.most) for each in reports],
        "flat": all(each.is_flat for each in reports),
    }
    print(f"{name}: {json.dumps(found)}")
    return found


def main() -> int:
    parser = argparse.ArgumentParser("python tests/attacks/load.py", description=__doc__)
    parser.add_argument("--images", type=int, default=10_000, help="small ones (default 10,000)")
    parser.add_argument("--photographs", type=int, default=100, help="default 100")
    parser.add_argument("--folder", type=Path, help="of the photographs")
    parser.add_argument("--processes", type=int, default=2, help="default 2")
    parser.add_argument("--out", type=Path, required=True, help="a new folder for report.json")
    given = parser.parse_args()
    given.out.mkdir(parents=True)
    data = Path(os.environ.get("DDPMCODEC_DATA", "data"))
    found = {}
    if given.images:
        images = load_images(data / "cifar10", "test")[: given.images]
        found["small images"] = say("small images", run(small, images, given.processes))
    if given.photographs:
        paths = sorted(path for path in (given.folder or data).iterdir() if path.suffix.lower() in IMAGE_SUFFIXES)
        found["photographs"] = say("photographs", run(photographs, paths[: given.photographs], given.processes))
    (given.out / "report.json").write_text(json.dumps(found, indent=1) + "\n")
    return 0 if all(each["flat"] and not each["different"] for each in found.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
