"""Classical enlargement and denoising of coarse noisy images."""

from collections.abc import Iterator
from importlib import import_module
from typing import Any

import numpy as np

from zoo.metrics.baselines import bicubic

NON_LOCAL_STRENGTHS = (0.6, 1.0, 1.6)
"""Filter strengths of non-local means, in standard deviations of the noise."""

VARIATION_WEIGHTS = (0.5, 1.0, 2.0)
"""Weights of total variation, in standard deviations of the noise."""


def bilinear(image: np.ndarray, scale: int) -> np.ndarray:
    """Enlarge an image by bilinear interpolation, pixel centres aligned.

    Parameters
    ----------
    image : (y, x)
    scale
        Fine pixels per pixel along an axis.

    Returns
    -------
    enlarged : (scale·y, scale·x) float64

    Examples
    --------
    >>> bilinear(np.array([[0.0, 4.0]]), 2)[0].tolist()
    [0.0, 1.0, 3.0, 4.0]
    """
    matrices: list[np.ndarray] = []
    for side in image.shape:
        fine: np.ndarray = np.arange(scale * side, dtype=np.float64)
        coarse: np.ndarray = np.arange(side, dtype=np.float64)
        place = np.clip((fine + 0.5) / scale - 0.5, 0, side - 1)
        away = np.abs(place[:, None] - coarse)
        matrices.append(np.maximum(1 - away, 0))
    return matrices[0] @ np.asarray(image, float) @ matrices[1].T


def noise_deviation(image: np.ndarray) -> float:
    """Return the standard deviation of the noise of an image (y, x).

    From the median absolute second difference in both directions, which gradients do
    not change; its mask is that of Immerkaer 1996, doi:10.1006/cviu.1996.0060.
    """
    v = np.asarray(image, float)
    rows = v[:-2] - 2 * v[1:-1] + v[2:]
    both = rows[:, :-2] - 2 * rows[:, 1:-1] + rows[:, 2:]
    return float(np.median(np.abs(both)) / 0.6745 / 6)


def denoised(image: np.ndarray) -> Iterator[np.ndarray]:
    """Yield an image denoised in several ways and strengths.

    Non-local means (Buades et al. 2005, doi:10.1137/040616024) and total variation
    (Chambolle 2004, doi:10.1023/B:JMIV.0000011325.36760.1e).

    Parameters
    ----------
    image : (y, x)
    """
    tools: Any = import_module("skimage.restoration")
    values = np.asarray(image, float)
    deviation = max(noise_deviation(values), 1e-6)
    for strength in NON_LOCAL_STRENGTHS:
        yield tools.denoise_nl_means(
            values,
            patch_size=5,
            patch_distance=7,
            h=strength * deviation,
            sigma=deviation,
            fast_mode=True,
        )
    for weight in VARIATION_WEIGHTS:
        yield tools.denoise_tv_chambolle(values, weight=weight * deviation)


def best_denoised(image: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Return the bicubic enlargement of the denoised image nearest to the truth.

    The strongest opponent of its kind: no user knows which one it is.

    Parameters
    ----------
    image : (y, x)
        Coarse noisy image.
    truth : (n·y, n·x)
        What it stands for.
    """
    scale = truth.shape[0] // image.shape[0]
    best, least = np.zeros(truth.shape), np.inf
    for candidate in denoised(image):
        enlarged = bicubic(candidate, scale)
        error = _residual(enlarged, truth)
        if error < least:
            best, least = enlarged, error
    return best


def _residual(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the mean squared error after the best gain and offset."""
    p, g = image - image.mean(), truth - truth.mean()
    power = float((p * p).mean())
    gain = float((p * g).mean()) / power if power else 0.0
    return float(((gain * p - g) ** 2).mean())
