"""The decoder in a real browser, from a web server: golden files, JPEG by the browser, models kept by id.

Skipped where there is none: `pip install playwright`, and a Chromium of the system's or Playwright's own."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jpegs import encoded, jpeg_of, turned
from PIL import Image, ImageCms
from samples import ICC, stored

import ddpmcodec
from ddpmcodec.codec import Decoded, decode_details
from ddpmcodec.formats.images import to_array
from node_decoder import CLOSE, GOLDEN, ROOT

STREAMS = json.loads((GOLDEN / "manifest.json").read_text())["streams"]
DECODE = """async ([file, model, without]) => {
    delete globalThis[without];
    const web = await import("./index.js");
    const bytes = async (name) => (await fetch(name)).arrayBuffer();
    const picture = await web.decode(await bytes(file), model ? { model: await bytes(model) } : {});
    const digest = await crypto.subtle.digest("SHA-256", picture.data);
    const sha256 = [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, "0")).join("");
    return { sha256, mode: picture.mode, exact: picture.exact };
}"""
STREAM = """async (file) => {
    const web = await import("./index.js");
    const pictures = [];
    for await (const picture of web.decodeStream(await fetch(file))) pictures.push([picture.stepsDone, picture.exact]);
    return pictures;
}"""
SAMPLES = """async ([file, options]) => {
    const web = await import("./index.js");
    const data = await (await fetch(file)).arrayBuffer();
    return web.decode(data, options).then(
        (picture) => [picture.orientation, Array.from(picture.data)],
        (error) => [error instanceof web.DdpmError && error.name, error.message],
    );
}"""
MISSING = """async (file) => {
    const web = await import("./index.js");
    const data = await (await fetch(file)).arrayBuffer();
    const base = new URL("nowhere/", location.href);
    return web.decode(data, { base }).catch((error) => [error.name, error instanceof web.ModelError]);
}"""


@cache
def turned_jpeg() -> bytes:
    """The file of a JPEG file of a turned camera."""
    return encoded(jpeg_of(quality=75, exif=turned(6)))


@pytest.fixture(scope="module")
def folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is served: the built folder, golden files, a photograph of the embedded model, and an empty page."""
    served = tmp_path_factory.mktemp("served") / "web"
    shutil.copytree(dist, served)
    for path in GOLDEN.iterdir():
        shutil.copyfile(path, served / path.name)
    (served / "coded.ddpm").write_bytes(ddpmcodec.encode(ROOT / "docs" / "photo.png", effort=1, verify=False))
    (served / "empty.html").write_text("<!doctype html><title>empty</title>")
    return served


@pytest.fixture(scope="module")
def page(new_page: Any, address: str) -> Any:
    opened = new_page()
    opened.goto(f"{address}/empty.html")
    return opened


@pytest.mark.parametrize("entry", STREAMS, ids=lambda entry: entry["file"])
def test_golden_files_decode_to_their_pictures(page: Any, entry: dict[str, Any]) -> None:
    found = page.evaluate(DECODE, [entry["file"], "model.safetensors"])
    data, model = (GOLDEN / entry["file"]).read_bytes(), GOLDEN / "model.safetensors"
    expected = ddpmcodec.decode(data, model=model, as_array=True)
    assert found["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()
    assert found["exact"]


@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_a_jpeg_has_the_samples_of_its_file(page: Any, folder: Path, mode: str) -> None:
    """Whatever its orientation and its profile: the page turns it, and knows the profile."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = profile.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")  # red and blue
    jpeg = jpeg_of(mode, quality=90, exif=turned(6), **({"icc_profile": swapped} if mode == "RGB" else {}))
    (folder / "jpeg.ddpm").write_bytes(data := encoded(jpeg))
    orientation, samples = page.evaluate(SAMPLES, ["jpeg.ddpm", {}])
    expected = ddpmcodec.decode(data, as_array=True)
    assert orientation == 6
    assert np.abs(np.array(samples, int) - expected.ravel()).max() <= CLOSE


PICTURE = """async ([file, options]) => {
    const web = await import("./index.js");
    const { data, ...picture } = await web.decode(await (await fetch(file)).arrayBuffer(), options);
    return { ...picture, data: Array.from(data) };
}"""
BOX = (37, 21, 130, 90)
PARTS = [
    ({}, {}),
    ({"box": {"left": 37, "top": 21, "width": 93, "height": 69}}, {"box": BOX}),
    ({"reduce": 4}, {"reduce": 4}),
    ({"reduce": 2, "box": {"left": 37, "top": 21, "width": 93, "height": 69}}, {"reduce": 2, "box": BOX}),
]


def assert_shown(picture: dict[str, Any], expected: Decoded) -> None:
    """The picture is what Python makes of the same bytes."""
    pixels = to_array(expected.planes)
    found = np.array(picture["data"], int).reshape(pixels.shape)
    assert np.abs(found - pixels).max() <= CLOSE
    assert (picture["exact"], picture["stepsDone"]) == (expected.exact, expected.steps_done)


@pytest.mark.parametrize(("options", "native"), PARTS, ids=["whole", "box", "reduced", "reduced box"])
def test_a_jpeg_is_shown_in_parts(page: Any, folder: Path, options: Any, native: Any) -> None:
    (folder / "turned.ddpm").write_bytes(turned_jpeg())
    assert_shown(page.evaluate(PICTURE, ["turned.ddpm", options]), decode_details(turned_jpeg(), **native))


@pytest.mark.parametrize("share", [0.2, 0.6, 0.95])
def test_a_prefix_of_a_jpeg_is_a_picture(page: Any, folder: Path, share: float) -> None:
    data = turned_jpeg()
    size = int(share * len(data))
    (folder / "turned.ddpm").write_bytes(data)
    expected = decode_details(data[:size], partial=True)
    assert expected.steps_done < expected.steps
    assert_shown(page.evaluate(PICTURE, ["turned.ddpm", {"maxBytes": size}]), expected)


def test_a_jpeg_gets_better_as_it_arrives(page: Any, folder: Path) -> None:
    (folder / "turned.ddpm").write_bytes(turned_jpeg())
    assert page.evaluate(STREAM, "turned.ddpm")[-1] == [decode_details(turned_jpeg()).steps, True]


def test_a_response_streams_to_the_image(page: Any, folder: Path) -> None:
    pictures = page.evaluate(STREAM, "coded.ddpm")
    assert pictures[-1] == [3, True]
    assert [steps for steps, _ in pictures] == sorted(steps for steps, _ in pictures)
    found = page.evaluate(DECODE, ["coded.ddpm", None])
    expected = ddpmcodec.decode((folder / "coded.ddpm").read_bytes(), as_array=True)
    assert found["sha256"] == hashlib.sha256(expected.tobytes()).hexdigest()


def test_a_model_is_sent_once(new_page: Any, address: str, server: Any) -> None:
    page = new_page()
    page.goto(f"{address}/empty.html")
    server.answers.clear()
    found = page.evaluate(DECODE, ["coded.ddpm", None])
    assert page.evaluate(DECODE, ["coded.ddpm", None]) == found
    page.reload()
    assert page.evaluate(DECODE, ["coded.ddpm", None]) == found
    assert [status for status, name in server.answers if name == "photo.safetensors"] == [200, 304]


def test_what_cannot_be_fetched_is_an_error_of_ours(page: Any) -> None:
    assert page.evaluate(MISSING, "coded.ddpm") == ["ModelError", True]


# --- what servers and pages do

RESULT = """async ([folder, file]) => {
    const web = await import(`./${folder}/index.js`);
    const data = await (await fetch(file)).arrayBuffer();
    return web.decode(data).then((picture) => picture.exact, (error) => `${error.name}: ${error.message}`);
}"""
IN_A_BLOB = """async (base) => {
    const lines = [
        `import { decode } from "${location.href.replace("empty.html", "index.js")}";`,
        `decode(new ArrayBuffer(9), { base: "${base}" }).catch((error) => postMessage(error.message));`,
    ];
    const worker = new Worker(URL.createObjectURL(new Blob(lines, { type: "text/javascript" })), { type: "module" });
    return new Promise((resolve) => (worker.onmessage = ({ data }) => resolve(data)));
}"""


def test_a_model_that_is_replaced_is_fetched_again(new_page: Any, address: str, folder: Path, dist: Path) -> None:
    """Though the browser still has the one before, which it may keep for an hour."""
    deployed = folder / "deployed"
    shutil.copytree(dist, deployed)
    shutil.copyfile(dist / "cifar10.safetensors", deployed / "photo.safetensors")
    os.utime(deployed / "photo.safetensors", (0, 0))  # HTTP counts in seconds
    page = new_page()
    page.goto(f"{address}/empty.html")
    assert page.evaluate(RESULT, ["deployed", "coded.ddpm"]).startswith("ModelError")
    shutil.copyfile(dist / "photo.safetensors", deployed / "photo.safetensors")
    assert page.evaluate(RESULT, ["deployed", "coded.ddpm"]) is True


@pytest.mark.parametrize("source", ["", " 'wasm-unsafe-eval'"])
def test_a_content_security_policy_must_allow_webassembly(new_page: Any, address: str, source: str) -> None:
    page = new_page()
    headers = {"Content-Security-Policy": f"default-src 'self'; script-src 'self'{source}", "Content-Type": "text/html"}
    page.route("**/policy.html", lambda route: route.fulfill(body="<!doctype html>", headers=headers))
    page.goto(f"{address}/policy.html")
    found = page.evaluate(RESULT, [".", "coded.ddpm"])
    if source:
        assert found is True
    else:
        assert found.startswith(f"ModelError: {address}/ddpmcodec.wasm does not compile")
        assert "must have 'wasm-unsafe-eval' in script-src" in found


def test_a_worker_made_of_a_blob_needs_a_whole_base(page: Any) -> None:
    found = page.evaluate(IN_A_BLOB, "/files/")
    assert found.endswith("in a worker made of a blob: give the whole URL of its folder as `base`")


# --- encoding

ENCODE = """async ([file, without]) => {
    delete globalThis[without];
    const web = await import("./index.js");
    const encoded = await web.encode(await fetch(file, { cache: "no-store" }), { effort: 1 }).catch((error) => error);
    return encoded instanceof Error ? encoded.message : Array.from(encoded);
}"""
SWAPPED = ICC.replace(b"rXYZ", b"....").replace(b"bXYZ", b"rXYZ").replace(b"....", b"bXYZ")  # red and blue


def noise_with_alpha() -> Image.Image:
    """Odd colours under every alpha."""
    samples = np.random.default_rng(4).integers(0, 256, (32, 40, 4), dtype=np.uint8)
    samples[..., 3] = np.arange(32 * 40).reshape(32, 40) % 256
    return Image.fromarray(samples)


WEBP = {
    "alpha": (noise_with_alpha(), {"exact": True}),
    "profile": (noise_with_alpha().convert("RGB"), {"icc_profile": SWAPPED}),
    "exif": (noise_with_alpha().convert("RGB"), {"exif": turned(6)}),
}


@pytest.mark.parametrize("without", ["", "VideoFrame"], ids=["frame", "texture"])
@pytest.mark.parametrize("name", WEBP)
def test_a_webp_is_coded_by_its_very_samples(
    new_page: Any, address: str, folder: Path, name: str, without: str
) -> None:
    image, options = WEBP[name]
    data = stored(image, "WEBP", lossless=True, **options)
    (folder / "picture.webp").write_bytes(data)
    page = new_page()
    page.goto(f"{address}/empty.html")
    found = page.evaluate(ENCODE, ["picture.webp", without])
    assert bytes(found) == ddpmcodec.encode(Image.open(BytesIO(data)), effort=1)


def test_a_png_is_coded_by_its_very_samples(page: Any, folder: Path) -> None:
    (folder / "picture.png").write_bytes(stored(noise_with_alpha(), "PNG", icc_profile=SWAPPED))
    found = bytes(page.evaluate(ENCODE, ["picture.png", ""]))
    expected = Image.open(folder / "picture.png")
    assert found == ddpmcodec.encode(expected, effort=1)
    assert np.array_equal(ddpmcodec.decode(found, as_array=True), np.asarray(expected))


@pytest.mark.parametrize(
    ("change", "word"),
    [(lambda data: data[:-2], "ends early"), (lambda data: data[:40] + bytes(len(data) - 40), "decode")],
)
def test_a_damaged_webp_has_an_error(page: Any, folder: Path, change: Any, word: str) -> None:
    (folder / "picture.webp").write_bytes(change(stored(noise_with_alpha(), "WEBP", lossless=True)))
    assert word in page.evaluate(ENCODE, ["picture.webp", ""])


def test_an_animation_has_an_error(page: Any, folder: Path) -> None:
    frames = [noise_with_alpha(), noise_with_alpha().rotate(90)]
    (folder / "picture.webp").write_bytes(stored(frames[0], "WEBP", save_all=True, append_images=frames[1:]))
    assert "animation" in page.evaluate(ENCODE, ["picture.webp", ""])


def test_a_browser_that_changes_pixels_is_noticed(new_page: Any, address: str, folder: Path) -> None:
    (folder / "picture.webp").write_bytes(stored(noise_with_alpha(), "WEBP", lossless=True))
    page = new_page()
    page.goto(f"{address}/empty.html")
    page.evaluate("""() => {
        const { prototype } = WebGL2RenderingContext, { readPixels } = prototype;
        prototype.readPixels = function (...given) { readPixels.apply(this, given); given.at(-1)[5] ^= 1; };
    }""")
    assert "changes the pixels" in page.evaluate(ENCODE, ["picture.webp", "VideoFrame"])


# --- aborting, while it decodes

ABORTED_BY_A_TIMER = """async (file) => {
    const web = await import("./index.js");
    const data = await (await fetch(file)).arrayBuffer();
    await web.decode(data); // the models are there
    const controller = new AbortController();
    setTimeout(() => controller.abort());
    return web.decode(data, { signal: controller.signal }).then((picture) => picture.exact, (error) => error.name);
}"""
ABORTED_BY_A_MESSAGE = """async (file) => {
    const worker = new Worker("aborted.js", { type: "module" });
    worker.postMessage(file);
    return new Promise((resolve) => {
        worker.onmessage = ({ data }) => (data === "begun" ? worker.postMessage("abort") : resolve(data));
        worker.onerror = (event) => resolve(event.message);
    });
}"""
WORKER = """import { decode } from "./index.js";
const controller = new AbortController();
onmessage = async ({ data: file }) => {
    if (file === "abort") return controller.abort();
    const data = await (await fetch(file)).arrayBuffer();
    await decode(data);
    postMessage("begun");
    const { signal } = controller;
    postMessage(await decode(data, { signal }).then((picture) => picture.exact, (error) => error.name));
};"""


def test_a_timer_can_abort(page: Any) -> None:
    assert page.evaluate(ABORTED_BY_A_TIMER, "coded.ddpm") == "AbortError"


def test_a_message_to_a_worker_can_abort(page: Any, folder: Path) -> None:
    (folder / "aborted.js").write_text(WORKER)
    assert page.evaluate(ABORTED_BY_A_MESSAGE, "coded.ddpm") == "AbortError"
