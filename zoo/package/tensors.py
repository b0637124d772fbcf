"""The tensors of a description: axes, sizes, channels, processing, example files."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.axes import AXIS_NAMES
from zoo.core.config import Config
from zoo.core.errors import BadPackage
from zoo.core.processing import Operation
from zoo.core.recipe import Recipe
from zoo.package.archive import sha256
from zoo.package.export import INPUT, OUTPUT

PREPROCESSING: tuple[Operation, ...] = (
    {
        "id": "scale_range",
        "kwargs": {
            "axes": ["y", "x", "channel"],
            "min_percentile": 0.0,
            "max_percentile": 100.0,
            "eps": 1e-6,
        },
    },
)
"""Scaling to [0, 1] by the extremes, which every consumer computes alike; a recipe
may declare other steps as ``prediction["preprocessing"]``."""
POSTPROCESSING: dict[str, tuple[Operation, ...]] = {
    "density": ({"id": "clip", "kwargs": {"min": 0.0, "max": 1e6}},),
    "image": ({"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},),
    "parameters": (),
}
"""Removal of what cannot be, by task: negative densities, values beyond the targets of
an image; ``prediction["postprocessing"]`` replaces it."""

_TENSOR_TEXT = {
    "density": ("Camera frame, counts", "Density of emitters on the fine grid"),
    "image": ("Image as acquired", "Restored image"),
    "parameters": ("Region around one emitter", "Parameters of the emitter"),
}
_CHANNEL = {"density": "density", "image": "intensity", "parameters": "value"}


def fixed_size(recipe: Recipe) -> int | None:
    """Return the input height and width that a package declares, if fixed, px."""
    return recipe.grid.tile or recipe.prediction.get("tile")


def channel_names(recipe: Recipe) -> tuple[list[str], list[str]]:
    """Return the names of the input's and of the output's channels."""
    grid = recipe.grid
    names = []
    for key, count, single in (
        ("input_channels", grid.channels, "intensity"),
        ("output_channels", grid.outputs, _CHANNEL[recipe.network.task]),
    ):
        given = recipe.prediction.get(key)
        if given is None:
            given = (
                [single]
                if count == 1
                else [f"{single}_{number}" for number in range(1, count + 1)]
            )
        if len(given) != count:
            raise BadPackage(
                f"{recipe.name}: {key} names {len(given)} channels, "
                f"the network has {count}"
            )
        names.append(list(given))
    return names[0], names[1]


def processing(recipe: Recipe) -> tuple[list[Operation], list[Operation]]:
    """Return the declared steps before and after the network."""
    before = recipe.prediction.get("preprocessing", PREPROCESSING)
    after = recipe.prediction.get("postprocessing", POSTPROCESSING[recipe.network.task])
    return plain(list(before)), plain(list(after))


def input_tensor(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Return the entry of the input."""
    before, _ = processing(recipe)
    names, _ = channel_names(recipe)
    text = recipe.prediction.get("input_text", _TENSOR_TEXT[recipe.network.task][0])
    return {
        "id": INPUT,
        "description": text,
        "axes": [_input_axis(letter, recipe, names) for letter in _axes(recipe)],
        "data": {"type": "float32"},
        "test_tensor": file_entry(folder, "test_input.npy"),
        "sample_tensor": file_entry(folder, "sample_input.tif"),
        "preprocessing": before,
    }


def output_tensor(recipe: Recipe, folder: Path) -> dict[str, Any]:
    """Return the entry of the output."""
    _, after = processing(recipe)
    _, names = channel_names(recipe)
    text = recipe.prediction.get("output_text", _TENSOR_TEXT[recipe.network.task][1])
    return {
        "id": OUTPUT,
        "description": text,
        "axes": [_output_axis(letter, recipe, names) for letter in _axes(recipe)],
        "data": {"type": "float32"},
        "test_tensor": file_entry(folder, "test_output.npy"),
        "sample_tensor": file_entry(folder, "sample_output.tif"),
        "postprocessing": after,
    }


def file_entry(folder: Path, name: str) -> dict[str, str]:
    """Return a file of a package with its hash.

    Raises
    ------
    BadPackage
        If it is missing.
    """
    path = folder / name
    if not path.is_file():
        raise BadPackage(f"{folder} holds no {name}; the description names it")
    return {"source": name, "sha256": sha256(path)}


def plain(value: Any) -> Any:
    """Return only what YAML writes without tags: lists, dicts, numbers, strings."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, Config):
        return plain(value.model_dump(mode="json"))
    if isinstance(value, np.generic):
        return value.item()
    return value


def _axes(recipe: Recipe) -> str:
    axes = recipe.grid.axes
    if sorted(axes) != sorted("byxc"):
        raise BadPackage(
            f"{recipe.network.name} has the axes {axes}; packages are written for "
            "batch, y, x and channel, with depth as named channels"
        )
    return axes


def _input_axis(letter: str, recipe: Recipe, names: list[str]) -> dict[str, Any]:
    name = AXIS_NAMES[letter]
    if letter == "b":
        return {"id": name, "type": "batch"}
    if letter == "c":
        return {"id": name, "type": "channel", "channel_names": names}
    grid = recipe.grid
    size: Any = fixed_size(recipe)
    if size is None:
        least = max(2 * grid.halo + grid.step, 64)
        size = {"min": math.ceil(least / grid.step) * grid.step, "step": grid.step}
    elif size % grid.step or size <= 2 * grid.halo:
        raise BadPackage(
            f"{recipe.name}: the declared tile of {size} px must be a multiple of "
            f"{grid.step} px and larger than twice the halo of {grid.halo} px"
        )
    # The specification divides the two scales, the Java library of Fiji and Icy
    # multiplies by the output's alone; f^2 and f mean f to both.
    return {
        "id": name,
        "type": "space",
        "size": size,
        "scale": float(grid.scale**2),
        "concatenable": True,
    }


def _output_axis(letter: str, recipe: Recipe, names: list[str]) -> dict[str, Any]:
    name = AXIS_NAMES[letter]
    if letter == "b":
        return {"id": name, "type": "batch"}
    if letter == "c":
        return {"id": name, "type": "channel", "channel_names": names}
    grid = recipe.grid
    axis: dict[str, Any] = {
        "id": name,
        "type": "space",
        "size": {"tensor_id": INPUT, "axis_id": name, "offset": 0},
        "scale": float(grid.scale),
    }
    if grid.halo:
        axis["halo"] = grid.halo * grid.scale
    return axis
