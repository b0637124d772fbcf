"""Frames through preprocessing, network and postprocessing."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.parts import Part
from zoo.core.processing import Operation, apply
from zoo.inputs.recording import RESCALING
from zoo.predict.engines import Engine
from zoo.predict.plan import Plan
from zoo.predict.tiling import cut_batches, join

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

Knowledge = Callable[[int, tuple[int, ...], tuple[int, ...]], np.ndarray | None]
"""See `zoo.core.contract.Recording.knowledge`."""


def forward(
    engine: Engine,
    contract: Contract,
    frames: np.ndarray,
    *,
    plan: Plan,
    scaled: bool = False,
    first: int = 0,
    knowledge: Knowledge | None = None,
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
    frames : (b, [z,] y, x, c)
        Frames as the camera gives them.
    plan
        Tiles and batches.
    scaled
        Whether frames have a scale of the recording in place of the declared one.
    first
        Frames of the recording before these.
    knowledge
        What is known of the recording for a tile, see
        `zoo.core.contract.Recording.knowledge`.

    Returns
    -------
    output : (b, [z,] y, x, c) float32, (b, c) for vectors

    Raises
    ------
    BadPackage
        If the network's output is not what its description promises, or not finite.
    """
    grid = contract.grid
    count, *sizes, _ = frames.shape
    batches = _batches(
        engine,
        contract,
        frames,
        plan=plan,
        scaled=scaled,
        first=first,
        knowledge=knowledge,
    )
    scales = [grid.scale(letter) for letter in grid.space]
    if len(plan.tiles) == 1:
        whole = list(batches)
        output = whole[0] if len(whole) == 1 else np.concatenate(whole)
    else:
        output = join(
            (tile for batch in batches for tile in batch),
            plan.tiles,
            plan.shape,
            count=count,
            scales=scales,
        )
    if grid.output_space:
        new = (slice(None),) * (output.ndim - 2 - len(scales))
        part = tuple(
            slice(front * scale, (front + size) * scale)
            for front, size, scale in zip(plan.offset, sizes, scales, strict=True)
        )
        output = output[:, *new, *part]
    _require_finite(output, first, "the network's output")
    finished = _finished(output, contract.after, f"b{grid.output_space}c")
    if finished is not output:
        _require_finite(finished, first, "the postprocessed output")
    return finished


def forward_parts(
    engine: Engine,
    contract: Contract,
    frames: np.ndarray,
    *,
    plan: Plan,
    scaled: bool = False,
    first: int = 0,
    knowledge: Knowledge | None = None,
) -> Iterator[Part]:
    """Run a network on frames and yield its output tile by tile.

    Every pixel of an output lies in the kept part of just one tile; around it a tile
    holds the margin that the task asks for, as far as the frame reaches.  Outputs are
    those of `forward`.

    Parameters
    ----------
    engine, contract, frames, plan, scaled, first, knowledge
        As for `forward`.

    Raises
    ------
    BadPackage
        As `forward`.
    """
    grid = contract.grid
    _, *sizes, _ = frames.shape
    scales = [grid.scale(letter) for letter in grid.space]
    beyond = contract.task.margin(grid)
    batches = _batches(
        engine,
        contract,
        frames,
        plan=plan,
        scaled=scaled,
        first=first,
        knowledge=knowledge,
    )
    for i, output in enumerate(tile for batch in batches for tile in batch):
        frame, number = divmod(i, len(plan.tiles))
        new = output.ndim - 1 - len(scales)
        whole = tuple(slice(0, n) for n in output.shape[:new])
        start, inner, kept = [0] * new, list(whole), list(whole)
        for span, front, size, scale in zip(
            plan.tiles[number], plan.offset, sizes, scales, strict=True
        ):
            low, high = front, front + size  # the frame within its padding
            begin = min(max(span.start, span.keep_start - beyond, low), high)
            end = max(min(span.stop, span.keep_stop + beyond, high), begin)
            keep = [min(max(n, begin), end) for n in (span.keep_start, span.keep_stop)]
            start.append((begin - front) * scale)
            inner.append(
                slice((begin - span.start) * scale, (end - span.start) * scale)
            )
            kept.append(slice(*((n - begin) * scale for n in keep)))
        values = output[*inner][None]
        _require_finite(values, first + frame, "the network's output")
        finished = _finished(values, contract.after, f"b{grid.output_space}c")
        if finished is not values:
            _require_finite(finished, first + frame, "the postprocessed output")
        yield Part(frame, tuple(start), tuple(kept), finished[0])


def comes_in_parts(contract: Contract, plan: Plan) -> bool:
    """Say whether outputs can be handed on tile by tile: pixel by pixel processed."""
    tiled = len(plan.tiles) > 1 and not plan.blended
    return tiled and bool(contract.grid.output_space) and _pointwise(contract.after)


def _batches(
    engine: Engine,
    contract: Contract,
    frames: np.ndarray,
    *,
    plan: Plan,
    scaled: bool,
    first: int,
    knowledge: Knowledge | None,
) -> Iterator[np.ndarray]:
    """Run the network on the tiles of preprocessed frames, batch by batch."""
    grid = contract.grid
    count, *sizes, _ = frames.shape
    before = contract.before
    if scaled:
        before = tuple(step for step in before if step["id"] not in RESCALING)
    axes = f"b{grid.space}c"
    ready = np.concatenate([apply(before, f[None], axes) for f in frames])
    ready = ready.astype(np.float32, copy=False)
    if plan.shape != tuple(sizes):
        margins = [
            (front, whole - size - front)
            for front, whole, size in zip(plan.offset, plan.shape, sizes, strict=True)
        ]
        mode: Any = contract.input.border
        ready = np.pad(ready, ((0, 0), *margins, (0, 0)), mode=mode)
    rows = None
    if knowledge is not None and engine.enterable:
        rows = _rows(knowledge, plan, first=first, count=count)
    return _calls(engine, contract, cut_batches(ready, plan.tiles, plan.batch), rows)


def _require_finite(output: np.ndarray, first: int, what: str) -> None:
    """Refuse an output with NaN or infinite values."""
    for number, image in enumerate(output, start=first + 1):
        finite = np.isfinite(image)
        if finite.all():
            continue
        share = 100 * (1 - finite.mean())
        raise BadPackage(
            f"{what} for frame {number} is NaN or infinite in {share:.2g} % of its "
            f"{'pixels' if image.ndim > 1 else 'values'}; nothing is written, look for "
            "extreme values in the frame or get the package again"
        )


def _rows(
    knowledge: Knowledge, plan: Plan, *, first: int, count: int
) -> np.ndarray | None:
    """Return what is known for every tile, in the order of `cut_batches`."""
    rows: list[np.ndarray] = []
    for number in range(first, first + count):
        for tile in plan.tiles:
            start = tuple(
                span.start - front
                for span, front in zip(tile, plan.offset, strict=True)
            )
            row = knowledge(number, start, plan.tile)
            if row is None:
                return None
            rows.append(row)
    return np.stack(rows)


def _calls(
    engine: Engine,
    contract: Contract,
    batches: Iterable[np.ndarray],
    rows: np.ndarray | None = None,
) -> Iterator[np.ndarray]:
    """Run the network on successive batches and check what comes back."""
    grid = contract.grid
    done = 0
    for part in batches:
        given = len(part)
        known = None if rows is None else rows[done : done + given]
        done += given
        if contract.batch is not None and given < contract.batch:
            missing = contract.batch - given
            part = np.concatenate([part, part[-1:].repeat(missing, axis=0)])
            if known is not None:
                known = np.concatenate([known, known[-1:].repeat(missing, axis=0)])
        output = (engine(part) if known is None else engine(part, known))[:given]
        sizes = dict(zip(grid.space, part.shape[1:-1], strict=True))
        promised = (given, *grid.output_size(sizes).values())
        if not grid.output_space:
            promised = (given, len(grid.outputs))
        if output.shape[: len(promised)] != promised:
            raise BadPackage(
                f"the network turned a batch of shape {part.shape} into "
                f"{output.shape}; its description promises {promised} for "
                f"b, {', '.join(grid.output_space or 'c')}"
            )
        yield output


def _finished(
    output: np.ndarray, operations: Sequence[Operation], axes: str
) -> np.ndarray:
    """Apply the postprocessing to each image."""
    if not operations:
        return output
    pointwise = _pointwise(operations)
    finished = np.empty(output.shape, np.float32)
    # processing computes in float64; strips keep that from filling the memory
    along = output.shape[1]
    per_row = max(1, output[0].size // along) if along else 1
    rows = max(1, _STRIP_PIXELS // per_row) if pointwise and len(axes) > 2 else along
    for image, target in zip(output, finished, strict=True):
        for start in range(0, along, rows):
            with np.errstate(over="ignore", invalid="ignore"):  # refused afterwards
                strip = apply(operations, image[None, start : start + rows], axes)
            target[start : start + rows] = strip[0]
    return finished


def _pointwise(operations: Sequence[Operation]) -> bool:
    """Say whether operations change every pixel by itself."""
    return all(
        step["id"] in _POINTWISE
        and not any("percentile" in key for key in step.get("kwargs") or {})
        for step in operations
    )
