"""Read TensorFlow's checkpoints of format V2 without TensorFlow.

``PREFIX.index`` is a sorted table of blocks (LevelDB's), which says of every tensor
what it is and where it lies in ``PREFIX.data-00000-of-00001``.  Supported are whole
tensors of numbers, in little-endian order, in any number of data files, the table
uncompressed as TensorFlow writes it.  Checksums of blocks and tensors are compared.
What is refused, each in one line: format V1, compressed tables, big-endian files,
tensors in slices, tensors of strings and other types, files that are missing, cut off
or changed.
"""

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np

from converters.crc32c import crc32c, masked
from zoo.core.errors import BadInput
from zoo.io.protobuf import (
    FOUR_BYTES,
    MESSAGE,
    NUMBER,
    Field,
    NoProtocolBuffer,
    fields,
    whole_numbers,
)

LARGEST_INDEX = 64 * 2**20
"""Bytes of an index: hundreds of thousands of tensors."""

MOST_TENSORS = 1_000_000
"""Entries of an index."""

MOST_SHARDS = 10_000
"""Data files."""

MOST_AXES = 32
"""Axes of a tensor."""

LONGEST = 2**40
"""Lengths of a tensor's axes multiplied, zeros left out: where one is zero, nothing
stored bounds the others."""

_MAGIC = (0xDB4775248B80FB57).to_bytes(8, "little")
_FOOTER = 48
_TYPES = {
    1: "<f4",
    2: "<f8",
    3: "<i4",
    4: "u1",
    5: "<i2",
    6: "i1",
    9: "<i8",
    10: "?",
    17: "<u2",
    19: "<f2",
    22: "<u4",
    23: "<u8",
}


class Entry(NamedTuple):
    """What the index says of a tensor."""

    dtype: int
    """TensorFlow's number of its type."""
    shape: tuple[int, ...]
    """Lengths of its axes."""
    shard: int
    """Number of the data file."""
    offset: int
    """First byte in it."""
    size: int
    """Bytes."""
    checksum: int
    """Masked CRC-32C of the bytes."""
    sliced: bool
    """Whether it is stored in slices."""


class _Damaged(Exception):
    """An index that is not what it should be."""


def bundle_prefix(path: str | Path) -> Path:
    """Return what the names of a checkpoint's files begin with.

    Parameters
    ----------
    path
        That beginning, one of the files, or a folder with a single checkpoint.

    Raises
    ------
    BadInput
        If there is no checkpoint, or more than one.
    """
    path = Path(path)
    if path.is_dir():
        found = sorted(p.name for p in path.glob("*.index"))
        if len(found) != 1:
            what = f"{len(found)} checkpoints" if found else "no checkpoint"
            raise BadInput(f"{path} holds {what}; give one .index file")
        return path / found[0].removesuffix(".index")
    for mark in (".index", ".meta", ".data-"):
        head, middle, _ = path.name.rpartition(mark)
        if middle and path.is_file():
            return path.with_name(head)
    if path.is_file() and not path.with_name(f"{path.name}.index").is_file():
        raise BadInput(
            f"{path} has no {path.name}.index beside it: a checkpoint of format V1, or "
            "none; save it anew with TensorFlow 1.0 or later"
        )
    return path


def read_bundle(
    path: str | Path, *, wanted: Callable[[str], bool] | None = None
) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """Read the tensors of a checkpoint.

    Parameters
    ----------
    path
        As for `bundle_prefix`.
    wanted
        Says by its name whether a tensor is read; every one by default.

    Returns
    -------
    tensors
        Those wanted, by name, in the order of the index.
    others
        Names of those left.

    Raises
    ------
    BadInput
        If a file is missing, damaged, or holds what is not supported.
    """
    prefix = bundle_prefix(path)
    index = prefix.with_name(f"{prefix.name}.index")
    entries, shards = read_index(index)
    chosen = [name for name in entries if wanted is None or wanted(name)]
    tensors: dict[str, np.ndarray] = {}
    files: dict[int, Path] = {}
    spent: dict[int, int] = {}
    for name in chosen:
        entry = entries[name]
        _check_entry(name, entry, index)
        if entry.shard not in files:
            files[entry.shard] = _shard(prefix, entry.shard, shards)
        file = files[entry.shard]
        spent[entry.shard] = spent.get(entry.shard, 0) + entry.size
        if max(entry.offset + entry.size, spent[entry.shard]) > file.stat().st_size:
            raise BadInput(
                f"{file} is shorter than its tensors, {name} among them; it was not "
                "copied whole"
            )
        with file.open("rb") as stream:
            stream.seek(entry.offset)
            content = stream.read(entry.size)
        if len(content) < entry.size or masked(crc32c(content)) != entry.checksum:
            raise BadInput(f"{file}: {name} is damaged; copy the checkpoint anew")
        values = np.frombuffer(content, _TYPES[entry.dtype])
        tensors[name] = values.reshape(entry.shape)
    return tensors, tuple(name for name in entries if name not in tensors)


def read_index(path: Path) -> tuple[dict[str, Entry], int]:
    """Read the table of a checkpoint: its tensors, and the number of data files.

    Raises
    ------
    BadInput
        If the file is missing, damaged, or of another format.
    """
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the .index of a checkpoint")
    if path.stat().st_size > LARGEST_INDEX:
        raise BadInput(
            f"{path} has more than {LARGEST_INDEX // 2**20} MiB: no index of tensors"
        )
    content = path.read_bytes()
    if len(content) < _FOOTER or content[-8:] != _MAGIC:
        raise BadInput(
            f"{path} does not end as an index of a checkpoint does; it was cut off, or "
            "is another file"
        )
    try:
        return _entries(memoryview(content))
    except (_Damaged, NoProtocolBuffer) as error:
        reason = str(error) if isinstance(error, _Damaged) else "no readable entries"
        raise BadInput(f"{path} cannot be read as an index: {reason}") from error


def _entries(content: memoryview) -> tuple[dict[str, Entry], int]:
    footer = content[-_FOOTER:-8]
    _, position = _handle(footer, 0)
    where, _ = _handle(footer, position)
    entries: dict[str, Entry] = {}
    shards: int | None = None
    before, behind = b"", 0
    for _, handle in _pairs(_block(content, where)):
        place, _ = _handle(memoryview(handle), 0)
        if place[0] < behind:  # or a small file takes hours
            raise _Damaged("its blocks overlap")
        behind = sum(place)
        for key, value in _pairs(_block(content, place)):
            if shards is not None and key <= before:
                raise _Damaged("its names are not in order")
            if shards is None:
                if key:
                    raise _Damaged("it has no header")
                shards = _header(memoryview(value))
            else:
                # slices have names that are no text
                name = key.decode("utf-8", "backslashreplace")
                entries[name] = _entry(memoryview(value))
                if len(entries) > MOST_TENSORS:
                    raise _Damaged(f"more than {MOST_TENSORS} tensors")
            before = key
    if shards is None:
        raise _Damaged("it has no header")
    return entries, shards


def _block(content: memoryview, handle: tuple[int, int]) -> memoryview:
    """Return a block whose checksum agrees; its end is a type and that sum."""
    offset, size = handle
    if offset + size + 5 > len(content) - _FOOTER or size < 4:
        raise _Damaged("a block lies outside of the file")
    if content[offset + size]:
        raise _Damaged("its blocks are compressed, which is not supported")
    stored = int.from_bytes(content[offset + size + 1 : offset + size + 5], "little")
    if masked(crc32c(content[offset : offset + size + 1])) != stored:
        raise _Damaged("a block is damaged; copy the checkpoint anew")
    return content[offset : offset + size]


def _pairs(block: memoryview) -> Iterator[tuple[bytes, bytes]]:
    """Yield keys and values; a key is stored as what differs from the one before."""
    restarts = int.from_bytes(block[-4:], "little")
    end = len(block) - 4 * (restarts + 1)
    if end < 0:
        raise _Damaged("a block is shorter than its list of restarts")
    key, position = b"", 0
    while position < end:
        shared, position = _varint(block, position)
        fresh, position = _varint(block, position)
        length, position = _varint(block, position)
        if shared > len(key) or position + fresh + length > end:
            raise _Damaged("an entry does not fit its block")
        key = key[:shared] + bytes(block[position : position + fresh])
        position += fresh
        yield key, bytes(block[position : position + length])
        position += length


def _handle(content: memoryview, position: int) -> tuple[tuple[int, int], int]:
    """Return offset and size of a block, and the position behind them."""
    offset, position = _varint(content, position)
    size, position = _varint(content, position)
    return (offset, size), position


def _varint(content: memoryview, position: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            break
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _Damaged("a number does not end")


def _header(content: memoryview) -> int:
    """Return the number of data files."""
    shards = 1
    for field in fields(content):
        if field.number == 1 and field.wire == NUMBER:
            shards = field.value
        elif field.number == 2 and field.wire == NUMBER and field.value:
            raise _Damaged("it is big-endian, which is not supported")
        elif field.number == 3 and field.wire == MESSAGE:
            for part in fields(field.content):
                if part.number == 2 and part.value > 1:
                    raise _Damaged("it is of a later format than 1")
    if not 0 < shards <= MOST_SHARDS:
        raise _Damaged(f"it names {shards} data files")
    return shards


def _entry(content: memoryview) -> Entry:
    found = {"dtype": 0, "shard": 0, "offset": 0, "size": 0}
    names = {1: "dtype", 3: "shard", 4: "offset", 5: "size"}
    shape: tuple[int, ...] = ()
    checksum, sliced = 0, False
    for field in fields(content):
        if field.number in names and field.wire == NUMBER:
            found[names[field.number]] = _signed(field)
        elif field.number == 2 and field.wire == MESSAGE:
            shape = _shape(field.content)
        elif field.number == 6 and field.wire == FOUR_BYTES:
            checksum = int.from_bytes(field.content, "little")
        elif field.number == 7:
            sliced = True
    if min(found.values()) < 0 or min(shape, default=0) < 0:
        raise _Damaged("a place or an axis is negative")
    return Entry(shape=shape, checksum=checksum, sliced=sliced, **found)


def _shape(content: memoryview) -> tuple[int, ...]:
    lengths: list[int] = []
    for field in fields(content):
        if field.number == 3 and field.value:
            raise _Damaged("a tensor has no known shape")
        if field.number == 2 and field.wire == MESSAGE:
            inner = [f for f in fields(field.content) if f.number == 1]
            lengths.append(_signed(inner[-1]) if inner else 0)
    if len(lengths) > MOST_AXES:
        raise _Damaged(f"a tensor has {len(lengths)} axes")
    return tuple(lengths)


def _signed(field: Field) -> int:
    return next(whole_numbers(field), 0)


def _check_entry(name: str, entry: Entry, path: Path) -> None:
    if entry.sliced:
        raise BadInput(f"{path}: {name} is stored in slices, which is not supported")
    if entry.dtype not in _TYPES:
        what = "strings" if entry.dtype == 7 else f"TensorFlow's type {entry.dtype}"
        raise BadInput(f"{path}: {name} holds {what}, which is not supported")
    if math.prod(filter(None, entry.shape)) > LONGEST:
        raise BadInput(f"{path}: {name} has axes that are too long")
    expected = np.dtype(_TYPES[entry.dtype]).itemsize
    for length in entry.shape:
        expected *= length
    if expected != entry.size:
        raise BadInput(
            f"{path}: {name} should have {expected} bytes by its shape, and has "
            f"{entry.size}"
        )


def _shard(prefix: Path, number: int, count: int) -> Path:
    if number >= count:
        raise BadInput(
            f"{prefix}.index names data file {number} of {count}, which cannot be"
        )
    file = prefix.with_name(f"{prefix.name}.data-{number:05d}-of-{count:05d}")
    if not file.is_file():
        raise BadInput(f"{file} is missing; it belongs beside {prefix.name}.index")
    return file
