"""Label positions on the endoplasmic reticulum and on mitochondria.

Presets of the kind of `zoo.physics.structures`: ``preset(rng, *, field_nm, ...)``
returns `Labels` inside a field ``(height, width)``, nm.  Sizes that are not given a
source are general knowledge of adherent cells and not one paper's.
"""

from typing import Literal

import numpy as np
from scipy.spatial import Voronoi

from zoo.physics.curves import along_curves, curves
from zoo.physics.structures import STEP_NM, Labels

_CLUSTER_NM = 12.0  # standard deviation of the labels of one site


def mitochondria(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    density_per_um2: float = 0.1,
    length_nm: tuple[float, float] = (1000.0, 8000.0),
    diameter_nm: tuple[float, float] = (250.0, 600.0),
    persistence_nm: tuple[float, float] = (2000.0, 5000.0),
    label: Literal["membrane", "matrix"] = "membrane",
    labels_per_um2: float = 1500.0,
    cluster: tuple[int, int] = (3, 10),
    gap_nm: float = 100.0,
) -> Labels:
    """Label mitochondria: bent tubes with round ends that keep apart.

    Tubes are laid one after the other; one that would come too near to those before it
    is tried elsewhere a few times and then left out.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    density_per_um2
        Tubes per square micrometre tried.
    length_nm, diameter_nm, persistence_nm
        Smallest and largest length, diameter and persistence length.
    label
        Whether the outer membrane carries the labels, whose projection has bright
        edges, or the matrix, whose projection is brightest in the middle.
    labels_per_um2
        Labels per square micrometre of the membrane; the matrix holds as many.
    cluster
        Smallest and largest number of labels at one site of the membrane, as
        antibodies against its proteins show them.
    gap_nm
        Smallest distance between the surfaces of two tubes.

    Returns
    -------
    labels : Labels
        Labels inside the field, `instance` numbering the tubes.

    Raises
    ------
    ValueError
        If a length is not positive.
    """
    # a tube whose middle lies outside may reach into the field
    reach_nm = length_nm[1] / 2
    area_um2 = (field_nm[0] + reach_nm) * (field_nm[1] + reach_nm) / 1e6
    tries = int(rng.poisson(density_per_um2 * area_um2))
    tubes: list[tuple[np.ndarray, float, float]] = []
    for _ in range(tries):
        tube_nm, width_nm = rng.uniform(*length_nm), rng.uniform(*diameter_nm)
        tube_nm = max(tube_nm, 1.5 * width_nm)
        for _attempt in range(4):
            curve = curves(
                rng,
                field_nm=field_nm,
                count=1,
                length_nm=tube_nm,
                persistence_nm=rng.uniform(*persistence_nm),
                beyond_nm=reach_nm / 2,
            )
            points = np.concatenate(curve).T
            if not _near_field(points, field_nm, width_nm).any():
                break  # nothing of it would be seen
            near = (
                _nearest(points[::8], other[::8])
                < (width_nm + other_width) / 2 + gap_nm
                for other, _, other_width in tubes
            )
            if not any(near):
                tubes.append((points, tube_nm, width_nm))
                break
    parts = [
        _tube(
            rng,
            *tube,
            field_nm=field_nm,
            label=label,
            labels_per_um2=labels_per_um2,
            cluster=cluster,
        )
        for tube in tubes
    ]
    count = np.array([len(part) for part in parts], int)
    x_nm, y_nm, z_nm = np.concatenate([np.empty((0, 3)), *parts]).T
    return Labels(x_nm, y_nm, z_nm, np.repeat(np.arange(len(parts)), count)).inside(
        field_nm
    )


def endoplasmic_reticulum(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    cell_nm: float = 1300.0,
    diameter_nm: tuple[float, float] = (60.0, 100.0),
    labels_per_um: float = 350.0,
    open_share: float = 0.12,
    bow: float = 0.1,
    sheet_share: float = 0.1,
    depth_nm: float = 200.0,
) -> Labels:
    """Label the endoplasmic reticulum: a planar network of tubes, and some sheets.

    The tubes are the edges of a Voronoi diagram, whose nodes join three edges as those
    of the organelle do; edges are bowed and some are missing.  Sheets fill the cells
    that lie towards one side, where the nucleus would be.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    cell_nm
        Mean distance of the cells' centres, 1 to 2 µm.
    diameter_nm
        Smallest and largest diameter of a tube.
    labels_per_um
        Labels per micrometre of tube, in its lumen.
    open_share
        Share of the edges that are missing, wholly or from the middle on.
    bow
        Standard deviation of the edges' bow, in units of their length.
    sheet_share
        Share of the cells that are sheets.
    depth_nm
        Range of the heights above the coverslip.

    Returns
    -------
    labels : Labels
        Labels inside the field, `instance` numbering edges, then sheets.

    Raises
    ------
    ValueError
        If `cell_nm` is not positive.
    """
    if cell_nm <= 0:
        raise ValueError(f"cell_nm must be positive, not {cell_nm}")
    centres = _jittered_lattice(rng, field_nm, cell_nm)
    diagram = Voronoi(centres)
    ridges = np.asarray(diagram.ridge_vertices)
    ridges = ridges[(ridges >= 0).all(axis=1)]
    begin, end = diagram.vertices[ridges].transpose(1, 0, 2)
    length = np.linalg.norm(end - begin, axis=1)
    middle = (begin + end) / 2
    beyond = np.maximum(-middle, middle - (field_nm[1], field_nm[0])).max(axis=1)
    keep = (length < 3 * cell_nm) & (beyond < cell_nm)
    begin, end, length = begin[keep], end[keep], length[keep]
    # an open edge keeps a stump of random length, often none
    share = np.where(
        rng.random(len(length)) < open_share,
        np.maximum(rng.uniform(-0.5, 0.7, len(length)), 0),
        1.0,
    )
    height = rng.uniform(0, depth_nm, len(diagram.vertices))
    z_begin, z_end = height[ridges[keep]].T
    expected: np.ndarray = labels_per_um * length * share / 1000
    count = rng.poisson(expected)
    edge = np.repeat(np.arange(len(length)), count)
    t = rng.random(len(edge)) * share[edge]
    across = (end - begin)[:, ::-1] * (-1, 1) / np.maximum(length, 1e-9)[:, None]
    sagitta = rng.normal(0, bow, len(length)) * length
    # a second wave makes the tubes wind a little
    wave = rng.normal(0, bow / 3, len(length)) * length
    aside = (sagitta * 4)[edge] * t * (1 - t) + wave[edge] * np.sin(2 * np.pi * t)
    radius = rng.uniform(*diameter_nm, len(length))[edge] / 2
    radius = radius * rng.random(len(edge)) ** 0.5
    turn = rng.uniform(0, 2 * np.pi, len(edge))
    aside = aside + radius * np.cos(turn)
    flat = (
        begin[edge] + t[:, None] * (end - begin)[edge] + aside[:, None] * across[edge]
    )
    z_nm = z_begin[edge] + t * (z_end - z_begin)[edge] + radius * (1 + np.sin(turn))

    # per area a sheet holds a third of what a tube's projection does
    per_nm2 = labels_per_um / 1000 / float(np.mean(diameter_nm)) / 3
    sheets, sheet = _sheets(rng, diagram, field_nm, sheet_share, per_nm2)
    flat = np.concatenate([flat, sheets])
    z_nm = np.concatenate([z_nm, rng.uniform(0, depth_nm, len(sheets))])
    instance = np.concatenate([edge, len(length) + sheet])
    return Labels(flat[:, 0], flat[:, 1], z_nm, instance).inside(field_nm)


def _near_field(
    points: np.ndarray, field_nm: tuple[float, float], margin_nm: float
) -> np.ndarray:
    """Say which (n, 2) points lie in the field or at most a margin beside it."""
    height_nm, width_nm = field_nm
    corner = (width_nm + margin_nm, height_nm + margin_nm)
    return np.all((points > -margin_nm) & (points < corner), axis=1)


def _nearest(first: np.ndarray, second: np.ndarray) -> float:
    """Return the smallest distance between two (n, 2) sets of points."""
    square = np.sum(first**2, 1)[:, None] + np.sum(second**2, 1) - 2 * first @ second.T
    return float(np.sqrt(np.maximum(square.min(), 0.0)))


def _tube(
    rng: np.random.Generator,
    points: np.ndarray,
    length_nm: float,
    width_nm: float,
    *,
    field_nm: tuple[float, float],
    label: Literal["membrane", "matrix"],
    labels_per_um2: float,
    cluster: tuple[int, int],
) -> np.ndarray:
    """Return (n, 3) labels x, y, z of one tube whose radius wavers along it."""
    radius_nm = width_nm / 2
    count = int(rng.poisson(np.pi * width_nm * length_nm * 1e-6 * labels_per_um2))
    sites = count
    if label == "membrane":
        sites = max(round(count / (0.5 * sum(cluster))), 1)
    along = rng.random(sites) * length_nm
    at = np.minimum((along / STEP_NM).astype(int), len(points) - 1)
    along = along[_near_field(points[at], field_nm, width_nm)]
    period, phase = rng.uniform(600, 2000), rng.uniform(0, 2 * np.pi)
    waver = 1 + 0.12 * np.sin(2 * np.pi * along / period + phase)
    from_end = np.minimum(along, length_nm - along)
    # the area of a sphere between two heights is that of a cylinder, its volume less
    section = 1 - np.clip(1 - from_end / radius_nm, 0, 1) ** 2
    radius = radius_nm * waver * np.sqrt(section)
    if label == "matrix":
        kept = rng.random(len(along)) < section
        along, radius = along[kept], 0.9 * radius[kept]
        radius = radius * rng.random(len(along)) ** 0.5
    turn = rng.uniform(0, 2 * np.pi, len(along))
    x, y, nx, ny = along_curves(
        *points.T[:, None], curve=np.zeros(len(along), int), along_nm=along
    )
    aside, up = radius * np.cos(turn), radius_nm + radius * np.sin(turn)
    labels = np.stack([x + aside * nx, y + aside * ny, up], axis=1)
    if label == "matrix":
        return labels
    size = rng.integers(cluster[0], cluster[1] + 1, len(labels))
    labels = np.repeat(labels, size, axis=0)
    return labels + rng.normal(0, _CLUSTER_NM, labels.shape)


def _jittered_lattice(
    rng: np.random.Generator, field_nm: tuple[float, float], cell_nm: float
) -> np.ndarray:
    """Return (n, 2) x, y of a shaken triangular lattice that overlaps the field."""
    rows, columns = (int(np.ceil(side / cell_nm)) + 5 for side in field_nm)
    row, column = np.mgrid[:rows, :columns]
    x = (column + 0.5 * (row % 2) - 2.0).ravel()
    y = (row * 3**0.5 / 2 - 2.0).ravel()
    points = np.stack([x, y], axis=1) + rng.normal(0, 0.26, (rows * columns, 2))
    return (points + rng.random(2)) * cell_nm


def _sheets(
    rng: np.random.Generator,
    diagram: Voronoi,
    field_nm: tuple[float, float],
    sheet_share: float,
    labels_per_nm2: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Fill the cells on one side: (n, 2) x, y and the number of the sheet, (n,)."""
    side = rng.uniform(0, 2 * np.pi)
    rank = diagram.points @ (np.cos(side), np.sin(side))
    rank = rank + rng.normal(0, 0.1 * max(field_nm), len(rank))
    height_nm, width_nm = field_nm
    inside = np.all((diagram.points > 0) & (diagram.points < (width_nm, height_nm)), 1)
    cells = np.flatnonzero(inside)
    cells = cells[np.argsort(-rank[cells])][: round(sheet_share * len(cells))]
    points, numbers = [np.empty((0, 2))], [np.empty(0, int)]
    for number, cell in enumerate(cells):
        region = diagram.regions[diagram.point_region[cell]]
        if -1 in region:
            continue
        corners = diagram.vertices[region]
        first, second = corners, np.roll(corners, -1, axis=0)
        centre = corners.mean(axis=0)
        (ax, ay), (bx, by) = (first - centre).T, (second - centre).T
        area = np.abs(ax * by - ay * bx) / 2
        expected: float = labels_per_nm2 * area.sum()
        count = int(rng.poisson(expected))
        chosen = rng.choice(len(corners), count, p=area / area.sum())
        u, v = rng.random((2, count, 1))
        root = np.sqrt(u)
        points.append(
            (1 - root) * centre
            + root * (1 - v) * first[chosen]
            + root * v * second[chosen]
        )
        numbers.append(np.full(count, number))
    return np.concatenate(points), np.concatenate(numbers)
