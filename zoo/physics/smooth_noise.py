"""Smooth random fields: textures, warps and uneven light."""

import numpy as np
from scipy import ndimage


def smooth_noise(
    rng: np.random.Generator, shape: tuple[int, ...], sigma_px: float
) -> np.ndarray:
    """Draw Gaussian noise of zero mean and unit deviation, blurred by a Gaussian.

    Where the blur is wide the field is drawn on a coarser grid and interpolated.

    Parameters
    ----------
    rng
        Source of the noise.
    shape
        ``(height, width)``, px.
    sigma_px
        Standard deviation of the blur; the field correlates over some twice that.

    Returns
    -------
    field : (y, x) float32

    Examples
    --------
    >>> field = smooth_noise(np.random.default_rng(0), (64, 64), 3.0)
    >>> round(abs(float(field.mean())), 4), round(float(field.std()), 4)
    (0.0, 1.0)
    """
    factor = max(int(sigma_px / 2), 1)
    coarse = tuple(side // factor + 3 for side in shape)
    field = rng.standard_normal(coarse, np.float32)
    if sigma_px > 0.3:
        field = ndimage.gaussian_filter(field, sigma_px / factor, mode="wrap")
    if factor > 1:
        for axis, side in enumerate(shape):
            place = np.arange(side) / factor
            before = place.astype(int)
            share = (place - before).astype(np.float32)
            share = share.reshape([-1 if a == axis else 1 for a in range(2)])
            low = np.take(field, before, axis)
            field = low + share * (np.take(field, before + 1, axis) - low)
    field = field[tuple(slice(side) for side in shape)]
    field = field - field.mean()
    return (field / max(float(field.std()), 1e-9)).astype(np.float32)
