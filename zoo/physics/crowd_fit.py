"""Joint maximum-likelihood fit of all emitters of a frame, however they overlap.

The expected photons of a frame are ``background + sum_k photons_k q(x - x_k)`` with a
known point-spread function ``q``.  Emitters are added where the likelihood gains most
from one more, all of them are then moved together, and those whose photons their errors
do not support are taken out again: the alternating descent conditional gradient method
(Boyd, Schiebinger, Recht 2017, doi:10.1137/15M1035793) with the Poisson likelihood,
and with tests of significance in place of a penalty.  Noise is treated as in
`zoo.physics.mle`: excess and read noise turn electrons into nearly Poisson numbers.
"""

import numpy as np
from scipy.spatial import KDTree

from zoo.core.localizations import Localizations
from zoo.physics.crowd_frame import CrowdSettings, FrameFit
from zoo.physics.crowd_search import SpotSearch, reach_px
from zoo.physics.fisher import PixelNoise
from zoo.physics.spots import Psf

WHOLE_PX = 72
"""Longest edge of a frame that is fitted at once; the work grows with the cube of the
emitters."""
CORE_PX, OVERLAP_PX = 40, 8
"""Edge of the parts that larger frames are cut into, about, and how far a part looks
beyond."""
_SHARED_PX = 0.25  # beyond its core, in which a part may still claim an emitter
_COLUMNS = ("x_nm", "y_nm", "photons", "background_photons", "uncertainty_nm", "frame")


def fit_crowds(
    psf: Psf,
    images: np.ndarray,
    *,
    noise: PixelNoise | None = None,
    starts: Localizations | None = None,
    settings: CrowdSettings | None = None,
) -> Localizations:
    """Find and fit the emitters of frames jointly.

    The law: of well separated emitters positions are unbiased with the errors of
    `zoo.physics.fisher.emitter_bound`; of crowded ones as far as their number is right.

    Parameters
    ----------
    psf
        Point-spread function; emitters are taken to be in focus (depth 0).
    images
        (t, y, x) photons, for instance from `zoo.physics.camera.Camera.to_photons`.
    noise
        Noise of the pixels; `zoo.physics.fisher.pixel_noise` makes it from a camera.
    starts
        Emitters to begin with, frames from 1; found by the fit alone if left out.
    settings
        Limits of the tests.

    Returns
    -------
    emitters : Localizations
        With ``x_nm``, ``y_nm``, ``frame`` (from 1), ``photons``,
        ``background_photons`` and ``uncertainty_nm`` (root of the mean variance of x
        and y); only what lies inside the frame.

    Raises
    ------
    ValueError
        If the images are not finite or not three-dimensional.

    Examples
    --------
    >>> from zoo.physics.spots import GaussianPsf
    >>> psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=115.0)
    >>> x, y = np.array([610.0, 780.0, 1530.0]), np.array([800.0, 850.0, 1200.0])
    >>> image = 2000.0 * psf.images(x, y, np.zeros(3), (20, 20)).sum(axis=0) + 10.0
    >>> sorted(fit_crowds(psf, image[None]).x_nm.round(1).tolist())
    [610.0, 780.0, 1530.0]
    """
    images = np.asarray(images, float)
    if images.ndim != 3:
        raise ValueError(f"images must have the axes (t, y, x), not {images.shape}")
    if not np.all(np.isfinite(images)):
        raise ValueError("images must be finite")
    noise = PixelNoise() if noise is None else noise
    settings = CrowdSettings() if settings is None else settings
    reach = reach_px(psf)
    searches: dict[tuple[int, int], SpotSearch] = {}
    tables: list[Localizations] = []
    for number, image in enumerate(images, start=1):
        own = noise.of(slice(number - 1, number))
        begin = None if starts is None else starts.select(starts.frame == number)
        parts: list[Localizations] = []
        for rows in _spans(image.shape[0]):
            for columns in _spans(image.shape[1]):
                region = (slice(*rows[:2]), slice(*columns[:2]))
                part = image[region]
                shape = (part.shape[0], part.shape[1])
                if shape not in searches:
                    searches[shape] = SpotSearch(psf, shape, reach)
                fit = FrameFit(psf, part, _cut(own, region), settings, reach)
                corner_nm = columns[0] * psf.pixel_nm, rows[0] * psf.pixel_nm
                if begin is not None:
                    fit.start(_inside(begin, corner_nm, shape, psf.pixel_nm))
                fit.run(searches[shape])
                table = fit.table(number)
                table = table.with_columns(
                    x_nm=table.x_nm + corner_nm[0], y_nm=table.y_nm + corner_nm[1]
                )
                parts.append(_claimed(table, rows, columns, image.shape, psf.pixel_nm))
        tables.append(_once(parts, psf.pixel_nm))
    return Localizations.concatenate([Localizations.empty(_COLUMNS), *tables])


_Span = tuple[int, int, int, int]
"""What a part sees along an axis, and what it keeps, px."""


def _spans(length: int) -> list[_Span]:
    """Cut an axis into parts that overlap."""
    if length <= WHOLE_PX:
        return [(0, length, 0, length)]
    edges = np.linspace(0, length, -(-length // CORE_PX) + 1).round().astype(int)
    return [
        (max(0, low - OVERLAP_PX), min(length, high + OVERLAP_PX), low, high)
        for low, high in zip(edges[:-1].tolist(), edges[1:].tolist(), strict=True)
    ]


def _cut(noise: PixelNoise, region: tuple[slice, slice]) -> PixelNoise:
    """Return the noise of a part of a frame."""
    variance = np.asarray(noise.read_variance_e2)
    if variance.ndim >= 2:
        variance = variance[(..., *region)]
    return PixelNoise(
        noise.quantum_efficiency, noise.spurious_e, noise.excess, variance
    )


def _inside(
    table: Localizations,
    corner_nm: tuple[float, float],
    shape: tuple[int, int],
    pixel_nm: float,
) -> Localizations:
    """Return the emitters of a part, from its corner."""
    x_nm, y_nm = table.x_nm - corner_nm[0], table.y_nm - corner_nm[1]
    inside = (x_nm >= 0) & (x_nm < shape[1] * pixel_nm)
    inside &= (y_nm >= 0) & (y_nm < shape[0] * pixel_nm)
    return table.with_columns(x_nm=x_nm, y_nm=y_nm).select(inside)


def _claimed(
    table: Localizations,
    rows: _Span,
    columns: _Span,
    shape: tuple[int, ...],
    pixel_nm: float,
) -> Localizations:
    """Return the emitters in the core of a part, inside the frame a little beyond."""
    keep = np.ones(len(table), bool)
    for place, (_, _, low, high), length in zip(
        (table.y_nm, table.x_nm), (rows, columns), shape, strict=True
    ):
        first = low - _SHARED_PX if low else 0.0
        last = high + _SHARED_PX if high < length else float(length)
        keep &= (place >= first * pixel_nm) & (place < last * pixel_nm)
    return table.select(keep)


def _once(parts: list[Localizations], pixel_nm: float) -> Localizations:
    """Join parts; what two of them claim counts once."""
    joined = Localizations.concatenate(parts)
    if len(parts) == 1 or len(joined) < 2:
        return joined
    part = np.repeat(np.arange(len(parts)), [len(table) for table in parts])
    places = np.stack([joined.x_nm, joined.y_nm], axis=1)
    pairs = KDTree(places).query_pairs(2 * _SHARED_PX * pixel_nm, output_type="ndarray")
    pairs = pairs[part[pairs[:, 0]] != part[pairs[:, 1]]]
    return joined.select(~np.isin(np.arange(len(joined)), pairs.max(axis=1)))
