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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import reduce
from itertools import pairwise, product

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


Tile = tuple[Span, ...]
"""One tile of a frame: a span along each of its letters of space."""


def blended(tile: Tile) -> bool:
    """Say whether the kept part of a tile overlaps with another's."""
    return any(span.blended for span in tile)


def seen(tile: Tile) -> tuple[slice, ...]:
    """Return the part of the frame that the network sees."""
    return tuple(slice(span.start, span.stop) for span in tile)


def _kept(tile: Tile, scales: Sequence[int]) -> tuple[slice, ...]:
    """Return the part of the frame's output that a tile supplies."""
    return tuple(
        slice(span.keep_start * scale, span.keep_stop * scale)
        for span, scale in zip(tile, scales, strict=True)
    )


def _inner(tile: Tile, scales: Sequence[int]) -> tuple[slice, ...]:
    """Return the part of a tile's own output that is kept."""
    return tuple(
        slice(
            (span.keep_start - span.start) * scale,
            (span.keep_stop - span.start) * scale,
        )
        for span, scale in zip(tile, scales, strict=True)
    )


def _weights(tile: Tile, scales: Sequence[int]) -> np.ndarray:
    """Return the share of a tile in the pixels that it keeps, ([z,] y, x, 1)."""
    along = [s.weights(scale) for s, scale in zip(tile, scales, strict=True)]
    return reduce(np.multiply.outer, along)[..., None].astype(np.float32)


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
    lengths: Sequence[int],
    *,
    tile: Sequence[int],
    halo: Sequence[int],
    step: Sequence[int] | None = None,
    overlap: Sequence[int] | None = None,
) -> list[Tile]:
    """Cover a frame with overlapping tiles of one shape.

    Parameters
    ----------
    lengths
        Size of the frame along each of its letters, px.
    tile
        Size of a tile, px.
    halo, step
        As in `plan_spans`, for each letter; steps of 1 if left out.
    overlap
        Where positive, tiles are blended along that letter as by `blended_spans`, and
        its halo and step do not matter.

    Returns
    -------
    list of Tile
        In C order.  Without blending, one tile supplies each output pixel.

    Examples
    --------
    >>> len(plan_tiles((100, 30), tile=(40, 40), halo=(4, 4)))
    3
    """
    ones, zeros = [1] * len(lengths), [0] * len(lengths)
    along = [
        blended_spans(length, tile=edge, overlap=over)
        if over
        else plan_spans(length, tile=edge, halo=margin, step=stride)
        for length, edge, margin, stride, over in zip(
            lengths, tile, halo, step or ones, overlap or zeros, strict=True
        )
    ]
    return list(product(*along))


def padded_length(length: int, *, minimum: int, step: int) -> int:
    """Return the smallest ``minimum + n * step`` that is not below `length`.

    Examples
    --------
    >>> padded_length(67, minimum=16, step=8), padded_length(67, minimum=1, step=1)
    (72, 67)
    """
    return minimum + max(0, -(-(length - minimum) // step)) * step


def cut_batches(
    frames: np.ndarray, tiles: list[Tile], batch: int
) -> Iterator[np.ndarray]:
    """Cut every frame into its tiles, holding only some of them at once.

    Parameters
    ----------
    frames : (b, [z,] y, x, c)
    tiles
        Tiles of one shape.
    batch
        Tiles at once; the last time there may be fewer.

    Yields
    ------
    crops : (batch, [z,] y, x, c)
        All tiles of the first frame, then of the second, and so on.
    """
    total = len(frames) * len(tiles)
    for start in range(0, total, batch):
        pairs = (divmod(i, len(tiles)) for i in range(start, min(start + batch, total)))
        yield np.stack([frames[frame][seen(tiles[number])] for frame, number in pairs])


def join(
    outputs: Iterable[np.ndarray],
    tiles: list[Tile],
    shape: Sequence[int],
    *,
    count: int,
    scales: Sequence[int],
) -> np.ndarray:
    """Put the outputs of tiles together; the inverse of cutting for the identity.

    Blended tiles are added with their weights, others put in place.

    Parameters
    ----------
    outputs
        Outputs of single tiles, ([z,] y, x, c), in the order of `cut_batches`.  A z
        that the tiles do not have is taken whole.  They are consumed one by one, so
        that they need not exist all at once.
    tiles
        The tiles that were cut.
    shape
        Size of the input frame along the letters of the tiles, px.
    count
        Number of frames.
    scales
        Output pixels per input pixel along these letters.

    Returns
    -------
    frames : (count, [z,] y, x, c) float32
    """
    joined = np.empty(0, np.float32)
    fading = any(map(blended, tiles))
    for i, output in enumerate(outputs):
        new = output.ndim - 1 - len(scales)
        if not i:
            fine = [n * scale for n, scale in zip(shape, scales, strict=True)]
            full = (count, *output.shape[:new], *fine, output.shape[-1])
            joined = (np.zeros if fading else np.empty)(full, np.float32)
        frame, number = divmod(i, len(tiles))
        tile, whole = tiles[number], (slice(None),) * new
        place = joined[frame][*whole, *_kept(tile, scales)]
        part = output[*whole, *_inner(tile, scales)]
        if fading:
            place += part * _weights(tile, scales)
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
