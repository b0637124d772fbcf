"""Local maxima of maps of emitters in two or three dimensions, and their moments."""

from collections.abc import Sequence
from itertools import product
from typing import NamedTuple

import numpy as np

_AT_ONCE = 2**21  # pixels around maxima


class Peaks(NamedTuple):
    """Local maxima of density maps and the moments of what surrounds them."""

    frame: np.ndarray
    """(n,) number of the map, from 0."""
    place: tuple[np.ndarray, ...]
    """([z,] y, x) of (n,) pixels of the maximum; of a plateau the first one."""
    centre: tuple[np.ndarray, ...]
    """([z,] y, x) of (n,) centres of gravity, px from the outer corner."""
    variance: tuple[np.ndarray, ...]
    """([z,] y, x) of (n,) variances about that centre, px²."""
    mass: np.ndarray
    """(n,) sums."""


def find_peaks(
    density: np.ndarray,
    *,
    level: float,
    windows: Sequence[int],
    centroids: Sequence[int],
) -> Peaks:
    """Find the local maxima of density maps above a level, with moments around them.

    Negative pixels and those outside of the map weigh nothing.  Maxima of equal value
    within each other's window are one, with the mean of their moments.

    Parameters
    ----------
    density : (t, [z,] y, x) float
        Maps.
    level
        Smallest value of a maximum; its own does not suffice.
    windows, centroids
        Edges, odd, of the windows of the maximum and of the moments along [z,] y and x.

    Examples
    --------
    >>> pair = np.zeros((1, 1, 8))
    >>> pair[0, 0, 2:4] = 1.0, 3.0
    >>> peaks = find_peaks(pair, level=0.5, windows=(3, 3), centroids=(3, 3))
    >>> peaks.centre[1].tolist(), peaks.variance[1].tolist(), peaks.mass.tolist()
    ([3.25], [0.1875], [4.0])
    """
    frame, *place = _maxima(density, level, windows)
    reach = [np.arange(edge) - edge // 2 for edge in centroids]
    offsets = [d.ravel() for d in np.meshgrid(*reach, indexing="ij")]
    sizes = density.shape[1:]
    parts = [
        _moments(density, frame[part], [p[part] for p in place], offsets)
        for part in _pieces(len(frame), len(offsets[0]))
    ]
    mass, *rest = (np.concatenate(column) for column in zip(*parts, strict=True))
    means, squares = rest[: len(offsets)], rest[len(offsets) :]
    centres = [p + 0.5 + mean for p, mean in zip(place, means, strict=True)]
    variances = [s - mean**2 for s, mean in zip(squares, means, strict=True)]
    plateau, first = _plateaus(frame, place, sizes, windows)
    members = np.maximum(np.bincount(plateau), 1)

    def joined(values: np.ndarray) -> np.ndarray:
        return np.bincount(plateau, values) / members

    return Peaks(
        frame[first],
        tuple(p[first] for p in place),
        tuple(map(joined, centres)),
        tuple(joined(v.clip(0)) for v in variances),
        joined(mass),
    )


def _pieces(count: int, pixels: int) -> list[slice]:
    """Cut maxima into pieces whose surroundings fit into the memory, at least one."""
    step = max(1, _AT_ONCE // pixels)
    return [slice(start, start + step) for start in range(0, max(count, 1), step)]


def _moments(
    density: np.ndarray,
    frame: np.ndarray,
    place: Sequence[np.ndarray],
    offsets: Sequence[np.ndarray],
) -> tuple[np.ndarray, ...]:
    """Return sums around pixels, then means and mean squares of the offsets."""
    positions = [p[:, None] + d for p, d in zip(place, offsets, strict=True)]
    sizes = density.shape[1:]
    inside = np.ones(positions[0].shape, bool)
    for position, size in zip(positions, sizes, strict=True):
        inside &= (position >= 0) & (position < size)
    index = [p.clip(0, n - 1) for p, n in zip(positions, sizes, strict=True)]
    weights = density[frame[:, None], *index].astype(float)
    weights = np.where(inside, weights.clip(0), 0)
    mass = weights.sum(axis=1)
    means = [weights @ d / mass for d in offsets]
    squares = [weights @ d**2 / mass for d in offsets]
    return (mass, *means, *squares)


def _maxima(
    density: np.ndarray, level: float, windows: Sequence[int]
) -> list[np.ndarray]:
    """Return frame and place of pixels above `level` that lead their window.

    Only pixels above the level are compared with their neighbours; they are few,
    which makes this faster than a maximum filter over the whole map.
    """
    frame, *place = np.nonzero(density > level)
    sizes = density.shape[1:]
    # the rings outwards: most pixels already lose against a direct neighbour
    around = product(*(range(-(edge // 2), edge // 2 + 1) for edge in windows))
    offsets = sorted(
        (offset for offset in around if any(offset)),
        key=lambda offset: max(map(abs, offset)),
    )
    for offset in offsets:
        # outside pixels are replaced by one inside the window: it competes anyway
        other = [
            (p + d).clip(0, n - 1) for p, d, n in zip(place, offset, sizes, strict=True)
        ]
        leads = density[frame, *place] >= density[frame, *other]
        frame, place = frame[leads], [p[leads] for p in place]
    return [frame, *place]


def _plateaus(
    frame: np.ndarray,
    place: Sequence[np.ndarray],
    sizes: Sequence[int],
    windows: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Give maxima within each other's window the same number.

    Returns
    -------
    number, first
        The plateau of each maximum, and the first maximum of each plateau.
    """
    flat = frame
    for position, size in zip(place, sizes, strict=True):
        flat = flat * size + position
    # joined neighbour by neighbour: a map that is level has many of them
    group = np.arange(len(flat))
    for offset in product(*(range(-(e // 2), e // 2 + 1) for e in windows)):
        if offset <= (0,) * len(offset):
            continue  # each pair once, from its earlier member
        inside = np.ones(len(flat), bool)
        step = 0
        for position, d, size in zip(place, offset, sizes, strict=True):
            inside &= (position + d >= 0) & (position + d < size)
            step = step * size + d
        here = np.flatnonzero(inside)
        sought = flat[here] + step
        there = np.searchsorted(flat, sought)
        met = there < len(flat)
        met[met] = flat[there[met]] == sought[met]
        group = _connected(group, here[met], there[met])
    first, number = np.unique(group, return_inverse=True)
    return number, first


def _connected(group: np.ndarray, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give all items that further pairs connect the number of their smallest member.

    Parameters
    ----------
    group
        (n,) the smallest member of the group that each item is in so far.
    first, second
        Items of every pair.
    """
    while True:
        one, other = group[first], group[second]
        apart = one != other
        if not apart.any():
            return group
        first, second = first[apart], second[apart]
        one, other = one[apart], other[apart]
        lowest = np.minimum(one, other)
        group = group.copy()
        np.minimum.at(group, one, lowest)
        np.minimum.at(group, other, lowest)
        while not np.array_equal(group, group[group]):
            group = group[group]
