"""File formats: bytes <-> named values. No pixels, no models: this package does not load torch."""
