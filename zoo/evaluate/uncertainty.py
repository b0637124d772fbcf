"""Errors that a package states, measured on cases that it is not scored on."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.test_set import TestSet
from zoo.metrics.reliability import channel_errors
from zoo.metrics.uncertainty import AXES, paired
from zoo.predict.predictor import Predictor

STEP = 3
"""Of so many pixels of an image one is looked at."""


def measured_calibration(
    package: Path,
    test_set: TestSet,
    *,
    progress: Callable[[int], None] | None = None,
) -> dict[str, Any]:
    """Measure what errors go with what a network says of its own uncertainty.

    Localizations are paired with true emitters as the scores do; those that belong to
    none have no error.  Every movie weighs the same, however many emitters it has.
    Images are matched to the truth as in the scores.

    Parameters
    ----------
    package
        Folder of a package.
    test_set
        Its frozen test set, of which `TestSet.calibrating` names other movies.
    progress
        Called with the number of movies done.

    Returns
    -------
    fields
        Of the package's task, as `zoo.core.contract.Task.calibration` gives them;
        empty where the task or the test set knows no errors.
    """
    movies = test_set.calibrating()
    predictor = Predictor(package, engine="onnx")
    contract = predictor.contract
    raw = contract.task.uncalibrated()
    if movies is None or raw is None:
        return {}
    predictor.contract = contract.model_copy(update={"task": raw})
    spreads: dict[str, list[np.ndarray]] = {}
    errors: dict[str, list[np.ndarray]] = {}
    weights: list[np.ndarray] = []
    for number, case in enumerate(movies.cases(), start=1):
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        if progress is not None:
            progress(number)
        main = result.main
        if "uncertainty" in result.images and main is not None:
            for channel, off in channel_errors(main, case.truth):
                said = result.images["uncertainty"].array[channel]
                spreads.setdefault("uncertainty", []).append(said.ravel()[::STEP])
                errors.setdefault("uncertainty", []).append(off.ravel()[::STEP])
                weights.append(np.ones(len(errors["uncertainty"][-1])))
            continue
        if result.localizations is None or main is None or not len(case.truth):
            continue
        sizes = dict(zip(main.axes, main.array.shape, strict=True))
        pixel_nm = main.pixel_size_nm
        field_nm = (sizes["y"] * pixel_nm["y"], sizes["x"] * pixel_nm["x"])
        table, found = paired(case.truth, result.localizations, field_nm=field_nm)
        if not len(table):
            continue
        for column, error in found.items():
            unit = pixel_nm[AXES[column][0][0]]  # of the letter of the axis
            spreads.setdefault(column, []).append(getattr(table, column) / unit)
            errors.setdefault(column, []).append(error / unit)
        if table.response is not None:
            spreads.setdefault("response", []).append(table.response)
        weights.append(np.full(len(table), 1 / len(table)))
    if not weights:
        return {}
    return contract.task.calibration(
        {column: np.concatenate(parts) for column, parts in spreads.items()},
        {column: np.concatenate(parts) for column, parts in errors.items()},
        np.concatenate(weights),
    )
