"""Check that a build of ddpm-decode restores the golden files: samples of images, and files stored as they are.

    python tests/golden/decoded.py COMMAND...

COMMAND is ddpm-decode, after its emulator if it needs one. Prints how many files were restored. The exit code is 1
unless all were.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from PIL import Image

FOLDERS = sorted(Path(__file__).parent.glob("v*"))
AS_IT_WAS = "JPEG as it was"  # the coding of files that JPEG XL does not code


class Golden(NamedTuple):
    """A file, and what is expected of it: the SHA-256 of samples, or of the file that it stores."""

    file: Path
    is_stored: bool
    sha256: str

    def restored(self, command: Sequence[str]) -> str:
        """The SHA-256 of what the command restores. Raises CalledProcessError."""
        options = ["--original"] if self.is_stored else ["--model", str(self.file.with_name("model.safetensors"))]
        arguments = [*command, "--threads", "2", *options, str(self.file), "-"]
        output = subprocess.run(arguments, capture_output=True, check=True, timeout=600).stdout
        if not self.is_stored:
            _, _, output = output.partition(b"ENDHDR\n" if output.startswith(b"P7") else b"255\n")
        return hashlib.sha256(output).hexdigest()


def samples(picture: Path) -> bytes:
    with Image.open(picture) as image:
        return (image.convert("L") if image.mode == "1" else image).tobytes()


def golden() -> Iterator[Golden]:
    """All golden files but those that store WebP or JPEG XL, which ddpm-decode does not decode."""
    for folder in FOLDERS:
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            if not entry["file"].startswith("graphics"):
                digest = hashlib.sha256(samples(folder / entry["picture"])).hexdigest()
                yield Golden(folder / entry["file"], False, digest)
        listed = folder / "jpegs.json"
        for entry in json.loads(listed.read_text()) if listed.exists() else []:
            if entry["coding"] == AS_IT_WAS:
                yield Golden(folder / entry["file"], True, entry["jpeg_sha256"])


def problem(file: Golden, command: Sequence[str]) -> str | None:
    try:
        return None if file.restored(command) == file.sha256 else "decodes to something else"
    except subprocess.CalledProcessError as error:
        return f"exit code {error.returncode}: {error.stderr.decode(errors='replace').strip()[-200:]}"


def main(command: Sequence[str]) -> int:
    files = list(golden())
    problems = {file.file: found for file in files if (found := problem(file, command))}
    for path, found in problems.items():
        print(f"{path.parent.name}/{path.name}: {found}", file=sys.stderr)
    print(f"{len(files) - len(problems)} of {len(files)} golden files")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
