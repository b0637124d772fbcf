"""Where a super-resolved image disagrees with the widefield image it came from.

SQUIRREL, Culley et al. 2018, doi:10.1038/nmeth.4605: the image is blurred and scaled
until it resembles the diffraction-limited reference as much as it can; what remains is
the error map.  Structures finer than the blur cannot be judged this way.
"""

from dataclasses import dataclass

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import zoom
from scipy.optimize import minimize_scalar

LARGEST_FWHM_PX = 4.0
"""Widest blur that is tried by default, in pixels of the reference."""

_TO_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """An image explained as a blurred, scaled version of itself, and what is left.

    Attributes
    ----------
    error : (Y, X) float64
        Absolute difference to the reference, in its units.
    rse
        Root mean squared difference, in the reference's units; comparable between
        images of one reference only.
    rsp
        Pearson correlation with the reference; NaN if one of the two is constant.
    sigma_px
        Standard deviation of the blur, px of the image.
    gain, offset
        Reference = gain · blurred image + offset.  A negative gain says that the
        image is dark where the reference is bright.
    """

    error: np.ndarray
    rse: float
    rsp: float
    sigma_px: float
    gain: float
    offset: float


def error_map(
    reference: np.ndarray,
    image: np.ndarray,
    *,
    largest_fwhm_px: float = LARGEST_FWHM_PX,
) -> ErrorMap:
    """Compare a super-resolved image with its diffraction-limited reference.

    Minimises ``‖(gain · image + offset) ⊛ G_sigma − reference‖²``: for every sigma,
    gain and offset are a linear regression, and sigma is searched from no blur to the
    widest.  Borders are mirrored.

    Parameters
    ----------
    reference : (y, x)
        Widefield image.
    image : (k·y, k·x)
        Super-resolved image of the same field; k is a whole number of 1 or more, to
        which the reference is enlarged by cubic splines.
    largest_fwhm_px
        Widest blur to try, as full width at half maximum in pixels of `reference`.

    Raises
    ------
    ValueError
        If the sizes do not fit, a value is not finite, or `largest_fwhm_px` is not
        positive.

    Examples
    --------
    >>> image = np.zeros((64, 64)); image[20, 30] = image[40, 45] = 1.0
    >>> from scipy.ndimage import gaussian_filter
    >>> fit = error_map(gaussian_filter(5 * image + 2, 1.5), image)
    >>> round(fit.sigma_px, 2), round(fit.gain, 1), round(fit.offset, 2)
    (1.5, 5.0, 2.0)
    """
    w, s = np.asarray(reference, float), np.asarray(image, float)
    factor = _factor(w, s)
    if not np.isfinite(w).all() or not np.isfinite(s).all():
        raise ValueError("an error map needs finite images")
    if largest_fwhm_px <= 0:
        raise ValueError(f"largest_fwhm_px must be positive, not {largest_fwhm_px}")
    if factor > 1:
        flat = not np.ptp(w)
        w = np.asarray(zoom(w, factor, order=3, mode="grid-mirror", grid_mode=True))
        if flat:  # splines leave a trace of contrast
            w = np.full_like(w, np.ravel(reference)[0])
    match = _Match(w, s)
    sigma = match.best_sigma(largest_fwhm_px * factor * _TO_SIGMA)
    covariance, variance = match.moments(sigma)
    gain = covariance / variance if variance else 0.0
    fitted = gain * match.blurred(sigma) + w.mean()
    left: np.ndarray = w - fitted
    norm = np.sqrt(variance * match.power)
    return ErrorMap(
        error=np.abs(left),
        rse=float(np.sqrt(np.mean(left**2))),
        rsp=float(covariance / norm) if norm else float("nan"),
        sigma_px=sigma,
        gain=gain,
        offset=float(w.mean() - gain * s.mean()),
    )


class _Match:
    """Moments of a blurred image and its reference, without blurring anything.

    In the cosine transform, whose basis functions mirror at the borders, a Gaussian
    blur multiplies each coefficient; sums over pixels are sums over coefficients.
    """

    def __init__(self, reference: np.ndarray, image: np.ndarray) -> None:
        w = _transformed(reference)
        self.coefficients = _transformed(image)
        self.products, self.squares = w * self.coefficients, self.coefficients**2
        self.power = float(np.sum(w**2))
        # rounding leaves a trace of contrast in an image that has none
        for values, array in (
            (reference, self.products),
            (image, self.products),
            (image, self.squares),
        ):
            if not np.ptp(values):
                array[:] = 0.0
        if not np.ptp(reference):
            self.power = 0.0

    def _gains(self, sigma_px: float) -> tuple[np.ndarray, np.ndarray]:
        rows, columns = (
            np.exp(-0.5 * (sigma_px * np.pi * np.arange(n) / n) ** 2)
            for n in map(int, self.coefficients.shape)
        )
        return rows, columns

    def moments(self, sigma_px: float) -> tuple[float, float]:
        """Return covariance with the reference and variance, summed over pixels."""
        rows, columns = self._gains(sigma_px)
        covariance = rows @ self.products @ columns
        variance = rows**2 @ self.squares @ columns**2
        return float(covariance), float(variance)

    def blurred(self, sigma_px: float) -> np.ndarray:
        rows, columns = self._gains(sigma_px)
        damped = self.coefficients * np.outer(rows, columns)
        return np.asarray(idctn(damped, norm="ortho"))

    def _unexplained(self, sigma_px: float) -> float:
        covariance, variance = self.moments(sigma_px)
        return self.power - (covariance**2 / variance if variance else 0.0)

    def best_sigma(self, largest_px: float) -> float:
        """Return the blur after which a regression leaves least."""
        tried = np.linspace(0.0, largest_px, 25)
        left = [self._unexplained(sigma) for sigma in tried]
        best = int(np.argmin(left))
        found = minimize_scalar(
            self._unexplained,
            bounds=(tried[max(best - 1, 0)], tried[min(best + 1, len(tried) - 1)]),
            method="bounded",
            options={"xatol": 1e-7},
        )
        return float(found.x if found.fun < left[best] else tried[best])


def _transformed(image: np.ndarray) -> np.ndarray:
    centred: np.ndarray = image - image.mean()
    return np.asarray(dctn(centred, norm="ortho"))


def _factor(reference: np.ndarray, image: np.ndarray) -> int:
    if reference.ndim == 2 and image.ndim == 2 and min(reference.shape) > 1:
        factor = image.shape[0] // reference.shape[0]
        if factor and image.shape == tuple(factor * n for n in reference.shape):
            return factor
    raise ValueError(
        "the image must be a whole number of times as large as its reference, not "
        f"{image.shape} for {reference.shape}"
    )
