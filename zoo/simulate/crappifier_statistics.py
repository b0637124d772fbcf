"""What tells the strengths of a crappifier: statistics of scans against dense ones."""

from collections.abc import Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from scipy import ndimage

from zoo.core.random import generator
from zoo.simulate.crappifiers import Crappifier, Sampling, sampled

CLASSES = 6
"""Classes of brightness: noise that grows with the brightness is told from noise that
does not."""

QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)
"""Quantiles of the residuals in every class."""

FAR = (3.0, 4.5, 7.0)
"""Residuals beyond so many deviations are counted: salt and pepper."""

LAGS = ((0, 1), (1, 0), (1, 1), (0, 2), (2, 0))
"""Distances, px, at which residuals are correlated: a blur behind the noise."""

_LEAST = 2e-4  # a twentieth of a grey level
_ROUNDED = 1e-3  # what rounding to grey levels does to a quantile
_DITHER = 1 / 255  # spreads grey levels, so that quantiles move with the strengths

_TOP = 1 - 0.5 / 255  # what a file of 8 bits holds as its brightest level


class Pair(NamedTuple):
    """A coarse scan and a dense one of the same field."""

    coarse: np.ndarray
    """(y, x) float32 between 0 and 1."""
    dense: np.ndarray
    """(4 y, 4 x) float32 between 0 and 1."""


class Reference:
    """Pairs prepared for a sampling: what is the same for all strengths.

    Parameters
    ----------
    pairs
        Registered scans.
    sampling
        How the coarse grid is read off the dense one.
    """

    def __init__(self, pairs: Sequence[Pair], sampling: Sampling) -> None:
        self.pairs = tuple(pairs)
        self.smooth = [sampled(pair.dense, sampling) for pair in pairs]
        light = np.concatenate([image.ravel() for image in self.smooth])
        bounds = np.quantile(light, np.arange(1, CLASSES) / CLASSES)
        self._classes = np.searchsorted(bounds, light)
        self._shapes = np.concatenate([_shapes(image) for image in self.smooth])
        self._dither = _DITHER * (generator(0).random(len(light)) - 0.5)
        coarse = [pair.coarse for pair in pairs]
        apart = self._residuals(coarse)
        middle, low, high = np.quantile(apart, (0.5, 0.16, 0.84))
        self._middle, self._deviation = middle, max((high - low) / 2, 1 / 255)
        self.real = self.statistics(coarse)
        """Statistics of the real scans."""
        count = 0.5 / np.sqrt(len(light))  # chance of the root of a share
        of_class = [_LEAST, _LEAST, *[_ROUNDED] * len(QUANTILES)]
        counts = [count] * (2 * len(FAR) + 2 + len(LAGS))
        self.least = np.array(of_class * CLASSES + counts + [_LEAST] * 3)
        """What chance changes at least: of few draws, some do not show it."""

    def drawn(self, crappifier: Crappifier, draws: Sequence[int]) -> np.ndarray:
        """Return the statistics of crappified scans, (draw, statistic).

        Parameters
        ----------
        crappifier
            Degradation with its strengths.
        draws
            Numbers of draws of the noise; a number is the same noise for all strengths.
        """
        return np.stack(
            [
                self.statistics(
                    [
                        crappifier(pair.dense, generator(draw, number))
                        for number, pair in enumerate(self.pairs)
                    ]
                )
                for draw in draws
            ]
        )

    def statistics(self, coarse: Sequence[np.ndarray]) -> np.ndarray:
        """Return what tells strengths and samplings, (statistic,).

        In units of brightness, of shares and of correlation: whoever compares them
        divides by what chance makes of each.

        Parameters
        ----------
        coarse
            A scan (y, x) for every pair.
        """
        residuals = self._residuals(coarse)
        values: list[float] = []
        for number in range(CLASSES):
            mine = residuals[self._classes == number]
            if not len(mine):  # brightness of few levels leaves classes empty
                mine = np.zeros(1)
            values += [float(mine.mean()), float(mine.std())]
            values += np.quantile(mine, QUANTILES).tolist()
        away = (residuals - self._middle) / self._deviation
        for far in FAR:
            values += [float((away > far).mean()) ** 0.5]
            values += [float((away < -far).mean()) ** 0.5]
        levels = np.concatenate([image.ravel() for image in coarse])
        values += [float((levels >= _TOP).mean()) ** 0.5]
        values += [float((levels <= 1 - _TOP).mean()) ** 0.5]
        values += _correlations(coarse, self.smooth)
        values += np.linalg.lstsq(self._shapes, residuals, rcond=None)[0].tolist()
        return np.array(values)

    def _residuals(self, coarse: Sequence[np.ndarray]) -> np.ndarray:
        pairs = zip(coarse, self.smooth, strict=True)
        return np.concatenate([(c - s).ravel() for c, s in pairs]) + self._dither


def _correlations(
    coarse: Sequence[np.ndarray], smooth: Sequence[np.ndarray]
) -> list[float]:
    """Return the correlation of residuals at `LAGS`."""
    sums = np.zeros(len(LAGS))
    power = 1e-12
    for image, reference in zip(coarse, smooth, strict=True):
        apart = image - reference
        apart = apart - apart.mean()
        power += float((apart**2).mean())
        height, width = apart.shape
        for number, (dy, dx) in enumerate(LAGS):
            if dy < height and dx < width:
                product = apart[dy:, dx:] * apart[: height - dy, : width - dx]
                sums[number] += float(product.mean())
    return (sums / power).tolist()


def _shapes(smooth: np.ndarray) -> np.ndarray:
    """Return what structure a residual may hold, (pixel, shape).

    A blur leaves the Laplacian of the image, a grid that is stretched its gradient
    times the distance from the centre.
    """
    dy, dx = np.gradient(smooth.astype(float))
    y, x = _centred(*smooth.shape)
    shapes = [ndimage.laplace(smooth.astype(float), mode="nearest"), y * dy, x * dx]
    return np.stack([shape.ravel() for shape in shapes], axis=1)


@lru_cache(maxsize=8)
def _centred(height: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    """Return how far pixels are from the centre, in units of half the field."""
    y = np.linspace(-1, 1, height)[:, None]
    return np.broadcast_to(y, (height, width)), np.linspace(-1, 1, width)[None]
