"""Strengths of a crappifier that make dense scans like real coarse ones."""

from collections.abc import Sequence
from typing import Any, NamedTuple, get_args

import numpy as np
from scipy.optimize import least_squares

from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.simulate.crappifier_statistics import CLASSES, Pair, Reference
from zoo.simulate.crappifiers import Crappifier, Sampling, sampled

LEVELS = 256
"""Grey levels; residuals lie between -256 and 255."""

KNOWN = 0.1
"""Relative error up to which a strength counts as known."""

TRADED = 0.9
"""Correlation of the errors of two strengths from which they trade off."""

_DRAWS = 2  # of the noise per pair
_BIN = 1 / 3  # width of a bin, in deviations of the residuals
_STARTS = 7  # on a logarithmic grid of each strength
_COMPARED = 3  # draws whose mean is compared with the real scans
_CHANCE = 12  # further draws, which show what chance makes of the statistics
_SLOPES = 6  # of these, whose derivatives show what they say about strengths
_STEP = 0.1  # of derivatives by a strength, in its logarithm
_VAGUE = 2.0  # deviation of a strength's logarithm that pairs say nothing about
_STUCK = 1.7  # distance that chance rarely leaves; four thirds are to be expected
_ROUNDS = 2  # of the descent, each with chance drawn anew


class Fit(NamedTuple):
    """A crappifier whose strengths fit pairs."""

    crappifier: Crappifier
    """The degradation."""
    criterion: float
    """What is left of the criterion of `misfit`."""
    errors: dict[str, float]
    """Relative standard error of every strength."""
    traded: tuple[tuple[str, str], ...]
    """Pairs of strengths that trade off: more of one looks like more, or less, of the
    other."""
    distance: float
    """Mean square of the statistics' differences, in units of chance."""


class _Strengths:
    """Strengths of a crappifier as logarithms.

    Parameters
    ----------
    crappifier
        Strengths that are zero stay zero.

    Raises
    ------
    BadInput
        If there is nothing to be fitted.
    """

    def __init__(self, crappifier: Crappifier) -> None:
        self.start = crappifier
        self.names = [n for n in crappifier.strengths if getattr(crappifier, n) > 0]
        if not self.names:
            raise BadInput(
                "a fit needs a crappifier with a strength above zero, not "
                f"{crappifier.kind}"
            )
        bounds = [crappifier.strengths[name] for name in self.names]
        self.low, self.high = np.log(bounds).T

    def logs(self) -> np.ndarray:
        """Return the strengths of the start."""
        values = np.log([float(getattr(self.start, name)) for name in self.names])
        return np.clip(values, self.low, self.high)

    def at(self, logs: np.ndarray) -> Crappifier:
        """Return a crappifier of other strengths."""
        values = np.exp(np.clip(logs, self.low, self.high))
        pairs = zip(self.names, values, strict=True)
        return self.start.override(**{name: float(value) for name, value in pairs})


def fit(crappifier: Crappifier, pairs: Sequence[Pair], *, seed: int = 0) -> Fit:
    """Find the strengths of a crappifier that make dense scans like the coarse ones.

    All strengths are found at once, by least squares of the statistics of
    `zoo.simulate.crappifier_statistics` in units of chance, from the best point of a
    grid by `misfit`.  Errors follow from how statistics scatter from draw to draw, and
    from how little they say about a strength.

    Parameters
    ----------
    crappifier
        Kind of degradation; strengths that are zero stay zero, the sampling stays.
    pairs
        Registered scans.
    seed
        Seed of the noise, which is the same for all strengths that are compared.

    Returns
    -------
    fit : Fit

    Raises
    ------
    BadInput
        If there is no pair or nothing to be fitted.
    """
    strengths = _Strengths(crappifier)
    if not pairs:
        raise BadInput("a fit needs pairs, and there are 0 pairs")
    found = _descended(strengths, _best_of_grid(strengths, pairs, seed), pairs, seed)
    if found.distance > _STUCK:  # from a strength of next to nothing no way leads up
        other = _descended(strengths, strengths.logs(), pairs, seed)
        found = min(found, other, key=lambda fit: fit.distance)
    return found


def fit_sampling(
    crappifier: Crappifier, pairs: Sequence[Pair], *, seed: int = 0
) -> dict[Sampling, Fit]:
    """Fit a crappifier with every way to read the coarse grid off the dense one.

    Parameters
    ----------
    crappifier, pairs, seed
        As for `fit`; the sampling is where the search begins.

    Returns
    -------
    fits : dict
        By sampling, the best one first.
    """
    first = fit(crappifier, pairs, seed=seed)
    fits: dict[Sampling, Fit] = {crappifier.sampling: first}
    for sampling in get_args(Sampling):
        if sampling not in fits:
            strengths = _Strengths(first.crappifier.override(sampling=sampling))
            fits[sampling] = _descended(strengths, strengths.logs(), pairs, seed)
    return dict(sorted(fits.items(), key=lambda item: item[1].distance))


def _best_of_grid(
    strengths: _Strengths, pairs: Sequence[Pair], seed: int
) -> np.ndarray:
    """Return where to begin: the best of a few values of one strength after another."""
    best = strengths.logs()
    for _ in range(2 if len(best) > 1 else 1):
        for place in range(len(best)):
            tries = np.repeat(best[None], _STARTS, axis=0)
            tries[:, place] = np.linspace(
                strengths.low[place], strengths.high[place], _STARTS
            )
            tries = np.concatenate([best[None], tries])
            costs = [misfit(strengths.at(t), pairs, seed=seed) for t in tries]
            best = tries[int(np.argmin(costs))]
    return best


def _descended(
    strengths: _Strengths, logs: np.ndarray, pairs: Sequence[Pair], seed: int
) -> Fit:
    """Return the least squares that a descent from a point leads to."""
    reference = Reference(pairs, strengths.start.sampling)
    compared = [1000 * seed + n for n in range(_COMPARED)]
    further = [1000 * seed + _COMPARED + n for n in range(_CHANCE)]
    chance = _chance(reference, strengths.at(logs), further)

    def apart(point: np.ndarray) -> np.ndarray:
        mean = reference.drawn(strengths.at(point), compared).mean(axis=0)
        return (mean - reference.real) / chance

    def slopes_of(point: np.ndarray, draws: Sequence[int]) -> np.ndarray:
        """Return derivatives of single draws, (draw, statistic, strength)."""
        columns: list[np.ndarray] = []
        for place in range(len(point)):
            ends = np.repeat(point[None], 2, axis=0)
            ends[:, place] += (-_STEP / 2, _STEP / 2)
            ends = np.clip(ends, strengths.low, strengths.high)
            width = max(float(ends[1, place] - ends[0, place]), 1e-6)
            low, high = (reference.drawn(strengths.at(end), draws) for end in ends)
            columns.append((high - low) / width / chance)
        return np.stack(columns, axis=-1)

    def slopes(point: np.ndarray) -> np.ndarray:
        return slopes_of(point, compared).mean(axis=0)

    for _ in range(_ROUNDS):
        inside = np.clip(logs, strengths.low + 1e-3, strengths.high - 1e-3)
        found: Any = least_squares(
            apart,
            inside,
            jac=slopes,
            bounds=(strengths.low, strengths.high),
            xtol=2e-3,
            ftol=1e-3,
            max_nfev=12,
        )
        logs = np.asarray(found.x)
        chance = _chance(reference, strengths.at(logs), further)
    scatter = reference.drawn(strengths.at(logs), further) / chance
    several = slopes_of(logs, further[:_SLOPES])
    errors, traded = _uncertainty(several, scatter, strengths.names)
    return Fit(
        strengths.at(logs),
        misfit(strengths.at(logs), pairs, seed=seed),
        errors,
        traded,
        float(np.mean(apart(logs) ** 2)),
    )


def _chance(
    reference: Reference, crappifier: Crappifier, draws: Sequence[int]
) -> np.ndarray:
    """Return by how much chance changes each statistic."""
    deviation = reference.drawn(crappifier, draws).std(axis=0, ddof=1)
    return np.maximum(deviation, reference.least)


def _uncertainty(
    slopes: np.ndarray, scatter: np.ndarray, names: Sequence[str]
) -> tuple[dict[str, float], tuple[tuple[str, str], ...]]:
    """Return relative errors of strengths and those that trade off.

    Parameters
    ----------
    slopes : (draw, statistic, strength)
        Derivatives of the statistics of single draws by the logarithms of the
        strengths.
    scatter : (draw, statistic)
        Statistics of single draws.  Both in units of chance.
    names
        Names of the strengths.
    """
    vague = np.eye(len(names)) / _VAGUE**2
    count, mean = len(slopes), slopes.mean(axis=0)
    # products of different draws alone: those of a draw with itself take the chance in
    # its derivatives for information, and strengths that trade off for known
    alone = np.einsum("dsa,dsb->ab", slopes, slopes) / count**2
    known = (mean.T @ mean - alone) * count / (count - 1)
    values, vectors = np.linalg.eigh(known)
    known = (vectors * np.maximum(values, 0)) @ vectors.T
    inverse = np.linalg.inv(known + vague)
    shifts = (scatter - scatter.mean(axis=0)) @ mean @ inverse
    by_chance = shifts.T @ shifts / (len(scatter) - 1) * (1 + 1 / _COMPARED)
    total = by_chance + inverse @ vague @ inverse
    deviations = np.sqrt(np.diag(total))
    errors = {n: float(d) for n, d in zip(names, deviations, strict=True)}
    traded = tuple(
        (names[a], names[b])
        for a in range(len(names))
        for b in range(a + 1, len(names))
        if abs(total[a, b]) > TRADED * deviations[a] * deviations[b]
        and max(deviations[a], deviations[b]) > KNOWN
    )
    return errors, traded


def misfit(crappifier: Crappifier, pairs: Sequence[Pair], *, seed: int = 0) -> float:
    """Return how much a crappifier's residuals differ from those of real scans.

    PSSR2's criterion (doi:10.1186/s44330-024-00020-5) compares residuals of a coarse
    scan against the sampled dense one: ``mean((h_real - h_crappified)**2)`` of their
    histograms, and the absolute difference of their means.  Here each of the two is in
    units of what chance makes of it, or else the mean of the noise, which is an
    accident, would decide.  Bins are a third of the residuals' deviation wide, at least
    one grey level, in which chance weighs least, and all is averaged over classes of
    brightness.

    Parameters
    ----------
    crappifier
        Degradation with its strengths.
    pairs
        Registered scans.
    seed
        Seed of the noise.
    """
    real: list[np.ndarray] = []
    made: list[np.ndarray] = []
    bright: list[np.ndarray] = []
    for number, pair in enumerate(pairs):
        smooth = sampled(pair.dense, crappifier.sampling)
        for draw in range(_DRAWS):
            noisy = crappifier(pair.dense, generator(seed, number, draw))
            made.append((noisy - smooth).ravel())
            real.append((pair.coarse - smooth).ravel())
            bright.append(smooth.ravel())
    residuals = [(LEVELS - 1) * np.concatenate(parts) for parts in (real, made)]
    light = np.concatenate(bright)
    bounds = np.quantile(light, np.arange(1, CLASSES) / CLASSES)
    groups = np.searchsorted(bounds, light)
    width = max(round(_BIN * float(residuals[0].std())), 1)
    edges = np.arange(-LEVELS, LEVELS + width, width) - 0.5
    total = 0.0
    for group in range(CLASSES):
        mine = groups == group
        if not mine.any():
            continue
        parts = [r[mine] for r in residuals]
        counts = [np.histogram(part, edges)[0] / _DRAWS for part in parts]
        pixels = int(mine.sum()) / _DRAWS
        total += float(np.mean((counts[0] - counts[1]) ** 2) / np.mean(sum(counts)))
        chance = sum(float(part.var()) for part in parts) / pixels
        apart = abs(float(parts[0].mean() - parts[1].mean()))
        total += apart / max(chance, 1e-6) ** 0.5
    return total / CLASSES
