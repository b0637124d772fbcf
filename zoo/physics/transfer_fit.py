"""Optical transfer function of an unknown microscope from the bands of raw SIM frames.

Where a side band and the shifted central band overlap they show one sample through the
transfer at two frequencies: each times the other's transfer, they are equal but for the
modulation and noise.  Cut-off and attenuation are those by which they agree best.

Frequencies are in cycles per pixel.
"""

from collections.abc import Sequence

import numpy as np
from scipy import fft

from zoo.physics.optics import Optics, taper
from zoo.physics.pattern_search import EMPTY, Window, bands
from zoo.physics.sim_reconstruction import frame_transfer

RELATIVE = (0.8, 0.825, 0.85, 0.875, 0.9, 0.925, 0.95, 0.975, 1.0)
"""Pattern frequencies, in units of the cut-off, that are tried."""

ATTENUATIONS = (0.09, 0.43, 1.03)
"""Attenuations of the OTF besides the pupil's that are tried:
``exp(-attenuation * frequency**2)``, for frequencies in units of the cut-off, by a blur
of 0.025, 0.055 and 0.085 wavelengths."""

USUAL = (0.925, 0.43)
"""What is assumed where the frames say nothing."""

_OVERLAP = (0.16, 0.4)  # frequencies too low to compare, in units of the pattern's
_MODULATION_2 = 0.3  # square of a usual modulation
_DOUBT = 1000.0  # misfit, in units of the noise, that tells transfers apart
_TINY = 1e-300


def pixel_optics(cutoff: float, attenuation: float) -> Optics:
    """Return optics of a cut-off whose pixel is the unit of length, a micrometre.

    Parameters
    ----------
    cutoff
        Cycles per pixel.
    attenuation
        As in `ATTENUATIONS`.

    Examples
    --------
    >>> round(pixel_optics(0.3, 0.4).cutoff_per_um, 6)
    0.3
    """
    return Optics(
        na=1.0,
        wavelength_nm=2000 / cutoff,
        pixel_nm=1000.0,
        blur_nm=1000 * (attenuation / 2) ** 0.5 / (np.pi * cutoff),
    )


def fit_transfer(
    windows: Sequence[Window],
    vectors: np.ndarray,
    visible: np.ndarray,
    *,
    harmonic: int = 1,
) -> tuple[float, float]:
    """Fit cut-off and attenuation by which side bands and shifted bands agree.

    Every pair of `RELATIVE` and `ATTENUATIONS` counts by its misfit, summed over
    windows.

    Parameters
    ----------
    windows
        Parts of the field.
    vectors : (orientation, 2)
        Pattern vectors, y before x.
    visible : (orientation,)
        Which of them to use.
    harmonic
        As for `zoo.physics.pattern_search.find_peaks`.

    Returns
    -------
    cutoff, attenuation : float
    """
    length = float(np.hypot(*vectors[visible].T).mean())
    pairs = [(q, a) for q in RELATIVE for a in ATTENUATIONS]
    misfits = np.zeros(len(pairs))
    for window in windows:
        separated = bands(window.frames, harmonic=harmonic)
        misfits += _misfits(separated, vectors, visible, pairs, length)
    weight = np.exp(-(misfits - misfits.min()) / _DOUBT)
    relative, attenuation = weight @ np.array(pairs) / weight.sum()
    return length / float(relative), float(attenuation)


def _misfits(
    separated: tuple[np.ndarray, np.ndarray],
    vectors: np.ndarray,
    visible: np.ndarray,
    pairs: list[tuple[float, float]],
    length: float,
) -> np.ndarray:
    """Return how badly the bands of a window agree for every transfer."""
    mean, sides = separated
    height, width = (int(side) for side in mean.shape)
    fade = np.outer(taper(height, height // 8), taper(width, width // 8))
    f_y, f_x = np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)
    here = np.hypot(f_y, f_x)
    central = np.asarray(fft.fft2(mean * fade))
    noise = float(np.mean(np.abs(central[here > EMPTY]) ** 2))
    along_y, along_x = np.arange(height)[:, None], np.arange(width)
    far = min(length / RELATIVE[0], EMPTY)
    total = np.zeros(len(pairs))
    for vector, side, seen in zip(vectors, sides, visible, strict=True):
        if not seen:
            continue
        own = np.fft.fft2(np.asarray(side, complex) * fade)
        v_y, v_x = (float(part) for part in vector)
        wave = np.exp(2j * np.pi * (v_y * along_y + v_x * along_x))
        other = np.fft.fft2(mean * fade * wave)
        other *= np.exp(1j * np.angle(np.vdot(other, own)))
        away = np.hypot(f_y - v_y, f_x - v_x)
        used = (here > _OVERLAP[0] * length) & (here < far)
        used &= (away > _OVERLAP[1] * length) & (away < far)
        row, column = (np.broadcast_to(f, here.shape)[used] for f in (f_y, f_x))
        side_noise = float(np.mean(np.abs(own[here > EMPTY]) ** 2))
        powers = (
            np.abs(own[used]) ** 2,
            np.abs(other[used]) ** 2,
            np.real(own[used] * other[used].conj()),
        )
        for number, (relative, attenuation) in enumerate(pairs):
            optics = pixel_optics(length / relative, attenuation)
            at = frame_transfer(optics, row, column)
            centre = frame_transfer(optics, row - v_y, column - v_x)
            total[number] += _misfit(powers, (at, centre), (noise, side_noise))
    return total


def _misfit(
    powers: tuple[np.ndarray, np.ndarray, np.ndarray],
    factors: tuple[np.ndarray, np.ndarray],
    noise: tuple[float, float],
) -> float:
    """Return how badly side band and shifted band agree, in units of noise.

    Less what noise alone brings where the transfer lets anything through; else a low
    cut-off, with less to compare, would always fit best.
    """
    at, centre = factors
    each = centre * centre, at * at, at * centre

    def sums(modulation_2: float) -> tuple[float, float, float, float]:
        variance = noise[1] * each[0] + modulation_2 * noise[0] * each[1]
        weight = 1 / (variance + 1e-6 * noise[0] + _TINY)
        own, other, both = (
            float(np.sum(weight * power * part))
            for power, part in zip(powers, each, strict=True)
        )
        return own, other, both, float(np.sum(weight * variance))

    _, other, both, _ = sums(_MODULATION_2)
    own, other, both, alone = sums((both / (other + _TINY)) ** 2)
    return own - both * both / (other + _TINY) - alone
