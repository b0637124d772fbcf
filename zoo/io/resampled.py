"""Stacks that are read on another grid."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from zoo.core.resampling import Resampling, resampled
from zoo.io.stacks import Stack


class ResampledStack(Stack):
    """A stack read on another grid.

    What is saturated or constant in the file stays so.

    Parameters
    ----------
    stack
        Open stack; it is closed with this one.
    resampling
        The two grids.
    """

    def __init__(self, stack: Stack, resampling: Resampling) -> None:
        vars(self).update(vars(stack))
        self.original = stack
        """The stack as the file has it."""
        self._resampling = resampling
        self.height, self.width = (resampling.target_px[a] for a in "yx")
        self.pixel_size_nm = resampling.target_nm

    def read(self, start: int, stop: int) -> NDArray[np.float32]:
        """Return frames (t, [z,] y, x, c) on the new grid."""
        frames = self.original.read(start, stop)
        done: NDArray[Any] = frames
        for axis, length in ((-3, self.height), (-2, self.width)):
            done = resampled(done, length, axis=axis)
        space = tuple(range(1, frames.ndim - 1))
        low: NDArray[Any] = frames.min(axis=space, keepdims=True)
        high: NDArray[Any] = frames.max(axis=space, keepdims=True)
        same: NDArray[np.bool_] = low == high
        flat = np.broadcast_to(same, done.shape)
        np.copyto(done, low, where=flat)
        if self.dtype.kind in "ui":
            top = np.float32(np.iinfo(self.dtype).max)
            full = frames >= top
            if full.any():
                sizes: list[tuple[int, int]] = [
                    (self.height, self.original.height),
                    (self.width, self.original.width),
                ]
                rows, columns = (
                    np.minimum(np.floor((np.arange(m) + 0.5) * (n / m)), n - 1)
                    for m, n in sizes
                )
                nearest = full[..., rows.astype(int)[:, None], columns.astype(int), :]
                np.copyto(done, top, where=nearest)
            np.clip(done, 0 if self.dtype.kind == "u" else None, top, out=done)
        return done

    def close(self) -> None:
        """Close open files."""
        self.original.close()
