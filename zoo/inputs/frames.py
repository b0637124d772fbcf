"""Camera frames, images and volumes as a network takes them."""

from typing import TYPE_CHECKING, Any, ClassVar, Literal

from zoo.core.contract import Contract, Input, Options, Recording
from zoo.core.errors import BadInput
from zoo.core.resampling import Resampling
from zoo.inputs.recording import (
    StackRecording,
    check_fit,
    chosen_scaling,
    closing_on_error,
    open_frames,
)
from zoo.inputs.resampling import resampling

if TYPE_CHECKING:
    from zoo.io.part import Part
    from zoo.io.stacks import Stack


class FrameOptions(Options):
    """What a user may decide about how frames are read."""

    normalization: Literal["auto", "frame", "movie"] = "auto"
    """Scale every frame by itself, as the package declares, or the whole recording."""
    resample: bool | None = None
    """Bring images of another pixel size to the trained one for the network, and what
    it makes of them back to their own grid; raw SIM frames are unless told otherwise,
    single images are not."""
    frames: str | None = None
    """Only these frames, first:last, counted from 1, such as 100:2000; tables keep the
    numbers of the whole recording."""
    roi: str | None = None
    """Only this part of the field, y0:y1,x0:x1 px, counted from 0; tables keep the
    coordinates of the whole field."""


def chosen_part(stack: "Stack", options: Options) -> "tuple[Stack, Part | None]":
    """Return the part of a stack that a user asked for; None if that is all of it."""
    frames, roi = (getattr(options, name, None) for name in ("frames", "roi"))
    if frames is None and roi is None:
        return stack, None
    from zoo.io.part import PartStack, part_of  # imports readers of files

    part = part_of(stack, frames=frames, roi=roi)
    return PartStack(stack, part), part


def to_trained_pixel(
    stack: "Stack", contract: Contract, options: Options
) -> "tuple[Stack, Resampling | None]":
    """Return a stack on the trained pixel, and how it got there; None if it is left.

    Only where images are made: positions follow from the pixel size by themselves.
    """
    wanted = getattr(options, "resample", None)
    if wanted is None:
        wanted = contract.input.resamples
    if not (contract.task.resamples and wanted):
        return stack, None
    way = resampling(stack, contract)
    if way is None:
        return stack, None
    from zoo.io.resampled import ResampledStack  # imports readers of files

    return ResampledStack(stack, way), way


class MovieOptions(FrameOptions):
    """What a user may decide about how a movie is read."""

    subtract_background: bool = False
    """Remove what shines in every frame of a movie of blinking emitters: a low
    percentile of each pixel over some hundred frames.  Dense emitters lose some of
    their light with it."""


class Frames(Input):
    """Frames of a movie, images or volumes, whole as the camera gives them.

    For a network without depth, z counts frames and stays labelled; for one with depth
    it belongs to the frame.  The channels of a hyperstack go one by one through a
    network of one channel where the task makes images.
    """

    options: ClassVar[type[Options]] = MovieOptions
    kind: Literal["frames"] = "frames"
    scaling: Literal["spots", "image"] | None = None
    """What is in the frames, which decides how one scale for a recording is found:
    ``spots`` of emitters (for two or more frames) or an ``image`` sampled at Nyquist's
    rate; without, frames are scaled one by one as the package declares."""
    diffraction_limited: bool = False
    """Whether the mean of the channels is a diffraction-limited image of the field, on
    the input's grid, which results can be compared with."""

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open a stack; see `zoo.core.contract.Input.open`."""
        stack, settings = self.opened(
            source, contract, name=name, options=options, pixel_size_nm=pixel_size_nm
        )
        with closing_on_error(stack):
            if getattr(options, "subtract_background", False):
                stack = self._still(stack, name)
        stack, way = to_trained_pixel(stack, contract, options)
        return StackRecording(
            stack, contract, content=self.scaling, resampling=way, **settings
        )

    def opened(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None,
    ) -> "tuple[Stack, dict[str, Any]]":
        """Open what a user asked for of a stack that fits the package.

        Parameters
        ----------
        source, contract, name, options, pixel_size_nm
            As for `open`.

        Returns
        -------
        stack
            On the pixel of the file.
        settings
            Of a `StackRecording`: scaling, groups of channels, part of the file, and
            whether results can be compared with the input.
        """
        normalization = getattr(options, "normalization", "auto")
        scaling = chosen_scaling(self.scaling, normalization, contract, name=name)
        apart = contract.task.channels_apart and len(contract.grid.channels) == 1
        channels = None if apart else len(contract.grid.channels)
        stack = open_frames(
            source, contract, channels=channels, pixel_size_nm=pixel_size_nm
        )
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=channels)
            stack, part = chosen_part(stack, options)
        if scaling == "spots" and normalization == "auto" and stack.frames < 2:
            scaling = None  # one frame is scaled as every consumer does
        count = stack.channels
        each = tuple(slice(c, c + 1) for c in range(count))
        return stack, {
            "scaling": scaling,
            "groups": each if apart else (slice(0, count),),
            "diffraction_limited": self.diffraction_limited,
            "part": part,
        }

    def _still(self, stack: "Stack", name: str) -> "Stack":
        """Return a movie of blinking emitters less its static background."""
        if self.scaling != "spots":
            raise BadInput(
                f"{name} makes images of what does not blink, which "
                "--subtract-background would remove; leave it out"
            )
        from zoo.io.background import StillStack

        return StillStack(stack)
