"""Words that are no longer used stay away: the field has a term for each.

Names that join words with underscores count as the words that they are made of.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SUFFIXES = {".py", ".md", ".cfg", ".toml"}
GENERATED = {"build", "dist"}

TERMS = {
    "law": "distribution",
    "laws": "distributions",
    "tell": "code, report",
    "tells": "codes, reports",
    "told": "coded, reported",
    "telling": "coding",
    "spread": "standard deviation",
    "spreads": "standard deviations",
    "pool": "replay buffer, executor",
    "pools": "replay buffers, executors",
    "reservoir": "replay buffer",
    "reservoirs": "replay buffers",
    "turns": "round-robin",
    "peer": "baseline",
    "peers": "baselines",
    "fellow": "extra target",
    "fellows": "extra targets",
    "surprise": "code length, normalised residual",
    "surprises": "code lengths, normalised residuals",
    "rung": "latent level",
    "rungs": "latent levels",
    "lend": "provide initial bits",
    "lends": "provides initial bits",
    "lent": "initial bits",
    "canary": "known-answer test",
    "canaries": "known-answer tests",
    "glue": "elementwise kernels",
    "coupling": "cross-channel coefficient",
    "couplings": "cross-channel coefficients",
    "guess": "estimate",
    "guesses": "estimates",
    "walks": "iterates over steps",
    "local network": "context model",
    "list of steps": "schedule",
    "learn while coding": "adapt online",
    "take turns": "are used round-robin",
}

ALLOWED = (
    "power law",  # a function x^a, in mathematics
    "power laws",
)


def files(root: Path) -> Iterator[Path]:
    """Of the repository, without what tools leave in it."""
    environments = [found.parent for found in root.rglob("pyvenv.cfg")]
    for path in sorted(root.rglob("*")):
        folders = path.relative_to(root).parts[:-1]
        ignored = any(path.is_relative_to(environment) for environment in environments) or any(
            part.startswith(".") or part in GENERATED or part.endswith(".egg-info") for part in folders
        )
        if path.suffix in SUFFIXES and not ignored and path != Path(__file__).resolve():
            yield path


def uses(text: str) -> Iterator[tuple[int, str]]:
    """(line, word) of each of `TERMS`."""
    plain = re.compile("|".join(rf"\b{phrase}\b" for phrase in sorted(ALLOWED, key=len, reverse=True)), re.IGNORECASE)
    word = re.compile(rf"\b({'|'.join(TERMS)})\b", re.IGNORECASE)
    for number, line in enumerate(text.splitlines(), start=1):
        for match in word.finditer(plain.sub("", line.replace("_", " "))):
            yield number, match[1].lower()


def test_the_words_of_the_field_are_used() -> None:
    found = [
        f"{path.relative_to(ROOT)}:{line}: '{word}': say '{TERMS[word]}'"
        for path in files(ROOT)
        for line, word in uses(path.read_text(encoding="utf-8"))
    ]
    assert not found, "\n" + "\n".join(found)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("x = 1\ndef wide_laws(Law): ...", [(2, "laws"), (2, "law")]),
        ("An outlaw's lawn; a power law.", []),
        ("The sets take turns.", [(1, "take turns")]),
        ("RESERVOIR, turns", [(1, "reservoir"), (1, "turns")]),
    ],
)
def test_words_are_found_whole_in_either_case(text: str, expected: list[tuple[int, str]]) -> None:
    assert list(uses(text)) == expected
