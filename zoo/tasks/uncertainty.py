"""Errors of localizations, from how a network's response spreads around them.

A network that draws emitters as spikes spreads the response to one whose place it is
unsure of over several fine pixels.  The spread is its own statement of its error, in a
unit of its own, and the response tells bright emitters from dim ones; `Errors`
translates both, as measured on simulated movies (`zoo.evaluate.uncertainty`).
"""

from typing import Self

import numpy as np
from pydantic import Field, model_validator

from zoo.core.config import Config

BINS = 16
"""Bins of equal weight in which errors are measured."""
LEAST = 50
"""Errors that a bin holds at least."""


class Errors(Config):
    """Root mean square errors that go with spreads of the response."""

    spread: tuple[float, ...] = Field(min_length=1)
    """Standard deviations of the response around a localization, per axis; rising, in
    fine pixels or planes."""
    error: tuple[float, ...] = Field(min_length=1)
    """Root mean square error per axis at each of them, in the same unit; never falling,
    constant beyond the ends."""
    response: tuple[float, ...] = ()
    """Responses, rising; none where they tell nothing more."""
    factor: tuple[float, ...] = ()
    """What errors are multiplied by at each of them; never rising."""

    @model_validator(mode="after")
    def _equally_long_and_in_order(self) -> Self:
        if len(self.spread) != len(self.error):
            raise ValueError("spread and error must be equally long")
        if len(self.response) != len(self.factor):
            raise ValueError("response and factor must be equally long")
        if (np.diff(self.spread) <= 0).any() or (np.diff(self.error) < 0).any():
            raise ValueError("spread must rise and error must not fall")
        if (np.diff(self.response) <= 0).any() or (np.diff(self.factor) > 0).any():
            raise ValueError("response must rise and factor must not")
        return self

    def at(self, spread: np.ndarray, response: np.ndarray | None = None) -> np.ndarray:
        """Return the errors that go with spreads and responses.

        Examples
        --------
        >>> errors = Errors(
        ...     spread=(1.0, 2.0), error=(0.5, 2.5), response=(0.5, 1.5), factor=(2, 1)
        ... )
        >>> errors.at(np.array([0.2, 1.5, 9.0]))
        array([0.5, 1.5, 2.5])
        >>> errors.at(np.array([1.5, 1.5]), np.array([0.1, 1.0]))
        array([3.  , 2.25])
        """
        error = np.interp(spread, self.spread, self.error)
        if response is None or not self.response:
            return error
        return error * np.interp(response, self.response, self.factor)


UNCALIBRATED = Errors(spread=(0.0, 1e3), error=(0.0, 1e3))
"""States the spread itself, which is what a calibration starts from."""


def fit_errors(
    spread: np.ndarray,
    error: np.ndarray,
    weight: np.ndarray | None = None,
    *,
    response: np.ndarray | None = None,
) -> Errors | None:
    """Return the root mean square error of localizations by spread and response.

    By spread first; what is left over then gives the factor of the response.  Each in
    bins of equal weight, made monotonous by pooling neighbours that are not (the
    least-squares solution, Barlow et al. 1972).

    Parameters
    ----------
    spread
        (n,) spread of each localization.
    error
        (n,) or (n, axes) found minus true, in the same unit.
    weight
        (n,) of each localization; 1 if left out.
    response
        (n,) response of each localization.

    Returns
    -------
    errors
        None where there are fewer than `LEAST` localizations.

    Examples
    --------
    >>> rng = np.random.default_rng(1)
    >>> spread = rng.uniform(1, 3, 20_000)
    >>> errors = fit_errors(spread, rng.normal(0, 2 * spread))
    >>> errors.at(np.array([1.5, 2.5])).round(1)
    array([3., 5.])
    """
    error = error.reshape(len(spread), -1)
    weight = np.ones(len(spread)) if weight is None else weight
    if len(spread) < LEAST:
        return None
    square = (error**2).mean(axis=1)
    places, errors = _binned(spread, square, weight)
    first = Errors(spread=_rounded(places), error=_rounded(errors))
    if response is None or not errors.all():
        return first
    left_over = square / first.at(spread) ** 2
    places, factors = _binned(-response, left_over, weight)
    return Errors(
        spread=first.spread,
        error=first.error,
        response=_rounded(-places[::-1]),
        factor=_rounded(factors[::-1]),
    )


def _rounded(values: np.ndarray) -> tuple[float, ...]:
    return tuple(round(float(value), 4) for value in values)


def _binned(
    values: np.ndarray, square: np.ndarray, weight: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return means of values in bins of equal weight, and rising roots of squares."""
    order = np.argsort(values, kind="stable")
    share = np.cumsum(weight[order]) / weight.sum()
    bins = min(BINS, len(values) // LEAST)
    number = np.minimum((share * bins * (1 - 1e-12)).astype(int), bins - 1)
    number = np.unique(number, return_inverse=True)[1]  # no bin is empty
    mass = np.bincount(number, weight[order])
    centre = np.bincount(number, weight[order] * values[order]) / mass
    squares = np.bincount(number, weight[order] * square[order]) / mass
    keep = np.concatenate([[True], np.diff(centre) > 1e-3])
    return centre[keep], np.sqrt(_rising(squares, mass)[keep])


def _rising(values: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return the nearest values that never fall: pool adjacent violators."""
    blocks: list[tuple[float, float, int]] = []
    for value, weight in zip(values.tolist(), weights.tolist(), strict=True):
        block = (value, weight, 1)
        while blocks and blocks[-1][0] >= block[0]:
            before, mass, count = blocks.pop()
            together = mass + block[1]
            mean = (mass * before + block[1] * block[0]) / together
            block = (mean, together, count + block[2])
        blocks.append(block)
    return np.repeat([b[0] for b in blocks], [b[2] for b in blocks])
