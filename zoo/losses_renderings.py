"""Losses between renderings of localizations, and between widefield images.

Those of ANNA-PALM (Ouyang et al. 2018, doi:10.1038/nbt.4106).
"""

from typing import Any, Literal

import keras
import numpy as np
from pydantic import Field

from zoo.core.recipe import Loss

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

SIGMAS_PX = (0.5, 1.0, 2.0, 4.0, 8.0)
"""Standard deviations of the windows of the published similarity."""


def similarity_map(
    target: Any, prediction: Any, *, sigmas_px: tuple[float, ...] = SIGMAS_PX
) -> Any:
    """Return the multi-scale structural similarity of every pixel, (b, y, x, 1).

    The image keeps its resolution and the window grows: contrast and structure are
    compared in windows of all widths, the luminance in the widest.  Maps are held
    between 0 and 1; K = 0.01 and 0.03; outside of the images all is zero.

    Parameters
    ----------
    target, prediction : (b, y, x, 1)
        Images between 0 and 1.
    sigmas_px
        Standard deviations of the Gaussian windows.
    """
    count = ops.shape(prediction)[0]
    moments = ops.concatenate(
        [
            target,
            prediction,
            ops.square(target),
            ops.square(prediction),
            target * prediction,
        ],
        axis=0,
    )
    product: Any = 1.0
    for number, sigma_px in enumerate(sigmas_px):
        blurred = _blurred(moments, sigma_px)
        mean_t, mean_p, square_t, square_p, both = (
            blurred[part * count : (part + 1) * count] for part in range(5)
        )
        squares = ops.square(mean_t) + ops.square(mean_p)
        variances = ops.maximum(square_t + square_p - squares, 0.0)
        covariance = both - mean_t * mean_p
        term = (2 * covariance + 9e-4) / (variances + 9e-4)
        if number == len(sigmas_px) - 1:
            term = term * (2 * mean_t * mean_p + 1e-4) / (squares + 1e-4)
        product = product * ops.clip(term, 0.0, 1.0)
    return product


def _blurred(images: Any, sigma_px: float, *, size: int | None = None) -> Any:
    """Convolve (b, y, x, 1) with a Gaussian of unit sum; zeros outside.

    By a matrix for each axis: thin convolutions of one channel are slow.
    """
    size = size or max(11, int(4 * sigma_px) + 1)
    height, width = (int(n) for n in images.shape[1:3])
    rows, columns = (_matrix(n, sigma_px, size // 2) for n in (height, width))
    plain = ops.matmul(ops.matmul(rows, images[..., 0]), ops.transpose(columns))
    return plain[..., None]


def _matrix(length: int, sigma_px: float, half: int) -> Any:
    """Return the matrix that blurs an axis, (length, length)."""
    offset = np.arange(length)[:, None] - np.arange(length)
    unit = np.exp(-0.5 * (np.arange(-half, half + 1) / sigma_px) ** 2).sum()
    weights = np.exp(-0.5 * (offset / sigma_px) ** 2) / unit
    weights[np.abs(offset) > half] = 0.0
    return ops.convert_to_tensor(weights.astype(np.float32))


class RenderingSimilarity(Loss):
    """ANNA-PALM's loss between dense renderings.

    A sample costs ``mean(a (1 - M) + (1 - a) G*|T - P|)`` with the similarity M of
    every pixel (`similarity_map`), a Gaussian G of 8 px and a = 0.84.
    """

    kind: Literal["rendering_similarity"] = "rendering_similarity"
    """Type of the loss."""
    similarity: float = Field(default=0.84, ge=0, le=1)
    """Weight a of the similarity; what is left is that of the difference."""
    sigma_px: float = Field(default=8.0, gt=0)
    """Standard deviation of the Gaussian that the difference is blurred with."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, y, x, 1) targets and predictions."""
        target, prediction = (
            ops.cast(values, "float32") for values in (target, prediction)
        )
        unlike = 1.0 - similarity_map(target, prediction)
        apart = _blurred(ops.abs(target - prediction), self.sigma_px, size=33)
        cost = self.similarity * unlike + (1.0 - self.similarity) * apart
        return ops.mean(cost, axis=(1, 2, 3))


class WidefieldSimilarity(Loss):
    """Dissimilarity of widefield images, of small ones for want of detail.

    A sample costs the mean of ``a (1 - M) + (1 - a) |T - P|`` with the similarity M of
    every pixel (`similarity_map`), and nothing where the target is constant, because
    then there is no widefield image.  The paper has M alone, which hardly says where to
    go from an image that is black.
    """

    kind: Literal["widefield_similarity"] = "widefield_similarity"
    """Type of the loss."""
    similarity: float = Field(default=1.0, ge=0, le=1)
    """Weight a of the similarity; what is left is that of the difference."""
    widest_px: float = Field(default=4.0, ge=0.5)
    """Standard deviation of the widest window, px."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return (b,) losses of (b, y, x, 1) targets and predictions."""
        target, prediction = (
            ops.cast(values, "float32") for values in (target, prediction)
        )
        axes = (1, 2, 3)
        span = ops.max(target, axis=axes) - ops.min(target, axis=axes)
        sigmas_px = tuple(sigma for sigma in SIGMAS_PX if sigma <= self.widest_px)
        alike = similarity_map(target, prediction, sigmas_px=sigmas_px)
        apart = ops.abs(target - prediction)
        cost = self.similarity * (1.0 - alike) + (1.0 - self.similarity) * apart
        return ops.where(span > 0, ops.mean(cost, axis=axes), 0.0)
