"""Discrete Fourier transforms of images as products with matrices of plane waves.

Every backend and weights format has such products, at sizes that are known only at run
time too.  An image is (b, c, y, x), channels first, so that every product is one of
large matrices, and has a real and an imaginary part.
"""

from typing import Any, NamedTuple

import keras
import numpy as np

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops
Tensor = Any
Parts = tuple[Tensor, Tensor]
"""Real and imaginary part."""


class Waves(NamedTuple):
    """Cosines and sines along both axes, (frequency, position)."""

    cos_y: Tensor
    sin_y: Tensor
    cos_x: Tensor
    sin_x: Tensor


def frequencies(positions: Tensor, *, finer: int = 1) -> Tensor:
    """Return frequencies from the most negative on, ``0`` at ``n // 2``.

    Parameters
    ----------
    positions : (n,)
        Counted from 0.
    finer
        Frequencies per frequency that n positions distinguish.

    Returns
    -------
    frequencies : (finer * n,)
        Cycles per position.
    """
    count = ops.max(positions) + 1.0
    steps = [positions + part * count for part in range(finer)]
    return (ops.concatenate(steps) - ops.floor(finer * count / 2)) / (finer * count)


def waves(f_y: Tensor, f_x: Tensor, along_y: Tensor, along_x: Tensor) -> Waves:
    """Return the matrices that lead from positions to frequencies.

    Parameters
    ----------
    f_y, f_x : (v,), (u,)
        Frequencies, cycles per unit of the positions.
    along_y, along_x : (y,), (x,)
        Positions.
    """
    return Waves(*_turns(f_y, along_y), *_turns(f_x, along_x))


def _turns(frequency: Tensor, positions: Tensor) -> Parts:
    turns = ops.expand_dims(frequency, 1) * ops.expand_dims(positions, 0)
    angle = 2 * np.pi * (turns - ops.floor(turns))
    return ops.cos(angle), ops.sin(angle)


def forward(real: Tensor, imaginary: Tensor | None, by: Waves) -> Parts:
    """Return the transform, (b, c, v, u): the sum over pixels of ``exp(-2 pi i f.r)``.

    Parameters
    ----------
    real, imaginary : (b, c, y, x)
        Image; None for an imaginary part of zero.
    by
        Matrices.
    """
    cos, sin = (ops.transpose(part, (1, 0)) for part in (by.cos_x, by.sin_x))
    if imaginary is None:
        even, odd = ops.matmul(real, cos), -ops.matmul(real, sin)
    else:
        even = ops.matmul(real, cos) + ops.matmul(imaginary, sin)
        odd = ops.matmul(imaginary, cos) - ops.matmul(real, sin)
    return (
        ops.matmul(by.cos_y, even) + ops.matmul(by.sin_y, odd),
        ops.matmul(by.cos_y, odd) - ops.matmul(by.sin_y, even),
    )


def backward(real: Tensor, imaginary: Tensor, by: Waves) -> Tensor:
    """Return the real part of the sum of waves, (b, c, y, x), divided by nothing.

    Parameters
    ----------
    real, imaginary : (b, c, v, u)
        Spectrum.
    by
        Matrices of the way forward.
    """
    even = ops.matmul(real, by.cos_x) - ops.matmul(imaginary, by.sin_x)
    odd = ops.matmul(real, by.sin_x) + ops.matmul(imaginary, by.cos_x)
    cos, sin = (ops.transpose(part, (1, 0)) for part in (by.cos_y, by.sin_y))
    return ops.matmul(cos, even) - ops.matmul(sin, odd)
