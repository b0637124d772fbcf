"""Smooth surfaces over a field: background and read noise that are not even."""

import numpy as np


def surface(row: np.ndarray, size_px: int) -> np.ndarray:
    """Return a super-Gaussian surface, ``exp(-q**2)`` of a quadratic form.

    Nehme et al. 2020 (doi:10.1038/s41592-020-0853-5) vary the background so; in graphs
    of Keras it is `zoo.layers.pupil.surface`.

    Parameters
    ----------
    row : (7,)
        Least and largest value, centre y and x, width y and x, px, and angle, rad.
    size_px
        Edge of the field.

    Returns
    -------
    surface : (y, x) float64
    """
    low, high, y0, x0, wide_y, wide_x, angle = row
    place = np.arange(size_px) + 0.5
    y, x = place[:, None] - y0, place[None, :] - x0
    along = (x * np.cos(angle) + y * np.sin(angle)) / wide_x
    across = (y * np.cos(angle) - x * np.sin(angle)) / wide_y
    form = np.exp(-np.square(0.5 * (along**2 + across**2)))
    span = max(float(np.ptp(form)), 1e-6)
    return low + (high - low) * (form - form.min()) / span
