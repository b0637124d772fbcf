"""Test objects of known geometry: lines with gaps, crossings, rings, discs, grids.

They are drawn like specimens (`zoo.physics.specimens.render_labels`), so that edges
show no stairs, but nothing of them is random beside where they lie.
"""

from typing import NamedTuple

import numpy as np
from scipy import ndimage

from zoo.physics.specimens import render_labels
from zoo.physics.structures import Labels

STEP_NM = 6.0
"""Spacing of the points that lines are made of."""


class Gaps(NamedTuple):
    """Lines with gaps."""

    image: np.ndarray
    """(y, x) float32, relative brightness."""
    places_nm: np.ndarray
    """(n, 2) middles of the gaps, y before x, from the outer corner."""
    directions: np.ndarray
    """(n, 2) unit vectors along the lines."""


class Crossings(NamedTuple):
    """Pairs of lines that cross."""

    image: np.ndarray
    """(y, x) float32, relative brightness."""
    places_nm: np.ndarray
    """(n, 2) crossing points, y before x, from the outer corner."""
    arms: np.ndarray
    """(n, 2, 2) unit vectors along the two lines of each."""


def gap_lines(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    gap_nm: float,
    spacing_nm: float = 1000.0,
    period_nm: float = 1600.0,
    edge_nm: float = 1100.0,
) -> Gaps:
    """Draw nearly parallel lines in a random direction, each with gaps of one width.

    Parameters
    ----------
    rng
        Source of the directions and of where lines and gaps begin.
    shape, pixel_nm
        Size of the image, px, and edge of a pixel.
    gap_nm
        Width of a gap, end to end.
    spacing_nm, period_nm
        Distance of lines, and of the middles of gaps along a line.
    edge_nm
        Gaps nearer to the border than this are drawn but not listed.
    """
    sides = np.array(shape) * pixel_nm
    reach = float(np.hypot(*sides))
    turn = rng.uniform(0, np.pi)
    rows: list[np.ndarray] = []
    places: list[np.ndarray] = []
    directions: list[np.ndarray] = []
    offset = rng.uniform(0, spacing_nm) - reach / 2
    for across in np.arange(offset, reach / 2, spacing_nm):
        angle = turn + rng.normal(0, 0.05)
        along = np.array([np.sin(angle), np.cos(angle)])
        aside = np.array([np.cos(turn), -np.sin(turn)])
        start = sides / 2 + across * aside
        t = np.arange(-reach / 2, reach / 2, STEP_NM)
        phase = rng.uniform(0, period_nm)
        within = np.mod(t - phase + period_nm / 2, period_nm) - period_nm / 2
        kept = np.abs(within) >= gap_nm / 2
        rows.append(start + t[kept, None] * along)
        first = int(np.ceil((-reach / 2 - phase) / period_nm))
        count = int(reach / period_nm)
        middles = (
            start + (phase + period_nm * (first + np.arange(count)))[:, None] * along
        )
        for middle in middles:
            if (middle > edge_nm).all() and (middle < sides - edge_nm).all():
                places.append(middle)
                directions.append(along)
    image = drawn(np.concatenate(rows), shape, pixel_nm=pixel_nm)
    return Gaps(
        image, np.array(places).reshape(-1, 2), np.array(directions).reshape(-1, 2)
    )


def crossings(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    angle_deg: float,
    spacing_nm: float = 2500.0,
    arm_nm: float = 1000.0,
    edge_nm: float = 1300.0,
) -> Crossings:
    """Draw pairs of straight lines that cross at an angle, turned at random.

    Parameters
    ----------
    rng
        Source of where and how pairs lie.
    shape, pixel_nm
        Size of the image, px, and edge of a pixel.
    angle_deg
        Angle between the lines of a pair.
    spacing_nm
        Distance of the crossing points.
    arm_nm
        Length of a line on either side of the crossing point.
    edge_nm
        Least distance of crossing points from the border.
    """
    sides = np.array(shape) * pixel_nm
    ticks = [np.arange(edge_nm, side - edge_nm + 1, spacing_nm) for side in sides]
    places = np.stack(np.meshgrid(*ticks, indexing="ij"), axis=-1).reshape(-1, 2)
    places = places + rng.uniform(-100, 100, places.shape)
    turns = rng.uniform(0, np.pi, len(places))
    both = np.stack([turns, turns + np.radians(angle_deg)], axis=1)
    arms = np.stack([np.sin(both), np.cos(both)], axis=-1)
    t = np.arange(-arm_nm, arm_nm, STEP_NM)
    points = places[:, None, None, :] + t[:, None] * arms[:, :, None, :]
    image = drawn(points.reshape(-1, 2), shape, pixel_nm=pixel_nm)
    return Crossings(image, places, arms)


def rings(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    diameter_nm: tuple[float, float] = (400.0, 1400.0),
    density_per_um2: float = 0.5,
) -> np.ndarray:
    """Draw the outlines of circles, such as membranes of swollen vesicles, (y, x)."""
    sides = np.array(shape) * pixel_nm
    count = max(int(density_per_um2 * float(np.prod(sides)) / 1e6), 1)
    rows: list[np.ndarray] = []
    for place in rng.uniform(0, 1, (count, 2)) * sides:
        radius = rng.uniform(*diameter_nm) / 2
        turns = np.arange(0, 2 * np.pi, STEP_NM / radius)
        rows.append(place + radius * np.stack([np.sin(turns), np.cos(turns)], axis=1))
    return drawn(np.concatenate(rows), shape, pixel_nm=pixel_nm)


def discs(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    diameter_nm: tuple[float, float] = (1500.0, 3500.0),
    density_per_um2: float = 0.06,
) -> np.ndarray:
    """Draw filled discs with sharp edges, such as nuclei or vacuoles, (y, x)."""
    sides = np.array(shape) * pixel_nm
    count = max(int(density_per_um2 * float(np.prod(sides)) / 1e6), 1)
    y, x = ((np.arange(n) + 0.5) * pixel_nm for n in shape)
    image = np.zeros(shape, np.float32)
    for place in rng.uniform(0, 1, (count, 2)) * sides:
        radius = rng.uniform(*diameter_nm) / 2
        distance = np.hypot(y[:, None] - place[0], x[None, :] - place[1])
        image += np.clip((radius - distance) / pixel_nm + 0.5, 0, 1).astype(np.float32)
    return image


def clouds(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    size_nm: float = 350.0,
) -> np.ndarray:
    """Draw a smooth random texture, such as chromatin or a diffuse stain, (y, x).

    Its grains are Gaussians of `size_nm` standard deviation: none of them is sharp.
    """
    noise = rng.normal(size=shape)
    field = ndimage.gaussian_filter(noise, size_nm / pixel_nm, mode="wrap")
    field = field / max(float(field.std()), 1e-12)
    return np.maximum(1 + 0.7 * field, 0).astype(np.float32)


def dot_grid(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    spacing_nm: float = 700.0,
) -> np.ndarray:
    """Draw point sources on a turned square lattice, (y, x)."""
    sides = np.array(shape) * pixel_nm
    reach = float(np.hypot(*sides))
    ticks = np.arange(-reach / 2, reach / 2, spacing_nm) + rng.uniform(0, spacing_nm)
    turn = rng.uniform(0, np.pi / 2)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    points = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2) @ rotation
    return drawn(points + sides / 2, shape, pixel_nm=pixel_nm)


def drawn(
    points_nm: np.ndarray, shape: tuple[int, int], *, pixel_nm: float
) -> np.ndarray:
    """Draw points (n, 2), y before x, of one brightness; (y, x) float32."""
    y_nm, x_nm = points_nm.T
    zeros = np.zeros(len(points_nm))
    labels = Labels(x_nm, y_nm, zeros, zeros.astype(int))
    return render_labels(labels, shape, pixel_nm=pixel_nm)
