"""Resolution of a single image, without a second one or the truth.

Decorrelation analysis, Descloux, Grußmayer and Radenovic 2019,
doi:10.1038/s41592-019-0515-7, written from its equations.  The image must be sampled
at or beyond Nyquist and be neither saturated nor interpolated: an upsampled image
is judged on its native grid.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from zoo.physics.optics import taper

RADII = 50
"""Radii at which a curve is computed."""
FILTERS = 10
"""High-pass filters, besides the very weak one."""
FLOOR = 0.05
"""Peaks lower than this are noise."""
SMALLEST_DROP = 0.0005
"""A maximum counts if the curve falls by this much behind it."""
TAPER_PX = 20
"""Width of the border that is faded out, px."""


@dataclass(frozen=True)
class Decorrelation:
    """What the analysis of one image gave.

    Attributes
    ----------
    cutoff
        Highest frequency that correlates with its own phase, relative to the Nyquist
        frequency; NaN if there is none.
    amplitude
        Height of the unfiltered curve's peak, A₀, a measure of the signal-to-noise
        ratio; NaN if it has no peak.
    """

    cutoff: float
    amplitude: float

    @property
    def resolution_px(self) -> float:
        """Period of the cut-off frequency, px."""
        return 2.0 / self.cutoff


def decorrelation(image: np.ndarray) -> Decorrelation:
    """Find the highest frequency whose phases still belong to the image.

    The image is correlated with itself after its Fourier amplitudes have been made
    equal, inside discs of growing radius.  The correlation peaks where adding
    frequencies begins to add noise alone.  High-pass filters of growing strength move
    the peak outwards; its outermost position is the cut-off.

    Parameters
    ----------
    image : (y, x)
        At least 64 px a side.

    Raises
    ------
    ValueError
        If the image is too small, constant or not finite.

    Examples
    --------
    >>> noise = np.random.default_rng(0).normal(size=(128, 128))
    >>> from scipy.ndimage import gaussian_filter
    >>> blurred = 100 * gaussian_filter(noise, 2.5, mode="wrap")
    >>> bool(4 < decorrelation(blurred + noise).resolution_px < 10)
    True
    """
    spectrum = _Spectrum(image)
    first = list(_positions(spectrum.curve(None, _grid(0.0, 1.0))))
    start, height = first[0] if first else (0.0, float("nan"))
    shorter = min(np.asarray(image).shape)
    weakest = 2.0 / start if start else shorter / 4.0
    sigmas = [
        shorter / 4.0,
        *np.geomspace(max(weakest, 1.0), 0.15, FILTERS),
    ]
    peaks = [(start, height, shorter / 4.0)] if first else []
    peaks += list(_search(spectrum, sigmas, _grid(0.0, 1.0)))
    peaks = [peak for peak in peaks if peak[1] > FLOOR]
    if not peaks:
        return Decorrelation(float("nan"), height)
    best, _, sigma = max(peaks)
    narrowed = np.geomspace(min(2.0 * sigma, sigmas[0]), max(0.5 * sigma, 0.1), FILTERS)
    grid = _grid(max(best - 0.1, 0.0), min(best + 0.3, 1.0))
    peaks += [p for p in _search(spectrum, narrowed, grid) if p[1] > FLOOR]
    return Decorrelation(float(max(peaks)[0]), float(height))


class _Spectrum:
    """Fourier amplitudes of an image inside the disc of the Nyquist frequency."""

    def __init__(self, image: np.ndarray) -> None:
        values = np.asarray(image, float)
        if values.ndim != 2 or min(values.shape) < 64:
            raise ValueError(
                "decorrelation needs an image of at least 64 x 64 px, "
                f"not {values.shape}"
            )
        if not np.isfinite(values).all() or not np.ptp(values):
            raise ValueError("decorrelation needs a finite image that is not constant")
        faded = (values - values.mean()) * np.outer(*(_fade(n) for n in values.shape))
        amplitude = np.abs(np.fft.fft2(faded - faded.mean()))
        y, x = np.meshgrid(*(np.fft.fftfreq(n) for n in values.shape), indexing="ij")
        radius = 2.0 * np.hypot(y, x)
        inside = (radius <= 1.0) & (radius > 0.0)
        self.radius, self.amplitude = radius[inside], amplitude[inside]

    def curve(self, sigma_px: float | None, grid: np.ndarray) -> tuple[np.ndarray, ...]:
        """Return the radii and the correlation inside each, after a high-pass filter.

        The normalised spectrum has amplitude one everywhere: the correlation needs
        sums of amplitudes, of their squares and of pixels only.
        """
        amplitude = self.amplitude
        if sigma_px is not None:
            # the image minus its Gaussian blur
            exponent = 2.0 * (np.pi * sigma_px * 0.5 * self.radius) ** 2
            amplitude = amplitude * -np.expm1(-exponent)
        ring = np.searchsorted(grid, self.radius)
        length = len(grid) + 1
        sums = np.cumsum(np.bincount(ring, amplitude, length)[:length])[: len(grid)]
        count = np.cumsum(np.bincount(ring, minlength=length))[: len(grid)]
        norm = np.sqrt(np.sum(amplitude**2) * np.maximum(count, 1))
        return grid, np.divide(sums, norm, out=np.zeros(len(grid)), where=norm > 0)


def _search(
    spectrum: _Spectrum, sigmas: "np.ndarray | list[float]", grid: np.ndarray
) -> Iterator[tuple[float, float, float]]:
    """Yield position, height and filter of the peak of each filtered curve."""
    for sigma in sigmas:
        for position, height in _positions(spectrum.curve(float(sigma), grid)):
            yield position, height, float(sigma)


def _positions(curve: tuple[np.ndarray, ...]) -> Iterator[tuple[float, float]]:
    """Yield the highest maximum of a curve that does not lie at its right end."""
    radii, values = curve
    end = len(values)
    while end > 1:
        top = int(np.argmax(values[:end]))
        if top == 0:
            return
        if top < end - 1 and values[top] - values[top:].min() >= SMALLEST_DROP:
            yield float(radii[top]), float(values[top])
            return
        end -= 1


def _grid(low: float, high: float) -> np.ndarray:
    return np.linspace(low, high, RADII)


def _fade(length: int) -> np.ndarray:
    """Return a window that rises over `TAPER_PX` at both ends, less if it is short."""
    return taper(length, min(TAPER_PX, length // 8))
