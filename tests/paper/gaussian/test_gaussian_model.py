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
from PIL import Image
from safetensors.torch import load, save

from ddpmcodec.errors import ModelError
from ddpmcodec.models.model_file import seal
from ddpmcodec.paper import gaussian_model as model_file
from ddpmcodec.paper.bound import evaluate
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.diffusion import IntegerPrediction, Latents
from ddpmcodec.paper.gaussian_model import GaussianModel, GaussianPredictor, KnownAnswer
from ddpmcodec.paper.gaussian_network import TrainableGaussian
from ddpmcodec.paper.schedule import log_linear, rounded

GOLDEN = Path(__file__).parents[2] / "golden" / "v1"


@pytest.fixture(scope="module")
def exported(pristine: TrainableGaussian) -> bytes:
    return model_file.export(pristine, name="small", training={"images": 640})


def parse(data: bytes) -> GaussianModel:
    return model_file.parse(data, "this.safetensors")


def metadata_of(data: bytes) -> dict[str, Any]:
    header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
    found: dict[str, Any] = json.loads(header["__metadata__"]["ddpmcodec"])
    return found


def with_metadata(data: bytes, **changes: Any) -> bytes:
    """The same tensors under other metadata; None takes an entry away."""
    metadata = {key: value for key, value in (metadata_of(data) | changes).items() if value is not None}
    return seal(save(load(data), metadata={"ddpmcodec": json.dumps(metadata)}))


def with_tensors(data: bytes, **changes: torch.Tensor | None) -> bytes:
    """The same metadata over other tensors, whose dots are underscores here; None takes one away."""
    named = {key.replace("_", "."): value for key, value in changes.items()}
    tensors = {key: value for key, value in (load(data) | named).items() if value is not None}
    return seal(save(tensors, metadata={"ddpmcodec": json.dumps(metadata_of(data))}))


# --- what comes back


def test_a_model_comes_back_as_it_was_exported(network: TrainableGaussian, exported: bytes) -> None:
    found = parse(exported)
    assert found.id == hashlib.sha256(exported).digest()
    assert (found.name, found.architecture) == ("small", network.architecture)
    assert found.metadata["training"] == {"images": 640}
    for name, p in network.integer_parameters().items():
        assert torch.equal(found.params[name].float(), p)


def test_the_same_network_gives_the_same_file(network: TrainableGaussian, exported: bytes) -> None:
    assert model_file.export(network, name="small", training={"images": 640}) == exported
    network.vector("stem.bias").data[0] += 0.125
    assert parse(model_file.export(network, name="small")).id != parse(exported).id


def test_weights_are_bytes(exported: bytes) -> None:
    weights = [tensor for name, tensor in load(exported).items() if name.endswith(".weight")]
    assert {weight.dtype for weight in weights} == {torch.int8}


def test_every_predictor_gives_every_known_answer(exported: bytes) -> None:
    found = parse(exported)
    assert [known.size for known in found.known_answers] == [10] * 4 + [33] * 4
    assert len({known.sha256 for known in found.known_answers}) == 8
    for known in found.known_answers:
        for build in model_file.candidates(found.architecture, found.params):
            assert known.answer(build()) == known.sha256


def test_inputs_of_known_answers_are_made_from_published_numbers() -> None:
    c = KnownAnswer(0, 33, 1, "").latents()
    assert (c.shape, c.dtype, c.min() >= -32768, c.max() < 32768) == ((1, 33, 35, 3), np.int64, True, True)
    assert (
        hashlib.sha256(c.astype("<i8").tobytes()).hexdigest()
        == "7b1d0ef3a96b42450198aac16243217bd08304dd03b6e3e95dc028c8945b4ae8"
    )


# --- what is refused


class Bomb:
    """Writes a file when it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        return Path.touch, (self.path,)


def test_a_pickle_is_refused_unopened(tmp_path: Path) -> None:
    torch.save(Bomb(tmp_path / "exploded"), tmp_path / "torch")
    for data in (pickle.dumps(Bomb(tmp_path / "exploded")), (tmp_path / "torch").read_bytes()):
        with pytest.raises(ModelError, match=r"^this.safetensors: not a ddpmcodec model"):
            parse(data)
    assert not (tmp_path / "exploded").exists()


@pytest.mark.parametrize(
    "data",
    [b"", b"\x89PNG\r\n\x1a\n", bytes(100), b"\xff" * 100, save({"x": torch.zeros(3)}), b"[" * 200_000],
    ids=["empty", "png", "zeros", "ones", "safetensors", "nested"],
)
def test_other_files_are_no_models(data: bytes) -> None:
    header = len(data).to_bytes(8, "little") + data if data[:1] == b"[" else data
    with pytest.raises(ModelError, match=r"^this.safetensors: not a ddpmcodec model"):
        parse(header)


def test_metadata_must_be_an_object(exported: bytes) -> None:
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        parse(bytes(save(load(exported), metadata={"ddpmcodec": "[1]"})))


def test_another_format_asks_for_another_version(exported: bytes) -> None:
    with pytest.raises(ModelError, match=r"this.safetensors: model format 2"):
        parse(with_metadata(exported, format=2))


@pytest.mark.parametrize("kind", ["context", "photo"])
def test_another_kind_is_refused(exported: bytes, kind: str) -> None:
    with pytest.raises(ModelError, match=f"this.safetensors: .*'{kind}'.*'gaussian'"):
        parse(with_metadata(exported, kind=kind, format=2))


@pytest.mark.parametrize("kind", [None, 5])
def test_a_file_without_a_kind_is_no_model(exported: bytes, kind: Any) -> None:
    with pytest.raises(ModelError, match="not a ddpmcodec model"):
        parse(with_metadata(exported, kind=kind))


def test_every_cut_is_refused(exported: bytes) -> None:
    for size in [*range(0, 64, 7), *np.linspace(64, len(exported) - 1, 20).astype(int)]:
        with pytest.raises(ModelError, match=r"^this.safetensors: "):
            parse(exported[:size])


def test_a_flipped_bit_anywhere_is_refused(exported: bytes) -> None:
    rng = np.random.default_rng(0)
    for place in np.concatenate([rng.integers(0, 6000, 60), rng.integers(6000, len(exported), 200)]):
        damaged = bytearray(exported)
        damaged[place] ^= 1 << rng.integers(8)
        with pytest.raises(ModelError, match=r"^this.safetensors: "):
            parse(bytes(damaged))


def id_or_none(data: bytes) -> bytes | None:
    try:
        return parse(data).id
    except ModelError:
        return None


def test_other_tensors_under_a_seal_make_another_model_or_none(exported: bytes) -> None:
    """As an adversary makes one."""
    rng, start = np.random.default_rng(0), 8 + int.from_bytes(exported[:8], "little")
    for place in rng.integers(start, len(exported), 20):
        changed = bytearray(exported)
        changed[place] ^= 1 << rng.integers(8)
        assert id_or_none(seal(bytes(changed))) != parse(exported).id


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"name": None}, "'name'"),
        ({"known_answers": []}, "1 to 64"),
        ({"known_answers": [[1, 2]]}, "missing 2 required"),
        ({"known_answers": None}, "'known_answers'"),
        ({"architecture": {"width": -1}}, "impossible sizes"),
        ({"known_answers": {"a": 1}}, "1 to 64"),
        ({"known_answers": [3]}, "iterable"),
        ({"known_answers": [[-1, 10, 2400, ""]]}, "an impossible known answer"),
        ({"known_answers": [[1 << 200, 10, 2400, ""]]}, "an impossible known answer"),
        ({"known_answers": [[0, 1 << 40, 2400, ""]]}, "an impossible known answer"),
        ({"known_answers": [[0, 65, 2400, ""]]}, "an impossible known answer"),
        ({"known_answers": [[0, 10.0, 2400, ""]]}, "an impossible known answer"),
        ({"known_answers": [[0, 10, 0, ""]]}, "an impossible known answer"),
        ({"known_answers": [[0, 10, 1 << 40, ""]]}, "an impossible known answer"),
        ({"known_answers": [[0, 10, 2400, None]]}, "an impossible known answer"),
        ({"architecture": {"width": 0}}, "impossible sizes"),
        ({"architecture": {"width": 1 << 40}}, "impossible sizes"),
        ({"architecture": {"inner_width": 0, "down": 0}}, "impossible sizes"),
        ({"architecture": {"depth": 3}}, "depth"),
        ({"architecture": None}, "'architecture'"),
    ],
)
def test_metadata_that_make_no_sense_are_refused(exported: bytes, change: dict[str, Any], complaint: str) -> None:
    with pytest.raises(ModelError, match=f"this.safetensors: .*damaged .*{complaint}"):
        parse(with_metadata(exported, **change))


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"stem_weight": None}, "stem.weight is None"),
        ({"extra": torch.zeros(1)}, "extra is .*expected None"),
        ({"stem_bias": torch.zeros(3)}, r"stem.bias is \(torch.float32, \[3\]\)"),
        ({"stem_bias": torch.full((8,), torch.nan)}, "stem.bias .*1048576"),
        ({"stem_factor": torch.full((8,), 3e38)}, "stem.factor .*1048576"),
        ({"descend_weight": torch.zeros(12, 8, 2, 2)}, "descend.weight is .*float32"),
    ],
)
def test_tensors_that_the_network_cannot_take_are_refused(
    exported: bytes, change: dict[str, torch.Tensor | None], complaint: str
) -> None:
    with pytest.raises(ModelError, match=complaint):
        parse(with_tensors(exported, **change))


# --- exactness


def test_sums_that_could_round_are_refused() -> None:
    largest = torch.full((2, 1040, 1, 1), 127)  # 127 x 127 x 1040 < 2^24 < 127 x 127 x 1041
    model_file.check_sums({"x.weight": largest})
    with pytest.raises(ModelError, match=r"x.weight: .*16790289"):
        model_file.check_sums({"x.weight": torch.nn.functional.pad(largest, (0, 0, 0, 0, 0, 1), value=-127)})


def test_a_flipped_weight_is_found_by_the_known_answer(exported: bytes) -> None:
    weight = load(exported)["stem.weight"].clone()
    weight.view(-1)[weight.abs().argmax()] *= -1
    with pytest.raises(ModelError, match="exactly"):
        parse(with_tensors(exported, stem_weight=weight))


def test_a_wrong_answer_is_reported_with_what_was_found(exported: bytes) -> None:
    first, *others = metadata_of(exported)["known_answers"]
    *of, right = first
    wrong = with_metadata(exported, known_answers=[[*of, "0" * 64], *others])
    with pytest.raises(ModelError, match=f"{'0' * 16}, found {right[:16]}"):
        parse(wrong)


class OffByOne(GaussianPredictor):
    """A fast path gone wrong."""

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        right = super().predict(c, spacing, level)
        return right._replace(mean=right.mean + 1)


def test_a_wrong_fast_path_is_passed_over(exported: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = [OffByOne, GaussianPredictor]
    monkeypatch.setattr(model_file, "candidates", lambda *a: [lambda k=kind: k(*a) for kind in kinds])
    assert type(parse(exported).predictor.chosen()) is GaussianPredictor


def test_a_machine_that_computes_nothing_right_is_refused(exported: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model_file, "candidates", lambda *a: [lambda: OffByOne(*a)])
    with pytest.raises(ModelError, match="report the processor"):
        parse(exported)


@pytest.mark.parametrize("fast", [False, True])
def test_the_plainest_path_comes_last(exported: bytes, monkeypatch: pytest.MonkeyPatch, fast: bool) -> None:
    monkeypatch.setattr(model_file, "_fast_bfloat16", lambda: fast)
    found = parse(exported)
    built: list[Any] = [build() for build in model_file.candidates(found.architecture, found.params)]
    assert [p.ops.low_precision for p in built] == [True, False][1 - fast :]


def test_a_code_of_few_steps_begins_where_its_bound_is_small() -> None:
    """Neither at the finest level, which leaves large steps, nor where pixels themselves cost much."""
    model = find_denoiser(None)
    photo = np.asarray(Image.open(GOLDEN / "photo.png").convert("RGB"))[:16, :16]
    pixels, levels = torch.from_numpy(photo.copy()).permute(2, 0, 1)[None], model.coding_levels(4)
    own, finer, coarser = (
        evaluate(model, pixels, rounded(log_linear(first, levels[-1], 4)), torch.Generator(), prior_std=model.prior_std)
        for first in (levels[0], levels[0] / 4, levels[0] * 4)
    )
    assert own.total().mean < min(finer.total().mean, coarser.total().mean)
