"""Scores of an image network on frozen pictures, next to those of classical methods."""

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from zoo.core.errors import BadInput
from zoo.evaluate.baselines import (
    bicubic,
    richardson_lucy,
    richardson_lucy_iterations,
    wiener,
    wiener_estimated,
)
from zoo.evaluate.pictures import agreement, means, resolution_px, similarity
from zoo.predict.predictor import Predictor
from zoo.simulate.image_benchmark import BenchmarkImage, ImageBenchmark

DIM_PHOTONS = 100.0
"""Signal level that tells ``below_100`` from ``above_100``."""

OVERALL = "all"
"""Mean over structures, or over conditions."""

Predict = Callable[[np.ndarray], np.ndarray]
"""Takes (frame, y, x) counts, returns an image (2y, 2x)."""


def score_pictures(
    predict: Predict,
    benchmark: ImageBenchmark,
    *,
    classical: bool = True,
    progress: Callable[[int, int], None] | None = None,
) -> dict[str, Any]:
    """Measure anything that turns camera frames into an image.

    Parameters
    ----------
    predict
        Takes the counts of a picture, (frame, y, x) float32 up to gain and offset, one
        frame or nine; returns its image on a grid twice as fine.
    benchmark
        Frozen pictures.
    classical
        Whether classical methods are measured as well, on the photons of the same
        frames.
    progress
        Called with the pictures done and the pictures in all.

    Returns
    -------
    metrics : dict
        Structure (or ``all``), condition, figure.  Conditions are the signal levels,
        ``all`` and, as means over levels, ``below_100`` and ``above_100``.  Figures:
        ``psnr`` (dB), ``ssim``, ``ms_ssim``, ``nrmse`` (Euclidean) after the affine
        match of least squares to the target, whose range is one; ``resolution_nm`` by
        decorrelation; ``rsp`` and ``rse`` (photons per camera pixel) against the mean
        of the frames; the first four of ``bicubic`` (of the mean of the frames) and
        ``richardson_lucy``, or of ``wiener`` (told the stripes) and
        ``wiener_estimated`` (left to find them), such as ``psnr_wiener``; and by how
        much the network is ahead, such as ``ssim_over_bicubic``.  None where a figure
        does not exist.

    Raises
    ------
    BadInput
        If an image does not lie on the target's grid or is not finite.
    """
    levels = benchmark.photon_levels
    count = len(benchmark.structures) * benchmark.images * len(levels)
    rows: dict[tuple[str, float], list[dict[str, float]]] = {}
    for done, picture in enumerate(benchmark.pictures(), start=1):
        row = _row(predict, picture, benchmark, classical=classical)
        rows.setdefault((picture.structure, picture.photons), []).append(row)
        if progress is not None:
            progress(done, count)
    found = {key: means(of_level) for key, of_level in rows.items()}
    for photons in levels:
        found[OVERALL, photons] = means(
            [found[structure, photons] for structure in benchmark.structures]
        )
    return {
        structure: _conditions({p: found[structure, p] for p in levels})
        for structure in (*benchmark.structures, OVERALL)
    }


def as_predict(predictor: Predictor, benchmark: ImageBenchmark) -> Predict:
    """Return a package's own prediction as `score_pictures` takes it."""
    pixel_nm = benchmark.conditions.pixel_size_nm

    def predict(frames: np.ndarray) -> np.ndarray:
        # one picture: its frames are channels, not points in time
        recording = np.ascontiguousarray(np.moveaxis(frames, 0, -1))[None]
        result = predictor.predict(recording, pixel_size_nm=pixel_nm)
        if result.task != "image":
            raise BadInput(f"{predictor.name} returns no images to score")
        return result.image

    return predict


def _row(
    predict: Predict,
    picture: BenchmarkImage,
    benchmark: ImageBenchmark,
    *,
    classical: bool,
) -> dict[str, float]:
    """Return the figures of one picture."""
    target = picture.target[..., 0]
    image = np.asarray(predict(np.moveaxis(picture.input, -1, 0)), float)
    if image.shape != target.shape or not np.isfinite(image).all():
        raise BadInput(
            f"the image of {picture.name} must be finite and of the target's "
            f"{target.shape} px, not {image.shape}"
        )
    reference = picture.frames.mean(axis=0)
    fine_nm = benchmark.conditions.pixel_size_nm * len(reference) / len(target)
    own = similarity(image, target, data_range=1.0)
    row = own | {"resolution_nm": fine_nm * resolution_px(image)}
    row |= agreement(image, reference)
    for name, opponent in _opponents(picture) if classical else ():
        theirs = similarity(opponent, target, data_range=1.0)
        row |= {f"{figure}_{name}": value for figure, value in theirs.items()}
        row |= {f"{f}_over_{name}": own[f] - theirs[f] for f in ("psnr", "ssim")}
    return row


def _opponents(picture: BenchmarkImage) -> Iterable[tuple[str, np.ndarray]]:
    """Yield name and image of the methods that need no training."""
    yield "bicubic", bicubic(picture.frames.mean(axis=0))
    if len(picture.frames) == 1:
        yield (
            "richardson_lucy",
            richardson_lucy(
                picture.frames[0],
                picture.optics,
                iterations=richardson_lucy_iterations(picture.photons),
                background=picture.background_photons,
            ),
        )
        return
    yield (
        "wiener",
        wiener(
            picture.frames,
            picture.pattern,
            picture.optics,
            photons=picture.photons,
            background=picture.background_photons,
        ),
    )
    yield (
        "wiener_estimated",
        wiener_estimated(
            picture.frames,
            picture.optics,
            photons=picture.photons,
            background=picture.background_photons,
        ),
    )


def _conditions(by_level: dict[float, dict[str, float]]) -> dict[str, Any]:
    """Return the figures of each level and means over levels, rounded."""
    groups = {f"{photons:g}": [row] for photons, row in by_level.items()}
    groups[OVERALL] = list(by_level.values())
    groups["below_100"] = [r for p, r in by_level.items() if p < DIM_PHOTONS]
    groups["above_100"] = [r for p, r in by_level.items() if p >= DIM_PHOTONS]
    return {
        name: {
            figure: round(value, 4) if np.isfinite(value) else None
            for figure, value in means(rows).items()
        }
        for name, rows in groups.items()
        if rows
    }
