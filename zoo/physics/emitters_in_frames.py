"""Emitters in whole frames: their regions, their light, fits beside each other.

Values of an emitter are x and y (nm from the outer corner of the frame), z, photons and
background, as in `zoo.physics.emitter_model`.
"""

from collections.abc import Iterator

import numpy as np

from zoo.physics.emitter_model import EmitterModel

_TILE_PX, _BACKGROUND_PERCENTILE = 16, 40.0


def background_level(frames: np.ndarray) -> np.ndarray:
    """Estimate the slowly changing background of frames with spots.

    A low percentile of tiles, interpolated between their centres; too high by the halos
    of spots where these are dense.

    Parameters
    ----------
    frames
        (t, y, x) photons.

    Returns
    -------
    level : (t, y, x) float64
        Not negative.

    Examples
    --------
    >>> frame = np.full((1, 40, 48), 3.0)
    >>> frame[0, 20, 20] = 1000.0
    >>> round(float(background_level(frame).max()), 6)
    3.0
    """
    from scipy.ndimage import map_coordinates

    lengths = (int(frames.shape[1]), int(frames.shape[2]))
    counts = [max(1, round(n / _TILE_PX)) for n in lengths]
    edges: list[np.ndarray] = [
        np.linspace(0, n, count + 1).round().astype(int)
        for n, count in zip(lengths, counts, strict=True)
    ]
    tiles = np.empty((len(frames), *counts))
    for i in range(counts[0]):
        for j in range(counts[1]):
            tile = frames[
                :, edges[0][i] : edges[0][i + 1], edges[1][j] : edges[1][j + 1]
            ]
            tiles[:, i, j] = np.percentile(tile, _BACKGROUND_PERCENTILE, axis=(1, 2))
    places: list[np.ndarray] = [
        (np.arange(n) + 0.5) * count / n - 0.5
        for n, count in zip(lengths, counts, strict=True)
    ]
    grid = np.stack(np.meshgrid(*places, indexing="ij"))
    level = np.stack(
        [map_coordinates(tile, grid, order=1, mode="nearest") for tile in tiles]
    )
    return np.maximum(level, 0.0)


def corners(x_px: np.ndarray, y_px: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Return first row and column of regions with emitters in their central pixel.

    The central pixel is the one of index ``n // 2``.

    Examples
    --------
    >>> corners(np.array([20.7]), np.array([16.2]), (32, 32)).tolist()
    [[0, 4]]
    """
    rows = np.floor(y_px).astype(int) - shape[0] // 2
    columns = np.floor(x_px).astype(int) - shape[1] // 2
    return np.stack([rows, columns], axis=1)


def cut(
    frames: np.ndarray, frame: np.ndarray, corner: np.ndarray, shape: tuple[int, int]
) -> np.ndarray:
    """Cut regions out of frames; pixels outside are NaN.

    Parameters
    ----------
    frames
        (t, y, x).
    frame
        (n,) frame of each region.
    corner
        (n, 2) row and column of the first pixels.
    shape
        ``(height, width)`` of the regions, px.

    Returns
    -------
    regions : (n, y, x) float
    """
    rows = corner[:, 0, None] + np.arange(shape[0])
    columns = corner[:, 1, None] + np.arange(shape[1])
    inside = ((rows >= 0) & (rows < frames.shape[1]))[:, :, None] & (
        (columns >= 0) & (columns < frames.shape[2])
    )[:, None, :]
    regions = frames[
        frame[:, None, None],
        rows.clip(0, frames.shape[1] - 1)[:, :, None],
        columns.clip(0, frames.shape[2] - 1)[:, None, :],
    ]
    return np.where(inside, regions, np.nan)


def drawn(
    model: EmitterModel, frame: np.ndarray, values: np.ndarray, shape: tuple[int, ...]
) -> np.ndarray:
    """Return the light of emitters, without background.

    Parameters
    ----------
    model
        The spot in a region.
    frame
        (n,) frame of each emitter, from 0.
    values
        (n, 5) as in `Found`.
    shape
        ``(t, y, x)`` of the frames.

    Returns
    -------
    light : (t, y, x) float64
        Photons.
    """
    light = np.zeros(shape)
    corner, local = _regions(model, values)
    for t, (top, left), spot in zip(frame, corner, model.light(local), strict=True):
        _add(light[t], spot, int(top), int(left))
    return light


def fit_beside(
    model: EmitterModel,
    frames: np.ndarray,
    light: np.ndarray,
    frame: np.ndarray,
    start: np.ndarray,
    *,
    steps: int,
    contained: bool = False,
) -> np.ndarray:
    """Fit emitters, each in its region beside the light of all others.

    Pixels outside the frame agree with whatever is known of the emitter.

    Parameters
    ----------
    model
        The spot in a region.
    frames
        (t, y, x) photons.
    light
        (t, y, x) photons of known emitters, without background.
    frame
        (n,) frame of each emitter, from 0.
    start
        (n, 5) values to start from.
    steps
        Steps at most.
    contained
        Whether the light of the emitters themselves is in `light`.

    Returns
    -------
    values : (n, 5) float64
    """
    corner, local = _regions(model, start)
    own = model.light(local)
    other = np.nan_to_num(cut(light, frame, corner, model.shape))
    if contained:
        other = np.maximum(other - own, 0.0)
    data = cut(frames, frame, corner, model.shape)
    # pixels outside the frame agree with whatever is known
    data = np.where(np.isnan(data), own + local[:, 4, None, None] + other, data)
    values, _ = model.refine(data, local, other=other, iterations=steps)
    values[:, :2] += corner[:, ::-1] * model.psf.pixel_nm
    return values


def have_neighbours(
    owner: np.ndarray, values: np.ndarray, near_nm: float
) -> np.ndarray:
    """Tell which emitters have another one of their frame within a distance."""
    beside = np.zeros(len(owner), bool)
    for rows, close in _nearness(owner, values, near_nm):
        beside[rows] = close.sum(axis=1) > 1
    return beside


def have_brighter_neighbours(
    owner: np.ndarray, values: np.ndarray, near_nm: float
) -> np.ndarray:
    """Tell which emitters have a brighter one of their frame within a distance."""
    doubles = np.zeros(len(owner), bool)
    for rows, close in _nearness(owner, values, near_nm):
        doubles[rows] = np.tril(close, -1).any(axis=1)
    return doubles


def _nearness(
    owner: np.ndarray, values: np.ndarray, near_nm: float
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield a frame's emitters, the brightest first, and which are near to which."""
    for frame in np.unique(owner):
        rows = np.flatnonzero(owner == frame)
        rows = rows[np.argsort(-values[rows, 3], kind="stable")]
        apart = values[rows, None, :2] - values[None, rows, :2]
        yield rows, (apart**2).sum(axis=2) < near_nm**2


def _regions(model: EmitterModel, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return corners of regions, px, and values seen from there."""
    pixel_nm = model.psf.pixel_nm
    corner = corners(values[:, 0] / pixel_nm, values[:, 1] / pixel_nm, model.shape)
    local = np.array(values)
    local[:, :2] -= corner[:, ::-1] * pixel_nm
    return corner, local


def _add(image: np.ndarray, spot: np.ndarray, top: int, left: int) -> None:
    """Add a spot to an image, as far as it lies inside."""
    height, width = spot.shape
    rows = slice(max(top, 0), min(top + height, image.shape[0]))
    columns = slice(max(left, 0), min(left + width, image.shape[1]))
    if rows.start < rows.stop and columns.start < columns.stop:
        image[rows, columns] += spot[
            rows.start - top : rows.stop - top,
            columns.start - left : columns.stop - left,
        ]
