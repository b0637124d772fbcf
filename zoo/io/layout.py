"""Which axis of a recording counts frames, which channels, and where each plane lies.

A recording is seen as a row of *planes* (y, x), or (y, x, s) where samples are stored
interleaved.  The axes before y and x number the planes in C order; this module decides
which of them are frames and which one is channels.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from zoo.core.errors import BadInput

ACCEPTED_TYPES = frozenset(
    f"{kind}{size}" for kind, sizes in {"u": "1248", "i": "1248", "f": "248"}.items()
    for size in sizes
)  # fmt: skip
"""Kind and bytes of the pixel types that are read."""

RGB_REMEDY = (
    "is a colour (RGB) image, single-channel intensities are needed; "
    "save the grey values (in Fiji: Image > Type > 16-bit)"
)


@dataclass(frozen=True)
class Layout:
    """Where the planes of a frame lie.

    Parameters
    ----------
    frame_sizes, frame_strides
        Lengths of the axes that count frames, and the planes to step along each.
    channels
        Channels of a frame.
    channel_stride
        Planes from one channel to the next; 0 if they are interleaved in a plane.
    notes
        Decisions that a user should hear of.
    """

    frame_sizes: tuple[int, ...]
    frame_strides: tuple[int, ...]
    channels: int
    channel_stride: int
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return math.prod(self.frame_sizes)

    def planes(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return the plane numbers of frames ``start`` to ``stop``, (t, c).

        Interleaved channels share one plane; c is then 1.
        """
        numbers = np.zeros(stop - start, np.intp)
        frames = np.arange(start, stop)
        for size, stride in zip(
            reversed(self.frame_sizes), reversed(self.frame_strides), strict=True
        ):
            frames, position = np.divmod(frames, size)
            numbers += position * stride
        count = self.channels if self.channel_stride else 1
        return numbers[:, None] + np.arange(count) * self.channel_stride


def split_axes(
    axes: str, shape: tuple[int, ...], name: str
) -> tuple[int, int, int, int]:
    """Return the number of planes, their height and width, and samples per pixel.

    Raises
    ------
    BadInput
        If y and x are missing, or stored in an order that is not understood.
    """
    y = axes.find("Y")
    if y < 0 or axes[y : y + 2] != "YX" or axes.count("Y") + axes.count("X") != 2:
        raise BadInput(
            f"{name} has axes {axes}; a recording needs y directly before x, "
            "such as TYX or TCYX"
        )
    return math.prod(shape[:y]), shape[y], shape[y + 1], math.prod(shape[y + 2 :])


def plan(
    axes: str,
    shape: tuple[int, ...],
    *,
    channels: int,
    name: str,
    channel_names: tuple[str, ...] = (),
) -> Layout:
    """Decide which axes count frames and which one is channels.

    Axes of length one are dropped.  A channel axis (``C``, or samples ``S``) must have
    the wanted length.  Where several channels are wanted and the file declares none,
    the innermost axis of that length is taken for them, because raw frames of
    structured illumination are usually stored as a time or z series.  All other axes,
    T, Z or unknown, are frames in the order of the file.

    Parameters
    ----------
    axes
        Letters of the recording, ``TZCYX`` and the like; letters may repeat.
    shape
        Lengths of `axes`.
    channels
        Wanted channels per frame.
    name
        What to call the recording in messages.
    channel_names
        Names that the file gives to its channels.

    Raises
    ------
    BadInput
        If the recording is empty or its channels are not the wanted ones.

    Examples
    --------
    >>> plan("TZCYX", (5, 1, 1, 64, 64), channels=1, name="a movie").frames
    5
    >>> layout = plan("TYX", (9, 64, 64), channels=9, name="raw frames")
    >>> layout.frames, layout.planes(0, 1).tolist()
    (1, [[0, 1, 2, 3, 4, 5, 6, 7, 8]])
    """
    if 0 in shape:
        raise BadInput(f"{name} is empty: its shape is {'x'.join(map(str, shape))}")
    count, _, _, samples = split_axes(axes, shape, name)
    y = axes.index("Y")
    strides = [count // math.prod(shape[: i + 1]) for i in range(y)]
    lead = [i for i in range(y) if shape[i] > 1]
    notes: list[str] = []

    declared = [i for i in lead if axes[i] in "CS"]
    if samples > 1 and channels == 1 and not declared and samples in (3, 4):
        raise BadInput(f"{name} {RGB_REMEDY}")
    found = math.prod(shape[i] for i in declared) * samples
    chosen: int | None = declared[-1] if declared else None
    if found > 1 and (found != channels or len(declared) + (samples > 1) > 1):
        raise BadInput(_wrong_channels(name, found, channels, channel_names))
    if found == 1 and channels > 1:
        fitting = [i for i in lead if shape[i] == channels]
        if not fitting:
            raise BadInput(
                f"{name} has frames of one channel, {channels} channels are needed; "
                f"save them as one stack whose channel axis has length {channels}"
            )
        chosen = fitting[-1]
        notes.append(f"axis {axes[chosen]} of length {channels} was read as channels")

    rest = [i for i in lead if i != chosen]
    if len(rest) > 1:
        sizes = " x ".join(f"{axes[i]}={shape[i]}" for i in rest)
        notes.append(f"all of {sizes} were read as frames, one after the other")
    return Layout(
        frame_sizes=tuple(shape[i] for i in rest),
        frame_strides=tuple(strides[i] for i in rest),
        channels=channels,
        channel_stride=0 if chosen is None else strides[chosen],
        notes=tuple(notes),
    )


def _wrong_channels(
    name: str, found: int, channels: int, channel_names: tuple[str, ...]
) -> str:
    which = f" ({', '.join(channel_names)})" if len(channel_names) == found else ""
    if channels > 1:
        return (
            f"{name} has {found} channels{which}, {channels} are needed; "
            "save a stack with exactly those"
        )
    return (
        f"{name} has {found} channels{which}, one is needed; select one and save it "
        "alone (in Fiji: Image > Color > Split Channels), or declare the axis as "
        "frames if it is one (Image > Properties)"
    )


def check_type(dtype: np.dtype[np.generic], name: str) -> None:
    """Refuse pixel types that are not intensities.

    Raises
    ------
    BadInput
        If the type is complex, Boolean or not a number.
    """
    if f"{dtype.kind}{dtype.itemsize}" not in ACCEPTED_TYPES:
        raise BadInput(
            f"{name} has pixels of type {dtype.name}; intensities must be integers or "
            "real floating-point numbers"
        )


def array_axes(shape: tuple[int, ...], channels: int, name: str) -> str:
    """Return the axes of an array that does not declare any.

    The project's own order (t, y, x, c) wins where the last axis has the wanted number
    of channels or length one; otherwise channels before y are accepted, and every
    other leading axis counts frames.

    Raises
    ------
    BadInput
        If the array has fewer than two axes or looks like a colour image.

    Examples
    --------
    >>> array_axes((100, 64, 64), 1, "movie"), array_axes((64, 64, 9), 9, "raw")
    ('QYX', 'YXC')
    """
    ndim = len(shape)
    if ndim < 2:
        raise BadInput(
            f"{name} has shape {shape}; an image (y, x) or a movie (t, y, x) is needed"
        )
    if ndim == 2:
        return "YX"
    if shape[-1] in (1, channels) and not (channels > 1 and shape[-1] == 1):
        return "Q" * (ndim - 3) + "YXC"
    if channels > 1 and shape[-3] == channels:
        return "Q" * (ndim - 3) + "CYX"
    if shape[-1] in (3, 4) and shape[-2] > 4:
        raise BadInput(f"{name} of shape {shape} {RGB_REMEDY}")
    return "Q" * (ndim - 2) + "YX"
