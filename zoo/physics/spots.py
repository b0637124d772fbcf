"""What every point-spread function offers, the Gaussian one, and drawing with any.

A simulator, a bound or a fit takes any `Psf`: Gaussian, pupil, cubic spline, measured.
"""

from typing import Protocol

import numpy as np

from zoo.core.localizations import Localizations
from zoo.physics.crlb import edge_derivatives
from zoo.physics.psf import edge_integrals


class Psf(Protocol):
    """Images of point emitters, as shares of their photons.

    Positions are nm from the outer corner of the region's first pixel; z points from
    the coverslip into the sample.  The shares of all pixels of an unlimited region sum
    to one; what a region loses at its border is not put back.
    """

    @property
    def pixel_nm(self) -> float:
        """Edge of a camera pixel in the sample, nm."""
        ...

    def images(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """Return (n, y, x) images of (n,) emitters in regions of one shape, px."""
        ...

    def derivatives(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and their (n, 3, y, x) changes per nm of x, y and z."""
        ...


class GaussianPsf:
    """A Gaussian spot integrated over pixels, whose widths may change with depth.

    Parameters
    ----------
    pixel_nm
        Edge of a camera pixel.
    sigma_x_nm, sigma_y_nm
        Standard deviations along x and y: a number, or the coefficients of a polynomial
        in z/µm, constant first, for the calibration of an astigmatic microscope (Huang
        et al. 2008, doi:10.1126/science.1153529).  Without the second, the spot is
        round.

    Raises
    ------
    ValueError
        If the pixel or a constant width is not positive.

    Examples
    --------
    >>> psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=130.0)
    >>> middle = np.array([1050.0])
    >>> image = psf.images(middle, middle, np.zeros(1), (21, 21))
    >>> round(float(image.sum()), 6)
    1.0
    """

    def __init__(
        self,
        *,
        pixel_nm: float,
        sigma_x_nm: float | tuple[float, ...],
        sigma_y_nm: float | tuple[float, ...] | None = None,
    ) -> None:
        if pixel_nm <= 0:
            raise ValueError(f"pixel_nm must be positive, not {pixel_nm}")
        self._pixel_nm = pixel_nm
        widths = (sigma_x_nm, sigma_x_nm if sigma_y_nm is None else sigma_y_nm)
        self._widths = tuple(
            np.polynomial.Polynomial(np.atleast_1d(np.asarray(width, float)))
            for width in widths
        )
        for width in self._widths:
            if width.degree() == 0 and width(0.0) <= 0:
                raise ValueError(f"sigma must be positive, not {width(0.0)} nm")

    @property
    def pixel_nm(self) -> float:
        """Edge of a camera pixel in the sample, nm."""
        return self._pixel_nm

    def images(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """Return the share of an emitter's photons that falls into each pixel.

        Raises
        ------
        ValueError
            If a width is not positive at a depth.
        """
        rows = self._line(y_nm, z_nm, shape[0], 1)[0]
        columns = self._line(x_nm, z_nm, shape[1], 0)[0]
        return rows[:, :, None] * columns[:, None, :]

    def derivatives(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        shape: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the images and their (n, 3, y, x) changes per nm of x, y and z."""
        row, row_slope, row_z = self._line(y_nm, z_nm, shape[0], 1)
        column, column_slope, column_z = self._line(x_nm, z_nm, shape[1], 0)
        row, column = row[:, :, None], column[:, None, :]
        slopes = (
            row * column_slope[:, None, :],
            row_slope[:, :, None] * column,
            row * column_z[:, None, :] + row_z[:, :, None] * column,
        )
        return row * column, np.stack(slopes, axis=1)

    def _line(
        self, position_nm: np.ndarray, z_nm: np.ndarray, pixels: int, axis: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return (n, pixels) integrals and changes per nm of position and depth."""
        pixel = self._pixel_nm
        z_um = np.atleast_1d(np.asarray(z_nm, float)) / 1000
        width = self._widths[axis]
        sigma = np.broadcast_to(width(z_um), z_um.shape) / pixel
        position = np.atleast_1d(np.asarray(position_nm, float)) / pixel
        integrals = edge_integrals(position, pixels, sigma_px=sigma)
        slope = edge_derivatives(position, pixels, sigma_px=sigma) / pixel
        scaled = (np.arange(pixels + 1.0) - position[:, None]) / sigma[:, None]
        density = np.exp(-0.5 * scaled**2) / (2 * np.pi) ** 0.5
        widening = -np.diff(scaled * density, axis=1) / sigma[:, None]
        per_nm = np.broadcast_to(width.deriv()(z_um), z_um.shape) / (1000 * pixel)
        return integrals, slope, widening * per_nm[:, None]


def draw_emitters(
    psf: Psf,
    emitters: Localizations,
    shape: tuple[int, int],
    *,
    window_px: int = 31,
) -> np.ndarray:
    """Draw the emitters of one frame with any point-spread function.

    Every emitter is computed in a square window around its pixel and added to the
    image; the law: windows that cover the image give the sum of single images.

    Parameters
    ----------
    psf
        Point-spread function.
    emitters
        ``x_nm, y_nm`` and, where they exist, ``z_nm`` (else 0) and ``photons`` (else 1)
        are read; emitters may lie outside the image.
    shape
        ``(height, width)`` of the image, px.
    window_px
        Edge of the window, an odd number.

    Returns
    -------
    image : (y, x) float64
        Expected photons per pixel.

    Raises
    ------
    ValueError
        If the window is not odd.
    """
    if window_px < 1 or window_px % 2 == 0:
        raise ValueError(f"window_px must be a positive odd number, not {window_px}")
    half = window_px // 2
    x_nm, y_nm = emitters.x_nm, emitters.y_nm
    z_nm = np.zeros(len(emitters)) if emitters.z_nm is None else emitters.z_nm
    left = np.floor(x_nm / psf.pixel_nm).astype(int) - half
    top = np.floor(y_nm / psf.pixel_nm).astype(int) - half
    visible = (left < shape[1]) & (left + window_px > 0)
    visible &= (top < shape[0]) & (top + window_px > 0)
    spots = psf.images(
        (x_nm - left * psf.pixel_nm)[visible],
        (y_nm - top * psf.pixel_nm)[visible],
        z_nm[visible],
        (window_px, window_px),
    ).astype(float)
    if emitters.photons is not None:
        spots *= emitters.photons[visible, None, None]
    # a rim around the image takes what falls outside
    padded = np.zeros((shape[0] + 2 * window_px, shape[1] + 2 * window_px))
    for spot, row, column in zip(
        spots, top[visible] + window_px, left[visible] + window_px, strict=True
    ):
        padded[row : row + window_px, column : column + window_px] += spot
    return padded[window_px:-window_px, window_px:-window_px]
