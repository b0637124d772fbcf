"""Pairing of localizations with the true emitters of the same frame."""

from dataclasses import dataclass

import numpy as np
from scipy.spatial import KDTree

from zoo.core.localizations import Localizations

RADIUS_NM = 250.0
"""Largest lateral distance of a match, nm."""
AXIAL_RADIUS_NM = 500.0
"""Largest axial distance of a match, nm."""


@dataclass(frozen=True, eq=False)
class Matches:
    """Pairs of true and found emitters; every row occurs at most once.

    Parameters
    ----------
    truth, found
        (m,) int, rows of the two tables, nearest pair first.
    distance_nm
        (m,) float, lateral distance, or the 3D distance where both tables have z.
    """

    truth: np.ndarray
    found: np.ndarray
    distance_nm: np.ndarray

    def __len__(self) -> int:
        return len(self.truth)


def match(
    truth: Localizations,
    found: Localizations,
    *,
    radius_nm: float = RADIUS_NM,
    axial_radius_nm: float = AXIAL_RADIUS_NM,
) -> Matches:
    """Pair localizations with true emitters of the same frame.

    The rule of the challenge: the nearest pair of a frame is accepted, both ends are
    taken out, and so on.

    Parameters
    ----------
    truth, found
        Tables in the same coordinates.  z counts if both tables have it.
    radius_nm, axial_radius_nm
        A pair is possible inside this cylinder, its surface included.

    Raises
    ------
    ValueError
        If a radius is not positive.

    Examples
    --------
    >>> truth = Localizations(x_nm=np.array([0.0, 100.0]), y_nm=np.zeros(2))
    >>> found = Localizations(x_nm=np.array([90.0, 300.0]), y_nm=np.zeros(2))
    >>> pairs = match(truth, found)
    >>> pairs.truth.tolist(), pairs.found.tolist(), pairs.distance_nm.tolist()
    ([1], [0], [10.0])
    """
    if radius_nm <= 0 or axial_radius_nm <= 0:
        raise ValueError(
            "radius_nm and axial_radius_nm must be positive, "
            f"not {radius_nm} and {axial_radius_nm}"
        )
    rows, columns, distances = _candidates(truth, found, radius_nm, axial_radius_nm)
    picked = _greedy(rows, columns, len(truth), len(found))
    return Matches(rows[picked], columns[picked], distances[picked])


def _candidates(
    truth: Localizations, found: Localizations, radius_nm: float, axial_nm: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return rows and distances of all possible pairs, nearest first."""
    if not len(truth) or not len(found):
        none = np.empty(0, int)
        return none, none, np.empty(0)
    # The frame is a third coordinate, so far apart that no pair crosses frames; the
    # search is a little wider than the radius and the exact distances decide.
    trees = [KDTree(points(t, separation=4 * radius_nm)) for t in (truth, found)]
    near = trees[0].sparse_distance_matrix(
        trees[1], radius_nm * (1 + 1e-6), output_type="ndarray"
    )
    rows, columns = near["i"].astype(int), near["j"].astype(int)
    square = (truth.x_nm[rows] - found.x_nm[columns]) ** 2
    square += (truth.y_nm[rows] - found.y_nm[columns]) ** 2
    possible = square <= radius_nm**2
    if truth.z_nm is not None and found.z_nm is not None:
        dz = truth.z_nm[rows] - found.z_nm[columns]
        possible &= np.abs(dz) <= axial_nm
        square = square + dz**2
    rows, columns, square = rows[possible], columns[possible], square[possible]
    order = np.lexsort((columns, rows, square))
    return rows[order], columns[order], np.sqrt(square[order])


def points(table: Localizations, *, separation: float) -> np.ndarray:
    """Return (n, 3) positions whose third coordinate keeps the frames apart.

    Parameters
    ----------
    table
        Only ``x_nm``, ``y_nm`` and ``frame`` are read.
    separation
        Distance put between consecutive frames, nm; larger than any distance of
        interest within a frame.
    """
    return np.column_stack([table.x_nm, table.y_nm, table.frame * separation])


def _greedy(
    rows: np.ndarray, columns: np.ndarray, n_truth: int, n_found: int
) -> np.ndarray:
    """Accept sorted pairs while both ends are free; all frames at once.

    A pair that comes first for both its ends is certain to be accepted by the rule
    "smallest distance first", whatever happens elsewhere.  Accepting all of those,
    dropping the pairs they block and repeating gives the result of the serial rule.
    """
    left = np.arange(len(rows))
    accepted: list[np.ndarray] = []
    while len(left):
        i, j = rows[left], columns[left]
        rank = np.arange(len(left))
        first_i = np.full(n_truth, len(left))
        first_j = np.full(n_found, len(left))
        np.minimum.at(first_i, i, rank)
        np.minimum.at(first_j, j, rank)
        certain = (first_i[i] == rank) & (first_j[j] == rank)
        accepted.append(left[certain])
        used_i, used_j = np.zeros(n_truth, bool), np.zeros(n_found, bool)
        used_i[i[certain]] = True
        used_j[j[certain]] = True
        left = left[~(used_i[i] | used_j[j])]
    return np.sort(np.concatenate(accepted)) if accepted else left
