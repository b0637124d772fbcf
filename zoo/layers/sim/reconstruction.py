"""Wiener reconstruction of raw SIM frames inside a Keras graph.

The formula of `zoo.physics.sim_reconstruction.reconstruct` with weights by noise
(Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x), for the illumination pattern
and the OTF that `zoo.layers.sim.pattern` estimates from the frames.  Nothing is
trained.
"""

from typing import Any

import keras
import numpy as np

from zoo.layers.dft import Tensor, backward, forward, frequencies, waves
from zoo.layers.resize import axis_positions
from zoo.layers.sim.components import (
    ORIENTATIONS,
    PHASES,
    components,
    mean_length,
    plane_waves,
)
from zoo.layers.sim.entrance import through_entrance, told
from zoo.layers.sim.maps import as_map, window
from zoo.layers.sim.pattern import PatternEstimate, estimate_pattern
from zoo.layers.sim.transfer import transfer

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

SCALE = 2
"""Pixels of a reconstruction per camera pixel along an axis."""

REGULARISATIONS = (0.03, 0.08)
"""Wiener parameters that suit some two hundred and some twenty photons per pixel."""

MAPS = 1 + SCALE**2 * len(REGULARISATIONS)
"""Feature maps of `reconstructions`: as many as there are raw frames."""

FRAMES = ORIENTATIONS * PHASES

_PADDING = 16  # camera pixels that frames are continued by on every side


def reconstructions(frames: Tensor, *, informed: bool = False) -> list[Tensor]:
    """Return widefield and SIM reconstructions of raw frames, on their own grid.

    Parameters
    ----------
    frames : (b, y, x, 9 or 10)
        Three phases of the first orientation, then of the second, then of the third.
    informed
        Whether a tenth channel holds the pattern, as in `zoo.layers.sim.entrance.told`;
        it is estimated from the frames otherwise.

    Returns
    -------
    maps
        `MAPS` of (b, y, x, 1): the mean of the frames, and for every parameter of
        `REGULARISATIONS` the four fine pixels in a camera pixel, row by row.
    """
    mean, cosine, sine = components(frames[..., :FRAMES])
    if informed:
        pattern = told(frames)
    else:
        pattern = through_entrance(estimate_pattern(mean, cosine, sine))
    maps = [mean]
    for image in reconstruct(mean, cosine, sine, pattern, REGULARISATIONS):
        maps += [
            image[:, :, y::SCALE, x::SCALE] for y in range(SCALE) for x in range(SCALE)
        ]
    return [ops.transpose(part, (0, 2, 3, 1)) for part in maps]


def reconstruct(
    mean: Tensor,
    cosine: Tensor,
    sine: Tensor,
    pattern: PatternEstimate,
    regularisations: tuple[float, ...],
) -> list[Tensor]:
    """Return Wiener reconstructions, (b, 1, 2y, 2x) each.

    Parameters
    ----------
    mean, cosine, sine
        From `zoo.layers.sim.components.components`.
    pattern
        Illumination pattern of the frames.
    regularisations
        Wiener parameter of each.
    """
    rows, along_y = _enlarging(axis_positions(mean, axis=2))
    columns, along_x = _enlarging(axis_positions(mean, axis=3))
    maps = ops.concatenate([mean, cosine, sine], axis=1)
    level = ops.mean(maps, axis=(2, 3), keepdims=True)
    large = ops.matmul(ops.matmul(rows, maps - level), ops.transpose(columns, (1, 0)))
    even, odd = large[:, 1 : 1 + ORIENTATIONS], large[:, 1 + ORIENTATIONS :]
    f_y, f_x = (
        SCALE * frequencies(axis_positions(large, axis=axis)) for axis in (2, 3)
    )
    by = waves(f_y, f_x, along_y, along_x)
    cos, sin = plane_waves(pattern.vectors, pattern.phasors, along_y, along_x)
    central_band = forward(large[:, :1], None, by)
    side_band = forward(even * cos - odd * sin, -(odd * cos + even * sin), by)
    row, column = ops.expand_dims(f_y, 1), ops.expand_dims(f_x, 0)
    cutoff, attenuation = as_map(pattern.cutoff), as_map(pattern.attenuation)
    shape = (-1, ORIENTATIONS, 1, 1)
    v_y, v_x = (ops.reshape(pattern.vectors[..., axis], shape) for axis in (0, 1))
    modulation = ops.reshape(pattern.modulation, shape)
    # a side band has 4 phases / modulation**2 times the noise of the central one
    variance = modulation * modulation / (4 * PHASES)
    central = transfer(row, column, cutoff, attenuation)
    ahead = transfer(row + v_y, column + v_x, cutoff, attenuation)
    behind = transfer(row - v_y, column - v_x, cutoff, attenuation)
    weight = modulation / (2 * PHASES) * ahead
    power = central * central + ops.sum(
        variance * (ahead * ahead + behind * behind), axis=1, keepdims=True
    )
    total = [
        central * zero + ops.sum(weight * plus, axis=1, keepdims=True)
        for zero, plus in zip(central_band, side_band, strict=True)
    ]
    support = cutoff + as_map(mean_length(pattern.vectors))
    cone = ops.maximum(1 - ops.sqrt(row * row + column * column) / support, 0.0)
    pixels = ops.sum(ops.ones_like(large[:1, :1, :, :]))
    inner = slice(SCALE * _PADDING, -SCALE * _PADDING)
    images = []
    for number in regularisations:
        wiener = cone / (power + number**2) / pixels
        image = backward(total[0] * wiener, total[1] * wiener, by)
        images.append(image[:, :, inner, inner] + level[:, :1])
    return images


def _enlarging(along: Tensor) -> tuple[Tensor, Tensor]:
    """Return the matrix that mirrors an axis at its ends, fades and enlarges it.

    Returns
    -------
    matrix : (2 (n + 32), n)
    positions : (2 (n + 32),)
        Of its rows, camera pixels from the middle of the image.
    """
    count = ops.max(along) + 1.0
    ring = np.arange(_PADDING, dtype=np.float32)
    padded = ops.concatenate([ring - _PADDING, along, count + ring])
    source = count - 1 - ops.abs(count - 1 - ops.abs(padded))
    away = ops.expand_dims(source, 1) - ops.expand_dims(along, 0)
    mirror = ops.cast(ops.abs(away) < 0.5, "float32")
    length = count + 2 * _PADDING
    fade = window(padded + _PADDING, float(_PADDING))
    fine = ops.concatenate([padded + part * length for part in range(SCALE)])
    positions = (fine + _PADDING + 0.5) / SCALE - _PADDING - 0.5
    frequency = frequencies(padded + _PADDING)
    by = waves(frequency, frequency, positions, padded)
    waved = ops.matmul(ops.transpose(by.cos_y, (1, 0)), by.cos_x)
    waved = waved + ops.matmul(ops.transpose(by.sin_y, (1, 0)), by.sin_x)
    matrix = ops.matmul(waved / length * ops.expand_dims(fade, 0), mirror)
    return matrix, positions - (count - 1) / 2
