"""Camera frames, images and volumes as a network takes them."""

from typing import Any, ClassVar, Literal

from zoo.core.contract import Contract, Input, Options, Recording
from zoo.inputs.recording import (
    StackRecording,
    check_fit,
    chosen_scaling,
    closing_on_error,
    open_frames,
)


class FrameOptions(Options):
    """What a user may decide about how frames are read."""

    normalization: Literal["auto", "frame", "movie"] = "auto"
    """Scale every frame by itself, as the package declares, or the whole recording."""


class Frames(Input):
    """Frames of a movie, images or volumes, whole as the camera gives them.

    For a network without depth, z counts frames and stays labelled; for one with depth
    it belongs to the frame.  The channels of a hyperstack go one by one through a
    network of one channel where the task makes images.
    """

    options: ClassVar[type[Options]] = FrameOptions
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
        normalization = getattr(options, "normalization", "auto")
        scaling = chosen_scaling(self.scaling, normalization, contract, name=name)
        apart = contract.task.channels_apart and len(contract.grid.channels) == 1
        channels = None if apart else len(contract.grid.channels)
        stack = open_frames(
            source, contract, channels=channels, pixel_size_nm=pixel_size_nm
        )
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=channels)
        if scaling == "spots" and normalization == "auto" and stack.frames < 2:
            scaling = None  # one frame is scaled as every consumer does
        count = stack.channels
        return StackRecording(
            stack,
            contract,
            scaling=scaling,
            groups=tuple(slice(c, c + 1) for c in range(count))
            if apart
            else (slice(0, count),),
            diffraction_limited=self.diffraction_limited,
        )
