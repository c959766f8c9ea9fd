"""Training of the networks that code the coefficients of JPEG files."""
