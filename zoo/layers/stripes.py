"""Stripes of structured illumination, found inside a network's graph.

What `zoo.physics.stripe_estimation` does with knowledge of the microscope, done
without, in operations that every backend and weights format has: copies of the
sample's spectrum are looked for where they correlate with the original.  Three
orientations 60 degrees apart are found together, so that a weak one profits from the
others (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x).

Pictures are (b, c, y, x), channels first; lengths are in camera pixels, frequencies in
cycles per camera pixel.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from zoo.layers.resize import axis_positions
from zoo.layers.transform import (
    Parts,
    Tensor,
    Waves,
    backward,
    forward,
    frequencies,
    waves,
)

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

ORIENTATIONS = 3
PHASES = 3

RANGE = (0.14, 0.46)
"""Frequencies that stripes are looked for at."""

EMPTY = 0.45
"""Frequency beyond which there is noise alone."""

RELATIVE = 0.925
"""Frequency of stripes in units of the cut-off, which is found from it."""

CUTOFF = 0.28
"""Cut-off assumed where no stripes are found."""

FALL = (0.435, 2 * np.pi**2 / 12)
"""How the transfer falls off besides the pupil's: ``exp(-fall * frequency**2)``, by a
blur of 0.055 wavelengths, for frequencies in units of the cut-off, and by the pixel."""

CLEAR = (3.0, 0.3)
"""Clarity at which stripes count for half, and width of the rise to all.  Without
stripes, noise has 2.6 to 3.3."""

_TINY = 1e-12
_RADIAL = 1 / 256  # step of the polar grid, cycles per pixel
_TURNS = 360  # steps of the polar grid around
_REACH = 8  # points of the finer grid to either side of a peak
_FINER = 4  # of them between two frequencies
_POWER = 24  # of the energy that weighs them


class Stripes(NamedTuple):
    """Stripes of a picture's frames."""

    vectors: Tensor
    """(b, orientation, 2), y before x; the way that phases rise along the frames."""
    phasors: Tensor
    """(b, orientation, 2), cosine and sine of the phase that an orientation's first
    frame has in the middle of the picture, where an error of a vector matters least."""
    contrast: Tensor
    """(b, orientation), next to nothing where no stripes stand out."""
    cutoff: Tensor
    """(b,), cut-off of the microscope."""
    clarity: Tensor
    """(b,), how far the stripes stand out: amplitude of the peaks in units of the root
    mean square around."""


def components(frames: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the mean of all frames and two components of every orientation.

    Parameters
    ----------
    frames : (b, y, x, 9)
        Three phases of the first orientation, then of the second, then of the third.

    Returns
    -------
    mean, cosine, sine
        (b, 1, y, x) and twice (b, 3, y, x): two thirds of the sum of an orientation's
        frames times the cosine and the sine of equal steps.  ``cosine - 1j * sine`` is
        what a microscope shows of contrast times sample times the complex wave.
    """
    steps = 2 * np.pi * np.arange(PHASES) / PHASES
    eye = np.eye(ORIENTATIONS)
    cosine, sine = (
        ops.matmul(
            frames, np.kron(eye, 2 / PHASES * wave(steps)[:, None]).astype("float32")
        )
        for wave in (np.cos, np.sin)
    )
    parts = ops.mean(frames, axis=-1, keepdims=True), cosine, sine
    mean, cosine, sine = (ops.transpose(part, (0, 3, 1, 2)) for part in parts)
    return mean, cosine, sine


def find_stripes(mean: Tensor, cosine: Tensor, sine: Tensor) -> Stripes:
    """Find the stripes in the components of raw frames.

    Phases are taken to rise by equal steps, and orientations to be 60 degrees apart,
    either way round, to some three degrees.

    Parameters
    ----------
    mean, cosine, sine
        From `components`.
    """
    along_y, along_x = (axis_positions(mean, axis=axis) for axis in (2, 3))
    shorter = ops.minimum(ops.max(along_y), ops.max(along_x)) + 1.0
    window = ops.expand_dims(window_of(along_y, shorter / 8), 1)
    window = window * window_of(along_x, shorter / 8)
    maps = ops.concatenate([mean, cosine, sine], axis=1)
    maps = (maps - ops.mean(maps, axis=(2, 3), keepdims=True)) * window
    f_y, f_x = frequencies(along_y), frequencies(along_x)
    by = waves(f_y, f_x, along_y, along_x)
    real, imaginary = forward(maps, None, by)
    row, column = ops.expand_dims(f_y, 1), ops.expand_dims(f_x, 0)
    radius = ops.sqrt(row * row + column * column)
    empty = ops.cast(radius > EMPTY, "float32")
    # background, haze and the border of the picture change slowly
    slow = ops.maximum(5.0 / shorter, 0.05)
    used = ops.cast(radius > slow, "float32") * (1 - empty)
    power = real * real + imaginary * imaginary
    # cosine and sine of an orientation are weighed alike
    power = ops.concatenate([power[:, :1], power[:, 1:4] + power[:, 4:]], axis=1)
    noise = ops.sum(power * empty, axis=(2, 3), keepdims=True) / ops.sum(empty)
    around = _pooled(ops.average_pool, power, 5) + _TINY
    share = used * ops.maximum(1 - noise / around, 0.0)
    even = share / ops.sqrt(around)
    even = ops.concatenate([even, even[:, 1:]], axis=1)
    white = backward(real * even, imaginary * even, by)
    sample, cosines, sines = white[:, :1], white[:, 1:4], white[:, 4:]
    product = sample * cosines, -sample * sines
    vectors, clarity = _peaks(product, along_y, along_x)
    from_middle = [along - ops.max(along) / 2 for along in (along_y, along_x)]
    vectors, phasors = _refined(product, vectors, *from_middle)
    sure = ops.sigmoid((clarity - CLEAR[0]) / CLEAR[1])
    cutoff = sure * length_of(vectors) / RELATIVE + (1 - sure) * CUTOFF
    seen = transfer(row, column, ops.reshape(cutoff, (-1, 1, 1, 1)))
    sharpen = ops.cast(seen > 0.1, "float32") / ops.maximum(seen, 0.1) * share[:, :1]
    sharp = backward(real[:, :1] * sharpen, imaginary[:, :1] * sharpen, by)
    there = real[:, 1:4] + imaginary[:, 4:], imaginary[:, 1:4] - real[:, 4:]
    wave = wave_at(vectors, phasors, *from_middle)
    contrast = _contrast(sharp, wave, there, used * seen, by)
    return Stripes(
        vectors, phasors, contrast * ops.expand_dims(sure, 1), cutoff, clarity
    )


def length_of(vectors: Tensor) -> Tensor:
    """Return the mean length of the vectors of every picture, (b,)."""
    return ops.mean(ops.sqrt(ops.sum(vectors * vectors, axis=-1)), axis=-1)


def transfer(f_y: Tensor, f_x: Tensor, cutoff: Tensor) -> Tensor:
    """Return the transfer of a microscope in focus; all are broadcast together."""
    square = f_y * f_y + f_x * f_x
    nu = ops.sqrt(square + _TINY) / cutoff
    within = ops.minimum(nu, 1.0)
    pupil = ops.arccos(within) - within * ops.sqrt(ops.maximum(1 - within * within, 0))
    return 2 / np.pi * pupil * ops.exp(-FALL[0] * nu * nu - FALL[1] * square)


def wave_at(
    vectors: Tensor, phasors: Tensor, along_y: Tensor, along_x: Tensor
) -> Parts:
    """Return cosine and sine of an orientation's first phase, (b, orientation, y, x).

    Parameters
    ----------
    vectors, phasors
        Stripes.
    along_y, along_x : (y,), (x,)
        Positions, from the middle of the picture.
    """
    shape = (-1, ORIENTATIONS, 1, 1)
    f_y, f_x = (ops.reshape(vectors[..., axis], shape) for axis in (0, 1))
    turns = f_y * ops.expand_dims(along_y, 1) + f_x * along_x
    angle = 2 * np.pi * (turns - ops.floor(turns))
    cos, sin = ops.cos(angle), ops.sin(angle)
    first_cos, first_sin = (ops.reshape(phasors[..., part], shape) for part in (0, 1))
    return cos * first_cos - sin * first_sin, sin * first_cos + cos * first_sin


def window_of(along: Tensor, ramp: Any) -> Tensor:
    """Return a window that rises and falls by half a cosine over `ramp` pixels."""
    inside = ops.minimum(along, ops.max(along) - along) + 0.5
    share = ops.minimum(inside / ramp, 1.0)
    return 0.5 - 0.5 * ops.cos(np.pi * share)


def _peaks(product: Parts, along_y: Tensor, along_x: Tensor) -> tuple[Tensor, Tensor]:
    """Find three vectors of one length, 60 degrees apart.

    Returns
    -------
    vectors : (b, orientation, 2)
        To a step of the grid, and up to the sign.
    clarity : (b,)
    """
    f_y, f_x = (frequencies(along, finer=2) for along in (along_y, along_x))
    real, imaginary = forward(*product, waves(f_y, f_x, along_y, along_x))
    energy = real * real + imaginary * imaginary
    angles = 2 * np.pi * np.arange(_TURNS, dtype=np.float32) / _TURNS
    radii = np.arange(*RANGE, _RADIAL, dtype=np.float32)
    height, width = (2 * (ops.max(along) + 1.0) for along in (along_y, along_x))
    row = ops.round(height * radii[:, None] * np.sin(angles) + height / 2)
    column = ops.round(width * radii[:, None] * np.cos(angles) + width / 2)
    index = ops.reshape(ops.cast(row * width + column, "int32"), (-1,))
    # orientations may differ by more than the spacing of the grid
    best = _pooled(ops.max_pool, energy, 3)
    polar, mean = (
        ops.take(
            layers.Reshape((ORIENTATIONS, -1), dtype="float32")(picture), index, axis=2
        )
        for picture in (best, energy)
    )
    polar = ops.sqrt(polar / (ops.mean(mean, axis=2, keepdims=True) + _TINY))
    half_turn = _TURNS // 2
    polar = ops.reshape(polar, (-1, ORIENTATIONS, len(radii), 2, half_turn))
    polar = ops.max(polar, axis=3)
    scores = []
    for way in (1, -1):
        score = polar[:, 0]
        for number in range(1, ORIENTATIONS):
            start = way * number * half_turn // ORIENTATIONS % half_turn
            part = polar[:, number]
            score = score + ops.concatenate(
                [part[..., start:], part[..., :start]], axis=-1
            )
        scores.append(score)
    size = len(radii) * half_turn
    score = ops.reshape(ops.stack(scores, axis=1), (-1, 2 * size))
    highest = ops.max(score, axis=-1, keepdims=True)
    # not argmax, for which Keras takes bits of numbers apart, as ONNX cannot
    number = ops.cumsum(ops.ones_like(score), axis=-1) - 1.0
    found = ops.min(ops.where(score < highest, 2.0 * size, number), axis=-1)
    backwards = ops.floor((found + 0.5) / size)
    found = found - size * backwards
    ring = ops.floor((found + 0.5) / half_turn)
    angle = (found - half_turn * ring) * np.float32(2 * np.pi / _TURNS)
    apart = np.arange(ORIENTATIONS, dtype=np.float32) * np.pi / ORIENTATIONS
    turned = ops.expand_dims(angle, 1) + ops.expand_dims(1 - 2 * backwards, 1) * apart
    length = ops.expand_dims(RANGE[0] + _RADIAL * ring, 1)
    vectors = ops.stack([length * ops.sin(turned), length * ops.cos(turned)], axis=-1)
    return vectors, ops.squeeze(highest, 1) / ORIENTATIONS


def _refined(
    product: Parts, vectors: Tensor, along_y: Tensor, along_x: Tensor
) -> Parts:
    """Read vectors between the points of the grid, with their signs and phases."""
    parts = [ops.concatenate([part, part], axis=1) for part in product]
    both = ops.concatenate([vectors, -vectors], axis=1)
    grid = np.arange(-_REACH, _REACH + 1, dtype=np.float32) / _FINER
    steps = [ops.divide(grid, 2 * ops.max(along) + 1.0) for along in (along_y, along_x)]
    near = [
        ops.expand_dims(both[..., axis], -1) + step for axis, step in enumerate(steps)
    ]
    real, imaginary = _sampled(parts, near, along_y, along_x)
    energy = real * real + imaginary * imaginary
    top = ops.max(energy, axis=(2, 3), keepdims=True)
    weight = (energy / (top + _TINY)) ** _POWER
    total = ops.sum(weight, axis=(2, 3)) + _TINY
    found = [
        both[..., axis] + ops.sum(ops.sum(weight, axis=3 - axis) * step, axis=2) / total
        for axis, step in enumerate(steps)
    ]
    at = [ops.expand_dims(part, -1) for part in found]
    phasor = ops.concatenate(
        [ops.squeeze(part, 3) for part in _sampled(parts, at, along_y, along_x)], -1
    )
    size = ops.sqrt(ops.sum(phasor * phasor, axis=-1, keepdims=True))
    phasor = phasor / (size + _TINY)
    top = ops.squeeze(top, 3)
    plus = ops.cast(top[:, :ORIENTATIONS] >= top[:, ORIENTATIONS:], "float32")
    vector, phasor = (
        plus * part[:, :ORIENTATIONS] + (1 - plus) * part[:, ORIENTATIONS:]
        for part in (ops.stack(found, axis=-1), phasor)
    )
    return vector, phasor


def _sampled(
    parts: list[Tensor], near: list[Tensor], along_y: Tensor, along_x: Tensor
) -> Parts:
    """Transform (b, n, y, x) at the frequencies (b, n, v) and (b, n, u)."""
    real, imaginary = parts
    angle = 2 * np.pi * ops.expand_dims(near[0], -1) * along_y
    cos, sin = ops.cos(angle), ops.sin(angle)
    real, imaginary = (
        ops.matmul(cos, real) + ops.matmul(sin, imaginary),
        ops.matmul(cos, imaginary) - ops.matmul(sin, real),
    )
    angle = 2 * np.pi * ops.expand_dims(along_x, 1) * ops.expand_dims(near[1], 2)
    cos, sin = ops.cos(angle), ops.sin(angle)
    return (
        ops.matmul(real, cos) + ops.matmul(imaginary, sin),
        ops.matmul(imaginary, cos) - ops.matmul(real, sin),
    )


def _contrast(
    sharp: Tensor, wave: Parts, there: Parts, seen: Tensor, by: Waves
) -> Tensor:
    """Return how much of the sharpened sample's moved copies the components hold."""
    pixels = ops.sum(ops.ones_like(sharp[:1, :, :, :]))
    copy = [
        part * seen / pixels for part in forward(sharp * wave[0], sharp * wave[1], by)
    ]
    same = ops.sum(copy[0] * there[0] + copy[1] * there[1], axis=(2, 3))
    whole = ops.sum(copy[0] * copy[0] + copy[1] * copy[1], axis=(2, 3))
    return ops.minimum(ops.maximum(same / (whole + _TINY), 0.0), 1.0)


def _pooled(pool: Any, picture: Tensor, size: int) -> Tensor:
    """Pool by steps of one; there is no pooling with channels first on a CPU."""
    last = ops.transpose(picture, (0, 2, 3, 1))
    pooled = pool(last, size, strides=1, padding="same", data_format="channels_last")
    return ops.transpose(pooled, (0, 3, 1, 2))
