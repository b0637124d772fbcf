"""Outputs of a network that come tile by tile, so that none is ever put together."""

from collections.abc import Iterable
from typing import NamedTuple, Protocol, runtime_checkable

import numpy as np

from zoo.core.contract import Running
from zoo.core.products import Product


class Part(NamedTuple):
    """The output for one tile of a frame, with some of what surrounds it."""

    frame: int
    """Number of its frame among those that were given, from 0."""
    start: tuple[int, ...]
    """First pixel in the output of the whole frame, by letter of space."""
    kept: tuple[slice, ...]
    """Pixels of `values` that no other part supplies, by letter of space."""
    values: np.ndarray
    """([z,] y, x, c) float32 behind the postprocessing; exact in all of it."""


@runtime_checkable
class RunningParts(Running, Protocol):
    """A prediction that takes outputs tile by tile, so that none is put together."""

    def add_parts(
        self, frames: np.ndarray, parts: Iterable[Part], first: int
    ) -> Iterable[Product]:
        """Take further frames and, tile by tile, what the network makes of them.

        Parameters
        ----------
        frames, first
            As for `add`.
        parts
            Computed while they are taken, frame after frame.
        """
        ...
