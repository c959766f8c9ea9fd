"""Published checkpoints of the paper's U-Net: what diffusers writes is read, and nothing else is opened."""

from __future__ import annotations

import json
import pickle
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import TYPE_CHECKING, Any, NoReturn

import huggingface_hub
import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from ddpmcodec.errors import ModelError
from ddpmcodec.paper import denoisers, schedule
from ddpmcodec.paper.paper_denoiser import PaperDenoiser, Variance
from ddpmcodec.paper.unet import UNetConfig

if TYPE_CHECKING:  # where other tests are chosen, its seconds are not spent
    import diffusers

PUBLISHED = {
    "attention_head_dim": None,
    "block_out_channels": (8, 16),
    "down_block_types": ("DownBlock2D", "AttnDownBlock2D"),
    "up_block_types": ("AttnUpBlock2D", "UpBlock2D"),
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "layers_per_block": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 4,
}
OLDER = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}


@pytest.fixture(scope="module")
def published_network() -> diffusers.UNet2DModel:
    import diffusers

    torch.manual_seed(4)
    return diffusers.UNet2DModel(**PUBLISHED).eval()


@pytest.fixture(scope="module")
def written(published_network: diffusers.UNet2DModel, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("written")
    published_network.save_pretrained(folder)
    return folder


@pytest.fixture
def folder(written: Path, tmp_path: Path) -> Path:
    """What diffusers writes."""
    return shutil.copytree(written, tmp_path / "published")


def reconfigure(folder: Path, name: str = denoisers.CONFIG, **changes: Any) -> None:
    config = json.loads((folder / name).read_text()) | changes
    (folder / name).write_text(json.dumps({k: v for k, v in config.items() if v != "absent"}))


# --- published checkpoints


def assert_same_network(found: PaperDenoiser, network: diffusers.UNet2DModel) -> None:
    z, t = torch.randn(2, 3, 8, 8), torch.tensor([0, 600])
    with torch.no_grad():
        assert (found.unet(z, t) - network(z, t).sample).abs().max() <= 1e-5


def test_what_diffusers_writes_is_read(published_network: diffusers.UNet2DModel, folder: Path) -> None:
    found = denoisers.load_checkpoint(folder)
    assert_same_network(found, published_network)
    assert (found.variance, found.levels.tolist()) == ("large", schedule.ddpm_linear().tolist())
    assert found.unet.config == UNetConfig(8, (1, 2), (1,), blocks=1, groups=4, dropout=0.0)


def test_the_file_in_a_folder_may_be_named(published_network: diffusers.UNet2DModel, folder: Path) -> None:
    assert_same_network(denoisers.load_checkpoint(folder / denoisers.WEIGHTS), published_network)


def test_older_names_of_attention_are_read(published_network: diffusers.UNet2DModel, folder: Path) -> None:
    tensors = load_file(folder / denoisers.WEIGHTS)
    for newer, older in OLDER.items():
        tensors = {name.replace(f".{newer}.", f".{older}."): tensor for name, tensor in tensors.items()}
    assert any("proj_attn" in name for name in tensors)
    save_file(tensors, folder / denoisers.WEIGHTS)
    assert_same_network(denoisers.load_checkpoint(folder), published_network)


def test_the_oldest_configurations_leave_out_what_came_later(
    published_network: diffusers.UNet2DModel, folder: Path
) -> None:
    later = [*denoisers.UNSAID, "dropout", "num_train_timesteps"]
    reconfigure(folder, **dict.fromkeys(later, "absent"))
    assert_same_network(denoisers.load_checkpoint(folder), published_network)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"freq_shift": 0}, "freq_shift is 0, not 1"),
        ({"attention_head_dim": 8}, "attention_head_dim is 8"),
        ({"attention_head_dim": "absent"}, "attention_head_dim is 'missing'"),
        ({"class_embed_type": "timestep"}, "'timestep'"),
        ({"time_embedding_type": "fourier"}, "'fourier'"),
        ({"down_block_types": ["DownBlock2D", "SkipDownBlock2D"]}, "blocks .*SkipDownBlock2D"),
        ({"up_block_types": ["UpBlock2D", "UpBlock2D"]}, "blocks .*AttnDownBlock2D"),
        ({"block_out_channels": [8, 12]}, r"\[8, 12\] channels"),
        ({"out_channels": 4}, "4 at the end"),
    ],
)
def test_other_networks_are_refused(folder: Path, change: dict[str, Any], complaint: str) -> None:
    reconfigure(folder, **change)
    with pytest.raises(ModelError, match=f"config.json: .*{complaint}"):
        denoisers.load_checkpoint(folder)


@pytest.mark.parametrize("text", ["", "[]", '{"act_fn": "silu"', "null"], ids=["empty", "list", "cut", "null"])
def test_a_configuration_that_is_none_is_refused(folder: Path, text: str) -> None:
    (folder / denoisers.CONFIG).write_text(text)
    with pytest.raises(ModelError, match=r"config\.json: not the configuration"):
        denoisers.load_checkpoint(folder)


@pytest.mark.parametrize(
    "change", [{"block_out_channels": []}, {"block_out_channels": [0, 0]}, {"layers_per_block": "absent"}]
)
def test_sizes_that_make_no_sense_are_refused(folder: Path, change: dict[str, Any]) -> None:
    reconfigure(folder, **change)
    with pytest.raises(ModelError, match=r"config.json: not the (network|configuration)"):
        denoisers.load_checkpoint(folder)


def test_a_missing_configuration_is_named(folder: Path) -> None:
    (folder / denoisers.CONFIG).unlink()
    with pytest.raises(ModelError, match=r"config.json: cannot be read"):
        denoisers.load_checkpoint(folder)


def test_tensors_that_do_not_fit_the_configuration_are_named(folder: Path) -> None:
    reconfigure(folder, block_out_channels=[8, 8])
    with pytest.raises(ModelError, match=r"shape \[16\], .*\[8\]"):
        denoisers.load_checkpoint(folder)


# --- the process beside a published checkpoint


def schedule_of(folder: Path, **said: Any) -> None:
    """What diffusers' scheduler writes into a folder."""
    import diffusers

    diffusers.DDPMScheduler(**said).save_pretrained(folder)


@pytest.mark.parametrize(
    ("said", "variance"),
    [
        ({"variance_type": "fixed_large"}, "large"),
        ({"variance_type": "fixed_small"}, "small"),
        ({"beta_schedule": "squaredcos_cap_v2", "num_train_timesteps": 300}, "small"),
        ({"beta_start": 1e-3, "beta_end": 0.3, "num_train_timesteps": 50}, "small"),
    ],
)
def test_the_process_is_that_of_the_scheduler(
    published_network: diffusers.UNet2DModel, folder: Path, said: dict[str, Any], variance: Variance
) -> None:
    import diffusers

    schedule_of(folder, **said)
    found = denoisers.load_checkpoint(folder)
    alphabar = diffusers.DDPMScheduler(**said).alphas_cumprod.double().numpy()
    assert found.variance == variance
    np.testing.assert_allclose(found.levels, 127.5 * np.sqrt((1 - alphabar) / alphabar), rtol=1e-3)


def test_a_pipeline_of_diffusers_is_read_whole(published_network: diffusers.UNet2DModel, tmp_path: Path) -> None:
    import diffusers

    scheduler = diffusers.DDPMScheduler(200, beta_schedule="squaredcos_cap_v2", variance_type="fixed_large")
    diffusers.DDPMPipeline(published_network, scheduler).save_pretrained(tmp_path / "pipeline")
    found = denoisers.load_checkpoint(tmp_path / "pipeline")
    assert_same_network(found, published_network)
    assert (found.variance, found.levels.tolist()) == ("large", schedule.cosine(200).tolist())


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"prediction_type": "v_prediction"}, "'v_prediction'"),
        ({"clip_sample": False}, "clip_sample"),
        ({"thresholding": True}, "thresholding"),
        ({"beta_schedule": "sigmoid"}, "'sigmoid'"),
        ({"variance_type": "odd"}, "'odd'"),
        ({"num_train_timesteps": "many"}, "diffusion process"),
    ],
)
def test_other_processes_are_refused(
    published_network: diffusers.UNet2DModel, folder: Path, change: dict[str, Any], complaint: str
) -> None:
    schedule_of(folder)
    reconfigure(folder, denoisers.SCHEDULER, **change)
    with pytest.raises(ModelError, match=rf"scheduler_config\.json: .*{complaint}"):
        denoisers.load_checkpoint(folder)


# --- what is not opened


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


@pytest.mark.parametrize("name", ["diffusion_pytorch_model.bin", "model.pt", "model.ckpt", "hidden.safetensors"])
def test_a_pickle_is_refused_unopened(tmp_path: Path, name: str) -> None:
    torch.save(Bomb(tmp_path / "exploded"), tmp_path / name)
    with pytest.raises(ModelError, match=r"pickle|cannot read the network"):
        denoisers.load_checkpoint(tmp_path / name)
    assert not (tmp_path / "exploded").exists()


def test_a_folder_with_a_pickle_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "diffusion_pytorch_model.bin").write_bytes(pickle.dumps(Bomb(tmp_path / "exploded")))
    with pytest.raises(ModelError) as caught:
        denoisers.load_checkpoint(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'diffusion_pytorch_model.bin'}: a pickle")
    assert "diffusion_pytorch_model.safetensors" in str(caught.value)


def test_a_pickle_that_was_converted_as_documented_is_read(
    published_network: diffusers.UNet2DModel, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.save(published_network.state_dict(), folder / "diffusion_pytorch_model.bin")
    (folder / denoisers.WEIGHTS).unlink()
    monkeypatch.chdir(folder)
    recipe = str(denoisers.__doc__).split("in its folder:\n")[1]
    exec(dedent(recipe))
    assert_same_network(denoisers.load_checkpoint(folder), published_network)


def test_an_empty_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=f"no {denoisers.WEIGHTS}"):
        denoisers.load_checkpoint(tmp_path)


@pytest.mark.parametrize("source", ["no.safetensors", "a/b", "google/ddpm", "/nowhere/at-all", "here/typo.safetensors"])
def test_what_is_neither_file_nor_repository_is_named(
    source: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A mistyped file: nothing is fetched."""
    monkeypatch.setattr(denoisers, "_download", lambda repository: pytest.fail("the network is asked"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ModelError, match=f"^{source}: .*hub:"):
        denoisers.load_checkpoint(source)


# --- repositories


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The cache of repositories, without a network."""

    def refuse(*_: Any) -> NoReturn:
        raise OSError("no network in tests")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(socket.socket, "connect", refuse)
    return tmp_path / "cache"


def test_a_repository_that_was_fetched_before_is_read(
    published_network: diffusers.UNet2DModel, folder: Path, offline: Path
) -> None:
    repository, commit = offline / "models--someone--ddpm-tiny", "0" * 40
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(commit)
    (repository / "snapshots").mkdir()
    snapshot = folder.rename(repository / "snapshots" / commit)
    assert_same_network(denoisers.load_checkpoint("hub:someone/ddpm-tiny"), published_network)
    (snapshot / denoisers.WEIGHTS).unlink()
    with pytest.raises(ModelError, match=r"^hub:someone/ddpm-tiny: .*diffusion_"):
        denoisers.load_checkpoint("hub:someone/ddpm-tiny")


def test_without_a_network_the_error_says_what_to_get(offline: Path) -> None:
    with pytest.raises(ModelError) as caught:
        denoisers.load_checkpoint("hub:google/ddpm-cifar10-32")
    message = str(caught.value)
    assert message.startswith("hub:google/ddpm-cifar10-32: the repository cannot be fetched (")
    assert message.endswith(
        "get its config.json and diffusion_pytorch_model.safetensors where there is a network, and name their folder"
    )


def test_without_the_client_the_error_says_what_to_install(offline: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ModelError, match="huggingface_hub"):
        denoisers.load_checkpoint("hub:google/ddpm-cifar10-32")
