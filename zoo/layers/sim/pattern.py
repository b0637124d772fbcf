"""Blind estimation of the SIM illumination pattern inside a Keras graph.

The pattern vector is the shift at which a side band correlates best with the central
band (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x).  It is what
`zoo.physics.pattern_estimation` estimates with knowledge of the microscope, without
that knowledge and in operations that every backend and weights format has.  Three
orientations 60 degrees apart are searched together, so that a weak one profits from the
others.

Maps are (b, c, y, x), channels first; lengths are in camera pixels, frequencies in
cycles per camera pixel.
"""

from typing import Any, NamedTuple

import keras
import numpy as np
from keras import layers

from zoo.layers.dft import (
    Parts,
    Tensor,
    Waves,
    backward,
    forward,
    frequencies,
    waves,
)
from zoo.layers.resize import axis_positions
from zoo.layers.sim.components import ORIENTATIONS, mean_length, plane_waves
from zoo.layers.sim.maps import TINY, as_map, pooled, window
from zoo.layers.sim.transfer import (
    ATTENUATIONS,
    EMPTY,
    RELATIVE,
    fit_transfer,
    inverse,
    transfer,
)

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

RANGE = (0.14, 0.46)
"""Lowest and highest pattern frequency that is searched."""

CUTOFF = 0.28
"""Cut-off assumed where no pattern is visible."""

CLEAR = (3.2, 0.2)
"""Mean clarity of the orientations at which a pattern counts for half, and width of the
rise to all.  ``benchmarks/patterns.py`` prints how often a pattern of which a tile is
that sure is wrong."""

CLEAR_ALONE = (3.0, 0.2)
"""The same for the clarity of one orientation; below, the others count without it."""

CONTRAST = (0.18, 0.02)
"""The same for its modulation: a wrong vector finds next to none."""

_RADIAL = 1 / 256  # step of the polar grid, cycles per pixel
_TURNS = 360  # steps of the polar grid around
_SMOOTH = 7  # of its rings to either side over which the mean energy is averaged
_REACH = 8  # points of the finer grid to either side of a peak
_FINER = 4  # of them between two frequencies
_POWER = 24  # of the energy that weighs them


class PatternEstimate(NamedTuple):
    """Illumination pattern of raw frames, and the OTF that it was seen through."""

    vectors: Tensor
    """(b, orientation, 2) pattern vectors, y before x; the way that phases rise along
    the frames."""
    phasors: Tensor
    """(b, orientation, 2), cosine and sine of the phase that an orientation's first
    frame has in the middle of the image, where an error of a vector matters least."""
    modulation: Tensor
    """(b, orientation) modulation depth, almost zero where no pattern stands out."""
    cutoff: Tensor
    """(b,), cut-off of the microscope."""
    attenuation: Tensor
    """(b,), attenuation of its OTF, see `zoo.layers.sim.transfer.ATTENUATIONS`."""
    clarity: Tensor
    """(b, orientation), how far the pattern stands out: amplitude by which correlation
    peaks exceed those in the opposite direction, in units of the root mean square
    around."""
    gate: Tensor
    """(b, orientation), by how much of its modulation an orientation counts."""


def estimate_pattern(mean: Tensor, cosine: Tensor, sine: Tensor) -> PatternEstimate:
    """Estimate the illumination pattern from the components of raw frames.

    Phases are taken to rise by equal steps, and orientations to be 60 degrees apart,
    either way round, to some three degrees.

    Parameters
    ----------
    mean, cosine, sine
        From `zoo.layers.sim.components.components`.
    """
    along_y, along_x = (axis_positions(mean, axis=axis) for axis in (2, 3))
    shorter = ops.minimum(ops.max(along_y), ops.max(along_x)) + 1.0
    fade = ops.expand_dims(window(along_y, shorter / 8), 1)
    fade = fade * window(along_x, shorter / 8)
    maps = ops.concatenate([mean, cosine, sine], axis=1)
    maps = (maps - ops.mean(maps, axis=(2, 3), keepdims=True)) * fade
    f_y, f_x = frequencies(along_y), frequencies(along_x)
    by = waves(f_y, f_x, along_y, along_x)
    real, imaginary = forward(maps, None, by)
    row, column = ops.expand_dims(f_y, 1), ops.expand_dims(f_x, 0)
    radius = ops.sqrt(row * row + column * column)
    empty = ops.cast(radius > EMPTY, "float32")
    # background, haze and the border of the image change slowly
    slow = ops.maximum(5.0 / shorter, 0.05)
    used = ops.cast(radius > slow, "float32") * (1 - empty)
    power = real * real + imaginary * imaginary
    # cosine and sine of an orientation are weighed alike
    power = ops.concatenate([power[:, :1], power[:, 1:4] + power[:, 4:]], axis=1)
    noise = ops.sum(power * empty, axis=(2, 3), keepdims=True) / ops.sum(empty)
    around = pooled(ops.average_pool, power, 5) + TINY
    signal = used * ops.maximum(1 - noise / around, 0.0)
    whitening = signal / ops.sqrt(around)
    whitening = ops.concatenate([whitening, whitening[:, 1:]], axis=1)
    white = backward(real * whitening, imaginary * whitening, by)
    sample, sides = white[:, :1], white[:, 1:]
    # what steps that are not quite equal leave of the central band in the side bands
    share = ops.sum(sides * sample, axis=(2, 3), keepdims=True)
    total = ops.sum(sample * sample, axis=(2, 3), keepdims=True)
    sides = sides - share / (total + TINY) * sample
    product = sample * sides[:, :3], -sample * sides[:, 3:]
    vectors, level = _peaks(product, along_y, along_x)
    from_middle = [along - ops.max(along) / 2 for along in (along_y, along_x)]
    vectors, phasors, height = _refined(product, vectors, *from_middle)
    clarity = ops.sqrt(height / (level + TINY))
    together = ops.mean(clarity, axis=1)
    certainty = ops.sigmoid((together - CLEAR[0]) / CLEAR[1])
    alone = ops.sigmoid((clarity - CLEAR_ALONE[0]) / CLEAR_ALONE[1])

    def blended(estimate: Tensor, usual: float) -> Tensor:
        return certainty * estimate + (1 - certainty) * usual

    usual = float(np.median(RELATIVE)), float(np.median(ATTENUATIONS))
    cutoff = blended(mean_length(vectors) / usual[0], CUTOFF)
    seen = transfer(row, column, as_map(cutoff), usual[1])
    sharpening = signal[:, :1] * inverse(seen, 0.05)
    vectors = _matched(
        (real, imaginary), sharpening, used * seen, vectors, along_y, along_x
    )
    side = real[:, 1:4] + imaginary[:, 4:], imaginary[:, 1:4] - real[:, 4:]
    wave = plane_waves(vectors, phasors, *from_middle)
    shifted = forward(maps[:, :1] * wave[0], maps[:, :1] * wave[1], by)
    relative, attenuation = fit_transfer(shifted, side, noise, vectors, f_y, f_x)
    cutoff = blended(mean_length(vectors) / relative, CUTOFF)
    attenuation = blended(attenuation, usual[1])
    seen = transfer(row, column, as_map(cutoff), as_map(attenuation))
    sharpening = signal[:, :1] * inverse(seen, 0.1)
    sharp = backward(real[:, :1] * sharpening, imaginary[:, :1] * sharpening, by)
    modulation = _modulation(sharp, wave, side, used * seen, by)
    contrast = ops.sigmoid((modulation - CONTRAST[0]) / CONTRAST[1])
    gate = contrast * alone * ops.expand_dims(certainty, 1)
    modulation = modulation * gate
    return PatternEstimate(
        vectors, phasors, modulation, cutoff, attenuation, clarity, gate
    )


def _peaks(product: Parts, along_y: Tensor, along_x: Tensor) -> tuple[Tensor, Tensor]:
    """Search the correlation peaks of three vectors of one length, 60 degrees apart.

    Returns
    -------
    vectors : (b, orientation, 2)
        To a step of the grid, and up to the sign.
    level : (b, orientation)
        Mean energy at their frequency.
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
    best = pooled(ops.max_pool, energy, 3)
    polar, mean = (
        ops.take(
            layers.Reshape((ORIENTATIONS, -1), dtype="float32")(image), index, axis=2
        )
        for image in (best, energy)
    )
    rings = ops.mean(ops.reshape(mean, (-1, ORIENTATIONS, len(radii), _TURNS)), axis=3)
    counted = np.arange(len(radii))
    near = (np.abs(counted[:, None] - counted) <= _SMOOTH).astype(np.float32)
    rings = ops.matmul(rings, near / near.sum(axis=0))
    half_turn = _TURNS // 2
    polar = ops.reshape(polar, (-1, ORIENTATIONS, len(radii), 2, half_turn))
    # structures correlate alike in both directions, phases that rise in one alone
    polar = ops.abs(polar[:, :, :, 0] - polar[:, :, :, 1])
    polar = ops.sqrt(polar / (ops.expand_dims(rings, 3) + TINY))
    ways = []
    for way in (1, -1):
        score = polar[:, 0]
        for number in range(1, ORIENTATIONS):
            start = way * number * half_turn // ORIENTATIONS % half_turn
            part = polar[:, number]
            score = score + ops.concatenate(
                [part[..., start:], part[..., :start]], axis=-1
            )
        ways.append(score)
    size = len(radii) * half_turn
    score = ops.reshape(ops.stack(ways, axis=1), (-1, 2 * size))
    highest = ops.max(score, axis=-1, keepdims=True)
    # not argmax, for which Keras takes bits of numbers apart, as ONNX cannot
    number = ops.cumsum(ops.ones_like(score), axis=-1) - 1.0
    peak = ops.min(ops.where(score < highest, 2.0 * size, number), axis=-1)
    backwards = ops.floor((peak + 0.5) / size)
    peak = peak - size * backwards
    ring = ops.floor((peak + 0.5) / half_turn)
    angle = (peak - half_turn * ring) * np.float32(2 * np.pi / _TURNS)
    apart = np.arange(ORIENTATIONS, dtype=np.float32) * np.pi / ORIENTATIONS
    turned = ops.expand_dims(angle, 1) + ops.expand_dims(1 - 2 * backwards, 1) * apart
    length = ops.expand_dims(RANGE[0] + _RADIAL * ring, 1)
    vectors = ops.stack([length * ops.sin(turned), length * ops.cos(turned)], axis=-1)
    away = ops.abs(ops.expand_dims(ring, 1) - np.arange(len(radii), dtype=np.float32))
    there = ops.expand_dims(ops.cast(away < 0.5, "float32"), 1)
    return vectors, ops.sum(rings * there, axis=2)


def _refined(
    product: Parts, vectors: Tensor, along_y: Tensor, along_x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Read the peaks between the points of the grid, with signs and phases.

    Returns
    -------
    vectors, phasors : (b, orientation, 2)
    height : (b, orientation)
        Energy by which a peak exceeds that in the opposite direction.
    """
    parts = [ops.concatenate([part, part], axis=1) for part in product]
    both = ops.concatenate([vectors, -vectors], axis=1)
    near, steps = _around(both, along_y, along_x)
    real, imaginary = _sampled(parts, near, along_y, along_x)
    place, top = _highest(real * real + imaginary * imaginary, both, steps)
    at = [ops.expand_dims(place[..., axis], -1) for axis in (0, 1)]
    phasor = ops.concatenate(
        [ops.squeeze(part, 3) for part in _sampled(parts, at, along_y, along_x)], -1
    )
    size = ops.sqrt(ops.sum(phasor * phasor, axis=-1, keepdims=True))
    phasor = phasor / (size + TINY)
    plus = ops.cast(top[:, :ORIENTATIONS] >= top[:, ORIENTATIONS:], "float32")
    vector, phasor = (
        plus * part[:, :ORIENTATIONS] + (1 - plus) * part[:, ORIENTATIONS:]
        for part in (place, phasor)
    )
    height = ops.abs(top[:, :ORIENTATIONS] - top[:, ORIENTATIONS:])
    return vector, phasor, ops.reshape(height, (-1, ORIENTATIONS))


def _matched(
    spectrum: Parts,
    sharpening: Tensor,
    seen: Tensor,
    vectors: Tensor,
    along_y: Tensor,
    along_x: Tensor,
) -> Tensor:
    """Read vectors of one length where side bands are most like shifted bands.

    Whitened spectra, by which the peaks are searched, put them 0.1 % too far out.  Here
    the energy is the correlation squared over the root of the shifted band's power, as
    in `zoo.physics.pattern_estimation`.

    Parameters
    ----------
    spectrum : (b, 7, y, x)
        Of the mean and the components.
    sharpening, seen : (b, 1, y, x)
        What turns the mean into the sample, and the OTF that it is seen through.
    vectors
        To a part of the spacing of frequencies.
    along_y, along_x
        Positions.
    """
    real, imaginary = spectrum
    f_y, f_x = frequencies(along_y), frequencies(along_x)
    by = waves(f_y, f_x, along_y, along_x)
    sample = real[:, :1] * sharpening, imaginary[:, :1] * sharpening
    filtered = backward(real[:, 1:] * seen, imaginary[:, 1:] * seen, by)
    sharp = backward(*sample, by)
    product = [sharp * filtered[:, :3], -sharp * filtered[:, 3:]]
    # whose transform is the power of a shifted band by its vector
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
        (power[0] + power[1]) ** 0.25 + TINY
    )
    place, top = _highest(energy, vectors, steps)
    length = ops.sqrt(ops.sum(place * place, axis=-1, keepdims=True))
    common = ops.sum(length * top, axis=1, keepdims=True)
    return place * (common / (ops.sum(top, axis=1, keepdims=True) + TINY) / length)


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
    weight = (energy / (top + TINY)) ** _POWER
    total = ops.sum(weight, axis=(2, 3)) + TINY
    place = [
        vectors[..., axis]
        + ops.sum(ops.sum(weight, axis=3 - axis) * step, axis=2) / total
        for axis, step in enumerate(steps)
    ]
    return ops.stack(place, axis=-1), ops.squeeze(top, 3)


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


def _modulation(
    sharp: Tensor, wave: Parts, side: Parts, seen: Tensor, by: Waves
) -> Tensor:
    """Return the share of the sample's shifted bands that the side bands hold."""
    pixels = ops.sum(ops.ones_like(sharp[:1, :, :, :]))
    shifted = [
        part * seen / pixels for part in forward(sharp * wave[0], sharp * wave[1], by)
    ]
    same = ops.sum(shifted[0] * side[0] + shifted[1] * side[1], axis=(2, 3))
    whole = ops.sum(shifted[0] * shifted[0] + shifted[1] * shifted[1], axis=(2, 3))
    return ops.minimum(ops.maximum(same / (whole + TINY), 0.0), 1.0)
