"""Ctrl-C while a real command works: it ends with its own exit code and one line, and leaves no file."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from PIL.WebPImagePlugin import WebPImageFile

from ddpmcodec import codec
from ddpmcodec.formats.image_files import load_image, save_image
from pictures import PHOTO

SIDE = 1200  # pixels: each command takes seconds


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a photograph as PNG and as JPEG, and their files."""
    folder = tmp_path_factory.mktemp("large")
    with Image.open(PHOTO) as photo:
        enlarged = photo.convert("RGB").resize((SIDE, SIDE))
    enlarged.save(folder / "photo.png", compress_level=1)
    enlarged.resize((2 * SIDE, 2 * SIDE)).save(folder / "photo.jpg", quality=95)
    for name, options in (("photo.png", {"levels": 0}), ("photo.jpg", {})):
        data = codec.encode(folder / name, effort=1, verify=False, **options)  # type: ignore[arg-type]
        (folder / name).with_suffix(Path(name).suffix + ".ddpm").write_bytes(data)
    return folder


def computes(process: subprocess.Popen[str]) -> bool:
    """Whether a command has loaded the core, and so is past Python's own start."""
    return "_native" in Path(f"/proc/{process.pid}/maps").read_text()


@pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="only Linux lists what a process has loaded")
@pytest.mark.parametrize(
    "arguments",
    [
        "encode photo.png -o {out}/a.ddpm",
        "encode photo.jpg -o {out}/a.ddpm",
        "encode photo.png photo.jpg -o {out} --keep-suffix --jobs 2",
        "decode photo.png.ddpm -o {out}/a.png",
        "decode photo.jpg.ddpm -o {out}/a.jpg --original",
        "archive create {out}/a.ddpma photo.png photo.jpg",
    ],
)
def test_a_command_leaves_no_file(large: Path, tmp_path: Path, arguments: str) -> None:
    line = [sys.executable, "-m", "ddpmcodec", *arguments.format(out=tmp_path).split()]
    with subprocess.Popen(line, cwd=large, stderr=subprocess.PIPE, text=True) as process:
        while not computes(process):
            time.sleep(0.01)
        time.sleep(0.3)  # so that it works on an image
        process.send_signal(signal.SIGINT)
        _, said = process.communicate()
    assert (process.returncode, list(tmp_path.iterdir())) == (130, [])
    (line_of_ours,) = said.split("\n")[1:-1]  # after the one that a terminal shows ^C in
    assert line_of_ours.startswith("ddpmcodec: interrupted")


@pytest.mark.parametrize("file_format", ["WEBP", "PNG"])
def test_nobody_waits_for_pillow(file_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(1).integers(0, 256, (2000, 2000, 3), np.uint8))
    interrupt = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    threads = {*threading.enumerate(), interrupt}
    interrupt.start()
    with pytest.raises(KeyboardInterrupt):
        save_image(noise, file_format)
    assert set(threading.enumerate()) - threads


def test_pillow_reads_webp_in_another_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    load, threads = WebPImageFile.load, set[int]()
    monkeypatch.setattr(WebPImageFile, "load", lambda image: threads.add(threading.get_ident()) or load(image))
    image = load_image(save_image(Image.new("RGB", (20, 10), "teal"), "WEBP"), "an image")
    assert image.getpixel((0, 0)) == (0, 128, 128)
    assert threads - {threading.get_ident()}
