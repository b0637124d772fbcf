"""What a package promises about its tensors, read from its description.

Packages of this zoo say everything in ``config.superres_zoo``; for those of other
programs the same is worked out from the tensors of ``rdf.yaml``, formats 0.5 and 0.4.
"""

import math
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from pydantic import ValidationError

from zoo.core.config import one_line
from zoo.core.contract import Contract, Input, Task
from zoo.core.errors import BadPackage
from zoo.core.grid import SPACE
from zoo.inputs.frames import Frames
from zoo.inputs.regions import Regions
from zoo.io.description import Tensor, axis_letters
from zoo.io.package import Package
from zoo.tasks.image import ImageRestoration
from zoo.tasks.parameters import Parameters

VERSION = 2
"""Version of ``config.superres_zoo`` that is read."""


def read_contract(package: Package) -> Contract:
    """Read what a package promises.

    Raises
    ------
    BadPackage
        If it has several inputs or outputs, its section for this zoo holds something
        unknown or contradicts its tensors, or another program's tensors are neither
        images, volumes nor parameters of emitters.
    """
    name = package.name
    for kind, tensors in (("input", package.inputs), ("output", package.outputs)):
        if len(tensors) != 1:
            raise BadPackage(
                f"{name} has {len(tensors)} {kind} tensors; "
                "packages with one input and one output can be run"
            )
    axes: list[str] = []
    for kind, tensors in (("input", package.inputs), ("output", package.outputs)):
        try:
            axes.append(axis_letters(tensors[0]))
        except ValueError as error:
            raise BadPackage(f"{name}, {kind} tensor: {error}") from error
    if package.zoo:
        values = _ours(package.zoo, name)
    else:
        values = _foreign(package.inputs[0], package.outputs[0], axes, name)
    values |= {
        "preprocessing": tuple(package.inputs[0].get("preprocessing") or ()),
        "postprocessing": tuple(package.outputs[0].get("postprocessing") or ()),
    }
    try:
        contract = Contract.model_validate(values)
    except (ValidationError, ValueError) as error:
        text = one_line(error) if isinstance(error, ValidationError) else str(error)
        raise BadPackage(f"{name} promises what cannot be kept: {text}") from error
    stated = [contract.grid.input_axes, contract.grid.output_axes]
    if stated != axes:
        raise BadPackage(
            f"{name} has tensors {' and '.join(axes)}, its section for this zoo says "
            f"{' and '.join(stated)}; get the package again"
        )
    return contract


def _ours(section: Mapping[str, Any], name: str) -> dict[str, Any]:
    """Return the contract that ``config.superres_zoo`` holds."""
    version = section.get("version")
    if version != VERSION:
        age = (
            "an earlier"
            if isinstance(version, int) and version < VERSION
            else "another"
        )
        raise BadPackage(
            f"{name} was written by {age} version; make it anew with zoo package"
        )
    if not isinstance(section.get("contract"), Mapping):
        raise BadPackage(
            f"{name} holds no contract in config.superres_zoo; get the package again"
        )
    return dict(section["contract"])


def _foreign(
    source: Tensor, target: Tensor, axes: list[str], name: str
) -> dict[str, Any]:
    """Work out a contract from the tensors of any description."""
    for kind, letters in zip(("input", "output"), axes, strict=True):
        vector = kind == "output" and set(letters) == {"b", "c"}
        if not vector and not {"b", "y", "x"} <= set(letters) <= set("bzyxc"):
            raise BadPackage(
                f"{name} has an {kind} tensor with axes {letters}; images and volumes "
                "(b, z, y, x and c) can be run"
            )
    inputs, outputs = (
        dict(zip(letters, tensor["axes"], strict=True))
        for letters, tensor in zip(axes, (source, target), strict=True)
    )
    space = [letter for letter in SPACE if letter in inputs]
    scales = dict.fromkeys(space, 1)
    planes = None
    if set(outputs) & set(SPACE):
        scales = _scales(inputs, outputs, space, name)
        if "z" in outputs and "z" not in inputs:
            planes = outputs["z"].get("size")
            if not isinstance(planes, int):
                raise BadPackage(f"{name} does not say how many planes its output has")
    grid = {
        "input_axes": axes[0],
        "output_axes": axes[1],
        "axes": {
            letter: _axis(inputs[letter], outputs.get(letter), scales[letter])
            for letter in space
        },
        "planes": planes,
        "channels": _channels(inputs.get("c")),
        "outputs": _channels(outputs.get("c")),
    }
    return {
        "grid": grid,
        "batch": inputs["b"].get("size"),
        **_meaning(grid, vector=set(axes[1]) == {"b", "c"}, name=name),
    }


def _meaning(
    grid: Mapping[str, Any], *, vector: bool, name: str
) -> dict[str, Input | Task]:
    """Return input and task of a package that does not state them."""
    if not vector:
        return {"input": Frames(), "task": ImageRestoration()}
    try:
        task = Parameters(columns=grid["outputs"])
    except ValidationError as error:
        raise BadPackage(
            f"{name} gives numbers called {', '.join(grid['outputs'])}, not an image; "
            "only those that are columns of a table of localizations are understood"
        ) from error
    return {"input": Regions(), "task": task}


def _scales(
    inputs: Mapping[str, Any], outputs: Mapping[str, Any], space: list[str], name: str
) -> dict[str, int]:
    """Return output pixels per input pixel for every letter."""
    scales: dict[str, int] = {}
    for letter in space:
        ratio = None
        if letter in outputs:
            ratio = _enlargement(inputs[letter], outputs[letter])
        if ratio is None or ratio.denominator != 1 or ratio < 1:
            shown = "an unknown factor" if ratio is None else str(ratio)
            raise BadPackage(
                f"{name} enlarges an image by {shown} along {letter}; a whole number "
                "is needed"
            )
        scales[letter] = int(ratio)
    return scales


def _axis(
    source: Mapping[str, Any], target: Mapping[str, Any] | None, scale: int
) -> dict[str, Any]:
    """Return what a network promises along one letter."""
    halo = None if target is None else target.get("halo")
    stated: dict[str, Any] = {
        "scale": scale,
        "halo": None if halo is None else math.ceil(int(halo) / scale),
    }
    size = source.get("size")
    if isinstance(size, int):
        return stated | {"size": size}
    size = size or {}
    return stated | {
        "step": max(int(size.get("step") or 1), 1),
        "minimum": max(int(size.get("min") or 1), 1),
    }


def _enlargement(
    source: Mapping[str, Any], target: Mapping[str, Any]
) -> Fraction | None:
    """Return output pixels per input pixel along an axis, None if it is unclear."""
    size, of_source = target.get("size"), source.get("size")
    if isinstance(size, int):
        return Fraction(size, of_source) if isinstance(of_source, int) else None
    if not isinstance(size, Mapping) or size.get("offset"):
        return None
    ratio = Fraction(source.get("scale", 1)) / Fraction(target.get("scale", 1))
    return ratio.limit_denominator(64)


def _channels(axis: Mapping[str, Any] | None) -> tuple[str, ...]:
    """Return the names of channels, the default name for a tensor without any."""
    if axis is None:
        return ("intensity",)
    if axis.get("channel_names"):
        return tuple(map(str, axis["channel_names"]))
    size = axis.get("size", 1)
    count = size if isinstance(size, int) else int(size.get("min", 1))
    return tuple(f"channel{n}" for n in range(count))
