"""Places in a frame where one more spot would explain it better."""

import numpy as np
from scipy import fft

from zoo.physics.spots import Psf

FINE = 4
"""Places per pixel and axis at which a further emitter is tried."""
_LEFT_OUT = 2e-4  # of the light of a spot, outside its window
_LARGEST_REACH_PX = 12


def reach_px(psf: Psf) -> int:
    """Return the pixels on every side that hold nearly all light of a spot."""
    edge = 2 * _LARGEST_REACH_PX + 1
    middle = np.array([edge * psf.pixel_nm / 2])
    spot = psf.images(middle, middle, np.zeros(1), (edge, edge))[0].astype(float)
    for reach in range(2, _LARGEST_REACH_PX):
        rim = _LARGEST_REACH_PX - reach
        if spot[rim:-rim, rim:-rim].sum() > (1 - _LEFT_OUT) * spot.sum():
            return reach
    return _LARGEST_REACH_PX


class SpotFilters:
    """Correlation of frames with spots, all at once.

    Parameters
    ----------
    spots
        (n, edge, edge) images around their middle pixel, an odd edge.
    shape
        ``(height, width)`` of the frames, px.
    """

    def __init__(self, spots: np.ndarray, shape: tuple[int, int]) -> None:
        edge = spots.shape[-1]
        self._shape, self._half = shape, edge // 2
        self._size = [fft.next_fast_len(n + edge, real=True) for n in shape]
        flipped = spots[:, ::-1, ::-1].astype(float)
        self._spots = fft.rfft2(flipped, s=self._size)
        self._squares = fft.rfft2(flipped**2, s=self._size)

    def gain_and_information(
        self, residual: np.ndarray, weight: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return score and information of photons at every pixel, (n, y, x) each.

        Parameters
        ----------
        residual
            (y, x) derivative of the log-likelihood by the photons of a pixel.
        weight
            (y, x) Fisher information on the photons of a pixel.
        """
        gain = self._correlated(residual, self._spots)
        return gain, self._correlated(weight, self._squares)

    def _correlated(self, image: np.ndarray, spectra: np.ndarray) -> np.ndarray:
        (height, width), half = self._shape, self._half
        spectrum = fft.rfft2(image, s=self._size)
        values = fft.irfft2(spectra * spectrum, s=self._size)
        return values[:, half : half + height, half : half + width]


class SpotSearch:
    """Where in a frame one more emitter would raise the likelihood.

    Parameters
    ----------
    psf
        Point-spread function of emitters in focus.
    shape
        ``(height, width)`` of the frames, px.
    half
        Pixels on every side of its own that a spot is compared in.
    """

    def __init__(self, psf: Psf, shape: tuple[int, int], half: int) -> None:
        self.shape = shape
        edge = 2 * half + 1
        shifts = (np.arange(FINE) + 0.5) / FINE
        y, x = (s.ravel() for s in np.meshgrid(shifts, shifts, indexing="ij"))
        spots = psf.images(
            (half + x) * psf.pixel_nm,
            (half + y) * psf.pixel_nm,
            np.zeros(len(x)),
            (edge, edge),
        )
        self._filters = SpotFilters(spots, shape)

    def places(
        self, residual: np.ndarray, weight: np.ndarray, least: float
    ) -> np.ndarray:
        """Return local maxima of the score, (n, 2) x, y in px, the best first.

        Parameters
        ----------
        residual
            (y, x) derivative of the log-likelihood by the photons of a pixel.
        weight
            (y, x) Fisher information on the photons of a pixel.
        least
            Smallest square of a standardised score, neighbours being fixed.
        """
        found = self._filters.gain_and_information(residual, weight)
        gain, information = map(self._on_fine_grid, found)
        score = np.where(gain > 0, gain, 0.0) / np.sqrt(np.maximum(information, 1e-12))
        padded = np.pad(score, 1, constant_values=-np.inf)
        height, width = score.shape
        around = [
            padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
            for dy in (-1, 0, 1)
            for dx in (-1, 0, 1)
            if (dy, dx) != (0, 0)
        ]
        peak = score**2 > least
        for other in around:
            peak &= score >= other
        rows, columns = np.nonzero(peak)
        order = np.argsort(-score[rows, columns], kind="stable")
        return (np.stack([columns, rows], axis=1)[order] + 0.5) / FINE

    def _on_fine_grid(self, values: np.ndarray) -> np.ndarray:
        """Put the shifts within a pixel side by side, (FINE·y, FINE·x)."""
        height, width = self.shape
        fine = values.reshape(FINE, FINE, height, width).transpose(2, 0, 3, 1)
        return fine.reshape(height * FINE, width * FINE)
