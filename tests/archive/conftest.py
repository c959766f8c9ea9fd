"""Archives of both channels, and what is in them."""

from __future__ import annotations

import pytest

from ddpmcodec.networks.model import Model
from pictures import LEVELS, Levels, Pictures, create, mixed


@pytest.fixture(scope="module")
def pictures() -> Pictures:
    return mixed()


@pytest.fixture(scope="module", params=[LEVELS, None], ids=["bits back", "uniform channel"])
def levels(request: pytest.FixtureRequest) -> Levels:
    chosen: Levels = request.param
    return chosen


@pytest.fixture(scope="module")
def data(pictures: Pictures, model: Model, levels: Levels) -> bytes:
    """Of both channels."""
    return create(pictures, model, levels)
