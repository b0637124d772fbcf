"""One intensity scale for a whole recording.

The preprocessing that a package declares works frame by frame, because that is all
the exchange format can say.  For a movie of blinking emitters this is fragile: one
hot pixel compresses everything else in its frame, and a frame without emitters has
its noise stretched to full range, which shows up as false localizations.  The scale of
the recording is found once, robustly, and used for every frame: `spot_scales` finds it
for spots, `image_scales` for images that are sampled at Nyquist's rate.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.prediction import Readable
from zoo.core.scaling import (
    IMAGE_BLANK_SIGMAS,
    IMAGE_BLANK_SPAN,
    IMAGE_CLIP,
    IMAGE_NOISE_SIGMAS,
    IMAGE_PEAK_OVER_MEDIAN,
    SPOT_CLIP,
    SPOT_PEAK_OVER_MEDIAN,
)

SAMPLED_FRAMES = 100
"""At most this many frames, evenly spaced, are looked at to find the scale."""
LOW_PERCENTILE = 50.0
"""The low end is this percentile, over the sampled frames, of a frame's minimum."""
HIGH_PERCENTILE = 98.0
"""The high end is this percentile, over the sampled frames, of a frame's maximum."""
# Minimum and maximum of a frame are those after a 3 x 3 median filter, which no
# single hot or dead pixel survives.
_SIGMA_OF_DEVIATION = 1.4826  # of a Gaussian, per median absolute deviation


@dataclass(frozen=True)
class Scale:
    """The intensities that become 0 and 1."""

    low: float
    """Background level, in the units of the recording."""
    high: float
    """Peak of what is bright, in the units of the recording."""
    clip: tuple[float, float] = SPOT_CLIP
    """Limits of scaled values."""

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Scale frames of any shape to about [0, 1], float32.

        A recording without any contrast becomes 0 everywhere.

        Examples
        --------
        >>> Scale(100.0, 300.0).apply(np.array([100.0, 200.0, 9000.0])).tolist()
        [0.0, 0.5, 3.0]
        """
        if not self.high > self.low:
            return np.zeros(frames.shape, np.float32)
        scaled = (frames - np.float32(self.low)) / np.float32(self.high - self.low)
        return np.clip(scaled, *self.clip, dtype=np.float32)


def median_filter_3x3(frame: np.ndarray) -> np.ndarray:
    """Return the median of each pixel's 3 x 3 neighbourhood.

    Equals ``scipy.ndimage.median_filter(frame, 3, mode="nearest")``; as exchanges
    between whole images it is ten times faster.

    Parameters
    ----------
    frame : (y, x)

    Examples
    --------
    >>> hot = np.zeros((5, 5))
    >>> hot[2, 2] = 1000
    >>> float(median_filter_3x3(hot).max())
    0.0
    """
    height, width = frame.shape
    padded = np.pad(frame, 1, mode="edge")
    p = [
        padded[dy : dy + height, dx : dx + width] for dy in range(3) for dx in range(3)
    ]
    # the shortest network of exchanges that puts the median of nine into the middle
    for a, b in (
        (1, 2), (4, 5), (7, 8), (0, 1), (3, 4), (6, 7), (1, 2), (4, 5), (7, 8), (0, 3),
        (5, 8), (4, 7), (3, 6), (1, 4), (2, 5), (4, 7), (4, 2), (6, 4), (4, 2),
    ):  # fmt: skip
        p[a], p[b] = np.minimum(p[a], p[b]), np.maximum(p[a], p[b])
    return p[4]


Finder = Callable[[Readable, Sequence[slice]], tuple[Scale, ...]]
"""Function that finds one scale for each group of channels."""


def spot_scales(recording: Readable, groups: Sequence[slice]) -> tuple[Scale, ...]:
    """Find the scales of a movie of spots, one for each group of channels.

    The low end is the median over the sampled frames of each frame's smallest
    value, the high end the 98th percentile of each frame's largest, both after a
    3 x 3 median filter; the range is then widened by what the filter takes off a
    spot.  Adding a hot pixel or (up to half of the) empty frames hardly moves either.

    Parameters
    ----------
    recording
        Anything with ``frames`` and ``read(start, stop)``; read frame by frame.
    groups
        Channels that share a scale.

    Raises
    ------
    BadInput
        If the recording has no frames.
    """
    lows, highs, _ = _bounds(recording, groups, noise=False)
    return tuple(
        Scale(low=float(low), high=float(low + SPOT_PEAK_OVER_MEDIAN * (high - low)))
        for low, high in zip(lows, highs, strict=True)
    )


def image_scales(recording: Readable, groups: Sequence[slice]) -> tuple[Scale, ...]:
    """Find the scales of a recording of images, one for each group of channels.

    As `spot_scales`, with a low end below the noise and a smaller addition at the
    high end, both fit for images that are sampled at Nyquist's rate.  Where next to
    nothing rises above the noise, the range is wider: stretched noise looks like
    structure to a network.

    Parameters
    ----------
    recording
        Anything with ``frames`` and ``read(start, stop)``; read frame by frame.
    groups
        Channels that share a scale.

    Raises
    ------
    BadInput
        If the recording has no frames.
    """
    lows, highs, deviations = _bounds(recording, groups, noise=True)
    noise = IMAGE_NOISE_SIGMAS * deviations
    spans = IMAGE_PEAK_OVER_MEDIAN * (highs - lows)
    tops = lows + np.maximum(spans, _blank_spans(highs - lows, deviations))
    # without contrast there is nothing to scale, however strong the noise is
    return tuple(
        Scale(low=float(low - below), high=float(top), clip=IMAGE_CLIP)
        if top > low
        else Scale(low=float(low), high=float(low), clip=IMAGE_CLIP)
        for low, top, below in zip(lows, tops, noise, strict=True)
    )


def _blank_spans(ranges: np.ndarray, deviations: np.ndarray) -> np.ndarray:
    """Return the least span of images in which next to nothing rises above the noise.

    `IMAGE_BLANK_SPAN` deviations of the noise where there is nothing else, falling to
    none where there is structure; images without contrast have none.
    """
    none, some = (sigmas * deviations for sigmas in IMAGE_BLANK_SIGMAS)
    blank = np.clip((some - ranges) / np.maximum(some - none, 1e-12), 0, 1)
    least = IMAGE_PEAK_OVER_MEDIAN * ranges
    spans = least + blank * (IMAGE_BLANK_SPAN * deviations - least)
    return np.where(ranges > 0, spans, 0.0)


FINDERS: dict[str, Finder] = {"spots": spot_scales, "image": image_scales}
"""Ways to find a scale by what is in the frames."""


def _bounds(
    recording: Readable, groups: Sequence[slice], *, noise: bool
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return low end, high end and deviation of noise behind the filter, (group,)."""
    frames = [
        [_of_frame(frame[group], noise=noise) for group in groups]
        for frame in _sampled(recording)
    ]
    bounds = np.array(frames)
    return (
        np.percentile(bounds[..., 0], LOW_PERCENTILE, axis=0),
        np.percentile(bounds[..., 1], HIGH_PERCENTILE, axis=0),
        np.median(bounds[..., 2], axis=0),
    )


def _of_frame(planes: np.ndarray, *, noise: bool) -> tuple[float, float, float]:
    """Return minimum and maximum behind the filter, and the noise of dim pixels.

    Parameters
    ----------
    planes : (c, [z,] y, x)
    noise
        Whether the noise is looked for, which most pixels of an image of cells show:
        they lie in the background.
    """
    planes = planes.reshape(-1, *planes.shape[-2:])
    smooth = np.stack([median_filter_3x3(plane) for plane in planes])
    deviation = 0.0
    if noise:
        deviation = _SIGMA_OF_DEVIATION * float(np.median(np.abs(planes - smooth)))
    return float(smooth.min()), float(smooth.max()), deviation


def _sampled(recording: Readable) -> Iterator[np.ndarray]:
    """Read frames spread over a recording, each (c, [z,] y, x)."""
    if recording.frames < 1:
        raise BadInput("the recording holds no frames")
    count = min(SAMPLED_FRAMES, recording.frames)
    numbers = np.unique(np.linspace(0, recording.frames - 1, count).round().astype(int))
    for number in numbers:
        frame = recording.read(int(number), int(number) + 1)[0]
        yield np.moveaxis(frame, -1, 0)
