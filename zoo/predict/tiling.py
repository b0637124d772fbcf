"""Cutting a frame into overlapping tiles and joining their outputs again.

A convolutional network looks at its input through a window; an output pixel
closer to a tile's edge than the network's halo would differ from that of the
whole frame.  Tiles therefore overlap, and only the part that no edge has touched
is kept.  At a true border of the frame nothing is cut away and nothing is padded:
there the tile ends where the frame ends, and the network's own border rule applies
exactly as it does for the whole frame.

A network that looks at its whole field has no halo: the outputs of two tiles differ
wherever they overlap.  Its tiles are blended, so that one fades into the next.
"""

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from zoo.core.errors import BadInput

UNTRUSTED = 0.25
"""Share of an overlap at the edge of a tile that gets no weight when blending: what
lies outside the tile is missing there."""


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
    fade_in: tuple[float, float] | None = None
    """Where the tile takes over from the one before it, positions along the axis, px;
    None for no blending."""
    fade_out: tuple[float, float] | None = None
    """Where the tile after it takes over, px; None for no blending."""

    @property
    def blended(self) -> bool:
        """Whether the kept part overlaps with another tile's."""
        return self.fade_in is not None or self.fade_out is not None

    def weights(self, scale: int) -> np.ndarray:
        """Return the share of this tile in every output pixel that it keeps.

        Over all tiles of an axis the shares sum to one: each is the share of "this
        tile or a later one" less that of "a later one", even where three overlap.

        Parameters
        ----------
        scale
            Output pixels per input pixel.

        Returns
        -------
        weights : ((keep_stop - keep_start) * scale,) float64

        Examples
        --------
        >>> first, second = blended_spans(12, tile=8, overlap=4)
        >>> first.weights(1).round(2).tolist()
        [1.0, 1.0, 1.0, 1.0, 1.0, 0.85, 0.15]
        >>> second.weights(1).round(2).tolist()
        [0.15, 0.85, 1.0, 1.0, 1.0, 1.0, 1.0]
        """
        fine = np.arange(self.keep_start * scale, self.keep_stop * scale)
        centres = (fine + 0.5) / scale
        share = np.ones(len(fine))
        if self.fade_in is not None:
            share = _rise(centres, self.fade_in)
        return share if self.fade_out is None else share - _rise(centres, self.fade_out)


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

    @property
    def blended(self) -> bool:
        """Whether the kept part overlaps with another tile's."""
        return self.y.blended or self.x.blended

    def weights(self, scale: int) -> np.ndarray:
        """Return the share of this tile in every output pixel that it keeps.

        Returns
        -------
        weights : (y, x, 1) float32
        """
        product = np.outer(self.y.weights(scale), self.x.weights(scale))
        return product[..., None].astype(np.float32)


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
    starts = _starts(length, tile, stride, step)
    # the seam lies in the middle of the overlap, as far from both edges as possible
    seams = [(a + tile + b) // 2 for a, b in pairwise(starts)]
    edges = [0, *seams, length]
    return [
        Span(start, start + tile, edges[i], edges[i + 1])
        for i, start in enumerate(starts)
    ]


def blended_spans(length: int, *, tile: int, overlap: int) -> list[Span]:
    """Cover one axis with tiles of equal length that fade into each other.

    Tiles are placed as by `plan_spans`, neighbours overlapping by `overlap` or more.
    The outermost quarter of an overlap, on either side, is not used; between the
    quarters one tile fades out as the other fades in.  At the border of the axis a
    tile counts in full.

    Parameters
    ----------
    length
        Length of the axis, px.
    tile
        Length of a tile, px.
    overlap
        Least overlap of neighbouring tiles, px.

    Raises
    ------
    ValueError
        If the overlap is not between 1 and ``tile - 1``.

    Examples
    --------
    >>> first, second = blended_spans(100, tile=64, overlap=16)
    >>> first.fade_out == second.fade_in, second.fade_in, (second.start, first.stop)
    (True, (43.0, 57.0), (36, 64))
    """
    if not 0 < overlap < tile:
        raise ValueError(f"overlap must be 1 to {tile - 1} px, not {overlap}")
    if length <= tile:
        return [Span(0, length, 0, length)]
    starts = _starts(length, tile, tile - overlap, 1)
    fades: list[tuple[float, float] | None] = [None]
    for before, after in pairwise(starts):
        margin = UNTRUSTED * (before + tile - after)
        fades.append((after + margin, before + tile - margin))
    fades.append(None)
    return [
        Span(
            start,
            start + tile,
            0 if rise is None else math.floor(rise[0]),
            length if fall is None else math.ceil(fall[1]),
            rise,
            fall,
        )
        for start, (rise, fall) in zip(starts, pairwise(fades), strict=True)
    ]


def plan_tiles(
    height: int,
    width: int,
    *,
    tile: int | tuple[int, int],
    halo: int = 0,
    step: int = 1,
    overlap: int = 0,
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
    overlap
        If positive, tiles are blended as by `blended_spans`, and `halo` and `step`
        do not matter.

    Returns
    -------
    list of Tile
        Row by row.  Without blending, one tile supplies each output pixel.

    Examples
    --------
    >>> len(plan_tiles(100, 30, tile=40, halo=4))
    3
    """
    tall, wide = (tile, tile) if isinstance(tile, int) else tile
    if overlap:
        rows = blended_spans(height, tile=tall, overlap=overlap)
        columns = blended_spans(width, tile=wide, overlap=overlap)
    else:
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


def cut_batches(
    frames: np.ndarray, tiles: list[Tile], batch: int
) -> Iterator[np.ndarray]:
    """Cut as `cut` does, holding only some tiles at once.

    Parameters
    ----------
    frames : (b, y, x, c)
    tiles
        Tiles of one shape.
    batch
        Tiles at once; the last time there may be fewer.

    Yields
    ------
    crops : (batch, y, x, c)
    """
    total = len(frames) * len(tiles)
    for start in range(0, total, batch):
        pairs = (divmod(i, len(tiles)) for i in range(start, min(start + batch, total)))
        yield np.stack([frames[frame][tiles[number].read] for frame, number in pairs])


def join(
    outputs: Iterable[np.ndarray],
    tiles: list[Tile],
    shape: tuple[int, int],
    *,
    count: int,
    scale: int,
) -> np.ndarray:
    """Put the outputs of `cut` tiles together; its inverse for the identity.

    Blended tiles are added with their weights, others put in place.

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
    blended = any(tile.blended for tile in tiles)
    for i, output in enumerate(outputs):
        if not i:
            height, width = shape
            full = (count, height * scale, width * scale, output.shape[-1])
            joined = (np.zeros if blended else np.empty)(full, np.float32)
        frame, number = divmod(i, len(tiles))
        tile = tiles[number]
        place, part = joined[frame][tile.kept(scale)], output[tile.inner(scale)]
        if blended:
            place += part * tile.weights(scale)
        else:
            place[...] = part
    return joined


def _starts(length: int, tile: int, stride: int, step: int) -> list[int]:
    """Return where tiles begin, evenly spread, from border to border."""
    units = (length - tile) // step
    count = -(-units * step // stride)
    return [units * i // count * step for i in range(count + 1)]


def _rise(positions: np.ndarray, between: tuple[float, float]) -> np.ndarray:
    """Go smoothly from 0 to 1 between two positions, as half a cosine wave does."""
    low, high = between
    progress = np.clip((positions - low) / (high - low), 0.0, 1.0)
    return 0.5 - 0.5 * np.cos(np.pi * progress)
