"""What a package is tried on: its test input, turned, repeated, cut, preprocessed."""

from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.processing import apply
from zoo.io.description import axis_letters
from zoo.io.packages import Package
from zoo.package.rules import sizes


class NotApplicable(Exception):
    """A check that makes no sense for a package; the message says why."""


class Trials:
    """Arrays made from the test input of a package, and files that hold them."""

    def __init__(self, package: Package, scratch: Path) -> None:
        self.package = package
        self.scratch = scratch

    def axes(self) -> str:
        """Return the axis letters of the input."""
        return self._letters(self.package.inputs[0])

    def spatial(self) -> list[int]:
        """Return the positions of the axes of space."""
        return [n for n, letter in enumerate(self.axes()) if letter in "zyx"]

    def resized(self, tensor: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
        """Repeat or cut batch, y and x to the given batch and edges."""
        batch, *edges = shape
        lengths = dict(zip("yx", edges, strict=True)) | {"b": batch}
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
        """Return the test input turned around: a picture that nothing was tuned to."""
        path = self.scratch / "other.npy"
        if not path.is_file():
            image = self.package.test_input()
            axes = self.axes()
            turned = np.flip(image, tuple(n for n, a in enumerate(axes) if a in "yx"))
            self.saved("other", turned)
        return path

    def tiled_edge(self) -> int:
        """Return the edge of an image that needs more than one tile, px."""
        size = int(self.package.zoo["tile"])
        step = int(self.package.zoo.get("step", 1))
        return size + max(size // 2 // step * step, step)

    def inputs(self) -> list[Path]:
        """Return network inputs of two sizes and batch sizes, preprocessed."""
        tensor = self.package.inputs[0]
        image = self.package.test_input()
        axes = self.axes()
        if not {"y", "x"} <= set(axes):
            raise NotApplicable(f"not an image: its axes are {axes}")
        scaled = apply(tensor.get("preprocessing") or [], image, axes)
        named = dict(zip(axes, tensor["axes"], strict=True))
        free = "b" in named and named["b"].get("size") is None
        by_axis = [sizes(named[a]) or [image.shape[axes.index(a)]] for a in "yx"]
        shapes: list[tuple[int, ...]] = [(1, by_axis[0][0], by_axis[1][0])]
        second = [options[-1] for options in by_axis]
        if self.package.zoo and len(by_axis[0]) == 1 and self.package.zoo.get("halo"):
            # the description fixes the size for the sake of consumers, the graph not
            step = self.package.zoo.get("step", 1)
            half = max(step, by_axis[0][0] // 2 // step * step)
            second = [half, half + step]
        shapes.append((2 if free else 1, *second))
        return [
            self.saved(f"input-{n}", self.resized(scaled, shape))
            for n, shape in enumerate(shapes)
        ]

    def frames(self, output: np.ndarray) -> np.ndarray:
        """Return an output as the predictor gives it: channels last, no batch."""
        names = self._letters(self.package.outputs[0])
        order = [names.index(letter) for letter in "byxc" if letter in names]
        return np.squeeze(output.transpose(order))

    def predicted(self, model: Any, image: np.ndarray) -> np.ndarray:
        """Return what a predictor makes of an input, without axes of length one."""
        names = self.axes()
        order = [names.index(letter) for letter in "byxc" if letter in names]
        if len(order) != len(names):
            raise NotApplicable(f"our predictor does not take the axes {names}")
        frames = image.transpose(order)
        if "c" not in names:
            frames = frames[..., None]
        if "b" not in names:
            frames = frames[None]
        pixel_nm = self.package.zoo.get("training", {}).get("pixel_size_nm", [100.0])[0]
        result = model.predict(frames, pixel_size_nm=pixel_nm)
        return np.squeeze(np.asarray(result.image))

    @staticmethod
    def _letters(tensor: dict[str, Any]) -> str:
        try:
            return axis_letters(tensor)
        except ValueError as error:
            raise NotApplicable(f"not an image: {error}") from error
