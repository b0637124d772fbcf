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

RAW_FRAMES = frozenset({9, 15, 25})
"""Raw frames of structured illumination: 3 x 3, 3 x 5 or 5 x 5 orientations and phases.

Programs store them as pages of all kinds; other numbers of channels must be declared.
"""

MOST_CHANNELS = 16
"""A longer last axis of an array that declares none is x rather than channels."""

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
    channels: int | None,
    name: str,
    channel_names: tuple[str, ...] = (),
) -> Layout:
    """Decide which axes count frames and which one is channels.

    Axes of length one are dropped.  A channel axis (``C``, or samples ``S``) must have
    the wanted length.  Where several channels are wanted and the file declares none,
    the innermost axis of that length is taken for them, because raw frames of
    structured illumination are usually stored as a time or z series.  Numbers of
    `RAW_FRAMES` may also be the product of neighbouring axes (3 orientations x 3
    phases), or follow each other in groups along an axis.  All other axes, T, Z or
    unknown, are frames in the order of the file.

    Parameters
    ----------
    axes
        Letters of the recording, ``TZCYX`` and the like; letters may repeat.
    shape
        Lengths of `axes`.
    channels
        Wanted channels per frame; None for as many as the file declares, one if none.
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
    >>> layout = plan("TYX", (18, 64, 64), channels=9, name="raw frames")
    >>> layout.frames, layout.planes(1, 2).tolist()
    (2, [[9, 10, 11, 12, 13, 14, 15, 16, 17]])
    """
    if 0 in shape:
        raise BadInput(f"{name} is empty: its shape is {'x'.join(map(str, shape))}")
    count, _, _, samples = split_axes(axes, shape, name)
    y = axes.index("Y")
    strides = [count // math.prod(shape[: i + 1]) for i in range(y)]
    lead = [i for i in range(y) if shape[i] > 1]
    notes: list[str] = []

    declared = [i for i in lead if axes[i] in "CS"]
    found = math.prod(shape[i] for i in declared) * samples
    coloured = samples in (3, 4) and not declared and axes[-1] != "C"
    if coloured and channels in (1, None):
        raise BadInput(f"{name} {RGB_REMEDY}")
    mixed = len(declared) + (samples > 1) > 1
    if channels is None:
        if mixed:
            raise BadInput(_wrong_channels(name, found, 1, channel_names))
        channels = found
    if found > 1 and (found != channels or mixed):
        raise BadInput(_wrong_channels(name, found, channels, channel_names))
    # the axes of the channels; the first one may hold several groups of them
    held, groups = declared, 1
    if channels > found:
        held = _held(lead, shape, channels)
        if not held:
            raise BadInput(_too_few(name, axes, shape, lead, channels))
        groups = math.prod(shape[i] for i in held) // channels
        sizes = " x ".join(f"{axes[i]}={shape[i]}" for i in held)
        what = "raw frames" if channels in RAW_FRAMES else "channels"
        notes.append(
            f"the images along {sizes} were read as {groups} groups of {channels} "
            f"{what}, one group for a picture"
            if groups > 1
            else f"the images along {sizes} were read as the {channels} {what} of a "
            "picture"
        )

    # axis, length and stride of what counts frames
    rest = [(i, shape[i], strides[i]) for i in lead if i not in held]
    if groups > 1:
        first = held[0]
        rest.append((first, groups, strides[first] * shape[first] // groups))
        rest.sort()
    if len(rest) > 1:
        letters = " x ".join(f"{axes[i]}={size}" for i, size, _ in rest)
        notes.append(f"all of {letters} were read as frames, one after the other")
    return Layout(
        frame_sizes=tuple(size for _, size, _ in rest),
        frame_strides=tuple(stride for _, _, stride in rest),
        channels=channels,
        channel_stride=strides[held[-1]] if held else 0,
        notes=tuple(notes),
    )


def _held(lead: list[int], shape: tuple[int, ...], channels: int) -> list[int]:
    """Return the axes that hold channels nobody declared, none if there are none.

    In this order: the innermost axis of the wanted length; for raw frames, the
    innermost neighbours whose lengths multiply to it, and the innermost axis or
    neighbours that hold several groups without one that reaches across their edge.
    """
    lengths = [shape[i] for i in lead]
    stretches = [
        (first, last)
        for last in range(len(lead), 0, -1)
        for first in range(last - 1, -1, -1)
    ]
    products = {(a, b): math.prod(lengths[a:b]) for a, b in stretches}
    exact = [s for s in stretches if products[s] == channels]
    for first, last in sorted(exact, key=lambda s: s[1] - s[0] > 1):
        if last - first == 1 or channels in RAW_FRAMES:
            return lead[first:last]
    if channels in RAW_FRAMES:
        for first, last in stretches:
            inner = products.get((first + 1, last), 1)
            if products[first, last] % channels == 0 and channels % inner == 0:
                return lead[first:last]
    return []


def _too_few(
    name: str, axes: str, shape: tuple[int, ...], lead: list[int], channels: int
) -> str:
    """Say why no channels were found."""
    pages = math.prod(shape[i] for i in lead)
    if channels not in RAW_FRAMES:
        return (
            f"{name} has frames of one channel, {channels} channels are needed; "
            f"save them as one stack whose channel axis has length {channels}"
        )
    if pages % channels:
        what = "single image" if pages == 1 else f"stack of {pages} single images"
        return (
            f"{name} is a {what}, {channels} channels are needed: the raw frames of a "
            f"picture, so that the number of images is a multiple of {channels}; save "
            f"all {channels} raw frames of every picture one after the other"
        )
    sizes = " x ".join(f"{axes[i]}={shape[i]}" for i in lead)
    return (
        f"{name} has images along {sizes}, {channels} channels are needed: the raw "
        f"frames of a picture, in axes next to each other; save all {channels} raw "
        "frames of every picture one after the other"
    )


def _wrong_channels(
    name: str, found: int, channels: int, channel_names: tuple[str, ...]
) -> str:
    which = f" ({', '.join(channel_names)})" if len(channel_names) == found else ""
    if channels > 1:
        remedy = "save a stack with exactly those"
        if channels in RAW_FRAMES and found % channels == 0:
            remedy = (
                "if they are the raw frames of several pictures, declare the axis as "
                "frames (in Fiji: Image > Properties)"
            )
        return f"{name} has {found} channels{which}, {channels} are needed; {remedy}"
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


def array_axes(
    shape: tuple[int, ...],
    channels: int | None,
    name: str,
    *,
    dtype: np.dtype[np.generic] | None = None,
) -> str:
    """Return the axes of an array that does not declare any.

    The project's own order (t, y, x, c) wins where the last axis has the wanted number
    of channels or length one; otherwise channels before y are accepted, and every
    other leading axis counts frames.  Where any number of channels is welcome, a short
    last axis holds them.

    Parameters
    ----------
    shape
        Lengths of the axes.
    channels
        Wanted channels per frame; None for any number.
    name
        What to call the array in messages.
    dtype
        Type of a pixel; three or four channels of bytes are colours.

    Raises
    ------
    BadInput
        If the array has fewer than two axes or looks like a colour image.

    Examples
    --------
    >>> array_axes((100, 64, 64), 1, "movie"), array_axes((64, 64, 9), 9, "raw")
    ('QYX', 'YXC')
    >>> array_axes((100, 64, 64, 2), None, "two colours")
    'QYXC'
    """
    ndim = len(shape)
    if ndim < 2:
        raise BadInput(
            f"{name} has shape {shape}; an image (y, x) or a movie (t, y, x) is needed"
        )
    if ndim == 2:
        return "YX"
    last = "Q" * (ndim - 3) + "YXC"
    if shape[-1] in (1, channels):
        return last
    if channels not in (1, None) and shape[-3] == channels:
        return "Q" * (ndim - 3) + "CYX"
    if shape[-1] in (3, 4) and shape[-2] > 4:
        declared = ndim > 3 and dtype is not None and dtype.itemsize > 1
        if channels is None and declared:  # (t, y, x, c) of what no screen shows
            return last
        raise BadInput(f"{name} of shape {shape} {RGB_REMEDY}")
    if channels is None and shape[-1] <= MOST_CHANNELS < min(shape[-3:-1]):
        return last
    return "Q" * (ndim - 2) + "YX"
