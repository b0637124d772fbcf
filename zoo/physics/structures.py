"""Label positions on cellular structures.

A preset is a function ``preset(rng, *, field_nm, ...) -> Labels``: it lays out
instances in a field ``(height, width)``, nm, whose corner is the origin, puts labels on
their geometry with a labelling efficiency, and keeps those inside the field.  A further
structure is a further function on the same building blocks.
"""

from dataclasses import dataclass
from typing import Literal, Self, cast

import numpy as np
from scipy.spatial import KDTree

STEP_NM = 20.0
"""Spacing of the nodes of a chain."""

_PROTOFILAMENTS = 13
_DIMER_NM = 8.0  # length of one tubulin dimer: the axial period of the sites
_HELIX_NM = 12.0  # rise of the lattice over one turn (three monomers)
_SLOPE_NODES = 50  # the slope of a filament changes over 1 µm


@dataclass(frozen=True, eq=False)
class Labels:
    """Points on structures, one label per row."""

    x_nm: np.ndarray
    """(n,) float, along columns."""
    y_nm: np.ndarray
    """(n,) float, along rows."""
    z_nm: np.ndarray
    """(n,) float, above the coverslip."""
    instance: np.ndarray
    """(n,) int, number of the filament or vesicle that carries the label."""

    def __len__(self) -> int:
        return len(self.x_nm)

    def inside(self, field_nm: tuple[float, float]) -> Self:
        """Return the labels in ``[0, width) x [0, height)``."""
        kept = _inside(self.x_nm, self.y_nm, field_nm)
        columns = (self.x_nm, self.y_nm, self.z_nm, self.instance)
        return type(self)(*(column[kept] for column in columns))


def worm_like_chain(
    rng: np.random.Generator,
    *,
    chains: int,
    steps: int,
    persistence_nm: float,
    step_nm: float = STEP_NM,
) -> np.ndarray:
    """Draw the directions along semiflexible filaments in the plane.

    The direction turns by ``N(0, step / persistence)`` per step, so that two directions
    a length ``s`` apart correlate as ``<cos> = exp(-s / (2 persistence))`` (Gittes et
    al. 1993, doi:10.1083/jcb.120.4.923).

    Parameters
    ----------
    rng
        Source of the bends.
    chains
        Number of filaments.
    steps
        Straight pieces of a filament.
    persistence_nm
        Persistence length; ``inf`` for straight lines.
    step_nm
        Length of a piece.

    Returns
    -------
    tangents : (chains, steps, 2) float64
        Unit vectors (x, y); the first is random.  Their cumulative sum times
        `step_nm` is the filament.

    Raises
    ------
    ValueError
        If a length is not positive.
    """
    if not (persistence_nm > 0 and step_nm > 0):
        raise ValueError(
            "persistence_nm and step_nm must be positive, "
            f"not {persistence_nm} and {step_nm}"
        )
    bend_sd = (step_nm / persistence_nm) ** 0.5
    heading = rng.normal(0.0, bend_sd, (chains, steps))
    heading[:, :1] = rng.uniform(0, 2 * np.pi, (chains, min(steps, 1)))
    np.cumsum(heading, axis=1, out=heading)
    return np.stack([np.cos(heading), np.sin(heading)], axis=-1)


def filament_points(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    filaments: int = 8,
    persistence_nm: float = 30_000.0,
    spacing_nm: float = STEP_NM,
) -> np.ndarray:
    """Draw the centre lines of filaments that cross a small field.

    Every filament passes through a point uniform in the field in a uniform direction.
    Made for training, where a crop of a few micrometres must cost well below a
    millisecond; `microtubules` draws the labels themselves.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    filaments
        Number of filaments; one or more give at least one point each.
    persistence_nm
        Persistence length; 30 µm is the apparent one of microtubules in cells, where
        lateral forces bend them (Brangwynne et al. 2006, doi:10.1083/jcb.200601060).
    spacing_nm
        Distance between neighbouring points of a filament.

    Returns
    -------
    points : (n, 2) float64
        x and y of points inside the field, nm from its corner, filament by filament.

    Raises
    ------
    ValueError
        If a length is not positive.

    Examples
    --------
    >>> points = filament_points(np.random.default_rng(0), field_nm=(2600.0, 2600.0))
    >>> points.shape[1], bool(points.min() >= 0), bool(points.max() < 2600)
    (2, True, True)
    """
    x_nm, y_nm = _lines(rng, field_nm, filaments, persistence_nm, spacing_nm)
    kept = _inside(x_nm, y_nm, field_nm)
    return np.stack([x_nm[kept], y_nm[kept]], axis=1)


def microtubules(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    filaments: int = 20,
    persistence_nm: float = 30_000.0,
    layout: Literal["crossing", "radial"] = "crossing",
    depth_nm: float = 500.0,
    elevation_sd_rad: float = 0.08,
    efficiency: float = 0.15,
    outer_diameter_nm: float = 25.0,
    linkage_nm: tuple[float, float] = (5.0, 17.5),
) -> Labels:
    """Label the wall of microtubules that run flat above the coverslip.

    A microtubule is a hollow cylinder of 13 protofilaments with one site per 8 nm
    dimer, 1625 sites per micrometre.  Its centre line is a worm-like chain in the
    plane whose height wanders slowly.  Flexural rigidity: Gittes et al. 1993
    (doi:10.1083/jcb.120.4.923); the shorter apparent persistence in cells: Brangwynne
    et al. 2006 (doi:10.1083/jcb.200601060).

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    filaments
        Number of filaments; 5 to 40 in 10 µm look like a cell.
    persistence_nm
        Persistence length: 30 µm apparent in cells, millimetres in vitro.
    layout
        Whether filaments cross the field anywhere or leave one organising centre.
    depth_nm
        Range of the centre lines' heights, from where the wall touches the coverslip.
    elevation_sd_rad
        Standard deviation of the slope against the coverslip.
    efficiency
        Share of the sites that carry a label, 0.05 to 0.3 for antibodies.
    outer_diameter_nm
        Diameter of the wall.
    linkage_nm
        Smallest and largest radial distance from wall to fluorophore; primary and
        secondary antibodies make up to 17.5 nm, ``(0, 0)`` is a direct label.

    Returns
    -------
    labels : Labels
        Labels inside the field, `instance` numbering the filaments.

    Raises
    ------
    ValueError
        If a length is not positive or the efficiency is not in [0, 1].
    """
    x_nm, y_nm = _lines(rng, field_nm, filaments, persistence_nm, STEP_NM, layout)
    z_nm = _heights(rng, x_nm.shape, depth_nm, elevation_sd_rad)
    z_nm += outer_diameter_nm / 2 + linkage_nm[1]  # no label below the coverslip
    nodes = x_nm.shape[1]
    dimers = int((nodes - 1) * STEP_NM / _DIMER_NM) - 2  # the helix needs some room
    site = _labelled(rng, (filaments, dimers, _PROTOFILAMENTS), efficiency)
    instance, dimer, protofilament = site
    along_nm = dimer * _DIMER_NM + protofilament * _HELIX_NM / _PROTOFILAMENTS
    before = (along_nm / STEP_NM).astype(int)
    share = along_nm / STEP_NM - before
    x, y, z = (line[instance, before] for line in (x_nm, y_nm, z_nm))
    dx, dy, dz = (
        line[instance, before + 1] - line[instance, before]
        for line in (x_nm, y_nm, z_nm)
    )
    radius = outer_diameter_nm / 2 + rng.uniform(*linkage_nm, len(instance))
    turn = rng.uniform(0, 2 * np.pi, filaments)[instance]
    azimuth = turn + 2 * np.pi * protofilament / _PROTOFILAMENTS
    # sideways lies in the plane, upwards is perpendicular to it and to the filament
    sideways, upwards = radius * np.cos(azimuth), radius * np.sin(azimuth)
    flat = np.hypot(dx, dy)
    full = np.hypot(flat, dz)
    return Labels(
        x + share * dx - sideways * dy / flat - upwards * dx * dz / (flat * full),
        y + share * dy + sideways * dx / flat - upwards * dy * dz / (flat * full),
        z + share * dz + upwards * flat / full,
        instance,
    ).inside(field_nm)


def vesicles(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    density_per_um2: float = 0.5,
    diameter_nm: tuple[float, float] = (100.0, 200.0),
    labels: tuple[int, int] = (20, 60),
    cap: float = 1.0,
    spacing_nm: float = 200.0,
) -> Labels:
    """Label the shells of vesicles or clathrin-coated pits; rings in projection.

    Spheres or spherical caps at the coverslip with labels uniform on the shell.  The
    defaults, of clathrin-coated pits, are general knowledge and not one paper's.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    density_per_um2
        Vesicles per square micrometre, 0.3 to 1.5 in cells.
    diameter_nm
        Smallest and largest diameter.
    labels
        Smallest and largest number of labels of one vesicle.
    cap
        Share of the diameter, from the top, that the shell covers; 1 is a sphere.
    spacing_nm
        Smallest distance between centres.

    Returns
    -------
    labels : Labels
        Labels inside the field, `instance` numbering the vesicles.

    Raises
    ------
    ValueError
        If `cap` is not in (0, 1] or vesicles cannot be placed at this distance.
    """
    if not 0 < cap <= 1:
        raise ValueError(f"cap must be in (0, 1], not {cap}")
    x_nm, y_nm = scattered(rng, field_nm, density_per_um2, spacing_nm)
    count = rng.integers(labels[0], labels[1] + 1, len(x_nm))
    instance = np.repeat(np.arange(len(x_nm)), count)
    radius = rng.uniform(*diameter_nm, len(x_nm))[instance] / 2
    azimuth = rng.uniform(0, 2 * np.pi, len(instance))
    # Archimedes: equal heights of a sphere have equal areas
    height = rng.uniform(1 - 2 * cap, 1, len(instance))
    flat = radius * np.sqrt(1 - height**2)
    return Labels(
        x_nm[instance] + flat * np.cos(azimuth),
        y_nm[instance] + flat * np.sin(azimuth),
        radius * (1 + height),
        instance,
    ).inside(field_nm)


def _inside(
    x_nm: np.ndarray, y_nm: np.ndarray, field_nm: tuple[float, float]
) -> np.ndarray:
    height_nm, width_nm = field_nm
    return (x_nm >= 0) & (x_nm < width_nm) & (y_nm >= 0) & (y_nm < height_nm)


def scattered(
    rng: np.random.Generator,
    field_nm: tuple[float, float],
    density_per_um2: float,
    spacing_nm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of a Poisson number of points, none too close to another.

    In a tiny field they are fewer where chance wants more than it can hold.
    """
    covered = density_per_um2 * 1e-6 * np.pi * spacing_nm**2 / 4
    if covered >= 0.4:
        raise ValueError(
            f"points {spacing_nm} nm apart at {density_per_um2} per µm² would cover "
            f"{covered:.0%} of the field; 40 % is the limit"
        )
    height_nm, width_nm = field_nm
    count = int(rng.poisson(density_per_um2 * 1e-6 * height_nm * width_nm))
    points = np.empty((0, 2))
    for _ in range(100):
        missing = count - len(points)
        if missing == 0:
            break
        fresh = rng.uniform((0, 0), (width_nm, height_nm), (missing, 2))
        points = np.concatenate([points, fresh])
        tree = KDTree(points)
        pairs = tree.query_pairs(spacing_nm, output_type="ndarray")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] SciPy has no types
        points = np.delete(points, cast(np.ndarray, pairs)[:, 1], axis=0)
    return points[:, 0], points[:, 1]


def _lines(
    rng: np.random.Generator,
    field_nm: tuple[float, float],
    filaments: int,
    persistence_nm: float,
    step_nm: float,
    layout: Literal["crossing", "radial"] = "crossing",
) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y, (filaments, nodes), of chains long enough to leave the field.

    Crossing chains have their middle node at a point of their own, radial ones begin at
    a common point; both are uniform in the field.
    """
    if min(field_nm) <= 0:
        raise ValueError(f"field_nm must be positive, not {field_nm}")
    height_nm, width_nm = field_nm
    reach = int(np.ceil(np.hypot(height_nm, width_nm) / step_nm)) + 1
    crossing = layout == "crossing"
    tangents = worm_like_chain(
        rng,
        chains=filaments,
        steps=2 * reach if crossing else reach,
        persistence_nm=persistence_nm,
        step_nm=step_nm,
    )
    through = rng.uniform(0, 1, (filaments if crossing else 1, 2))
    lines: list[np.ndarray] = []
    for axis, length_nm in enumerate((width_nm, height_nm)):
        line = np.zeros((filaments, tangents.shape[1] + 1))
        np.cumsum(tangents[:, :, axis] * step_nm, axis=1, out=line[:, 1:])
        anchor = line[:, reach if crossing else 0]
        lines.append(line + (through[:, axis] * length_nm - anchor)[:, None])
    return lines[0], lines[1]


def _heights(
    rng: np.random.Generator,
    shape: tuple[int, ...],
    depth_nm: float,
    elevation_sd_rad: float,
) -> np.ndarray:
    """Return (filaments, nodes) heights with a smooth random slope, kept in a slab."""
    if depth_nm <= 0:
        return np.zeros(shape)
    cycles = np.fft.rfftfreq(shape[1], 1 / _SLOPE_NODES)
    filtered = np.fft.rfft(rng.normal(size=shape)) * np.exp(-2 * (np.pi * cycles) ** 2)
    slope = np.fft.irfft(filtered, shape[1])
    slope *= elevation_sd_rad * (2 * np.pi**0.5 * _SLOPE_NODES) ** 0.5
    height = rng.uniform(0, depth_nm, (shape[0], 1))
    height = height + np.cumsum(slope, axis=1) * STEP_NM
    # walls of the slab reflect
    return depth_nm - np.abs(height % (2 * depth_nm) - depth_nm)


def _labelled(
    rng: np.random.Generator, sites: tuple[int, ...], efficiency: float
) -> tuple[np.ndarray, ...]:
    """Return the indices of the sites of a lattice that carry a label."""
    if not 0 <= efficiency <= 1:
        raise ValueError(f"efficiency must be in [0, 1], not {efficiency}")
    return np.nonzero(rng.random(sites) < efficiency)
