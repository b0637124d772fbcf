"""Images of structures of every kind, as truths of image-to-image networks.

Beside the five of `zoo.physics.specimens`: filaments of any density, vesicles, nuclear
pores, cristae, membranes, chromatin, beads, light without structure, and mixtures.
Sizes that are not given a source are general knowledge of adherent cells and not one
paper's.
"""

from collections.abc import Callable
from typing import Literal, cast

import numpy as np
from scipy import fft
from scipy.spatial import KDTree

from zoo.physics.illumination import tirf_weight
from zoo.physics.membranes import cristae, log_uniform, membranes
from zoo.physics.optics import frequencies
from zoo.physics.specimens import SPECIMENS, render_labels, vary_brightness
from zoo.physics.structures import Labels, microtubules, vesicles

CellStructure = Literal[
    "filaments",
    "microtubules",
    "actin",
    "pits",
    "vesicles",
    "nuclear_pores",
    "er",
    "mitochondria",
    "cristae",
    "membranes",
    "chromatin",
    "beads",
    "mixed",
    "diffuse",
    "nothing",
]
"""Names of the structures; `diffuse` is smooth light, `mixed` two of the others."""


def nuclear_pores(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    density_per_um2: float = 8.0,
    diameter_nm: float = 107.0,
    efficiency: float = 0.7,
    spacing_nm: float = 150.0,
) -> Labels:
    """Label nuclear pores: two rings of eight corners with two sites each.

    Ring diameter: Thevathasan et al. 2019 (doi:10.1038/s41592-019-0574-9).

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    density_per_um2
        Pores per square micrometre before those that come too near are left out.
    diameter_nm
        Diameter of the rings.
    efficiency
        Share of the 32 sites that carry a label.
    spacing_nm
        Smallest distance between centres.
    """
    centres = _apart(rng, field_nm, density_per_um2, spacing_nm)
    pore = np.repeat(np.arange(len(centres)), 32)
    site = np.tile(np.arange(32), len(centres))
    upper, corner, twin = site // 16, site // 2 % 8, site % 2
    turn = rng.uniform(0, 2 * np.pi, len(centres))[pore]
    angle = turn + corner * np.pi / 4 + 0.2 * upper + 0.12 * (twin - 0.5)
    radius = diameter_nm / 2 + rng.normal(0, 3, len(pore))
    kept = rng.random(len(pore)) < efficiency
    labels = Labels(
        centres[pore, 0] + radius * np.cos(angle),
        centres[pore, 1] + radius * np.sin(angle),
        50.0 * upper + 20.0,
        pore,
    )
    columns = (labels.x_nm, labels.y_nm, labels.z_nm, labels.instance)
    return Labels(*(column[kept] for column in columns)).inside(field_nm)


def beads(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    density_per_um2: float = 0.5,
    diameter_nm: float = 40.0,
    labels: int = 30,
) -> Labels:
    """Label beads of one size: filled spheres that lie anywhere.

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    density_per_um2
        Beads per square micrometre.
    diameter_nm
        Diameter of a bead.
    labels
        Labels in every bead.
    """
    area_um2 = field_nm[0] * field_nm[1] / 1e6
    count = int(rng.poisson(density_per_um2 * area_um2))
    centres = rng.uniform((0, 0), (field_nm[1], field_nm[0]), (count, 2))
    bead = np.repeat(np.arange(count), labels)
    away = rng.normal(size=(len(bead), 3))
    away /= np.linalg.norm(away, axis=1, keepdims=True)
    away *= diameter_nm / 2 * rng.random((len(bead), 1)) ** (1 / 3)
    x_nm, y_nm = (centres[bead] + away[:, :2]).T
    return Labels(x_nm, y_nm, diameter_nm / 2 + away[:, 2], bead).inside(field_nm)


def chromatin(
    rng: np.random.Generator, shape: tuple[int, int], *, pixel_nm: float
) -> np.ndarray:
    """Draw a stained nucleus: texture without any favoured size, and dense clumps.

    The logarithm of the density is a Gaussian field whose spectrum falls with a power
    of the frequency, as scattering shows for chromatin (Lebedev et al. 2005,
    doi:10.1134/1.1914970).

    Parameters
    ----------
    rng
        Source of texture and outline.
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of a pixel.

    Returns
    -------
    image : (y, x) float32
        Relative density.
    """
    slope = rng.uniform(1.0, 1.8)
    texture = smooth_field(rng, shape, pixel_nm=pixel_nm, slope=slope, size_nm=1000.0)
    image = np.exp(rng.uniform(0.5, 1.3) * texture)
    edge = smooth_field(rng, shape, pixel_nm=pixel_nm, slope=3.0, size_nm=3000.0)
    inside = edge + rng.uniform(0.0, 2.0) > 0
    return (image * inside).astype(np.float32)


def smooth_field(
    rng: np.random.Generator,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    slope: float,
    size_nm: float,
) -> np.ndarray:
    """Draw a Gaussian field of unit variance without structure above a size.

    Parameters
    ----------
    rng, shape, pixel_nm
        As for `chromatin`.
    slope
        Power with which amplitudes fall with the frequency above ``1 / size_nm``.
    size_nm
        Largest size.
    """
    frequency = np.hypot(*frequencies(shape, pixel_nm=pixel_nm))
    amplitude = (1 + (frequency * size_nm / 1000) ** 2) ** (-slope / 2)
    amplitude[0, 0] = 0
    noise = np.asarray(fft.rfft2(rng.normal(size=shape)))
    field = np.asarray(fft.irfft2(noise * amplitude, s=shape))
    return field / max(float(field.std()), 1e-9)


def cell_structure(
    rng: np.random.Generator,
    structure: CellStructure,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    tirf_depth_nm: float | None = None,
) -> np.ndarray:
    """Draw a structure under conditions of its own on a fine grid.

    Parameters, result and errors are those of `zoo.physics.specimens.specimen`, but
    that `structure` is a `CellStructure`, zeros for ``nothing``, and pixels may be of
    any size.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = cell_structure(rng, "cristae", (96, 96), pixel_nm=25.0)
    >>> image.shape, bool(image.min() >= 0), bool(image.sum() > 100)
    ((96, 96), True, True)
    """
    if structure == "nothing":
        return np.zeros(shape, np.float32)
    if structure == "chromatin":
        return chromatin(rng, shape, pixel_nm=pixel_nm)
    if structure == "diffuse":
        size_nm = rng.uniform(1000, 4000)
        field = smooth_field(rng, shape, pixel_nm=pixel_nm, slope=3.0, size_nm=size_nm)
        return np.exp(rng.uniform(0.3, 1.0) * field).astype(np.float32)
    if structure == "mixed":
        names: list[CellStructure] = list(LABELLED)
        first, second = (
            cell_structure(
                rng,
                names[int(rng.integers(len(names)))],
                shape,
                pixel_nm=pixel_nm,
                tirf_depth_nm=tirf_depth_nm,
            )
            for _ in range(2)
        )
        share = np.float32(np.exp(rng.uniform(-1.5, 1.5)))
        one, two = (
            image / np.float32(max(float(np.percentile(image, 99)), 1e-9))
            for image in (first, second)
        )
        return one + share * two
    if structure not in LABELLED:
        raise ValueError(f"structure must be one of {list(LABELLED)}, not {structure}")
    field_nm = (shape[0] * pixel_nm, shape[1] * pixel_nm)
    labels = LABELLED[structure](rng, field_nm)
    spread = 0.1 if structure in ("er", "beads", "membranes") else 0.3
    brightness = vary_brightness(rng, labels, instance_spread=spread)
    if tirf_depth_nm is not None:
        brightness = brightness * tirf_weight(labels.z_nm, depth_nm=tirf_depth_nm)
    return render_labels(labels, shape, pixel_nm=pixel_nm, brightness=brightness)


def _filaments(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    edge_um = float(np.mean(field_nm)) / 1000
    return microtubules(
        rng,
        field_nm=field_nm,
        filaments=max(round(edge_um * log_uniform(rng, 0.2, 5.0)), 1),
        persistence_nm=log_uniform(rng, 1_500, 30_000),
        efficiency=rng.uniform(0.04, 0.15),
        depth_nm=400.0,
    )


def _vesicles(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    largest_nm = rng.uniform(80, 400)
    return vesicles(
        rng,
        field_nm=field_nm,
        density_per_um2=log_uniform(rng, 0.2, 3.0),
        diameter_nm=(0.4 * largest_nm, largest_nm),
        labels=(15, 80),
        spacing_nm=rng.uniform(60, 250),
    )


def _pores(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    density, efficiency = rng.uniform(3, 12), rng.uniform(0.5, 0.9)
    return nuclear_pores(
        rng, field_nm=field_nm, density_per_um2=density, efficiency=efficiency
    )


def _cristae(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    area_um2 = (field_nm[0] + 1000) * (field_nm[1] + 1000) / 1e6
    return cristae(
        rng,
        field_nm=field_nm,
        tubes=max(int(rng.poisson(rng.uniform(0.08, 0.3) * area_um2)), 1),
        spacing_nm=rng.uniform(70, 160),
        outer_share=float(rng.choice([0.0, 0.4, 0.95])),
        labels_per_um2=rng.uniform(800, 2500),
    )


def _outlines(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    return membranes(
        rng,
        field_nm=field_nm,
        outlines=int(rng.integers(1, 5)),
        labels_per_um=rng.uniform(100, 400),
    )


def _beads(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    return beads(
        rng,
        field_nm=field_nm,
        density_per_um2=log_uniform(rng, 0.1, 3.0),
        diameter_nm=rng.uniform(20, 200),
    )


LABELLED: dict[
    CellStructure, Callable[[np.random.Generator, tuple[float, float]], Labels]
] = {
    **SPECIMENS,
    "filaments": _filaments,
    "vesicles": _vesicles,
    "nuclear_pores": _pores,
    "cristae": _cristae,
    "membranes": _outlines,
    "beads": _beads,
}
"""Structures that are clouds of labels: draw conditions and place the labels."""


def _apart(
    rng: np.random.Generator,
    field_nm: tuple[float, float],
    density_per_um2: float,
    spacing_nm: float,
) -> np.ndarray:
    """Return (n, 2) x and y of points of which none is too near to another."""
    area_um2 = field_nm[0] * field_nm[1] / 1e6
    count = int(rng.poisson(density_per_um2 * area_um2))
    points = rng.uniform((0, 0), (field_nm[1], field_nm[0]), (count, 2))
    tree = KDTree(points)
    pairs = tree.query_pairs(spacing_nm, output_type="ndarray")  # pyright: ignore[reportUnknownMemberType, reportUnknownVariableType] SciPy has no types
    return np.delete(points, cast(np.ndarray, pairs)[:, 1], axis=0)
