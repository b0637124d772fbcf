"""Scores of a movie of pictures: means over its pictures, and each on its own."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from zoo.evaluate.baselines import bicubic
from zoo.evaluate.filaments import filament_widths_nm, width_summary
from zoo.evaluate.pictures import (
    agreement,
    all_similarities,
    frc_to_truth_px,
    means,
    resolution_px,
)

WIDTHS_OF = 5
"""Pictures of a movie, evenly spread, in which widths of filaments are measured."""

_SMALLEST_FRC_PX = 8


def image_metrics(
    images: np.ndarray,
    truth: np.ndarray,
    *,
    pixel_size_nm: float | None = None,
    inputs: np.ndarray | None = None,
    comparable: bool = False,
) -> dict[str, Any]:
    """Score pictures against the truth, next to an enlargement of their input.

    Parameters
    ----------
    images, truth : (t, y, x, c)
        Pictures and the truth on their grid.
    pixel_size_nm
        Edge of their pixels.  Without it lengths are in pixels and named so.
    inputs : (t, y / k, x / k, c)
        What each picture was made from, one channel of it or the mean of several; k is
        a whole number.
    comparable
        Whether `inputs` are diffraction-limited pictures of the same field, so that
        pictures can be compared with them.

    Returns
    -------
    metrics : dict
        ``image``: similarity to the truth (`zoo.evaluate.pictures.all_similarities`)
        of the ``prediction`` and, with `inputs`, of ``bicubic`` enlargement, means
        over pictures.  ``resolution``: ``frc_nm`` against the truth at 1/2,
        ``decorrelation_nm`` and the median ``fwhm_nm`` of filaments, where there are
        enough; an enlargement has no decorrelation of its own.  ``input``: RSP and RSE
        of the prediction.  ``frame``: figures of every picture, if there are several.

    Raises
    ------
    ValueError
        If sizes do not fit together or a picture of the truth is constant.
    """
    if images.shape != truth.shape or images.ndim != 4:
        raise ValueError(
            f"pictures and truth must be (t, y, x, c) of equal shape, not "
            f"{images.shape} and {truth.shape}"
        )
    factor = 1 if inputs is None else images.shape[1] // inputs.shape[1]
    if inputs is not None and images.shape != (
        len(inputs),
        factor * inputs.shape[1],
        factor * inputs.shape[2],
        inputs.shape[3],
    ):
        raise ValueError(
            f"pictures must be a whole number of times as large as their inputs, not "
            f"{images.shape} for {inputs.shape}"
        )
    per_px, unit = (1.0, "px") if pixel_size_nm is None else (pixel_size_nm, "nm")
    rows: dict[str, list[dict[str, float]]] = {}
    lengths: dict[str, list[dict[str, float]]] = {}
    frames: dict[str, dict[str, float]] = {}
    against: list[dict[str, float]] = []
    for label, t, c in _pictures(images.shape):
        image, goal = images[t, ..., c].astype(float), truth[t, ..., c].astype(float)
        if not np.ptp(goal):
            raise ValueError(
                f"picture {label} of the truth is constant; nothing can be "
                "compared with it"
            )
        own = all_similarities(image, goal)
        rows.setdefault("prediction", []).append(own)
        length = {
            f"frc_{unit}": per_px * _frc(image, goal),
            f"decorrelation_{unit}": per_px * resolution_px(image),
        }
        lengths.setdefault("prediction", []).append(length)
        frames[label] = own | length
        if inputs is not None:
            given = inputs[t, ..., c].astype(float)
            enlarged = bicubic(given, factor)
            simple = all_similarities(enlarged, goal)
            rows.setdefault("bicubic", []).append(simple)
            lengths.setdefault("bicubic", []).append(
                {f"frc_{unit}": per_px * _frc(enlarged, goal)}
            )
            frames[label]["psnr_bicubic_db"] = simple["psnr_db"]
            if comparable:
                against.append(agreement(image, given))
                frames[label] |= against[-1]
        lengths.setdefault("truth", []).append(
            {f"decorrelation_{unit}": per_px * resolution_px(goal)}
        )
    resolution = {name: means(of_all) for name, of_all in lengths.items()}
    for name, movie in (("prediction", images), ("truth", truth)):
        resolution[name][f"fwhm_{unit}"] = per_px * _median_width_px(movie)
    metrics: dict[str, Any] = {
        "image": {name: means(of_all) for name, of_all in rows.items()},
        "resolution": resolution,
    }
    if against:
        metrics["input"] = {"prediction": means(against)}
    if len(frames) > 1:
        metrics["frame"] = frames
    return metrics


def _pictures(shape: tuple[int, ...]) -> Iterator[tuple[str, int, int]]:
    """Yield a label, the frame and the channel of every picture."""
    for t in range(shape[0]):
        for c in range(shape[3]):
            channel = f" channel {c + 1}" if shape[3] > 1 else ""
            yield f"{t + 1}{channel}", t, c


def _frc(image: np.ndarray, goal: np.ndarray) -> float:
    small = min(image.shape) < _SMALLEST_FRC_PX
    return float("nan") if small else frc_to_truth_px(image, goal)


def _median_width_px(movie: np.ndarray) -> float:
    """Return the median width of filaments over some pictures; NaN if few are found."""
    chosen = np.unique(np.linspace(0, len(movie) - 1, WIDTHS_OF).round().astype(int))
    widths = [
        filament_widths_nm(movie[t, ..., c].astype(float), pixel_size_nm=1.0)
        for t in chosen
        for c in range(movie.shape[3])
    ]
    return width_summary(np.concatenate(widths))["fwhm_nm"]
