"""The demo page in a real browser, with real keys: pictures, what a screen reader says, what goes wrong."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
from jpegs import jpeg_of
from PIL import Image
from samples import LINEAR, described, stored

import ddpmcodec
from node_decoder import ROOT

api = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
SAMPLES = """() => {
    const { width, height } = document.getElementById("ddpm");
    const { data } = document.getElementById("ddpm").getContext("2d").getImageData(0, 0, width, height);
    return [width, height, Array.from(data.filter((_, k) => k % 4 !== 3))];
}"""


@pytest.fixture(scope="module")
def folder(build: Any, dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served: the built folder with the demo."""
    served = tmp_path_factory.mktemp("served") / "web"
    shutil.copytree(dist, served)
    build.make_demo(served / "demo")
    return served


@pytest.fixture(scope="module")
def page(new_page: Any, address: str) -> Any:
    opened = new_page()
    opened.goto(f"{address}/demo/")
    api.expect(opened.locator("#progress")).to_have_text("All of the file is decoded.")
    return opened


def said(page: Any) -> str:
    return str(page.locator("#slider").get_attribute("aria-valuetext"))


def test_every_step_has_the_bytes_of_the_three(folder: Path) -> None:
    steps = json.loads((folder / "demo" / "rates.json").read_text())
    ends = [step["bytes"] for step in steps]
    assert ends == sorted(ends)
    assert ends[-1] == (folder / "demo" / "photo.ddpm").stat().st_size
    for step in steps:
        for other in (step["jpeg"], step["webp"]):
            assert other is None or other["bytes"] == (folder / "demo" / other["file"]).stat().st_size <= step["bytes"]
    assert steps[0]["jpeg"] is None  # no JPEG of the photograph is so small


def test_the_whole_file_is_the_photograph(page: Any, folder: Path) -> None:
    page.locator("#slider").press("End")
    width, height, samples = page.evaluate(SAMPLES)
    expected = ddpmcodec.decode((folder / "demo" / "photo.ddpm").read_bytes(), as_array=True)
    assert (height, width, 3) == expected.shape
    assert samples == expected.ravel().tolist()
    assert "100% of the file" in said(page)
    assert re.search(r"ddpmcodec [\d,]+ bytes, exact; JPEG", said(page))


def test_keys_move_through_the_file_and_say_what_is_shown(page: Any) -> None:
    slider = page.locator("#slider")
    slider.press("Home")
    first = said(page)
    assert "JPEG no file is so small; WebP no file is so small." in first
    slider.press("ArrowRight")
    slider.press("ArrowRight")
    assert said(page) != first
    assert re.search(r"ddpmcodec [\d,]+ bytes, \d\d\.\d dB; JPEG [\d,]+ bytes, \d\d\.\d dB", said(page))
    image = page.get_by_role("img", name=re.compile(r"^The photograph by ddpmcodec: [\d,]+ bytes, \d\d\.\d dB$"))
    api.expect(image).to_be_visible()
    api.expect(page.get_by_role("img", name=re.compile("^The photograph by JPEG: "))).to_be_visible()


def test_the_button_lets_it_arrive(page: Any) -> None:
    page.locator("#slider").press("Home")
    first = said(page)
    button = page.get_by_role("button", name="Let it arrive")
    button.focus()
    button.press("Enter")
    api.expect(page.locator("#slider")).not_to_have_attribute("aria-valuetext", first)
    page.get_by_role("button", name="Stop").press("Enter")
    api.expect(page.get_by_role("button", name="Let it arrive")).to_be_visible()


def test_what_is_missing_is_said(new_page: Any, address: str) -> None:
    page = new_page()
    page.route("**/photo.ddpm", lambda route: route.fulfill(status=404))
    page.goto(f"{address}/demo/")
    api.expect(page.get_by_role("alert")).to_contain_text("photo.ddpm: HTTP 404. Reload the page to try again.")


# --- pictures of the user's

PHOTO = ROOT / "docs" / "photo.png"
DROP = """async ([name, content]) => {
    const dropped = new DataTransfer();
    dropped.items.add(new File([Uint8Array.from(content)], name));
    document.body.dispatchEvent(new DragEvent("drop", { dataTransfer: dropped, bubbles: true, cancelable: true }));
}"""


@pytest.fixture
def offline(page: Any) -> Iterator[Any]:
    api.expect(page.locator("#offline")).to_contain_text("offline")
    page.context.set_offline(True)
    yield page
    page.context.set_offline(False)


def saved(page: Any, tmp_path: Path) -> bytes:
    with page.expect_download() as download:
        page.locator("#save").click()
    download.value.save_as(tmp_path / "saved.ddpm")
    return (tmp_path / "saved.ddpm").read_bytes()


def test_a_picture_that_is_dropped_is_encoded_offline(offline: Any, tmp_path: Path) -> None:
    image = Image.open(PHOTO).convert("RGBA").crop((0, 0, 90, 70))
    image.putalpha(image.getchannel("R"))
    data = stored(image, "PNG")
    offline.evaluate(DROP, ["a.b.png", list(data)])
    link = offline.get_by_role("link", name="Save a.b.ddpm")
    api.expect(link).to_be_visible()
    assert saved(offline, tmp_path) == ddpmcodec.encode(image, effort=1)
    api.expect(offline.locator("#encoding")).to_contain_text("exact")
    api.expect(offline.locator("#how")).to_contain_text("The pixels were coded")


def test_a_jpeg_is_encoded_from_its_bytes_by_the_effort_that_is_chosen(offline: Any, tmp_path: Path) -> None:
    jpeg = jpeg_of("RGB", quality=90)
    offline.locator("#effort").select_option("2")
    offline.locator("#file").set_input_files({"name": "camera.JPG", "mimeType": "image/jpeg", "buffer": jpeg})
    api.expect(offline.get_by_role("link", name="Save camera.ddpm")).to_be_visible()
    assert saved(offline, tmp_path) == ddpmcodec.encode(BytesIO(jpeg), effort=2)
    api.expect(offline.locator("#how")).to_contain_text("The bytes of the JPEG file were coded")
    offline.locator("#effort").select_option("1")  # encodes it again
    api.expect(offline.get_by_role("link", name="Save camera.ddpm")).to_be_visible()
    assert saved(offline, tmp_path) == ddpmcodec.encode(BytesIO(jpeg), effort=1)


def test_progress_is_shown_and_can_be_stopped(page: Any) -> None:
    page.locator("#effort").select_option("3")
    page.locator("#file").set_input_files(PHOTO)
    page.wait_for_function("document.getElementById('share').value > 0.01")
    page.get_by_role("button", name="Stop", exact=True).click()
    api.expect(page.locator("#encoding")).to_have_text("photo.png was not encoded.")
    api.expect(page.locator("#share")).to_be_hidden()
    page.locator("#effort").select_option("1")
    api.expect(page.get_by_role("link", name="Save photo.ddpm")).to_be_visible()


def test_what_cannot_be_encoded_is_said(page: Any) -> None:
    page.locator("#file").set_input_files({"name": "it.gif", "mimeType": "image/gif", "buffer": b"GIF89a"})
    api.expect(page.locator("#refusal")).to_contain_text("it.gif: the file is not a JPEG, PNG or WebP file")
    api.expect(page.locator("#save")).to_be_hidden()


def test_what_is_not_kept_is_said(page: Any) -> None:
    page.locator("#file").set_input_files({"name": "it.png", "mimeType": "image/png", "buffer": described(LINEAR)})
    api.expect(page.locator("#how")).to_contain_text("Not kept: gAMA.")
