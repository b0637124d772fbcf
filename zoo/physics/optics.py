"""In-plane transfer of a fluorescence microscope.

An image is the object filtered by the optical transfer function (OTF), the Fourier
transform of the intensity point-spread function; it is one at frequency zero, so
photons are kept.  Frequencies are in cycles per micrometre, transfer functions live on
the half plane of `scipy.fft.rfft2` and are real, because the spots are symmetric.
"""

from typing import Literal

import numpy as np
from pydantic import Field, model_validator
from scipy import fft
from scipy.special import j1

from zoo.core.config import Config

GAUSSIAN_SIGMA = 0.21
"""Width of the Gaussian that stands for a spot, in units of wavelength / NA."""


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

    @property
    def sigma_nm(self) -> float:
        """Standard deviation of the Gaussian nearest to the spot in focus, nm.

        ``0.21 wavelength / NA`` (Zhang, Zerubia, Olivo-Marin 2007,
        doi:10.1364/AO.46.001819), widened by `blur_nm`.
        """
        spot_nm = GAUSSIAN_SIGMA * self.wavelength_nm / self.na
        return float(np.hypot(spot_nm, self.blur_nm))


OPTICS: dict[str, Optics] = {
    "sim": Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6),
    "dstorm_oil": Optics(na=1.45, wavelength_nm=670.0, pixel_nm=100.0),
    "dstorm_silicone": Optics(
        na=1.35,
        wavelength_nm=680.0,
        pixel_nm=110.0,
        immersion_index=1.406,
        sample_index=1.406,
    ),
    "telomere": Optics(na=1.45, wavelength_nm=580.0, pixel_nm=110.0),
}
"""Microscopes by their use."""


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
    """Return the transfer in focus of an aberration-free circular pupil.

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
    n, na = optics.immersion_index, optics.na
    path_nm = abs(defocus_nm) * (n - (n**2 - na**2) ** 0.5)
    nu = np.clip(nu, 0.0, 1.0)
    argument = 8 * np.pi * path_nm / optics.wavelength_nm * nu * (1 - nu)
    safe: np.ndarray = np.maximum(argument, 1e-6)
    return 2 * j1(safe) / safe


def gaussian_otf(
    shape: tuple[int, int], *, sigma_nm: float, pixel_nm: float
) -> np.ndarray:
    """Return the transfer of a Gaussian blur, (y, x // 2 + 1) float64."""
    f_y, f_x = frequencies(shape, pixel_nm=pixel_nm)
    scale = 2 * (np.pi * sigma_nm / 1000) ** 2
    return np.exp(-scale * f_y**2) * np.exp(-scale * f_x**2)


def otf(
    optics: Optics,
    frequency_per_um: np.ndarray,
    *,
    defocus_nm: float = 0.0,
    model: Literal["scalar", "gaussian"] = "scalar",
) -> np.ndarray:
    """Return the transfer of a microscope at given frequencies.

    Parameters
    ----------
    optics
        Objective, wavelength and blur; its pixel plays no part.
    frequency_per_um
        Moduli of the frequencies, cycles per micrometre, of any shape.
    defocus_nm
        Distance of the object from the focal plane; the scalar model only.
    model
        `incoherent_otf`, or the Gaussian of the same width.

    Returns
    -------
    otf : float64
        Of the shape of `frequency_per_um`.

    Raises
    ------
    ValueError
        If a Gaussian is asked for out of focus.
    """
    if model == "gaussian":
        if defocus_nm:
            raise ValueError(
                f"the Gaussian model knows no defocus_nm, not {defocus_nm}; "
                "use the scalar model"
            )
        return np.exp(-2 * (np.pi * optics.sigma_nm / 1000 * frequency_per_um) ** 2)
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
    model: Literal["scalar", "gaussian"] = "scalar",
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
    defocus_nm, model
        As for `otf`.

    Returns
    -------
    transfer : (y, x // 2 + 1) float64
    """
    pixel_nm = optics.pixel_nm if pixel_nm is None else pixel_nm
    frequency = np.hypot(*frequencies(shape, pixel_nm=pixel_nm))
    return otf(optics, frequency, defocus_nm=defocus_nm, model=model)


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
    spectrum = np.asarray(fft.rfft2(images))
    spectrum *= transfer.astype(images.dtype, copy=False)
    return np.asarray(fft.irfft2(spectrum, s=images.shape[-2:], overwrite_x=True))


def convolve(
    images: np.ndarray,
    optics: Optics,
    *,
    pixel_nm: float | None = None,
    defocus_nm: float = 0.0,
    model: Literal["scalar", "gaussian"] = "scalar",
    padding_px: int = 0,
    border: Literal["constant", "edge", "reflect", "wrap"] = "constant",
) -> np.ndarray:
    """Blur images as a microscope does.

    Parameters
    ----------
    images
        (..., y, x) photons.
    optics
        Microscope.
    pixel_nm
        Edge of the images' pixels; the camera's when left out.
    defocus_nm, model
        As for `otf`.
    padding_px
        Pixels added on every side before and removed after; without them light that
        leaves on one side comes in on the other.
    border
        What the added pixels hold, as in `numpy.pad`; zeros by default.

    Returns
    -------
    blurred : (..., y, x)
        Expected photons; their sum is kept where none pass the border.

    Raises
    ------
    ValueError
        If `padding_px` is negative.

    Examples
    --------
    >>> point = np.zeros((64, 64))
    >>> point[32, 32] = 100.0
    >>> image = convolve(point, OPTICS["sim"], padding_px=16)
    >>> round(float(image.sum()))
    99
    """
    if padding_px < 0:
        raise ValueError(f"padding_px must not be negative, not {padding_px}")
    ring = [(0, 0)] * (images.ndim - 2) + [(padding_px, padding_px)] * 2
    padded = np.pad(images, ring, mode=border)
    height, width = padded.shape[-2:]
    transfer = otf_grid(
        optics, (height, width), pixel_nm=pixel_nm, defocus_nm=defocus_nm, model=model
    )
    blurred = apply_transfer(padded, transfer)
    inner = slice(padding_px, -padding_px or None)
    return blurred[..., inner, inner]


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
