"""What the output of a network means: localizations from a density of emitters."""

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
    and the sum over its window are `ideal_peak`.  The confidence is therefore that
    sum divided by `ideal_peak`: about 1 for a clear emitter wherever it lies
    relative to the grid, up to 2 where two fall into one window.

    Parameters
    ----------
    density : (t, y, x) float
        Emitter density of consecutive frames on the fine grid.
    pixel_size_nm
        Edge of a fine pixel, nm.
    threshold
        Smallest accepted confidence.
    ideal_peak
        Output of the network for an ideal isolated emitter.
    first_frame
        Number of the first frame; frames count from 1.
    window
        Edge of the square in which a maximum must be the largest, fine px, odd.
    centroid_window
        Edge of the square of the centre of gravity, fine px, odd; `window` if left
        out.

    Returns
    -------
    Localizations
        With ``x_nm``, ``y_nm``, ``frame``, ``confidence``; frame by frame, row by
        row.

    Raises
    ------
    ValueError
        If a size is even or not positive, or `threshold`, `ideal_peak` or
        `pixel_size_nm` is not positive.

    Examples
    --------
    >>> spike = np.zeros((1, 8, 8))
    >>> spike[0, 2, 5] = 48.4
    >>> found = localize(spike, pixel_size_nm=10.0, threshold=0.2, ideal_peak=48.4)
    >>> found.x_nm.tolist(), found.y_nm.tolist(), found.confidence.tolist()
    ([55.0], [25.0], [1.0])
    """
    centroid_window = window if centroid_window is None else centroid_window
    _check(density, pixel_size_nm, threshold, ideal_peak, window, centroid_window)
    # a sum above the threshold needs a peak above its share of the window
    level = threshold * ideal_peak / centroid_window**2
    frame, y, x = _maxima(density, level, window)

    reach = np.arange(centroid_window) - centroid_window // 2
    dy, dx = (d.ravel() for d in np.meshgrid(reach, reach, indexing="ij"))
    rows, columns = y[:, None] + dy, x[:, None] + dx
    _, height, width = density.shape
    inside = (rows >= 0) & (rows < height) & (columns >= 0) & (columns < width)
    weights = density[
        frame[:, None], rows.clip(0, height - 1), columns.clip(0, width - 1)
    ].astype(float)
    weights = np.where(inside, weights.clip(0), 0)
    mass = weights.sum(axis=1)
    y_px, x_px = y + 0.5 + weights @ dy / mass, x + 0.5 + weights @ dx / mass
    plateau, first = _plateaus(frame, y, x, density.shape, window)
    members = np.maximum(np.bincount(plateau), 1)
    y_px, x_px, mass = (
        np.bincount(plateau, value) / members for value in (y_px, x_px, mass)
    )
    found = Localizations(
        x_nm=x_px * pixel_size_nm,
        y_nm=y_px * pixel_size_nm,
        frame=frame[first] + first_frame,
        confidence=mass / ideal_peak,
    )
    return found.select(mass > threshold * ideal_peak)


def _check(
    density: np.ndarray,
    pixel_size_nm: float,
    threshold: float,
    ideal_peak: float,
    *windows: int,
) -> None:
    if density.ndim != 3:
        raise ValueError(f"density must have axes (t, y, x), not {density.ndim} axes")
    for window in windows:
        if window < 1 or window % 2 == 0:
            raise ValueError(f"window must be odd and positive, not {window}")
    for name, value in (
        ("pixel_size_nm", pixel_size_nm),
        ("threshold", threshold),
        ("ideal_peak", ideal_peak),
    ):
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")


def _maxima(
    density: np.ndarray, level: float, window: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame, row and column of pixels above `level` that lead their window.

    Only pixels above the level are compared with their neighbours; they are few,
    which makes this faster than a maximum filter over the whole map.
    """
    frame, y, x = np.nonzero(density > level)
    _, height, width = density.shape
    radius = window // 2
    # the rings outwards: most pixels already lose against a direct neighbour
    offsets = sorted(
        (
            (dy, dx)
            for dy in range(-radius, radius + 1)
            for dx in range(-radius, radius + 1)
            if (dy, dx) != (0, 0)
        ),
        key=lambda offset: max(map(abs, offset)),
    )
    for dy, dx in offsets:
        # outside pixels are replaced by one inside the window: it competes anyway
        rows = (y + dy).clip(0, height - 1)
        columns = (x + dx).clip(0, width - 1)
        leads = density[frame, y, x] >= density[frame, rows, columns]
        frame, y, x = frame[leads], y[leads], x[leads]
    return frame, y, x


def _plateaus(
    frame: np.ndarray,
    y: np.ndarray,
    x: np.ndarray,
    shape: tuple[int, ...],
    window: int,
) -> tuple[np.ndarray, np.ndarray]:
    """Give maxima within each other's window the same number.

    Returns
    -------
    number, first
        The plateau of each maximum, and the first maximum of each plateau.
    """
    _, height, width = shape
    flat = (frame * height + y) * width + x
    radius = window // 2
    pairs: list[np.ndarray] = []
    for dy in range(radius + 1):
        for dx in range(-radius, radius + 1):
            if dy == 0 and dx <= 0:
                continue  # each pair once, from its earlier member
            inside = (y + dy < height) & (x + dx >= 0) & (x + dx < width)
            here = np.flatnonzero(inside)
            wanted = flat[here] + dy * width + dx
            there = np.searchsorted(flat, wanted)
            met = there < len(flat)
            met[met] = flat[there[met]] == wanted[met]
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
