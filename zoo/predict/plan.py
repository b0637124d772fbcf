"""How the frames of a recording go through a network: whole or tiled, how many."""

import math
from dataclasses import dataclass

from zoo.core.errors import BadInput
from zoo.predict.contract import SMALLEST_FRAME, Contract
from zoo.predict.tiling import Tile, padded_length, plan_tiles

MEMORY_BYTES = 900 * 10**6
"""What the layers of a network may take at once, about."""
BYTES_PER_OUTPUT_PIXEL = 800
"""Memory of the layers per output pixel: measured 770 for Deep-STORM in ONNX Runtime,
the most demanding network here, because it convolves on the fine grid."""
UNDECLARED_HALO = 32
"""Overlap of tiles for packages that declare no halo, px."""
REFERENCE_PIXELS = 64 * 64
"""Size of the frame that a package's preferred batch refers to, px."""


@dataclass(frozen=True)
class Plan:
    """How the frames of one recording go through the network."""

    tiles: list[Tile]
    """Tiles of a frame; a single one is the whole frame."""
    shape: tuple[int, int]
    """Height and width after padding to a size that the network takes, px."""
    batch: int
    """Frames or tiles per call of the network."""
    chunk: int
    """Frames read at once."""
    offset: tuple[int, int] = (0, 0)
    """How much of the padding lies above and to the left of the frame, px."""

    @property
    def tile(self) -> tuple[int, int]:
        """Height and width of what the network sees, px."""
        first = self.tiles[0]
        return first.y.stop - first.y.start, first.x.stop - first.x.start

    @property
    def blended(self) -> bool:
        """Whether tiles fade into each other."""
        return any(tile.blended for tile in self.tiles)


def make_plan(
    contract: Contract,
    height: int,
    width: int,
    *,
    batch_size: int | None = None,
    tile: int | None = None,
) -> Plan:
    """Decide on tiles and batches for frames of a size.

    A frame is left whole if the network's layers then fit into `MEMORY_BYTES`;
    otherwise, or if `tile` says so, it is cut into tiles of equal size that overlap
    by twice the halo.  A size that the network does not take is padded at the end by
    mirroring, and the output cropped.

    A network of a fixed size gets tiles of that size, blended where the package
    declares an overlap.  A smaller frame is mirrored on all sides to fill one.

    Parameters
    ----------
    contract
        What the network accepts.
    height, width
        Size of a frame, px.
    batch_size
        Frames or tiles per call; by default the package's preference, scaled by
        area and limited by `MEMORY_BYTES`.
    tile
        Edge of a tile, px; by default the largest that fits into `MEMORY_BYTES`.

    Raises
    ------
    BadInput
        If the frame is smaller than the network takes, a fixed size excepted, or
        the tile is impossible.

    Examples
    --------
    >>> storm = Contract(task="density", scale=8, halo=4)
    >>> make_plan(storm, 128, 128).tile, make_plan(storm, 256, 300).tile
    ((128, 128), (132, 132))
    """
    fixed, step, minimum = contract.fixed, contract.step, contract.minimum
    least = SMALLEST_FRAME if fixed else minimum
    if height < least or width < least:
        raise BadInput(
            f"frames of {height} x {width} px are smaller than the {least} x {least} "
            "px that the package needs"
        )
    offset = (0, 0)
    budget = MEMORY_BYTES // (BYTES_PER_OUTPUT_PIXEL * contract.scale**2)
    if fixed:
        if tile is not None and (tile, tile) != fixed:
            raise BadInput(
                f"the package works on tiles of {fixed[0]} x {fixed[1]} px only, "
                f"not {tile}"
            )
        shape, edges = (max(height, fixed[0]), max(width, fixed[1])), fixed
        offset = ((shape[0] - height) // 2, (shape[1] - width) // 2)
        # tiles of one size all hold whole steps, wherever they start
        step = 1
        halo = min(fixed) // 8 if contract.halo is None else contract.halo
    else:
        shape = (
            padded_length(height, minimum=minimum, step=step),
            padded_length(width, minimum=minimum, step=step),
        )
        halo = UNDECLARED_HALO if contract.halo is None else contract.halo
        if tile is not None:
            if tile < minimum or (tile - minimum) % step:
                raise BadInput(
                    f"a tile must be {minimum} px or more in steps of {step} px, "
                    f"not {tile} px"
                )
            edge = tile
        elif shape[0] * shape[1] <= budget:
            edge = max(shape)
        else:
            edge = max(math.isqrt(budget), minimum, 3 * halo + step)
            edge = minimum + (edge - minimum) // step * step
        edges = (edge, edge)
    overlap = contract.overlap if fixed else 0
    tiles = plan_tiles(*shape, tile=edges, halo=halo, step=step, overlap=overlap)
    area = math.prod(min(a, b) for a, b in zip(edges, shape, strict=True))
    if contract.batch is not None:
        batch = contract.batch
    elif batch_size is not None:
        batch = batch_size
    else:
        preferred = contract.preferred_batch * REFERENCE_PIXELS / area
        batch = max(1, min(round(preferred), budget // area))
    within = max(1, budget // (shape[0] * shape[1]))
    chunk = batch if len(tiles) == 1 else min(batch, within)
    return Plan(tiles=tiles, shape=shape, batch=batch, chunk=chunk, offset=offset)
