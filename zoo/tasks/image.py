"""Images and volumes: what a network restores, and where it cannot be trusted."""

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Literal, Self

import numpy as np
from pydantic import Field

from zoo.core.config import is_left_out
from zoo.core.contract import Contract, Options, Recording, Task
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.processing import Operation
from zoo.core.products import Image, Panel, Product
from zoo.tasks.comparison import Comparison
from zoo.tasks.conditions import (
    file_pixel_nm,
    fine_sizes_nm,
    looks_super_resolved,
    pixel_size_warnings,
    plain_number,
)
from zoo.tasks.consistency import CONSISTENCY, MEANING, widest_px
from zoo.tasks.raw_comparison import RAW_ERROR_MAP, raw_comparison
from zoo.tasks.uncertainty import UNCALIBRATED, Errors

ERROR_MAP = (
    "Absolute difference between the input's widefield image and the blurred, scaled "
    "image, in the input's intensities (SQUIRREL, doi:10.1038/nmeth.4605). Shows lost "
    "brightness, not invented detail finer than the blur"
)
"""What an error map says about itself."""

ERROR_MAP_MEANING = (
    "what the image does not explain of its input: lost or displaced brightness; "
    "detail finer than the blur is not judged, and invented one can have a low error"
)
"""What a report says of it."""


UNCERTAINTY = (
    "Standard deviation of each pixel, in the intensities of the image: how far the "
    "image differs for the recording turned by a quarter, and how bright it is, "
    "calibrated on simulated scenes with known truth"
)
"""What an uncertainty says about itself."""

BRIGHTNESS = 0.1
"""Share of the brightness that counts to the score of a pixel unless a recipe says
otherwise: errors grow with the light, also those that all views share."""
SMOOTH_PX = 1.0
"""Standard deviation of the smoothing of the spread, px of the image."""
VIEWS = 1
"""Views besides the recording itself; ``benchmarks/uncertainty.py`` compares."""
FLIPS = 4
"""Looks at a frame, itself among them, whose rows stay rows."""


class ImageOptions(Options):
    """What a user may decide about images."""

    match_intensity: bool = False
    """Give images the intensities of their input, where that is a diffraction-limited
    image of the same field: the network's own are arbitrary."""
    error_map: bool = True
    """Compare images with their input, where that is diffraction-limited, and with a
    widefield image that is given beside a table."""
    uncertainty: bool | None = None
    """State how sure every pixel of an image is, which doubles the time of one look;
    done where the package knows its errors, unless told otherwise."""
    looks: int | None = Field(default=None, ge=1, le=8)
    """Flips and turns of every frame that the network is shown; the image is the mean.
    As many times as slow; as many as the package was measured with, unless told
    otherwise."""


class ImageRestoration(Task):
    """A network that makes images or volumes, of any number of channels."""

    options: ClassVar[type[Options]] = ImageOptions
    channels_apart: ClassVar[bool] = True
    resamples: ClassVar[bool] = True
    tags: ClassVar[tuple[str, ...]] = ("image-restoration",)
    title: ClassVar[str] = "super-resolution image restoration"
    texts: ClassVar[tuple[str, str]] = ("Image as acquired", "Restored image")
    output_name: ClassVar[str] = "intensity"
    files: ClassVar[tuple[str, ...]] = (
        "image.ome.tif",
        "volume.ome.tif",
        "error_map.ome.tif",
        "consistency.ome.tif",
        "uncertainty.ome.tif",
    )

    kind: Literal["image"] = "image"
    brightness: float = Field(default=BRIGHTNESS, ge=-100, le=100)
    """Share of the brightness that counts to the score of a pixel; below 0, of the
    darkness, for stained samples."""
    errors: Errors | None = None
    """Errors of pixels by their score, both in units of the output; see
    `zoo.tasks.image.score`.  Measured on simulated scenes."""
    looks: int | None = Field(default=None, ge=1, le=8, exclude_if=is_left_out)
    """Flips and turns of every frame, itself among them, that are averaged; 1 if left
    out."""

    def start(
        self, recording: Recording, contract: Contract, options: Options
    ) -> "_Restoring":
        """Begin to make images; see `zoo.core.contract.Task.start`."""
        looks: int = getattr(options, "looks", None) or self.looks or 1
        if looks > FLIPS and not contract.grid.can_be_turned:
            raise BadInput(
                f"{looks} looks need rows to become columns, which the network takes "
                f"unlike each other; ask for {FLIPS} looks at most"
            )
        match: bool = getattr(options, "match_intensity", False)
        reason = _incomparable(recording, contract)
        if match and reason is not None:
            raise BadInput(
                f"intensities cannot be matched: {reason}; leave --match-intensity out"
            )
        if not getattr(options, "error_map", True):
            reason = "switched off"
        elif reason is None:
            reason = _no_reference(recording, contract)
        wanted: bool | None = getattr(options, "uncertainty", None)
        if wanted is None:
            wanted = self.errors is not None
        return _Restoring(
            recording,
            contract,
            match=match,
            no_map=reason,
            judged=wanted,
            errors=self.errors,
            brightness=self.brightness,
            looks=looks,
        )

    def uncalibrated(self) -> Self:
        """Return the task with scores in the place of errors."""
        return self.model_copy(update={"errors": UNCALIBRATED})

    def calibration(
        self,
        spread: Mapping[str, np.ndarray],
        error: Mapping[str, np.ndarray],
        weight: np.ndarray,
    ) -> dict[str, Any]:
        """Return errors by score; see `zoo.core.contract.Task.calibration`."""
        from zoo.metrics.reliability import recalibrate  # needs SciPy

        del weight
        if "uncertainty" not in spread:
            return {}
        scores, errors = recalibrate(spread["uncertainty"], error["uncertainty"])
        if not len(scores):
            return {}
        return {
            "errors": Errors(
                spread=tuple(float(f"{value:.5g}") for value in scores),
                error=tuple(float(f"{value:.5g}") for value in errors),
            )
        }

    def postprocessing(self, grid: Grid) -> tuple[Operation, ...]:
        """Return the removal of values beyond the targets of the training."""
        del grid
        return ({"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}},)

    def products(self, grid: Grid) -> str:
        """Return what is written, in a few words."""
        what = "volume" if "z" in grid.output_space else "image"
        scale = max(grid.scale(letter) for letter in grid.output_space)
        return what if scale == 1 else f"{scale}x finer {what}"


def score(
    spread: np.ndarray, image: np.ndarray, *, brightness: float = BRIGHTNESS
) -> np.ndarray:
    """Return what the error of a pixel is told from, float32.

    Parameters
    ----------
    spread, image : ([z,] y, x)
        How far views differ, and the image itself; in units of the output.
    brightness
        Share of the image that counts; below 0, of what it lacks to 1.
    """
    from scipy.ndimage import gaussian_filter  # takes a while to import

    variance = np.asarray(gaussian_filter(spread**2, SMOOTH_PX))
    light = image if brightness >= 0 else np.maximum(1 - image, 0)
    return np.sqrt(variance + (brightness * light) ** 2).astype(np.float32)


def _incomparable(recording: Recording, contract: Contract) -> str | None:
    """Return why outputs cannot be compared with their input at all."""
    grid = contract.grid
    empty = np.empty((0, *recording.sizes.values(), recording.groups[-1].stop))
    if recording.reference(empty) is None:
        return "the package does not say that its input is diffraction-limited"
    if grid.output_space != "yx":
        return "volumes are not compared with their input"
    if grid.scale("y") != grid.scale("x"):
        return "y and x are not enlarged alike"
    return None


def _no_reference(recording: Recording, contract: Contract) -> str | None:
    """Return why this recording is no reference for its images."""
    pixel_nm = file_pixel_nm(recording)
    if looks_super_resolved(contract, pixel_nm):
        return (
            f"with pixels of {pixel_nm:.4g} nm the input looks already "
            "super-resolved and is no diffraction-limited reference"
        )
    return None


class _Restoring:
    """Images under way; a `zoo.core.contract.Running`."""

    def __init__(
        self,
        recording: Recording,
        contract: Contract,
        *,
        match: bool,
        no_map: str | None,
        judged: bool,
        errors: Errors | None,
        brightness: float,
        looks: int,
    ) -> None:
        self._recording, self._contract = recording, contract
        self._match, self._no_map = match, no_map
        self.compared = VIEWS if judged else 0
        self.looks = looks
        self._errors, self._share = errors, brightness
        self._spread: np.ndarray | None = None
        self._squares, self._judged = 0.0, 0
        self._comparison: Comparison | None = None
        if no_map is None or match:
            self._comparison = Comparison(match=match, widest_px=widest_px(contract))
        self._raw = raw_comparison(recording, contract) if no_map is None else None
        grid = contract.grid
        self._fine_nm = fine_sizes_nm(recording, contract)
        self._pixel_nm = self._fine_nm
        if recording.resampling is not None:
            plain_nm = recording.resampling.source_nm
            self._pixel_nm = {a: plain_nm / grid.scale(a) for a in "yx"}
        self._axes = grid.output_space + "c"
        self._apart = len(recording.groups) > 1
        names = recording.channel_names if self._apart else grid.outputs
        count = len(recording.groups) * len(grid.outputs)
        self._names = tuple(names) if len(names) == count else ()
        self._first: list[np.ndarray] = []
        self._further: list[np.ndarray | None] = []

    def add(
        self, frames: np.ndarray, output: np.ndarray, first: int
    ) -> Iterator[Product]:
        """Compare further images with their input and hand them on."""
        errors = alike = None
        told = ERROR_MAP
        sigma = self._sigma(output)
        if self._comparison is not None:
            references = self._recording.reference(frames)
            if references is not None:
                made = output
                output, errors = self._comparison.add(references, output)
                if self._raw is not None:
                    told = RAW_ERROR_MAP
                    self._raw.write(frames, made, errors, first)
                alike = self._comparison.agreement
                if sigma is not None and self._match:
                    gains = self._comparison.metrics[-len(output) :, :, 3]
                    lead = (len(output), *(1,) * (sigma.ndim - 2), -1)
                    sigma = sigma * np.maximum(gains, 0).reshape(lead)
        if self._no_map is not None:
            errors = alike = None
        if not first:
            shown = frames[0][..., self._recording.groups[0]].mean(axis=-1)
            self._first = [shown, self._shown(output[0])]
            for further in (errors, sigma):
                shown = None if further is None else self._shown(further[0])
                self._further.append(shown)
        deep = "z" in self._axes
        yield self._image("volume" if deep else "image", output)
        if errors is not None:
            yield self._image("error_map", errors, told)
        if alike is not None:
            yield self._image("consistency", alike, CONSISTENCY)
        if sigma is not None:
            yield self._image("uncertainty", sigma, UNCERTAINTY)

    def judge(self, spread: np.ndarray) -> None:
        """Take how far views of the next frames differ."""
        self._spread = spread

    def _sigma(self, output: np.ndarray) -> np.ndarray | None:
        """Return the standard deviation of every pixel, if views were compared."""
        if self._spread is None:
            return None
        sigma = np.empty(output.shape, np.float32)
        for target, spread, image in zip(sigma, self._spread, output, strict=True):
            for channel in range(image.shape[-1]):
                scores = score(
                    spread[..., channel], image[..., channel], brightness=self._share
                )
                known = self._errors
                target[..., channel] = scores if known is None else known.at(scores)
        self._spread = None
        self._squares += float((sigma.astype(np.float64) ** 2).sum())
        self._judged += sigma.size
        return sigma

    def _image(self, name: str, array: np.ndarray, description: str = "") -> Image:
        resampling = self._recording.resampling
        if resampling is not None:
            scale = self._contract.grid.scale("x")
            array = resampling.back(array, scale=scale, axes=self._axes)
            if name in ("error_map", "uncertainty"):  # the interpolation overshoots
                array = np.maximum(array, 0)
        return Image(
            name,
            array,
            self._axes,
            pixel_size_nm=self._pixel_nm,
            outer=self._recording.outer,
            channel_names=self._names,
            description=description,
        )

    def _shown(self, image: np.ndarray) -> np.ndarray:
        """Return the first channel of a hyperstack, else the mean of the channels."""
        return (image[..., :1] if self._apart else image).mean(axis=-1)

    def finish(self) -> Iterator[Product]:
        """Yield nothing more."""
        yield from ()

    def warnings(self) -> list[str]:
        """Return what a user should know about the images."""
        warnings = pixel_size_warnings(
            self._recording,
            self._contract,
            "fine structure may be missing or made up; train for this pixel size",
            images=True,
        )
        return warnings + (self._comparison.warnings() if self._comparison else [])

    def report(self) -> dict[str, Any]:
        """Return how images compare with their input."""
        report: dict[str, Any] = {
            "options": {"match_intensity": self._match, "looks": self.looks}
        }
        comparison = self._comparison
        if comparison is not None and self._match:
            report["intensity"] = comparison.intensities()
        if comparison is None or self._no_map is not None:
            report["error_map"] = {"skipped": self._no_map}
        else:
            report["error_map"] = comparison.summary(self._fine_nm.get("x"))
            plain = {"compared_with": "widefield", "meaning": ERROR_MAP_MEANING}
            report["error_map"] |= self._raw.report() if self._raw else plain
            if widest_px(self._contract) is not None:
                agreements = comparison.agreements()
                report["consistency"] = agreements | {"meaning": MEANING}
        report["uncertainty"] = self._trust()
        return report | self._output()

    def _trust(self) -> dict[str, Any]:
        """Return what the report says of the uncertainty."""
        if not self.compared:
            reason = "switched off"
            if self._errors is None:
                reason = "the package does not know its errors; --uncertainty shows "
                reason += "how far views differ"
            return {"skipped": reason}
        rms = (self._squares / max(self._judged, 1)) ** 0.5
        return {
            "views": self.compared,
            "calibrated": self._errors is not None,
            "rms": plain_number(rms),
            "meaning": UNCERTAINTY
            if self._errors is not None
            else "how far images of turned recordings differ; not calibrated",
        }

    def _output(self) -> dict[str, Any]:
        """Return size and pixel of images that are on the grid of the file again."""
        resampling = self._recording.resampling
        if resampling is None:
            return {}
        scale = self._contract.grid.scale("x")
        size = {a: scale * resampling.source_px[a] for a in "yx"}
        return {
            "output": {
                "scale": scale,
                "height": size["y"],
                "width": size["x"],
                "pixel_size_nm": self._pixel_nm["x"],
            }
        }

    def preview(self) -> list[Panel]:
        """Show the first input, the first image and its error map."""
        before = "input"
        recording, word = self._recording, self._contract.input.channel_word
        per_run = recording.groups[0].stop - recording.groups[0].start
        if per_run > 1:
            before = f"mean of {per_run} {word}"
        count = int(np.prod([n for _, n in recording.outer]))
        for kind, n in (("frame", count), ("channel", len(recording.groups))):
            before += f", {kind} 1 of {n}" if n > 1 else ""
        rsp = self._comparison.metrics[0, 0, 0] if self._comparison else np.nan
        told = f"error map, RSP {rsp:.3f}" if np.isfinite(rsp) else "error map"
        panels = [
            Panel(image if image.ndim == 2 else image.max(axis=0), title, "image")
            for image, title in zip(self._first, (before, "restored"), strict=False)
        ]
        for image, title in zip(self._further, (told, "uncertainty"), strict=False):
            if image is not None:
                flat = image if image.ndim == 2 else image.max(axis=0)
                panels.append(Panel(flat, title, "error"))
        return panels
