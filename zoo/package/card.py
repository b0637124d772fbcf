"""The generated parts of a package's README, as Markdown."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from zoo.core.axes import AXIS_NAMES
from zoo.core.config import Config
from zoo.core.contract import Contract, Range, conditions
from zoo.core.names import label
from zoo.core.network import Network
from zoo.core.test_set import find_metric
from zoo.evaluate.further import tables
from zoo.package import own_card
from zoo.package.acceptance import bounds_of
from zoo.package.tensors import output_names
from zoo.package.trained import Trained, read_metrics

_LENGTHS = {"z": "depth", "y": "height", "x": "width"}


def blocks(trained: Trained) -> dict[str, str]:
    """Return the generated parts by name: tensors, training, scores, made, citation."""
    recipe = trained.recipe
    return {
        "tensors": tensors_table(recipe.promise),
        "training": f"{training_table(recipe.source)}\n\n{made(trained)}",
        "made": made(trained),
        "conditions": training_table(recipe.source),
        "scores": scores(trained),
        "citation": citation(recipe.network),
        **own_card.blocks(trained),
    }


def tensors_table(contract: Contract) -> str:
    """Return what goes in and out: axes, sizes, channels, processing."""
    grid = contract.grid
    rows = [
        ("axes", _axis_names(grid.input_axes), _axis_names(grid.output_axes)),
        *_size_rows(contract),
        ("channels", ", ".join(grid.channels), ", ".join(output_names(contract))),
        ("type", "float32", "float32"),
        ("processing", _steps(contract.before), _steps(contract.after)),
        *_context_rows(contract),
    ]
    pixel = contract.training.get("pixel_size_nm")
    if pixel is not None:
        scale = grid.scale("y")
        fine = f"{_range((pixel[0] / scale, pixel[1] / scale))} nm"
        rows.append(
            ("pixel size", f"{_range(pixel)} nm", fine if grid.output_space else "–")
        )
    return _table(("", "input", "output"), rows)


def training_table(source: Config) -> str:
    """Return the conditions of the training data, one row per number or range."""
    fields = type(source).model_fields
    rows = []
    for name, bounds in conditions(source).items():
        words, unit = label(name)
        about = _about(fields[name].description)
        rows.append((words, f"{_range(bounds)} {unit}".strip(), about))
    for name, choice in _choices(source).items():
        about = _about(fields[name].description)
        rows.append((label(name)[0], choice, about))
    return _table(("training condition", "range", "meaning"), rows)


def made(trained: Trained) -> str:
    """Return how the weights came about, in sentences."""
    run, recipe = trained.run, trained.recipe
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
        sentences.append(_beginning(run))
    if run.get("backend"):
        version = run.get("keras", "")
        sentences.append(f"Keras {version} with {run['backend']}.".replace("  ", " "))
    if run.get("settings"):
        changes = ", ".join(f"{k}={v}" for k, v in sorted(run["settings"].items()))
        sentences.append(f"Changed from the published recipe: {changes}.")
    start = " --start` those weights" if run.get("start") else "`"
    again = f"`zoo train {recipe.name}{start} and `zoo package`"
    if trained.own is not None:
        again = own_card.repeat(trained)
    sentences.append(f"Repeat it with {again}; `recipe.json` holds every number.")
    return " ".join(sentences)


def _beginning(run: Mapping[str, Any]) -> str:
    """Return what weights a training began with."""
    hashes = str(run.get("start_sha256", "")).split(", ")
    if len(hashes) == 1:
        return f"It began with the weights of `{run['start']}`."
    which = ", ".join(each[:8] for each in hashes)
    return f"It began with the mean of the weights of `{run['start']}` ({which})."


def scores(trained: Trained) -> str:
    """Return the scores on the frozen test set, laid out as the test set says."""
    metrics = read_metrics(trained.folder)
    if metrics is None:
        return "Not scored yet; `zoo evaluate` does."
    parts = [
        _table(
            (table.corner, *table.columns.values()),
            [
                (condition, *(_number(row.get(name)) for name in table.columns))
                for condition, row in table.rows.items()
            ],
        )
        for table in tables(trained.recipe.test_set, metrics)
    ]
    rows = []
    for bound in bounds_of(trained.recipe, metrics):
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


def citation(network: Network) -> str:
    """Return the publication to cite, with its DOI as a link."""
    paper = network.paper
    return f"{paper.citation} [doi:{paper.doi}](https://doi.org/{paper.doi})"


def _axis_names(axes: str) -> str:
    return ", ".join(AXIS_NAMES[letter] for letter in axes)


def _alike(contract: Contract) -> list[str]:
    """Return the letters of space in the input, equal promises together."""
    groups: dict[Any, str] = {}
    for letter in contract.grid.space:
        key = (
            contract.grid.axes[letter].model_dump_json(),
            contract.declared_size(letter),
            letter in contract.grid.output_axes,
        )
        groups[key] = groups.get(key, "") + letter
    return list(groups.values())


def _size_rows(contract: Contract) -> list[tuple[str, str, str]]:
    """Return lengths along the axes of space, one row for those that are alike."""
    grid = contract.grid
    rows = []
    for letters in _alike(contract):
        axis, size = grid.axes[letters[0]], contract.declared_size(letters[0])
        if letters[0] not in grid.output_axes:
            outcome = "–"
        elif size is None:
            outcome = f"{axis.scale} x input"
        else:
            outcome = f"{size * axis.scale} px"
        if size is None:
            taken = "free"
        elif axis.size is None:
            taken = f"{size} px; the files take any"
        else:
            taken = f"{size} px, fixed"
        rows.append((" and ".join(_LENGTHS[a] for a in letters), taken, outcome))
    if grid.planes:
        step = getattr(contract.task, "z_step_nm", None)
        apart = f", {step:.4g} nm apart" if step else ""
        rows.append((_LENGTHS["z"], "–", f"{grid.planes} planes{apart}"))
    return rows


def _context_rows(contract: Contract) -> list[tuple[str, str, str]]:
    """Return how far the network looks, and how tiles of it are joined."""
    grid = contract.grid
    rows = []
    for letters in _alike(contract):
        axis = grid.axes[letters[0]]
        of = f" along {' and '.join(letters)}" if letters != grid.space else ""
        if axis.size is not None:
            rows.append((f"context{of}", "whole tile", "–"))
        elif axis.halo is not None:
            halo = f"halo {axis.halo * axis.scale} px"
            rows.append((f"context{of}", f"halo {axis.halo} px", halo))
        if axis.overlap:
            overlap = f"overlap {axis.overlap} px in `zoo predict`"
            rows.append((f"tiles{of}", overlap, "blended"))
    return rows


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


def _steps(operations: Sequence[Any]) -> str:
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


def _range(bounds: Range) -> str:
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


def _table(header: tuple[str, ...], rows: Sequence[tuple[Any, ...]]) -> str:
    lines = [header, tuple("---" for _ in header), *rows]
    return "\n".join(f"| {' | '.join(str(cell) for cell in line)} |" for line in lines)
