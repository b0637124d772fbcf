"""Whether an image is as a camera gave it: not exported, deconvolved, summed or empty.

What a program did to an image shows in its numbers: black clipped to one value, noise
finer than a grey level, counts that no camera has.
"""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import gaussian_filter, median_filter

from zoo.core.measured import Measured

CLIPPED = (0.0, 0.02)
"""Share of pixels at the lowest value; a camera's noise leaves far fewer there."""
GREY_LEVELS = (0.3, 1e6)
"""Noise in the dark over the step between grey levels; a camera resolves its own."""
PEAK_COUNTS = (0.0, 65535.0)
"""Counts of a pixel: cameras have 16 bits."""
RANGE_USED = (0.0, 0.9999)
"""Used part of what the file can hold; a camera has an offset, so only numbers that
were stretched to the ends use all of it."""
CONTRAST = (7.0, 1e6)
"""Range of an image behind a 3 x 3 median filter over its noise; noise alone has 3.8 to
5.3, images of the trainings from 5 photons on have 7 and more."""
FILL = (0.005, 0.9)
"""Share of a field that structure covers; scenes of trainings have 0.05 to 0.75, and
noise with nothing in it fills its own range."""
_FULL = 0.2  # of the range above the dark: a pixel that structure covers
_SMOOTH_PX = 1.5
_MOST = 2**20  # pixels that are looked at for grey levels
_MEDIAN_OF_NORMAL = 0.6745
_SECOND_DIFFERENCE = 6**0.5  # of white noise, in standard deviations of it


def integrity(
    channels: Sequence[np.ndarray], *, highest: float | None = None
) -> list[Measured]:
    """Measure what tells an image of a camera from one that a program has made.

    Parameters
    ----------
    channels
        Images (y, x) of one field under one camera setting, counts.
    highest
        Highest number that the file can hold; None if it has no end.

    Returns
    -------
    conditions
        Share of clipped pixels, noise over the step of grey levels, largest count, used
        part of the file's range, range over noise, and the share of the field that
        structure covers.
    """
    images = np.stack([np.asarray(channel, float) for channel in channels])
    if not np.ptp(images):
        note = "the image is constant"
        return [
            Measured("clipped", None, "", "pixels at the lowest value", CLIPPED, note),
            Measured("fill", None, "", "share of the field covered", FILL, note),
        ]
    clipped = float((images == images.min()).mean())
    whole = bool((images == np.round(images)).all())
    levels = np.unique(images.ravel()[:_MOST])
    step = float(np.diff(levels).min()) if len(levels) > 1 else 0.0
    noise = _noise(images)
    return [
        Measured("clipped", clipped, "", "pixels at the lowest value", CLIPPED),
        Measured(
            "grey_levels",
            noise / step if step > 0 else None,
            "",
            "noise in grey levels",
            GREY_LEVELS,
        ),
        Measured(
            "peak_counts",
            float(images.max()) if whole else None,
            "counts",
            "brightest pixel",
            PEAK_COUNTS,
            "" if whole else "the numbers are no counts",
        ),
        Measured(
            "range_used",
            float(np.ptp(images)) / highest if highest else None,
            "",
            "used part of the range of the file",
            RANGE_USED,
            "" if highest else "the file's numbers have no end",
        ),
        Measured(
            "contrast", _contrast(images), "", "range of the image over its noise",
            CONTRAST,
        ),
        Measured("fill", _fill(images.mean(axis=0)), "", "share of the field covered",
                 FILL),
    ]  # fmt: skip


def _noise(images: np.ndarray) -> float:
    """Return the noise in the darker half, from second differences along x."""
    if images.shape[-1] < 3:
        return 0.0
    middle = images[..., 1:-1]
    second = np.abs(images[..., :-2] - 2 * middle + images[..., 2:])
    dark = second[middle <= np.median(middle)]
    return float(np.median(dark)) / _MEDIAN_OF_NORMAL / _SECOND_DIFFERENCE


def _contrast(images: np.ndarray) -> float | None:
    """Return the range behind a median filter over the noise; None without noise."""
    smooth = np.stack([median_filter(image, 3, mode="nearest") for image in images])
    noise = float(np.median(np.abs(images - smooth))) / _MEDIAN_OF_NORMAL
    return float(np.ptp(smooth)) / noise if noise > 0 else None


def _fill(mean: np.ndarray) -> float:
    """Return the share of pixels well above the dark."""
    smooth = np.asarray(gaussian_filter(mean, _SMOOTH_PX))
    low, high = (float(np.quantile(smooth, q)) for q in (0.02, 0.999))
    return float((smooth > low + _FULL * (high - low)).mean())
