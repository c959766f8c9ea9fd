"""The exact Gaussian denoiser: a network whose result is the same bits on every machine."""
