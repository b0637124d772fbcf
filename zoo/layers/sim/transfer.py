"""Optical transfer function of an unknown microscope, fitted inside a Keras graph.

Where a side band and the shifted central band overlap they show one sample through the
transfer at two frequencies: each times the other's transfer, they are equal but for the
modulation and noise.  Cut-off and attenuation are those by which they agree best.

Frequencies are in cycles per camera pixel.
"""

from typing import Any

import keras
import numpy as np

from zoo.layers.dft import Parts, Tensor
from zoo.layers.resize import axis_positions
from zoo.layers.sim.components import ORIENTATIONS, mean_length
from zoo.layers.sim.maps import TINY, as_map, pooled

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

EMPTY = 0.45
"""Frequency beyond which there is noise alone."""

RELATIVE = (0.85, 0.875, 0.9, 0.925, 0.95, 0.975, 1.0)
"""Pattern frequencies, in units of the cut-off, that are tried."""

ATTENUATIONS = (0.09, 0.43, 1.03)
"""Attenuations of the OTF besides the pupil's that are tried:
``exp(-attenuation * frequency**2)``, for frequencies in units of the cut-off, by a blur
of 0.025, 0.055 and 0.085 wavelengths."""

PIXEL_ATTENUATION = 2 * np.pi**2 / 12
"""The same by the pixel, for frequencies in cycles per pixel."""

_OVERLAP = (0.16, 0.4)  # frequencies too low to compare, in units of the pattern's
_MODULATION_2 = 0.3  # square of a usual modulation
_DOUBT = 250.0  # misfit, in units of the noise, that tells transfers apart


def transfer(f_y: Tensor, f_x: Tensor, cutoff: Tensor, attenuation: Any) -> Tensor:
    """Return the OTF of a microscope in focus; all arguments are broadcast together."""
    square = f_y * f_y + f_x * f_x
    nu = ops.sqrt(square + TINY) / cutoff
    within = ops.minimum(nu, 1.0)
    pupil = ops.arccos(within) - within * ops.sqrt(ops.maximum(1 - within * within, 0))
    return (
        2 / np.pi * pupil * ops.exp(-attenuation * nu * nu - PIXEL_ATTENUATION * square)
    )


def inverse(seen: Tensor, least: float) -> Tensor:
    """Return one over a transfer where that exceeds `least`, elsewhere zero."""
    return ops.cast(seen > least, "float32") / ops.maximum(seen, least)


def fit_transfer(
    shifted: Parts,
    side: Parts,
    noise: Tensor,
    vectors: Tensor,
    f_y: Tensor,
    f_x: Tensor,
) -> tuple[Tensor, Tensor]:
    """Fit the OTF by which side bands and shifted central bands agree.

    Every pair of `RELATIVE` and `ATTENUATIONS` counts by its misfit.

    Parameters
    ----------
    shifted, side : (b, orientation, y, x)
        Spectra of the mean frame times the plane wave, and of the side bands.
    noise : (b, 4, 1, 1)
        Noise power in the mean and in the side bands.
    vectors : (b, orientation, 2)
        Pattern vectors.
    f_y, f_x : (y,), (x,)
        Frequencies.

    Returns
    -------
    relative, attenuation : (b,)
        Pattern frequency in units of the cut-off, and attenuation.
    """
    own, other, both = (
        pooled(ops.average_pool, part, 2, strides=2)
        for part in (
            side[0] * side[0] + side[1] * side[1],
            shifted[0] * shifted[0] + shifted[1] * shifted[1],
            side[0] * shifted[0] + side[1] * shifted[1],
        )
    )
    row, column = (
        ops.reshape(_in_pairs(part, axis_positions(own, axis=axis)), shape)
        for part, axis, shape in ((f_y, 2, (-1, 1)), (f_x, 3, (1, -1)))
    )
    shape = (-1, ORIENTATIONS, 1, 1)
    v_y, v_x = (ops.reshape(vectors[..., axis], shape) for axis in (0, 1))
    length = as_map(mean_length(vectors))
    here = ops.sqrt(row * row + column * column)
    away = ops.sqrt((row - v_y) ** 2 + (column - v_x) ** 2)
    far = ops.minimum(length / RELATIVE[0], EMPTY)
    compared = ops.cast(
        (here > _OVERLAP[0] * length)
        & (here < far)
        & (away > _OVERLAP[1] * length)
        & (away < far),
        "float32",
    )
    misfits = []
    for relative in RELATIVE:
        for attenuation in ATTENUATIONS:
            cutoff = length / relative
            at = transfer(row, column, cutoff, attenuation)
            from_centre = transfer(row - v_y, column - v_x, cutoff, attenuation)
            misfits.append(
                _misfit((own, other, both), (at, from_centre), noise, compared)
            )
    misfit = 4 * ops.stack(misfits, axis=-1)  # of means over 2 x 2
    misfit = misfit - ops.min(misfit, axis=-1, keepdims=True)
    weight = ops.softmax(-misfit / _DOUBT, axis=-1)
    pairs = np.array([(q, a) for q in RELATIVE for a in ATTENUATIONS], np.float32)
    return ops.sum(weight * pairs[:, 0], -1), ops.sum(weight * pairs[:, 1], -1)


def _misfit(
    powers: tuple[Tensor, Tensor, Tensor],
    factors: Parts,
    noise: Tensor,
    compared: Tensor,
) -> Tensor:
    """Return how badly side bands and shifted bands agree, (b,), in units of noise.

    Less what noise alone brings where the transfer lets anything through; else a low
    cut-off, with less to compare, would always fit best.

    Parameters
    ----------
    powers : (b, orientation, y, x)
        Of the side bands, of the shifted bands, and their product.
    factors : (b, 1 or orientation, y, x)
        Transfer that the side bands have, and the shifted bands.
    noise, compared
        As in `fit_transfer`, and the frequencies that count.
    """
    at, from_centre = factors
    each = from_centre * from_centre, at * at, at * from_centre

    def sums(modulation_2: Any) -> tuple[Tensor, ...]:
        variance = noise[:, 1:] * each[0] + modulation_2 * noise[:, :1] * each[1]
        weight = compared / (variance + 1e-6 * noise[:, :1] + TINY)
        parts = [
            weight * power * part for power, part in zip(powers, each, strict=True)
        ]
        parts.append(weight * variance)
        return tuple(ops.sum(part, axis=(2, 3), keepdims=True) for part in parts)

    _, other, both, _ = sums(_MODULATION_2)
    own, other, both, alone = sums((both / (other + TINY)) ** 2)
    misfit = own - both * both / (other + TINY) - alone
    return ops.sum(misfit, axis=(1, 2, 3))


def _in_pairs(frequency: Tensor, positions: Tensor) -> Tensor:
    """Return the means of pairs of frequencies, which together make a whole turn."""
    first = ops.min(frequency)
    spacing = 1 - (ops.max(frequency) - first)
    return first + (2 * positions + 0.5) * spacing
