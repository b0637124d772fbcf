"""How far two ways of computing the same may differ."""

import numpy as np

TOLERANCE = 1e-5
"""Largest difference between two formats, relative to the largest output."""


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference relative to the largest expected value.

    Infinite if the shapes differ or a number is not finite.

    Examples
    --------
    >>> relative_error(np.array([0.0, 4.0]), np.array([1.0, 4.0]))
    0.25
    """
    if found.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
    difference = np.abs(found.astype(np.float64) - expected.astype(np.float64))
    worst = float(difference.max(initial=0.0)) / scale
    return worst if np.isfinite(worst) else float("inf")
