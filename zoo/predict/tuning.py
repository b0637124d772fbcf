"""Threads, batch and tile of a long prediction, chosen by measuring at its start.

What is fastest depends on processor, cache and network; a second of trials tells.  The
results do not depend on the choice but for rounding, which the formats' tolerance
covers.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.predict.engines import Engine
from zoo.predict.plan import Plan, largest_batch, make_plan

SECONDS = 1.5
"""Trials end when they have taken this long; the one under way is finished."""
WORTH = 20.0
"""Whole prediction over `SECONDS` from which trials are worth it."""
FEWEST_CALLS = 50
"""Calls of the network from which one more, to see how long they take, is nothing."""
BETTER = 0.9
"""Share of the first trial's time below which another choice is taken: less is chance
on a busy machine."""
TILES = (64, 128, 256)
"""Edges of tiles that are tried where a frame is larger, px."""


@dataclass(frozen=True)
class Trial:
    """One choice and what it took."""

    threads: int
    """Threads of one call; 0 where the engine decides."""
    batch: int
    """Frames or tiles per call."""
    tile: tuple[int, ...]
    """Size of what the network sees, px."""
    seconds: float
    """Seconds per frame."""


@dataclass(frozen=True)
class Tuned:
    """How a recording goes through the network, and why so."""

    engine: Engine
    """The network, perhaps with another number of threads."""
    plan: Plan
    """Tiles and batches."""
    trials: tuple[Trial, ...] = ()
    """What was measured, the default first; empty where nothing was."""

    def report(self) -> list[dict[str, Any]]:
        """Return the trials, ready for JSON."""
        return [
            {
                "threads": trial.threads,
                "batch_size": trial.batch,
                "tile": list(trial.tile),
                "seconds_per_frame": float(f"{trial.seconds:.3g}"),
            }
            for trial in self.trials
        ]


def tuned(
    engine: Engine,
    contract: Contract,
    sizes: Mapping[str, int],
    *,
    frames: int,
    plan: Plan,
    batch_size: int | None = None,
    tile: int | None = None,
    clock: Callable[[], float] = time.perf_counter,
) -> Tuned:
    """Choose threads, batch and tile for a recording.

    A recording that takes less than ``WORTH * SECONDS`` by the first trial keeps the
    default.

    Parameters
    ----------
    engine, contract
        The network and what it accepts.
    sizes
        Length of a frame along its letters of space, px.
    frames
        Frames of the recording.
    plan
        The default.
    batch_size, tile
        What the user chose, which is not touched.
    clock
        Seconds, for tests.
    """
    calls = frames * len(plan.tiles) / plan.batch
    if calls < FEWEST_CALLS or contract.batch is not None:
        return Tuned(engine, plan)
    start = clock()
    seconds = _seconds_per_frame(engine, contract, plan, clock)
    if not frames * seconds > WORTH * SECONDS:
        return Tuned(engine, plan)
    trials = [Trial(engine.threads, plan.batch, plan.tile, seconds)]
    choices = [(engine, plan)]

    def trying(engine: Engine, plan: Plan) -> bool:
        """Measure a choice unless time is up; tell whether it was."""
        slowest = max(
            trial.seconds / _pixels(tried)
            for trial, (_, tried) in zip(trials, choices, strict=True)
        )
        call = slowest * _pixels(plan) / len(plan.tiles) * plan.batch
        if clock() - start + 2 * call > SECONDS:
            return False
        seconds = _seconds_per_frame(engine, contract, plan, clock)
        trials.append(Trial(engine.threads, plan.batch, plan.tile, seconds))
        choices.append((engine, plan))
        return True

    for other in _plans(contract, sizes, plan, batch_size=batch_size, tile=tile):
        if not trying(engine, other):
            break
    best = _best(trials)
    if engine.threads > 1 and clock() - start < SECONDS / 2:
        trying(engine.with_threads(engine.threads // 2), choices[best][1])
        best = _best(trials)
    return Tuned(*choices[best], tuple(trials))


def _pixels(plan: Plan) -> int:
    """Return the pixels of all tiles of a frame."""
    return len(plan.tiles) * math.prod(plan.tile)


def _best(trials: list[Trial]) -> int:
    """Return the number of the fastest trial; the first unless one is clearly so."""
    best = min(range(len(trials)), key=lambda i: trials[i].seconds)
    return best if trials[best].seconds < BETTER * trials[0].seconds else 0


def _plans(
    contract: Contract,
    sizes: Mapping[str, int],
    plan: Plan,
    *,
    batch_size: int | None,
    tile: int | None,
) -> Iterator[Plan]:
    """Yield other plans: batches up and down, then tiles of whole frames."""
    if batch_size is None:
        most = largest_batch(contract, plan)
        for batch in (2 * plan.batch, plan.batch // 2, 4 * plan.batch):
            if 1 <= batch <= most:
                yield make_plan(contract, sizes, batch_size=batch, tile=tile)
    if tile is not None or len(plan.tiles) > 1:
        return
    for edge in TILES:
        if all(edge >= size for size in sizes.values()):
            return
        try:
            other = make_plan(contract, sizes, batch_size=batch_size, tile=edge)
        except BadInput:  # no tile of this network
            continue
        if not (other.seams or other.blended):
            yield other


def _seconds_per_frame(
    engine: Engine, contract: Contract, plan: Plan, clock: Callable[[], float]
) -> float:
    """Time one call behind one that prepares the memory."""
    shape = (plan.batch, *plan.tile, len(contract.grid.channels))
    batch = np.random.default_rng(0).random(shape, np.float32)
    engine(batch)
    start = clock()
    engine(batch)
    return (clock() - start) * len(plan.tiles) / plan.batch
