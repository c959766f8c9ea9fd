"""Write cases.json from the golden files: python tests/conformance/make.py."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from ddpmcodec import codec

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden"
CASES = Path(__file__).parent / "cases.json"
EMBEDDED = "ddpmcodec/models"
SHARES = 0.2, 0.6  # of a file's bytes, after the header
PREVIEWED = "photo-2", "photo-3", "grey-3", "alpha-2", "tiles-3", "repeats-2", "lanes-2", "photo-0"
# Of pictures without a profile, which PAM files do not hold.
ENCODED = "photo-0", "photo-1", "photo-2", "photo-3", "grey-2", "bilevel-1", "noise-3", "learning-0", "repeats-1"
DAMAGED = "photo-2", "tiles-2", "alpha-2"  # of v2: one stream, tiles with an index, a section
JUNK = bytes(3)

Case = dict[str, Any]


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def base(file: Path, model: str) -> Case:
    return {"name": f"{file.parent.name}/{file.stem}", "file": named(file), "model": model}


def image_case(file: Path, model: str, pixels: NDArray[Any], needs: str | None = None) -> Case:
    """pixels: [H, W] or [H, W, C] of 8 or 16 bits."""
    height, width, channels = (*pixels.shape, 1)[:3]
    bits = 8 * pixels.dtype.itemsize
    digest = hashlib.sha256(pixels.astype(f">u{bits // 8}").tobytes()).hexdigest()
    case = {**base(file, model), "width": width, "height": height, "channels": channels, "bits": bits, "sha256": digest}
    return case | ({"needs": needs} if needs else {})


def images() -> Iterator[Case]:
    for folder in sorted(GOLDEN.glob("v*")):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            with Image.open(folder / entry["picture"]) as image:
                pixels = np.asarray(image.convert("L") if image.mode == "1" else image)
            yield image_case(folder / entry["file"], named(folder / "model.safetensors"), pixels)
    deep = GOLDEN / "v1" / "deep.ddpm"
    data = deep.read_bytes()
    model = f"{EMBEDDED}/{codec.info(data)['model']}.safetensors"
    yield image_case(deep, model, codec.decode(data, as_array=True), "bits")


def previews(found: list[Case]) -> Iterator[Case]:
    for case in found:
        if Path(case["file"]).stem in PREVIEWED:
            data, model = (ROOT / case["file"]).read_bytes(), ROOT / case["model"]
            exact, header = codec.decode(data, model=model, as_array=True), codec.info(data)["header_bytes"]
            for share in SHARES:
                size = header + round(share * (len(data) - header))
                shown = codec.decode(data, max_bytes=size, model=model, as_array=True)
                quality = 10 * np.log10(255**2 / np.mean((shown.astype(float) - exact) ** 2))
                yield {**case, "name": f"{case['name']} {size} bytes", "bytes": size, "psnr": round(float(quality), 1)}


def originals() -> Iterator[Case]:
    folder, jpeg = GOLDEN / "v1", f"{EMBEDDED}/jpeg.safetensors"
    for entry in json.loads((folder / "jpegs.json").read_text()):
        yield {**base(folder / entry["file"], jpeg), "sha256": entry["jpeg_sha256"]}
    for entry in json.loads((folder / "files.json").read_text()):
        if not entry["source"].endswith(".png"):  # whose pixels are compressed anew
            yield {**base(folder / entry["file"], jpeg), "sha256": entry["source_sha256"]}


def encodings() -> Iterator[Case]:
    for folder in sorted(GOLDEN.glob("v[23]")):
        for entry in json.loads((folder / "manifest.json").read_text())["streams"]:
            if Path(entry["file"]).stem in ENCODED:
                case = base(folder / entry["file"], named(folder / "model.safetensors"))
                yield {**case, "picture": named(folder / entry["picture"])} | {
                    k: entry[k] for k in ("effort", "levels")
                }
    for entry in json.loads((GOLDEN / "v1" / "jpegs.json").read_text()):
        file = GOLDEN / "v1" / entry["file"]
        header = codec.info(file.read_bytes())
        case = {**base(file, f"{EMBEDDED}/jpeg.safetensors"), "picture": named(file.with_name(entry["jpeg"]))}
        yield case | {"effort": header["effort"], "levels": header["levels"]}


def damaged(found: list[Case]) -> Iterator[Case]:
    for case in (case for case in found if case["file"].startswith("tests/golden/v2/")):
        if Path(case["file"]).stem in DAMAGED:
            case, data = base(ROOT / case["file"], case["model"]), (ROOT / case["file"]).read_bytes()
            header, name = codec.info(data)["header_bytes"], case["name"]
            for size in (0, 1, header - 1, header, len(data) // 2, len(data) - 1):
                yield {**case, "name": f"{name} cut to {size} bytes", "bytes": size}
            yield {**case, "name": f"{name} with bytes after its end", "append": JUNK.hex()}
            for offset in (0, 2, 3, header - 1, header, len(data) // 2, len(data) - 1):
                yield {**case, "name": f"{name} with a flipped bit in byte {offset}", "flip": offset}
            other = case["model"].replace("v2", "v1")
            yield {**case, "name": f"{name} by a different model", "model": other, "wrong_model": True}


def made() -> dict[str, list[Case]]:
    """All cases, by the check that they are for."""
    found = [*images()]
    return {
        "images": found,
        "previews": [*previews(found)],
        "originals": [*originals()],
        "encodings": [*encodings()],
        "damaged": [*damaged(found)],
    }


def text(cases: dict[str, list[Case]]) -> str:
    lists = (f' "{kind}": [\n  ' + ",\n  ".join(map(json.dumps, found)) + "\n ]" for kind, found in cases.items())
    return "{\n" + ",\n".join(lists) + "\n}\n"


if __name__ == "__main__":
    CASES.write_text(text(made()))
