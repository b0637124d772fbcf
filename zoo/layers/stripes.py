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

RELATIVE = (0.85, 0.875, 0.9, 0.925, 0.95, 0.975, 1.0)
"""Frequencies of stripes, in units of the cut-off, that are tried."""

CUTOFF = 0.28
"""Cut-off assumed where no stripes are found."""

FALLS = (0.09, 0.43, 1.03)
"""How the transfer may fall off besides the pupil's: ``exp(-fall * frequency**2)``, for
frequencies in units of the cut-off, by a blur of 0.025, 0.055 and 0.085 wavelengths."""

PIXEL_FALL = 2 * np.pi**2 / 12
"""The same by the pixel, for frequencies in cycles per pixel."""

CLEAR = (3.0, 0.3)
"""Clarity at which stripes count for half, and width of the rise to all.  Without
stripes, noise has 2.6 to 3.3."""

_TINY = 1e-12
_RADIAL = 1 / 256  # step of the polar grid, cycles per pixel
_TURNS = 360  # steps of the polar grid around
_REACH = 8  # points of the finer grid to either side of a peak
_FINER = 4  # of them between two frequencies
_POWER = 24  # of the energy that weighs them
_NEAR = (0.16, 0.4)  # frequencies too low to compare, in units of the stripes'
_CONTRAST_2 = 0.3  # square of a usual contrast
_DOUBT = 250.0  # misfit, in units of the noise, that tells transfers apart


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
    fall: Tensor
    """(b,), fall of its transfer, see `FALLS`."""
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

    def blended(found: Tensor, usual: float) -> Tensor:
        return sure * found + (1 - sure) * usual

    usual = float(np.median(RELATIVE)), float(np.median(FALLS))
    cutoff = blended(length_of(vectors) / usual[0], CUTOFF)
    seen = transfer(row, column, as_map(cutoff), usual[1])
    sharpen = share[:, :1] * _inverse(seen, 0.05)
    vectors = _matched(
        (real, imaginary), sharpen, used * seen, vectors, along_y, along_x
    )
    there = real[:, 1:4] + imaginary[:, 4:], imaginary[:, 1:4] - real[:, 4:]
    wave = wave_at(vectors, phasors, *from_middle)
    copy = forward(maps[:, :1] * wave[0], maps[:, :1] * wave[1], by)
    relative, fall = _fitted(copy, there, noise, vectors, f_y, f_x)
    cutoff = blended(length_of(vectors) / relative, CUTOFF)
    fall = blended(fall, usual[1])
    seen = transfer(row, column, as_map(cutoff), as_map(fall))
    sharpen = share[:, :1] * _inverse(seen, 0.1)
    sharp = backward(real[:, :1] * sharpen, imaginary[:, :1] * sharpen, by)
    contrast = _contrast(sharp, wave, there, used * seen, by)
    contrast = contrast * ops.expand_dims(sure, 1)
    return Stripes(vectors, phasors, contrast, cutoff, fall, clarity)


def as_map(number: Tensor) -> Tensor:
    """Return a number of every picture, (b,), as a map of one pixel, (b, 1, 1, 1)."""
    return ops.reshape(number, (-1, 1, 1, 1))


def length_of(vectors: Tensor) -> Tensor:
    """Return the mean length of the vectors of every picture, (b,)."""
    return ops.mean(ops.sqrt(ops.sum(vectors * vectors, axis=-1)), axis=-1)


def transfer(f_y: Tensor, f_x: Tensor, cutoff: Tensor, fall: Any) -> Tensor:
    """Return the transfer of a microscope in focus; all are broadcast together."""
    square = f_y * f_y + f_x * f_x
    nu = ops.sqrt(square + _TINY) / cutoff
    within = ops.minimum(nu, 1.0)
    pupil = ops.arccos(within) - within * ops.sqrt(ops.maximum(1 - within * within, 0))
    return 2 / np.pi * pupil * ops.exp(-fall * nu * nu - PIXEL_FALL * square)


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


def _inverse(seen: Tensor, least: float) -> Tensor:
    """Return one over a transfer where that is large enough, else nothing."""
    return ops.cast(seen > least, "float32") / ops.maximum(seen, least)


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
    near, steps = _around(both, along_y, along_x)
    real, imaginary = _sampled(parts, near, along_y, along_x)
    found, top = _highest(real * real + imaginary * imaginary, both, steps)
    at = [ops.expand_dims(found[..., axis], -1) for axis in (0, 1)]
    phasor = ops.concatenate(
        [ops.squeeze(part, 3) for part in _sampled(parts, at, along_y, along_x)], -1
    )
    size = ops.sqrt(ops.sum(phasor * phasor, axis=-1, keepdims=True))
    phasor = phasor / (size + _TINY)
    plus = ops.cast(top[:, :ORIENTATIONS] >= top[:, ORIENTATIONS:], "float32")
    vector, phasor = (
        plus * part[:, :ORIENTATIONS] + (1 - plus) * part[:, ORIENTATIONS:]
        for part in (found, phasor)
    )
    return vector, phasor


def _matched(
    spectrum: Parts,
    sharpen: Tensor,
    seen: Tensor,
    vectors: Tensor,
    along_y: Tensor,
    along_x: Tensor,
) -> Tensor:
    """Read vectors of one length where components are most like moved copies.

    Whitened spectra, by which stripes are found, put them 0.1 % too far out.  Here the
    energy is the correlation squared over the root of the copy's power, as in
    `zoo.physics.stripe_estimation`.

    Parameters
    ----------
    spectrum : (b, 7, y, x)
        Of the mean and the components.
    sharpen, seen : (b, 1, y, x)
        What turns the mean into the sample, and how a microscope shows that.
    vectors
        To a part of the spacing of frequencies.
    along_y, along_x
        Positions.
    """
    real, imaginary = spectrum
    f_y, f_x = frequencies(along_y), frequencies(along_x)
    by = waves(f_y, f_x, along_y, along_x)
    sample = real[:, :1] * sharpen, imaginary[:, :1] * sharpen
    filtered = backward(real[:, 1:] * seen, imaginary[:, 1:] * seen, by)
    sharp = backward(*sample, by)
    product = [sharp * filtered[:, :3], -sharp * filtered[:, 3:]]
    # whose transform is the power of a copy by its vector
    powers = ops.concatenate(
        [seen * seen, sample[0] * sample[0] + sample[1] * sample[1]], axis=1
    )
    middle = [ops.floor((ops.max(along) + 1) / 2) for along in (along_y, along_x)]
    about = waves(f_y, f_x, along_y - middle[0], along_x - middle[1])
    spaces = backward(powers, ops.zeros_like(powers), about)
    norm = spaces[:, :1] * spaces[:, 1:]
    near, steps = _around(vectors, along_y, along_x, finer=4 * _FINER)
    real, imaginary = _sampled(product, near, along_y, along_x)
    power = [
        part * part
        for part in _sampled([norm, ops.zeros_like(norm)], near, along_y, along_x)
    ]
    energy = (real * real + imaginary * imaginary) / (
        (power[0] + power[1]) ** 0.25 + _TINY
    )
    found, top = _highest(energy, vectors, steps)
    length = ops.sqrt(ops.sum(found * found, axis=-1, keepdims=True))
    common = ops.sum(length * top, axis=1, keepdims=True)
    return found * (common / (ops.sum(top, axis=1, keepdims=True) + _TINY) / length)


def _around(
    vectors: Tensor, along_y: Tensor, along_x: Tensor, *, finer: int = _FINER
) -> tuple[Any, Any]:
    """Return the frequencies (b, n, v) and (b, n, u) about vectors, and their steps."""
    grid = np.arange(-_REACH, _REACH + 1, dtype=np.float32) / finer
    spans = (ops.max(along) - ops.min(along) for along in (along_y, along_x))
    steps = [ops.divide(grid, span + 1.0) for span in spans]
    near = [
        ops.expand_dims(vectors[..., axis], -1) + step
        for axis, step in enumerate(steps)
    ]
    return near, steps


def _highest(energy: Tensor, vectors: Tensor, steps: list[Tensor]) -> Parts:
    """Return where energies (b, n, v, u) are highest, (b, n, 2), and how high."""
    top = ops.max(energy, axis=(2, 3), keepdims=True)
    weight = (energy / (top + _TINY)) ** _POWER
    total = ops.sum(weight, axis=(2, 3)) + _TINY
    found = [
        vectors[..., axis]
        + ops.sum(ops.sum(weight, axis=3 - axis) * step, axis=2) / total
        for axis, step in enumerate(steps)
    ]
    return ops.stack(found, axis=-1), ops.squeeze(top, 3)


def _fitted(
    copy: Parts,
    there: Parts,
    noise: Tensor,
    vectors: Tensor,
    f_y: Tensor,
    f_x: Tensor,
) -> tuple[Tensor, Tensor]:
    """Find the transfer by which components and moved copies of the mean fit together.

    Where both overlap they show one sample through the transfer at two frequencies:
    each times the other's transfer, they are equal but for the contrast and noise.
    Every pair of `RELATIVE` and `FALLS` counts by its misfit.

    Parameters
    ----------
    copy, there : (b, orientation, y, x)
        Spectra of mean times wave, and of the components that stripes moved.
    noise : (b, 4, 1, 1)
        Its power in the mean and in the components.
    vectors
        Stripes.
    f_y, f_x
        Frequencies.

    Returns
    -------
    relative, fall : (b,)
    """
    own, other, both = (
        _pooled(ops.average_pool, part, 2, strides=2)
        for part in (
            there[0] * there[0] + there[1] * there[1],
            copy[0] * copy[0] + copy[1] * copy[1],
            there[0] * copy[0] + there[1] * copy[1],
        )
    )
    row, column = (
        ops.reshape(_in_pairs(part, axis_positions(own, axis=axis)), shape)
        for part, axis, shape in ((f_y, 2, (-1, 1)), (f_x, 3, (1, -1)))
    )
    shape = (-1, ORIENTATIONS, 1, 1)
    v_y, v_x = (ops.reshape(vectors[..., axis], shape) for axis in (0, 1))
    length = as_map(length_of(vectors))
    here = ops.sqrt(row * row + column * column)
    away = ops.sqrt((row - v_y) ** 2 + (column - v_x) ** 2)
    far = ops.minimum(length / RELATIVE[0], EMPTY)
    compared = ops.cast(
        (here > _NEAR[0] * length)
        & (here < far)
        & (away > _NEAR[1] * length)
        & (away < far),
        "float32",
    )
    misfits = []
    for relative in RELATIVE:
        for fall in FALLS:
            cutoff = length / relative
            at = transfer(row, column, cutoff, fall)
            moved = transfer(row - v_y, column - v_x, cutoff, fall)
            misfits.append(_misfit((own, other, both), (at, moved), noise, compared))
    misfit = 4 * ops.stack(misfits, axis=-1)  # of means over 2 x 2
    misfit = misfit - ops.min(misfit, axis=-1, keepdims=True)
    weight = ops.softmax(-misfit / _DOUBT, axis=-1)
    pairs = np.array([(q, fall) for q in RELATIVE for fall in FALLS], np.float32)
    return ops.sum(weight * pairs[:, 0], -1), ops.sum(weight * pairs[:, 1], -1)


def _misfit(
    powers: tuple[Tensor, Tensor, Tensor],
    factors: Parts,
    noise: Tensor,
    compared: Tensor,
) -> Tensor:
    """Return how badly components and copies fit, (b,), in units of the noise.

    Less what noise alone brings where the transfer lets anything through; else a low
    cut-off, with less to compare, would always fit best.

    Parameters
    ----------
    powers : (b, orientation, y, x)
        Of the components, of the copies, and their product.
    factors : (b, 1 or orientation, y, x)
        Transfer that the components have, and the copies.
    noise, compared
        As in `_fitted`, and the frequencies that count.
    """
    at, moved = factors
    each = moved * moved, at * at, at * moved

    def sums(contrast_2: Any) -> tuple[Tensor, ...]:
        variance = noise[:, 1:] * each[0] + contrast_2 * noise[:, :1] * each[1]
        weight = compared / (variance + 1e-6 * noise[:, :1] + _TINY)
        parts = [
            weight * power * part for power, part in zip(powers, each, strict=True)
        ]
        parts.append(weight * variance)
        return tuple(ops.sum(part, axis=(2, 3), keepdims=True) for part in parts)

    _, other, both, _ = sums(_CONTRAST_2)
    own, other, both, alone = sums((both / (other + _TINY)) ** 2)
    misfit = own - both * both / (other + _TINY) - alone
    return ops.sum(misfit, axis=(1, 2, 3))


def _in_pairs(frequency: Tensor, positions: Tensor) -> Tensor:
    """Return the means of pairs of frequencies, which together make a whole turn."""
    first = ops.min(frequency)
    spacing = 1 - (ops.max(frequency) - first)
    return first + (2 * positions + 0.5) * spacing


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


def _pooled(pool: Any, picture: Tensor, size: int, *, strides: int = 1) -> Tensor:
    """Pool pictures; there is no pooling with channels first on a CPU."""
    last = ops.transpose(picture, (0, 2, 3, 1))
    padding = "same" if strides == 1 else "valid"
    pooled = pool(
        last, size, strides=strides, padding=padding, data_format="channels_last"
    )
    return ops.transpose(pooled, (0, 3, 1, 2))
