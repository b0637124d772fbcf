"""How crowded a movie of emitters is, from its light and not from what can be counted.

Where spots merge, counting them finds too few.  Their light does not merge: light
above the background, over the light of one emitter, is a number of emitters.  The light
of one emitter follows from the fluctuations of a shot process (Campbell's theorem):
variance over mean is the brightness, weighted by the spot's size.
"""

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
HETEROGENEITY = 1.1
"""Mean square over squared mean of the light of emitters: a relative spread of a
third."""
DARK_SPOTS = 0.8
"""Emitters per spot at which a gamma distribution is as dark as the light of Gaussian
spots, relative; measured from 4 to 18 emitters per µm² of 100 to 140 nm."""
NEIGHBOURHOOD_NM = 250.0
"""Radius within which emitters count as neighbours in a local density."""
STILL = 0.9
"""Stillness from which fluctuations in time are no blinking."""
FEWEST_FRAMES = 4
"""Frames without which fluctuations in time are not read."""


class Emission(NamedTuple):
    """Light of emitters in a movie, per frame."""

    density_per_px: float
    """Emitters per pixel and frame, from integrated light."""
    local_density_per_px: float
    """Emitters per pixel around an emitter, itself included."""
    brightness: float
    """Counts of an emitter, as fluctuations show it."""
    light: float
    """Counts per pixel above the background, mean over the movie."""
    background: float
    """Counts per pixel that stay where no emitter shines."""
    stillness: float
    """Correlation of the structure between frames far apart: near one where nothing
    blinks; NaN for too few frames."""


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
        Counts of an emitter, where isolated ones were measured; else fluctuations tell:
        those in time where there are frames enough and something blinks, which no
        structure of the sample disturbs.

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
    stillness, blinking = float("nan"), False
    inner = 0.0
    if count >= FEWEST_FRAMES:
        share = count / (count - 1)
        inner = share * _covariance(above - mean)
        still = _covariance(mean - light) - inner / count
        stillness = float(np.clip(still / max(still + inner, 1e-12), 0, 1))
        blinking = stillness < STILL and inner > 0
    spot_px = 4 * np.pi * sigma_px**2
    # neighbouring pixels share light and no noise
    shared = np.exp(1 / (4 * sigma_px**2))
    occupied = light**2 / (near * shared)
    # what is taken for background holds emitters' light, too, where it is crowded
    full = _shape(occupied, DARK_SPOTS * (1 + 1 / sigma_px**2))
    lifted = light * (full / occupied) ** 0.5
    if brightness is None:
        spread = inner if blinking else near
        brightness = float(spread * shared * spot_px / lifted / HETEROGENEITY)
    radius = max(NEIGHBOURHOOD_NM / pixel_nm, 1.0)
    edge = 2 * int(radius * np.pi**0.5 / 2) + 1
    nearby = np.asarray(uniform_filter(above, (0, edge, edge), mode="reflect"))
    weight = np.maximum(above, 0)
    local = float((weight * nearby).sum() / max(float(weight.sum()), 1e-12))
    raised = lifted - light
    return Emission(
        density_per_px=lifted / brightness,
        local_density_per_px=max(
            (local + raised) / brightness, 1 / (np.pi * radius**2)
        ),
        brightness=brightness,
        light=lifted,
        background=float(np.median(floor)) - raised,
        stillness=stillness,
    )


def _covariance(frames: np.ndarray) -> float:
    """Return the covariance of neighbouring pixels (t, y, x)."""
    along_x = float((frames[:, :, 1:] * frames[:, :, :-1]).mean())
    along_y = float((frames[:, 1:] * frames[:, :-1]).mean())
    return (along_x + along_y) / 2


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
