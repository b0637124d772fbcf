"""How the frames of a recording go through a network: whole or tiled, how many."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.predict.tiling import Tile, blended, padded_length, plan_tiles

MEMORY_BYTES = 900 * 10**6
"""What the layers of a network may take at once, about."""
BYTES_PER_OUTPUT_PIXEL = 800
"""Memory of the layers per output pixel: measured 770 for Deep-STORM in ONNX Runtime,
the most demanding network here, because it convolves on the fine grid."""
BYTES_PER_PLANE = 10
"""Further memory for every plane of depth that only the output has: DeepSTORM3D, whose
last layers are as wide as its volume is deep, takes 1.2 GB for a tile that counts as
0.9 GB, of which the volume itself is a sixth."""
UNDECLARED_HALO = 32
"""Overlap of tiles for packages that declare no halo, px."""
SMALLEST_FRAME = 8
"""Frames below this edge along y or x hold nothing that a network could use, px."""
PREFERRED_PIXELS = 2 * 64 * 64
"""Input pixels that are best given to the network at once."""


@dataclass(frozen=True)
class Plan:
    """How the frames of one recording go through the network."""

    tiles: list[Tile]
    """Tiles of a frame; a single one is the whole frame."""
    shape: tuple[int, ...]
    """Size after padding to one that the network takes, px."""
    offset: tuple[int, ...]
    """How much of the padding lies in front of the frame, px."""
    batch: int
    """Frames or tiles per call of the network."""
    chunk: int
    """Frames read at once."""
    seams: bool = False
    """Whether tiles meet where nobody knows if they agree."""

    @property
    def tile(self) -> tuple[int, ...]:
        """Size of what the network sees, px."""
        return tuple(span.stop - span.start for span in self.tiles[0])

    @property
    def blended(self) -> bool:
        """Whether tiles fade into each other."""
        return any(map(blended, self.tiles))


def make_plan(
    contract: Contract,
    sizes: Mapping[str, int],
    *,
    batch_size: int | None = None,
    tile: int | None = None,
) -> Plan:
    """Decide on tiles and batches for frames of a size.

    A frame is left whole if the network's layers then fit into `MEMORY_BYTES`;
    otherwise, or if `tile` says so, it is cut into tiles of equal size that overlap
    by twice the halo.  A size that the network does not take is padded at the end, and
    the output cropped.

    Where a network has a fixed size, tiles have it, too, blended where the package
    declares an overlap.  A smaller frame is continued on both sides to fill one.

    Parameters
    ----------
    contract
        What the network accepts.
    sizes
        Length of a frame along its letters of space, px.
    batch_size
        Frames or tiles per call; by default what the memory and `PREFERRED_PIXELS`
        suggest.
    tile
        Edge of a tile, px, where the size is free; letters along which the frame is
        shorter stay whole.  By default the largest that fits into `MEMORY_BYTES`.

    Raises
    ------
    BadInput
        If the frame is smaller than the network takes, a fixed size excepted, the
        tile is impossible, or a network without images in its output would need tiles.

    Examples
    --------
    >>> from zoo.inputs.frames import Frames
    >>> from zoo.tasks.density import Density
    >>> grid = Grid.square(scale=8, halo=4)
    >>> storm = Contract(grid=grid, input=Frames(), task=Density())
    >>> make_plan(storm, {"y": 128, "x": 128}).tile
    (128, 128)
    """
    grid = contract.grid
    letters = grid.space
    lengths = [sizes[letter] for letter in letters]
    axes = [grid.axes[letter] for letter in letters]
    least = [_least(axis, letter) for axis, letter in zip(axes, letters, strict=True)]
    if any(n < low for n, low in zip(lengths, least, strict=True)):
        raise BadInput(
            f"frames of {_times(lengths)} px are smaller than the {_times(least)} px "
            "that the package needs"
        )
    shape = [
        max(n, axis.size)
        if axis.size
        else padded_length(n, minimum=_shortest(axis, letter), step=axis.step)
        for n, axis, letter in zip(lengths, axes, letters, strict=True)
    ]
    offset = [
        (whole - n) // 2 if axis.size else 0
        for whole, n, axis in zip(shape, lengths, axes, strict=True)
    ]
    budget = _budget(grid)
    margin = contract.task.margin(grid)
    edges = _edges(contract, letters, shape, budget=budget, tile=tile, margin=margin)
    if not grid.output_space and (edges != shape or shape != lengths):
        raise BadInput(
            f"the package takes frames of {_times(edges)} px only, not "
            f"{_times(lengths)} px"
        )
    tiles = plan_tiles(
        shape,
        tile=edges,
        halo=[_halo(axis) + margin for axis in axes],
        # tiles of one size all hold whole steps, wherever they start
        step=[1 if axis.size else axis.step for axis in axes],
        overlap=[axis.overlap for axis in axes],
    )
    area = math.prod(map(min, edges, shape))
    if contract.batch is not None:
        batch = contract.batch
    elif batch_size is not None:
        batch = batch_size
    else:
        batch = max(1, min(round(PREFERRED_PIXELS / area), budget // area))
    within = max(1, budget // math.prod(shape))
    return Plan(
        tiles=tiles,
        shape=tuple(shape),
        offset=tuple(offset),
        batch=batch,
        chunk=batch if len(tiles) == 1 else min(batch, within),
        seams=any(
            edge < n and _disagrees(axis)
            for edge, n, axis in zip(edges, shape, axes, strict=True)
        ),
    )


def largest_batch(contract: Contract, plan: Plan) -> int:
    """Return the frames or tiles whose layers fit into `MEMORY_BYTES` at once."""
    return max(1, _budget(contract.grid) // math.prod(plan.tile))


def _shortest(axis: Axis, letter: str) -> int:
    """Return the smallest length that the network takes and a frame may have."""
    least = 1 if letter == "z" else SMALLEST_FRAME
    return padded_length(least, minimum=axis.minimum, step=axis.step)


def _least(axis: Axis, letter: str) -> int:
    """Return the smallest length of a frame; one of a fixed size is continued."""
    if axis.size:
        return 1 if letter == "z" else min(SMALLEST_FRAME, axis.size)
    return _shortest(axis, letter)


def _halo(axis: Axis) -> int:
    """Return the pixels at the edge of a tile whose output is not used."""
    if axis.halo is not None:
        return axis.halo
    return axis.size // 8 if axis.size else UNDECLARED_HALO


def _disagrees(axis: Axis) -> bool:
    """Tell whether nobody knows that neighbouring tiles agree along an axis."""
    return axis.halo is None or (
        axis.size is not None and not axis.halo and not axis.overlap
    )


def _budget(grid: Grid) -> int:
    """Return the input pixels of which all layers fit into the memory."""
    fine = math.prod(axis.scale for axis in grid.axes.values())
    per_pixel = BYTES_PER_OUTPUT_PIXEL + BYTES_PER_PLANE * (grid.planes or 0)
    return MEMORY_BYTES // (per_pixel * fine)


def _edges(
    contract: Contract,
    letters: str,
    shape: list[int],
    *,
    budget: int,
    tile: int | None,
    margin: int = 0,
) -> list[int]:
    """Return the size of tiles; along a letter that stays whole, that of the frame."""
    axes = [contract.grid.axes[letter] for letter in letters]
    edges = [axis.size or n for axis, n in zip(axes, shape, strict=True)]
    free = [i for i, axis in enumerate(axes) if axis.size is None]
    if tile is not None:
        plane = {letter: a.size for letter, a in contract.grid.axes.items() if a.size}
        if any(size != tile for letter, size in plane.items() if letter != "z"):
            raise BadInput(
                f"the package works on tiles of {_times(list(plane.values()))} px "
                f"only, not {tile}"
            )
        for i in free:
            edges[i] = _given_edge(axes[i], letters[i], shape[i], tile)
        return edges
    # letters that fit whole stay whole, the shortest first; the others share the rest
    left = budget / math.prod(edges[i] for i in range(len(edges)) if i not in free)
    if math.prod(shape[i] for i in free) <= left:
        return edges
    waiting = sorted(free, key=lambda i: shape[i])
    while waiting:
        i = waiting.pop(0)
        edge = math.floor(left ** (1 / (len(waiting) + 1)) + 1e-9)
        if shape[i] > edge:
            inner = _inner_edge(axes[i], letters[i], edge, margin)
            edges[i] = min(inner, shape[i])
        left /= edges[i]
    return edges


def _inner_edge(axis: Axis, letter: str, edge: int, margin: int) -> int:
    """Return an edge that the network takes, near one that the memory allows."""
    low = _shortest(axis, letter)
    edge = max(edge, low, 3 * (_halo(axis) + margin) + axis.step)
    return low + (edge - low) // axis.step * axis.step


def _given_edge(axis: Axis, letter: str, length: int, tile: int) -> int:
    """Return the edge of tiles that a user asked for, whole where that is shorter."""
    low = _shortest(axis, letter)
    if tile >= length:
        return length
    if tile < low or (tile - low) % axis.step:
        raise BadInput(
            f"a tile must be {low} px or more in steps of {axis.step} px, not {tile} px"
        )
    return tile


def _times(lengths: list[int]) -> str:
    return " x ".join(map(str, lengths))
