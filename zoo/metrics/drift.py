"""Drift of a table of localizations, measured and not corrected."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from zoo.core.localizations import Localizations

FEWEST = 1500
"""Localizations of either half from which drift can be measured."""

BIN_NM = 20.0
"""Pixel of the renderings that are compared."""

REACH_NM = 500.0
"""Largest drift that is looked for."""

CLEAR = 5.0
"""Height of the peak of the correlation over its surroundings, standard deviations."""


class Drift(NamedTuple):
    """Shift between the first and the last third of a recording."""

    x_nm: float
    """Along columns."""
    y_nm: float
    """Along rows."""

    @property
    def length_nm(self) -> float:
        """Distance."""
        return float(np.hypot(self.x_nm, self.y_nm))


def measured_drift(table: Localizations) -> Drift | None:
    """Return how far structures move from the first to the last third of the frames.

    Both are drawn and correlated (Wang et al. 2014, doi:10.1364/OE.22.015982, between
    two parts only); None if they hold too little, or have no clear common structure.

    Parameters
    ----------
    table
        Localizations with frames.
    """
    frames = table.frame
    if len(frames) < 3 * FEWEST or frames.min() == frames.max():
        return None
    low, high = np.quantile(frames, (1 / 3, 2 / 3))
    early, late = table.select(frames <= low), table.select(frames > high)
    if min(len(early), len(late)) < FEWEST:
        return None
    first, second = (_drawn(part, table) for part in (early, late))
    peak = correlation_peak(first, second, reach_px=int(REACH_NM / BIN_NM))
    if peak is None:
        return None
    return Drift(peak[1] * BIN_NM, peak[0] * BIN_NM)


def correlation_peak(
    first: np.ndarray, second: np.ndarray, *, reach_px: int, clear: float = CLEAR
) -> tuple[float, float] | None:
    """Return the shift of the second image against the first, y and x, px.

    The centroid around the peak of their correlation; None if no peak stands clear.

    Parameters
    ----------
    first, second
        (y, x) images of one shape.
    reach_px
        Largest shift that is looked for.
    clear
        Least height of the peak, standard deviations of what surrounds it.
    """
    shape = [2 * n for n in first.shape]
    spectra = [np.fft.rfft2(image - image.mean(), shape) for image in (first, second)]
    correlation = np.fft.irfft2(np.conj(spectra[0]) * spectra[1], shape)
    correlation = np.fft.fftshift(correlation)
    middle = [n // 2 for n in shape]
    reach = [min(reach_px, n - 3) for n in first.shape]
    near = correlation[
        middle[0] - reach[0] : middle[0] + reach[0] + 1,
        middle[1] - reach[1] : middle[1] + reach[1] + 1,
    ]
    level, spread = float(np.median(near)), float(near.std())
    row, column = np.unravel_index(int(np.argmax(near)), near.shape)
    if not spread or near[row, column] < level + clear * _calm(near):
        return None
    top = near[max(row - 2, 0) : row + 3, max(column - 2, 0) : column + 3]
    weights = np.clip(top - 0.5 * (float(top.max()) + level), 0, None)
    rows, columns = np.mgrid[: top.shape[0], : top.shape[1]]
    total = max(float(weights.sum()), 1e-12)
    y = float((weights * rows).sum()) / total + max(row - 2, 0) - reach[0]
    x = float((weights * columns).sum()) / total + max(column - 2, 0) - reach[1]
    return y, x


def _calm(near: np.ndarray) -> float:
    """Return the standard deviation of most of the values, the peak left out."""
    middle = np.median(near)
    return float(1.48 * np.median(np.abs(near - middle)))


def _drawn(part: Localizations, whole: Localizations) -> np.ndarray:
    """Return a rendering, at most 512 px wide around the middle of the table."""
    image_range: list[np.ndarray] = []
    for values in (whole.y_nm, whole.x_nm):
        middle = float(np.median(values))
        half = min(256 * BIN_NM, float(np.abs(values - middle).max()) + BIN_NM)
        count = max(2 * int(half / BIN_NM), 16)
        image_range.append(middle + (np.arange(count + 1) - count / 2) * BIN_NM)
    counts = np.histogram2d(part.y_nm, part.x_nm, image_range)[0]
    # clusters of one dye must not decide
    return gaussian_filter(np.sqrt(counts), 1.0)
