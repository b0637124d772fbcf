"""The eight flips and turns of a plane, for images and for what is known of them."""

from itertools import product
from typing import NamedTuple

import numpy as np

from zoo.core.sim_pattern import VECTORS


class Symmetry(NamedTuple):
    """One way to look at a plane: flips along y and x, then both change places."""

    flip_y: bool = False
    """Whether rows come in reverse order."""
    flip_x: bool = False
    """Whether columns do."""
    swap: bool = False
    """Whether rows then become columns."""

    def apply(self, images: np.ndarray) -> np.ndarray:
        """Return images (..., y, x, c) seen this way."""
        seen = self._flipped(images)
        return seen.swapaxes(-3, -2) if self.swap else seen

    def undo(self, images: np.ndarray) -> np.ndarray:
        """Return images (..., y, x, c) as they were before `apply`.

        Examples
        --------
        >>> image = np.arange(12).reshape(1, 3, 4, 1)
        >>> all((s.undo(s.apply(image)) == image).all() for s in SYMMETRIES)
        True
        """
        return self._flipped(images.swapaxes(-3, -2) if self.swap else images)

    def _flipped(self, images: np.ndarray) -> np.ndarray:
        """Return images with the flips alone."""
        return images[
            ...,
            :: -1 if self.flip_y else 1,
            :: -1 if self.flip_x else 1,
            :,
        ]

    def place(
        self,
        start: tuple[int, ...],
        size: tuple[int, ...],
        sides: tuple[int, int],
    ) -> tuple[tuple[int, int], tuple[int, int]]:
        """Return where a tile of the view lies in the field itself.

        Parameters
        ----------
        start, size
            First pixel and lengths of the tile in the view, y before x, px.
        sides
            Height and width of the field itself, px.

        Examples
        --------
        >>> Symmetry(flip_y=True).place((0, 3), (4, 5), (20, 30))
        ((16, 3), (4, 5))
        """
        (y, x), (height, width) = start, size
        if self.swap:
            y, x, height, width = x, y, width, height
        if self.flip_y:
            y = sides[0] - y - height
        if self.flip_x:
            x = sides[1] - x - width
        return (y, x), (height, width)

    def pattern_row(self, row: np.ndarray) -> np.ndarray:
        """Return a row of `zoo.core.sim_pattern` for the view of its tile.

        Pattern vectors turn with the image; phases in the middle of the tile,
        modulation and optics stay.
        """
        vectors = row[VECTORS].reshape(-1, 2) * np.array(
            [-1 if self.flip_y else 1, -1 if self.flip_x else 1], row.dtype
        )
        turned = row.copy()
        turned[VECTORS] = (vectors[:, ::-1] if self.swap else vectors).ravel()
        return turned


SYMMETRIES = tuple(Symmetry(*flags) for flags in product((False, True), repeat=3))
"""All eight, the image itself first."""
