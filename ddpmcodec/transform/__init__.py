"""Pixels <-> coefficients <-> ranges: YCoCg-R, the S-transform pyramid, and nested cells. Integers, exact both ways."""
