"""The Python of .ci/afternoon, beside whose copy the files lie: afternoon.py STEP [ARGUMENT...]"""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

from PIL import Image, PngImagePlugin

HERE = Path(__file__).parent
BYTE_FOR_BYTE = ".jpg", ".jpeg", ".gif"


def make() -> None:
    """Write a folder of pictures of several formats, and one of crops to train with."""
    pictures, crops = HERE / "pictures" / "holiday", HERE / "crops"
    pictures.mkdir(parents=True)
    crops.mkdir()
    photo = Image.open(HERE / "photo.png").convert("RGB")
    photo.save(pictures / "baseline.jpg", quality=85)
    photo.save(pictures / "progressive.jpeg", quality=92, progressive=True, subsampling=0)
    chunks = PngImagePlugin.PngInfo()
    chunks.add_text("Comment", "a text")
    chunks.add_itxt("Title", "Grüße", "de")
    chunks.add(b"prVt", b"a private chunk")
    photo.save(pictures / "chunks.png", pnginfo=chunks, dpi=(300, 300))
    photo.quantize(16).save(pictures / "palette.png", bits=4)
    frames = [photo.crop((x, 0, x + 96, 64)).quantize(32) for x in range(0, 50, 10)]
    frames[0].save(pictures / "animation.gif", save_all=True, append_images=frames[1:], duration=80, loop=0)
    photo.convert("I").point(lambda value: value * 257).convert("I;16").save(pictures / "deep.tif")
    for x in range(0, 257, 64):
        for y in range(0, 129, 64):
            photo.crop((x, y, x + 128, y + 128)).save(crops / f"{x}-{y}.png")


def chunks_of(path: Path) -> Iterator[tuple[bytes, bytes]]:
    """Yield the chunks of a PNG file but those of pixels, which are compressed anew."""
    data, at = path.read_bytes(), 8
    while at < len(data):
        size, kind = int.from_bytes(data[at : at + 4]), data[at + 4 : at + 8]
        if kind != b"IDAT":
            yield kind, data[at + 8 : at + 8 + size]
        at += 12 + size


def compare() -> None:
    """Check what is promised of the restored files: their bytes, their chunks or their pixels.

    Extensions are those of the formats: .jpg, and .png of files that hold pixels.
    """
    before, after = HERE / "pictures", HERE / "restored"
    extensions = {".jpeg": ".jpg", ".tif": ".png"}
    for path in sorted(path for path in before.rglob("*") if path.is_file()):
        found = (after / path.relative_to(before)).with_suffix(extensions.get(path.suffix, path.suffix))
        if path.suffix in BYTE_FOR_BYTE:
            assert path.read_bytes() == found.read_bytes(), f"{found} has other bytes"
        else:
            same(found, path)
        if path.suffix == ".png":
            assert list(chunks_of(path)) == list(chunks_of(found)), f"{found} has other chunks"
        print(f"{path.name}: {path.stat().st_size} bytes came back")


def same(file: str | Path, expected: str | Path = HERE / "photo.png") -> None:
    """Check that a picture has the pixels of another one."""
    with Image.open(expected) as first, Image.open(file) as second:
        assert first.mode == second.mode, f"{file} has the mode {second.mode}, not {first.mode}"
        assert first.tobytes() == second.tobytes(), f"{file} has other pixels"


def view() -> None:
    """Fetch the page of the viewer, and end it by Ctrl-C."""
    files = sorted((HERE / "coded").rglob("*.ddpm"))
    viewer = subprocess.Popen(["ddpmcodec", "view", *files, "--no-browser"], stdout=subprocess.PIPE, text=True)
    assert viewer.stdout is not None
    try:
        address = viewer.stdout.readline().strip()
        page = urllib.request.urlopen(address, timeout=60).read()
        assert b"page.js" in page, page
        assert urllib.request.urlopen(f"{address}page.js", timeout=60).read()
        try:
            urllib.request.urlopen(f"{address.rsplit('/', 2)[0]}/", timeout=60)
            raise AssertionError("the page opens without its token")
        except urllib.error.HTTPError as error:
            print(f"without the token: {error}")
    finally:
        viewer.send_signal(signal.SIGINT)
    assert viewer.wait(60) == 0, f"ddpmcodec view ended with {viewer.returncode}"


def browser(folder: str) -> None:
    """Open the demo page, which decodes a file as it arrives."""
    from playwright.sync_api import expect, sync_playwright

    with ThreadingHTTPServer(("127.0.0.1", 0), partial(SimpleHTTPRequestHandler, directory=folder)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with sync_playwright() as api:
            opened = api.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"]).new_page()
            opened.goto(f"http://127.0.0.1:{server.server_port}/demo/")
            expect(opened.locator("#progress")).to_have_text("All of the file is decoded.", timeout=300_000)
        server.shutdown()


def archive() -> None:
    """Read an archive by a DataLoader with workers."""
    import torch

    from ddpmcodec.archive import ArchiveDataset, loader

    dataset = ArchiveDataset(str(HERE / "crops.ddpma"))
    batches = list(loader(dataset, 8, workers=2))
    print([batch.shape for batch in batches])
    assert sum(map(len, batches)) == len(dataset) == len(list((HERE / "crops").iterdir()))
    plain = list(torch.utils.data.DataLoader(dataset, batch_size=1, num_workers=1))
    with Image.open(HERE / "crops" / dataset.names[0]) as first:
        assert plain[0][0].permute(1, 2, 0).numpy().tobytes() == first.tobytes(), "the first image has other pixels"


def network(hours: str) -> None:
    """Train the network of docs/linear, and code a picture with it."""
    import ddpmcodec
    from ddpmcodec.training import fit

    model = fit(
        HERE / "crops", HERE / "network", network="linear", roles=("direct",), hours=float(hours), name="linear",
        compiled=False,
    )  # fmt: skip
    data = ddpmcodec.encode(HERE / "photo.png", model=model, levels=0)
    with Image.open(HERE / "photo.png") as photo:
        assert ddpmcodec.decode(data, model=model).tobytes() == photo.tobytes(), "the network restores other pixels"
    print(f"{len(data)} bytes by a network of one's own")


if __name__ == "__main__":
    STEPS = {step.__name__: step for step in (make, compare, same, view, browser, archive, network)}
    STEPS[sys.argv[1]](*sys.argv[2:])
