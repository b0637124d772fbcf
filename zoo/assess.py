"""Scores of a package: on its frozen test set, or on a recording with its truth."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations

Progress = Callable[..., None]


def scores(
    name: str,
    *,
    source: str | None = None,
    truth: Path | None = None,
    pixel_size_nm: float | None = None,
    threshold: float | None = None,
    progress: Progress | None = None,
) -> dict[str, Any]:
    """Score a package, or a table of localizations.

    Parameters
    ----------
    name
        Package, or a ``.csv`` of localizations that is compared with `truth`.
    source, truth
        A recording and what is true about it: a table of emitters or an image on the
        output grid.  Without both, the package's frozen test set is used.
    pixel_size_nm
        Camera pixel, if the recording does not say.
    threshold
        Smallest accepted response, if not the package's own.
    progress
        Called with frames done and frames in all.

    Returns
    -------
    metrics : dict
        Group, condition, figure.

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
    progress: Progress | None,
) -> dict[str, Any]:
    import zoo
    from zoo.io.tables import read_localizations

    model = zoo.load(name, threshold=threshold)
    result = model.predict(source, pixel_size_nm=pixel_size_nm, progress=progress)
    if truth.suffix.lower() != ".csv":
        return {"image": {truth.name: _compare_images(result.image, truth)}}
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


def _compare_images(image: Any, truth: Path) -> dict[str, float]:
    import numpy as np

    from zoo.evaluate.images import score
    from zoo.io.stacks import open_stack

    with open_stack(truth) as stack:
        if stack.frames != 1:
            raise BadInput(f"{truth} must hold one image, not {stack.frames}")
        target = stack.read(0, 1)[0, ..., 0]
    found = np.squeeze(np.asarray(image))
    if found.shape != target.shape:
        raise BadInput(
            f"{truth} has {target.shape} px, the prediction {found.shape}; "
            "the truth must lie on the output grid"
        )
    return score(found, target)
