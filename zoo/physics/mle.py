"""Maximum-likelihood fits of isolated emitters with any point-spread function.

Every region holds ``photons * q(x, y, z) + background``.  Electrons ``e`` of variance
``excess * mean + v`` are treated as if ``(e + v / excess) / excess`` were Poisson
distributed around the same of their mean.  That is exact for a perfect camera, and
reaches the Cramér-Rao bound of an sCMOS (Huang et al. 2013, doi:10.1038/nmeth.2488; Li
et al. 2018, doi:10.1038/nmeth.4661).  The likelihood is climbed by damped Fisher
scoring, all regions at once.
"""

from dataclasses import dataclass

import numpy as np

from zoo.physics.fisher import (
    EmitterBound,
    PixelNoise,
    standard_deviations,
)
from zoo.physics.spots import Psf

_CHUNK = 64  # regions at a time, so that their slopes stay in the cache
_FIRST_DAMPING, _DAMPING_STEP, _LARGEST_DAMPING = 1e-2, 10.0, 1e8
_SMALL_STEP = 1e-3  # square of a step, in standard deviations, that ends a fit
_SMALLEST_MEAN = 1e-6  # of a pixel, in (excess) electrons


@dataclass(frozen=True, eq=False)
class EmitterFits:
    """Estimates, one row per region."""

    x_nm: np.ndarray
    """(n,) position along columns from the region's outer corner."""
    y_nm: np.ndarray
    """(n,) position along rows from the region's outer corner."""
    z_nm: np.ndarray
    """(n,) distance from the coverslip."""
    photons: np.ndarray
    """(n,) photons of the emitter at the detector."""
    background_photons: np.ndarray
    """(n,) photons per pixel at the detector."""
    bound: EmitterBound
    """Cramér-Rao bound at the estimates: their standard deviations."""
    chi_square: np.ndarray
    """(n,) mean square of the residuals in standard deviations; near one if the region
    holds what the model describes."""
    converged: np.ndarray
    """(n,) bool, whether the last step was small."""

    def columns(self, origin_nm: float) -> dict[str, np.ndarray]:
        """Return the estimates by column, x and y counted from a place in the region.

        Parameters
        ----------
        origin_nm
            Distance of that place from the region's outer corner along x and y.
        """
        return {
            "x_nm": self.x_nm - origin_nm,
            "y_nm": self.y_nm - origin_nm,
            "z_nm": self.z_nm,
            "photons": self.photons,
            "background_photons": self.background_photons,
        }


def fit_emitters(
    psf: Psf,
    images: np.ndarray,
    *,
    z_range_nm: tuple[float, float] | None = None,
    z_step_nm: float = 150.0,
    noise: PixelNoise | None = None,
    starts: int = 1,
    iterations: int = 40,
) -> EmitterFits:
    """Fit position, photons and background of one emitter per region.

    The law: where the model is right the estimates are unbiased and their standard
    deviations those of `zoo.physics.fisher.emitter_bound`, unless photons are few.

    Parameters
    ----------
    psf
        Point-spread function.
    images
        (n, y, x) photons, for instance from `zoo.physics.camera.Camera.to_photons`.
    z_range_nm
        Lowest and highest depth.  Left out, the depth is 0 and is not fitted.
    z_step_nm
        Distance of the depths that are tried first.
    noise
        Noise of the pixels; `zoo.physics.fisher.pixel_noise` makes it from a camera.
    starts
        Fits per region, from the most similar depths on; the most likely one is kept.
        More than one where spots of different depths look alike.
    iterations
        Steps at most.

    Returns
    -------
    fits : EmitterFits

    Raises
    ------
    ValueError
        If the images are not finite or not three-dimensional.

    Examples
    --------
    >>> from zoo.physics.spots import GaussianPsf
    >>> psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=130.0)
    >>> where = np.array([712.0]), np.array([790.0]), np.zeros(1)
    >>> fits = fit_emitters(psf, 1000.0 * psf.images(*where, (15, 15)) + 10.0)
    >>> [round(float(values[0]), 2) for values in (fits.x_nm, fits.y_nm, fits.photons)]
    [712.0, 790.0, 1000.0]
    """
    images = np.asarray(images, float)
    if images.ndim != 3:
        raise ValueError(f"images must have the axes (n, y, x), not {images.shape}")
    if not np.all(np.isfinite(images)):
        raise ValueError("images must be finite")
    noise = PixelNoise() if noise is None else noise
    depths = np.zeros(1)
    if z_range_nm is not None:
        steps = int(np.ceil((z_range_nm[1] - z_range_nm[0]) / z_step_nm)) + 1
        depths = np.linspace(*z_range_nm, max(steps, 2))
    parts = [
        _Fit(psf, images[start : start + _CHUNK], noise.of(part), z_range_nm).run(
            depths, starts, iterations
        )
        for start in range(0, len(images), _CHUNK)
        for part in [slice(start, start + _CHUNK)]
    ]
    if not parts:
        return _empty()
    values, deviations, chi_square, converged = (
        np.concatenate(columns) for columns in zip(*parts, strict=True)
    )
    return EmitterFits(
        *values.T,
        bound=EmitterBound(*deviations.T),
        chi_square=chi_square,
        converged=converged,
    )


def match_templates(
    images: np.ndarray,
    templates: np.ndarray,
    *,
    best: int = 1,
    reach_px: int | None = None,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Find which template, shifted by whole pixels, explains each image best.

    Brightness and background are free: what counts is the correlation coefficient,
    maximised over shifts.

    Parameters
    ----------
    images
        (n, y, x) regions.
    templates
        (k, y, x) spots in the middle of the region.
    best
        Number of templates to return for each image.
    reach_px
        Largest shift along x and y; a quarter of the image if left out.

    Returns
    -------
    template : (n, best) int
        Indices, the best first; neighbours of a better one count only at local maxima.
    shift_y, shift_x : (n, best) int
        Shifts, px.
    """
    height, width = (int(edge) for edge in images.shape[1:])
    centred = templates - templates.mean(axis=(1, 2), keepdims=True)
    centred /= np.sqrt(np.sum(centred**2, axis=(1, 2), keepdims=True))
    size = (_fast_length(height), _fast_length(width))
    spectrum = np.fft.rfft2(images - images.mean(axis=(1, 2), keepdims=True), s=size)
    reach_y, reach_x = (
        max(edge // 4 if reach_px is None else reach_px, 1) for edge in (height, width)
    )
    rows = np.arange(2 * reach_y + 1) - reach_y
    columns = np.arange(2 * reach_x + 1) - reach_x
    score = np.empty((len(images), len(templates)))
    place = np.empty(score.shape, int)
    for index, template in enumerate(np.fft.rfft2(centred, s=size)):
        correlation = np.fft.irfft2(spectrum * template.conj(), s=size)
        near = correlation[:, rows[:, None], columns].reshape(len(images), -1)
        place[:, index] = near.argmax(axis=1)
        score[:, index] = near.max(axis=1)
    padded = np.pad(score, ((0, 0), (1, 1)), constant_values=-np.inf)
    peak = (score >= padded[:, :-2]) & (score >= padded[:, 2:])
    order = np.argsort(np.where(peak, -score, np.inf), axis=1, kind="stable")
    ranking = order[:, np.minimum(np.arange(best), score.shape[1] - 1)]
    position = np.take_along_axis(place, ranking, axis=1)
    return (
        ranking,
        rows[position // len(columns)],
        columns[position % len(columns)],
    )


def likelihood_terms(
    images: np.ndarray,
    photons: np.ndarray,
    slopes: np.ndarray,
    *,
    noise: PixelNoise,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the logarithm of the likelihood, its gradient and the Fisher information.

    Parameters
    ----------
    images
        (n, y, x) measured photons.
    photons
        (n, y, x) expected photons.
    slopes
        (n, p, y, x) changes of the expected photons per unit of each parameter.
    noise
        Noise of the pixels.

    Returns
    -------
    likelihood : (n,) float64
        But for what does not depend on the parameters.
    gradient : (n, p) float64
    information : (n, p, p) float64
    """
    mean = np.maximum(noise.nearly_poisson(photons), _SMALLEST_MEAN)
    data = noise.nearly_poisson(images)
    likelihood = np.sum(data * np.log(mean) - mean, axis=(1, 2))
    per_photon = noise.per_photon
    flat = slopes.reshape(*slopes.shape[:2], -1)
    ratio = (per_photon * (data / mean - 1)).reshape(len(images), -1, 1)
    weighted = flat * (per_photon**2 / mean).reshape(len(images), 1, -1)
    return likelihood, (flat @ ratio)[:, :, 0], weighted @ flat.swapaxes(1, 2)


class _Fit:
    """Damped Fisher scoring of (n, 5) values: x, y, z, photons, background."""

    def __init__(
        self,
        psf: Psf,
        images: np.ndarray,
        noise: PixelNoise,
        z_range_nm: tuple[float, float] | None,
    ) -> None:
        self.psf, self.images, self.noise = psf, images, noise
        self.with_depth = z_range_nm is not None
        self.shape = (images.shape[1], images.shape[2])
        low_z, high_z = (0.0, 0.0) if z_range_nm is None else z_range_nm
        height_nm, width_nm = (edge * psf.pixel_nm for edge in self.shape)
        self.low = np.array([0.0, 0.0, low_z, 1e-3, 0.0])
        self.high = np.array([width_nm, height_nm, high_z, np.inf, np.inf])

    def run(
        self, depths: np.ndarray, starts: int, iterations: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values, standard deviations, chi squares and convergence."""
        results = [self._climb(v, iterations) for v in self._starts(depths, starts)]
        best = np.stack([likelihood for _, likelihood, _, _ in results]).argmax(axis=0)
        each = np.arange(len(self.images))
        values, fisher, converged = (
            np.stack([result[index] for result in results])[best, each]
            for index in (0, 2, 3)
        )
        photons = values[:, 3, None, None] * self.psf.images(
            values[:, 0], values[:, 1], values[:, 2], self.shape
        )
        photons = photons + values[:, 4, None, None]
        square = (self.images - photons) ** 2 / self.noise.variance_photons2(photons)
        freedom = max(square[0].size - (5 if self.with_depth else 4), 1)
        chi_square = square.sum(axis=(1, 2)) / freedom
        return values, standard_deviations(fisher), chi_square, converged

    def _starts(self, depths: np.ndarray, starts: int) -> list[np.ndarray]:
        middle_y, middle_x = (edge * self.psf.pixel_nm / 2 for edge in self.shape)
        templates = self.psf.images(
            np.full(len(depths), middle_x),
            np.full(len(depths), middle_y),
            depths,
            self.shape,
        ).astype(float)
        ranking, shift_y, shift_x = match_templates(self.images, templates, best=starts)
        values: list[np.ndarray] = []
        for index in range(ranking.shape[1]):
            x = middle_x + shift_x[:, index] * self.psf.pixel_nm
            y = middle_y + shift_y[:, index] * self.psf.pixel_nm
            z = depths[ranking[:, index]]
            spot = self.psf.images(x, y, z, self.shape).astype(float)
            level = self.images.mean(axis=(1, 2))
            contrast = spot - spot.mean(axis=(1, 2), keepdims=True)
            photons = np.sum(contrast * self.images, axis=(1, 2)) / np.sum(
                contrast**2, axis=(1, 2)
            )
            photons = np.maximum(photons, 1.0)
            background = level - photons * spot.mean(axis=(1, 2))
            # a start without background would see no noise far from the spot
            background = np.maximum(background, 0.05 * np.maximum(level, 1e-3))
            start = np.stack([x, y, z, photons, background], axis=1)
            values.append(np.clip(start, self.low, self.high))
        return values

    def _model(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the photons of pixels and their (n, 5, y, x) slopes."""
        images, slopes = self.psf.derivatives(
            values[:, 0], values[:, 1], values[:, 2], self.shape
        )
        bright = values[:, 3, None, None]
        parameters = np.empty((len(values), 5, *self.shape))
        np.multiply(bright[:, None], slopes, out=parameters[:, :3])
        if not self.with_depth:
            parameters[:, 2] = 0.0
        parameters[:, 3] = images
        parameters[:, 4] = 1.0
        return bright * images + values[:, 4, None, None], parameters

    def _state(
        self, values: np.ndarray, rows: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return log-likelihoods, gradients and Fisher matrices of some regions."""
        photons, slopes = self._model(values)
        return likelihood_terms(
            self.images[rows], photons, slopes, noise=self.noise.of(rows)
        )

    def _climb(
        self, values: np.ndarray, iterations: int
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """Return values, likelihoods, Fisher matrices and convergence at the top."""
        regions = len(values)
        rows = np.arange(regions)
        likelihood, gradient, fisher = self._state(values, rows)
        damping = np.full(regions, _FIRST_DAMPING)
        converged = np.zeros(regions, bool)
        for _ in range(iterations):
            step = _damped_step(gradient[rows], fisher[rows], damping[rows])
            trial = np.clip(values[rows] + step, self.low, self.high)
            step = trial - values[rows]
            square = np.einsum("na,nab,nb->n", step, fisher[rows], step)
            new_likelihood, new_gradient, new_fisher = self._state(trial, rows)
            better = new_likelihood >= likelihood[rows]
            uphill = rows[better]
            values[uphill] = trial[better]
            likelihood[uphill] = new_likelihood[better]
            gradient[uphill] = new_gradient[better]
            fisher[uphill] = new_fisher[better]
            damping[uphill] /= _DAMPING_STEP
            damping[rows[~better]] *= _DAMPING_STEP
            # a step of this size changes nothing, whether up or (by rounding) down
            small = square < _SMALL_STEP
            converged[rows[small]] = True
            rows = rows[~small & (damping[rows] < _LARGEST_DAMPING)]
            if not len(rows):
                break
        return values, likelihood, fisher, converged


def _fast_length(size: int) -> int:
    """Return the next length that has no prime factor above five."""
    while True:
        rest = size
        for factor in (2, 3, 5):
            while rest % factor == 0:
                rest //= factor
        if rest == 1:
            return size
        size += 1


def _damped_step(
    gradient: np.ndarray, fisher: np.ndarray, damping: np.ndarray
) -> np.ndarray:
    """Solve ``(F + damping diag F) step = gradient``; no step without information."""
    diagonal = np.diagonal(fisher, axis1=1, axis2=2)
    scale = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    system = fisher * scale[:, :, None] * scale[:, None, :]
    # a view of the diagonals
    np.einsum("naa->na", system)[:] = 1.0 + damping[:, None] + 1e-9
    return np.linalg.solve(system, (gradient * scale)[:, :, None])[:, :, 0] * scale


def _empty() -> EmitterFits:
    none = np.empty(0)
    return EmitterFits(
        *[none] * 5,
        bound=EmitterBound(*[none] * 5),
        chi_square=none,
        converged=np.empty(0, bool),
    )
