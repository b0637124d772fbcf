"""Joint maximum-likelihood fit of overlapping engineered spots in three dimensions.

The expected photons of a frame are a smooth background and the sum of
``photons_k q(x - x_k, y - y_k, z_k, blur_k)`` with the point-spread function of a pupil
with a phase mask.  Emitters that a network found are moved together, those that the
frame does not support are taken out, and further ones are added where the likelihood
gains much, as in `zoo.physics.crowd_fit` (Boyd, Schiebinger, Recht 2017,
doi:10.1137/15M1035793).
"""

from typing import NamedTuple

import numpy as np

from zoo.core.localizations import Localizations
from zoo.physics.blurred_spots import BlurredSpots
from zoo.physics.crowd_frame_3d import DepthFrameFit, DepthSettings
from zoo.physics.crowd_search_3d import DepthSearch
from zoo.physics.fisher import PixelNoise
from zoo.physics.frame_parts import Cut, once
from zoo.physics.optics_score import OpticsScore

WHOLE_PX = 144
"""Longest edge of a frame that is fitted at once."""
_CUT = Cut(WHOLE_PX, core_px=72, overlap_px=24)
COLUMNS = (
    "x_nm",
    "y_nm",
    "z_nm",
    "frame",
    "photons",
    "background_photons",
    "uncertainty_nm",
    "uncertainty_z_nm",
)
"""Columns of the table."""


class DepthFits(NamedTuple):
    """Emitters of frames, and how well they explain them."""

    emitters: Localizations
    """With `COLUMNS`; uncertainties are Cramér-Rao bounds, that of x and y the root of
    their mean variance.  Only what lies inside the frame."""
    chi_square: np.ndarray
    """(t,) mean square of each frame's residuals in standard deviations; near one where
    the model is right."""


def fit_crowds_3d(
    spots: BlurredSpots,
    images: np.ndarray,
    *,
    settings: DepthSettings,
    noise: PixelNoise | None = None,
    starts: Localizations | None = None,
    score: OpticsScore | None = None,
) -> DepthFits:
    """Find and fit the emitters of frames jointly in three dimensions.

    The law: of well separated emitters positions are unbiased, with the errors that are
    stated; of crowded ones as far as their number is right.

    Parameters
    ----------
    spots
        Point-spread function by blur; `zoo.physics.blurred_spots.blurred_spots` makes
        it of a pupil.
    images
        (t, y, x) photons.
    settings
        Range of depths, and limits of the tests.
    noise
        Noise of the pixels, that of a perfect counter of photons if left out.
    starts
        Emitters to begin with, frames from 1; found by the fit alone if left out.
    score
        Collects what the fits say about the optics.

    Returns
    -------
    fits : DepthFits

    Raises
    ------
    ValueError
        If the images are not finite or not three-dimensional, or the starts have no
        depths.
    """
    images = np.asarray(images, float)
    if images.ndim != 3:
        raise ValueError(f"images must have the axes (t, y, x), not {images.shape}")
    if not np.all(np.isfinite(images)):
        raise ValueError("images must be finite")
    if starts is not None and starts.z_nm is None:
        raise ValueError("starts must have depths")
    noise = PixelNoise() if noise is None else noise
    searches: dict[tuple[int, int], DepthSearch] = {}
    tables: list[Localizations] = []
    chi_square = np.empty(len(images))
    for number, image in enumerate(images, start=1):
        own = noise.of(slice(number - 1, number))
        begin = None if starts is None else starts.select(starts.frame == number)
        parts: list[Localizations] = []
        misfit: list[float] = []
        for part in _CUT.parts((image.shape[0], image.shape[1]), spots.pixel_nm):
            if part.shape not in searches:
                searches[part.shape] = DepthSearch(
                    spots, part.shape, settings.z_range_nm
                )
            fit = DepthFrameFit(spots, image[part.region], part.noise(own), settings)
            if begin is not None:
                fit.start(part.inside(begin))
            fit.run(searches[part.shape])
            if score is not None:
                score.add(fit)
            parts.append(part.claimed(fit.table(number)))
            misfit.append(fit.chi_square)
        tables.append(once(parts, spots.pixel_nm))
        chi_square[number - 1] = np.mean(misfit)
    joined = Localizations.concatenate([Localizations.empty(COLUMNS), *tables])
    return DepthFits(joined, chi_square)
