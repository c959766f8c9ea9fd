"""File formats: bytes <-> named values. Nothing here runs a network or loads torch."""
