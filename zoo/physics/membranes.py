"""Label positions on membranes: cristae of mitochondria, and outlines of cells.

Presets of the kind of `zoo.physics.structures`.
"""

import math

import numpy as np

from zoo.physics.curves import along_curves, curves
from zoo.physics.structures import STEP_NM, Labels

INNER_NM = 20.0
"""Distance of the inner mitochondrial membrane from the outer."""


def cristae(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    tubes: int = 6,
    length_nm: tuple[float, float] = (1000.0, 6000.0),
    diameter_nm: tuple[float, float] = (250.0, 600.0),
    spacing_nm: float = 90.0,
    outer_share: float = 0.0,
    labels_per_um2: float = 3000.0,
) -> Labels:
    """Label the membranes inside mitochondria: lamellae across bent tubes.

    Cristae lie 50 to 150 nm apart and reach from one side over most of the tube
    (Stephan et al. 2019, doi:10.1038/s41598-019-48838-2).  The inner boundary membrane
    runs 20 nm inside the outer one, whose projection is a line on either side.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    tubes
        Mitochondria that cross the field or lie near it.
    length_nm, diameter_nm
        Smallest and largest length and diameter.
    spacing_nm
        Mean distance of the lamellae.
    outer_share
        Share of the labels on the outer membrane; the others are inside.
    labels_per_um2
        Labels per square micrometre of membrane.
    """
    parts: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    for number in range(tubes):
        tube_nm, width_nm = rng.uniform(*length_nm), rng.uniform(*diameter_nm)
        x, y = curves(
            rng,
            field_nm=field_nm,
            count=1,
            length_nm=tube_nm,
            persistence_nm=rng.uniform(2000, 6000),
            beyond_nm=500.0,
        )
        if not _seen(x, y, field_nm, width_nm):
            continue
        tube_nm = (x.shape[1] - 1) * STEP_NM
        along, aside, up = _membranes(
            rng, tube_nm, width_nm / 2, spacing_nm, outer_share, labels_per_um2
        )
        flat = along_curves(x, y, curve=np.zeros(len(along), int), along_nm=along)
        x_nm, y_nm, normal_x, normal_y = flat
        points = np.stack([x_nm + aside * normal_x, y_nm + aside * normal_y, up], 1)
        parts.append(points)
        numbers.append(np.full(len(points), number))
    x_nm, y_nm, z_nm = np.concatenate([np.empty((0, 3)), *parts]).T
    instance = np.concatenate([np.empty(0, int), *numbers])
    return Labels(x_nm, y_nm, z_nm, instance).inside(field_nm)


def _seen(
    x_nm: np.ndarray, y_nm: np.ndarray, field_nm: tuple[float, float], margin_nm: float
) -> bool:
    """Say whether any node lies in the field or at most a margin beside it."""
    rows = (y_nm > -margin_nm) & (y_nm < field_nm[0] + margin_nm)
    return bool((rows & (x_nm > -margin_nm) & (x_nm < field_nm[1] + margin_nm)).any())


def _membranes(
    rng: np.random.Generator,
    length_nm: float,
    radius_nm: float,
    spacing_nm: float,
    outer_share: float,
    labels_per_um2: float,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels along, beside and above the axis of one mitochondrion, nm."""
    waver_nm, phase = rng.uniform(600, 2000), rng.uniform(0, 2 * np.pi)

    def radius(along: np.ndarray) -> np.ndarray:
        from_end = np.minimum(along, length_nm - along)
        cap = np.sqrt(1 - np.clip(1 - from_end / radius_nm, 0, 1) ** 2)
        return (
            radius_nm * cap * (1 + 0.1 * np.sin(2 * np.pi * along / waver_nm + phase))
        )

    per_nm2 = labels_per_um2 / 1e6
    surface = 2 * np.pi * radius_nm * length_nm
    # proteins of the cristae are rarer in the wall, those of the outer membrane not
    wall = outer_share + (1 - outer_share) * rng.uniform(0.1, 0.6)
    count = int(rng.poisson(per_nm2 * surface * wall))
    along = rng.random(count) * length_nm
    shell = radius(along) - INNER_NM * (rng.random(count) >= outer_share)
    turn = rng.uniform(0, 2 * np.pi, count)
    walls = along, shell * np.cos(turn), radius_nm + shell * np.sin(turn)
    gaps = np.maximum(rng.normal(spacing_nm, 0.3 * spacing_nm, 400), 45.0)
    places = np.cumsum(gaps)
    places = places[places < length_nm - 40]
    both_sides = 2 * np.pi * radius_nm**2
    each = rng.poisson(per_nm2 * (1 - outer_share) * both_sides, len(places))
    lamella = np.repeat(np.arange(len(places)), each)
    reach = rng.uniform(0.5, 1.0, len(places))[lamella]
    side = rng.choice([-1.0, 1.0], len(places))[lamella]
    lean = rng.normal(0, 0.2, len(places))[lamella]
    at = places[lamella]
    inner = np.maximum(radius(at) - INNER_NM, 0)
    turn = rng.uniform(0, 2 * np.pi, len(at))
    out = inner * np.sqrt(rng.random(len(at)))
    across, up = out * np.cos(turn), radius_nm + out * np.sin(turn)
    # a lamella that does not reach the other side ends before it
    kept = side * across < inner * (2 * reach - 1)
    at = at + lean * across + rng.choice([-10.0, 10.0], len(at))
    lamellae = (part[kept] for part in (np.clip(at, 0, length_nm), across, up))
    first, second, third = (
        np.concatenate(pair) for pair in zip(walls, lamellae, strict=True)
    )
    return first, second, third


def membranes(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    outlines: int = 2,
    radius_nm: tuple[float, float] = (1500.0, 8000.0),
    labels_per_um: float = 300.0,
    partner: float = 0.5,
) -> Labels:
    """Label the outlines of cells, nuclei and large vesicles: closed wavy lines.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    outlines
        Outlines that cross the field.
    radius_nm
        Smallest and largest mean radius.
    labels_per_um
        Labels per micrometre of line.
    partner
        Chance of a second line beside an outline, as where two cells touch.
    """
    parts: list[np.ndarray] = []
    numbers: list[np.ndarray] = []
    through = rng.uniform((0, 0), (field_nm[1], field_nm[0]), (outlines, 2))
    for number, point in enumerate(through):
        radius = log_uniform(rng, *radius_nm)
        beside_nm = rng.uniform(50, 400) if rng.random() < partner else 0.0
        orders = np.arange(2, 9)
        waves = rng.normal(0, 0.15, len(orders)) / orders
        phases = rng.uniform(0, 2 * np.pi, len(orders))
        towards = rng.uniform(0, 2 * np.pi)
        centre = point - radius * np.array([np.cos(towards), np.sin(towards)])
        # only the part near the field is labelled
        half = min(1.2 * max(field_nm) / radius, np.pi)
        expected = labels_per_um * 2 * half * radius / 1000
        angle = towards + rng.uniform(-half, half, int(rng.poisson(expected)))
        shape = np.cos(angle[:, None] * orders + phases) @ waves
        start = np.cos(towards * orders + phases) @ waves
        line = radius * (1 + shape - start) + rng.normal(0, 8, len(angle))
        line = line + beside_nm * (rng.random(len(angle)) < 0.5) * bool(beside_nm)
        flat = np.stack([np.cos(angle), np.sin(angle)], 1) * line[:, None] + centre
        parts.append(flat)
        numbers.append(np.full(len(flat), number))
    x_nm, y_nm = np.concatenate([np.empty((0, 2)), *parts]).T
    height_nm = rng.uniform(0, 300, len(x_nm))
    instance = np.concatenate([np.empty(0, int), *numbers])
    return Labels(x_nm, y_nm, height_nm, instance).inside(field_nm)


def log_uniform(rng: np.random.Generator, low: float, high: float) -> float:
    """Return a number whose logarithm is uniform."""
    return math.exp(rng.uniform(math.log(low), math.log(high)))
