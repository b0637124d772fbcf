"""Some frames of a stack, or a part of its field, read as a stack of their own."""

import re
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import BadInput
from zoo.io.stacks import Stack

_SPAN = re.compile(r"\s*(\d*)\s*:\s*(\d*)\s*")


@dataclass(frozen=True)
class Part:
    """Which part of a recording is read."""

    first: int
    """First frame, from 0."""
    stop: int
    """Frame behind the last one."""
    y: tuple[int, int]
    """First row, and the one behind the last, px."""
    x: tuple[int, int]
    """First column, and the one behind the last, px."""

    def report(self) -> dict[str, Any]:
        """Return what the report says: frames from 1, rows and columns from 0."""
        return {
            "first_frame": self.first + 1,
            "last_frame": self.stop,
            "roi_y_px": list(self.y),
            "roi_x_px": list(self.x),
        }


def part_of(stack: Stack, *, frames: str | None, roi: str | None) -> Part:
    """Read what a user wrote about the part that is wanted.

    Parameters
    ----------
    stack
        The whole.
    frames
        ``first:last``, counted from 1, the last one included; either may be left out.
    roi
        ``y0:y1,x0:x1`` px, counted from 0, the ends not included.

    Raises
    ------
    BadInput
        If it is not written so, or is empty or beyond the recording.
    """
    first, stop = 0, stack.frames
    if frames is not None:
        if sum(n > 1 for _, n in stack.outer) > 1:
            raise BadInput(
                f"{stack.source} counts frames along several axes, "
                f"{', '.join(a for a, _ in stack.outer)}; leave --frames out"
            )
        low, high = _span(frames, "--frames", "100:2000")
        first, stop = (
            (1 if low is None else low) - 1,
            stack.frames if high is None else high,
        )
        if not 0 <= first < stop <= stack.frames:
            raise BadInput(
                f"--frames {frames} is no part of the {stack.frames} frames of "
                f"{stack.source}, which count from 1"
            )
    sides = {"y": (0, stack.height), "x": (0, stack.width)}
    if roi is not None:
        spans = roi.split(",")
        if len(spans) != 2:
            raise BadInput(f"--roi is written y0:y1,x0:x1 in px, not {roi}")
        for letter, span in zip("yx", spans, strict=True):
            low, high = _span(span, "--roi", "0:256,128:384")
            length = sides[letter][1]
            start, end = low or 0, length if high is None else high
            if not 0 <= start < end <= length:
                raise BadInput(
                    f"--roi {roi} is no part of the {stack.height} x {stack.width} px "
                    f"of {stack.source}"
                )
            sides[letter] = start, end
    return Part(first, stop, sides["y"], sides["x"])


def _span(text: str, option: str, example: str) -> tuple[int | None, int | None]:
    found = _SPAN.fullmatch(text)
    if found is None:
        raise BadInput(f"{option} takes whole numbers such as {example}, not {text}")
    low, high = (int(n) if n else None for n in found.groups())
    return low, high


class PartStack(Stack):
    """A part of a stack; it is closed with this one.

    Parameters
    ----------
    stack
        Open stack.
    part
        What is read of it.
    """

    def __init__(self, stack: Stack, part: Part) -> None:
        vars(self).update(vars(stack))
        self._whole, self._part = stack, part
        self.frames = part.stop - part.first
        self.height = part.y[1] - part.y[0]
        self.width = part.x[1] - part.x[0]
        if self.frames != stack.frames:
            self.outer = tuple((a, self.frames if n > 1 else n) for a, n in stack.outer)

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return frames of the part; `start` and `stop` count in it."""
        stop = min(stop, self.frames)
        if not 0 <= start < stop:
            raise ValueError(
                f"frames {start} to {stop} do not exist in a part of {self.frames}"
            )
        first = self._part.first
        frames = self._whole.read(first + start, first + stop)
        y, x = self._part.y, self._part.x
        return np.ascontiguousarray(frames[..., y[0] : y[1], x[0] : x[1], :])

    def close(self) -> None:
        """Close open files."""
        self._whole.close()
