"""The frame of protocol buffers, read without a library and without making objects.

Every field of a message is a number that says what follows, and for how many bytes.
What programs would reject or skip in ways of their own is an error here, so that
nothing is hidden from who looks.
"""

from collections.abc import Iterator
from typing import NamedTuple

NUMBER, EIGHT_BYTES, MESSAGE, FOUR_BYTES = 0, 1, 2, 5
"""Kinds of fields: a number, eight bytes, so many bytes as stated, four bytes."""


class Field(NamedTuple):
    """One field of a message."""

    number: int
    """Which field it is."""
    wire: int
    """Its kind, as above."""
    value: int
    """Of a `NUMBER`; otherwise 0."""
    content: memoryview
    """Of a field of the other kinds."""


class NoProtocolBuffer(Exception):
    """Bytes that are not the fields of a message, one after the other."""


def fields(content: memoryview) -> Iterator[Field]:
    r"""Yield the fields of a message.

    Raises
    ------
    NoProtocolBuffer
        If a field does not end where the message does, or is of an outdated kind.

    Examples
    --------
    >>> [field[:3] for field in fields(memoryview(b"\x08\x96\x01"))]
    [(1, 0, 150)]
    """
    position, nothing = 0, content[:0]
    while position < len(content):
        key, position = _number(content, position)
        number, wire = key >> 3, key & 7
        if not 0 < number < 2**29:
            raise NoProtocolBuffer
        if wire == NUMBER:
            value, position = _number(content, position)
            yield Field(number, wire, value, nothing)
            continue
        if wire == MESSAGE:
            length, position = _number(content, position)
        elif wire in (EIGHT_BYTES, FOUR_BYTES):
            length = 8 if wire == EIGHT_BYTES else 4
        else:  # groups, which hide fields from a reader that skips them
            raise NoProtocolBuffer
        if length > len(content) - position:
            raise NoProtocolBuffer
        yield Field(number, wire, 0, content[position : position + length])
        position += length


def messages(content: memoryview, *numbers: int) -> Iterator[memoryview]:
    """Yield what the fields of these numbers hold that have a length."""
    for field in fields(content):
        if field.wire == MESSAGE and field.number in numbers:
            yield field.content


def texts(content: memoryview, number: int) -> list[str]:
    """Return the strings in the fields of a number."""
    found = messages(content, number)
    return [bytes(text).decode("utf-8", "replace") for text in found]


def whole_numbers(field: Field) -> Iterator[int]:
    """Yield the whole numbers of a field, which may hold one or many, signed."""
    if field.wire == NUMBER:
        yield _signed(field.value)
        return
    position = 0
    while position < len(field.content):
        value, position = _number(field.content, position)
        yield _signed(value)


def _signed(value: int) -> int:
    value &= 2**64 - 1
    return value - 2**64 if value >= 2**63 else value


def _number(content: memoryview, position: int) -> tuple[int, int]:
    """Return a number of seven bits per byte, and the position behind it."""
    value = 0
    for shift in range(0, 70, 7):
        if position >= len(content):
            raise NoProtocolBuffer
        byte = content[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
    raise NoProtocolBuffer
