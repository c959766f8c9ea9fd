"""Denoisers of the paper's system: finds a Gaussian model, of which `ddpm-cifar10` is embedded, or a checkpoint of the
paper's U-Net, and reads and writes checkpoints.

A published checkpoint is a folder with `config.json` and `diffusion_pytorch_model.safetensors`, such as those of the
repositories google/ddpm-cifar10-32 and google/ddpm-celebahq-256, or what diffusers' DDPMPipeline saves. A file of our
own is one safetensors file with the same tensors, the noise levels, and the rest in its metadata.

Pickles (`diffusion_pytorch_model.bin`) run code when they are loaded, and are refused. Whoever trusts one converts it
once, outside this library, in its folder:

    import torch
    from safetensors.torch import save_file

    tensors = torch.load("diffusion_pytorch_model.bin", weights_only=True)
    save_file({name: t.contiguous() for name, t in tensors.items()}, "diffusion_pytorch_model.safetensors")
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor

from ddpmcodec import models
from ddpmcodec.errors import ModelError
from ddpmcodec.models import registry
from ddpmcodec.models.model_file import kind_of
from ddpmcodec.models.registry import HUB
from ddpmcodec.paper import gaussian_model as gaussian
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.paper_denoiser import PaperDenoiser, Variance
from ddpmcodec.paper.schedule import Levels, cosine, ddpm_linear
from ddpmcodec.paper.unet import UNet, UNetConfig

UNET = "unet"  # the kind that the core calls files with this entry in their metadata
UNET_KEY = "ddpmcodec.unet"  # a JSON object about the network of a checkpoint of our own
TRAINED = "gaussian.safetensors"  # in the folder of a run


def find_denoiser(source: GaussianModel | PaperDenoiser | str | Path | None) -> GaussianModel | PaperDenoiser:
    """A denoiser by what a user calls it.

    Parameters:
        source: the name of an embedded model; its id, eight hexadecimal digits or more; the path of a model's file, or
            of a checkpoint: a file, or a folder, also of a run; hub:OWNER/NAME, which alone uses the network. A
            denoiser is returned as it is. None: the embedded one.

    Raises:
        ModelError: there is none, or it is damaged, or of another kind.
        TypeError: it is neither a name nor a path nor a denoiser.

    >>> from ddpmcodec.paper.denoisers import find_denoiser
    >>> find_denoiser(None).name
    'ddpm-cifar10'
    """
    if source is None:
        return _embedded(models.GAUSSIAN)
    if isinstance(source, (GaussianModel, PaperDenoiser)):
        return source
    if not isinstance(source, (str, Path)):
        raise TypeError(f"a denoiser is a name, a path or a loaded one, not {source!r}")
    if (name := registry.name_of(source)) is not None:
        return _embedded(name)
    if (trained := Path(source) / TRAINED).is_file():
        source = trained
    if kind_of(Path(source)) in (None, UNET):
        return load_checkpoint(source)
    return gaussian.parse(registry.read(source), str(source))


def is_embedded(model_id: bytes) -> bool:
    """Whether an archive's Gaussian model is an embedded one. model_id: the first bytes of its id."""
    return any(models.ids()[name].startswith(model_id) for name in _gaussian_names())


def written_with(model_id: bytes) -> GaussianModel:
    """The embedded Gaussian model of an archive. model_id: the first bytes of its id. Raises ModelError."""
    for name in (names := _gaussian_names()):
        if models.ids()[name].startswith(model_id):
            return _embedded(name)
    embedded = ", ".join(f"{models.ids()[name][: len(model_id)].hex()} ({name})" for name in names)
    raise ModelError(
        f"the file was written with model {model_id.hex()}, and the embedded models of its kind are"
        f" {embedded or 'none'}: decode with the model that wrote it (model=PATH)"
    )


def _gaussian_names() -> list[str]:
    return [name for name in models.names() if registry.is_denoiser(name)]


@cache
def _embedded(name: str) -> GaussianModel:
    """An embedded model, which is read once."""
    return gaussian.parse(models.read(name), name)


# --- published checkpoints: their configuration

WEIGHTS, CONFIG, SCHEDULER = "diffusion_pytorch_model.safetensors", "config.json", "scheduler_config.json"
NEWER_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}

# Values of a configuration that make it the paper's network; and those that a configuration may leave out.
PAPER = {
    "act_fn": "silu",
    "attention_head_dim": None,
    "center_input_sample": False,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "time_embedding_type": "positional",
}
UNSAID = {
    "add_attention": True,
    "attn_norm_num_groups": None,
    "class_embed_type": None,
    "downsample_type": "conv",
    "mid_block_type": "UNetMidBlock2D",
    "num_class_embeds": None,
    "resnet_time_scale_shift": "default",
    "time_embedding_dim": None,
    "upsample_type": "conv",
}

PROCESS = {
    "clip_sample": True,
    "clip_sample_range": 1.0,
    "prediction_type": "epsilon",
    "rescale_betas_zero_snr": False,
    "thresholding": False,
    "trained_betas": None,
}
PROCESS_UNSAID = PROCESS | {
    "beta_end": 0.02,
    "beta_schedule": "linear",
    "beta_start": 1e-4,
    "num_train_timesteps": 1000,
    "variance_type": "fixed_small",
}
VARIANCES: dict[str, Variance] = {
    "fixed_small": "small",
    "fixed_small_log": "small",
    "fixed_large": "large",
    "fixed_large_log": "large",
    "learned_range": "learned",
}


def network_config(weights: Path) -> UNetConfig:
    """Sizes of the network, from `config.json` beside its weights. Raises ModelError."""
    path = weights.with_name(CONFIG)
    try:
        config = {**UNSAID, **json.loads(path.read_bytes())}
        _check(path, config, {**PAPER, **UNSAID}, "network")
        return _sizes(path, config)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); it lies beside the weights") from error
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: not the configuration of a U-Net ({error!r})") from error


def process(weights: Path) -> tuple[Levels, Variance]:
    """Noise levels and reverse variance, from `scheduler_config.json`; the paper's without one. Raises ModelError."""
    candidates = weights.with_name(SCHEDULER), weights.parent.parent / "scheduler" / SCHEDULER
    path = next((candidate for candidate in candidates if candidate.is_file()), None)
    if path is None:
        return ddpm_linear(), "large"
    try:
        config = {**PROCESS_UNSAID, **json.loads(path.read_bytes())}
        _check(path, config, PROCESS, "process")
        return _levels(config), VARIANCES[config["variance_type"]]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{path}: not the configuration of a diffusion process ({error!r})") from error


def _check(path: Path, config: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> None:
    for key, value in expected.items():
        if config.get(key, "missing") != value:
            actual = config.get(key, "missing")
            raise ModelError(f"{path}: not the {what} of the paper: {key} is {actual!r}, not {value!r}")


def _levels(config: Mapping[str, Any]) -> Levels:
    T = config["num_train_timesteps"]
    if config["beta_schedule"] == "squaredcos_cap_v2":
        return cosine(T)
    if config["beta_schedule"] == "linear":
        return ddpm_linear(T, config["beta_start"], config["beta_end"])
    raise ValueError(f"schedule {config['beta_schedule']!r} is neither 'linear' nor 'squaredcos_cap_v2'")


def _sizes(path: Path, config: Mapping[str, Any]) -> UNetConfig:
    widths, down_types = config["block_out_channels"], config["down_block_types"]
    attention = tuple(level for level, block_type in enumerate(down_types) if block_type == "AttnDownBlock2D")
    ups = ["AttnUpBlock2D" if level in attention else "UpBlock2D" for level in reversed(range(len(widths)))]
    downs = [block_type.replace("Up", "Down") for block_type in reversed(ups)]
    if downs != down_types or ups != config["up_block_types"]:
        raise ModelError(f"{path}: not the network of the paper: blocks {down_types} and {config['up_block_types']}")
    if any(width % widths[0] for width in widths) or config["out_channels"] not in (3, 6):
        raise ModelError(
            f"{path}: not the network of the paper: {widths} channels, {config['out_channels']} at the end"
        )
    return UNetConfig(
        channels=widths[0],
        multipliers=tuple(width // widths[0] for width in widths),
        attention=attention,
        blocks=config["layers_per_block"],
        groups=config["norm_num_groups"],
        dropout=config.get("dropout", 0.0),
        learned_variance=config["out_channels"] == 6,
    )


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors, those of attention under the names that diffusers has used since 2023."""
    by_new_name = {}
    for name, tensor in tensors.items():
        for older, newer in NEWER_NAMES.items():
            name = name.replace(older, newer)
        by_new_name[name] = tensor
    return by_new_name


# --- checkpoints: published ones, and files of our own

LEVELS = "levels"  # a tensor of our own files
OWN = "ddpm.safetensors"  # in the folder of a run that trains the network
FORMAT = 1
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
RECIPE = "docs/paper.md: Published checkpoints"


def load_checkpoint(source: str | Path) -> PaperDenoiser:
    """The network of the folder of a checkpoint or a run, of a safetensors file, or of hub:OWNER/NAME, which alone is
    downloaded. Raises ModelError."""
    path = _find(source)
    try:
        with safe_open(path, "pt") as file:
            description = (file.metadata() or {}).get(UNET_KEY)
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot read the network ({error}); get it again") from error
    if description is None:
        config, (levels, fixed) = network_config(path), process(path)
        published: Variance = "learned" if config.learned_variance else fixed
        return PaperDenoiser(_network(path, config, renamed(tensors)), levels, published)
    try:
        facts = json.loads(description)
        if facts["format"] != FORMAT:
            raise ModelError(f"{path}: format {facts['format']}, this version reads {FORMAT}; update ddpmcodec")
        config, levels = UNetConfig.from_json(facts["config"]), tensors.pop(LEVELS).numpy()
        return PaperDenoiser(_network(path, config, tensors), levels, facts["variance"])
    except (ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{path}: the network's description is damaged ({error}); get it again") from error


def export_checkpoint(denoiser: PaperDenoiser, *, training: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a file of our own. training: facts about its making, kept in the metadata."""
    facts = {
        "format": FORMAT,
        "config": denoiser.unet.config.to_json(),
        "variance": denoiser.variance,
        "training": dict(training or {}),
    }
    tensors = {name: tensor.contiguous() for name, tensor in sorted(denoiser.unet.state_dict().items())}
    tensors[LEVELS] = torch.from_numpy(denoiser.levels.copy())
    return bytes(save_tensors(tensors, metadata={UNET_KEY: json.dumps(facts, sort_keys=True)}))


def _find(source: str | Path) -> Path:
    """The file of weights. Raises ModelError."""
    if isinstance(source, str) and source.startswith(HUB):
        return _download(source.removeprefix(HUB))
    path = Path(source)
    if path.is_dir():
        return _weights_in(path / "unet" if (path / "unet").is_dir() else path)
    if path.suffix in PICKLES:
        raise _pickle(path)
    if path.exists():
        return path
    raise ModelError(f"{source}: there is no such file or folder; a repository is fetched by the name {HUB}OWNER/NAME")


def _weights_in(folder: Path) -> Path:
    if (folder / OWN).is_file():
        return folder / OWN
    if not (folder / WEIGHTS).is_file():
        pickles = sorted(file.name for file in folder.iterdir() if file.suffix in PICKLES)
        raise _pickle(folder / pickles[0]) if pickles else ModelError(f"{folder}: there is no {WEIGHTS} in this folder")
    return folder / WEIGHTS


def _pickle(path: Path) -> ModelError:
    return ModelError(
        f"{path}: a pickle runs code when it is loaded, and is refused: use {WEIGHTS} of the same repository, or "
        f"convert it once if you trust it ({RECIPE})"
    )


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModelError(
            f"{HUB}{repository}: to fetch a repository huggingface_hub is needed: pip install 'ddpmcodec[paper]'"
        ) from error
    try:
        path = Path(snapshot_download(repository, allow_patterns=[f"*{CONFIG}", f"*{WEIGHTS}"]))
    except Exception as error:  # the client's errors have no common base: its own, the HTTP library's, OSError
        reason = str(error).split("\n", 1)[0]
        raise ModelError(
            f"{HUB}{repository}: the repository cannot be fetched ({reason}): "
            f"get its {CONFIG} and {WEIGHTS} where there is a network, and name their folder"
        ) from error
    if not any(path.rglob(WEIGHTS)):
        raise ModelError(f"{HUB}{repository}: has no {WEIGHTS}: get its weights and convert them once ({RECIPE})")
    return _find(path)


def _network(path: Path, config: UNetConfig, tensors: Mapping[str, Tensor]) -> UNet:
    """A U-Net with these tensors, compared with its configuration before any memory is taken."""
    with torch.device("meta"):
        unet = UNet(config)
    expected = {name: list(p.shape) for name, p in unet.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        shape = list(tensors[name].shape) if name in tensors else None
        if shape != expected.get(name):
            raise ModelError(f"{path}: {name} has shape {shape}, its configuration says {expected.get(name)}")
        if not (tensors[name].is_floating_point() and tensors[name].isfinite().all()):
            raise ModelError(f"{path}: {name} holds something other than finite numbers")
    unet.to_empty(device="cpu")
    unet.load_state_dict(dict(tensors))
    return unet
