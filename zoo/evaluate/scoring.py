"""Scores of a package: on its frozen test set, or on files with their truth."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from zoo.core.errors import BadInput, BadPackage
from zoo.core.test_set import Metrics, ScoreTable, TestSet, group_tables

if TYPE_CHECKING:
    import numpy as np

    from zoo.evaluate.further import Judgement
    from zoo.io.package import Package
    from zoo.predict.predictor import Predictor
    from zoo.predict.result import Result

Progress = Callable[..., None]

JUDGED_EVERY = 3
"""Of so many cases of a test set the uncertainty of one is judged."""

_CHUNK = 16  # frames read at once


class Scores(NamedTuple):
    """Scores for programs and for people."""

    metrics: Metrics
    """Group, condition, metric."""
    tables: list[ScoreTable]
    """The same laid out."""


def scores(
    name: str,
    *,
    source: str | None = None,
    truth: Path | None = None,
    pixel_size_nm: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Scores:
    """Score a package or a table, on files or on the package's frozen test set.

    Parameters
    ----------
    name
        Package, or a ``.csv`` of localizations that is compared with `truth`.
    source, truth
        A recording and its truth, see `score_files`.  Without both, the frozen test set
        is used.
    pixel_size_nm
        Camera pixel, if the recording does not say.
    progress
        Called with what is done and, if it is known, with how much there is.
    **options
        Options of the prediction; None for the package's own.

    Raises
    ------
    BadInput
        If only one of `source` and `truth` is given, or they do not fit together.
    """
    table = Path(name).suffix.lower() == ".csv"
    if table and truth is None:
        raise BadInput(f"{name} is a table; give its truth with --truth FILE")
    if not table and (source is None) != (truth is None):
        missing = "--truth" if truth is None else "--input"
        raise BadInput(f"a recording is scored against its truth; {missing} is missing")
    if truth is not None:
        metrics = score_files(
            name,
            source,
            truth,
            pixel_size_nm=pixel_size_nm,
            progress=progress,
            **options,
        )
        return Scores(metrics, group_tables(metrics))
    from zoo.io.library import open_package

    package = open_package(name)
    test_set = frozen_test_set(package)
    metrics = score_package(package, test_set, progress=progress, **options)
    from zoo.evaluate.further import tables

    return Scores(metrics, tables(test_set, metrics))


def frozen_test_set(package: "Package") -> TestSet:
    """Return the test set that a package was made with.

    Raises
    ------
    BadInput
        If the package was not written by this zoo, and so has none.
    BadPackage
        If its ``recipe.json`` declares a test set that this version does not know.
    """
    if not package.zoo:
        raise BadInput(
            f"{package.name} was not written by this zoo and has no frozen test set; "
            "give --input FILE --truth FILE"
        )
    from zoo import catalog

    path = package.folder / "recipe.json"
    if not path.is_file():
        return catalog.recipe(package.name).test_set
    try:
        declared = json.loads(path.read_text(encoding="utf-8"))["test_set"]
        kinds = {kind.model_fields["kind"].default for kind in TestSet.kinds()}
        if declared["kind"] not in kinds:
            catalog.recipes()  # a recipe may define a kind of its own
        return TestSet.model_validate(declared)
    except (KeyError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise BadPackage(
            f"{path} declares no test set that this version knows ({reason}); "
            "make the package anew with zoo package"
        ) from error


def score_package(
    package: "Package | Path | str",
    test_set: TestSet,
    *,
    engine: str = "auto",
    progress: Progress | None = None,
    **options: Any,
) -> Metrics:
    """Measure a package on a frozen test set.

    Parameters
    ----------
    package
        Package, or where it is.
    test_set
        What it is measured on.
    engine
        Program that runs the network.
    progress
        Called with the number of cases done.
    **options
        Options of the prediction; None for the package's own.

    Returns
    -------
    metrics : dict
        Group, condition, metric, as `test_set` and, for images, `zoo.evaluate.further`
        define them.

    Raises
    ------
    BadInput
        If the package returns nothing that the test set scores.
    """
    from zoo.evaluate.further import (
        invention_metrics,
        judgement,
        uncertainty_metrics,
    )
    from zoo.predict.predictor import Predictor

    stated = {name: value for name, value in options.items() if value is not None}
    wanted = {**test_set.wanted, **stated}
    sure = predictor = Predictor(package, engine=engine, **wanted)
    if test_set.bench() is not None:  # of images
        # it takes as long as the image, and a part of the cases tells what it is worth
        predictor = Predictor(
            package, engine=engine, **{"uncertainty": False, **wanted}
        )
    scored: list[tuple[str, Any]] = []
    judged: list[Judgement] = []
    for number, case in enumerate(test_set.cases()):
        chosen = predictor if number % JUDGED_EVERY else sure
        result = chosen.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        scored.append((case.name, test_set.score(case, result)))
        if (one := judgement(case, result)) is not None:
            judged.append(one)
        if progress is not None:
            progress(len(scored))
    metrics = test_set.metrics(scored) | uncertainty_metrics(judged)
    if test_set.bench() is None:
        return metrics
    return metrics | invention_metrics(predictor, test_set)


def score_files(
    name: str,
    source: str | None,
    truth: Path,
    *,
    pixel_size_nm: float | None = None,
    progress: Progress | None = None,
    **options: Any,
) -> Metrics:
    """Score a table, or what a package makes of a recording, against a file.

    Parameters
    ----------
    name
        Package, or a ``.csv`` of localizations, for which `source` plays no part.
    source
        A recording.
    truth
        A table of emitters (``.csv``), or an image or volume on the output grid for
        every one that the package makes.
    pixel_size_nm
        Camera pixel, if the recording does not say.
    progress
        Called with frames done and frames in all.
    **options
        Options of the prediction; None for the package's own.

    Raises
    ------
    BadInput
        If the files do not fit together.
    """
    from zoo.evaluate.localizations import localization_metrics
    from zoo.io.tables import read_localizations

    if Path(name).suffix.lower() == ".csv":
        return localization_metrics(
            read_localizations(truth), read_localizations(Path(name)), field_nm=None
        )
    if source is None:
        raise BadInput("a recording is scored against its truth; --input is missing")
    from zoo.predict.predictor import Predictor

    stated = {key: value for key, value in options.items() if value is not None}
    predictor = Predictor(name, **stated)
    result = predictor.predict(source, pixel_size_nm=pixel_size_nm, progress=progress)
    if truth.suffix.lower() != ".csv":
        return _image_scores(predictor, result, source, truth, pixel_size_nm)
    if result.localizations is None:
        raise BadInput(
            f"{name} makes images; compare it with an image, not the table {truth}"
        )
    return localization_metrics(
        read_localizations(truth), result.localizations, field_nm=_field_nm(result)
    )


def _field_nm(result: "Result") -> tuple[float, float] | None:
    """Return height and width of the reconstruction; None if there is none."""
    main = result.main
    if main is None or not {"y", "x"} <= set(main.pixel_size_nm):
        return None
    sizes = dict(zip(main.axes, main.array.shape, strict=True))
    return (
        sizes["y"] * main.pixel_size_nm["y"],
        sizes["x"] * main.pixel_size_nm["x"],
    )


def _image_scores(
    predictor: "Predictor",
    result: "Result",
    source: str,
    truth: Path,
    pixel_size_nm: float | None,
) -> Metrics:
    """Score images against those of a file, and say in a line if they do not fit."""
    import numpy as np

    from zoo.evaluate.images import image_metrics
    from zoo.io.stacks import open_stack

    main = result.main
    if main is None:
        raise BadInput(
            f"{predictor.name} makes no images; compare it with a table, not {truth}"
        )
    space = predictor.contract.grid.output_space if "z" in main.axes else "yx"
    images = _as_frames(main.array, main.axes, space)
    with open_stack(truth, channels=None, depth="z" in space) as stack:
        _check_truth(predictor, truth, images.shape, stack)
        target = stack.read(0, stack.frames)
    target = np.reshape(target, images.shape)
    inputs = _inputs(predictor, source, pixel_size_nm)
    if len(images) == 1:  # of all frames together
        inputs = inputs.mean(axis=0, keepdims=True)
    # several outputs of one group were made from the same channels
    inputs = np.repeat(inputs, images.shape[-1] // inputs.shape[-1], axis=-1)
    try:
        return image_metrics(
            images,
            target,
            pixel_size_nm=main.pixel_size_nm.get("x"),
            inputs=inputs if inputs.ndim == images.ndim else None,
            comparable="error_map" in result.images,
        )
    except ValueError as error:
        raise BadInput(f"{truth}: {error}") from error


def _as_frames(array: "np.ndarray", axes: str, space: str) -> "np.ndarray":
    """Return images of any axes as (frame, [z,] y, x, c)."""
    import numpy as np

    outer = [a for a in axes if a not in space and a != "c"]
    for letter in (a for a in f"{space}c" if a not in axes):
        array, axes = np.expand_dims(array, 0), letter + axes
    order = [axes.index(a) for a in (*outer, *space, "c")]
    array = array.transpose(order)
    return array.reshape(-1, *array.shape[len(outer) :])


def _check_truth(
    predictor: "Predictor", truth: Path, shape: tuple[int, ...], stack: Any
) -> None:
    frames, *sides, channels = shape
    known = list(stack.sizes.values())
    if known != sides:
        grid = predictor.contract.grid
        scales = dict.fromkeys(grid.scale(a) for a in "yx" if a in grid.axes)
        raise BadInput(
            f"{truth} has {' x '.join(map(str, known))} px, the prediction "
            f"{' x '.join(map(str, sides))} px; the truth must lie on the output grid, "
            f"{' and '.join(map(str, scales))} times as fine as the recording"
        )
    if (stack.frames, stack.channels) != (frames, channels):
        raise BadInput(
            f"{truth} holds {stack.frames} frames of {stack.channels} channels, "
            f"the prediction {frames} of {channels}; "
            "give one image of the truth for every image that is made"
        )


def _inputs(
    predictor: "Predictor", source: str, pixel_size_nm: float | None
) -> "np.ndarray":
    """Return what images were made from, (frame, [z,] y, x, group).

    Means over the channels that go through the network together.
    """
    import numpy as np

    recording = predictor.contract.input.open(
        source,
        predictor.contract,
        name=predictor.name,
        options=predictor.options.input,
        pixel_size_nm=pixel_size_nm,
    )
    try:
        parts: list[np.ndarray] = []
        for _, frames in recording.chunks(_CHUNK):
            groups = [frames[..., group].mean(axis=-1) for group in recording.groups]
            parts.append(np.stack(groups, axis=-1))
    finally:
        recording.close()
    return np.concatenate(parts)
