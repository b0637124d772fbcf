"""Density of emitters on a finer grid: localizations and their image."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from zoo.core.contract import Contract, Options, Recording, Task
from zoo.core.errors import BadInput, BadPackage
from zoo.core.grid import Grid
from zoo.core.processing import Operation
from zoo.core.products import Image, Movie, Panel, Product, Table
from zoo.tasks.conditions import fine_sizes_nm, pixel_size_warnings
from zoo.tasks.crowding import Crowding
from zoo.tasks.light import Light, LightOptions, Unit
from zoo.tasks.localization import add_gaussians, add_histogram, localize
from zoo.tasks.refining import Refinement, RefineOptions
from zoo.tasks.rendering import RenderOptions
from zoo.tasks.uncertainty import UNCALIBRATED, Errors, fit_errors


class DensityOptions(LightOptions, RefineOptions, RenderOptions):
    """What a user may decide about localizations."""

    threshold: float | None = Field(default=None, gt=0, allow_inf_nan=False)
    """Smallest accepted response, as a fraction of an ideal isolated emitter's; the
    package's own by default."""
    density: bool = False
    """Also write the network's own output, summed over all frames, as
    density.ome.tif."""
    picasso: bool = False
    """Write localizations of a movie for Picasso, too: HDF5 and YAML."""


class Density(Task):
    """A network that draws emitters as spikes, in a plane or in planes of depth."""

    options: ClassVar[type[Options]] = DensityOptions
    needs_pixel_size: ClassVar[bool] = True
    tags: ClassVar[tuple[str, ...]] = ("image-reconstruction", "localization")
    title: ClassVar[str] = "single-molecule localization"
    texts: ClassVar[tuple[str, str]] = (
        "Camera frame, counts",
        "Density of emitters on the fine grid",
    )
    output_name: ClassVar[str] = "density"
    files: ClassVar[tuple[str, ...]] = (
        "localizations.csv",
        "reconstruction.ome.tif",
        "density.ome.tif",
        "localizations.hdf5",
        "localizations.yaml",
    )

    kind: Literal["density"] = "density"
    threshold: float = Field(default=0.2, gt=0)
    """Fraction of `ideal_peak` that a localization must exceed."""
    ideal_peak: float = Field(default=1.0, gt=0)
    """Output of the network at the peak of an ideal isolated emitter."""
    window_px: int = Field(default=3, ge=1)
    """Window of a local maximum, px of the fine grid, odd."""
    centroid_px: int | None = Field(default=None, ge=1)
    """Window of the centre of gravity, px of the fine grid, odd; `window_px` if left
    out."""
    crowding: Crowding | None = None
    """How the response is shared out where emitters crowd, in the place of the window
    of the centre of gravity; only in a plane."""
    window_planes: int | None = Field(default=None, ge=1)
    """Height of both windows along depth, planes, odd; as along y and x if left out."""
    z_first_nm: float | None = None
    """Depth of the centre of the first plane of the output, nm."""
    z_step_nm: float | None = Field(default=None, gt=0)
    """Distance of planes of depth in the output, nm; that of the recording's planes,
    refined, if left out."""
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
        if grid.output_space not in ("yx", "zyx") or len(grid.outputs) > 1:
            raise BadPackage(
                "a density of emitters is one channel along y and x, perhaps z, not "
                f"{len(grid.outputs)} along {', '.join(grid.output_space) or 'nothing'}"
            )
        if self.z_step_nm is None and grid.planes:
            raise BadPackage(
                f"the package states no z_step_nm for the {grid.planes} planes of "
                "depth in its output"
            )
        if self.crowding is not None and "z" in grid.output_space:
            raise BadPackage(
                "the package shares its density out in a plane (crowding), and its "
                "output has planes of depth"
            )
        if len(recording.groups) > 1:
            raise BadInput(
                f"{recording.source} has {len(recording.groups)} channels, "
                "localizations are made of one; select one and save it alone"
            )
        threshold: float | None = getattr(options, "threshold", None)
        chosen = options if isinstance(options, DensityOptions) else DensityOptions()
        gaussian = chosen.render == "gaussian"
        if gaussian and self.errors is None and not chosen.refine:
            raise BadInput(
                "the package states no uncertainties, of which --render gaussian would "
                "draw; leave it out or give --refine"
            )
        return _Localizing(
            self,
            recording,
            contract,
            self.threshold if threshold is None else threshold,
            density=chosen.density,
            gaussian=gaussian,
            picasso=chosen.picasso,
            refinement=Refinement(chosen, recording) if chosen.refine else None,
            light=_light(recording, contract, chosen),
        )

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
        """Return errors by spread; see `zoo.core.contract.Task.calibration`."""
        fields = {"uncertainty_nm": "errors", "uncertainty_z_nm": "errors_z"}
        return {
            field: fitted
            for column, field in fields.items()
            if column in spread
            and (
                fitted := fit_errors(
                    spread[column],
                    error[column],
                    weight,
                    response=spread.get("response") if field == "errors" else None,
                )
            )
        }

    def postprocessing(self, grid: Grid) -> tuple[Operation, ...]:
        """Return the removal of negative densities."""
        del grid
        return ({"id": "clip", "kwargs": {"min": 0.0, "max": 1e6}},)

    def products(self, grid: Grid) -> str:
        """Return what is written, in a few words."""
        depth = ", z" if "z" in grid.output_space else ""
        return f"{grid.scale('x')}x finer density; localizations x, y{depth}"


def _light(
    recording: Recording, contract: Contract, options: DensityOptions
) -> Light | None:
    """Return what measures localizations, where spots in a plane can be measured."""
    flat = contract.grid.output_space == "yx" and set(recording.sizes) == {"y", "x"}
    if not (options.light and flat):
        return None
    return Light(
        recording,
        contract,
        Unit(options.offset_adu, options.photons_per_adu),
        sigma_nm=options.sigma_nm,
        own_widths=not options.refine,
    )


_MEANING = {
    "reconstruction": "Localizations per pixel, all frames",
    "gaussian": "Localizations as Gaussians of their uncertainty, all frames",
    "density": "Output of the network, summed over all frames",
}


class _Localizing:
    """Localizations under way; a `zoo.core.contract.Running`."""

    def __init__(
        self,
        task: Density,
        recording: Recording,
        contract: Contract,
        threshold: float,
        *,
        density: bool,
        gaussian: bool,
        picasso: bool,
        refinement: Refinement | None,
        light: Light | None,
    ) -> None:
        self._task, self._recording, self._contract = task, recording, contract
        self._keep_density, self._gaussian = density, gaussian
        self._threshold, self._refinement = threshold, refinement
        self._light = light
        self._pixel_nm = fine_sizes_nm(recording, contract)
        deep = "z" in contract.grid.output_space
        self._axes = "zyx" if deep else "yx"
        if deep:
            step = task.z_step_nm or self._pixel_nm.get("z")
            if step is None:
                raise BadInput(
                    f"{recording.source} states no distance of its planes, which "
                    "depths need; save it with a z step"
                )
            self._pixel_nm["z"] = step
        else:
            self._pixel_nm.pop("z", None)
        # lengths of the fine grid are known from the first output
        self._image = self._sum = np.zeros((0,) * len(self._axes), np.float32)
        self._input = np.zeros((0, 0))
        self._frames = self._rows = 0
        self._variance_nm2 = 0.0
        self._movie: Movie | None = None
        if picasso:
            height, width = recording.sizes["y"], recording.sizes["x"]
            pixel_nm = recording.pixel_size_nm["x"]
            self._movie = Movie(recording.frames, height, width, pixel_nm)

    def add(
        self, frames: np.ndarray, output: np.ndarray, first: int
    ) -> Iterator[Product]:
        """Localize in further frames and add what is found to the image."""
        density = output[..., 0]
        image = frames.sum(axis=0, dtype=float).mean(axis=-1)
        image = image if image.ndim == 2 else image.mean(axis=0)
        if self._frames:
            self._input += image
        else:
            self._image, self._input = np.zeros(density.shape[1:], np.float32), image
        if self._keep_density:
            summed = density.sum(axis=0)
            self._sum = self._sum + summed if self._frames else summed
        self._frames += len(frames)
        rows = localize(
            density,
            pixel_size_nm=self._pixel_nm["x"],
            threshold=self._threshold,
            ideal_peak=self._task.ideal_peak,
            first_frame=first + 1,
            window=self._task.window_px,
            centroid_window=self._task.centroid_px,
            z_step_nm=self._pixel_nm.get("z"),
            z_first_nm=self._task.z_first_nm,
            window_planes=self._task.window_planes,
            errors=self._task.errors,
            errors_z=self._task.errors_z,
            crowding=self._task.crowding,
        )
        if self._refinement is not None:
            rows = self._refinement.fitted(frames, rows, first)
        self._rows += len(rows)
        if rows.uncertainty_nm is not None:
            self._variance_nm2 += float(np.sum(rows.uncertainty_nm**2))
        draw = add_gaussians if self._gaussian else add_histogram
        draw(
            self._image,
            rows,
            pixel_nm=self._pixel_nm["x"],
            z_step_nm=self._pixel_nm.get("z"),
            z_first_nm=self._task.z_first_nm,
        )
        done = rows if self._light is None else self._light.take(frames, rows, first)
        if done is not None:
            yield Table("localizations", done, movie=self._movie)

    def finish(self) -> Iterator[Product]:
        """Yield the last rows, their image and, if wanted, the sum of all densities."""
        rest = None if self._light is None else self._light.rest()
        if rest is not None:
            yield Table("localizations", rest, movie=self._movie)
        drawn = "gaussian" if self._gaussian else "reconstruction"
        images = [("reconstruction", self._image, drawn)]
        images += [("density", self._sum, "density")] if self._keep_density else []
        for name, array, meaning in images:
            yield Image(
                name,
                array,
                self._axes,
                pixel_size_nm=self._pixel_nm,
                description=_MEANING[meaning],
            )

    def warnings(self) -> list[str]:
        """Return what a user should know about the localizations."""
        warnings = pixel_size_warnings(
            self._recording,
            self._contract,
            "expect missed and false localizations, or train for this pixel size",
        )
        if not self._rows:
            return [
                *warnings,
                "no localizations were found; check the threshold, and that spots are "
                "bright on a dark background",
            ]
        return warnings

    def report(self) -> dict[str, Any]:
        """Return the number of localizations and the settings that found them."""
        task = self._task
        options: dict[str, Any] = {
            "threshold": self._threshold,
            "threshold_value": self._threshold * task.ideal_peak,
            "window_px": task.window_px,
            "centroid_px": task.centroid_px or task.window_px,
        }
        if task.crowding is not None:
            del options["centroid_px"]
            options |= task.crowding.model_dump()
        if "z" in self._axes:
            options["window_planes"] = task.window_planes or task.window_px
        if self._gaussian:
            options["render"] = "gaussian"
        report: dict[str, Any] = {"localizations": self._rows, "options": options}
        if task.errors is not None or self._refinement is not None:
            mean = (self._variance_nm2 / max(self._rows, 1)) ** 0.5
            report["uncertainty"] = {
                "origin": "bound of the fit"
                if self._refinement is not None
                else "spread of the response, calibrated on simulated movies",
                "rms_nm": round(mean, 2) if self._rows else None,
            }
        if self._light is not None:
            report["light"] = self._light.report()
        if self._refinement is None:
            return report
        fit = self._refinement.report()
        return fit | report | {"options": options | fit["options"]}

    def preview(self) -> list[Panel]:
        """Show the mean frame and the localizations, coloured by depth if they have."""
        mean = (self._input / max(self._frames, 1)).astype(np.float32)
        before = "input" if self._frames == 1 else f"mean of {self._frames} frames"
        title = f"{self._rows} localizations"
        if self._image.ndim == 2:
            after = Panel(self._image, title, "density")
        else:
            after = Panel(depth_coded(self._image), f"{title}, colour: depth", "depth")
        return [Panel(mean, before), after]


def depth_coded(volume: np.ndarray) -> np.ndarray:
    """Return a projection in which hue is depth and brightness density.

    Parameters
    ----------
    volume : (z, y, x)
        Density.

    Returns
    -------
    image : (y, x, 3) float in [0, 1]
        From blue for the first plane over green to red for the last.
    """
    total = volume.sum(axis=0)
    planes = np.linspace(0, 1, len(volume))
    depth = np.tensordot(planes, volume, axes=1) / np.maximum(total, 1e-12)
    hues = np.stack(
        [np.clip(1.5 - np.abs(4 * depth - centre), 0, 1) for centre in (3, 2, 1)],
        axis=-1,
    )
    lit = total[total > 0.01 * total.max()] if total.max() > 0 else total
    bright = float(np.percentile(lit, 95)) if lit.size else 1.0
    return hues * np.clip(total / (bright or 1.0), 0, 1)[..., None]
