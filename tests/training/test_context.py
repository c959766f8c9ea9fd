"""Networks in training: their integers are what the codec computes with, their loss is what the coder takes."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.channels import progressive
from ddpmcodec.channels.progressive import CodingPass, Segment
from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import layout, load_model, pack, parse
from ddpmcodec.networks.context.network import network_of, outputs_of
from ddpmcodec.networks.context.shape import (
    BAND_KINDS,
    LARGEST_WEIGHT,
    OUTPUTS,
    SHAPE,
    SITUATIONS,
    Shape,
    band_kind,
)
from ddpmcodec.networks.context.window import INPUTS
from ddpmcodec.training.context import (
    TRAINED_LENGTH,
    LatentContext,
    Positions,
    bits,
    grown,
    load_integers,
    loss,
    residual,
)
from ddpmcodec.training.context_export import tensors_of
from ddpmcodec.training.positions import positions_of
from ddpmcodec.training.step_states import step_states, unfinished
from ddpmcodec.transform.color import to_ycocg

SMALL = Shape(32, 2)


def photo(count: int = 2, side: int = 40) -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as image:
        pixels = np.asarray(image.convert("RGB"))
    return np.stack([pixels[40 * k + 30 : 40 * k + 30 + side, 60 * k + 90 : 60 * k + 90 + side] for k in range(count)])


def latent(shape: Shape, seed: int = 0) -> LatentContext:
    """Random weights, its last layer included."""
    torch.manual_seed(seed)
    network = LatentContext(shape)
    torch.nn.init.normal_(network.weights["leave"], std=0.02)
    for layer in ("enter", "leave"):
        torch.nn.init.normal_(network.biases[layer], std=0.3)
    return network


def context_rows(count: int = 300) -> torch.Tensor:
    """Contexts as they are: most inputs near 128."""
    rng = np.random.default_rng(0)
    return torch.from_numpy(np.clip(rng.normal(128, 18, (count, INPUTS)), 0, 255).astype(np.uint8))


def answers(network: LatentContext, rows: torch.Tensor, chosen: int) -> np.ndarray:
    params = {key: value.numpy() for key, value in network.exported().items()}
    return outputs_of(network_of(params, network.shape), chosen, rows.numpy())


@pytest.mark.parametrize("shape", [SMALL, SHAPE], ids=str)
@torch.no_grad()
def test_what_is_exported_computes_the_same_integers(shape: Shape) -> None:
    """But for sums so near to a half that the rounding of float32 decides: training multiplies by factors first."""
    network, rows = latent(shape), context_rows()
    for chosen in (0, SITUATIONS - 1):
        found = network(rows, torch.full((len(rows),), chosen)).t().numpy()
        exact = answers(network, rows, chosen)
        assert exact.std() > 3
        assert (found == exact).mean() > 0.998
        assert np.abs(found - exact).max() <= 1


def test_what_is_exported_is_what_a_model_file_holds() -> None:
    found = latent(SHAPE).exported()
    for key, value in found.items():
        dtype, shape = layout(SHAPE)[f"band0.{key}"]
        assert (value.numpy().dtype, tuple(value.shape)) == (dtype, shape)
    assert max(int(v.abs().max()) for k, v in found.items() if k.endswith(".weight")) == LARGEST_WEIGHT
    assert not any(value.requires_grad for value in found.values())


@pytest.mark.parametrize("shape", [SMALL, SHAPE], ids=str)
def test_integers_that_are_loaded_are_exported_again(shape: Shape) -> None:
    first = latent(shape, 3).exported()
    network = LatentContext(shape)
    load_integers(network, first)
    for key, value in network.exported().items():
        if key.endswith(".weight"):
            assert torch.equal(value, first[key])
        else:
            torch.testing.assert_close(value, first[key], rtol=1e-5, atol=1e-6)


def test_directions_of_a_model_are_long_and_stay_so() -> None:
    """Muon changes them as little as late in a run, also in a network that grew; new ones are of length 1."""
    network = LatentContext(SMALL)
    load_integers(network, latent(SMALL, 3).exported())
    for layer, weight in grown(network, Shape(SMALL.width + 32, SMALL.depth)).weights.items():
        if layer != "leave":
            torch.testing.assert_close(weight[: SMALL.width].norm(dim=1), torch.full((SMALL.width,), TRAINED_LENGTH))
            assert float(weight[SMALL.width :].norm(dim=1).mean().detach()) == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("name", ["cifar10", "photo"])
def test_embedded_networks_can_be_trained_on(name: str) -> None:
    model, rows = load_model(name), context_rows(64)
    for network, own in zip(embedded(name), model.networks, strict=True):
        found, exact = answers(network, rows, 20), outputs_of(own, 20, rows.numpy())
        assert (found == exact).mean() > 0.98
        assert np.abs(found - exact).max() <= 2


def tensors_of_file(name: str) -> dict[str, torch.Tensor]:
    from safetensors.torch import load

    from ddpmcodec import models

    found: dict[str, torch.Tensor] = load(models.path(name).read_bytes())
    return found


# --- the loss


def embedded(name: str) -> list[LatentContext]:
    """The networks of an embedded model."""
    tensors, shape = tensors_of_file(name), load_model(name).shape
    networks = [LatentContext(shape) for _ in range(BAND_KINDS)]
    for kind, network in enumerate(networks):
        prefix = f"band{kind}."
        load_integers(network, {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)})
    return networks


def model_of(networks: Sequence[LatentContext]) -> ContextModel:
    return parse(pack(tensors_of(networks), "trained"), "trained")


def test_activations_beyond_their_bounds_have_no_gradient() -> None:
    trunk = torch.tensor([-3.0, 10.4, 400.0], requires_grad=True)
    activations = LatentContext._activation(trunk)
    activations.sum().backward()
    assert activations.tolist() == [0, 10, 255]
    assert trunk.grad is not None
    assert trunk.grad.tolist() == [0, 1, 0]


@pytest.mark.parametrize("name", sorted(SCHEDULES))
@torch.no_grad()
def test_bits_are_what_the_coder_takes_without_adaptation(name: str) -> None:
    networks, pixels, schedule = embedded("photo"), photo(), SCHEDULES[name]
    coded: list[tuple[Segment, float]] = []
    images, height, width, channels = pixels.shape
    coding_pass = CodingPass(model_of(networks), schedule, (images, height, width, channels), adapts=False)
    progressive.encode_with(coding_pass, to_ycocg(pixels), np.arange(images), lambda *cost: coded.append(cost))
    for step in schedule:
        expected = sum(cost for segment, cost in coded if segment.step is step)
        found = 0.0
        for state in (s for s in step_states(torch.from_numpy(pixels), schedule) if s.step is step):
            positions = Positions.of(positions_of(state, unfinished(state)))
            costs = bits(networks[band_kind(state.band.number)], positions).double()
            found += float(costs.clamp(max=24).sum())  # no symbol costs more: each has 2^-24 or more
        root = images * (8 + 9 + 9) if step is schedule[0] else 0  # coded before the first step, about uniformly
        assert found + root == pytest.approx(expected, rel=5e-3, abs=8)


def test_only_ranges_that_become_narrower_cost_bits() -> None:
    state = next(iter(step_states(torch.from_numpy(photo(1, 16)), SCHEDULES["short"])))
    positions = Positions.of(positions_of(state, unfinished(state)))
    same = positions._replace(new_lo=positions.lo, new_hi=positions.hi)
    network = latent(SHAPE)
    assert bits(network, same).abs().max() < 1e-4
    assert (bits(network, positions) > -1e-4).all()


def test_the_loss_has_a_gradient_for_every_parameter() -> None:
    network = latent(SHAPE)
    state = list(step_states(torch.from_numpy(photo(1, 24)), SCHEDULES["short"]))[-1]
    positions = Positions.of(positions_of(state, unfinished(state)[::3]))
    value = loss(network, positions)
    value.backward()  # type: ignore[no-untyped-call]
    assert value.item() > 0
    for name, parameter in network.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.abs().sum() > 0, name


def test_bits_stay_finite_far_from_the_mean() -> None:
    network = latent(SHAPE)
    network.biases["leave"].data[:, 3:6] = -20.0  # scales as narrow as they get
    state = list(step_states(torch.from_numpy(photo(1, 24)), SCHEDULES["long"]))[-1]
    found = bits(network, Positions.of(positions_of(state, unfinished(state))))
    assert torch.isfinite(found).all()


def test_a_residual_draws_the_mean_into_the_inner_half_of_the_range() -> None:
    mean, lo, hi = torch.tensor([0.0, 0.0, 6.0, 100.0]), torch.tensor([4.0, -4, 4, 0]), torch.tensor([12.0, 4, 12, 0])
    assert residual(mean, lo, hi).tolist() == [6.0, 0.0, 0.0, -100.0]


def test_positions_put_what_is_vectorised_over_last() -> None:
    state = next(iter(step_states(torch.from_numpy(photo(1, 16)), SCHEDULES["short"])))
    at = unfinished(state)
    found = Positions.of(positions_of(state, at))
    assert found.rows.shape == (len(at), INPUTS)
    assert found.lo.shape == found.new_hi.shape == (3, len(at))
    assert found.around.shape[2] == found.situation.shape[0] == len(at)
    assert LatentContext(SHAPE)(found.rows, found.situation).shape == (OUTPUTS, len(at))


def test_networks_are_saved_as_any_module_is() -> None:
    buffer = io.BytesIO()
    torch.save(latent(SMALL).state_dict(), buffer)
    assert zipfile.is_zipfile(buffer)
    again = LatentContext(SMALL)
    again.load_state_dict(latent(SMALL).state_dict())
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), latent(SMALL).parameters(), strict=True))


def test_a_network_that_grew_computes_the_same_and_learns() -> None:
    network, rows, situations = latent(SMALL), context_rows(), torch.arange(300) % SITUATIONS
    wider = grown(network, Shape(SMALL.width + 32, SMALL.depth + 2))
    found = wider(rows, situations)
    assert torch.equal(found, network(rows, situations))
    found.square().sum().backward()  # type: ignore[no-untyped-call]
    assert wider.gains["block3"].grad is not None
    assert wider.gains["block3"].grad.any()
    with pytest.raises(ValueError, match="cannot shrink"):
        grown(wider, SMALL)
