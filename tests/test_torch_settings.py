"""Files, images and previews do not depend on the settings of PyTorch and numpy that other code chooses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load

from ddpmcodec import archive, codec
from ddpmcodec.codec import graphics
from ddpmcodec.exactness import exact_torch, new_process, torch_settings
from ddpmcodec.networks.context import model_file
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.gaussian import GaussianModel, load_gaussian, predictors
from ddpmcodec.networks.profile import NumericsProfile
from ddpmcodec.networks.reconstruction import Denoiser
from ddpmcodec.networks.unet import UNet, UNetConfig
from ddpmcodec.schedule import ddpm_linear

pytestmark = pytest.mark.usefixtures("no_webp", "one_thread")
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


@pytest.fixture(scope="module")
def denoising(context_path: Path) -> bytes:
    """The golden model with a denoiser that does something."""
    torch.manual_seed(1)
    denoiser = Denoiser()
    torch.nn.init.normal_(denoiser.leave.weight, std=0.3)
    found = {f"denoiser.{key}": value.numpy() for key, value in denoiser.state_dict().items()}
    return model_file.pack(load(context_path.read_bytes()) | found, "denoising")


class Coded:
    """What a process writes and shows, with models that it has loaded before, or loads now."""

    def __init__(self, context: ContextModel, latent: GaussianModel, file: bytes | None = None) -> None:
        named = [(f"{i}.png", picture) for i, picture in enumerate(3 * pictures())]
        self.files = codec.encode_many(pictures(), model=context, effort=2)
        self.file = file or self.files[0]
        self.image = codec.decode(self.file, model=context).tobytes()
        cuts = [len(self.file) * share // 4 for share in (1, 2, 3)]
        self.previews = [codec.decode(self.file[:c], model=context, partial=True).tobytes() for c in cuts]
        self.stack = archive.create(named, model=context, effort=1)
        self.bits_back = archive.create(named, model=latent, levels=[2.0, 12.0, 90.0], effort=1)
        self.extracted = [image.tobytes() for _, image in archive.extract(self.bits_back, model=latent)]


@pytest.fixture(scope="module")
def models(denoising: bytes, gaussian_model: GaussianModel) -> tuple[ContextModel, GaussianModel]:
    return model_file.parse(denoising, "denoising"), gaussian_model


@pytest.fixture(scope="module")
def expected(models: tuple[ContextModel, GaussianModel]) -> Coded:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(graphics, "may_be_graphics", lambda planes: False)
        return Coded(*models)


def test_previews_are_denoised_here(models: tuple[ContextModel, GaussianModel], expected: Coded) -> None:
    shown = codec.decode_details(expected.file[: len(expected.file) // 2], model=models[0], partial=True, denoise=False)
    assert shown.image.tobytes() != expected.previews[1]


@pytest.mark.parametrize("name", STATES)
def test_files_and_previews_are_the_same_under_any_settings(
    models: tuple[ContextModel, GaussianModel], expected: Coded, name: str
) -> None:
    with STATES[name]():
        found = Coded(*models, expected.file)
    assert vars(found) == vars(expected)


@pytest.mark.parametrize("name", STATES)
def test_models_that_are_loaded_under_any_settings_are_the_same(
    denoising: bytes, tiny_gaussian: Path, models: tuple[ContextModel, GaussianModel], name: str
) -> None:
    c = np.arange(-5, 7).reshape(1, 2, 2, 3)
    with STATES[name]():
        context, latent = model_file.parse(denoising, "denoising"), load_gaussian(tiny_gaussian)
        inside = latent.predict(c, 1.0, 3000).sha256()
    assert inside == latent.predict(c, 1.0, 3000).sha256() == models[1].predict(c, 1.0, 3000).sha256()
    assert context.id == models[0].id


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
    model, asked = load_gaussian(tiny_gaussian), []
    answer = predictors.KnownAnswer.answer
    monkeypatch.setattr(
        predictors.KnownAnswer, "answer", lambda known, predictor: asked.append(known) or answer(known, predictor)
    )
    c = np.zeros((1, 2, 2, 3), np.int64)
    model.predict(c, 1.0, 1024)
    assert asked == []
    with changed(set_onednn, False, True):
        model.predict(c, 1.0, 1024)
        assert len(asked) == 1
        model.predict(c, 1.0, 1024)
    assert len(asked) == 1


@pytest.mark.parametrize("name", [name for name in STATES if name != "flush to zero"])
def test_a_numerics_profile_is_the_same_under_any_settings(name: str) -> None:
    torch.manual_seed(0)
    network = UNet(UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)).eval()
    denoiser = PaperDenoiser(network, ddpm_linear())
    right = NumericsProfile().fingerprint(denoiser)
    with STATES[name]():
        assert NumericsProfile().fingerprint(denoiser) == right


def test_settings_come_back() -> None:
    def all_of_them() -> tuple[object, ...]:
        here = torch.get_default_dtype(), torch.is_autocast_enabled("cpu"), torch.zeros(1).device.type
        return torch_settings(), here, torch.are_deterministic_algorithms_enabled(), torch.is_grad_enabled()

    before = all_of_them()
    with torch.autocast("cpu"), torch.device("meta"), changed(set_onednn, False, True):
        inner = all_of_them()
        with new_process():
            assert torch_settings() == before[0]
            assert torch.zeros(1).device.type == "cpu"
        assert all_of_them() == inner
        with exact_torch():
            assert not torch.is_autocast_enabled("cpu")
        assert all_of_them() == inner
    assert all_of_them() == before
