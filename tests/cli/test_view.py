"""ddpmcodec view: the command around the page, as a process of its own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec

INVITATION = "ddpmcodec: open this address in a browser; Ctrl-C ends the viewer\n"


@contextmanager
def viewing(*arguments: object, change: str = "") -> Iterator[tuple[subprocess.Popen[str], str]]:
    """The process and the address that it printed. change: a statement that it begins with."""
    script = f"{change}\nfrom ddpmcodec.cli import main\nmain()"
    command = [sys.executable, "-c", script, "view", *map(str, arguments)]
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


def client(address: str, request: str) -> socket.socket:
    """Has sent the beginning of a request for a path below the address, and reads nothing."""
    _, _, host, token, _ = address.split("/")
    found = socket.create_connection(("127.0.0.1", int(host.split(":")[1])))
    found.sendall(request.replace("PATH", f"/{token}/files").encode())
    return found


SLOW = (
    "",
    "GET PATH HTTP/1.1\r\nHost: 127",
    "POST PATH HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100000\r\n\r\nbegins",
)  # nothing, half a head, a head without its body
READS_NOTHING = "GET PATH/0/original?bytes=0 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"


def test_clients_that_read_nothing_take_no_memory_and_slow_ones_do_not_keep_it_from_ending(tmp_path: Path) -> None:
    """A small file of many pixels, and an image of so many that is said to be its original, of megabytes."""
    noise = np.random.Generator(np.random.Philox(1)).integers(0, 256, (1000, 1200, 3), np.uint8)
    file, original = tmp_path / "large.ddpm", tmp_path / "noise.png"
    Image.fromarray(noise).save(original, compress_level=1)
    Image.new("L", (1200, 1000)).save(tmp_path / "black.jpg")
    file.write_bytes(codec.encode(tmp_path / "black.jpg"))
    with viewing(file, "--original", original) as (process, address), ExitStack() as clients:
        while urllib.request.urlopen(address + "files/0/original?bytes=0").status == 202:
            time.sleep(0.05)
        before = most_memory(process)
        for _ in range(60):
            clients.enter_context(client(address, READS_NOTHING)).recv(100)
        assert most_memory(process) - before < 60 * original.stat().st_size / 4
        for request in SLOW * 10:
            clients.enter_context(client(address, request))
        assert urllib.request.urlopen(address + "files").status == 200
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", INVITATION)
    assert process.returncode == 0


def most_memory(process: subprocess.Popen[str]) -> int:
    """So far, in bytes; 0 where the system is not Linux, which is asked."""
    status = Path(f"/proc/{process.pid}/status")
    lines = status.read_text().splitlines() if status.exists() else ["VmHWM: 0"]
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


def test_clients_that_are_waited_for_are_left(file: Path) -> None:
    change = "from ddpmcodec.viewer import server; server.PATIENCE = 0.3"
    with viewing(file, change=change) as (_, address), ExitStack() as clients:
        slow = [clients.enter_context(client(address, request)) for request in SLOW]
        for each in slow:
            each.settimeout(60)
            with suppress(ConnectionResetError):
                assert each.recv(1) == b""
        assert urllib.request.urlopen(address + "files").status == 200


def test_ctrl_c_does_not_wait_for_work(file: Path) -> None:
    change = "from ddpmcodec.viewer.server import ViewedFile\nimport threading\n"
    change += "ViewedFile.picture = lambda *rest: threading.Event().wait()"
    with viewing(file, change=change) as (process, address):
        assert urllib.request.urlopen(address + "files/0/preview?bytes=100").status == 202
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=60) == ("", INVITATION)
    assert process.returncode == 0


@pytest.fixture
def opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What a browser that runs as a command was given: its arguments, and the page and modes of it and its folder."""
    browser, opened = tmp_path / "browser", tmp_path / "opened"
    page = '"${1#file://}"'
    lines = f'echo "$@"; stat -c %a {page} "$(dirname {page})"; cat {page}'
    browser.write_text(f"#!/bin/sh\n{{ {lines}; }} > {opened}.part && mv {opened}.part {opened}\n")
    browser.chmod(0o755)
    monkeypatch.setenv("BROWSER", f"{browser} %s")
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    return opened


def wait_for(path: Path, process: subprocess.Popen[str]) -> None:
    while not path.exists():
        assert process.poll() is None
        time.sleep(0.05)


@pytest.mark.parametrize("is_reached", [True, False])
def test_the_secret_of_the_address_is_on_no_command_line(
    file: Path, opened: Path, tmp_path: Path, is_reached: bool
) -> None:
    with viewing(file, "--browser") as (process, address):
        wait_for(opened, process)
        argument, *modes, page = opened.read_text().split("\n", 3)
        assert argument.startswith("file:///")
        assert modes == ["600", "700"]
        assert f"url={address}" in page
        assert len([*tmp_path.glob("ddpmcodec-*")]) == 1
        if is_reached:
            urllib.request.urlopen(address).read()
            assert not [*tmp_path.glob("ddpmcodec-*")]
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", INVITATION)
    assert not [*tmp_path.glob("ddpmcodec-*")]


def test_where_the_page_cannot_be_written_the_viewer_still_answers(file: Path) -> None:
    change = "import tempfile; tempfile.tempdir = '/dev/null/none'"
    with viewing(file, "--browser", change=change) as (process, address):
        assert urllib.request.urlopen(address).status == 200
        process.send_signal(signal.SIGINT)
        assert "no browser was opened" in process.communicate()[1]
    assert process.returncode == 0


def test_malformed_requests_print_nothing(file: Path) -> None:
    with viewing(file) as (process, address), ExitStack() as clients:
        for request in ("BREW\r\n\r\n", "GET PATH HTTP/9.9\r\n\r\n") * 3:
            answer = clients.enter_context(client(address, request)).recv(100)
            assert answer.startswith(b"HTTP/1.1 400")
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", INVITATION)


def test_port_model_original_and_browser_are_given(
    ddpm: Any, foreign: Path, other_model: Path, photo: Path, opened: Path
) -> None:
    with viewing(foreign, "--model", other_model, "--original", photo, "--browser") as (process, address):
        wait_for(opened, process)
        assert b'"original":true' in urllib.request.urlopen(address + "files").read()
        port = address.split(":")[2].split("/")[0]
        ended = ddpm("view", foreign, "--model", other_model, "--port", port)
        assert (ended.code, ended.stdout) == (1, b"")
        assert f"port {port} cannot be used" in ended.stderr
        assert "--port" in ended.stderr
        process.send_signal(signal.SIGINT)
        assert process.communicate() == ("", INVITATION)
    assert process.returncode == 0


def test_files_that_cannot_be_shown_end_it_at_once(ddpm: Any, file: Path, tmp_path: Path) -> None:
    (tmp_path / "bad.ddpm").write_bytes(b"foreign")
    ended = ddpm("view", tmp_path / "bad.ddpm")
    assert (ended.code, ended.stdout) == (3, b"")
    Image.new("RGB", (3, 3)).save(tmp_path / "other.png")
    ended = ddpm("view", file, "--original", tmp_path / "other.png")
    assert (ended.code, f"{file}: the original is 3 x 3, the file 24 x 20" in ended.stderr) == (1, True)


def test_an_original_belongs_to_one_file(ddpm: Any, file: Path, photo: Path) -> None:
    ended = ddpm("view", file, file, "--original", photo)
    assert ended.code == 2
    assert "--original is the image of one file" in ended.stderr


def test_without_the_extra_the_command_says_how_to_install_it(file: Path) -> None:
    script = """
import sys
from ddpmcodec.cli import run

for name in ("starlette", "uvicorn"):
    sys.modules[name] = None
    print(run(sys.argv[1:]))
    del sys.modules[name]
"""
    ended = subprocess.run([sys.executable, "-c", script, "view", file], capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (0, "1\n1\n")
    assert ended.stderr.count("pip install 'ddpmcodec[view]'") == 2
