"""From samples of an optical image to what camera pixels collect.

The intensity behind a lens holds no frequency above ``2 NA / wavelength``, so samples
slightly closer than ``wavelength / (4 NA)`` determine it everywhere.  What a pixel
collects – the intensity integrated over its area, blurred by a Gaussian – is therefore
a weighted sum of the samples around it.  The weights are found once per grid, by least
squares over the band; integrating on an oversampled grid would cost many times the
samples for less accuracy.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zoo.physics.optics import incoherent_otf

_SAMPLES_PER_CUTOFF = 0.40  # of a cycle at the cut-off; 0.5 is the Nyquist limit
_BAND_POINTS = 160
_SMALLEST_WEIGHT = 1e-6  # keeps the fit regular where the transfer vanishes
_UNIT_SUM_WEIGHT = 1e3  # photons are kept before anything else


@dataclass(frozen=True, eq=False)
class PixelFilter:
    """Weights along one axis; an image is ``filter_y @ samples @ filter_x.T``."""

    samples_um: np.ndarray
    """(s,) positions of the samples, µm from the centre of the line of pixels."""
    value_um: np.ndarray
    """(n, s) weights of the pixels' content, µm."""
    slope: np.ndarray
    """(n, s) weights of its derivative with respect to the emitter's position."""
    variance_slope_per_um: np.ndarray
    """(n, s) weights of its derivative with respect to the variance of the blur."""


@lru_cache(maxsize=64)
def pixel_filter(
    pixels: int,
    *,
    pixel_um: float,
    cutoff_per_um: float,
    blur_um: float = 0.0,
    neighbours: int = 8,
) -> PixelFilter:
    """Design the weights of a line of pixels.

    The law: a wave of any frequency within the band comes out multiplied by
    ``pixel * sinc(f pixel) * exp(-2 (pi blur f)**2)``.  The error, weighted with the
    transfer of a clear pupil, is below 1e-4 for the content and 1e-3 for the derivative
    with 8 neighbours and no blur, and ten times less with a blur of 0.09 wavelengths.

    Parameters
    ----------
    pixels
        Number of pixels.
    pixel_um
        Edge of a pixel.
    cutoff_per_um
        Highest frequency of the intensity, ``2 NA / wavelength``.
    blur_um
        Standard deviation of the Gaussian blur.
    neighbours
        Samples used on either side of a pixel.

    Returns
    -------
    filter : PixelFilter

    Examples
    --------
    >>> line = pixel_filter(11, pixel_um=0.1, cutoff_per_um=4.3)
    >>> round(float(line.value_um.sum(axis=1)[5]), 6)
    0.1
    """
    spacing = _SAMPLES_PER_CUTOFF / cutoff_per_um
    centres = (np.arange(pixels) - (pixels - 1) / 2) * pixel_um
    half = int(np.ceil(centres[-1] / spacing)) + neighbours
    samples = np.arange(-half, half + 1) * spacing
    frequency = (np.arange(_BAND_POINTS) + 0.5) / _BAND_POINTS * cutoff_per_um
    response = np.sinc(frequency * pixel_um)
    response *= np.exp(-2 * (np.pi * blur_um * frequency) ** 2)
    importance = incoherent_otf(frequency / cutoff_per_um) + _SMALLEST_WEIGHT

    value, slope, variance_slope = np.zeros((3, pixels, len(samples)))
    circular = 2 * np.pi * frequency
    zero = np.zeros_like(frequency)
    for row, centre in enumerate(centres):
        nearest = int(np.rint(centre / spacing)) + half
        window = slice(nearest - neighbours, nearest + neighbours + 1)
        phase = circular[:, None] * (samples[window] - centre)
        waves = np.concatenate([np.cos(phase), np.sin(phase)])
        targets = np.stack(
            [
                np.concatenate([response, zero]),
                np.concatenate([zero, -circular * response]),
                np.concatenate([-0.5 * circular**2 * response, zero]),
            ],
            axis=1,
        )
        weights = np.concatenate([importance, importance])[:, None]
        system = np.concatenate(
            [waves * weights, np.full((1, waves.shape[1]), _UNIT_SUM_WEIGHT)]
        )
        right_side = np.concatenate([targets * weights, [[_UNIT_SUM_WEIGHT, 0.0, 0.0]]])
        taps = np.linalg.lstsq(system, right_side, rcond=None)[0] * pixel_um
        value[row, window], slope[row, window], variance_slope[row, window] = taps.T
    return PixelFilter(samples, value, slope, variance_slope)
