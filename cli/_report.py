"""Files that a command works on, what becomes of them, and what a run says: a bar over all, a line each, a summary."""

from __future__ import annotations

import json
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ddpmcodec.errors import DdpmError

from ._common import STANDARD, counted, echo, is_watched, label, message_of, printable, say

if TYPE_CHECKING:
    from ddpmcodec._native import FileHeader
    from ddpmcodec.codec.passes import SegmentCost
    from ddpmcodec.models.registry import Model


class Shape(NamedTuple):
    """The shape of an image. alike: what files that are coded together have in common."""

    pixels: int
    channels: int
    alike: Hashable


@dataclass(frozen=True)
class Task:
    """A file to read and the one to write, by their names. shape: None where it is known only once the file is read.
    replaces: what has the output's name is of an earlier version of the file."""

    name: str
    output: str
    shape: Shape | None = None
    replaces: bool = False


@dataclass(frozen=True)
class Result:
    """A file's content, bytes that were read for it, facts for --json, and lines for people. advice: said once in a
    run."""

    content: bytes
    read: int
    facts: dict[str, Any]
    lines: list[str] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)
    advice: str = ""


class Bar:
    """A bar on stderr over the samples of all images, in bytes, where a person watches. Used from any thread."""

    def __init__(self, name: str, tasks: Sequence[Task], *, shown: bool) -> None:
        self.lock = threading.RLock()
        self.bar: Any = None
        if shown and is_watched():
            from tqdm import tqdm

            total = sum(task.shape.pixels * task.shape.channels for task in tasks if task.shape)
            shown_name = printable(label(name))
            self.bar = tqdm(total=total, desc=shown_name, unit="B", unit_scale=True, leave=False, file=sys.stderr)

    def __enter__(self) -> Bar:
        return self

    def __exit__(self, *_: object) -> None:
        if self.bar is not None:
            self.bar.close()

    def progress(self, tasks: Sequence[Task], shape: Shape, passes: int) -> Callable[[float], object] | None:
        """A function to call with numbers of pixels of these images that are done, each so many times."""
        if self.bar is None:
            return None
        if tasks[0].shape is None:
            with self.lock:
                self.bar.total += shape.pixels * shape.channels
        return lambda pixels: self._advance(pixels * shape.channels / passes)

    def file_done(self, count: int) -> None:
        if self.bar is not None:
            with self.lock:
                self.bar.set_postfix_str(f"{count} done")

    @contextmanager
    def aside(self) -> Iterator[None]:
        """Lines are printed above the bar meanwhile."""
        with self.lock:
            if self.bar is None:
                yield
                return
            self.bar.clear()
            yield
            self.bar.refresh()

    def _advance(self, samples: float) -> None:
        with self.lock:
            self.bar.update(samples)


class Sizes(NamedTuple):
    """Total sizes of the files of one format or kind, in bytes."""

    files: int = 0
    input_bytes: int = 0
    output_bytes: int = 0

    def plus(self, read: int, written: int) -> Sizes:
        return Sizes(self.files + 1, self.input_bytes + read, self.output_bytes + written)

    def __str__(self) -> str:
        share = self.output_bytes / max(self.input_bytes, 1)
        change = f"{1 - share:.1%} saved" if share <= 1 else f"{share:.2f} times as many"
        return f"{counted(self.files, 'file')}, {self.input_bytes} -> {self.output_bytes} bytes, {change}"


class Report:
    """Takes what became of each file, from any thread. With --json results are on standard output: one object a line,
    of each file and at last a summary. Errors and warnings are on stderr in any case."""

    def __init__(self, *, as_json: bool, quiet: bool, compresses: bool) -> None:
        """compresses: whether the ratio of sizes is reported."""
        self.as_json, self.quiet, self.compresses = as_json, quiet, compresses
        self.bar = Bar("", (), shown=False)
        self.lock = threading.RLock()
        self.codes: list[int] = []
        self.has_advised = self.is_dry = False
        self.done = self.left_out = self.to_do = self.not_done = self.read = self.written = 0
        # Of inputs, where the results name their formats, and the kinds of what is coded.
        self.sizes: dict[str, dict[str, Sizes]] = {"format": {}, "kind": {}}

    def add(self, task: Task, outcome: Result | BaseException) -> None:
        if isinstance(outcome, BaseException):
            self.failed(task.name, outcome)
            return
        with self.lock, self.bar.aside():
            self.done += 1
            self.read += outcome.read
            self.written += len(outcome.content)
            for what, sizes_of in self.sizes.items():
                if name := outcome.facts.get(what):
                    sizes_of[name] = sizes_of.get(name, Sizes()).plus(outcome.read, len(outcome.content))
            lines = outcome.warnings + (outcome.lines if not self.as_json else [])
            if outcome.advice and not self.has_advised:
                self.has_advised = True
                lines.append(outcome.advice)
            for line in lines if not self.quiet else []:
                say(line)
            sizes = {"input_bytes": outcome.read, "output_bytes": len(outcome.content)}
            self._object({**_names(task.name, task.output), **outcome.facts, **sizes})
        self.bar.file_done(self.done)

    def failed(self, name: str, error: BaseException, *, was_said: bool = False) -> None:
        """was_said: the message was printed for another file."""
        code = error.exit_code if isinstance(error, DdpmError) else DdpmError.exit_code
        with self.lock, self.bar.aside():
            self.codes.append(code)
            if not was_said:
                say(message_of(error))
            self._object({"file": label(name), "error": message_of(error), "exit_code": code})

    def skipped(self, name: str, output: str, compared: str, *, alone: bool) -> None:
        """alone: no summary will count it."""
        self.left_out += 1
        if alone and not (self.quiet or self.as_json):
            say(f"{label(name)}: skipped, as {output} is whole, and {compared}")
        self._object({**_names(name, output), "skipped": True})

    def ended(self, error: BaseException, not_done: int) -> None:
        """Nothing more is done, for the reason of an error that was reported already."""
        self.not_done = not_done
        if not_done:
            say(f"{counted(not_done, 'file')} not done, as {message_of(error)}")

    def planned(self, tasks: Sequence[Task]) -> None:
        """Report the tasks of a dry run."""
        self.to_do, self.is_dry = len(tasks), True
        for task in tasks:
            self._object({**_names(task.name, task.output), "planned": True})
            if not (self.as_json or self.quiet):
                echo(printable(f"{label(task.name)} -> {label(task.output, 'standard output')}"))
        if not self.as_json and not self.quiet:
            others = {"skipped": self.left_out, "refused": len(self.codes)}
            more = "".join(f", {count} {what}" for what, count in others.items() if count)
            say(f"{counted(len(tasks), 'file')} would be tried{more}; this was a dry run")

    def finish(self) -> int:
        """Says the summary of several files, and returns the highest exit code."""
        code = max(self.codes, default=0)
        files = self.done + self.left_out + self.not_done + len(self.codes)
        counts = {"files": files + self.to_do, "done": self.done, "planned": self.to_do, "skipped": self.left_out}
        counts |= {"failed": len(self.codes), "not_done": self.not_done}
        sizes: dict[str, float | None] = {"input_bytes": self.read, "output_bytes": self.written}
        if self.compresses:
            sizes["ratio"] = ratio(self.read, self.written)
        shares = {
            f"{what}s": {name: totals._asdict() for name, totals in sizes_of.items()}
            for what, sizes_of in (self.sizes.items() if self.compresses else ())
        }
        self._object({"summary": {**counts, **sizes, **shares, "exit_code": code}})
        if files > 1 and not self.is_dry and not self.as_json and (self.codes or not self.quiet):
            say(self._summary(files))
            kinds = self.sizes["kind"]
            for kind, totals in sorted(kinds.items()) if not self.quiet and len(kinds) > 1 else ():
                say(f"  {kind}: {totals}")
        return code

    def _summary(self, files: int) -> str:
        if self.quiet:
            return f"{len(self.codes)} of {files} files failed"
        done = f"{self.done} of {files} files: {self.read} -> {self.written} bytes"
        rate = f"ratio {self.read / self.written:.3f}" if self.written and self.compresses else ""
        skipped = f"{self.left_out} skipped" if self.left_out else ""
        failed = f"{len(self.codes)} failed" if self.codes else ""
        return ", ".join(filter(None, [done, rate, skipped, failed]))

    def _object(self, facts: dict[str, Any]) -> None:
        if self.as_json:
            with self.lock:
                echo(json.dumps(facts, allow_nan=False))


def ratio(read: int, written: int) -> float | None:
    """How many times as many bytes were read; None where nothing was written."""
    return read / written if written else None


def _names(name: str, output: str) -> dict[str, str]:
    return {"file": label(name), "output": label(output, "standard output") if output == STANDARD else output}


# --- what a file costs, for -v: computation by its effort and levels, bits and seconds by its steps


class StepCosts:
    """Adds up what a codec reports of its segments, from any thread."""

    def __init__(self) -> None:
        self.bits: defaultdict[int, float] = defaultdict(float)  # by cell width after the step, 0: exact
        self.seconds: defaultdict[int, float] = defaultdict(float)
        self.lock = threading.Lock()

    def add(self, cost: SegmentCost) -> None:
        with self.lock:
            self.bits[cost.level] += cost.bits
            self.seconds[cost.level] += cost.seconds

    def lines(self) -> list[str]:
        """A line a step. Seconds are those of all threads together."""
        from ddpmcodec.codec.efforts import noise_of

        lines = []
        for number, level in enumerate(sorted(self.bits, reverse=True), start=1):
            reached = f"to noise level {noise_of(level):.2f}" if level else "to exact pixels"
            lines.append(f"  step {number}, {reached}: {self.bits[level]:.0f} bits, {self.seconds[level]:.3f} s")
        return lines


def coding_line(header: FileHeader, given: Model | None) -> str:
    """How a file is coded, and what that takes in either direction. given: the model, where it is not embedded."""
    from ddpmcodec.format.header import CODINGS, PIXELS
    from ddpmcodec.models.registry import written_with

    if header.kind != PIXELS:
        return f"  {CODINGS[header.kind]}" + f", effort {header.effort}" * bool(header.effort)
    model = written_with(header.model_number, header.model_id, given)
    macs = model.macs_per_pixel(header.effort, header.levels)
    return f"  {coding_words(header.effort, header.levels)}, {macs / 1000:.1f} thousand multiply-accumulates a pixel"


def coding_words(effort: int, levels: int) -> str:
    return f"effort {effort}, {counted(levels, 'noise level') if levels else 'no noise levels'}"


def archive_line(file: str, facts: dict[str, Any]) -> str:
    """What an archive holds, in bytes and rate, and how it is coded. facts: of `describe`."""
    rate = f"{facts['bytes']} bytes, {facts['bits_per_dim']:.3f} bits/dim"
    return f"{label(file)}: {rate}, {_archive_coding(facts)}{_archive_damage(facts)}"


def _archive_coding(facts: dict[str, Any]) -> str:
    """How the images are coded."""
    images = len(facts["images"])
    models = ", ".join(_archive_models(facts))
    if not facts["settings"]:
        return f"{images} of {images} images as files of their own" + (f" (model {models})" if models else "")
    if facts["latent_levels"]:
        count = f"{facts['images_by_bits_back']} of {images} images"
        levels = f"{len(facts['latent_levels'])} noise levels"
        return f"{count} by bits back through {levels}, model {', '.join(facts['latent_model_ids'])}"
    settings = " or ".join(coding_words(setting["effort"], setting["levels"]) for setting in facts["settings"])
    return f"{facts['images_on_stacks']} of {images} images together ({settings}, model {models})"


def _archive_models(facts: dict[str, Any]) -> list[str]:
    """Names of those that are embedded, and ids of the others."""
    return [*map(_name_of, facts["model_numbers"]), *facts["model_ids"]]


def model_of(image: dict[str, Any]) -> str | None:
    """The name or the id of the model of an image of an archive. image: facts of `describe`."""
    return _name_of(image["model_number"]) if image["model_number"] else image["model_id"]


def _name_of(number: int) -> str:
    from ddpmcodec.models import NUMBERS

    return {number: name for name, number in NUMBERS.items()}.get(number, f"number {number}")


def _archive_damage(facts: dict[str, Any]) -> str:
    problems = [
        (facts["missing_bytes"], f"{facts['missing_bytes']} bytes are missing"),
        (facts["following_bytes"], f"{counted(facts['following_bytes'], 'byte')} behind the end"),
        (facts["index_damaged"], "the index is damaged"),
        (facts["images_lost"], f"{counted(facts['images_lost'], 'image')} lost"),
    ]
    return "".join(f", {words}" for holds, words in problems if holds)


REPORT_SECONDS = 10.0  # between lines, where no bar is shown


class ArchiveProgress:
    """Counts the images that are done, by their coded pixels, and shows the count.

    Reading an image costs little, and coding it much, above all by bits back: so images that were read do not count
    before they are coded.

    Parameters:
        total: images to be done.
        passes: how often each pixel is coded or decoded; 2 with verification.
        advance: moves a bar by a number of images; None prints lines instead, unless `quiet`.
        quiet: print no lines.
    """

    def __init__(self, total: int, passes: int, advance: Callable[[float], object] | None, *, quiet: bool) -> None:
        self._total, self._passes, self._advance, self._quiet = total, passes, advance, quiet
        self._images, self._pixels, self._left_out = 0, 0, 0
        self._coded, self._shown, self._last = 0.0, 0.0, time.monotonic()
        self._lock = threading.Lock()

    def read(self, pixels: int) -> None:
        """Count an image that will be coded."""
        self._images += 1
        self._pixels += pixels

    def leave_out(self, images: int = 1) -> None:
        """Count images that will not be coded."""
        self._left_out += images
        self._show()

    def code(self, pixels: float) -> None:
        """Count pixels that were coded, or decoded to verify them; called from several threads."""
        with self._lock:
            self._coded += pixels
            self._show()

    def _show(self) -> None:
        share = min(self._coded / max(self._passes * self._pixels, 1), 1.0)
        done = max(self._left_out + share * self._images, self._shown)
        if self._advance is not None:
            self._advance(done - self._shown)
        elif not self._quiet and time.monotonic() - self._last >= REPORT_SECONDS:
            self._last = time.monotonic()
            say(f"{int(done)} of {self._total} images")
        self._shown = done
