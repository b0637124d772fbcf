"""Localizations from maps of the density of emitters, in two or three dimensions."""

from collections.abc import Sequence
from itertools import product

import numpy as np

from zoo.core.localizations import Localizations


def localize(
    density: np.ndarray,
    *,
    pixel_size_nm: float,
    threshold: float,
    ideal_peak: float,
    first_frame: int = 1,
    window: int = 3,
    centroid_window: int | None = None,
    z_step_nm: float | None = None,
    z_first_nm: float | None = None,
    window_planes: int | None = None,
) -> Localizations:
    """Find the emitters in density maps: local maxima and their centre of gravity.

    A pixel is a candidate if nothing in the `window` around it is larger, i.e. if it
    equals the maximum filter of that size, and if the `centroid_window` around it
    holds more than ``threshold * ideal_peak``; what lies outside the frame does not
    compete.  The sum decides, not the peak, because a network that is unsure of a
    position by a few fine pixels spreads the same response over them.  The position
    is the centre of gravity of the `centroid_window`; pixel ``k`` has its centre at
    ``(k + 1/2) * pixel_size_nm``, negative and outside pixels weigh nothing.
    Candidates of equal value within each other's window form one plateau and give one
    localization, the mean of theirs.

    An ideally recovered isolated emitter is a spike in a single pixel (the optimum
    of Deep-STORM's loss, https://doi.org/10.1364/OPTICA.5.000458), so both its peak
    and the sum over its window are `ideal_peak`.  The response is therefore that
    sum divided by `ideal_peak`: about 1 for a clear emitter wherever it lies
    relative to the grid, up to 2 where two fall into one window.

    Parameters
    ----------
    density : (t, [z,] y, x) float
        Emitter density of consecutive frames on the fine grid.
    pixel_size_nm
        Edge of a fine pixel, nm.
    threshold
        Smallest accepted response.
    ideal_peak
        Output of the network for an ideal isolated emitter.
    first_frame
        Number of the first frame; frames count from 1.
    window
        Edge of the square in which a maximum must be the largest, fine px, odd.
    centroid_window
        Edge of the square of the centre of gravity, fine px, odd; `window` if left
        out.
    z_step_nm
        Distance of planes of depth, nm; needed where there are any.
    z_first_nm
        Depth of the centre of the first plane, nm; half a step if left out.
    window_planes
        Height of both windows along depth, planes, odd; that of each along y and x if
        left out.

    Returns
    -------
    Localizations
        With ``x_nm``, ``y_nm``, perhaps ``z_nm``, ``frame``, ``response``; frame by
        frame, plane by plane, row by row.

    Raises
    ------
    ValueError
        If a size is even or not positive, or `threshold`, `ideal_peak`,
        `pixel_size_nm` or `z_step_nm` is not positive.

    Examples
    --------
    >>> spike = np.zeros((1, 8, 8))
    >>> spike[0, 2, 5] = 48.4
    >>> found = localize(spike, pixel_size_nm=10.0, threshold=0.2, ideal_peak=48.4)
    >>> found.x_nm.tolist(), found.y_nm.tolist(), found.response.tolist()
    ([55.0], [25.0], [1.0])
    """
    if density.ndim not in (3, 4):
        raise ValueError(
            f"density must have axes (t, y, x) or (t, z, y, x), not {density.ndim} axes"
        )
    deep = density.ndim == 4
    centroid_window = window if centroid_window is None else centroid_window
    windows = _edges(window, window_planes, deep)
    centroids = _edges(centroid_window, window_planes, deep)
    steps = {"z_step_nm": z_step_nm or 0.0} if deep else {}
    _check(
        *windows,
        *centroids,
        threshold=threshold,
        ideal_peak=ideal_peak,
        pixel_size_nm=pixel_size_nm,
        **steps,
    )
    # a sum above the threshold needs a peak above its share of the window
    level = threshold * ideal_peak / np.prod(centroids)
    frame, *place = _maxima(density, level, windows)

    reach = [np.arange(edge) - edge // 2 for edge in centroids]
    offsets = [d.ravel() for d in np.meshgrid(*reach, indexing="ij")]
    positions = [p[:, None] + d for p, d in zip(place, offsets, strict=True)]
    sizes = density.shape[1:]
    inside = np.ones(positions[0].shape, bool)
    for position, size in zip(positions, sizes, strict=True):
        inside &= (position >= 0) & (position < size)
    index = [p.clip(0, n - 1) for p, n in zip(positions, sizes, strict=True)]
    weights = density[frame[:, None], *index].astype(float)
    weights = np.where(inside, weights.clip(0), 0)
    mass = weights.sum(axis=1)
    centres = [
        p + 0.5 + weights @ d / mass for p, d in zip(place, offsets, strict=True)
    ]
    plateau, first = _plateaus(frame, place, sizes, windows)
    members = np.maximum(np.bincount(plateau), 1)
    *centres, mass = (np.bincount(plateau, v) / members for v in (*centres, mass))
    columns = {
        "x_nm": centres[-1] * pixel_size_nm,
        "y_nm": centres[-2] * pixel_size_nm,
        "frame": frame[first] + first_frame,
        "response": mass / ideal_peak,
    }
    if deep and z_step_nm is not None:
        start = 0.5 * z_step_nm if z_first_nm is None else z_first_nm
        columns["z_nm"] = start + (centres[0] - 0.5) * z_step_nm
    return Localizations(**columns).select(mass > threshold * ideal_peak)


def add_histogram(
    image: np.ndarray,
    rows: Localizations,
    *,
    pixel_nm: float,
    z_step_nm: float | None = None,
    z_first_nm: float | None = None,
) -> None:
    """Count localizations in the pixels of an image; those outside do not count.

    Parameters
    ----------
    image : ([z,] y, x)
        Counts so far, on the grid of the density that the rows were found in; changed.
    rows
        Localizations.
    pixel_nm
        Edge of a pixel.
    z_step_nm, z_first_nm
        Depths of its planes, as in `localize`.

    Examples
    --------
    >>> image = np.zeros((2, 3))
    >>> rows = Localizations(x_nm=np.array([25.0, 5, 99]), y_nm=np.array([12.0, 1, 1]))
    >>> add_histogram(image, rows, pixel_nm=10.0)
    >>> image
    array([[1., 0., 0.],
           [0., 0., 1.]])
    """
    places = [np.floor(c / pixel_nm).astype(int) for c in (rows.y_nm, rows.x_nm)]
    if image.ndim == 3 and z_step_nm is not None and rows.z_nm is not None:
        first = 0.5 * z_step_nm if z_first_nm is None else z_first_nm
        plane = np.floor((rows.z_nm - first) / z_step_nm + 0.5).astype(int)
        places.insert(0, plane)
    inside = np.ones(len(rows), bool)
    for place, size in zip(places, image.shape, strict=True):
        inside &= (place >= 0) & (place < size)
    np.add.at(image, tuple(place[inside] for place in places), 1)


def _edges(window: int, planes: int | None, deep: bool) -> tuple[int, ...]:
    """Return the edges of a window along the axes of a map."""
    return (planes or window, window, window) if deep else (window, window)


def _check(*windows: int, **positive: float) -> None:
    for window in windows:
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window must be odd and positive, not {window}")
    for name, value in positive.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")


def _maxima(
    density: np.ndarray, level: float, windows: Sequence[int]
) -> list[np.ndarray]:
    """Return frame and place of pixels above `level` that lead their window.

    Only pixels above the level are compared with their neighbours; they are few,
    which makes this faster than a maximum filter over the whole map.
    """
    frame, *place = np.nonzero(density > level)
    sizes = density.shape[1:]
    # the rings outwards: most pixels already lose against a direct neighbour
    around = product(*(range(-(edge // 2), edge // 2 + 1) for edge in windows))
    offsets = sorted(
        (offset for offset in around if any(offset)),
        key=lambda offset: max(map(abs, offset)),
    )
    for offset in offsets:
        # outside pixels are replaced by one inside the window: it competes anyway
        other = [
            (p + d).clip(0, n - 1) for p, d, n in zip(place, offset, sizes, strict=True)
        ]
        leads = density[frame, *place] >= density[frame, *other]
        frame, place = frame[leads], [p[leads] for p in place]
    return [frame, *place]


def _plateaus(
    frame: np.ndarray,
    place: Sequence[np.ndarray],
    sizes: Sequence[int],
    windows: Sequence[int],
) -> tuple[np.ndarray, np.ndarray]:
    """Give maxima within each other's window the same number.

    Returns
    -------
    number, first
        The plateau of each maximum, and the first maximum of each plateau.
    """
    flat = frame
    for position, size in zip(place, sizes, strict=True):
        flat = flat * size + position
    pairs: list[np.ndarray] = []
    for offset in product(*(range(-(e // 2), e // 2 + 1) for e in windows)):
        if offset <= (0,) * len(offset):
            continue  # each pair once, from its earlier member
        inside = np.ones(len(flat), bool)
        step = 0
        for position, d, size in zip(place, offset, sizes, strict=True):
            inside &= (position + d >= 0) & (position + d < size)
            step = step * size + d
        here = np.flatnonzero(inside)
        sought = flat[here] + step
        there = np.searchsorted(flat, sought)
        met = there < len(flat)
        met[met] = flat[there[met]] == sought[met]
        pairs.append(np.stack([here[met], there[met]]))
    joined = np.concatenate(pairs, axis=1) if pairs else np.empty((2, 0), int)
    group = _connected(len(flat), joined[0], joined[1])
    first, number = np.unique(group, return_inverse=True)
    return number, first


def _connected(count: int, first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Give all items that pairs connect the number of their smallest member."""
    group = np.arange(count)
    while True:
        before = group.copy()
        lowest = np.minimum(group[first], group[second])
        np.minimum.at(group, first, lowest)
        np.minimum.at(group, second, lowest)
        group = group[group]
        if np.array_equal(group, before):
            return group
