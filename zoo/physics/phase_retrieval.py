"""The pupil of a microscope from images of beads at several focal planes.

All planes of all beads are fitted at once by maximum likelihood: Zernike coefficients
and blur of the microscope, place, brightness and background of every bead (compare
Hanser et al. 2004, doi:10.1111/j.0022-2720.2004.01393.x; Petrov, Shechtman, Moerner
2017, doi:10.1364/OE.25.007945).  Piston and tilt mean nothing, and defocus is the place
of the bead along the axis, so that these modes are left out.

A stack taken in the wrong direction fits as well, with the signs of all even modes
reversed: exactly for beads on the coverslip, closely for others.  The direction of
``focus_nm`` must therefore be known.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.physics.beads import place_bead
from zoo.physics.fisher import PixelNoise
from zoo.physics.mle import likelihood_terms
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.zernike import modes_up_to

DEFAULT_MODES = tuple(mode for mode in modes_up_to(5, first_degree=2) if mode != (2, 0))
"""Modes of radial degree 2 to 5 without defocus."""

_START_RAD = 1.0  # astigmatism that the search also starts from
_FIRST_STEPS = 8  # of every start, before the best is taken
_FOCUS_RANGE_NM, _FOCUS_STEP_NM = 1000.0, 100.0
_SMALLEST_VARIANCE_NM2 = 1.0
_SMALL_GAIN = 1e-3  # of the logarithm of the likelihood, ends the fit


@dataclass(frozen=True, eq=False)
class Beads:
    """Where the beads are and how bright, one row per bead."""

    x_nm: np.ndarray
    """(n,) position along columns from the outer corner of the bead's region."""
    y_nm: np.ndarray
    """(n,) position along rows from the outer corner of the bead's region."""
    focus_nm: np.ndarray
    """(n,) what has to be added to the readings of the stage to get the distance of
    the focal plane from the coverslip, in the immersion medium."""
    photons: np.ndarray
    """(n, planes) photons at the detector."""
    background_photons: np.ndarray
    """(n, planes) photons per pixel at the detector."""


@dataclass(frozen=True, eq=False)
class PupilRetrieval:
    """A microscope as its beads show it."""

    optics: PupilOptics
    """Microscope with the retrieved aberrations and blur."""
    zernike_sd_rad: np.ndarray
    """(modes,) standard deviations of the coefficients, in the order of ``modes``."""
    blur_sd_nm: float
    """Standard deviation of the blur."""
    modes: tuple[tuple[int, int], ...]
    """Modes that were fitted."""
    beads: Beads
    """Places and brightness of the beads."""
    models: list[np.ndarray]
    """(planes, y, x) expected photons of each bead."""
    residuals: list[np.ndarray]
    """(planes, y, x) differences to the images, in standard deviations of the noise."""
    correlation: np.ndarray
    """(n,) correlation coefficient of each bead's images and their model."""
    chi_square: np.ndarray
    """(n,) mean square of the residuals; near one if the model explains all but noise.
    """
    converged: bool
    """Whether the likelihood had stopped to grow."""

    @property
    def coefficients_rad(self) -> np.ndarray:
        """(modes,) retrieved coefficients, rad."""
        terms = {(n, m): value for n, m, value in self.optics.zernikes_rad}
        return np.array([terms[mode] for mode in self.modes])


def retrieve_pupil(
    stacks: Sequence[np.ndarray],
    focus_nm: np.ndarray,
    *,
    optics: PupilOptics,
    modes: Sequence[tuple[int, int]] = DEFAULT_MODES,
    bead_z_nm: float = 0.0,
    bead_diameter_nm: float = 0.0,
    per_plane: bool = True,
    fit_blur: bool = True,
    search: bool = True,
    noise: PixelNoise | None = None,
    samples: int = 64,
    iterations: int = 40,
) -> PupilRetrieval:
    """Retrieve aberrations and blur of a microscope from bead stacks.

    Parameters
    ----------
    stacks
        (planes, y, x) photons of each bead, alone in its region; regions of one shape.
    focus_nm
        (planes,) readings of the stage: displacement of the focal plane **into the
        sample**, measured in the immersion medium, from any zero.
    optics
        What is known of the microscope; its aberrations and blur are the start.
    modes
        Zernike modes to fit, by default those of degree 2 to 5 without defocus.
    bead_z_nm
        Height of the beads above the coverslip.
    bead_diameter_nm
        Diameter of the beads, whose share in the blur is not the microscope's.
    per_plane
        Let photons and background change from plane to plane (bleaching); else a bead
        has one of each.
    fit_blur
        Fit the blur, too.
    search
        Start also from astigmatism of either sign and direction.
    noise
        Noise of the pixels, the same in all regions.
    samples
        Points along the diameter of the pupil.
    iterations
        Steps at most.

    Returns
    -------
    retrieval : PupilRetrieval

    Raises
    ------
    ValueError
        If there are fewer than three planes, no bead, or stacks of other shapes.
    """
    images = _checked(stacks, focus_nm)
    noise = PixelNoise() if noise is None else noise
    problem = _Problem(
        images, np.asarray(focus_nm, float), optics, tuple(modes), bead_z_nm,
        per_plane=per_plane, fit_blur=fit_blur, noise=noise, samples=samples,
        bead_diameter_nm=bead_diameter_nm,
    )  # fmt: skip
    prior = {(n, m): value for n, m, value in optics.zernikes_rad}
    first = np.array([prior.get(mode, 0.0) for mode in modes])
    starts = [first]
    if search:
        for mode in ((2, 2), (2, -2)):
            if mode in problem.modes:
                step = np.zeros(len(first))
                step[problem.modes.index(mode)] = _START_RAD
                starts += [first + step, first - step]
    best = problem.climb(problem.start(first), _FIRST_STEPS)
    for start in starts[1:]:
        other = problem.climb(problem.start(start), _FIRST_STEPS)
        best = max(best, other, key=lambda result: result.likelihood)
    return problem.result(problem.climb(best.values, iterations))


@dataclass(frozen=True, eq=False)
class _Climb:
    values: np.ndarray
    likelihood: float
    information: np.ndarray
    converged: bool


class _Problem:
    """Likelihood of all images as a function of one vector.

    It holds the coefficients, the variance of the blur (nm²), and of every bead x, y,
    focus (nm), photons and backgrounds.
    """

    def __init__(
        self,
        images: np.ndarray,
        focus_nm: np.ndarray,
        optics: PupilOptics,
        modes: tuple[tuple[int, int], ...],
        bead_z_nm: float,
        *,
        per_plane: bool,
        fit_blur: bool,
        noise: PixelNoise,
        samples: int,
        bead_diameter_nm: float,
    ) -> None:
        self.images, self.focus_nm, self.optics = images, focus_nm, optics
        self.modes, self.bead_z_nm, self.noise = modes, bead_z_nm, noise
        self.fit_blur, self.samples = fit_blur, samples
        # a uniform ball blurs along each axis like a Gaussian of this variance
        self.bead_variance_nm2 = bead_diameter_nm**2 / 20
        self.beads, self.planes = (int(size) for size in images.shape[:2])
        self.shape = (images.shape[2], images.shape[3])
        self.levels = self.planes if per_plane else 1
        self.shared = len(modes) + 1
        self.per_bead = 3 + 2 * self.levels

    def psf(self, values: np.ndarray) -> PupilPsf:
        terms = {(n, m): value for n, m, value in self.optics.zernikes_rad}
        terms |= dict(zip(self.modes, values[: len(self.modes)].tolist(), strict=True))
        optics = self.optics.override(
            zernikes_rad=tuple((n, m, value) for (n, m), value in terms.items()),
            blur_nm=float(values[self.shared - 1] + self.bead_variance_nm2) ** 0.5,
        )
        return PupilPsf(optics, samples=self.samples, dtype=np.float32)

    def bead(self, values: np.ndarray, bead: int) -> tuple[np.ndarray, ...]:
        """Return x, y, focus, photons and backgrounds of the planes."""
        first = self.shared + bead * self.per_bead
        x, y, focus = values[first : first + 3]
        levels = values[first + 3 : first + self.per_bead].reshape(2, self.levels)
        photons, background = np.broadcast_to(levels, (2, self.planes))
        ones = np.ones(self.planes)
        return x * ones, y * ones, self.focus_nm + focus, photons, background

    def start(self, coefficients: np.ndarray) -> np.ndarray:
        """Find the beads with given aberrations."""
        variance = max(self.optics.blur_nm**2, _SMALLEST_VARIANCE_NM2)
        values = np.zeros(self.shared + self.beads * self.per_bead)
        values[: self.shared] = [*coefficients, variance]
        psf = self.psf(values)
        offsets = np.arange(-_FOCUS_RANGE_NM, _FOCUS_RANGE_NM + 1, _FOCUS_STEP_NM)
        for bead, stack in enumerate(self.images):
            # the sharpest plane is near the focus
            sharpest = self.focus_nm[(stack**2).sum(axis=(1, 2)).argmax()]
            place = place_bead(
                stack,
                psf,
                focus_nm=self.focus_nm,
                offsets_nm=offsets - sharpest,
                z_nm=self.bead_z_nm,
            )
            border = [stack[:, [0, -1]].ravel(), stack[:, :, [0, -1]].ravel()]
            background = max(float(np.median(np.concatenate(border))), 0.1)
            photons = max(float((stack.mean(axis=0) - background).sum()), 1.0)
            first = self.shared + bead * self.per_bead
            values[first : first + self.per_bead] = [
                *place,
                *[photons] * self.levels,
                *[background] * self.levels,
            ]
        return values

    def evaluate(self, values: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
        """Return the log-likelihood, its gradient and the Fisher information."""
        psf = self.psf(values)
        basis = np.concatenate(
            [psf.zernike_basis(self.modes), psf.focus_phase_rad[None]]
        )
        z_nm = np.full(self.planes, self.bead_z_nm)
        likelihood, gradient = 0.0, np.zeros(len(values))
        information = np.zeros((len(values), len(values)))
        level = np.arange(self.planes) % self.levels
        for bead in range(self.beads):
            x, y, focus, photons, background = self.bead(values, bead)
            images, lateral = psf.derivatives(x, y, z_nm, self.shape, focus_nm=focus)
            phase, variance = psf.optics_derivatives(
                x, y, z_nm, self.shape, basis=basis, focus_nm=focus
            )
            slopes = np.concatenate(
                [phase[:, :-1], variance[:, None] * self.fit_blur, lateral[:, :2],
                 phase[:, -1:]],
                axis=1,
            ).astype(float) * photons[:, None, None, None]  # fmt: skip
            slopes = np.concatenate(
                [slopes, images[:, None], np.ones_like(images)[:, None]], axis=1
            )
            bright = photons[:, None, None]
            terms = likelihood_terms(
                self.images[bead],
                bright * images + background[:, None, None],
                slopes,
                noise=self.noise,
            )
            first = self.shared + bead * self.per_bead
            place = np.empty((self.planes, self.shared + 5), int)
            place[:, : self.shared] = np.arange(self.shared)
            place[:, self.shared : -2] = first + np.arange(3)
            place[:, -2] = first + 3 + level
            place[:, -1] = first + 3 + self.levels + level
            likelihood += float(terms[0].sum())
            np.add.at(gradient, place, terms[1])
            np.add.at(information, (place[:, :, None], place[:, None, :]), terms[2])
        return likelihood, gradient, information

    def climb(self, values: np.ndarray, iterations: int) -> _Climb:
        """Follow damped Fisher scoring to a maximum."""
        likelihood, gradient, information = self.evaluate(values)
        damping, converged = 1e-2, False
        for _ in range(iterations):
            trial = self._bounded(values + _solve(information, gradient, damping))
            new = self.evaluate(trial)
            gain = new[0] - likelihood
            if gain >= 0:
                values = trial
                likelihood, gradient, information = new
                damping /= 10
            else:
                damping *= 10
            converged = abs(gain) < _SMALL_GAIN or damping > 1e6
            if converged:
                break
        return _Climb(values, likelihood, information, converged)

    def _bounded(self, values: np.ndarray) -> np.ndarray:
        low = np.full(len(values), -np.inf)
        low[self.shared - 1] = _SMALLEST_VARIANCE_NM2
        for bead in range(self.beads):
            first = self.shared + bead * self.per_bead
            low[first + 3 : first + self.per_bead] = 1e-3
        return np.maximum(values, low)

    def result(self, climb: _Climb) -> PupilRetrieval:
        """Describe a maximum."""
        values, psf = climb.values, self.psf(climb.values)
        psf = PupilPsf(psf.optics, samples=self.samples)
        z_nm = np.full(self.planes, self.bead_z_nm)
        places = [self.bead(values, bead) for bead in range(self.beads)]
        models = [
            photons[:, None, None] * psf.images(x, y, z_nm, self.shape, focus_nm=focus)
            + background[:, None, None]
            for x, y, focus, photons, background in places
        ]
        residuals = [
            (image - model) / np.sqrt(self.noise.variance_photons2(model))
            for image, model in zip(self.images, models, strict=True)
        ]
        deviations = np.sqrt(np.diag(_inverse(climb.information)))
        table = np.array([(x[0], y[0], f[0]) for x, y, f, _, _ in places]).T
        table[2] -= self.focus_nm[0]
        freedom = self.images[0].size - len(values) / self.beads
        blur_nm = float(values[self.shared - 1]) ** 0.5
        return PupilRetrieval(
            optics=psf.optics.override(blur_nm=blur_nm),
            zernike_sd_rad=deviations[: len(self.modes)],
            blur_sd_nm=float(deviations[self.shared - 1]) / (2 * blur_nm),
            modes=self.modes,
            beads=Beads(
                *table,
                photons=np.array([place[3] for place in places]),
                background_photons=np.array([place[4] for place in places]),
            ),
            models=models,
            residuals=residuals,
            correlation=np.array(
                [
                    np.corrcoef(image.ravel(), model.ravel())[0, 1]
                    for image, model in zip(self.images, models, strict=True)
                ]
            ),
            chi_square=np.array([np.sum(r**2) / freedom for r in residuals]),
            converged=climb.converged,
        )


def _checked(stacks: Sequence[np.ndarray], focus_nm: np.ndarray) -> np.ndarray:
    if not len(stacks):
        raise ValueError("at least one bead stack is needed")
    shapes = {np.shape(stack) for stack in stacks}
    if len(shapes) > 1 or len(next(iter(shapes))) != 3:
        raise ValueError(
            f"stacks must share one shape (planes, y, x), not {sorted(shapes)}"
        )
    planes = next(iter(shapes))[0]
    if planes < 3 or planes != np.size(focus_nm):
        raise ValueError(
            "a bead stack needs at least three planes and a focus_nm for each, not "
            f"{planes} planes and {np.size(focus_nm)} readings"
        )
    images = np.asarray(stacks, float)
    if not np.all(np.isfinite(images)):
        raise ValueError("stacks must be finite")
    return images


def _solve(information: np.ndarray, gradient: np.ndarray, damping: float) -> np.ndarray:
    diagonal = np.diag(information)
    scale = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    system = information * scale[:, None] * scale
    np.fill_diagonal(system, 1.0 + damping + 1e-9)
    return np.linalg.solve(system, gradient * scale) * scale


def _inverse(information: np.ndarray) -> np.ndarray:
    """Return the covariance of the estimates; nothing for what was not fitted."""
    diagonal = np.diag(information)
    scale = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    system = information * scale[:, None] * scale
    np.fill_diagonal(system, 1.0)
    free = (diagonal > 0).astype(float)
    return np.linalg.pinv(system) * np.outer(scale * free, scale * free)
