"""How near estimates come to the bound of their errors, and whether they know it."""

from collections.abc import Sequence

import numpy as np

COVERAGE_LEVELS = tuple(round(0.1 * n, 1) for n in range(1, 10))
"""Shares of errors that intervals are asked to hold."""


def rmse_over_bound(errors: np.ndarray, bounds: np.ndarray) -> float | None:
    """Return the root mean square of errors in units of their Cramér-Rao bounds.

    The law: one for an efficient estimator, more for any other that is unbiased.

    Parameters
    ----------
    errors
        (n,) estimates minus truths; those that are not finite are left out.
    bounds
        (n,) standard deviations that no unbiased estimator falls below.

    Returns
    -------
    ratio
        None if nothing is left.

    Examples
    --------
    >>> rmse_over_bound(np.array([3.0, -4.0]), np.array([3.0, 2.0]))
    1.5811388300841898
    """
    ratios = _ratios(errors, bounds)
    return float(np.sqrt(np.mean(ratios**2))) if len(ratios) else None


def bias_over_bound(
    errors: np.ndarray, bounds: np.ndarray, depth: np.ndarray
) -> float | None:
    """Return the largest mean error of any depth, in units of the bounds.

    Parameters
    ----------
    errors, bounds
        As in `rmse_over_bound`.
    depth
        (n,) number of the depth at which each emitter lies.

    Returns
    -------
    bias
        Absolute value; None if nothing is left.  With n emitters per depth, chance
        alone makes about two over the root of n of an estimator without bias.
    """
    kept = np.isfinite(errors) & np.isfinite(bounds)
    ratios = errors[kept] / bounds[kept]
    means = [
        abs(float(ratios[depth[kept] == d].mean())) for d in np.unique(depth[kept])
    ]
    return max(means, default=None)


def coverage(errors: np.ndarray, deviations: np.ndarray, sigmas: float) -> float | None:
    """Return the share of errors within so many stated standard deviations.

    Examples
    --------
    >>> coverage(np.array([1.0, 3.0]), np.array([2.0, 2.0]), 1.0)
    0.5
    """
    ratios = np.abs(_ratios(errors, deviations))
    return float(np.mean(ratios <= sigmas)) if len(ratios) else None


def calibration_error(
    errors: np.ndarray,
    deviations: np.ndarray,
    levels: Sequence[float] = COVERAGE_LEVELS,
) -> float | None:
    """Return the expected calibration error of stated standard deviations.

    The mean over levels p of ``|share of errors in the central interval of p - p|``,
    the intervals being those of normal distributions (Kuleshov et al. 2018,
    doi:10.48550/arXiv.1807.00263).

    Parameters
    ----------
    errors, deviations
        (n,) errors and what they were expected to be.
    levels
        Shares of errors that the intervals are asked to hold.
    """
    from scipy.special import erf

    ratios = np.abs(_ratios(errors, deviations))
    if not len(ratios):
        return None
    expected = erf(ratios / 2**0.5)  # level of the interval that just holds the error
    return float(np.mean([abs(np.mean(expected <= p) - p) for p in levels]))


def _ratios(errors: np.ndarray, units: np.ndarray) -> np.ndarray:
    kept = np.isfinite(errors) & np.isfinite(units)
    return errors[kept] / units[kept]
