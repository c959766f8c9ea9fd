"""What lies beside the weights of a published checkpoint, in the naming of the diffusers library.

`config.json` describes the network. `scheduler_config.json` describes the diffusion process; it lies in the same
folder, or in `scheduler/` where the network is in `unet/`. What it does not say is as in diffusers' DDPMScheduler.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor

from ddpmcodec.errors import ModelError
from ddpmcodec.paper.ddpm import Variance
from ddpmcodec.paper.schedule import Levels, cosine, ddpm_linear
from ddpmcodec.paper.unet import UNetConfig

CONFIG, SCHEDULER = "config.json", "scheduler_config.json"
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

PROCESS = {"prediction_type": "epsilon", "rescale_betas_zero_snr": False, "trained_betas": None}
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
    """Sizes of the network, by `config.json` beside its weights. Raises ModelError."""
    path = weights.with_name(CONFIG)
    try:
        found = {**UNSAID, **json.loads(path.read_bytes())}
        _check(path, found, {**PAPER, **UNSAID}, "network")
        return _sizes(path, found)
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror}); it lies beside the weights") from error
    except (ValueError, LookupError, TypeError, ZeroDivisionError) as error:
        raise ModelError(f"{path}: not the configuration of a U-Net ({error!r})") from error


def process(weights: Path) -> tuple[Levels, Variance]:
    """Noise levels and reverse variance, by `scheduler_config.json`; without one the paper's. Raises ModelError."""
    places = weights.with_name(SCHEDULER), weights.parent.parent / "scheduler" / SCHEDULER
    path = next((place for place in places if place.is_file()), None)
    if path is None:
        return ddpm_linear(), "large"
    try:
        found = {**PROCESS_UNSAID, **json.loads(path.read_bytes())}
        _check(path, found, PROCESS, "process")
        return _levels(found), VARIANCES[found["variance_type"]]
    except OSError as error:
        raise ModelError(f"{path}: cannot be read ({error.strerror})") from error
    except (ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{path}: not the configuration of a diffusion process ({error!r})") from error


def _check(path: Path, found: Mapping[str, Any], expected: Mapping[str, Any], what: str) -> None:
    for key, value in expected.items():
        if found.get(key, "missing") != value:
            said = found.get(key, "missing")
            raise ModelError(f"{path}: not the {what} of the paper: {key} is {said!r}, not {value!r}")


def _levels(found: Mapping[str, Any]) -> Levels:
    T = found["num_train_timesteps"]
    if found["beta_schedule"] == "squaredcos_cap_v2":
        return cosine(T)
    if found["beta_schedule"] == "linear":
        return ddpm_linear(T, found["beta_start"], found["beta_end"])
    raise ValueError(f"schedule {found['beta_schedule']!r} is neither 'linear' nor 'squaredcos_cap_v2'")


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


def renamed(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Under the names that diffusers gives attention since 2023."""
    result = {}
    for name, tensor in tensors.items():
        for older, newer in NEWER_NAMES.items():
            name = name.replace(older, newer)
        result[name] = tensor
    return result
