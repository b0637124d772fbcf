"""Joint fit of a network's localizations to the frames that they were found in."""

from typing import TYPE_CHECKING, Any

import numpy as np
from pydantic import Field

from zoo.core.contract import Options, Recording
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations

if TYPE_CHECKING:
    from zoo.physics.fisher import PixelNoise

# SciPy takes a while to import, and hardly any prediction is refined: what fits is
# imported where a fit begins.


class FitOptions(Options):
    """What a user may decide about a fit, whatever the spots."""

    refine: bool = False
    """Fit what was found to the frames by maximum likelihood."""
    offset_adu: float | None = Field(default=None, ge=0, allow_inf_nan=False)
    """Counts of a dark pixel, 0 where the recording holds photons."""
    photons_per_adu: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Photons per count, 1 where the recording holds photons."""
    excess_noise: float = Field(default=1.0, ge=1, le=2)
    """Variance of a count in photons over its mean: 2 for an EM-CCD, else 1."""

    def noise(self) -> "PixelNoise":
        """Return the noise of the camera's pixels, in photons."""
        from zoo.physics.fisher import PixelNoise

        return PixelNoise(excess=self.excess_noise)


class RefineOptions(FitOptions):
    """What a user may decide about the fit of localizations in a plane."""

    sigma_nm: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Standard deviation of a spot, nm, which a joint fit of crowds needs to know."""


class Refinement:
    """Replaces localizations of consecutive frames by a joint fit of all emitters.

    The fit starts from the localizations, adds emitters that it misses, and takes out
    what the frame does not support; see `zoo.physics.crowd_fit`.

    Parameters
    ----------
    options
        With a width of the spots.
    recording
        What is fitted; its pixel size is needed.

    Raises
    ------
    BadInput
        If width or camera are not given, or frames have planes of depth.
    """

    def __init__(self, options: RefineOptions, recording: Recording) -> None:
        if options.sigma_nm is None:
            raise BadInput(
                "--refine fits spots of a known width; give their standard deviation "
                "with --sigma-nm"
            )
        self._camera = Camera(options)
        if set(recording.sizes) != {"y", "x"}:
            raise BadInput(
                "--refine fits spots in single images, not in planes of depth; leave "
                "it out"
            )
        from zoo.physics.spots import GaussianPsf

        self._options = options
        self._psf = GaussianPsf(
            pixel_nm=recording.pixel_size_nm["x"], sigma_x_nm=options.sigma_nm
        )
        self._before = self._after = 0

    def fitted(
        self, frames: np.ndarray, rows: Localizations, first: int
    ) -> Localizations:
        """Return the emitters of frames.

        Parameters
        ----------
        frames
            (t, y, x, c) counts, of which the first channel is fitted.
        rows
            Localizations of these frames.
        first
            Number of the first frame, from 0.
        """
        from zoo.physics.crowd_fit import fit_crowds

        starts = rows.with_columns(frame=rows.frame - first)
        table = fit_crowds(
            self._psf,
            self._camera.photons(frames),
            noise=self._options.noise(),
            starts=starts,
        )
        self._before += len(rows)
        self._after += len(table)
        return table.with_columns(frame=table.frame + first)

    def report(self) -> dict[str, Any]:
        """Return what was assumed, and localizations before and behind the fit."""
        options = self._camera.report() | {"sigma_nm": self._options.sigma_nm}
        counts = {"network": self._before, "fit": self._after}
        return {"options": options, "refined": counts}


class Camera:
    """Turns counts into photons.

    Raises
    ------
    BadInput
        If nobody says how.
    """

    def __init__(self, options: FitOptions) -> None:
        if options.offset_adu is None or options.photons_per_adu is None:
            raise BadInput(
                "--refine weighs pixels by their noise, which follows from photons; "
                "give --offset-adu and --photons-per-adu, 0 and 1 for photons"
            )
        self._options = options
        self._offset_adu = options.offset_adu
        self._photons_per_adu = options.photons_per_adu

    def photons(self, frames: np.ndarray) -> np.ndarray:
        """Return (t, y, x) photons of the first channel of (t, y, x, c) counts."""
        return (frames[..., 0].astype(float) - self._offset_adu) * self._photons_per_adu

    def report(self) -> dict[str, Any]:
        """Return what was assumed."""
        names = ("refine", "offset_adu", "photons_per_adu", "excess_noise")
        return {name: getattr(self._options, name) for name in names}
