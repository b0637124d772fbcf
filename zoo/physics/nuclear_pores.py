"""Label positions on nuclear pore complexes."""

import numpy as np

from zoo.physics.structures import Labels, scattered

_FOLD = 8
_SITES_PER_SPOKE_AND_RING = 2


def nuclear_pores(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    density_per_um2: float = 6.0,
    diameter_nm: float = 107.0,
    rings_apart_nm: float = 50.0,
    efficiency: float = 0.7,
    spacing_nm: float = 150.0,
    linkage_nm: float = 5.0,
) -> Labels:
    """Label the 32 copies of Nup96 in every pore: two rings with eight corners each.

    The pores lie flat, as in the lower side of a nucleus, each turned by an angle of
    its own; the rings are turned against each other by 12 degrees.  Geometry:
    Thevathasan et al. 2019 (doi:10.1038/s41592-019-0574-9).

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    density_per_um2
        Pores per square micrometre.
    diameter_nm, rings_apart_nm
        Diameter of the rings and their distance along the axis.
    efficiency
        Share of the sites that carry a label, 0.6 to 0.8 in good preparations.
    spacing_nm
        Smallest distance between centres.
    linkage_nm
        Standard deviation of the distance from site to label along x and y.

    Returns
    -------
    labels : Labels
        Labels inside the field, `instance` numbering the pores.

    Raises
    ------
    ValueError
        If pores cannot be placed at this distance.
    """
    x_nm, y_nm = scattered(rng, field_nm, density_per_um2, spacing_nm)
    shape = len(x_nm), 2, _FOLD, _SITES_PER_SPOKE_AND_RING
    pore, ring, spoke, site = np.nonzero(rng.random(shape) < efficiency)
    turn = rng.uniform(0, 2 * np.pi, len(x_nm))
    azimuth = turn[pore] + 2 * np.pi * spoke / _FOLD
    azimuth += np.deg2rad(12.0) * ring + np.deg2rad(8.0) * (site - 0.5)
    radius = diameter_nm / 2
    stray = rng.normal(0, linkage_nm, (2, len(pore)))
    return Labels(
        x_nm[pore] + radius * np.cos(azimuth) + stray[0],
        y_nm[pore] + radius * np.sin(azimuth) + stray[1],
        200.0 + rings_apart_nm * ring,
        pore,
    ).inside(field_nm)
