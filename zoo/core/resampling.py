"""Images brought to another pixel size, and back.

Lanczos interpolation (window of three lobes), widened where pixels become larger, so
that nothing aliases; borders are mirrored.  The mean is kept: a pixel holds light per
area, not light.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

LOBES = 3
"""Lobes of the kernel on either side."""


@dataclass(frozen=True)
class Resampling:
    """From the grid of a file to that of a network."""

    source_px: Mapping[str, int]
    """Length of a frame in the file along y and x, px."""
    target_px: Mapping[str, int]
    """The same as the network sees it, px."""
    source_nm: float
    """Edge of a pixel in the file, nm."""
    target_nm: float
    """Edge of a pixel as the network sees it, nm; the trained one but for rounding to
    whole pixels."""

    def back(self, images: np.ndarray, *, scale: int, axes: str) -> np.ndarray:
        """Return images of the network on the grid of the file, `scale` times as fine.

        Parameters
        ----------
        images
            Images on the grid of the network, `scale` times as fine; the last axes are
            `axes`.
        scale
            Fine pixels per pixel along an axis.
        axes
            Letters of the last axes, y and x among them.
        """
        first = images.ndim - len(axes)
        for letter in "yx":
            images = resampled(
                images,
                scale * self.source_px[letter],
                axis=first + axes.index(letter),
            )
        return images

    def report(self) -> dict[str, Any]:
        """Return what the report says."""
        return {
            "from_pixel_size_nm": self.source_nm,
            "to_pixel_size_nm": round(self.target_nm, 4),
            "from_size_px": [self.source_px[a] for a in "yx"],
            "to_size_px": [self.target_px[a] for a in "yx"],
            "method": "Lanczos, anti-aliased; results are resampled back",
        }


def resampled(images: np.ndarray, length: int, *, axis: int) -> np.ndarray:
    """Return images with another number of pixels over the same field.

    Parameters
    ----------
    images
        Of any shape.
    length
        New length of the axis, px.
    axis
        Axis to resample.

    Returns
    -------
    images : float32

    Examples
    --------
    >>> wave = 5 + np.cos(2 * np.pi * (np.arange(60) + 0.5) / 20)
    >>> finer = resampled(wave, 90, axis=0)
    >>> exact = 5 + np.cos(2 * np.pi * (np.arange(90) + 0.5) / 30)
    >>> bool(np.abs(finer - exact).max() < 0.02)
    True
    """
    before = images.shape[axis]
    if before == length:
        return np.asarray(images, np.float32)
    moved = np.moveaxis(np.asarray(images, np.float32), axis, 0)
    flat = np.ascontiguousarray(moved).reshape(before, -1)
    done = np.asarray(_matrix(before, length) @ flat, np.float32)
    return np.moveaxis(done.reshape(length, *moved.shape[1:]), 0, axis)


@lru_cache(maxsize=16)
def _matrix(before: int, after: int) -> Any:
    """Return the sparse matrix that resamples a line."""
    from scipy.sparse import csr_array  # takes a while to import

    ratio = before / after
    wide = max(ratio, 1.0)
    centres = (np.arange(after) + 0.5) * ratio - 0.5
    reach = int(np.ceil(LOBES * wide))
    offsets = np.arange(-reach, reach + 1)
    places = np.round(centres).astype(int)[:, None] + offsets
    distance = (places - centres[:, None]) / wide
    weights = np.sinc(distance) * np.sinc(distance / LOBES)
    weights[np.abs(distance) >= LOBES] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    period = 2 * before
    folded = np.mod(places, period)
    folded = np.where(folded >= before, period - 1 - folded, folded)
    rows = np.repeat(np.arange(after), len(offsets))
    entries = (weights.ravel().astype(np.float32), (rows, folded.ravel()))
    return csr_array(entries, shape=(after, before))
