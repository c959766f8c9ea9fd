"""The network that an archive's stacks are coded with: exact, or the paper's under a numerics profile."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

import numpy.typing as npt

from ddpmcodec import models
from ddpmcodec.archive_format import LEVEL_UNIT, MAX_LEVELS, MAX_STACKED_PIXELS, Index
from ddpmcodec.channels.bits_back import Predictor, Rung, rungs
from ddpmcodec.container import MODEL_ID_BYTES
from ddpmcodec.errors import DdpmError, FormatError, ModelError
from ddpmcodec.networks import Model, find_model, load_model
from ddpmcodec.networks.ddpm import PaperDenoiser
from ddpmcodec.networks.denoisers import find_denoiser
from ddpmcodec.networks.gaussian import ExactDenoiser, ExactPredictor, RoundedDenoiser
from ddpmcodec.networks.model import IntegerPrediction, Latents
from ddpmcodec.networks.profile import Description, NumericsProfile
from ddpmcodec.schedule import Levels, check_levels, log_linear, respace

Progress = Callable[[float], object]
Source = Model | PaperDenoiser | str | Path | None

# Levels of an exact network, grey levels: from max(FIRST_LEVEL, FEW_STEPS / T) to LAST_LEVEL. By their bound on
# 96 held-out CIFAR-10 training images: from T = 16 to 256 within 0.15% of the best first and last level on a grid.
FIRST_LEVEL, FEW_STEPS, LAST_LEVEL = 0.7, 22.0, 400.0
FINGERPRINT, NETWORK = "fingerprint", "network"  # in a profile, beside what it describes
PROFILE_KEYS = {FINGERPRINT: str, NETWORK: str, "threads": int, "batch": int}


@dataclass(frozen=True)
class Network:
    """id: of the network of the stacks. model: the same where it is exact, and codes with the uniform channel too.

    files: the model of .ddpm files; None: the embedded ones, each for its sizes. levels: grey levels; the noise levels
    that a network which is not exact was trained on. profile: of such a network, as the index keeps it.
    stack_pixels: images of more become files of their own.
    """

    id: bytes
    model: Model | None
    files: Model | None
    predictor: Predictor
    levels: Levels | None = None
    profile: Description = field(default_factory=dict)
    stack_pixels: int = MAX_STACKED_PIXELS

    @property
    def files_id(self) -> bytes:
        """Id of the model that .ddpm files are written with."""
        return (self.files or load_model()).id

    def chain(self, levels: npt.ArrayLike | int | None) -> list[Rung]:
        """The latents for these noise levels in grey levels, rounded to 1/1024, or for so many of its own.

        None: of all its own; none at all for an exact network, which does better without. Raises DdpmError for levels
        that do not increase, too few or too many.
        """
        try:
            chosen = self._spaced(levels) if isinstance(levels, int) else self.levels if levels is None else levels
            if chosen is None:
                return []
            return rungs_of([round(LEVEL_UNIT * float(s)) for s in check_levels(chosen)])
        except ValueError as error:
            raise DdpmError(f"these noise levels cannot be: {error}") from error

    def _spaced(self, T: int) -> Levels:
        """T levels from the first to the last."""
        return _log_linear(T) if self.levels is None else respace(self.levels, T)


def find_network(source: Source = None) -> Network:
    """An exported model, or a checkpoint of the paper's network. Raises ModelError.

    None: the embedded model for thumbnails, on stacks; what is larger, or grey, is left to files of embedded models.
    """
    if source is None:
        return _embedded(load_model())
    denoiser = source if isinstance(source, Model | PaperDenoiser) else find_denoiser(source)
    if isinstance(denoiser, PaperDenoiser):
        profile = NumericsProfile()
        facts = {FINGERPRINT: profile.fingerprint(denoiser, _own(denoiser)), NETWORK: denoiser.id.hex()}
        return _profiled(denoiser, profile, {**profile.describe(), **facts})
    if isinstance(denoiser, ExactDenoiser):
        return _exact(denoiser.model)
    if isinstance(denoiser, Model):
        return _exact(denoiser)
    raise ModelError(f"{source}: archives are coded with exported models and the paper's network")


def network_of(index: Index, source: Source = None) -> Network:
    """The network that an archive was written with.

    source: where it is, or None when it is embedded. Raises ModelError when it is missing or another one, or computes
    other numbers than it did where the archive was written; FormatError for a profile that says nonsense.
    """
    if not index.blocks:
        return _of_files(source)
    if not index.profile:
        network = _embedded(find_model(index.model_id)) if source is None else find_network(source)
        _refuse_another(network.id, index.model_id)
        return network
    if any(type(index.profile.get(key)) is not kind for key, kind in PROFILE_KEYS.items()):
        raise FormatError("the archive's numerics profile is incomplete: it is damaged")
    denoiser = source if isinstance(source, PaperDenoiser) else _checkpoint(index, source)
    _refuse_another(denoiser.id, index.model_id)
    there = {key: value for key, value in index.profile.items() if key not in (FINGERPRINT, NETWORK)}
    profile = NumericsProfile(int(there["threads"]), int(there["batch"]))
    profile.check(denoiser, str(index.profile[FINGERPRINT]), there, _own(denoiser))
    return _profiled(denoiser, profile, index.profile)


def _of_files(source: Source) -> Network:
    """Where nothing is on a stack there are .ddpm files, each of which names its model."""
    return find_network(source)


def _checkpoint(index: Index, source: Model | str | Path | None) -> PaperDenoiser:
    found = find_denoiser(source) if isinstance(source, str | Path) else None
    if isinstance(found, PaperDenoiser):
        return found
    raise ModelError(
        f"the archive was written with a checkpoint of the paper's network, {index.model_id.hex()}:"
        " decode with the same (--model PATH)"
    )


def _refuse_another(found: bytes, expected: bytes) -> None:
    if found[:MODEL_ID_BYTES] != expected:
        raise ModelError(
            f"the archive was written with model {expected.hex()}, and the given model is"
            f" {found[:MODEL_ID_BYTES].hex()}: decode with the model that wrote it (--model PATH)"
        )


def _exact(model: Model) -> Network:
    return Network(model.id, model, model, ExactPredictor(model))


def _embedded(model: Model) -> Network:
    """Stacks hold what this model is for; where it is for everything, all that they can."""
    alone = models.PHOTO not in models.names()
    return replace(_exact(model), files=None, stack_pixels=MAX_STACKED_PIXELS if alone else models.THUMBNAIL_PIXELS)


def _log_linear(T: int) -> Levels:
    return log_linear(max(FIRST_LEVEL, FEW_STEPS / max(T, 1)), LAST_LEVEL, T)


def _profiled(denoiser: PaperDenoiser, profile: NumericsProfile, facts: Description) -> Network:
    predictor = RoundedDenoiser(lambda c_t, s_t: profile.run(denoiser, c_t, s_t))
    return Network(denoiser.id, None, None, predictor, denoiser.levels, facts)


def _own(denoiser: PaperDenoiser) -> list[float]:
    """Levels of the network's own schedule for its fingerprint: the first, one in the middle, the last."""
    levels = denoiser.levels
    return [float(levels[i]) for i in (0, len(levels) // 2, -1)]


def rungs_of(levels: Sequence[int]) -> list[Rung]:
    """The latents for noise levels in 1/1024 grey level. Raises ValueError unless they increase, 1 to 4096 of them."""
    if not 1 <= len(levels) <= MAX_LEVELS:
        raise ValueError(f"an archive has 1 to {MAX_LEVELS} noise levels, not {len(levels)}")
    return rungs(levels)


class _Watched(NamedTuple):
    """A predictor that reports, at each of `calls` network calls an image takes, that share of its pixels."""

    predictor: Predictor
    calls: int
    progress: Progress

    def predict(self, c: Latents, spacing: float, level: int) -> IntegerPrediction:
        found = self.predictor.predict(c, spacing, level)
        self.progress(c.size / 3 / self.calls)
        return found


def watched(predictor: Predictor, calls: int, progress: Progress | None) -> Predictor:
    return predictor if progress is None else _Watched(predictor, calls, progress)
