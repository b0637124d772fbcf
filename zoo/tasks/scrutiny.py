"""A network's estimates held against the optics that it was trained for."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from zoo.core.regions import Cuts
from zoo.physics.pupil import PupilOptics

if TYPE_CHECKING:
    from zoo.physics.emitter_model import EmitterModel
    from zoo.physics.fisher import PixelNoise

# The model of the emitter needs SciPy, and who only wants to know the options of a task
# does not: it is imported where it is drawn.

OUT_OF_RANGE, CROWDED, MISFIT = 1, 2, 4
"""Flags of a row; see `zoo.core.localizations.Localizations`."""

ESTIMATES = ("x_nm", "y_nm", "z_nm", "photons", "background_photons")
"""Columns that the optics speak of, in the order of `zoo.physics.emitter_model`."""
_REFINING_STEPS = 4
_ROUGH = 2.0  # times the largest misfit, that a rough estimate may have by itself


@dataclass(frozen=True, eq=False)
class Examined:
    """Estimates behind the scrutiny."""

    columns: dict[str, np.ndarray]
    """Columns of the table, missing ones filled in, (n,) each."""
    misfit: np.ndarray
    """(n,) part of an emitter's light that is left unexplained."""
    moved: np.ndarray
    """(n,) bool, whether the estimate was refined."""
    noise: np.ndarray
    """(n,) variance of the pixels beside the emitter over that of the stated camera."""


class Scrutiny:
    """Optics that estimates are held against.

    Parameters
    ----------
    optics
        What the network was trained for.
    shape
        ``(height, width)`` of the regions, px.
    z_range_nm
        Depths of the training; None if they are not stated.
    uncertainty_factor
        What bounds are multiplied by where neither network nor refinement says more.
    refine
        Whether estimates go on to the maximum of the likelihood.
    max_misfit
        Part of the light left unexplained beyond which they do not.
    noise
        Of the camera's pixels.
    """

    def __init__(
        self,
        optics: PupilOptics,
        shape: tuple[int, int],
        *,
        z_range_nm: tuple[float, float] | None,
        uncertainty_factor: float,
        refine: bool,
        max_misfit: float,
        noise: "PixelNoise",
    ) -> None:
        self._optics, self._shape = optics, shape
        self._noise = noise
        self._max_misfit = max_misfit
        self._z_range_nm = z_range_nm
        self._factor = uncertainty_factor
        self.refine = refine
        """Whether estimates go on to the maximum of the likelihood."""

    def _model(self) -> "EmitterModel":
        from zoo.physics.emitter_model import known_model

        model = known_model(self._optics, max(self._shape), self._z_range_nm)
        return model.resized(self._shape).with_noise(self._noise)

    def examine(
        self, columns: dict[str, np.ndarray], cuts: Cuts, *, pixel_nm: float
    ) -> Examined:
        """Judge estimates, refine them if asked to, and state their uncertainties.

        Parameters
        ----------
        columns
            What the network says, (n,) each; x and y from the centre of the central
            pixel, nm.
        cuts
            The regions.
        pixel_nm
            Edge of a pixel of the recording.
        """
        count = len(cuts.frame)
        if not count:
            none = np.zeros(0)
            empty = dict.fromkeys(self._stated(columns), none)
            return Examined(empty, none, np.zeros(0, bool), none)
        model = self._model()
        # the model's pixel is that of the training
        scale = self._optics.pixel_nm / pixel_nm
        middle_y, middle_x = (
            (n // 2 + 0.5) * self._optics.pixel_nm for n in self._shape
        )
        positions = np.stack(
            [
                columns["x_nm"] * scale + middle_x,
                columns["y_nm"] * scale + middle_y,
                columns["z_nm"],
            ],
            axis=1,
        )
        values = model.with_light(cuts.photons, positions, other=cuts.other)
        moved = np.zeros(count, bool)
        if self.refine:
            refined, moved = model.refine(
                cuts.photons, values, other=cuts.other, iterations=_REFINING_STEPS
            )
            # light of others leads away from the emitter, which the network has learnt
            limit = self._max_misfit
            for estimates, most in ((values, _ROUGH * limit), (refined, limit)):
                judged = model.judge(cuts.photons, estimates, other=cuts.other)
                moved &= judged.misfit <= most
            values[moved] = refined[moved]
        judged = model.judge(cuts.photons, values, other=cuts.other)
        lateral = np.array([1 / scale, 1 / scale, 1.0, 1.0, 1.0])
        ours = values * lateral - np.array(
            [middle_x / scale, middle_y / scale, 0, 0, 0]
        )
        bounds = judged.bound * lateral
        stated = dict(columns)
        for index, name in enumerate(ESTIMATES):
            uncertainty = f"uncertainty_{name}"
            estimate = columns.get(name, ours[:, index])
            deviation = columns.get(uncertainty, self._factor * bounds[:, index])
            stated[name] = np.where(moved, ours[:, index], estimate)
            stated[uncertainty] = np.where(moved, bounds[:, index], deviation)
        stated["chi_square"] = judged.chi_square
        return Examined(
            {name: stated[name] for name in self._stated(columns)},
            judged.misfit,
            moved,
            judged.dark_chi_square,
        )

    def origin(self, columns: Sequence[str]) -> str:
        """Return where stated uncertainties come from, in a few words."""
        factor = "" if self._factor == 1.0 else f", times {self._factor:g}"
        origin = f"Cramér-Rao bound at the estimate{factor}"
        if "uncertainty_x_nm" in columns:
            origin = "the network"
        if self.refine:
            return f"Cramér-Rao bound where refined, else {origin}"
        return origin

    def _stated(self, columns: dict[str, np.ndarray]) -> list[str]:
        """Return the columns of the table."""
        known = [*ESTIMATES, *(f"uncertainty_{name}" for name in ESTIMATES)]
        return [*dict.fromkeys([*columns, *known, "chi_square"])]
