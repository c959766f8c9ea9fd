"""Measurements: the bodies of `ddpmcodec bench`. See README.md here.

Every run writes a result file with what it needs to be done again, and charts. No figure passes or fails.
"""
