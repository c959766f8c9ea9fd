"""ddpmcodec view: the command around the page, as a process of its own."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

INVITATION = "ddpmcodec: open this address in a browser; Ctrl-C ends the viewer\n"


@contextmanager
def viewing(*arguments: object) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it printed."""
    command = [sys.executable, "-m", "ddpmcodec", "view", *map(str, arguments)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            yield process, process.stdout.readline().strip()
        finally:
            process.kill()


def test_the_address_answers_until_ctrl_c(file: Path, foreign: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ddpm").write_bytes(b"foreign")
    with viewing(tmp_path / "bad.ddpm", file, foreign) as (process, address):
        assert address.startswith("http://127.0.0.1:")
        assert b"<!doctype html>" in urllib.request.urlopen(address).read()
        assert urllib.request.urlopen(address + "files").read().count(b'"name"') == 1
        with pytest.raises(urllib.error.HTTPError, match="403"):
            urllib.request.urlopen(address[: address.rindex("/", 0, -1)] + "/files")
        process.send_signal(signal.SIGINT)
        stdout, stderr = process.communicate()
    first, second, third, last = (line for line in stderr.splitlines(keepends=True) if "kernels" not in line)
    assert first.startswith(f"ddpmcodec: {tmp_path / 'bad.ddpm'}: not a ddpmcodec file")
    assert second.startswith(f"ddpmcodec: {foreign}: the file was written with model")
    assert (third, last) == ("ddpmcodec: 2 of 3 files failed\n", INVITATION)
    assert (process.returncode, stdout) == (4, "")


def test_the_page_is_opened_on_request(file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    browser = tmp_path / "browser"
    browser.write_text(
        f'#!/bin/sh\necho "$1" > {tmp_path}/opened.part && mv {tmp_path}/opened.part {tmp_path}/opened\n'
    )
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    with viewing(file, "--browser") as (process, address):
        assert urllib.request.urlopen(address).status == 200
        while not (tmp_path / "opened").exists():
            assert process.poll() is None
            time.sleep(0.05)
        assert (tmp_path / "opened").read_text() == f"{address}\n"


def test_port_model_and_original_are_given(foreign: Path, other_model: Path, photo: Path) -> None:
    with viewing(foreign, "--model", other_model, "--original", photo) as (process, address):
        port = address.split(":")[2].split("/")[0]
        assert b'"original":true' in urllib.request.urlopen(address + "files").read()
        with viewing(foreign, "--model", other_model, "--port", port) as (second, nothing):
            _, stderr = second.communicate()
            assert (second.returncode, nothing) == (1, "")
            assert (
                stderr
                == f"ddpmcodec: port {port} cannot be used (Address already in use): name another --port, or none\n"
            )
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", INVITATION)
    assert process.returncode == 0


def test_files_that_cannot_be_shown_end_it_at_once(ddpm: Any, file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ddpm").write_bytes(b"foreign")
    ended = ddpm("view", tmp_path / "bad.ddpm")
    assert (ended.code, ended.stdout) == (3, b"")
    Image.new("RGB", (3, 3)).save(tmp_path / "other.png")
    ended = ddpm("view", file, "--original", tmp_path / "other.png")
    size = "the original is 3 x 3, the file 24 x 20: name the image that it was encoded from"
    assert (ended.code, ended.stderr) == (1, f"ddpmcodec: {file}: {size}\n")


def test_an_original_belongs_to_one_file(ddpm: Any, file: Path, photo: Path) -> None:
    ended = ddpm("view", file, file, "--original", photo)
    assert ended.code == 2
    assert "--original is the image of one file: give one file with it" in ended.stderr


@pytest.mark.parametrize("missing", ["starlette", "uvicorn"])
def test_without_the_extra_the_command_says_how_to_install_it(file: Path, missing: str) -> None:
    script = f"import sys; sys.modules[{missing!r}] = None; from ddpmcodec.cli import run; sys.exit(run(sys.argv[1:]))"
    ended = subprocess.run([sys.executable, "-c", script, "view", file], capture_output=True, text=True)
    assert ended.returncode == 1
    assert ended.stderr == "ddpmcodec: the viewer needs Starlette and uvicorn: pip install 'ddpmcodec[view]'\n"
