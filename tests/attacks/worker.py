"""One process that attacks: python tests/attacks/worker.py SEED NUMBER FIRST FOLDER

SEED: of the run. NUMBER: of this process. FIRST: number of its first input. FOLDER: where its parent looks. Before each
input it is written to FOLDER/input, so that what kills this process is not lost; counts go to FOLDER/counts-FIRST.json.
"""

from __future__ import annotations

import hashlib
import json
import sys
import time
from collections import Counter
from itertools import count
from pathlib import Path

import numpy as np
import torch

from ddpmcodec.format.marks import end_mark
from forgeries import forged_archive, forged_file, forged_model, forged_weights
from interruptions import drawn, interrupt
from judge import Attack, Judge, Verdict
from measures import memory
from mutations import Random, mutate
from repairs import repaired_archive, repaired_file, sealed
from targets import ARCHIVE, CONTEXT_MODEL, FILE, GAUSSIAN_MODEL, KINDS, SUFFIXES, Seed, golden_seeds, seeds

SHARES = {FILE: 0.6, ARCHIVE: 0.25, CONTEXT_MODEL: 0.1, GAUSSIAN_MODEL: 0.02}  # of inputs; the rest: interruptions
REPAIRS = {FILE: repaired_file, ARCHIVE: repaired_archive, CONTEXT_MODEL: sealed, GAUSSIAN_MODEL: sealed}
FORGERIES = {FILE: forged_file, ARCHIVE: forged_archive, CONTEXT_MODEL: forged_model, GAUSSIAN_MODEL: forged_model}
SAVED_EVERY = 0.5  # seconds between two savings of the counts
MOST_CRASHERS = 20  # that are kept of one kind


def attack_of(rng: Random, number: int, known: tuple[Seed, ...]) -> Attack | None:
    """The input of this number; None: an interruption."""
    which = rng.random()
    for kind in KINDS:
        which -= SHARES[kind]
        if which < 0:
            return _attack(rng, number, [seed for seed in known if seed.kind == kind])
    return None


def _attack(rng: Random, number: int, known: list[Seed]) -> Attack:
    seed = known[rng.integers(len(known))]
    alike = [one for one in known if one.model == seed.model]  # a part of a file of another model is refused at once
    other = alike[rng.integers(len(alike))]
    way = rng.random()
    if way < 0.4:
        how, data = mutate(rng, seed.data, other.data)
        return Attack(seed, f"mutated: {how}", data, False, number)
    if way < 0.6:
        how, data = mutate(rng, seed.data, other.data)
        return Attack(seed, "mutated, with valid checksums", REPAIRS[seed.kind](data), True, number)
    if seed.kind == FILE and way < 0.7:
        return Attack(seed, "cut on purpose", _lossy(rng, seed.data, other.data), True, number)
    if seed.kind == CONTEXT_MODEL and way < 0.8:
        return Attack(seed, "forged weights", forged_weights(rng, seed.data, other.data), True, number)
    return Attack(seed, "forged", FORGERIES[seed.kind](rng, seed.data, other.data), True, number)


def _lossy(rng: Random, data: bytes, other: bytes) -> bytes:
    """A prefix with an end mark; of some, something else was changed."""
    if rng.random() < 0.5:
        data = forged_file(rng, data, other)
    kept = data[: int(rng.integers(len(data) + 1))]
    return kept + end_mark(kept)


class Log:
    """Counts and crashers, on disk."""

    def __init__(self, folder: Path, first: int) -> None:
        self.folder, self.place = folder, folder / f"counts-{first}.json"
        self.counts: Counter[str] = Counter()
        self.kept: Counter[str] = Counter()
        self.memory: list[float] = []
        self.saved = 0.0

    def begin(self, number: int, name: str, data: bytes) -> None:
        (self.folder / "input").write_bytes(data)
        (self.folder / "number").write_text(f"{number} {name}")

    def end(self, number: int, kind: str, how: str, verdict: Verdict) -> None:
        self.counts[f"{kind} | {how} | {verdict.outcome}"] += 1
        if time.monotonic() > self.saved + SAVED_EVERY:
            self.save(number)

    def save(self, number: int) -> None:
        self.saved = time.monotonic()
        self.memory.append(memory())
        found = {"number": number, "counts": self.counts, "memory": self.memory[:: max(1, len(self.memory) // 50)]}
        temporary = self.place.with_suffix(".tmp")
        temporary.write_text(json.dumps(found))
        temporary.replace(self.place)

    def keep(self, suffix: str, kind: str, verdict: Verdict, data: bytes, said: str) -> None:
        """A crasher, and beside it what was wrong; no more than a few of one kind."""
        self.kept[f"{kind} {verdict.outcome}"] += 1
        if self.kept[f"{kind} {verdict.outcome}"] > MOST_CRASHERS:
            return
        folder = self.folder.parent / "crashers"
        folder.mkdir(exist_ok=True)
        path = folder / f"{kind.replace(' ', '-')}-{hashlib.sha256(data).hexdigest()[:12]}{suffix}"
        path.write_bytes(data)
        path.with_suffix(path.suffix + ".txt").write_text(f"{said}\n{verdict.outcome}\n{verdict.crime}\n")


def main(seed: int, process: int, first: int, folder: Path) -> None:
    torch.set_num_threads(1)
    place = folder / "files"
    place.mkdir(exist_ok=True)
    known = seeds(str(place)) + golden_seeds()
    judge, log = Judge(known, place), Log(folder, first)
    for one in known:  # loads everything
        verdict = judge(Attack(one, "the seed itself", one.data, False))
        assert not verdict.crime, (one.name, verdict)
        assert "refused" not in verdict.outcome, (one.name, verdict)
    log.save(first)
    for number in count(first):
        rng = np.random.default_rng([seed, process, number])
        attack, said = attack_of(rng, number, known), f"--seed {seed}, process {process}, input {number}"
        if attack is None:
            _interrupt(rng, number, place, log, said)
            continue
        log.begin(number, f"{attack.seed.kind}: {attack.how}", attack.data)
        verdict = judge(attack)
        if verdict.crime:
            said = f"{said}: {attack.seed.name}, {attack.how}"
            log.keep(SUFFIXES[attack.seed.kind], attack.seed.kind, verdict, attack.data, said)
        log.end(number, attack.seed.kind, attack.how.partition(":")[0], verdict)


def _interrupt(rng: Random, number: int, place: Path, log: Log, said: str) -> None:
    asked, inside = drawn(rng), place / "interrupted"
    inside.mkdir(exist_ok=True)
    for path in inside.iterdir():
        path.unlink()
    log.begin(number, str(asked), repr(asked).encode())
    happened, wrong = interrupt(asked, inside)
    verdict = Verdict(happened, wrong)
    if wrong:
        log.keep(".txt", "interruption", verdict, repr(asked).encode(), said)
    log.end(number, "command", "interrupted", verdict)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:4]), Path(sys.argv[4]))
