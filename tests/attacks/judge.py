"""Whether what the library does with an input keeps its promises."""

from __future__ import annotations

import contextlib
import io
import itertools
import shutil
import time
import traceback
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from PIL import Image

import archive_reader
import image_reader
from ddpmcodec import archive, codec
from ddpmcodec.cli import run as run_command
from ddpmcodec.errors import DdpmError
from ddpmcodec.format.ddpma import check_name
from ddpmcodec.models import context, registry
from ddpmcodec.paper.denoisers import find_denoiser
from measures import memory
from mutations import Random
from targets import (
    ARCHIVE,
    CONTEXT_MODEL,
    FILE,
    Facts,
    Seed,
    context_bytes,
    context_model,
    facts,
    gaussian_model,
    picture,
    png,
)

SECONDS, SECONDS_A_PIXEL = 10.0, 1e-4  # of processor time for an input, and for each pixel that it claims
MEGABYTES, MEGABYTES_A_PIXEL = 160.0, 1.2e-3
MOST_PIXELS, RARELY_MOST_PIXELS = 1 << 14, 1 << 21  # the limit that a caller sets, and once in `RARELY` inputs
RARELY = 200
EXIT_CODES = (0, 1, 3, 4)
MOST_PIECES, MOST_READ = 12, 4  # of a file that is fed; images of an archive that are read by name
TOO_LONG, TOO_MUCH = "too long", "too much memory"


class Attack(NamedTuple):
    """An input. how: what was done to the seed. forged: its checksums were made to match. number: of the input."""

    seed: Seed
    how: str
    data: bytes
    forged: bool
    number: int = 0


class Crime(Exception):
    """What must not happen."""


def require(holds: bool, problem: str) -> None:
    if not holds:
        raise Crime(problem)


class Verdict(NamedTuple):
    outcome: str
    crime: str = ""  # what is wrong, with the traceback


class Judge:
    """folder: for files. truths: of all seeds."""

    def __init__(self, seeds: tuple[Seed, ...], folder: Path) -> None:
        self.folder = folder
        self.images = {fact for seed in seeds if seed.kind == FILE for fact in seed.truth.values()}
        self.originals = {original for seed in seeds for original in seed.originals}
        self.models = {seed.model: registry.find(seed.model) for seed in seeds if seed.model}
        self.archives = [seed.truth for seed in seeds if seed.kind == ARCHIVE]
        self.model_path = folder / "context.safetensors"
        self.model_path.write_bytes(context_bytes())
        gaussian_model(str(folder))

    def __call__(self, attack: Attack) -> Verdict:
        """Too long, or too much, is what is so twice: at first it may have loaded something."""
        verdict = self._measured(attack)
        return self._measured(attack) if verdict.outcome in (TOO_LONG, TOO_MUCH) else verdict

    def _measured(self, attack: Attack) -> Verdict:
        before, start = memory(), time.process_time()
        verdict = self._judged(attack)
        seconds, megabytes = time.process_time() - start, memory(peak=True) - before
        if verdict.crime:
            return verdict
        pixels = claimed_pixels(attack)
        if seconds > SECONDS + SECONDS_A_PIXEL * pixels:
            return Verdict(TOO_LONG, f"{seconds:.1f} s of processor time, and {pixels} pixels are claimed")
        if megabytes > MEGABYTES + MEGABYTES_A_PIXEL * pixels:
            return Verdict(TOO_MUCH, f"{megabytes:.0f} MB, and {pixels} pixels are claimed")
        return verdict

    def _judged(self, attack: Attack) -> Verdict:
        read = {FILE: self._file, ARCHIVE: self._archive, CONTEXT_MODEL: self._context}
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                return Verdict(read.get(attack.seed.kind, self._gaussian)(attack))
        except DdpmError as error:
            return Verdict(f"refused: {type(error).__name__}")
        except Crime as crime:
            return Verdict("promise broken", f"{crime}\n{traceback.format_exc()}")
        except Exception as error:
            return Verdict(f"escaped: {type(error).__name__}", traceback.format_exc())

    # --- one image

    def _file(self, attack: Attack) -> str:
        read = {"model": self._model(attack), "max_pixels": most_pixels(attack)}
        found = outcome(lambda: codec.decode(attack.data, **read))
        if isinstance(found, Image.Image):
            self._right_file(attack, found)
        shown = outcome(lambda: codec.decode_details(attack.data, partial=True, **read))
        if isinstance(shown, codec.Decoded):
            header = codec.info(attack.data)
            require(shown.image.size == (header["width"], header["height"]), "a preview of another size")
            data = attack.data[: len(attack.data) - shown.following]  # which previews ignore, and decoding does not
            whole = outcome(lambda: codec.decode(data, **read)) if shown.following else found
            require(shown.exact <= isinstance(whole, Image.Image), "a preview is called exact, and decoding fails")
        self._also(attack, found, read)
        if isinstance(found, DdpmError):
            raise found
        return "decoded: the image" if facts(found) in self.images else "decoded: a forged image"

    def _right_file(self, attack: Attack, found: Image.Image) -> None:
        if not attack.forged:
            require(facts(found) in self.images, "other pixels than were encoded, and no error")
        image = image_reader.read_image(attack.data)
        problems = [] if image.lossy else list(image_reader.check_image(image))
        require(not problems, f"decoded, though the format has it that {problems}")

    def _also(self, attack: Attack, found: Image.Image | DdpmError, read: dict[str, Any]) -> None:
        """One of the other ways to read the same bytes, which must agree."""
        data, which = attack.data, attack.number % 11
        if which == 0:
            outcome(lambda: codec.info(data))
        elif which == 1:
            cut = outcome(lambda: codec.truncate(data, bytes=len(data) // 2))
            outcome(lambda: codec.decode(cut if isinstance(cut, bytes) else data, step=1, partial=True, **read))
        elif which == 2:
            outcome(lambda: codec.decode(data, max_bytes=len(data) // 2, **read))
        elif which == 3:
            many = outcome(lambda: codec.decode_many([data, data], **read))
            require(isinstance(many, list) == isinstance(found, Image.Image), "decode_many and decode do not agree")
        elif which in (4, 5):
            self._fed(attack, found, read)
        elif which == 6:
            self._command_decode(attack, found)
        elif which in (7, 8):
            self._a_part(attack, found, read)
        elif which == 9:
            outcome(lambda: codec.thumbnail(data, 1 + attack.number % 40, **read))
        else:
            self._original(attack, read["max_pixels"])

    def _model(self, attack: Attack) -> context.ContextModel:
        return self.models[attack.seed.model] if attack.seed.model else context_model()

    def _a_part(self, attack: Attack, found: Image.Image | DdpmError, read: dict[str, Any]) -> None:
        """A box, a reduced image, or both, of what claims to be so large; whole or as a preview."""
        header = outcome(lambda: codec.info(attack.data))
        if isinstance(header, DdpmError):
            return
        rng, (width, height) = np.random.default_rng(attack.number), (header["width"], header["height"])
        (left, right), (top, bottom) = (edges(rng, side) for side in (width, height))
        reduce, box = (1, 2, 4, 8, 16)[rng.integers(5)], (left, top, right, bottom)
        preview = {"partial": True} if rng.random() < 0.3 else {}
        shown = outcome(lambda: codec.decode(attack.data, box=box, reduce=reduce, **preview, **read))
        if isinstance(shown, Image.Image):
            size = tuple(-(-end // reduce) - start // reduce for start, end in ((left, right), (top, bottom)))
            require(shown.size == size, f"{box} at 1/{reduce} is {shown.size}")
        if reduce == 1 and isinstance(found, Image.Image) and not header["lossy"]:
            require(isinstance(shown, Image.Image), f"{box} is refused ({shown}), and the whole is not")
            require(np.array_equal(np.asarray(shown), np.asarray(found.crop(box))), f"other pixels in {box}")

    def _original(self, attack: Attack, most: int) -> None:
        """A JPEG file that comes back is the one of a seed, unless it was forged."""
        original = outcome(lambda: codec.decode_original(attack.data, max_pixels=most))
        if isinstance(original, bytes) and not attack.forged:
            require(original in self.originals, "another JPEG file than was encoded, and no error")

    def _fed(self, attack: Attack, found: Image.Image | DdpmError, read: dict[str, Any]) -> None:
        """In pieces of any length, some of them empty."""
        data, decoder = attack.data, codec.ProgressiveDecoder(**read)
        rng = np.random.default_rng(attack.number)
        inside = sorted(rng.integers(len(data) + 1, size=int(rng.integers(MOST_PIECES))).tolist())
        for start, end in itertools.pairwise([0, *inside, len(data)]):
            if isinstance(outcome(partial(decoder.feed, data[start:end])), DdpmError):
                require(isinstance(found, DdpmError), "ProgressiveDecoder fails, and decode does not")
                return
        closed = outcome(decoder.close)  # which alone finds the end of a small file
        require(isinstance(closed, Image.Image) == isinstance(found, Image.Image), f"closed {closed}, decoded {found}")
        if isinstance(closed, Image.Image):
            require(np.array_equal(np.asarray(closed), np.asarray(found)), "ProgressiveDecoder gives other pixels")

    def _command_decode(self, attack: Attack, found: Image.Image | DdpmError) -> None:
        with self._inside() as folder:
            (folder / "in.ddpm").write_bytes(attack.data)
            limit = ("--max-pixels", most_pixels(attack))
            model = attack.seed.model or self.model_path
            code = command("decode", folder / "in.ddpm", "-o", folder / "out.png", "--model", model, *limit)
            names = sorted(path.name for path in folder.iterdir())
            require(names == (["in.ddpm", "out.png"] if code == 0 else ["in.ddpm"]), f"exit code {code}, files {names}")
            expected = 0 if isinstance(found, Image.Image) else found.exit_code
            require(code == expected, f"exit code {code} where the library has {found!r}")
            if isinstance(found, Image.Image):
                with Image.open(folder / "out.png") as image, Image.open(io.BytesIO(png(found))) as same:
                    require(image.tobytes() == same.tobytes(), "a file of other pixels")

    # --- archives

    def _archive(self, attack: Attack) -> str:
        by_bits_back = attack.seed.name == "bits back"
        model = gaussian_model(str(self.folder)) if by_bits_back else self._model(attack)
        if claimed_pixels(attack) > 4 * most_pixels(attack):
            archive.describe(attack.data)
            return "claims much: only described"
        found, error = dict[str, Image.Image](), None
        try:
            for name, image in archive.extract(attack.data, model=model, max_pixels=most_pixels(attack)):
                require(check_name(name) is None and name not in found, f"the name {name!r}")
                found[name] = image
        except DdpmError as refused:
            error = refused
        self._right_archive(attack, {name: facts(image) for name, image in found.items()}, error)
        if attack.number % 16 == 0:
            self._command_extract(attack, len(found))
        elif attack.number % 4 == 1:
            self._opened(attack, found, error, model)
        elif attack.number % 4 == 2:
            self._archived_originals(attack)
        if error:
            raise error
        return "extracted: forged images" if attack.forged else "extracted: the images"

    def _right_archive(self, attack: Attack, found: dict[str, Facts], error: DdpmError | None) -> None:
        if not attack.forged:
            known = {item for truth in self.archives for item in truth.items()}
            require(set(found.items()) <= known, "an image that was not archived")
            require(error is not None or found in self.archives, "images are missing, and no error")
        elif error is None:
            problems = list(archive_reader.check_archive(archive_reader.read_archive(attack.data)))
            require(not problems, f"extracted, though the format has it that {problems}")

    def _opened(self, attack: Attack, found: dict[str, Image.Image], error: DdpmError | None, model: Any) -> None:
        """By name, in any order, and parts of images."""
        rng = np.random.default_rng(attack.number)
        opened = outcome(lambda: archive.open(attack.data, model=model, max_pixels=most_pixels(attack)))
        if isinstance(opened, DdpmError):
            require(error is not None, f"extracted, and not opened: {opened}")
            return
        names = list(opened)
        for place in rng.permutation(len(names))[:MOST_READ].tolist():
            name = names[place]
            image = outcome(partial(opened.__getitem__, name))
            if name in found:
                require(isinstance(image, Image.Image), f"{name!r} is extracted, and not read: {image}")
                require(facts(image) == facts(found[name]), f"{name!r} is read as another image")
            reduce = (1, 2, 4, 8, 16)[rng.integers(5)]
            outcome(partial(opened.region, name, reduce=reduce))
            if isinstance(image, Image.Image):
                (left, right), (top, bottom) = (edges(rng, side) for side in image.size)
                part = outcome(partial(opened.region, name, (left, top, right, bottom)))
                require(isinstance(part, Image.Image), f"a part of {name!r} is refused: {part}")
                same = np.array_equal(np.asarray(part), np.asarray(image.crop((left, top, right, bottom))))
                require(same, f"a part of {name!r} has other pixels")

    def _archived_originals(self, attack: Attack) -> None:
        with contextlib.suppress(DdpmError):
            for _, restored in archive.extract(attack.data, original=True, max_pixels=most_pixels(attack)):
                known = isinstance(restored, Image.Image) or attack.forged or restored in self.originals
                require(known, "another JPEG file than was archived")

    def _command_extract(self, attack: Attack, images: int) -> None:
        own = attack.seed.model or self.model_path
        model = self.folder / "gaussian.safetensors" if attack.seed.name == "bits back" else own
        with self._inside() as folder:
            (folder / "in.ddpma").write_bytes(attack.data)
            limit = ("--max-pixels", most_pixels(attack))
            code = command("archive", "extract", folder / "in.ddpma", "-o", folder / "out", "--model", model, *limit)
            files = [path for path in folder.rglob("*") if path.is_file() and path.name != "in.ddpma"]
            require(all(path.is_relative_to(folder / "out") for path in files), f"files outside the folder: {files}")
            require(code != 0 or len(files) == images, f"exit code {code}, files {files}")
            for path in files:
                with Image.open(path) as image:
                    image.load()

    # --- models

    def _context(self, attack: Attack) -> str:
        model = context.parse(attack.data, "attacked")
        for image in (picture("RGB", 6, 5), picture("L", 66, 3)):
            coding = {"effort": 1 + attack.number % 3, "levels": (0, 1, 2, 5)[attack.number // 3 % 3], "tile": 64}
            data = codec.encode(image, model=model, **coding)
            require(facts(codec.decode(data, model=model)) == facts(image), "other pixels than were encoded")
            outcome(partial(codec.decode, data, max_bytes=len(data) // 2, model=model))
        return "loaded, and codes without loss"

    def _gaussian(self, attack: Attack) -> str:
        path = self.folder / "attacked.safetensors"
        path.write_bytes(attack.data)
        model = find_denoiser(path)
        images = {f"{n}.png": picture("RGB", 6, 5, 24 + n) for n in range(3)}
        data = archive.create(images.items(), model=model, bits_back=[2.0, 30.0], effort=1)
        found = {name: facts(image) for name, image in archive.extract(data, model=model)}
        require(found == {name: facts(image) for name, image in images.items()}, "other pixels than were encoded")
        return "loaded, and codes without loss"

    @contextlib.contextmanager
    def _inside(self) -> Iterator[Path]:
        """An empty folder."""
        folder = self.folder / "inside"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder


def edges(rng: Random, side: int) -> tuple[int, int]:
    """Of a part of a side: where it begins and ends."""
    first = int(rng.integers(side))
    return first, int(rng.integers(first, side)) + 1


def outcome(read: Callable[[], Any]) -> Any:
    """What it returns, or the library's own error."""
    try:
        return read()
    except DdpmError as error:
        return error


def command(*arguments: object) -> int:
    """The exit code of a command line, which writes one line for each error at most."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        code = run_command([str(argument) for argument in arguments])
    require(code in EXIT_CODES, f"exit code {code}")
    text = said.getvalue()
    require(all(c.isprintable() or c == "\n" for c in text), f"control characters: {text!r}")
    require(code == 0 or "ddpmcodec: " in text, f"exit code {code}, and nothing is said")
    return code


def claimed_pixels(attack: Attack) -> int:
    """That an input says it has; 0 where it says nothing, or nonsense."""
    try:
        if attack.seed.kind == FILE:
            header = codec.info(attack.data)
            return int(header["width"] * header["height"])
        if attack.seed.kind == ARCHIVE:
            return sum(entry.pixels for entry in archive.read_index(attack.data).entries)
    except DdpmError:
        pass
    return 0


def most_pixels(attack: Attack) -> int:
    return MOST_PIXELS if attack.number % RARELY else RARELY_MOST_PIXELS
