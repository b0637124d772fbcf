"""Counts per photoelectron of a recording, from the noise in its own frames.

Photon transfer (Janesick 2007, doi:10.1117/3.725073): the variance of the noise grows
with the light, and the slope is the gain.  Noise and structure are told apart by
frequency: a microscope passes nothing at the diagonal end of the spectrum if its pixels
are small enough, so what is left of an image behind a steep high-pass filter is noise.
"""

from collections.abc import Iterable
from math import comb
from typing import NamedTuple

import numpy as np
from scipy.ndimage import convolve1d

ORDER = 6
"""Order of the difference along either axis."""
BINS = 24
"""Intensities that are told apart."""
FEWEST = 60
"""Pixels that a bin needs."""
_MEDIAN_OF_CHI_SQUARED = 0.4549  # with one degree of freedom
_LEAST_RANGE = 4.0  # of the intensities, times the noise of their lowest end
_ROUNDS = 8


class Gain(NamedTuple):
    """How noise grows with light."""

    slope: float
    """Counts per photoelectron; twice that for a camera that multiplies electrons."""
    dark: float
    """Counts at which the noise would vanish: the offset, lowered a little by the
    read noise."""
    noise: float
    """Standard deviation of the noise in the darkest tenth of the pixels, counts."""


def photon_transfer(frames: Iterable[np.ndarray]) -> Gain | None:
    """Read the gain of a camera off the noise of images.

    For every pixel the square of the high-pass filtered image estimates the variance
    of the noise, weighted over a few neighbours; the image, weighted alike, is the
    light to which it belongs, so that both stand in a linear relation whatever the
    structure.  Pixels are binned by light; in a bin the median stands for the mean,
    which hot pixels and what little structure passes would spoil.

    Parameters
    ----------
    frames
        Images (y, x), counts, of one camera under one setting.

    Returns
    -------
    gain
        None if the light hardly varies, or noise does not grow with it: then a gain
        cannot be read.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> light = np.tile(np.linspace(5, 200, 128), (128, 1))
    >>> gain = photon_transfer([100 + 2.0 * rng.poisson(light)])
    >>> round(gain.slope), round(gain.dark / 10)
    (2, 11)
    """
    light, variance = _pairs(frames)
    if len(light) < 4 * FEWEST:
        return None
    bins = min(BINS, len(light) // FEWEST)
    # most pixels are dark: half of the bins by rank, half by light
    ranks = np.quantile(light, np.linspace(0, 1, bins + 1))
    top = float(np.quantile(light, 1 - FEWEST / len(light)))
    steps = np.linspace(float(light.min()), top, bins + 1)
    edges = np.unique(np.concatenate([ranks, steps]))
    if len(edges) < 3:
        return None
    number = np.clip(np.searchsorted(edges, light, "right") - 1, 0, len(edges) - 2)
    order = np.argsort(number, kind="stable")
    parts = np.split(order, np.cumsum(np.bincount(number, minlength=len(edges) - 1)))
    rows = [
        (
            float(light[part].mean()),
            float(np.median(variance[part])) / _MEDIAN_OF_CHI_SQUARED,
            len(part),
        )
        for part in parts
        if len(part) >= FEWEST
    ]
    if len(rows) < 3:
        return None
    x, y, count = np.array(rows).T
    noise = float(np.sqrt(max(y[0], 0.0)))
    if np.ptp(x) < _LEAST_RANGE * noise * 0.25 or noise == 0:
        return None
    slope, start = _line(x, y, count)
    if slope <= 0:
        return None
    return Gain(slope, -start / slope, noise)


def _pairs(frames: Iterable[np.ndarray]) -> tuple[np.ndarray, np.ndarray]:
    """Return light and squared noise of the pixels of all frames."""
    kernel = np.array([comb(ORDER, k) * (-1.0) ** k for k in range(ORDER + 1)])
    power = float((kernel**2).sum())
    lights, variances = [np.empty(0)], [np.empty(0)]
    edge = ORDER // 2
    for frame in frames:
        image = np.asarray(frame, float)
        if min(image.shape) <= 4 * ORDER:
            continue
        high, low = image, image
        for axis in (0, 1):
            high = np.asarray(convolve1d(high, kernel, axis=axis, mode="nearest"))
            low = np.asarray(
                convolve1d(low, kernel**2 / power, axis=axis, mode="nearest")
            )
        inner = (slice(edge, -edge),) * 2
        lights.append(low[inner].ravel())
        variances.append((high[inner] ** 2).ravel() / power**2)
    return np.concatenate(lights), np.concatenate(variances)


def _line(x: np.ndarray, y: np.ndarray, count: np.ndarray) -> tuple[float, float]:
    """Return slope and start of a line; errors are relative, as those of variances."""
    model = y
    slope = start = 0.0
    for _ in range(_ROUNDS):
        weight = np.sqrt(count) / np.maximum(model, 1e-3 * float(y.max()))
        design = np.stack([x, np.ones_like(x)], axis=1) * weight[:, None]
        slope, start = map(float, np.linalg.lstsq(design, y * weight)[0])
        model = slope * x + start
    return slope, start
