"""Planes of a recording, read when asked for, from raw files and arrays.

Nothing here maps a file into memory: pages of a mapped file count as memory of the
process, which would then grow with the number of frames read.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import BadInput
from zoo.io.layout import Layout

Array = NDArray[Any]

PIXEL_SIZE_RANGE_NM = (1.0, 10_000.0)
"""Pixel edges outside this range are not those of a light microscope."""

UNITS_NM = {
    "pm": 1e-3,
    **dict.fromkeys(("å", "angstrom", "ångström"), 0.1),
    **dict.fromkeys(("nm", "nanometer", "nanometers", "nanometre"), 1.0),
    **dict.fromkeys(
        ("µm", "um", "micron", "microns", "micrometer", "micrometers", "micrometre"),
        1e3,
    ),
    **dict.fromkeys(("mm", "millimeter", "millimetre"), 1e6),
    **dict.fromkeys(("cm", "centimeter", "centimetre"), 1e7),
    **dict.fromkeys(("m", "meter", "metre"), 1e9),
    **dict.fromkeys(("in", "inch", "inches"), 25.4e6),
}
"""Nanometres per unit, by its names in OME-XML, ImageJ and OME-Zarr."""


def unit_nm(unit: str) -> float | None:
    r"""Return the nanometres in a unit of length, None for any other unit.

    Examples
    --------
    >>> unit_nm("micron"), unit_nm("\\u00B5m"), unit_nm("pixel")
    (1000.0, 1000.0, None)
    """
    plain = unit.strip().lower().replace("\\u00b5", "µ").replace("μ", "µ")
    return UNITS_NM.get(plain)


def plausible_nm(y_nm: float, x_nm: float) -> tuple[float, float] | None:
    """Return a pixel size (y, x) if both edges are possible, otherwise None."""
    possible = plausible_step_nm(y_nm) and plausible_step_nm(x_nm)
    return (y_nm, x_nm) if possible else None


def plausible_step_nm(step_nm: float) -> float | None:
    """Return a distance of pixels or planes if it is possible, otherwise None."""
    low, high = PIXEL_SIZE_RANGE_NM
    return step_nm if math.isfinite(step_nm) and low <= step_nm <= high else None


class Planes(Protocol):
    """A numbered row of planes of equal size and type."""

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the planes of these numbers, (n, y, x, s)."""
        ...

    def close(self) -> None:
        """Close open files."""
        ...


@dataclass
class Found:
    """A recording as it was found, before frames and channels are told apart."""

    planes: Planes
    axes: str
    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    pixel_size_nm: tuple[float, float] | None = None
    """Pixel edges (y, x), nm."""
    z_step_nm: float | None = None
    """Distance of neighbouring planes of depth, nm."""
    pixel_size_source: str = "missing"
    notes: list[str] = field(default_factory=list[str])
    channel_names: tuple[str, ...] = ()
    files: tuple[Path, ...] = ()


def runs(numbers: NDArray[np.intp], step: int = 1) -> list[tuple[int, int]]:
    """Return the half-open stretches of `numbers` that rise by exactly `step`.

    Examples
    --------
    >>> runs(np.array([4, 5, 6, 9, 10]))
    [(0, 3), (3, 5)]
    """
    if not len(numbers):
        return []
    cuts = np.flatnonzero(np.diff(numbers) != step) + 1
    edges = [0, *cuts.tolist(), len(numbers)]
    return list(pairwise(edges))


class RawPlanes:
    """Uncompressed planes at known places in one or more files.

    Parameters
    ----------
    files
        The files.
    offsets
        First byte of each plane.
    shape
        (y, x, s) of a plane.
    dtype
        Type of a pixel, with its byte order.
    file_index
        Position in `files` of each plane; all in the first one when left out.
    """

    def __init__(
        self,
        files: tuple[Path, ...],
        offsets: NDArray[np.int64],
        *,
        shape: tuple[int, int, int],
        dtype: np.dtype[Any],
        file_index: NDArray[np.int32] | None = None,
    ) -> None:
        self.files = files
        self.shape = shape
        self.dtype = dtype
        self._offsets = offsets
        self._file_index = file_index
        self._nbytes = math.prod(shape) * dtype.itemsize
        self._open: tuple[int, BinaryIO] | None = None

    def _handle(self, index: int) -> BinaryIO:
        if self._open is None or self._open[0] != index:
            self.close()
            # unbuffered: every read is at least a plane
            handle: BinaryIO = self.files[index].open("rb", buffering=0)
            self._open = (index, handle)
        return self._open[1]

    def missing(self) -> int | None:
        """Return the number of the first plane that ends beyond its file, if any."""
        sizes = np.array([file.stat().st_size for file in self.files])
        ends = self._offsets + self._nbytes
        limit = sizes[0] if self._file_index is None else sizes[self._file_index]
        beyond = np.flatnonzero(ends > limit)
        return int(beyond[0]) if len(beyond) else None

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the planes of these numbers, (n, y, x, s)."""
        planes = np.empty((len(numbers), *self.shape), self.dtype)
        bytes_of = planes.reshape(-1).view(np.uint8)
        for first, last in runs(self._offsets[numbers], self._nbytes):
            inside = [(first, last)]
            if self._file_index is not None:
                # equal distances across two files are no contiguous run
                part = self._file_index[numbers[first:last]].astype(np.intp)
                inside = [(first + a, first + b) for a, b in runs(part, 0)]
            for start, stop in inside:
                number = int(numbers[start])
                which = 0 if self._file_index is None else self._file_index[number]
                handle = self._handle(int(which))
                handle.seek(int(self._offsets[number]))
                wanted = bytes_of.data[start * self._nbytes : stop * self._nbytes]
                while len(wanted):
                    count: int = handle.readinto(wanted)  # type: ignore[attr-defined]
                    if not count:
                        raise BadInput(
                            f"{self.files[int(which)]} became shorter while it was "
                            "read; copy it again"
                        )
                    wanted = wanted[count:]
        return planes

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            self._open[1].close()
            self._open = None


class ArrayPlanes:
    """Planes of anything that is sliced like an array (NumPy, Zarr).

    Parameters
    ----------
    array
        The array; its axes are any number of leading ones, y, x and perhaps one more.
    leading
        Number of axes before y.
    close
        Called when the recording is closed.
    """

    def __init__(
        self, array: Any, leading: int, *, close: Callable[[], None] | None = None
    ) -> None:
        self._array = array
        self._leading = leading
        self._close = close

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the planes of these numbers, (n, y, x, s)."""
        shape = tuple(int(n) for n in self._array.shape)
        lead, plane = shape[: self._leading], shape[self._leading :]
        full = (*plane[:2], math.prod(plane[2:]))
        if not lead:
            return np.broadcast_to(
                np.asarray(self._array[...]).reshape(full), (len(numbers), *full)
            )
        blocks: list[Array] = []
        for start, stop in runs(numbers):
            number, end = int(numbers[start]), int(numbers[stop - 1]) + 1
            while number < end:
                *outer, inner = np.unravel_index(number, lead)
                upto = min(end, number - int(inner) + lead[-1])
                index = (
                    *map(int, outer),
                    slice(int(inner), int(inner) + upto - number),
                )
                blocks.append(np.asarray(self._array[index]).reshape(-1, *full))
                number = upto
        return np.concatenate(blocks)

    def close(self) -> None:
        """Release the array."""
        if self._close is not None:
            self._close()


class InvertedPlanes:
    """Planes of whole numbers in which zero is white, turned around.

    Parameters
    ----------
    planes
        The planes as stored.
    top
        The number that is black; None to turn every bit, which is the same for a type
        that is used in full.
    """

    def __init__(self, planes: Planes, top: int | None) -> None:
        self._planes = planes
        self._top = top

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the planes of these numbers, (n, y, x, s)."""
        planes = self._planes.read(numbers)
        if self._top is None:
            return np.invert(planes)
        return (self._top - np.minimum(planes, self._top)).astype(planes.dtype)

    def close(self) -> None:
        """Close open files."""
        self._planes.close()


def inverted(
    planes: Planes, dtype: np.dtype[Any], bits: int, name: str
) -> InvertedPlanes:
    """Return planes in which zero is white with zero as black.

    Parameters
    ----------
    planes
        The planes as stored.
    dtype
        Type of a pixel.
    bits
        That a pixel has in the file.
    name
        What to call the file in messages.

    Raises
    ------
    BadInput
        If pixels are no whole numbers, among which nothing says what is black.
    """
    if dtype.kind not in "uib":
        raise BadInput(
            f"{name} stores white as zero with pixels of type {dtype.name}, which "
            "leaves open what black is; invert it and save it again"
        )
    partial = dtype.kind == "u" and bits < 8 * dtype.itemsize
    return InvertedPlanes(planes, 2**bits - 1 if partial else None)


def check_complete(planes: RawPlanes, count: int, name: str) -> None:
    """Refuse a file that ends before its last plane does.

    Raises
    ------
    BadInput
        If planes lie beyond the end of their file.
    """
    missing = planes.missing()
    if missing is not None:
        raise truncated(name, count, missing)


def truncated(name: str, count: int, complete: int) -> BadInput:
    """Return the error for a file that holds fewer images than it describes."""
    return BadInput(
        f"{name} is truncated: it describes {count} images and ends inside number "
        f"{complete + 1}; copy it again"
    )


def first_line(error: BaseException) -> str:
    """Return the first line of what an exception says, or its kind."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:160]


def read_frames(found: Found, layout: Layout, start: int, stop: int) -> Array:
    """Return frames ``start`` to ``stop`` as stored, (t, [z,] y, x, c)."""
    numbers = layout.planes(start, stop)
    planes = found.planes.read(numbers.reshape(-1))
    stacked = planes.reshape(*numbers.shape, *planes.shape[1:])
    if numbers.shape[-1] == 1:
        return stacked[..., 0, :, :, :]
    return np.moveaxis(stacked[..., 0], -3, -1)
