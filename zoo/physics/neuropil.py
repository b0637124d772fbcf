"""Sections of brain tissue as an electron microscope sees them: where stain binds.

Neuropil is packed without gaps: axons, dendrites and glia cut across or along, each
inside a membrane of its own, with mitochondria, vesicles, reticulum and microtubules.
Sizes that have no source are general knowledge of fixed, heavy-metal stained tissue.
`zoo.physics.organelle_sections` draws what is inside the profiles,
`zoo.physics.electron_images` makes micrographs of sections.
"""

from typing import Any, NamedTuple

import numpy as np
from scipy import ndimage, special
from scipy.spatial import KDTree

from zoo.physics.curves import curves
from zoo.physics.organelle_sections import draw_organelles
from zoo.physics.section_canvas import Canvas, Profiles
from zoo.physics.smooth_noise import smooth_noise
from zoo.physics.tissue import Tissue, draw_tissue

_COARSE_PX = 400  # edge of the raster on which profiles are laid out
_FINEST_SMOOTHING_NM = 22.0
_TRANSITION_NM = 18.0  # over which one membrane goes over into the next
_KNOWN_NM = 58.0


class Section(NamedTuple):
    """A stained section; three images of what scatters electrons."""

    membrane: np.ndarray
    """(y, x) float32, stain of membranes; 1 in a membrane cut at a right angle."""
    dense: np.ndarray
    """(y, x) float32, stain of what is dense: matrix of mitochondria, synapses."""
    cytoplasm: np.ndarray
    """(y, x) float32, lightness of the ground substance, 0 on average."""
    pixel_nm: float
    """Edge of a pixel."""


def neuropil(
    rng: np.random.Generator, shape: tuple[int, int], *, pixel_nm: float
) -> Section:
    """Draw a section of packed neurites.

    Profiles are the cells of a power diagram in a warped plane, several of which may
    belong to one neurite; their outlines are rounded, and a pair of membranes follows
    every outline.  A membrane that leans is smeared over its projection.

    Parameters
    ----------
    rng
        Source of tissue, outlines, organelles and stain.
    shape
        ``(height, width)``, px.
    pixel_nm
        Edge of a pixel; 2 to 10 nm are usual.

    Returns
    -------
    section : Section

    Raises
    ------
    ValueError
        If `pixel_nm` is not positive.

    Examples
    --------
    >>> section = neuropil(np.random.default_rng(0), (96, 128), pixel_nm=8.0)
    >>> section.membrane.shape, bool(0 <= section.membrane.min())
    ((96, 128), True)
    """
    if pixel_nm <= 0:
        raise ValueError(f"pixel_nm must be positive, not {pixel_nm}")
    tissue = draw_tissue(rng)
    field_nm = (shape[0] * pixel_nm, shape[1] * pixel_nm)
    step_nm = max(max(field_nm) / _COARSE_PX, pixel_nm)
    labels, kinds = _layout(rng, tissue, field_nm, step_nm)
    smoothing_nm = max(_FINEST_SMOOTHING_NM, 1.3 * step_nm)
    outlines = _outlines(labels, shape, step_nm, pixel_nm, smoothing_nm)
    canvas = Canvas(shape, pixel_nm)
    _membranes(rng, canvas, outlines, tissue)
    profiles = Profiles.measured(labels, kinds, step_nm)
    draw_organelles(rng, canvas, profiles, outlines.first, tissue)
    cytoplasm = _ground(rng, outlines.first, len(kinds), pixel_nm)
    return Section(np.minimum(canvas.membrane, 1.3), canvas.dense, cytoplasm, pixel_nm)


class _Outlines(NamedTuple):
    """Who is where, at every pixel."""

    first: np.ndarray
    """(y, x) number of the profile."""
    second: np.ndarray
    """(y, x) number of the nearest other profile."""
    distance_nm: np.ndarray
    """(y, x) float32 distance from the border between the two, up to some 60 nm."""


def _layout(
    rng: np.random.Generator,
    tissue: Tissue,
    field_nm: tuple[float, float],
    step_nm: float,
) -> tuple[np.ndarray, np.ndarray]:
    """Return the coarse raster of profiles and the kind of each, see `Profiles`."""
    seeds = [*_large(rng, tissue, field_nm), *_along(rng, tissue, field_nm)]
    kinds = [1] * len(seeds)
    if seeds:
        taken = np.concatenate([points for points, _ in seeds])
        taken_radius = np.concatenate([radius for _, radius in seeds])
    else:
        taken, taken_radius = np.empty((0, 2)), np.empty(0)
    numbers = np.repeat(np.arange(len(seeds)), [len(p) for p, _ in seeds]).astype(int)
    small, radius = _small(rng, tissue, field_nm)
    if len(taken):
        distance, nearest = KDTree(taken).query(small)
        free = distance > 0.9 * taken_radius[nearest] + 0.4 * radius
        small, radius = small[free], radius[free]
    own = len(seeds) + np.arange(len(small))
    kinds += [0] * len(small)
    glia = _glia(rng, tissue, small, own)
    points = np.concatenate([taken, small])
    weights = np.concatenate([taken_radius, radius]) ** 2
    numbers = np.concatenate([numbers, glia])
    # a power diagram is a nearest-neighbour search one dimension up
    lifted = np.column_stack([points, np.sqrt(weights.max() - weights)])
    rows, columns = (int(np.ceil(side / step_nm)) + 1 for side in field_nm)
    y, x = np.mgrid[:rows, :columns].astype(np.float32) * np.float32(step_nm)
    for period_nm, amplitude in ((420.0, 75.0), (160.0, 22.0)):
        strength = amplitude * rng.uniform(0.4, 1.3)
        for axis in (x, y):
            axis += strength * smooth_noise(rng, x.shape, period_nm / 4 / step_nm)
    asked = np.column_stack([x.ravel(), y.ravel(), np.zeros(x.size)])
    _, nearest = KDTree(lifted).query(asked)
    found = numbers[nearest].reshape(x.shape)
    present, labels = np.unique(found, return_inverse=True)
    merged = np.zeros(len(kinds), int)
    merged[: len(kinds)] = kinds
    counts = np.bincount(glia - len(seeds), minlength=len(small))
    merged[len(seeds) :][counts > 1] = 2
    return labels.reshape(x.shape).astype(np.int32), merged[present]


def _large(
    rng: np.random.Generator, tissue: Tissue, field_nm: tuple[float, float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return centres and radii of the discs that make up each large profile."""
    margin = tissue.large_radius_nm
    area_um2 = (field_nm[0] + 2 * margin) * (field_nm[1] + 2 * margin) / 1e6
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(int(rng.poisson(tissue.large_per_um2 * area_um2))):
        radius = tissue.large_radius_nm * float(np.exp(rng.normal(0, 0.4)))
        count = int(rng.integers(5, 9))
        turn = rng.uniform(0, 2 * np.pi) + 2 * np.pi * np.arange(count) / count
        reach = radius * rng.uniform(0.3, 0.75, count)
        blob = reach[:, None] * np.column_stack([np.cos(turn), np.sin(turn)])
        blob = np.concatenate([blob, [[0.0, 0.0]]])
        blob *= (rng.uniform(1.0, 1.8), rng.uniform(0.6, 1.0))
        angle = rng.uniform(0, np.pi)
        cosine, sine = np.cos(angle), np.sin(angle)
        blob = blob @ np.array([[cosine, sine], [-sine, cosine]])
        corner = np.array([field_nm[1], field_nm[0]]) + margin
        radii = radius * rng.uniform(0.35, 0.55, count + 1)
        found.append((blob + rng.uniform(-margin, corner), radii))
    return found


def _along(
    rng: np.random.Generator, tissue: Tissue, field_nm: tuple[float, float]
) -> list[tuple[np.ndarray, np.ndarray]]:
    """Return centres and radii of the discs along neurites that lie in the section."""
    count = int(rng.poisson(tissue.along_per_um2 * field_nm[0] * field_nm[1] / 1e6))
    found: list[tuple[np.ndarray, np.ndarray]] = []
    for _ in range(count):
        radius = rng.uniform(0.6, 1.4) * tissue.axon_radius_nm
        line = curves(
            rng,
            field_nm=field_nm,
            count=1,
            length_nm=rng.uniform(800, 5000),
            persistence_nm=4000.0,
        )
        points = np.concatenate(line).T[:: max(int(0.7 * radius / 20), 1)]
        wave = np.sin(np.arange(len(points)) * rng.uniform(0.1, 0.5))
        found.append((points, radius * (1 + rng.uniform(0, 0.5) * wave)))
    return found


def _small(
    rng: np.random.Generator, tissue: Tissue, field_nm: tuple[float, float]
) -> tuple[np.ndarray, np.ndarray]:
    """Return centres and radii of small profiles on a shaken lattice."""
    pitch = 2 * tissue.axon_radius_nm
    rows, columns = (int(side / pitch / 0.866) + 4 for side in field_nm)
    grid: np.ndarray = np.indices((rows, columns))
    row, column = grid[0], grid[1]
    x = (column + 0.5 * (row % 2) - 1.5).ravel()
    y = (0.866 * row - 1.5).ravel()
    points = np.column_stack([x, y]) + rng.normal(0, 0.3, (x.size, 2))
    spread: np.ndarray = rng.normal(0, 0.4, len(x))
    radius = np.exp(spread)
    return pitch * points, 0.8 * tissue.axon_radius_nm * radius


def _glia(
    rng: np.random.Generator, tissue: Tissue, small: np.ndarray, own: np.ndarray
) -> np.ndarray:
    """Return numbers of small profiles, some of which are joined to one process."""
    joined = own.copy()
    if not len(small):
        return joined
    reach = 5 * tissue.axon_radius_nm
    tree = KDTree(small)
    while np.mean(joined != own) < tissue.glia_share:
        centre = int(rng.integers(len(small)))
        near = np.asarray(tree.query_ball_point(small[centre], reach), int)
        if len(near) < 3:
            break
        joined[near[rng.random(len(near)) < 0.45]] = own[centre]
    return joined


def _outlines(
    labels: np.ndarray,
    shape: tuple[int, int],
    step_nm: float,
    pixel_nm: float,
    smoothing_nm: float,
) -> _Outlines:
    """Round the profiles off, and measure the distance from their borders.

    The indicator of every profile is blurred; a pixel belongs to the largest, and near
    a straight border the difference of the two largest is the error function of the
    distance.
    """
    first_value = np.full(shape, -1.0, np.float32)
    second_value = np.full(shape, -1.0, np.float32)
    first = np.zeros(shape, np.int32)
    second = np.zeros(shape, np.int32)
    sigma = smoothing_nm / step_nm
    margin = int(np.ceil(3 * sigma))
    ratio = step_nm / pixel_nm
    for number, place in enumerate(ndimage.find_objects(labels + 1)):
        low = [max(s.start - margin, 0) for s in place]
        high = [
            min(s.stop + margin, n) for s, n in zip(place, labels.shape, strict=True)
        ]
        cut = labels[low[0] : high[0], low[1] : high[1]] == number
        soft = ndimage.gaussian_filter(
            cut.astype(np.float32), sigma, mode="nearest", truncate=3
        )
        begin = [int(np.ceil(n * ratio)) for n in low]
        end = [
            min(int((n - 1) * ratio) + 1, side)
            for n, side in zip(high, shape, strict=True)
        ]
        if end[0] <= begin[0] or end[1] <= begin[1]:
            continue
        fine = _between(soft, begin, end, low, ratio)
        window = slice(begin[0], end[0]), slice(begin[1], end[1])
        best, runner = first_value[window], second_value[window]
        wins = fine > best
        follows = ~wins & (fine > runner)
        second[window] = np.where(
            wins, first[window], np.where(follows, number, second[window])
        )
        second_value[window] = np.where(wins, best, np.where(follows, fine, runner))
        first[window] = np.where(wins, number, first[window])
        first_value[window] = np.where(wins, fine, best)
    difference = np.clip(first_value - np.maximum(second_value, 0), 0, 0.995)
    distance: Any = special.erfinv(difference)
    distance_nm = (smoothing_nm * 2**0.5 * distance).astype(np.float32)
    return _Outlines(first, second, distance_nm)


def _between(
    soft: np.ndarray, begin: list[int], end: list[int], low: list[int], ratio: float
) -> np.ndarray:
    """Return a coarse image interpolated at fine pixels, whose corner is given."""
    parts: list[np.ndarray] = []
    for axis in (0, 1):
        place = np.arange(begin[axis], end[axis]) / ratio - low[axis]
        before = np.clip(place.astype(int), 0, soft.shape[axis] - 2)
        share = (place - before).astype(np.float32)
        weights = np.zeros((len(place), soft.shape[axis]), np.float32)
        rows = np.arange(len(place))
        weights[rows, before], weights[rows, before + 1] = 1 - share, share
        parts.append(weights)
    return parts[0] @ soft @ parts[1].T


def _membranes(
    rng: np.random.Generator, canvas: Canvas, outlines: _Outlines, tissue: Tissue
) -> None:
    """Draw the two membranes along every border, each border leaning as it does."""
    first, second = outlines.first.astype(np.int64), outlines.second.astype(np.int64)
    pair = np.minimum(first, second) * 7919 + np.maximum(first, second) * 104_729
    table = rng.random(4096).astype(np.float32)
    blur_px = _TRANSITION_NM / canvas.pixel_nm
    # most membranes stand upright; some lie nearly flat in the section
    lean = np.minimum(table**3 / (1.02 - table), 1.5)[pair % 4096]
    smear = tissue.thickness_nm * ndimage.gaussian_filter(lean, blur_px, truncate=2)
    width = ndimage.gaussian_filter(table[(pair // 3) % 4096], blur_px, truncate=2)
    cleft = tissue.cleft_nm * (0.5 + width)
    own = tissue.membrane_nm / 2.6
    sigma = np.sqrt(own**2 + smear**2 / 12)
    centre = cleft / 2 + tissue.membrane_nm / 2
    away = outlines.distance_nm
    stain = np.exp(-0.5 * ((away - centre) / sigma) ** 2)
    stain += np.exp(-0.5 * ((away + centre) / sigma) ** 2)
    # distances are known near borders only
    stain *= np.clip((_KNOWN_NM - away) / 15, 0, 1)
    canvas.membrane += (stain * np.maximum(own / sigma, 0.3) ** 0.7).astype(np.float32)


def _ground(
    rng: np.random.Generator, profile: np.ndarray, count: int, pixel_nm: float
) -> np.ndarray:
    """Return the lightness of the ground substance: shade of a profile, and grain."""
    shade = rng.normal(0, 0.3, count)
    dark = rng.random(count) < 0.06
    shade = np.where(dark, shade - rng.uniform(0.5, 1.5), shade).astype(np.float32)
    grain = rng.uniform(0.4, 1.3, count).astype(np.float32)
    texture = np.zeros(profile.shape, np.float32)
    for sigma_nm, amount in ((5.0, 0.45), (14.0, 0.45), (45.0, 0.3)):
        weight = np.float32(amount * rng.uniform(0.4, 1.2))
        texture += weight * smooth_noise(rng, profile.shape, sigma_nm / pixel_nm)
    return shade[profile] + grain[profile] * texture
