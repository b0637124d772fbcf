"""What a prediction found, and where it goes on the way."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zoo.core.localizations import Localizations


@dataclass
class Result:
    """What a prediction found."""

    task: str
    """``density`` or ``image``."""
    image: np.ndarray
    """Density task: sum over frames of the density, (y, x) float32.  Image task: all
    images, (t, y, x, c) float32 without t and c of length one; where they went to a
    file, the first one."""
    image_axes: str
    """Letters of the axes of `image`."""
    pixel_size_nm: float | None
    """Edge of a pixel of `image`."""
    localizations: Localizations | None
    """Emitters of all frames (density task); None where they went to a file."""
    preview_source: np.ndarray
    """Density task: mean frame of the input, (y, x) float32.  Image task: what the
    first image was made from, (y, x) float32; the mean of its channels where they went
    through the network together."""
    report: dict[str, Any]
    """Everything worth knowing about how this came about."""
    warnings: list[str] = field(default_factory=list[str])
    """What a user should know, one line each; also in `report`."""
    folder: Path | None = None
    """Where files were written, if they were."""
    error_map: np.ndarray | None = None
    """Where `image` disagrees with the input, in the input's intensities, shaped as
    `image`; None if there is no such map: ``report["error_map"]`` says why."""
    rsp: np.ndarray | None = None
    """Correlation of each blurred image with its input, (t, c) float64."""
    rse: np.ndarray | None = None
    """Root mean squared error of each image against its input, (t, c) float64, in the
    input's intensities."""


class Sink(Protocol):
    """Takes results as they come."""

    def add_table(self, table: Localizations) -> None:
        """Take the emitters of further frames."""
        ...

    def add_images(self, images: np.ndarray) -> None:
        """Take further images, (t, y, x, c)."""
        ...

    def add_errors(self, maps: np.ndarray) -> None:
        """Take the error maps of further images, (t, y, x, c)."""
        ...


class Memory:
    """Keeps all results."""

    def __init__(self) -> None:
        self._tables: list[Localizations] = []
        self._images: list[np.ndarray] = []
        self._errors: list[np.ndarray] = []

    def add_table(self, table: Localizations) -> None:
        """Keep the emitters of further frames."""
        self._tables.append(table)

    def add_images(self, images: np.ndarray) -> None:
        """Keep further images, (t, y, x, c)."""
        self._images.append(images)

    def add_errors(self, maps: np.ndarray) -> None:
        """Keep the error maps of further images, (t, y, x, c)."""
        self._errors.append(maps)

    def fill(self, result: Result) -> None:
        """Put everything that came into a result."""
        if result.task == "density":
            result.localizations = Localizations.concatenate(self._tables)
            return
        movie = np.concatenate(self._images)
        lengths = dict(zip("tyxc", movie.shape, strict=True))
        drop = tuple("tyxc".index(axis) for axis in "tc" if lengths[axis] == 1)
        result.image = movie.squeeze(drop)
        result.image_axes = "".join(
            axis for axis, n in lengths.items() if axis in "yx" or n > 1
        )
        if self._errors:
            result.error_map = np.concatenate(self._errors).squeeze(drop)
