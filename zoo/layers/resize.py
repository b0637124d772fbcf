"""Bilinear resizing by matrices that are built inside the graph.

A matrix per axis runs in every weights format and at any size; resizing layers do not
convert where height and width are free.
"""

from typing import Any, Literal

import keras
import numpy as np

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

Convention = Literal["half_pixel", "legacy"]
"""Where an output pixel looks: at its centre, as everywhere since TensorFlow 2, or at
integer multiples of the step between pixels, as in TensorFlow 1."""


def axis_positions(x: keras.KerasTensor, *, axis: int) -> keras.KerasTensor:
    """Return 0, 1, … n − 1 for an axis of `x`, whatever its length at run time.

    Parameters
    ----------
    x
        Symbolic tensor with a batch axis first.
    axis
        Axis to count along, not the first.

    Returns
    -------
    positions : (n,) float32
    """
    probe = tuple(
        slice(None) if number == axis else slice(0, 1) for number in range(len(x.shape))
    )
    ones = ops.ones_like(x[probe], dtype="float32")  # pyright: ignore[reportArgumentType]
    return ops.cumsum(ops.reshape(ones, (-1,)), axis=0) - 1.0


def bilinear_matrix(
    positions: keras.KerasTensor, size: int, *, convention: Convention = "half_pixel"
) -> keras.KerasTensor:
    """Return the matrix that resizes an axis bilinearly, without smoothing first.

    Output pixel i looks at ``(i + ½)·n/size − ½`` under ``half_pixel`` and at
    ``i·n/size`` under ``legacy``, held inside the axis.  Both are the identity where
    nothing is resized.  Every row sums to one.

    Parameters
    ----------
    positions : (n,) float32
        Positions along the axis, from `axis_positions`.
    size
        Length of the axis afterwards, px.
    convention
        Where an output pixel looks.

    Returns
    -------
    matrix : (size, n) float32

    Raises
    ------
    ValueError
        If the convention is unknown.
    """
    if convention not in ("half_pixel", "legacy"):
        raise ValueError(f"resize must be half_pixel or legacy, not {convention!r}")
    shift = 0.5 if convention == "half_pixel" else 0.0
    centres = np.arange(size, dtype=np.float32).reshape(-1, 1) + np.float32(shift)
    last = ops.max(positions)
    place = (last + 1.0) * (centres / np.float32(size)) - shift
    place = ops.minimum(ops.maximum(place, 0.0), last)
    distance = ops.abs(place - ops.expand_dims(positions, 0))
    return ops.maximum(1.0 - distance, 0.0)


def resize_axes(
    x: keras.KerasTensor, rows: keras.KerasTensor, columns: keras.KerasTensor
) -> keras.KerasTensor:
    """Apply one matrix along y and one along x.

    Parameters
    ----------
    x : (b, y, x, c) float32
    rows : (Y, y) float32
    columns : (X, x) float32

    Returns
    -------
    resized : (b, Y, X, c) float32
    """
    x = ops.transpose(ops.matmul(columns, x), (0, 2, 1, 3))
    return ops.transpose(ops.matmul(rows, x), (0, 2, 1, 3))
