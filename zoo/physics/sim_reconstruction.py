"""Classical Wiener reconstruction of structured-illumination microscopy.

An illumination pattern whose frequency, phases and modulation are known shifts the
frequencies of the sample by a known step; the frames of an orientation are three
mixtures of three bands, which are separated, shifted back and averaged with the weights
of a Wiener filter (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x).
"""

import numpy as np
from scipy import fft

from zoo.physics.illumination import Pattern, carriers
from zoo.physics.optics import (
    Optics,
    binning_transfer,
    cone_apodisation,
    otf,
    taper,
)

SCALE = 2
"""Pixels of the reconstruction per camera pixel along an axis."""

NOTCH_WIDTH = 0.15
"""Standard deviation of the notch in the middle of a band, in units of the cut-off."""

_PADDING_PX = 16
"""Camera pixels by which frames are continued on every side, fading into their mean, so
that opposite borders do not meet in a step."""


def wiener_parameter(photons: float, *, background: float = 0.0) -> float:
    """Return the regularisation that suits a number of photons.

    ``0.09 (15 / photons)**0.42``, within [0.01, 0.15]: nearest to the ideal image, by
    least squares, on simulated scenes of every structure with haze, for 15 to 600
    photons per pixel on the structure and modulations of 0.3 to 1, with weights by
    noise.

    Parameters
    ----------
    photons
        Photons per pixel on the structure.
    background
        Photons per pixel of background and light from out of focus.  Their noise makes
        the structure count for ``photons**2 / (photons + background)``.

    Examples
    --------
    >>> round(wiener_parameter(15.0), 3), round(wiener_parameter(600.0), 3)
    (0.09, 0.019)
    """
    photons = photons**2 / (photons + background)
    return float(np.clip(0.09 * (15 / photons) ** 0.42, 0.01, 0.15))


def sim_support_per_um(optics: Optics, pattern: Pattern) -> float:
    """Return the highest frequency of SIM: cut-off plus pattern frequency."""
    return optics.cutoff_per_um + pattern.frequency_per_um


def reconstruct(
    frames: np.ndarray,
    pattern: Pattern,
    optics: Optics,
    *,
    regularisation: float = 0.03,
    notch: float = 0.0,
) -> np.ndarray:
    """Reconstruct a super-resolved image from raw frames with a known pattern.

    The bands of a frequency are averaged with weights by the variance that separation
    gives them, ``12 / modulation**2`` for a side band against one for the central band:
    far better with few photons or a weak pattern than equal weights, and the
    regularisation does not depend on the modulation.

    Parameters
    ----------
    frames
        (frame, y, x) photons per camera pixel, ordered by orientation, then phase.
    pattern
        Illumination pattern, phases given at the outer corner of the frames.
    optics
        Microscope with its camera pixel.
    regularisation
        Wiener parameter; see `wiener_parameter`.
    notch
        Share of the weight that bands lose in their middle, where background and light
        from out of focus are, within `NOTCH_WIDTH` cut-offs; what other bands show
        there takes its place (optical sectioning: O'Holleran, Shaw 2014,
        doi:10.1364/BOE.5.002580).

    Returns
    -------
    image : (2 y, 2 x) float64
        Photons per fine pixel and frame, with the transfer
        ``max(0, 1 - |f| / (cut-off + pattern))`` where the signal is strong; noise
        makes some pixels negative.

    Raises
    ------
    ValueError
        If the number of frames is not the pattern's, `regularisation` is not positive
        or `notch` is not within [0, 1].
    """
    if not 0 <= notch <= 1:
        raise ValueError(f"notch must be within [0, 1], not {notch}")
    if len(frames) != pattern.frames:
        raise ValueError(f"the pattern has {pattern.frames} frames, not {len(frames)}")
    if regularisation <= 0:
        raise ValueError(f"regularisation must be positive, not {regularisation}")
    padded = _faded(np.asarray(frames, float))
    height, width = (SCALE * side for side in padded.shape[-2:])
    fine_nm = optics.pixel_nm / SCALE
    waves = carriers(
        pattern, (height, width), pixel_nm=fine_nm, origin_px=SCALE * _PADDING_PX
    )
    f_y = np.fft.fftfreq(height, fine_nm / 1000)[:, None]
    f_x = np.fft.fftfreq(width, fine_nm / 1000)[None, :]
    central = frame_transfer(optics, f_y, f_x)
    central_band = np.zeros((height, width), complex)
    # the minus band is the mirrored conjugate of the plus band: both together are twice
    # the real part in space
    side_bands = np.zeros((height, width), complex)

    def kept(f_y: np.ndarray, f_x: np.ndarray) -> np.ndarray:
        nu = np.hypot(f_y, f_x) / optics.cutoff_per_um
        return 1 - notch * np.exp(-(nu**2) / (2 * NOTCH_WIDTH**2))

    kept_central = kept(f_y, f_x)
    power = kept_central * central**2
    first = 0
    for wave, phases, modulation, vector in zip(
        waves,
        pattern.phases_rad,
        pattern.modulations,
        pattern.vectors_per_um(),
        strict=True,
    ):
        part = padded[first : first + len(phases)]
        first += len(phases)
        zero, plus = _separated(part, phases, modulation)
        central_band += enlarged_spectrum(zero, fine_nm) / len(waves)
        side_band: np.ndarray = (
            np.asarray(fft.ifft2(enlarged_spectrum(plus, fine_nm))) * wave.conj()
        )
        ahead = frame_transfer(optics, f_y + vector[0], f_x + vector[1])
        behind = frame_transfer(optics, f_y - vector[0], f_x - vector[1])
        weight = modulation**2 / 12
        kept_ahead = kept(f_y + vector[0], f_x + vector[1])
        kept_behind = kept(f_y - vector[0], f_x - vector[1])
        side_bands += weight * kept_ahead * ahead * np.asarray(fft.fft2(side_band))
        power += weight * (kept_ahead * ahead**2 + kept_behind * behind**2)
    total = kept_central * central * central_band + 2 * side_bands
    support = sim_support_per_um(optics, pattern)
    window = cone_apodisation(np.hypot(f_y, f_x), support_per_um=support)
    image = np.real(np.asarray(fft.ifft2(window * total / (power + regularisation**2))))
    inner = slice(SCALE * _PADDING_PX, -SCALE * _PADDING_PX)
    return image[inner, inner] / SCALE**2


def frame_transfer(optics: Optics, f_y: np.ndarray, f_x: np.ndarray) -> np.ndarray:
    """Return the transfer of objective and binning at any frequencies.

    Parameters
    ----------
    optics
        Microscope with its camera pixel.
    f_y, f_x
        Components of the frequencies, cycles per micrometre, broadcast together.

    Returns
    -------
    transfer : float64
    """
    binned = binning_transfer(f_y, f_x, pixel_nm=optics.pixel_nm / SCALE, factor=SCALE)
    return otf(optics, np.hypot(f_y, f_x)) * binned


def unmixing(phases: np.ndarray) -> np.ndarray:
    """Return the matrix that makes components 0, +1 and -1 of an orientation's frames.

    The latter two hold half the modulation.
    """
    turn = np.exp(1j * phases)
    return np.linalg.pinv(np.stack([np.ones_like(turn), turn, turn.conj()], axis=1))


def _separated(
    frames: np.ndarray, phases: tuple[float, ...], modulation: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the spectra of the components 0 and +1 of one orientation."""
    zero_weights, plus_weights, _ = unmixing(np.array(phases))
    unmix = np.stack([zero_weights, 2 / modulation * plus_weights])
    zero: np.ndarray
    plus: np.ndarray
    zero, plus = np.tensordot(unmix, frames, axes=1)
    return np.asarray(fft.fft2(zero)), np.asarray(fft.fft2(plus))


def enlarged_spectrum(spectrum: np.ndarray, fine_nm: float) -> np.ndarray:
    """Interpolate a spectrum of camera pixels onto the fine grid.

    The centre of a camera pixel lies between fine pixels, half a fine pixel from the
    first: the shift is a phase.
    """
    height: int
    width: int
    height, width = spectrum.shape
    large = np.zeros((SCALE * height, SCALE * width), complex)
    rows = np.fft.fftfreq(height, 1 / height).astype(int)
    columns = np.fft.fftfreq(width, 1 / width).astype(int)
    large[np.ix_(rows, columns)] = spectrum * SCALE**2
    f_y = np.fft.fftfreq(SCALE * height, fine_nm / 1000)[:, None]
    f_x = np.fft.fftfreq(SCALE * width, fine_nm / 1000)[None, :]
    offset_um = (SCALE - 1) / 2 * fine_nm / 1000
    return large * np.exp(-2j * np.pi * offset_um * (f_y + f_x))


def _faded(frames: np.ndarray) -> np.ndarray:
    """Continue frames at their edges, fading into their mean."""
    mean = frames.mean(axis=(-2, -1), keepdims=True)
    ring = ((0, 0), (_PADDING_PX, _PADDING_PX), (_PADDING_PX, _PADDING_PX))
    padded = np.pad(frames - mean, ring, mode="reflect")
    height, width = padded.shape[-2:]
    padded *= np.outer(taper(height, _PADDING_PX), taper(width, _PADDING_PX))
    return padded + mean
