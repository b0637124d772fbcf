"""Dyes on cell structures: what an acquisition of localizations is drawn from.

Made for training, where a field of a few micrometres must cost milliseconds: dyes are
drawn along centre lines and not on a lattice of binding sites.
"""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from zoo.physics.actin import actin_bundles
from zoo.physics.curves import along_curves, curves
from zoo.physics.nuclear_pores import nuclear_pores
from zoo.physics.organelles import mitochondria
from zoo.physics.structures import STEP_NM, Labels, vesicles

CloudStructure = Literal[
    "microtubules", "nuclear_pores", "actin", "mitochondria", "peroxisomes"
]
"""Names of the structures."""

SITES_PER_NM = 1.625
"""Tubulin dimers per nanometre of a microtubule: 13 protofilaments, one each 8 nm."""

WALL_NM = 12.5
"""Outer radius of a microtubule."""


class Cloud(NamedTuple):
    """Dyes of one field."""

    x_nm: np.ndarray
    """(n,) float, along columns, linkage included."""
    y_nm: np.ndarray
    """(n,) float, along rows."""
    density_per_nm2: float
    """Dyes per square nanometre in the middle of one structure of this kind, such as a
    single microtubule, before localization errors."""
    radius_nm: float
    """Standard deviation across a line for which that density holds; infinite for
    areas."""

    def within(self, low_nm: float, high_nm: float) -> "Cloud":
        """Return the dyes of a square part of the field."""
        kept = (self.x_nm >= low_nm) & (self.x_nm < high_nm)
        kept &= (self.y_nm >= low_nm) & (self.y_nm < high_nm)
        return self._replace(x_nm=self.x_nm[kept], y_nm=self.y_nm[kept])


def cloud(rng: np.random.Generator, structure: CloudStructure, edge_nm: float) -> Cloud:
    """Draw conditions of a cell and place the dyes of a square field.

    Parameters
    ----------
    rng
        Source of conditions, geometry and labelling.
    structure
        What carries the dyes.
    edge_nm
        Edge of the field.

    Raises
    ------
    ValueError
        If the structure is unknown.

    Examples
    --------
    >>> dyes = cloud(np.random.default_rng(0), "microtubules", 5000.0)
    >>> len(dyes.x_nm) > 100, bool(dyes.x_nm.max() < 5000)
    (True, True)
    """
    if structure not in CLOUDS:
        raise ValueError(f"structure must be one of {list(CLOUDS)}, not {structure}")
    return CLOUDS[structure](rng, edge_nm)


def tubulin(
    rng: np.random.Generator,
    edge_nm: float,
    *,
    filaments_per_um: tuple[float, float] = (0.2, 5.0),
    bundle_share: float = 0.25,
    persistence_nm: tuple[float, float] = (3_000.0, 30_000.0),
    efficiency: tuple[float, float] = (0.04, 0.3),
    linkage_nm: tuple[float, float] = (5.0, 17.5),
    gap_nm: tuple[float, float] = (40.0, 800.0),
    gap_share: float = 0.4,
) -> Cloud:
    """Draw microtubules of any density: single, crossing, bundled, radial or aligned.

    Parameters
    ----------
    rng, edge_nm
        As for `cloud`.
    filaments_per_um
        Filaments per micrometre of the field's edge, log-uniform; at least one.
    bundle_share
        Share of the filaments, in fields that have bundles, that run together with one
        to four others, 30 to 150 nm apart.
    persistence_nm
        Persistence length, log-uniform.
    efficiency
        Share of the binding sites that carry a dye, log-uniform; it differs by 15 %
        between filaments and wavers along them.
    linkage_nm
        Distance from wall to dye, uniform between fields.
    gap_nm
        Length of true gaps in the labelling, log-uniform.
    gap_share
        Share of the fields that have gaps, about one in 3 µm of filament.
    """
    count = max(int(_log_uniform(rng, filaments_per_um) * edge_nm / 1000), 1)
    layout = rng.random()
    heading = None
    if layout < 0.25:  # aligned, as in a process of a cell
        spread = rng.uniform(0.05, 0.5)
        heading = rng.uniform(0, np.pi) + rng.normal(0, spread, count)
    length_nm = 1.6 * edge_nm
    x_nm, y_nm = curves(
        rng,
        field_nm=(edge_nm, edge_nm),
        count=count,
        length_nm=length_nm,
        persistence_nm=_log_uniform(rng, persistence_nm),
        heading_rad=heading,
    )
    if layout > 0.85:  # radial: all pass through one place
        middle = x_nm.shape[1] // 2
        for line, home in zip((x_nm, y_nm), rng.uniform(0, edge_nm, 2), strict=True):
            line += home + rng.normal(0, 150, (count, 1)) - line[:, middle : middle + 1]
    members = np.ones(count, int)
    if rng.random() < 0.5:
        bundled = rng.random(count) < bundle_share
        members[bundled] += rng.integers(1, 5, int(bundled.sum()))
    curve = np.repeat(np.arange(count), members)
    place = np.arange(len(curve)) - np.searchsorted(curve, curve)
    aside_nm = rng.uniform(30, 150) * (place + rng.normal(0, 0.25, len(curve)))
    aside_nm[members[curve] == 1] = 0.0
    share = _log_uniform(rng, efficiency)
    per_nm = SITES_PER_NM * share * np.exp(rng.normal(0, 0.15, len(curve)))
    dyes = rng.poisson(per_nm * length_nm)
    member = np.repeat(np.arange(len(curve)), dyes)
    along = rng.random(len(member)) * length_nm
    kept = rng.random(len(member)) < _waver(rng, len(curve), member, along)
    if rng.random() < gap_share:
        kept &= ~_in_gaps(rng, len(curve), member, along, length_nm, gap_nm)
    member, along = member[kept], along[kept]
    x, y, normal_x, normal_y = along_curves(
        x_nm, y_nm, curve=curve[member], along_nm=along
    )
    radius = WALL_NM + rng.uniform(*linkage_nm)
    stray = aside_nm[member] * (1 + 0.3 * np.sin(along / rng.uniform(600, 3000)))
    stray += radius * np.cos(rng.uniform(0, 2 * np.pi, len(member)))
    spread_nm = radius / 2**0.5
    dense = SITES_PER_NM * share * 0.75 / ((2 * np.pi) ** 0.5 * spread_nm)
    everything = Cloud(x + stray * normal_x, y + stray * normal_y, dense, spread_nm)
    return everything.within(0.0, edge_nm)


def _waver(
    rng: np.random.Generator, lines: int, member: np.ndarray, along: np.ndarray
) -> np.ndarray:
    """Return shares of labels that are kept along filaments, 0.5 to 1."""
    period = rng.uniform(400, 3000, lines)[member]
    phase = rng.uniform(0, 2 * np.pi, lines)[member]
    return 0.75 + 0.25 * np.sin(2 * np.pi * along / period + phase)


def _in_gaps(
    rng: np.random.Generator,
    lines: int,
    member: np.ndarray,
    along: np.ndarray,
    length_nm: float,
    gap_nm: tuple[float, float],
) -> np.ndarray:
    """Say which dyes lie in a gap of the labelling."""
    most = int(rng.integers(1, 5))
    low, high = np.log(gap_nm)
    inside = np.zeros(len(member), bool)
    for _ in range(most):
        middle = rng.uniform(0, length_nm, lines)[member]
        half = 0.5 * np.exp(rng.uniform(low, high, lines))[member]
        inside |= np.abs(along - middle) < half
    return inside


def _pores(rng: np.random.Generator, edge_nm: float) -> Cloud:
    labels = nuclear_pores(
        rng,
        field_nm=(edge_nm, edge_nm),
        density_per_um2=rng.uniform(1.0, 8.0),
        efficiency=rng.uniform(0.5, 0.85),
    )
    # a corner holds four sites within some 10 nm
    return _of_labels(labels, density_per_nm2=4 * 0.7 / (2 * np.pi * 12.0**2))


def _actin(rng: np.random.Generator, edge_nm: float) -> Cloud:
    edge_um = edge_nm / 1000
    labels = actin_bundles(
        rng,
        field_nm=(edge_nm, edge_nm),
        bundles=max(int(rng.uniform(0.5, 3.0) * edge_um), 1),
        mesh_filaments=max(int(rng.uniform(0.3, 1.5) * edge_um**2), 1),
        alignment_rad=float(rng.choice([0.1, 0.4, 1.2])),
        efficiency=rng.uniform(0.04, 0.12),
    )
    return _of_labels(labels)


def _mitochondria(rng: np.random.Generator, edge_nm: float) -> Cloud:
    per_um2 = rng.uniform(200.0, 900.0)
    labels = mitochondria(
        rng,
        field_nm=(edge_nm, edge_nm),
        density_per_um2=rng.uniform(0.1, 0.3),
        label="membrane" if rng.random() < 0.7 else "matrix",
        labels_per_um2=per_um2,
        cluster=(1, 4),
    )
    # a membrane is seen twice where it lies flat, and more at its edges
    return _of_labels(labels, density_per_nm2=2.5e-6 * per_um2)


def _peroxisomes(rng: np.random.Generator, edge_nm: float) -> Cloud:
    count = int(rng.integers(60, 250))
    labels = vesicles(
        rng,
        field_nm=(edge_nm, edge_nm),
        density_per_um2=rng.uniform(0.2, 0.8),
        diameter_nm=(150.0, 450.0),
        labels=(count // 2, count),
        spacing_nm=500.0,
    )
    area_nm2 = np.pi * 150.0**2
    return _of_labels(labels, density_per_nm2=0.6 * count / area_nm2)


def _of_labels(labels: Labels, *, density_per_nm2: float | None = None) -> Cloud:
    """Return the cloud of labels; the density that a label sees by default."""
    if density_per_nm2 is None:
        density_per_nm2 = _usual_density(labels)
    return Cloud(labels.x_nm, labels.y_nm, density_per_nm2, np.inf)


def _usual_density(labels: Labels) -> float:
    """Return the number of labels per area around a label, at a resolution of 40 nm."""
    bins = 2 * STEP_NM
    cells = np.floor(labels.x_nm / bins).astype(int)
    cells = cells + 100_000 * np.floor(labels.y_nm / bins).astype(int)
    counts = np.unique(cells, return_counts=True)[1].astype(float)
    return float((counts**2).sum() / max(counts.sum(), 1.0)) / bins**2


def _log_uniform(rng: np.random.Generator, bounds: tuple[float, float]) -> float:
    return float(np.exp(rng.uniform(*np.log(bounds))))


CLOUDS: dict[CloudStructure, Callable[[np.random.Generator, float], Cloud]] = {
    "microtubules": tubulin,
    "nuclear_pores": _pores,
    "actin": _actin,
    "mitochondria": _mitochondria,
    "peroxisomes": _peroxisomes,
}
"""Structures by name; the first four in the order of ANNA-PALM's switch."""
