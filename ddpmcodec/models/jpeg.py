"""Models of JPEG coefficients as files: networks of luma and of chroma, of the coarsest level and of finer ones
(`refine`), of two efforts, and the predictors that efforts share, in integers.

    <effort>.[refine.]<luma|chroma>.<layer>.<tensor>
    predictors.[refine.]<luma|chroma>.<linear|magnitude>.<tensor>

`_core/jpeg/coefficient_model.cpp` reads them. The metadata hold the sha256 of what each of these computes for seeded
inputs: a machine that computes something else must not code.
"""

from __future__ import annotations

import copyreg
from collections.abc import Mapping
from functools import cache
from typing import Any

from numpy.typing import NDArray

from ddpmcodec import _native, models
from ddpmcodec._native import CoefficientModel
from ddpmcodec.models import model_file

KIND = "jpeg"
NETWORKS = tuple(
    f"{kind}.{role}" for kind in ("predictors", "1", "2") for role in ("luma", "chroma", "refine.luma", "refine.chroma")
)


def pack(tensors: Mapping[str, NDArray[Any]], name: str, training: Mapping[str, Any] | None = None) -> bytes:
    """Return the bytes of a model file.

    Parameters:
        tensors: those of all networks, by their names in the file.
        name: what messages call the model.
        training: facts about its making, kept in the metadata.

    Raises:
        ModelError: if a tensor is missing, or has another type or shape.
    """
    facts: dict[str, Any] = {"training": dict(training or {})}
    unanswered = model_file.pack(tensors, KIND, name, facts)
    answers = _native.jpeg_answers(unanswered, name)
    facts["networks"] = {key: {"answer": answers[key]} for key in NETWORKS}
    return model_file.pack(tensors, KIND, name, facts)


@cache
def embedded() -> CoefficientModel:
    """Return the model that comes with the package. Raises ModelError."""
    return CoefficientModel.parse(models.read(models.JPEG), models.JPEG, models.NUMBERS[models.JPEG])


def parse(data: bytes, source: str) -> CoefficientModel:
    """Return the model of a file. source: what errors call it. Raises ModelError."""
    return CoefficientModel.parse(data, source)


def _reduced(model: CoefficientModel) -> tuple[Any, ...]:
    return (embedded, ()) if model.number else (parse, (model.file, model.name))


copyreg.pickle(CoefficientModel, _reduced)  # processes that load images are sent models
