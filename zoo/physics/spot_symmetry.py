"""Whether spots behind a pupil look the same from several sides."""

import math

from zoo.core.symmetry import SPOT_VIEWS, SpotSymmetry, Symmetry
from zoo.physics.pupil import PupilOptics

NEGLIGIBLE_RAD = 0.02
"""Root mean square of aberrations that may break a symmetry; beads tell no less."""

FLIPS = (
    Symmetry(),
    Symmetry(flip_y=True, flip_x=True),
    Symmetry(flip_y=True),
    Symmetry(flip_x=True),
)
"""Views that keep rows and columns in their places, the spot itself first."""


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
    views = SPOT_VIEWS[symmetry]
    breaking = (
        weight
        for _, m, weight in optics.zernikes_rad
        if any(is_odd(m, view) for view in views if not view.swap)
        or (symmetry == "quarter_turns" and m % 4 != 2)
    )
    return math.hypot(*breaking) <= NEGLIGIBLE_RAD


def same_flips(optics: PupilOptics | None) -> tuple[Symmetry, ...]:
    """Return the flips under which spots keep their shape, the spot itself first.

    Parameters
    ----------
    optics
        Objective and aberrations; ``None`` if unknown, and behind a mask that is no
        sum of modes nothing is known either.

    Examples
    --------
    >>> optics = PupilOptics(na=1.4, wavelength_nm=670.0, pixel_nm=100.0,
    ...                      zernikes_rad=((2, 2, 1.0), (3, 1, 0.5)))
    >>> same_flips(optics)[1:]
    (Symmetry(flip_y=True, flip_x=False, swap=False),)
    """
    if optics is None or optics.mask is not None:
        return FLIPS[:1]
    return tuple(
        view
        for view in FLIPS
        if math.hypot(*(c for _, m, c in optics.zernikes_rad if is_odd(m, view)))
        <= NEGLIGIBLE_RAD
    )


def is_odd(m: int, view: Symmetry) -> bool:
    """Say whether a Zernike mode of azimuthal frequency m changes sign in a flip."""
    upside_down, left_right = m < 0, (m < 0) != (m % 2 == 1)
    return (view.flip_y and upside_down) != (view.flip_x and left_right)
