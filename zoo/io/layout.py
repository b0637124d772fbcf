"""Which axes of a recording count frames, which one is depth, which one channels.

A recording is seen as a row of *planes* (y, x), or (y, x, s) where samples are stored
interleaved.  The axes before y and x number the planes in C order; this module says
what each of them is and where the planes of a frame lie.
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
    outer
        The same as letters: ``t``, then perhaps ``z``, with their lengths.
    channels
        Channels of a frame.
    channel_stride
        Planes from one channel to the next; 0 if they are interleaved in a plane.
    depth, depth_stride
        Planes of depth in a frame and the step from one to the next; None for frames
        that are single images.
    notes
        Decisions that a user should hear of.
    """

    frame_sizes: tuple[int, ...]
    frame_strides: tuple[int, ...]
    outer: tuple[tuple[str, int], ...]
    channels: int
    channel_stride: int
    depth: int | None = None
    depth_stride: int = 0
    notes: tuple[str, ...] = ()

    @property
    def frames(self) -> int:
        """Number of frames."""
        return math.prod(self.frame_sizes)

    def planes(self, start: int, stop: int) -> NDArray[np.intp]:
        """Return the plane numbers of frames ``start`` to ``stop``, (t, [z,] c).

        Interleaved channels share one plane; c is then 1.
        """
        numbers = np.zeros(stop - start, np.intp)
        frames = np.arange(start, stop)
        for size, stride in zip(
            reversed(self.frame_sizes), reversed(self.frame_strides), strict=True
        ):
            frames, position = np.divmod(frames, size)
            numbers += position * stride
        if self.depth is not None:
            numbers = numbers[:, None] + np.arange(self.depth) * self.depth_stride
        count = self.channels if self.channel_stride else 1
        return numbers[..., None] + np.arange(count) * self.channel_stride


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
    depth: bool = False,
    group: str | None = None,
    channel_names: tuple[str, ...] = (),
) -> Layout:
    """Decide which axes count frames, which one is depth and which one channels.

    Axes of length one are dropped.  A channel axis (``C``, or samples ``S``) must have
    the wanted length.  Where several channels are wanted and the file declares none,
    the innermost axis of that length is taken for them; with `group`, so are
    neighbouring axes whose lengths multiply to it, and groups that follow each other
    along an axis.  Z is depth.  All other axes, T or unknown, are time, in the order of
    the file.

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
    depth
        Whether a frame is a volume.  Without a Z axis, the innermost of those that
        would count frames is taken for its depth.  Otherwise depth counts frames, too:
        the planes of one time follow each other.
    group
        What images are called that are the channels of one frame without the file
        saying so, such as ``raw frames``.
    channel_names
        Names that the file gives to its channels.

    Raises
    ------
    BadInput
        If the recording is empty or its channels are not the wanted ones.

    Examples
    --------
    >>> plan("TZCYX", (5, 3, 1, 64, 64), channels=1, name="a movie").outer
    (('t', 5), ('z', 3))
    >>> layout = plan("TYX", (6, 9, 9), channels=3, name="a movie", group="exposures")
    >>> layout.frames, layout.planes(1, 2).tolist()
    (2, [[3, 4, 5]])
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
            raise BadInput(_wrong_channels(name, found, 1, channel_names, group))
        channels = found
    if found > 1 and (found != channels or mixed):
        raise BadInput(_wrong_channels(name, found, channels, channel_names, group))
    # the axes of the channels; the first one may hold several groups of them
    held, groups = declared, 1
    if channels > found:
        free = [i for i in lead if not (depth and axes[i] == "Z")]
        held = _held(free, shape, channels, grouped=group is not None)
        if not held:
            raise BadInput(_too_few(name, axes, shape, free, channels, group))
        groups = math.prod(shape[i] for i in held) // channels
        sizes = " x ".join(f"{axes[i]}={shape[i]}" for i in held)
        what = group or "channels"
        notes.append(
            f"the images along {sizes} were read as {groups} groups of {channels} "
            f"{what}, one group for an image"
            if groups > 1
            else f"the images along {sizes} were read as the {channels} {what} of an "
            "image"
        )

    # axis, length and stride of what counts frames
    rest = [(i, shape[i], strides[i]) for i in lead if i not in held]
    if groups > 1:
        first = held[0]
        rest.append((first, groups, strides[first] * shape[first] // groups))
        rest.sort()
    planes: tuple[int, int] | None = None
    if depth:
        rest, planes, note = _depth(axes[:y], rest)
        notes += note
    if len(rest) > 1:
        letters = " x ".join(f"{axes[i]}={size}" for i, size, _ in rest)
        notes.append(f"all of {letters} were read as frames, one after the other")
    times = [(size, stride) for i, size, stride in rest if axes[i] != "Z"]
    slices = [(size, stride) for i, size, stride in rest if axes[i] == "Z"]
    outer = [("t", math.prod(size for size, _ in times))]
    if slices:
        outer.append(("z", math.prod(size for size, _ in slices)))
    return Layout(
        frame_sizes=tuple(size for size, _ in times + slices),
        frame_strides=tuple(stride for _, stride in times + slices),
        outer=tuple(outer),
        channels=channels,
        channel_stride=strides[held[-1]] if held else 0,
        depth=None if planes is None else planes[0],
        depth_stride=0 if planes is None else planes[1],
        notes=tuple(notes),
    )


_Axes = list[tuple[int, int, int]]


def _depth(axes: str, rest: _Axes) -> tuple[_Axes, tuple[int, int], list[str]]:
    """Take the depth of volumes from the axes that are left; length and stride."""
    among = [axis for axis in rest if axes[axis[0]] == "Z"]
    notes: list[str] = []
    if not among and "Z" not in axes and rest:
        among = rest
        place, size, _ = rest[-1]
        notes.append(
            f"the images along {axes[place]}={size} were read as the planes of a volume"
        )
    if not among:
        return rest, (1, 0), notes
    chosen = among[-1]
    return [axis for axis in rest if axis != chosen], chosen[1:], notes


def _held(
    lead: list[int], shape: tuple[int, ...], channels: int, *, grouped: bool
) -> list[int]:
    """Return the axes that hold channels nobody declared, none if there are none.

    In this order: the innermost axis of the wanted length; where images are grouped,
    the innermost neighbours whose lengths multiply to it, and the innermost axis or
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
        if last - first == 1 or grouped:
            return lead[first:last]
    if grouped:
        for first, last in stretches:
            inner = products.get((first + 1, last), 1)
            if products[first, last] % channels == 0 and channels % inner == 0:
                return lead[first:last]
    return []


def _too_few(
    name: str,
    axes: str,
    shape: tuple[int, ...],
    lead: list[int],
    channels: int,
    group: str | None,
) -> str:
    """Say why no channels were found."""
    pages = math.prod(shape[i] for i in lead)
    if group is None:
        return (
            f"{name} has frames of one channel, {channels} channels are needed; "
            f"save them as one stack whose channel axis has length {channels}"
        )
    remedy = f"save all {channels} {group} of every image one after the other"
    if pages % channels:
        what = "single image" if pages == 1 else f"stack of {pages} single images"
        return (
            f"{name} is a {what}, {channels} channels are needed: the {group} of an "
            f"image, so that the number of images is a multiple of {channels}; {remedy}"
        )
    sizes = " x ".join(f"{axes[i]}={shape[i]}" for i in lead)
    return (
        f"{name} has images along {sizes}, {channels} channels are needed: the "
        f"{group} of an image, in axes next to each other; {remedy}"
    )


def _wrong_channels(
    name: str,
    found: int,
    channels: int,
    channel_names: tuple[str, ...],
    group: str | None,
) -> str:
    which = f" ({', '.join(channel_names)})" if len(channel_names) == found else ""
    if channels > 1:
        remedy = "save a stack with exactly those"
        if group is not None and found % channels == 0:
            remedy = (
                f"if they are the {group} of several images, declare the axis as "
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
