"""Widths of thin structures, read from intensity profiles across them.

Positions are in pixels, (y, x), with pixel centres at whole numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import map_coordinates
from scipy.optimize import least_squares

FWHM_PER_SIGMA = 2.0 * np.sqrt(2.0 * np.log(2.0))
"""Full width at half maximum of a Gaussian of unit standard deviation."""


@dataclass(frozen=True)
class GaussianFit:
    """A Gaussian on a constant: the profile of a filament.

    Lengths are in the unit of the positions it was fitted to.
    """

    centre: float
    fwhm: float
    amplitude: float
    offset: float
    r_squared: float
    """Part of the variance that the fit explains."""


def sample_line(
    coefficients: np.ndarray,
    origin: np.ndarray,
    along: np.ndarray,
    position: np.ndarray,
    width_px: int,
) -> np.ndarray:
    """Read an image along a line and average over parallel lines a pixel apart.

    Parameters
    ----------
    coefficients : (y, x)
        Coefficients of the image's cubic spline, ``spline_filter(image, 3)``; linear
        interpolation would widen a narrow profile.
    origin : (2,)
        y and x where the position is zero.
    along : (2,)
        Direction of the line, of unit length.
    position : (n,)
        Where to read, px from `origin`.
    width_px
        Number of parallel lines.

    Returns
    -------
    values : (n,) float64
    """
    beside = np.array([-along[1], along[0]])
    offsets = np.arange(width_px) - (width_px - 1) / 2
    points = (
        origin[:, None, None]
        + along[:, None, None] * position[None, None, :]
        + beside[:, None, None] * offsets[None, :, None]
    )
    read = map_coordinates(
        coefficients, points, order=3, prefilter=False, mode="mirror"
    )
    return read.mean(axis=0)


def fit_gaussian(position: np.ndarray, values: np.ndarray) -> GaussianFit:
    """Fit a Gaussian with a constant background to a profile.

    Parameters
    ----------
    position, values : (n,)
        At least 5 samples.

    Raises
    ------
    ValueError
        If there are fewer samples or the profile is constant.

    Examples
    --------
    >>> x = np.arange(21.0)
    >>> found = fit_gaussian(x, 3 + 2 * np.exp(-0.5 * ((x - 9.3) / 2) ** 2))
    >>> round(found.centre, 3), round(found.fwhm, 3)
    (9.3, 4.71)
    """
    x, y = np.asarray(position, float), np.asarray(values, float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < 5 or not np.ptp(y):
        raise ValueError(
            "a fit needs at least 5 positions with one value each that are not all "
            f"equal, not {x.shape} and {y.shape}"
        )
    low, span = y.min(), np.ptp(y)
    step = (x[-1] - x[0]) / (len(x) - 1)
    above = max(np.count_nonzero(y > low + span / 2), 1) * step

    def model(p: np.ndarray) -> np.ndarray:
        return p[2] * np.exp(-0.5 * ((x - p[0]) / p[1]) ** 2) + p[3]

    start = [x[np.argmax(y)], above / FWHM_PER_SIGMA, span, low]
    p, explained = _fit(model, start, y)
    return GaussianFit(
        float(p[0]),
        float(abs(p[1]) * FWHM_PER_SIGMA),
        float(p[2]),
        float(p[3]),
        explained,
    )


def _fit(
    model: Callable[[np.ndarray], np.ndarray], start: list[float], values: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the parameters of least squares and the explained part of the variance."""
    scale = np.maximum(np.abs(start), 1e-6 * np.ptp(values) + 1e-12)
    solution = least_squares(
        lambda p: model(p) - values, start, x_scale=scale, max_nfev=200
    )
    left = float(np.sum(solution.fun**2))
    return solution.x, 1.0 - left / float(np.sum((values - values.mean()) ** 2))
