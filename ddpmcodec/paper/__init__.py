"""The paper's own system: Gaussian noise in the pixel domain, its bound, samples, bits back, and the networks for them.

Nothing that codes a .ddpm file imports it; archives of thumbnails (`archive.latents`) and training do.
"""
