"""Context models: what their files say, and that they are refused if anything in them is not as it must be."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ddpmcodec import _native, models
from ddpmcodec._native import ContextModel, ContextNetwork
from ddpmcodec.errors import ModelError
from ddpmcodec.models import context
from ddpmcodec.models.context import EFFORTS
from ddpmcodec.models.model_file import seal

GOLDEN = Path(__file__).parents[1] / "golden"
MODELS = [*map(models.path, models.CONTEXT_MODELS), *sorted(GOLDEN.glob("*/model.safetensors"))]
ID = bytes(32)  # of a model that is known: its seal is not checked


def parse(data: bytes, **options: Any) -> ContextModel:
    return ContextModel.parse(data, "m", **options)


@cache
def golden() -> bytes:
    return MODELS[-1].read_bytes()


def split(data: bytes) -> tuple[dict[str, Any], bytes]:
    """The header and the tensors of a safetensors file."""
    end = 8 + int.from_bytes(data[:8], "little")
    return json.loads(data[8:end]), data[end:]


def joined(header: Any, tensors: bytes) -> bytes:
    text = json.dumps(header).encode()
    return len(text).to_bytes(8, "little") + text + tensors


def changed(change: Callable[[dict[str, Any], dict[str, Any]], None], *, tensors: bytes | None = None) -> bytes:
    """The golden model after `change(header, metadata)`."""
    header, data = split(golden())
    metadata = json.loads(header["__metadata__"]["ddpmcodec"])
    change(header, metadata)
    header.setdefault("__metadata__", {})["ddpmcodec"] = json.dumps(metadata)
    return joined(header, data if tensors is None else tensors)


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_a_model_is_what_its_file_says(path: Path) -> None:
    data = path.read_bytes()
    model, metadata = parse(data, number=7), json.loads(split(data)[0]["__metadata__"]["ddpmcodec"])
    assert (model.name, model.number, model.file) == (metadata["name"], 7, data)
    assert model.id == hashlib.sha256(data).digest()
    for key, facts in model.facts.items():
        assert metadata["networks"][facts.stored] == {"components": facts.components, "answer": facts.answer}
        assert facts.stored == metadata["networks"][key].get("same_as", key)


def answer(network: ContextNetwork, role: str) -> str:
    """As the model file has it: sha256 of the outputs for seeded inputs, in up to three conditions."""
    inputs, _, _ = _native.contract(role, network.components)
    rows = (np.random.Philox(key=1).random_raw(24 * inputs).reshape(24, inputs) % 256).astype(np.uint8)
    conditions = sorted({0, network.conditions // 2, network.conditions - 1})
    found = [network.outputs(rows, condition, 6).astype("<i4").tobytes() for condition in conditions]
    return hashlib.sha256(b"".join(found)).hexdigest()


@pytest.mark.parametrize("path", MODELS, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_networks_give_the_answers_of_the_file(path: Path, kernel: str) -> None:
    model = parse(path.read_bytes())
    for effort in EFFORTS:
        for levels, role in enumerate(("direct", "single", "last")):
            networks = model.networks(effort, levels)
            roles = [role, *context.BAND_ROLES, context.PREVIEW][: len(networks)]
            pairs = zip(networks, map(context.contract_role, roles), strict=True)
            assert [answer(*pair) for pair in pairs] == [model.facts[f"{effort}.{role}"].answer for role in roles]


def test_threads_share_the_networks() -> None:
    model = parse(golden())
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.networks(3, 2), range(8)))
    assert all(networks == found[0] for networks in found)


def test_what_is_not_there_cannot_be_asked_for() -> None:
    model = parse(golden())
    for effort, levels in ((-1, 0), (4, 0), (1, 3), (1, -1)):
        with pytest.raises(ValueError, match=r"effort|schedule"):
            model.networks(effort, levels)


def test_networks_share_what_equal_ones_have() -> None:
    model = parse(models.read(models.THUMBNAIL))
    stored = {facts.stored for facts in model.facts.values()}
    assert len(stored) < len(model.facts)
    assert model.networks(2, 2)[0] is model.networks(3, 2)[0]


def test_other_architectures_are_made_elsewhere(linear_file: bytes) -> None:
    expected = context.parse(linear_file, "m")

    def make(key: str) -> Any:
        return expected.networks(1, 0)[0] if key == "1.direct" else None

    assert parse(linear_file, make_other=make).networks(1, 0) == expected.networks(1, 0)
    model = parse(linear_file)
    assert len(model.networks(2, 0)) == 1
    with pytest.raises(ModelError, match="'linear'"):
        model.networks(1, 0)


def test_another_network_than_the_file_names_is_refused(linear_file: bytes) -> None:
    others = context.parse(linear_file, "m").networks(1, 2)
    for network, word in (
        (others[0], "another role"),
        (context.parse(golden(), "m").networks(1, 0)[0], "role|compute"),
    ):
        with pytest.raises(ModelError, match=word):
            parse(linear_file, make_other=lambda _, network=network: network).networks(1, 0)


def test_floats_may_begin_anywhere() -> None:
    def moved(header: dict[str, Any], _: Any) -> None:
        for entry in header.values():
            if "data_offsets" in entry:
                entry["data_offsets"] = [offset + 1 for offset in entry["data_offsets"]]
        header["odd"] = {"dtype": "U8", "shape": [1], "data_offsets": [0, 1]}

    data = changed(moved, tensors=b"\0" + split(golden())[1])
    assert len(parse(data, known_id=ID).networks(1, 2)) == 1 + len(context.BAND_ROLES)


# --- damage


def test_a_flipped_bit_breaks_the_seal() -> None:
    data = golden()
    for position in np.random.default_rng(0).integers(0, len(data), 60):
        damaged = bytearray(data)
        damaged[position] ^= 1 << position % 8
        with pytest.raises(ModelError, match=r"damaged|no hash|not a ddpmcodec model|of kind|model format"):
            parse(bytes(damaged))


def test_a_known_id_stands_for_the_seal() -> None:
    data = changed(lambda _, metadata: metadata.pop("sha256"))
    with pytest.raises(ModelError, match="no hash"):
        parse(data)
    assert parse(data, known_id=ID).id == ID
    assert parse(seal(data)).id == hashlib.sha256(seal(data)).digest()


@pytest.mark.parametrize("size", [0, 7, 8, 100, 5000, len(golden()) - 1])
def test_a_cut_model_is_refused(size: int) -> None:
    with pytest.raises(ModelError, match=r"not a ddpmcodec model|damaged"):
        parse(golden()[:size], known_id=ID)


def test_bytes_after_the_end_are_refused() -> None:
    with pytest.raises(ModelError, match="follow"):
        parse(golden() + b"\0", known_id=ID)


NAME, NEXT = sorted(split(golden())[0], key=lambda key: split(golden())[0][key].get("data_offsets", [0, 0]))[1:3]


def place(begin: int, end: int) -> dict[str, Any]:
    return {"data_offsets": [begin, end]}


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"dtype": "I7"}, "type"),
        ({"dtype": None}, "type"),
        ({"dtype": "I8"}, "bytes"),
        ({"shape": [3]}, "bytes"),
        ({"shape": [-1]}, "number"),
        ({"shape": [1.5]}, "number"),
        ({"shape": 1}, "shape"),
        ({"shape": [1 << 31]}, "more numbers"),
        ({"shape": [1 << 20, 1 << 20, 1 << 20]}, "more numbers"),
        ({"shape": [0, 1 << 30, 1 << 30, 1 << 30]}, "bytes"),
        ({"data_offsets": [0]}, "place"),
        ({"data_offsets": [0, 1, 2]}, "place"),
        (place(-1, 3), "number"),
        (place(8, 4), "outside"),
        (place(0, 1 << 62), "outside"),
        (place(1 << 62, 1 << 62), "outside"),
        (place(0, 4), "bytes"),
    ],
)
def test_tensors_that_cannot_be_are_refused(entry: dict[str, Any], word: str) -> None:
    with pytest.raises(ModelError, match=word):
        parse(changed(lambda header, _: header[NAME].update(entry)), known_id=ID)


def test_tensors_do_not_share_bytes() -> None:
    def overlapped(header: dict[str, Any], _: Any) -> None:
        header[NEXT] = dict(header[NAME])

    def shortened(header: dict[str, Any], _: Any) -> None:
        del header[NAME]

    for change in (overlapped, shortened):
        with pytest.raises(ModelError, match="overlap"):
            parse(changed(change), known_id=ID)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 2.0**20 + 1, -3e38])
def test_numbers_are_bounded(value: float) -> None:
    header, tensors = split(golden())
    begin = next(entry["data_offsets"][0] for entry in header.values() if entry.get("dtype") == "F32")
    forged = tensors[:begin] + np.float32(value).tobytes() + tensors[begin + 4 :]
    with pytest.raises(ModelError, match="beyond"):
        parse(joined(header, forged), known_id=ID)


def networks(**entries: Any) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    """A change of entries of networks, by `e<effort>_<role>`; None: there is none."""

    def change(_: Any, metadata: dict[str, Any]) -> None:
        for name, entry in entries.items():
            key = name[1:].replace("_", ".")
            metadata["networks"].update({key: entry})
            if entry is None:
                del metadata["networks"][key]

    return change


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (lambda _, metadata: metadata.update(kind="gaussian"), "kind"),
        (lambda _, metadata: metadata.update(kind=1), "not a ddpmcodec model"),
        (lambda _, metadata: metadata.pop("format"), "not a ddpmcodec model"),
        (lambda _, metadata: metadata.update(format=2), "format 2"),
        (lambda _, metadata: metadata.update(networks=[]), "no networks"),
        (networks(e1_direct=None), "3 efforts"),
        (networks(e4_direct={}), "3 efforts"),
        (networks(e1_band4={}), "3 efforts"),
        (networks(e1_direct=[]), "what network"),
        (networks(e1_direct={"components": 0}), "what network"),
        (networks(e1_direct={"components": True}), "what network"),
        (networks(e1_direct={"components": 1 << 40}), "what network"),
        (networks(e1_direct={"components": 1, "conditions": None}), "what network"),
        (networks(e1_direct={"components": 1, "architecture": None}), "what network"),
        (networks(e1_direct={"same_as": "1.direct"}), "does not hold"),
        (networks(e1_direct={"same_as": 1}), "does not hold"),
        (networks(e1_direct={"same_as": "2.direct"}, e2_direct={"same_as": "3.direct"}), "does not hold"),
        (networks(e1_direct={"same_as": "1.last"}), "another role"),
    ],
)  # fmt: skip
def test_metadata_that_cannot_be_are_refused(change: Callable[[Any, Any], None], word: str) -> None:
    with pytest.raises(ModelError, match=word):
        parse(changed(change), known_id=ID)


def test_a_network_of_the_paper_is_told_apart() -> None:
    with pytest.raises(ModelError, match="U-Net"):
        parse(joined({"__metadata__": {"ddpmcodec.unet": "{}"}}, b""))


@pytest.mark.parametrize(
    ("entry", "word"),
    [
        ({"answer": "0" * 64}, "compute"),
        ({"answer": None}, "compute"),
        ({"components": 4}, "expected"),
        ({"components": 5}, "components"),
        ({"architecture": "linear"}, "linear"),
    ],
)
def test_networks_that_cannot_be_are_refused(entry: dict[str, Any], word: str) -> None:
    model = parse(changed(lambda _, metadata: metadata["networks"]["1.direct"].update(entry)), known_id=ID)
    assert model.networks(2, 0)
    with pytest.raises(ModelError, match=word):
        model.networks(1, 0)


@pytest.mark.parametrize("name", ["stem.weight", "stem.bias", "block0.weight", "skip.factor"])
def test_a_network_that_lacks_a_tensor_is_refused(name: str) -> None:
    def change(header: dict[str, Any], _: Any) -> None:
        header["other"] = header.pop(f"1.direct.{name}")

    with pytest.raises(ModelError, match=rf"{name}|depth"):
        parse(changed(change), known_id=ID).networks(1, 0)


def test_older_models_lack_newer_schedules(context_model: context.ContextModel) -> None:
    oldest = 2 * _native.BANDS_OF_STEP
    tensors = {
        name: tensor[:oldest] if ".band" in name and name.endswith(".bias") else tensor
        for name, tensor in context.tensors_of(context_model).items()
    }
    components = {key: facts.components for key, facts in context_model.facts.items()}
    model = parse(context.pack(tensors, components, "older"))
    assert len(model.networks(1, 2)) == 1 + len(context.BAND_ROLES)
    with pytest.raises(ModelError, match="schedule of 5"):
        model.networks(1, 5)


def test_a_header_that_claims_all_there_is_takes_nothing() -> None:
    for length in (1 << 20, (1 << 20) + 1, 1 << 63, (1 << 64) - 1):
        with pytest.raises(ModelError, match="not a ddpmcodec model"):
            parse(length.to_bytes(8, "little") + b"{" * 100)


@settings(derandomize=True, max_examples=200)
@given(st.data())
def test_a_damaged_header_is_refused_or_read(data: st.DataObject) -> None:
    """Without the seal, so that all that comes after it is seen."""
    damaged = bytearray(golden())
    end = 8 + int.from_bytes(damaged[:8], "little")
    for _ in range(data.draw(st.integers(1, 3))):
        damaged[data.draw(st.integers(0, end - 1))] = data.draw(
            st.sampled_from(b'0129-,:[]{}"\\ aI8F') | st.integers(0, 255)
        )
    try:
        model = parse(bytes(damaged), known_id=ID)
        model.networks(1, 2)
    except ModelError:
        pass
