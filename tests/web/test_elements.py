"""Images in a page, as an element and by a service worker, in a real browser; skipped as test_browser.py is."""

from __future__ import annotations

import io
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageOps

import ddpmcodec
from node_decoder import ROOT

PIXELS = """(image) => {
    const { naturalWidth: width, naturalHeight: height } = image;
    const canvas = image.shadowRoot?.querySelector("canvas") ?? new OffscreenCanvas(width, height);
    const context = canvas.getContext("2d");
    if (!image.shadowRoot) context.drawImage(image, 0, 0);
    const { data } = context.getImageData(0, 0, canvas.width, canvas.height);
    return [canvas.height, canvas.width, Array.from(data.filter((_, k) => k % 4 !== 3))];
}"""
SHOW = """([tag, source]) => new Promise((done) => {
    const image = document.createElement(tag);
    image.addEventListener("load", () => done("load"), { once: true });
    image.addEventListener("error", ({ message }) => done(`error: ${message}`), { once: true });
    image.setAttribute("alt", "A photograph");
    image.setAttribute("src", source);
    document.body.replaceChildren(image);
})"""
CHANGE = """(image) => new Promise((done) => {
    image.addEventListener("load", () => done("load"));
    image.setAttribute("src", "6.ddpm");
})"""


def photograph(orientation: int = 1) -> Image.Image:
    file, exif = io.BytesIO(), Image.Exif()
    exif[0x112] = orientation
    with Image.open(ROOT / "docs" / "photo.png") as photo:
        photo.convert("RGB").crop((0, 0, 50, 30)).save(file, "PNG", exif=exif)
    return Image.open(file)


@pytest.fixture(scope="module")
def folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served: the built folder, images of each orientation, a damaged one, and a page for either way."""
    served = tmp_path_factory.mktemp("served") / "web"
    shutil.copytree(dist, served / "ddpmcodec")
    for orientation in range(1, 9):
        (served / f"{orientation}.ddpm").write_bytes(ddpmcodec.encode(photograph(orientation), effort=1))
    (served / "damaged.ddpm").write_bytes((served / "1.ddpm").read_bytes()[:-1])
    (served / "worker.js").write_text('import "./ddpmcodec/service-worker.js";')
    (served / "element.html").write_text('<!doctype html><script type="module" src="ddpmcodec/img-ddpm.js"></script>')
    (served / "plain.html").write_text("<!doctype html>")
    return served


def upright(orientation: int) -> np.ndarray:
    return np.asarray(ImageOps.exif_transpose(photograph(orientation)))


def samples(page: Any, tag: str) -> np.ndarray:
    height, width, values = page.locator(tag).evaluate(PIXELS)
    return np.array(values, np.uint8).reshape(height, width, 3)


@pytest.fixture(scope="module")
def element_page(new_page: Callable[[], Any], address: str) -> Any:
    page = new_page()
    page.goto(f"{address}/element.html")
    return page


@pytest.fixture(scope="module")
def worker_page(new_page: Callable[[], Any], address: str) -> Any:
    """A page that the service worker controls."""
    page = new_page()
    page.goto(f"{address}/plain.html")
    page.evaluate('navigator.serviceWorker.register("worker.js", { type: "module" })')
    page.wait_for_function("navigator.serviceWorker.controller !== null")
    return page


def show(page: Any, tag: str, source: str) -> str:
    return str(page.evaluate(SHOW, [tag, source]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_an_element_shows_the_image_upright(element_page: Any, orientation: int) -> None:
    assert show(element_page, "img-ddpm", f"{orientation}.ddpm") == "load"
    assert np.array_equal(samples(element_page, "img-ddpm"), upright(orientation))


def test_an_element_follows_its_source_and_has_its_text(element_page: Any) -> None:
    assert show(element_page, "img-ddpm", "1.ddpm") == "load"
    assert element_page.locator("img-ddpm").evaluate(CHANGE) == "load"
    assert np.array_equal(samples(element_page, "img-ddpm"), upright(6))
    assert element_page.get_by_role("img", name="A photograph").count() == 1


@pytest.mark.parametrize(("source", "problem"), [("damaged.ddpm", "Truncated"), ("nothing.ddpm", "HTTP 404")])
def test_an_element_tells_what_is_wrong(element_page: Any, source: str, problem: str) -> None:
    assert problem in show(element_page, "img-ddpm", source)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_service_worker_makes_plain_images_work(worker_page: Any, orientation: int) -> None:
    assert show(worker_page, "img", f"{orientation}.ddpm") == "load"
    assert np.array_equal(samples(worker_page, "img"), upright(orientation))


@pytest.mark.parametrize("source", ["damaged.ddpm", "nothing.ddpm"])
def test_a_service_worker_gives_no_wrong_image(worker_page: Any, source: str) -> None:
    assert show(worker_page, "img", source).startswith("error")
