"""The module in Firefox: a page decodes and encodes files, and posts what comes of them. No driver is needed."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jpegs import jpeg_of
from PIL import Image
from samples import ICC, picture, stored

import ddpmcodec
from node_decoder import GOLDEN

FIREFOX = shutil.which("firefox-esr") or shutil.which("firefox")
PATIENCE = 300  # seconds that a busy machine may take
PAGE = """<!doctype html><script type="module">
const report = (name, body) => fetch(name, { method: "POST", body });
const files = %s;
try {
    const web = await import("./index.js");
    for (const name of files) {
        const work = async () => name.endsWith(".ddpm")
            ? (await web.decode(await (await fetch(name)).arrayBuffer(), { model: await (await fetch("model.safetensors")).arrayBuffer() })).data
            : web.encode(await fetch(name), { effort: 1 });
        await report(name, await work().catch((error) => error.message));
    }
} catch (error) {
    await report("error", String(error));
}
await report("end", "");
</script>"""  # noqa: E501
COLOURS = picture("RGBA")
PICTURES = {
    "alpha.png": stored(COLOURS, "PNG"),
    "profile.png": stored(COLOURS.convert("RGB"), "PNG", icc_profile=ICC),
    "alpha.webp": stored(COLOURS, "WEBP", lossless=True, exact=True),
    "profile.webp": stored(COLOURS.convert("RGB"), "WEBP", lossless=True, icc_profile=ICC),
    "photo.jpg": jpeg_of("RGB", quality=90),
}
STREAM = "learning-2.ddpm"


@pytest.fixture(scope="module")
def folder(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    served = tmp_path_factory.mktemp("served") / "web"
    shutil.copytree(dist, served)
    for name in (STREAM, "model.safetensors"):
        shutil.copyfile(GOLDEN / name, served / name)
    for name, data in PICTURES.items():
        (served / name).write_bytes(data)
    (served / "page.html").write_text(PAGE % [*PICTURES, STREAM])
    return served


@pytest.fixture(scope="module")
def reports(server: Any, address: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What the page posts, by the names of files."""
    if FIREFOX is None:
        pytest.skip("no Firefox here: apt install firefox-esr")
    profile = tmp_path_factory.mktemp("profile")
    command = [FIREFOX, "--headless", "--no-remote", "--profile", profile, f"{address}/page.html"]
    silent = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env={**os.environ, "HOME": str(profile)}, **silent) as process:
        last = time.monotonic() + PATIENCE
        while "end" not in server.posts and time.monotonic() < last:
            time.sleep(0.1)
        process.terminate()
    assert server.posts.keys() == {*PICTURES, STREAM, "end"}, server.posts.get("error")
    return dict(server.posts)


@pytest.mark.parametrize("name", PICTURES)
def test_files_have_the_bytes_that_python_writes(reports: dict[str, bytes], name: str) -> None:
    source = BytesIO(PICTURES[name])
    assert reports[name] == ddpmcodec.encode(source if name.endswith(".jpg") else Image.open(source), effort=1)


def test_a_golden_file_decodes(reports: dict[str, bytes]) -> None:
    expected = ddpmcodec.decode((GOLDEN / STREAM).read_bytes(), model=GOLDEN / "model.safetensors", as_array=True)
    assert np.array_equal(np.frombuffer(reports[STREAM], np.uint8), expected.ravel())
