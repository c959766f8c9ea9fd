"""Work on a Ray cluster of two nodes: the results of one machine, and nothing is lost with a worker."""

from __future__ import annotations

import doctest
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from ddpmcodec import cluster
from ddpmcodec.cluster import Cluster
from ddpmcodec.errors import ClusterError, FormatError, ImageError

PAGE = Path(__file__).parents[1] / "docs" / "cluster.md"
PATIENCE = 120  # seconds, on a busy machine

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def machines(two_nodes: str) -> Iterator[Cluster]:
    with cluster.connect(two_nodes) as connected:
        yield connected


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
    assert str(found[1]).startswith(f"its workers on {machines.address} died 1 times: give machines fewer processors")


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
    with pytest.raises(ClusterError, match=r"its ddpmcodec is not the one that sends the work: install the same"):
        list(machines.map_unordered(abs, [1]))


def test_a_module_that_machines_do_not_have_is_an_error(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("only_here")
    exec("def work(number): return number", module.__dict__)
    monkeypatch.setitem(sys.modules, "only_here", module)
    with pytest.raises(ClusterError, match=r"(?s)a worker cannot load this program: install the same .*only_here"):
        list(machines.map_unordered(module.work, [1]))
    with pytest.raises(ClusterError, match=r"No module named 'only_here': install the same"):
        list(machines.map_unordered(repr, [module.work]))


def test_arrays_can_be_written_to_on_both_sides(machines: Cluster) -> None:
    """Ray's own are read-only: kernels do not take them, or are compiled again."""
    ((_, found),) = machines.map_unordered(lambda array: (array.flags.writeable, array), [np.zeros(1 << 18)])
    assert isinstance(found, tuple)
    assert found[0]
    assert found[1].flags.writeable


# --- no cluster


def test_a_cluster_without_processors_is_an_error(machines: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ray.cluster_resources", dict)
    with pytest.raises(ClusterError, match=r"no machine of the Ray cluster has a processor to work on: add one with"):
        cluster.connect("auto").__enter__()


@pytest.fixture
def unconnected(monkeypatch: pytest.MonkeyPatch) -> None:
    """As in a process that has not connected."""
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.setattr("ray.shutdown", lambda: None)


@pytest.mark.usefixtures("unconnected")
def test_where_nothing_answers_the_error_says_what_to_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    with pytest.raises(ClusterError) as caught, cluster.connect(address):
        pass
    assert str(caught.value) == (
        f"{address}: no Ray cluster answers (Connection refused): start it with ray start --head, and ray start"
        " --address=HOST:PORT on the other machines and this one, or use the address local"
    )


@pytest.mark.usefixtures("unconnected")
def test_another_program_that_listens_is_no_cluster() -> None:
    with HTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        address = f"127.0.0.1:{server.server_port}"
        with pytest.raises(ClusterError, match=r"answers \(another program listens there\): start it"):
            cluster.connect(address).__enter__()
        thread.join()


def test_without_ray_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ClusterError) as caught, cluster.connect("auto"):
        pass
    assert str(caught.value) == "auto: Ray is not installed here: pip install 'ddpmcodec[ray]'"
