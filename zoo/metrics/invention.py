"""What an image shows that is not there: bridged gaps, false connections and objects.

All criteria look at an image that was matched to nothing but its own brightness or, by
least squares, to the truth; they hold for networks and classical methods alike.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

BRIDGED = 0.5
"""Brightness in the middle of a gap, relative to the line beside it, from which it is
bridged."""
BROKEN = 0.4
"""Brightness between a crossing and its arms below which an arm is cut off."""
MERGED = 0.6
"""Brightness between two arms, relative to them, from which they count as connected."""
FALSE = 0.25
"""Brightness, relative to a structure, from which an object counts."""
EXCESS = 2.0
"""Times the brightest of the truth nearby that a false object has at least."""
REACH_NM = 110.0
"""Distance from the truth within which an object is no false one."""
SMALLEST_UM2 = 0.008
"""Area from which something counts as an object: about that of the finest spot."""
FILAMENT_NM = 400.0
"""Length from which an elongated object counts as a filament."""
ELONGATED = 2.5
"""Length over width from which an object is elongated."""
_ASIDE_NM = 150.0  # beyond the end of a line, where it has its full brightness
_ARM_NM = 750.0  # of an arm that is looked at, its last third where arms are apart
_APART_NM = 165.0  # from either arm, where it should be dark between them


class Invented(NamedTuple):
    """False objects of an image."""

    filaments: int
    """Elongated ones."""
    spots: int
    """All others."""
    area_um2: float
    """Area that they cover."""
    field_um2: float
    """Area that was looked at."""


def bridged(
    image: np.ndarray,
    places_nm: np.ndarray,
    directions: np.ndarray,
    *,
    gap_nm: float,
    pixel_nm: float,
) -> np.ndarray:
    """Tell which gaps of lines an image bridges, (n,) bool.

    Parameters
    ----------
    image : (y, x)
        Its brightness is taken above its darkest twentieth.
    places_nm, directions
        (n, 2) middles of the gaps and unit vectors along the lines, y before x.
    gap_nm, pixel_nm
        Width of the gaps, edge of a pixel.
    """
    above = _above(image)
    middle = _at(above, places_nm, pixel_nm)
    step = (gap_nm / 2 + _ASIDE_NM) * directions
    beside = _at(above, places_nm + step, pixel_nm)
    beside = (beside + _at(above, places_nm - step, pixel_nm)) / 2
    return (beside > 0) & (middle >= BRIDGED * beside)


def rewired(
    image: np.ndarray, places_nm: np.ndarray, arms: np.ndarray, *, pixel_nm: float
) -> np.ndarray:
    """Tell which crossings of two lines an image wires in another way, (n,) bool.

    An arm is cut off from the crossing, or two arms are connected beside it.

    Parameters
    ----------
    image : (y, x)
        As for `bridged`.
    places_nm
        (n, 2) crossing points, y before x.
    arms
        (n, 2, 2) unit vectors along the two lines of each crossing.
    pixel_nm
        Edge of a pixel.
    """
    above = _above(image)
    ends = np.stack([arms[:, 0], arms[:, 1], -arms[:, 0], -arms[:, 1]], axis=1)
    distances = np.linspace(0, _ARM_NM, 16)
    points = places_nm[:, None, None] + distances[:, None] * ends[:, :, None]
    along = _at(above, points, pixel_nm)
    level = np.median(along[..., -5:], axis=-1)
    typical = np.maximum(np.median(level, axis=1), 1e-12)
    cut = (along.min(axis=-1) < BROKEN * typical[:, None]).any(axis=1)
    connected = np.zeros(len(places_nm), bool)
    for first in range(4):
        one, two = ends[:, first], ends[:, (first + 1) % 4]
        half = np.arccos(np.clip((one * two).sum(axis=1), -1, 1)) / 2
        middle = one + two
        middle /= np.linalg.norm(middle, axis=1, keepdims=True)
        reach = _APART_NM / np.sin(half)
        value = _at(above, places_nm + reach[:, None] * middle, pixel_nm)
        connected |= value >= MERGED * typical
    return cut | connected


def invented(
    image: np.ndarray, truth: np.ndarray | None, *, pixel_nm: float
) -> Invented:
    """Count the objects of an image that the truth does not have.

    They are brighter than a quarter of a structure and than twice of what is within
    `REACH_NM`: a wrong brightness of a true object does not count.

    Parameters
    ----------
    image : (y, x)
        Brightness in units of a structure: from 0, about 1 on the truth.
    truth : (y, x)
        The same of what is there; None if nothing is.
    pixel_nm
        Edge of a pixel.

    Examples
    --------
    >>> image = np.zeros((64, 64))
    >>> image[10, 5:40] = image[11, 5:40] = 0.5
    >>> image[40:44, 40:44] = 0.5
    >>> invented(image, None, pixel_nm=30.0)[:2]
    (1, 1)
    """
    least_bright = np.full(image.shape, FALSE)
    if truth is not None:
        size = 2 * round(REACH_NM / pixel_nm) + 1
        near = np.asarray(ndimage.maximum_filter(truth, size))
        least_bright = np.maximum(FALSE, EXCESS * near)
    labels, count = ndimage.label(image >= least_bright, np.ones((3, 3)))
    least = SMALLEST_UM2 * 1e6 / pixel_nm**2
    filaments = spots = 0
    covered = 0.0
    rows, columns = np.nonzero(labels)
    numbers = labels[rows, columns]
    for number in range(1, count + 1):
        chosen = numbers == number
        area = int(chosen.sum())
        if area < least:
            continue
        length, width = _lengths(rows[chosen], columns[chosen], pixel_nm)
        long = length >= FILAMENT_NM and length >= ELONGATED * width
        filaments += long
        spots += not long
        covered += area * pixel_nm**2 / 1e6
    field = image.size * pixel_nm**2 / 1e6
    return Invented(filaments, spots, covered, field)


def _lengths(
    rows: np.ndarray, columns: np.ndarray, pixel_nm: float
) -> tuple[float, float]:
    """Return length and width of an object by the moments of its pixels, nm."""
    points = np.stack([rows, columns]).astype(float)
    covariance = np.cov(points, bias=True) + np.eye(2) / 12
    short, long = np.sqrt(12 * np.linalg.eigvalsh(covariance))
    return float(long) * pixel_nm, float(short) * pixel_nm


def _above(image: np.ndarray) -> np.ndarray:
    """Return brightness above the darkest twentieth of an image."""
    return np.asarray(image, float) - float(np.quantile(image, 0.05))


def _at(image: np.ndarray, places_nm: np.ndarray, pixel_nm: float) -> np.ndarray:
    """Return the brightness at places (..., 2), y before x from the outer corner."""
    points = np.moveaxis(places_nm / pixel_nm - 0.5, -1, 0)
    return np.asarray(ndimage.map_coordinates(image, points, order=1, mode="nearest"))
