"""Networks of another architecture: what they compute is what is coded with, and what is not registered has a name."""

from __future__ import annotations

import pickle
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

import ddpmcodec
from ddpmcodec.errors import ModelError
from ddpmcodec.format import model_file
from ddpmcodec.models import architectures, context, registry
from ddpmcodec.models.architectures import Contract, contract_of, exact_sums, find, register
from ddpmcodec.models.context import BAND_ROLES, ROLES, ContextModel, pack, parse

EXAMPLE = Path(__file__).parents[2] / "docs" / "linear"


@pytest.fixture(autouse=True)
def linear(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """The example of docs/extending.md, imported."""
    monkeypatch.syspath_prepend(str(EXAMPLE))
    monkeypatch.setattr(architectures, "_registered", {})
    sys.modules.pop("linear", None)
    import linear  # noqa: F401

    yield
    sys.modules.pop("linear", None)


def tensors_of(role: str, components: int, seed: int) -> dict[str, NDArray[Any]]:
    """Of a linear network whose predictions are of some use."""
    contract = contract_of("band" if role in BAND_ROLES else role, components)
    rng = np.random.default_rng(seed)
    bias = np.zeros((contract.conditions, contract.outputs), np.float32)
    bias[:, 4 * components : 7 * components] = 60
    return {
        "weight": rng.integers(-3, 4, (contract.outputs, contract.inputs)).astype(np.int8),
        "factor": np.full(contract.outputs, 0.05, np.float32),
        "bias": bias,
    }


def file_of(architecture: str, effort: int = 1) -> bytes:
    """The bytes of the embedded model, whose networks of an effort are others."""
    data = registry.read("photo")
    tensors = dict(load(data))
    components = {key: own["components"] for key, own in context_facts(data).items()}
    named = {}
    for seed, role in enumerate(ROLES):
        key = f"{effort}.{role}"
        for name in [name for name in tensors if name.startswith(f"{key}.")]:
            del tensors[name]
        components[key] = 2
        named[key] = architecture
        tensors |= {f"{key}.{name}": value for name, value in tensors_of(role, 2, seed).items()}
    return pack(tensors, components, "others", named=named)


def context_facts(data: bytes) -> dict[str, Any]:
    found: dict[str, Any] = model_file.metadata(data, "photo", context.KIND)["networks"]
    return found


@pytest.fixture
def model() -> ContextModel:
    return parse(file_of("linear"), "others")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng([height, width])
    steps = rng.integers(-4, 5, (height, width, 3))
    return (np.cumsum(np.cumsum(steps, 0), 1) // 4 + 128).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("levels", [0, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (20, 33)])
def test_images_are_coded_by_networks_of_another_architecture(
    levels: int, size: tuple[int, int], model: ContextModel
) -> None:
    image = picture(*size)
    data = ddpmcodec.encode(image, effort=1, levels=levels, model=model, webp=False)
    assert np.array_equal(ddpmcodec.decode(data, model=model, as_array=True), image)
    assert ddpmcodec.decode(data[:-1], model=model, partial=True, as_array=True).shape == image.shape


def test_a_large_image_has_previews_and_lanes(model: ContextModel) -> None:
    image = picture(300, 240)
    data = ddpmcodec.encode(image, effort=1, model=model, webp=False)
    assert np.array_equal(ddpmcodec.decode(data, model=model, as_array=True), image)
    assert ddpmcodec.decode(data, model=model, max_bytes=len(data) // 3, as_array=True).shape == image.shape


def test_other_efforts_are_those_of_the_core(model: ContextModel) -> None:
    image = picture(20, 33)
    of_photo = ddpmcodec.encode(image, effort=2, levels=0, model="photo", webp=False)
    other = ddpmcodec.encode(image, effort=2, levels=0, model=model, webp=False)
    assert len(other) == len(of_photo) + len(model.short_id)
    assert np.array_equal(ddpmcodec.decode(other, model=model, as_array=True), image)


def test_outputs_reach_the_coder_as_they_are(model: ContextModel) -> None:
    network = model.networks(1, 0)[0]
    rows = np.random.default_rng(3).integers(0, 256, (5, 96), dtype=np.uint8)
    own = tensors_of("direct", 2, 0)
    wanted = np.rint(exact_sums(rows, own["weight"]) * own["factor"] + own["bias"][0])
    assert np.array_equal(network.outputs(rows), wanted.clip(-32767, 32767))


def test_a_model_goes_to_another_process_with_its_classes(model: ContextModel) -> None:
    copy = pickle.loads(pickle.dumps(model))
    assert copy.id == model.id
    assert len(copy.networks(1, 2)) == 4


def test_weights_are_counted(model: ContextModel) -> None:
    contract = contract_of("direct", 2)
    assert model.macs(1, "direct") == contract.inputs * contract.outputs


def test_an_architecture_that_nothing_registers_has_a_name(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of("linear")
    monkeypatch.setattr(architectures, "_registered", {})
    monkeypatch.setattr(architectures, "entry_points", lambda **_: [])
    with pytest.raises(ModelError, match="architecture 'linear' are needed, which nothing registers here: import"):
        parse(data, "others")


def test_an_installed_package_registers_by_its_entry_point(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:  # fmt: skip
    about = tmp_path / "ddpmcodec_linear-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ddpmcodec-linear\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text("[ddpmcodec.networks]\nlinear = linear\n")
    monkeypatch.setattr(architectures, "_registered", {})
    monkeypatch.syspath_prepend(str(tmp_path))
    sys.modules.pop("linear", None)
    assert find("linear").__name__ == "Linear"


def test_a_name_that_is_taken_is_refused() -> None:
    for name in ("linear", "residual"):
        with pytest.raises(ValueError, match=f"an architecture '{name}' is there already"):
            register(name)(type("Another", (), {}))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda rows: np.zeros((len(rows), 17), np.float32), r"must be int32 \[1, 17\]"),
        (lambda rows: np.zeros((len(rows), 16), np.int32), r"must be int32 \[1, 17\]"),
        (lambda rows: None, r"must be int32 \[1, 17\]"),
    ],
)
def test_outputs_of_another_kind_are_refused(found: Any, said: str) -> None:
    class Wrong:
        def __init__(self, tensors: Any, contract: Contract) -> None: ...

        def outputs(self, rows: NDArray[np.uint8], condition: int) -> Any:
            return found(rows)

    network = architectures.made(Wrong, {}, "direct", 2)
    with pytest.raises(ValueError, match=said):
        network.outputs(np.zeros((1, 96), np.uint8))


def test_an_error_of_a_network_ends_the_coding(model: ContextModel, monkeypatch: pytest.MonkeyPatch) -> None:
    _ = model.networks(1, 0)  # which answered as they must
    monkeypatch.setattr(find("linear"), "outputs", lambda *_: 1 // 0)
    with pytest.raises(ZeroDivisionError):
        ddpmcodec.encode(picture(9, 9), effort=1, levels=0, model=model, webp=False)


def test_a_network_that_answers_otherwise_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    data = file_of("linear")
    before = find("linear").outputs  # type: ignore[attr-defined]
    monkeypatch.setattr(find("linear"), "outputs", lambda *asked: before(*asked) + 1)
    with pytest.raises(ModelError, match="do not compute here what they must"):
        parse(data, "others").networks(1, 0)


def test_tensors_that_do_not_fit_are_refused() -> None:
    with pytest.raises(ModelError, match="a network of the role direct: weights do not fit"):
        context.network_of(tensors_of("direct", 3, 0), "direct", 2, find("linear"))
    with pytest.raises(ModelError, match="a network of the role direct: 'weight'"):
        context.network_of({}, "direct", 2, find("linear"))


def test_the_metadata_of_a_file_say_what_its_networks_are() -> None:
    found = context_facts(file_of("linear"))
    assert found["1.direct"]["architecture"] == "linear"
    assert "architecture" not in found["2.direct"]
