"""Frames cut into overlapping parts whose emitters are fitted apart from each other."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from zoo.core.localizations import Localizations
from zoo.physics.fisher import PixelNoise

_SHARED_PX = 0.25  # beyond its core, in which a part may still claim an emitter
_DEPTHS = 4  # times as uncertain as places; apart in depth are two

_Span = tuple[int, int, int, int]
"""What a part sees along an axis, and what it keeps, px."""


@dataclass(frozen=True)
class Cut:
    """How frames are cut."""

    whole_px: int
    """Longest edge of a frame that is fitted at once."""
    core_px: int
    """Edge of the parts of larger frames, about."""
    overlap_px: int
    """How far a part looks beyond."""

    def spans(self, length: int) -> list[_Span]:
        """Cut an axis into parts that overlap.

        Examples
        --------
        >>> Cut(whole_px=50, core_px=40, overlap_px=8).spans(80)
        [(0, 48, 0, 40), (32, 80, 40, 80)]
        """
        if length <= self.whole_px:
            return [(0, length, 0, length)]
        edges = np.linspace(0, length, -(-length // self.core_px) + 1)
        edges = edges.round().astype(int).tolist()
        beyond = self.overlap_px
        return [
            (max(0, low - beyond), min(length, high + beyond), low, high)
            for low, high in itertools.pairwise(edges)
        ]

    def parts(self, shape: tuple[int, int], pixel_nm: float) -> "Iterator[FramePart]":
        """Yield the parts of a frame, row by row."""
        for rows in self.spans(shape[0]):
            for columns in self.spans(shape[1]):
                yield FramePart(rows, columns, shape, pixel_nm)


@dataclass(frozen=True)
class FramePart:
    """A part of a frame."""

    rows: _Span
    columns: _Span
    frame: tuple[int, int]
    """(height, width) of the whole frame, px."""
    pixel_nm: float
    """Edge of a camera pixel."""

    @property
    def region(self) -> tuple[slice, slice]:
        """Return where the part lies in the frame."""
        return slice(*self.rows[:2]), slice(*self.columns[:2])

    @property
    def shape(self) -> tuple[int, int]:
        """Return (height, width), px."""
        return self.rows[1] - self.rows[0], self.columns[1] - self.columns[0]

    def noise(self, noise: PixelNoise) -> PixelNoise:
        """Return the noise of its pixels."""
        variance = np.asarray(noise.read_variance_e2)
        if variance.ndim >= 2:
            variance = variance[(..., *self.region)]
        return PixelNoise(
            noise.quantum_efficiency, noise.spurious_e, noise.excess, variance
        )

    def inside(self, table: Localizations) -> Localizations:
        """Return the emitters in it, counted from its corner."""
        x_nm = table.x_nm - self.columns[0] * self.pixel_nm
        y_nm = table.y_nm - self.rows[0] * self.pixel_nm
        height, width = self.shape
        inside = (x_nm >= 0) & (x_nm < width * self.pixel_nm)
        inside &= (y_nm >= 0) & (y_nm < height * self.pixel_nm)
        return table.with_columns(x_nm=x_nm, y_nm=y_nm).select(inside)

    def claimed(self, table: Localizations) -> Localizations:
        """Return the emitters in its core, counted from the corner of the frame.

        A part also claims what lies inside the frame a little beyond its core.
        """
        table = table.with_columns(
            x_nm=table.x_nm + self.columns[0] * self.pixel_nm,
            y_nm=table.y_nm + self.rows[0] * self.pixel_nm,
        )
        keep = np.ones(len(table), bool)
        for place, (_, _, low, high), length in zip(
            (table.y_nm, table.x_nm), (self.rows, self.columns), self.frame, strict=True
        ):
            first = low - _SHARED_PX if low else 0.0
            last = high + _SHARED_PX if high < length else float(length)
            keep &= (place >= first * self.pixel_nm) & (place < last * self.pixel_nm)
        return table.select(keep)


def overlaps(
    first: np.ndarray, edge: int, shape: tuple[int, int]
) -> Iterator[tuple[tuple[slice, slice], tuple[slice, slice]]]:
    """Yield where windows and a frame overlap, in the frame and in the window.

    Parameters
    ----------
    first
        (n, 2) first column and first row of each window in the frame.
    edge
        Of the windows, px.
    shape
        ``(height, width)`` of the frame, px.

    Examples
    --------
    >>> list(overlaps(np.array([[-2, 3]]), 4, (5, 5)))
    [((slice(3, 5, None), slice(0, 2, None)), (slice(0, 2, None), slice(2, 4, None)))]
    """
    height, width = shape
    for column, line in first.tolist():
        y = slice(max(line, 0), max(min(line + edge, height), 0))
        x = slice(max(column, 0), max(min(column + edge, width), 0))
        yield (
            (y, x),
            (
                slice(y.start - line, y.stop - line),
                slice(x.start - column, x.stop - column),
            ),
        )


def once(parts: list[Localizations], pixel_nm: float) -> Localizations:
    """Join the emitters of the parts; what two of them claim counts once."""
    joined = Localizations.concatenate(parts)
    if len(parts) == 1 or len(joined) < 2:
        return joined
    part = np.repeat(np.arange(len(parts)), [len(table) for table in parts])
    places = np.stack([joined.x_nm, joined.y_nm], axis=1)
    if joined.z_nm is not None:
        places = np.column_stack([places, joined.z_nm / _DEPTHS])
    pairs = KDTree(places).query_pairs(2 * _SHARED_PX * pixel_nm, output_type="ndarray")
    pairs = pairs[part[pairs[:, 0]] != part[pairs[:, 1]]]
    return joined.select(~np.isin(np.arange(len(joined)), pairs.max(axis=1)))
