"""What `doctor` examines: versions, the processor, compiled kernels, known answers, speed."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from llvmlite import binding  # type: ignore[import-untyped]

from ddpmcodec import codec, compiled, models
from ddpmcodec.benchmarks._data import synthetic_photo
from ddpmcodec.benchmarks._results import machine, versions
from ddpmcodec.codec import known_answer
from ddpmcodec.errors import DdpmError
from ddpmcodec.networks.context import product
from ddpmcodec.networks.context.model_file import load_model
from ddpmcodec.networks.context.network import run
from ddpmcodec.networks.gaussian import load_gaussian

PACKAGES = ("ddpmcodec", "python", "torch", "numba", "numpy", "pillow")
FEATURES = ("sse4.1", "avx2", "avx512f", "avx512vnni", "amx-int8", "neon", "dotprod")  # that products may gain from
SIDE = 256  # pixels: one stream under the model for photographs, so one thread
WARM_UP_SIDE = 128  # the least at which the networks learn


@dataclass(frozen=True)
class Check:
    """problem: what is wrong, and what to do; None where all is well."""

    name: str
    problem: str | None = None
    exit_code: int = 0


def description() -> dict[str, Any]:
    """Of the installation and the machine: nothing of it is right or wrong."""
    found, host = versions(), binding.get_host_cpu_features()
    features = [name for name in FEATURES if host.get(name)]
    return {
        "versions": {name: found[name] for name in PACKAGES},
        "machine": {**machine(), "features": features, "products": product.INSTRUCTIONS},
    }


def checks() -> Iterator[Check]:
    """Known answers of the coder and of every embedded model, then whether their kernels were kept."""
    yield _check("coder", known_answer.require)
    for name in sorted({*models.names(), models.DEFAULT, models.PHOTO, models.GAUSSIAN}):
        load: Callable[[str], object] = load_gaussian if name == models.GAUSSIAN else load_model
        yield _check(f"model {name}", lambda load=load, name=name: load(name))  # type: ignore[misc]
    yield _check("kernels", require_kept_kernels)


def kernels() -> str | None:
    """The folder that compiled kernels are kept in, if any."""
    folder = compiled.folder_of(run)
    return None if folder is None else str(folder)


def speed() -> dict[str, float]:
    """Megapixels a second of one thread: `encode` without its verification, and `decode`, of a synthetic photograph.
    Raises DdpmError."""
    codec.decode(codec.encode(_photo(WARM_UP_SIDE), verify=False))  # kernels are loaded now
    start, image = time.perf_counter(), _photo(SIDE)
    data = codec.encode(image, verify=False)
    middle = time.perf_counter()
    decoded = codec.decode(data, as_array=True)
    end = time.perf_counter()
    if not np.array_equal(decoded, image):
        raise DdpmError("a photograph came back changed: please report the processor, and do not encode here")
    return {"encode": _rate(middle - start), "decode": _rate(end - middle)}


def _check(name: str, action: Callable[[], object]) -> Check:
    try:
        action()
    except DdpmError as error:
        return Check(name, str(error), error.exit_code)
    return Check(name)


def require_kept_kernels() -> None:
    if not compiled.is_kept(run):
        raise DdpmError(
            f"compiled kernels cannot be kept in {kernels() or 'any folder'}: every run compiles them, for up to half"
            " a minute; set NUMBA_CACHE_DIR to a folder that can be written"
        )


def _photo(side: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    return np.asarray(synthetic_photo(side, side))


def _rate(seconds: float) -> float:
    return round(SIDE**2 / 1e6 / seconds, 3)
