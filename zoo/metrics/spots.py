"""What spots look like: width, shape and light of the isolated ones of a recording.

Bright maxima with nothing beside them are fitted with an elliptic Gaussian on a
constant background.  How far the fit misses them, beyond the noise, tells round
diffraction-limited spots from those of another optics.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, maximum_filter

from zoo.metrics.noise import Gain

MOST_SPOTS = 200
"""Spots that are fitted at most, the most isolated ones."""
FEWEST_SPOTS = 12
"""Spots without which nothing is said."""
CONTRAST = 6.0
"""Least height of a spot's smoothed maximum, times the noise there."""
QUIET = 0.35
"""Height that neighbours in the rim of a spot's window may have, relative to it."""
LOWER = 0.25
"""Quantile that stands for single emitters."""
_ROUNDS = 25


class Spots(NamedTuple):
    """What isolated spots look like.

    Lower quartiles: the wide and odd ones are several emitters where it is crowded.
    """

    number: int
    """Isolated spots."""
    sigma_px: float
    """Standard deviation of a spot, the geometric mean of both axes, px."""
    ellipticity: float
    """Longer axis over shorter one."""
    residual: float
    """Light that the Gaussian misses: root of the squared misfit beyond the noise, over
    that of the spot."""
    light: float
    """Counts of a spot above its background, median of the narrower half."""


def isolated_spots(
    frames: Iterable[np.ndarray],
    *,
    half_px: int = 5,
    gain: Gain | None = None,
) -> Spots | None:
    """Measure the isolated spots of some frames.

    Parameters
    ----------
    frames
        Images (y, x), counts.
    half_px
        Half the edge of the window of a spot, px.
    gain
        What is known of the noise; without it that beside each spot is taken.

    Returns
    -------
    spots
        None if there are fewer than `FEWEST_SPOTS`.

    Examples
    --------
    >>> from zoo.physics.psf import gaussian_spots
    >>> places = np.arange(12, 128, 20.0)
    >>> x, y = (axis.ravel() for axis in np.meshgrid(places, places))
    >>> image = gaussian_spots(x, y, 2000.0, (128, 128), sigma_px=1.3) + 10
    >>> noisy = np.random.default_rng(0).poisson(image)
    >>> round(isolated_spots([noisy]).sigma_px, 1)
    1.3
    """
    windows: list[np.ndarray] = []
    quiet: list[float] = []
    for frame in frames:
        for window, rim in _candidates(np.asarray(frame, float), half_px):
            windows.append(window)
            quiet.append(rim)
    if len(windows) < FEWEST_SPOTS:
        return None
    chosen = np.argsort(quiet, kind="stable")[:MOST_SPOTS]
    data: np.ndarray = np.stack([windows[int(i)] for i in chosen])
    fit = _fit(data)
    good = _usable(fit, data, half_px)
    if np.count_nonzero(good) < FEWEST_SPOTS:
        return None
    fit, data = fit[good], data[good]
    shape = _shapes(fit)
    model = _model(fit, data.shape[1:])[0]
    spot = model - fit[:, 1, None, None]
    noise = _noise(data, model, gain, half_px)
    size = data[0].size
    misfit = ((data - model) ** 2).sum((1, 2)) * size / (size - 7) - noise
    share = np.quantile(misfit / (spot**2).sum((1, 2)), LOWER)
    # where it is crowded the wide ones are several emitters
    narrow = shape[:, 0] <= np.median(shape[:, 0])
    light = 2 * np.pi * fit[:, 0] * shape[:, 2] ** 2
    return Spots(
        number=len(fit),
        sigma_px=float(np.quantile(shape[:, 0], LOWER)),
        ellipticity=float(np.quantile(shape[:, 1], LOWER)),
        residual=float(np.sqrt(max(share, 0.0))),
        light=float(np.median(light[narrow])),
    )


def _candidates(image: np.ndarray, half: int) -> list[tuple[np.ndarray, float]]:
    """Return windows around isolated maxima, and how bright their rims are."""
    edge = 2 * half + 1
    if min(image.shape) < edge + 2:
        return []
    smooth = np.asarray(gaussian_filter(image, 1.0, mode="nearest"))
    wide = np.asarray(gaussian_filter(image, half, mode="nearest"))
    contrast = smooth - wide
    spread = 1.4826 * float(np.median(np.abs(contrast - np.median(contrast))))
    tops = (smooth == maximum_filter(smooth, 3)) & (contrast > CONTRAST * spread)
    rows, columns = np.nonzero(tops)
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    rim = np.hypot(y, x) > 0.75 * half
    found: list[tuple[np.ndarray, float]] = []
    for row, column in zip(rows, columns, strict=True):
        top, left = row - half, column - half
        if min(top, left) < 0 or row + half >= image.shape[0]:
            continue
        if column + half >= image.shape[1]:
            continue
        part = (slice(top, top + edge), slice(left, left + edge))
        around = smooth[part][rim]
        floor = float(np.median(around))
        height = float(smooth[row, column]) - floor
        beside = (float(around.max()) - floor) / height if height > 0 else 1.0
        tilt = float(np.ptp(np.quantile(around, (0.1, 0.9)))) / max(height, 1e-9)
        if (
            beside < QUIET
            and tilt < QUIET
            and smooth[row, column] >= smooth[part].max()
        ):
            found.append((image[part], beside + tilt))
    return found


def _model(fit: np.ndarray, shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Return spots (n, y, x) and their changes (n, y, x, 7) with the parameters.

    Parameters are height, background, y, x and the inverse covariance yy, yx, xx.
    """
    y, x = (axis.astype(float) for axis in np.mgrid[: shape[0], : shape[1]])
    height, floor, y0, x0, yy, yx, xx = (p[:, None, None] for p in fit.T)
    dy, dx = y - y0, x - x0
    exponent = 0.5 * (yy * dy**2 + 2 * yx * dy * dx + xx * dx**2)
    bell = np.exp(-np.clip(exponent, 0, 50))
    spot = height * bell
    changes = (
        bell,
        np.ones_like(bell),
        spot * (yy * dy + yx * dx),
        spot * (xx * dx + yx * dy),
        -0.5 * spot * dy**2,
        -spot * dy * dx,
        -0.5 * spot * dx**2,
    )
    return spot + floor, np.stack(changes, axis=-1)


def _fit(data: np.ndarray) -> np.ndarray:
    """Fit windows (n, y, x) by least squares, Levenberg's way; (n, 7)."""
    count, edge = len(data), data.shape[1]
    middle = edge // 2
    floor = np.quantile(data, 0.2, axis=(1, 2))
    height = data[:, middle - 1 : middle + 2, middle - 1 : middle + 2].mean((1, 2))
    start = [height - floor, floor, *np.full((2, count), float(middle))]
    fit = np.stack([*start, *np.full((1, count), 0.4), *np.zeros((1, count)),
                    *np.full((1, count), 0.4)], axis=1)  # fmt: skip
    damping = np.full(count, 1e-2)
    model, slope = _model(fit, data.shape[1:])
    cost = ((data - model) ** 2).sum((1, 2))
    for _ in range(_ROUNDS):
        flat = slope.reshape(count, -1, 7)
        left = (data - model).reshape(count, -1, 1)
        normal = flat.transpose(0, 2, 1) @ flat
        diagonal = np.einsum("nii->ni", normal)
        diagonal *= 1 + damping[:, None]
        diagonal += 1e-12
        step = np.linalg.solve(normal, flat.transpose(0, 2, 1) @ left)[..., 0]
        tried = fit + step
        tried[:, [4, 6]] = np.clip(tried[:, [4, 6]], 0.01, 4.0)
        bound = 0.95 * np.sqrt(tried[:, 4] * tried[:, 6])
        tried[:, 5] = np.clip(tried[:, 5], -bound, bound)
        new, new_slope = _model(tried, data.shape[1:])
        new_cost = ((data - new) ** 2).sum((1, 2))
        better = new_cost < cost
        fit[better], cost[better] = tried[better], new_cost[better]
        model[better], slope[better] = new[better], new_slope[better]
        damping = np.where(better, damping * 0.3, np.minimum(damping * 5, 1e6))
    return fit


def _usable(fit: np.ndarray, data: np.ndarray, half: int) -> np.ndarray:
    """Tell which fits stayed at their spot."""
    off = np.hypot(fit[:, 2] - half, fit[:, 3] - half)
    sigma = _shapes(fit)
    return (
        np.isfinite(fit).all(axis=1)
        & (fit[:, 0] > 0)
        & (off < 2)
        & (sigma[:, 2] < half)
        & (fit[:, 0] < 3 * np.ptp(data, axis=(1, 2)))
    )


def _shapes(fit: np.ndarray) -> np.ndarray:
    """Return width, ellipticity and width before the pixels are taken out, (n, 3)."""
    inverse = np.stack(
        [np.stack([fit[:, 4], fit[:, 5]], -1), np.stack([fit[:, 5], fit[:, 6]], -1)], -1
    )
    values = 1 / np.maximum(np.linalg.eigvalsh(inverse), 1e-6)
    short, long = values[:, 1], values[:, 0]
    plain = (short * long) ** 0.25
    width = np.sqrt(np.maximum(plain**2 - 1 / 12, 0.01))
    return np.stack([width, np.sqrt(long / short), plain], axis=1)


def _noise(
    data: np.ndarray, model: np.ndarray, gain: Gain | None, half: int
) -> np.ndarray:
    """Return the expected squared noise of windows, summed over pixels, (n,)."""
    if gain is not None:
        light = np.maximum(gain.slope * (model - gain.dark), 0.0)
        return light.sum((1, 2))
    y, x = np.mgrid[-half : half + 1, -half : half + 1]
    rim = np.hypot(y, x) > 0.75 * half
    return data[:, rim].var(axis=1) * data[0].size
