"""Archives by bits back: which images are the initial bits, that everything comes back, whose network decodes it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from ddpmcodec import archive
from ddpmcodec._native import MAX_LATENT_LEVEL
from ddpmcodec.archive import latents as bits_back
from ddpmcodec.archive.blocks import ContextCoder, EncodedRuns, Pixels
from ddpmcodec.archive.latents import Encoder, find_network, network_of, pop_images, push_images
from ddpmcodec.codec import efforts
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError, ModelError, TruncatedError
from ddpmcodec.format.block import LEVEL_UNIT, Block, BlockCoding, Entry
from ddpmcodec.models import registry
from ddpmcodec.paper import numerics
from ddpmcodec.paper.ans import Stack
from ddpmcodec.paper.denoisers import find_denoiser
from ddpmcodec.paper.gaussian_model import GaussianModel
from ddpmcodec.paper.paper_denoiser import PaperDenoiser
from ddpmcodec.paper.schedule import cosine
from ddpmcodec.paper.unet import UNet, UNetConfig
from pictures import create, crops, drawing, survivors, whole

pytestmark = pytest.mark.usefixtures("one_thread")

LEVELS = [2.0, 12.0, 90.0]
UNET = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)


def arrays(count: int, width: int = 8, height: int = 8) -> list[Pixels]:
    return [np.asarray(image) for image in crops(count, width, height).values()]


def context(levels: int = 0) -> ContextCoder:
    return ContextCoder(registry.default(64), efforts.Coding(effort=1, levels=levels))


def encoder_of(model: GaussianModel, levels: Any = LEVELS) -> Encoder:
    return bits_back.encoder(model, levels, None)


@pytest.fixture(scope="module")
def encoder(gaussian_model: GaussianModel) -> Encoder:
    return encoder_of(gaussian_model)


def block_of(images: list[Pixels], encoded: EncodedRuns) -> Block:
    entries = tuple(Entry(str(i), "RGB", a.shape[1], a.shape[0], i) for i, a in enumerate(images))
    coding = BlockCoding(1, 0, model_id=b"1234", latent_levels=(1024,), latent_id=b"5678")
    return Block(entries, len(images), coding, encoded.runs, words=len(encoded.streams[0]) // 4)


def comes_back(images: list[Pixels], encoder: Encoder) -> EncodedRuns:
    encoded, coder = encoder.encode_block(images, context())
    runs, fault = coder.decode(block_of(images, encoded), encoded.streams, range(len(encoded.runs)))
    found = [image for run in runs.values() for image in run]
    assert fault is None
    assert all(np.array_equal(a, b) for a, b in zip(found, images, strict=True))
    return encoded


# --- initial bits


@pytest.mark.parametrize("levels", [0, 2])
def test_a_stack_gives_back_what_was_pushed_on_it(levels: int) -> None:
    stack, first, second = Stack.empty(), np.stack(arrays(3)), np.stack(arrays(2, 5, 9))[..., :1]
    coder = context(levels)
    push_images(stack, first, coder)
    below = stack.to_words()
    push_images(stack, second, coder)
    assert np.array_equal(pop_images(stack, second.shape, coder), second)
    assert np.array_equal(stack.to_words(), below)
    assert np.array_equal(pop_images(stack, first.shape, coder), first)
    assert stack.is_empty()


@pytest.mark.parametrize("missing", [1, 20])
def test_a_stack_that_is_too_small_raises_and_stays(missing: int) -> None:
    stack = Stack.empty()
    push_images(stack, np.stack(arrays(3)), context())
    words = stack.to_words()[:-missing]
    short = Stack.from_words(words)
    with pytest.raises(TruncatedError, match="inside an image"):
        pop_images(short, (3, 8, 8, 3), context())
    assert np.array_equal(short.to_words(), words)


# --- what is coded how


def test_the_last_images_are_initial_bits_of_batches_that_grow(encoder: Encoder) -> None:
    """The last in decoding order are pushed first."""
    runs = comes_back(arrays(60), encoder).runs
    sizes = [run.images for run in runs if not run.initial][::-1]
    assert [initial for initial, _ in groupby(runs, lambda run: run.initial)] == [False, True]
    assert 1 <= 60 - sum(sizes) <= 4
    assert sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) > 8


def test_images_of_many_sizes_come_back(encoder: Encoder) -> None:
    comes_back([*arrays(1, 33, 20), *arrays(5), *arrays(5, 5, 9), *arrays(4, 1, 1)], encoder)


def test_images_that_say_nothing_come_back(encoder: Encoder) -> None:
    """They pay little for the latents that they take from the stack."""
    encoded = comes_back([*[np.zeros((8, 8, 3), np.uint8)] * 12, *arrays(8)], encoder)
    assert not all(run.initial for run in encoded.runs)


def test_a_batch_has_as_many_images_as_the_network_likes(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits_back, "RUN_PIXELS", 4 * 64)
    assert max(run.images for run in comes_back(arrays(24), encoder).runs) == 4


def test_a_batch_that_lacks_initial_bits_after_all_becomes_initial_bits(
    encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("ddpmcodec.paper.bits_back.initial_bits", lambda levels: 1.0)
    assert comes_back(arrays(10), encoder).runs[-1].initial


def test_damage_never_goes_unnoticed(encoder: Encoder) -> None:
    images, rng = arrays(12), np.random.default_rng(0)
    encoded, coder = encoder.encode_block(images, context())
    block = block_of(images, encoded)
    for bit in rng.integers(0, 8 * len(encoded.streams[0]), 6):
        damaged = bytearray(encoded.streams[0])
        damaged[bit // 8] ^= 1 << bit % 8
        runs, fault = coder.decode(block, [bytes(damaged)], range(len(block.runs)))
        assert fault or any(isinstance(run, FormatError) for run in runs.values())


def test_what_is_wanted_is_decoded_no_further(encoder: Encoder) -> None:
    images = arrays(30)
    encoded, coder = encoder.encode_block(images, context())
    block = block_of(images, encoded)
    runs, fault = coder.decode(block, [encoded.streams[0][: -(len(encoded.streams[0]) // 4)]], [0])
    assert fault is None
    assert np.array_equal(runs[0], np.stack(images[: block.runs[0].images]))


def test_a_stack_has_to_be_empty_at_its_end_and_whole(encoder: Encoder) -> None:
    images = arrays(6)
    encoded, coder = encoder.encode_block(images, context())
    block, (stream,) = block_of(images, encoded), encoded.streams
    numbers = range(len(block.runs))
    runs, fault = coder.decode(block, [stream + b"more"], numbers)
    assert str(fault).startswith("words follow")
    assert not any(isinstance(run, FormatError) for run in runs.values())
    cut = coder.decode(block, [stream[:-5]], numbers).runs
    short = coder.decode(replace(block, words=block.words - 2), [stream[:-8]], numbers).runs
    assert isinstance(cut[numbers[-1]], TruncatedError)
    assert "inside a block" in str(cut[numbers[-1]])
    assert isinstance(short[numbers[-1]], ChecksumError)
    assert "words of a block end" in str(short[numbers[-1]])


# --- whole archives


def test_an_archive_comes_back(gaussian_model: GaussianModel) -> None:
    pictures = crops(30) | {"drawing.png": drawing(), "grey.png": crops(1)["photo-000.png"].convert("L")}
    pictures["alpha.png"] = Image.merge("RGBA", [*pictures["photo-003.png"].split(), pictures["grey.png"]])
    reported: list[float] = []
    data = create(pictures, gaussian_model, bits_back=4, verify=False, progress=reported.append)
    facts = archive.describe(data)
    assert (len(facts["latent_levels"]), facts["latent_model_ids"]) == (4, [gaussian_model.id[:4].hex()])
    assert 20 < facts["images_by_bits_back"] < facts["images_on_stacks"] == 31
    assert sum(reported) == pytest.approx(31 * 64 + 64 + drawing().width ** 2)
    assert whole(pictures, archive.extract(data, model=gaussian_model))
    chosen = {"photo-007.png": pictures["photo-007.png"]}
    assert whole(chosen, archive.extract(data, list(chosen), model=gaussian_model))
    more = {"more.png": drawing()}
    assert whole(pictures | more, archive.extract(archive.join([data, archive.create(more)]), model=gaussian_model))


def test_of_few_images_the_context_model_codes_all(gaussian_model: GaussianModel) -> None:
    data = create(crops(1), gaussian_model, bits_back=4)
    assert data == create(crops(1), None)
    assert whole(crops(1), archive.extract(data))
    assert whole(crops(1), archive.extract(data, model=gaussian_model))


def test_a_context_model_is_for_the_initial_bits(model: Any, embedded: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[object] = []
    monkeypatch.setattr(bits_back, "find_network", lambda source: asked.append(source) or find_network(source))
    data = create(crops(20), model, bits_back=4)
    facts = archive.describe(data)
    assert (asked, facts["model_ids"], facts["images_by_bits_back"] > 0) == ([None], [model.id[:4].hex()], True)
    assert whole(crops(20), archive.extract(data, model=model))


@pytest.fixture(scope="module")
def archived(gaussian_model: GaussianModel) -> bytes:
    """An archive of twenty images."""
    return create(crops(20), gaussian_model, bits_back=4)


def test_damage_is_reported_by_name(archived: bytes, gaussian_model: GaussianModel) -> None:
    found, error = survivors(archived[:-20] + bytes(20), gaussian_model)
    assert 0 < len(found) < 20
    assert "images are lost (photo-0" in str(error)
    found, error = survivors(b"\0" + archived[1:], gaussian_model)
    assert len(found) == 20
    assert isinstance(error, ChecksumError)


# --- networks and levels


@pytest.mark.parametrize("levels", [4, [3.0], np.geomspace(1, 100, 7)], ids=["a number", "one", "an array"])
def test_levels_of_latents_are_a_choice(gaussian_model: GaussianModel, levels: Any) -> None:
    chosen = encoder_of(gaussian_model, levels)
    assert len(chosen.levels) == (levels if isinstance(levels, int) else len(levels))
    comes_back(arrays(8), chosen)


@pytest.mark.parametrize(("steps", "first"), [(2, 7.0), (16, 0.875), (32, 0.6), (1000, 0.6)])
def test_few_levels_begin_at_more_noise(gaussian_model: GaussianModel, steps: int, first: float) -> None:
    levels = find_network(gaussian_model).hierarchy(steps)
    assert (len(levels), levels[0].s, levels[-1].s) == (steps, pytest.approx(first, abs=1 / 1024), 400.0)


@pytest.mark.parametrize("levels", [[], [4.0, 3.0], [0.0001], 1, np.arange(1, 5000)], ids=str)
def test_levels_that_cannot_be_are_refused(gaussian_model: GaussianModel, levels: Any) -> None:
    with pytest.raises(DdpmError, match="noise levels"):
        create(crops(1), gaussian_model, bits_back=levels)


def test_levels_that_are_no_numbers_are_refused(gaussian_model: GaussianModel) -> None:
    with pytest.raises(TypeError, match=r"bits_back.*'many'"):
        create(crops(1), gaussian_model, bits_back="many")


def test_an_archive_of_another_model_is_refused(
    archived: bytes, gaussian_model: GaussianModel, make_tiny_gaussian: Callable[[int], Path]
) -> None:
    other = find_denoiser(make_tiny_gaussian(1))
    with pytest.raises(ModelError, match=other.id[:4].hex()):
        archive.extract(archived, model=other)
    with pytest.raises(ModelError, match=gaussian_model.id[:4].hex()):
        archive.extract(archived)


def test_a_gaussian_model_is_named_by_its_file(archived: bytes, tiny_gaussian: Path) -> None:
    assert create(crops(20), tiny_gaussian, bits_back=4, verify=False) == archived
    assert whole(crops(20), archive.extract(archived, model=str(tiny_gaussian)))


def paper(seed: int) -> PaperDenoiser:
    torch.manual_seed(seed)
    unet = UNet(UNET)
    torch.nn.init.normal_(unet.conv_out.weight, std=0.05)
    return PaperDenoiser(unet)


@pytest.fixture(scope="module")
def denoiser() -> PaperDenoiser:
    return paper(0)


@pytest.fixture(scope="module")
def profiled(denoiser: PaperDenoiser) -> bytes:
    return create(crops(9), denoiser, bits_back=6)


def coding_of(data: bytes) -> BlockCoding:
    coding = archive.read_index(data).blocks[0].coding
    assert coding is not None
    return coding


def test_the_papers_network_codes_under_a_profile(profiled: bytes, denoiser: PaperDenoiser) -> None:
    assert whole(crops(9), archive.extract(profiled, model=denoiser))
    facts = archive.describe(profiled)
    assert facts["images_by_bits_back"] > 0
    assert np.allclose(facts["latent_levels"], denoiser.levels[[0, 200, 400, 599, 799, 999]], rtol=1e-3)
    assert {"fingerprint", "network", "torch", "threads", "batch", "dtype", "processor"} == facts["profile"].keys()


def test_all_levels_of_the_papers_schedule_are_its_default(denoiser: PaperDenoiser) -> None:
    assert len(find_network(denoiser).hierarchy(None)) == 1000


def test_a_cosine_schedule_is_used_as_far_as_there_is_an_image_in_the_noise(denoiser: PaperDenoiser) -> None:
    network = find_network(PaperDenoiser(denoiser.unet, cosine(50)))
    for levels in (None, 4):
        hierarchy = network.hierarchy(levels)
        assert hierarchy[0].level == round(LEVEL_UNIT * float(cosine(50)[0]))
        assert 1000 < hierarchy[-1].s <= MAX_LATENT_LEVEL / LEVEL_UNIT
    cosine_network = PaperDenoiser(denoiser.unet, cosine(50))
    assert whole(crops(9), archive.extract(create(crops(9), cosine_network, bits_back=4), model=cosine_network))


def test_a_machine_that_computes_otherwise_is_refused(
    profiled: bytes, denoiser: PaperDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = numerics.describe()
    monkeypatch.setattr(numerics, "describe", lambda: {**here, "torch": "9.9"})
    assert whole(crops(9), archive.extract(profiled, model=denoiser))
    monkeypatch.setattr(numerics, "fingerprint", lambda *arguments: "0" * 64)
    with pytest.raises(ModelError, match=f"{re.escape(torch.__version__)}.* 9\\.9"):
        archive.extract(profiled, model=denoiser)


def test_another_network_of_the_paper_is_refused(profiled: bytes, gaussian_model: GaussianModel) -> None:
    expected = coding_of(profiled).latent_id.hex()
    with pytest.raises(ModelError, match=f"{expected}.*given model"):
        archive.extract(profiled, model=paper(1))
    for nothing in (None, gaussian_model):
        with pytest.raises(ModelError, match="checkpoint"):
            archive.extract(profiled, model=nothing)


@pytest.mark.parametrize("change", [{"threads": "two"}, {"fingerprint": 5}, {"threads": 2}, {"batch": 0}], ids=str)
def test_a_profile_that_says_nonsense_is_refused(
    profiled: bytes, denoiser: PaperDenoiser, change: dict[str, Any]
) -> None:
    coding = coding_of(profiled)
    changed = replace(coding, profile={**coding.profile, **change})
    with pytest.raises(FormatError, match="numerics profile"):
        network_of(changed.latent_id, changed.profile, denoiser)
