"""Label positions on actin filaments and their bundles."""

import numpy as np

from zoo.physics.curves import along_curves, curves
from zoo.physics.structures import Labels

_PHALLOIDIN_NM = 2.7  # one binding site per actin subunit


def actin_bundles(
    rng: np.random.Generator,
    *,
    field_nm: tuple[float, float],
    bundles: int = 8,
    bundle_filaments: tuple[int, int] = (5, 30),
    mesh_filaments: int = 30,
    spacing_nm: float = 11.0,
    bundle_persistence_nm: float = 50_000.0,
    filament_persistence_nm: float = 17_000.0,
    alignment_rad: float = 0.25,
    depth_nm: float = 150.0,
    efficiency: float = 0.15,
) -> Labels:
    """Label actin: bundles in about one direction and single filaments in any.

    The filaments of a bundle begin and end anywhere along it, so that its brightness
    changes on the way.  Persistence length of a filament: Gittes et al. 1993
    (doi:10.1083/jcb.120.4.923).

    Parameters
    ----------
    rng, field_nm
        Source of randomness; ``(height, width)`` of the field.
    bundles
        Number of bundles that cross the field.
    bundle_filaments
        Smallest and largest number of filaments of a bundle.
    mesh_filaments
        Number of single filaments, 2 to 6 µm long.
    spacing_nm
        Distance of neighbouring filaments in a bundle.
    bundle_persistence_nm, filament_persistence_nm
        Persistence lengths of bundles and of single filaments.
    alignment_rad
        Standard deviation of the bundles' directions about a common one.
    depth_nm
        Range of the heights above the coverslip.
    efficiency
        Share of the actin subunits that carry a label.

    Returns
    -------
    labels : Labels
        Labels inside the field, `instance` numbering bundles, then single filaments.

    Raises
    ------
    ValueError
        If a length is not positive.
    """
    reach_nm = 2.2 * float(np.hypot(*field_nm))
    heading = rng.uniform(0, np.pi) + rng.normal(0, alignment_rad, bundles)
    thick = curves(
        rng,
        field_nm=field_nm,
        count=bundles,
        length_nm=reach_nm,
        persistence_nm=bundle_persistence_nm,
        heading_rad=heading,
    )
    thin = curves(
        rng,
        field_nm=field_nm,
        count=mesh_filaments,
        length_nm=reach_nm,
        persistence_nm=filament_persistence_nm,
    )
    x_nm, y_nm = (np.concatenate(pair) for pair in zip(thick, thin, strict=True))
    members = np.ones(bundles + mesh_filaments, int)
    low, high = bundle_filaments
    # thin bundles outnumber thick ones
    members[:bundles] = np.exp(rng.uniform(np.log(low), np.log(high + 1), bundles))
    line = np.repeat(np.arange(len(members)), members)
    bundled = line < bundles
    # a filament covers a stretch of its bundle; single ones have theirs in the middle
    middle = reach_nm * np.where(bundled, rng.uniform(0.2, 0.8, len(line)), 0.5)
    half = np.where(
        bundled,
        reach_nm * rng.uniform(0.15, 0.5, len(line)),
        rng.uniform(1000, 3000, len(line)),
    )
    begin = np.maximum(middle - half, 0)
    end = np.minimum(middle + half, reach_nm)
    radius = (
        0.5 * spacing_nm * np.sqrt(members[line] - 1) * rng.random(len(line)) ** 0.5
    )
    azimuth = rng.uniform(0, 2 * np.pi, len(line))
    height = rng.uniform(0, depth_nm, len(members))[line]

    sites = ((end - begin) / _PHALLOIDIN_NM).astype(int)
    filament = np.repeat(np.arange(len(line)), rng.binomial(sites, efficiency))
    along = begin[filament] + rng.random(len(filament)) * (end - begin)[filament]
    px, py, nx, ny = along_curves(x_nm, y_nm, curve=line[filament], along_nm=along)
    sideways = (radius * np.cos(azimuth))[filament]
    upwards = (height + radius * (1 + np.sin(azimuth)))[filament]
    return Labels(
        px + sideways * nx, py + sideways * ny, upwards, line[filament]
    ).inside(field_nm)
