"""All metrics of an image at once: against the truth, alone, against its input."""

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.metrics.decorrelation import decorrelation
from zoo.metrics.images import affine_match, nmse, nrmse, pearson, psnr, ssim
from zoo.metrics.resolution import SMALLEST_PX as SMALLEST_FRC_PX
from zoo.metrics.resolution import frc
from zoo.metrics.similarity import SMALLEST_PX as SMALLEST_MS_SSIM_PX
from zoo.metrics.similarity import ms_ssim
from zoo.metrics.squirrel import error_map

SMALLEST_SSIM_PX = 11
"""Shorter side from which there is a structural similarity."""
SMALLEST_RESOLUTION_PX = 64
"""Shorter side from which decorrelation analysis finds a resolution."""
TRUTH_THRESHOLD = 0.5
"""Fourier ring correlation that resolution against a noise-free truth is read at."""

_NAN = float("nan")


def similarity(
    prediction: np.ndarray, target: np.ndarray, *, data_range: float | None = None
) -> dict[str, float]:
    """Compare an image with the truth after the affine match of least squares.

    Parameters
    ----------
    prediction, target : (y, x) or (z, y, x)
        Images on the same grid; the values of the prediction are arbitrary.  A volume
        is matched as a whole; its structural similarities are means over planes.
    data_range
        Span of values that the target can take; by default its own span.

    Returns
    -------
    metrics : dict
        ``psnr`` (dB), ``ssim``, ``ms_ssim`` and ``nrmse`` (Euclidean norm) of the
        matched prediction; NaN where the image is too small for a metric.

    Raises
    ------
    ValueError
        If shapes differ, or the target is constant or neither image nor volume.

    Examples
    --------
    >>> target = np.random.default_rng(0).random((16, 16))
    >>> values = similarity(7 - 3 * target, target)
    >>> round(values["ssim"], 6), values["nrmse"] < 1e-9, values["ms_ssim"]
    (1.0, True, nan)
    """
    goal = np.asarray(target, float)
    if goal.ndim not in (2, 3) or not np.ptp(goal):
        raise ValueError(
            "images are compared with a target (y, x) or (z, y, x) that is not "
            f"constant, not one of shape {goal.shape}"
        )
    span = float(np.ptp(goal)) if data_range is None else data_range
    matched = affine_match(prediction, goal)
    planes = (
        [(matched, goal)] if goal.ndim == 2 else list(zip(matched, goal, strict=True))
    )
    shorter = min(goal.shape[-2:])
    return {
        "psnr": psnr(matched, goal, data_range=span),
        "ssim": float(np.mean([ssim(p, g, data_range=span) for p, g in planes]))
        if shorter >= SMALLEST_SSIM_PX
        else _NAN,
        "ms_ssim": float(np.mean([ms_ssim(p, g, data_range=span) for p, g in planes]))
        if shorter >= SMALLEST_MS_SSIM_PX
        else _NAN,
        "nrmse": nrmse(matched, goal, norm="euclidean"),
    }


def all_similarities(prediction: np.ndarray, target: np.ndarray) -> dict[str, float]:
    """Compare an image with the truth; every metric named with its norm or unit.

    Returns
    -------
    metrics : dict
        Those of `similarity` with the target's span as data range, ``nrmse_minmax``,
        ``nrmse_mean``, ``pearson``, and ``nmse_percent``, for which only the gain is
        matched.

    Raises
    ------
    ValueError
        As `similarity`.
    """
    values = similarity(prediction, target)
    matched = affine_match(prediction, target)
    return {
        "psnr_db": values["psnr"],
        "ssim": values["ssim"],
        "ms_ssim": values["ms_ssim"],
        "nrmse_euclidean": values["nrmse"],
        "nrmse_minmax": nrmse(matched, target, norm="minmax"),
        "nrmse_mean": nrmse(matched, target, norm="mean") if np.mean(target) else _NAN,
        "nmse_percent": nmse(prediction, target),
        "pearson": pearson(prediction, target),
    }


def resolution_px(image: np.ndarray) -> float:
    """Return the resolution of one image (y, x) by decorrelation analysis, px.

    NaN for an image that is too small or constant, or has none.
    """
    values = np.asarray(image, float)
    if min(values.shape) < SMALLEST_RESOLUTION_PX or not np.ptp(values):
        return _NAN
    return decorrelation(values).resolution_px


def frc_to_truth_px(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the detail up to which an image (y, x) agrees with the truth, px.

    Fourier ring correlation at `TRUTH_THRESHOLD`; NaN if it has no crossing or the
    image is too small or constant.
    """
    if min(image.shape) < SMALLEST_FRC_PX or not np.ptp(image):
        return _NAN
    return 1.0 / frc(image, truth).cutoff_per_px(threshold=TRUTH_THRESHOLD)


def agreement(image: np.ndarray, reference: np.ndarray) -> dict[str, float]:
    """Compare an image with the diffraction-limited one that it was made from.

    Returns
    -------
    metrics : dict
        ``rsp`` and ``rse`` of `zoo.metrics.squirrel.error_map`; the error is in the
        reference's units.
    """
    difference = error_map(reference, image)
    return {"rsp": difference.rsp, "rse": difference.rse}


def means(rows: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """Return the mean of every metric over the rows that have it; NaN if none has.

    Examples
    --------
    >>> means([{"a": 1.0, "b": float("nan")}, {"a": 3.0, "b": 5.0}])
    {'a': 2.0, 'b': 5.0}
    """
    averages: dict[str, float] = {}
    for name in dict.fromkeys(name for row in rows for name in row):
        values = np.array([row.get(name, np.nan) for row in rows], float)
        known = values[~np.isnan(values)]
        averages[name] = float(known.mean()) if len(known) else _NAN
    return averages
