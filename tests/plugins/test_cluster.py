"""A Ray cluster of two nodes: work, and commands with --ray, have the results of one machine, and nothing is lost with
a worker.

All is in one file: the cluster takes long to start, and takes time from other tests for as long as it runs.
"""

from __future__ import annotations

import doctest
import json
import os
import pickle
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from ddpmcodec import codec
from ddpmcodec.benchmarks import _work
from ddpmcodec.cli import _many
from ddpmcodec.errors import ClusterError, FormatError, ImageError
from ddpmcodec.formats.image_files import save_image
from ddpmcodec.parallel import threads_of
from ddpmcodec.plugins import cluster
from ddpmcodec.plugins.cluster import Cluster

PAGE = Path(__file__).parents[2] / "docs" / "cluster.md"
PATIENCE = 120  # seconds, on a busy machine

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module", autouse=True)
def nodes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[subprocess.Popen[str], Path]]:
    """The process of a cluster, which starts while the first tests run, and its log."""
    cluster._import_ray()  # before a test does, with its settings
    command, log = [sys.executable, Path(__file__).with_name("two_nodes.py")], tmp_path_factory.mktemp("ray") / "log"
    with log.open("w") as file:
        started = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=file, text=True)
    with started:
        yield started, log


@pytest.fixture(scope="module")
def ray(nodes: tuple[subprocess.Popen[str], Path]) -> Iterator[str]:
    """The address of a cluster. This process is connected, so that its commands need not wait for new workers."""
    started, log = nodes
    assert started.stdout is not None
    address = started.stdout.readline().strip()
    assert address, log.read_text()
    with cluster.connect(address):
        yield address


@pytest.fixture
def machines(ray: str) -> Cluster:
    return Cluster(ray)


# --- without a cluster, while it starts


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not connected."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)


@pytest.mark.usefixtures("unconnected")
def test_where_nothing_answers_the_error_says_what_to_start(ddpm: Any, file: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    ended = ddpm("test", file, "--ray", address)
    assert (ended.code, ended.stdout) == (1, b"")
    assert f"{address}: no Ray cluster answers" in ended.stderr
    assert "ray start --head" in ended.stderr


def test_where_no_local_cluster_starts_the_error_does_not_advise_one(
    file: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As where Ray's folder cannot be made."""
    (tmp_path / "full").touch()
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path / "full"))
    command = [sys.executable, "-m", "ddpmcodec", "test", file, "--ray", "local"]
    ended = subprocess.run(command, capture_output=True, text=True)
    assert (ended.returncode, ended.stdout) == (1, "")
    assert ended.stderr.startswith("ddpmcodec: local: Ray started no cluster")
    assert f"logs in {tmp_path / 'full' / 'ray'}" in ended.stderr
    assert "use the address" not in ended.stderr


@pytest.mark.usefixtures("unconnected")
def test_another_program_that_listens_is_no_cluster() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        with pytest.raises(ClusterError, match="another program"):
            cluster.connect(address).__enter__()
        thread.join()


def test_without_ray_the_error_says_what_to_install(ddpm: Any, file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    ended = ddpm("test", file, "--ray", "auto")
    assert (ended.code, ended.stdout) == (1, b"")
    assert "pip install 'ddpmcodec[ray]'" in ended.stderr


def test_jobs_and_threads_are_of_one_machine(ddpm: Any, photo: Path) -> None:
    ended = ddpm("encode", photo, "--ray", "auto", "--jobs", 2)
    assert ended.code == 2
    assert "leave out --jobs and --threads" in ended.stderr


def test_benchmarks_have_the_results_of_one_machine(
    ddpm: Any, tmp_path: Path, context_path: Path, pixels: np.ndarray, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of bits/dim. Units travel as they do to workers, but those would import PyTorch first."""
    from ray import cloudpickle

    def on_cluster(address: str, units: Sequence[_work.Unit], keep: Callable[[_work.Unit, Any], None]) -> None:
        assert address == "somewhere"
        with threads_of(1):
            for unit in units:
                keep(unit, pickle.loads(cloudpickle.dumps(unit.work))())

    monkeypatch.setattr(_work, "_on_cluster", on_cluster)
    np.save(tmp_path / "images.npy", np.stack([pixels, pixels[::-1]]))
    options = ["-q", "--data", tmp_path / "images.npy", "--settings=1/0", "--model", context_path, "--out"]
    found = []
    for folder, more in (("alone", []), ("together", ["--ray", "somewhere"])):
        assert ddpm("bench", "bpd", *options, tmp_path / folder, *more).code == 0
        result = json.loads((tmp_path / folder / "bench-bpd.json").read_text())
        assert ("--ray" in result.pop("command")) == bool(more)
        found.append(result)
        assert not list((tmp_path / folder).glob("*.partial*"))
    assert found[0] == found[1]


# --- work


def appears(path: Path) -> None:
    """Waits for a file that another process makes."""
    end = time.monotonic() + PATIENCE
    while not path.exists():
        if time.monotonic() > end:
            raise TimeoutError(path)
        time.sleep(0.01)


# Functions within functions travel whole; those of a test's module could not be imported by the workers.
def meet(folder: Path) -> Callable[[int], int]:
    """Returns the process, once another one is there too."""

    def work(number: int) -> int:
        (folder / str(number)).touch()
        end = time.monotonic() + PATIENCE
        while not (folder / str(1 - number)).exists() and time.monotonic() < end:
            time.sleep(0.01)
        return os.getpid()

    return work


def square_unless_killed(mark: Path) -> Callable[[int], int]:
    def work(number: int) -> int:
        if number == 3 and not mark.exists():
            mark.touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return number**2

    return work


def test_the_examples_run(machines: Cluster) -> None:
    examples = {"address": machines.address}
    page = doctest.testfile(str(PAGE), module_relative=False, globs=dict(examples))
    found = doctest.testmod(cluster, extraglobs=examples)
    assert (page.failed, found.failed) == (0, 0)
    assert page.attempted
    assert found.attempted


def test_both_nodes_work_at_the_same_time(machines: Cluster, tmp_path: Path) -> None:
    assert machines.processors == 2
    found = dict(machines.map_unordered(meet(tmp_path), range(2)))
    assert found.keys() == {0, 1}
    assert found[0] != found[1]


def test_a_killed_worker_loses_nothing(machines: Cluster, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    found = machines.map_unordered(square_unless_killed(tmp_path / "killed"), iter(range(8)))
    assert sorted(found) == [(i, i * i) for i in range(8)]
    assert (tmp_path / "killed").exists()
    assert capfd.readouterr().out == ""


def test_an_item_that_every_worker_dies_at_is_an_error_and_the_others_are_done(
    machines: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster, "RETRIES", 0)

    def work(number: int) -> int:
        if number == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        return number

    found = dict(machines.map_unordered(work, range(3)))
    assert (found[0], found[2]) == (0, 2)
    assert isinstance(found[1], ClusterError)
    assert str(found[1]).startswith(f"its workers on {machines.address} died 1 times")


def test_errors_of_an_item_are_its_result_and_defects_end_all(machines: Cluster) -> None:
    def work(number: int) -> float:
        if number == 1:
            raise ImageError("a.png: not an image")
        if number == 2:
            raise FileNotFoundError(2, "No such file or directory", "b.png")
        return 1 / number

    found = dict(machines.map_unordered(work, [4, 1, 2]))
    assert found[0] == 0.25
    assert (type(found[1]), str(found[1])) == (ImageError, "a.png: not an image")
    assert (type(found[2]), found[2].filename) == (FileNotFoundError, "b.png")
    with pytest.raises(ZeroDivisionError):
        list(machines.map_unordered(work, [0]))


def test_items_are_taken_as_they_are_needed(machines: Cluster) -> None:
    taken = iter(range(100))
    results = machines.map_unordered(lambda number: number, taken)
    assert next(results)[1] in range(4)
    results.close()
    assert next(taken) == 4  # two for each processor


def test_small_items_are_worked_on_together_and_one_that_fails_stops_no_other(machines: Cluster) -> None:
    def load(name: str) -> str:
        if name == "gone":
            raise FileNotFoundError(2, "No such file or directory", name)
        return name.upper()

    def code(names: Sequence[str]) -> list[str]:
        if "BAD" in names:
            raise FormatError("damaged")
        return [name + "!" for name in names]

    names = ["a", "bad", "b", "c", "gone", "d"]
    found: dict[str, object] = {}
    cluster.work_through(machines, names, [(1, "alike")] * 6, load, code, found.__setitem__)
    gone, bad = found.pop("gone"), found.pop("bad")
    assert found == {"a": "A!", "b": "B!", "c": "C!", "d": "D!"}
    assert (type(bad), str(bad)) == (FormatError, "damaged")
    assert isinstance(gone, FileNotFoundError)


def test_ctrl_c_ends_the_work(machines: Cluster, tmp_path: Path) -> None:
    begun, forever = tmp_path / "begun", 3600

    def work(number: int) -> None:
        begun.touch()
        time.sleep(forever)

    def interrupt() -> None:
        appears(begun)
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        list(machines.map_unordered(work, range(1)))
    thread.join()
    assert list(machines.map_unordered(abs, [-1])) == [(0, 1)]  # processors are free again


def test_another_program_on_a_machine_is_an_error(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster, "sources_id", lambda: "another")
    with pytest.raises(ClusterError, match="its ddpmcodec"):
        list(machines.map_unordered(abs, [1]))


def test_a_module_that_machines_do_not_have_is_an_error(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("only_here")
    exec("def work(number): return number", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(ClusterError, match=r"(?s)cannot load.*only_here"):
        list(machines.map_unordered(module.work, [1]))
    with pytest.raises(ClusterError, match="No module named 'only_here'"):
        list(machines.map_unordered(repr, [module.work]))


def test_arrays_can_be_written_to_on_both_sides(machines: Cluster) -> None:
    """Ray's own are read-only: kernels do not take them, or are compiled again."""
    ((_, found),) = machines.map_unordered(lambda array: (array.flags.writeable, array), [np.zeros(1 << 18)])
    assert isinstance(found, tuple)
    assert found[0]
    assert found[1].flags.writeable


def test_a_cluster_without_processors_is_an_error(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.cluster_resources", dict)
    with pytest.raises(ClusterError, match="no machine"):
        cluster.connect("auto").__enter__()


# --- commands


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
        encoded = ddpm("encode", "-r", photos, "-o", out, "--json", "-q", "--strict", *options)
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


def test_units_of_benchmarks_are_worked_on_by_the_cluster(
    ray: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(_work, "_value", lambda work: work())  # the module's own: workers would import PyTorch first
    here = os.getpid()
    units = [_work.Unit(f"unit {n}", 1.0, lambda n=n: [n, os.getpid() == here]) for n in range(3)]  # type: ignore[misc]
    wrong = _work.Unit("wrong", 1.0, lambda: codec.info(b"no file")["size"])
    work = _work.Work(tmp_path, "bpd", {})
    with pytest.raises(FormatError):
        work.results([wrong], quiet=True, ray=ray)
    assert work.results(units, quiet=True, ray=ray) == {f"unit {n}": [n, False] for n in range(3)}
