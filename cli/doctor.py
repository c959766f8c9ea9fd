"""ddpmcodec doctor"""

from __future__ import annotations

import json
import os
import platform
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from ddpmcodec import __version__, _native, codec, models
from ddpmcodec._native import LEVELS, MODEL_ID_BYTES
from ddpmcodec.errors import DdpmError
from ddpmcodec.models import jpeg
from ddpmcodec.models.context import CODING_EFFORTS, EFFORTS
from ddpmcodec.models.registry import find_context
from ddpmcodec.parallel import processor_name, thread_count

from ._common import EXIT_CODES, echo, printable

OK = "ok"  # of a check that finds no problem


@click.command(epilog=EXIT_CODES)
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
def doctor(as_json: bool) -> int:
    """Examine this installation: versions, processor, the core's kernels, known answers, and a measure of its speed.

    Exit code 0: all is well. Otherwise the problems are printed, with what to do, and the exit code is that of the
    gravest.
    """
    facts, code = _examine()
    echo(json.dumps(facts, indent=2, allow_nan=False) if as_json else _text(facts))
    return code


def _examine() -> tuple[dict[str, Any], int]:
    """The facts about the installation, and the exit code."""
    found = list(checks())
    well = all(check.problem is None for check in found)
    facts = {
        **description(),
        "checks": {check.name: check.problem or OK for check in found},
        "megapixels_a_second": speed() if well else None,
        "well": well,
    }
    return facts, max(check.exit_code for check in found)


def _text(facts: dict[str, Any]) -> str:
    versions, machine, speed = facts["versions"], facts["machine"], facts["megapixels_a_second"]
    lines = {
        "versions": ", ".join(f"{name} {version}" for name, version in versions.items()),
        "system": machine["system"],
        "processor": f"{machine['processor']}, {machine['cores']} cores, {machine['threads']} threads are used",
        "models": ", ".join(f"{name} {model_id}" for name, model_id in facts["models"].items())
        + f", in {facts['models_folder']}",
        "kernels": f"{facts['kernel']} is used, this processor runs {', '.join(facts['kernels'])}",
        **({"slow": facts["slow"]} if facts["slow"] else {}),
        **facts["checks"],
    }
    if speed:
        lines["speed"] = f"encode {speed['encode']}, decode {speed['decode']} megapixels a second, on one thread"
    problems = sum(found != OK for found in facts["checks"].values())
    last = f"{problems} problem{'s' * (problems > 1)}: see above what to do" if problems else "all is well"
    width = max(map(len, lines))
    return "\n".join([*(printable(f"{key:{width}}  {value}") for key, value in lines.items()), last])


# --- what `doctor` examines: versions, the processor, the compiled core, known answers, speed

PACKAGES = ("numpy", "pillow", "safetensors", "click", "torch")  # the last one if installed
PLAIN = "plain"  # the kernel of processors without the instructions of any other
SIDE = 256  # pixels: one stream under the model for photographs, so one thread
WARM_UP_SIDE = 128  # the least at which the networks learn


@dataclass(frozen=True)
class Check:
    """problem: says what is wrong and what to do. It is None if nothing is wrong."""

    name: str
    problem: str | None = None
    exit_code: int = 0


def description() -> dict[str, Any]:
    """Facts about the installation and the machine, of which none is right or wrong."""
    return {
        "versions": _versions(),
        "machine": {
            "system": platform.platform(),
            "processor": processor_name(),
            "cores": os.cpu_count(),
            "threads": thread_count(),
        },
        "models": {name: model_id[:MODEL_ID_BYTES].hex() for name, model_id in models.ids().items()},
        "models_folder": str(models.FOLDER),
        "kernel": _native.kernel(),
        "kernels": _native.kernels(),
        "slow": slowness(_native.kernel(), _native.kernels()),
    }


def slowness(kernel: str, kernels: Sequence[str]) -> str | None:
    """Return why the kernel in use is slow, if it is. kernels: those that this processor runs, the fastest first."""
    if kernel != kernels[0]:
        return f"{kernels[0]} is faster here: unset the environment variable DDPMCODEC_KERNELS"
    if kernel == PLAIN:
        return "slow: some four times as long as with AVX2 or an ARM dot product, of which this processor has neither"
    return None


def checks() -> Iterator[Check]:
    """The core's version, known answers of the coder and of every embedded context model, and the hash of the Gaussian
    one."""
    yield _check("core", require_own_core)
    yield _check("coder", _native.require_coder_answer)
    for name in sorted({*models.names(), *models.CONTEXT_MODELS} - {models.GAUSSIAN, models.JPEG}):
        yield _check(f"model {name}", lambda name=name: require_answers(name))  # type: ignore[misc]
    yield _check(f"model {models.JPEG}", _require_answers_of_jpeg)
    if models.GAUSSIAN in models.names():
        yield _check(f"model {models.GAUSSIAN}", lambda: models.read(models.GAUSSIAN))


def require_own_core() -> None:
    """Raises DdpmError where the compiled core is of another version than the Python around it."""
    if _native.version() != __version__:
        raise DdpmError(
            f"the compiled core is of version {_native.version()}, the rest of {__version__}: install ddpmcodec again"
        )


def require_answers(name: str) -> None:
    """Raises ModelError unless all networks of an embedded model compute what they must."""
    model = find_context(name)
    for effort in CODING_EFFORTS:
        for levels in LEVELS:
            model.networks(effort, levels)


def _require_answers_of_jpeg() -> None:
    for effort in EFFORTS:
        jpeg.embedded().check(effort)


def speed() -> dict[str, float]:
    """Megapixels of a synthetic photograph that one thread codes in a second: `encode` without verification, and
    `decode`. Raises DdpmError."""
    codec.decode(codec.encode(_photo(WARM_UP_SIDE), verify=False))  # the model is loaded now
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


def _versions() -> dict[str, str]:
    """Versions of packages, without importing them."""
    versions = {"ddpmcodec": __version__, "core": _native.version(), "python": platform.python_version()}
    for name in PACKAGES:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions


def _photo(side: int) -> NDArray[np.uint8]:
    """Slopes, waves, a soft grain that the colours share, and noise: as of a photograph."""
    y, x = np.mgrid[:side, :side]
    waves = 30 * np.sin(x / 17) + 20 * np.cos(y / 11)
    smooth = np.stack([90 + x / 4 + waves, 150 - y / 4 + waves, 60 + (x + y) / 8], axis=2)
    draw = np.random.Generator(np.random.Philox(1))
    grain = draw.normal(0, 16, (side + 1, side + 1))
    soft = (grain[1:, 1:] + grain[1:, :-1] + grain[:-1, 1:] + grain[:-1, :-1]) / 4
    noise = soft[..., None] + draw.normal(0, 1.5, smooth.shape)
    return (smooth + noise).round().clip(0, 255).astype(np.uint8)


def _rate(seconds: float) -> float:
    return round(SIDE**2 / 1e6 / seconds, 3)
