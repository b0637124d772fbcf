"""Microtubules with true gaps, and whether an image bridges them."""

from typing import NamedTuple

import numpy as np

from zoo.simulate.acquisitions import begin
from zoo.simulate.dye_clouds import SITES_PER_NM, WALL_NM, Cloud
from zoo.simulate.renderings import MARGIN_PX, RenderingPairs, Scene

GAPS_NM = (50.0, 100.0, 200.0, 300.0, 500.0)
"""Lengths of true gaps in microtubules."""

SPACING_NM = 550.0
"""Distance of the microtubules, which run along x."""

PERIOD_NM = 1200.0
"""Distance of the gaps of one microtubule."""

EFFICIENCY = 0.2
"""Share of the sites that carry a dye."""


class Gaps(NamedTuple):
    """Places of gaps in a field."""

    x_nm: np.ndarray
    """(n,) middle of every gap along its microtubule."""
    y_nm: np.ndarray
    """(n,) axis of its microtubule."""
    length_nm: float
    """Length of the gaps."""


def gapped_scene(
    rng: np.random.Generator, source: RenderingPairs, size_px: int, gap_nm: float
) -> tuple[Scene, Gaps]:
    """Draw parallel microtubules without a single dye in their gaps.

    Parameters
    ----------
    rng
        Source of dyes and conditions.
    source
        Blinking and pixel.
    size_px
        Edge of the field, px.
    gap_nm
        Length of the gaps.
    """
    edge_nm = (size_px + 2 * MARGIN_PX) * source.pixel_size_nm
    margin_nm = MARGIN_PX * source.pixel_size_nm
    lines = np.arange(margin_nm + SPACING_NM / 2, edge_nm - margin_nm, SPACING_NM)
    starts = rng.uniform(0.3, 0.7, len(lines)) * PERIOD_NM + margin_nm
    count = rng.poisson(SITES_PER_NM * EFFICIENCY * edge_nm, len(lines))
    line = np.repeat(np.arange(len(lines)), count)
    x_nm = rng.uniform(0, edge_nm, len(line))
    away = (x_nm - starts[line] + PERIOD_NM / 2) % PERIOD_NM - PERIOD_NM / 2
    kept = np.abs(away) >= gap_nm / 2
    line, x_nm = line[kept], x_nm[kept]
    radius = WALL_NM + 11.0
    y_nm = lines[line] + radius * np.cos(rng.uniform(0, 2 * np.pi, len(line)))
    spread = radius / 2**0.5
    density = SITES_PER_NM * EFFICIENCY / ((2 * np.pi) ** 0.5 * spread)
    dyes = Cloud(x_nm, y_nm, density, spread)
    acquisition = begin(rng, dyes, source.blinking, edge_nm=edge_nm)
    scene = source.as_scene(acquisition, "microtubules", size_px)
    within_nm = edge_nm - 2 * margin_nm
    middles = [
        (x, y - margin_nm)
        for start, y in zip(starts - margin_nm, lines, strict=True)
        for x in np.arange(start, within_nm - PERIOD_NM / 3, PERIOD_NM)
    ]
    places = np.array(middles).T
    return scene, Gaps(places[0], places[1], gap_nm)


def bridged(image: np.ndarray, gaps: Gaps, pixel_size_nm: float) -> float:
    """Return the share of gaps whose middle half is as bright as half a microtubule.

    Brightness is the highest over three pixels across the axis, its mean along the
    middle half of the gap held against the median over the whole microtubule.

    Parameters
    ----------
    image
        (y, x) rendering.
    gaps
        Where microtubules are interrupted.
    pixel_size_nm
        Edge of a pixel.

    Returns
    -------
    share : float
        Percent.
    """
    found = 0
    for x_nm, y_nm in zip(gaps.x_nm, gaps.y_nm, strict=True):
        row = int(y_nm / pixel_size_nm)
        profile = image[max(row - 1, 0) : row + 2].max(axis=0)
        reach = max(gaps.length_nm / 4, pixel_size_nm / 2)
        low = int((x_nm - reach) / pixel_size_nm)
        high = max(int(np.ceil((x_nm + reach) / pixel_size_nm)), low + 1)
        level = float(np.median(profile))
        found += bool(float(profile[low:high].mean()) > 0.5 * level > 0)
    return 100 * found / len(gaps.x_nm)
