"""From networks to a model file, and what adaptation begins with."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec.channels import progressive
from ddpmcodec.coding_schedule import SCHEDULES
from ddpmcodec.errors import ModelError
from ddpmcodec.networks.context import adaptation
from ddpmcodec.networks.context.model import ContextModel
from ddpmcodec.networks.context.model_file import layout, parse
from ddpmcodec.networks.context.shape import BAND_KINDS, SHAPE
from ddpmcodec.networks.model_file import described
from ddpmcodec.networks.reconstruction import Denoiser
from ddpmcodec.training.context import LatentContext
from ddpmcodec.training.context_export import export, learned_initial, tensors_of, with_denoiser
from ddpmcodec.transform.color import to_ycocg


def photo(left: int, top: int, side: int = 48) -> np.ndarray:
    with Image.open(Path(__file__).parents[2] / "docs" / "photo.png") as image:
        return np.asarray(image.convert("RGB"))[top : top + side, left : left + side]


@pytest.fixture(scope="module")
def networks() -> list[LatentContext]:
    torch.manual_seed(0)
    found = [LatentContext(SHAPE) for _ in range(BAND_KINDS)]
    for network in found:
        torch.nn.init.normal_(network.weights["leave"], std=0.002)
        network.biases["leave"].data[:, 3:6] = 5.0  # scales of about 2.3
    return found


def bits_of(pixels: np.ndarray, model: ContextModel) -> float:
    symbols = progressive.encode(to_ycocg(pixels[None]), model, SCHEDULES["long"], np.zeros(1, int), adapts=True)
    return float((24 - np.log2(symbols[0].freqs)).sum())


def test_a_model_that_has_seen_no_image_has_every_tensor(networks: list[LatentContext]) -> None:
    found = tensors_of(networks)
    assert {key: (value.dtype, value.shape) for key, value in found.items()} == layout(SHAPE)
    assert not found["adaptation"].any()


def test_an_exported_model_has_its_name_and_facts(networks: list[LatentContext]) -> None:
    data = export(networks, [photo(30, 40, 24)], "mine", training={"images": 1})
    model = parse(data, "mine")
    assert (model.name, model.denoiser) == ("mine", {})
    assert described(data, "mine")["training"] == {"images": 1}
    assert model.initial.any()
    assert export(networks, [photo(30, 40, 24)], "mine", training={"images": 1}) == data


def test_what_images_teach_helps_with_the_next_one(networks: list[LatentContext]) -> None:
    data = export(networks, [], "empty")
    model = parse(data, "empty")
    assert not model.initial.any()
    initial = learned_initial(model, [photo(30, 40), photo(200, 60)])
    taught = ContextModel(model.name, model.id, model.networks, initial)
    assert bits_of(photo(120, 100), taught) < 0.98 * bits_of(photo(120, 100), model)
    limit = np.iinfo(np.int32).max >> 2
    assert np.abs(initial).max() <= limit
    assert initial.shape == adaptation.no_initial().shape


def test_every_schedule_teaches_its_own_steps(networks: list[LatentContext]) -> None:
    model = parse(export(networks, [], "empty"), "empty")
    initial = learned_initial(model, [photo(30, 40)])
    for schedule in SCHEDULES.values():
        for step in schedule:
            assert initial[adaptation.kind_of(step.number, max(step.finest, 3))].any()


def test_a_denoiser_can_be_put_into_a_model(networks: list[LatentContext]) -> None:
    data = export(networks, [], "mine", training={"hours": 2})
    tensors = {key: value.numpy() for key, value in Denoiser().state_dict().items()}
    with_one = with_denoiser(data, tensors, "mine")
    model = parse(with_one, "mine")
    assert model.denoiser.keys() == tensors.keys()
    assert model.name == "mine"
    assert described(with_one, "mine")["training"] == {"hours": 2}
    assert with_denoiser(with_one, {}, "mine") == data
    assert export(networks, [], "mine", denoiser=tensors, training={"hours": 2}) == with_one


def test_a_denoiser_is_put_into_models_only() -> None:
    with pytest.raises(ModelError, match="some file: not a ddpmcodec model"):
        with_denoiser(b"no model", {}, "some file")
