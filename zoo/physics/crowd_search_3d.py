"""Places and depths in a frame where one more engineered spot would explain it."""

from typing import NamedTuple

import numpy as np

from zoo.physics.blurred_spots import REACH_PX, BlurredSpots
from zoo.physics.crowd_search import SpotFilters

_STEP_NM = 100.0  # between depths that are tried


class Candidate(NamedTuple):
    """A further emitter."""

    x_px: float
    y_px: float
    z_nm: float
    photons: float


class DepthSearch:
    """Where one more emitter would raise the likelihood of a frame.

    Parameters
    ----------
    spots
        Spots, tried at half of their blurs.
    shape
        ``(height, width)`` of the frames, px.
    z_range_nm
        Lowest and highest depth.
    """

    def __init__(
        self,
        spots: BlurredSpots,
        shape: tuple[int, int],
        z_range_nm: tuple[float, float],
    ) -> None:
        low, high = z_range_nm
        self.z_nm = np.linspace(low, high, int(np.ceil((high - low) / _STEP_NM)) + 1)
        edge = 2 * REACH_PX + 1
        middle = np.full(len(self.z_nm), edge * spots.pixel_nm / 2)
        half = np.full(len(self.z_nm), 0.5)
        images = spots.images(middle, middle, self.z_nm, half, (edge, edge))
        self._filters = SpotFilters(images, shape)

    def best(
        self,
        residual: np.ndarray,
        weight: np.ndarray,
        *,
        least: float,
        fewest_photons: float,
        apart_px: int,
        most: int,
    ) -> list[Candidate]:
        """Return emitters that promise most, the best first.

        Parameters
        ----------
        residual
            (y, x) derivative of the log-likelihood by the photons of a pixel.
        weight
            (y, x) Fisher information on the photons of a pixel.
        least
            Smallest square of a standardised score, all else being fixed.
        fewest_photons
            Of an emitter.
        apart_px
            Distance between two of them, along x or y.
        most
            Emitters at most.
        """
        gain, information = self._filters.gain_and_information(residual, weight)
        information = np.maximum(information, 1e-12)
        photons = gain / information
        score = np.where(photons > fewest_photons, gain / np.sqrt(information), 0.0)
        depth = score.argmax(axis=0)
        score = score.max(axis=0)
        found: list[Candidate] = []
        while len(found) < most:
            y, x = divmod(int(score.argmax()), score.shape[1])
            if score[y, x] ** 2 <= least:
                break
            plane = int(depth[y, x])
            light = float(photons[plane, y, x])
            found.append(Candidate(x + 0.5, y + 0.5, float(self.z_nm[plane]), light))
            around = (
                slice(max(0, int(n) - apart_px), n + apart_px + 1) for n in (y, x)
            )
            score[tuple(around)] = 0.0
        return found
