"""Networks of another architecture: what they compute is what is coded with, and what is not registered has a name."""

from __future__ import annotations

import pickle
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load

import ddpmcodec
from ddpmcodec.errors import ModelError
from ddpmcodec.models import architectures, context, model_file
from ddpmcodec.models.architectures import Contract, contract_of, exact_sums, find, register
from ddpmcodec.models.context import ContextModel, pack, parse
from ddpmcodec.models.registry import short_id

pytestmark = pytest.mark.usefixtures("linear")


def facts_of(data: bytes) -> dict[str, Any]:
    """Of the networks of a model file."""
    found: dict[str, Any] = model_file.metadata(data, "a model", context.KIND)["networks"]
    return found


def tensors_of(data: bytes, key: str) -> dict[str, NDArray[Any]]:
    return context.part(load(data), key)


@pytest.fixture
def model(linear_file: bytes) -> ContextModel:
    return parse(linear_file, "others")


def picture(height: int, width: int) -> NDArray[np.uint8]:
    rng = np.random.default_rng([height, width])
    steps = rng.integers(-4, 5, (height, width, 3))
    return (np.cumsum(np.cumsum(steps, 0), 1) // 4 + 128).clip(0, 255).astype(np.uint8)


@pytest.mark.parametrize("levels", [0, 1, 2, 5])
@pytest.mark.parametrize("size", [(1, 1), (20, 33)])
def test_images_are_coded_by_networks_of_another_architecture(
    levels: int, size: tuple[int, int], model: ContextModel
) -> None:
    image = picture(*size)
    data = ddpmcodec.encode(image, effort=1, levels=levels, model=model)
    assert np.array_equal(ddpmcodec.decode(data, model=model, as_array=True), image)
    assert ddpmcodec.decode(data[:-1], model=model, partial=True, as_array=True).shape == image.shape


def test_a_large_image_has_previews_and_lanes(model: ContextModel) -> None:
    image = picture(80, 96)
    data = ddpmcodec.encode(image, effort=1, model=model, tile=64)
    assert np.array_equal(ddpmcodec.decode(data, model=model, as_array=True), image)
    assert ddpmcodec.decode(data, model=model, max_bytes=len(data) // 3, as_array=True).shape == image.shape


def test_other_efforts_are_those_of_the_core(model: ContextModel) -> None:
    image = picture(20, 33)
    of_photo = ddpmcodec.encode(image, effort=2, levels=0, model="photo")
    other = ddpmcodec.encode(image, effort=2, levels=0, model=model)
    assert len(other) == len(of_photo) + len(short_id(model))
    assert np.array_equal(ddpmcodec.decode(other, model=model, as_array=True), image)


def test_outputs_reach_the_coder_as_they_are(model: ContextModel, linear_file: bytes) -> None:
    network = model.networks(1, 0)[0]
    rows = np.random.default_rng(3).integers(0, 256, (5, 96), dtype=np.uint8)
    own = tensors_of(linear_file, "1.direct")
    wanted = np.rint(exact_sums(rows, own["weight"]) * own["factor"] + own["bias"][0])
    assert np.array_equal(network.outputs(rows), wanted.clip(-32767, 32767))


def test_a_model_goes_to_another_process_with_its_classes(model: ContextModel) -> None:
    copy = pickle.loads(pickle.dumps(model))
    assert copy.id == model.id
    assert len(copy.networks(1, 2)) == 5  # that of previews is the core's


def test_threads_make_networks_together(model: ContextModel) -> None:
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: model.networks(1, 2), range(8)))
    assert all(networks == found[0] for networks in found)


def test_weights_are_counted(model: ContextModel) -> None:
    contract = contract_of("direct", 2)
    assert model.macs_per_pixel(1, 0) == contract.inputs * contract.outputs


def test_an_architecture_that_nothing_registers_has_a_name(
    linear_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    monkeypatch.setattr(architectures, "_registered", {})
    monkeypatch.setattr("importlib.metadata.entry_points", lambda **_: [])
    with pytest.raises(ModelError, match="'linear'"):
        parse(linear_file, "others")


def install(folder: Path, module: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A package whose entry point says that a module has the architecture; nothing is imported as yet."""
    about = folder / "ddpmcodec_linear-0.1.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: ddpmcodec-linear\nVersion: 0.1\n")
    (about / "entry_points.txt").write_text(f"[ddpmcodec.networks]\nlinear = {module}\n")
    monkeypatch.setattr(architectures, "_registered", {})
    monkeypatch.syspath_prepend(str(folder))
    sys.modules.pop("linear", None)


def test_an_installed_package_registers_by_its_entry_point(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    install(tmp_path, "linear", monkeypatch)
    assert find("linear").__name__ == "Linear"


def test_a_package_that_cannot_be_imported_is_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "broken_networks.py").write_text("1 / 0\n")
    install(tmp_path, "broken_networks", monkeypatch)
    with pytest.raises(ModelError, match=r"broken_networks.*ZeroDivisionError"):
        find("linear")


def test_a_name_that_is_taken_is_refused() -> None:
    for name in ("linear", "residual"):
        with pytest.raises(ValueError, match=f"'{name}' .*already"):
            register(name)(type("Another", (), {}))


@pytest.mark.parametrize(
    ("found", "said"),
    [
        (lambda rows: np.zeros((len(rows), 17), np.float32), r"int32 \[1, 17\]"),
        (lambda rows: np.zeros((len(rows), 16), np.int32), r"int32 \[1, 17\]"),
        (lambda rows: None, r"int32 \[1, 17\]"),
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
        ddpmcodec.encode(picture(9, 9), effort=1, levels=0, model=model)


def test_a_network_that_answers_otherwise_is_refused(linear_file: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    before = find("linear").outputs  # type: ignore[attr-defined]
    monkeypatch.setattr(find("linear"), "outputs", lambda *asked: before(*asked) + 1)
    with pytest.raises(ModelError, match="do not compute"):
        parse(linear_file, "others").networks(1, 0)


def test_a_network_whose_answers_depend_on_how_many_are_asked_for_is_not_exported(
    linear_file: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = find("linear").outputs  # type: ignore[attr-defined]
    monkeypatch.setattr(find("linear"), "outputs", lambda own, rows, *rest: before(own, rows, *rest) + (len(rows) > 8))
    facts = context.parse(linear_file, "linear").facts
    components = {key: own.components for key, own in facts.items()}
    named = {key: own.architecture for key, own in facts.items() if own.architecture}
    with pytest.raises(ModelError, match=r"1\.band1, .*fewer"):
        pack(load(linear_file), components, "others", named=named)


def test_tensors_that_do_not_fit_are_refused(linear_file: bytes) -> None:
    with pytest.raises(ModelError, match="direct: weights"):
        context.network_of(tensors_of(linear_file, "1.direct"), "direct", 3, find("linear"))
    with pytest.raises(ModelError, match="direct: 'weight'"):
        context.network_of({}, "direct", 2, find("linear"))


def test_the_metadata_of_a_file_say_what_its_networks_are(linear_file: bytes) -> None:
    found = facts_of(linear_file)
    assert found["1.direct"]["architecture"] == "linear"
    assert "architecture" not in found["2.direct"]
