"""Pixels to colours of lifting, YCoCg-R: integers, exact both ways. What is coded goes through `_core/pyramid.h`."""
