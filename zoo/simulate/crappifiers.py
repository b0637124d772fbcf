"""Crappifiers: dense clean scans degraded to what a fast, coarse scan would have been.

The degradations of PSSR (Fang et al. 2021, doi:10.1038/s41592-021-01080-z) and of PSSR2
(doi:10.1186/s44330-024-00020-5), and controls.  Clipping to the range of a file makes
their noise one-sided near black and white; networks learn that too.
"""

from abc import ABC, abstractmethod
from functools import lru_cache
from typing import ClassVar, Literal

import numpy as np
from pydantic import Field
from scipy import ndimage

from zoo.core.config import Kind

SCALE = 4
"""Dense pixels per coarse pixel along an axis."""

Sampling = Literal["zoom", "rescale", "centres", "triangle"]
"""How the coarse grid is read off the dense one.

``zoom`` is linear interpolation without smoothing whose first and last pixels are those
of the dense image, as SciPy's ``zoom`` has it: the view is stretched by up to 1.5 dense
pixels at the border.  ``centres`` is the same with coarse pixels centred on the blocks
that they cover, so that images stay registered.  ``rescale`` smooths by a Gaussian of
1.5 px first, ``triangle`` by a triangle of 8 px, as Pillow's bilinear resizing does.
"""

_LEVELS = 255


@lru_cache(maxsize=32)
def sampling_matrix(kind: Sampling, length: int) -> np.ndarray:
    """Return the matrix that samples one axis of a dense image.

    Parameters
    ----------
    kind
        Name of the sampling.
    length
        Dense pixels, a multiple of 4.

    Returns
    -------
    matrix : (length / 4, length) float32
        Rows sum to one.

    Raises
    ------
    ValueError
        If `length` is no multiple of 4.

    Examples
    --------
    >>> sampling_matrix("centres", 8).tolist()[0]
    [0.0, 0.5, 0.5, 0.0, 0.0, 0.0, 0.0, 0.0]
    """
    if length < SCALE or length % SCALE:
        raise ValueError(f"sides of dense images must be multiples of 4, not {length}")
    coarse = length // SCALE
    centres = SCALE * np.arange(coarse) + (SCALE - 1) / 2
    dense = np.arange(length)
    if kind == "triangle":
        away = np.abs(centres[:, None] - dense) / SCALE
        matrix = np.maximum(1 - away, 0)
        return _of_unit_sum(matrix)
    if kind == "zoom" and coarse > 1:
        centres = np.arange(coarse) * ((length - 1) / (coarse - 1))
    matrix = np.maximum(1 - np.abs(centres[:, None] - dense), 0)
    if kind == "rescale":
        smooth = ndimage.gaussian_filter1d(
            np.eye(length), (SCALE - 1) / 2, axis=0, mode="mirror"
        )
        matrix = matrix @ smooth
    return _of_unit_sum(matrix)


def _of_unit_sum(matrix: np.ndarray) -> np.ndarray:
    return (matrix / matrix.sum(axis=1, keepdims=True)).astype(np.float32)


def sampled(image: np.ndarray, kind: Sampling) -> np.ndarray:
    """Return a dense image (y, x) on the coarse grid, float32."""
    rows, columns = (sampling_matrix(kind, side) for side in image.shape)
    return rows @ image.astype(np.float32) @ columns.T


class Crappifier(Kind, ABC):
    """A way from a dense clean image to a coarse noisy one."""

    home: ClassVar[str] = "zoo.simulate.crappifiers"
    strengths: ClassVar[dict[str, tuple[float, float]]] = {}
    """Fields that say how strong the degradation is, with the bounds of a fit."""
    sampling: Sampling = "zoom"
    """How the coarse grid is read off the dense one."""

    @abstractmethod
    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return the coarse image before it is rounded, (y / 4, x / 4)."""

    def __call__(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Degrade an image.

        Parameters
        ----------
        image
            (y, x) between 0 and 1, sides multiples of 4.
        rng
            Source of the noise.

        Returns
        -------
        coarse : (y / 4, x / 4) float32
            Between 0 and 1, in the 256 levels of an 8-bit file.
        """
        coarse = np.clip(self.degrade(np.asarray(image, np.float32), rng), 0, 1)
        return (np.floor(_LEVELS * coarse + 1e-4) / _LEVELS).astype(np.float32)

    def stronger(self, factor: float) -> "Crappifier":
        """Return this one with every strength multiplied, within bounds."""
        changes = {
            name: min(factor * getattr(self, name), high)
            for name, (_, high) in self.strengths.items()
        }
        return self.override(**changes)


class DownsampledOnly(Crappifier):
    """Fewer pixels and no noise: a control."""

    kind: Literal["downsampled"] = "downsampled"
    """Type of the crappifier."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:  # noqa: ARG002
        """Sample the image."""
        return sampled(image, self.sampling)


class Electron(Crappifier):
    """PSSR's for electron microscopy: noise that grows with the local brightness.

    Gaussian noise of variance ``variance * G_3(x)``, clipped, then fewer pixels.
    """

    strengths: ClassVar[dict[str, tuple[float, float]]] = {"variance": (1e-4, 1.0)}
    kind: Literal["electron"] = "electron"
    """Type of the crappifier."""
    variance: float = Field(default=0.05, ge=0)
    """Variance of the noise where the smoothed image is 1."""
    sigma_px: float = Field(default=3.0, gt=0)
    """Standard deviation of that smoothing, dense px."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Add noise and sample."""
        noisy = _local_noise(image, rng, self.variance, self.sigma_px, 0.0)
        return sampled(noisy, self.sampling)


class Fluorescence(Crappifier):
    """PSSR's final one for fluorescence: local noise, then salt and pepper.

    Gaussian noise of variance ``variance * G_5(x) + 1e-10``, pixels set to 1 and to 0,
    the old maximum restored, then fewer pixels.
    """

    strengths: ClassVar[dict[str, tuple[float, float]]] = {
        "variance": (1e-3, 4.0),
        "salt": (1e-5, 0.2),
        "pepper": (1e-5, 0.2),
    }
    kind: Literal["fluorescence"] = "fluorescence"
    """Type of the crappifier."""
    sampling: Sampling = "rescale"
    """How the coarse grid is read off the dense one."""
    variance: float = Field(default=0.5, ge=0)
    """Variance of the noise where the smoothed image is 1."""
    sigma_px: float = Field(default=5.0, gt=0)
    """Standard deviation of that smoothing, dense px."""
    salt: float = Field(default=0.005, ge=0, le=1)
    """Share of dense pixels that become white."""
    pepper: float = Field(default=0.005, ge=0, le=1)
    """Share of dense pixels that become black."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Add noise, salt and pepper, and sample."""
        noisy = _local_noise(image, rng, self.variance, self.sigma_px, 1e-10)
        noisy = _salt_and_pepper(noisy, rng, self.salt, self.pepper)
        return sampled(_with_peak_of(noisy, image), self.sampling)


class FluorescencePreprint(Fluorescence):
    """PSSR's for fluorescence as in the preprint: salt and pepper, then local noise."""

    kind: Literal["fluorescence_preprint"] = "fluorescence_preprint"  # pyright: ignore[reportIncompatibleVariableOverride] a kind of its own
    """Type of the crappifier."""
    sampling: Sampling = "zoom"
    """How the coarse grid is read off the dense one."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Add salt and pepper, noise of the local brightness, and sample."""
        dotted = _salt_and_pepper(image, rng, self.salt, self.pepper)
        noisy = _local_noise(dotted, rng, self.variance, self.sigma_px, 1e-10)
        return sampled(_with_peak_of(noisy, image), self.sampling)


class GaussianNoise(Crappifier):
    """Noise of one strength everywhere: a control."""

    strengths: ClassVar[dict[str, tuple[float, float]]] = {"deviation": (1e-3, 1.0)}
    kind: Literal["gaussian"] = "gaussian"
    """Type of the crappifier."""
    deviation: float = Field(default=0.15, ge=0)
    """Standard deviation of the noise."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Add noise and sample."""
        noise = rng.standard_normal(image.shape, np.float32)
        noisy = np.clip(image + np.float32(self.deviation) * noise, 0, 1)
        return sampled(noisy, self.sampling)


class PoissonNoise(Crappifier):
    """Noise of counting: a control."""

    strengths: ClassVar[dict[str, tuple[float, float]]] = {"peak": (1.0, 1e5)}
    kind: Literal["poisson"] = "poisson"
    """Type of the crappifier."""
    peak: float = Field(default=256.0, gt=0)
    """Counts in a dense pixel of brightness 1; 256 for an 8-bit file."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Count and sample."""
        counted = rng.poisson(self.peak * np.maximum(image, 0)) / self.peak
        return sampled(np.clip(counted, 0, 1), self.sampling)

    def stronger(self, factor: float) -> Crappifier:
        """Return this one with more noise, which is fewer counts."""
        return self.override(peak=self.peak / factor)


class Pssr2(Crappifier):
    """PSSR2's: fewer pixels first, then noise in grey levels.

    A mix of the image and of Poisson noise, Gaussian noise, salt and pepper, blur, each
    left out at 0.  Their defaults in PSSR2 are 1, 13, 0.005 and 2.
    """

    strengths: ClassVar[dict[str, tuple[float, float]]] = {
        "poisson": (1e-2, 4.0),
        "gaussian": (1e-1, 120.0),
        "salt_and_pepper": (1e-5, 0.2),
        "blur_px": (0.1, 4.0),
    }
    kind: Literal["pssr2"] = "pssr2"
    """Type of the crappifier."""
    sampling: Sampling = "triangle"
    """How the coarse grid is read off the dense one."""
    poisson: float = Field(default=1.0, ge=0)
    """Share k of ``(1 - k) x + k Poisson(x)``, x in grey levels; may exceed 1."""
    gaussian: float = Field(default=13.0, ge=0)
    """Standard deviation of additive noise, grey levels."""
    salt_and_pepper: float = Field(default=0.0, ge=0, le=1)
    """Share of coarse pixels that become white or black."""
    blur_px: float = Field(default=0.0, ge=0)
    """Standard deviation of a final blur, coarse px."""
    spread: float = Field(default=0.0, ge=0)
    """Standard deviation of the two strengths from image to image, relative."""

    def degrade(self, image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Sample and add noise."""
        levels = _LEVELS * sampled(image, self.sampling)
        vary = max(1 + self.spread * rng.standard_normal(), 0.0) if self.spread else 1.0
        if self.poisson:
            share = vary * self.poisson
            levels = (1 - share) * levels + share * rng.poisson(np.maximum(levels, 0))
        if self.gaussian:
            levels = levels + vary * self.gaussian * rng.standard_normal(levels.shape)
        if self.salt_and_pepper:
            half = self.salt_and_pepper / 2
            levels = _LEVELS * _salt_and_pepper(levels / _LEVELS, rng, half, half)
        if self.blur_px:
            levels = ndimage.gaussian_filter(levels, self.blur_px)
        return np.round(levels) / _LEVELS


def _local_noise(
    image: np.ndarray,
    rng: np.random.Generator,
    variance: float,
    sigma_px: float,
    least: float,
) -> np.ndarray:
    """Return an image with Gaussian noise whose variance follows its brightness."""
    local = ndimage.gaussian_filter(image, sigma_px, truncate=3)
    deviation = np.sqrt(np.float32(variance) * np.maximum(local, 0) + np.float32(least))
    noise = rng.standard_normal(image.shape, np.float32)
    return np.clip(image + deviation * noise, 0, 1)


def _salt_and_pepper(
    image: np.ndarray, rng: np.random.Generator, salt: float, pepper: float
) -> np.ndarray:
    draw = rng.random(image.shape, np.float32)
    image = np.where(draw < salt, np.float32(1), image)
    return np.where(draw > 1 - pepper, np.float32(0), image)


def _with_peak_of(noisy: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return an image with the maximum of another."""
    peak = float(noisy.max())
    return noisy * np.float32(float(image.max()) / peak) if peak > 0 else noisy
