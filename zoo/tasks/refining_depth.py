"""Joint fit in depth of a network's localizations, and of the optics that they show."""

from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.contract import Recording
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.physics.pupil import PupilOptics
from zoo.tasks.refining import Camera, FitOptions

if TYPE_CHECKING:
    from zoo.physics.crowd_fit_3d import DepthFits
    from zoo.physics.optics_score import Evidence, OpticsScore

# SciPy takes a while to import, and hardly any prediction is refined: what fits is
# imported where a fit begins.

BLURS_PX = (0.5, 1.25)
"""Blurs of spots in depth where a package states none, camera px."""
FAINTEST = 0.4
"""Photons of the faintest emitter of a fit, as part of the fewest of the training."""
MISFIT = (0.8, 1.25)
"""Mean squares of residuals in standard deviations outside which a fit is doubted."""
FOREIGN_RAD, FOREIGN_CHI_SQUARE = 0.12, 4.0
"""Aberrations, and their square in standard deviations by mode, above which the optics
are doubted."""
FEWEST = 30
"""Emitters without which the optics stay: fewer do not tell aberrations from depths."""
MOST_HELD_PX = 2**26
"""Pixels of frames that are held back at most until the optics are settled."""
_ROUNDS = 6  # in which the optics follow the frames
_SETTLED_RAD = 0.03  # aberrations that are not worth another round
_LARGEST_STEP_RAD = 0.3  # of a mode in a round


class DepthFitOptions(FitOptions):
    """What a user may decide about the fit of localizations in depth."""

    adapt_optics: bool = False
    """With --refine: let the fit find aberrations that all spots share and that the
    package's optics do not have, from 30 emitters on."""


class DepthRefinement:
    """Replaces localizations in depth by a joint fit with the optics of the training.

    See `zoo.physics.crowd_fit_3d`; what the frames say about the optics comes from
    `zoo.physics.optics_score`.

    Parameters
    ----------
    options
        With the camera.
    recording
        What is fitted; its pixel size is needed.
    optics
        Objective and phase mask.
    z_range_nm
        Depths of the package.
    blurs_nm
        Smallest and largest blur of a spot; `BLURS_PX` if nothing is known.
    photons
        Fewest and most of an emitter in training, if known.

    Raises
    ------
    BadInput
        If the camera is not given, or no optics are known.
    """

    def __init__(
        self,
        options: DepthFitOptions,
        recording: Recording,
        *,
        optics: PupilOptics | None,
        z_range_nm: tuple[float, float],
        blurs_nm: tuple[float, float] | None,
        photons: tuple[float, float] | None,
    ) -> None:
        if optics is None:
            raise BadInput(
                "the package states no optics under which localizations could be "
                "refined; leave out --refine"
            )
        self._camera = Camera(options)
        self._options = options
        pixel_nm = recording.pixel_size_nm["x"]
        self._optics = self._declared = optics.override(pixel_nm=pixel_nm)
        low, high = blurs_nm or tuple(blur * pixel_nm for blur in BLURS_PX)
        self._blurs_nm, self._z_range_nm = (low, high), z_range_nm
        self._fewest = FAINTEST * photons[0] if photons else 0.0
        self._before = self._after = 0
        self._misfits: list[np.ndarray] = []
        self._evidence: Evidence | None = None
        self._settled = not options.adapt_optics
        self._held: list[tuple[np.ndarray, Localizations, int]] = []

    def fitted(
        self, frames: np.ndarray, rows: Localizations, first: int
    ) -> Localizations:
        """Return the emitters of frames; as `zoo.tasks.refining.Refinement.fitted`.

        While the optics are not settled, frames are held back and nothing is returned.
        """
        from zoo.physics.crowd_fit_3d import COLUMNS
        from zoo.physics.optics_score import ENOUGH

        photons = self._camera.photons(frames)
        if self._settled:
            starts = rows.with_columns(frame=rows.frame - first)
            return self._taken(*self._fit(photons, starts), len(rows), first)
        self._held.append((photons, rows, first))
        emitters = sum(len(rows) for _, rows, _ in self._held)
        pixels = sum(photons.size for photons, _, _ in self._held)
        if emitters < ENOUGH and pixels < MOST_HELD_PX:
            return Localizations.empty(COLUMNS)
        return self.rest()

    def rest(self) -> Localizations:
        """Settle the optics on frames that were held back; return their emitters."""
        from zoo.physics.crowd_fit_3d import COLUMNS

        self._settled = True
        if not self._held:
            return Localizations.empty(COLUMNS)
        photons = np.concatenate([photons for photons, _, _ in self._held])
        rows = Localizations.concatenate([rows for _, rows, _ in self._held])
        first = self._held[0][2]
        self._held.clear()
        starts = rows.with_columns(frame=rows.frame - first)
        fits, score = self._fit(photons, starts)
        for turn in range(_ROUNDS):
            lacking = score.evidence.aberrations()
            # what noise makes of right optics would only make them worse
            begun = turn > 0 or lacking.chi_square > FOREIGN_CHI_SQUARE
            few = score.evidence.emitters < FEWEST
            if few or not begun or lacking.rms_rad < _SETTLED_RAD:
                break
            self._follow(lacking.coefficients_rad)
            fits, score = self._fit(photons, fits.emitters)
        return self._taken(fits, score, len(rows), first)

    def _taken(
        self, fits: "DepthFits", score: "OpticsScore", before: int, first: int
    ) -> Localizations:
        """Keep what fits tell; return their emitters, frames of the recording."""
        self._evidence = score.evidence
        self._before += before
        self._after += len(fits.emitters)
        self._misfits.append(fits.chi_square)
        return fits.emitters.with_columns(frame=fits.emitters.frame + first)

    def _fit(
        self, photons: np.ndarray, starts: Localizations
    ) -> "tuple[DepthFits, OpticsScore]":
        """Fit frames with the optics at hand."""
        from zoo.physics.blurred_spots import blurred_spots
        from zoo.physics.crowd_fit_3d import fit_crowds_3d
        from zoo.physics.crowd_frame_3d import DepthSettings
        from zoo.physics.optics_score import OpticsScore

        optics: Any = self._optics  # declarations of hashable fields can be hashed
        spots = blurred_spots(
            optics, z_range_nm=self._z_range_nm, blurs_nm=self._blurs_nm
        )
        middle_nm = float(np.sqrt(np.mean(np.square(self._blurs_nm))))
        score = OpticsScore(optics.override(blur_nm=middle_nm), self._evidence)
        fits = fit_crowds_3d(
            spots,
            photons,
            settings=DepthSettings(self._z_range_nm, fewest_photons=self._fewest),
            noise=self._options.noise(),
            starts=starts,
            score=score,
        )
        return fits, score

    def _follow(self, lacking_rad: np.ndarray) -> None:
        """Take up aberrations that the optics lack."""
        from zoo.physics.optics_score import aberrated

        step = lacking_rad.clip(-_LARGEST_STEP_RAD, _LARGEST_STEP_RAD)
        self._optics = aberrated(self._optics, step)

    @property
    def misfit(self) -> float:
        """Median of the frames' mean square residual in standard deviations."""
        return float(np.median(np.concatenate(self._misfits or [np.ones(1)])))

    @property
    def _taken_up(self) -> dict[str, float]:
        """Aberrations beside those of the package, rad by Zernike mode."""
        before = {(n, m): c for n, m, c in self._declared.zernikes_rad}
        return {
            f"{n},{m}": round(c - before.get((n, m), 0.0), 4)
            for n, m, c in self._optics.zernikes_rad
            if c != before.get((n, m), 0.0)
        }

    def warnings(self) -> list[str]:
        """Say when the fit does not explain the frames, or other optics would."""
        warnings: list[str] = []
        low, high = MISFIT
        if not low <= self.misfit <= high:
            warnings.append(
                f"the fit leaves {self.misfit:.2f} times the expected noise (1 if "
                f"optics and camera are right, here {low:g} to {high:g}): check "
                "--offset-adu, --photons-per-adu and the phase mask, or leave out "
                "--refine"
            )
        taken_up = float(np.linalg.norm(list(self._taken_up.values())))
        if taken_up > FOREIGN_RAD:
            warnings.append(
                f"the fit took up aberrations of {taken_up:.2f} rad that the package's "
                "optics do not have; depths may still be shifted or scaled together, "
                "which only beads tell: zoo calibrate, and train on its optics"
            )
        lacking = self._evidence and self._evidence.aberrations()
        if (
            lacking
            and lacking.rms_rad > FOREIGN_RAD
            and lacking.chi_square > FOREIGN_CHI_SQUARE
        ):
            remedy = (
                "they could not be taken up, leave out --adapt-optics"
                if self._options.adapt_optics
                else "let the fit take them up with --adapt-optics"
            )
            warnings.append(
                f"the spots have aberrations of about {lacking.rms_rad:.2f} rad that "
                f"the package's optics do not have, and depths will be off: {remedy}, "
                "or calibrate with beads (zoo calibrate) and train on its optics"
            )
        return warnings

    def report(self) -> dict[str, Any]:
        """Return what was assumed, and localizations before and behind the fit."""
        counts = {"network": self._before, "fit": self._after}
        refined: dict[str, Any] = counts | {"chi_square": round(self.misfit, 3)}
        if self._evidence is not None and self._evidence.emitters:
            lacking = self._evidence.aberrations()
            refined["lacking_aberrations_rad"] = round(lacking.rms_rad, 3)
        if self._taken_up:
            refined["aberrations_rad"] = self._taken_up
        options = {"adapt_optics": self._options.adapt_optics}
        return {"options": self._camera.report() | options, "refined": refined}
