"""Classical renderings of localization tables."""

import numpy as np
from scipy.ndimage import gaussian_filter

from zoo.core.localizations import Localizations

_CLASSES = 12


def smoothed(counts: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return the kernel density estimate of a histogram, (y, x) float64.

    Parameters
    ----------
    counts
        (y, x) localizations per pixel.
    sigma_px
        Bandwidth: standard deviation of the Gaussian kernel, px.
    """
    return gaussian_filter(np.asarray(counts, float), sigma_px)


def by_precision(
    table: Localizations, size_px: int, *, pixel_size_nm: float
) -> np.ndarray:
    """Draw every localization as a Gaussian as wide as its uncertainty, (y, x).

    Uncertainties are taken in twelve classes of equal number, each with its mean.

    Parameters
    ----------
    table
        Localizations with ``uncertainty_nm``.
    size_px
        Edge of the square field, px.
    pixel_size_nm
        Edge of a pixel.

    Raises
    ------
    ValueError
        If the table has no uncertainties.
    """
    if table.uncertainty_nm is None:
        raise ValueError("the table has no uncertainty_nm")
    image = np.zeros((size_px, size_px))
    order = np.argsort(table.uncertainty_nm)
    bins = np.arange(size_px + 1) * pixel_size_nm
    for rows in np.array_split(order, _CLASSES):
        if not len(rows):
            continue
        drawn = np.histogram2d(table.y_nm[rows], table.x_nm[rows], (bins, bins))[0]
        sigma_nm = float(table.uncertainty_nm[rows].mean())
        image += gaussian_filter(drawn, sigma_nm / pixel_size_nm)
    return image
