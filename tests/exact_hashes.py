"""Prints, as one line of JSON, hashes of what this process computes; run by test_exactness in many environments.

Arguments: settings as JSON (`Settings`), then model files. Per model: outputs of its networks, and whole files of
several kinds, decoded again; and, with settings.golden, all golden files, decoded.
"""

from __future__ import annotations

import hashlib
import json
import os
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np
from known_networks import answer
from numpy.typing import NDArray

from ddpmcodec import _native, codec
from ddpmcodec._native import LEVELS
from ddpmcodec.models.context import CODING_EFFORTS, EFFORTS, PREVIEW, ROLES, ContextModel, contract_role
from ddpmcodec.models.registry import find
from ddpmcodec.parallel import threads_of

GOLDEN = Path(__file__).parent / "golden"
TILE = 64  # pixels of a side
WIDTH, HEIGHT = 48, 88  # of the largest picture, whose first tile learns


class Settings(NamedTuple):
    """threads: of the core. at_once: Python threads that compute everything at the same time. forked: computed by a
    child, after its parent has computed it. golden: golden files, too."""

    threads: int = 1
    at_once: int = 1
    forked: bool = False
    golden: bool = True


def drawn(key: int, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    raw = np.random.Philox(key=key).random_raw(int(np.prod(shape))) & np.uint64(255)
    return raw.astype(np.uint8).reshape(shape)


def pictures() -> list[NDArray[np.uint8]]:
    """A smooth colour image with edges, noise, a grey image, and the first one larger."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = np.stack([5 * x + y, 240 - 4 * y, np.where(x > y, 60, 190)], -1).astype(np.uint8)
    return [smooth[:12, :16], drawn(7, (8, 9, 3)), smooth[:17, :9, 0], smooth + (drawn(8, smooth.shape) & 7)]


def outputs(model: ContextModel) -> Iterator[tuple[str, str]]:
    for effort in CODING_EFFORTS:
        networks = [*(model.networks(effort, levels)[0] for levels in (0, 1)), *model.networks(effort, 2)]
        for role, network in zip((*ROLES, PREVIEW), networks, strict=False):  # a model need not have the last
            kind = contract_role(role)
            inputs, _, conditions = _native.contract(kind, network.components)
            for count in (1, 3, 70):
                found = network.outputs(drawn(count, (count, inputs)), 17 * count % conditions)
                yield f"{effort}.{role}, {count} rows", hashlib.sha256(found.astype("<i4").tobytes()).hexdigest()


def files(model: ContextModel) -> Iterator[tuple[str, str]]:
    """At every effort, the largest image in tiles that learn; with all noise levels, or of large networks with some."""
    images, is_large = pictures(), model.networks(2, 0)[0].width > 64
    for effort, fewer in ((0, 0), *zip(EFFORTS, LEVELS, strict=False)):
        for levels in (fewer,) if is_large else LEVELS:
            encoded = codec.encode_many(images, effort=effort, levels=levels, tile=TILE, model=model, verify=False)
            decoded = codec.decode_many(encoded, model=model)
            for number, (image, data, again) in enumerate(zip(images, encoded, decoded, strict=True)):
                same = np.array_equal(np.asarray(again), image)
                found = hashlib.sha256(data).hexdigest() if same else "does not decode"
                yield f"effort {effort}, levels {levels}, file {number}", found


def golden_files() -> Iterator[tuple[str, str]]:
    for folder in sorted(path for path in GOLDEN.glob("v*") if path.is_dir()):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            model = entry["model"] or folder / "model.safetensors"
            found = codec.decode((folder / entry["file"]).read_bytes(), model=model)
            yield f"golden {folder.name}/{entry['file']}", hashlib.sha256(found.tobytes()).hexdigest()


def of_models(paths: list[str]) -> Iterator[tuple[str, str]]:
    yield "known answer", answer()
    for path in paths:
        model = find(Path(path))
        for name, value in (*outputs(model), *files(model)):
            yield f"{Path(path).stem}: {name}", value


def at_once(count: int, compute: Callable[[], Iterator[tuple[str, str]]]) -> dict[str, str]:
    """By so many threads at the same time. Where they differ, a value is not one hash but several."""
    with ThreadPoolExecutor(count) as executor:
        found = list(executor.map(lambda _: dict(compute()), range(count)))
    return {name: " ".join(sorted({each[name] for each in found})) for name in found[0]}


def everything(settings: Settings, paths: list[str]) -> dict[str, str]:
    with threads_of(settings.threads):
        found = dict(golden_files()) if settings.golden else {}
        return found | at_once(settings.at_once, lambda: of_models(paths))


def in_a_child(settings: Settings, paths: list[str]) -> dict[str, str]:
    everything(settings, paths)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.close(reading)
        with os.fdopen(writing, "w") as pipe:
            pipe.write(json.dumps(everything(settings, paths)))
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        said = pipe.read()
    os.waitpid(child, 0)
    found: dict[str, str] = json.loads(said)
    return found


def main(settings: Settings, paths: list[str]) -> None:
    compute = in_a_child if settings.forked else everything
    print(json.dumps(compute(settings, paths)))


if __name__ == "__main__":
    main(Settings(**json.loads(sys.argv[1])), sys.argv[2:])
