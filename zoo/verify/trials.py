"""What a package is tried on: its test input, turned, repeated, cut, preprocessed."""

from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.grid import SPACE
from zoo.core.processing import apply
from zoo.io.description import axis_letters
from zoo.io.package import Package


class NotApplicable(Exception):
    """A check that makes no sense for a package; the message says why."""


class Trials:
    """Arrays made from the test input of a package, and files that hold them.

    Parameters
    ----------
    package
        What is tried.
    contract
        What it promises; None if it cannot be read.
    scratch
        Folder for the files.
    """

    def __init__(
        self, package: Package, contract: Contract | None, scratch: Path
    ) -> None:
        self.package = package
        self.contract = contract
        self.scratch = scratch

    def axes(self) -> str:
        """Return the axis letters of the input."""
        try:
            return axis_letters(self.package.inputs[0])
        except ValueError as error:
            raise NotApplicable(f"not an image: {error}") from error

    def resized(self, tensor: np.ndarray, lengths: dict[str, int]) -> np.ndarray:
        """Repeat or cut a tensor to the given lengths along some letters."""
        for axis, letter in enumerate(self.axes()):
            if letter in lengths:
                index = np.arange(lengths[letter]) % tensor.shape[axis]
                tensor = np.take(tensor, index, axis=axis)
        return tensor

    def saved(self, name: str, tensor: np.ndarray) -> Path:
        """Write an array to a file and return its path."""
        path = self.scratch / f"{name}.npy"
        np.save(path, np.ascontiguousarray(tensor))
        return path

    def other_image(self) -> Path:
        """Return the test input turned around: an image that nothing was tuned to."""
        path = self.scratch / "other.npy"
        if not path.is_file():
            image = self.package.test_input()
            axes = self.axes()
            turned = np.flip(image, tuple(n for n, a in enumerate(axes) if a in SPACE))
            self.saved("other", turned)
        return path

    def tiles(self) -> tuple[dict[str, int], dict[str, int]]:
        """Return declared lengths, and longer ones that need more than one tile, px.

        Only letters along which a recording may be cut are in them.
        """
        contract = self._contract()
        declared: dict[str, int] = {}
        for letter in contract.grid.output_space:
            size = contract.declared_size(letter) if letter in self.axes() else None
            if size is not None:
                declared[letter] = size
        larger = {
            letter: size + max(size // 2 // step * step, step)
            for letter, size in declared.items()
            if (step := contract.grid.axes[letter].step)
        }
        return declared, larger

    def inputs(self) -> list[Path]:
        """Return network inputs of two sizes and batch sizes, preprocessed."""
        tensor = self.package.inputs[0]
        image = self.package.test_input()
        axes = self.axes()
        scaled = apply(tensor.get("preprocessing") or [], image, axes)
        named = dict(zip(axes, tensor["axes"], strict=True))
        first: dict[str, int] = {}
        second: dict[str, int] = {}
        if "b" in named:
            free = named["b"].get("size") is None
            first["b"], second["b"] = 1, 2 if free else 1
        for number, letter in enumerate(a for a in axes if a in SPACE):
            options = sizes(named[letter]) or [image.shape[axes.index(letter)]]
            first[letter], second[letter] = options[0], options[-1]
            if len(options) == 1 and self._takes_any(letter):
                # the description fixes the size for other programs, the graph does not
                axis = self._contract().grid.axes[letter]
                steps = max(options[0] // 2 - axis.minimum, 0) // axis.step + number
                second[letter] = axis.minimum + steps * axis.step
        return [
            self.saved(f"input-{n}", self.resized(scaled, lengths))
            for n, lengths in enumerate((first, second))
        ]

    def _takes_any(self, letter: str) -> bool:
        """Say whether the network of a package of this zoo takes any length."""
        if not self.package.zoo or self.contract is None:
            return False
        return self.contract.grid.axes[letter].size is None

    def _contract(self) -> Contract:
        if self.contract is None:
            raise BadPackage(f"the contract of {self.package.name} cannot be read")
        return self.contract


def as_frames(tensor: np.ndarray, axes: str) -> np.ndarray:
    """Return a tensor of a package as our predictor takes and gives it.

    Examples
    --------
    >>> as_frames(np.zeros((2, 3, 8, 9)), "bcyx").shape
    (2, 8, 9, 3)
    """
    order = [axes.index(letter) for letter in f"b{SPACE}c" if letter in axes]
    tensor = tensor.transpose(order)
    if "b" not in axes:
        tensor = tensor[None]
    return tensor if "c" in axes else tensor[..., None]


def sizes(axis: dict[str, Any]) -> list[int]:
    """Return the first lengths that an input axis may have, px.

    Examples
    --------
    >>> sizes({"size": {"min": 8, "step": 4}}), sizes({"size": 64})
    ([8, 12], [64])
    """
    size = axis.get("size")
    if isinstance(size, dict) and "min" in size:
        return [size["min"], size["min"] + size["step"]]
    return [size] if isinstance(size, int) else []
