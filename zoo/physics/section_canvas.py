"""What sections are drawn on: images of stain, and the raster of profiles."""

from typing import NamedTuple, Self

import numpy as np
from scipy import ndimage


class Canvas:
    """The images that a section is drawn into.

    Parameters
    ----------
    shape
        ``(height, width)``, px.
    pixel_nm
        Edge of a pixel.
    """

    def __init__(self, shape: tuple[int, int], pixel_nm: float) -> None:
        self.shape = shape
        self.pixel_nm = pixel_nm
        self.membrane = np.zeros(shape, np.float32)
        self.dense = np.zeros(shape, np.float32)

    def window(
        self, y_nm: float, x_nm: float, reach_nm: float
    ) -> tuple[tuple[slice, slice], np.ndarray, np.ndarray] | None:
        """Return the pixels around a point, and y and x of each from there, nm.

        None where the window lies outside.
        """
        spans: list[slice] = []
        for middle, side in zip((y_nm, x_nm), self.shape, strict=True):
            first = max(int((middle - reach_nm) / self.pixel_nm), 0)
            stop = min(int((middle + reach_nm) / self.pixel_nm) + 2, side)
            if stop <= first:
                return None
            spans.append(slice(first, stop))
        rows = np.arange(spans[0].start, spans[0].stop, dtype=np.float32)
        columns = np.arange(spans[1].start, spans[1].stop, dtype=np.float32)
        pixel = np.float32(self.pixel_nm)
        return (
            (spans[0], spans[1]),
            rows[:, None] * pixel - np.float32(y_nm),
            columns[None] * pixel - np.float32(x_nm),
        )


class Profiles(NamedTuple):
    """The profiles of a section on the coarse raster they were laid out on."""

    labels: np.ndarray
    """(y, x) number of the profile."""
    kinds: np.ndarray
    """(n,) 0 for a small profile, 1 for a large one or one cut along, 2 for glia."""
    step_nm: float
    """Edge of a pixel of the raster."""
    clearance_nm: np.ndarray
    """(y, x) distance from the border of the profile, or from what lies in it."""
    area_um2: np.ndarray
    """(n,) area of each."""
    widest_nm: np.ndarray
    """(n,) radius of the largest disc that fits into each."""

    @classmethod
    def measured(cls, labels: np.ndarray, kinds: np.ndarray, step_nm: float) -> Self:
        """Return profiles with their sizes."""
        border = np.zeros(labels.shape, bool)
        for axis in (0, 1):
            step = np.diff(labels, axis=axis) != 0
            low = [slice(None)] * 2
            low[axis] = slice(None, -1)
            border[tuple(low)] |= step
        clearance = step_nm * np.asarray(ndimage.distance_transform_edt(~border))
        count = len(kinds)
        area = np.bincount(labels.ravel(), minlength=count) * step_nm**2 / 1e6
        widest = ndimage.maximum(clearance, labels, np.arange(count))
        return cls(labels, kinds, step_nm, clearance, area, np.asarray(widest))

    def room(
        self, rng: np.random.Generator, profile: int, radius_nm: float
    ) -> tuple[float, float] | None:
        """Return a place (y, x), nm, with room around it; None where there is none."""
        free = np.flatnonzero(
            (self.labels.ravel() == profile) & (self.clearance_nm.ravel() > radius_nm)
        )
        return self.pick(rng, free)

    def pick(
        self, rng: np.random.Generator, free: np.ndarray
    ) -> tuple[float, float] | None:
        """Return one of some places of the raster, shaken within its pixel."""
        if not len(free):
            return None
        row, column = divmod(int(free[rng.integers(len(free))]), self.labels.shape[1])
        dy, dx = rng.uniform(-0.5, 0.5, 2)
        return (row + dy) * self.step_nm, (column + dx) * self.step_nm

    def take(self, y_nm: float, x_nm: float, radius_nm: float) -> None:
        """Let nothing else be placed within a radius."""
        reach = radius_nm + 400.0
        rows, columns = (
            slice(
                max(int((middle - reach) / self.step_nm), 0),
                max(int((middle + reach) / self.step_nm) + 1, 0),
            )
            for middle in (y_nm, x_nm)
        )
        part = self.clearance_nm[rows, columns]
        if not part.size:
            return
        down: np.ndarray = np.arange(part.shape[0], dtype=np.float64)
        along: np.ndarray = np.arange(part.shape[1], dtype=np.float64)
        y = down[:, None] + rows.start - y_nm / self.step_nm
        x = along[None] + columns.start - x_nm / self.step_nm
        np.minimum(part, self.step_nm * np.hypot(y, x) - radius_nm, out=part)
