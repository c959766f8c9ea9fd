"""File formats: bytes <-> named values. No pixels, no models: this package loads neither torch nor numba."""
