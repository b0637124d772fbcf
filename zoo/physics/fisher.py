"""How well a single emitter can be measured with any point-spread function.

A pixel holds ``mu = photons * q(x, y, z) + background`` expected photons.  The Fisher
information is ``F_ab = sum_k (dmu_k / da) (dmu_k / db) / variance_k``, and no unbiased
estimator has a standard deviation below ``sqrt(diag(inv(F)))``, the Cramér-Rao bound.
The variance of a pixel, in electrons, is ``excess * electrons + read variance``:

* Poisson, excess 1 and no read noise (Rieger, Stallinga 2014,
  doi:10.1002/cphc.201300711);
* sCMOS, excess 1 and the read variance of this pixel (Huang et al. 2013,
  doi:10.1038/nmeth.2488);
* EM-CCD, excess 2 and ``(read noise / gain)**2`` (Mortensen et al. 2010,
  doi:10.1038/nmeth.1447).  Below about one electron per pixel 2 is too much.
"""

from dataclasses import dataclass

import numpy as np

from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.physics.spots import Psf

_CHUNK = 256  # emitters at a time
_SMALLEST_VARIANCE_E2 = 1e-9  # without any background far pixels would divide by zero
_SMALLEST_DETERMINANT = 1e-12  # of the correlation matrix; below it is singular
_SMALLEST_SHARE = 1e-10  # of the information on a position; below it there is none


@dataclass(frozen=True, eq=False)
class PixelNoise:
    """Noise of the pixels of a region: how photons become electrons and vary."""

    quantum_efficiency: float = 1.0
    """Electrons per photon."""
    spurious_e: float = 0.0
    """Charge without light, electrons."""
    excess: float = 1.0
    """Variance of amplified charge in units of the charge: 2 for an EM-CCD."""
    read_variance_e2: np.ndarray | float = 0.0
    """Variance of the read noise, e²: one value, (y, x) or (n, y, x)."""

    def of(self, part: slice | np.ndarray) -> "PixelNoise":
        """Return the noise of some of (n, y, x) regions."""
        variance = np.asarray(self.read_variance_e2)
        if variance.ndim < 3:
            return self
        return PixelNoise(
            self.quantum_efficiency, self.spurious_e, self.excess, variance[part]
        )

    def electrons(self, photons: np.ndarray | float) -> np.ndarray:
        """Return the expected electrons of expected photons."""
        return np.asarray(self.quantum_efficiency * photons + self.spurious_e)

    @property
    def per_photon(self) -> float:
        """Change of `nearly_poisson` per photon."""
        return self.quantum_efficiency / self.excess

    def nearly_poisson(self, photons: np.ndarray | float) -> np.ndarray:
        """Return measured or expected photons in the unit in which they are Poisson.

        Exact for a perfect camera; see `zoo.physics.mle`.
        """
        read = self.read_variance_e2 / self.excess
        return np.asarray((self.electrons(photons) + read) / self.excess)

    def variance_photons2(self, photons: np.ndarray) -> np.ndarray:
        """Return the variance of the photon estimates of pixels, photons²."""
        variance = self.excess * self.electrons(photons) + self.read_variance_e2
        return np.maximum(variance, _SMALLEST_VARIANCE_E2) / self.quantum_efficiency**2


def pixel_noise(
    camera: Camera | None,
    shape: tuple[int, int],
    *,
    origins: np.ndarray | None = None,
) -> PixelNoise:
    """Return the noise of regions on the sensor of a camera.

    Parameters
    ----------
    camera
        ``None`` for a perfect counter of photons.
    shape
        ``(height, width)`` of the regions, px.
    origins
        (n, 2) row and column of the regions' first pixels on the sensor; for an sCMOS,
        whose pixels differ.  Left out, one region at the sensor's corner.

    Returns
    -------
    noise : PixelNoise
        With a (y, x) or (n, y, x) read variance for an sCMOS.
    """
    if camera is None:
        return PixelNoise()
    excess, variance = 1.0, np.asarray(0.0)
    if isinstance(camera, EmCcd):
        excess, variance = 2.0, np.asarray((camera.read_noise_e / camera.em_gain) ** 2)
    elif isinstance(camera, Scmos):
        if origins is None:
            variance = camera.maps(shape)[0] ** 2
        else:
            top, left = (int(least) for least in origins.min(axis=0))
            height, width = origins.max(axis=0) - (top, left) + shape
            sensor = camera.maps((int(height), int(width)), origin=(top, left))[0]
            rows = (origins[:, 0] - top)[:, None, None] + np.arange(shape[0])[:, None]
            columns = (origins[:, 1] - left)[:, None, None] + np.arange(shape[1])
            variance = sensor[rows, columns] ** 2
    return PixelNoise(camera.quantum_efficiency, camera.spurious_e, excess, variance)


@dataclass(frozen=True, eq=False)
class EmitterBound:
    """Smallest standard deviations of unbiased estimates, (n,) each.

    ``inf`` where the pixels do not determine a parameter: the depth of a clear pupil in
    focus, or everything far outside the region.
    """

    x_nm: np.ndarray
    """Position along columns."""
    y_nm: np.ndarray
    """Position along rows."""
    z_nm: np.ndarray
    """Distance from the coverslip."""
    photons: np.ndarray
    """Photons of the emitter at the detector."""
    background_photons: np.ndarray
    """Background at the detector, photons per pixel."""


def fisher_information(
    photons: np.ndarray, slopes: np.ndarray, *, noise: PixelNoise | None = None
) -> np.ndarray:
    """Return the Fisher information of images with respect to any parameters.

    Parameters
    ----------
    photons
        (n, y, x) expected photons per pixel.
    slopes
        (n, p, y, x) their changes per unit of each parameter.
    noise
        Noise of the pixels; ``None`` for a perfect counter of photons.

    Returns
    -------
    information : (n, p, p) float64
    """
    noise = PixelNoise() if noise is None else noise
    regions, parameters = slopes.shape[:2]
    flat = np.asarray(slopes, float).reshape(regions, parameters, -1)
    variance = noise.variance_photons2(np.asarray(photons, float))
    weighted = flat / variance.reshape(regions, 1, -1)
    return weighted @ flat.swapaxes(1, 2)


def standard_deviations(information: np.ndarray) -> np.ndarray:
    """Return the bounds of all parameters of (n, p, p) Fisher matrices.

    A parameter without information has no bound and does not disturb the others.

    Returns
    -------
    deviations : (n, p) float64
        ``inf`` for parameters without information and where others imitate them.

    Examples
    --------
    >>> standard_deviations(np.diag([4.0, 0.0])[None]).tolist()
    [[0.5, inf]]
    """
    diagonal = np.diagonal(information, axis1=1, axis2=2)
    informed = diagonal > 0
    scale = np.where(informed, diagonal, 1.0) ** -0.5
    # scaled to a correlation matrix, whose determinant is a number between 0 and 1
    correlation = information * scale[:, :, None] * scale[:, None, :]
    both = informed[:, :, None] & informed[:, None, :]
    correlation = np.where(both, correlation, np.eye(information.shape[1]))
    regular = np.linalg.det(correlation) > _SMALLEST_DETERMINANT
    deviations = np.full(diagonal.shape, np.inf)
    inverse = np.linalg.inv(correlation[regular])
    variance = np.diagonal(inverse, axis1=1, axis2=2) * scale[regular] ** 2
    deviations[regular] = np.where(informed[regular], np.sqrt(variance), np.inf)
    return deviations


def emitter_information(
    psf: Psf,
    x_nm: np.ndarray,
    y_nm: np.ndarray,
    z_nm: np.ndarray,
    *,
    photons: np.ndarray | float,
    background_photons: np.ndarray | float,
    shape: tuple[int, int],
    noise: PixelNoise | None = None,
) -> np.ndarray:
    """Return the Fisher matrices of (x, y, z, photons, background).

    Parameters
    ----------
    psf
        Point-spread function.
    x_nm, y_nm, z_nm
        (n,) positions; x and y from the outer corner of the region.
    photons
        Photons at the detector, one value or (n,).
    background_photons
        Photons per pixel at the detector, one value or (n,).
    shape
        ``(height, width)`` of the region, px.
    noise
        Noise of the pixels; `pixel_noise` makes it from a camera.

    Returns
    -------
    information : (n, 5, 5) float64
        Units of nm, photons and photons per pixel; rows of z are zero where the depth
        leaves no trace.

    Raises
    ------
    ValueError
        If a photon number is not positive or a background negative.
    """
    if np.any(np.asarray(photons) <= 0):
        raise ValueError(f"photons must be positive, not {np.min(photons)}")
    if np.any(np.asarray(background_photons) < 0):
        raise ValueError(
            f"background_photons must not be negative, not {np.min(background_photons)}"
        )
    noise = PixelNoise() if noise is None else noise
    x_nm, y_nm, z_nm, flux, level = (
        np.ravel(values).astype(float)
        for values in np.broadcast_arrays(x_nm, y_nm, z_nm, photons, background_photons)
    )
    information = np.empty((len(x_nm), 5, 5))
    for start in range(0, len(x_nm), _CHUNK):
        part = slice(start, start + _CHUNK)
        images, slopes = psf.derivatives(x_nm[part], y_nm[part], z_nm[part], shape)
        bright = flux[part, None, None]
        parameters = np.concatenate(
            [
                bright[:, None] * slopes,
                images[:, None],
                np.ones((len(images), 1, *shape)),
            ],
            axis=1,
        )
        expected = bright * images + level[part, None, None]
        information[part] = fisher_information(
            expected, parameters, noise=noise.of(part)
        )
    depth = information[:, 2, 2]
    lateral = np.maximum(information[:, 0, 0], information[:, 1, 1])
    blind = depth <= _SMALLEST_SHARE * lateral
    information[blind, 2, :] = information[blind, :, 2] = 0.0
    return information


def emitter_bound(
    psf: Psf,
    x_nm: np.ndarray,
    y_nm: np.ndarray,
    z_nm: np.ndarray,
    *,
    photons: np.ndarray | float,
    background_photons: np.ndarray | float,
    shape: tuple[int, int],
    noise: PixelNoise | None = None,
) -> EmitterBound:
    """Bound the errors of position, photons and background of isolated emitters.

    Parameters and errors are those of `emitter_information`.

    Examples
    --------
    >>> from zoo.physics.spots import GaussianPsf
    >>> psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=130.0)
    >>> middle = np.array([1050.0])
    >>> bound = emitter_bound(psf, middle, middle, np.zeros(1), photons=1000.0,
    ...     background_photons=10.0, shape=(21, 21))
    >>> round(float(bound.x_nm[0]), 2), float(bound.z_nm[0])
    (5.63, inf)
    """
    information = emitter_information(
        psf,
        x_nm,
        y_nm,
        z_nm,
        photons=photons,
        background_photons=background_photons,
        shape=shape,
        noise=noise,
    )
    return EmitterBound(*standard_deviations(information).T)
