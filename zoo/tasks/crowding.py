"""Localizations where emitters crowd: the whole response is shared out among them.

Where emitters lie closer than a network can tell apart, it spreads the response to all
of them over one patch: the patch holds their number, its maxima do not.  Every pixel
is given to the nearest maximum; maxima that hold too little for an emitter leave what
they hold to their neighbours; and what holds almost two emitters is taken for two.
"""

from typing import Any, NamedTuple

import numpy as np
from pydantic import Field

from zoo.core.config import Config
from zoo.tasks.peaks import Peaks, find_peaks

_FLOOR = 0.005  # of an ideal peak; darker pixels belong to no emitter
_NEARER = 0.1  # px, at most


class Crowding(Config):
    """How the response is shared out among its maxima."""

    reach_px: float = Field(default=7.0, gt=0)
    """Farthest pixel that belongs to a maximum, px of the fine grid; maxima within
    twice as much are neighbours."""
    core_px: float = Field(default=3.5, gt=0)
    """Distance from the centre of gravity within which an emitter holds more than the
    threshold: haze spreads farther."""
    two_above: float = Field(default=1.8, gt=1)
    """Share of an ideal emitter's response above which there are two, placed one
    standard deviation to both sides along the longer axis."""


class _Cells(NamedTuple):
    """Pixels of a batch of maps that were given to maxima."""

    cell: np.ndarray
    weight: np.ndarray
    y: np.ndarray
    x: np.ndarray
    mass: np.ndarray
    """Of every maximum."""


def share_out(
    density: np.ndarray,
    crowding: Crowding,
    *,
    threshold: float,
    ideal_peak: float,
    window: int,
) -> Peaks:
    """Find emitters by sharing the response out among its maxima.

    Parameters
    ----------
    density : (t, y, x) float
        Emitter density of consecutive frames on the fine grid.
    crowding
        Reach and core of a maximum, and what counts as two.
    threshold
        Smallest accepted response in the core, as a fraction of `ideal_peak`.
    ideal_peak
        Response to an ideal isolated emitter.
    window
        Edge of the square in which a maximum must be the largest, fine px, odd.

    Returns
    -------
    emitters : Peaks
        Frame by frame.  Of a pair, the variances are about the centre of both, and each
        has half of the mass.

    Examples
    --------
    >>> pair = np.zeros((1, 9, 9))
    >>> pair[0, 4, 2:7] = 20.0
    >>> found = share_out(
    ...     pair, Crowding(), threshold=0.5, ideal_peak=50.0, window=5
    ... )
    >>> found.centre[1].round(2).tolist(), found.mass.tolist()
    ([5.91, 3.09], [50.0, 50.0])
    """
    places = find_peaks(
        density,
        level=_FLOOR * ideal_peak,
        windows=(window, window),
        centroids=(1, 1),
    )
    frame, y, x = np.nonzero(density > _FLOOR * ideal_peak)
    weight = density[frame, y, x].astype(float)
    # frames lie so far apart along a third axis that none sees another; along a fourth
    # one brighter maxima are nearer: of two at the same distance, they get the pixel
    apart = 4.0 * crowding.reach_px
    height = density[places.frame, *places.place] / ideal_peak
    pixels = np.column_stack([frame * apart, y, x, np.zeros(len(y))])
    maxima = np.column_stack(
        [places.frame * apart, *places.place, _NEARER / (1.0 + height)]
    )
    cells, kept = _settled(
        maxima, pixels, weight, reach=crowding.reach_px, least=threshold * ideal_peak
    )
    # the cell of every emitter: none, one or two of each
    cell, moments = _emitters(cells, crowding, threshold, ideal_peak)
    own = kept[cell]
    return Peaks(places.frame[own], tuple(p[own] for p in places.place), *moments)


def _settled(
    maxima: np.ndarray,
    pixels: np.ndarray,
    weight: np.ndarray,
    *,
    reach: float,
    least: float,
) -> tuple[_Cells, np.ndarray]:
    """Give pixels to maxima until the weak ones have left theirs to their neighbours.

    Returns
    -------
    cells, kept
        What every remaining maximum holds, and which of the maxima those are.
    """
    from scipy.spatial import cKDTree  # commands that answer at once do without

    count = len(maxima)
    kept = np.arange(count)
    if not count:
        none = np.empty(0)
        return _Cells(none.astype(int), none, none, none, none), kept
    owner = np.full(len(pixels), count)
    homeless = np.arange(len(pixels))
    one, other = (
        cKDTree(maxima[:, :3]).query_pairs(2.0 * reach, output_type="ndarray").T
    )
    while True:
        tree = cKDTree(maxima[kept])
        _, nearest = tree.query(pixels[homeless], distance_upper_bound=reach)
        owner[homeless] = np.append(kept, count)[nearest]
        mass = np.bincount(owner, weight, count + 1)[:count]
        gone = _leaving(mass, one, other, least=least)
        if not gone.any():
            break
        stay = ~gone
        kept = kept[stay[kept]]
        between = stay[one] & stay[other]
        one, other = one[between], other[between]
        homeless = np.flatnonzero(np.append(gone, False)[owner])
    number = np.full(count + 1, len(kept))
    number[kept] = np.arange(len(kept))
    owned = owner < count
    place = pixels[owned, 1], pixels[owned, 2]
    return _Cells(number[owner[owned]], weight[owned], *place, mass[kept]), kept


def _leaving(
    mass: np.ndarray, one: np.ndarray, other: np.ndarray, *, least: float
) -> np.ndarray:
    """Return which maxima hold less than an emitter and less than their neighbours."""
    rank = np.empty(len(mass), int)
    rank[np.argsort(mass, kind="stable")] = np.arange(len(mass))
    lowest = np.full(len(mass), len(mass))  # rank of a neighbour
    np.minimum.at(lowest, one, rank[other])
    np.minimum.at(lowest, other, rank[one])
    return (mass < least) & (rank < lowest) & (lowest < len(mass))


def _emitters(
    cells: _Cells, crowding: Crowding, threshold: float, ideal_peak: float
) -> tuple[np.ndarray, tuple[Any, Any, np.ndarray]]:
    """Return the cell, then centre, variance and mass of every emitter."""
    count = len(cells.mass)
    mass = np.maximum(cells.mass, 1e-12)

    def mean(values: np.ndarray) -> np.ndarray:
        return np.bincount(cells.cell, cells.weight * values, count) / mass

    y, x = mean(cells.y), mean(cells.x)
    off_y, off_x = cells.y - y[cells.cell], cells.x - x[cells.cell]
    yy, xx, xy = mean(off_y**2), mean(off_x**2), mean(off_x * off_y)
    inside = off_y**2 + off_x**2 <= crowding.core_px**2
    core = np.bincount(cells.cell[inside], cells.weight[inside], count)
    found = core > threshold * ideal_peak
    two = found & (cells.mass > crowding.two_above * ideal_peak)
    # standard deviation along the longer axis of the patch, and its direction
    longer = np.sqrt((yy + xx) / 2 + np.hypot((yy - xx) / 2, xy))
    angle = np.arctan2(2 * xy, xx - yy) / 2
    number = found.astype(int) + two
    cell = np.repeat(np.arange(count), number)
    second = np.append(False, cell[1:] == cell[:-1])[: len(cell)]
    away = np.where(two, longer, 0.0)[cell] * np.where(second, -1.0, 1.0)
    centre = (
        (y + 0.5)[cell] + away * np.sin(angle)[cell],
        (x + 0.5)[cell] + away * np.cos(angle)[cell],
    )
    return cell, (centre, (yy[cell], xx[cell]), cells.mass[cell] / number[cell])
