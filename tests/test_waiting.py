"""Nothing here waits by spinning, which on a busy machine takes time from whatever is waited for."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

CODE = """
import os
import numpy as np, torch, ddpmcodec

y, x = np.mgrid[:24, :700]
noise = np.random.Generator(np.random.Philox(1)).normal(0, 5, (24, 700, 3))
wide = (np.stack([x / 3, 250 - x / 3, 9 * y], -1) + noise).clip(0, 255).astype(np.uint8)  # previews in two parts
images = [wide, np.ascontiguousarray(wide[:, :64])]
files = ddpmcodec.encode_many(images, effort=1)
ddpmcodec.decode_many(files)
previews = [ddpmcodec.decode(file, max_bytes=len(file) // 2, as_array=True) for file in files]
assert all((preview != image).any() for preview, image in zip(previews, images))
coded = os.listdir("/proc/self/task")
torch.ones(1 << 20).exp()
print(torch.get_num_threads(), len(os.listdir("/proc/self/task")) - len(coded))
"""


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="threads are not listed here")
def test_the_codec_starts_no_threads_of_openmp() -> None:
    """They would spin at the end of every operation, and stay: the second one starts where PyTorch alone computes."""
    environment = os.environ | {"OMP_NUM_THREADS": "2"}
    ended = subprocess.run([sys.executable, "-c", CODE], env=environment, capture_output=True, text=True, check=True)
    assert ended.stdout == "2 1\n"


@pytest.mark.parametrize(("chosen", "policy"), [({}, "PASSIVE"), ({"OMP_WAIT_POLICY": "ACTIVE"}, "ACTIVE")])
def test_threads_of_the_command_sleep_while_they_wait(chosen: dict[str, str], policy: str, tmp_path: Path) -> None:
    """Those of OpenMP, which training uses, unless the user wants otherwise."""
    Image.new("L", (2, 2)).save(tmp_path / "a.png")
    kept = {name: value for name, value in os.environ.items() if name != "OMP_WAIT_POLICY"}
    environment = kept | chosen | {"OMP_DISPLAY_ENV": "TRUE"}
    command = [sys.executable, "-m", "ddpmcodec.cli", "encode", "a.png", "--no-verify"]
    ended = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    if "OPENMP DISPLAY ENVIRONMENT" not in ended.stderr:
        pytest.skip("another OpenMP")
    assert f"OMP_WAIT_POLICY = '{policy}'" in ended.stderr
