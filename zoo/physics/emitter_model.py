"""Estimates of single emitters held against the optics: light, bounds, misfit, fit.

A region holds ``photons * q(x, y, z) + background + other light``, the last being what
is known of neighbours.  Where a network says where an emitter is, everything else
follows from the image of a point: photons and background by weighted least squares, the
errors that no unbiased estimator can undercut (Ober et al. 2004,
doi:10.1016/S0006-3495(04)74193-4), whether the light is that of one point, and the next
steps of Fisher scoring towards the maximum of the likelihood.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from zoo.physics.fisher import PixelNoise, fisher_information, standard_deviations
from zoo.physics.mle import likelihood_terms
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import Psf
from zoo.physics.tabulated import tabulated_psf

FAR = 1.75
"""Edge of the square in which an emitter's light is known, in edges of its region."""
DEPTHS_NM = (-1000.0, 1000.0)
"""Depths of an emitter where nothing else is said."""
_MARGIN_NM = 150.0  # depths beyond those of the training that can be told
_CHUNK = 64  # regions at a time, so that their slopes stay in the cache
_SMALLEST_PHOTONS, _SMALLEST_BACKGROUND = 1.0, 1e-2
_REWEIGHTINGS = 2
_DAMPING = 1e-3  # of a Fisher matrix, so that what pixels do not tell stays
_SIGNIFICANT = 3.0  # standard deviations
_LIT = 0.1  # of its peak: pixels that an emitter lights, and their neighbours
_LONGEST_STEP = np.array([1.0, 1.0, np.inf, np.inf, np.inf])  # px along x and y


@dataclass(frozen=True, eq=False)
class Judged:
    """What the optics say of estimates, one row per region."""

    photons: np.ndarray
    """(n,) photons of the emitter."""
    background_photons: np.ndarray
    """(n,) photons per pixel."""
    bound: np.ndarray
    """(n, 5) Cramér–Rao bounds of x, y, z (nm), photons and background; ``inf`` where
    the pixels do not tell."""
    chi_square: np.ndarray
    """(n,) mean square of the residuals in standard deviations, near 1 where the
    region holds what the model describes."""
    misfit: np.ndarray
    """(n,) root of the share of the emitter's energy, where it lights pixels, that the
    model leaves beyond three standard deviations of noise: 0 for its own image, about
    the ratio of the photons for an unknown neighbour in the midst of it."""
    dark_chi_square: np.ndarray
    """(n,) mean square of the residuals, in standard deviations, where the emitter
    lights no pixel: near 1 where the noise is what the camera was said to have."""


class EmitterModel:
    """One emitter per region under a point-spread function.

    Parameters
    ----------
    psf
        Point-spread function, preferably tabulated: it is evaluated often.
    shape
        ``(height, width)`` of the regions, px.
    z_range_nm
        Depths that the function covers; estimates beyond are judged at its ends.
    noise
        Noise of the pixels; that of a perfect counter of photons if left out.
    """

    def __init__(
        self,
        psf: Psf,
        shape: tuple[int, int],
        *,
        z_range_nm: tuple[float, float],
        noise: PixelNoise | None = None,
    ) -> None:
        self.psf, self.shape, self.z_range_nm = psf, shape, z_range_nm
        self.noise = PixelNoise() if noise is None else noise

    def resized(self, shape: tuple[int, int]) -> "EmitterModel":
        """Return the model in regions of another size."""
        return EmitterModel(
            self.psf, shape, z_range_nm=self.z_range_nm, noise=self.noise
        )

    def with_noise(self, noise: PixelNoise) -> "EmitterModel":
        """Return the model in regions that another camera took."""
        return EmitterModel(
            self.psf, self.shape, z_range_nm=self.z_range_nm, noise=noise
        )

    def light(self, values: np.ndarray) -> np.ndarray:
        """Return the emitters' own light of (n, 5) values: (n, y, x) photons."""
        q = self.psf.images(*self._places(values), self.shape)
        return values[:, 3, None, None] * np.asarray(q, float)

    def with_light(
        self,
        images: np.ndarray,
        positions: np.ndarray,
        *,
        other: np.ndarray | None = None,
    ) -> np.ndarray:
        """Find photons and background where positions are known.

        Least squares weighted by the variance that the last solution expects.

        Parameters
        ----------
        images
            (n, y, x) photons.
        positions
            (n, 3) x, y and z, nm; x and y from the outer corner of the region.
        other
            (n, y, x) light of neighbours, photons; none if left out.

        Returns
        -------
        values : (n, 5) float64
            Positions, photons and background.
        """
        values = np.concatenate([positions, np.ones((len(positions), 2))], axis=1)
        for part in _parts(len(values)):
            q = np.asarray(
                self.psf.images(*self._places(values[part]), self.shape), float
            ).reshape(len(values[part]), -1)
            light = _flat(other, part, q)
            data = np.asarray(images[part], float).reshape(q.shape) - light
            variance = np.ones(q.shape)
            for _ in range(1 + _REWEIGHTINGS):
                solved = _two_unknowns(q, data, 1 / variance)
                values[part, 3:] = np.maximum(
                    solved, [_SMALLEST_PHOTONS, _SMALLEST_BACKGROUND]
                )
                expected = values[part, 3, None] * q + values[part, 4, None] + light
                variance = self.noise.variance_photons2(
                    np.maximum(expected, _SMALLEST_BACKGROUND)
                )
        return values

    def judge(
        self,
        images: np.ndarray,
        values: np.ndarray,
        *,
        other: np.ndarray | None = None,
    ) -> Judged:
        """Compare estimates with the data and bound their errors.

        Parameters
        ----------
        images, other
            As in `with_light`.
        values
            (n, 5) x, y, z, photons and background.
        """
        bounds = np.empty((len(values), 5))
        chi_square, misfit, dark = (np.empty(len(values)) for _ in range(3))
        for part in _parts(len(values)):
            own, slopes = self._model(values[part])
            expected = own + _of(other, part)
            variance = self.noise.variance_photons2(expected)
            information = fisher_information(expected, slopes, noise=self.noise)
            bounds[part] = standard_deviations(information)
            square = (np.asarray(images[part], float) - expected) ** 2
            freedom = max(expected[0].size - 5, 1)
            relative = square / variance
            chi_square[part] = relative.sum(axis=(1, 2)) / freedom
            emitter = own - values[part, 4, None, None]
            lit = _lit(emitter)
            dark[part] = (relative * ~lit).sum(axis=(1, 2)) / np.maximum(
                (~lit).sum(axis=(1, 2)), 1
            )
            # a Poisson number's squared deviation varies by 2 mu**2 + mu
            spread = ((2 * variance**2 + variance) * lit).sum(axis=(1, 2))
            beyond = ((square - variance) * lit).sum(axis=(1, 2))
            beyond -= _SIGNIFICANT * np.sqrt(spread)
            energy = (emitter**2 * lit).sum(axis=(1, 2))
            misfit[part] = np.sqrt(np.maximum(beyond, 0.0) / energy)
        return Judged(values[:, 3], values[:, 4], bounds, chi_square, misfit, dark)

    def refine(
        self,
        images: np.ndarray,
        values: np.ndarray,
        *,
        other: np.ndarray | None = None,
        iterations: int = 4,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Step towards the maximum of the likelihood by Fisher scoring.

        A step that makes the region less likely is halved the next time, and not taken.

        Parameters
        ----------
        images, values, other
            As in `judge`.
        iterations
            Steps at most.

        Returns
        -------
        values : (n, 5) float64
            No less likely than the given ones.
        moved : (n,) bool
            Whether any step was taken.
        """
        refined = np.array(values, float)
        self._confine(refined)
        moved = np.zeros(len(refined), bool)
        for part in _parts(len(refined)):
            data, light = np.asarray(images[part], float), _of(other, part)
            current = refined[part]
            state = self._state(data, current, light)
            scale = np.ones(len(current))
            for _ in range(iterations):
                step = _step(state[1], state[2]) * scale[:, None]
                longest = _LONGEST_STEP * self.psf.pixel_nm
                trial = current + np.clip(step, -longest, longest)
                self._confine(trial)
                new = self._state(data, trial, light)
                better = new[0] > state[0]
                current[better] = trial[better]
                for old, value in zip(state, new, strict=True):
                    old[better] = value[better]
                moved[part] |= better
                scale[~better] *= 0.5
            refined[part] = current
        return refined, moved

    def _state(
        self, data: np.ndarray, values: np.ndarray, light: np.ndarray | float
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        own, slopes = self._model(values)
        return likelihood_terms(data, own + light, slopes, noise=self.noise)

    def _model(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return the photons of emitter and background, and their five slopes."""
        q, rates = self.psf.derivatives(*self._places(values), self.shape)
        slopes = np.empty((len(values), 5, *self.shape))
        bright = np.maximum(values[:, 3, None, None], _SMALLEST_PHOTONS)
        np.multiply(bright[:, None], rates, out=slopes[:, :3])
        slopes[:, 3], slopes[:, 4] = q, 1.0
        # a spline dips below zero where the spot is dark
        level = np.maximum(values[:, 4, None, None], _SMALLEST_BACKGROUND)
        own = np.maximum(bright * q + level, _SMALLEST_BACKGROUND)
        return own, slopes

    def _places(self, values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        return values[:, 0], values[:, 1], np.clip(values[:, 2], *self.z_range_nm)

    def _confine(self, values: np.ndarray) -> None:
        """Keep values where they have a meaning."""
        height, width = (edge * self.psf.pixel_nm for edge in self.shape)
        low = [0.0, 0.0, self.z_range_nm[0], _SMALLEST_PHOTONS, _SMALLEST_BACKGROUND]
        high = [width, height, self.z_range_nm[1], np.inf, np.inf]
        np.clip(values, low, high, out=values)


def known_model(
    optics: PupilOptics, size_px: int, z_range_nm: tuple[float, float] | None
) -> EmitterModel:
    """Tabulate the spot of known optics in square regions, which takes about a second.

    The same optics are tabulated once.

    Parameters
    ----------
    optics
        Objective, pixel and aberrations.
    size_px
        Edge of a region.
    z_range_nm
        Depths that estimates are expected in; `DEPTHS_NM` if left out.
    """
    return _tabulated(optics.model_dump_json(), size_px, z_range_nm or DEPTHS_NM)


@lru_cache(maxsize=4)
def _tabulated(
    described: str, size_px: int, z_range_nm: tuple[float, float]
) -> EmitterModel:
    optics = PupilOptics.model_validate_json(described)
    low, high = z_range_nm
    edge = far_px(size_px)
    # the image of a pupil repeats itself: its points must be dense enough
    period_px = optics.wavelength_nm / (2 * optics.na * optics.pixel_nm)
    samples = 64 * int(np.ceil(2 * edge / (64 * period_px)))
    table = tabulated_psf(
        PupilPsf(optics, samples=samples, dtype=np.float32),
        z_range_nm=(low - _MARGIN_NM, high + _MARGIN_NM),
        size_px=edge + edge % 2,
    )
    return EmitterModel(table, (size_px, size_px), z_range_nm=table.z_range_nm)


def far_px(size_px: int) -> int:
    """Return the edge of the region in which an emitter's light is taken away, px.

    Of the same parity: its central pixel is the same.

    Examples
    --------
    >>> far_px(32), far_px(15)
    (56, 27)
    """
    far = round(FAR * size_px)
    return far + (far - size_px) % 2


def _lit(emitter: np.ndarray) -> np.ndarray:
    """Tell which pixels of (n, y, x) emitters are theirs, one around them included."""
    from scipy.ndimage import maximum_filter

    level = _LIT * emitter.max(axis=(1, 2), keepdims=True)
    return np.asarray(maximum_filter(emitter, (1, 3, 3))) > level


def _parts(count: int) -> list[slice]:
    return [slice(start, start + _CHUNK) for start in range(0, count, _CHUNK)]


def _of(other: np.ndarray | None, part: slice) -> np.ndarray | float:
    return 0.0 if other is None else np.asarray(other[part], float)


def _flat(other: np.ndarray | None, part: slice, like: np.ndarray) -> np.ndarray:
    if other is None:
        return np.zeros(like.shape)
    return np.asarray(other[part], float).reshape(like.shape)


def _two_unknowns(q: np.ndarray, data: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Solve ``data = photons q + background`` by least squares: (n, 2)."""
    weighted = weights * q
    aa, ab = (weighted * q).sum(axis=1), weighted.sum(axis=1)
    bb = weights.sum(axis=1)
    a, b = (weighted * data).sum(axis=1), (weights * data).sum(axis=1)
    determinant = aa * bb - ab**2
    safe = np.where(determinant > 0, determinant, 1.0)
    photons = np.where(determinant > 0, (bb * a - ab * b) / safe, 0.0)
    return np.stack([photons, (b - ab * photons) / bb], axis=1)


def _step(gradient: np.ndarray, fisher: np.ndarray) -> np.ndarray:
    """Solve the Fisher matrices for the gradients, scaled to correlations."""
    diagonal = np.diagonal(fisher, axis1=1, axis2=2)
    scale = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    system = fisher * scale[:, :, None] * scale[:, None, :]
    np.einsum("naa->na", system)[:] = 1.0 + _DAMPING  # a view of the diagonals
    return np.linalg.solve(system, (gradient * scale)[:, :, None])[:, :, 0] * scale
