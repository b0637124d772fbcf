"""How crowded a movie of emitters is, from its light and not from what can be counted.

Where spots merge, counting them finds too few.  What follows from the fluctuations of
a shot process (Campbell's theorem) does not depend on merging: the third moment of
fluctuations in time over their variance is the light of one emitter, weighted by the
spot's size, and the variance over its square the number of emitters.  Neither knows of
light that does not blink, however much of it there is.  Where frames are too few or too
alike for that, variance over mean is the brightness, and light above the background,
over the light of one emitter, a number of emitters.
"""

import itertools
import math
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter, zoom
from scipy.optimize import brentq
from scipy.special import gammaincinv

BLOCK_PX = 20
"""Edge of the blocks in which the background is looked for, px."""
DARK_SHARE = 0.02
"""Share of the pixels of a block that are taken to hold background alone, before what
emitters shine there is corrected for."""
SPREAD = 0.4
"""Relative spread of the light of emitters, taken for gamma distributed."""
DARK_SPOTS = 0.8
"""Emitters per spot at which a gamma distribution is as dark as the light of Gaussian
spots, relative; measured from 4 to 18 emitters per µm² of 100 to 140 nm."""
NEIGHBOURHOOD_NM = 250.0
"""Radius within which emitters count as neighbours in a local density."""
STILL = 0.9
"""Stillness from which fluctuations in time are no blinking."""
SMOOTH = 6.0
"""Standard deviations of a spot over which light varies that is haze, not structure."""
FEWEST_FRAMES = 4
"""Frames without which fluctuations in time are not read."""
SIGNIFICANT = 8.0
"""Third moment of fluctuations over the error that noise makes in it, from which it
is used."""


class Emission(NamedTuple):
    """Light of emitters in a movie, per frame."""

    density_per_px: float
    """Emitters per pixel and frame."""
    local_density_per_px: float
    """Emitters per pixel around an emitter, itself included."""
    brightness: float
    """Counts of an emitter, as fluctuations show it."""
    light: float
    """Counts per pixel that are emitters', mean over the movie."""
    background: float
    """Counts per pixel that stay where no emitter shines."""
    stillness: float
    """Correlation of the structure between frames far apart: near one where nothing
    blinks; NaN for too few frames."""
    blinking: bool
    """Whether brightness and density are those of what blinks, whatever else shines."""


def emission(
    frames: np.ndarray,
    *,
    sigma_px: float,
    pixel_nm: float,
    brightness: float | None = None,
) -> Emission | None:
    """Measure how much light emitters give, and how many of them.

    Parameters
    ----------
    frames : (t, y, x)
        Frames far apart in a movie, counts.
    sigma_px
        Standard deviation of a spot, see `zoo.metrics.sampling.spectral_sigma`.
    pixel_nm
        Edge of a pixel.
    brightness
        Counts of an emitter, where isolated ones were measured; fluctuations in time
        tell better, where frames are enough and something blinks above the noise.

    Returns
    -------
    emission
        None if there is no light above the background.

    Examples
    --------
    >>> from zoo.physics.psf import gaussian_spots
    >>> rng = np.random.default_rng(0)
    >>> movie = [
    ...     rng.poisson(
    ...         20 + gaussian_spots(*rng.uniform(0, 96, (2, 276)), 900.0, (96, 96),
    ...                             sigma_px=1.2)
    ...     )
    ...     for _ in range(8)
    ... ]
    >>> found = emission(np.array(movie), sigma_px=1.2, pixel_nm=100.0)
    >>> bool(0.02 < found.density_per_px < 0.05)
    True
    """
    frames = np.asarray(frames, float)
    floor = _floor(frames)
    above = frames - floor
    light = float(above.mean())
    mean = above.mean(axis=0, keepdims=True)
    count = len(frames)
    near = _covariance(above - light)
    if light <= 0 or near <= 0:
        return None
    stillness, spread, blinks = float("nan"), near, None
    if count >= FEWEST_FRAMES:
        share = count / (count - 1)
        inner = share * _covariance(above - mean)
        lag = max(2, round(SMOOTH * sigma_px))
        fine = share * _fine_covariance(above - mean, lag)
        still = _fine_covariance(mean - light, lag) - fine / count
        stillness = float(np.clip(still / max(still + fine, 1e-12), 0, 1))
        if stillness < STILL and inner > 0:
            spread, blinks = inner, _blinking(above - mean, sigma_px)
    # neighbouring pixels share light and no noise
    spot_px, shared = 4 * np.pi * sigma_px**2, np.exp(1 / (4 * sigma_px**2))
    occupied = light**2 / (near * shared)
    # what is taken for background holds emitters' light, too, where it is crowded
    full = _shape(occupied, DARK_SPOTS * (1 + 1 / sigma_px**2))
    lifted = emitted = light * (full / occupied) ** 0.5
    square = spread * shared * spot_px / (1 + SPREAD**2)
    if blinks is not None:
        brightness = blinks
        emitted = square / brightness
    elif brightness is None:
        brightness = float(square / lifted)
    radius = max(NEIGHBOURHOOD_NM / pixel_nm, 1.0)
    edge = 2 * int(radius * np.pi**0.5 / 2) + 1
    nearby = np.asarray(uniform_filter(above, (0, edge, edge), mode="reflect"))
    weight = np.maximum(above, 0)
    local = float((weight * nearby).sum() / max(float(weight.sum()), 1e-12))
    # what was missed is added, what does not blink taken away
    local += min(lifted, emitted) - light
    return Emission(
        density_per_px=emitted / brightness,
        local_density_per_px=max(local / brightness, 1 / (np.pi * radius**2)),
        brightness=brightness,
        light=emitted,
        background=float(np.median(floor)) - (lifted - light),
        stillness=stillness,
        blinking=blinks is not None,
    )


def _blinking(changes: np.ndarray, sigma_px: float) -> float | None:
    """Return the counts of an emitter that blinks, None if noise hides it.

    Parameters
    ----------
    changes : (t, y, x)
        Frames less their mean over time.
    sigma_px
        Standard deviation of a spot.
    """
    count = len(changes)
    first, last = slice(None, -1), slice(1, None)
    corners = [
        changes[:, y, x]
        for y, x in ((first, first), (first, last), (last, last), (last, first))
    ]
    # pixels share light and no noise: three of the corners of a square, and two
    third = np.mean(
        [
            (corners[a] * corners[b] * corners[c]).mean()
            for a, b, c in itertools.combinations(range(4), 3)
        ]
    )
    second = _covariance(changes)
    power = (changes**2).mean(axis=0)
    error = float(np.sqrt((power**3).mean() / (4 * changes.size)))
    if second <= 0 or third < SIGNIFICANT * error:
        return None
    # unbiased moments of few frames; the corners' distances from the spot's centre
    ratio = float(third / second) * count / (count - 2)
    ratio *= math.exp(2 / (3 * sigma_px**2) - 1 / (4 * sigma_px**2))
    return ratio * 3 * np.pi * sigma_px**2 / (1 + 2 * SPREAD**2)


def _covariance(frames: np.ndarray, lag: int = 1) -> float:
    """Return the covariance of pixels (t, y, x) that lie so far apart."""
    along_x = float((frames[:, :, lag:] * frames[:, :, :-lag]).mean())
    along_y = float((frames[:, lag:] * frames[:, :-lag]).mean())
    return (along_x + along_y) / 2


def _fine_covariance(frames: np.ndarray, lag: int) -> float:
    """Return the covariance of neighbours without that of light smoother than a lag."""
    lag = min(lag, *(edge // 2 for edge in frames.shape[1:]))
    return _covariance(frames) - _covariance(frames, lag)


def _floor(frames: np.ndarray) -> np.ndarray:
    """Return the darkest light of blocks in any frame, (y, x)."""
    smooth = np.asarray(gaussian_filter(frames, (0, 1, 1), mode="nearest"))
    _, height, width = smooth.shape
    rows, columns = max(1, height // BLOCK_PX), max(1, width // BLOCK_PX)
    tops, lefts = (
        [length * part // parts for part in range(parts + 1)]
        for length, parts in ((height, rows), (width, columns))
    )
    grid = np.empty((rows, columns))
    for row in range(rows):
        for column in range(columns):
            part = smooth[
                :,
                tops[row] : tops[row + 1],
                lefts[column] : lefts[column + 1],
            ]
            grid[row, column] = np.quantile(part, DARK_SHARE)
    scale = (height / rows, width / columns)
    return np.asarray(zoom(grid, scale, order=1, mode="nearest", grid_mode=True))


def _shape(observed: float, wider: float) -> float:
    """Return the emitters per spot whose light above the darkest pixels is observed.

    The light of a shot process resembles a gamma distribution, whose shape is the
    number of emitters per spot; its lowest `DARK_SHARE` was subtracted.

    Parameters
    ----------
    observed
        Squared mean over variance after the subtraction.
    wider
        Area of a spot behind the filter that dark pixels were looked for in, relative.
    """

    def excess(log_shape: float) -> float:
        shape = math.exp(log_shape)
        dark = float(gammaincinv(shape * wider, DARK_SHARE)) / (shape * wider)
        return math.log(shape * (1 - dark) ** 2 / observed)

    low, high = math.log(observed), math.log(observed) + 6
    if excess(low) >= 0:
        return observed
    if excess(high) <= 0:
        return math.exp(high)
    return math.exp(float(brentq(excess, low, high)))
