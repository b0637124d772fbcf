"""Estimates of single emitters under way: from the network's numbers to a table."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.contract import Contract, Recording
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Image, Movie, Panel, Product, Table
from zoo.core.regions import Cuts, Cutting
from zoo.physics.pupil import PupilOptics
from zoo.tasks.conditions import pixel_size_warnings
from zoo.tasks.rendering import Rendering
from zoo.tasks.scrutiny import CROWDED, MISFIT, OUT_OF_RANGE, Scrutiny

if TYPE_CHECKING:
    from zoo.physics.fisher import PixelNoise

_ROWS_AT_ONCE = 256
_BINS = 64
_ENOUGH = 10  # regions without other light, to say something about the noise
_NOISY = 1.5  # variance beside emitters over that of the stated camera


class Estimating:
    """Estimates under way; a `zoo.core.contract.Running`.

    Parameters
    ----------
    recording, contract
        What is read, and the package.
    columns, factors, per_pixel
        As in `zoo.tasks.parameters.Parameters`.
    optics
        What estimates are held against; None if nothing is known.
    uncertainty_factor
        What bounds are multiplied by.
    refine
        Whether estimates are refined.
    max_misfit
        Part of an emitter's light that may be left unexplained.
    noise
        Of the camera's pixels.
    picasso
        Whether the table is to be written for Picasso.
    gaussian
        Whether the image is made of Gaussians as wide as the uncertainties.
    """

    def __init__(
        self,
        recording: Recording,
        contract: Contract,
        *,
        columns: Sequence[str],
        factors: Sequence[float] | None,
        per_pixel: Sequence[str],
        optics: PupilOptics | None,
        uncertainty_factor: float,
        refine: bool,
        max_misfit: float,
        picasso: bool,
        noise: "PixelNoise",
        gaussian: bool,
    ) -> None:
        self._recording, self._contract = recording, contract
        self._columns, self._max_misfit = columns, max_misfit
        self._gaussian = gaussian
        self._factors = np.array(factors or (1.0,) * len(columns))
        if per_pixel:
            self._factors *= _pixel_factors(columns, per_pixel, recording)
        self._pixel_nm = recording.pixel_size_nm.get("x", 1.0)
        self._middle = {a: n // 2 + 0.5 for a, n in recording.sizes.items()}
        self._depths = contract.training.get("z_nm") if "z_nm" in columns else None
        self._scrutiny = None
        if optics is not None:
            self._scrutiny = Scrutiny(
                optics,
                (recording.sizes["y"], recording.sizes["x"]),
                z_range_nm=self._depths,
                uncertainty_factor=uncertainty_factor,
                refine=refine,
                max_misfit=max_misfit,
                noise=noise,
            )
            # the network counts pixels of the training, whatever it calls them
            lateral = self._pixel_nm / optics.pixel_nm
            if recording.pixel_size_nm:
                self._factors *= [
                    lateral if _is_lateral(c) and c not in per_pixel else 1.0
                    for c in columns
                ]
        self._waiting: list[tuple[np.ndarray, np.ndarray, Cuts]] = []
        self._count = self._broken = self._out_of_range = 0
        self._misfits = self._crowded = self._rows = 0
        self._moved = 0
        self._noises: list[np.ndarray] = []
        self._started = False
        self._input = np.zeros((0, 0))
        self._movie: Movie | None = None
        self._rendering: Rendering | None = None
        self._histogram = np.zeros((_BINS, _BINS))
        if isinstance(recording, Cutting):
            field = recording.field
            if picasso:
                self._movie = Movie(
                    recording.frames, field["y"], field["x"], self._pixel_nm
                )
            if {"x_nm", "y_nm"} <= set(columns):
                self._rendering = Rendering(
                    field,
                    pixel_nm=self._pixel_nm,
                    z_range_nm=self._depths,
                    gaussian=gaussian,
                )

    def add(
        self, frames: np.ndarray, output: np.ndarray, first: int
    ) -> Iterator[Product]:
        """Turn further vectors into rows."""
        image = frames.sum(axis=0, dtype=float).mean(axis=-1)
        image = image if image.ndim == 2 else image.mean(axis=0)
        self._input = image if not self._count else self._input + image
        self._count += len(frames)
        recording = self._recording
        if isinstance(recording, Cutting):
            cuts = recording.cuts
        else:
            numbers = np.arange(len(frames)) + first + 1
            none = np.zeros(len(frames), int)
            cuts = Cuts(numbers, np.zeros((len(frames), 2), int), none, frames[..., 0])
        self._waiting.append((frames, output.astype(float) * self._factors, cuts))
        if sum(len(part) for part, _, _ in self._waiting) >= _ROWS_AT_ONCE:
            yield self._table()

    def finish(self) -> Iterator[Product]:
        """Yield the rest of the rows and, for a movie, how many lie where."""
        if self._waiting or not self._started:
            yield self._table()
        if self._rendering is not None:
            edge = self._pixel_nm / self._rendering.scale
            yield Image(
                "reconstruction",
                self._rendering.histogram,
                "yx",
                pixel_size_nm={"y": edge, "x": edge},
                description="localizations as Gaussians of their uncertainty"
                if self._gaussian
                else "localizations per pixel",
            )

    def _table(self) -> Table:
        """Return the rows of the regions that wait."""
        self._started = True
        waiting, self._waiting = self._waiting, []
        cuts = _joined([part for _, _, part in waiting])
        values = [part for _, part, _ in waiting]
        outputs = np.concatenate([np.zeros((0, len(self._columns))), *values])
        finite = np.asarray(np.isfinite(outputs).all(axis=1))
        self._broken += int(np.count_nonzero(~finite))
        cuts, outputs = cuts.select(finite), outputs[finite]
        columns = dict(zip(self._columns, outputs.T, strict=True))
        kept = np.ones(len(outputs), bool)
        flags = np.zeros(len(outputs), int)
        if self._scrutiny is not None:
            examined = self._scrutiny.examine(columns, cuts, pixel_nm=self._pixel_nm)
            columns = examined.columns
            self._moved += int(np.count_nonzero(examined.moved))
            misfit = examined.misfit > self._max_misfit
            self._misfits += int(np.count_nonzero(misfit))
            # light of neighbours would be taken for noise
            self._noises.append(examined.noise[~misfit])
            flags += MISFIT * misfit
            if isinstance(self._recording, Cutting):
                kept = ~misfit
        for name in ("x_nm", "y_nm"):  # the middle of the region, if not estimated
            columns.setdefault(name, np.zeros(len(outputs)))
        if "uncertainty_x_nm" in columns and "uncertainty_y_nm" in columns:
            columns["uncertainty_nm"] = np.hypot(
                columns["uncertainty_x_nm"], columns["uncertainty_y_nm"]
            ) / np.sqrt(2)
        if self._depths is not None:
            low, high = self._depths
            out = (columns["z_nm"] <= low) | (columns["z_nm"] >= high)
            flags += OUT_OF_RANGE * out
            self._out_of_range += int(np.count_nonzero(out & kept))
        if isinstance(self._recording, Cutting):
            crowded = cuts.neighbours > 0
            flags += CROWDED * crowded
            self._crowded += int(np.count_nonzero(crowded & kept))
            for name, axis, letter in (("y_nm", 0, "y"), ("x_nm", 1, "x")):
                place = cuts.corner_px[:, axis] + self._middle[letter]
                columns[name] = columns[name] + place * self._pixel_nm
        if self._flagged:
            columns["flags"] = flags
        rows = Localizations(**columns, frame=cuts.frame).select(kept)
        self._rows += len(rows)
        self._draw(rows)
        return Table("localizations", rows, movie=self._movie)

    @property
    def _flagged(self) -> bool:
        """Whether rows can have flags."""
        known = self._scrutiny is not None or self._depths is not None
        return known or isinstance(self._recording, Cutting)

    def _draw(self, rows: Localizations) -> None:
        """Add rows to what the preview shows."""
        if self._rendering is not None:
            self._rendering.add(rows)
            return
        # the field of the regions, seen from the centre of their central pixels
        sizes = self._recording.sizes
        field = [
            (
                -self._middle[a] * self._pixel_nm,
                (sizes[a] - self._middle[a]) * self._pixel_nm,
            )
            for a in "yx"
        ]
        found, _, _ = np.histogram2d(rows.y_nm, rows.x_nm, bins=_BINS, range=field)
        self._histogram += found

    def warnings(self) -> list[str]:
        """Return what a user should know about the estimates."""
        warnings = pixel_size_warnings(
            self._recording,
            self._contract,
            "estimates will be wrong, or train for this pixel size",
        )
        if self._broken:
            warnings.append(
                f"{self._broken} of {self._count} regions gave no finite numbers and "
                "were left out"
            )
        if self._misfits:
            found = isinstance(self._recording, Cutting)
            done = "were left out (--max-misfit)" if found else "have the flag 4"
            warnings.append(
                f"{self._misfits} of {self._count} regions hold light that one "
                f"emitter of the training does not explain and {done}: overlapping "
                "emitters, or other optics"
            )
        if (noise := self._noise()) is not None and noise > _NOISY:
            warnings.append(
                f"pixels beside the emitters vary {noise:.1f} times as much as those "
                "of the stated camera: give --excess-noise 2 for an EM-CCD, "
                "--read-noise-photons, or the right --photons-per-adu; without it "
                "dim emitters are taken for misfits and uncertainties are too small"
            )
        if self._out_of_range and self._depths is not None:
            low, high = self._depths
            warnings.append(
                f"{self._out_of_range} of {self._rows} localizations lie at or beyond "
                f"the ends of the depths of the training, {low:g} to {high:g} nm: they "
                "have the flag 1, do not trust their depth"
            )
        return warnings

    def _noise(self) -> float | None:
        """Return the typical variance beside emitters over that of the camera."""
        noises = np.concatenate([np.zeros(0), *self._noises])
        return float(np.median(noises)) if len(noises) >= _ENOUGH else None

    def report(self) -> dict[str, Any]:
        """Return the number of rows and the columns, and what was rejected."""
        options: dict[str, Any] = {}
        scrutiny: dict[str, Any] = {}
        if self._scrutiny is not None:
            options = {
                "refine": self._scrutiny.refine,
                "max_misfit": self._max_misfit,
            }
            scrutiny["misfits"] = self._misfits
            if (noise := self._noise()) is not None:
                scrutiny["variance_over_stated_noise"] = round(noise, 3)
            scrutiny["misfits_left_out"] = isinstance(self._recording, Cutting)
            if self._scrutiny.refine:
                scrutiny["refined"] = self._moved
            scrutiny["uncertainty"] = self._scrutiny.origin(self._columns)
        if self._depths is not None:
            scrutiny["out_of_range"] = self._out_of_range
        if isinstance(self._recording, Cutting):
            scrutiny["with_neighbours"] = self._crowded
        return {
            "localizations": self._rows,
            "columns": list(self._columns),
            "options": options,
        } | ({"scrutiny": scrutiny} if scrutiny else {})

    def preview(self) -> list[Panel]:
        """Show the input, and where in it emitters were found."""
        recording = self._recording
        if isinstance(recording, Cutting):
            mean = recording.mean_frame().astype(np.float32)
            panels = [Panel(mean, f"mean of {recording.frames_done} frames")]
            if self._rendering is not None:
                panels.append(self._rendering.panel(f"{self._rows} localizations"))
            return panels
        mean = (self._input / max(self._count, 1)).astype(np.float32)
        panels = [Panel(mean, f"mean of {self._count} regions")]
        if {"x_nm", "y_nm"} <= set(self._columns):
            panels.append(Panel(self._histogram, "positions found", "density"))
        return panels


def _is_lateral(column: str) -> bool:
    """Tell whether a column counts nm along x or y."""
    return column in ("x_nm", "y_nm", "uncertainty_x_nm", "uncertainty_y_nm")


def _pixel_factors(
    columns: Sequence[str], per_pixel: Sequence[str], recording: Recording
) -> np.ndarray:
    """Return the pixel size for columns that count pixels, 1 for the others."""
    pixel_nm = recording.pixel_size_nm.get("x")
    if pixel_nm is None:
        raise BadInput(
            f"{recording.source} states no pixel size, and the package estimates "
            f"{', '.join(per_pixel)} in pixels; give it with --pixel-size-nm"
        )
    return np.array([pixel_nm if c in per_pixel else 1.0 for c in columns])


def _joined(parts: Sequence[Cuts]) -> Cuts:
    """Return cuts that follow each other as one."""
    if not parts:
        none = np.zeros(0, int)
        return Cuts(none, np.zeros((0, 2), int), none, np.zeros((0, 1, 1)))
    other = None
    known = [part.other for part in parts if part.other is not None]
    if len(known) == len(parts):
        other = np.concatenate(known)
    return Cuts(
        frame=np.concatenate([part.frame for part in parts]),
        corner_px=np.concatenate([part.corner_px for part in parts]),
        neighbours=np.concatenate([part.neighbours for part in parts]),
        photons=np.concatenate([part.photons for part in parts]),
        other=other,
    )
