"""Static background of a movie of blinking emitters, and its removal while reading.

What shines in every frame at the same place - a cell's haze, dirt, a camera's fixed
pattern - is a low percentile over time of each pixel.  The median would do as well
where emitters are dark most of the time; on crowded filaments they are not, and it
takes much of their light.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import BadInput
from zoo.io.stacks import Stack

FEWEST_FRAMES = 20
"""A percentile of fewer frames follows the emitters and its own noise."""
PERCENTILE = 10.0
"""Of a pixel over time, that is its background but for the noise, which is much the
same everywhere and does not count: only differences between pixels are removed."""
BLOCK = 100
"""Frames that share one background."""
WINDOW = 300
"""Frames around the middle of a block that its background is found from."""
SAMPLED = 60
"""At most this many of them, evenly spaced, are read."""
MEMORY_BYTES = 256 * 10**6
"""What these frames may take; of large frames fewer are read, `FEWEST_FRAMES` at
least."""
_KEPT = 2  # backgrounds of blocks that are kept


class StillStack(Stack):
    """A stack less its static background, found again for every block of frames.

    To every pixel of a frame the median over the field of the first background is
    added, so that the level of dark pixels stays.  Saturated pixels and frames of one
    value, which hold nothing, stay as they are.

    Parameters
    ----------
    stack
        Open stack; it is closed with this one.

    Raises
    ------
    BadInput
        If there are fewer than `FEWEST_FRAMES` frames.
    """

    def __init__(self, stack: Stack) -> None:
        if stack.frames < FEWEST_FRAMES:
            raise BadInput(
                f"{stack.source} has {stack.frames} frames, a static background is "
                f"found from {FEWEST_FRAMES} or more; leave out --subtract-background"
            )
        others = [letter for letter, n in stack.outer if letter != "t" and n > 1]
        if others:
            raise BadInput(
                f"{stack.source} has frames along {', '.join(others)}, whose "
                "backgrounds differ; give --subtract-background one movie"
            )
        vars(self).update(vars(stack))
        self._plain = stack
        self._backgrounds: dict[int, NDArray[np.float32]] = {}
        first = self._background(0)
        space = tuple(range(first.ndim - 1))
        self._level = np.median(first, axis=space)
        self._full = (
            float(np.iinfo(stack.dtype).max) if stack.dtype.kind in "ui" else np.inf
        )
        self.changes: dict[str, Any] = {
            "subtract_background": True,
            "background_percentile": PERCENTILE,
            "background_window": min(WINDOW, stack.frames),
            "background_frames": len(self._sampled(0)),
            "background_level": [float(level) for level in self._level],
        }

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return frames ``start`` to ``stop`` without their background."""
        frames = self._plain.read(start, stop)
        space = tuple(range(1, frames.ndim))
        kept = frames >= self._full
        flat = frames.max(axis=space) == frames.min(axis=space)
        kept |= flat.reshape(-1, *(1 for _ in space))
        numbers = np.arange(start, start + len(frames))
        still = np.empty_like(frames)
        for block in np.unique(numbers // BLOCK):
            rows = numbers // BLOCK == block
            offset = self._background(int(block)) - self._level.astype(np.float32)
            still[rows] = frames[rows] - offset
        return np.where(kept, frames, still)

    def _sampled(self, block: int) -> NDArray[np.int64]:
        """Return the numbers of the frames that a block's background is found from."""
        first = block * BLOCK + BLOCK // 2 - WINDOW // 2
        first = max(0, min(first, self.frames - WINDOW))
        last = min(first + WINDOW, self.frames) - 1
        sizes = self._plain.sizes.values()
        frame_bytes = 4 * self.channels * int(np.prod(list(sizes)))
        count = min(SAMPLED, max(FEWEST_FRAMES, MEMORY_BYTES // frame_bytes))
        return np.unique(np.linspace(first, last, count).round().astype(np.int64))

    def _background(self, block: int) -> NDArray[np.float32]:
        """Return the percentile over time around a block, ([z,] y, x, c)."""
        if block not in self._backgrounds:
            frames = [
                self._plain.read(int(n), int(n) + 1) for n in self._sampled(block)
            ]
            while len(self._backgrounds) >= _KEPT:
                del self._backgrounds[next(iter(self._backgrounds))]
            still = np.percentile(np.concatenate(frames), PERCENTILE, axis=0)
            self._backgrounds[block] = still.astype(np.float32)
        return self._backgrounds[block]
