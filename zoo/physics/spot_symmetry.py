"""Whether spots behind a pupil look the same from several sides."""

import math

from zoo.core.symmetry import SpotSymmetry
from zoo.physics.pupil import PupilOptics

NEGLIGIBLE_RAD = 0.02
"""Root mean square of aberrations that may break a symmetry; beads tell no less."""


def has_symmetry(
    optics: PupilOptics, symmetry: SpotSymmetry, *, both_sides: bool
) -> bool:
    """Say whether a spot keeps its shape; see `zoo.core.symmetry.SPOT_VIEWS`.

    A phase that is even along y gives spots that are even along y, one that is the same
    after half a turn of the pupil gives such spots.  Complex conjugation turns the sign
    of phase and depth: after a quarter turn that changes the sign of the phase, as of
    astigmatism, spots are those of the opposite depth.

    Parameters
    ----------
    optics
        Objective and aberrations.
    symmetry
        What the spots may share with themselves.
    both_sides
        Whether depths reach as far below the focus as above it.

    Examples
    --------
    >>> optics = PupilOptics(na=1.4, wavelength_nm=670.0, pixel_nm=100.0,
    ...                      zernikes_rad=((2, 2, 1.0), (4, 0, 0.5)))
    >>> [has_symmetry(optics, s, both_sides=True) for s in ("half_turn",
    ...                                                     "quarter_turns")]
    [True, False]
    """
    if symmetry == "none":
        return True
    if optics.mask is not None:
        return False
    if symmetry == "quarter_turns" and not (both_sides and optics.focus_nm == 0):
        return False
    breaking = (
        weight
        for _, m, weight in optics.zernikes_rad
        if (symmetry == "mirror" and m < 0)
        or (symmetry == "half_turn" and m % 2)
        or (symmetry == "quarter_turns" and m % 4 != 2)
    )
    return math.hypot(*breaking) <= NEGLIGIBLE_RAD
