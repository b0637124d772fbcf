"""Volumes of emitters from frames of engineered spots: localizations x, y and z.

DeepSTORM3D (Nehme et al. 2020, doi:10.1038/s41592-020-0853-5) turns one frame into a
volume of many planes, which for a large field would not fit into the memory.  Peaks are
therefore looked for tile by tile, and no volume is ever put together unless its sum
over all frames is wanted.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from zoo.core.config import is_left_out
from zoo.core.contract import Contract, Options, Recording, Task
from zoo.core.errors import BadInput, BadPackage
from zoo.core.extras import require
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.parts import Part
from zoo.core.processing import Operation
from zoo.core.products import Image, Panel, Product, Table
from zoo.core.symmetry import Symmetry
from zoo.physics.pupil import PupilOptics
from zoo.physics.spot_symmetry import same_flips
from zoo.tasks.conditions import fine_sizes_nm, pixel_size_warnings
from zoo.tasks.localization import add_gaussians, add_histogram
from zoo.tasks.peaks import find_peaks
from zoo.tasks.refining import DepthRefinement, FitOptions
from zoo.tasks.rendering import Rendering, RenderOptions
from zoo.tasks.uncertainty import UNCALIBRATED, Errors, fit_errors

STARTS = 0.6
"""Part of the usual threshold from which peaks are starts of a fit, which takes out
what is no emitter."""
IN_MEMORY = 2**28
"""Bytes from which a sum of volumes is kept in a temporary file."""


class VolumeOptions(FitOptions, RenderOptions):
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
    ) -> "_Localizing":
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
        if chosen.refine:
            refinement = DepthRefinement(
                chosen,
                recording,
                optics=self.optics,
                z_range_nm=self.z_range_nm(grid.planes),
                blurs_nm=self.blurs_nm,
                photons=contract.training.get("photons"),
            )
        return _Localizing(self, recording, contract, chosen, views[:looks], refinement)

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


_MEANING = {
    "histogram": "Localizations of all depths per pixel, all frames",
    "gaussian": "Localizations of all depths as Gaussians of their uncertainty, "
    "all frames",
}


class _Localizing:
    """Localizations under way; a `zoo.core.parts.RunningParts`."""

    def __init__(
        self,
        task: Volume,
        recording: Recording,
        contract: Contract,
        options: VolumeOptions,
        views: Sequence[Symmetry],
        refinement: DepthRefinement | None,
    ) -> None:
        self.views, self._refinement = views, refinement
        self._task, self._recording, self._contract = task, recording, contract
        self._options = options
        usual = task.threshold * (STARTS if refinement else 1.0)
        self._threshold = options.threshold or usual
        grid = contract.grid
        self._pixel_nm = fine_sizes_nm(recording, contract) | {"z": task.z_step_nm}
        camera_nm = self._pixel_nm["x"] * grid.scale("x")
        self._z_range_nm = task.z_range_nm(grid.planes or 1)
        sizes = grid.output_size(recording.sizes)
        self._shape = tuple(sizes[letter] for letter in "zyx")
        self._rendering = Rendering(
            recording.sizes,
            pixel_nm=camera_nm,
            z_range_nm=self._z_range_nm,
        )
        self._image = np.zeros(self._shape[1:], np.float32)
        summed = options.volume or options.volume_format == "zarr"
        self._sum = _zeros(self._shape) if summed else None
        self._input = np.zeros((recording.sizes["y"], recording.sizes["x"]))
        self._frames = self._rows = self._outermost = 0

    def add(
        self, frames: np.ndarray, output: np.ndarray, first: int
    ) -> Iterator[Product]:
        """Localize in whole volumes."""
        whole = tuple(slice(0, n) for n in self._shape)
        parts = (Part(i, (0, 0, 0), whole, v) for i, v in enumerate(output))
        return self.add_parts(frames, parts, first)

    def add_parts(
        self, frames: np.ndarray, parts: Iterable[Part], first: int
    ) -> Iterator[Product]:
        """Localize in volumes that come in parts."""
        self._input += frames.sum(axis=0, dtype=float).mean(axis=-1)
        self._frames += len(frames)
        rows = [Localizations.empty(self._columns)]
        for part in parts:
            values = part.values[..., 0]
            found, place = self._task.localize(
                values, pixel_nm=self._pixel_nm["x"], threshold=self._threshold
            )
            # each peak belongs to the one part that keeps its voxel
            kept = np.ones(len(found), bool)
            for where, span in zip(place, part.kept, strict=True):
                kept &= (where >= span.start) & (where < span.stop)
            ends = (place[0] == 0) | (place[0] == self._shape[0] - 1)
            self._outermost += int(np.count_nonzero(ends & kept))
            _, y, x = part.start  # planes are never cut
            moved = found.with_columns(
                x_nm=found.x_nm + x * self._pixel_nm["x"],
                y_nm=found.y_nm + y * self._pixel_nm["y"],
                frame=np.full(len(found), first + part.frame + 1),
            )
            rows.append(moved.select(kept))
            if self._sum is not None:
                inside = tuple(
                    slice(span.start + begin, span.stop + begin)
                    for span, begin in zip(part.kept, part.start, strict=True)
                )
                self._sum[inside] += values[part.kept]
        table = Localizations.concatenate(rows)
        order = np.argsort(table.frame, kind="stable")
        table = table.select(order)
        if self._refinement is not None:
            table = self._refinement.fitted(frames, table, first)
        self._rows += len(table)
        gaussian = self._options.render == "gaussian"
        draw = add_gaussians if gaussian else add_histogram
        draw(self._image, table, pixel_nm=self._pixel_nm["x"])
        self._rendering.add(table)
        yield Table("localizations", table)

    @property
    def _columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        task = self._task
        stated = ("uncertainty_nm",) * (task.errors is not None)
        stated += ("uncertainty_z_nm",) * (task.errors_z is not None)
        return ("x_nm", "y_nm", "frame", "z_nm", "response", *stated)

    def finish(self) -> Iterator[Product]:
        """Yield the image of the table and, if wanted, the sum of all volumes."""
        yield Image(
            "reconstruction",
            self._image,
            "yx",
            pixel_size_nm=self._pixel_nm,
            description=_MEANING[self._options.render],
        )
        if self._sum is not None:
            yield Image(
                "volume",
                self._sum,
                "zyx",
                pixel_size_nm=self._pixel_nm,
                description="Output of the network, summed over all frames; the first "
                f"plane lies at {self._task.z_first_nm:g} nm",
                stored=self._options.volume_format,
            )

    def warnings(self) -> list[str]:
        """Return what a user should know about the localizations."""
        warnings = pixel_size_warnings(
            self._recording,
            self._contract,
            "depths and numbers of emitters will be wrong, or train for this pixel "
            "size",
        )
        if not self._rows:
            warnings.append(
                "no localizations were found; check the threshold, and that the "
                "microscope has the phase mask of the training"
            )
        elif self._outermost > max(10, 0.1 * self._rows):
            warnings.append(
                f"{self._outermost} of {self._rows} localizations lie in the first or "
                "last plane: emitters beyond the depths of the training are drawn there"
            )
        if self._refinement is not None:
            warnings += self._refinement.warnings()
        return warnings

    def report(self) -> dict[str, Any]:
        """Return the number of localizations and the settings that found them."""
        task = self._task
        report: dict[str, Any] = {
            "localizations": self._rows,
            "in_outermost_planes": self._outermost,
            "z_range_nm": list(self._z_range_nm),
            "options": {
                "threshold": self._threshold,
                "threshold_value": self._threshold * task.ideal_peak,
                "radius": task.radius,
                "looks": len(self.views),
                "render": self._options.render,
            },
        }
        if self._refinement is not None:
            fit = self._refinement.report()
            report["options"] |= fit.pop("options")
            report |= fit
            report["uncertainty"] = {"origin": "bound of the fit"}
        elif task.errors is not None:
            report["uncertainty"] = {
                "origin": "spread of the response, calibrated on simulated frames"
            }
        return report

    def preview(self) -> list[Panel]:
        """Show the mean frame and the localizations, coloured by depth."""
        mean = (self._input / max(self._frames, 1)).astype(np.float32)
        before = "input" if self._frames == 1 else f"mean of {self._frames} frames"
        title = f"{self._rows} localizations"
        return [Panel(mean, before), self._rendering.panel(title)]


def _zeros(shape: tuple[int, ...]) -> np.ndarray:
    """Return zeros in the memory or, where they are many, in a nameless file."""
    size = 4 * math.prod(shape)
    if size < IN_MEMORY:
        return np.zeros(shape, np.float32)
    with tempfile.TemporaryFile(prefix="zoo-volume-") as file:
        file.truncate(size)
        return np.memmap(file, np.float32, "r+", shape=shape)
