"""The tensors of a description: axes, sizes, channels, processing, example files."""

import math
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.axes import AXIS_NAMES
from zoo.core.config import Config
from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.files import sha256
from zoo.core.grid import Axis, Grid

INPUT, OUTPUT = "input", "output"
"""Names of the tensors in every format: the tensor ids of the description."""

SMALLEST = {"z": 8, "y": 64, "x": 64}
"""Least length that other programs are told to use where the network takes any, px;
they try it and the next two, and shorter ones show a network little."""

VOLUME_BYTES = 3 * 10**6
"""Size from which test outputs are too large for a package, where a frame becomes a
volume: the least length is then `VOLUME_PX`, and no halo is told, which a tile would
have to exceed."""
VOLUME_PX = 24
"""Least length that other programs are told for frames that become large volumes, px;
they take frames whole."""

TEST_PX = {"z": 16, "y": 64, "x": 64}
"""Lengths of the test image where the contract declares none, px."""


def input_tensor(contract: Contract, folder: Path) -> dict[str, Any]:
    """Return the entry of the input.

    Raises
    ------
    BadPackage
        If a file is missing, or the format cannot express the contract.
    """
    grid = contract.grid
    return {
        "id": INPUT,
        "description": contract.texts[0],
        "axes": [_input_axis(letter, contract) for letter in grid.input_axes],
        "data": {"type": "float32"},
        **_examples(folder, "input", grid.space),
        "preprocessing": plain(contract.before),
    }


def output_tensor(contract: Contract, folder: Path) -> dict[str, Any]:
    """Return the entry of the output.

    Raises
    ------
    BadPackage
        If a file is missing, or the format cannot express the contract.
    """
    grid = contract.grid
    if "c" not in grid.output_axes:
        raise BadPackage(
            f"an output with the axes {grid.output_axes} has no channel axis, without "
            "which other programs lose it when they tile; add one"
        )
    return {
        "id": OUTPUT,
        "description": contract.texts[1],
        "axes": [_output_axis(letter, contract) for letter in grid.output_axes],
        "data": {"type": "float32"},
        **_examples(folder, "output", grid.output_space),
        "postprocessing": plain(contract.after),
    }


def output_names(contract: Contract) -> tuple[str, ...]:
    """Return the names of the output's channels, the task's own for a single one."""
    names = contract.grid.outputs
    if names == Grid.model_fields["outputs"].default:
        return (contract.task.output_name,)
    return names


def smallest(grid: Grid, letter: str) -> int:
    """Return the least length that other programs are told where none is declared."""
    return VOLUME_PX if _is_large(grid) else SMALLEST[letter]


def test_size(grid: Grid, letter: str) -> int:
    """Return the length of the test image where the contract declares none, px."""
    return VOLUME_PX if _is_large(grid) else TEST_PX[letter]


def told(axis: Axis, grid: Grid) -> Axis:
    """Return an axis as other programs are told of it; see `VOLUME_BYTES`."""
    return axis.override(halo=0) if _is_large(grid) else axis


def _is_large(grid: Grid) -> bool:
    """Say whether the volume of the smallest tile is too large for a package."""
    if not grid.planes or grid.is_fixed:
        return False
    voxels = grid.planes
    for letter, axis in grid.axes.items():
        least = max(2 * (axis.halo or 0) + axis.step, SMALLEST[letter])
        voxels *= axis.scale * least
    return 4 * voxels > VOLUME_BYTES


def free_sizes(axis: Axis, letter: str, least: int | None = None) -> dict[str, int]:
    """Return least length and step that other programs are told, px.

    Examples
    --------
    >>> free_sizes(Axis(step=16, halo=40), "y")
    {'min': 97, 'step': 16}
    """
    shortest = SMALLEST[letter] if least is None else least
    least = max(2 * (axis.halo or 0) + axis.step, shortest, axis.minimum)
    steps = math.ceil((least - axis.minimum) / axis.step)
    return {"min": axis.minimum + steps * axis.step, "step": axis.step}


def stated(value: Any) -> Any:
    """Return a declaration as YAML holds it, without what is unset by default.

    A value None is left out where it is the default of its field, and only there, so
    that validating the result gives the declaration back.
    """
    if isinstance(value, Config):
        fields = type(value).model_fields
        dumped = value.model_dump(mode="json")
        entries: dict[str, Any] = {}
        for name, field in fields.items():
            own = getattr(value, name)
            if own is not None or field.default is not None:
                nested = isinstance(own, (Config, dict))
                entries[name] = stated(own) if nested else plain(dumped[name])
        return entries
    if isinstance(value, dict):
        return {str(key): stated(item) for key, item in value.items()}
    return plain(value)


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


def _examples(folder: Path, end: str, space: str) -> dict[str, Any]:
    """Return test tensor and sample; a tensor without space has no sample image."""
    files = {"test_tensor": file_entry(folder, f"test_{end}.npy")}
    if space:
        files["sample_tensor"] = file_entry(folder, f"sample_{end}.tif")
    return files


def _input_axis(letter: str, contract: Contract) -> dict[str, Any]:
    grid = contract.grid
    if letter == "b":
        return _batch(contract)
    if letter == "c":
        return _channel(grid.channels)
    axis = grid.axes[letter]
    size = contract.declared_size(letter)
    entry: dict[str, Any] = {
        "id": AXIS_NAMES[letter],
        "type": "space",
        "size": free_sizes(told(axis, grid), letter, smallest(grid, letter))
        if size is None
        else size,
        # The specification divides the two scales, the Java library of Fiji and Icy
        # multiplies by the output's alone; f^2 and f mean f to both.
        "scale": float(axis.scale**2),
    }
    if letter in grid.output_axes:
        entry["concatenable"] = True
    return entry


def _output_axis(letter: str, contract: Contract) -> dict[str, Any]:
    grid = contract.grid
    if letter == "b":
        return _batch(contract)
    if letter == "c":
        return _channel(output_names(contract))
    name = AXIS_NAMES[letter]
    if letter not in grid.axes:
        return {"id": name, "type": "space", "size": grid.planes}
    promise = told(grid.axes[letter], grid)
    axis: dict[str, Any] = {
        "id": name,
        "type": "space",
        "size": {"tensor_id": INPUT, "axis_id": name, "offset": 0},
        "scale": float(promise.scale),
    }
    if promise.halo:
        axis["halo"] = promise.halo * promise.scale
    return axis


def _batch(contract: Contract) -> dict[str, Any]:
    if contract.batch not in (None, 1):
        raise BadPackage(
            f"a batch of exactly {contract.batch} cannot be described; the format "
            "knows any or 1"
        )
    entry: dict[str, Any] = {"id": "batch", "type": "batch"}
    return entry if contract.batch is None else entry | {"size": 1}


def _channel(names: tuple[str, ...]) -> dict[str, Any]:
    return {"id": "channel", "type": "channel", "channel_names": list(names)}
