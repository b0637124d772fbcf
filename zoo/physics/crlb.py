"""Cramér-Rao lower bound of the localization precision of a Gaussian spot.

The pixels of an emitter hold ``mu = photons * q + background`` expected photons,
``q`` being the Gaussian integrated over the pixel.  The Fisher information is
``F_ab = sum_k (dmu_k / da) (dmu_k / db) W_k`` in electrons, and no unbiased estimator
has a standard deviation below ``sqrt(diag(inv(F)))``.  The weight is the inverse of the
variance of a pixel:

* Poisson, ``1 / mu`` (Rieger, Stallinga 2014, doi:10.1002/cphc.201300711);
* sCMOS, ``1 / (mu + read variance of this pixel)`` (Huang et al. 2013,
  doi:10.1038/nmeth.2488);
* EM-CCD, ``1 / (2 mu + (read noise / gain)**2)``: the multiplication doubles the
  variance (Mortensen et al. 2010, doi:10.1038/nmeth.1447).  Below about one electron
  per pixel the factor two overstates the noise.
"""

from dataclasses import dataclass

import numpy as np

from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.physics.psf import edge_integrals

_CHUNK = 4096  # emitters at a time; bounds the memory to tens of megabytes
_SMALLEST_MEAN_E = 1e-9  # without any background far pixels would divide by zero
_SMALLEST_DETERMINANT = 1e-12  # of the correlation matrix; below it is singular


@dataclass(frozen=True, eq=False)
class Bound:
    """Smallest standard deviations of unbiased estimates, one row per emitter.

    ``inf`` where the pixels do not determine the four parameters, for instance far
    outside the frame.
    """

    x_px: np.ndarray
    """Position along columns, camera pixels."""
    y_px: np.ndarray
    """Position along rows, camera pixels."""
    photons: np.ndarray
    """Photons of the emitter at the detector."""
    background_photons: np.ndarray
    """Background at the detector, photons per pixel."""


def gaussian_crlb(
    x_px: np.ndarray,
    y_px: np.ndarray,
    *,
    sigma_px: np.ndarray | float,
    photons: np.ndarray | float,
    background_photons: np.ndarray | float,
    camera: Camera | None = None,
    window_px: int = 21,
    shape: tuple[int, int] | None = None,
    origin: tuple[int, int] = (0, 0),
) -> Bound:
    """Bound the errors of position, photons and background of isolated emitters.

    Each emitter is seen through a square window around the pixel that holds it; all
    four parameters are unknown, the width is known.  The law: without background and
    read noise ``x_px`` approaches ``sqrt((sigma_px**2 + 1/12) / photons)``.

    Parameters
    ----------
    x_px, y_px
        (n,) positions along columns and rows, px from the outer corner of the frame.
    sigma_px
        Standard deviation of the spot, px, one value or (n,).
    photons
        Photons at the detector, one value or (n,).
    background_photons
        Photons per pixel at the detector, one value or (n,).
    camera
        Quantum efficiency, spurious charge, read and excess noise; ``None`` for a
        perfect counter of photons.
    window_px
        Edge of the window, an odd number.
    shape
        ``(height, width)`` of the frame, px: pixels outside it do not count.  Without
        it the sensor has no border.
    origin
        Row and column of the frame's first pixel on the sensor, as in `Camera.expose`.

    Returns
    -------
    bound : Bound
        Standard deviations, (n,) each.

    Raises
    ------
    ValueError
        If a width or a photon number is not positive, a background is negative or the
        window is not odd.

    Examples
    --------
    >>> centre = np.array([10.5])
    >>> bound = gaussian_crlb(centre, centre, sigma_px=1.3, photons=1000.0,
    ...     background_photons=10.0)
    >>> round(float(bound.x_px[0]), 4)
    0.0563
    """
    x_px = np.atleast_1d(np.asarray(x_px, float))
    y_px = np.atleast_1d(np.asarray(y_px, float))
    if np.any(np.asarray(photons) <= 0):
        raise ValueError(f"photons must be positive, not {np.min(photons)}")
    if np.any(np.asarray(background_photons) < 0):
        raise ValueError(
            f"background_photons must not be negative, not {np.min(background_photons)}"
        )
    if window_px < 1 or window_px % 2 == 0:
        raise ValueError(f"window_px must be a positive odd number, not {window_px}")
    parameters = np.stack(
        [
            np.broadcast_to(np.asarray(values, float), x_px.shape)
            for values in (x_px, y_px, sigma_px, photons, background_photons)
        ]
    )
    deviations = np.empty((4, len(x_px)))
    for start in range(0, len(x_px), _CHUNK):
        part = parameters[:, start : start + _CHUNK]
        fisher = _fisher(part, camera, window_px, shape, origin)
        deviations[:, start : start + _CHUNK] = _standard_deviations(fisher)
    return Bound(*deviations)


def edge_derivatives(
    position_px: np.ndarray, size_px: int, *, sigma_px: np.ndarray
) -> np.ndarray:
    """Differentiate `zoo.physics.psf.edge_integrals` with respect to the position.

    Parameters
    ----------
    position_px
        (n,) centres, px from the outer corner of the first pixel.
    size_px
        Pixels on the line.
    sigma_px
        (n,) standard deviations, px.

    Returns
    -------
    derivatives : (n, size_px) float64
        Change of every pixel's integral per pixel of shift, 1/px.
    """
    scaled = (np.arange(size_px + 1.0) - position_px[:, None]) / sigma_px[:, None]
    density = np.exp(-0.5 * scaled**2) / (sigma_px[:, None] * (2 * np.pi) ** 0.5)
    return -np.diff(density, axis=1)


def _fisher(
    parameters: np.ndarray,
    camera: Camera | None,
    window_px: int,
    shape: tuple[int, int] | None,
    origin: tuple[int, int],
) -> np.ndarray:
    """Return the (n, 4, 4) Fisher matrices of (x, y, photons, background).

    Every derivative is a row profile times a column profile; only the weights need
    the pixels of the window one by one.
    """
    x_px, y_px, sigma_px, photons, background_photons = parameters
    first_column = np.floor(x_px).astype(int) - window_px // 2
    first_row = np.floor(y_px).astype(int) - window_px // 2
    x, y = x_px - first_column, y_px - first_row
    column = edge_integrals(x, window_px, sigma_px=sigma_px)
    row = edge_integrals(y, window_px, sigma_px=sigma_px)
    column_slope = edge_derivatives(x, window_px, sigma_px=sigma_px)
    row_slope = edge_derivatives(y, window_px, sigma_px=sigma_px)

    efficiency = 1.0 if camera is None else camera.quantum_efficiency
    spurious_e = 0.0 if camera is None else camera.spurious_e
    mean = photons[:, None, None] * row[:, :, None] * column[:, None, :]
    mean_e = efficiency * (mean + background_photons[:, None, None]) + spurious_e
    excess, read_variance = _noise(camera, first_row, first_column, window_px, origin)
    weight = efficiency**2 / np.maximum(
        excess * mean_e + read_variance, _SMALLEST_MEAN_E
    )
    if shape is not None:
        rows = first_row[:, None] + np.arange(window_px)
        columns = first_column[:, None] + np.arange(window_px)
        weight *= ((rows >= 0) & (rows < shape[0]))[:, :, None]
        weight *= ((columns >= 0) & (columns < shape[1]))[:, None, :]

    ones = np.ones_like(row)
    scale = photons[:, None]
    profiles = (
        (row, scale * column_slope),
        (scale * row_slope, column),
        (row, column),
        (ones, ones),
    )
    fisher = np.empty((len(x), 4, 4))
    for a, (row_a, column_a) in enumerate(profiles):
        for b, (row_b, column_b) in enumerate(profiles[: a + 1]):
            over_rows = np.matmul((row_a * row_b)[:, None, :], weight)[:, 0]
            information = np.sum(over_rows * column_a * column_b, axis=1)
            fisher[:, a, b] = fisher[:, b, a] = information
    return fisher


def _noise(
    camera: Camera | None,
    first_row: np.ndarray,
    first_column: np.ndarray,
    window_px: int,
    origin: tuple[int, int],
) -> tuple[float, np.ndarray]:
    """Return the factor on the electrons' variance and the read variance, e²."""
    if isinstance(camera, EmCcd):
        return 2.0, np.asarray((camera.read_noise_e / camera.em_gain) ** 2)
    if not isinstance(camera, Scmos):
        return 1.0, np.asarray(0.0)
    top, left = int(first_row.min()), int(first_column.min())
    region = (
        int(first_row.max()) - top + window_px,
        int(first_column.max()) - left + window_px,
    )
    read_e, _, _ = camera.maps(region, origin=(origin[0] + top, origin[1] + left))
    pixel = np.arange(window_px)
    rows = (first_row - top)[:, None, None] + pixel[:, None]
    columns = (first_column - left)[:, None, None] + pixel
    return 1.0, read_e[rows, columns] ** 2


def _standard_deviations(fisher: np.ndarray) -> np.ndarray:
    """Return the (4, n) roots of the diagonal of the inverse; inf where singular."""
    diagonal = np.diagonal(fisher, axis1=1, axis2=2)
    informed = np.all(diagonal > 0, axis=1)
    scale = np.where(informed[:, None], diagonal, 1.0) ** -0.5
    # scaled to a correlation matrix, whose determinant is a number between 0 and 1
    correlation = fisher * scale[:, :, None] * scale[:, None, :]
    regular = informed & (np.linalg.det(correlation) > _SMALLEST_DETERMINANT)
    deviations = np.full(diagonal.shape, np.inf)
    inverse = np.linalg.inv(correlation[regular])
    variances = np.diagonal(inverse, axis1=1, axis2=2) * scale[regular] ** 2
    deviations[regular] = np.sqrt(variances)
    return deviations.T
