"""What a TIFF declares, against the bytes that it has, before anything is allocated."""

import struct
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

from zoo.core.errors import BadInput
from zoo.io.tiff_metadata import attribute, elements

BLANK_BYTES = 2**28
"""Size of a plane that is believed however little of it is stored, bytes."""
DENSEST = 2_000
"""Most pixel bytes per stored byte of a larger plane; deflate reaches 1,032."""
FEW_PLANES = 2**22
"""Number of planes that is believed however short the files are."""
SHORTEST_DIRECTORY = 18
"""Fewest bytes that describe a plane."""

# of the TIFF field types BYTE, ASCII, SHORT ... IFD8
_BYTES_OF_TYPE = dict(enumerate((1, 1, 2, 4, 8, 1, 1, 2, 4, 8, 4, 8, 4), start=1)) | {
    16: 8,
    17: 8,
    18: 8,
}
_WIDTH, _LENGTH = 256, 257


class _Form(NamedTuple):
    """How the directories of a file are written."""

    offset: struct.Struct
    number: struct.Struct
    entry: struct.Struct
    inline: int
    """Largest value that an entry holds itself, bytes."""


def check_directories(path: Path) -> int:
    """Make sure that the values of all image directories lie within the file.

    The directories are read one after the other and none is kept.  What breaks off or
    is no TIFF at all is left to the reader that comes next.

    Returns
    -------
    pixels
        Of the smallest image, at least 1.

    Raises
    ------
    BadInput
        If a value lies beyond the end, or the chain of directories is a circle.
    """
    size = path.stat().st_size
    smallest, number, mark = 0, 0, 0
    with path.open("rb") as file:
        form, position = _header(file)
        while form is not None and 0 < position < size:
            number += 1
            if number & (number - 1) == 0:  # Brent: the mark moves at powers of two
                mark = position
            elif position == mark:
                raise BadInput(
                    f"{path} is damaged: the list of its images runs in a circle; copy "
                    "it again"
                )
            pixels, position = _directory(file, form, position, size, path)
            smallest = min(smallest or pixels, pixels)
    return max(smallest, 1)


def _header(file: BinaryIO) -> tuple[_Form | None, int]:
    """Return the form of a file, None if it is no TIFF, and its first directory."""
    head = file.read(16)
    order = {b"II": "<", b"MM": ">"}.get(head[:2])
    if order is None or len(head) < 8:
        return None, 0
    (version,) = struct.unpack(order + "H", head[2:4])
    if version == 42:
        offset, number, entry = (struct.Struct(order + c) for c in ("I", "H", "HHII"))
        return _Form(offset, number, entry, 4), struct.unpack(order + "I", head[4:8])[0]
    if version == 43 and len(head) == 16:
        offset, number, entry = (struct.Struct(order + c) for c in ("Q", "Q", "HHQQ"))
        return _Form(offset, number, entry, 8), struct.unpack(order + "Q", head[8:16])[
            0
        ]
    return None, 0


def _directory(
    file: BinaryIO, form: _Form, position: int, size: int, path: Path
) -> tuple[int, int]:
    """Check a directory; return the pixels of its image and the next position."""
    file.seek(position)
    head = file.read(form.number.size)
    if len(head) < form.number.size:
        return 1, 0
    (count,) = form.number.unpack(head)
    if count * form.entry.size > size - position:
        return 1, 0
    content = file.read(count * form.entry.size)
    lengths = {_WIDTH: 1, _LENGTH: 1}
    for tag, kind, number, value in form.entry.iter_unpack(content):
        nbytes = number * _BYTES_OF_TYPE.get(kind, 0)
        if nbytes > form.inline and value + nbytes > size:
            raise BadInput(
                f"{path} is truncated: what describes its images lies beyond the end; "
                "copy it again"
            )
        if tag in lengths:
            raw = form.offset.pack(value)
            code = form.offset.format[0] + {3: "H", 4: "I", 16: "Q"}.get(kind, "B")
            lengths[tag] = int(struct.unpack_from(code, raw)[0])
    tail = file.read(form.offset.size)
    following = form.offset.unpack(tail)[0] if len(tail) == form.offset.size else 0
    return max(lengths[_WIDTH] * lengths[_LENGTH], 1), following


def check_ome(xml: str, path: Path, *, smallest: int) -> None:
    """Refuse OME-XML that declares more planes than its files can hold.

    Parameters
    ----------
    xml
        The text.
    path
        The file that holds it; others that it names lie in the same folder.
    smallest
        Pixels of the smallest image in the file.

    Raises
    ------
    BadInput
        If a number of planes is beyond the files.
    """
    declared, largest = 0, 0
    for pixels in elements(xml, "Pixels"):
        planes = _product(pixels, "TZC")
        declared += max(planes, planes * _product(pixels, "YX") // smallest)
    for data in elements(xml, "TiffData"):
        for name in ("PlaneCount", "NumPlanes", "IFD"):
            largest = max(largest, _whole(attribute(data, name)))
    for letter in "TZC":
        for along in elements(xml, f"ModuloAlong{letter}"):
            low, high, step = (
                _number(attribute(along, name)) for name in ("Start", "End", "Step")
            )
            largest = max(largest, int(min(abs(high - low) / (step or 1.0), 2**62)))
    limit = max(FEW_PLANES, _bytes_of_files(xml, path) // SHORTEST_DIRECTORY)
    if max(declared, largest) > limit:
        raise BadInput(
            f"{path} is damaged or truncated: its OME metadata declare "
            f"{max(declared, largest):.3g} images, its files can hold {limit:.3g} at "
            "most; copy or export it again"
        )


def check_page(page: Any, name: str) -> None:
    """Refuse an image whose declared size has nothing to do with what is stored.

    Raises
    ------
    BadInput
        If it declares more pixels than any compression can have left so few bytes of.
    """
    size: int = page.parent.filehandle.size
    stored = min(sum(int(n) for n in page.databytecounts), size)
    declared = int(page.nbytes)
    limit = size if page.is_final else max(BLANK_BYTES, DENSEST * stored)
    if declared > limit:
        raise BadInput(
            f"{name} is truncated or damaged: an image of {declared / 1e9:.3g} GB is "
            f"declared, {stored} bytes of it are there; copy it again"
        )


def _bytes_of_files(xml: str, path: Path) -> int:
    names = {attribute(uuid, "FileName") for uuid in elements(xml, "UUID")}
    files = {path.parent / name for name in names if name and "\0" not in name}
    return sum(f.stat().st_size for f in {path, *files} if f.is_file())


def _product(element: str, letters: str) -> int:
    product = 1
    for letter in letters:
        product *= max(_whole(attribute(element, f"Size{letter}")), 1)
    return product


def _whole(text: str | None) -> int:
    """Return a whole number in a text, 0 for anything else."""
    digits = (text or "").strip()
    return int(digits) if digits.isdecimal() and len(digits) < 30 else 0


def _number(text: str | None) -> float:
    try:
        return float(text or 0)
    except ValueError:
        return 0.0
