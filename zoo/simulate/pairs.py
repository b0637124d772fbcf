"""From emitters and counts to what a density network learns from."""

from typing import NamedTuple

import numpy as np
from scipy.ndimage import median_filter

from zoo.core.localizations import Localizations
from zoo.core.scaling import SPOT_CLIP, SPOT_PEAK_OVER_MEDIAN
from zoo.physics.psf import gaussian_spots


class Scene(NamedTuple):
    """One frame as the camera sees it, with its truth."""

    counts: np.ndarray
    """(y, x) uint16 camera counts."""
    emitters: Localizations
    """Emitters, those of the margin included; nm from the corner of the frame."""


def as_pair(
    scene: Scene, rng: np.random.Generator, *, scale: int, pixel_size_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Scale a frame for the network and mark its emitters on the fine grid.

    Returns
    -------
    frame, spikes : (y, x, 1), (scale * y, scale * x, 1) float32
    """
    low, high = display_range(scene.counts, rng, empty=len(scene.emitters) == 0)
    frame = np.clip((scene.counts - low) / (high - low), *SPOT_CLIP)
    spikes = spike_map(
        scene.emitters, scene.counts.shape, scale=scale, pixel_size_nm=pixel_size_nm
    )
    return frame[..., None].astype(np.float32), spikes[..., None]


def within(emitters: Localizations, height_nm: float, width_nm: float) -> np.ndarray:
    """Say which emitters lie inside a field, (n,) bool."""
    rows = (emitters.y_nm >= 0) & (emitters.y_nm < height_nm)
    return rows & (emitters.x_nm >= 0) & (emitters.x_nm < width_nm)


def render(
    emitters: Localizations, shape: tuple[int, int], *, pixel_size_nm: float
) -> np.ndarray:
    """Return the expected photons (y, x) of emitters with photons and widths.

    Raises
    ------
    ValueError
        If the table has no photons or no spot widths.
    """
    if emitters.photons is None or emitters.sigma_nm is None:
        raise ValueError("emitters need the columns photons and sigma_nm to be drawn")
    return gaussian_spots(
        emitters.x_nm / pixel_size_nm,
        emitters.y_nm / pixel_size_nm,
        emitters.photons,
        shape,
        sigma_px=emitters.sigma_nm / pixel_size_nm,
    )


def spike_map(
    emitters: Localizations,
    shape: tuple[int, int],
    *,
    scale: int,
    pixel_size_nm: float,
) -> np.ndarray:
    """Mark the fine pixels that contain an emitter.

    Parameters
    ----------
    emitters
        Emitters of one frame; those outside the frame are left out.
    shape
        ``(height, width)`` of the camera frame, px.
    scale
        Fine pixels per camera pixel along an axis.
    pixel_size_nm
        Camera pixel, nm.

    Returns
    -------
    spikes : (scale * y, scale * x) float32
        One where ``floor(position / fine pixel)`` of any emitter falls, else zero.

    Examples
    --------
    >>> one = Localizations(x_nm=np.array([12.6]), y_nm=np.array([0.0]))
    >>> np.argwhere(spike_map(one, (1, 1), scale=8, pixel_size_nm=100.0)).tolist()
    [[0, 1]]
    """
    fine_nm = pixel_size_nm / scale
    spikes = np.zeros((shape[0] * scale, shape[1] * scale), np.float32)
    rows = np.floor(emitters.y_nm / fine_nm).astype(int)
    columns = np.floor(emitters.x_nm / fine_nm).astype(int)
    inside = (rows >= 0) & (rows < spikes.shape[0])
    inside &= (columns >= 0) & (columns < spikes.shape[1])
    spikes[rows[inside], columns[inside]] = 1.0
    return spikes


def display_range(
    counts: np.ndarray, rng: np.random.Generator, *, empty: bool
) -> tuple[float, float]:
    """Draw the two counts that a predictor may map to 0 and 1.

    Half of the frames use their own extremes, as the published network does.  The
    others use limits as they come from a whole recording, found behind a median
    filter that no hot pixel survives: this crop may be dimmer than the rest, up to
    fifteenfold where it is empty, or somewhat brighter.

    Parameters
    ----------
    counts
        (y, x) camera counts.
    rng
        Source of the draw.
    empty
        Whether the frame holds no emitter.

    Returns
    -------
    low, high : float
        Counts; `high` exceeds `low` by at least one.
    """
    low, high = float(counts.min()), float(counts.max())
    if rng.random() < 0.5:
        return low, max(high, low + 1.0)
    smooth = median_filter(counts, 3, mode="nearest")
    lowest, highest = float(smooth.min()), float(smooth.max())
    low = lowest - rng.uniform(-0.2, 0.5) * (lowest - low)
    factor = np.exp(rng.uniform(np.log(0.7), np.log(15.0 if empty else 4.0)))
    contrast = SPOT_PEAK_OVER_MEDIAN * (highest - low)
    return low, max(low + factor * contrast, low + 1.0)
