"""Light, width and background of spots at known places, all of a frame at once.

A frame is ``background + sum_k light_k g(x - x_k)`` with pixel-integrated Gaussians
``g`` of one width.  The light of all spots follows from one linear least-squares fit
per frame, in which spots that overlap share what they cover instead of each taking all
of it; no spot has less than none.  The background is bilinear between the medians of
what the fit leaves in cells of some ten pixels: spots that nobody found move a median
less than a mean.  Then every spot is given a width of its own as far as the pixels in
which it outshines all others say more than the width of all.

Pixels weigh alike, so that neither offset nor gain of the camera need be known.  Where
spots nearly coincide, only their sum is certain; a prior as wide as the spots of a
frame differ, weighted by what the fit leaves around each, then splits it evenly.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy import sparse
from scipy.ndimage import uniform_filter
from scipy.sparse.linalg import splu
from scipy.special import erf

from zoo.physics.cell_background import Cells

REACH = 2.5
"""Half the edge of the window of a spot, in widths; rounded up to pixels."""
LIGHT_SPREAD = 0.7
"""Relative standard deviation of the light of a frame's spots, before it is fitted."""
WIDTH_SPREAD = 0.15
"""That of their widths."""
WIDEST = 1.7
"""Largest and inverse smallest width of a spot, in those of all."""

_FIRST_QUANTILE = 0.1  # of smoothed pixels: a background before anything is fitted
_TINY = 1e-6  # of a spot's own information: keeps spots at one place solvable
_ROUNDS = 6  # in which spots of negative light are taken out
_WIDTH_STEPS = 2
_MAD = 1.4826  # standard deviation over median absolute deviation
_MOST_PIXELS, _MOST_SPOTS = 2**20, 4096  # that are fitted at a time


class SpotLight(NamedTuple):
    """What was measured of spots, (n,) float64 each."""

    photons: np.ndarray
    """Light of the spot, in the unit of the frames; never negative."""
    background: np.ndarray
    """Light per pixel under it."""
    noise: np.ndarray
    """Robust standard deviation of the pixels around the spot from the fit."""
    sigma_px: np.ndarray
    """Standard deviation of the spot, px."""


def spot_light(
    frames: np.ndarray,
    frame: np.ndarray,
    x_px: np.ndarray,
    y_px: np.ndarray,
    *,
    sigma_px: float,
    own_widths: bool = True,
) -> SpotLight:
    """Measure spots whose places are known.

    The law: without noise, on an even background, the light of spots of the given
    width is right to a percent however they overlap (their outermost light is left
    out), and that of frames in other units is the same in these; frames do not
    influence each other.

    Parameters
    ----------
    frames : (t, y, x)
        Counts or photons.
    frame
        (n,) index of the frame of each spot, from 0.
    x_px, y_px
        (n,) positions along columns and rows, px from the outer corner.
    sigma_px
        Standard deviation of a usual spot, px.
    own_widths
        Whether spots may differ in width.

    Returns
    -------
    light : SpotLight

    Raises
    ------
    ValueError
        If `sigma_px` is not positive or the frames are not three-dimensional.

    Examples
    --------
    >>> from zoo.physics.psf import gaussian_spots
    >>> x, y, photons = np.array([[9.3, 11.1], [8.2, 9.4], [900.0, 400.0]])
    >>> image = gaussian_spots(x, y, photons, (20, 20), sigma_px=1.2) + 30.0
    >>> found = spot_light(image[None], np.zeros(2, int), x, y, sigma_px=1.2)
    >>> found.photons.round(-1).tolist(), found.background.round(1).tolist()
    ([900.0, 400.0], [30.0, 30.0])
    """
    if frames.ndim != 3:
        raise ValueError(f"frames must have the axes (t, y, x), not {frames.ndim} axes")
    if not sigma_px > 0:
        raise ValueError(f"sigma_px must be positive, not {sigma_px}")
    measured = np.zeros((4, len(x_px)))
    for shown, spots in _blocks(np.asarray(frame, int), frames.shape):
        images = np.asarray(frames[shown], float)
        where = np.searchsorted(shown, frame[spots])
        fit = _Fit(images, where, x_px[spots], y_px[spots], sigma_px)
        measured[:, spots] = fit.run(own_widths)
    return SpotLight(measured[0], measured[1], measured[2], measured[3])


def _blocks(
    frame: np.ndarray, shape: tuple[int, ...]
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield some frames that have spots, and the rows of these spots."""
    order = np.argsort(frame, kind="stable")
    shown, counts = np.unique(frame, return_counts=True)
    ends = np.cumsum(counts)
    most = max(1, _MOST_PIXELS // (shape[1] * shape[2]))
    start = 0
    while start < len(shown):
        first = int(ends[start] - counts[start])
        stop = int(np.searchsorted(ends, first + _MOST_SPOTS, side="right"))
        stop = min(max(stop, start + 1), start + most)
        yield shown[start:stop], order[first : ends[stop - 1]]
        start = stop


class _Fit:
    """Spots of a few frames, and what each pixel has of them.

    Parameters
    ----------
    images
        (t, y, x).
    frame, x_px, y_px, sigma_px
        As in `spot_light`.
    """

    def __init__(
        self,
        images: np.ndarray,
        frame: np.ndarray,
        x_px: np.ndarray,
        y_px: np.ndarray,
        sigma_px: float,
    ) -> None:
        self._images, self._frame, self._sigma_px = images, frame, sigma_px
        height, width = images.shape[1:]
        reach = max(int(np.ceil(REACH * sigma_px)), 2)
        self._y, rows, row_inside = _window(y_px, reach, height)
        self._x, columns, column_inside = _window(x_px, reach, width)
        self._inside = row_inside[:, :, None] & column_inside[:, None, :]
        self._pixels = (frame[:, None, None] * height + rows[:, :, None]) * width
        self._pixels = self._pixels + columns[:, None, :]
        y, x = _integrals(self._y, sigma_px), _integrals(self._x, sigma_px)
        self._shares = np.where(self._inside, y[:, :, None] * x[:, None, :], 0.0)
        size = self._shares[0].size
        ends: np.ndarray = size * np.arange(len(frame) + 1)
        self._matrix = sparse.csr_array(
            (self._shares.ravel(), self._pixels.ravel(), ends),
            shape=(len(frame), images.size),
        )
        self._overlaps = sparse.csc_array(self._matrix @ self._matrix.T)
        self._cells = Cells(height, width)

    def run(self, own_widths: bool) -> np.ndarray:
        """Return light, background, noise and width of all spots, (4, n)."""
        smooth = uniform_filter(self._images, (0, 3, 3), mode="nearest")
        background = self._cells.spread(self._cells.quantile(smooth, _FIRST_QUANTILE))
        count = len(self._shares)
        tiny = _TINY / (4 * np.pi * self._sigma_px**2)
        trust, usual = np.full(count, tiny), np.zeros(count)
        light, model, left = self._step(background, trust, usual, rounds=1)
        background += self._cells.spread(self._cells.quantile(left, 0.5))
        usual = self._usual(light)
        lit = usual > 0
        spread2 = np.where(lit, (LIGHT_SPREAD * usual) ** 2, 1.0)
        trust = tiny + np.where(lit, self._local(left**2) / spread2, 0.0)
        light, model, left = self._step(background, trust, usual, rounds=_ROUNDS)
        noise = self._cells.spread(self._cells.quantile(np.abs(left), 0.5))
        sigma_px = np.full(count, self._sigma_px)
        if own_widths:
            light, sigma_px = self._widths(light, left, model, trust, usual)
        under = self._local(background), _MAD * self._local(noise)
        return np.stack([light, *under, sigma_px])

    def _step(
        self,
        background: np.ndarray,
        trust: np.ndarray,
        usual: np.ndarray,
        *,
        rounds: int,
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return light on a background, its images, and what they leave."""
        above = self._images - background
        light = self._solve(self._matrix @ above.ravel(), trust, usual, rounds)
        model = (self._matrix.T @ light).reshape(above.shape)
        return light, model, above - model

    def _solve(
        self, projected: np.ndarray, trust: np.ndarray, usual: np.ndarray, rounds: int
    ) -> np.ndarray:
        """Return the light of least squares that is not negative.

        Parameters
        ----------
        projected
            (n,) what the pixels say of each spot.
        trust, usual
            (n,) weight of the prior and its light.
        rounds
            Of solutions at most; each takes out what the one before made negative.
        """
        light = np.zeros(len(projected))
        wanted = projected + trust * usual
        dark = np.zeros(len(projected), bool)
        again = np.arange(len(projected))
        for _ in range(rounds):
            part = self._overlaps
            if len(again) < len(light):
                part = part[again][:, again]
            part = sparse.csc_array(part + sparse.diags_array(trust[again]))
            light[again] = _solved(part, wanted[again])
            below = np.flatnonzero(light < 0)
            if not len(below):
                break
            light[below], dark[below] = 0.0, True
            # only frames in which something was taken out are solved again
            frames = np.zeros(self._images.shape[0], bool)
            frames[self._frame[below]] = True
            again = np.flatnonzero(frames[self._frame] & ~dark)
            if not len(again):
                break
        return np.maximum(light, 0.0)

    def _usual(self, light: np.ndarray) -> np.ndarray:
        """Return for each spot the median of the lit ones of its frame, 0 if none."""
        medians = np.zeros(self._images.shape[0])
        lit = light > 0
        for frame in np.unique(self._frame[lit]):
            medians[frame] = np.median(light[lit & (self._frame == frame)])
        return medians[self._frame]

    def _local(self, image: np.ndarray) -> np.ndarray:
        """Return means of images under the spots, (n,)."""
        total = np.maximum(self._shares.sum(axis=(1, 2)), 1e-12)
        return (self._matrix @ image.ravel()) / total

    def _widths(
        self,
        light: np.ndarray,
        left: np.ndarray,
        model: np.ndarray,
        trust: np.ndarray,
        usual: np.ndarray,
    ) -> tuple[np.ndarray, np.ndarray]:
        """Fit light and width of every spot by itself, beside all others.

        Only pixels count in which it is brighter than all others together.

        Parameters
        ----------
        light, trust, usual
            (n,) from the joint fit.
        left, model
            (t, y, x) what it leaves, and what it says.

        Returns
        -------
        light, sigma_px : (n,) float64
        """
        size = len(light), -1
        own = (light[:, None, None] * self._shares).reshape(size)
        whole = model.ravel()[self._pixels].reshape(size)
        weight = 2 * own > (1 + _TINY) * whole  # of equal ones neither
        rest = left.ravel()[self._pixels].reshape(size)
        count = np.maximum(np.count_nonzero(weight, axis=1), 1)
        noise2 = np.einsum("np,np,np->n", weight, rest, rest) / count
        prior = np.maximum(noise2, 1e-12) / WIDTH_SPREAD**2
        # single precision from here on: half the memory to go through
        rest, weight = (rest + own).astype(np.float32), weight.astype(np.float32)
        first, log_width, most = light, np.zeros(len(light)), np.log(WIDEST)
        edges_y, edges_x = self._y.astype(np.float32), self._x.astype(np.float32)
        for _ in range(_WIDTH_STEPS):
            sigma = (self._sigma_px * np.exp(log_width)[:, None]).astype(np.float32)
            y, x = _integrals(edges_y, sigma), _integrals(edges_x, sigma)
            dy, dx = _widening(edges_y, sigma), _widening(edges_x, sigma)
            slope = dy[:, :, None] * x[:, None, :] + y[:, :, None] * dx[:, None, :]
            shape = (y[:, :, None] * x[:, None, :]).reshape(size) * weight
            slope = slope.reshape(size) * weight
            aa, ab, bb, ar, br = (
                np.einsum("np,np->n", *pair).astype(float)
                for pair in (
                    (shape, shape),
                    (shape, slope),
                    (slope, slope),
                    (shape, rest),
                    (slope, rest),
                )
            )
            # what the present light leaves, and a slope in proportion to it
            ar, br = ar - light * aa, light * (br - light * ab)
            ab, bb = light * ab, light**2 * bb
            aa, ar = aa + trust, ar + trust * (usual - light)
            bb, br = bb + prior, br - prior * log_width
            det = np.maximum(aa * bb - ab**2, 1e-30)
            light = np.maximum(light + (bb * ar - ab * br) / det, 0.0)
            step = (aa * br - ab * ar) / det
            log_width = np.clip(log_width + np.clip(step, -0.3, 0.3), -most, most)
        known = (first > 0) & (count > 1)
        return (
            np.where(known, light, first),
            self._sigma_px * np.exp(np.where(known, log_width, 0.0)),
        )


def _solved(matrix: sparse.csc_array, right: np.ndarray) -> np.ndarray:
    """Solve a symmetric positive definite system whose blocks are small."""
    factors = splu(
        matrix,
        permc_spec="MMD_AT_PLUS_A",
        diag_pivot_thresh=0.0,
        relax=1,
        panel_size=1,
        options={"SymmetricMode": True},
    )
    return factors.solve(right)


def _window(
    place_px: np.ndarray, reach: int, length: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return edges of the pixels around places, from these, and the pixels.

    Returns
    -------
    edges
        (n, 2r + 2) px.
    pixels, inside
        (n, 2r + 1) indices, mirrored where they lie beyond the axis, and whether they
        do not.
    """
    first = np.floor(place_px).astype(int) - reach
    edges = first[:, None] + np.arange(2 * reach + 2) - place_px[:, None]
    pixels = first[:, None] + np.arange(2 * reach + 1)
    inside = (pixels >= 0) & (pixels < length)
    mirrored = np.where(pixels < 0, -1 - pixels, pixels)
    mirrored = np.where(mirrored >= length, 2 * length - 1 - mirrored, mirrored)
    return edges, mirrored.clip(0, length - 1), inside


def _integrals(edges: np.ndarray, sigma_px: np.ndarray | float) -> np.ndarray:
    """Return the shares of a unit Gaussian between edges."""
    return 0.5 * np.diff(erf(edges / (2**0.5 * sigma_px)), axis=1)


def _widening(edges: np.ndarray, sigma_px: np.ndarray | float) -> np.ndarray:
    """Return the change of these shares with the logarithm of the width."""
    scaled = edges / sigma_px
    density = np.exp(-0.5 * scaled**2) / (2 * np.pi) ** 0.5
    return np.diff(-scaled * density, axis=1)
