"""Shared fixtures: tiny models that nobody trained, as exact as big ones, and data whose bound is known."""

from __future__ import annotations

import math
import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

# Threads of OpenMP in this process and its children sleep while they wait, as those of the command do: spinning, they
# would take the processor from the tests that run beside them.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

import numpy as np
import numpy.typing as npt
import pytest
import torch
from hypothesis import settings
from torch import Tensor

from ddpmcodec import _native, models
from ddpmcodec.models import architectures, context
from ddpmcodec.models.context import EFFORTS, ROLES, ContextModel, contract_role, pack, tensors_of
from ddpmcodec.models.registry import find
from ddpmcodec.paper import denoisers
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.diffusion import Prediction
from ddpmcodec.paper.gaussian_model import GaussianModel, export
from ddpmcodec.paper.gaussian_network import Architecture, TrainableGaussian
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.schedule import ddpm_linear
from ddpmcodec.paper.unet import UNet, UNetConfig
from ddpmcodec.parallel import threads_of
from ddpmcodec.training import ddpm_trainer

# A first example loads models, so there is no deadline. In CI the examples are the same in every run.
settings.register_profile("ddpmcodec", deadline=None, max_examples=50, derandomize=bool(os.environ.get("CI")))
settings.load_profile("ddpmcodec")

# Shells ignore SIGINT for commands that they start in the background: tests of Ctrl-C would wait for ever.
signal.signal(signal.SIGINT, signal.default_int_handler)

TOGETHER = ("tests/capi/", "tests/web/")  # folders whose tests share another build of the decoder
# What takes long goes first, so that no process is left alone with it at the end.
FIRST = (
    *TOGETHER,
    "tests/plugins/test_cluster.py",
    "tests/test_exactness.py",
    "tests/paper/gaussian/test_gaussian_exactness.py",
    "tests/training/",
    "tests/benchmarks/",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files in the order of FIRST, then the others as they come."""
    items.sort(key=lambda item: next((n for n, start in enumerate(FIRST) if item.nodeid.startswith(start)), len(FIRST)))


@pytest.hookimpl(optionalhook=True)  # of pytest-xdist
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """As --dist=loadfile, but a folder of `TOGETHER` goes to one process, which makes that once."""
    from xdist.scheduler import LoadFileScheduling

    class Scheduling(LoadFileScheduling):  # type: ignore[misc]
        def _split_scope(self, nodeid: str) -> str:
            file: str = super()._split_scope(nodeid)
            return next((folder for folder in TOGETHER if file.startswith(folder)), file)

    return Scheduling(config, log) if config.getoption("dist") == "loadfile" else None


TINY = Architecture(width=16, inner_width=32, down=1, bottom=1, up=1)


def tiny_network(seed: int) -> TrainableGaussian:
    """A network with random weights, its output layer included."""
    torch.manual_seed(seed)
    network = TrainableGaussian(TINY)
    torch.nn.init.normal_(network.weights["head"], std=0.05)
    return network


@pytest.fixture(scope="session")
def tiny_unet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny network of the paper's kind, of 20 noise levels, in a folder as training makes it."""
    torch.manual_seed(0)
    config = UNetConfig(channels=8, multipliers=(1, 1), attention=(), blocks=1, groups=4)
    path = tmp_path_factory.mktemp("unet") / denoisers.OWN
    path.write_bytes(denoisers.export_checkpoint(PaperDenoiser(UNet(config), ddpm_linear(20, 1e-3, 0.3))))
    return path


@pytest.fixture(scope="session")
def make_tiny_gaussian(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int], Path]:
    """The file of a tiny Gaussian model by seed."""

    def make(seed: int) -> Path:
        path = tmp_path_factory.mktemp("models") / f"tiny{seed}.safetensors"
        path.write_bytes(export(tiny_network(seed), name=f"tiny{seed}"))
        return path

    return make


@pytest.fixture(scope="session")
def tiny_gaussian(make_tiny_gaussian: Callable[[int], Path]) -> Path:
    return make_tiny_gaussian(0)


@pytest.fixture
def embedded(
    make_tiny_gaussian: Callable[[int], Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Path]:
    """A package that comes with two tiny Gaussian models: the folder they are in."""
    for name, seed in ((models.GAUSSIAN, 1), ("other", 2)):
        shutil.copy(make_tiny_gaussian(seed), tmp_path / f"{name}.safetensors")
    monkeypatch.setattr(models, "FOLDER", tmp_path)
    caches = (models.names, models.ids, context.embedded, denoisers._embedded)
    for cached in caches:
        cached.cache_clear()
    models.write_ids()
    yield tmp_path
    for cached in caches:
        cached.cache_clear()


@pytest.fixture(scope="session")
def gaussian_model(tiny_gaussian: Path) -> GaussianModel:
    return find_denoiser(tiny_gaussian)


# Of the tiny context model's networks. All activations are shown to three other positions.
WIDTH, DEPTH, COMPONENTS = 16, 2, 2
ABOVE, BESIDE = 17, 147 // 3 // 2 - 1  # places: in the window of a pixel, and in that of a coarse image


def context_tensors(role: str, seed: int) -> dict[str, npt.NDArray[Any]]:
    """A network of a role, or nearly so: what is above or beside a position, with a random network around it."""
    kind, rng = contract_role(role), np.random.default_rng([ROLES.index(role), seed])
    inputs, outputs, conditions = _native.contract(kind, COMPONENTS)
    layers = {
        "stem": (WIDTH, inputs),
        **{f"block{k}": (WIDTH, 4 * WIDTH) for k in range(DEPTH)},
        "head": (outputs, WIDTH),
    }
    found: dict[str, npt.NDArray[Any]] = {}
    for name, shape in layers.items():
        found[f"{name}.weight"] = rng.integers(-9, 10, shape).astype(np.int8)
        found[f"{name}.factor"] = np.full(shape[0], 1 / 256, np.float32)
    means, scales = slice(COMPONENTS, 4 * COMPONENTS), slice(4 * COMPONENTS, 7 * COMPONENTS)
    found["stem.bias"] = rng.integers(-40, 41, (conditions, WIDTH)).astype(np.float32)
    found["head.bias"] = rng.integers(-3, 4, (conditions, outputs)).astype(np.float32)
    found["head.bias"][:, scales] += {"direct": 64, "last": 60, "band": 72}[kind]
    found["head.bias"][:, -3:] += 48 if kind == "direct" else 0
    found["skip.weight"] = np.zeros((outputs, inputs), np.int8)
    found["skip.factor"] = np.full(outputs, 1 / 2, np.float32)
    if kind != "last":
        found["skip.weight"][means, 3 * (ABOVE if kind == "direct" else BESIDE)] = 64 if kind == "direct" else 16
    return found


def write_context(path: Path, name: str) -> Path:
    """A model of such networks."""
    tensors = {
        f"{effort}.{role}.{key}": tensor
        for effort in EFFORTS
        for role in ROLES
        for key, tensor in context_tensors(role, effort).items()
    }
    path.write_bytes(pack(tensors, {f"{effort}.{role}": COMPONENTS for effort in EFFORTS for role in ROLES}, name))
    return path


@pytest.fixture(scope="session")
def context_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny context model: random networks around a simple prediction."""
    return write_context(tmp_path_factory.mktemp("models") / "tiny.safetensors", "tiny")


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same networks under another name, and so with another id."""
    return write_context(tmp_path_factory.mktemp("models") / "other.safetensors", "other")


@pytest.fixture(scope="session")
def context_model(context_path: Path) -> ContextModel:
    return find(context_path)


@pytest.fixture
def linear(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The architecture of docs/extending.md is registered, and no other."""
    monkeypatch.syspath_prepend(str(Path(__file__).parents[1] / "docs" / "linear"))
    monkeypatch.setattr(architectures, "_registered", {})
    sys.modules.pop("linear", None)
    import linear  # noqa: F401

    yield
    sys.modules.pop("linear", None)


@pytest.fixture
def linear_file(linear: None) -> bytes:
    """The bytes of the embedded model for photographs, whose networks of effort 1 are linear."""
    photo = find(models.PHOTO)
    others = {f"1.{role}" for role in ROLES}
    stored = tensors_of(photo)
    tensors = {key: stored[key] for key in stored if key.rpartition(".")[0].rpartition(".")[0] not in others}
    components = {key: 2 if key in others else own.components for key, own in photo.facts.items()}
    for seed, role in enumerate(ROLES):
        contract = architectures.contract_of(contract_role(role), 2)
        weights = np.random.default_rng(seed).integers(-3, 4, (contract.outputs, contract.inputs))
        tensors[f"1.{role}.weight"] = weights.astype(np.int8)
        tensors[f"1.{role}.factor"] = np.full(contract.outputs, 0.05, np.float32)
        tensors[f"1.{role}.bias"] = np.zeros((contract.conditions, contract.outputs), np.float32)
        tensors[f"1.{role}.bias"][:, 8:14] = 60  # indices of scales
    return pack(tensors, components, "others", named={f"1.{role}": "linear" for role in ROLES})


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Threads cost tiny networks more than they bring; that they change nothing is the business of test_exactness."""
    with threads_of(1):
        yield


@pytest.fixture(scope="module")
def operations_counted_once() -> Iterator[None]:
    """To count the operations of a network of the paper takes ten times as long as a step of a tiny one."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ddpm_trainer, "flops", cache(ddpm_trainer.flops))
        yield


@dataclass(frozen=True)
class GaussianData:
    """Pixels v ~ N(mean, covariance), [3] and [3, 3], and the `Denoiser` that is optimal for them: their posterior."""

    mean: npt.NDArray[np.float64]
    covariance: npt.NDArray[np.float64]

    def weight(self, s: float) -> npt.NDArray[np.float64]:
        """Of c_t in the posterior's mean."""
        return self.covariance @ np.linalg.inv(self.covariance + s**2 * np.eye(3))

    def latents(self, shape: tuple[int, int, int], s: float = 0.0, seed: int = 7) -> Tensor:
        """c_t of n images [n, 3, height, width], float64; at s = 0 the centred pixels, which are no integers."""
        rng = np.random.default_rng(seed)
        drawn = rng.multivariate_normal(self.mean, self.covariance + s**2 * np.eye(3), shape)
        return torch.from_numpy(drawn).permute(0, 3, 1, 2)

    def __call__(self, c_t: Tensor, s_t: float) -> Prediction:
        centre = torch.from_numpy(self.mean).view(3, 1, 1)
        weight = self.weight(s_t)
        root = np.linalg.cholesky(s_t**2 * weight)  # of the posterior's covariance
        lower, std = root / root.diagonal(), root.diagonal()
        mean = centre + torch.einsum("ij,njhw->nihw", torch.from_numpy(weight), c_t.double() - centre)
        of_pixel = np.stack([np.log(std * math.sqrt(3) / math.pi), [lower[1, 0], lower[2, 0], lower[2, 1]]])
        log_scale, coefficients = (torch.from_numpy(row).view(3, 1, 1).expand_as(mean) for row in of_pixel)
        return Prediction(mean + 127.5, log_scale, coefficients)


@pytest.fixture(scope="session")
def independent() -> GaussianData:
    """Pixels whose channels have nothing to do with each other."""
    return GaussianData(np.array([-12.0, 3.0, 9.0]), np.diag([20.0, 31.0, 9.0]) ** 2)


@pytest.fixture(scope="session")
def coupled() -> GaussianData:
    """Pixels whose channels are nearly alike."""
    covariance = np.array([[900.0, 740.0, 500.0], [740.0, 800.0, 600.0], [500.0, 600.0, 700.0]])
    return GaussianData(np.array([-12.0, 3.0, 9.0]), covariance)


@pytest.fixture(scope="session")
def picture() -> np.ndarray:
    """32 x 48 pixels: slopes and noise."""
    y, x = np.mgrid[:32, :48]
    smooth = np.stack([40 + 3 * x + y, 200 - 4 * y, 60 + 2 * x + 2 * y], axis=2)
    noise = np.random.Generator(np.random.Philox(5)).normal(0, 6, smooth.shape)
    return (smooth + noise).round().clip(0, 255).astype(np.uint8)
