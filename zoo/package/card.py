"""The generated parts of a package's README, as Markdown."""

import math
from typing import Any

from zoo.core.config import Config
from zoo.evaluate.summary import is_image_group
from zoo.package.describe import training_conditions
from zoo.package.source import Source, read_metrics
from zoo.package.tensors import channel_names, fixed_size, processing

_UNITS = {
    "nm": "nm",
    "um": "µm",
    "px": "px",
    "um2": "/µm²",
    "photons": "photons",
    "e": "electrons",
    "adu": "counts",
    "ms": "ms",
    "rad": "rad",
}


def blocks(source: Source) -> dict[str, str]:
    """Return the generated parts by name: tensors, training, scores, made, citation."""
    return {
        "tensors": tensors_table(source),
        "training": f"{training_table(source)}\n\n{made(source)}",
        "made": made(source),
        "conditions": training_table(source),
        "scores": scores(source),
        "citation": citation(source),
    }


def tensors_table(source: Source) -> str:
    """Return what goes in and out: axes, sizes, channels, processing."""
    recipe = source.recipe
    grid = recipe.grid
    before, after = processing(recipe)
    names_in, names_out = channel_names(recipe)
    axes = ", ".join({"b": "batch", "c": "channel"}.get(a, a) for a in grid.axes)
    size = fixed_size(recipe)
    grown = None if size is None else size * grid.scale
    rows = [
        ("axes", axes, axes),
        (
            "height and width",
            _input_size(size, fixed=grid.tile is not None),
            f"{grid.scale} x input" if grown is None else f"{grown} px",
        ),
        ("channels", ", ".join(names_in), ", ".join(names_out)),
        ("type", "float32", "float32"),
        ("processing", _steps(before), _steps(after)),
        (
            "context",
            "whole tile" if grid.tile else f"halo {grid.halo} px",
            "–" if grid.tile else f"halo {grid.halo * grid.scale} px",
        ),
    ]
    overlap = recipe.prediction.get("overlap")
    if grid.tile and overlap:
        rows.append(("tiles", f"overlap {overlap} px in `zoo predict`", "blended"))
    pixel = training_conditions(recipe).get("pixel_size_nm")
    if pixel is not None:
        fine = [value / grid.scale for value in pixel]
        rows.append(("pixel size", f"{_range(pixel)} nm", f"{_range(fine)} nm"))
    return _table(("", "input", "output"), rows)


def training_table(source: Source) -> str:
    """Return the conditions of the training data, one row per number or range."""
    source_fields = type(source.recipe.source).model_fields
    rows = []
    for name, bounds in training_conditions(source.recipe).items():
        words, unit = _words(name)
        words = "NA" if words == "na" else words
        about = _about(source_fields[name].description)
        rows.append((words, f"{_range(bounds)} {unit}".strip(), about))
    for name, choice in _choices(source.recipe.source).items():
        about = _about(source_fields[name].description)
        rows.append((name.replace("_", " "), choice, about))
    return _table(("training condition", "range", "meaning"), rows)


def made(source: Source) -> str:
    """Return how the weights came about, in sentences."""
    run, recipe = source.run, source.recipe
    sentences = [
        f"Recipe `{recipe.name}`, network `{recipe.network.name}`"
        + (
            "."
            if recipe.network.published
            else " (an architecture of this project, not the published one)."
        )
    ]
    if run.get("budget"):
        text = f"Trained with the budget `{run['budget']}`"
        if run.get("samples"):
            text += f": {run['samples']:,} simulated samples"
        if run.get("seconds"):
            text += f" in {_duration(run['seconds'])}"
        sentences.append(f"{text}.")
    if run.get("start"):
        sentences.append(f"It began with the weights of `{run['start']}`.")
    if run.get("backend"):
        version = run.get("keras", "")
        sentences.append(f"Keras {version} with {run['backend']}.".replace("  ", " "))
    if run.get("settings"):
        changes = ", ".join(f"{k}={v}" for k, v in sorted(run["settings"].items()))
        sentences.append(f"Changed from the published recipe: {changes}.")
    start = " --start` those weights" if run.get("start") else "`"
    sentences.append(
        f"Repeat it with `zoo train {recipe.name}{start} and `zoo package`; "
        "`recipe.json` holds every number."
    )
    return " ".join(sentences)


def scores(source: Source) -> str:
    """Return the scores on the frozen test set, one table per group of conditions."""
    metrics = read_metrics(source.folder)
    if metrics is None:
        return "Not scored yet; `zoo evaluate` does."
    images = {k: v for k, v in metrics.items() if is_image_group(v)}
    parts = _image_scores(images) if images else []
    for group, conditions in metrics.items():
        if (
            group in images
            or not isinstance(conditions, dict)
            or not all(isinstance(row, dict) for row in conditions.values())
        ):
            continue
        columns = list(dict.fromkeys(k for row in conditions.values() for k in row))
        columns = [
            name
            for name in columns
            if any(
                isinstance(row.get(name), (int, float)) for row in conditions.values()
            )
        ]
        rows = [
            (condition, *(_number(row.get(name)) for name in columns))
            for condition, row in conditions.items()
        ]
        parts.append(_table((group, *(_heading(name) for name in columns)), rows))
    rows = []
    for bound in source.recipe.acceptance:
        limits = []
        if bound.at_least is not None:
            limits.append(f"at least {bound.at_least:g}")
        if bound.at_most is not None:
            limits.append(f"at most {bound.at_most:g}")
        value = find_metric(metrics, bound.metric)
        held = "yes" if value is not None and bound.holds(value) else "no"
        rows.append((bound.metric, " and ".join(limits), _number(value), held))
    if rows:
        parts.append(_table(("required of this package", "", "measured", "held"), rows))
    return "\n\n".join(parts)


def citation(source: Source) -> str:
    """Return the publication to cite, with its DOI as a link."""
    paper = source.recipe.network.paper
    return f"{paper.citation} [doi:{paper.doi}](https://doi.org/{paper.doi})"


def find_metric(metrics: dict[str, Any], path: str) -> float | None:
    """Return the score that a threshold names as ``group/condition/name``.

    Examples
    --------
    >>> find_metric({"density": {"3": {"jaccard": 0.9}}}, "density/3/jaccard")
    0.9
    """
    value: Any = metrics
    for key in path.split("/"):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return float(value) if isinstance(value, (int, float)) else None


_CONDITIONS = {
    "all": "all signal levels",
    "below_100": "below 100 photons",
    "above_100": "above 100 photons",
}
_IMAGE_FIGURES = {
    "psnr": "PSNR [dB]",
    "ssim": "SSIM",
    "ms_ssim": "MS-SSIM",
    "nrmse": "NRMSE",
}
_METHODS = {
    "bicubic": "bicubic",
    "richardson_lucy": "Richardson-Lucy",
    "wiener": "Wiener",
    "wiener_estimated": "Wiener, estimated stripes",
}
_ONLY = {"wiener_estimated": ("psnr", "ssim")}
"""Figures by which a method is shown, if not by all: tables stay readable."""


def _image_scores(groups: dict[str, Any]) -> list[str]:
    """Return a table of structures for each range of signal levels, and PSNR by level.

    A figure of the network stands beside that of the classical methods.
    """
    parts = []
    for condition, words in _CONDITIONS.items():
        scored = {g: c[condition] for g, c in groups.items() if condition in c}
        columns = _image_columns(scored)
        rows = [
            (group, *(_number(row.get(name)) for name in columns))
            for group, row in scored.items()
        ]
        if rows:
            parts.append(_table((words, *columns.values()), rows))
    levels = list(
        dict.fromkeys(level for c in groups.values() for level in c if _is_level(level))
    )
    rows = [
        (group, *(_number(conditions.get(level, {}).get("psnr")) for level in levels))
        for group, conditions in groups.items()
    ]
    if levels:
        parts.append(_table(("PSNR [dB] by photons", *levels), rows))
    return parts


def _image_columns(scored: dict[str, Any]) -> dict[str, str]:
    """Return the figures that are there and their headings, in the order of a table."""
    wanted: dict[str, str] = {}
    for figure, words in _IMAGE_FIGURES.items():
        wanted[figure] = words
        for method, name in _METHODS.items():
            if figure in _ONLY.get(method, _IMAGE_FIGURES):
                wanted[f"{figure}_{method}"] = name
    wanted["resolution_nm"] = "resolution [nm]"
    wanted |= {"rsp": "RSP", "rse": "RSE"}
    there = {
        name
        for row in scored.values()
        for name, value in row.items()
        if isinstance(value, (int, float))
    }
    return {name: words for name, words in wanted.items() if name in there}


def _is_level(condition: str) -> bool:
    return condition.replace(".", "", 1).isdigit()


def _about(description: str | None) -> str:
    """Return the first statement about a field, on one line as tables need it."""
    return " ".join((description or "").split(";")[0].rstrip(".").split())


def _choices(source: Config) -> dict[str, str]:
    """Return what a source offers by name, such as the structures that it shows."""
    return {
        name: ", ".join(value)
        for name in type(source).model_fields
        if isinstance(value := getattr(source, name), tuple)
        and value
        and all(isinstance(item, str) for item in value)
    }


def _input_size(size: int | None, *, fixed: bool) -> str:
    if size is None:
        return "free"
    return f"{size} px, fixed" if fixed else f"{size} px; the files take any"


def _words(name: str) -> tuple[str, str]:
    """Split a field name into words and the unit that ends it."""
    word, _, unit = name.partition("_per_")
    if unit in _UNITS:
        return word.replace("_", " "), _UNITS[unit]
    word, _, unit = name.rpartition("_")
    if word and unit in _UNITS:
        return word.replace("_", " "), _UNITS[unit]
    return name.replace("_", " "), "photons" if name == "photons" else ""


def _heading(name: str) -> str:
    words, unit = _words(name)
    return f"{words} [{unit}]" if unit else words


def _steps(operations: list[Any]) -> str:
    described = []
    for operation in operations:
        kwargs = operation.get("kwargs") or {}
        shown = ", ".join(
            f"{key} {' '.join(map(str, v)) if isinstance(v, list) else _short(v)}"
            for key, v in kwargs.items()
            if key != "eps"
        )
        described.append(f"`{operation['id']}`" + (f" ({shown})" if shown else ""))
    return ", then ".join(described) or "none"


def _short(value: Any) -> str:
    if isinstance(value, (int, float)):
        return f"{int(value):,}" if value == int(value) else f"{value:g}"
    return str(value)


def _range(bounds: list[Any]) -> str:
    low, high = bounds
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def _number(value: Any) -> str:
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, float) and not math.isfinite(value):
        return "–"
    if value == int(value) and abs(value) < 1e9:
        return str(int(value))
    return f"{value:.3g}"


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} seconds"
    if seconds < 5400:
        return f"{seconds / 60:.0f} minutes"
    return f"{seconds / 3600:.1f} hours"


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
