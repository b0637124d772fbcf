"""Looking into an ONNX file before ONNX Runtime reserves memory for it.

Only the frame of the protocol buffer is read, which needs no library: every field is
a number that says what follows, and for how many bytes.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from zoo.core.errors import BadPackage
from zoo.io.archives import unsafe_name

VALUES_PER_BYTE = 2
"""Most values in a byte of a tensor, those of four bits."""
DEEPEST = 32
"""Deepest nesting of graphs in graphs."""

# numbers of fields in onnx.proto
_GRAPH, _FUNCTIONS = 7, 25  # of a model
_NODE = {"graph": 1, "function": 7}
_INITIALIZERS, _SPARSE = 5, 15  # of a graph
_ATTRIBUTES = 5  # of a node
_TENSORS, _GRAPHS, _SPARSES = (5, 10), (6, 11), (22, 23)  # of an attribute
_DIMS, _EXTERNAL = 1, 13  # of a tensor
_LENGTH_DELIMITED = 2


class _Field(NamedTuple):
    number: int
    wire: int
    value: int
    """Of a number."""
    content: memoryview


class _NoProtocolBuffer(Exception):
    """A file that ONNX Runtime will refuse."""


def check_onnx_file(path: Path) -> None:
    """Refuse an ONNX file whose tensors are declared larger than what is stored.

    A file that is no ONNX at all is left to the program that runs it.

    Raises
    ------
    BadPackage
        If a tensor has fewer bytes than its shape needs, lies in a file outside the
        folder, or graphs are nested beyond measure.
    """
    try:
        for field in _fields(memoryview(path.read_bytes())):
            if field.number == _GRAPH and field.wire == _LENGTH_DELIMITED:
                _check_graph(field.content, path, "graph", 0)
            elif field.number == _FUNCTIONS and field.wire == _LENGTH_DELIMITED:
                _check_graph(field.content, path, "function", 0)
    except _NoProtocolBuffer:
        return


def _check_graph(content: memoryview, path: Path, kind: str, depth: int) -> None:
    if depth > DEEPEST:
        raise BadPackage(
            f"{path.name} nests graphs more than {DEEPEST} deep; it was not loaded"
        )
    for field in _fields(content):
        if field.wire != _LENGTH_DELIMITED:
            continue
        if kind == "graph" and field.number == _INITIALIZERS:
            _check_tensor(field.content, path)
        elif kind == "graph" and field.number == _SPARSE:
            _refuse_sparse(path)
        elif field.number == _NODE[kind]:
            for attribute in _fields(field.content):
                if attribute.number == _ATTRIBUTES and attribute.wire == 2:
                    _check_attribute(attribute.content, path, depth)


def _check_attribute(content: memoryview, path: Path, depth: int) -> None:
    for field in _fields(content):
        if field.wire != _LENGTH_DELIMITED:
            continue
        if field.number in _TENSORS:
            _check_tensor(field.content, path)
        elif field.number in _GRAPHS:
            _check_graph(field.content, path, "graph", depth + 1)
        elif field.number in _SPARSES:
            _refuse_sparse(path)


def _check_tensor(content: memoryview, path: Path) -> None:
    values, stored = 1, len(content)
    location = None
    for field in _fields(content):
        if field.number == _DIMS:
            packed = field.wire == _LENGTH_DELIMITED
            dims = _numbers(field.content) if packed else [field.value]
            for length in dims:
                values *= length
        elif field.number == _EXTERNAL and field.wire == _LENGTH_DELIMITED:
            pair = {f.number: bytes(f.content) for f in _fields(field.content)}
            if pair.get(1) == b"location":
                location = pair.get(2, b"").decode("utf-8", "replace")
    if location is not None:
        file = path.parent / location
        if unsafe_name(location) or not file.resolve().is_relative_to(
            path.parent.resolve()
        ):
            raise BadPackage(
                f"{path.name} keeps an array in {location!r}, outside its folder; it "
                "was not loaded"
            )
        stored = file.stat().st_size if file.is_file() else 0
    if values > VALUES_PER_BYTE * stored:
        raise BadPackage(
            f"{path.name} declares an array of {values:.3g} values and stores {stored} "
            "bytes of it; it was not loaded"
        )


def _refuse_sparse(path: Path) -> None:
    raise BadPackage(
        f"{path.name} holds a sparse array, whose size nothing bounds; it was not "
        "loaded"
    )


def _fields(content: memoryview) -> Iterator[_Field]:
    """Yield the fields of a message."""
    position, nothing = 0, content[:0]
    while position < len(content):
        key, position = _number(content, position)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, position = _number(content, position)
            yield _Field(number, wire, value, nothing)
            continue
        if wire == _LENGTH_DELIMITED:
            length, position = _number(content, position)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise _NoProtocolBuffer
        if length > len(content) - position:
            raise _NoProtocolBuffer
        yield _Field(number, wire, 0, content[position : position + length])
        position += length


def _numbers(content: memoryview) -> Iterator[int]:
    position = 0
    while position < len(content):
        value, position = _number(content, position)
        yield value


def _number(content: memoryview, position: int) -> tuple[int, int]:
    """Return a number of seven bits per byte, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise _NoProtocolBuffer
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise _NoProtocolBuffer
