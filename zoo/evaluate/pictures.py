"""All figures of a picture at once: against the truth, alone, against its input."""

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.evaluate.decorrelation import decorrelation
from zoo.evaluate.images import affine_match, nmse, nrmse, pearson, psnr, ssim
from zoo.evaluate.resolution import frc
from zoo.evaluate.similarity import ms_ssim
from zoo.evaluate.squirrel import error_map

SMALLEST_SSIM_PX = 11
"""Shorter side from which there is a structural similarity."""
SMALLEST_MS_SSIM_PX = 161
"""Shorter side from which there is a multi-scale structural similarity."""
SMALLEST_RESOLUTION_PX = 64
"""Shorter side from which decorrelation analysis finds a resolution."""
TRUTH_THRESHOLD = 0.5
"""Fourier ring correlation that resolution against a noise-free truth is read at."""


def similarity(
    prediction: np.ndarray, target: np.ndarray, *, data_range: float | None = None
) -> dict[str, float]:
    """Compare a picture with the truth after the affine match of least squares.

    Parameters
    ----------
    prediction, target : (y, x)
        Pictures on the same grid; the values of the prediction are arbitrary.
    data_range
        Span of values that the target can take; by default its own span.

    Returns
    -------
    figures : dict
        ``psnr`` (dB), ``ssim``, ``ms_ssim`` and ``nrmse`` (Euclidean norm) of the
        matched prediction; NaN where the picture is too small for a figure.

    Raises
    ------
    ValueError
        If shapes differ, or the target is constant or not two-dimensional.

    Examples
    --------
    >>> target = np.random.default_rng(0).random((16, 16))
    >>> found = similarity(7 - 3 * target, target)
    >>> round(found["ssim"], 6), found["nrmse"] < 1e-9, found["ms_ssim"]
    (1.0, True, nan)
    """
    goal = np.asarray(target, float)
    if goal.ndim != 2 or not np.ptp(goal):
        raise ValueError(
            "pictures are compared with a target (y, x) that is not constant, not one "
            f"of shape {goal.shape}"
        )
    span = float(np.ptp(goal)) if data_range is None else data_range
    matched = affine_match(prediction, goal)
    shorter = min(goal.shape)
    return {
        "psnr": psnr(matched, goal, data_range=span),
        "ssim": ssim(matched, goal, data_range=span)
        if shorter >= SMALLEST_SSIM_PX
        else float("nan"),
        "ms_ssim": ms_ssim(matched, goal, data_range=span)
        if shorter >= SMALLEST_MS_SSIM_PX
        else float("nan"),
        "nrmse": nrmse(matched, goal, norm="euclidean"),
    }


def all_similarities(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Compare a picture with the truth; every figure named with its norm or unit.

    Returns
    -------
    figures : dict
        Those of `similarity` with the target's span as data range, ``nrmse_minmax``,
        ``nrmse_mean``, ``pearson``, and ``nmse_percent``, for which only the gain is
        matched.

    Raises
    ------
    ValueError
        As `similarity`.
    """
    found = similarity(prediction, target)
    matched = affine_match(prediction, target)
    return {
        "psnr_db": found["psnr"],
        "ssim": found["ssim"],
        "ms_ssim": found["ms_ssim"],
        "nrmse_euclidean": found["nrmse"],
        "nrmse_minmax": nrmse(matched, target, norm="minmax"),
        "nrmse_mean": nrmse(matched, target, norm="mean")
        if np.mean(target)
        else float("nan"),
        "nmse_percent": nmse(prediction, target),
        "pearson": pearson(prediction, target),
    }


def resolution_px(picture: np.ndarray) -> float:
    """Return the resolution of one picture by decorrelation analysis, px.

    NaN for a picture that is too small or constant, or has none.
    """
    values = np.asarray(picture, float)
    if min(values.shape) < SMALLEST_RESOLUTION_PX or not np.ptp(values):
        return float("nan")
    return decorrelation(values).resolution_px


def frc_to_truth_px(picture: np.ndarray, truth: np.ndarray) -> float:
    """Return the detail up to which a picture agrees with the truth, px.

    Fourier ring correlation at `TRUTH_THRESHOLD`; NaN if it has no crossing or the
    picture is constant.
    """
    if not np.ptp(picture):
        return float("nan")
    return 1.0 / frc(picture, truth).cutoff_per_px(threshold=TRUTH_THRESHOLD)


def agreement(picture: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare a picture with the diffraction-limited one that it was made from.

    Returns
    -------
    figures : dict
        ``rsp`` and ``rse`` of `zoo.evaluate.squirrel.error_map`; the error is in the
        reference's units.
    """
    found = error_map(reference, picture)
    return {"rsp": found.rsp, "rse": found.rse}


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every figure over the rows that have it; NaN if none has.

    Examples
    --------
    >>> means([{"a": 1.0, "b": float("nan")}, {"a": 3.0, "b": 5.0}])
    {'a': 2.0, 'b': 5.0}
    """
    names = dict.fromkeys(name for row in rows for name in row)
    found: dict[str, float] = {}
    for name in names:
        values = np.array([row.get(name, np.nan) for row in rows], float)
        known = values[~np.isnan(values)]
        found[name] = float(known.mean()) if len(known) else float("nan")
    return found
