"""The codec as a part of other programs: Pillow, numcodecs, Zarr, and clusters of Dask."""
