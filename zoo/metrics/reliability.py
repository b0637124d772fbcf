"""How well an uncertainty predicts the error: ranks, reliability, recalibration.

Reliability of regression: in bins of the predicted standard deviation, the root mean
square error should equal it (Levi et al. 2022, doi:10.3390/s22155540); the expected
normalised calibration error is the mean relative difference.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
from scipy import optimize, stats

from zoo.core.products import Image

BINS = 10
"""Bins of a reliability diagram, each with as many pixels."""
KNOTS = 24
"""Bins that a calibration is fitted in."""
FEWEST = 200
"""Pixels that such a bin needs."""
ELEMENT_PX = 4
"""Edge of a resolution element: of 31 nm pixels about the resolution of SIM."""


class Reliability(NamedTuple):
    """Predicted and measured error in bins of the predicted one."""

    predicted: np.ndarray
    """(bin,) root of the mean predicted variance."""
    measured: np.ndarray
    """(bin,) root mean square error."""

    @property
    def ence(self) -> float:
        """Expected normalised calibration error: 0 for a perfect one."""
        difference = np.abs(self.predicted - self.measured)
        return float(np.mean(difference / np.maximum(self.predicted, 1e-12)))

    @property
    def ece(self) -> float:
        """Expected calibration error, relative to the mean error: 0 for a perfect one.

        Unlike `ence` it counts what is wrong where errors are large.
        """
        difference = np.abs(self.predicted - self.measured)
        return float(difference.sum() / max(float(self.measured.sum()), 1e-12))


def rank_correlation(predicted: np.ndarray, error: np.ndarray) -> float:
    """Return Spearman's rank correlation of two images; NaN if one is constant.

    Examples
    --------
    >>> round(rank_correlation(np.arange(9.0), np.arange(9.0) ** 3), 3)
    1.0
    """
    first, second = np.ravel(predicted), np.ravel(error)
    if not (np.ptp(first) > 0 and np.ptp(second) > 0):
        return float("nan")
    one, two = (
        np.asarray(stats.rankdata(values), float) - (len(values) + 1) / 2
        for values in (first, second)
    )
    return float((one * two).sum() / np.sqrt((one**2).sum() * (two**2).sum()))


def image_error(image: np.ndarray, truth: np.ndarray) -> np.ndarray | None:
    """Return the absolute error of an image in its own intensities.

    The truth is brought to brightness and offset of the image by the affine match of
    least squares that scores are taken after.  None where the two have nothing in
    common.

    Examples
    --------
    >>> truth = np.random.default_rng(0).random((8, 8))
    >>> bool(image_error(3 * truth + 1, truth).max() < 1e-9)
    True
    """
    values, goal = np.asarray(image, float), np.asarray(truth, float)
    off, ideal = values - values.mean(), goal - goal.mean()
    common, power = float((off * ideal).sum()), float((off**2).sum())
    if common <= 0 or power <= 0:
        return None
    return np.abs(off - ideal * power / common)


def channel_errors(
    image: Image, truth: Any
) -> Iterator[tuple[tuple[Any, ...], np.ndarray]]:
    """Yield the error of every channel of an image, and where the channel lies in it.

    Parameters
    ----------
    image
        (y, x) or (y, x, c); nothing is yielded for others.
    truth
        The same of what is true; nothing is yielded if its shape differs, nor for
        channels that have nothing in common with theirs.

    Yields
    ------
    place : tuple
        Index of the channel.
    error : (y, x) float64
        As `image_error` has it.

    Examples
    --------
    >>> colors = np.random.default_rng(0).random((8, 8, 2))
    >>> [place for place, _ in channel_errors(Image("image", colors, "yxc"), colors)]
    [(Ellipsis, 0), (Ellipsis, 1)]
    """
    array = image.array
    if image.axes not in ("yx", "yxc") or np.shape(truth) != array.shape:
        return
    count = array.shape[-1] if image.axes == "yxc" else None
    places = [(...,)] if count is None else [(..., number) for number in range(count)]
    for place in places:
        error = image_error(array[place], np.asarray(truth)[place])
        if error is not None:
            yield place, error


def elements(image: np.ndarray, *, edge_px: int = ELEMENT_PX) -> np.ndarray:
    """Return root mean squares over resolution elements, squares of `edge_px`.

    An error crosses zero between pixels wherever its sign changes; over a resolution
    element its size is seen.  Pixels beyond the last whole square are left out.

    Examples
    --------
    >>> elements(np.array([[3.0, 3.0], [3.0, -3.0]]), edge_px=2).tolist()
    [[3.0]]
    """
    height, width = (n // edge_px for n in image.shape)
    part = np.asarray(image[: height * edge_px, : width * edge_px], float)
    squares = part.reshape(height, edge_px, width, edge_px) ** 2
    return np.sqrt(squares.mean(axis=(1, 3)))


def reliability(
    predicted: np.ndarray, error: np.ndarray, *, bins: int = BINS
) -> Reliability:
    """Compare predicted standard deviations with errors, in bins of equal size.

    Parameters
    ----------
    predicted, error
        Standard deviation and absolute error of each pixel.
    bins
        Number of bins.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> sigma = rng.uniform(0.1, 1, 20_000)
    >>> reliability(sigma, np.abs(sigma * rng.normal(size=20_000))).ence < 0.03
    True
    """
    order = np.argsort(np.ravel(predicted), kind="stable")
    parts = np.array_split(order, bins)
    rows: list[np.ndarray] = []
    for values in (predicted, error):
        flat = np.ravel(values).astype(float)
        rows.append(np.array([np.sqrt(np.mean(flat[part] ** 2)) for part in parts]))
    return Reliability(*rows)


def recalibrate(
    score: np.ndarray, error: np.ndarray, *, bins: int = KNOTS
) -> tuple[np.ndarray, np.ndarray]:
    """Return the root mean square error that goes with a score, never falling.

    Means over bins of equal width in the logarithm of the score, made monotonous by
    isotonic regression: where that is level, the order of the scores is lost.

    Parameters
    ----------
    score, error
        (n,) what is said of each pixel, and its absolute error; in one unit.
    bins
        Number of bins; those with few pixels are joined to the next.

    Returns
    -------
    scores, errors : (knot,) float64
        Empty if there are fewer than `FEWEST` pixels.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> score = rng.uniform(0.1, 1, 50_000)
    >>> scores, errors = recalibrate(score, np.abs(2 * score * rng.normal(size=50_000)))
    >>> bool(np.allclose(errors / scores, 2, atol=0.3))
    True
    """
    score, error = (np.ravel(values).astype(float) for values in (score, error))
    if len(score) < FEWEST:
        return np.empty(0), np.empty(0)
    logs = np.log(np.maximum(score, 1e-9))
    low, high = np.quantile(logs, [0.001, 0.9995])
    number = np.clip(
        ((logs - low) / max(high - low, 1e-9) * bins).astype(int), 0, bins - 1
    )
    counts = np.bincount(number, minlength=bins)
    # a bin of few pixels counts to the one below it
    group = np.maximum(np.cumsum(counts >= FEWEST) - 1, 0)[number]
    mass = np.bincount(group).astype(float)
    centre = np.bincount(group, score) / mass
    square = np.bincount(group, error**2) / mass
    rising = optimize.isotonic_regression(square, weights=mass).x
    kept = np.concatenate([[True], np.diff(centre) > 0])
    return centre[kept], np.sqrt(rising[kept])
