"""Emitters of one frame under a joint fit in depth; see `zoo.physics.crowd_fit_3d`."""

from copy import copy
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from zoo.core.localizations import Localizations
from zoo.physics.blurred_spots import REACH_PX, BlurredSpots
from zoo.physics.crowd_search_3d import DepthSearch
from zoo.physics.fisher import PixelNoise
from zoo.physics.frame_parts import overlaps
from zoo.physics.normal_equations import inverse_diagonal, solved

ADD = 60.0
"""Square of the standardised score that a further emitter must promise, all else being
fixed: it is looked for at ten thousands of places and depths, in what neighbours leave
that are not yet where they belong."""
KEEP = 20.0
"""Square of photons over their standard deviation, all else being free, that an emitter
must keep."""
GAIN = 60.0
"""Log-likelihood that a further emitter must have gained when all are moved.  One of
10,000 photons gains some hundreds; wide and faint spots that smooth the model of the
background gain some tens."""
ROUNDS = 6
"""Additions at most."""
FAINT = 0.15
"""Photons of the faintest emitter, as part of those of the frame's median one: what is
fainter corrects spots that differ from the model."""
_DOUBT = 4.0
"""Excess of the squared residuals under a spot, in standard deviations, beyond which it
may be two."""
_HALVES_PX, _HALVES_NM = 1.0, 250.0  # from the middle of two to each, lateral, axial
_SPLITS = 6  # emitters at most that are tried
_PAIRED = 0.5  # of what two must gain in the end, that they gain by moving alone
_PROMISED = 0.5  # of the photons, that a spot out of place and depth makes out
_AT_ONCE, _APART_PX = 4, 12  # emitters that are added together, away from each other
_KNOT_PX = 20  # distance of the knots of the background
_START_STEPS, _STEPS, _ADDED_STEPS, _LAST_STEPS = 20, 6, 12, 15  # of the climb
_LIGHT_STEPS = 30  # of Richardson and Lucy, for photons and background alone
_BLUR, _BLUR_SPREAD = 0.5, 0.35  # what is known of the share of the blurred image
_LARGEST_STEP = np.array([1.0, 1.0, 150.0, np.inf, 0.5])  # px, px, nm, -, share
_SMALL_GAIN, _LARGEST_DAMPING = 1e-2, 1e5
_SMALLEST_MEAN, _FEWEST_PHOTONS, _MOST_PHOTONS = 1e-2, 10.0, 1e6
_FIRST_PHOTONS = 1e4


@dataclass(frozen=True, eq=False)
class DepthSettings:
    """Limits of a joint fit in depth."""

    z_range_nm: tuple[float, float]
    """Lowest and highest depth."""
    fewest_photons: float = 0.0
    """Of an emitter, unless those of a frame are all fainter; see `FAINT`."""
    add: float = ADD
    """See `ADD`."""
    keep: float = KEEP
    """See `KEEP`."""
    gain: float = GAIN
    """See `GAIN`."""
    rounds: int = ROUNDS
    """See `ROUNDS`."""


class _Model(NamedTuple):
    """Emitters of a frame and what is expected of them."""

    values: np.ndarray
    """(n, 5) x, y in px, z in nm, photons, share of the blurred spot."""
    background: np.ndarray
    """(knots,) photons per pixel."""
    spots: np.ndarray
    """(n, pixels) shares of the photons."""
    slopes: np.ndarray
    """(5 n, pixels) changes of the expected photons by the values."""
    mean: np.ndarray
    """(pixels,) expected (excess) electrons."""
    likelihood: float
    """Logarithm, with that of the shares, but for what does not depend on either."""


class DepthFrameFit:
    """The emitters of one frame under way.

    Parameters
    ----------
    spots
        Spots by position, depth and blur.
    image
        (y, x) photons.
    noise
        Of its pixels.
    settings
        Limits.
    """

    def __init__(
        self,
        spots: BlurredSpots,
        image: np.ndarray,
        noise: PixelNoise,
        settings: DepthSettings,
    ) -> None:
        self.spots, self.settings = spots, settings
        self.shape = (image.shape[0], image.shape[1])
        self.per_photon = noise.per_photon
        self.dark = np.ravel(noise.nearly_poisson(0.0))
        self.data = np.maximum(np.ravel(noise.nearly_poisson(image)), 0.0)
        self.surfaces = _surfaces(self.shape)
        level = max(float(np.percentile(image, 20)), _SMALLEST_MEAN)
        self.fewest = settings.fewest_photons
        self.model = self._model(np.empty((0, 5)), np.full(len(self.surfaces), level))
        self._lit(_LIGHT_STEPS)

    def start(self, emitters: Localizations) -> None:
        """Begin with emitters at the places of a table, which has depths."""
        z_nm = emitters.z_nm
        if not len(emitters) or z_nm is None:
            return
        pixel = self.spots.pixel_nm
        values = np.stack(
            [
                emitters.x_nm / pixel,
                emitters.y_nm / pixel,
                z_nm.clip(*self.settings.z_range_nm),
                np.full(len(emitters), _FIRST_PHOTONS),
                np.full(len(emitters), _BLUR),
            ],
            axis=1,
        )
        self.model = self._model(values, self.model.background)
        self._lit(_LIGHT_STEPS)
        self._refine(_START_STEPS)
        median = float(np.median(self.model.values[:, 3]))
        self.fewest = min(self.fewest or np.inf, FAINT * median)

    def run(self, search: DepthSearch) -> None:
        """Remove, add and move emitters until nothing changes."""
        self._prune()
        self._refine(_STEPS)
        for _ in range(self.settings.rounds):
            if not self._extend(search) and not self._split():
                break
        self._refine(_LAST_STEPS)

    def table(self, number: int) -> Localizations:
        """Return the emitters inside the frame."""
        x, y, z, photons, _ = self.model.values.T
        variance = self._variance()
        pixel = self.spots.pixel_nm
        height, width = self.shape
        inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
        place = np.floor(self.model.values[inside, :2]).astype(int)
        under = self.model.background @ self.surfaces
        table = Localizations(
            x_nm=x * pixel,
            y_nm=y * pixel,
            z_nm=z,
            frame=np.full(len(x), number),
            photons=photons,
            uncertainty_nm=np.sqrt(variance[:, :2].mean(axis=1)) * pixel,
            uncertainty_z_nm=np.sqrt(variance[:, 2]),
        ).select(inside)
        own = under[place[:, 1] * width + place[:, 0]].astype(float)
        return table.with_columns(background_photons=own)

    @property
    def chi_square(self) -> float:
        """Mean square of the residuals in standard deviations; one if all is noise."""
        return float(np.mean((self.data - self.model.mean) ** 2 / self.model.mean))

    def _model(self, values: np.ndarray, background: np.ndarray) -> _Model:
        """Return what is expected of emitters, each in a window around its pixel."""
        (height, width), count = self.shape, len(values)
        pixel, edge = self.spots.pixel_nm, 2 * REACH_PX + 1
        first = np.floor(values[:, :2]).astype(int) - REACH_PX
        inside = (values[:, :2] - first) * pixel
        images, slopes = self.spots.derivatives(
            inside[:, 0], inside[:, 1], values[:, 2], values[:, 4], (edge, edge)
        )
        spots = np.zeros((count, height, width), np.float32)
        jacobian = np.zeros((count, 5, height, width), np.float32)
        scale = values[:, 3, None] * np.array([pixel, pixel, 1.0, 1.0])
        slopes = slopes * scale.astype(np.float32)[..., None, None]
        for row, (there, here) in enumerate(overlaps(first, edge, self.shape)):
            spots[(row, *there)] = images[(row, *here)]
            jacobian[(row, slice(3), *there)] = slopes[(row, slice(3), *here)]
            jacobian[(row, 3, *there)] = images[(row, *here)]
            jacobian[(row, 4, *there)] = slopes[(row, 3, *here)]
        spots = spots.reshape(count, height * width)
        light = values[:, 3].astype(np.float32) @ spots
        light = light + background.astype(np.float32) @ self.surfaces
        mean = np.maximum(self.per_photon * light + self.dark, _SMALLEST_MEAN)
        likelihood = float(np.sum(self.data * np.log(mean) - mean))
        off = (values[:, 4] - _BLUR) / _BLUR_SPREAD
        return _Model(
            values,
            background,
            spots,
            jacobian.reshape(5 * count, height * width),
            mean,
            likelihood - 0.5 * float(np.sum(off**2)),
        )

    def slopes(self) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of the log-likelihood and the Fisher matrix.

        By the values of all emitters, one emitter after the other, then by the
        background.
        """
        model = self.model
        slopes = np.concatenate([model.slopes, self.surfaces])
        residual = self.per_photon * (self.data / model.mean - 1)
        weight = self.per_photon**2 / model.mean
        gradient = (slopes @ residual.astype(np.float32)).astype(float)
        weighted = slopes * weight.astype(np.float32)
        fisher = (weighted @ slopes.T).astype(float)
        blur = 5 * np.arange(len(model.values)) + 4
        gradient[blur] -= (model.values[:, 4] - _BLUR) / _BLUR_SPREAD**2
        fisher[blur, blur] += _BLUR_SPREAD**-2
        return gradient, fisher

    def _variance(self) -> np.ndarray:
        """Return the variances of the values, (n, 5)."""
        count = len(self.model.values)
        if not count:
            return np.empty((0, 5))
        return inverse_diagonal(self.slopes()[1])[: 5 * count].reshape(count, 5)

    def _lit(self, steps: int) -> None:
        """Move photons and background only, by steps that keep them positive."""
        share = np.maximum(self.model.spots.sum(axis=1), 1e-6)
        under = self.surfaces.sum(axis=1)
        values, background = self.model.values.copy(), self.model.background.copy()
        for _ in range(steps):
            light = values[:, 3] @ self.model.spots + background @ self.surfaces
            mean = np.maximum(self.per_photon * light + self.dark, _SMALLEST_MEAN)
            ratio = (self.data / mean).astype(np.float32)
            values[:, 3] *= (self.model.spots @ ratio) / share
            values[:, 3] = values[:, 3].clip(_FEWEST_PHOTONS, _MOST_PHOTONS)
            background *= (self.surfaces @ ratio) / under
        self.model = self._model(values, background)

    def _refine(self, steps: int) -> None:
        """Climb the likelihood with all emitters and the background at once."""
        damping, (gradient, fisher) = 1e-3, self.slopes()
        beyond = np.array([self.shape[1], self.shape[0]]) + float(REACH_PX)
        for _ in range(steps):
            old = self.model
            try:
                step = solved(fisher, gradient, damping + 1e-6)
            except np.linalg.LinAlgError:  # two emitters at one place, rounded
                damping *= 10
                if damping > _LARGEST_DAMPING:
                    return
                continue
            count = len(old.values)
            move = step[: 5 * count].reshape(count, 5)
            values = old.values + move.clip(-_LARGEST_STEP, _LARGEST_STEP)
            values[:, :2] = values[:, :2].clip(-float(REACH_PX), beyond)
            values[:, 2] = values[:, 2].clip(*self.settings.z_range_nm)
            values[:, 3] = values[:, 3].clip(_FEWEST_PHOTONS, _MOST_PHOTONS)
            values[:, 4] = values[:, 4].clip(0.0, 1.0)
            background = np.maximum(old.background + step[5 * count :], 0.0)
            model = self._model(values, background)
            gain = model.likelihood - old.likelihood
            if gain < 0:
                damping *= 10
                if damping > _LARGEST_DAMPING:
                    return
                continue
            self.model = model
            if gain < _SMALL_GAIN:
                return
            damping = max(damping / 5, 1e-6)
            gradient, fisher = self.slopes()

    def _prune(self) -> None:
        """Take out what is too faint or not supported by its errors, worst first."""
        while len(self.model.values):
            photons = self.model.values[:, 3]
            support = photons**2 / self._variance()[:, 3] / self.settings.keep
            if self.fewest:
                support = np.minimum(support, photons / self.fewest)
            worst = int(support.argmin())
            if support[worst] >= 1:
                return
            values = np.delete(self.model.values, worst, axis=0)
            self.model = self._model(values, self.model.background)
            self._refine(_STEPS)

    def _extend(self, search: DepthSearch) -> bool:
        """Add emitters where that promises most; tell whether it was worth it."""
        before = self.model
        residual = self.per_photon * (self.data / before.mean - 1)
        weight = self.per_photon**2 / before.mean
        found = search.best(
            residual.reshape(self.shape),
            weight.reshape(self.shape),
            least=self.settings.add,
            fewest_photons=max(_PROMISED * self.fewest, _FEWEST_PHOTONS),
            apart_px=_APART_PX,
            most=_AT_ONCE,
        )
        if not found:
            return False
        further = np.column_stack([np.array(found), np.full(len(found), _BLUR)])
        values = np.concatenate([before.values, further])
        self.model = self._model(values, before.background)
        self._refine(_ADDED_STEPS)
        self._prune()
        return self._worth_it(before)

    def _split(self) -> bool:
        """Take spots that explain their light badly for two; tell whether one was."""
        before = self.model
        square = (self.data - before.mean) ** 2 / before.mean - 1
        spread = np.sqrt((before.spots**2) @ (2 + 1 / before.mean))
        doubt = (before.spots @ square) / np.maximum(spread, 1e-12)
        rows = [row for row in np.argsort(-doubt)[:_SPLITS] if doubt[row] > _DOUBT]
        halves = np.diag([_HALVES_PX, _HALVES_PX, _HALVES_NM])
        for row in rows:
            for half in halves:
                pair = np.repeat(before.values[row][None], 2, axis=0)
                pair[:, :3] += np.stack([half, -half])
                pair[:, 2] = pair[:, 2].clip(*self.settings.z_range_nm)
                pair[:, 3:] = pair[0, 3] / 2, _BLUR
                alone = self._alone(before, int(row), pair)
                if alone is None:
                    continue
                others = np.delete(before.values, row, axis=0)
                values = np.concatenate([others, alone])
                self.model = self._model(values, before.background)
                self._refine(_ADDED_STEPS)
                self._prune()
                if self._worth_it(before):
                    return True
        return False

    def _alone(self, before: _Model, row: int, pair: np.ndarray) -> np.ndarray | None:
        """Return two in the place of one, moved while all others stay, if promising."""
        fit = copy(self)
        own = before.values[row, 3] * before.spots[row]
        # the others' light is dark to these two
        fit.dark = before.mean - self.per_photon * own
        fit.surfaces = self.surfaces[:0]
        nothing = np.empty(0)
        fit.model = fit._model(before.values[row][None], nothing)
        one = fit.model.likelihood
        fit.model = fit._model(pair, nothing)
        fit._refine(_ADDED_STEPS)
        if fit.model.likelihood - one < _PAIRED * self.settings.gain:
            return None
        return fit.model.values

    def _worth_it(self, before: _Model) -> bool:
        """Tell whether further emitters have gained enough, else go back."""
        more = max(len(self.model.values) - len(before.values), 1)
        if self.model.likelihood - before.likelihood < more * self.settings.gain:
            self.model = before
            return False
        return True


def _surfaces(shape: tuple[int, int]) -> np.ndarray:
    """Return smooth surfaces that a background is the sum of, (knots, pixels)."""
    rows, columns = (_humps(length) for length in shape)
    surfaces = rows[:, None, :, None] * columns[None, :, None, :]
    return surfaces.reshape(-1, shape[0] * shape[1]).astype(np.float32)


def _humps(length: int) -> np.ndarray:
    """Return cubic basis splines along an axis, (knots, px)."""
    from scipy.interpolate import BSpline

    pieces = max(round(length / _KNOT_PX), 1)
    inner = np.linspace(0.0, length, pieces + 1)
    knots = np.concatenate([[0.0] * 3, inner, [float(length)] * 3])
    return BSpline.design_matrix(np.arange(length) + 0.5, knots, 3).toarray().T
