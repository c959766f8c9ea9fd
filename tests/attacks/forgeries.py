"""Inputs that someone made on purpose: every checksum matches, and what stands behind it claims anything."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from safetensors.numpy import save
from written_tiles import pack_chunk

from ddpmcodec._native import BLOCK_MARK, EXTENDED_FLAG, LANES, LEAST_STATE_BYTES, SECTIONS_FLAG
from ddpmcodec.errors import DdpmError
from ddpmcodec.format import ddpma
from ddpmcodec.format.block import FILES, pack_block
from ddpmcodec.format.header import COEFFICIENTS, PIXELS
from ddpmcodec.format.model_file import KEY
from ddpmcodec.format.streams import pack_state, state_size
from ddpmcodec.format.varint import Reader, pack_varint
from ddpmcodec.models import context
from mutations import Random, mutate
from repairs import (
    ArchiveParts,
    FileParts,
    archive_parts,
    file_parts,
    model_header,
    pack_model,
    sealed,
    varint,
)

POWERS = (7, 8, 12, 14, 15, 16, 17, 20, 21, 22, 24, 26, 28, 31, 32, 35)
NAMES = (b"../x", b"/x", b"..", b"", b"a/./b", b"C:/x", b"a\\b", b"\x1b[2J", b"a\nb", b"\xff\xfe", b"x" * 5000)
WRONG_VALUES = (None, True, -1, 0, 1, 1.5, 1e400, float("nan"), 1 << 40, 1 << 63, "1", "", [], {}, [[]] * 99)


def number(rng: Random, value: int) -> int:
    """Another one: near it, near a power of two, or small."""
    near = [value - 1, value + 1, 2 * value, value // 2, 0, 1, 2, 3]
    power = 1 << POWERS[rng.integers(len(POWERS))]
    choices = [*near, power - 1, power, power + 1, int(rng.integers(300))]
    return abs(int(choices[rng.integers(len(choices))]))


# --- files

Forge = Callable[[Random, FileParts, FileParts], None]


def _a_number(rng: Random, parts: FileParts, other: FileParts) -> None:
    place = int(rng.integers(len(parts.numbers)))
    parts.numbers[place] = number(rng, parts.numbers[place])


def _a_length(rng: Random, parts: FileParts, other: FileParts) -> None:
    if parts.lengths is not None:
        place = int(rng.integers(len(parts.lengths)))
        parts.lengths[place] = number(rng, parts.lengths[place])
    else:
        parts.numbers[-1] = number(rng, parts.numbers[-1])


def _a_flag(rng: Random, parts: FileParts, other: FileParts) -> None:
    which, bit = rng.integers(5), 1 << int(rng.integers(8))
    parts.version ^= bit * bool(which == 0)
    parts.coding ^= bit * bool(which == 1)
    parts.extension ^= bit * bool(which == 2)
    parts.coding = int(rng.integers(256)) & ~EXTENDED_FLAG if which == 3 else parts.coding
    parts.orientation = int(rng.integers(10)) if which == 4 else parts.orientation


def _a_section(rng: Random, parts: FileParts, other: FileParts) -> None:
    """One more section, of any type and in any place of the list."""
    parts.version |= SECTIONS_FLAG
    section = int(rng.integers(1, 256)), rng.bytes(int(rng.integers(20)))
    parts.others.insert(int(rng.integers(len(parts.others) + 1)), section)


def _identity(rng: Random, parts: FileParts, other: FileParts) -> None:
    parts.identity = other.identity if rng.random() < 0.5 else rng.bytes(len(parts.identity))


def _a_chunk(rng: Random, parts: FileParts, other: FileParts) -> None:
    """Another payload of the right length, or with the length that the header says."""
    place = int(rng.integers(len(parts.chunks)))
    chunk = mutate(rng, parts.chunks[place], other.chunks[rng.integers(len(other.chunks))])[1]
    parts.fit(place, chunk)


def _a_lane(rng: Random, parts: FileParts, other: FileParts) -> None:
    """Other words of a lane, or another state in front, so that a decoder takes words as it goes; lengths fit."""
    place, words = int(rng.integers(len(parts.chunks))), rng.bytes(4 * int(rng.integers(40)))
    state = (1 << 24) + int(rng.integers((1 << 63) - (1 << 24)))
    state >>= int(rng.integers(38))  # of any size
    state = max(state, 1 << 24)
    if parts.lengths is None:
        size = state_size(state)
        rest = words if rng.random() < 0.5 else parts.chunks[place][size:]
        parts.numbers[-1] = size - LEAST_STATE_BYTES  # of the state alone
        parts.fit(place, pack_state(state) + rest)
        return
    is_first = place == 0  # of later tiles a state is taken for words
    try:
        lanes = parse_lanes(parts.chunks[place], is_first)
    except DdpmError:
        return
    which = int(rng.integers(LANES))
    lanes[which] = state, words if rng.random() < 0.5 else lanes[which][1]
    states = [state for state, _ in lanes] if is_first else []
    parts.fit(place, pack_chunk([[own for _, own in lanes]], states))


def parse_lanes(chunk: bytes, is_first: bool) -> list[tuple[int, bytes]]:
    """State and words of each lane of a chunk of one part."""
    from native_testing import testing

    lanes = testing.parse_chunk(chunk, len(chunk), is_first, 1)
    return [(state, np.array(words, "<u4").tobytes()) for state, words in lanes]


def _a_kind(rng: Random, parts: FileParts, other: FileParts) -> None:
    """Coefficients that are said to be pixels."""
    if parts.kind == COEFFICIENTS:
        parts.set_kind(PIXELS)


def _rows(rng: Random, parts: FileParts, other: FileParts) -> None:
    if parts.coded_alpha is not None:
        parts.coded_alpha = mutate(rng, parts.coded_alpha, b"\6\16")[1]
    if parts.rows is not None:
        parts.rows = bytes(1 << int(rng.integers(24))) if rng.random() < 0.2 else mutate(rng, parts.rows, b"\0\xff")[1]


def _metadata(rng: Random, parts: FileParts, other: FileParts) -> None:
    if parts.metadata is not None:
        bomb = b"\1" + pack_varint(1 << int(rng.integers(27))) + bytes(1 << int(rng.integers(25)))
        changed = mutate(rng, parts.metadata, other.metadata or b"\1\0")[1]
        parts.metadata = bomb if rng.random() < 0.1 else changed


def _junk(rng: Random, parts: FileParts, other: FileParts) -> None:
    parts.junk = rng.bytes(int(rng.integers(1, 40)))


FILE_FORGERIES: tuple[Forge, ...] = (
    _a_number, _a_number, _a_length, _a_flag, _a_section, _identity, _a_chunk, _a_lane, _a_kind, _rows, _metadata,
    _junk,
)  # fmt: skip


def forged_file(rng: Random, data: bytes, other: bytes) -> bytes:
    parts, others = file_parts(data), file_parts(other)
    for _ in range(1 + int(rng.geometric(0.6))):
        FILE_FORGERIES[rng.integers(len(FILE_FORGERIES))](rng, parts, others)
    return parts.pack()


# --- archives


def forged_header(rng: Random, header: bytes, other: bytes) -> bytes:
    """A header, not deflated, one of whose first numbers, names or bytes is another one."""
    which = rng.random()
    if which < 0.5:
        return _with_another_number(rng, header)
    if which < 0.7 and b".png" in header:
        name = NAMES[rng.integers(len(NAMES))]
        place = header.index(b".png")
        return header[: place - 3] + pack_varint(len(name)) + name + header[place + 4 :]
    return mutate(rng, header, other)[1]


def _with_another_number(rng: Random, header: bytes) -> bytes:
    reader, steps = Reader(header), int(rng.integers(1, 80))
    start, value = 0, 0
    try:
        for _ in range(steps):
            start = reader.position
            value = reader.varint()
    except DdpmError:
        return header
    return header[:start] + varint(number(rng, value)) + header[reader.position :]


def bomb_header(images: int, name: int, pixels: int = 1) -> bytes:
    """Of so many files without bytes, whose names share all but a few of so many bytes."""
    columns = [[images, 0, images], [0] * images, [0] * images, [pixels] * images, [1] * images, [0] * images]
    names = pack_varint(0) + pack_varint(name) + b"n" * name
    for n in range(1, images):
        names += pack_varint(max(name - 3, 0)) + pack_varint(3) + f"{n:03}".encode()
    return b"".join(varint(value) for column in columns for value in column) + names


def bomb(rng: Random) -> ArchiveParts:
    """Small files that claim much."""
    if rng.random() < 0.5:
        header, count = bomb_header(int(rng.integers(1, 513)), int(rng.integers(1, 4200))), int(rng.integers(1, 9))
        return ArchiveParts([header] * count, [b""] * count)
    return ArchiveParts([bytes(1 << int(rng.integers(27)))], [b""], count=number(rng, 1))


def with_forged_files(rng: Random, data: bytes) -> bytes:
    """Of an archive that holds files one is forged, and its header says the new length."""
    whole, parts = ddpma.split(data), archive_parts(data)
    for place, (block, own) in enumerate(zip(whole.index.blocks, whole.parts, strict=True)):
        if block.kind != FILES:
            continue
        files, which = list(own.sections), int(rng.integers(len(own.sections)))
        files[which] = forged_file(rng, bytes(files[which]), bytes(files[rng.integers(len(files))]))
        entries = [replace(entry, length=len(file)) for entry, file in zip(block.entries, files, strict=True)]
        parts.headers[place] = pack_block(replace(block, entries=tuple(entries)))
        parts.bodies[place] = b"".join(files)
    return parts.pack()


def forged_archive(rng: Random, data: bytes, other: bytes) -> bytes:
    which = rng.random()
    if which < 0.05:
        return bomb(rng).pack()
    if which < 0.25:
        return with_forged_files(rng, data)
    parts, others = archive_parts(data), archive_parts(other)
    for _ in range(1 + int(rng.geometric(0.6))):
        place, theirs = int(rng.integers(len(parts.headers))), int(rng.integers(len(others.headers)))
        which = rng.integers(8)
        if which < 4:
            parts.headers[place] = forged_header(rng, parts.headers[place], others.headers[theirs])
        elif which == 4:
            parts.copies[place] = forged_header(rng, parts.headers[place], others.headers[theirs])
        elif which == 5:
            parts.bodies[place] = mutate(rng, parts.bodies[place], others.bodies[theirs])[1]
        elif which == 6:
            parts.headers.append(others.headers[theirs])
            parts.bodies.append(others.bodies[theirs])
        else:
            parts.count, parts.junk = number(rng, len(parts.headers)), BLOCK_MARK + rng.bytes(int(rng.integers(30)))
    return parts.pack()


# --- models


def with_another_leaf(rng: Random, value: Any) -> Any:
    """JSON in which one value somewhere is another one."""
    if isinstance(value, dict) and value and rng.random() < 0.9:
        key = list(value)[rng.integers(len(value))]
        return value | {key: with_another_leaf(rng, value[key])}
    if isinstance(value, list) and value and rng.random() < 0.9:
        place = int(rng.integers(len(value)))
        return [*value[:place], with_another_leaf(rng, value[place]), *value[place + 1 :]]
    if isinstance(value, int) and rng.random() < 0.7:
        return number(rng, value)
    return WRONG_VALUES[rng.integers(len(WRONG_VALUES))]


def forged_model(rng: Random, data: bytes, other: bytes) -> bytes:
    """Another header or other metadata, or damaged tensors; the seal holds."""
    header, body = model_header(data)
    which = rng.random()
    if which < 0.3:
        header = with_another_leaf(rng, header)
    elif which < 0.7:
        facts = with_another_leaf(rng, json.loads(header["__metadata__"][KEY]))
        header["__metadata__"][KEY] = json.dumps(facts)
    elif which < 0.75:
        header["__metadata__"][KEY] = "[" * 100_000
    else:
        body = mutate(rng, body, other)[1]
    packed = pack_model(header, body)
    return sealed(packed) if isinstance(header, dict) else packed


def forged_weights(rng: Random, data: bytes, other: bytes) -> bytes:
    """A context model with other tensors, known answers that fit them, and a seal that holds."""
    model = context.parse(data, "the seed")
    tensors, components = context.tensors_of(model), {key: facts.components for key, facts in model.facts.items()}
    for _ in range(1 + int(rng.geometric(0.5))):
        name = list(tensors)[rng.integers(len(tensors))]
        tensors[name] = _other_numbers(rng, tensors[name])
    try:
        with np.errstate(all="ignore"):
            return context.pack(tensors, components, "forged")
    except (ValueError, LookupError, TypeError, DdpmError):
        return sealed(save(tensors, {KEY: model_header(data)[0]["__metadata__"][KEY]}))


def _other_numbers(rng: Random, tensor: Any) -> Any:
    if rng.random() < 0.1:
        return np.resize(tensor, [number(rng, n) % 600 for n in tensor.shape])
    if rng.random() < 0.05:
        return tensor.astype([np.int64, np.float64, np.uint8, np.float32][rng.integers(4)])
    changed, share = tensor.copy().reshape(-1), rng.random() ** 3
    places = rng.random(changed.size) < share
    floats = (1 << 20, -(1 << 20), 0, 2.0**-149, np.nan, np.inf, 2.0**20 * 1.01, 1e9)
    if changed.dtype.kind == "f":
        edges = np.array([floats[rng.integers(5 if rng.random() < 0.5 else len(floats))]], changed.dtype)
    else:
        limits = np.iinfo(changed.dtype)
        edges = np.array([limits.min, limits.max, limits.max >> 2, 0, -1])[[rng.integers(5)]].astype(changed.dtype)
    changed[places] = edges[0]
    return changed.reshape(tensor.shape)
