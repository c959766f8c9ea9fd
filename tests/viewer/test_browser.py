"""The page in a real browser, with real keys and clicks. Skipped where there is none: `pip install playwright`, and a
Chromium of the system's or Playwright's own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.viewer import server

api = pytest.importorskip("playwright.sync_api", reason="needs a browser: pip install playwright")
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
ARGUMENTS = ["--no-sandbox"] if hasattr(os, "geteuid") and os.geteuid() == 0 else []  # root has no sandbox
DROPPED = """([name, data]) => {
    const made = new DataTransfer();
    made.items.add(new File([new Uint8Array(data)], name));
    return made;
}"""  # a file that is dragged over the page
PIXELS = """async (image) => {
    await image.decode();
    const context = new OffscreenCanvas(image.naturalWidth, image.naturalHeight).getContext("2d");
    context.drawImage(image, 0, 0);
    return [...context.getImageData(0, 0, image.naturalWidth, image.naturalHeight).data];
}"""  # R, G, B and alpha
TRICK = "<img src=x onerror=document.title='run'>.ddpm"
SLOW = 120_000  # milliseconds that a busy machine may take


@pytest.fixture(scope="module")
def browser() -> Iterator[object]:
    with api.sync_playwright() as playwright:
        try:
            started = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        except api.Error:
            pytest.skip("no Chromium: install one, or run `playwright install chromium`")
        yield started
        started.close()


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, coded: bytes, drawing: bytes) -> Path:
    found = tmp_path_factory.mktemp("viewed")
    for name, data in (("photo.ddpm", coded), ("drawing.ddpm", drawing), (TRICK, coded[: len(coded) // 2])):
        (found / name).write_bytes(data)
    (found / "cat.png").write_bytes(b"\x89PNG")
    return found


@pytest.fixture(scope="module")
def tiny(folder: Path, picture: np.ndarray) -> bytes:
    """Of 8 x 8 pixels, in the folder: all positions of its slider take little work."""
    data = codec.encode(np.ascontiguousarray(picture[:8, :8]))
    (folder / "tiny.ddpm").write_bytes(data)
    return data


@pytest.fixture(scope="module")
def odd(tmp_path_factory: pytest.TempPathFactory, coded: bytes) -> Path:
    """A file that was made lossy, one of a JPEG, and a file that is cut off."""
    found = tmp_path_factory.mktemp("odd")
    jpeg = BytesIO()
    Image.linear_gradient("L").save(jpeg, "JPEG")
    (found / "lossy.ddpm").write_bytes(codec.truncate(coded, bytes=300, mark=True))
    (found / "jpeg.ddpm").write_bytes(codec.encode(BytesIO(jpeg.getvalue())))
    (found / "cut.ddpm").write_bytes(coded[:300])
    return found


@pytest.fixture(scope="module")
def process(folder: Path) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-m", "ddpmcodec", "view", folder / "photo.ddpm"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as started:
        yield started
        started.kill()


@pytest.fixture(scope="module")
def address(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.fixture
def page(browser: object, address: str) -> Iterator[object]:
    """Opened, and at rest. Errors of scripts fail the test, and requests to anywhere else."""
    opened = browser.new_page(viewport={"width": 1200, "height": 800})
    opened.set_default_timeout(SLOW)
    api.expect.set_options(timeout=SLOW)
    errors, requests = [], []
    opened.on("pageerror", lambda error: errors.append(error))
    opened.on("request", lambda request: requests.append(request.url))
    opened.goto(address)
    rest(opened)
    yield opened
    opened.close()
    assert errors == []
    assert [url for url in requests if not url.startswith((address, f"blob:{address[:17]}", "data:"))] == []


def rest(page: object) -> None:
    """Waits until all pictures are there, and the map."""
    api.expect(page.locator("#legend li").first).to_be_visible()
    api.expect(page.locator("#panels")).to_have_attribute("aria-busy", "false")


def opened(page: object, path: Path) -> None:
    """Shows another file, and is at rest."""
    page.locator("#chooser").set_input_files(path)
    api.expect(page.locator("h1")).to_have_text(path.name)
    rest(page)


def assert_shows(page: object, data: bytes, size: int) -> None:
    """The preview of so many bytes, to the pixel."""
    preview = page.locator("figure[data-kind=preview]")
    assert preview.get_attribute("data-bytes") == str(size)
    shown = np.reshape(preview.locator("img").evaluate(PIXELS), (8, 8, 4))
    assert np.array_equal(shown[..., :3], codec.decode(data, max_bytes=size, as_array=True))


def bytes_of(page: object) -> int:
    return int(page.locator("#bytes").evaluate("element => element.firstChild.textContent").replace(",", ""))


def test_a_preview_stands_beside_a_jpeg_of_the_same_bytes(page: object, coded: bytes) -> None:
    size, facts = bytes_of(page), codec.info(coded)
    assert facts["header_bytes"] < size < len(coded)
    api.expect(page.locator("h1")).to_have_text("photo.ddpm")
    api.expect(page.locator("#about")).to_have_text(
        f"48 × 32 RGB, {len(coded):,} bytes, effort 2, 1 noise level, model {facts['model']}"
    )
    api.expect(page.locator("#bpp")).to_have_text(f"{8 * size / (48 * 32):.3f}")
    api.expect(page.locator("#psnr")).to_have_text(
        page.locator("figure[data-kind=preview] .cost").inner_text().split(", ")[-1]
    )
    shown = page.locator("figure img").evaluate_all("images => images.map(image => image.naturalWidth)")
    assert shown == [48, 48]
    assert page.locator("#map div[title]").count() >= facts["steps"]
    assert page.locator("#legend li").count() == facts["steps"]


def test_keys_move_the_slider(page: object, coded: bytes) -> None:
    start = bytes_of(page)
    page.keyboard.press("ArrowRight")
    assert bytes_of(page) > start
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    assert bytes_of(page) < start
    page.keyboard.press("End")
    rest(page)
    assert bytes_of(page) == len(coded)
    api.expect(page.locator("#psnr")).to_have_text("no error")
    api.expect(page.locator("#steps")).to_have_text("2 of 2 exact")
    page.keyboard.press("Home")
    rest(page)
    assert bytes_of(page) == codec.info(coded)["header_bytes"]
    api.expect(page.locator("#place")).to_have_text("the header")
    page.locator("#slider").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator("#slider").input_value() == "1"  # one step, though the slider hears keys too


def test_the_mouse_moves_the_slider(page: object, coded: bytes) -> None:
    box = page.locator("#slider").bounding_box()
    page.mouse.click(box["x"] + box["width"] * 0.9, box["y"] + box["height"] / 2)
    rest(page)
    assert len(coded) / 4 < bytes_of(page) < len(coded)
    page.mouse.down()
    for share in (0.8, 0.6, 0.4, 0.2):
        page.mouse.move(box["x"] + box["width"] * share, box["y"] + box["height"] / 2)
    page.mouse.up()
    rest(page)
    assert page.locator("figure[data-kind=preview]").get_attribute("data-bytes") == str(bytes_of(page))
    assert bytes_of(page) < len(coded) / 10


def test_buttons_choose_what_stands_beside(page: object) -> None:
    for name in ("WebP", "Original"):
        page.get_by_role("button", name=name).click()
    rest(page)
    assert page.locator("figure img").evaluate_all("all => all.filter(image => image.naturalWidth === 48).length") == 4
    page.get_by_role("button", name="JPEG").click()
    assert page.locator("figure[data-kind=jpeg]").count() == 0
    page.get_by_role("button", name="Actual size").click()
    assert page.locator("figure img").first.bounding_box()["width"] == 48
    page.locator("figure img").first.click()
    assert page.locator("figure img").first.bounding_box()["width"] > 48


def test_dropped_files_are_shown_and_their_names_are_text(page: object, folder: Path) -> None:
    content = (folder / TRICK).read_bytes()
    transfer = page.evaluate_handle(DROPPED, [TRICK, list(content)])
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    api.expect(page.locator("#drop")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    api.expect(page.locator("#drop")).to_be_hidden()
    api.expect(page.locator("h1")).to_have_text(TRICK)
    rest(page)
    assert page.title() == f"{TRICK} – ddpmcodec"
    assert page.locator("img[src=x]").count() == 0
    api.expect(page.locator("#about")).to_contain_text("cut off")
    api.expect(page.get_by_role("button", name="JPEG")).to_be_disabled()
    page.get_by_role("button", name="photo.ddpm").click()
    api.expect(page.locator("h1")).to_have_text("photo.ddpm")
    rest(page)
    api.expect(page.get_by_role("button", name="JPEG")).to_be_enabled()


def test_chosen_files_are_shown_or_refused_with_words(page: object, folder: Path) -> None:
    page.locator("#chooser").set_input_files([folder / "drawing.ddpm", folder / "cat.png"])
    api.expect(page.get_by_role("alert")).to_have_text(
        "cat.png: not a ddpmcodec file: it starts with 89 50, not dd 0a; give a .ddpm file"
    )
    api.expect(page.locator("h1")).to_have_text("drawing.ddpm")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("lossy", "300 bytes, lossy: cut on purpose, effort 2"),
        ("jpeg", "effort 2, JPEG coefficients, 1 level of cells, model jpeg"),
        ("cut", "300 bytes, cut off: "),
    ],
)
def test_the_page_says_what_is_odd_about_a_file(page: object, odd: Path, name: str, words: str) -> None:
    page.locator("#chooser").set_input_files(odd / f"{name}.ddpm")
    api.expect(page.locator("h1")).to_have_text(f"{name}.ddpm")
    rest(page)
    assert words in page.locator("#about").inner_text()


def test_what_was_fetched_ahead_is_shown_without_a_request(page: object, folder: Path, tiny: bytes) -> None:
    opened(page, folder / "tiny.ddpm")
    api.expect(page.locator("#panels")).to_have_attribute("data-ahead", "done")
    requests = []
    page.on("request", lambda request: requests.append(request.url))
    for key in ("Home", "ArrowRight", *["PageUp"] * 6, "End", "ArrowLeft", "PageDown"):
        page.keyboard.press(key)
        rest(page)
        assert_shows(page, tiny, bytes_of(page))
        assert page.locator("figure[data-kind=jpeg]").get_attribute("data-bytes") == str(bytes_of(page))
    assert [url for url in requests if not url.startswith("blob:")] == []


def test_until_a_picture_is_there_the_nearest_one_is_shown(page: object, folder: Path, tiny: bytes) -> None:
    held = []
    page.route("**/*ahead=1*", lambda route: route.abort())
    opened(page, folder / "tiny.ddpm")
    start = bytes_of(page)
    page.keyboard.press("End")
    rest(page)
    assert_shows(page, tiny, len(tiny))
    page.route("**/preview?*", lambda route: held.append(route))
    with page.expect_request("**/preview?*"):
        page.keyboard.press("Home")
    assert_shows(page, tiny, start)  # which is nearer than the end
    page.unroute("**/preview?*")
    held[0].continue_()
    rest(page)
    assert bytes_of(page) == codec.info(tiny)["header_bytes"]
    assert_shows(page, tiny, bytes_of(page))


def test_pictures_that_there_is_no_room_for_are_fetched_again(page: object, folder: Path, tiny: bytes) -> None:
    source = Path(server.__file__).with_name("pictures.js").read_text()
    little_room = source.replace("2 ** 27", "1000").replace("2 ** 28", "2000")
    page.route("**/pictures.js", lambda route: route.fulfill(body=little_room, content_type="text/javascript"))
    page.reload()
    ahead = []
    page.on("request", lambda request: ahead.append(request.url) if "ahead=1" in request.url else None)
    opened(page, folder / "tiny.ddpm")
    api.expect(page.locator("#panels")).to_have_attribute("data-ahead", "done")
    assert 0 < len({url for url in ahead if "files/0/" not in url}) < 20
    for key in ("Home", *["PageUp"] * 4, "Home"):
        page.keyboard.press(key)
        rest(page)
        assert_shows(page, tiny, bytes_of(page))


def test_the_page_says_when_the_viewer_has_ended(page: object, process: subprocess.Popen[str]) -> None:
    process.send_signal(signal.SIGINT)
    process.wait()
    page.get_by_role("button", name="WebP").click()  # of which nothing was fetched ahead
    api.expect(page.get_by_role("alert")).to_have_text("The viewer has ended: run ddpmcodec view again.")
