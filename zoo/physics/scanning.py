"""Confocal and STED microscopes: their transfer, and the noise of a scan.

Excitation, detection and pinhole are Gaussians whose widths add or multiply; depletion
follows the law of saturation, ``exp(-ln 2 · I / I_sat)`` (Westphal, Hell 2005,
doi:10.1103/PhysRevLett.94.143903; pedestal of the doughnut: Vicidomini et al. 2018,
doi:10.1038/nmeth.4593).
"""

import numpy as np
from pydantic import Field
from scipy import fft

from zoo.core.config import Config
from zoo.physics.optics import frequencies

PER_SIGMA = float(np.sqrt(8 * np.log(2)))
"""Full width at half maximum of a Gaussian, in standard deviations."""


class ScanOptics(Config):
    """A point-scanning microscope."""

    na: float = Field(gt=0)
    """Numerical aperture."""
    emission_nm: float = Field(gt=0)
    """Wavelength of detection, nm."""
    excitation_nm: float = Field(gt=0)
    """Wavelength of excitation, nm."""
    pinhole_au: float = Field(default=1.0, ge=0)
    """Diameter of the pinhole, Airy units of ``1.22 emission / NA``."""
    widening: float = Field(default=1.0, ge=1)
    """Width of the excitation spot over that of theory: aberrations and size."""
    depletion_nm: float = Field(default=775.0, gt=0)
    """Wavelength of depletion, nm."""
    saturation: float = Field(default=0.0, ge=0)
    """Crest of the doughnut over the saturation intensity; 0 is a confocal scan."""
    pedestal: float = Field(default=0.0, ge=0, le=1)
    """Depleting light on the axis, in units of the crest."""
    undepleted: float = Field(default=0.0, ge=0, le=1)
    """Share of the light of the confocal scan that is never depleted."""

    @property
    def excitation_sigma_nm(self) -> float:
        """Standard deviation of the excitation spot: 0.51 wavelength / NA wide."""
        return self.widening * 0.51 * self.excitation_nm / self.na / PER_SIGMA

    @property
    def detection_sigma_nm(self) -> float:
        """Standard deviation of what the pinhole sees.

        A disc of diameter d has the variance d² / 16 along an axis.
        """
        spot = self.widening * 0.51 * self.emission_nm / self.na / PER_SIGMA
        diameter = self.pinhole_au * 1.22 * self.emission_nm / self.na
        return float(np.sqrt(spot**2 + diameter**2 / 16))

    @property
    def confocal_sigma_nm(self) -> float:
        """Standard deviation of the confocal spot, the product of the two."""
        both = self.excitation_sigma_nm**-2 + self.detection_sigma_nm**-2
        return float(both**-0.5)


def depleted(confocal: ScanOptics, *, fwhm_nm: float) -> ScanOptics:
    """Return a microscope with so much depletion that its spot has a width.

    ``FWHM = FWHM_c / sqrt(1 + saturation (pi NA FWHM_c / wavelength)² / 4)``; a width
    that the confocal spot has already needs none.

    Parameters
    ----------
    confocal
        Microscope without depletion.
    fwhm_nm
        Full width at half maximum, nm.
    """
    wide = confocal.confocal_sigma_nm * PER_SIGMA
    slope = (np.pi * confocal.na * wide / confocal.depletion_nm) ** 2 / 4
    saturation = max((wide / fwhm_nm) ** 2 - 1, 0.0) / slope
    return confocal.override(saturation=float(saturation))


def scanned_spot(optics: ScanOptics, distance_nm: np.ndarray) -> np.ndarray:
    """Return the point-spread function at distances from the axis, not normalised.

    The doughnut is that of a standing wave, ``sin²(pi NA r / wavelength)``, up to its
    crest; beyond, where there is hardly any excitation, it stays there.

    Parameters
    ----------
    optics
        Microscope.
    distance_nm
        Distances, of any shape.

    Returns
    -------
    spot : float64
        At most one.

    Examples
    --------
    >>> sted = ScanOptics(na=1.4, emission_nm=670, excitation_nm=640, saturation=20)
    >>> edge = scanned_spot(sted, np.array([0.0, 38.0]))
    >>> bool(abs(edge[1] / edge[0] - 0.5) < 0.05)
    True
    """
    square = np.square(np.asarray(distance_nm, float))
    spot = np.exp(-square / (2 * optics.confocal_sigma_nm**2))
    if not optics.saturation:
        return spot
    turn = np.pi * optics.na / optics.depletion_nm * np.sqrt(square)
    doughnut = np.sin(np.minimum(turn, np.pi / 2)) ** 2
    doughnut = optics.pedestal + (1 - optics.pedestal) * doughnut
    left = np.exp(-np.log(2) * optics.saturation * doughnut)
    return spot * (optics.undepleted + (1 - optics.undepleted) * left)


def scan_transfer(
    optics: ScanOptics, shape: tuple[int, int], *, pixel_nm: float
) -> np.ndarray:
    """Return the transfer for every coefficient of `scipy.fft.rfft2` of an image.

    Parameters
    ----------
    optics
        Microscope.
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of a pixel.

    Returns
    -------
    transfer : (y, x // 2 + 1) float32
        One at frequency zero.
    """
    if not optics.saturation:
        square = np.square(np.hypot(*frequencies(shape, pixel_nm=pixel_nm)) / 1000)
        confocal = np.exp(-2 * np.pi**2 * optics.confocal_sigma_nm**2 * square)
        return confocal.astype(np.float32)
    rows, columns = (pixel_nm * n * np.fft.fftfreq(n) for n in shape)
    spot = scanned_spot(optics, np.hypot(rows[:, None], columns[None]))
    transfer = np.real(np.asarray(fft.rfft2(spot)))
    return (transfer / transfer[0, 0]).astype(np.float32)


class Detector(Config):
    """A detector of single pixels behind a scan."""

    dwell_spread: float = Field(default=0.0, ge=0)
    """Relative standard deviation of the time that the beam spends on a line."""
    line_jitter_px: float = Field(default=0.0, ge=0)
    """Standard deviation of the displacement of lines along them, px."""
    excess: float = Field(default=0.0, ge=0)
    """Variance of the multiplication of one photon, in units of its square mean."""
    read_noise: float = Field(default=0.0, ge=0)
    """Standard deviation of the noise without light, photons."""
    bits: int | None = Field(default=None, ge=8, le=16)
    """Bits of the stored image, which is scaled to its range; counts of photons
    without."""
    headroom: float = Field(default=1.0, gt=0)
    """Top of that range over the largest value; below one, values are saturated."""


def scan(light: np.ndarray, detector: Detector, rng: np.random.Generator) -> np.ndarray:
    """Record a scan line by line.

    Parameters
    ----------
    light
        (y, x) expected photons per pixel.
    detector
        How they are counted and stored.
    rng
        Source of all noise.

    Returns
    -------
    image : (y, x) uint16
        Counts of photons, or what is stored in `bits`.
    """
    height, width = (int(side) for side in light.shape)
    expected = np.maximum(light, 0)
    if detector.line_jitter_px:
        shift = rng.normal(0, detector.line_jitter_px, (height, 1))
        at = np.clip(np.arange(width) + shift, 0, width - 1.001)
        left = at.astype(int)
        share = at - left
        rows = np.arange(height)[:, None]
        expected = (1 - share) * expected[rows, left] + share * expected[rows, left + 1]
    if detector.dwell_spread:
        dwell = 1 + rng.normal(0, detector.dwell_spread, (height, 1))
        expected = expected * np.maximum(dwell, 0)
    values = rng.poisson(expected).astype(float)
    if detector.excess:
        values += rng.normal(size=light.shape) * np.sqrt(detector.excess * values)
    if detector.read_noise:
        values += rng.normal(0, detector.read_noise, light.shape)
    values = np.maximum(values, 0)
    if detector.bits is not None:
        top = 2**detector.bits - 1
        values *= top / max(detector.headroom * float(values.max()), 1e-9)
        values = np.minimum(values, top)
    return np.round(values).astype(np.uint16)
