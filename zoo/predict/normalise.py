"""One intensity scale for a whole recording.

The preprocessing that a package declares works frame by frame, because that is all
the exchange format can say.  For a movie of blinking emitters this is fragile: one
hot pixel compresses everything else in its frame, and a frame without emitters has
its noise stretched to full range, which shows up as false localizations.  The
*movie* scale is found once, robustly, and used for every frame; `movie_scale` finds it
for spots, `picture_scales` for sampled pictures.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from zoo.core.errors import BadInput

SAMPLED_FRAMES = 100
"""At most this many frames, evenly spaced, are looked at to find the scale."""
LOW_PERCENTILE = 50.0
"""The low end is this percentile, over the sampled frames, of a frame's minimum."""
HIGH_PERCENTILE = 98.0
"""The high end is this percentile, over the sampled frames, of a frame's maximum."""
SPOT_PEAK_OVER_MEDIAN = 1.5
"""Peak of a spot over its value behind the median filter, sigma about 1.1 px."""
CLIP = (-0.5, 3.0)
"""Scaled values are limited to this range; a hot pixel is at most three times the
brightest emitters."""
PICTURE_PEAK_OVER_MEDIAN = 1.2
"""Largest value of a picture over that behind the median filter.  In simulated pictures
of cells, sampled at Nyquist's rate, the filter takes 3 to 23 % off the peak without
noise, and 5 to 34 % off the largest count at 15 to 600 photons."""
PICTURE_NOISE_SIGMAS = 2.5
"""The low end of a picture lies this far below its minimum behind the median filter, in
standard deviations of the noise there: image networks are trained on pictures whose
lowest count is 0.  Together, counts then span -0.06 to 1.15 in 80 % of those pictures,
like the 0 to 1 of the training; the filtered minimum alone lets them reach -0.2."""
PICTURE_CLIP = (-0.1, 1.25)
"""Scaled pictures are limited to this range, a little more than what was trained."""
# Minimum and maximum of a frame are those after a 3 x 3 median filter, which no
# single hot or dead pixel survives.
_SIGMA_OF_DEVIATION = 1.4826  # of a Gaussian, per median absolute deviation


class Frames(Protocol):
    """What is needed of a recording."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames, (t, y, x, c) float32."""
        ...


@dataclass(frozen=True)
class MovieScale:
    """The intensities that become 0 and 1."""

    low: float
    """Background level, in the units of the recording."""
    high: float
    """Peak of a bright emitter, in the units of the recording."""
    clip: tuple[float, float] = CLIP
    """Limits of scaled values."""

    def apply(self, frames: np.ndarray) -> np.ndarray:
        """Scale frames of any shape to about [0, 1], float32.

        A recording without any contrast becomes 0 everywhere.

        Examples
        --------
        >>> MovieScale(100.0, 300.0).apply(np.array([100.0, 200.0, 9000.0])).tolist()
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


def movie_scale(recording: Frames) -> MovieScale:
    """Find the scale of a recording from frames spread over its whole length.

    The low end is the median over the sampled frames of each frame's smallest
    value, the high end the 98th percentile of each frame's largest, both after a
    3 x 3 median filter; the range is then widened by what the filter takes off a
    spot.  Adding a hot pixel or (up to half of the) empty frames hardly moves either.

    Parameters
    ----------
    recording
        Anything with ``frames`` and ``read(start, stop)``; read frame by frame.

    Raises
    ------
    BadInput
        If the recording has no frames.
    """
    lows, highs = [], []
    for frame in _sampled(recording):
        smooth = [median_filter_3x3(channel) for channel in frame]
        lows.append(min(float(channel.min()) for channel in smooth))
        highs.append(max(float(channel.max()) for channel in smooth))
    low = float(np.percentile(lows, LOW_PERCENTILE))
    high = float(np.percentile(highs, HIGH_PERCENTILE))
    return MovieScale(low=low, high=low + SPOT_PEAK_OVER_MEDIAN * (high - low))


def picture_scales(
    recording: Frames, *, groups: Sequence[slice]
) -> tuple[MovieScale, ...]:
    """Find the scales of a recording of pictures, one for each group of channels.

    As `movie_scale`, with a low end below the noise and a smaller addition at the
    high end, both fit for pictures that are sampled at Nyquist's rate.

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
    bounds = np.array(
        [
            [_picture_bounds(frame[group]) for group in groups]
            for frame in _sampled(recording)
        ]
    )
    lows = np.percentile(bounds[..., 0], LOW_PERCENTILE, axis=0)
    highs = np.percentile(bounds[..., 1], HIGH_PERCENTILE, axis=0)
    noise = PICTURE_NOISE_SIGMAS * np.median(bounds[..., 2], axis=0)
    tops = lows + PICTURE_PEAK_OVER_MEDIAN * (highs - lows)
    # without contrast there is nothing to scale, however strong the noise is
    return tuple(
        MovieScale(low=float(low - below), high=float(top), clip=PICTURE_CLIP)
        if top > low
        else MovieScale(low=float(low), high=float(low), clip=PICTURE_CLIP)
        for low, top, below in zip(lows, tops, noise, strict=True)
    )


def _picture_bounds(channels: np.ndarray) -> tuple[float, float, float]:
    """Return minimum and maximum behind the filter, and the noise of dim pixels."""
    smooth = np.stack([median_filter_3x3(channel) for channel in channels])
    # most pixels of a picture of cells lie in the background
    noise = _SIGMA_OF_DEVIATION * np.median(np.abs(channels - smooth))
    return float(smooth.min()), float(smooth.max()), float(noise)


def _sampled(recording: Frames) -> Iterator[np.ndarray]:
    """Read frames spread over a recording, each (c, y, x)."""
    if recording.frames < 1:
        raise BadInput("the recording holds no frames")
    count = min(SAMPLED_FRAMES, recording.frames)
    numbers = np.unique(np.linspace(0, recording.frames - 1, count).round().astype(int))
    for number in numbers:
        frame = recording.read(int(number), int(number) + 1)[0]
        yield np.moveaxis(frame, -1, 0)
