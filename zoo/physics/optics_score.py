"""Whether frames come from the optics that emitters were fitted with: a score test.

At the maximum of a likelihood, small changes of what was held fixed still have slopes:
those of the aberrations that all spots of a recording share.  Their slopes, less what
emitters and background would take up, estimate the aberrations that the fit lacks in
one step, with errors (Rao 1948, doi:10.1017/S0305004100023987; as phase retrieval does
in many steps, Hanser et al. 2004, doi:10.1111/j.0022-2720.2004.01393.x).
"""

from typing import NamedTuple

import numpy as np

from zoo.physics.blurred_spots import REACH_PX
from zoo.physics.crowd_frame_3d import DepthFrameFit
from zoo.physics.frame_parts import overlaps
from zoo.physics.normal_equations import solved
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.zernike import ABERRATIONS

MODES = (*ABERRATIONS, (4, 4), (4, -4))
"""Aberrations that are estimated; tilt and defocus are positions of the emitters."""
ENOUGH = 150
"""Emitters after which no more are looked at."""
_PRIOR_RAD = 0.5  # deviation of each mode before anything is seen
_SAMPLES = 96  # points along the pupil, as the fit has
_NOT_SINGULAR = 1e-6


class Aberrations(NamedTuple):
    """Aberrations that a fit lacks, as far as one step tells."""

    coefficients_rad: np.ndarray
    """(modes,) of `MODES`."""
    uncertainties_rad: np.ndarray
    """(modes,) standard deviations."""
    chi_square: float
    """Square of the coefficients in standard deviations, by mode; one of mere noise."""

    @property
    def rms_rad(self) -> float:
        """Root mean square over the pupil, less what noise alone makes; rad."""
        power = self.coefficients_rad**2 - self.uncertainties_rad**2
        return float(np.sqrt(max(power.sum(), 0.0)))


class Evidence(NamedTuple):
    """What frames have said about aberrations, beside those of the optics at hand."""

    gradient: np.ndarray
    """(modes,) of the log-likelihood."""
    fisher: np.ndarray
    """(modes, modes) information, what emitters and background take up left out."""
    emitters: int
    """Number of emitters that were looked at."""

    @classmethod
    def none(cls) -> "Evidence":
        """Return what is known beforehand: aberrations are small."""
        return cls(np.zeros(len(MODES)), np.eye(len(MODES)) / _PRIOR_RAD**2, 0)

    def aberrations(self) -> Aberrations:
        """Return the aberrations that are lacking."""
        covariance = np.linalg.inv(self.fisher)
        found = covariance @ self.gradient
        return Aberrations(
            found,
            np.sqrt(np.diagonal(covariance)),
            float(found @ self.gradient) / len(MODES),
        )


class OpticsScore:
    """Collects from fits what they say about the optics.

    Parameters
    ----------
    optics
        Of the fits, with the blur of an average emitter.
    evidence
        Of other frames, beside these optics.
    """

    def __init__(self, optics: PupilOptics, evidence: Evidence | None = None) -> None:
        self._psf = PupilPsf(optics, samples=_SAMPLES, dtype=np.float32)
        self._basis = self._psf.zernike_basis(MODES)
        self.evidence = Evidence.none() if evidence is None else evidence
        """Of all frames so far."""

    def add(self, fit: DepthFrameFit) -> None:
        """Look at the residuals of a fit that has come to its end."""
        model = fit.model
        if not len(model.values) or self.evidence.emitters >= ENOUGH:
            return
        changes = self._changes(fit)
        weighted = changes * (fit.per_photon**2 / model.mean).astype(np.float32)
        residual = (fit.per_photon * (fit.data / model.mean - 1)).astype(np.float32)
        gradient, fisher = fit.slopes()
        own = np.concatenate([model.slopes, fit.surfaces])
        crossed = (weighted @ own.T).astype(float)
        # what emitters and background would take up of both
        taken = solved(fisher, np.column_stack([crossed.T, gradient]), _NOT_SINGULAR)
        score = (changes @ residual).astype(float) - crossed @ taken[:, -1]
        within = (weighted @ changes.T).astype(float) - crossed @ taken[:, :-1]
        before = self.evidence
        self.evidence = Evidence(
            before.gradient + score,
            before.fisher + within,
            before.emitters + len(model.values),
        )

    def _changes(self, fit: DepthFrameFit) -> np.ndarray:
        """Return (modes, pixels) changes of the expected photons per rad."""
        pixel, edge = self._psf.pixel_nm, 2 * REACH_PX + 1
        values = fit.model.values
        first = np.floor(values[:, :2]).astype(int) - REACH_PX
        inside = (values[:, :2] - first) * pixel
        total = np.zeros((len(MODES), *fit.shape), np.float32)
        windows = overlaps(first, edge, fit.shape)
        for row, (there, here) in enumerate(windows):
            own = slice(row, row + 1)
            slopes, _ = self._psf.optics_derivatives(
                inside[own, 0],
                inside[own, 1],
                values[own, 2],
                (edge, edge),
                basis=self._basis,
            )
            part = slopes[(0, slice(None), *here)]
            total[(slice(None), *there)] += np.float32(values[row, 3]) * part
        return total.reshape(len(MODES), -1)


def aberrated(
    optics: PupilOptics,
    coefficients_rad: np.ndarray,
    *,
    modes: tuple[tuple[int, int], ...] = MODES,
) -> PupilOptics:
    """Return optics with further aberrations, (modes,) rounded to 0.1 mrad."""
    total = {(n, m): weight for n, m, weight in optics.zernikes_rad}
    for mode, weight in zip(modes, coefficients_rad, strict=True):
        total[mode] = total.get(mode, 0.0) + round(float(weight), 4)
    return optics.override(zernikes_rad=tuple((*mode, w) for mode, w in total.items()))
