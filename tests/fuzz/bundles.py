"""TensorFlow checkpoints, whole ones and those that say something odd.

Written byte by byte, so that checksums are right where the content is not: damage that
a checksum finds says little about the reader behind it.
"""

import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np

from converters.crc32c import crc32c, masked

NUMBERS = (0, 1, 3, 2**7, 2**31, 2**32, 2**40, 2**63 - 1, 2**63, 2**64 - 1)
NAMES = (b"", b"a", b"\n", b"\x1b[31m", b"../x", b"\xff\xfe", b"a" * 300, b"generator/")
MAGIC = struct.pack("<Q", 0xDB4775248B80FB57)


class Tensor(NamedTuple):
    """What an index says of a tensor."""

    name: bytes
    """Its name; empty for the header of the index."""
    value: bytes
    """The message about it."""


def varint(value: int) -> bytes:
    """Return a number as protocol buffers and tables have it."""
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def number(field: int, value: int) -> bytes:
    """Return a field that is a number."""
    return varint(field << 3) + varint(value)


def message(field: int, content: bytes) -> bytes:
    """Return a field that is a message."""
    return varint(field << 3 | 2) + varint(len(content)) + content


def entry(
    *, dtype: int, shape: tuple[int, ...], place: tuple[int, int, int], checksum: int
) -> bytes:
    """Return the message about a tensor; place is data file, offset and size."""
    axes = b"".join(message(2, number(1, length)) for length in shape)
    parts = [number(1, dtype), message(2, axes)]
    parts += [number(3 + n, value) for n, value in enumerate(place)]
    return b"".join(parts) + varint(6 << 3 | 5) + struct.pack("<I", checksum)


def header(shards: int = 1) -> bytes:
    """Return the message about the checkpoint."""
    return number(1, shards) + message(3, number(1, 1))


def block(pairs: list[tuple[bytes, bytes]], restarts: int = 1) -> bytes:
    """Return a block of a table with its checksum."""
    body = b"".join(
        varint(0) + varint(len(key)) + varint(len(value)) + key + value
        for key, value in pairs
    )
    body += bytes(4) + struct.pack("<I", restarts) + b"\0"
    return body + struct.pack("<I", masked(crc32c(body)))


def handle(offset: int, stored: int) -> bytes:
    """Return place and size of a block, whose end of five bytes does not count."""
    return varint(offset) + varint(max(stored - 5, 0))


def table(blocks: list[bytes], handles: list[bytes] | None = None) -> bytes:
    """Return an index of blocks; by default it points at each in its place."""
    content, places = b"", []
    for part in blocks:
        places.append(handle(len(content), len(part)))
        content += part
    meta = handle(len(content), len(empty := block([])))
    content += empty
    pairs = [(b"", place) for place in (places if handles is None else handles)]
    index = block(pairs)
    foot = meta + handle(len(content), len(index))
    return content + index + foot.ljust(40, b"\0")[:40] + MAGIC


def drawn(rng: np.random.Generator, prefix: Path) -> None:
    """Write a checkpoint of a few tensors; most say something that cannot be."""
    arrays = {
        f"generator/layer_{n}/kernel".encode(): rng.normal(size=(3, n + 1)).astype(
            "<f4"
        )
        for n in range(4)
    }
    data = b"".join(array.tobytes() for array in arrays.values())
    tensors, offset = [Tensor(b"", header())], 0
    odd = int(rng.integers(6)) if rng.random() < 0.7 else -1
    chosen = int(rng.integers(len(arrays)))
    for which, (name, array) in enumerate(arrays.items()):
        content = array.tobytes()
        told = {
            "dtype": 1,
            "shape": array.shape,
            "place": (0, offset, len(content)),
            "checksum": masked(crc32c(content)),
        }
        offset += len(content)
        if which == chosen and odd == 0:
            told["dtype"] = int(rng.integers(40))
        elif which == chosen and odd == 1:
            axes = int(rng.choice([0, 1, 2, 3, 33, 2000]))
            told["shape"] = tuple(_number(rng) for _ in range(axes))
        elif which == chosen and odd == 2:
            places = [*told["place"]]
            places[int(rng.integers(3))] = _number(rng)
            told["place"] = tuple(places)
        elif which == chosen and odd == 3:  # nothing stored, of an odd shape
            told["shape"] = (0, _number(rng), _number(rng))
            told["place"], told["checksum"] = (0, 0, 0), masked(crc32c(b""))
        elif which == chosen and odd == 4:
            name = NAMES[int(rng.integers(len(NAMES)))]
        value = entry(**told)
        if which == chosen and odd == 5:
            value = _shaken(value, rng)
        tensors.append(Tensor(name, value))
    blocks, handles = _blocks(tensors, rng)
    index = table(blocks, handles)
    if rng.random() < 0.15:
        index = _shaken(index, rng)
    if rng.random() < 0.15:
        data = _shaken(data, rng)
    prefix.with_name(f"{prefix.name}.index").write_bytes(index)
    prefix.with_name(f"{prefix.name}.data-00000-of-00001").write_bytes(data)


def _blocks(
    tensors: list[Tensor], rng: np.random.Generator
) -> tuple[list[bytes], list[bytes] | None]:
    """Return the blocks of a table, and where it says that they lie."""
    kind = int(rng.integers(12))
    if kind == 0:
        tensors = [tensors[n] for n in rng.permutation(len(tensors))]
    elif kind == 1:
        tensors[0] = Tensor(b"", header(_number(rng)))
    elif kind == 2:
        tensors[0] = Tensor(b"", _shaken(header(), rng))
    middle = int(rng.integers(len(tensors) + 1))
    parts = [block([*part]) for part in (tensors[:middle], tensors[middle:])]
    if kind == 3:  # a block of nothing, again and again
        parts[0] = block([], restarts=1)
        return parts, [handle(0, len(parts[0]))] * 2000
    if kind == 4:
        return parts, [varint(_number(rng)) + varint(_number(rng))]
    if kind == 5:
        parts[0] = block([*tensors], restarts=_number(rng) & 0xFFFFFFFF)
    return parts, None


def _number(rng: np.random.Generator) -> int:
    return NUMBERS[int(rng.integers(len(NUMBERS)))]


def _shaken(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes of which a few are others, or missing."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 4))):
        place = int(rng.integers(max(len(data), 1)))
        if rng.random() < 0.7:
            data[place : place + 1] = rng.bytes(1)
        else:
            del data[place : place + int(rng.integers(1, 9))]
    return bytes(data)
