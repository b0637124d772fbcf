"""Folders of TIFF files as one recording."""

import math
import re
from dataclasses import replace
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
    layouts
        Where the frames of each lie.
    """

    def __init__(self, files: tuple[Path, ...], layouts: list[Layout]) -> None:
        self._files = files
        self._layouts = layouts
        self._starts = np.concatenate([[0], np.cumsum([own.frames for own in layouts])])
        self._open: tuple[int, Found] | None = None

    def read(self, numbers: NDArray[np.intp]) -> Array:
        """Return the frames of these numbers, (n, y, x, c)."""
        which = np.searchsorted(self._starts, numbers, side="right") - 1
        blocks: list[Array] = []
        owners: list[int] = which.tolist()
        for index in dict.fromkeys(owners):
            if self._open is None or self._open[0] != index:
                self.close()
                self._open = (index, open_tiff(self._files[index]))
            inside = numbers[which == index] - self._starts[index]
            # frames of one file are consecutive, as the reader asks for stretches
            first, last = int(inside[0]), int(inside[-1]) + 1
            found, layout = self._open[1], self._layouts[index]
            blocks.append(read_frames(found, layout, first, last))
        return np.concatenate(blocks)

    def close(self) -> None:
        """Close the open file."""
        if self._open is not None:
            self._open[1].planes.close()
            self._open = None


def open_folder(
    folder: Path,
    *,
    channels: int | None,
    depth: bool = False,
    group: str | None = None,
) -> Found:
    """Describe a folder of TIFF files, in natural order (``2`` before ``10``).

    Each file is a frame or a stack; all have the same height and width.  A folder that
    holds one recording spread over several OME-TIFF files is read as that recording.
    Where several channels are wanted, they are looked for in each file; if the first
    one holds too few images for that, all files are one row of single images.  Where
    all files are equally deep, the depth stays an axis of its own.

    Parameters
    ----------
    folder
        The folder.
    channels, depth, group
        As for `zoo.io.layout.plan`.

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
    inner = channels
    if channels is not None and channels > 1 and not _holds(first, channels):
        inner = 1
    volumes = depth and math.prod(first.shape[: first.axes.index("Y")]) > 1
    layouts: list[Layout] = []
    said: list[str] = []
    size = _size(first)
    for file in files:
        found = first if file == files[0] else open_tiff(file)
        if _size(found) != size:
            raise BadInput(
                f"{file} is {_times(_size(found))} pixels, {files[0].name} is "
                f"{_times(size)}; all files of a folder must have one size"
            )
        if found.dtype.kind != first.dtype.kind:
            raise BadInput(
                f"{file} has pixels of type {found.dtype.name}, {files[0].name} "
                f"{first.dtype.name}; all files of a folder must have one type"
            )
        own = plan(
            found.axes,
            found.shape,
            channels=inner,
            name=str(file),
            depth=volumes,
            group=group,
            channel_names=found.channel_names,
        )
        layouts.append(own)
        if own.channels != layouts[0].channels:
            raise BadInput(
                f"{file} has {own.channels} channels, {files[0].name} "
                f"{layouts[0].channels}; all files of a folder must have as many"
            )
        said += found.notes
        found.planes.close()
    notes = [*dict.fromkeys(said), *layouts[0].notes]
    deep = {own.depth or dict(own.outer).get("z", 1) for own in layouts}
    if volumes and len(deep) > 1:
        raise BadInput(
            f"the files of {folder} are {', '.join(map(str, sorted(deep)))} planes "
            "deep; all volumes of a folder must have one size"
        )
    # planes are numbered one by one here: as frames, those of one time in a row
    layouts = [_flat(own) for own in layouts]
    count, planes = sum(own.frames for own in layouts), min(deep)
    deep_axes = len(deep) == 1 and planes > 1
    return Found(
        FolderPlanes(tuple(files), layouts),
        "TZYXC" if deep_axes else "TYXC",
        (
            *((count // planes, planes) if deep_axes else (count,)),
            *size,
            layouts[0].channels,
        ),
        first.dtype,
        pixel_size_nm=first.pixel_size_nm,
        pixel_size_source=first.pixel_size_source,
        z_step_nm=first.z_step_nm,
        notes=notes,
        channel_names=first.channel_names,
        files=tuple(files),
    )


def _flat(layout: Layout) -> Layout:
    """Return a layout whose frames are the planes of volumes, one after the other."""
    if layout.depth is None:
        return layout
    return replace(
        layout,
        frame_sizes=(*layout.frame_sizes, layout.depth),
        frame_strides=(*layout.frame_strides, layout.depth_stride),
        depth=None,
    )


def _holds(found: Found, channels: int) -> bool:
    """Say whether a stack of one channel has enough images for a frame of several."""
    _, height, width, samples = split_axes(found.axes, found.shape, "")
    lengths = dict(zip(found.axes, found.shape, strict=True))
    images = math.prod(found.shape) // (height * width)
    return samples * lengths.get("C", 1) > 1 or images >= channels


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
