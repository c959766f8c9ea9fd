"""A .ddpm file cut into its parts, as the core finds them; and headers to write others like it."""

from __future__ import annotations

from typing import NamedTuple

from written_files import crc16
from written_headers import Header, Index

from ddpmcodec._native import Container, FileHeader


class FileSections(NamedTuple):
    """In a prefix the last part it reaches is short, and later ones are empty. chunks: or the payload alone."""

    header: FileHeader
    alpha: bytes
    chunks: tuple[bytes, ...]
    metadata: bytes
    missing: int

    @property
    def start(self) -> int:
        """Bytes of header and index."""
        return self.header.size

    @property
    def payload(self) -> bytes:
        (payload,) = self.chunks
        return payload


def split(data: bytes) -> FileSections:
    container = Container(data)
    header, chunks = container.header, list[bytes]()
    begin, end = header.payload
    for length in header.chunk_lengths if header.is_tiled else [end - begin]:
        chunks.append(container.bytes(begin, begin + length))
        begin += length
    alpha = container.bytes(header.size, header.size + header.alpha_length)
    metadata = container.bytes(end, end + header.metadata_length)
    return FileSections(header, alpha, tuple(chunks), metadata, container.missing)


def header_of(data: bytes) -> Header:
    """A header to write, with what that of a file says."""
    found, chunks = split(data).header, split(data).chunks
    index = Index(*found.tile_size, tuple(map(len, chunks)), tuple(map(crc16, chunks))) if found.is_tiled else None
    return Header(
        found.mode, found.width, found.height, found.effort, found.levels, found.model_number, found.model_id,
        found.kind, found.orientation, found.alpha_length, found.metadata_length, found.frame_length,
        found.recipe_length, found.kept_length,
        0 if index else found.payload_length, found.state_bytes, found.repeats, index,
    )  # fmt: skip
