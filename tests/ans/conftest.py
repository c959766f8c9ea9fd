"""Hypothesis without its deadline: the first example of a test may compile a kernel."""

from __future__ import annotations

from hypothesis import settings

settings.register_profile("kernels", deadline=None)
settings.load_profile("kernels")
