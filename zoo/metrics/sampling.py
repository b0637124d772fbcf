"""How finely an image is sampled: where its spectrum ends, and what noise follows.

A microscope passes no frequency beyond its cut-off.  In an image that is sampled finely
enough, only noise lies beyond, white up to the corners of the spectrum.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft

from zoo.physics.optics import taper

RINGS_PER_PX = 64
"""Rings up to one cycle per pixel."""
CORNER = (0.56, 0.62, 0.7)
"""Limits of two bands near the corners of the spectrum, cycles per pixel."""
SIGNIFICANT = 4.0
"""Power beyond the noise that counts as signal, in standard errors of a ring."""
SMALLEST_PX = 32
"""Shortest side of an image that is judged, px."""
LARGEST_PX = 1024
"""Longest side that is looked at, the middle of the field, px."""
CLEAR = 6.0
"""Power beyond the noise, in standard errors, that the width of spots is read from."""
LEAST_POWER = 0.1
"""The same, relative to the noise."""
UPPER = 0.55
"""Part of the spectrum below which structure is expected beside spots."""
_FIRST_RING = 4
_FEWEST_RINGS = 3
_RUN = 2  # rings of noise after which the signal has ended


class Sampling(NamedTuple):
    """The end of a spectrum."""

    cutoff_per_px: float
    """Highest frequency with more power than the noise, cycles per pixel; half a cycle
    and more where signal fills the spectrum.  Little light lets it end early."""
    colour: float
    """Power of the outer part of the corners over that of the inner: one for white
    noise; much less where an image was enlarged or filtered, or is not sampled finely
    enough."""


def sampling(image: np.ndarray) -> Sampling | None:
    """Find the end of an image's spectrum.

    Parameters
    ----------
    image : (y, x)
        Counts.

    Returns
    -------
    sampling
        None if the image is too small or constant.

    Examples
    --------
    >>> from scipy.ndimage import gaussian_filter
    >>> rng = np.random.default_rng(0)
    >>> light = 300 * rng.random((128, 128)) ** 8
    >>> image = rng.poisson(gaussian_filter(light, 2.0, mode="wrap"))
    >>> found = sampling(image)
    >>> bool(0.1 < found.cutoff_per_px < 0.3), bool(0.8 < found.colour < 1.2)
    (True, True)
    """
    values = np.asarray(image, float)
    if min(values.shape) < SMALLEST_PX or not np.ptp(values):
        return None
    values = values[
        tuple(
            slice((n - min(n, LARGEST_PX)) // 2, (n + min(n, LARGEST_PX)) // 2)
            for n in values.shape
        )
    ]
    rings = _rings(values[None])
    if rings is None:
        return None
    bound = rings.noise * (1 + SIGNIFICANT * rings.error)
    signal = rings.power > bound
    signal[: max(2, round(2 * RINGS_PER_PX / min(values.shape)))] = True
    end = len(signal)
    for ring in range(len(signal)):
        if not signal[ring : ring + _RUN].any():
            end = ring
            break
    return Sampling(end / RINGS_PER_PX, rings.noise / rings.near)


def spectral_sigma(frames: np.ndarray) -> float:
    """Read the width of Gaussian spots off the upper end of their spectrum.

    The power of a spot's image falls like ``exp(-4 pi² sigma² f²)``.  Filaments, haze
    and crowds add to the lower end alone, so the slope above is that of the spots.

    Parameters
    ----------
    frames : (t, y, x)
        Counts.

    Returns
    -------
    sigma_px
        Standard deviation of a spot, the pixel taken out, px; NaN where too little of
        the spectrum rises above the noise.

    Examples
    --------
    >>> from zoo.physics.psf import gaussian_spots
    >>> rng = np.random.default_rng(0)
    >>> place = rng.uniform(0, 64, (2, 200))
    >>> image = gaussian_spots(*place, 900.0, (64, 64), sigma_px=1.2)
    >>> round(spectral_sigma(rng.poisson(image + 20, (4, 64, 64))), 1)
    1.2
    """
    frames = np.asarray(frames, float)
    if min(frames.shape[1:]) < SMALLEST_PX:
        return float("nan")
    rings = _rings(frames)
    if rings is None:
        return float("nan")
    left = rings.power - rings.noise
    clear = left > rings.noise * np.maximum(CLEAR * rings.error, LEAST_POWER)
    start = _FIRST_RING
    end = start
    while end < len(clear) and clear[end]:
        end += 1
    start = max(start, int(UPPER * end))
    if end - start < _FEWEST_RINGS:
        return float("nan")
    squared = ((np.arange(start, end) + 0.5) / RINGS_PER_PX) ** 2
    error = rings.error[start:end] * rings.power[start:end] / left[start:end]
    slope = float(np.polyfit(squared, np.log(left[start:end]), 1, w=1 / error)[0])
    return float(np.sqrt(max(-slope / (4 * np.pi**2) - 1 / 12, 0.01)))


class _Rings(NamedTuple):
    power: np.ndarray
    """Mean power of each ring."""
    error: np.ndarray
    """Relative standard error of each."""
    noise: float
    """Power in the outer corners."""
    near: float
    """Power in the inner corners."""


def _rings(frames: np.ndarray) -> _Rings | None:
    """Return the power spectrum of frames (t, y, x), ring by ring."""
    count, height, width = frames.shape
    window = np.outer(taper(height, height // 8), taper(width, width // 8))
    power = np.zeros((height, width // 2 + 1))
    for frame in frames:
        faded: np.ndarray = (frame - frame.mean()) * window
        power += np.abs(np.asarray(fft.rfft2(faded))) ** 2
    power /= count
    f_y, f_x = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    once = np.broadcast_to((f_x > 0) & (f_x < 0.5), power.shape)
    radius = np.hypot(f_y, f_x)
    inner, middle, outer = CORNER
    near = float(power[once & (radius > inner) & (radius <= middle)].mean())
    noise = float(power[once & (radius > middle) & (radius <= outer)].mean())
    if near <= 0 or noise <= 0:
        return None
    number = np.floor(radius[once] * RINGS_PER_PX).astype(int)
    modes = np.maximum(np.bincount(number), 1)
    # neighbouring modes behind a window are alike: fewer are independent
    alike = window.size * float((window**4).sum()) / float((window**2).sum()) ** 2
    return _Rings(
        power=np.bincount(number, power[once]) / modes,
        error=np.sqrt(alike / (modes * count)),
        noise=noise,
        near=near,
    )
