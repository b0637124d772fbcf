"""Classical methods beside networks that turn one microscope's image into another's.

They are told what a network is not: the microscope, offset and background.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

from zoo.physics.cell_structures import CellStructure
from zoo.physics.optics import Optics, otf_grid
from zoo.physics.scanning import ScanOptics, scan_transfer

METHODS = ("input", "sharpened", "richardson_lucy")
"""What a network is compared with: its input on the target's grid, the input sharpened
by a difference of Gaussians, and its deconvolution."""


class Exposure(NamedTuple):
    """What a classical method may know about a test image."""

    structure: CellStructure
    """What the sample is."""
    photons: float
    """Signal level, photons per pixel of the input on the structure."""
    image: np.ndarray
    """(Y, X) float32, input on the grid of the target."""
    offset: float
    """What it would be without any light."""
    background: float
    """What the uniform background adds to it."""
    microscope: ScanOptics | Optics
    """What took the input."""
    pixel_nm: float
    """Pixel of the target, nm."""


def baselines(exposure: Exposure) -> Iterator[tuple[str, np.ndarray]]:
    """Yield name and image (Y, X) of the methods that need no training."""
    image = exposure.image.astype(np.float64)
    yield "input", image
    yield "sharpened", sharpened(image, spot_sigma_px(exposure))
    scanned = isinstance(exposure.microscope, ScanOptics)
    iterations = richardson_lucy_iterations(exposure.photons, scanned=scanned)
    yield "richardson_lucy", deconvolved(exposure, iterations=iterations)


def spot_sigma_px(exposure: Exposure) -> float:
    """Return the standard deviation of the spot of the input, px of the target."""
    microscope = exposure.microscope
    if isinstance(microscope, ScanOptics):
        return microscope.confocal_sigma_nm / exposure.pixel_nm
    diffraction = 0.21 * microscope.wavelength_nm / microscope.na
    return float(np.hypot(diffraction, microscope.blur_nm)) / exposure.pixel_nm


def sharpened(image: np.ndarray, sigma_px: float) -> np.ndarray:
    """Return an image less its own blur: a difference of Gaussians.

    A Gaussian of 0.6 spots takes away noise, and 0.9 of what one of 0.8 spots leaves is
    taken off.  On scenes apart from any test set, with 10 to 500 photons, no other of
    the combinations of 0.2, 0.4 and 0.6 spots with 0.8, 1.2 and 1.6 and shares of 0.6,
    0.8 and 0.9 had a higher PSNR on average over structures.

    Parameters
    ----------
    image : (y, x)
    sigma_px
        Standard deviation of the spot.
    """
    fine = gaussian_filter(image, 0.6 * sigma_px, mode="reflect")
    coarse = gaussian_filter(image, 0.8 * sigma_px, mode="reflect")
    return np.maximum(fine - 0.9 * coarse, 0)


def deconvolved(
    exposure: Exposure, *, iterations: int, padding_px: int = 24
) -> np.ndarray:
    """Deconvolve an image by the method of Richardson and Lucy.

    Richardson 1972 (doi:10.1364/JOSA.62.000055), Lucy 1974 (doi:10.1086/111605), told
    the true spot, offset and background.

    Parameters
    ----------
    exposure
        Image and microscope.
    iterations
        Number of steps.
    padding_px
        Mirrored border while computing, px.
    """
    image = np.pad(exposure.image, padding_px, mode="symmetric").astype(np.float32)
    image = np.maximum(image - np.float32(exposure.offset), 0)
    shape = (image.shape[0], image.shape[1])
    microscope, pixel_nm = exposure.microscope, exposure.pixel_nm
    transfer = (
        scan_transfer(microscope, shape, pixel_nm=pixel_nm)
        if isinstance(microscope, ScanOptics)
        else otf_grid(microscope, shape).astype(np.float32)
    )

    def blurred(values: np.ndarray) -> np.ndarray:
        spectrum = np.asarray(fft.rfft2(values)) * transfer
        return np.asarray(fft.irfft2(spectrum, s=shape), np.float32)

    background = np.float32(max(exposure.background, 0.0))
    least = np.float32(1e-3 * max(float(image.mean()), 1e-6))
    sample = np.full(shape, max(float(image.mean()), float(least)), np.float32)
    for _ in range(iterations):
        expected = np.maximum(blurred(sample) + background, least)
        sample = sample * np.maximum(blurred(image / expected), 0)
    inner = slice(padding_px, -padding_px)
    return sample[inner, inner].astype(np.float64)


def richardson_lucy_iterations(photons: float, *, scanned: bool) -> int:
    """Return the number of steps that suits a number of photons.

    ``20 (photons / 20)**0.45`` for confocal scans, ``32 (photons / 20)**0.2`` for
    images of a camera.  On scenes of every structure apart from any test set, with 10
    to 500 photons, none of 6, 12, 20, 30, 45, 65 and 90 steps has a PSNR that is higher
    by more than 0.1 dB on average over structures.

    Examples
    --------
    >>> [richardson_lucy_iterations(n, scanned=True) for n in (10, 20, 200)]
    [15, 20, 56]
    >>> [richardson_lucy_iterations(n, scanned=False) for n in (10, 20, 200)]
    [28, 32, 51]
    """
    if scanned:
        return max(4, round(20 * (photons / 20) ** 0.45))
    return max(4, round(32 * (photons / 20) ** 0.2))


def response(counts: np.ndarray, light: np.ndarray) -> tuple[float, float]:
    """Return gain and offset of a detector, by least squares to the light."""
    away = light - light.mean()
    gain = float((away * counts).sum() / max(float((away**2).sum()), 1e-9))
    return gain, float(counts.mean() - gain * light.mean())
