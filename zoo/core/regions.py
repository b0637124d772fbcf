"""Regions cut out of the frames of a movie, and where they come from."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np


@dataclass(frozen=True, eq=False)
class Cuts:
    """Where some regions lie in their movie, and what else shines into them."""

    frame: np.ndarray
    """(n,) int, frame of the movie, from 1."""
    corner_px: np.ndarray
    """(n, 2) int, row and column of the first pixel."""
    neighbours: np.ndarray
    """(n,) int, other emitters in the region."""
    photons: np.ndarray
    """(n, y, x) what the camera saw there, light of neighbours included."""
    other: np.ndarray | None = None
    """(n, y, x) photons that are explained by neighbours, which the network is not
    shown; None where nothing is known of them."""

    def select(self, rows: slice | np.ndarray, *, frames_before: int = 0) -> "Cuts":
        """Return some of the cuts, their frames counted on by `frames_before`."""
        return Cuts(
            frame=self.frame[rows] + frames_before,
            corner_px=self.corner_px[rows],
            neighbours=self.neighbours[rows],
            photons=self.photons[rows],
            other=None if self.other is None else self.other[rows],
        )


@runtime_checkable
class Cutting(Protocol):
    """A `zoo.core.contract.Recording` whose frames are regions cut out of a movie."""

    cuts: Cuts
    """Of the regions that came last."""
    frames_done: int
    """Frames of the movie that have been searched."""

    @property
    def field(self) -> Mapping[str, int]:
        """Length of a frame of the movie along y and x, px."""
        ...

    def mean_frame(self) -> np.ndarray:
        """Return the (y, x) mean of the frames that have been searched, photons."""
        ...
