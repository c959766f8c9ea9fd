"""The loop that all training runs share: step, log, evaluate, save, stop. And what a resumed run takes over.

A trainer is a loss and its batches; this is everything else. A run lives in a folder: its state, `log.jsonl`, and
what its trainer writes besides.
"""

from __future__ import annotations

import json
import math
import signal
import threading
import time
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, fields, is_dataclass, replace
from pathlib import Path
from typing import Any, Protocol, TypeVar

from tqdm import tqdm

from ddpmcodec.errors import TrainingError
from ddpmcodec.formats.files import append_file, owned, write_file
from ddpmcodec.training import state
from ddpmcodec.training.settings import revived
from ddpmcodec.training.state import State

LOG = "log.jsonl"
LOG_SECONDS, FIRST_SAVE_SECONDS, SAVE_SECONDS = 20.0, 45.0, 300.0  # of training
COMPILE_SECONDS = 20.0  # between lines while PyTorch compiles
EVALUATE_MINUTES = 10.0  # of training, unless a run says otherwise
PERMILLE = 1000

Say = Callable[[object], object]
S = TypeVar("S")


class Trainer(Protocol):
    """What a run needs of its trainer."""

    step: int  # of the optimiser, taken so far
    seconds: float  # of training so far; the run counts them
    unit: str  # of figures of held-out images
    images_digest: str  # of all images, `data.Images.digest`: a state says which they were

    @property
    def settings(self) -> Any: ...  # a dataclass of JSON values

    @property
    def images(self) -> int: ...  # seen so far

    def progress(self) -> float: ...  # share of the run that is done, 0 to 1

    def update(self) -> Mapping[str, float]: ...  # one step: 'loss', and what else to log the means of

    def evaluate(self) -> Mapping[str, Any]: ...  # figures of held-out images: 'held_out', by name; or none

    def state(self) -> State: ...

    def files(self) -> Mapping[str, bytes]: ...  # that every save writes besides


class Resumable(Trainer, Protocol):
    """A trainer that goes on from a saved state. compiled: whether PyTorch compiles what it trains."""

    compiled: bool

    def compile(self) -> None: ...

    def restore(self, saved: State) -> None: ...


def alone(stops: bool) -> bool:
    """Whether all processes stop: there is one."""
    return stops


def run(
    trainer: Trainer, out: Path, say: Say = print, *, evaluate_minutes: float = EVALUATE_MINUTES, writes: bool = True,
    agree: Callable[[bool], bool] = alone,
) -> bool:  # fmt: skip
    """Train until the trainer's progress is 1, or SIGTERM; whether it is done. Saves at its end, and now and then.

    writes: off in all processes of a run but one. agree: of many processes, whether any of them stops.

    Raises TrainingError when the loss is no number, and OutputError when nothing more can be saved or logged.
    """
    with _termination() as stop:
        if not writes:
            return _follow(trainer, lambda: agree(stop()))
        out.mkdir(parents=True, exist_ok=True)
        with _bar(trainer) as bar:
            records = _Records(trainer, out / LOG, say)
            evaluates, saves = _Clock(trainer, 60 * evaluate_minutes), _Clock(trainer, SAVE_SECONDS, FIRST_SAVE_SECONDS)
            while trainer.progress() < 1:
                metrics = _update(trainer)
                records.add(metrics)
                _show(bar, trainer, metrics)
                stopped, done = agree(stop()), trainer.progress() >= 1
                if evaluates.rings() or done:
                    records.write(trainer.evaluate())
                else:
                    records.write_now_and_then(at_once=stopped)
                if saves.rings() or stopped or done:
                    save(trainer, out)
                if stopped and not done:
                    return False
    return True


def _follow(trainer: Trainer, stops: Callable[[], bool]) -> bool:
    """The loop of processes that write nothing."""
    while trainer.progress() < 1:
        _update(trainer)
        if stops() and trainer.progress() < 1:
            return False
    return True


def save(trainer: Trainer, out: Path) -> None:
    """Raises OutputError."""
    tensors, facts = trainer.state()
    state.write(out, State(tensors, facts | {"images_digest": trainer.images_digest}))
    for name, content in trainer.files().items():
        write_file(out / name, content)


def _update(trainer: Trainer) -> Mapping[str, float]:
    start = time.perf_counter()
    metrics = trainer.update()
    trainer.seconds += time.perf_counter() - start
    if not math.isfinite(metrics["loss"]):
        raise diverged(metrics["loss"], trainer.step)
    return metrics


def diverged(loss: float, steps: int) -> TrainingError:
    """The error of a run whose loss, or the gradient of it, is no number."""
    what = "the loss is" if not math.isfinite(loss) else "the gradient is no number where the loss is"
    return TrainingError(f"{what} {loss} after {steps} steps: go back to the last save (resume=True)")


def require_finite(loss: float, gradient_norm: float, steps: int) -> None:
    """Raises TrainingError, before a step of the optimiser, where the loss or its gradient is no number."""
    if not math.isfinite(loss + gradient_norm):
        raise diverged(loss, steps)


class _Clock:
    """Rings whenever so many seconds of training have gone by."""

    def __init__(self, trainer: Trainer, seconds: float, first: float | None = None) -> None:
        self.trainer, self.seconds = trainer, seconds
        self.next = trainer.seconds + (seconds if first is None else first)

    def rings(self) -> bool:
        if self.trainer.seconds < self.next:
            return False
        self.next = self.trainer.seconds + self.seconds
        return True


class _Records:
    """Lines of a run's log, whose figures are means since the line before."""

    def __init__(self, trainer: Trainer, log: Path, say: Say) -> None:
        self.trainer, self.log, self.say, self.clock = trainer, log, say, _Clock(trainer, LOG_SECONDS)
        self.values = defaultdict[str, list[float]](list)
        self.before = trainer.images, trainer.seconds  # at the line before
        self._line({"settings": asdict(trainer.settings), "step": trainer.step})

    def add(self, metrics: Mapping[str, float]) -> None:
        for key, value in metrics.items():
            self.values[key].append(value)

    def write_now_and_then(self, *, at_once: bool = False) -> None:
        if self.clock.rings() or at_once:
            self.write({})

    def write(self, figures: Mapping[str, Any]) -> None:
        trainer = self.trainer
        means = {key: float(f"{sum(values) / len(values):.5g}") for key, values in self.values.items()}
        self.values.clear()
        images_before, seconds_before = self.before
        images, seconds = trainer.images - images_before, trainer.seconds - seconds_before
        self.before = trainer.images, trainer.seconds
        done = {
            "step": trainer.step, "images": trainer.images, "seconds": round(trainer.seconds, 1),
            "images_per_second": round(images / max(seconds, 1e-9), 1),
            "done": round(trainer.progress(), 4),
        }  # fmt: skip
        self._line(done | means | dict(figures))
        if "held_out" in figures:
            rates = ", ".join(f"{name} {rate:.4f}" for name, rate in figures["held_out"].items())
            self.say(f"{trainer.progress():.0%}, step {trainer.step}: {rates} {trainer.unit} on held-out images")

    def _line(self, facts: Mapping[str, Any]) -> None:
        append_file(self.log, json.dumps(facts, allow_nan=False).encode() + b"\n")


def _bar(trainer: Trainer) -> Any:
    return tqdm(
        total=PERMILLE, initial=round(PERMILLE * trainer.progress()), disable=None,  # shown on a terminal
        bar_format="{percentage:3.0f}% |{bar}| {elapsed}, {remaining} left{postfix}",
    )  # fmt: skip


def _show(bar: Any, trainer: Trainer, metrics: Mapping[str, float]) -> None:
    speed = trainer.images / max(trainer.seconds, 1e-9)
    bar.set_postfix_str(f"step {trainer.step}, loss {metrics['loss']:.4f}, {speed:.1f} images/s", refresh=False)
    bar.update(round(PERMILLE * trainer.progress()) - bar.n)


@contextmanager
def _termination() -> Iterator[Callable[[], bool]]:
    """Gives a function that says whether SIGTERM came. Signals can be caught in the main thread only."""
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    came = threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGTERM, before)


# --- resuming


def settings_of(
    out: Path, settings: S, *, resume: bool, chosen: Collection[str] = (), changes: Collection[str] = ()
) -> tuple[S, bool]:
    """The settings of the run in a folder, and whether there is a run to go on with.

    A run that goes on has the settings that it was started with; those named in `chosen` must be the same, except for
    `changes`, which are taken from `settings`. A folder without a run takes `settings` as they are.

    Raises TrainingError when the folder is a file, or holds a run and `resume` is off, or none and `settings` name no
    data to begin one with, or a chosen setting differs.
    """
    if out.exists() and not out.is_dir():
        raise TrainingError(f"{out}: is a file: name a folder for the run")
    if not state.exists(out):
        if resume and not settings.data:  # type: ignore[attr-defined]
            raise TrainingError(f"{out}: there is no run to go on with; to begin one, name images with data=...")
        return settings, False
    if not resume:
        raise TrainingError(f"{out}: holds a training run already; go on with resume=True, or choose another folder")
    saved = saved_settings(out, type(settings))
    for name in chosen:
        if name not in changes:
            _require_same(out, name, getattr(saved, name), getattr(settings, name))
    taken = {name: getattr(settings, name) for name in chosen if name in changes}
    return replace(saved, **taken), True  # type: ignore[type-var]


@contextmanager
def alone_in(out: Path) -> Iterator[None]:
    """Raises TrainingError where another process trains in the folder of a run: one would overwrite the other's
    state."""
    if out.exists() and not out.is_dir():  # `settings_of` says so
        yield
        return
    with owned(out) as is_ours:
        if not is_ours:
            raise TrainingError(f"{out}: another process trains there: wait until it is done, or name another folder")
        yield


def say_if_changed(saved: State | None, digest: str, say: Say) -> None:
    """A note where a run goes on with other images than before, of which those held out may have been trained on."""
    if saved and saved.facts.get("images_digest", digest) != digest:
        say("the images are not those that the run was begun with: figures of held-out images may look too good")


def compiles(compiled: bool | None, saved: State | None) -> bool:
    """Whether PyTorch compiles: as it is told to, else as it did in the saved run, else it does."""
    if compiled is not None:
        return compiled
    return bool(saved.facts.get("compiled", True)) if saved else True


def prepare(trainer: Resumable, saved: State | None, out: Path, say: Say) -> None:
    """Takes over the saved state, if there is one, and compiles, before training time counts, if anything is left to
    train. Until that is done nothing is saved. Raises TrainingError where it is not the state of such a run."""
    if saved:
        with state.is_state(out):
            trainer.restore(saved)
    if trainer.compiled and trainer.progress() < 1:
        say("compiling what is trained takes a minute or more; then training begins")
        with _saying_how_long(say):
            trainer.compile()


@contextmanager
def _saying_how_long(say: Say) -> Iterator[None]:
    """Say every COMPILE_SECONDS that the compiling goes on, because PyTorch does not."""
    ended, start = threading.Event(), time.monotonic()

    def report() -> None:
        while not ended.wait(COMPILE_SECONDS):
            say(f"still compiling, after {time.monotonic() - start:.0f} s")

    reporter = threading.Thread(target=report, daemon=True)
    reporter.start()
    try:
        yield
    finally:
        ended.set()
        reporter.join()


def saved_settings(out: Path, settings_type: type[S]) -> S:
    """The settings that the run of a folder was started with. Raises TrainingError."""
    facts = state.read(out).facts
    with state.is_state(out):
        return revived(settings_type, facts["settings"])


def _require_same(out: Path, name: str, before: Any, now: Any) -> None:
    if is_dataclass(before):
        for field in fields(before):
            _require_same(out, field.name, getattr(before, field.name), getattr(now, field.name))
    elif before != now:
        raise TrainingError(
            f"{out}: its run was started with {name}={_shown(before)}, not {_shown(now)}: leave {name}=... out, or"
            " train in another folder"
        )


def _shown(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, tuple) else str(value)
