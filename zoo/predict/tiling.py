"""Cutting a frame into overlapping tiles and joining their outputs again.

A convolutional network looks at its input through a window; an output pixel
closer to a tile's edge than the network's halo would differ from that of the
whole frame.  Tiles therefore overlap, and only the part that no edge has touched
is kept.  At a true border of the frame nothing is cut away and nothing is padded:
there the tile ends where the frame ends, and the network's own border rule applies
exactly as it does for the whole frame.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from zoo.core.errors import BadInput


@dataclass(frozen=True)
class Span:
    """One tile along one axis: what is read and which part of it is kept, px."""

    start: int
    """First input pixel that the network sees."""
    stop: int
    """End of what the network sees."""
    keep_start: int
    """First input pixel whose output is kept."""
    keep_stop: int
    """End of what is kept."""


@dataclass(frozen=True)
class Tile:
    """One tile of a frame."""

    y: Span
    """Rows."""
    x: Span
    """Columns."""

    @property
    def read(self) -> tuple[slice, slice]:
        """Rows and columns of the frame that the network sees."""
        return slice(self.y.start, self.y.stop), slice(self.x.start, self.x.stop)

    def kept(self, scale: int) -> tuple[slice, slice]:
        """Rows and columns of the frame's output that this tile supplies."""
        return tuple(
            slice(s.keep_start * scale, s.keep_stop * scale) for s in (self.y, self.x)
        )  # type: ignore[return-value]

    def inner(self, scale: int) -> tuple[slice, slice]:
        """Rows and columns of the tile's own output that are kept."""
        return tuple(
            slice((s.keep_start - s.start) * scale, (s.keep_stop - s.start) * scale)
            for s in (self.y, self.x)
        )  # type: ignore[return-value]


def plan_spans(length: int, *, tile: int, halo: int, step: int = 1) -> list[Span]:
    """Cover one axis with tiles of equal length.

    All tiles are `tile` long (a shorter axis is one tile).  The first starts and
    the last ends at the border of the axis; tiles at a border take more of the
    interior rather than padding.  Starts are multiples of `step`, so that pooling
    inside the network sees the same phase everywhere.  The kept parts join without
    gap or overlap, each at least `halo` away from every inner edge.

    Parameters
    ----------
    length
        Length of the axis, px; where it exceeds `tile`, the difference must be a
        multiple of `step` (see `padded_length`).
    tile
        Length of a tile, px.
    halo
        Pixels at an inner edge of a tile whose output is not trusted.
    step
        Sizes and starts of tiles are multiples of this.

    Raises
    ------
    BadInput
        If a tile is too short to hold two halos and one step.

    Examples
    --------
    >>> [(s.start, s.stop) for s in plan_spans(100, tile=40, halo=4)]
    [(0, 40), (30, 70), (60, 100)]
    >>> [(s.keep_start, s.keep_stop) for s in plan_spans(100, tile=40, halo=4)]
    [(0, 35), (35, 65), (65, 100)]
    """
    if length <= tile:
        return [Span(0, length, 0, length)]
    stride = (tile - 2 * halo) // step * step
    if stride < 1:
        raise BadInput(
            f"a tile must exceed twice the halo of {halo} px by at least {step} px, "
            f"not {tile} px; use --tile {2 * halo + max(step, halo, 1)} or more"
        )
    if (length - tile) % step:
        raise ValueError(
            f"length - tile must be a multiple of step {step}, not {length - tile}"
        )
    units = (length - tile) // step
    count = -(-units * step // stride)
    starts = [units * i // count * step for i in range(count + 1)]
    # the seam lies in the middle of the overlap, as far from both edges as possible
    seams = [(a + tile + b) // 2 for a, b in pairwise(starts)]
    edges = [0, *seams, length]
    return [
        Span(start, start + tile, edges[i], edges[i + 1])
        for i, start in enumerate(starts)
    ]


def plan_tiles(
    height: int, width: int, *, tile: int | tuple[int, int], halo: int, step: int = 1
) -> list[Tile]:
    """Cover a frame with overlapping tiles of one shape.

    Parameters
    ----------
    height, width
        Size of the frame, px.
    tile
        Edge of a tile, or its ``(height, width)``, px.
    halo, step
        As in `plan_spans`.

    Returns
    -------
    list of Tile
        Row by row.  Each output pixel is supplied by exactly one tile.

    Examples
    --------
    >>> len(plan_tiles(100, 30, tile=40, halo=4))
    3
    """
    tall, wide = (tile, tile) if isinstance(tile, int) else tile
    rows = plan_spans(height, tile=tall, halo=halo, step=step)
    columns = plan_spans(width, tile=wide, halo=halo, step=step)
    return [Tile(y, x) for y in rows for x in columns]


def padded_length(length: int, *, minimum: int, step: int) -> int:
    """Return the smallest ``minimum + n * step`` that is not below `length`.

    Examples
    --------
    >>> padded_length(67, minimum=16, step=8), padded_length(67, minimum=1, step=1)
    (72, 67)
    """
    return minimum + max(0, -(-(length - minimum) // step)) * step


def cut(frames: np.ndarray, tiles: list[Tile]) -> np.ndarray:
    """Cut every frame into its tiles.

    Parameters
    ----------
    frames : (b, y, x, c)
    tiles
        Tiles of one shape.

    Returns
    -------
    crops : (b * len(tiles), y, x, c)
        All tiles of the first frame, then of the second, and so on.
    """
    return np.stack([frame[tile.read] for frame in frames for tile in tiles])


def join(
    outputs: Iterable[np.ndarray],
    tiles: list[Tile],
    shape: tuple[int, int],
    *,
    count: int,
    scale: int,
) -> np.ndarray:
    """Put the outputs of `cut` tiles together; its inverse for the identity.

    Parameters
    ----------
    outputs
        Outputs of single tiles, (y * scale, x * scale, c), in the order of `cut`.
        They are consumed one by one, so that they need not exist all at once.
    tiles
        The tiles that were cut.
    shape
        ``(height, width)`` of the input frame, px.
    count
        Number of frames.
    scale
        Output pixels per input pixel.

    Returns
    -------
    frames : (count, height * scale, width * scale, c) float32
    """
    joined = np.empty(0, np.float32)
    for i, output in enumerate(outputs):
        if not i:
            height, width = shape
            full = (count, height * scale, width * scale, output.shape[-1])
            joined = np.empty(full, np.float32)
        frame, number = divmod(i, len(tiles))
        tile = tiles[number]
        joined[frame][tile.kept(scale)] = output[tile.inner(scale)]
    return joined
