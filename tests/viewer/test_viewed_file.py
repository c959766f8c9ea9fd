"""What the page shows of a file."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from written_files import assemble
from written_headers import Header
from written_tiles import plan_index

from ddpmcodec import codec
from ddpmcodec.errors import ImageError, ModelError
from ddpmcodec.viewer import viewed_file
from ddpmcodec.viewer.viewed_file import POSITIONS, Stripe, ViewedFile, slider_sizes


def ignore(pixels: float) -> None:
    pass


@pytest.fixture(scope="module")
def file(coded: bytes) -> ViewedFile:
    """Decoded whole."""
    made = ViewedFile("photo.ddpm", coded)
    made.decode_whole(ignore)
    return made


@pytest.mark.parametrize(("first", "last"), [(17, 17), (17, 18), (17, 90), (17, 10**9), (300, 5000)])
def test_the_slider_grows_from_the_header_to_the_whole_file(first: int, last: int) -> None:
    sizes = slider_sizes(first, last)
    assert (sizes[0], sizes[-1]) == (first, last)
    assert sizes == sorted(set(sizes))
    assert len(sizes) <= POSITIONS


def test_stripes_are_the_steps_and_bands_of_the_schedule_and_leave_no_gap(file: ViewedFile, coded: bytes) -> None:
    facts, stripes = codec.info(coded), file.stripes
    assert stripes[0].start == facts["header_bytes"]
    assert stripes[-1].end == len(coded)
    assert [stripe.end for stripe in stripes[:-1]] == [stripe.start for stripe in stripes[1:]]
    assert sorted({stripe.step for stripe in stripes}) == list(range(1, facts["steps"] + 1))
    assert stripes == sorted(stripes, key=lambda stripe: (stripe.step, -stripe.band))
    assert all(stripe.work > 0 for stripe in stripes)
    assert 0.8 < sum(stripe.work for stripe in stripes) <= 1  # bands that are exact early take none


def test_without_noise_levels_there_is_one_step(picture: np.ndarray) -> None:
    data = codec.encode(picture, levels=0)
    made = ViewedFile("photo.ddpm", data)
    (stripe,) = made.decode_whole(ignore)
    assert (stripe.step, stripe.end, made.facts["levels"], made.facts["noise"]) == (1, len(data), 0, [0.0])
    assert made.picture("preview", len(data), ignore).facts["exact"]


def test_a_step_ends_where_its_stripes_do(file: ViewedFile, coded: bytes) -> None:
    for step in (1, 2):
        end = max(stripe.end for stripe in file.stripes if stripe.step == step)
        assert end == pytest.approx(len(codec.truncate(coded, step=step)), abs=16)  # the coder reads words


def test_a_preview_is_what_decode_shows_of_so_many_bytes(file: ViewedFile, coded: bytes) -> None:
    size = len(coded) // 3
    shown = file.picture("preview", size, ignore)
    assert np.array_equal(Image.open(BytesIO(shown.content)), codec.decode(coded, max_bytes=size, as_array=True))
    facts = file.measure(shown)
    assert (facts["bytes"], facts["bpp"], facts["exact"], facts["same"]) == (size, 8 * size / (32 * 48), False, False)
    assert 15 < facts["psnr"] < 50


def test_the_whole_file_is_the_original_without_an_error(file: ViewedFile, picture: np.ndarray, coded: bytes) -> None:
    assert np.array_equal(file.original, picture)
    facts = file.measure(file.picture("preview", len(coded), ignore))
    assert (facts["exact"], facts["psnr"], facts["same"]) == (True, None, True)


def test_a_given_original_serves_a_cut_file(picture: np.ndarray, coded: bytes) -> None:
    cut = ViewedFile("cut.ddpm", coded[:400], original=Image.fromarray(picture))
    assert cut.measure(cut.picture("preview", 400, ignore))["psnr"] > 15
    assert cut.picture("webp", 400, ignore).size <= 400


def test_a_cut_file_without_an_original_says_what_to_do(coded: bytes) -> None:
    cut = ViewedFile("cut.ddpm", coded[:400])
    stripes = cut.decode_whole(ignore)
    assert stripes[-1].end == 400
    assert cut.measure(cut.picture("preview", 400, ignore))["psnr"] is None
    with pytest.raises(ImageError, match=r"no original .*--original"):
        cut.picture("jpeg", 400, ignore)


def test_a_damaged_file_is_said_to_be_damaged(coded: bytes) -> None:
    middle = len(coded) // 2
    damaged = ViewedFile("bad.ddpm", coded[:middle] + bytes([coded[middle] ^ 1]) + coded[middle + 1 :])
    damaged.decode_whole(ignore)
    assert (damaged.original, damaged.damaged) == (None, True)
    assert damaged.picture("preview", len(coded), ignore).facts["damaged"]


def test_another_size_of_the_original_is_refused(coded: bytes) -> None:
    with pytest.raises(ImageError, match=r"9 x 8, .*48 x 32"):
        ViewedFile("photo.ddpm", coded, original=Image.new("RGB", (9, 8)))


def test_too_many_pixels_are_refused(coded: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(viewed_file, "MOST_PIXELS", 1000)
    with pytest.raises(ImageError, match=r"48 x 32 .*1000"):
        ViewedFile("photo.ddpm", coded)


def test_a_few_bytes_that_claim_many_pixels_are_refused_at_once() -> None:
    header = Header("RGB", 8192, 8192, effort=2, levels=2, model_number=2, index=plan_index(8192, 8192, 22))
    file = assemble(header, b"", [b""] * (header.tile_count * header.segments), b"")
    with pytest.raises(ImageError, match="8192 x 8192"):
        ViewedFile("huge.ddpm", file)


def test_files_of_other_models_need_them(foreign: bytes, other_model: Path) -> None:
    with pytest.raises(ModelError, match="model that wrote it"):
        ViewedFile("foreign.ddpm", foreign)
    assert ViewedFile("foreign.ddpm", foreign, model=other_model).picture("preview", 10**6, ignore).facts["exact"]


def test_a_jpeg_is_one_stripe() -> None:
    jpeg = BytesIO()
    Image.linear_gradient("L").save(jpeg, "JPEG")
    data = codec.encode(BytesIO(jpeg.getvalue()))
    file = ViewedFile("photo.ddpm", data)
    assert file.decode_whole(ignore) == [Stripe("JPEG", file.facts["header_bytes"], len(data))]


def test_alpha_and_metadata_are_stripes_of_their_own(picture: np.ndarray) -> None:
    image = Image.fromarray(np.dstack([picture, picture[..., 0]]))
    image.info["icc_profile"] = bytes(range(256))
    data = codec.encode(image)
    file = ViewedFile("both.ddpm", data)
    parts = [stripe.part for stripe in file.decode_whole(ignore)]
    assert (parts[0], parts[-1], set(parts[1:-1])) == ("alpha", "metadata", {"pixels"})
    shown = Image.open(BytesIO(file.picture("preview", len(data), ignore).content))
    assert (shown.mode, shown.info.get("icc_profile")) == ("RGBA", None)
    assert file.picture("jpeg", len(data), ignore).facts["fits"]


def test_the_end_mark_of_a_lossy_file_is_a_stripe(coded: bytes) -> None:
    lossy = codec.truncate(coded, bytes=len(coded) - 9, mark=True)
    pixels, mark = ViewedFile("lossy.ddpm", lossy).decode_whole(ignore)[-2:]
    assert (pixels.part, pixels.end) == ("pixels", len(lossy) - 6)
    assert mark == Stripe("end mark", len(lossy) - 6, len(lossy))


def test_names_cannot_steer_a_terminal_or_a_page(coded: bytes) -> None:
    assert ViewedFile("a\x1b[2J\u202eb\udcff<b>.ddpm", coded).name == "a�[2J�b�<b>.ddpm"
