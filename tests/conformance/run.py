"""Check a decoder of .ddpm files, and an encoder, by the golden files, as README.md describes. Standard library only.

python tests/conformance/run.py [OPTIONS] -- COMMAND...
"""

from __future__ import annotations

import argparse
import fnmatch
import hashlib
import json
import shlex
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

sys.path.insert(0, str(Path(__file__).parent))
import raster

ROOT = Path(__file__).resolve().parents[2]
CASES = Path(__file__).with_name("cases.json")
TOLERANCE = 3.0  # dB that a preview may be worse than the one of this project's decoder

Case = dict[str, Any]
Command = list[str]


class Failure(Exception):
    """The decoder did something wrong."""


class Ended(NamedTuple):
    """How a command ended. output: the file that it wrote, or standard output if it does not name {output}."""

    code: int
    output: bytes
    stderr: str

    def __str__(self) -> str:
        return f"exit code {self.code}, {len(self.output)} bytes written: {self.stderr}"


class Commands(NamedTuple):
    """Commands with {input}, {output} and {model}, by what they do. encode: with {effort} and {levels}, too.
    damaged_code: None accepts any but 0."""

    whole: Command
    partial: Command | None
    original: Command | None
    encode: Command | None
    damaged_code: int | None
    seconds: float  # limit of a command

    def run(self, command: Command, case: Case) -> Ended:
        with tempfile.TemporaryDirectory() as folder:
            name, data = input_of(case)
            source, out = Path(folder) / name, Path(folder) / "out"
            source.write_bytes(data)
            out.mkdir()
            names = {"{input}": source, "{output}": out / "output", "{model}": ROOT / case["model"]}
            names |= {f"{{{name}}}": case[name] for name in ("effort", "levels") if name in case}
            for name, path in names.items():
                command = [argument.replace(name, str(path)) for argument in command]
            try:
                ended = subprocess.run(command, capture_output=True, timeout=self.seconds)
            except (OSError, subprocess.TimeoutExpired) as error:
                raise Failure(str(error)) from error
            written = b"".join(path.read_bytes() for path in out.iterdir())
            to_file = any(str(out) in argument for argument in command)
        output = written if to_file else ended.stdout
        return Ended(ended.returncode, output, ended.stderr.decode(errors="replace").strip()[-200:])

    def restored(self, command: Command, case: Case) -> bytes:
        """The output of a command that has to succeed."""
        ended = self.run(command, case)
        if ended.code or not ended.output:
            raise Failure(str(ended))
        return ended.output

    def picture(self, command: Command, case: Case) -> raster.Raster:
        """The picture that a command writes, with the channels of the case."""
        try:
            found = raster.read(self.restored(command, case))
        except ValueError as error:
            raise Failure(str(error)) from error
        found = found.as_grey() if case["channels"] < 3 else found
        expected = tuple(case[name] for name in ("width", "height", "channels", "bits"))
        if found[:4] != expected:
            raise Failure(f"width, height, channels and bits are {found[:4]}, not {expected}")
        return found

    def check(self, kind: str, case: Case) -> None:
        """Raises Failure."""
        if kind == "images":
            _compare(self.picture(self.whole, case).samples, case)
        elif kind == "originals" and self.original:
            _compare(self.restored(self.original, case), case)
        elif kind == "encodings" and self.encode:
            if self.restored(self.encode, case) != data_of(case):
                raise Failure("the file differs")
        elif kind == "previews" and self.partial:
            exact = self.picture(self.whole, {**case, "bytes": None})
            quality = self.picture(self.partial, case).psnr(exact)
            if quality < case["psnr"] - TOLERANCE:
                raise Failure(f"the preview has {quality:.1f} dB, the reference {case['psnr']:.1f} dB")
        elif kind == "damaged":
            ended, expected = self.run(self.whole, case), None if "wrong_model" in case else self.damaged_code
            if ended.code == 0 or ended.output or expected not in (None, ended.code):
                raise Failure(f"this file must be refused; {ended}")


def data_of(case: Case) -> bytes:
    """The file of a case, cut or damaged as the case says."""
    data = bytearray((ROOT / case["file"]).read_bytes())
    if "flip" in case:
        data[case["flip"]] ^= 1
    return bytes(data[: case.get("bytes")]) + bytes.fromhex(case.get("append", ""))


def input_of(case: Case) -> tuple[str, bytes]:
    """The name and the bytes of what a command reads: a file of ours, or the picture that is to be encoded."""
    if "picture" not in case:
        return "input.ddpm", data_of(case)
    picture = (ROOT / case["picture"]).read_bytes()
    return ("input.pam", raster.read(picture).pam()) if picture.startswith(raster.PNG_MAGIC) else ("input.jpg", picture)


def _compare(found: bytes, case: Case) -> None:
    if hashlib.sha256(found).hexdigest() != case["sha256"]:
        raise Failure("the result differs")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a decoder of .ddpm files. Exit code 1 if a case fails.")
    parser.add_argument("command", nargs="+", help="decodes {input} to {output}, by the model file {model}")
    parser.add_argument("--partial", type=shlex.split, help="does so with a prefix; default: not checked")
    parser.add_argument("--original", type=shlex.split, help="restores the encoded file; default: not checked")
    parser.add_argument("--encode", type=shlex.split, help="encodes {input}, a PAM or JPEG file; default: not checked")
    parser.add_argument("--damaged-code", type=int, help="exit code for cut and damaged files; default: any but 0")
    parser.add_argument("--only", default="*", help="pattern of names of cases")
    parser.add_argument("--skip", nargs="+", default=[], help="leave out cases that need bits (more than 8)")
    parser.add_argument("--seconds", type=float, default=60, help="limit of one command")
    given = parser.parse_args(arguments)
    optional = {"previews": given.partial, "originals": given.original, "encodings": given.encode}
    commands = Commands(given.command, *optional.values(), given.damaged_code, given.seconds)
    left_out = {kind for kind, command in optional.items() if command is None}
    passed, total = Counter[str](), Counter[str]()
    for kind, cases in json.loads(CASES.read_text()).items():
        for case in cases if kind not in left_out else ():
            if case.get("needs") in given.skip or not fnmatch.fnmatch(case["name"], given.only):
                continue
            total[kind] += 1
            try:
                commands.check(kind, case)
                passed[kind] += 1
            except Failure as failure:
                print(f"{case['name']}: {failure}", file=sys.stderr)
    print(", ".join(f"{kind} {passed[kind]} of {total[kind]}" for kind in total) or "there is no such case")
    return 0 if total and passed == total else 1


if __name__ == "__main__":
    sys.exit(main())
