"""Widths of the spots of an image at places that are known."""

import numpy as np
from scipy.ndimage import maximum_filter, spline_filter

from zoo.metrics.profiles import fit_gaussian, sample_line


def isolated_places(
    image: np.ndarray, *, apart_px: float, least: float = 0.2
) -> np.ndarray:
    """Return where spots lie that keep away from each other and from the border.

    Parameters
    ----------
    image : (y, x)
        Image in which spots are sharp and without noise.
    apart_px
        Smallest distance from a brighter spot, and from the border, along an axis.
    least
        Brightness of a spot over that of the brightest.

    Returns
    -------
    places : (n, 2) int
        y and x.
    """
    reach = int(np.ceil(apart_px))
    values = np.asarray(image, float)
    highest = maximum_filter(values, 2 * reach + 1)
    crests = (values == highest) & (values > least * values.max())
    crests[:reach], crests[-reach:] = False, False
    crests[:, :reach], crests[:, -reach:] = False, False
    return np.argwhere(crests)


def spot_widths_nm(
    image: np.ndarray,
    places: np.ndarray,
    *,
    pixel_size_nm: float,
    half_length_px: float,
) -> np.ndarray:
    """Measure spots by Gaussians fitted to profiles along both axes.

    Parameters
    ----------
    image : (y, x)
        Image of spots, brighter than their surroundings.
    places : (n, 2)
        y and x of the spots.
    pixel_size_nm
        Edge of a pixel.
    half_length_px
        Profiles reach this far to either side.

    Returns
    -------
    widths : (m,) float64
        Full widths at half maximum, nm, means of both axes; poor fits are left out.

    Examples
    --------
    >>> y, x = np.indices((61, 61)) - 30
    >>> image = np.exp(-(x**2 + y**2) / (2 * 3.0**2))
    >>> spot_widths_nm(
    ...     image, np.array([[30, 30]]), pixel_size_nm=10.0, half_length_px=12.0
    ... ).round()
    array([71.])
    """
    coefficients = spline_filter(np.asarray(image, float), 3)
    position = np.arange(-half_length_px, half_length_px + 0.25, 0.5)
    widths: list[float] = []
    for place in np.asarray(places, float):
        found: list[float] = []
        for along in ((1.0, 0.0), (0.0, 1.0)):
            profile = sample_line(coefficients, place, np.array(along), position, 3)
            if not np.ptp(profile):
                continue
            fit = fit_gaussian(position, profile)
            centred = abs(fit.centre) < half_length_px / 3
            if centred and fit.amplitude > 0 and fit.r_squared > 0.8:
                found.append(fit.fwhm)
        if len(found) == 2 and max(found) < 1.5 * half_length_px:
            widths.append(float(np.mean(found)))
    return pixel_size_nm * np.array(widths, float)
