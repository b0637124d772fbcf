"""Optical transfer function of a fluorescence microscope, in and out of focus.

An image is the object filtered by the optical transfer function (OTF), the Fourier
transform of the intensity point-spread function; it is one at frequency zero, so
photons are kept.  Frequencies are in cycles per micrometre, transfer functions live on
the half plane of `scipy.fft.rfft2` and are real, because the spots are symmetric.
"""

import numpy as np
from pydantic import Field, model_validator

from zoo.core.config import Config

# SciPy is imported where it computes: cards and options are read without it.


class Optics(Config):
    """Objective, emission and camera pixel."""

    na: float = Field(gt=0)
    """Numerical aperture of detection."""
    wavelength_nm: float = Field(gt=0)
    """Emission wavelength in vacuum, nm."""
    pixel_nm: float = Field(gt=0)
    """Camera pixel referred to the sample, nm."""
    immersion_index: float = Field(default=1.518, gt=0)
    """Refractive index of the immersion medium."""
    sample_index: float = Field(default=1.33, gt=0)
    """Refractive index of the sample."""
    blur_nm: float = Field(default=0.0, ge=0)
    """Standard deviation of a further Gaussian blur: vibration, size of the label, and
    what a scalar theory leaves out, nm."""

    @model_validator(mode="after")
    def _collects(self) -> "Optics":
        if self.na >= self.immersion_index:
            raise ValueError(
                f"na must be below immersion_index, not {self.na} and "
                f"{self.immersion_index}"
            )
        return self

    @property
    def cutoff_per_um(self) -> float:
        """Highest frequency that the objective transmits, ``2 NA / wavelength``."""
        return 2000 * self.na / self.wavelength_nm


def frequencies(
    shape: tuple[int, int], *, pixel_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the frequencies of the coefficients of `scipy.fft.rfft2`.

    Parameters
    ----------
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of a pixel.

    Returns
    -------
    f_y, f_x : (y, 1), (1, x // 2 + 1) float64
        Cycles per micrometre.
    """
    spacing_um = pixel_nm / 1000
    f_y = np.fft.fftfreq(shape[0], spacing_um)
    f_x = np.fft.rfftfreq(shape[1], spacing_um)
    return f_y[:, None], f_x[None, :]


def incoherent_otf(nu: np.ndarray | float) -> np.ndarray:
    """Return the OTF in focus of an aberration-free circular pupil.

    ``H = (2 / pi) (arccos nu - nu sqrt(1 - nu**2))``: the overlap of two pupils whose
    centres are `nu` diameters apart (Goodman, Introduction to Fourier Optics, 6.4).

    Parameters
    ----------
    nu
        Modulus of the frequency in units of the cut-off ``2 NA / wavelength``.

    Returns
    -------
    otf : float64
        From one at zero to zero at one and beyond.

    Examples
    --------
    >>> [round(float(h), 4) for h in incoherent_otf(np.array([0.0, 0.5, 1.0]))]
    [1.0, 0.391, 0.0]
    """
    nu = np.clip(nu, 0.0, 1.0)
    return (2 / np.pi) * (np.arccos(nu) - nu * np.sqrt(1 - nu**2))


def defocus_factor(nu: np.ndarray, optics: Optics, *, defocus_nm: float) -> np.ndarray:
    """Return what remains of the transfer in focus when the object is out of it.

    ``2 J1(a) / a`` with ``a = 8 pi w nu (1 - nu) / wavelength``, `w` being the path
    error ``z (n - sqrt(n**2 - NA**2))`` at the rim of the pupil: Hopkins's geometrical
    transfer in the form of Stokseth 1969 (doi:10.1364/JOSA.59.001314).  It treats the
    path error as quadratic; times the transfer in focus it stays within 0.02 of the
    overlap integral of such pupils.

    Parameters
    ----------
    nu
        Modulus of the frequency in units of the cut-off.
    optics
        Objective; the defocus is measured in its immersion medium.
    defocus_nm
        Distance of the object from the focal plane.

    Returns
    -------
    factor : float64
        One at frequency zero and at the cut-off; may be negative in between.
    """
    from scipy.special import j1

    n, na = optics.immersion_index, optics.na
    path_nm = abs(defocus_nm) * (n - (n**2 - na**2) ** 0.5)
    nu = np.clip(nu, 0.0, 1.0)
    argument = 8 * np.pi * path_nm / optics.wavelength_nm * nu * (1 - nu)
    safe: np.ndarray = np.maximum(argument, 1e-6)
    return 2 * j1(safe) / safe


def otf(
    optics: Optics,
    frequency_per_um: np.ndarray,
    *,
    defocus_nm: float = 0.0,
) -> np.ndarray:
    """Return the OTF of a microscope at given frequencies.

    Parameters
    ----------
    optics
        Objective, wavelength and blur; its pixel plays no part.
    frequency_per_um
        Moduli of the frequencies, cycles per micrometre, of any shape.
    defocus_nm
        Distance of the object from the focal plane.

    Returns
    -------
    otf : float64
        Of the shape of `frequency_per_um`.
    """
    nu = frequency_per_um / optics.cutoff_per_um
    transfer = incoherent_otf(nu)
    if defocus_nm:
        transfer = transfer * defocus_factor(nu, optics, defocus_nm=defocus_nm)
    if optics.blur_nm:
        blur_um = optics.blur_nm / 1000
        transfer = transfer * np.exp(-2 * (np.pi * blur_um * frequency_per_um) ** 2)
    return transfer


def otf_grid(
    optics: Optics,
    shape: tuple[int, int],
    *,
    pixel_nm: float | None = None,
    defocus_nm: float = 0.0,
) -> np.ndarray:
    """Return `otf` for every coefficient of `scipy.fft.rfft2` of an image.

    Parameters
    ----------
    optics
        Microscope.
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of its pixels; the camera's when left out.
    defocus_nm
        Distance of the object from the focal plane.

    Returns
    -------
    transfer : (y, x // 2 + 1) float64
    """
    pixel_nm = optics.pixel_nm if pixel_nm is None else pixel_nm
    frequency = np.hypot(*frequencies(shape, pixel_nm=pixel_nm))
    return otf(optics, frequency, defocus_nm=defocus_nm)


def taper(length: int, ramp_px: int) -> np.ndarray:
    """Return a window that rises and falls like a cosine at its ends.

    Parameters
    ----------
    length, ramp_px
        Pixels of the window and of the rise at either end.

    Returns
    -------
    window : (length,) float64

    Examples
    --------
    >>> taper(5, 1).round(6).tolist()
    [0.5, 1.0, 1.0, 1.0, 0.5]
    """
    window = np.ones(length)
    if ramp_px:
        ramp = 0.5 - 0.5 * np.cos(np.pi * (np.arange(ramp_px) + 0.5) / ramp_px)
        window[:ramp_px], window[-ramp_px:] = ramp, ramp[::-1]
    return window


def cone_apodisation(
    frequency_per_um: np.ndarray, *, support_per_um: float
) -> np.ndarray:
    """Return the apodisation ``max(0, 1 - |f| / support)``.

    What an ideal image with that support looks like: a transfer that falls off so
    gently that edges do not ring (Gustafsson 2000,
    doi:10.1046/j.1365-2818.2000.00710.x).

    Parameters
    ----------
    frequency_per_um
        Moduli of the frequencies, cycles per micrometre.
    support_per_um
        Frequency from which nothing is left.

    Returns
    -------
    apodisation : float64
    """
    return np.maximum(1 - frequency_per_um / support_per_um, 0.0)


def apply_transfer(images: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Filter images that repeat beyond their borders.

    Parameters
    ----------
    images
        (..., y, x) float32 or float64.
    transfer
        (..., y, x // 2 + 1) real transfer of `scipy.fft.rfft2`.

    Returns
    -------
    filtered : (..., y, x)
        Of the precision of `images`.
    """
    from scipy import fft

    spectrum = np.asarray(fft.rfft2(images))
    spectrum *= transfer.astype(images.dtype, copy=False)
    return np.asarray(fft.irfft2(spectrum, s=images.shape[-2:], overwrite_x=True))


def bin_pixels(images: np.ndarray, factor: int) -> np.ndarray:
    """Sum blocks of ``factor x factor`` pixels of (..., y, x) images.

    Raises
    ------
    ValueError
        If a side is not a multiple of `factor`.

    Examples
    --------
    >>> bin_pixels(np.arange(16.0).reshape(4, 4), 2).tolist()
    [[10.0, 18.0], [42.0, 50.0]]
    """
    height, width = images.shape[-2:]
    if height % factor or width % factor:
        raise ValueError(
            f"sides must be multiples of the factor {factor}, not {height} x {width}"
        )
    blocks = images.reshape(
        *images.shape[:-2], height // factor, factor, width // factor, factor
    )
    return blocks.sum(axis=(-3, -1))


def binning_transfer(
    f_y: np.ndarray, f_x: np.ndarray, *, pixel_nm: float, factor: int
) -> np.ndarray:
    """Return the transfer of the mean over ``factor x factor`` pixels.

    ``sin(pi factor f p) / (factor sin(pi f p))`` along either axis.

    Parameters
    ----------
    f_y, f_x
        Components of the frequencies, cycles per micrometre, broadcast together.
    pixel_nm
        Edge of the pixels that are averaged.
    factor
        Pixels along an axis.

    Returns
    -------
    transfer : float64
    """

    def along(frequency: np.ndarray) -> np.ndarray:
        angle = np.pi * frequency * pixel_nm / 1000
        below = factor * np.sin(angle)
        flat = np.abs(below) < 1e-9
        return np.where(flat, 1.0, np.sin(factor * angle) / np.where(flat, 1.0, below))

    return along(f_y) * along(f_x)
