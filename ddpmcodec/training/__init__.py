"""Training of context models, of the Gaussian model and of the paper's networks. It needs PyTorch.

`fit` makes a context model of a folder of images; `ddpmcodec train` and its relatives do the same in steps.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ddpmcodec.training.context_run import fit

__all__ = ["fit"]


def __getattr__(name: str) -> Any:
    """PyTorch is imported when something is trained."""
    if name != "fit":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from ddpmcodec.training.context_run import fit

    return fit
