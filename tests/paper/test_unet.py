"""The paper's U-Net is the published one: its sizes, its names, its numbers; and it starts as the paper's code does."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from ddpmcodec.errors import ModelError
from ddpmcodec.paper.unet import CIFAR10, LARGE256, Attention, UNet, UNetConfig, time_embedding

SMALL = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)

# What the configurations of google/ddpm-cifar10-32 and google/ddpm-celebahq-256 say.
BOTH = {
    "act_fn": "silu",
    "attention_head_dim": None,
    "center_input_sample": False,
    "downsample_padding": 0,
    "flip_sin_to_cos": False,
    "freq_shift": 1,
    "in_channels": 3,
    "layers_per_block": 2,
    "mid_block_scale_factor": 1,
    "norm_eps": 1e-6,
    "norm_num_groups": 32,
    "out_channels": 3,
    "time_embedding_type": "positional",
}
CIFAR10_PUBLISHED = BOTH | {
    "block_out_channels": [128, 256, 256, 256],
    "down_block_types": ["DownBlock2D", "AttnDownBlock2D", "DownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "UpBlock2D", "AttnUpBlock2D", "UpBlock2D"],
    "sample_size": 32,
}
LARGE256_PUBLISHED = BOTH | {
    "block_out_channels": [128, 128, 256, 256, 512, 512],
    "down_block_types": ["DownBlock2D"] * 4 + ["AttnDownBlock2D", "DownBlock2D"],
    "up_block_types": ["UpBlock2D", "AttnUpBlock2D"] + ["UpBlock2D"] * 4,
    "sample_size": 256,
}


def halved(published: dict[str, Any]) -> dict[str, Any]:
    return published | {"block_out_channels": [channels // 2 for channels in published["block_out_channels"]]}


def randomised(config: UNetConfig, seed: int = 0) -> UNet:
    """A network whose every parameter matters."""
    torch.manual_seed(seed)
    unet = UNet(config).eval()
    for parameter in unet.parameters():
        parameter.data.add_(0.05 * torch.randn_like(parameter))
    return unet


def on_meta(build: Any, *arguments: Any, **options: Any) -> nn.Module:
    """The network without its memory."""
    with torch.device("meta"):
        network: nn.Module = build(*arguments, **options)
    return network


# --- the published network


@pytest.mark.parametrize(("config", "parameters"), [(CIFAR10, 35_746_307), (LARGE256, 113_673_219)])
def test_sizes_are_those_of_the_paper(config: UNetConfig, parameters: int) -> None:
    assert sum(p.numel() for p in on_meta(UNet, config).parameters()) == parameters  # 35.7 M and 114 M


@pytest.mark.parametrize(("config", "published"), [(CIFAR10, CIFAR10_PUBLISHED), (LARGE256, LARGE256_PUBLISHED)])
def test_names_and_shapes_are_those_of_the_published_checkpoints(config: UNetConfig, published: dict[str, Any]) -> None:
    import diffusers  # takes seconds, which are not spent where other tests are chosen

    ours, theirs = on_meta(UNet, config), on_meta(diffusers.UNet2DModel, **published)
    shapes = [{name: tuple(p.shape) for name, p in network.state_dict().items()} for network in (ours, theirs)]
    assert shapes[0] == shapes[1]


LEARNED_VARIANCE = UNetConfig(channels=32, multipliers=(1, 2), attention=(), blocks=1, learned_variance=True)
LEARNED_PUBLISHED = BOTH | {
    "block_out_channels": [32, 64],
    "down_block_types": ["DownBlock2D"] * 2,
    "up_block_types": ["UpBlock2D"] * 2,
    "layers_per_block": 1,
    "out_channels": 6,
}


@pytest.mark.parametrize(
    ("config", "published", "shape"),
    [
        (replace(CIFAR10, channels=64), halved(CIFAR10_PUBLISHED), (2, 3, 16, 24)),
        (replace(LARGE256, channels=64), halved(LARGE256_PUBLISHED), (2, 3, 32, 64)),
        (LEARNED_VARIANCE, LEARNED_PUBLISHED, (2, 3, 8, 40)),
    ],
    ids=["google/ddpm-cifar10-32", "google/ddpm-celebahq-256", "learned variance"],
)
def test_outputs_are_those_of_diffusers(
    config: UNetConfig, published: dict[str, Any], shape: tuple[int, int, int, int]
) -> None:
    """Whole networks, with the same random weights; all channels and images of 256x256 would show nothing else."""
    import diffusers

    torch.manual_seed(0)
    theirs = diffusers.UNet2DModel(**published).eval()
    ours = on_meta(UNet, config).eval()
    ours.load_state_dict(theirs.state_dict(), assign=True)
    z, t = torch.randn(shape), torch.tensor([999, 3])
    with torch.no_grad():
        expected = theirs(z, t).sample
        found = ours(z, t)
    assert expected.std() > 0.1
    assert found.shape == (2, config.learned_variance * 3 + 3, *shape[2:])
    assert (found - expected).abs().max() <= 1e-5


# --- what it computes


def test_the_time_is_reported_by_waves_of_evenly_spaced_frequencies() -> None:
    found = time_embedding(torch.tensor([0, 1, 500]), 6).tolist()
    rates = [1.0, 0.01, 0.0001]
    for t, row in zip((0, 1, 500), found, strict=True):
        assert row == pytest.approx([math.sin(t * w) for w in rates] + [math.cos(t * w) for w in rates], abs=1e-4)


def test_a_fresh_network_predicts_no_noise() -> None:
    torch.manual_seed(0)
    assert UNet(SMALL)(torch.randn(2, 3, 8, 8), torch.tensor([0, 999])).eq(0).all()


def test_fresh_weights_are_as_wide_as_in_the_papers_code() -> None:
    """Uniform (Glorot & Bengio 2010, equation 16): none lies far out."""
    torch.manual_seed(0)
    for weight in (UNet(SMALL).time_embedding.linear_2.weight, UNet(SMALL).mid_block.resnets[0].conv1.weight):
        limit = math.sqrt(6 / ((weight.shape[0] + weight.shape[1]) * weight[0, 0].numel()))
        assert 0.95 * limit < weight.abs().max() <= limit


def test_a_fresh_branch_adds_nothing() -> None:
    torch.manual_seed(0)
    x = torch.randn(2, 8, 4, 4)
    unet = UNet(SMALL)
    assert torch.equal(unet.down_blocks[0].resnets[0](x, torch.randn(2, 32)), x)
    assert torch.equal(unet.mid_block.attentions[0](x.view(1, 16, 4, 4)), x.view(1, 16, 4, 4))


def test_every_place_attends_to_every_other() -> None:
    torch.manual_seed(0)
    attention = Attention(8, SMALL)
    x = torch.randn(1, 8, 4, 4, requires_grad=True)
    attention(x)[0, :, 0, 0].sum().backward()
    assert x.grad is not None
    assert x.grad.ne(0).all()


def test_images_of_a_batch_and_their_times_are_distinguished() -> None:
    unet = randomised(SMALL)
    z, t = torch.randn(3, 3, 8, 4), torch.tensor([5, 400, 999])
    with torch.no_grad():
        together = unet(z, t)
        alone = torch.cat([unet(z[i : i + 1], t[i : i + 1]) for i in range(3)])
        elsewhere = unet(z, t.flip(0))
    assert torch.allclose(together, alone, atol=1e-5)
    assert (together - elsewhere)[[0, 2]].abs().amax((1, 2, 3)).min() > 1e-3
    assert torch.allclose(together[1], elsewhere[1], atol=1e-5)


def test_dropout_is_for_training_alone() -> None:
    unet = randomised(UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4, dropout=0.5))
    z, t = torch.randn(1, 3, 8, 8), torch.tensor([7])
    with torch.no_grad():
        assert torch.equal(unet(z, t), unet(z, t))
        unet.train()
        assert not torch.equal(unet(z, t), unet(z, t))


def test_every_parameter_is_trained() -> None:
    unet = randomised(SMALL)
    unet(torch.randn(2, 3, 8, 8), torch.tensor([3, 700])).square().sum().backward()
    idle = [name for name, p in unet.named_parameters() if p.grad is None or not p.grad.ne(0).any()]
    assert idle == []


# --- its configuration


@pytest.mark.parametrize("config", [CIFAR10, LARGE256, SMALL, UNetConfig(learned_variance=True)])
def test_a_configuration_survives_json(config: UNetConfig) -> None:
    assert UNetConfig.from_json(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"channels": 0}, "1 to 1024"),
        ({"channels": 128.0}, "1 to 1024"),
        ({"multipliers": ()}, "levels 1 to 10"),
        ({"multipliers": (1,) * 11}, "levels 1 to 10"),
        ({"channels": 48}, "^channels 48, groups 32"),
        ({"channels": 2, "groups": 1}, "at least 4"),
        ({"attention": (4,)}, "does not exist"),
        ({"dropout": 1.0}, "below 1"),
        ({"dropout": "much"}, "sizes"),
        ({"attention": [[1]]}, "sizes"),
        ({"depth": 3}, "depth"),
    ],
)
def test_what_is_no_network_is_refused(change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=complaint):
        UNetConfig.from_json(CIFAR10.to_json() | change)


def test_what_is_no_object_is_refused() -> None:
    with pytest.raises(ModelError, match="sizes"):
        UNetConfig.from_json([1, 2])  # type: ignore[arg-type]
