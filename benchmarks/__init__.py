"""Measurements: python -m ddpmcodec.benchmarks.NAME, with NAME one of lossless, progressive, speed and ans_speed.

Each prints a small Markdown table and, with --out, writes its figures as JSON. Nothing here passes or fails.
"""
