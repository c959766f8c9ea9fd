"""The module of the core's parts, if it was compiled: whoever imports this is skipped without it."""

from __future__ import annotations

import pytest

testing = pytest.importorskip("ddpmcodec._testing", reason="needs ddpmcodec._testing, as CONTRIBUTING.md says")
