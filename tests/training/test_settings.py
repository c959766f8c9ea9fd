"""Settings of runs: what makes no run is refused before it begins, and a state has them as JSON."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

import pytest

from ddpmcodec.errors import TrainingError
from ddpmcodec.training.context_trainer import ContextSettings
from ddpmcodec.training.ddpm_trainer import DdpmSettings
from ddpmcodec.training.gaussian_trainer import GaussianSettings
from ddpmcodec.training.preview_trainer import PreviewSettings
from ddpmcodec.training.settings import revived

NAN, INFINITY = float("nan"), float("inf")


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"hours": NAN}, "hours=nan: give a number above 0"),
        ({"hours": INFINITY}, "hours=inf: give a number above 0"),
        ({"hours": True}, "hours=True: give a number above 0"),
        ({"steps": 0}, "steps=0: give a whole number above 0"),
        ({"crop": 0}, "crop=0: give a whole number above 0"),
        ({"size": 0}, "size=0: give a whole number above 0"),
        ({"batch": -1}, "batch=-1: give a whole number above 0"),
        ({"batch": 2.5}, "batch=2.5: give a whole number above 0"),
        ({"rate": NAN}, "rate=nan: give a number above 0"),
        ({"muon_rate": NAN}, "muon_rate=nan: give a number above 0"),
        ({"adam_rate": 0.0}, "adam_rate=0.0: give a number above 0"),
        ({"warmup": 0}, "warmup=0: give a whole number above 0"),
        ({"camera_share": NAN}, "camera_share=nan: give a share from 0 to 1"),
        ({"camera_share": 1.5}, "camera_share=1.5: give a share from 0 to 1"),
        ({"hold_out": -1}, "hold_out=-1: give a whole number not below 0"),
        ({"seed": -1}, "seed=-1: give a whole number from 0 to 2147483647"),
        ({"levels": 1}, "levels=1: give a whole number above 1"),
        ({"evaluate_levels": 1}, "evaluate_levels=1: give a whole number above 1"),
        ({"evaluate_images": 0}, "evaluate_images=0: give a whole number above 0"),
        ({"objective": "x"}, "objective='x': give one of "),
        ({"schedule": "x"}, "schedule='x': give one of linear, cosine"),
        ({"effort": 4}, "effort=4: give an effort from 0 to 3"),
        ({"data": "photos"}, "data='photos': give tuple[str, ...]"),
        ({"network": 8}, "network=8: give "),
        ({"start": 8}, "start=8: give str or None"),
    ],
    ids=str,
)
def test_settings_that_make_no_run_are_refused(changed: dict[str, Any], said: str) -> None:
    (name,) = changed
    having = [kind for kind in (ContextSettings, GaussianSettings, DdpmSettings) if name in kind.__dataclass_fields__]
    assert having
    for settings in having:
        with pytest.raises(TrainingError) as refused:
            settings(**{"data": ("data",)} | changed)
        assert str(refused.value).startswith(said)


def test_a_gaussian_model_has_two_objectives() -> None:
    with pytest.raises(TrainingError, match="objective='hybrid'"):
        GaussianSettings(("data",), objective="hybrid")  # type: ignore[arg-type]


@pytest.mark.parametrize("kind", [ContextSettings, GaussianSettings, DdpmSettings, PreviewSettings])
def test_settings_are_revived_from_json(kind: type) -> None:
    settings = kind(("one", "two"), seed=3)
    assert revived(kind, json.loads(json.dumps(asdict(settings)))) == settings
