"""`fit`: from images to a model in one call, whatever the architecture of its networks is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import ddpmcodec
from ddpmcodec.errors import ModelError, TrainingError
from ddpmcodec.models import architectures
from ddpmcodec.models.context import parse
from ddpmcodec.training import context_run, fit
from ddpmcodec.training.context_trainer import ContextTrainer
from ddpmcodec.training.networks import shape_of
from ddpmcodec.training.run import alone_in
from ddpmcodec.training.trainable import trainable

pytestmark = pytest.mark.usefixtures("linear")
OPTIONS: dict[str, Any] = {"crop": 16, "batch": 64, "compiled": False, "say": lambda _: None}


@pytest.fixture(autouse=True)
def by_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs of a hundred steps an hour, however slow the machine is."""
    monkeypatch.setattr(ContextTrainer, "progress", lambda self: min(1.0, self.step / (100 * self.settings.hours)))


def size(image: np.ndarray, model: object) -> int:
    data = ddpmcodec.encode(image, effort=1, levels=0, model=model)  # type: ignore[arg-type]
    assert np.array_equal(ddpmcodec.decode(data, model=model, as_array=True), image)  # type: ignore[arg-type]
    return len(data)


@pytest.mark.parametrize("network", ["residual", "linear"])
def test_a_network_learns_and_codes_images(network: str, gradients: np.ndarray, tmp_path: Path) -> None:
    sizes = []
    for hours in (0.02, 1.0):
        out = tmp_path / str(hours)
        model = fit(gradients, out, network=network, effort=1, roles=("direct",), hours=hours, **OPTIONS)
        assert parse((out / "model.safetensors").read_bytes(), "it").id == model.id
        sizes.append(sum(size(image, model) for image in gradients[-3:]))
    assert sizes[1] < 0.9 * sizes[0]


def test_a_run_goes_on(pictures: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"network": "linear", "effort": 1, "roles": ("direct", "band1")}
    first = fit(pictures, tmp_path / "run", hours=0.02, **options)
    with pytest.raises(TrainingError, match="holds a training run"):
        fit(pictures, tmp_path / "run", hours=0.04, **options)
    longer = fit(pictures, tmp_path / "run", hours=0.04, resume=True, **options)
    assert longer.id != first.id


def test_a_run_begins_as_another_of_its_architecture(pictures: Path, tmp_path: Path) -> None:
    options = OPTIONS | {"network": "linear", "effort": 1, "roles": ("direct",), "hours": 0.02}
    fit(pictures, tmp_path / "first", **options)
    fit(pictures, tmp_path / "second", start=str(tmp_path / "first"), **options)
    with pytest.raises(TrainingError, match=r"'linear'.*start="):
        fit(pictures, tmp_path / "third", start=str(tmp_path / "first" / "model.safetensors"), **options)
    with pytest.raises(TrainingError, match=r"direct .*size 1"):
        fit(pictures, tmp_path / "third", start=str(tmp_path / "first"), **options | {"network": "residual"})


def test_a_run_does_not_go_on_with_other_images(pictures: Path, gradients: np.ndarray, tmp_path: Path) -> None:
    options = OPTIONS | {"effort": 1, "roles": ("direct",), "hours": 0.02}
    fit(pictures, tmp_path / "run", **options)
    with pytest.raises(TrainingError, match="data="):
        fit(tmp_path, tmp_path / "run", resume=True, **options)
    fit(gradients, tmp_path / "array", **options)
    fit(gradients, tmp_path / "array", resume=True, **options)
    with pytest.raises(TrainingError, match="other images"):
        fit(gradients[1:], tmp_path / "array", resume=True, **options)


def test_the_images_of_a_run_that_another_process_trains_stay(gradients: np.ndarray, tmp_path: Path) -> None:
    """Before its first save the run has no state yet."""
    np.save(tmp_path / "images.npy", gradients)
    with alone_in(tmp_path), pytest.raises(TrainingError, match="another process"):
        fit(gradients[1:], tmp_path, **OPTIONS)
    assert np.array_equal(np.load(tmp_path / "images.npy"), gradients)


def test_a_base_is_looked_at_before_anything_is_trained(gradients: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="phot"):
        fit(gradients, tmp_path / "run", base="phot", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_an_unknown_architecture_is_named_before_anything_is_written(pictures: Path, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="'cubic'"):
        fit(pictures, tmp_path / "run", network="cubic", **OPTIONS)
    assert not (tmp_path / "run").exists()


def test_an_architecture_that_only_codes_cannot_be_trained() -> None:
    architectures.register("fixed")(type("Fixed", (), {}))
    with pytest.raises(TrainingError, match=r"'fixed' .*trainable"):
        trainable(shape_of(1, "direct", "fixed"))


def test_a_class_that_cannot_code_is_named_before_the_hours(
    gradients: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = architectures.find("linear").outputs  # type: ignore[attr-defined]
    monkeypatch.setattr(architectures.find("linear"), "outputs", lambda *asked: code(*asked).astype(np.int64))
    with pytest.raises(ModelError, match=r"'linear' .*as direct .*int64"):
        fit(gradients, tmp_path / "run", network="linear", effort=1, roles=("direct",), hours=1, **OPTIONS)


def test_settings_that_there_are_not_are_named(gradients: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(TypeError, match=r"no epochs.*validate"):
        fit(gradients, tmp_path / "run", epochs=3)
    assert not (tmp_path / "run").exists()


def test_settings_that_make_no_run_leave_no_folder(gradients: np.ndarray, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="effort=4"):
        fit(gradients, tmp_path / "run", effort=4)
    assert not (tmp_path / "run").exists()


def test_a_model_that_cannot_be_read_is_not_written(
    gradients: np.ndarray, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(context_run, "export", lambda *_, **__: b"no model")
    with pytest.raises(ModelError, match=r"model\.safetensors: "):
        fit(gradients, tmp_path / "run", effort=1, roles=("direct",), hours=0.01, **OPTIONS)
    assert not (tmp_path / "run" / context_run.MODEL).exists()
