"""The eight flips and turns of a plane, for images and for what is known of them."""

from collections.abc import Callable, Mapping
from itertools import product
from typing import Literal, NamedTuple

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

SpotSymmetry = Literal["none", "mirror", "half_turn", "quarter_turns"]
"""What a spot of a point emitter may share with itself seen another way."""

SPOT_VIEWS: Mapping[SpotSymmetry, tuple[Symmetry, ...]] = {
    "none": (Symmetry(),),
    "mirror": (Symmetry(), Symmetry(flip_y=True)),
    "half_turn": (Symmetry(), Symmetry(flip_y=True, flip_x=True)),
    "quarter_turns": (
        Symmetry(),
        Symmetry(flip_y=True, flip_x=True),
        Symmetry(flip_x=True, swap=True),
        Symmetry(flip_y=True, swap=True),
    ),
}
"""Ways to look at a spot by its symmetry, the spot itself first.

*mirror* turns the rows round.  A quarter turn comes with a change of the depth's sign:
what a cylindrical lens draws out along x above the focus, it draws out along y below.
"""


def narrowed(
    wanted: SpotSymmetry, holds: Callable[[SpotSymmetry], bool]
) -> SpotSymmetry:
    """Return the symmetry with the most views that holds and lies in another one.

    Examples
    --------
    >>> narrowed("quarter_turns", lambda name: name != "quarter_turns")
    'half_turn'
    """
    views = set(SPOT_VIEWS[wanted])
    names = sorted(SPOT_VIEWS, key=lambda name: len(SPOT_VIEWS[name]), reverse=True)
    return next(
        name
        for name in names
        if name == "none" or (views.issuperset(SPOT_VIEWS[name]) and holds(name))
    )
