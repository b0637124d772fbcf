"""A microscope on which any sample can be put: what a network makes of known things.

A test set whose microscope can show samples that it did not draw itself offers a
`Bench`; `zoo.test_sets.invention` puts gaps, crossings, noise and haze on it.
"""

from typing import NamedTuple, Protocol

import numpy as np


class Stage(NamedTuple):
    """What is on a bench, and how it is lit.

    Images lie on the fine grid of the bench with its margin around the field.
    """

    sample: np.ndarray
    """(y, x) relative brightness in focus; all zero for nothing but background."""
    photons: float
    """Signal level as the training of the package counts it; of an empty stage the
    uniform background, photons per pixel and exposure."""
    haze: np.ndarray | None = None
    """(y, x) relative brightness of what lies out of focus."""
    haze_amount: float = 0.0
    """Its light in units of the light in focus."""
    defocus_nm: float = 800.0
    """Its distance from the focal plane."""
    light: np.ndarray | None = None
    """(y, x) illumination, 1 where it is as it should be; uniform if left out."""
    background: float = 0.05
    """Uniform background in units of the brightest pixel of the sample."""
    ramp: np.ndarray | None = None
    """(y, x) further background in the same units."""


class Shot(NamedTuple):
    """An exposure with its ideal image and what classical methods make of it."""

    input: np.ndarray
    """(1, y, x, c) float32, what a user would give to ``zoo predict``."""
    target: np.ndarray
    """(Y, X) ideal image, zero without a sample; its scale is arbitrary."""
    baselines: dict[str, np.ndarray]
    """Images of classical methods on the target's grid, the strongest last.  Of an
    empty stage in units of the range of the input, which a network takes for 1."""
    pixel_size_nm: float
    """Edge of a pixel of the input."""
    floor: float = 0.0
    """What an image of an empty stage is everywhere if nothing is invented."""
    inverted: bool = False
    """Whether structures are darker than the ground in images of a network; target and
    baselines show them bright in any case."""


class Bench(Protocol):
    """A microscope with a camera."""

    @property
    def photons(self) -> tuple[float, float]:
        """Signal levels of the training."""
        ...

    @property
    def scale(self) -> int:
        """Pixels of the output per pixel of the input along an axis."""
        ...

    @property
    def lengths(self) -> float:
        """Lengths of what is put on it, in units of those of structured illumination.

        A microscope that resolves less is shown larger gaps.
        """
        ...

    def grid(self, pixel_factor: float = 1.0) -> tuple[tuple[int, int], float, int]:
        """Return shape and pixel (nm) of the fine grid, and its margin (px).

        The pixel is told in units of `lengths`, so that the same drawings fit.

        Parameters
        ----------
        pixel_factor
            Camera pixel in units of the trained one.
        """
        ...

    def shoot(
        self, stage: Stage, rng: np.random.Generator, *, pixel_factor: float = 1.0
    ) -> Shot:
        """Take an image of what is on the stage."""
        ...
