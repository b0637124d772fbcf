"""Test tensors of a package, the samples that show them, and what the cover shows."""

from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.grid import Grid
from zoo.core.processing import apply
from zoo.package import export
from zoo.package.describe import COVER, EXAMPLES
from zoo.package.images import write_cover, write_sample
from zoo.package.tensors import output_names, test_size


def forward(model: Any, contract: Contract, image: np.ndarray) -> np.ndarray:
    """Return the output for an input in its own units, float32."""
    grid = contract.grid
    raw = export.predict(model, apply(contract.before, image, grid.input_axes))
    return apply(contract.after, raw, grid.output_axes).astype(np.float32)


def write_examples(
    folder: Path,
    contract: Contract,
    image: np.ndarray,
    output: np.ndarray,
    *,
    scene: tuple[np.ndarray, np.ndarray] | None = None,
) -> None:
    """Write test tensors, the samples that show them, and the cover.

    Parameters
    ----------
    folder
        Of the package.
    contract
        Declares the axes.
    image, output
        Test tensors.
    scene
        Input and output that the cover shows in place of them.
    """
    grid = contract.grid
    pixel = _pixel_sizes(contract)
    fine = {a: pixel[a] / grid.scale(a) for a in pixel if a in grid.output_axes}
    step = getattr(contract.task, "z_step_nm", None)
    if grid.planes and step:
        fine["z"] = step
    shown: list[np.ndarray] = []
    letters: list[str] = []
    ends = (("input", image, grid.input_axes, pixel),
            ("output", output, grid.output_axes, fine))  # fmt: skip
    for file, (end, tensor, axes, sizes), seen in zip(
        EXAMPLES, ends, scene or (image, output), strict=True
    ):
        np.save(folder / file, tensor)
        batch = axes.index("b")
        letters.append(axes.replace("b", ""))
        if letters[-1] != "c":
            path = folder / f"sample_{end}.tif"
            write_sample(path, tensor.take(0, batch), letters[-1], pixel_size_nm=sizes)
        shown.append(seen.take(0, batch))
    write_cover(
        folder / COVER,
        shown[0],
        shown[1],
        (letters[0], letters[1]),
        names=output_names(contract),
    )


def cut_example(example: np.ndarray, contract: Contract, name: str) -> np.ndarray:
    """Return a test input with the axes of the network, cut to the declared lengths.

    Parameters
    ----------
    example
        ([z,] y, x, c) float32.
    contract
        Declares axes and lengths; those that it leaves free are at most
        `zoo.package.tensors.test_size`.
    name
        Name of the package, for messages.

    Raises
    ------
    BadPackage
        If the example has other axes, or is smaller than declared.
    """
    grid = contract.grid
    letters = grid.space + "c"
    if example.ndim != len(letters):
        raise BadPackage(
            f"the example of {name} has {example.ndim} axes, its contract wants "
            f"{', '.join(letters)}"
        )
    for place, letter in enumerate(grid.space):
        axis, size = grid.axes[letter], contract.declared_size(letter)
        length = example.shape[place]
        if size is None:  # the largest length that the network takes
            most = min(length, test_size(grid, letter))
            steps = (most - axis.minimum) // axis.step
            size = axis.minimum + max(steps, 0) * axis.step
        if length < size:
            raise BadPackage(
                f"the example of {name} has {length} px along {letter}, its contract "
                f"declares {size} px"
            )
        example = example.take(range(size), axis=place)
    return _on_axes(example, grid)


def _on_axes(example: np.ndarray, grid: Grid) -> np.ndarray:
    """Return ([z,] y, x, c) as a batch of one with the axes of the network's input."""
    tensor = example.astype(np.float32)[None]
    if "c" not in grid.input_axes:
        tensor = tensor[..., 0]
    present = "b" + grid.space + ("c" if "c" in grid.input_axes else "")
    order = [present.index(letter) for letter in grid.input_axes]
    return np.ascontiguousarray(tensor.transpose(order))


def with_surroundings(
    model: Any, contract: Contract, scene: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return input and output of a whole field, which is continued beyond its borders.

    Parameters
    ----------
    model
        The network.
    contract
        Declares axes and halo.
    scene
        ([z,] y, x, c) float32.

    Returns
    -------
    image, output : ndarray
        With the axes of the network; the output is cut to the field.
    """
    grid = contract.grid
    image = _on_axes(scene, grid)
    halos = {letter: grid.axes[letter].halo or 0 for letter in grid.space}
    margins = [(n, n) for n in (halos.get(letter, 0) for letter in grid.input_axes)]
    mode: Any = contract.input.border
    output = forward(model, contract, np.pad(image, margins, mode=mode))
    inner = (
        slice(n, size - n)
        for letter, size in zip(grid.output_axes, output.shape, strict=True)
        for n in (halos.get(letter, 0) * grid.scale(letter),)
    )
    return image, output[tuple(inner)]


def _pixel_sizes(contract: Contract) -> dict[str, float]:
    """Return the edge of an input pixel where training knew a single one, nm."""
    sizes: dict[str, float] = {}
    for condition, letters in (("pixel_size_nm", "yx"), ("z_step_nm", "z")):
        low, high = contract.training.get(condition, (0.0, 1.0))
        if low == high:
            sizes |= {letter: low for letter in letters if letter in contract.grid.axes}
    return sizes
