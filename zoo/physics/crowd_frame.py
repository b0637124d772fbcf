"""The emitters of one frame under a joint fit; see `zoo.physics.crowd_fit`."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from scipy import sparse

from zoo.core.localizations import Localizations
from zoo.physics.crowd_search import SpotSearch
from zoo.physics.fisher import PixelNoise
from zoo.physics.normal_equations import inverse_diagonal, solved
from zoo.physics.spots import Psf

ADD = 8.0
"""Twice the gain of log-likelihood, as a test of score predicts it, that a further
emitter must promise; three free parameters and many places to choose from."""
KEEP = 6.0
"""Square of photons over their standard deviation, neighbours and background being
free, that an emitter must keep."""
ALONE = 30.0
"""The same, neighbours and background being known: in a crowd every emitter has that
much, among the many places of an empty frame noise has not."""
ROUNDS = 12
"""Additions at most."""
_STEPS, _LAST_STEPS = 6, 15  # damped Newton steps after a change, and at the end
_FIRST_STEPS = 20
_SMALL_GAIN = 1e-2  # of log-likelihood, that ends a refinement
_SMALLEST_MEAN = 1e-6  # of a pixel, in (excess) electrons
_LARGEST_STEP_PX, _LARGEST_DAMPING = 0.5, 1e4
_APART_PX = 3.0  # between emitters that are added or taken out at once
_SMALLEST_BACKGROUND, _FEWEST_PHOTONS, _MOST_PHOTONS = 1e-3, 1.0, 1e5
_MARGIN_PX = 2.0  # emitters this far outside still light the frame's border


@dataclass(frozen=True, eq=False)
class CrowdSettings:
    """Limits of a joint fit."""

    add: float = ADD
    """See `ADD`."""
    keep: float = KEEP
    """See `KEEP`."""
    alone: float = ALONE
    """See `ALONE`."""
    rounds: int = ROUNDS
    """See `ROUNDS`."""


class _Model(NamedTuple):
    """Emitters of a frame and what is expected of them."""

    values: np.ndarray
    """(n, 3) x, y in px, photons."""
    background: float
    """Photons per pixel."""
    pixels: np.ndarray
    """(n, w) flat numbers of the pixels that each emitter lights."""
    spots: np.ndarray
    """(n, w) shares of its photons there; 0 for what lies outside the frame."""
    slopes: np.ndarray
    """(n, 2, w) changes of the shares per px along x and y."""
    mean: np.ndarray
    """(pixels,) expected (excess) electrons."""


class FrameFit:
    """The emitters of one frame under way."""

    def __init__(
        self,
        psf: Psf,
        image: np.ndarray,
        noise: PixelNoise,
        settings: CrowdSettings,
        reach: int,
    ) -> None:
        self.psf, self.settings, self.reach = psf, settings, reach
        self.shape = (image.shape[0], image.shape[1])
        self.per_photon = noise.per_photon
        self.dark = np.ravel(noise.nearly_poisson(0.0))
        self.data = np.ravel(noise.nearly_poisson(image))
        background = max(float(np.percentile(image, 20)), _SMALLEST_BACKGROUND)
        self.model = self._model(np.empty((0, 3)), background)

    def start(self, emitters: Localizations) -> None:
        """Begin with emitters at the places of a table."""
        place = np.stack([emitters.x_nm, emitters.y_nm], axis=1) / self.psf.pixel_nm
        if not len(place):
            return
        light = np.maximum(self.data - self.dark, 0).sum() / self.per_photon
        values = np.column_stack([place, np.full(len(place), light / len(place))])
        model = self._model(values, self.model.background)
        share = np.maximum(model.spots.sum(axis=1), 1e-6)
        for _ in range(_FIRST_STEPS):  # of Richardson and Lucy, for the photons alone
            ratio = (self.data / model.mean)[model.pixels]
            values[:, 2] *= (model.spots * ratio).sum(axis=1) / share
            values[:, 2] = np.maximum(values[:, 2], _FEWEST_PHOTONS)
            model = self._model(values, model.background)
        self.model = model
        self._refine(_STEPS)

    def run(self, search: SpotSearch) -> None:
        """Add, move and remove emitters until nothing changes."""
        self._prune()
        for _ in range(self.settings.rounds):
            if not self._extend(search):
                break
            self._refine(_STEPS)
            self._prune()
        self._refine(_LAST_STEPS)

    def table(self, number: int) -> Localizations:
        """Return the emitters inside the frame."""
        x, y, photons = self.model.values.T
        _, fisher = self._slopes(self.model)
        variance = inverse_diagonal(fisher)[:-1].reshape(-1, 3)
        pixel = self.psf.pixel_nm
        table = Localizations(
            x_nm=x * pixel,
            y_nm=y * pixel,
            frame=np.full(len(x), number),
            photons=photons,
            background_photons=np.full(len(x), self.model.background),
            uncertainty_nm=np.sqrt(variance[:, :2].mean(axis=1)) * pixel,
        )
        height, width = self.shape
        return table.select((x >= 0) & (x < width) & (y >= 0) & (y < height))

    def _model(self, values: np.ndarray, background: float) -> _Model:
        """Return what is expected of emitters, each in a window around its pixel."""
        (height, width), count = self.shape, len(values)
        edge, pixel = 2 * self.reach + 1, self.psf.pixel_nm
        first = np.floor(values[:, :2]).astype(int) - self.reach
        inside = (values[:, :2] - first) * pixel
        spots, slopes = self.psf.derivatives(
            inside[:, 0], inside[:, 1], np.zeros(count), (edge, edge)
        )
        columns = first[:, 0, None] + np.arange(edge)
        rows = first[:, 1, None] + np.arange(edge)
        lit = ((rows >= 0) & (rows < height))[:, :, None]
        lit = lit & ((columns >= 0) & (columns < width))[:, None, :]
        rows, columns = rows.clip(0, height - 1), columns.clip(0, width - 1)
        pixels = (rows[:, :, None] * width + columns[:, None, :]).reshape(
            count, edge**2
        )
        spots = (spots * lit).reshape(count, edge**2)
        slopes = (slopes[:, :2] * lit[:, None] * pixel).reshape(count, 2, edge**2)
        light = np.bincount(
            pixels.ravel(),
            (spots * values[:, 2, None]).ravel(),
            minlength=height * width,
        )
        mean = self.per_photon * (light + background) + self.dark
        return _Model(
            values, background, pixels, spots, slopes, np.maximum(mean, _SMALLEST_MEAN)
        )

    def _log_likelihood(self, model: _Model) -> float:
        return float(np.sum(self.data * np.log(model.mean) - model.mean))

    def _jacobian(self, model: _Model) -> sparse.csr_array:
        """Return changes of photons by x, y, photons, ..., background, (3n + 1, p)."""
        count, width = (int(n) for n in model.pixels.shape)
        size = len(self.data)
        slopes = model.slopes * model.values[:, 2, None, None]
        data = np.concatenate([slopes, model.spots[:, None]], axis=1).ravel()
        places = np.repeat(model.pixels, 3, axis=0).ravel()
        rows = np.arange(3 * count + 2) * width
        rows[-1] = 3 * count * width + size
        data = np.concatenate([data, np.ones(size)])
        columns = np.concatenate([places, np.arange(size)])
        shape = (3 * count + 1, size)
        return sparse.csr_array((data, columns, rows), shape=shape)

    def _slopes(self, model: _Model) -> tuple[np.ndarray, np.ndarray]:
        """Return the gradient of the log-likelihood and the Fisher matrix."""
        jacobian = self._jacobian(model)
        gradient = jacobian @ (self.per_photon * (self.data / model.mean - 1))
        return gradient, _product(jacobian, self.per_photon**2 / model.mean)

    def _refine(self, steps: int) -> None:
        """Climb the likelihood with all emitters and the background at once."""
        damping, best = 1e-2, self._log_likelihood(self.model)
        gradient, fisher = self._slopes(self.model)
        bounds = np.array([self.shape[1], self.shape[0]]) + _MARGIN_PX
        for _ in range(steps):
            step = solved(fisher, gradient, damping)
            values = self.model.values.copy()
            move = step[:-1].reshape(-1, 3)
            values[:, :2] += move[:, :2].clip(-_LARGEST_STEP_PX, _LARGEST_STEP_PX)
            values[:, :2] = values[:, :2].clip(-_MARGIN_PX, bounds)
            values[:, 2] = np.maximum(values[:, 2] + move[:, 2], _FEWEST_PHOTONS)
            background = max(self.model.background + step[-1], _SMALLEST_BACKGROUND)
            model = self._model(values, background)
            gain = self._log_likelihood(model) - best
            if gain < 0:
                damping *= 10
                if damping > _LARGEST_DAMPING:
                    return
                continue
            self.model, best = model, best + gain
            if gain < _SMALL_GAIN:
                return
            damping = max(damping / 5, 1e-4)
            gradient, fisher = self._slopes(model)

    def _prune(self) -> None:
        """Take out what its errors do not support, the weakest of each place first."""
        while len(self.model.values):
            values = self.model.values
            _, fisher = self._slopes(self.model)
            free = values[:, 2] ** 2 / inverse_diagonal(fisher)[2:-1:3]
            known = values[:, 2] ** 2 * np.diagonal(fisher)[2:-1:3]
            support = np.minimum(free / self.settings.keep, known / self.settings.alone)
            weak = np.flatnonzero(support < 1)
            if not len(weak):
                return
            weak = weak[np.argsort(support[weak], kind="stable")]
            out = weak[_apart(values[weak, :2], _APART_PX)]
            self.model = self._model(
                np.delete(values, out, axis=0), self.model.background
            )
            self._refine(_STEPS)

    def _extend(self, search: SpotSearch) -> bool:
        """Add emitters where that promises most; tell whether there were any."""
        residual = self.per_photon * (self.data / self.model.mean - 1)
        weight = self.per_photon**2 / self.model.mean
        places = search.places(
            residual.reshape(self.shape), weight.reshape(self.shape), 1.0
        )
        if not len(places):
            return False
        trial = self._model(np.column_stack([places, np.ones(len(places))]), 0.0)
        gain = (trial.spots * residual[trial.pixels]).sum(axis=1)
        weighted = trial.spots * weight[trial.pixels]
        own = (trial.spots * weighted).sum(axis=1)
        # what the emitters that are there could explain by moving a little
        jacobian = self._jacobian(self.model)
        numbers = np.repeat(np.arange(len(places)), trial.pixels.shape[1])
        columns = (trial.pixels.ravel(), numbers)
        shape = (len(self.data), len(places))
        shared = (
            jacobian @ sparse.csr_array((weighted.ravel(), columns), shape=shape)
        ).toarray()
        explained = solved(_product(jacobian, weight), shared, 1e-6)
        left = np.maximum(own - np.sum(shared * explained, axis=0), 1e-3 * own)
        score = np.where(gain > 0, gain, 0.0) ** 2 / left
        known = (np.maximum(gain, 0.0) / left) ** 2 * own
        good = np.flatnonzero(
            (score > self.settings.add) & (known > self.settings.alone)
        )
        good = good[np.argsort(-score[good], kind="stable")]
        good = good[_apart(places[good], _APART_PX)]
        if not len(good):
            return False
        photons = (gain[good] / left[good]).clip(_FEWEST_PHOTONS, _MOST_PHOTONS)
        values = np.concatenate(
            [self.model.values, np.column_stack([places[good], photons])]
        )
        self.model = self._model(values, self.model.background)
        return True


def _product(jacobian: sparse.csr_array, weight: np.ndarray) -> np.ndarray:
    """Return ``J diag(weight) J'``."""
    weighted = jacobian.copy()
    weighted.data *= weight[jacobian.indices]
    return (weighted @ jacobian.T).toarray()


def _apart(places: np.ndarray, distance: float) -> np.ndarray:
    """Return the rows that keep a distance from all earlier ones that are kept."""
    kept: list[int] = []
    for row, place in enumerate(places):
        if all(np.sum((places[other] - place) ** 2) >= distance**2 for other in kept):
            kept.append(row)
    return np.array(kept, int)
