"""--ray: files and benchmarks on a cluster of two nodes give what one machine gives."""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import cluster, codec
from ddpmcodec.benchmarks import _work
from ddpmcodec.cli import _many
from ddpmcodec.errors import DdpmError
from ddpmcodec.images import save_image

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def ray(two_nodes: str) -> Iterator[str]:
    """The address; this process is connected, so that its commands need not wait for new workers."""
    with cluster.connect(two_nodes):
        yield two_nodes


@pytest.fixture
def nowhere(monkeypatch: pytest.MonkeyPatch) -> str:
    """An address where nothing listens, for a process that is not connected."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)
    with socket.create_server(("127.0.0.1", 0)) as server:
        return f"127.0.0.1:{server.getsockname()[1]}"


@pytest.fixture
def photos(tmp_path: Path, pixels: np.ndarray) -> Path:
    """A folder: three small images of one size, a larger one in a folder, and one that is damaged."""
    folder = tmp_path / "photos"
    (folder / "deep").mkdir(parents=True)
    for number in range(3):
        Image.fromarray(np.roll(pixels, number, 0)).save(folder / f"{number}.png")
    Image.fromarray(np.tile(pixels, (2, 3, 1))).save(folder / "deep" / "large.png")
    (folder / "damaged.png").write_bytes((folder / "0.png").read_bytes()[:200])
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    """Of all files below, by their paths."""
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def png_of(pixels: np.ndarray) -> bytes:
    return save_image(Image.fromarray(pixels), "PNG")


def test_files_are_tested_as_on_one_machine(ddpm: Any, ray: str, file: Path, foreign: Path, other_model: Path) -> None:
    damaged = file.with_name("damaged.ddpm")
    damaged.write_bytes(file.read_bytes()[:-4])
    files = [file, damaged, file.with_name("none.ddpm"), foreign]
    alone, together = (ddpm("test", *files, *options) for options in ([], ["--ray", ray]))
    assert alone.code == together.code == 4
    for here, there in ((alone.stdout, together.stdout), (alone.stderr.encode(), together.stderr.encode())):
        assert sorted(here.splitlines()) == sorted(there.splitlines())
    assert ddpm("test", foreign, "--ray", ray, "--model", other_model).stdout == f"{foreign}: ok\n".encode()
    assert ddpm("test", "-", "--ray", ray, "-q", stdin=file.read_bytes()).code == 0


def test_folders_are_encoded_and_decoded_as_on_one_machine(ddpm: Any, ray: str, tmp_path: Path, photos: Path) -> None:
    """Bytes of files, objects of --json and exit codes."""
    found = {}
    for name, options in (("alone", ()), ("together", ("--ray", ray))):
        out, back = tmp_path / name, tmp_path / f"{name}-back"
        encoded = ddpm("encode", "-r", photos, "-o", out, "--json", "-q", *options)
        decoded = ddpm("decode", "-r", out, "-o", back, "--json", "-q", *options)
        assert (encoded.code, decoded.code) == (1, 0)
        said = (encoded.stdout + decoded.stdout).decode().replace(f"{out}", "OUT").splitlines()
        found[name] = contents(out), contents(back), sorted(said)
    assert found["alone"] == found["together"]
    files, images, _ = found["alone"]
    assert list(files) == ["0.ddpm", "1.ddpm", "2.ddpm", "deep/large.ddpm"]
    assert list(images) == ["0.png", "1.png", "2.png", "deep/large.png"]


def test_a_model_file_is_sent(ddpm: Any, ray: str, photo: Path, pixels: np.ndarray, other_model: Path) -> None:
    assert ddpm("encode", photo, "--ray", ray, "--model", other_model).code == 0
    data = photo.with_suffix(".ddpm").read_bytes()
    assert data == codec.encode(pixels, model=other_model)
    assert ddpm("decode", "-", "--ray", ray, "--model", other_model, stdin=data).stdout == png_of(pixels)
    assert ddpm("decode", "-", "--ray", ray, stdin=data).code == 4


def test_a_killed_worker_loses_no_file(
    ddpm: Any, ray: str, photos: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The worker of the second file dies when it has coded it, at its first attempt."""
    mark, code = tmp_path / "killed", _many._code_there

    def killed(work: Any, sent: Any) -> Any:
        results = code(work, sent)
        if "1.png" in sent[0][0].name and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return results

    monkeypatch.setattr(_many, "_code_there", killed)
    (photos / "damaged.png").unlink()
    ended = ddpm("encode", *sorted(photos.glob("*.png")), "-v", "--ray", ray)  # with -v each is coded on its own
    assert (ended.code, ended.stdout, mark.exists()) == (0, b"", True)
    assert ended.stderr.splitlines()[-1].startswith("ddpmcodec: 3 of 3 files: ")
    for image in photos.glob("*.png"):
        assert image.with_suffix(".ddpm").read_bytes() == codec.encode(image)


def test_a_jpeg_is_warned_of_once(ddpm: Any, ray: str, pixels: np.ndarray, tmp_path: Path) -> None:
    for number in range(3):
        Image.fromarray(pixels).save(tmp_path / f"{number}.jpg")
    ended = ddpm("encode", "-r", tmp_path, "--ray", ray, "--pixels")
    assert (ended.code, ended.stderr.count("a JPEG grows")) == (0, 1)


def test_jpeg_files_are_stored_as_on_one_machine(ddpm: Any, ray: str, pixels: np.ndarray, tmp_path: Path) -> None:
    Image.fromarray(pixels).save(tmp_path / "a.jpg")
    assert ddpm("encode", tmp_path / "a.jpg", "--ray", ray).code == 0
    assert (tmp_path / "a.ddpm").read_bytes() == codec.encode(tmp_path / "a.jpg")


def test_jobs_and_threads_are_of_one_machine(ddpm: Any, photo: Path) -> None:
    ended = ddpm("encode", photo, "--ray", "auto", "--jobs", 2)
    assert ended.code == 2
    assert "with --ray all processors of the cluster work: leave out --jobs and --threads" in ended.stderr


def test_benchmarks_have_the_results_of_one_machine(
    ddpm: Any, ray: str, tmp_path: Path, context_path: Path, pixels: np.ndarray
) -> None:
    """Of bits/dim; all benchmarks share the code that hands out their work."""
    np.save(tmp_path / "images.npy", np.stack([pixels, pixels[::-1]]))
    options = ["-q", "--data", tmp_path / "images.npy", "--settings=1/0", "--model", context_path, "--out"]
    found = []
    for folder, more in (("alone", []), ("together", ["--ray", ray])):
        assert ddpm("bench", "bpd", *options, tmp_path / folder, *more).code == 0
        result = json.loads((tmp_path / folder / "bench-bpd.json").read_text())
        assert ("--ray" in result.pop("command")) == bool(more)
        found.append(result)
        assert not list((tmp_path / folder).glob("*.partial*"))
    assert found[0] == found[1]


def test_torchrun_and_ray_do_not_go_together(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_work, "rank_and_size", lambda: (0, 2))
    monkeypatch.setattr(_work, "_join", lambda: None)
    with pytest.raises(DdpmError, match=r"torchrun and --ray would both share out the work: use one of them"):
        _work.Work(tmp_path, "bpd", {}).results([], ray="auto")


def test_a_cluster_that_does_not_answer_is_1(ddpm: Any, nowhere: str, file: Path) -> None:
    ended = ddpm("test", file, "--ray", nowhere)
    assert (ended.code, ended.stdout) == (1, b"")
    assert ended.stderr.startswith(f"ddpmcodec: {nowhere}: no Ray cluster answers (Connection refused): start it with ")


def test_without_ray_the_error_says_what_to_install(ddpm: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = ddpm("test", file, "--ray", "auto")
    assert (ended.code, ended.stdout) == (1, b"")
    assert ended.stderr == "ddpmcodec: auto: Ray is not installed here: pip install 'ddpmcodec[ray]'\n"
