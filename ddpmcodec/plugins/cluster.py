"""Independent pieces of work on all machines of a Ray cluster (extra [ray]).

Items go out with all that they need, and results come back to the process that asked: machines share no disk, and
workers write nothing. What a killed worker or a lost machine had in hand is done again elsewhere, by Ray's retries; as
the codec is exact everywhere, results are those of one machine.

    machine with the files                         other machines
    reads, sends, writes outputs   -- items -->    a worker a processor, one thread each
                                   <- results --
"""

from __future__ import annotations

import hashlib
import os
import pickle
import platform
import socket
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from itertools import islice
from pathlib import Path
from typing import Any, TypeVar, cast

from ddpmcodec import _native
from ddpmcodec.errors import FAILURES, ClusterError, DdpmError, Failure
from ddpmcodec.parallel import threads_of

T = TypeVar("T")
L = TypeVar("L")
R = TypeVar("R")

LOCAL = "local"  # the address of a cluster of this machine alone
RETRIES = 3  # times that an item is tried again after its worker died
AHEAD = 2  # items sent for each processor: one is worked on, the next one waits beside it
GRACE = 0.5  # seconds that items may still end in before they are cancelled
PATIENCE = 10  # seconds until a machine that does not answer counts as absent
SETTINGS_FRAME = bytes([0, 0, 0, 4, 0, 0, 0, 0, 0])  # of HTTP/2, which Ray's head speaks: length, type 4, flags, stream
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + SETTINGS_FRAME
SETTINGS = {
    "RAY_DEDUP_LOGS_SKIP_REGEX": "^",  # Ray prints nothing to standard output, among results
    "RAY_USAGE_STATS_ENABLED": "0",  # nobody is notified of clusters that are started here
}


class Cluster:
    """A connection to a Ray cluster, made by `connect`. address: how messages name the cluster."""

    def __init__(self, address: str) -> None:
        self.address, self._ray = address, _import_ray()

    @property
    def processors(self) -> int:
        """Processors of all machines that are in the cluster now."""
        return int(self._ray.cluster_resources().get("CPU", 0))

    def map_unordered(self, function: Callable[[T], R], items: Iterable[T]) -> Iterator[tuple[int, R | Failure]]:
        """Yields (number of the item, function(item)) for every item, as soon as it is done.

        function: runs on other machines, on one thread; it, items and results travel by cloudpickle, so that lambdas
        and closures may be used. A DdpmError, OSError or MemoryError that it raises is the item's result, and so is a
        ClusterError where the item's workers died; other exceptions are raised here, and end all work.
        items: taken as they are needed, a few ahead of what is worked on.

        Raises ClusterError where the machines do not have the same ddpmcodec, or the connection is lost.
        """
        remote, numbered = self._remote(function), enumerate(items)
        sent: dict[Any, int] = {}  # the number of each reference
        try:
            while True:
                room = max(AHEAD * self.processors, 1) - len(sent)
                for number, item in islice(numbered, max(room, 0)):
                    sent[remote(self._ray.cloudpickle.dumps(item))] = number
                if not sent:
                    return
                for reference in self._ray.wait([*sent], num_returns=1)[0]:
                    outcome = self._outcome(reference)
                    yield sent.pop(reference), outcome
        finally:
            self._cancel([*sent])

    def _cancel(self, references: list[Any]) -> None:
        """Cancel tasks, but let those end that soon will: Ray (2.60) aborts this process where a task ends just as it
        is cancelled."""
        if references:
            _, lasting = self._ray.wait(references, num_returns=len(references), timeout=GRACE)
            for reference in lasting:
                self._ray.cancel(reference, force=True)

    def _remote(self, function: Callable[[T], R]) -> Callable[[bytes], Any]:
        """The function as a task of Ray, sent once to each worker. Items and results travel as bytes: arrays that Ray
        unpickles are read-only."""
        sources, dumps = sources_id(), self._ray.cloudpickle.dumps

        def call(item: bytes) -> bytes:
            outcome: R | Failure
            _prepare(sources)
            try:
                with threads_of(1):
                    outcome = function(_unpickled(item))
            except ClusterError:
                raise
            except FAILURES as error:
                outcome = error
            return cast(bytes, dumps(outcome))

        return cast("Callable[[bytes], Any]", self._ray.remote(num_cpus=1, max_retries=RETRIES)(call).remote)

    def _outcome(self, reference: Any) -> Any:
        errors = self._ray.exceptions
        try:
            return pickle.loads(self._ray.get(reference))
        except errors.RayTaskError as error:
            if isinstance(error.cause, ClusterError):
                raise error.cause from error
            if "failed to import" in str(error):
                raise ClusterError(f"{self.address}: a worker cannot load this program: {_SAME}: {error}") from error
            raise
        except (errors.LocalRayletDiedError, errors.RaySystemError) as error:
            raise ClusterError(f"{self.address}: the connection to the Ray cluster is lost: start it again") from error
        except errors.RayError as error:
            return ClusterError(
                f"its workers on {self.address} died {RETRIES + 1} times: give machines fewer processors (ray start"
                f" --num-cpus) where memory is short, or work on it without Ray ({type(error).__name__})"
            )


@contextmanager
def connect(address: str) -> Iterator[Cluster]:
    """A Ray cluster to work on. A process that is connected already stays so, whatever the address.

    Parameters:
        address: HOST:PORT of the head, where this machine is one of the cluster's (`ray start --address=HOST:PORT`);
            "auto": the cluster that runs on this machine; "local": a cluster of this machine alone, which starts and
            ends with the connection.

    Raises:
        ClusterError: Ray is not installed, there is no such cluster, or it has no processors.

    >>> from ddpmcodec.plugins import cluster
    >>> with cluster.connect(address) as machines:
    ...     sorted(machines.map_unordered(len, [b"some", b"bytes"]))
    [(0, 4), (1, 5)]
    """
    ray = _import_ray(address)
    must_connect = not ray.is_initialized()
    if must_connect:
        _connect(ray, address)
    try:
        cluster = Cluster(address)
        if not cluster.processors:
            raise ClusterError(
                f"{address}: no machine of the Ray cluster has a processor to work on: add one with ray start"
                " --address=HOST:PORT"
            )
        yield cluster
    finally:
        if must_connect:
            ray.shutdown()


def work_through(
    cluster: Cluster,
    items: Sequence[T],
    keys: Sequence[Any],
    load: Callable[[T], L],
    code: Callable[[Sequence[L]], Sequence[R]],
    done: Callable[[T, R | Failure], object],
) -> None:
    """`codec.passes.work_through` on a cluster: the same results, in another order.

    load: called here with each item when it is sent; returns what `code`, which runs elsewhere, takes. keys, done: as
    there, but `done` is called from this thread.
    """
    from ddpmcodec.codec.passes import batches

    def loaded(sent: list[list[T]]) -> Iterator[list[L]]:
        for batch in pending:
            loaded_items = list(_loaded(batch, load, done))
            if loaded_items:
                sent.append([item for item, _ in loaded_items])
                yield [content for _, content in loaded_items]

    pending: list[list[T]] = [[items[i] for i in batch] for batch in batches(keys, cluster.processors)]
    while pending:
        sent: list[list[T]] = []
        failed: list[list[T]] = []
        for number, outcome in cluster.map_unordered(code, loaded(sent)):
            batch = sent[number]
            if not isinstance(outcome, Failure):
                for item, result in zip(batch, outcome, strict=True):
                    done(item, result)
            elif len(batch) == 1:
                done(batch[0], outcome)
            else:
                failed += [batch[: len(batch) // 2], batch[len(batch) // 2 :]]
        pending = failed


def _loaded(
    batch: Sequence[T], load: Callable[[T], L], done: Callable[[T, DdpmError | OSError | MemoryError], object]
) -> Iterator[tuple[T, L]]:
    """(item, load(item)) of a batch; where `load` fails, its error is the result, and the item is done."""
    for item in batch:
        try:
            content = load(item)
        except FAILURES as error:
            done(item, error)
        else:
            yield item, content


# --- the connection


def _import_ray(address: str = "") -> Any:
    """The module `ray`. Raises ClusterError where it is not installed."""
    for name, value in SETTINGS.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError as error:
        raise ClusterError(f"{address}: Ray is not installed here: pip install 'ddpmcodec[ray]'") from error
    return ray


def _connect(ray: Any, address: str) -> None:
    """Connect this process to the cluster. Raises ClusterError."""
    host, _, port = address.rpartition(":")
    if host and port.isdecimal() and "/" not in host:
        _require_answer(host, int(port), address)
    try:
        ray.init(address=address, log_to_driver=False, logging_level="CRITICAL")
    except Exception as error:  # Ray raises many kinds
        raise _unreachable(address, " ".join(str(error).split())) from error


def _require_answer(host: str, port: int, address: str) -> None:
    """Raises ClusterError unless a Ray head answers soon: Ray itself would try for a quarter of an hour."""
    try:
        with socket.create_connection((host, port), PATIENCE) as connection:
            if os.environ.get("RAY_USE_TLS", "0") == "0":
                connection.sendall(PREFACE)
                if connection.recv(len(SETTINGS_FRAME))[3:4] != SETTINGS_FRAME[3:4]:
                    raise _unreachable(address, "another program listens there")
    except OSError as error:
        raise _unreachable(address, error.strerror or str(error)) from error


def _unreachable(address: str, why: str) -> ClusterError:
    if address == LOCAL:
        return ClusterError(
            f"{address}: Ray started no cluster of this machine ({why}): look into its logs in {_logs()} for the"
            " reason, such as a full disk or /dev/shm, too little memory, or a machine too busy to start it in time;"
            " or work without Ray"
        )
    return ClusterError(
        f"{address}: no Ray cluster answers ({why}): start it with ray start --head, and ray start --address=HOST:PORT"
        " on the other machines and this one, or use the address local"
    )


def _logs() -> Path:
    """The folder of the logs of the newest cluster that was started here."""
    folder = os.environ.get("RAY_TMPDIR") or os.environ.get("TMPDIR") or "/tmp"
    return Path(folder, "ray", "session_latest", "logs")


# --- on the workers

_SAME = "install the same ddpmcodec, Python and packages on all machines"


def _unpickled(item: bytes) -> Any:
    """The item. Raises ClusterError where a module or name that it needs is missing on this machine."""
    try:
        return pickle.loads(item)
    except (ImportError, AttributeError) as error:
        raise ClusterError(f"{platform.node()}: {error}: {_SAME}") from error


@cache
def _prepare(sources: str) -> None:
    """Runs once in each worker. Raises ClusterError where its ddpmcodec is not the one that sends the work."""
    if sources_id() != sources:
        raise ClusterError(f"{platform.node()}: its ddpmcodec is not the one that sends the work: {_SAME}")


@cache
def sources_id() -> str:
    """Hash of the package, the version of its core, and the ids of its models: all that results depend on."""
    package, digest = Path(__file__).parent, hashlib.sha256(_native.version().encode())
    for path in sorted(package.rglob("*")):
        name = path.relative_to(package)
        if path.suffix in (".py", ".json") and name.parts[0] not in ("cli", "benchmarks"):
            digest.update(name.as_posix().encode() + path.read_bytes())
    return digest.hexdigest()
