"""Archives: everything that goes in comes out, at no more bytes than needed, and damage costs what it hits."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from ddpmcodec import archive, archive_block, archive_format, codec, models
from ddpmcodec.ans.stack import Stack
from ddpmcodec.archive_block import Coder, decode_block, encode_block, pop_bytes, push_bytes
from ddpmcodec.archive_format import Archive, Entry, Index, Run, assemble, check_name, describe, split
from ddpmcodec.archive_network import find_network
from ddpmcodec.channels import bits_back
from ddpmcodec.container import pack_varint, parse_header
from ddpmcodec.errors import ChecksumError, DdpmError, FormatError, ImageError, ModelError, TruncatedError
from ddpmcodec.networks import load_model, profile
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.model import Model
from ddpmcodec.networks.unet import UNet, UNetConfig

PHOTO = Path(__file__).parents[1] / "docs" / "photo.png"
LEVELS = [2.0, 12.0, 90.0]
MODES = ("1", "L", "LA", "RGB", "RGBA")
UNET = UNetConfig(channels=8, multipliers=(1, 2), attention=(1,), blocks=1, groups=4)
Pictures = dict[str, Image.Image]

pytestmark = pytest.mark.usefixtures("one_thread")


def crops(count: int, width: int = 8, height: int = 8) -> Pictures:
    """Pieces of a photograph by name."""
    photo, rng = Image.open(PHOTO), np.random.default_rng(count)
    corners = zip(rng.integers(0, 384 - width, count), rng.integers(0, 256 - height, count), strict=True)
    return {f"photo-{i:03}.png": photo.crop((x, y, x + width, y + height)) for i, (x, y) in enumerate(corners)}


def mixed() -> Pictures:
    """Every mode, several sizes, metadata, and enough images for bits back."""
    small = crops(14)
    for mode, image in zip(MODES, crops(5, 9, 5).values(), strict=True):
        small[f"modes/{mode}"] = image.convert(mode, dither=Image.Dither.NONE)
    small["modes/RGBA"].putalpha(small["modes/L"])
    small["modes/RGBA"].info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of one")
    small["modes/L"].info.update(icc_profile=b"a grey profile")
    small["photo-003.png"].info.update(icc_profile=b"a profile", exif=b"Exif\0\0MM of another")
    small["tall.png"] = crops(1, 3, 17)["photo-000.png"]
    return small


def create(pictures: Pictures, model: Any, levels: Sequence[float] | None = LEVELS, **options: Any) -> bytes:
    return archive.create(pictures.items(), levels=levels, model=model, effort=1, **options)


def same(found: Image.Image, expected: Image.Image) -> bool:
    facts = [(image.mode, image.info.get("icc_profile"), image.info.get("exif")) for image in (found, expected)]
    return facts[0] == facts[1] and np.array_equal(np.asarray(found), np.asarray(expected))


def whole(pictures: Pictures, found: Iterable[tuple[str, Image.Image]]) -> bool:
    decoded = dict(found)
    return decoded.keys() == pictures.keys() and all(same(decoded[name], pictures[name]) for name in pictures)


def survivors(data: bytes, model: Model) -> tuple[Pictures, str]:
    """What comes out of a damaged archive, and what is said of the rest."""
    found: Pictures = {}
    try:
        for name, image in archive.extract(data, model=model):
            found[name] = image
    except FormatError as error:
        return found, str(error)
    return found, ""


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return mixed()


Levels = Sequence[float] | None


@pytest.fixture(scope="module", params=[LEVELS, None], ids=["bits back", "uniform channel"])
def levels(request: pytest.FixtureRequest) -> Levels:
    chosen: Levels = request.param
    return chosen


@pytest.fixture(scope="module")
def data(pictures: Pictures, model: Model, levels: Levels) -> bytes:
    """Of both channels."""
    return create(pictures, model, levels)


# --- there and back


def test_everything_comes_back(pictures: Pictures, data: bytes, model: Model) -> None:
    assert whole(pictures, archive.extract(data, model=model))
    assert archive.names(data) == list(pictures)
    assert archive.test(data, model=model) == len(pictures)


def test_the_same_images_give_the_same_bytes(pictures: Pictures, data: bytes, model: Model, levels: Levels) -> None:
    assert create(pictures, model, levels, verify=False) == data


def test_threads_change_nothing(
    pictures: Pictures, data: bytes, model: Model, levels: Levels, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)  # batches go through the network in three pieces
    assert create(pictures, model, levels, verify=False) == data


def test_arrays_are_images_too(model: Model) -> None:
    pixels = {name: np.asarray(image) for name, image in crops(9).items()}
    found = archive.extract(archive.create(pixels.items(), levels=LEVELS, model=model), model=model)
    assert all(np.array_equal(np.asarray(image), pixels[name]) for name, image in found)


def test_one_archive_takes_less_than_a_file_for_every_image(model: Model) -> None:
    pictures = crops(40)
    files = codec.encode_many(pictures.values(), effort=1, model=model, verify=False)
    assert len(create(pictures, model, None)) < sum(map(len, files)) - 12 * len(pictures)


@pytest.mark.usefixtures("embedded")
def test_embedded_models_code_what_they_are_for() -> None:
    """Thumbnails share a stack of one model; photographs are files of the other."""
    pictures = crops(3) | {"large.png": crops(1, 65, 64)["photo-000.png"]}
    found = archive.create(pictures.items(), effort=1)
    index, sections = split(found).index, split(found).sections
    assert [entry.stacked for entry in index.entries] == [True, True, True, False]
    assert index.model_id == models.ids()[models.DEFAULT][:4]
    assert parse_header(sections[-1])[0].model_id == models.ids()[models.PHOTO][:4]
    assert whole(pictures, archive.extract(found))


def test_metadata_is_left_out_on_demand(pictures: Pictures, model: Model) -> None:
    found = dict(archive.extract(create(pictures, model, strip=True), model=model))
    assert not any("icc_profile" in image.info or "exif" in image.info for image in found.values())


def test_equal_metadata_is_kept_once(model: Model) -> None:
    icc = np.random.default_rng(0).bytes(5000)
    plain, named = crops(12), crops(12)
    for image in named.values():
        image.info["icc_profile"] = icc
    more = len(create(named, model)) - len(create(plain, model))
    assert 5000 < more < 5100


def test_images_come_by_name(pictures: Pictures, data: bytes, model: Model) -> None:
    chosen = ["tall.png", "modes/L", "photo-011.png"]
    assert whole({name: pictures[name] for name in chosen}, archive.extract(data, chosen, model=model))


def test_a_name_that_is_not_there_is_told(data: bytes, model: Model) -> None:
    with pytest.raises(DdpmError, match="there is no image 'nobody' in the archive"):
        archive.extract(data, ["tall.png", "nobody"], model=model)


@pytest.mark.parametrize("levels", [4, [3.0], np.geomspace(1, 100, 7)], ids=["a number", "one", "an array"])
def test_levels_are_a_choice(model: Model, levels: Any) -> None:
    pictures = crops(8)
    found = archive.create(pictures.items(), levels=levels, model=model)
    assert len(archive.read_index(found).levels) == (levels if isinstance(levels, int) else len(levels))
    assert whole(pictures, archive.extract(found, model=model))


@pytest.mark.parametrize(("steps", "first"), [(2, 11.0), (16, 1.375), (32, 0.7), (1000, 0.7)])
def test_few_steps_begin_at_more_noise(model: Model, steps: int, first: float) -> None:
    chain = find_network(model).chain(steps)
    assert (len(chain), chain[0].s, chain[-1].s) == (steps, pytest.approx(first, abs=1 / 1024), 400.0)


@pytest.mark.parametrize("levels", [[], [4.0, 3.0], [0.0001], 1, np.arange(1, 5000)])
def test_levels_that_cannot_be_are_refused(model: Model, levels: Any) -> None:
    with pytest.raises(DdpmError, match="these noise levels cannot be: "):
        archive.create(crops(1).items(), levels=levels, model=model)


def test_the_work_is_told_in_pixels(model: Model) -> None:
    told: list[float] = []
    pictures = crops(12)
    create(pictures, model, verify=False, progress=told.append)
    assert sum(told) == pytest.approx(64 * len(pictures))


def test_the_embedded_model_is_the_default() -> None:
    pictures = crops(6, 4, 4)
    found = archive.create(pictures.items(), levels=2)
    assert archive.read_index(found).model_id == load_model().id[:4]
    assert whole(pictures, archive.extract(found))


# --- what is coded how


def runs(data: bytes) -> list[list[Run]]:
    return [list(block.runs) for block in archive.read_index(data).blocks]


def test_the_first_images_lend_their_bits_to_batches_that_grow(model: Model) -> None:
    found = create(crops(60), model)
    ((*order,),) = runs(found)
    files = [run for run in order if run.file_bytes]
    sizes = [run.images for run in order if not run.file_bytes]
    assert order[: len(files)] == files
    assert 1 <= len(files) <= 3
    assert sizes[:-1] == sorted(sizes[:-1])
    assert max(sizes) > 8
    assert sum(sizes) + len(files) == 60


def test_a_batch_has_as_many_images_as_the_format_lets_a_decoder_expect(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive_block, "MAX_BATCH_PIXELS", 4 * 64)
    assert max(run.images for run in runs(create(crops(40), model))[0]) == 4


@pytest.mark.parametrize("count", [1, 2])
def test_few_images_are_the_files_that_they_would_be_alone(model: Model, count: int) -> None:
    pictures = crops(count)
    alone = sum(len(codec.encode(image, effort=1, model=model)) for image in pictures.values())
    found = create(pictures, model)
    assert not archive.read_index(found).blocks
    assert alone < len(found) <= alone + 75
    assert whole(pictures, archive.extract(found, model=model))


def test_images_that_say_nothing_come_back(model: Model) -> None:
    """They pay little for the latents that they are lent."""
    pictures = {f"{i}.png": Image.new("RGB", (8, 8)) for i in range(12)}
    found = create(pictures, model)
    assert any(not run.file_bytes for order in runs(found) for run in order)
    assert whole(pictures, archive.extract(found, model=model))


def test_large_images_and_grey_ones_are_files_of_their_own(model: Model) -> None:
    pictures = crops(8) | {"large.png": crops(1, 300, 220)["photo-000.png"]}
    pictures["grey.png"] = pictures["photo-001.png"].convert("L")
    found = create(pictures, model)
    cut = split(found)
    files = {entry.name: section for entry, section in zip(cut.index.entries, cut.sections, strict=True) if section}
    assert files.keys() == {"large.png", "grey.png"}
    assert all(same(codec.decode(file, model=model), pictures[name]) for name, file in files.items())
    assert whole(pictures, archive.extract(found, model=model))


def test_blocks_are_independent(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK_IMAGES", 9)
    pictures = crops(20)
    found, told = create(pictures, model), list[float]()
    assert [block.images for block in archive.read_index(found).blocks] == [9, 9]
    assert whole(pictures, archive.extract(found, model=model))
    assert len(list(archive.extract(found, ["photo-010.png"], model=model, progress=told.append))) == 1
    assert sum(told) <= 9 * 64.001


def test_everything_but_the_stack_takes_few_bytes(model: Model) -> None:
    found = create(crops(60), model)
    words = sum(block.words for block in archive.read_index(found).blocks)
    assert len(found) - 4 * words < 60 * 5  # names and checks of 8 x 8 pixels, and an index


def test_bytes_cost_what_they_are() -> None:
    stack, content = Stack.empty(), np.random.default_rng(0).bytes(1001)
    push_bytes(stack, content)
    assert stack.bits() == pytest.approx(8 * 1002, abs=1)
    assert pop_bytes(stack, 1001) == content
    assert stack.is_empty()
    with pytest.raises(TruncatedError, match="the stack ends before a file of 100 bytes"):
        pop_bytes(stack, 100)


def test_a_batch_that_cannot_be_lent_to_after_all_becomes_files(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bits_back, "bits_lent", lambda chain: 1.0)
    pictures = crops(10)
    found = create(pictures, model)
    assert runs(found)[0][0].file_bytes
    assert whole(pictures, archive.extract(found, model=model))


# --- bad input


def test_no_images_are_no_archive(model: Model) -> None:
    with pytest.raises(ImageError, match="there is no image to put into the archive"):
        create({}, model)


def test_names_are_taken_once(model: Model) -> None:
    image = crops(1)["photo-000.png"]
    with pytest.raises(ImageError, match=r"a\.png: there is an image of this name already"):
        archive.create([("a.png", image), ("a.png", image)], levels=LEVELS, model=model)


PATHS = ["", "/etc/passwd", "../up.png", "a/../../up.png", "a//b", "a/.", "C:/x.png", "c:x.png"]
HOSTILE = [*PATHS, "a\\b.png", "a\0b", "a\nb"]


@pytest.mark.parametrize("name", HOSTILE)
def test_names_that_lead_out_of_a_folder_are_refused(data: bytes, model: Model, name: str) -> None:
    with pytest.raises(ImageError, match="cannot be the name of an image in an archive"):
        create({name: crops(1)["photo-000.png"]}, model)
    with pytest.raises(FormatError, match="it is not extracted"):
        archive.extract(renamed(data, name), model=model)


def renamed(data: bytes, name: str) -> bytes:
    """The archive of a writer that does not care what it calls its last image."""
    cut = split(data)
    *others, last = cut.index.entries
    index = Index(**{**vars(cut.index), "entries": (*others, Entry(**{**vars(last), "name": name}))})
    return assemble(index, cut.values, cut.sections, cut.stacks)


@pytest.mark.parametrize("name", ["a.png", "a/b.png", "ä b/日本.jpg", "..png", "a..b", "-", "10:30", ".hidden"])
def test_other_names_are_good(name: str) -> None:
    assert check_name(name) is None


def test_what_cannot_be_coded_is_refused(model: Model) -> None:
    with pytest.raises(ImageError, match="8 bits"):
        create({"deep.png": Image.new("I", (4, 4))}, model)


def test_a_result_that_does_not_decode_is_not_returned(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    encode = bits_back.encode
    monkeypatch.setattr(bits_back, "encode", lambda stack, pixels, *rest: encode(stack, pixels ^ 1, *rest))
    with pytest.raises(ChecksumError, match="a block does not decode to what was encoded"):
        create(crops(10), model)
    assert create(crops(10), model, verify=False)


# --- damage


@pytest.fixture(scope="module")
def small(model: Model) -> tuple[Pictures, bytes]:
    """Twelve images on a stack, one of them with alpha, and a grey one beside it."""
    pictures = crops(12, 6, 6)
    pictures["alpha.png"] = pictures["photo-005.png"].copy()
    pictures["alpha.png"].putalpha(77)
    pictures["alpha.png"].info["icc_profile"] = b"a profile"
    pictures["grey.png"] = pictures["photo-001.png"].convert("L")
    return pictures, create(pictures, model)


def account(pictures: Pictures, data: bytes, model: Model) -> tuple[Pictures, str]:
    """What survives, which must be right; what is lost must be told by name."""
    found, said = survivors(data, model)
    assert all(same(image, pictures[name]) for name, image in found.items())
    lost = pictures.keys() - found.keys()
    assert all(name in said for name in lost) or not found
    return found, said


def test_every_flipped_bit_is_found_and_what_it_does_not_hit_survives(
    small: tuple[Pictures, bytes], model: Model
) -> None:
    pictures, data = small
    index_end = len(data) - sum(map(len, (*split(data).values, *split(data).sections, *split(data).stacks)))
    saved = []
    for place in range(index_end, len(data), 29):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        found, said = account(pictures, bytes(damaged), model)
        saved.append(len(found))
        assert said, f"nobody noticed byte {place}"
    assert max(saved) == len(pictures) - 1
    assert min(saved) >= 1


def test_every_bit_of_header_and_index_is_checked(small: tuple[Pictures, bytes], model: Model) -> None:
    _, data = small
    end = len(data) - sum(map(len, (*split(data).values, *split(data).sections, *split(data).stacks)))
    for place in range(end):
        damaged = bytearray(data)
        damaged[place] ^= 1 << place % 8
        with pytest.raises(FormatError):
            split(bytes(damaged))


def test_every_prefix_is_an_error_that_tells_what_is_lost(small: tuple[Pictures, bytes], model: Model) -> None:
    pictures, data = small
    counts = []
    for size in range(0, len(data), 29):
        found, said = account(pictures, data[:size], model)
        counts.append(len(found))
        assert said
    assert counts == sorted(counts)
    assert len(set(counts)) > 3  # an image here, an image there


def test_a_cut_archive_is_a_truncated_one(small: tuple[Pictures, bytes], model: Model) -> None:
    _, data = small
    with pytest.raises(TruncatedError, match=r"\d+ of 14 images are lost \(photo-0.*\): "):
        archive.test(data[:-20], model=model)
    assert len(archive.names(data[:-20])) == 14


def test_damage_stays_in_its_block(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "BLOCK_IMAGES", 9)
    pictures = crops(18)
    data = bytearray(create(pictures, model))
    data[-30] ^= 4
    found, said = account(pictures, bytes(data), model)
    assert set(list(pictures)[:9]) <= found.keys()
    assert "photo-009" in said or "photo-01" in said


@pytest.mark.parametrize("junk", [b"\0", b"more"])
def test_bytes_after_the_end_are_refused(data: bytes, model: Model, junk: bytes) -> None:
    with pytest.raises(FormatError, match=f"{len(junk)} bytes follow the end of the archive"):
        archive.extract(data + junk, model=model)


def test_other_files_are_no_archives(model: Model) -> None:
    with pytest.raises(FormatError, match="not an archive: it starts with dd 50 0d 0a, not dd 41 0d 0a"):
        archive.names(codec.encode(Image.new("L", (2, 2)), effort=1, model=model))
    with pytest.raises(TruncatedError, match="the data ends inside the header"):
        archive.names(b"")
    with pytest.raises(FormatError, match="archive version 9"):
        archive.names(b"\xddA\r\n\x09" + bytes(40))


edits = st.lists(st.tuples(st.floats(0, 1), st.binary(max_size=5), st.integers(0, 9)), min_size=1, max_size=3)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(changes=edits)
def test_only_errors_of_the_project_escape(
    small: tuple[Pictures, bytes], model: Model, changes: list[tuple[float, bytes, int]]
) -> None:
    pictures, data = small
    for where, new, gone in changes:
        place = int(where * len(data))
        data = data[:place] + new + data[place + gone :]
    account(pictures, data, model)


@settings(max_examples=150)
@given(content=st.binary(max_size=120))
def test_any_index_is_read_or_refused(content: bytes) -> None:
    try:
        found = archive_format._parse_index(archive_format._IndexReader(content), b"1234")
    except (TruncatedError, ValueError, LookupError, RecursionError, FormatError):
        return
    assert isinstance(found, Index)


def test_an_index_that_contradicts_itself_is_refused() -> None:
    entry = Entry("a", "RGB", 4, 4, stacked=True)
    for index, problem in [
        (Index(b"1234", (5,), entries=(entry,)), "the blocks do not hold as many images"),
        (Index(b"1234", (5, 5), entries=()), "the noise levels do not increase"),
        (Index(b"1234", entries=(Entry("a", "L", 1, 1), Entry("a", "L", 1, 1))), "two images have one name"),
        (Index(b"1234", entries=(Entry("a", "L", 0, 1),)), "a is 0 x 1 L"),
        (Index(b"1234", entries=(Entry("a", "L", 1 << 16, 1 << 16),)), "a is 65536 x 65536 L"),
        (Index(b"1234", entries=(Entry("a", "RGB", 300, 300, stacked=True),)), "a is 300 x 300 RGB"),
        (Index(b"1234", entries=(Entry("a", "L", 2, 2, stacked=True),)), "a is 2 x 2 L"),
        (Index(b"1234", entries=(Entry("a", "RGB", 2, 2, stacked=True, icc=1),)), "metadata that is not there"),
    ]:
        with pytest.raises(FormatError, match=problem):
            split(assemble(index, [], [b""] * len(index.entries), []))


def test_claims_are_checked_before_anything_is_allocated() -> None:
    """Some kilobytes that claim what would take gigabytes."""
    for numbers, problem in [
        ([0, 1 << 22], "4194304 numbers where 4096 are the most"),
        ([0, 0, 1 << 22], "4194304 numbers where 2097152"),
        ([0, 0, 0, 1 << 22], "4194304 numbers where 1048576"),
        ([0, 0, 0, 0, 1 << 22], "4194304 numbers where 0"),
        ([0, 0, 0, 1 << 20], "the data ends"),
    ]:
        packed = b"".join(map(pack_varint, numbers)) + bytes(1 << 16)
        with pytest.raises((ValueError, FormatError), match=problem):
            archive_format._parse_index(archive_format._IndexReader(packed), b"1234")


def test_an_archive_takes_so_many_images_and_no_more(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(archive, "MAX_IMAGES", 2)
    with pytest.raises(ImageError, match=r"photo-002\.png: an archive holds 2 images at most"):
        create(crops(3), model)


@pytest.mark.parametrize(("run", "rest"), [(Run(0), (Run(2), Run(1))), (Run(2, 5), (Run(1),)), (Run(3), ())])
def test_runs_that_cannot_be_are_refused(run: Run, rest: tuple[Run, ...]) -> None:
    entries = (Entry("a", "RGB", 4, 4, True), Entry("b", "RGB", 4, 4, True), Entry("c", "RGB", 5, 4, True))
    index = Index(b"1234", (5,), entries=entries, blocks=(archive_format.Block((run, *rest), 3),))
    with pytest.raises(FormatError, match=f"a run of {run.images} images and {run.file_bytes} bytes"):
        split(assemble(index, [], [b""] * 3, [bytes(12)]))


# --- the format


def test_the_index_comes_back() -> None:
    index = Index(
        b"abcd",
        (700, 900, 5000, 5001),
        {"threads": 1, "torch": "2"},
        (3, 1),
        (
            Entry("a/b.png", "RGBA", 40, 3, True, 2, 65535, 1, 2),
            Entry("a/é.png", "L", 7, 7, length=5),
            Entry("z", "RGB", 40, 3, True),
        ),
        (archive_format.Block((Run(1, 99), Run(1)), 2),),
    )
    data = assemble(index, [b"icc", b"e"], [b"al", b"afile", b""], [bytes(8)])
    assert split(data) == Archive(index, (b"icc", b"e"), (b"al", b"afile", b""), (bytes(8),), 0)
    assert split(data[:-9]).missing == 9


names = st.text(min_size=1, max_size=8).filter(lambda name: check_name(name) is None)
sides = st.integers(1, 1 << 14)
whole_entries = st.builds(Entry, names, st.sampled_from(MODES), sides, sides, length=st.integers(0, 300))


@settings(max_examples=40)
@given(st.lists(whole_entries, unique_by=lambda e: e.name), st.lists(st.integers(1, 1 << 26), unique=True).map(sorted))
def test_any_list_of_images_and_levels_comes_back(entries: list[Entry], levels: list[int]) -> None:
    index = Index(b"abcd", tuple(levels), entries=tuple(entries))
    sections = tuple(bytes([i % 256]) * entry.length for i, entry in enumerate(entries))
    assert split(assemble(index, [], sections, [])) == Archive(index, (), sections, (), 0)


def test_the_header_is_what_it_was() -> None:
    written = "dd 41 0d 0a 01 01 02 03 04 0f d5 fb 47 72 63 60 e4 62 60 64 60 64 62 61 60 60 4c 04 00 66 69 6c 65"
    entry = Entry("a", "L", 1, 2, length=4)
    assert split(bytes.fromhex(written)) == Archive(Index(b"\1\2\3\4", (5,), entries=(entry,)), (), (b"file",), (), 0)


def test_names_that_are_alike_cost_little() -> None:
    entries = tuple(Entry(f"cifar10/test/{i:05}.png", "RGB", 32, 32, True) for i in range(500))
    index = Index(b"1234", (9,), entries=entries, blocks=(archive_format.Block((Run(64),) * 7 + (Run(52),), 0),))
    assert len(assemble(index, [], [b""] * 500, [b""])) < 500


def test_the_index_is_read_without_pytorch() -> None:
    code = "import sys, ddpmcodec.archive_format; print({'torch', 'numba'} & sys.modules.keys())"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"


def test_facts_are_told_without_decoding(data: bytes, pictures: Pictures, model: Model, levels: Levels) -> None:
    facts = describe(data)
    assert [image["name"] for image in facts["images"]] == list(pictures)
    assert facts["images"][-1] == {"name": "tall.png", "mode": "RGB", "width": 3, "height": 17}
    assert facts["model_id"] == model.id[:4].hex()
    assert (facts["levels"], facts["effort"]) == ((levels, None) if levels else ([], 1))
    assert facts["profile"] is None
    assert facts["images_on_stacks"] == len(pictures) - 3  # three are grey
    assert (facts["images_by_bits_back"] > 0) == (levels is not None)
    assert (facts["bytes"], facts["missing_bytes"]) == (len(data), 0)
    assert 0 < facts["index_bytes"] < 300


# --- models


def test_an_archive_of_another_model_is_refused(data: bytes, make_tiny_model: Callable[[int], Path]) -> None:
    other = load_model(make_tiny_model(1))
    with pytest.raises(ModelError, match=rf"and the given model is {other.id[:4].hex()}: decode with the model"):
        archive.extract(data, model=other)
    with pytest.raises(ModelError, match="the file was written with model"):
        archive.extract(data)


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
    return archive.create(crops(7).items(), levels=6, model=denoiser, effort=1)


def test_the_papers_network_codes_under_a_profile(profiled: bytes, denoiser: PaperDenoiser) -> None:
    assert whole(crops(7), archive.extract(profiled, model=denoiser))
    facts = describe(profiled)
    assert facts["images_by_bits_back"] > 0
    assert np.allclose(facts["levels"], denoiser.levels[[0, 200, 400, 599, 799, 999]], rtol=1e-3)
    assert {"fingerprint", "network", "torch", "threads", "batch", "dtype", "processor"} == facts["profile"].keys()


def test_an_archive_without_a_stack_needs_the_model_of_its_files_alone(denoiser: PaperDenoiser) -> None:
    pictures = crops(2, 4, 4)
    found = archive.create(pictures.items(), levels=6, model=denoiser, effort=1)
    assert archive.read_index(found).model_id == load_model().id[:4]
    assert whole(pictures, archive.extract(found))
    assert whole(pictures, archive.extract(found, model=denoiser))


def test_all_levels_of_the_papers_schedule_are_its_default(denoiser: PaperDenoiser) -> None:
    assert len(find_network(denoiser).chain(None)) == 1000


def test_a_machine_that_computes_otherwise_is_refused(
    profiled: bytes, denoiser: PaperDenoiser, monkeypatch: pytest.MonkeyPatch
) -> None:
    describe_here = profile.NumericsProfile.describe
    monkeypatch.setattr(profile.NumericsProfile, "describe", lambda self: {**describe_here(self), "torch": "9.9"})
    assert whole(crops(7), archive.extract(profiled, model=denoiser))
    monkeypatch.setattr(profile.NumericsProfile, "fingerprint", lambda *arguments: "0" * 64)
    with pytest.raises(
        ModelError, match=f"torch was {re.escape(torch.__version__)}, and is 9.9: decode on the machine"
    ):
        archive.extract(profiled, model=denoiser)


def test_another_network_of_the_paper_is_refused(profiled: bytes, denoiser: PaperDenoiser, model: Model) -> None:
    with pytest.raises(ModelError, match=f"was written with model {denoiser.id[:4].hex()}, and the given model is"):
        archive.extract(profiled, model=paper(1))
    for nothing in (None, model):
        with pytest.raises(ModelError, match="the archive was written with a checkpoint of the paper's network"):
            archive.extract(profiled, model=nothing)


def test_a_profile_that_says_nonsense_is_refused(profiled: bytes, denoiser: PaperDenoiser) -> None:
    cut = split(profiled)
    for change in ({"threads": "two"}, {"fingerprint": 5}, {"batch": 0}):
        index = Index(**{**vars(cut.index), "profile": {**cut.index.profile, **change}})
        with pytest.raises(FormatError, match="numerics profile"):
            archive.extract(assemble(index, cut.values, cut.sections, cut.stacks), model=denoiser)


# --- one block


def test_a_block_checks_all_its_pixels_at_the_end(model: Model) -> None:
    images = [np.asarray(image) for image in crops(8).values()]
    network = find_network(model)
    coder = Coder(network.predictor, network.chain(LEVELS), model, 1)
    order, words = encode_block(images, coder)
    sizes = [(8, 8)] * len(images)
    decoded = [image for run in decode_block(words, order, sizes, coder) for image in run[::-1]]
    assert all(np.array_equal(a, b) for a, b in zip(decoded[::-1], images, strict=True))
    below = words.copy()
    stack = Stack.from_words(below)
    stack.push_uniform(np.zeros(2, np.uint16), 16)
    with pytest.raises(FormatError):
        list(decode_block(stack.to_words(), order, sizes, coder))
