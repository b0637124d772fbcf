"""Scores of images and volumes against their truth, next to enlarged inputs."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from zoo.core.test_set import Metrics
from zoo.metrics.baselines import enlarge
from zoo.metrics.comparison import (
    agreement,
    all_similarities,
    frc_to_truth_px,
    means,
    resolution_px,
)
from zoo.metrics.filaments import filament_widths_nm, median_width

WIDTHS_OF = 5
"""Images of a series, evenly spread, in which widths of filaments are measured."""


def image_metrics(
    images: np.ndarray,
    truth: np.ndarray,
    *,
    pixel_size_nm: float | None = None,
    inputs: np.ndarray | None = None,
    comparable: bool = False,
) -> Metrics:
    """Score images or volumes against the truth, next to an enlargement of their input.

    Parameters
    ----------
    images, truth : (t, [z,] y, x, c)
        Images and the truth on their grid.
    pixel_size_nm
        Edge of their pixels.  Without it lengths are in pixels and named so.
    inputs : (t, [z,] y, x, c)
        What each image was made from, one channel of it or the mean of several; its
        lengths along space are whole divisors of those of `images`.
    comparable
        Whether `inputs` are diffraction-limited images of the same field, so that
        images can be compared with them.

    Returns
    -------
    metrics : dict
        ``image``: similarity to the truth (`zoo.metrics.comparison.all_similarities`)
        of the ``prediction`` and, with `inputs`, of its ``bicubic`` enlargement, means
        over images.  ``frame``: metrics of every image, if there are several.  Of
        images, not volumes: ``resolution``: ``frc_nm`` against the truth at 1/2,
        ``decorrelation_nm`` and the median ``fwhm_nm`` of filaments, where there are
        enough; an enlargement has no decorrelation of its own.  ``input``: RSP and RSE
        of the prediction.

    Raises
    ------
    ValueError
        If sizes do not fit together or an image of the truth is constant.
    """
    if images.shape != truth.shape or images.ndim not in (4, 5):
        raise ValueError(
            "images and truth must be (t, [z,] y, x, c) of equal shape, not "
            f"{images.shape} and {truth.shape}"
        )
    _check_inputs(images.shape, None if inputs is None else inputs.shape)
    flat = images.ndim == 4
    per_px, unit = (1.0, "px") if pixel_size_nm is None else (pixel_size_nm, "nm")
    rows: dict[str, list[Mapping[str, float]]] = {}
    lengths: dict[str, list[Mapping[str, float]]] = {}
    frames: dict[str, dict[str, float]] = {}
    against: list[Mapping[str, float]] = []
    for label, t, c in _labels(images.shape):
        image, goal = images[t, ..., c].astype(float), truth[t, ..., c].astype(float)
        if not np.ptp(goal):
            raise ValueError(
                f"image {label} of the truth is constant; nothing can be compared "
                "with it"
            )
        own = all_similarities(image, goal)
        rows.setdefault("prediction", []).append(own)
        frames[label] = dict(own)
        if flat:
            length = {
                f"frc_{unit}": per_px * frc_to_truth_px(image, goal),
                f"decorrelation_{unit}": per_px * resolution_px(image),
            }
            lengths.setdefault("prediction", []).append(length)
            frames[label] |= length
        if inputs is not None:
            source = inputs[t, ..., c].astype(float)
            enlarged = enlarge(source, goal.shape)
            simple = all_similarities(enlarged, goal)
            rows.setdefault("bicubic", []).append(simple)
            frames[label]["psnr_bicubic_db"] = simple["psnr_db"]
            if flat:
                lengths.setdefault("bicubic", []).append(
                    {f"frc_{unit}": per_px * frc_to_truth_px(enlarged, goal)}
                )
            if flat and comparable:
                against.append(agreement(image, source))
                frames[label] |= against[-1]
        if flat:
            lengths.setdefault("truth", []).append(
                {f"decorrelation_{unit}": per_px * resolution_px(goal)}
            )
    metrics: dict[str, Any] = {"image": {n: means(r) for n, r in rows.items()}}
    if flat:
        metrics["resolution"] = {n: means(of_all) for n, of_all in lengths.items()}
        for name, series in (("prediction", images), ("truth", truth)):
            width = per_px * _median_width_px(series)
            metrics["resolution"][name][f"fwhm_{unit}"] = width
    if against:
        metrics["input"] = {"prediction": means(against)}
    if len(frames) > 1:
        metrics["frame"] = frames
    return metrics


def _check_inputs(images: tuple[int, ...], inputs: tuple[int, ...] | None) -> None:
    if inputs is None:
        return
    fits = len(images) == len(inputs) and (images[0], images[-1]) == (
        inputs[0],
        inputs[-1],
    )
    if not fits or any(n % k for n, k in zip(images, inputs, strict=True)):
        raise ValueError(
            "images must be a whole number of times as large as their inputs, not "
            f"{images} for {inputs}"
        )


def _labels(shape: tuple[int, ...]) -> Iterator[tuple[str, int, int]]:
    """Yield a label, the frame and the channel of every image."""
    for t in range(shape[0]):
        for c in range(shape[-1]):
            channel = f" channel {c + 1}" if shape[-1] > 1 else ""
            yield f"{t + 1}{channel}", t, c


def _median_width_px(series: np.ndarray) -> float:
    """Return the median width of filaments over some images; NaN if few are found."""
    chosen = np.unique(np.linspace(0, len(series) - 1, WIDTHS_OF).round().astype(int))
    widths = [
        filament_widths_nm(series[t, ..., c].astype(float), pixel_size_nm=1.0)
        for t in chosen
        for c in range(series.shape[-1])
    ]
    return median_width(np.concatenate(widths))
