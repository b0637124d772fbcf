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

from zoo.core.localizations import Localizations
from zoo.physics.crowd_frame import CrowdSettings, FrameFit
from zoo.physics.crowd_search import SpotSearch, reach_px
from zoo.physics.fisher import PixelNoise
from zoo.physics.frame_parts import Cut, once
from zoo.physics.spots import Psf

WHOLE_PX = 72
"""Longest edge of a frame that is fitted at once; the work grows with the cube of the
emitters."""
_CUT = Cut(WHOLE_PX, core_px=40, overlap_px=8)
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
        for part in _CUT.parts((image.shape[0], image.shape[1]), psf.pixel_nm):
            if part.shape not in searches:
                searches[part.shape] = SpotSearch(psf, part.shape, reach)
            fit = FrameFit(psf, image[part.region], part.noise(own), settings, reach)
            if begin is not None:
                fit.start(part.inside(begin))
            fit.run(searches[part.shape])
            parts.append(part.claimed(fit.table(number)))
        tables.append(once(parts, psf.pixel_nm))
    return Localizations.concatenate([Localizations.empty(_COLUMNS), *tables])
