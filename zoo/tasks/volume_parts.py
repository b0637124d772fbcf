"""Localizations in volumes that come tile by tile.

That of a large field would not fit into the memory: peaks are looked for in parts, and
no volume is ever put together unless its sum over all frames is wanted.
"""

import math
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.contract import Contract, Recording
from zoo.core.localizations import Localizations
from zoo.core.parts import Part
from zoo.core.products import Image, Panel, Product, Table
from zoo.core.symmetry import Symmetry
from zoo.tasks.conditions import fine_sizes_nm, pixel_size_warnings
from zoo.tasks.localization import add_gaussians, add_histogram
from zoo.tasks.refining_depth import DepthRefinement
from zoo.tasks.rendering import Rendering

if TYPE_CHECKING:
    from zoo.tasks.volume import Volume, VolumeOptions

STARTS = 0.6
"""Part of the usual threshold from which peaks are starts of a fit, which takes out
what is no emitter."""
IN_MEMORY = 2**28
"""Bytes from which a sum of volumes is kept in a temporary file."""
_MEANING = {
    "histogram": "Localizations of all depths per pixel, all frames",
    "gaussian": "Localizations of all depths as Gaussians of their uncertainty, "
    "all frames",
}


class LocalizingVolumes:
    """Localizations under way; a `zoo.core.parts.RunningParts`.

    Parameters
    ----------
    task
        Finds peaks.
    recording, contract
        What is localized, by which network.
    options
        What the user decided.
    views
        Flips in which the network is shown every frame.
    refinement
        Fit of what is found, if wanted.
    """

    def __init__(
        self,
        task: "Volume",
        recording: Recording,
        contract: Contract,
        options: "VolumeOptions",
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
        yield self._drawn(table)

    def _drawn(self, table: Localizations) -> Table:
        """Count and draw localizations before they are handed on."""
        self._rows += len(table)
        gaussian = self._options.render == "gaussian"
        draw = add_gaussians if gaussian else add_histogram
        draw(self._image, table, pixel_nm=self._pixel_nm["x"])
        self._rendering.add(table)
        return Table("localizations", table)

    @property
    def _columns(self) -> tuple[str, ...]:
        """Columns of the table."""
        task = self._task
        stated = ("uncertainty_nm",) * (task.errors is not None)
        stated += ("uncertainty_z_nm",) * (task.errors_z is not None)
        return ("x_nm", "y_nm", "frame", "z_nm", "response", *stated)

    def finish(self) -> Iterator[Product]:
        """Yield the image of the table and, if wanted, the sum of all volumes.

        Before, the localizations of frames that the fit has held back.
        """
        if self._refinement is not None:
            yield self._drawn(self._refinement.rest())
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
