"""Files of the paper's U-Net: the published checkpoints, in the naming of the diffusers library, and our own.

A published checkpoint is a folder with `config.json` and `diffusion_pytorch_model.safetensors`, such as those of the
repositories google/ddpm-cifar10-32 and google/ddpm-celebahq-256. A file of our own is one safetensors file with the
same tensors, the noise levels, and the rest in its metadata.

Pickles (`diffusion_pytorch_model.bin`) run code when they are loaded, and are refused. Whoever trusts one converts it
once, outside this library, in its folder:

    import torch
    from safetensors.torch import save_file

    tensors = torch.load("diffusion_pytorch_model.bin", weights_only=True)
    save_file({name: t.contiguous() for name, t in tensors.items()}, "diffusion_pytorch_model.safetensors")
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file
from safetensors.torch import save as save_tensors
from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.networks.ddpm import PaperDenoiser, Variance
from ddpmcodec.networks.unet import UNet, UNetConfig

WEIGHTS, CONFIG = "diffusion_pytorch_model.safetensors", "config.json"
METADATA, LEVELS = "ddpmcodec.unet", "levels"  # of our own files
FORMAT = 1
PICKLES = (".bin", ".ckpt", ".pickle", ".pkl", ".pt", ".pth")
NEWER_NAMES = {".query.": ".to_q.", ".key.": ".to_k.", ".value.": ".to_v.", ".proj_attn.": ".to_out.0."}

# What a configuration must say to be the paper's network, and what it need not say.
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


def load(source: str | Path, *, variance: Variance | None = None) -> PaperDenoiser:
    """A checkpoint's folder, a safetensors file, or the name of a repository (owner/name) where there is a network.

    variance: instead of the file's own, which is 'large' unless it says otherwise. Raises ModelError.
    """
    path = _find(source)
    try:
        with safe_open(path, "pt") as file:
            own = (file.metadata() or {}).get(METADATA)
        tensors = load_file(path)
    except (SafetensorError, OSError) as error:
        raise ModelError(f"{path}: cannot read the network ({error}); get it again") from error
    if own is None:
        config = _published_config(path.with_name(CONFIG))
        said: Variance = "learned" if config.learned_variance else "large"
        return PaperDenoiser(_network(path, config, _renamed(tensors)), variance=variance or said)
    try:
        facts = json.loads(own)
        if facts["format"] != FORMAT:
            raise ModelError(f"{path}: format {facts['format']}, this version reads {FORMAT}; update ddpmcodec")
        config, levels = UNetConfig.from_json(facts["config"]), tensors.pop(LEVELS).numpy()
        return PaperDenoiser(_network(path, config, tensors), levels, variance or facts["variance"])
    except (ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{path}: the network's description is damaged ({error}); get it again") from error


def export(denoiser: PaperDenoiser, *, training: Mapping[str, Any] | None = None) -> bytes:
    """The bytes of a file of our own. training: facts about its making, kept in the metadata."""
    facts = {
        "format": FORMAT,
        "config": denoiser.unet.config.to_json(),
        "variance": denoiser.variance,
        "training": dict(training or {}),
    }
    tensors = {name: tensor.contiguous() for name, tensor in sorted(denoiser.unet.state_dict().items())}
    tensors[LEVELS] = torch.from_numpy(denoiser.levels.copy())
    return bytes(save_tensors(tensors, metadata={METADATA: json.dumps(facts, sort_keys=True)}))


def _find(source: str | Path) -> Path:
    """The file of weights. Raises ModelError."""
    path = Path(source)
    if path.is_dir():
        if not (path / WEIGHTS).is_file():
            pickles = sorted(file.name for file in path.iterdir() if file.suffix in PICKLES)
            raise _pickle(path / pickles[0]) if pickles else ModelError(f"{path}: there is no {WEIGHTS} in this folder")
        return path / WEIGHTS
    if path.suffix in PICKLES:
        raise _pickle(path)
    if path.exists():
        return path
    if isinstance(source, str) and re.fullmatch(r"[\w-][\w.-]*/[\w-][\w.-]*", source):
        return _download(source)
    raise ModelError(f"{source}: there is no such file or folder, nor is it the name of a repository (owner/name)")


def _pickle(path: Path) -> ModelError:
    return ModelError(
        f"{path}: a pickle runs code when it is loaded, and is refused: use {WEIGHTS} of the same repository, or "
        "convert it once if you trust it (README: Published checkpoints)"
    )


def _download(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError as error:
        raise ModelError(
            f"{repository}: there is no such file or folder, and to fetch a repository of this name "
            "huggingface_hub is needed: pip install 'ddpmcodec[paper]'"
        ) from error
    try:
        path = Path(snapshot_download(repository, allow_patterns=[CONFIG, WEIGHTS]))
    except Exception as error:  # the client's errors have no common base: its own, the HTTP library's, OSError
        reason = str(error).split("\n", 1)[0]
        raise ModelError(
            f"{repository}: there is no such file or folder, and the repository cannot be fetched ({reason}): "
            f"get its {CONFIG} and {WEIGHTS} where there is a network, and name their folder"
        ) from error
    return _find(path)


def _published_config(path: Path) -> UNetConfig:
    try:
        found = json.loads(path.read_bytes())
        given = {**UNSAID, **found}
        for key, expected in {**PAPER, **UNSAID}.items():
            if given.get(key, "missing") != expected:
                raise ModelError(
                    f"{path}: not the network of the paper: {key} is {given.get(key, 'missing')!r}, not {expected!r}"
                )
        return _sizes(path, found)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); it lies beside the weights") from error
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: not the configuration of a U-Net ({error!r})") from error


def _sizes(path: Path, found: Mapping[str, Any]) -> UNetConfig:
    widths, kinds = found["block_out_channels"], found["down_block_types"]
    attention = tuple(level for level, kind in enumerate(kinds) if kind == "AttnDownBlock2D")
    ups = ["AttnUpBlock2D" if level in attention else "UpBlock2D" for level in reversed(range(len(widths)))]
    downs = [kind.replace("Up", "Down") for kind in reversed(ups)]
    if downs != kinds or ups != found["up_block_types"]:
        raise ModelError(f"{path}: not the network of the paper: blocks {kinds} and {found['up_block_types']}")
    if any(width % widths[0] for width in widths) or found["out_channels"] not in (3, 6):
        raise ModelError(f"{path}: not the network of the paper: {widths} channels, {found['out_channels']} at the end")
    return UNetConfig(
        channels=widths[0],
        multipliers=tuple(width // widths[0] for width in widths),
        attention=attention,
        blocks=found["layers_per_block"],
        groups=found["norm_num_groups"],
        dropout=found.get("dropout", 0.0),
        learned_variance=found["out_channels"] == 6,
    )


def _renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the names that diffusers gives attention since 2023."""
    result = {}
    for name, tensor in tensors.items():
        for older, newer in NEWER_NAMES.items():
            name = name.replace(older, newer)
        result[name] = tensor
    return result


def _network(path: Path, config: UNetConfig, tensors: Mapping[str, Tensor]) -> UNet:
    """A U-Net with these tensors, compared with its configuration before any memory is taken."""
    with torch.device("meta"):
        unet = UNet(config)
    expected = {name: list(p.shape) for name, p in unet.state_dict().items()}
    for name in sorted(expected.keys() | tensors.keys()):
        found = list(tensors[name].shape) if name in tensors else None
        if found != expected.get(name):
            raise ModelError(f"{path}: {name} has shape {found}, its configuration says {expected.get(name)}")
        if not (tensors[name].is_floating_point() and tensors[name].isfinite().all()):
            raise ModelError(f"{path}: {name} holds something other than finite numbers")
    unet.to_empty(device="cpu")
    unet.load_state_dict(dict(tensors))
    return unet
