"""Open recordings as networks take their frames: channels, scale, what was seen."""

from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from zoo.core.contract import Contract, Origin
from zoo.core.errors import BadInput
from zoo.core.measured import Measured
from zoo.core.resampling import Resampling
from zoo.inputs.scaling import FINDERS, Scale

if TYPE_CHECKING:
    from zoo.io.part import Part
    from zoo.io.stacks import Stack

# Reading files takes a while to import, and who only wants to know the options of an
# input does not read any: `zoo.io.stacks` is imported where a file is opened.

Source = Any
"""A path, an array or an open `zoo.io.stacks.Stack`."""

RESCALING = frozenset({"scale_range"})
"""Declared steps that a scale for the whole recording takes the place of."""


class StackRecording:
    """A stack, read as a network takes its frames; a `zoo.core.contract.Recording`.

    Parameters
    ----------
    stack
        The open stack.
    contract
        What the package takes.
    scaling
        What is in the frames, one of `zoo.inputs.scaling.FINDERS`; None to scale frame
        by frame, as the package declares.
    groups
        Channels that go through the network together.
    diffraction_limited
        Whether the mean of the channels of a group is a diffraction-limited image.
    arrange
        Brings the channels into the order of the network, (frame, ..., c).
    content
        What is in the frames and can be measured: ``spots`` or an ``image``; None for
        anything.
    resampling
        How the stack was brought to the trained pixel, if it was.
    part
        Which part of the file the stack is, if it is one.
    """

    def __init__(
        self,
        stack: "Stack",
        contract: Contract,
        *,
        scaling: str | None,
        groups: tuple[slice, ...],
        diffraction_limited: bool = False,
        arrange: Callable[[np.ndarray], np.ndarray] | None = None,
        content: Literal["spots", "image"] | None = None,
        resampling: Resampling | None = None,
        part: "Part | None" = None,
    ) -> None:
        self.stack = stack
        self.source = stack.source
        self.outer = stack.outer
        self.sizes: Mapping[str, int] = stack.sizes
        self.groups = groups
        self.channel_names = stack.channel_names
        self.pixel_size_nm: Mapping[str, float] = _pixel_sizes(stack)
        self._per_run = len(contract.grid.channels)
        self._scaling = scaling
        self._scales: tuple[Scale, ...] | None = None
        self._diffraction_limited = diffraction_limited
        self._arrange = arrange
        self._content: Literal["spots", "image"] | None = content
        self.resampling = resampling
        self._part = part
        self.origin = Origin()
        if part is not None:
            edge_nm = file_stack(stack).pixel_size_nm or 0.0
            self.origin = Origin(part.first, part.y[0] * edge_nm, part.x[0] * edge_nm)
        self._seen = self._constant = self._saturated = 0

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.stack.frames

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames, (frame, [z,] y, x, c), channels as the network takes them."""
        frames = self.stack.read(start, stop)
        return frames if self._arrange is None else self._arrange(frames)

    def chunks(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of the first frame and up to `count` frames."""
        for start in range(0, self.frames, count):
            frames = self.read(start, start + count)
            self._note(frames)
            yield start, frames

    def _note(self, frames: np.ndarray) -> None:
        """Count frames that are constant or saturated in any of their channels."""
        space = tuple(range(1, frames.ndim - 1))
        high = frames.max(axis=space)
        self._seen += len(frames)
        flat = (high == frames.min(axis=space)).any(axis=1)
        self._constant += int(np.count_nonzero(flat))
        if self.stack.dtype.kind in "ui":
            full = (high >= np.iinfo(self.stack.dtype).max).any(axis=1)
            self._saturated += int(np.count_nonzero(full))

    @property
    def scales(self) -> tuple[Scale, ...]:
        """One scale for each group of channels; none where frames are scaled alone."""
        if self._scaling is None:
            return ()
        if self._scales is None:
            self._scales = FINDERS[self._scaling](self, self.groups)
        return self._scales

    def scaled(self, frames: np.ndarray, group: int) -> np.ndarray | None:
        """Return frames of one group on the scale of the recording, if it has one."""
        return self.scales[group].apply(frames) if self.scales else None

    def reference(self, frames: np.ndarray) -> np.ndarray | None:
        """Return the mean of every group of channels, float64, if that is an image."""
        if not self._diffraction_limited:
            return None
        means = [frames[..., g].mean(axis=-1, dtype=float) for g in self.groups]
        return np.stack(means, axis=-1)

    def knowledge(
        self, frame: int, start: tuple[int, ...], size: tuple[int, ...]
    ) -> np.ndarray | None:
        """Return what a network is told of the recording for a tile: nothing."""
        del frame, start, size
        return None

    def measurements(self) -> list[Measured]:
        """Return what can be measured of the recording; reads some of its frames."""
        from zoo.inputs.measuring import measurements  # needs SciPy

        return measurements(self, self._content)

    def warnings(self) -> list[str]:
        """Return what a user should know about the recording, one line each."""
        warnings = list(self.stack.notes)
        if self._constant:
            what = "are constant (a single value)"
            if self.stack.channels > 1:
                what = "have a channel that is constant (a single value)"
            warnings.append(
                f"{self._constant} of {self._seen} frames {what}; nothing can be found "
                "there"
            )
        if self._saturated:
            warnings.append(
                f"{self._saturated} of {self._seen} frames hold saturated pixels; "
                "what is brighter than the camera's range is lost"
            )
        return warnings

    def report(self) -> dict[str, Any]:
        """Return what was read and how it was scaled."""
        stack = file_stack(self.stack)
        options: dict[str, Any] = {"normalization": "movie" if self.scales else "frame"}
        options |= stack.changes
        lows = [scale.low for scale in self.scales]
        highs = [scale.high for scale in self.scales]
        if len(lows) == 1:
            options |= {"movie_low": lows[0], "movie_high": highs[0]}
        elif lows:  # one for each group of channels
            options |= {"movie_low": lows, "movie_high": highs}
        described: dict[str, Any] = {
            "source": stack.source,
            "frames": stack.frames,
            "outer": [list(axis) for axis in stack.outer],
            "height": stack.height,
            "width": stack.width,
            "channels": stack.channels,
            "channels_per_run": self._per_run,
            "dtype": stack.dtype.name,
            "axes": stack.axes,
            "pixel_size_nm": stack.pixel_size_nm,
            "pixel_size_source": stack.pixel_size_source,
        }
        if stack.depth is not None:
            described["depth"] = stack.depth
        if stack.z_step_nm is not None:
            described["z_step_nm"] = stack.z_step_nm
        known: dict[str, Any] = {"input": described}
        if self.resampling is not None:
            known["resampling"] = self.resampling.report()
        if self._part is not None:
            known["part"] = self._part.report()
        return known | {
            "options": options,
            "frames": self._seen,
            "constant_frames": self._constant,
            "saturated_frames": self._saturated,
        }

    def close(self) -> None:
        """Close open files."""
        self.stack.close()


def file_stack(stack: "Stack") -> "Stack":
    """Return a stack as the file has it, for one that is read on another grid."""
    return getattr(stack, "original", stack)


def open_frames(
    source: Source,
    contract: Contract,
    *,
    channels: int | None,
    pixel_size_nm: float | None,
    group: str | None = None,
) -> "Stack":
    """Open a stack of frames as deep as the network takes them.

    Parameters
    ----------
    source
        Path, array or open stack.
    contract
        What the package takes.
    channels
        Channels of a frame; None for as many as the file declares.
    pixel_size_nm
        Edge of a pixel; overrides the file's.
    group
        What images are called that are channels without the file saying so.
    """
    from zoo.io.stacks import Stack, open_stack

    if isinstance(source, Stack):
        return source
    return open_stack(
        source if isinstance(source, (str, Path)) else np.asarray(source),
        pixel_size_nm=pixel_size_nm,
        channels=channels,
        depth="z" in contract.grid.axes,
        group=group,
    )


@contextmanager
def closing_on_error(stack: "Stack") -> Generator[None]:
    """Close a stack if the block that checks it refuses it."""
    try:
        yield
    except BaseException:
        stack.close()
        raise


def check_fit(
    stack: "Stack", contract: Contract, *, name: str, channels: int | None
) -> None:
    """Refuse a stack that does not fit a package.

    Parameters
    ----------
    stack
        The open stack.
    contract, name
        What the package takes, and its name for messages.
    channels
        Channels that a frame must have; None for any number.

    Raises
    ------
    BadInput
        If it has a wrong number of channels, no depth where the network has, or no
        pixel size where the task needs one.
    """
    if channels is not None and stack.channels != channels:
        raise BadInput(
            f"{stack.source} has {stack.channels} channels, {name} needs {channels}"
        )
    if set(stack.sizes) != set(contract.grid.axes):
        raise BadInput(
            f"{stack.source} has frames along {', '.join(stack.sizes)}, {name} takes "
            f"{', '.join(contract.grid.axes)}; open it with the depth of the network"
        )
    if contract.task.needs_pixel_size and stack.pixel_size_nm is None:
        raise BadInput(
            f"{stack.source} states no pixel size, without which {name} cannot say "
            "where things are; give it with --pixel-size-nm"
        )


def rescales(contract: Contract) -> bool:
    """Tell whether a package declares a step that a scale of the recording replaces."""
    return any(str(step.get("id", "")) in RESCALING for step in contract.before)


def chosen_scaling(
    scaling: str | None, normalization: str, contract: Contract, *, name: str
) -> str | None:
    """Return the scale that a whole recording is given; None for frame by frame.

    Parameters
    ----------
    scaling
        What is in the frames, as the input declares.
    normalization
        ``frame``, ``movie`` or ``auto``: a scale for the recording where the package
        declares what is in its frames and a rescaling that it can take the place of.
    contract, name
        What the package takes, and its name for messages.

    Raises
    ------
    BadInput
        If a scale for the recording was asked for, and there is nothing to replace.
    """
    if normalization == "frame":
        return None
    if rescales(contract):
        return scaling or ("image" if normalization == "movie" else None)
    if normalization == "movie":
        raise BadInput(
            f"{name} declares no {' or '.join(sorted(RESCALING))} that a scale for the "
            "whole movie could replace; use --normalization frame"
        )
    return None


def _pixel_sizes(stack: "Stack") -> dict[str, float]:
    sizes: dict[str, float] = {}
    if stack.z_step_nm is not None and ("z" in dict(stack.outer) or stack.depth):
        sizes["z"] = stack.z_step_nm
    if stack.pixel_size_nm is not None:
        sizes |= {"y": stack.pixel_size_nm, "x": stack.pixel_size_nm}
    return sizes
