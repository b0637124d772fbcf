"""Frames through preprocessing, network and postprocessing."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from zoo.core.errors import BadPackage
from zoo.core.processing import Operation, apply
from zoo.predict.contract import Contract
from zoo.predict.engines import Engine
from zoo.predict.normalise import MovieScale
from zoo.predict.plan import Plan
from zoo.predict.tiling import cut_batches, join

RESCALING = frozenset({"scale_range"})
"""Declared steps that a scale for the whole recording takes the place of."""
_POINTWISE = frozenset(
    {
        "clip",
        "scale_linear",
        "fixed_zero_mean_unit_variance",
        "sigmoid",
        "ensure_dtype",
    }
)
_STRIP_PIXELS = 2**20


def forward(
    engine: Engine,
    contract: Contract,
    frames: np.ndarray,
    *,
    plan: Plan,
    scale: MovieScale | None = None,
) -> np.ndarray:
    """Run a network with its declared processing on frames.

    Statistics of the processing are those of whole frames, each on its own and before
    any padding; the result is therefore independent of how frames are grouped into
    batches and, where the network looks no further than its halo, cut into tiles.

    Parameters
    ----------
    engine
        The network.
    contract
        What it accepts and how its tensors are processed.
    frames : (b, y, x, c)
        Frames as the camera gives them.
    plan
        Tiles and batches.
    scale
        Scale of the recording, in place of the declared rescaling.

    Returns
    -------
    output : (b, Y, X, C) float32

    Raises
    ------
    BadPackage
        If the network's output is not what its description promises.
    """
    count, height, width, _ = frames.shape
    before = contract.preprocessing
    if scale is not None:
        frames = scale.apply(frames)
        before = tuple(op for op in before if operation_name(op) not in RESCALING)
    ready = np.concatenate([apply(before, f[None], "byxc") for f in frames])
    ready = ready.astype(np.float32, copy=False)
    if plan.shape != (height, width):
        margins = [
            (before, padded - size - before)
            for before, padded, size in zip(
                plan.offset, plan.shape, (height, width), strict=True
            )
        ]
        # mirrored stripes would run another way: raw frames repeat their last pixel
        mode = "symmetric" if contract.frame_order is None else "edge"
        ready = np.pad(ready, ((0, 0), *margins, (0, 0)), mode=mode)
    batches = _calls(engine, contract, cut_batches(ready, plan.tiles, plan.batch))
    if len(plan.tiles) == 1:
        whole = list(batches)
        output = whole[0] if len(whole) == 1 else np.concatenate(whole)
    else:
        output = join(
            (tile for batch in batches for tile in batch),
            plan.tiles,
            plan.shape,
            count=count,
            scale=contract.scale,
        )
    top, left = (before * contract.scale for before in plan.offset)
    rows, columns = height * contract.scale, width * contract.scale
    output = output[:, top : top + rows, left : left + columns]
    return _finished(output, contract.postprocessing)


def operation_name(operation: Operation) -> str:
    """Return the name of a declared step, in the spelling of either format."""
    return str(operation.get("id", operation.get("name", "")))


def _calls(
    engine: Engine, contract: Contract, batches: Iterable[np.ndarray]
) -> Iterator[np.ndarray]:
    """Run the network on successive batches and check what comes back."""
    for part in batches:
        given = len(part)
        if contract.batch is not None and given < contract.batch:
            missing = contract.batch - given
            part = np.concatenate([part, part[-1:].repeat(missing, axis=0)])
        output = engine(part)[:given]
        expected = (given, *(size * contract.scale for size in part.shape[1:3]))
        if output.shape[:3] != expected:
            raise BadPackage(
                f"the network turned a batch of shape {part.shape} into "
                f"{output.shape}; its description promises {expected} for b, y, x"
            )
        yield output


def _finished(output: np.ndarray, operations: Sequence[Operation]) -> np.ndarray:
    """Apply the postprocessing to each image."""
    if not operations:
        return output
    pointwise = all(
        operation_name(op) in _POINTWISE
        and not any("percentile" in key for key in op.get("kwargs") or {})
        for op in operations
    )
    # processing computes in float64; strips keep that from filling the memory
    _, height, width, channels = output.shape
    rows = max(1, _STRIP_PIXELS // (width * channels)) if pointwise else height
    finished = np.empty(output.shape, np.float32)
    for image, target in zip(output, finished, strict=True):
        for y in range(0, height, rows):
            strip = apply(operations, image[None, y : y + rows], "byxc")
            target[y : y + rows] = strip[0]
    return finished
