"""Exported models: what comes back, what is refused, and that no wrong integer is ever trusted."""

from __future__ import annotations

import hashlib
import json
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load, save

from ddpmcodec.errors import ModelError
from ddpmcodec.networks import checkpoint, model
from ddpmcodec.networks.latent import LatentNetwork
from ddpmcodec.networks.local import INPUTS, OUTPUTS, Shape
from ddpmcodec.networks.model import Canary, EagerPredictor, FusedPredictor, IntegerPrediction
from ddpmcodec.presets import REFINED as LISTS
from ddpmcodec.presets import with_learning
from ddpmcodec.schedule import Step
from ddpmcodec.training.local import LatentLocal

STEPS = {1: (Step(2560, 1, 0, 1), Step(0, 1, 0, 1)), 4: (Step(0, 2, 0, 1), Step(0, 2, 1, 4))}
SHAPE = Shape(width=24, depth=2)
LOCAL = Step(0, 8, 32, 64)
REFINED = LISTS[5]


@pytest.fixture(scope="module")
def exported(pristine: LatentNetwork) -> bytes:
    return checkpoint.export(pristine, STEPS, name="small", training={"images": 640})


def parse(data: bytes) -> model.Model:
    return checkpoint.parse(data, "this.safetensors")


def metadata_of(data: bytes) -> dict[str, Any]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"]["ddpmcodec"])
    return found


def with_metadata(data: bytes, **changes: Any) -> bytes:
    """The same tensors under other metadata; None takes an entry away."""
    metadata = {key: value for key, value in (metadata_of(data) | changes).items() if value is not None}
    return bytes(save(load(data), metadata={"ddpmcodec": json.dumps(metadata)}))


def with_tensors(data: bytes, **changes: torch.Tensor | None) -> bytes:
    """The same metadata over other tensors, whose dots are underscores here; None takes one away."""
    named = {key.replace("_", "."): value for key, value in changes.items()}
    tensors = {key: value for key, value in (load(data) | named).items() if value is not None}
    return bytes(save(tensors, metadata={"ddpmcodec": json.dumps(metadata_of(data))}))


# --- what comes back


def test_a_model_comes_back_as_it_was_exported(latent: LatentNetwork, exported: bytes) -> None:
    found = parse(exported)
    assert found.id == hashlib.sha256(exported).digest()
    assert (found.name, found.architecture, found.presets) == ("small", latent.architecture, STEPS)
    assert found.metadata["training"] == {"images": 640}
    for name, p in latent.integer_parameters().items():
        assert torch.equal(found.params[name].float(), p)


def test_the_same_network_gives_the_same_file(latent: LatentNetwork, exported: bytes) -> None:
    assert checkpoint.export(latent, STEPS, name="small", training={"images": 640}) == exported
    latent.vector("enter.bias").data[0] += 0.125
    assert parse(checkpoint.export(latent, STEPS, name="small")).id != parse(exported).id


def test_weights_are_bytes(exported: bytes) -> None:
    weights = [tensor for name, tensor in load(exported).items() if name.endswith(".weight")]
    assert {weight.dtype for weight in weights} == {torch.int8}


def test_every_predictor_sings_every_canary(exported: bytes) -> None:
    found = parse(exported)
    assert [canary.size for canary in found.canaries] == [10, 33]
    for canary in found.canaries:
        for build in model.candidates(found.architecture, found.params):
            assert build()(*canary.inputs()).sha256() == canary.sha256


def test_canaries_are_made_from_published_numbers() -> None:
    lo, hi = Canary(0, 33, "").inputs()
    assert (lo.shape, lo.dtype, bool((lo <= hi).all())) == ((1, 33, 35, 3), np.uint8, True)
    digest = hashlib.sha256(lo.tobytes() + hi.tobytes()).hexdigest()
    assert digest == "26abc56197392fd73492a7976c4f558479f733e694ef8dbae725fcef76783f09"


def test_a_model_is_loaded_from_disk(exported: bytes, tmp_path: Path) -> None:
    (tmp_path / "m.safetensors").write_bytes(exported)
    assert checkpoint.load(tmp_path / "m.safetensors").id == parse(exported).id


# --- local networks


@pytest.fixture(scope="module")
def refined(exported: bytes) -> bytes:
    torch.manual_seed(8)
    return checkpoint.with_local(exported, {LOCAL: LatentLocal(SHAPE).exported()}, SHAPE, STEPS | {5: REFINED})


def test_local_networks_come_back_beside_an_unchanged_denoiser(exported: bytes, refined: bytes) -> None:
    found, without = parse(refined), parse(exported)
    assert (list(found.local), found.presets[5], without.local) == ([LOCAL], REFINED, {})
    assert found.local[LOCAL].enter.shape == (INPUTS, SHAPE.width)
    assert found.params.keys() == without.params.keys()
    again = checkpoint.with_local(refined, {LOCAL: checkpoint.local_params(refined, LOCAL)}, SHAPE, found.presets)
    assert parse(again).id == found.id


@pytest.mark.parametrize(
    "local",
    [None, [], [[0, 8, 4, 16]], [[0, 8, 16, 64], [0, 8, 4, 16]], [[0, 8, 64, 16]], [[0, 3, 0, 1]], [5], "all"],
    ids=str,
)
def test_local_networks_must_be_those_that_are_named(refined: bytes, local: Any) -> None:
    with pytest.raises(ModelError, match=r"^this.safetensors: the exported model is damaged"):
        parse(with_metadata(refined, local=local))


def test_local_networks_that_compute_something_else_are_refused(refined: bytes) -> None:
    with pytest.raises(ModelError, match=r"its local networks do not compute exactly on this machine"):
        parse(with_metadata(refined, local_canary="0" * 64))


def test_what_networks_learn_is_checked_where_a_list_lets_them(exported: bytes, refined: bytes) -> None:
    lists = STEPS | {9: with_learning(REFINED, len(REFINED))}
    learns = checkpoint.with_local(exported, {LOCAL: checkpoint.local_params(refined, LOCAL)}, SHAPE, lists)
    assert parse(learns).presets[9] == lists[9]
    still = metadata_of(refined)["local_canary"]
    assert metadata_of(learns)["local_canary"] != still
    with pytest.raises(ModelError, match=r"its local networks do not compute exactly on this machine"):
        parse(with_metadata(learns, local_canary=still))


def test_networks_too_wide_to_learn_exactly_are_refused(exported: bytes) -> None:
    shape = Shape(width=33, depth=1, limit=4096)
    params = LatentLocal(shape).exported()
    checkpoint.parse(checkpoint.with_local(exported, {LOCAL: params}, shape, STEPS | {5: REFINED}), "m")
    lists = STEPS | {9: with_learning(REFINED, len(REFINED))}
    with pytest.raises(ModelError, match=r"may learn sums up to 17166336, at or above 2\^24"):
        parse(checkpoint.with_local(exported, {LOCAL: params}, shape, lists))


def test_networks_are_those_of_steps_whether_they_learn_or_not(refined: bytes) -> None:
    with pytest.raises(ModelError, match=r"damaged \(steps are named that learn, where networks are"):
        parse(with_metadata(refined, local=[[0, 8, 16, 64, 1]]))


def test_factors_that_are_too_large_are_refused(refined: bytes) -> None:
    key = checkpoint.local_prefix(LOCAL) + "leave.factor"
    wrong = torch.full((OUTPUTS,), 3e38)
    data = bytes(save(load(refined) | {key: wrong}, metadata={"ddpmcodec": json.dumps(metadata_of(refined))}))
    with pytest.raises(ModelError, match=r"leave\.factor has factors above"):
        parse(data)


@pytest.mark.parametrize(
    "sizes", [{}, {"width": 0}, {"width": "3"}, {"depth": 1}, {"height": 3}, [24, 2], None], ids=str
)
def test_the_shape_of_local_networks_must_be_theirs(refined: bytes, sizes: Any) -> None:
    with pytest.raises(ModelError, match=r"^this.safetensors: the exported model is damaged"):
        parse(with_metadata(refined, local_shape=sizes))


def test_activations_too_large_for_exact_sums_are_refused() -> None:
    weights = {"local.0.8.0.1.block0.weight": torch.full((2, 256), 127, dtype=torch.int8)}
    checkpoint.check_sums(weights, Shape())
    with pytest.raises(ModelError, match=r"^local\.0.*: sums may reach \d+, at or above 2\^24"):
        checkpoint.check_sums(weights, Shape(limit=600))


def test_local_networks_must_have_their_shape(refined: bytes) -> None:
    key = checkpoint.local_prefix(LOCAL) + "block1.weight"
    for wrong in (torch.zeros(SHAPE.width, SHAPE.width + 1, dtype=torch.int8), torch.zeros(SHAPE.width, SHAPE.width)):
        data = bytes(save(load(refined) | {key: wrong}, metadata={"ddpmcodec": json.dumps(metadata_of(refined))}))
        with pytest.raises(ModelError, match=r"block1\.weight is"):
            parse(data)


# --- what is refused


@pytest.mark.parametrize("name", ["missing.safetensors", "."])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, name: str) -> None:
    with pytest.raises(ModelError, match=r"cannot read the model \(.+\); check --model") as caught:
        checkpoint.load(tmp_path / name)
    assert str(tmp_path / name) in str(caught.value)


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    torch.save(Bomb(tmp_path / "exploded"), tmp_path / "torch")
    for data in (pickle.dumps(Bomb(tmp_path / "exploded")), (tmp_path / "torch").read_bytes()):
        with pytest.raises(ModelError, match=r"^this.safetensors: not an exported ddpmcodec model"):
            parse(data)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n", bytes(100), b"\xff" * 100, save({"x": torch.zeros(3)}), b"[" * 200_000],
    ids=["empty", "png", "zeros", "ones", "safetensors", "nested"],
)
def test_other_files_are_no_models(data: bytes) -> None:
    header = len(data).to_bytes(8, "little") + data if data[:1] == b"[" else data
    with pytest.raises(ModelError, match=r"^this.safetensors: not an exported ddpmcodec model; make one"):
        parse(header)


def test_metadata_must_be_an_object(exported: bytes) -> None:
    with pytest.raises(ModelError, match="not an exported ddpmcodec model"):
        parse(bytes(save(load(exported), metadata={"ddpmcodec": "[1]"})))


def test_another_format_asks_for_another_version(exported: bytes) -> None:
    with pytest.raises(ModelError, match=r"this.safetensors: model format 2, this version reads 1; update ddpmcodec"):
        parse(with_metadata(exported, format=2))


def test_every_cut_is_refused(exported: bytes) -> None:
    for size in [*range(0, 64, 7), *np.linspace(64, len(exported) - 1, 20).astype(int)]:
        with pytest.raises(ModelError, match=r"^this.safetensors: "):
            parse(exported[:size])


def id_or_none(data: bytes) -> bytes | None:
    try:
        return parse(data).id
    except ModelError:
        return None


def test_damage_is_refused_or_makes_another_model(exported: bytes) -> None:
    rng = np.random.default_rng(0)
    for place in np.concatenate([rng.integers(0, 6000, 30), rng.integers(6000, len(exported), 10)]):
        damaged = bytearray(exported)
        damaged[place] ^= 1 << rng.integers(8)
        assert id_or_none(bytes(damaged)) != parse(exported).id


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": None}, "'name'"),
        ({"canaries": []}, "index out of range"),
        ({"canaries": [[1, 2]]}, "not enough values"),
        ({"architecture": {"width": -1}}, "impossible sizes"),
        ({"architecture": {"depth": 3}}, "depth"),
        ({"architecture": None}, "'architecture'"),
        ({"presets": {"1": [[0, 2, 0, 3]]}}, "not exact"),
        ({"presets": {"1": [[0.5, 1, 0, 1]]}}, "all integers"),
        ({"presets": {"fast": [[0, 1, 0, 1]]}}, "'fast'"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(exported: bytes, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=rf"this.safetensors: the exported model is damaged \(.*{complaint}.*\)"):
        parse(with_metadata(exported, **change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"enter_weight": None}, "enter.weight is None"),
        ({"extra": torch.zeros(1)}, "extra is .*expected None"),
        ({"enter_bias": torch.zeros(3)}, r"enter.bias is \(torch.float32, \[3\]\)"),
        ({"enter_bias": torch.full((8,), torch.nan)}, "enter.bias is not finite"),
        ({"descend_weight": torch.zeros(12, 8, 2, 2)}, "descend.weight is .*float32"),
        ({"table_precision": torch.zeros(256)}, "the tables are out of range"),
        ({"table_features": torch.full((256, 256, 12), -128, dtype=torch.int8)}, "the tables are out of range"),
    ],
)
def test_tensors_that_the_kernels_cannot_take_are_refused(
    exported: bytes, change: dict[str, torch.Tensor | None], complaint: str
) -> None:
    with pytest.raises(ModelError, match=rf"the exported model is damaged \({complaint}"):
        parse(with_tensors(exported, **change))


# --- exactness


def test_sums_that_could_round_are_refused() -> None:
    largest = torch.full((2, 1040, 1, 1), 127)  # 127 x 127 x 1040 < 2^24 < 127 x 127 x 1041
    checkpoint.check_sums({"x.weight": largest})
    with pytest.raises(ModelError, match=r"x.weight: sums may reach 16790289, at or above 2\^24"):
        checkpoint.check_sums({"x.weight": torch.nn.functional.pad(largest, (0, 0, 0, 0, 0, 1), value=-127)})


def test_a_flipped_weight_is_found_by_the_canary(exported: bytes) -> None:
    weight = load(exported)["enter.weight"].clone()
    weight.view(-1)[weight.abs().argmax()] *= -1
    with pytest.raises(ModelError, match="does not compute exactly on this machine"):
        parse(with_tensors(exported, enter_weight=weight))


def test_a_wrong_canary_is_told_with_what_was_found(exported: bytes) -> None:
    (seed, size, right), second = metadata_of(exported)["canaries"]
    wrong = with_metadata(exported, canaries=[[seed, size, "0" * 64], second])
    with pytest.raises(ModelError, match=rf"must give {'0' * 16}, found {right[:16]}, .*PyTorch version"):
        parse(wrong)


class OffByOne(FusedPredictor):
    """A fast path gone wrong."""

    def __call__(self, lo: model.Ranges, hi: model.Ranges) -> IntegerPrediction:
        right = super().__call__(lo, hi)
        return right._replace(mean=right.mean + 1)


def test_a_wrong_fast_path_is_passed_over(exported: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [OffByOne, EagerPredictor, FusedPredictor]
    monkeypatch.setattr(model, "candidates", lambda *a: [lambda k=kind: k(*a) for kind in kinds])
    assert type(parse(exported).predict) is EagerPredictor


def test_a_machine_that_computes_nothing_right_is_refused(exported: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "candidates", lambda *a: [lambda: OffByOne(*a)])
    with pytest.raises(ModelError, match="please report the processor and the PyTorch version"):
        parse(exported)


@pytest.mark.parametrize("fast", [False, True])
def test_the_plainest_path_comes_last(exported: bytes, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    monkeypatch.setattr(model, "_fast_bfloat16", lambda: fast)
    found = parse(exported)
    built = [build() for build in model.candidates(found.architecture, found.params)]
    assert [type(p) for p in built] == [FusedPredictor] * (1 + fast) + [EagerPredictor]
    assert [p.ops.dtype for p in built[:-1]] == [torch.bfloat16, torch.float32][1 - fast :]
