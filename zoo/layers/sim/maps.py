"""Channels-first maps (b, c, y, x) and the windows and pooling that SIM graphs need."""

from typing import Any

import keras
import numpy as np

from zoo.layers.dft import Tensor

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

TINY = 1e-12
"""Added to a divisor that may be zero."""


def as_map(number: Tensor) -> Tensor:
    """Return a number of every image, (b,), as a map of one pixel, (b, 1, 1, 1)."""
    return ops.reshape(number, (-1, 1, 1, 1))


def window(along: Tensor, ramp: Any) -> Tensor:
    """Return a window that rises and falls by half a cosine over `ramp` pixels.

    Parameters
    ----------
    along : (n,)
        Positions, counted from 0.
    ramp
        Pixels, a number or a tensor.
    """
    inside = ops.minimum(along, ops.max(along) - along) + 0.5
    share = ops.minimum(inside / ramp, 1.0)
    return 0.5 - 0.5 * ops.cos(np.pi * share)


def pooled(pool: Any, maps: Tensor, size: int, *, strides: int = 1) -> Tensor:
    """Pool maps; no backend pools with channels first on a CPU.

    Parameters
    ----------
    pool
        `keras.ops.average_pool` or `keras.ops.max_pool`.
    maps : (b, c, y, x)
        Maps, whose size is kept without strides.
    size, strides
        Pixels along an axis.
    """
    last = ops.transpose(maps, (0, 2, 3, 1))
    padding = "same" if strides == 1 else "valid"
    small = pool(
        last, size, strides=strides, padding=padding, data_format="channels_last"
    )
    return ops.transpose(small, (0, 3, 1, 2))
