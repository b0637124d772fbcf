"""Finding emitters in frames by filters matched to their spots.

With a point-spread function the filters are its images over the range of depths: where
the largest response lies, an emitter is most likely (Van Trees 1968, Detection,
Estimation, and Modulation Theory I, chapter 4).  Filters without mean do not see a
constant background.  Spots with side lobes answer to several filters at several places;
therefore the brightest are fitted, their light is taken away, and what remains is
searched again (matching pursuit: Mallat, Zhang 1993, doi:10.1109/78.258082).  Without
a point-spread function the filter is a difference of Gaussians, and nothing is taken
away.
"""

from dataclasses import dataclass

import numpy as np

from zoo.physics.emitter_model import FAR, EmitterModel, far_px
from zoo.physics.emitters_in_frames import (
    background_level,
    cut,
    drawn,
    fit_beside,
    have_brighter_neighbours,
    have_neighbours,
)

THRESHOLD = 6.0
"""Least response of an emitter, in standard deviations of the background's."""
_ROUNDS = 6
_FIT_STEPS = 5  # of an emitter that was found
_SWEEPS, _SWEEP_STEPS = 3, 2  # over emitters that have neighbours
_MODEL_ERROR = 0.1  # of an emitter's light at a place
_SMALLEST_PART = 0.08  # of a neighbour's photons: below it may be its misfit
_APART_PX = 2.0  # nearer to a brighter one an emitter is the other's misfit
_REST_NM = 2.0  # steps below it are none
_MERGERS = 3  # times that emitters settle and are thinned out
_VARIANCE_PX = 5  # over which the noise is averaged
_SMALLEST_VARIANCE = 0.05  # photons² per pixel
_TEMPLATE_STEP_NM = 200.0
_DOG_SIGMAS_PX, _DOG_REACH_PX = (1.2, 2.4), 2
_PAIRS = 512  # candidates at a time that are compared with all emitters


@dataclass(frozen=True, eq=False)
class Found:
    """Emitters of some frames, frame by frame."""

    frame: np.ndarray
    """(n,) frame, from 0."""
    x_px: np.ndarray
    """(n,) position along columns, px from the outer corner of the frame."""
    y_px: np.ndarray
    """(n,) position along rows, px from the outer corner of the frame."""
    values: np.ndarray | None = None
    """(n, 5) fits: x and y (nm from the outer corner of the frame), z, photons and
    background; None without a point-spread function."""
    light: np.ndarray | None = None
    """(t, y, x) photons of all of them, without background; None likewise."""

    def __len__(self) -> int:
        return len(self.frame)


class EmitterSearch:
    """A search for emitters in frames of photons.

    Parameters
    ----------
    model
        The spot in a square region; without it a difference of Gaussians is the filter.
    size_px
        Edge of that region, in which emitters are fitted and are neighbours.
    threshold
        Least response, standard deviations.
    least_photons
        Fitted emitters with fewer photons are none.

    Raises
    ------
    ValueError
        If the threshold is not positive.
    """

    def __init__(
        self,
        model: EmitterModel | None,
        *,
        size_px: int,
        threshold: float = THRESHOLD,
        least_photons: float = 0.0,
    ) -> None:
        if not threshold > 0:
            raise ValueError(f"threshold must be positive, not {threshold}")
        self.model, self.size_px, self.threshold = model, size_px, threshold
        self.least_photons = least_photons
        self._wide = None
        if model is not None:
            edge = far_px(size_px)
            self._wide = model.resized((edge, edge))
        self._depths_nm = np.zeros(1)
        if model is None:
            filters = _difference_of_gaussians(size_px)[None]
        else:
            low, high = model.z_range_nm
            count = max(2, int(np.ceil((high - low) / _TEMPLATE_STEP_NM)) + 1)
            self._depths_nm = np.linspace(low, high, count)
            filters = _templates(model, self._depths_nm, size_px)
        self._filters = filters - filters.mean(axis=(1, 2), keepdims=True)
        self._energy = (self._filters**2).sum(axis=(1, 2))

    def find(self, frames: np.ndarray) -> Found:
        """Find the emitters of (t, y, x) frames, photons."""
        frames = np.asarray(frames, float)
        level = background_level(frames)
        if self.model is not None and self._wide is not None:
            return self._pursue(frames, level, self.model, self._wide)
        response, _, _ = self._respond(frames - level, level, None)
        frame, row, column = _peaks(response, self.threshold, _DOG_REACH_PX)
        return Found(frame, column + 0.5, row + 0.5)

    def others(self, found: Found, corner: np.ndarray) -> np.ndarray:
        """Return what shines into the regions of emitters beside themselves.

        Parameters
        ----------
        found
            What `find` returned, with a point-spread function.
        corner
            (n, 2) row and column of the first pixel of each emitter's region.

        Returns
        -------
        light : (n, y, x) float64
            Photons, without background; zero outside the frame.
        """
        if found.values is None or found.light is None or self.model is None:
            raise ValueError("others are known with a point-spread function only")
        light = np.nan_to_num(cut(found.light, found.frame, corner, self.model.shape))
        local = np.array(found.values)
        local[:, :2] -= corner[:, ::-1] * self.model.psf.pixel_nm
        return np.maximum(light - self.model.light(local), 0.0)

    def _pursue(
        self,
        frames: np.ndarray,
        level: np.ndarray,
        model: EmitterModel,
        wide: EmitterModel,
    ) -> Found:
        """Fit and take away the brightest emitters until none is left."""
        pixel_nm = model.psf.pixel_nm
        light = np.zeros(frames.shape)
        owner, values = np.zeros(0, int), np.zeros((0, 5))
        active: np.ndarray = np.arange(len(frames))
        for _ in range(_ROUNDS):
            known = level + light
            response, photons, depth = self._respond(
                (frames - known)[active], known[active], light[active]
            )
            reach = max(2, self.size_px // 4)
            at, row, column = place = _peaks(response, self.threshold, reach)
            frame = active[at]
            start = np.stack(
                [
                    (column + 0.5) * pixel_nm,
                    (row + 0.5) * pixel_nm,
                    depth[place],
                    photons[place],
                    level[frame, row, column],
                ],
                axis=1,
            )
            kept = self._worth(frame, start, owner, values, pixel_nm)
            frame, start = frame[kept], start[kept]
            fitted = fit_beside(model, frames, light, frame, start, steps=_FIT_STEPS)
            kept = self._worth(frame, fitted, owner, values, pixel_nm)
            frame, fitted = frame[kept], fitted[kept]
            if not len(frame):
                break
            owner, values = np.append(owner, frame), np.append(values, fitted, axis=0)
            light += drawn(wide, frame, fitted, frames.shape)
            active = np.unique(frame)
            # those that come together while they settle are one
            for _ in range(_MERGERS):
                self._settle(frames, light, owner, values, active, (model, wide))
                kept = values[:, 3] >= self.least_photons
                kept &= ~have_brighter_neighbours(owner, values, _APART_PX * pixel_nm)
                if kept.all():
                    break
                light -= drawn(wide, owner[~kept], values[~kept], frames.shape)
                owner, values = owner[kept], values[kept]
        order = np.argsort(owner, kind="stable")
        owner, values = owner[order], values[order]
        x_px, y_px = values[:, 0] / pixel_nm, values[:, 1] / pixel_nm
        return Found(owner, x_px, y_px, values, light)

    def _settle(
        self,
        frames: np.ndarray,
        light: np.ndarray,
        owner: np.ndarray,
        values: np.ndarray,
        active: np.ndarray,
        models: tuple[EmitterModel, EmitterModel],
    ) -> None:
        """Fit emitters with neighbours again, each beside the light of the others.

        Changes `values` and `light` in place, in the frames that are `active`.
        """
        model, wide = models
        rows = np.flatnonzero(np.isin(owner, active))
        near = have_neighbours(
            owner[rows], values[rows], self.size_px * model.psf.pixel_nm
        )
        rows = rows[near]
        if not len(rows):
            return
        for _ in range(_SWEEPS):
            fitted = fit_beside(
                model,
                frames,
                light,
                owner[rows],
                values[rows],
                steps=_SWEEP_STEPS,
                contained=True,
            )
            # those that hardly move have come to rest
            far = np.abs(fitted - values[rows])[:, :3].max(axis=1) > _REST_NM
            moved = rows[far]
            if not len(moved):
                break
            light += drawn(wide, owner[moved], fitted[far], frames.shape)
            light -= drawn(wide, owner[moved], values[moved], frames.shape)
            values[moved] = fitted[far]

    def _respond(
        self, contrast: np.ndarray, expected: np.ndarray, light: np.ndarray | None
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return the best filter's response, photons and depth at every pixel.

        Parameters
        ----------
        contrast
            (t, y, x) photons beyond those expected.
        expected
            (t, y, x) photons; their noise is that of the responses.
        light
            (t, y, x) photons of known emitters, which fit their model only about.
        """
        from scipy import fft
        from scipy.ndimage import uniform_filter

        height, width = contrast.shape[1:]
        size = [fft.next_fast_len(n + self.size_px, True) for n in (height, width)]
        window = (0, _VARIANCE_PX, _VARIANCE_PX)
        variance = uniform_filter(expected, window)
        if light is not None:
            variance += uniform_filter((_MODEL_ERROR * light) ** 2, window)
        deviation = np.sqrt(np.maximum(variance, _SMALLEST_VARIANCE))
        spectrum = np.asarray(fft.rfft2(contrast.astype(np.float32), s=size))
        response = np.full(contrast.shape, -np.inf)
        photons, depth = np.zeros(contrast.shape), np.zeros(contrast.shape)
        half = self.size_px // 2
        for index, template in enumerate(self._filters):
            matched = np.asarray(fft.rfft2(template, s=size), np.complex64).conj()
            correlation = np.asarray(fft.irfft2(spectrum * matched, s=size), np.float32)
            # the middle of the filter lies `half` behind its first pixel
            correlation = np.roll(correlation, (half, half), axis=(1, 2))
            correlation = correlation[:, :height, :width]
            this = correlation / (deviation * self._energy[index] ** 0.5)
            larger = this > response
            response[larger] = this[larger]
            photons[larger] = correlation[larger] / self._energy[index]
            depth[larger] = self._depths_nm[index]
        return response, photons, depth

    def _worth(
        self,
        frame: np.ndarray,
        candidates: np.ndarray,
        owner: np.ndarray,
        values: np.ndarray,
        pixel_nm: float,
    ) -> np.ndarray:
        """Tell which candidates are bright, and no misfit of a brighter neighbour."""
        kept = candidates[:, 3] >= self.least_photons
        if not len(owner):
            return kept
        near_nm = FAR * self.size_px * pixel_nm
        for first in range(0, len(frame), _PAIRS):
            rows = slice(first, first + _PAIRS)
            apart = candidates[rows, None, :2] - values[None, :, :2]
            square = (apart**2).sum(axis=2)
            square[frame[rows, None] != owner] = np.inf
            brightest = np.where(square < near_nm**2, values[:, 3], 0.0).max(axis=1)
            kept[rows] &= candidates[rows, 3] > _SMALLEST_PART * brightest
            kept[rows] &= square.min(axis=1) > (_APART_PX * pixel_nm) ** 2
        return kept


def _templates(model: EmitterModel, depths_nm: np.ndarray, size_px: int) -> np.ndarray:
    """Return spots in the middle of the central pixel of a region."""
    middle = np.full(len(depths_nm), (size_px // 2 + 0.5) * model.psf.pixel_nm)
    images = model.psf.images(middle, middle, depths_nm, (size_px, size_px))
    return np.asarray(images, float)


def _difference_of_gaussians(size_px: int) -> np.ndarray:
    """Return a spot minus its surroundings, without mean."""
    square = (np.arange(size_px) - size_px // 2) ** 2
    narrow, wide = (
        np.exp(-(square[:, None] + square) / (2 * sigma**2)) / sigma**2
        for sigma in _DOG_SIGMAS_PX
    )
    return narrow / narrow.sum() - wide / wide.sum()


def _peaks(
    response: np.ndarray, threshold: float, reach: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return frame, row and column of responses that nothing within reach exceeds."""
    from scipy.ndimage import maximum_filter

    edge = 2 * reach + 1
    largest = maximum_filter(response, (1, edge, edge), mode="nearest")
    frame, row, column = np.nonzero((response >= largest) & (response > threshold))
    return frame, row, column
