"""Movies for networks that restore a frame from those around it."""

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, Any, ClassVar, Literal

import numpy as np

from zoo.core.contract import Contract, Options, Recording
from zoo.core.errors import BadInput, BadPackage
from zoo.inputs.frames import FrameOptions, Frames, chosen_part, to_trained_pixel
from zoo.inputs.recording import (
    StackRecording,
    check_fit,
    chosen_scaling,
    closing_on_error,
    open_frames,
)

if TYPE_CHECKING:
    from zoo.io.part import Part
    from zoo.io.stacks import Stack

MIRRORED = "mirrored in time"
"""How a movie goes on before its first and behind its last frame."""

AS_CHANNELS = "channels of the file"
"""What neighbours are where the file holds them already."""


class MovieFrames(Frames):
    """Movies whose frames a network restores one by one, each from its neighbours too.

    The channels of the network are successive time points, an odd number, the middle
    one that of the output.  They slide over the movie, which goes on beyond both ends
    as its mirror image in time: repeating the first frame instead would show the
    network the same noise in three channels of five.  Channels of the file are movies
    of their own, and so are planes along z.

    A file with as many channels as the network has holds the time points of one image
    already, as other programs hand them over.
    """

    options: ClassVar[type[Options]] = FrameOptions
    channel_word: ClassVar[str] = "frames"
    kind: Literal["movie_frames"] = "movie_frames"  # pyright: ignore[reportIncompatibleVariableOverride] a kind of its own

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open a movie; see `zoo.core.contract.Input.open`."""
        window = len(contract.grid.channels)
        if window % 2 == 0:
            raise BadPackage(
                f"{name} takes {window} frames at once; their number must be odd, so "
                "that one is in the middle"
            )
        shape: tuple[int, ...] = getattr(source, "shape", ())
        stack = open_frames(
            source,
            contract,
            channels=window if len(shape) > 2 and shape[-1] == window else None,
            pixel_size_nm=pixel_size_nm,
        )
        if stack.channels == window:
            if stack.frames > 1:
                stack.notes.append(
                    f"the {window} channels were read as successive frames of an image "
                    "each; a movie has its frames along t"
                )
            return super().open(stack, contract, name=name, options=options)
        normalization = getattr(options, "normalization", "auto")
        scaling = chosen_scaling(self.scaling, normalization, contract, name=name)
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=None)
            check_length(stack, window, name=name)
            if time_axis(stack.outer) == "z":
                stack.notes.append(
                    f"the {stack.frames} planes along z were read as time points, "
                    f"which {name} restores from each other; a stack in depth is for a "
                    "package of single images"
                )
            shown, part = chosen_part(stack, options)
            movie = stack
            if part is not None:  # neighbours may lie outside the frames asked for
                from zoo.io.part import PartStack  # imports readers of files

                movie = PartStack(stack, replace(part, first=0, stop=stack.frames))
        shown, way = to_trained_pixel(shown, contract, options)
        movie, _ = to_trained_pixel(movie, contract, options)
        return MovieRecording(
            shown,
            contract,
            movie=movie,
            scaling=scaling,
            groups=tuple(
                slice(window * c, window * (c + 1)) for c in range(stack.channels)
            ),
            diffraction_limited=self.diffraction_limited,
            content=self.scaling,
            resampling=way,
            part=part,
        )


class MovieRecording(StackRecording):
    """A movie whose every frame comes with its neighbours in time.

    Parameters
    ----------
    stack, contract, part, settings
        As for `StackRecording`; groups hold the frames of a window, channel by channel.
    movie
        The same at all time points of the file.
    """

    def __init__(
        self,
        stack: "Stack",
        contract: Contract,
        *,
        movie: "Stack",
        part: "Part | None" = None,
        **settings: Any,
    ) -> None:
        super().__init__(stack, contract, part=part, **settings)
        self._movie = movie
        self._first = 0 if part is None else part.first
        self._window = len(contract.grid.channels)

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames with their neighbours, (frame, y, x, window x channel)."""
        stop = min(stop, self.frames)
        numbers = np.arange(start, stop) + self._first
        wanted = neighbours(numbers, self._movie.outer, self._window)
        needed, places = np.unique(wanted, return_inverse=True)
        frames = _read(self._movie.read, needed)
        around = frames[places.reshape(wanted.shape)]  # (frame, window, y, x, c)
        joined = np.moveaxis(around, 1, -1)
        return np.ascontiguousarray(joined.reshape(*joined.shape[:-2], -1))

    def _note(self, frames: np.ndarray) -> None:
        """Count what is wrong with a frame once, not in every window."""
        super()._note(frames[..., self._window // 2 :: self._window])

    def report(self) -> dict[str, Any]:
        """Return what was read, how it was scaled, and where neighbours come from."""
        report = super().report()
        report["options"] |= {
            "frames_at_once": self._window,
            "beyond_the_ends": MIRRORED,
        }
        return report


def check_length(stack: "Stack", window: int, *, name: str) -> None:
    """Refuse a movie too short to go on as its mirror image.

    Parameters
    ----------
    stack
        The open movie.
    window
        Frames that the network sees at once.
    name
        Name of the package, for messages.

    Raises
    ------
    BadInput
        If it has fewer than ``window // 2 + 1`` time points.
    """
    times, least = dict(stack.outer)[time_axis(stack.outer)], window // 2 + 1
    if times < least:
        points = "time point" if times == 1 else "time points"
        raise BadInput(
            f"{stack.source} has {times} {points}; {name} sees {window} frames at "
            f"once and needs a movie of {least} or more, or an image with {window} "
            "channels; single images are for a package of one channel"
        )


def time_axis(outer: tuple[tuple[str, int], ...]) -> str:
    """Return the letter along which frames follow each other in time.

    That is z where a file has planes and a single time point: programs call the frames
    of a movie slices.

    Examples
    --------
    >>> time_axis((("t", 5), ("z", 3))), time_axis((("t", 1), ("z", 5)))
    ('t', 'z')
    """
    lengths = dict(outer)
    return "z" if lengths["t"] == 1 and lengths.get("z", 1) > 1 else "t"


def neighbours(
    numbers: np.ndarray, outer: tuple[tuple[str, int], ...], window: int
) -> np.ndarray:
    """Return which frames a network sees for each frame.

    Parameters
    ----------
    numbers : (frame,) int
        Frames, in the C order of `outer`.
    outer
        Letters and lengths of what counts frames, time among them.
    window
        Frames that are seen at once, odd.

    Returns
    -------
    numbers : (frame, window) int
        In the order of time, the frame itself in the middle; mirrored at both ends.

    Examples
    --------
    >>> neighbours(np.array([0, 3]), (("t", 4),), 5).tolist()
    [[2, 1, 0, 1, 2], [1, 2, 3, 2, 1]]
    """
    shape = [length for _, length in outer]
    axis = [letter for letter, _ in outer].index(time_axis(outer))
    places = [np.asarray(p)[:, None] for p in np.unravel_index(numbers, shape)]
    last = shape[axis] - 1
    time = np.abs(places[axis] + np.arange(window) - window // 2)
    places[axis] = last - np.abs(last - time)
    return np.asarray(np.ravel_multi_index(np.broadcast_arrays(*places), shape))


def _read(read: Callable[[int, int], np.ndarray], numbers: np.ndarray) -> np.ndarray:
    """Return frames of rising numbers; those in a row are read together."""
    rows = np.split(numbers, np.flatnonzero(np.diff(numbers) > 1) + 1)
    return np.concatenate([read(int(row[0]), int(row[-1]) + 1) for row in rows])
