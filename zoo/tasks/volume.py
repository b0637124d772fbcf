"""Volumes of emitters from frames of engineered spots: localizations x, y and z.

DeepSTORM3D (Nehme et al. 2020, doi:10.1038/s41592-020-0853-5) turns one frame into a
volume of many planes; see `zoo.tasks.volume_parts` for how it is taken.
"""

import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from zoo.core.config import is_left_out
from zoo.core.contract import Contract, Options, Recording, Task
from zoo.core.errors import BadInput, BadPackage
from zoo.core.extras import require
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.processing import Operation
from zoo.physics.pupil import PupilOptics
from zoo.physics.spot_symmetry import same_flips
from zoo.tasks.peaks import find_peaks
from zoo.tasks.refining_depth import DepthFitOptions, DepthRefinement
from zoo.tasks.rendering import RenderOptions
from zoo.tasks.uncertainty import UNCALIBRATED, Errors, fit_errors
from zoo.tasks.volume_parts import LocalizingVolumes


class VolumeOptions(DepthFitOptions, RenderOptions):
    """What a user may decide about localizations in a volume."""

    threshold: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Smallest accepted response, as a fraction of an ideal isolated emitter's; the
    package's own by default, three fifths of it as starts of --refine."""
    looks: int | None = Field(default=None, ge=1, le=4)
    """Flips of every frame that the network is shown, where the spots are their own
    mirror images; the volume is the mean.  As many times as slow; as many as the
    package was measured with, unless told otherwise."""
    volume: bool = False
    """Also write the network's own output, summed over all frames, as volume.ome.tif:
    a stack along z with its distances."""
    volume_format: Literal["tiff", "zarr"] = "tiff"
    """How: tiff, or zarr for volume.ome.zarr, which implies --volume (extra zarr)."""


class Volume(Task):
    """A network that draws the emitters of a frame as spikes in planes of depth."""

    options: ClassVar[type[Options]] = VolumeOptions
    needs_pixel_size: ClassVar[bool] = True
    tags: ClassVar[tuple[str, ...]] = ("image-reconstruction", "localization", "3d")
    title: ClassVar[str] = "three-dimensional single-molecule localization"
    texts: ClassVar[tuple[str, str]] = (
        "Camera frame, counts",
        "Density of emitters on the fine grid, plane by plane of depth",
    )
    output_name: ClassVar[str] = "density"
    files: ClassVar[tuple[str, ...]] = (
        "localizations.csv",
        "reconstruction.ome.tif",
        "volume.ome.tif",
        "volume.ome.zarr",
    )

    kind: Literal["volume"] = "volume"
    threshold: float = Field(default=0.1, gt=0)
    """Fraction of `ideal_peak` that the peak of a localization must exceed."""
    ideal_peak: float = Field(default=800.0, gt=0)
    """Output of the network at the peak of an ideal isolated emitter."""
    radius: int = Field(default=4, ge=1)
    """Fine pixels and planes around a peak within which nothing is larger, and whose
    centre of gravity is the position."""
    z_first_nm: float = 0.0
    """Depth of the centre of the first plane, nm."""
    z_step_nm: float = Field(default=50.0, gt=0)
    """Distance of planes, nm."""
    spot_px: int = Field(default=32, ge=1)
    """Edge of the largest spot of the training, camera px: smaller frames are
    refused."""
    optics: PupilOptics | None = None
    """Objective, pixel and phase mask under which the network was trained."""
    looks: int | None = Field(default=None, ge=1, le=4, exclude_if=is_left_out)
    """Flips of every frame, itself among them, whose volumes are averaged, as far as
    spots keep their shape in them; 1 if left out."""
    blurs_nm: tuple[float, float] | None = Field(default=None, exclude_if=is_left_out)
    """Smallest and largest blur of a spot in training, between which a fit finds it;
    not known if left out."""
    errors: Errors | None = None
    """Errors of localizations along x and y by the spread of the response, fine px;
    none are stated if left out."""
    errors_z: Errors | None = None
    """The same along depth, planes."""

    def start(
        self, recording: Recording, contract: Contract, options: Options
    ) -> LocalizingVolumes:
        """Begin to localize; see `zoo.core.contract.Task.start`."""
        grid = contract.grid
        if not grid.planes or grid.space != "yx" or len(grid.outputs) > 1:
            raise BadPackage(
                "a volume of emitters is one channel along z, y and x of a frame along "
                f"y and x, not {len(grid.outputs)} along "
                f"{', '.join(grid.output_space) or 'nothing'} of {grid.space}"
            )
        if len(recording.groups) > 1:
            raise BadInput(
                f"{recording.source} has {len(recording.groups)} channels, "
                "localizations are made of one; select one and save it alone"
            )
        small = min(recording.sizes["y"], recording.sizes["x"])
        if small < self.spot_px:
            raise BadInput(
                f"{recording.source} has frames with a side of {small} px, smaller "
                f"than a spot of the phase mask; give {self.spot_px} px or more"
            )
        chosen = options if isinstance(options, VolumeOptions) else VolumeOptions()
        if chosen.volume_format == "zarr":
            require("zarr")
        gaussian = chosen.render == "gaussian"
        if gaussian and self.errors is None and not chosen.refine:
            raise BadInput(
                "the package states no uncertainties, of which --render gaussian would "
                "draw; leave it out or give --refine"
            )
        views = same_flips(self.optics)
        if chosen.looks is not None and chosen.looks > len(views):
            raise BadInput(
                f"{chosen.looks} looks need spots that are their own mirror images; "
                f"those of this package allow {len(views)}, ask for no more"
            )
        looks = chosen.looks or self.looks or 1
        refinement = None
        if chosen.adapt_optics and not chosen.refine:
            raise BadInput(
                "--adapt-optics is a part of the fit; give --refine with it, or leave "
                "it out"
            )
        if chosen.refine:
            refinement = DepthRefinement(
                chosen,
                recording,
                optics=self.optics,
                z_range_nm=self.z_range_nm(grid.planes),
                blurs_nm=self.blurs_nm,
                photons=contract.training.get("photons"),
            )
        return LocalizingVolumes(
            self, recording, contract, chosen, views[:looks], refinement
        )

    def z_range_nm(self, planes: int) -> tuple[float, float]:
        """Return the lowest and the highest depth of a volume, nm."""
        low = self.z_first_nm - self.z_step_nm / 2
        return low, low + planes * self.z_step_nm

    def margin(self, grid: Grid) -> int:
        """Return the px beyond a tile that its peaks need; see `Task.margin`."""
        return math.ceil(self.radius / grid.scale("x"))

    def uncalibrated(self) -> Self:
        """Return the task with spreads in the place of errors."""
        raw = {"errors": UNCALIBRATED, "errors_z": UNCALIBRATED}
        return self.model_copy(update=raw)

    def calibration(
        self,
        spread: Mapping[str, np.ndarray],
        error: Mapping[str, np.ndarray],
        weight: np.ndarray,
    ) -> dict[str, Any]:
        """Return errors by spread; see `zoo.core.contract.Task.calibration`.

        Emitters farther away than `radius` are others, whose distance is no error.
        """
        fields = {"uncertainty_nm": "errors", "uncertainty_z_nm": "errors_z"}
        near = np.ones(len(weight), bool)
        for off in error.values():
            near &= np.abs(off.reshape(len(off), -1)).max(axis=1) <= self.radius
        return {
            field: fitted
            for column, field in fields.items()
            if column in spread
            and (
                fitted := fit_errors(
                    spread[column][near], error[column][near], weight[near]
                )
            )
        }

    def postprocessing(self, grid: Grid) -> tuple[Operation, ...]:
        """Return no step: the network itself clips its volume."""
        del grid
        return ()

    def products(self, grid: Grid) -> str:
        """Return what is written, in a few words."""
        return f"localizations x, y, z; {grid.scale('x')}x finer volume"

    def localize(
        self, volume: np.ndarray, *, pixel_nm: float, threshold: float | None = None
    ) -> tuple[Localizations, tuple[np.ndarray, ...]]:
        """Find the emitters of one volume: local maxima and their centres of gravity.

        A voxel is an emitter if it exceeds the threshold and nothing within `radius`
        voxels along each axis is larger.  Plane ``k`` has its centre at ``z_first_nm +
        k * z_step_nm``, fine pixel ``j`` at ``(j + 1/2) * pixel_nm``: there is no
        further shift (the published one of two fine pixels belongs to labels that were
        drawn so).

        Parameters
        ----------
        volume : (z, y, x) float
            Output of the network.
        pixel_nm
            Edge of a fine pixel.
        threshold
            As the field; the package's own if left out.

        Returns
        -------
        rows
            ``x_nm y_nm z_nm response``, ``uncertainty_nm`` and ``uncertainty_z_nm``
            where errors are known, plane by plane; the response is the sum around the
            peak over `ideal_peak`.
        place
            (z, y, x) of (n,) voxels of the peaks.

        Examples
        --------
        >>> volume = np.zeros((9, 16, 16))
        >>> volume[3, 8, 5], volume[4, 8, 5] = 600.0, 200.0
        >>> task = Volume(z_first_nm=25.0)
        >>> rows, _ = task.localize(volume, pixel_nm=27.5)
        >>> rows.x_nm.tolist(), rows.y_nm.tolist(), rows.z_nm.tolist()
        ([151.25], [233.75], [187.5])
        """
        share = self.threshold if threshold is None else threshold
        window = (2 * self.radius + 1,) * 3
        peaks = find_peaks(
            volume[None],
            level=share * self.ideal_peak,
            windows=window,
            centroids=window,
        )
        z, y, x = peaks.centre
        columns = {
            "x_nm": x * pixel_nm,
            "y_nm": y * pixel_nm,
            "z_nm": self.z_first_nm + (z - 0.5) * self.z_step_nm,
            "response": peaks.mass / self.ideal_peak,
        }
        if self.errors is not None:
            spread = np.sqrt((peaks.variance[1] + peaks.variance[2]) / 2)
            columns["uncertainty_nm"] = self.errors.at(spread) * pixel_nm
        if self.errors_z is not None:
            spread = np.sqrt(peaks.variance[0])
            columns["uncertainty_z_nm"] = self.errors_z.at(spread) * self.z_step_nm
        return Localizations(**columns), peaks.place
