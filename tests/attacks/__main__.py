"""Attacks the codec for as long as is asked: python tests/attacks --minutes 60 --seed 1 --out DIR

Files, archives and models are mutated, with and without valid checksums, forged, spliced and cut; commands are killed
and their disk fails, while they write. Every second process runs the kernels of every processor. DIR/crashers gets
every input that breaks a promise: an exception that is not the library's own, other pixels without an error, more
memory or time than what is claimed explains, a process that dies or hangs, half a file. Exit code 1 if there is any.
The same seed gives the same inputs. Run it from the root of a checkout.

    python tests/attacks --replay FILE...      what the library does with single inputs, such as crashers
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[1]
HANGS = 900.0  # seconds without a new input, unless --hangs says otherwise
FIRST_HANGS = 1800.0  # while it starts
PAUSE = 1.0
WAYS = 16  # in which inputs are read, by their numbers
SUFFIXES = {"file": ".ddpm", "archive": ".ddpma", "context model": ".safetensors", "gaussian model": ".safetensors"}


@dataclass
class Process:
    """A worker, which is started again where it dies. plain: it runs the core's kernels of every processor."""

    number: int
    seed: int
    out: Path
    plain: bool
    hangs: float = HANGS
    next_input: int = 0
    deaths: list[str] = field(default_factory=list)
    running: subprocess.Popen[bytes] | None = None
    began: float = 0.0

    @property
    def folder(self) -> Path:
        return self.out / f"process-{self.number}"

    def start(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "number").unlink(missing_ok=True)
        command = [sys.executable, str(HERE / "worker.py"), *map(str, (self.seed, self.number, self.next_input))]
        with (self.folder / "said.txt").open("ab") as said:
            self.running = subprocess.Popen([*command, str(self.folder)], cwd=ROOT, env=self._variables(), stderr=said)
        self.began = time.monotonic()

    def _variables(self) -> dict[str, str]:
        paths = [str(HERE), str(HERE.parent / "independent"), os.environ.get("PYTHONPATH", "")]
        found = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(paths)}
        return found | ({"DDPMCODEC_KERNELS": "plain"} if self.plain else {})

    def watch(self) -> None:
        """Start the worker again where it has died or hangs, and keep the input that did it."""
        assert self.running is not None
        code, number = self.running.poll(), self.folder / "number"
        since = time.time() - number.stat().st_mtime if number.exists() else 0.0
        waits = since if number.exists() else time.monotonic() - self.began
        if code is None and waits < (self.hangs if number.exists() else FIRST_HANGS):
            return
        self.stop()
        if number.exists():
            self._keep("hangs" if code is None else f"dies with {code}")
        elif code != -signal.SIGKILL:  # somebody else's
            raise SystemExit(f"a process does not start: {(self.folder / 'said.txt').read_text()[-2000:]}")
        self.start()

    def _keep(self, what: str) -> None:
        number, _, name = (self.folder / "number").read_text().partition(" ")
        crashers = self.out / "crashers"
        crashers.mkdir(exist_ok=True)
        place = crashers / f"process-{self.number}-{number}{SUFFIXES.get(name.partition(':')[0], '')}"
        shutil.copy(self.folder / "input", place)
        said = (self.folder / "said.txt").read_text()[-4000:]
        place.with_suffix(place.suffix + ".txt").write_text(
            f"{what} at --seed {self.seed}, input {number}, {name}\n{said}\n"
        )
        self.deaths.append(f"{name.partition(':')[0]} | | {what}")
        self.next_input = int(number) + 1

    def stop(self) -> None:
        if self.running is not None:
            self.running.kill()
            self.running.wait()

    def counts(self) -> Counter[str]:
        found = Counter(self.deaths)
        for path in self.folder.glob("counts-*.json"):
            found.update(json.loads(path.read_text())["counts"])
        return found

    def memory(self) -> list[float]:
        """MB over time, of the last worker."""
        newest = max(self.folder.glob("counts-*.json"), key=lambda path: path.stat().st_mtime)
        found: list[float] = json.loads(newest.read_text())["memory"]
        return found


def run(minutes: float, seed: int, out: Path, count: int, hangs: float) -> int:
    processes = [Process(number, seed, out, number % 2 == 1, hangs) for number in range(count)]
    try:
        for process in processes:
            process.start()
        while not all((process.folder / "number").exists() for process in processes):
            _watch(processes)
        end = time.monotonic() + 60 * minutes
        while time.monotonic() < end:
            _watch(processes)
    except KeyboardInterrupt:
        print("interrupted: what was tried so far counts")
    finally:
        for process in processes:
            process.stop()
    return report(processes, out)


def _watch(processes: list[Process]) -> None:
    time.sleep(PAUSE)
    for process in processes:
        process.watch()


def report(processes: list[Process], out: Path) -> int:
    """Print a table, and keep it; 1 if there are crashers."""
    counts = sum((process.counts() for process in processes), Counter[str]())
    lines = [f"{number:>9,}  {name}" for name, number in sorted(counts.items())]
    crashers = sorted(path.name for path in (out / "crashers").glob("*") if path.suffix != ".txt")
    lines.append(f"{sum(counts.values()):>9,}  in all, {len(crashers)} crashers in {out / 'crashers'}")
    for process in processes:
        with contextlib.suppress(ValueError):
            used = process.memory()
            lines.append(f"process {process.number}: {used[0]:.0f} MB at first, {used[-1]:.0f} MB at last")
    (out / "report.txt").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))
    return 1 if crashers else 0


def replay(paths: list[Path]) -> int:
    """Print what the library does with inputs; 1 if one breaks a promise."""
    import tempfile

    from judge import Attack, Judge
    from targets import golden_seeds, seeds

    crimes = 0
    with tempfile.TemporaryDirectory() as folder:
        known = seeds(folder) + golden_seeds()
        judge = Judge(known, Path(folder))
        by_model = {(seed.kind, seed.model, seed.name == "bits back"): seed for seed in known}
        for path in paths:
            for seed in (seed for seed in by_model.values() if SUFFIXES[seed.kind] == path.suffix):
                for number in range(WAYS):
                    verdict = judge(Attack(seed, "replayed", path.read_bytes(), True, number))
                    print(f"{path}, as if from {seed.name}, way {number}: {verdict.outcome}\n{verdict.crime}".rstrip())
                    crimes += bool(verdict.crime)
    return 1 if crimes else 0


def main() -> int:
    parser = argparse.ArgumentParser("python tests/attacks", description=__doc__)
    parser.add_argument("--minutes", type=float, default=10, help="for how long (default 10), from when all have begun")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path, help="a new folder")
    parser.add_argument("--replay", type=Path, nargs="+", metavar="FILE", help="inputs to try once more")
    parser.add_argument("--processes", type=int, default=2, help="default 2; every second one runs plain kernels")
    parser.add_argument("--hangs", type=float, default=HANGS, help="seconds that an input may take (default 900)")
    given = parser.parse_args()
    if given.replay:
        sys.path.append(str(HERE.parent / "independent"))
        return replay(given.replay)
    if given.out is None:
        parser.error("name a new folder with --out")
    given.out.mkdir(parents=True)
    return run(given.minutes, given.seed, given.out.resolve(), given.processes, given.hangs)


if __name__ == "__main__":
    sys.exit(main())
