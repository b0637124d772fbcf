"""Scores of a package on its frozen test set."""

from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.recipe import Recipe
from zoo.evaluate.localizations import score
from zoo.io.packages import Package
from zoo.package.score_images import as_predict, score_pictures
from zoo.physics.crlb import gaussian_crlb
from zoo.predict.predictor import Predictor
from zoo.simulate.benchmark import CAMERAS, BenchmarkRecording, DensityBenchmark
from zoo.simulate.image_benchmark import ImageBenchmark

FIGURES = (
    "jaccard",
    "precision",
    "recall",
    "rmse_lateral_nm",
    "bias_x_nm",
    "bias_y_nm",
    "efficiency",
    "jaccard_random",
    "tp",
    "fp",
    "fn",
)
"""What is kept of the scores of a recording of emitters."""


def score_package(
    package: Package | Path | str, recipe: Recipe, *, engine: str = "auto"
) -> dict[str, Any]:
    """Measure a package on the frozen test set of its recipe.

    Parameters
    ----------
    package
        Package, or where it is.
    recipe
        Declares the test set.
    engine
        Program that runs the network.

    Returns
    -------
    metrics : dict
        Group, condition, figure.  For a density task: ``density/<emitters per µm²>``
        pools both cameras, ``density_emccd`` and ``density_scmos`` tell them apart;
        ``photons_<camera>/<photons>`` holds isolated emitters with
        ``rmse_over_crlb``; ``empty/all/false_per_100_frames`` counts what is found
        where nothing is.  For an image task see
        `zoo.package.score_images.score_pictures`.

    Raises
    ------
    BadInput
        If the recipe's test set is of a kind that this version does not know.
    """
    benchmark = recipe.benchmark
    if isinstance(benchmark, ImageBenchmark):
        predictor = Predictor(package, engine=engine, error_map=False)
        return score_pictures(as_predict(predictor, benchmark), benchmark)
    if not isinstance(benchmark, DensityBenchmark):
        raise BadInput(
            f"{recipe.name} declares a test set of the type "
            f"{type(benchmark).__name__}; this version scores DensityBenchmark and "
            "ImageBenchmark"
        )
    predictor = Predictor(package, engine=engine)
    predictions = [
        (recording, _predict(predictor, recording, benchmark))
        for recording in benchmark.recordings()
    ]
    metrics: dict[str, Any] = {}
    pooled: dict[str, list[tuple[BenchmarkRecording, Localizations]]] = {}
    empty = [0, 0]
    for recording, found in predictions:
        group, condition = recording.name.split("/")
        if group == "empty":
            empty[0] += len(found)
            empty[1] += len(recording.counts)
            continue
        bound = None
        if group == "density":
            pooled.setdefault(condition, []).append((recording, found))
        else:
            bound = _bound_nm(recording, benchmark)
        scores = _score(recording.truth, found, benchmark, bound)
        metrics.setdefault(f"{group}_{recording.camera}", {})[condition] = scores
    for condition, parts in pooled.items():
        scores = _score(
            _one_after_another([(part.truth, len(part.counts)) for part, _ in parts]),
            _one_after_another([(found, len(part.counts)) for part, found in parts]),
            benchmark,
        )
        metrics.setdefault("density", {})[condition] = scores
    metrics["empty"] = {
        "all": {
            "frames": empty[1],
            "false_localizations": empty[0],
            "false_per_100_frames": round(100 * empty[0] / empty[1], 3),
        }
    }
    order = ["density", "empty", *sorted(metrics)]
    return {group: metrics[group] for group in dict.fromkeys(order)}


def _predict(
    predictor: Predictor, recording: BenchmarkRecording, benchmark: DensityBenchmark
) -> Localizations:
    result = predictor.predict(recording.counts, pixel_size_nm=benchmark.pixel_size_nm)
    if result.localizations is None:
        raise BadInput(f"{predictor.name} returns no localizations to score")
    return result.localizations


def _score(
    truth: Localizations,
    found: Localizations,
    benchmark: DensityBenchmark,
    bound_nm: np.ndarray | None = None,
) -> dict[str, Any]:
    field_nm = benchmark.field_px * benchmark.pixel_size_nm
    scores = score(truth, found, field_nm=field_nm, bound_nm=bound_nm)
    names = (*FIGURES, "rmse_over_crlb") if bound_nm is not None else FIGURES
    return {
        name: round(value, 4) if isinstance(value := scores[name], float) else value
        for name in names
    }


def _bound_nm(recording: BenchmarkRecording, benchmark: DensityBenchmark) -> np.ndarray:
    """Return the lateral bound ``sqrt(var x + var y)`` of each true emitter, nm."""
    truth, pixel_nm = recording.truth, benchmark.pixel_size_nm
    bound = gaussian_crlb(
        truth.x_nm / pixel_nm,
        truth.y_nm / pixel_nm,
        sigma_px=benchmark.psf_sigma_nm / pixel_nm,
        photons=np.asarray(truth.photons),
        background_photons=benchmark.background_photons,
        camera=CAMERAS[recording.camera],
        window_px=benchmark.spacing_px,
        shape=(benchmark.field_px, benchmark.field_px),
    )
    return np.hypot(bound.x_px, bound.y_px) * pixel_nm


def _one_after_another(
    tables: list[tuple[Localizations, int]],
) -> Localizations:
    """Join tables of recordings as if one had been taken after the other."""
    shifted, first = [], 0
    for table, frames in tables:
        shifted.append(table.with_columns(frame=table.frame + first))
        first += frames
    return Localizations.concatenate(shifted)
