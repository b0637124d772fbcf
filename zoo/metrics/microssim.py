"""MicroSSIM: structural similarity of microscopy images whose scale is not known.

Backgrounds are taken off, and one factor for all images of a data set brings the
predictions to the scale of their targets (Ashesh et al. 2024,
doi:10.48550/arXiv.2408.08747).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter
from scipy.optimize import minimize_scalar

BACKGROUND_PERCENTILE = 3.0
"""What is taken off an image as its background."""

WIDEST = 30.0
"""Largest factor, and inverse of the smallest, that is looked at."""


class Moments(NamedTuple):
    """Local moments of a pair of images, the target's largest value being one."""

    mean_p: np.ndarray
    """Means of the prediction, every few pixels."""
    mean_g: np.ndarray
    """Means of the target."""
    variance_p: np.ndarray
    """Variances of the prediction."""
    variance_g: np.ndarray
    """Variances of the target."""
    covariance: np.ndarray
    """Covariances."""


def moments(prediction: np.ndarray, target: np.ndarray, *, every: int = 2) -> Moments:
    """Return what the similarity of two images (y, x) is computed from.

    Parameters
    ----------
    prediction, target
        Images on the same grid; the window is that of `zoo.metrics.images.ssim`.
    every
        Distance of the windows, px.

    Raises
    ------
    ValueError
        If shapes differ or images are smaller than a window.
    """
    p, g = np.asarray(prediction, float), np.asarray(target, float)
    if p.shape != g.shape or p.ndim != 2 or min(p.shape) < 11:
        raise ValueError(
            f"images must be two-dimensional, of equal shape and at least 11 px a "
            f"side, not {p.shape} and {g.shape}"
        )
    p, g = (image - np.percentile(image, BACKGROUND_PERCENTILE) for image in (p, g))
    # any scale of the prediction will do; one near the target's makes the search easy
    p = p / max(float(np.abs(p).max()), 1e-12)
    g = g / max(float(g.max()), 1e-12)

    def local(values: np.ndarray) -> np.ndarray:
        smooth = gaussian_filter(values, 1.5, radius=5)
        return smooth[5:-5:every, 5:-5:every].astype(np.float32)

    mean_p, mean_g = local(p), local(g)
    return Moments(
        mean_p,
        mean_g,
        local(p * p) - mean_p**2,
        local(g * g) - mean_g**2,
        local(p * g) - mean_p * mean_g,
    )


def micro_ssim(pairs: Sequence[Moments]) -> list[float]:
    """Return the similarity of every pair of a data set under their common scale.

    Parameters
    ----------
    pairs
        Moments of all pairs; predictions are brought to the targets by the factor that
        makes the mean similarity largest.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((40, 40)) ** 4
    >>> [round(value, 3) for value in micro_ssim([moments(0.2 * image + 3, image)])]
    [1.0]
    """
    if not pairs:
        return []

    def loss(exponent: float) -> float:
        scale = float(np.exp(exponent))
        return -float(np.mean([_similarity(pair, scale) for pair in pairs]))

    reach = float(np.log(WIDEST))
    grid = np.linspace(-reach, reach, 15)
    best = float(grid[int(np.argmin([loss(float(e)) for e in grid]))])
    step = float(grid[1] - grid[0])
    found = minimize_scalar(loss, bounds=(best - step, best + step), method="bounded")  # pyright: ignore[reportUnknownVariableType] SciPy has no types
    scale = float(np.exp(float(found.x)))
    return [_similarity(pair, scale) for pair in pairs]


def _similarity(pair: Moments, scale: float) -> float:
    c1, c2 = 0.01**2, 0.03**2
    mean_p, cross = scale * pair.mean_p, scale * pair.covariance
    luminance = (2 * mean_p * pair.mean_g + c1) / (mean_p**2 + pair.mean_g**2 + c1)
    contrast = (2 * cross + c2) / (scale**2 * pair.variance_p + pair.variance_g + c2)
    return float(np.mean(luminance * contrast))
