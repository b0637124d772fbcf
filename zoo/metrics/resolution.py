"""Fourier ring correlation: up to which detail two independent images agree.

Nieuwenhuizen et al. 2013, doi:10.1038/nmeth.2448.  The two images must come from
separate data; computed on the outputs of a network it also rewards inventions that
both outputs share.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import next_fast_len
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import tukey

from zoo.core.localizations import Localizations

THRESHOLD = 1 / 7
"""Correlation that the resolution is read at; 1/2 against a noise-free reference."""
TAPER = 0.25
"""Part of each side that is faded out."""
SMALLEST_PX = 8
"""Shortest side of an image that is correlated, px."""
PIXEL_NM = 5.0
"""Pixel in which localizations are drawn, nm: a quarter of the best resolution."""
BLOCK_FRAMES = 50
"""Frames per block; an emitter stays on for less."""
LARGEST_PX = 2048
"""Longest side of the image of a field that is drawn as a whole, px."""
TILE_PX = 1024
"""Longest side of the tiles of a larger field, about, px."""
MOST_TILES = 16
"""Tiles that are drawn of a larger field."""


@dataclass(frozen=True, eq=False)
class FourierRings:
    """Correlation of two images, ring by ring of spatial frequency.

    Parameters
    ----------
    frequency_per_px
        (n,) mean radius of each ring, cycles per pixel, from the first ring to
        the Nyquist frequency.
    correlation
        (n,) between −1 and 1.
    """

    frequency_per_px: np.ndarray
    correlation: np.ndarray

    def cutoff_per_px(self, *, threshold: float = THRESHOLD, smooth: int = 5) -> float:
        """Return the frequency at which the correlation first falls to `threshold`.

        Parameters
        ----------
        threshold
            Correlation of the crossing.
        smooth
            Number of neighbouring rings averaged beforehand.

        Returns
        -------
        frequency : float
            Cycles per pixel, interpolated between rings; NaN where the curve never
            falls that far (finer than the pixels show) or starts below.
        """
        curve = uniform_filter1d(self.correlation, smooth, mode="nearest")
        below = np.flatnonzero(curve <= threshold)
        if not len(below) or below[0] == 0:
            return float("nan")
        high, low = below[0] - 1, below[0]
        part = (curve[high] - threshold) / (curve[high] - curve[low])
        q = self.frequency_per_px
        return float(q[high] + part * (q[low] - q[high]))


def frc(first: np.ndarray, second: np.ndarray) -> FourierRings:
    """Correlate two images ring by ring in Fourier space.

    Rings are ``1/N`` cycles per pixel wide, N being the shorter side.  A Tukey window
    fades out `TAPER` of each side.

    Parameters
    ----------
    first, second
        Two images of the same scene, (y, x), on the same grid; the pixel should be a
        quarter of the expected resolution or less.

    Raises
    ------
    ValueError
        If shapes differ, the images are smaller than 8 px or constant.

    Examples
    --------
    >>> image = np.random.default_rng(1).normal(size=(32, 32))
    >>> bool(np.allclose(frc(image, image).correlation, 1))
    True
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or a.ndim != 2 or min(a.shape) < SMALLEST_PX:
        raise ValueError(
            "frc needs two images of equal shape and at least 8 x 8 px, "
            f"not {a.shape} and {b.shape}"
        )
    if not np.ptp(a) or not np.ptp(b):
        raise ValueError("frc needs images that are not constant")
    rings = _Rings(a.shape[0], a.shape[1])
    rings.add(a, b)
    return rings.correlation()


def frc_localizations_nm(
    table: Localizations, *, field_nm: tuple[float, float]
) -> float:
    """Return the resolution of a localization table, nm, by Fourier ring correlation.

    The table is split into alternating blocks of `BLOCK_FRAMES` frames, each half is
    drawn as a histogram with pixels of `PIXEL_NM`, and the two are correlated.
    Blocks, because an emitter that is seen in consecutive frames and falls into both
    halves would make them agree better than the structure does.

    Memory does not grow with the field: one that is longer than `LARGEST_PX` along a
    side is cut into tiles, and rings are summed over those `MOST_TILES` that hold most
    localizations.

    Parameters
    ----------
    table
        Localizations; rows outside the field are left out.
    field_nm
        ``(height, width)`` of the field.

    Returns
    -------
    resolution : float
        nm; NaN where the field is smaller than 8 px, a half is empty or the
        correlation has no crossing, see :meth:`FourierRings.cutoff_per_px`.

    Raises
    ------
    ValueError
        If a side of the field is not positive.
    """
    if min(field_nm) <= 0:
        raise ValueError(f"field_nm must be positive, not {field_nm}")
    sides = [int(np.ceil(side / PIXEL_NM)) for side in field_nm]
    height, width = sides if max(sides) <= LARGEST_PX else map(_tile_length, sides)
    if min(height, width) < SMALLEST_PX:
        return float("nan")
    row = np.floor(table.y_nm / PIXEL_NM).astype(int)
    column = np.floor(table.x_nm / PIXEL_NM).astype(int)
    within = (row >= 0) & (row < sides[0]) & (column >= 0) & (column < sides[1])
    row, column, frame = row[within], column[within], table.frame[within]
    second = ((frame - 1) // BLOCK_FRAMES) % 2 == 1
    tile = row // height * -(-sides[1] // width) + column // width
    place = row % height * width + column % width

    def drawn(rows: np.ndarray) -> np.ndarray:
        counts = np.bincount(place[rows], minlength=height * width)
        return counts.reshape(height, width).astype(float)

    rings, found = _Rings(height, width), False
    numbers, counts = np.unique(tile, return_counts=True)
    for number in numbers[np.argsort(-counts, kind="stable")][:MOST_TILES]:
        here = tile == number
        halves = drawn(here & ~second), drawn(here & second)
        if all(np.ptp(half) for half in halves):
            rings.add(*halves)
            found = True
    return PIXEL_NM / rings.correlation().cutoff_per_px() if found else float("nan")


def _tile_length(side: int) -> int:
    """Return the length of equal parts of a side that are transformed quickly, px."""
    return int(next_fast_len(-(-side // -(-side // TILE_PX)), real=False))


class _Rings:
    """Sums over rings of spatial frequency of the spectra of pairs of images."""

    def __init__(self, height: int, width: int) -> None:
        self.window = np.outer(tukey(height, TAPER), tukey(width, TAPER))
        y, x = np.meshgrid(np.fft.fftfreq(height), np.fft.fftfreq(width), indexing="ij")
        radius = np.hypot(y, x).ravel()
        self.shorter = min(height, width)
        self.ring = np.rint(radius * self.shorter).astype(int)
        self.frequency = self._sums(radius) / self._sums(np.ones(radius.shape))
        self.cross, self.first, self.second = np.zeros((3, len(self.frequency)))

    def _sums(self, values: np.ndarray) -> np.ndarray:
        sums = np.bincount(self.ring, weights=values.ravel())
        return sums[1 : self.shorter // 2 + 1]

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Take in a pair of images."""
        a, b = (np.fft.fft2((m - m.mean()) * self.window) for m in (first, second))
        self.cross += self._sums((a * b.conj()).real)
        self.first += self._sums(np.abs(a) ** 2)
        self.second += self._sums(np.abs(b) ** 2)

    def correlation(self) -> FourierRings:
        power = self.first * self.second
        return FourierRings(
            frequency_per_px=self.frequency,
            correlation=self.cross
            / np.sqrt(power, where=power > 0, out=np.ones_like(power)),
        )
