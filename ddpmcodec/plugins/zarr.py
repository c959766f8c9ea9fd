"""The codec for Zarr's format 3, as the serializer of an array of images. `pip install ddpmcodec[zarr]`.

>>> import numpy as np
>>> import zarr
>>> from ddpmcodec.plugins.zarr import DdpmCodec
>>> images = np.zeros((4, 8, 8, 3), np.uint8)
>>> array = zarr.create_array({}, data=images, chunks=(4, 8, 8, 3), serializer=DdpmCodec(effort=1), compressors=None)
>>> np.array_equal(array[:], images)
True
"""

from __future__ import annotations

import asyncio
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from zarr.abc.codec import ArrayBytesCodec
from zarr.registry import register_codec

from ddpmcodec.codec.efforts import check_coding
from ddpmcodec.errors import FormatError
from ddpmcodec.format.header import DEFAULT_EFFORT
from ddpmcodec.plugins.numcodecs import CHUNK_LEVELS, Ddpm, shape_of_images

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

NAME = "ddpmcodec"


@dataclass(frozen=True)
class DdpmCodec(ArrayBytesCodec):
    """Chunks and parameters as in `ddpmcodec.plugins.numcodecs.Ddpm`. Zarr finds it by its name, `ddpmcodec`."""

    effort: int = DEFAULT_EFFORT
    levels: int = CHUNK_LEVELS
    model: str | None = None
    lossy: bool = False
    is_fixed_size = False

    def __post_init__(self) -> None:
        """Raises ValueError for an effort or levels that there are not, TypeError for what is no whole number."""
        for name, value in check_coding(self.effort, self.levels).options.items():
            object.__setattr__(self, name, value)  # whole numbers of Python, which JSON takes

    @cached_property
    def codec(self) -> Ddpm:
        return Ddpm(self.effort, self.levels, self.model, self.lossy)

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> Self:
        return cls(**data.get("configuration", {}))

    def to_dict(self) -> dict[str, Any]:
        return {"name": NAME, "configuration": asdict(self)}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        raise NotImplementedError("encoded chunks differ in size")

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        pixels = np.ascontiguousarray(chunk_data.as_numpy_array())  # its order in memory is no part of format 3
        data = await asyncio.to_thread(self.codec.encode, pixels)
        return chunk_spec.prototype.buffer.from_bytes(data)

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        pixels = await asyncio.to_thread(self.codec.decode, chunk_data.to_bytes())
        count, *image = shape_of_images(chunk_spec.shape)
        if pixels.shape != (count, *image)[count == 1 :]:  # as many samples of other images would fit all the same
            raise FormatError(
                f"a chunk of shape {chunk_spec.shape} whose data is of shape {pixels.shape}: it is another array's"
            )
        return chunk_spec.prototype.nd_buffer.from_numpy_array(pixels.reshape(chunk_spec.shape))


register_codec(NAME, DdpmCodec)
