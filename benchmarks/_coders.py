"""Codecs to time, each as a pair of functions from images to files and back."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from typing import NamedTuple, TypeVar

import numpy as np

from ddpmcodec import archive as archives
from ddpmcodec import codec
from ddpmcodec.networks import Model
from ddpmcodec.parallel import run_all

from ._data import Pixels
from ._peers import Peer

A = TypeVar("A")
B = TypeVar("B")

PIECE_IMAGES = 64  # share network calls; every thread takes a piece

Encode = Callable[[Sequence[Pixels]], list[bytes]]
Decode = Callable[[Sequence[bytes]], list[Pixels]]


class Coder(NamedTuple):
    """calls: of the network for an image. encode: images to files, one each or one of all. decode: back."""

    name: str
    calls: int | None
    encode: Encode
    decode: Decode


def of_effort(model: Model, effort: int) -> Coder:
    """A file for each image, without verification, which is one more decoding."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return codec.encode_many(images, effort=effort, model=model, verify=False)

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return [np.asarray(image) for image in codec.decode_many(files, model=model)]

    name, calls = f"ddpmcodec effort {effort}", len(model.presets[effort])
    return Coder(name, calls, _in_pieces(encode), _in_pieces(decode))


def of_archive(model: Model, steps: int) -> Coder:
    """One archive of all images."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        named = ((str(number), image) for number, image in enumerate(images))
        return [archives.create(named, levels=steps, model=model, verify=False)]

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        found = dict(archives.extract(files[0], model=model))
        return [np.asarray(found[name]) for name in archives.names(files[0])]

    return Coder(f"ddpmcodec archive T={steps}", steps, encode, decode)


def of_peer(peer: Peer) -> Coder:
    """A file for each image."""

    def encode(images: Sequence[Pixels]) -> list[bytes]:
        return [peer.encode(image) for image in images]

    def decode(files: Sequence[bytes]) -> list[Pixels]:
        return [peer.decode(data) for data in files]

    return Coder(peer.name, None, _in_pieces(encode), _in_pieces(decode))


def _in_pieces(work: Callable[[Sequence[A]], list[B]]) -> Callable[[Sequence[A]], list[B]]:
    """The same on all threads."""

    def together(items: Sequence[A]) -> list[B]:
        pieces = [items[first : first + PIECE_IMAGES] for first in range(0, len(items), PIECE_IMAGES)]
        return list(chain.from_iterable(run_all(work, pieces)))

    return together
