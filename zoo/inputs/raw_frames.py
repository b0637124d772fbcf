"""Raw frames of structured illumination: exposures of one field, in which order."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np
from pydantic import Field

from zoo.core.contract import Contract, Input, Options, Recording
from zoo.core.errors import BadInput, BadPackage
from zoo.inputs.frame_order import Order, swapped
from zoo.inputs.frames import FrameOptions, chosen_part, to_trained_pixel
from zoo.inputs.recording import (
    StackRecording,
    check_fit,
    chosen_scaling,
    closing_on_error,
    open_frames,
)

if TYPE_CHECKING:
    from zoo.io.stacks import Stack

NAME = "raw frames"
"""What they are called."""

COUNTS = (5, 4, 7, 6, 8)
"""Phases per orientation that are tried where those of the package do not fit, the
commonest first."""


class RawFrameOptions(FrameOptions):
    """What a user may decide about how raw frames are read."""

    frame_order: Order | None = None
    """Order of raw frames in the recording: angle-major (phases of an angle in a row)
    or phase-major; found by the illumination pattern if left out."""
    phases: int | None = Field(default=None, ge=3)
    """Raw frames per angle of the illumination pattern, if their number leaves it open:
    5 where 15 images make one."""


class RawFrames(Input):
    """Raw frames of structured illumination as the channels of a network.

    Programs store them as pages of all kinds: an axis of all of them, neighbouring axes
    of orientations and phases, or a row of images in groups are read as what they are.
    Frames smaller than a tile repeat their last pixel, since a mirrored pattern would
    run another way.
    """

    options: ClassVar[type[Options]] = RawFrameOptions
    border: ClassVar[str] = "edge"
    channel_word: ClassVar[str] = NAME
    resamples: ClassVar[bool] = True
    kind: Literal["raw_frames"] = "raw_frames"
    orientations: int = Field(default=3, ge=1)
    """Orientations of the illumination pattern."""
    phases: int = Field(default=3, ge=1)
    """Phases of the pattern for each orientation."""
    order: Order = "angle-major"
    """Order in which the network takes them."""

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open a stack of raw frames; see `zoo.core.contract.Input.open`."""
        channels = self.orientations * self.phases
        if len(contract.grid.channels) != channels:
            raise BadPackage(
                f"{name} takes {channels} raw frames and its network "
                f"{len(contract.grid.channels)} channels; both must be equal"
            )
        normalization = getattr(options, "normalization", "auto")
        scaling = chosen_scaling("image", normalization, contract, name=name)
        order: Order | None = getattr(options, "frame_order", None)
        known = (self.orientations, self.phases) == (3, 3)
        given = getattr(options, "phases", None)
        if not known and given not in (None, self.phases):
            raise BadInput(
                f"{name} takes {self.phases} phases of {self.orientations} angles as "
                f"they are, not {given}; leave --phases out"
            )
        counts = (
            (self.phases, *(COUNTS if known else ())) if given is None else (given,)
        )
        stack = self._opened(source, contract, counts, pixel_size_nm)
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=stack.channels)
            stack, part = chosen_part(stack, options)
        stack, resampling = to_trained_pixel(stack, contract, options)
        shared: dict[str, Any] = {
            "scaling": scaling,
            "groups": (slice(0, channels),),
            "diffraction_limited": True,
            "content": "image",
            "resampling": resampling,
            "part": part,
        }
        if not known:
            order = order or self.order
            arrange = self._arrange(order)
            return OrderedRecording(
                stack, contract, order=order, arrange=arrange, **shared
            )
        from zoo.inputs.sim.recording import SimRecording

        return SimRecording(
            stack,
            contract,
            phases=stack.channels // self.orientations,
            order=order,
            wanted=self.order,
            **shared,
        )

    def _opened(
        self,
        source: Any,
        contract: Contract,
        counts: tuple[int, ...],
        pixel_size_nm: float | None,
    ) -> "Stack":
        """Open a stack whose images make whole groups for a number of phases."""
        first: BadInput | None = None
        for phases in counts:
            channels = self.orientations * phases
            try:
                stack = open_frames(
                    source,
                    contract,
                    channels=channels,
                    pixel_size_nm=pixel_size_nm,
                    group=NAME,
                )
            except BadInput as error:
                first = first or error
                continue
            if stack.channels in {self.orientations * count for count in counts}:
                return stack
            stack.close()
            first = first or BadInput(
                f"{stack.source} has {stack.channels} channels, {channels} are needed"
            )
        raise first or BadInput("no number of phases is left to try")

    def _arrange(self, order: Order) -> Callable[[np.ndarray], np.ndarray] | None:
        """Return what brings frames of an order into that of the network."""
        if order == self.order:
            return None
        inner, outer = self.orientations, self.phases
        if self.order == "phase-major":
            inner, outer = outer, inner
        return lambda frames: swapped(frames, outer, inner)


class OrderedRecording(StackRecording):
    """Raw frames of any number of orientations and phases, in a known order."""

    def __init__(
        self, stack: "Stack", contract: Contract, *, order: Order, **settings: Any
    ) -> None:
        super().__init__(stack, contract, **settings)
        self._order = order

    def report(self) -> dict[str, Any]:
        """Return what was read, how it was scaled, and the order of the frames."""
        report = super().report()
        report["options"]["frame_order"] = self._order
        return report
