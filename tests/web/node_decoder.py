"""The decoder for browsers in a process of Node.js, and where golden files are."""

from __future__ import annotations

import base64
import json
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ROOT = Path(__file__).parents[2]
GOLDEN = ROOT / "tests" / "golden" / "v2"
MODEL = GOLDEN / "model.safetensors"
WIDTH, HEIGHT = 150, 120  # of the photograph
CLOSE = 2  # grey levels that pictures may differ by if their arithmetic is not exact


class Node:
    """A process of Node.js that decodes."""

    def __init__(self, program: str, process: subprocess.Popen[str]) -> None:
        self.program, self.process = program, process

    def ask(self, operation: str, data: bytes, **options: Any) -> dict[str, Any]:
        """What harness.mjs answers. rgba: what a decoder of JPEG would give."""
        question = {"operation": operation, "data": base64.b64encode(data).decode(), **options}
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        assert answer, "Node.js stopped"
        found: dict[str, Any] = json.loads(answer)
        return found


def pixels_of(picture: dict[str, Any]) -> NDArray[np.uint8]:
    """uint8 [H, W], or [H, W, C] with more than one channel."""
    assert "error" not in picture, picture
    flat = np.frombuffer(base64.b64decode(picture["data"]), np.uint8)
    found = flat.reshape(picture["height"], picture["width"], picture["channels"])
    return found[..., 0] if picture["channels"] == 1 else found


def error_of(answer: dict[str, Any]) -> str:
    assert answer.get("own"), answer
    return str(answer["error"])
