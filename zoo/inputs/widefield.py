"""A widefield image of the field of a table, brought to the grid of its rendering."""

from typing import Any, NamedTuple

import numpy as np

from zoo.core.errors import BadInput

BLUR_NM = 150.0
"""Standard deviation with which localizations are blurred to resemble it."""

REACH_NM = 600.0
"""Largest shift between widefield image and localizations that is corrected."""

LEAST = 0.25
"""Correlation with blurred localizations below which it seems to be another field."""


class Widefield(NamedTuple):
    """A widefield image on the grid of a rendering."""

    image: np.ndarray
    """(y, x) float32, scaled to [0, 1]."""
    correlation: float
    """Pearson's, with the blurred localizations; NaN if one of them is constant."""
    shift_nm: tuple[float, float]
    """Shift that was taken back, along y and x."""
    pixel_size_nm: float
    """Pixel of the file."""


def read_widefield(
    source: Any, counts: np.ndarray, *, pixel_size_nm: float, own_pixel_nm: float | None
) -> Widefield:
    """Read a widefield image, resample it and shift it onto the localizations.

    The corners of image and table are the same; a shift of up to 0.6 µm is measured by
    correlation with the blurred localizations and taken back.

    Parameters
    ----------
    source
        Path or array; the mean of several frames is taken.
    counts
        (y, x) localizations per pixel.
    pixel_size_nm
        Pixel of `counts`.
    own_pixel_nm
        Pixel of the image; None for what the file states.

    Raises
    ------
    BadInput
        If it cannot be read, has several channels or no known pixel size.
    """
    from scipy.ndimage import gaussian_filter  # takes a while to import

    from zoo.io.stacks import open_stack
    from zoo.metrics.drift import correlation_peak
    from zoo.metrics.images import pearson

    stack = open_stack(source, pixel_size_nm=own_pixel_nm, channels=None, depth=False)
    try:
        if stack.channels != 1:
            raise BadInput(
                f"the widefield image {stack.source} has {stack.channels} channels; "
                "give an image of one"
            )
        own_nm = stack.pixel_size_nm
        if own_nm is None:
            raise BadInput(
                f"the widefield image {stack.source} states no pixel size; give it "
                "with --widefield-pixel-nm"
            )
        frames = min(stack.frames, 100)
        image = stack.read(0, frames).mean(axis=0, dtype=float)[..., 0]
    finally:
        stack.close()
    blurred = gaussian_filter(np.asarray(counts, float), BLUR_NM / pixel_size_nm)
    ratio = pixel_size_nm / own_nm
    fine = _resampled(image, counts.shape, ratio, (0.0, 0.0))
    alike, shift = pearson(blurred, fine), (0.0, 0.0)
    if np.ptp(blurred) and np.ptp(fine):
        reach = int(REACH_NM / pixel_size_nm)
        peak = correlation_peak(blurred, fine, reach_px=reach, clear=0.0)
        if peak is not None and max(map(abs, peak)) < reach - 2:
            shifted = _resampled(image, counts.shape, ratio, peak)
            better = pearson(blurred, shifted)
            if better > alike:
                fine, alike, shift = shifted, better, peak
    low, high = np.percentile(fine, (0.1, 99.9))
    scaled = np.clip((fine - low) / max(float(high - low), 1e-9), 0, 1)
    return Widefield(
        scaled.astype(np.float32),
        alike,
        (shift[0] * pixel_size_nm, shift[1] * pixel_size_nm),
        own_nm,
    )


def with_scaled_widefield(frames: np.ndarray) -> np.ndarray:
    """Return images (t, y, x, c) whose second channel lies between 0 and 1.

    One that does already stays as it is.
    """
    widefield = frames[..., 1]
    low = widefield.min(axis=(1, 2), keepdims=True)
    high = widefield.max(axis=(1, 2), keepdims=True)
    outside = (low < 0) | (high > 1)
    scaled = np.where(
        outside, (widefield - low) / np.maximum(high - low, 1e-9), widefield
    )
    changed = np.array(frames, np.float32)
    changed[..., 1] = scaled
    return changed


def _resampled(
    image: np.ndarray,
    shape: tuple[int, ...],
    ratio: float,
    shift: tuple[float, float],
) -> np.ndarray:
    """Return an image bilinearly on a finer grid with the same corner, shifted back.

    Parameters
    ----------
    image
        (y, x) image.
    shape
        Size of the fine grid; beyond the image its border goes on.
    ratio
        Edge of a fine pixel in pixels of the image.
    shift
        What is taken back, fine px along y and x.
    """
    from scipy.ndimage import map_coordinates

    places = [
        (np.arange(n) + 0.5 + s) * ratio - 0.5
        for n, s in zip(shape, shift, strict=True)
    ]
    grid = np.meshgrid(*places, indexing="ij")
    return np.asarray(map_coordinates(image, grid, order=1, mode="nearest"))
