"""Scores of a package: on its frozen test set, or on a recording with its truth."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations

if TYPE_CHECKING:
    from zoo.predict.predictor import Predictor, Result

Progress = Callable[..., None]


def scores(
    name: str,
    *,
    source: str | None = None,
    truth: Path | None = None,
    pixel_size_nm: float | None = None,
    threshold: float | None = None,
    frame_order: str | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a package, or a table of localizations.

    Parameters
    ----------
    name
        Package, or a ``.csv`` of localizations that is compared with `truth`.
    source, truth
        A recording and what is true about it: a table of emitters, or an image on the
        output grid for every image that the package makes.  Without both, the
        package's frozen test set is used.
    pixel_size_nm
        Camera pixel, if the recording does not say.
    threshold
        Smallest accepted response, if not the package's own.
    frame_order
        Order of raw frames in the recording, if not the package's own.
    progress
        Called with frames done and frames in all.

    Returns
    -------
    metrics : dict
        Group, condition, figure; for images those of
        `zoo.evaluate.movies.image_metrics`.

    Raises
    ------
    BadInput
        If only one of `source` and `truth` is given, or they do not fit together.
    """
    if Path(name).suffix.lower() == ".csv":
        if truth is None:
            raise BadInput(f"{name} is a table; give its truth with --truth FILE")
        return _compare_tables(Path(name), truth)
    if (source is None) != (truth is None):
        missing = "--truth" if truth is None else "--input"
        raise BadInput(f"a recording is scored against its truth; {missing} is missing")
    if source is None or truth is None:
        return _frozen(name)
    return _recording(
        name,
        source,
        truth,
        pixel_size_nm=pixel_size_nm,
        threshold=threshold,
        frame_order=frame_order,
        progress=progress,
    )


def _frozen(name: str) -> dict[str, Any]:
    from zoo import catalog
    from zoo.io.packages import open_package
    from zoo.package.score import score_package

    package = open_package(name)
    if not package.zoo:
        raise BadInput(
            f"{name} was not written by this zoo and has no frozen test set; "
            "give --input FILE --truth FILE"
        )
    return score_package(package, catalog.recipe(package.name))


def _recording(
    name: str,
    source: str,
    truth: Path,
    *,
    pixel_size_nm: float | None,
    threshold: float | None,
    frame_order: str | None,
    progress: Progress | None,
) -> dict[str, Any]:
    import zoo
    from zoo.io.tables import read_localizations

    model = zoo.load(
        name, threshold=threshold, frame_order=frame_order, error_map=False
    )
    result = model.predict(source, pixel_size_nm=pixel_size_nm, progress=progress)
    if truth.suffix.lower() != ".csv":
        return _compare_images(model, result, source, truth, frame_order=frame_order)
    if result.localizations is None:
        raise BadInput(
            f"{name} makes images; compare it with an image, not the table {truth}"
        )
    grid = result.report["output"]
    field = tuple(grid[side] * grid["pixel_size_nm"] for side in ("height", "width"))
    return localization_metrics(
        read_localizations(truth), result.localizations, field_nm=(field[0], field[1])
    )


def localization_metrics(
    truth: Localizations, found: Localizations, *, field_nm: tuple[float, float] | None
) -> dict[str, Any]:
    """Return the challenge's scores, the recall in bins and the FRC of a table.

    Parameters
    ----------
    truth, found
        Tables in the same coordinates.
    field_nm
        ``(height, width)`` of the field.  Without it nothing is known about the
        border, and nothing is left out at it.
    """
    import numpy as np

    from zoo.evaluate import localizations as metrics
    from zoo.evaluate.resolution import frc_localizations_nm

    border = metrics.BORDER_NM
    if field_nm is None:
        border = 0.0
        far = [max(t.max(initial=1.0) for t in c) for c in _coordinates(truth, found)]
        field_nm = (far[0], far[1])
    elif 2 * border >= min(field_nm):
        border = 0.0
    all_scores = metrics.score(truth, found, field_nm=field_nm, border_nm=border)
    all_scores["frc_nm"] = frc_localizations_nm(found, field_nm=field_nm)
    grouped: dict[str, Any] = {"localizations": {"all": all_scores}}
    inside = metrics.inside(truth, field_nm=field_nm, border_nm=border)
    kept = truth.select(inside)
    seen = metrics.detected_rows(kept, metrics.match(kept, found))
    # those beyond the border are neighbours, too; nobody is farther than a metre
    neighbours = np.minimum(metrics.nearest_neighbour_nm(truth)[inside], 1e9)
    grouped["recall by distance to the next emitter"] = _bins(
        metrics.recall_by(neighbours, seen, edges=[0, 100, 200, 300, 500, np.inf]), "nm"
    )
    if kept.photons is not None and len(kept):
        edges = np.unique(np.quantile(kept.photons, [0, 0.25, 0.5, 0.75, 1]))
        edges[-1] = np.nextafter(edges[-1], np.inf)
        if len(edges) > 1:
            grouped["recall by photons"] = _bins(
                metrics.recall_by(kept.photons, seen, edges=edges.tolist()), "photons"
            )
    return grouped


def _coordinates(*tables: Localizations) -> tuple[list[Any], list[Any]]:
    return [t.y_nm for t in tables], [t.x_nm for t in tables]


def _bins(bins: list[dict[str, float]], unit: str) -> dict[str, Any]:
    def name(entry: dict[str, float]) -> str:
        if entry["high"] == float("inf"):
            return f"{entry['low']:.0f} {unit} and more"
        return f"{entry['low']:.0f} to {entry['high']:.0f} {unit}"

    return {
        name(entry): {"emitters": entry["emitters"], "recall": entry["recall"]}
        for entry in bins
        if entry["emitters"]
    }


def _compare_tables(found: Path, truth: Path) -> dict[str, Any]:
    from zoo.io.tables import read_localizations

    return localization_metrics(
        read_localizations(truth), read_localizations(found), field_nm=None
    )


def _compare_images(
    model: "Predictor",
    result: "Result",
    source: str,
    truth: Path,
    *,
    frame_order: str | None,
) -> dict[str, Any]:
    """Score images against those of a file, and say in a line if they do not fit."""
    from zoo.evaluate.movies import image_metrics
    from zoo.io.stacks import open_stack
    from zoo.predict.reference import why_no_error_map

    images = _movie(result)
    frames, *size, channels = images.shape
    with open_stack(truth, channels=None) as stack:
        if [stack.height, stack.width] != size:
            raise BadInput(
                f"{truth} has {stack.height} x {stack.width} px, the prediction "
                f"{size[0]} x {size[1]} px; the truth must lie on the output grid, "
                f"{model.contract.scale} times as fine as the recording"
            )
        if (stack.frames, stack.channels) != (frames, channels):
            raise BadInput(
                f"{truth} holds {stack.frames} frames of {stack.channels} channels, "
                f"the prediction {frames} of {channels}; "
                "give one image of the truth for every image that is made"
            )
        target = stack.read(0, stack.frames)
    inputs, pixel_nm = _inputs(model, result, source, frame_order)
    comparable = result.task == "image" and (
        why_no_error_map(model.contract, pixel_nm) is None
    )
    try:
        return image_metrics(
            images,
            target,
            pixel_size_nm=result.pixel_size_nm,
            inputs=inputs,
            comparable=comparable,
        )
    except ValueError as error:
        raise BadInput(f"{truth}: {error}") from error


def _movie(result: "Result") -> Any:
    """Return the images of a result with all four axes, (t, y, x, c)."""
    import numpy as np

    images = np.asarray(result.image)
    missing = [k for k, axis in enumerate("tyxc") if axis not in result.image_axes]
    return np.expand_dims(images, tuple(missing))


def _inputs(
    model: "Predictor", result: "Result", source: str, frame_order: str | None
) -> tuple[Any, float | None]:
    """Return what each image was made from, (t, y, x, c), and the camera pixel, nm."""
    import numpy as np

    from zoo.predict.recording import open_recording

    if result.task != "image":
        return result.preview_source[None, ..., None], None
    recording = open_recording(
        source, model.contract, name=model.name, frame_order=frame_order
    )
    camera_nm = result.pixel_size_nm and result.pixel_size_nm * model.contract.scale
    with recording.stack as stack:
        frames = recording.read(0, stack.frames)
    # several outputs of one group were made from the same channels
    outputs = _movie(result).shape[-1] // len(recording.groups)
    means = [frames[..., group].mean(axis=-1) for group in recording.groups]
    return np.stack([m for m in means for _ in range(outputs)], axis=-1), camera_nm
