"""The demo page in a real browser, with real keys: pictures, what a screen reader says, what goes wrong."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import ddpmcodec

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
