"""Where a super-resolved image disagrees with the widefield image it came from.

SQUIRREL, Culley et al. 2018, doi:10.1038/nmeth.4605: the image is blurred and scaled
until it resembles the diffraction-limited reference as much as it can; what remains is
the error map.  Structures finer than the blur cannot be judged this way.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from scipy.fft import dctn, idctn
from scipy.ndimage import zoom
from scipy.optimize import minimize_scalar

LARGEST_FWHM_PX = 4.0
"""Widest blur that is tried by default, in pixels of the reference."""
TILE_PX = 512
"""Edge of the tiles in which large images are compared, px of the reference."""
SPLINE_PX = 16
"""Neighbours beyond a tile that cubic splines are fitted to, px: the influence of a
pixel falls by 0.27 per pixel."""
_REACH = 6.0  # standard deviations of a blur beyond which nothing is left

_TO_SIGMA = 1.0 / (2.0 * np.sqrt(2.0 * np.log(2.0)))


@dataclass(frozen=True, eq=False)
class ErrorMap:
    """An image explained as a blurred, scaled version of itself, and what is left.

    Attributes
    ----------
    error : (Y, X) float
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
    out: np.ndarray | None = None,
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
    out : (k·y, k·x)
        Array for the error, of any type of float; a new one if left out.

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
    w, s = np.asarray(reference), np.asarray(image)
    factor = _factor(w, s)
    if not np.isfinite(w).all() or not np.isfinite(s).all():
        raise ValueError("an error map needs finite images")
    if largest_fwhm_px <= 0:
        raise ValueError(f"largest_fwhm_px must be positive, not {largest_fwhm_px}")
    pair = _Pair(w, s, factor)
    match = _Match(pair)
    sigma = match.best_sigma(largest_fwhm_px * factor * _TO_SIGMA)
    covariance, variance, power = pair.moments(sigma)
    gain = covariance / variance if variance else 0.0
    error = np.empty(s.shape) if out is None else out
    squares = pair.errors(sigma, gain, error)
    norm = np.sqrt(variance * power)
    return ErrorMap(
        error=error,
        rse=float(np.sqrt(squares / s.size)),
        rsp=float(covariance / norm) if norm else float("nan"),
        sigma_px=sigma,
        gain=gain,
        offset=float(pair.means[0] - gain * pair.means[1]),
    )


class _Pair:
    """A reference and an image, looked at in tiles so that memory does not grow.

    A tile is continued by its neighbours as far as the widest blur and the splines
    look; at the borders of the image, both are mirrored.
    """

    def __init__(self, reference: np.ndarray, image: np.ndarray, factor: int) -> None:
        self._reference, self._image, self._factor = reference, image, factor
        self._flat = not np.ptp(reference), not np.ptp(image)
        enlarged = (float(self._enlarged(t).sum()) for t in self.tiles())
        self.means = (
            float(reference.flat[0]) if self._flat[0] else sum(enlarged) / image.size,
            float(image.mean(dtype=float)),
        )

    def tiles(self) -> Iterator[tuple[slice, slice]]:
        """Yield the parts of the reference's grid."""
        edges = [
            [*range(0, n - TILE_PX // 2, TILE_PX), n] if n > TILE_PX else [0, n]
            for n in self._reference.shape
        ]
        for top, bottom in pairwise(edges[0]):
            for left, right in pairwise(edges[1]):
                yield slice(top, bottom), slice(left, right)

    def _enlarged(self, tile: tuple[slice, slice]) -> np.ndarray:
        """Return a tile of the reference on the grid of the image, float64."""
        if self._factor == 1:
            return self._reference[tile].astype(float)
        wide, inner = _with_margin(tile, self._reference.shape, SPLINE_PX)
        part = self._reference[wide].astype(float)
        fine = np.asarray(
            zoom(part, self._factor, order=3, mode="grid-mirror", grid_mode=True)
        )
        return fine[_finer(inner, self._factor)]

    def centred(self, tile: tuple[slice, slice]) -> tuple[np.ndarray, np.ndarray]:
        """Return a tile of both without their means, float64.

        One without contrast is zero: rounding and splines leave a trace of it.
        """
        w = self._enlarged(tile) - self.means[0]
        s = self._image[_finer(tile, self._factor)].astype(float) - self.means[1]
        return w * (not self._flat[0]), s * (not self._flat[1])

    def blurred(self, tile: tuple[slice, slice], sigma_px: float) -> np.ndarray:
        """Return a tile of the image without its mean, blurred."""
        fine = _finer(tile, self._factor)
        margin = int(np.ceil(_REACH * sigma_px)) + 1
        wide, inner = _with_margin(fine, self._image.shape, margin)
        if self._flat[1]:
            return np.zeros([n.stop - n.start for n in fine])
        part = self._image[wide].astype(float) - self.means[1]
        if not sigma_px:
            return part[inner]
        rows, columns = _gains(part.shape, sigma_px)
        damped = np.asarray(dctn(part, norm="ortho")) * np.outer(rows, columns)
        return np.asarray(idctn(damped, norm="ortho"))[inner]

    def moments(self, sigma_px: float) -> tuple[float, float, float]:
        """Return covariance, variance of the blurred image and of the reference."""
        sums = np.zeros(3)
        for tile in self.tiles():
            w, _ = self.centred(tile)
            b = self.blurred(tile, sigma_px)
            sums += [np.vdot(w, b), np.vdot(b, b), np.vdot(w, w)]
        return float(sums[0]), float(sums[1]), float(sums[2])

    def errors(self, sigma_px: float, gain: float, out: np.ndarray) -> float:
        """Write the absolute differences; return the sum of their squares."""
        squares = 0.0
        for tile in self.tiles():
            left = self.centred(tile)[0] - gain * self.blurred(tile, sigma_px)
            squares += float(np.vdot(left, left))
            out[_finer(tile, self._factor)] = np.abs(left)
        return squares


class _Match:
    """Moments of a blurred image and its reference, without blurring anything.

    In the cosine transform, whose basis functions mirror at the borders, a Gaussian
    blur multiplies each coefficient; sums over pixels are sums over coefficients.
    Tiles are mirrored at their borders for the search of the blur alone, and what
    depends on it is then computed with their true neighbours.
    """

    def __init__(self, pair: _Pair) -> None:
        self._power = 0.0
        self._sums: dict[tuple[int, ...], tuple[np.ndarray, np.ndarray]] = {}
        for tile in pair.tiles():
            w, s = pair.centred(tile)
            self._power += float(np.vdot(w, w))
            coefficients = np.asarray(dctn(s, norm="ortho"))
            products = np.asarray(dctn(w, norm="ortho")) * coefficients
            squares = coefficients**2
            known = self._sums.get(s.shape)
            if known is None:
                self._sums[s.shape] = products, squares
            else:
                np.add(known[0], products, out=known[0])
                np.add(known[1], squares, out=known[1])

    def _unexplained(self, sigma_px: float) -> float:
        covariance = variance = 0.0
        for shape, (products, squares) in self._sums.items():
            rows, columns = _gains(shape, sigma_px)
            covariance += float(rows @ products @ columns)
            variance += float(rows**2 @ squares @ columns**2)
        return self._power - (covariance**2 / variance if variance else 0.0)

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


def _gains(shape: Sequence[int], sigma_px: float) -> tuple[np.ndarray, np.ndarray]:
    """Return what a Gaussian blur leaves of the coefficients of rows and columns."""
    rows, columns = (
        np.exp(-0.5 * (sigma_px * np.pi * np.arange(n) / n) ** 2) for n in shape
    )
    return rows, columns


def _finer(tile: tuple[slice, slice], factor: int) -> tuple[slice, slice]:
    rows, columns = (slice(n.start * factor, n.stop * factor) for n in tile)
    return rows, columns


def _with_margin(
    tile: tuple[slice, slice], shape: Sequence[int], margin: int
) -> tuple[tuple[slice, ...], tuple[slice, slice]]:
    """Return a tile with its neighbourhood, and where in it the tile lies."""
    wide = tuple(
        slice(max(n.start - margin, 0), min(n.stop + margin, size))
        for n, size in zip(tile, shape, strict=True)
    )
    rows, columns = (
        slice(n.start - w.start, n.stop - w.start)
        for n, w in zip(tile, wide, strict=True)
    )
    return wide, (rows, columns)


def _factor(reference: np.ndarray, image: np.ndarray) -> int:
    if reference.ndim == 2 and image.ndim == 2 and min(reference.shape) > 1:
        factor = image.shape[0] // reference.shape[0]
        if factor and image.shape == tuple(factor * n for n in reference.shape):
            return factor
    raise ValueError(
        "the image must be a whole number of times as large as its reference, not "
        f"{image.shape} for {reference.shape}"
    )
