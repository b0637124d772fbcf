"""Protocols under which publications compare images, each with its own normalisation.

The prediction comes first, the reference second.  A number means something only
together with the name of the function that it came from.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from zoo.evaluate.images import nrmse, psnr, ssim

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first."""


def ms_ssim(
    prediction: np.ndarray,
    target: np.ndarray,
    *,
    data_range: float,
    scales: Literal[4, 5] = 5,
) -> float:
    """Return the multi-scale structural similarity of two images, (y, x).

    Contrast and structure are compared at every scale, luminance at the coarsest;
    the images are halved by 2 x 2 averaging in between (Wang et al. 2003,
    doi:10.1109/ACSSC.2003.1292216).  The window is that of
    `zoo.evaluate.images.ssim`.  Negative terms count as zero.

    Parameters
    ----------
    prediction, target
        Images on the same grid, at least 161 px on a side, 81 px for four scales.
    data_range
        L, the span of values that the images can take.
    scales
        Five as published.  Four leaves out the coarsest and scales the other weights
        to a sum of one: another measure, for smaller images, to be named as such.

    Raises
    ------
    ValueError
        If shapes differ, an image is too small, `scales` or `data_range` is wrong.

    Examples
    --------
    >>> image = np.random.default_rng(1).random((161, 170))
    >>> round(ms_ssim(image, image, data_range=1.0), 6)
    1.0
    """
    p, g = _images(prediction, target)
    if scales not in (4, 5):
        raise ValueError(f"scales must be 4 or 5, not {scales}")
    if data_range <= 0:
        raise ValueError(f"data_range must be positive, not {data_range}")
    least = 10 * 2 ** (scales - 1) + 1
    if min(p.shape) < least:
        remedy = "; 81 px are enough with scales=4" if scales == 5 else ""
        raise ValueError(
            f"ms_ssim with {scales} scales needs images of at least {least} px a "
            f"side, not {p.shape[0]} x {p.shape[1]} px{remedy}"
        )
    weights = np.array(WEIGHTS[:scales])
    weights = weights / weights.sum() if scales < len(WEIGHTS) else weights
    value = 1.0
    for number, weight in enumerate(weights):
        luminance, structure = _terms(p, g, data_range)
        last = number == scales - 1
        term = np.mean(luminance * structure) if last else np.mean(structure)
        value *= max(float(term), 0.0) ** weight
        if not last:
            p, g = _halved(p), _halved(g)
    return float(value)


def range_invariant_psnr(prediction: np.ndarray, target: np.ndarray) -> float:
    """Return the PSNR that CARE and Noise2Void report, dB.

    Means are subtracted, the target is divided by its standard deviation, the
    prediction gets the gain that brings it nearest, and the data range is the span of
    the scaled target.  Gain and offset of either image therefore do not matter.

    Raises
    ------
    ValueError
        If shapes differ or `target` is constant.

    Examples
    --------
    >>> g = np.array([[0.0, 1.0], [2.0, 5.0]])
    >>> p = g + np.array([[0.1, -0.1], [0.1, -0.1]])
    >>> a, b = range_invariant_psnr(p, g), range_invariant_psnr(3 * p + 7, g)
    >>> round(a, 3), bool(np.isclose(a, b))
    (35.198, True)
    """
    p, g = _images(prediction, target)
    spread = float(np.std(g))
    if not spread:
        raise ValueError("range-invariant PSNR needs a target that is not constant")
    g = (g - g.mean()) / spread
    p = p - p.mean()
    power = float(np.sum(p * p))
    matched = p * (float(np.sum(p * g)) / power) if power else p
    return psnr(matched, g, data_range=float(np.ptp(g)))


def norm_minmse(
    prediction: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return both images as CARE and PSSR compare them, with a data range of 1.

    The target's percentiles 0.1 and 99.9 become 0 and 1, without clipping; means are
    subtracted; the prediction gets the gain of least squares.

    Returns
    -------
    prediction, target : float64, shape of the images

    Raises
    ------
    ValueError
        If shapes differ or the percentiles of `target` coincide.
    """
    p, g = _images(prediction, target)
    low, high = np.percentile(g, (0.1, 99.9))
    if low == high:
        raise ValueError("norm_minmse needs a target that is not constant")
    scaled = (g - low) / (high - low + 1e-20)
    aim: np.ndarray = scaled - scaled.mean()
    found: np.ndarray = p - p.mean()
    power = float(np.mean(found * found))
    return (found * (float(np.mean(found * aim)) / power) if power else found), aim


def care_scores(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Compare two images, (y, x), after `norm_minmse`.

    Returns
    -------
    scores : dict
        ``psnr_norm_minmse_db`` and ``ssim_norm_minmse``, data range 1, and
        ``psnr_range_invariant_db``.

    Raises
    ------
    ValueError
        If shapes differ, `target` is constant or smaller than 11 x 11 px.
    """
    p, g = norm_minmse(prediction, target)
    return {
        "psnr_norm_minmse_db": psnr(p, g, data_range=1.0),
        "ssim_norm_minmse": ssim(p, g, data_range=1.0),
        "psnr_range_invariant_db": range_invariant_psnr(prediction, target),
    }


def minmax(image: np.ndarray) -> np.ndarray:
    """Return ``(x − min) / (max − min + 1e-7)``, DFCAN's normalisation.

    Examples
    --------
    >>> np.round(minmax(np.array([2.0, 3.0, 4.0])), 3).tolist()
    [0.0, 0.5, 1.0]
    """
    values = np.asarray(image, float)
    return (values - values.min()) / (np.ptp(values) + 1e-7)


def dfcan_scores(
    prediction: np.ndarray, target: np.ndarray, *, ssim_range: float = 1.0
) -> dict[str, float]:
    """Compare two images, (y, x), by the protocol of Qiao et al. 2021.

    Each image is scaled by its own extremes first, so a single hot pixel counts
    (doi:10.1038/s41592-020-01048-5).

    Parameters
    ----------
    prediction, target
        Images on the same grid, at least 7 x 7 px.
    ssim_range
        Data range of the structural similarity.  The published program left it to a
        library that took 2, which gives higher values; state it if it is not 1.

    Returns
    -------
    scores : dict
        ``nrmse_euclidean``, ``psnr_db`` with data range 1, and ``ssim_7x7``.

    Raises
    ------
    ValueError
        If shapes differ, the images are too small, or the target is constant.
    """
    p, g = (minmax(image) for image in _images(prediction, target))
    return {
        "nrmse_euclidean": nrmse(p, g, norm="euclidean"),
        "psnr_db": psnr(p, g, data_range=1.0),
        "ssim_7x7": ssim_uniform(p, g, data_range=ssim_range),
    }


def ssim_uniform(
    prediction: np.ndarray, target: np.ndarray, *, data_range: float
) -> float:
    """Return the structural similarity with scikit-image's default window.

    A uniform window of 7 x 7 px and the sample covariance; the values differ from
    those of the published Gaussian window, `zoo.evaluate.images.ssim`.

    Raises
    ------
    ValueError
        If shapes differ, an image is smaller than 7 x 7 px, or `data_range` is not
        positive.
    """
    p, g = _images(prediction, target)
    if min(p.shape) < 7:
        raise ValueError(f"ssim needs images of at least 7 x 7 px, not {p.shape}")
    if data_range <= 0:
        raise ValueError(f"data_range must be positive, not {data_range}")

    def local(values: np.ndarray) -> np.ndarray:
        return uniform_filter(values, 7)[3:-3, 3:-3]

    luminance, structure = _compared(p, g, local, data_range, unbiased=49 / 48)
    return float(np.mean(luminance * structure))


def _terms(
    p: np.ndarray, g: np.ndarray, data_range: float
) -> tuple[np.ndarray, np.ndarray]:
    def local(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    return _compared(p, g, local, data_range)


def _compared(
    p: np.ndarray,
    g: np.ndarray,
    local: Callable[[np.ndarray], np.ndarray],
    data_range: float,
    *,
    unbiased: float = 1.0,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the luminance term and the contrast-structure term of each pixel."""
    mean_p, mean_g = local(p), local(g)
    variances = local(p * p) - mean_p**2 + local(g * g) - mean_g**2
    covariance = local(p * g) - mean_p * mean_g
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_p * mean_g + c1) / (mean_p**2 + mean_g**2 + c1)
    structure = (2 * unbiased * covariance + c2) / (unbiased * variances + c2)
    return luminance, structure


def _halved(image: np.ndarray) -> np.ndarray:
    """Average 2 x 2 px; an odd side repeats its last line."""
    padded = np.pad(image, [(0, side % 2) for side in image.shape], mode="symmetric")
    height, width = padded.shape
    return padded.reshape(height // 2, 2, width // 2, 2).mean((1, 3))


def _images(
    prediction: np.ndarray, target: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    p, g = np.asarray(prediction, float), np.asarray(target, float)
    if p.shape != g.shape or p.ndim != 2 or not p.size:
        raise ValueError(
            f"images must be two-dimensional and of equal shape, not {p.shape} and "
            f"{g.shape}"
        )
    return p, g
