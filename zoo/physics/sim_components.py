"""Bands of raw SIM frames, separated for the estimation of the illumination pattern.

Used by `zoo.physics.pattern_estimation`, where the method is described.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft

from zoo.physics.illumination import ORIENTATIONS, PHASES
from zoo.physics.optics import Optics, taper
from zoo.physics.sim_reconstruction import (
    SCALE,
    enlarged_spectrum,
    frame_transfer,
    unmixing,
)

SMALLEST_PX = 16
"""Shorter side from which frames are analysed."""

_TAPER_PX = 16
"""Camera pixels over which frames fade at their borders, at most a twelfth of the
shorter side."""
_NOTCH = 0.16
"""Frequencies that are left out: background and haze, in units of the cut-off."""
_BORDER = 4.5
"""As many that the border spreads these over, in units of their spacing, but at most"""
_MOST_NOTCH = 0.3
"""so many, in units of the cut-off."""
_LEAST_TRANSFER = 0.1
"""Transfer from which a spectrum is divided by it: the border of the field spreads
strong frequencies over weaker ones."""


class FrameSpectra(NamedTuple):
    """Raw frames on the fine grid and their spectra, faded at the border."""

    spectra: np.ndarray  # (orientation, phase, y, x)
    frames: np.ndarray  # (orientation, phase, y, x), of which they are the spectra
    noise: float  # power of a coefficient of a frame
    transfer: np.ndarray  # (y, x), nothing below the notch
    frequency: np.ndarray  # (y, x) cycles per micrometre
    fine_um: float

    @property
    def phases(self) -> int:
        """Frames of an orientation."""
        return self.spectra.shape[1]

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width of the fine grid, px."""
        height, width = self.transfer.shape
        return height, width


class Sample(NamedTuple):
    """The sample under uniform illumination, sharpened as far as noise allows."""

    image: np.ndarray  # (y, x)
    blurred: np.ndarray  # (y, x), seen through the microscope again
    norm: (
        np.ndarray
    )  # (y, x) whose spectrum is the power of a shifted band by its vector


def frame_spectra(frames: np.ndarray, optics: Optics) -> FrameSpectra:
    """Check frames, let them fade at the border and enlarge them.

    Parameters
    ----------
    frames, optics
        As for `zoo.physics.pattern_estimation.estimate_pattern`.
    """
    values = np.asarray(frames, float)
    if values.ndim != 3 or len(values) % ORIENTATIONS:
        raise ValueError(
            f"frames must be (frame, y, x) with as many for each of {ORIENTATIONS} "
            f"orientations, not {values.shape}"
        )
    if len(values) < PHASES * ORIENTATIONS or min(values.shape[1:]) < SMALLEST_PX:
        raise ValueError(
            f"an orientation needs at least {PHASES} frames of {SMALLEST_PX} px, not "
            f"{values.shape} for {ORIENTATIONS} orientations"
        )
    if not np.isfinite(values).all():
        raise ValueError("frames must be finite")
    height, width = values.shape[1:]
    ramp = min(_TAPER_PX, min(height, width) // 12)
    window = np.outer(taper(height, ramp), taper(width, ramp))
    faded: np.ndarray = (values - values.mean(axis=(-2, -1), keepdims=True)) * window
    fine_um = optics.pixel_nm / SCALE / 1000
    small: np.ndarray = np.asarray(fft.fft2(faded))
    spectra = np.stack([enlarged_spectrum(part, 1000 * fine_um) for part in small])
    f_y = np.fft.fftfreq(SCALE * height, fine_um)[:, None]
    f_x = np.fft.fftfreq(SCALE * width, fine_um)[None, :]
    frequency = np.hypot(f_y, f_x)
    transfer = frame_transfer(optics, f_y, f_x)
    spread = _BORDER / (SCALE * fine_um * min(height, width)) / optics.cutoff_per_um
    notch = min(max(_NOTCH, spread), _MOST_NOTCH)
    transfer *= frequency > notch * optics.cutoff_per_um
    nyquist = 0.5 / (SCALE * fine_um)
    beyond = (np.abs(f_y) < nyquist) & (np.abs(f_x) < nyquist)
    beyond &= frequency > 1.03 * optics.cutoff_per_um
    if np.count_nonzero(beyond) > SMALLEST_PX**2:
        noise = float(np.mean(np.abs(spectra[:, beyond]) ** 2))
    else:  # the camera samples no frequency without signal: noise of photons alone
        photons = float((np.maximum(values, 0).mean(axis=0) * window**2).sum())
        noise = SCALE**4 * photons
    # never nothing, in frames without noise either
    noise = max(noise, 1e-12 * float(np.max(np.abs(spectra))) ** 2)
    grouped = spectra.reshape(ORIENTATIONS, -1, *frequency.shape)
    return FrameSpectra(
        grouped,
        np.real(np.asarray(fft.ifft2(grouped))),
        noise,
        transfer,
        frequency,
        fine_um,
    )


def sharpened(raw: FrameSpectra, phases: np.ndarray) -> Sample:
    """Sharpen the central band, the mean over orientations.

    By a Wiener filter whose signal is the power in a ring of equal frequency without
    that of noise: on average, the result times itself is the result times the truth, so
    that modulations measured with it need no correction for noise.
    """
    central = np.zeros(raw.shape, complex)
    noise = 0.0
    for part, row in zip(raw.spectra, phases, strict=True):
        weights = unmixing(row)[0] / len(phases)
        central += np.tensordot(weights, part, axes=1)
        noise += raw.noise * float(np.sum(np.abs(weights) ** 2))
    used = raw.transfer > _LEAST_TRANSFER
    ring = np.rint(raw.frequency * raw.fine_um * max(raw.shape)).astype(int)
    rings = int(ring.max()) + 1
    total = np.bincount(ring[used], np.abs(central[used]) ** 2, minlength=rings)
    power = total / np.maximum(np.bincount(ring[used], minlength=rings), 1)
    share = np.maximum(power - noise, 0) / np.maximum(power, 1e-300)
    spectrum = np.zeros(raw.shape, complex)
    spectrum[used] = central[used] * share[ring[used]] / raw.transfer[used]
    kernel = np.real(np.asarray(fft.ifft2(raw.transfer**2)))
    spread = np.real(np.asarray(fft.ifft2(np.abs(spectrum) ** 2)))
    return Sample(
        np.real(np.asarray(fft.ifft2(spectrum))),
        np.real(np.asarray(fft.ifft2(spectrum * raw.transfer))),
        fft.fftshift(kernel * spread) * kernel.size,
    )


def overlap(
    raw: FrameSpectra, sample: Sample, number: int, phases: np.ndarray
) -> tuple[np.ndarray, float]:
    """Return an image whose spectrum correlates the side band with the central one.

    Returns
    -------
    product : (y, x) complex128
        Its coefficient at a vector is the correlation for that shift.
    noise : float
        Power of the correlation's noise, in units of the power of the shifted band.
    """
    weights = unmixing(phases)[1]
    plus = np.tensordot(weights, raw.spectra[number], axes=1)
    seen = np.asarray(fft.ifft2(plus * raw.transfer))
    noise = raw.noise * float(np.sum(np.abs(weights) ** 2))
    return seen * sample.image * plus.size, max(noise, 1e-300)
