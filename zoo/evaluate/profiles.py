"""Widths of thin structures, read from intensity profiles across them.

Positions are in pixels, (y, x), with pixel centres at whole numbers.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy.ndimage import map_coordinates, spline_filter
from scipy.optimize import least_squares

Order = Literal[1, 3]
"""Splines between pixels: linear or cubic."""

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


@dataclass(frozen=True)
class TubeFit:
    """Two equally wide Gaussians on a constant: the profile of a hollow tube.

    Lengths are in the unit of the positions it was fitted to.
    """

    centre: float
    separation: float
    """Distance of the two walls."""
    fwhm: float
    """Width of a wall."""
    amplitudes: tuple[float, float]
    offset: float
    r_squared: float
    """Part of the variance that the fit explains."""


def line_profile(
    image: np.ndarray,
    start: tuple[float, float],
    end: tuple[float, float],
    *,
    width_px: int = 3,
    order: Order = 1,
) -> tuple[np.ndarray, np.ndarray]:
    """Read intensities along a line, averaged over parallel lines a pixel apart.

    Parameters
    ----------
    image : (y, x)
        Picture to read.
    start, end
        ``(y, x)`` of the ends, px; samples are at most a pixel apart.
    width_px
        Number of parallel lines.
    order
        Order of the spline between pixels; linear interpolation (1) widens a narrow
        profile, cubic (3) does not.

    Returns
    -------
    position, values : (n,) float64
        Distance from `start`, px, and mean intensity.

    Raises
    ------
    ValueError
        If the line has no length or leaves the image, or `width_px` is below 1.

    Examples
    --------
    >>> ramp = np.tile(np.arange(8.0), (5, 1))
    >>> position, values = line_profile(ramp, (2, 1), (2, 4))
    >>> position.tolist(), values.tolist()
    ([0.0, 1.0, 2.0, 3.0], [1.0, 2.0, 3.0, 4.0])
    """
    values = np.asarray(image, float)
    first, last = np.asarray(start, float), np.asarray(end, float)
    length = float(np.hypot(*(last - first)))
    if values.ndim != 2 or not length or width_px < 1:
        raise ValueError(
            "a profile needs an image (y, x), two different ends and a width of at "
            f"least 1 px, not {values.shape}, {start} to {end} and {width_px}"
        )
    edges = np.array(values.shape) - 1
    if (np.minimum(first, last) < 0).any() or (np.maximum(first, last) > edges).any():
        raise ValueError(
            f"the line from {start} to {end} leaves the image of {values.shape} px"
        )
    samples = int(np.ceil(length)) + 1
    position = np.linspace(0.0, length, samples)
    along = (last - first) / length
    coefficients = spline_filter(values, order) if order > 1 else values
    return position, sample_line(coefficients, first, along, position, width_px, order)


def sample_line(
    coefficients: np.ndarray,
    origin: np.ndarray,
    along: np.ndarray,
    position: np.ndarray,
    width_px: int,
    order: Order,
) -> np.ndarray:
    """Read an image along a line and average over parallel lines a pixel apart.

    Parameters
    ----------
    coefficients : (y, x)
        Spline coefficients of the image, ``spline_filter(image, order)``; for order 1
        the image itself.
    origin : (2,)
        y and x where the position is zero.
    along : (2,)
        Direction of the line, of unit length.
    position : (n,)
        Where to read, px from `origin`.
    width_px
        Number of parallel lines.
    order
        Order of the spline.

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
        coefficients, points, order=order, prefilter=False, mode="mirror"
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
    x, y = _profile(position, values, least=5)
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


def fit_tube(position: np.ndarray, values: np.ndarray) -> TubeFit:
    """Fit two Gaussians of one width, on a constant background, to a profile.

    Parameters
    ----------
    position, values : (n,)
        At least 7 samples.

    Raises
    ------
    ValueError
        If there are fewer samples or the profile is constant.
    """
    x, y = _profile(position, values, least=7)
    low, span = y.min(), np.ptp(y)
    weight = (y - low) / np.sum(y - low)
    centre = float(np.sum(weight * x))
    spread = float(np.sqrt(np.sum(weight * (x - centre) ** 2)))

    def model(p: np.ndarray) -> np.ndarray:
        left, right = (
            np.exp(-0.5 * ((x - p[0] + sign * p[1] / 2) / p[2]) ** 2)
            for sign in (1, -1)
        )
        return p[3] * left + p[4] * right + p[5]

    start = [centre, 1.6 * spread, 0.5 * spread, span, span, low]
    p, explained = _fit(model, start, y)
    heights = (float(p[3]), float(p[4])) if p[1] >= 0 else (float(p[4]), float(p[3]))
    return TubeFit(
        float(p[0]),
        float(abs(p[1])),
        float(abs(p[2]) * FWHM_PER_SIGMA),
        heights,
        float(p[5]),
        explained,
    )


def dip_depth(values: np.ndarray, *, background: float | None = None) -> float:
    """Return how well two lines are separated: the depth of the dip between them.

    Parameters
    ----------
    values : (n,)
        Profile across both lines, free of noise or fitted.
    background
        Intensity beside the lines; by default the profile's minimum.

    Returns
    -------
    depth : float
        ``1 − valley / lower peak`` above the background: 0 where one peak is seen,
        1 where the valley reaches the background.

    Examples
    --------
    >>> dip_depth(np.array([0.0, 4.0, 1.0, 5.0, 0.0]))
    0.75
    >>> dip_depth(np.array([0.0, 1.0, 5.0, 1.0, 0.0]))
    0.0
    """
    y = np.asarray(values, float)
    y = y - (y.min() if background is None else background)
    depth = 0.0
    for valley in range(1, len(y) - 1):
        peak = min(y[:valley].max(), y[valley + 1 :].max())
        if peak > y[valley]:
            depth = max(depth, 1.0 - y[valley] / peak)
    return float(min(depth, 1.0))


def _profile(
    position: np.ndarray, values: np.ndarray, *, least: int
) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(position, float), np.asarray(values, float)
    if x.shape != y.shape or x.ndim != 1 or len(x) < least or not np.ptp(y):
        raise ValueError(
            f"a fit needs at least {least} positions with one value each that are not "
            f"all equal, not {x.shape} and {y.shape}"
        )
    return x, y


def _fit(
    model: Callable[[np.ndarray], np.ndarray], start: list[float], values: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return the parameters of least squares and the explained part of the variance."""
    scale = np.maximum(np.abs(start), 1e-6 * np.ptp(values) + 1e-12)
    found = least_squares(
        lambda p: model(p) - values, start, x_scale=scale, max_nfev=200
    )
    left = float(np.sum(found.fun**2))
    return found.x, 1.0 - left / float(np.sum((values - values.mean()) ** 2))
