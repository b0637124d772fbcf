"""Folders of TIFF files as one recording."""

import math
import re
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import BadInput
from zoo.io.layout import Layout, plan, split_axes
from zoo.io.readers import Array, Found, read_frames
from zoo.io.tiff import open_tiff

SUFFIXES = frozenset({".tif", ".tiff", ".btf", ".tf8"})
"""Endings by which the TIFF files of a folder are known."""


class FolderPlanes:
    """Frames of several stacks, one after the other; one file is open at a time.

    Parameters
    ----------
    files
        The stacks, in order.
    counts
        Frames in each.
    channels
        Channels of a frame.
    """

    def __init__(
        self, files: tuple[Path, ...], counts: list[int], *, channels: int
    ) -> None:
        self._files = files
        self._starts = np.concatenate([[0], np.cumsum(counts)])
        self._channels = channels
        self._open: tuple[int, Found, Layout] | None = None

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the frames of these numbers, (n, y, x, c)."""
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        blocks: list[Array] = []
        owners: list[int] = which.tolist()
        for index in dict.fromkeys(owners):
            if self._open is None or self._open[0] != index:
                self.close()
                found = open_tiff(self._files[index])
                self._open = (index, found, _plan(found, self._channels))
            _, found, layout = self._open
            inside = numbers[which == index] - self._starts[index]
            # frames of one file are consecutive, as the reader asks for stretches
            first, last = int(inside[0]), int(inside[-1]) + 1
            blocks.append(read_frames(found, layout, first, last))
        return np.concatenate(blocks)

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            self._open[1].planes.close()
            self._open = None


def open_folder(folder: Path, *, channels: int) -> Found:
    """Describe a folder of TIFF files, in natural order (``2`` before ``10``).

    Each file is a frame or a stack; all have the same height and width.  A folder that
    holds one recording spread over several OME-TIFF files is read as that recording.

    Raises
    ------
    BadInput
        If there is no TIFF file, files differ in size, or one of them is damaged.
    """
    files = sorted(
        (
            file
            for file in folder.iterdir()
            if file.suffix.lower() in SUFFIXES and not file.name.startswith(".")
        ),
        key=natural_key,
    )
    if not files:
        raise BadInput(f"{folder} holds no TIFF file; name a recording or its folder")
    first = open_tiff(files[0])
    if len(files) == 1:
        return first
    if len(first.files) > 1:
        whole = {file.resolve() for file in first.files}
        if whole == {file.resolve() for file in files}:
            return first
        raise BadInput(
            f"{folder} holds a recording of {len(whole)} linked files and others "
            f"beside it; name its first file instead, such as {first.files[0].name}"
        )
    single = math.prod(first.shape) == math.prod(first.shape[-2:])
    inner = 1 if single else channels
    counts: list[int] = []
    wanted = _size(first)
    for file in files:
        found = first if file == files[0] else open_tiff(file)
        if _size(found) != wanted:
            raise BadInput(
                f"{file} is {_times(_size(found))} pixels, {files[0].name} is "
                f"{_times(wanted)}; all files of a folder must have one size"
            )
        if found.dtype.kind != first.dtype.kind:
            raise BadInput(
                f"{file} has pixels of type {found.dtype.name}, {files[0].name} "
                f"{first.dtype.name}; all files of a folder must have one type"
            )
        counts.append(_plan(found, inner).frames)
        found.planes.close()
    return Found(
        FolderPlanes(tuple(files), counts, channels=inner),
        "TYXC",
        (sum(counts), *wanted, inner),
        first.dtype,
        pixel_size_nm=first.pixel_size_nm,
        pixel_size_source=first.pixel_size_source,
        notes=list(first.notes),
        channel_names=first.channel_names,
        files=tuple(files),
    )


def _plan(found: Found, channels: int) -> Layout:
    return plan(
        found.axes,
        found.shape,
        channels=channels,
        name=str(found.files[0]),
        channel_names=found.channel_names,
    )


def _size(found: Found) -> tuple[int, int]:
    _, height, width, _ = split_axes(found.axes, found.shape, str(found.files[0]))
    return height, width


def _times(size: tuple[int, int]) -> str:
    return f"{size[0]} x {size[1]}"


def natural_key(path: Path) -> list[tuple[int, int, str]]:
    """Return a sorting key that compares digits as numbers.

    Examples
    --------
    >>> names = [Path("f10.tif"), Path("f2.tif")]
    >>> [p.name for p in sorted(names, key=natural_key)]
    ['f2.tif', 'f10.tif']
    """
    parts = re.split(r"(\d+)", path.name.lower())
    return [(0, int(p), p) if p.isdigit() else (1, 0, p) for p in parts]
