"""Networks in training: what they compute is what the coder computes, and what they say it costs is what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
import torch

from ddpmcodec import _native
from ddpmcodec.models.context import BAND_ROLES, ROLES, contract_role, network_of, pixels_role
from ddpmcodec.training.context_trainer import bits_of
from ddpmcodec.training.networks import grown, of_integers
from ddpmcodec.training.replay import bands_of, pixels_of
from ddpmcodec.training.trainable import Outputs, Positions, Shape, TrainableNetwork, code_length, loss

Pixels = np.ndarray


def network(role: str, seed: int = 0, width: int = 32, depth: int = 2) -> TrainableNetwork:
    """With a last layer that nobody trained, so that outputs depend on inputs."""
    torch.manual_seed(seed)
    components = 1 if role in BAND_ROLES else 3
    found = TrainableNetwork(Shape(contract_role(role), width, depth, components, shown=16))
    for layer in ("head", "skip"):
        torch.nn.init.normal_(found.weights[layer], std=0.01)
    for bias in found.biases.values():
        bias.data += 0.02 * torch.randn_like(bias)
    return found


def columns_of(role: str, images: Pixels) -> Mapping[str, Any]:
    return bands_of(images, 2)[role] if role in BAND_ROLES else pixels_of(images, 0 if role == "direct" else 2)


def exported(found: TrainableNetwork) -> dict[str, np.ndarray]:
    return {key: value.numpy() for key, value in found.exported().items()}


def positions_of(columns: Mapping[str, Any]) -> Positions:
    return Positions.of({name: torch.from_numpy(columns[name]) for name in Positions._fields})


def in_the_core(found: TrainableNetwork, role: str) -> _native.ContextNetwork:
    return network_of(exported(found), role, found.shape.components)


@pytest.mark.parametrize("components", [1, 3])
def test_every_output_has_one_meaning(components: int) -> None:
    where, shape = Outputs(components), Shape("direct", 16, 1, components)
    numbers = list(range(shape.contract[1]))
    parts = [numbers[outputs] for outputs in (where.logits(), where.means(), where.scales(), where.cross())]
    assert [number for part in parts for number in part] == numbers
    assert list(map(len, parts)) == [components, 3 * components, 3 * components, 3]


@pytest.mark.parametrize("role", ROLES)
def test_outputs_are_those_of_the_coder(role: str, gradients: Pixels) -> None:
    own, columns = network(role), columns_of(role, gradients[:6])
    core = in_the_core(own, role)
    for condition in np.unique(columns["condition"]):
        rows = columns["rows"][columns["condition"] == condition]
        chosen = torch.full((len(rows),), int(condition))
        with torch.no_grad():
            found = own(torch.from_numpy(rows), chosen).t().numpy()
        expected = core.outputs(rows, int(condition))
        # Sums in float32 may fall on the other side of a half: of one output in many, and by one.
        assert np.abs(found - expected).max() <= 1
        assert (found != expected).mean() < 1e-3


@pytest.mark.parametrize("role", ["direct", "last"])
def test_pixels_of_an_image_see_what_others_show(role: str, gradients: Pixels) -> None:
    own, images = network(role), np.ascontiguousarray(gradients[:3, :9])
    core, positions = in_the_core(own, role), positions_of(columns_of(role, images))
    with torch.no_grad():
        found = own.outputs(positions).t().numpy()
        alone = own(positions.rows, positions.condition).t().numpy()
    rows = positions.rows.numpy().reshape(3, -1, positions.rows.shape[1])
    expected = np.concatenate([core.outputs(image, 0, images.shape[2]) for image in rows])
    assert np.abs(found - expected).max() <= 1  # as above
    assert (found != expected).mean() < 1e-3
    assert (np.abs(alone - expected).max(1) > 1).mean() > 0.9


def fitted(own: TrainableNetwork, columns: Mapping[str, Any]) -> TrainableNetwork:
    """With biases that suit these positions, so that adapting to them wins little."""
    positions, optimizer = positions_of(columns), torch.optim.Adam([own.biases["head"]], lr=0.1)
    for _ in range(30):
        optimizer.zero_grad()
        loss(own, positions).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
    return own


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
def test_a_code_length_is_what_a_pass_takes(levels: int, gradients: Pixels) -> None:
    """Up to what scales that adapt win, or lose, and the root of the pyramid."""
    images = np.ascontiguousarray(gradients[:2])
    bands = bands_of(images, levels) if levels else {}
    columns = {pixels_role(levels): pixels_of(images, levels), **bands}
    networks = {role: fitted(network(role), own) for role, own in columns.items()}
    found = sum(float(bits_of(own, columns[role]).sum()) for role, own in networks.items())
    coding_pass = _native.Pass(
        [in_the_core(own, role) for role, own in networks.items()], levels, images.shape, streams=len(images),
        learns=False, threads=1,
    )  # fmt: skip
    coding_pass.encode(images)
    coding_pass.advance(1 << 30, coding_pass.segments)
    assert coding_pass.is_exact
    assert found == pytest.approx(coding_pass.bits(), rel=0.03)


def test_the_first_code_length_is_that_of_a_wide_distribution(gradients: Pixels) -> None:
    own = TrainableNetwork(Shape("direct", 32, 1, 3))
    mean = bits_of(own, columns_of("direct", gradients)).mean()
    assert 6 < mean < 24


def test_masses_of_all_values_are_one() -> None:
    """Of a mixture of three, over all values of a small range."""
    own, count = network("direct"), 5**3
    values = torch.stack(torch.meshgrid(*[torch.arange(5.0)] * 3, indexing="ij")).reshape(3, -1) + 100
    rows = torch.full((count, own.shape.contract[0]), 131, dtype=torch.uint8)
    ends = torch.full((3, count), 100.0)
    nobody = torch.full((3, count), count)
    positions = Positions(
        rows, ends + 1, ends, ends + 4, values, values, torch.zeros(count, dtype=torch.int64), nobody
    )  # fmt: skip
    with torch.no_grad():
        mass = torch.exp2(-code_length(own.shape, own(rows, positions.condition), positions))
    assert mass.sum().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("role", ["direct", "band2"])
def test_gradients_reach_every_parameter(role: str, gradients: Pixels) -> None:
    own = network(role)
    loss(own, positions_of(columns_of(role, gradients))).backward()  # type: ignore[no-untyped-call]
    for name, parameter in own.named_parameters():
        assert parameter.grad is not None, name
        assert torch.isfinite(parameter.grad).all(), name
        assert parameter.grad.any(), name


def test_products_in_bfloat16_round_a_little(gradients: Pixels) -> None:
    own, positions = network("last"), positions_of(columns_of("last", gradients))
    with torch.no_grad():
        assert loss(own, positions, torch.bfloat16).item() == pytest.approx(loss(own, positions).item(), rel=0.02)


# --- growing, and back from integers


@pytest.mark.parametrize("shown", [16, 32])
@pytest.mark.parametrize("role", ["direct", "band1"])
def test_a_network_that_grows_computes_the_same(role: str, shown: int, gradients: Pixels) -> None:
    images = gradients[:3]
    own, positions = network(role), positions_of(columns_of(role, images))
    larger = grown(own, own.shape._replace(width=48, depth=3, shown=shown))
    with torch.no_grad():
        assert torch.equal(own.outputs(positions), larger.outputs(positions))


def test_one_logistic_becomes_several_of_which_the_middle_one_is_as_it_was(gradients: Pixels) -> None:
    own, positions = network("band3"), positions_of(columns_of("band3", gradients[:3]))
    larger = grown(own, own.shape._replace(width=48, components=3))
    before, after = (one(positions.rows, positions.condition) for one in (own, larger))
    logits, means, scales, cross = after.split([3, 9, 9, 3])
    assert torch.equal(logits, before[:1].expand(3, -1))
    for found, expected in ((means, before[1:4]), (scales, before[4:7])):
        assert torch.equal(found[1::3], expected)
    assert torch.equal(cross, before[7:])
    assert (scales[0::3] < scales[1::3]).all()
    assert (scales[1::3] < scales[2::3]).all()


@pytest.mark.parametrize(
    "changed", [{"width": 16}, {"depth": 1}, {"shown": 0}, {"role": "last"}, {"components": 2}], ids=str
)
def test_a_network_does_not_shrink_or_change_its_role(changed: dict[str, Any]) -> None:
    own = network("direct")
    with pytest.raises(ValueError, match="cannot become"):
        grown(own, own.shape._replace(**changed))


@pytest.mark.parametrize("role", ["last", "band3"])
def test_integers_become_a_network_again(role: str) -> None:
    own = network(role)
    again = of_integers(own.exported(), own.shape.role, own.shape.components)
    assert again.shape == own.shape
    for (name, first), second in zip(own.exported().items(), again.exported().values(), strict=True):
        if name.endswith(".weight"):
            assert (first.int() - second.int()).abs().max() <= 1, name
        else:
            torch.testing.assert_close(first, second, rtol=1e-4, atol=1e-4)


def test_a_step_rotates_trained_weights_less_than_new_ones() -> None:
    """Their integers know no lengths, so those that begin a run are as long as weights become in one."""
    new = TrainableNetwork(Shape("direct", 48, 2, 3))
    trained = of_integers(new.exported(), "direct", 3)
    for first, second in zip(new.groups().inner, trained.groups().inner, strict=True):
        assert (second.norm(dim=1) > 3 * first.norm(dim=1)).all()
