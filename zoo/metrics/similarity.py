"""Multi-scale structural similarity of two images.

The prediction comes first, the reference second.
"""

import numpy as np
from scipy.ndimage import gaussian_filter

WEIGHTS = (0.0448, 0.2856, 0.3001, 0.2363, 0.1333)
"""Exponents of the five scales, finest first."""

SMALLEST_PX = 10 * 2 ** (len(WEIGHTS) - 1) + 1
"""Shorter side from which every scale holds a window."""


def ms_ssim(prediction: np.ndarray, target: np.ndarray, *, data_range: float) -> float:
    """Return the multi-scale structural similarity of two images, (y, x).

    Contrast and structure are compared at every scale, luminance at the coarsest;
    the images are halved by 2 x 2 averaging in between (Wang et al. 2003,
    doi:10.1109/ACSSC.2003.1292216).  The window is that of
    `zoo.metrics.images.ssim`.  Negative terms count as zero.

    Parameters
    ----------
    prediction, target
        Images on the same grid, at least `SMALLEST_PX` on a side.
    data_range
        L, the span of values that the images can take.

    Raises
    ------
    ValueError
        If shapes differ, an image is too small or `data_range` is not positive.

    Examples
    --------
    >>> image = np.random.default_rng(1).random((161, 170))
    >>> round(ms_ssim(image, image, data_range=1.0), 6)
    1.0
    """
    p, g = np.asarray(prediction, float), np.asarray(target, float)
    if p.shape != g.shape or p.ndim != 2 or not p.size:
        raise ValueError(
            f"images must be two-dimensional and of equal shape, not {p.shape} and "
            f"{g.shape}"
        )
    if data_range <= 0:
        raise ValueError(f"data_range must be positive, not {data_range}")
    if min(p.shape) < SMALLEST_PX:
        raise ValueError(
            f"ms_ssim needs images of at least {SMALLEST_PX} px a side, not "
            f"{p.shape[0]} x {p.shape[1]} px"
        )
    value = 1.0
    for number, weight in enumerate(WEIGHTS, start=1):
        luminance, structure = _terms(p, g, data_range)
        last = number == len(WEIGHTS)
        term = np.mean(luminance * structure) if last else np.mean(structure)
        value *= max(float(term), 0.0) ** weight
        if not last:
            p, g = _halved(p), _halved(g)
    return float(value)


def _terms(
    p: np.ndarray, g: np.ndarray, data_range: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the luminance term and the contrast-structure term of each pixel."""

    def local(values: np.ndarray) -> np.ndarray:
        return gaussian_filter(values, 1.5, radius=5)[5:-5, 5:-5]

    mean_p, mean_g = local(p), local(g)
    variances = local(p * p) - mean_p**2 + local(g * g) - mean_g**2
    covariance = local(p * g) - mean_p * mean_g
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    luminance = (2 * mean_p * mean_g + c1) / (mean_p**2 + mean_g**2 + c1)
    structure = (2 * covariance + c2) / (variances + c2)
    return luminance, structure


def _halved(image: np.ndarray) -> np.ndarray:
    """Average 2 x 2 px; an odd side repeats its last line."""
    padded = np.pad(image, [(0, side % 2) for side in image.shape], mode="symmetric")
    height, width = padded.shape
    return padded.reshape(height // 2, 2, width // 2, 2).mean((1, 3))
