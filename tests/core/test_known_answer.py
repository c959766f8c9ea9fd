"""Numbers that inputs of known answers are made of."""

from __future__ import annotations

import numpy as np
import pytest

from native_testing import testing


@pytest.mark.parametrize("key", [0, 1, 2**64 - 1])
def test_numbers_are_those_of_numpy(key: int) -> None:
    assert testing.philox(key, 1001) == np.random.Philox(key=key).random_raw(1001).tolist()
