"""Pictures to write JPEG files of, and runs that learn from them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ddpmcodec.training.coefficients.coefficient_trainer import CoefficientSettings, CoefficientTrainer, train


def picture(seed: int, side: int = 64) -> np.ndarray:
    """Waves, and some noise."""
    rng, (y, x) = np.random.default_rng(seed), np.mgrid[:side, :side]
    waves = [np.sin(x * rng.uniform(0, 0.3) + y * rng.uniform(0, 0.3) + rng.uniform(0, 6)) for _ in range(3)]
    return np.clip(128 + 60 * np.stack(waves, -1) + rng.normal(0, 4, (side, side, 3)), 0, 255).astype(np.uint8)


def start(settings: CoefficientSettings, out: Path, **how: Any) -> CoefficientTrainer:
    trainer, _ = train(settings, out, lambda _: None, evaluate_minutes=60, device="cpu", **how)
    return trainer
