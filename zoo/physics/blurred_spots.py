"""Spots whose blur is a parameter of every emitter, from tables."""

from functools import lru_cache

import numpy as np

from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import Psf
from zoo.physics.tabulated import tabulated_psf

REACH_PX = 30
"""Pixels on every side of an emitter's own that hold its light."""
_STEP_NM = 50.0  # of tabulated depths
_SAMPLES = 96  # of the pupil; 64 shift depths of a steep mask by some nm


class BlurredSpots:
    """Images of emitters by their place, depth and blur.

    A Gaussian's transfer is smooth in its variance: three images tell all between.  The
    blur is given by its share: 0 and 1 are the smallest and the largest variance.

    Parameters
    ----------
    sharp, middle, blurred
        Point-spread functions at the shares 0, 1/2 and 1.
    """

    def __init__(self, sharp: Psf, middle: Psf, blurred: Psf) -> None:
        self.levels = (sharp, middle, blurred)

    @property
    def pixel_nm(self) -> float:
        """Edge of a camera pixel in the sample, nm."""
        return self.levels[0].pixel_nm

    def images(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        share: np.ndarray,
        shape: tuple[int, int],
    ) -> np.ndarray:
        """Return (n, y, x) shares of the emitters' photons; as `derivatives`."""
        images = [psf.images(x_nm, y_nm, z_nm, shape) for psf in self.levels]
        return _mixed(_weights(share)[0], images)

    def derivatives(
        self,
        x_nm: np.ndarray,
        y_nm: np.ndarray,
        z_nm: np.ndarray,
        share: np.ndarray,
        shape: tuple[int, int],
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return images and their (n, 4, y, x) changes per nm of x, y, z and by share.

        Parameters
        ----------
        x_nm, y_nm, z_nm
            (n,) positions from the region's outer corner.
        share
            (n,) of the blur's variance, 0 to 1.
        shape
            ``(height, width)`` of the regions, px.
        """
        found = [psf.derivatives(x_nm, y_nm, z_nm, shape) for psf in self.levels]
        images = [image for image, _ in found]
        weights, changes = _weights(share)
        slopes = _mixed(weights, [slope for _, slope in found])
        change = _mixed(changes, images)[:, None]
        return _mixed(weights, images), np.concatenate([slopes, change], axis=1)


@lru_cache(maxsize=4)
def blurred_spots(
    optics: PupilOptics,
    *,
    z_range_nm: tuple[float, float],
    blurs_nm: tuple[float, float],
) -> BlurredSpots:
    """Tabulate the spots of a pupil for a range of depths and blurs.

    Parameters
    ----------
    optics
        Objective, camera pixel and phase mask; their own blur does not count.
    z_range_nm
        Lowest and highest depth.
    blurs_nm
        Smallest and largest standard deviation of the blur, nm.
    """
    size_px = 2 * REACH_PX + 5
    field_um = (size_px + REACH_PX) * optics.pixel_nm / 1000
    samples = max(_SAMPLES, 2 * int(np.ceil(field_um * optics.aperture_per_um)))
    low, high = blurs_nm
    levels = (
        tabulated_psf(
            PupilPsf(optics.override(blur_nm=blur), samples=samples, dtype=np.float32),
            z_range_nm=z_range_nm,
            step_nm=_STEP_NM,
            size_px=size_px,
        )
        for blur in (low, float(np.sqrt((low**2 + high**2) / 2)), high)
    )
    return BlurredSpots(*levels)


def _weights(share: np.ndarray) -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return the weights of the levels, of a parabola through them, and its slopes."""
    s = np.asarray(share, float)
    weights = [(2 * s - 1) * (s - 1), 4 * s * (1 - s), s * (2 * s - 1)]
    return weights, [4 * s - 3, 4 - 8 * s, 4 * s - 1]


def _mixed(weights: list[np.ndarray], levels: list[np.ndarray]) -> np.ndarray:
    """Return the sum of (n, ...) arrays by (n,) weights, of the type of the arrays."""
    total = np.zeros_like(levels[0])
    for weight, values in zip(weights, levels, strict=True):
        by_row = weight.astype(values.dtype).reshape(-1, *(1,) * (values.ndim - 1))
        total += by_row * values
    return total
