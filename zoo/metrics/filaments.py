"""Widths of the filaments of an image, measured on segments chosen automatically."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates, spline_filter

from zoo.metrics.profiles import fit_gaussian, sample_line

ENOUGH = 30
"""Segments below which a distribution of widths says nothing."""


def filament_widths_nm(
    image: np.ndarray,
    *,
    pixel_size_nm: float,
    half_length_px: float = 8.0,
    smooth_px: float = 1.5,
    most: int = 200,
) -> np.ndarray:
    """Measure the width of filaments across segments that are chosen automatically.

    Segments lie on ridges, where the surrounding directions agree, so that crossings,
    ends and bends are left out, and keep a distance from each other.  A profile across
    each, averaged over 5 px along it, is fitted by a Gaussian on a background; poor
    fits are left out.

    Parameters
    ----------
    image : (y, x)
        Image of filaments, brighter than their surroundings.
    pixel_size_nm
        Edge of a pixel.
    half_length_px
        Profiles reach this far to either side; two to four times the expected width.
    smooth_px
        Blur under which ridges are looked for; about half the expected width.
    most
        Segments beyond this number are not measured.

    Returns
    -------
    widths : (n,) float64
        Full widths at half maximum, nm, most straight segment first; may be empty.

    Raises
    ------
    ValueError
        If the image is not two-dimensional or a length is not positive.
    """
    values = np.asarray(image, float)
    if values.ndim != 2:
        raise ValueError(f"filaments are looked for in (y, x), not {values.shape}")
    for name, value in (
        ("pixel_size_nm", pixel_size_nm),
        ("half_length_px", half_length_px),
        ("smooth_px", smooth_px),
    ):
        if value <= 0:
            raise ValueError(f"{name} must be positive, not {value}")
    coefficients = spline_filter(values, 3)
    position = np.arange(-half_length_px, half_length_px + 0.25, 0.5)
    widths: list[float] = []
    for y, x, across in _segments(values, smooth_px, half_length_px, most):
        profile = sample_line(coefficients, np.array([y, x]), across, position, 5)
        if not np.ptp(profile):
            continue
        fit = fit_gaussian(position, profile)
        centred = abs(fit.centre) < max(smooth_px, 1.5)
        if centred and fit.amplitude > 0 and fit.r_squared > 0.9:
            widths.append(fit.fwhm)
    plausible = [width for width in widths if width < half_length_px]
    return pixel_size_nm * np.array(plausible, float)


def median_width(widths: np.ndarray) -> float:
    """Return the median of widths; NaN below `ENOUGH` of them.

    Examples
    --------
    >>> median_width(np.arange(100.0, 141.0)), median_width(np.arange(9.0))
    (120.0, nan)
    """
    return float(np.median(widths)) if len(widths) >= ENOUGH else float("nan")


def _segments(
    image: np.ndarray, smooth_px: float, half_length_px: float, most: int
) -> list[tuple[float, float, np.ndarray]]:
    """Return y, x and the direction across for straight pieces of ridges."""
    ridge, across, coherence = _ridges(image, smooth_px, half_length_px / 2)
    margin = int(np.ceil(half_length_px)) + 3
    candidate = np.zeros(image.shape, bool)
    candidate[margin:-margin, margin:-margin] = True
    candidate &= (coherence > 0.8) & (ridge > 0.3 * np.percentile(ridge, 99.5))
    places = np.argwhere(candidate)
    normals, heights = across[candidate], ridge[candidate]
    beside = (
        map_coordinates(ridge, (places + sign * normals).T, order=1) for sign in (1, -1)
    )
    crest = heights >= np.maximum(*beside)
    places, normals = places[crest], normals[crest]
    straightest = np.argsort(-coherence[candidate][crest], kind="stable")
    free = np.ones(image.shape, bool)
    reach = int(np.ceil(half_length_px))
    chosen: list[tuple[float, float, np.ndarray]] = []
    for y, x, normal in zip(*places[straightest].T, normals[straightest], strict=True):
        if len(chosen) >= most:
            break
        if free[y, x]:
            free[y - reach : y + reach + 1, x - reach : x + reach + 1] = False
            chosen.append((float(y), float(x), normal))
    return chosen


def _ridges(
    image: np.ndarray, smooth_px: float, window_px: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return how much each pixel is a ridge, its direction across, and straightness.

    The second derivatives give the first two; the third compares the directions of
    the slopes within a window: 1 where all agree, 0 where none prevails.
    """
    yy, xx, yx = (
        gaussian_filter(image, smooth_px, order=order)
        for order in ((2, 0), (0, 2), (1, 1))
    )
    ridge = np.hypot((yy - xx) / 2, yx) - (yy + xx) / 2
    # the direction in which the surface bends down most, from the y axis towards x
    angle = 0.5 * np.arctan2(-yx, -(yy - xx) / 2)
    across = np.stack([np.cos(angle), np.sin(angle)], axis=-1)
    y, x = (
        gaussian_filter(image, smooth_px, order=order) for order in ((1, 0), (0, 1))
    )
    yy, xx, yx = (gaussian_filter(p, window_px) for p in (y * y, x * x, y * x))
    coherence = np.hypot(yy - xx, 2 * yx) / np.maximum(yy + xx, np.finfo(float).tiny)
    return ridge, across, coherence
