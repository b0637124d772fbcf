"""A super-resolved image as bands of raw SIM frames, and residual bands as an image.

Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x: the mean over the phases of an
orientation shows the sample through the transfer of the microscope, a side band shows
it multiplied by the carrier of the illumination pattern through the same.

Frequencies are in cycles per pixel of the frames.
"""

from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter, gaussian_filter1d

from zoo.core.frame_pattern import FramePattern
from zoo.physics.optics import cone_apodisation, otf, taper
from zoo.physics.sim_reconstruction import SCALE, enlarged_spectrum, frame_transfer
from zoo.physics.transfer_fit import pixel_optics

REGULARISATION = 0.1
"""Wiener parameter of the reconstruction of a residual."""
SLOW_PX = 4.0
"""Standard deviation of the Gaussian that is subtracted from frames: background, light
from out of focus and flicker of the lamp are not compared, px of the frames."""
_PADDING_PX = 16  # beyond the border, so that opposite borders do not meet
BORDER_PX = 3
"""Width of the border within which residuals fade: what shines in from outside is not
known, px of the frames."""
_LEAST = 0.08  # of the image's own transfer by which it is divided
_RING = 0.01  # width of a ring of the spectrum
_RINGS = 143  # up to the corners of the spectrum of the image


class Bands(NamedTuple):
    """Bands of raw frames without what changes slowly."""

    means: np.ndarray
    """(orientation, y, x), or (y, x) where all are equal."""
    sides: np.ndarray
    """(orientation, y, x) complex128; 0 where no pattern is visible."""


NO_RINGS = np.zeros((2, _RINGS))
"""Sums of `Grid.rings` over nothing."""


class Grid:
    """Fields of one size under one illumination pattern.

    Parameters
    ----------
    shape
        ``(height, width)``, px of the frames.
    pattern
        Phases play no part; carriers are one at the outer corner of the field.
    """

    def __init__(self, shape: tuple[int, int], pattern: FramePattern) -> None:
        self._shape = shape
        sizes = [int(fft.next_fast_len(n + 2 * _PADDING_PX)) for n in shape]
        self._pads = [
            (_PADDING_PX, size - n - _PADDING_PX)
            for n, size in zip(shape, sizes, strict=True)
        ]
        ramps = [min(BORDER_PX, n // 2) for n in shape]
        self._fade = np.outer(
            *(taper(*pair) for pair in zip(shape, ramps, strict=True))
        )
        # a pixel of the frames is the unit of length
        f_y = np.fft.fftfreq(SCALE * sizes[0], 1 / SCALE)[:, None]
        f_x = np.fft.fftfreq(SCALE * sizes[1], 1 / SCALE)
        frequency = np.hypot(f_y, f_x)
        self._ring = _ring(frequency)
        optics = pixel_optics(pattern.cutoff, pattern.attenuation)
        self._transfer = otf(optics, frequency)
        self._central = frame_transfer(optics, f_y, f_x)
        visible = np.flatnonzero(pattern.modulations > 0)
        length = float(np.hypot(*pattern.vectors[visible].T).mean())
        support = pattern.cutoff + length
        self._own = cone_apodisation(frequency, support_per_um=support)
        self._sides: dict[int, _Side] = {}
        r_y, r_x = (
            (np.arange(SCALE * size) + 0.5) / SCALE - _PADDING_PX for size in sizes
        )
        for number in visible.tolist():
            v_y, v_x = (float(part) for part in pattern.vectors[number])
            modulation = float(pattern.modulations[number])
            self._sides[number] = _Side(
                np.exp(2j * np.pi * (v_y * r_y[:, None] + v_x * r_x)),
                frame_transfer(optics, f_y + v_y, f_x + v_x),
                frame_transfer(optics, f_y - v_y, f_x - v_x),
                _ring(np.hypot(f_y + v_y, f_x + v_x)),
                _ring(np.hypot(f_y - v_y, f_x - v_x)),
                modulation / 2,
                modulation**2 / 12,
            )
        self._power = self._central**2
        for side in self._sides.values():
            self._power += side.weight * (side.ahead**2 + side.behind**2)
        self._inner = tuple(
            slice(SCALE * _PADDING_PX, SCALE * (_PADDING_PX + n)) for n in shape
        )

    def seen(self, image: np.ndarray, carriers: np.ndarray, sharpness: float) -> Bands:
        """Return the bands that raw frames of an image would have.

        Parameters
        ----------
        image : (2y, 2x)
            Continued by its mirror image beyond the border.
        carriers : (orientation,)
            Carrier of every orientation at the outer corner.
        sharpness
            Exponent of the apodisation ``1 - |f| / (cut-off + pattern)`` that the image
            shows the sample with.
        """
        own = self._own
        pads = [(SCALE * before, SCALE * after) for before, after in self._pads]
        padded = np.pad(np.asarray(image, float), pads, mode="symmetric")
        factor = np.where(own > 0, np.maximum(own, _LEAST) ** -sharpness, 0)
        spectrum = np.asarray(fft.fft2(padded)) * factor
        means = np.real(self._binned(spectrum))
        sides = np.zeros((len(carriers), *self._shape), complex)
        sample = np.real(np.asarray(fft.ifft2(spectrum)))
        for number, side in self._sides.items():
            shone = np.asarray(fft.fft2(sample * side.wave))
            sides[number] = carriers[number] * fast(self._binned(shone))
        return Bands(fast(means), sides)

    def _binned(self, spectrum: np.ndarray) -> np.ndarray:
        """Return an image (y, x) through the microscope on the pixels of the frames."""
        blurred = np.asarray(fft.ifft2(spectrum * self._transfer))[self._inner]
        height, width = self._shape
        return blurred.reshape(height, SCALE, width, SCALE).mean(axis=(1, 3))

    def reconstructed(self, bands: Bands, carriers: np.ndarray) -> np.ndarray:
        """Return the spectrum of bands that are shifted back and averaged.

        Each counts by the transfer that it came through and by the variance of its
        noise (`zoo.physics.sim_reconstruction.reconstruct`); it is not yet divided by
        the sum of the weights.

        Parameters
        ----------
        bands
            Of all orientations.
        carriers
            As for `seen`.
        """
        total = self._central * self.enlarged(bands.means.mean(axis=0))
        for number, side in self._sides.items():
            plus = self.enlarged(bands.sides[number] / side.half)
            wave = (carriers[number] * side.wave).conj()
            shifted: np.ndarray = np.asarray(fft.ifft2(plus)) * wave
            spectrum: np.ndarray = np.asarray(fft.fft2(shifted))
            # with the mirrored conjugate, twice the real part in space
            total = total + 2 * side.weight * side.ahead * spectrum
        return np.asarray(fft.fft2(np.real(np.asarray(fft.ifft2(total)))))

    def enlarged(self, band: np.ndarray) -> np.ndarray:
        """Return the spectrum of a band (y, x) on the grid of the image."""
        padded = np.pad(band * self._fade, self._pads)
        return enlarged_spectrum(np.asarray(fft.fft2(padded)), 1000 / SCALE)

    def sharpened(self, spectrum: np.ndarray, kept: np.ndarray) -> np.ndarray:
        """Return the image (2y, 2x) of a spectrum from `reconstructed`.

        With the apodisation of an ideal SIM image.

        Parameters
        ----------
        spectrum
            Of the grid's size.
        kept : (ring,)
            Part of it that is kept.
        """
        image = np.asarray(fft.ifft2(spectrum * kept[self._ring] * self._wiener))
        return np.real(image)[self._inner]

    @property
    def _wiener(self) -> np.ndarray:
        return self._own / (self._power + REGULARISATION**2)

    def rings(self, power: np.ndarray) -> np.ndarray:
        """Return sums over rings of equal frequency.

        Parameters
        ----------
        power : (y, x)
            Squared coefficients of a spectrum of the grid's size.

        Returns
        -------
        sums : (2, ring)
            Of the power in units of variance per pixel, and of coefficients.
        """
        ring = self._ring.ravel()
        sums = np.bincount(ring, power.ravel() / power.size, minlength=_RINGS)
        return np.stack([sums, np.bincount(ring, minlength=_RINGS)])

    def noise(self, power: np.ndarray) -> tuple[np.ndarray, float]:
        """Return the noise of reconstructions, given that of the mean of all frames.

        Parameters
        ----------
        power : (ring,)
            Of the enlarged mean of all frames.

        Returns
        -------
        power : (ring,)
            Of a spectrum from `reconstructed`.
        variance
            Of its image where all is kept.
        """
        total = self._central**2 * power[self._ring]
        for side in self._sides.values():
            total += side.weight * side.ahead**2 * power[side.ring_ahead]
            total += side.weight * side.behind**2 * power[side.ring_behind]
        rings = ring_means(self.rings(total * total.size))
        return rings, float((self._wiener**2 * total).mean())


class _Side(NamedTuple):
    """A side band: carrier, transfer, and what it counts."""

    wave: np.ndarray
    ahead: np.ndarray
    """Transfer at the frequencies that the side band was shifted to."""
    behind: np.ndarray
    """The same of its mirror image."""
    ring_ahead: np.ndarray
    ring_behind: np.ndarray
    half: float
    """Half the modulation, which the side band was multiplied by."""
    weight: float
    """Variance of the central band over that of the side band."""


def fast(frame: np.ndarray) -> np.ndarray:
    """Return a frame or band (y, x) without what changes slowly.

    Examples
    --------
    >>> bool(np.abs(fast(np.full((40, 40), 100.0))).max() < 1e-9)
    True
    """
    if frame.dtype.kind == "c":
        return fast(np.real(frame)) + 1j * fast(np.imag(frame))
    values = np.asarray(frame, float)
    return values - np.asarray(gaussian_filter(values, SLOW_PX))


def ring_means(sums: np.ndarray) -> np.ndarray:
    """Return the mean power in each ring, (ring,), from sums of `Grid.rings`."""
    return sums[0] / np.maximum(sums[1], 1)


def beyond(power: np.ndarray, noise: np.ndarray) -> np.ndarray:
    """Return which share of the power in each ring is no noise, (ring,).

    Examples
    --------
    >>> beyond(np.full(9, 4.0), np.full(9, 1.0)).round(6).tolist()[:2]
    [0.75, 0.75]
    """
    found, chance = (np.asarray(gaussian_filter1d(v, 1.0)) for v in (power, noise))
    return np.where(found > chance, 1 - chance / np.where(found > 0, found, 1), 0.0)


def _ring(frequency: np.ndarray) -> np.ndarray:
    return np.minimum((frequency / _RING).astype(int), _RINGS - 1)
