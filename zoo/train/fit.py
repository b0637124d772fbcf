"""Training in stages, with a checkpoint after every epoch; knows no optimiser."""

import math
import time
from collections.abc import Callable
from concurrent.futures import Executor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from zoo.core.recipe import Budget, Loop, Recipe, Stage
from zoo.train.batches import Batches, simulators, validation_pairs
from zoo.train.checkpoint import History, restore, save

if TYPE_CHECKING:
    from zoo.train.judging import Judge

Progress = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with epochs done, epochs in all and the figures so far, with
``samples_per_s`` and the expected ``remaining_s`` among them."""


class Epoch(NamedTuple):
    """One epoch of a plan."""

    number: int
    stage: Stage
    samples: int
    """Samples seen behind it."""
    ends_stage: int | None = None
    """Number of the stage that is over after this epoch, from 1."""


def plan(budget: Budget) -> list[Epoch]:
    """List the epochs of a budget in order."""
    epochs: list[Epoch] = []
    samples = 0
    for count, stage in enumerate(budget.stages, start=1):
        for rest in reversed(range(stage.epochs)):
            samples += stage.steps * stage.batch_size
            ends = None if rest else count
            epochs.append(Epoch(len(epochs), stage, samples, ends))
    return epochs


def fit(
    loop: Loop,
    recipe: Recipe,
    budget: Budget,
    folder: Path,
    *,
    progress: Progress | None = None,
    judge: "Judge | None" = None,
) -> History:
    """Train to the end of the budget, from the folder's last checkpoint on.

    Each epoch draws batches that depend on ``(seed, epoch, batch)`` alone and ends with
    a checkpoint of everything that changes, so that a run which was stopped anywhere
    continues as one that was not.

    On a machine that would not be ready in the time of the budget, epochs get fewer
    batches, and the learning rate falls as if none had been left out: a training that
    is short of time ends with small steps, too.

    Parameters
    ----------
    loop
        What is trained.
    recipe
        Source and seed; stages change it.
    budget
        Stages and limits.
    folder
        Run folder; receives ``checkpoint.npz``, a copy of it at the end of every
        stage, ``stage-1.npz`` and so on, and ``history.csv``.
    progress
        Called after every epoch.
    judge
        Draws a held-out image after every epoch.

    Returns
    -------
    history
        The figures of every epoch, those before a resumption included; fewer than the
        plan has if the time was over first.

    Raises
    ------
    FloatingPointError
        If a figure is no longer finite; the last checkpoint stays.
    """
    history = restore(folder, loop)
    epochs = plan(budget)
    held_out = None
    if budget.validation_samples:
        held_out = validation_pairs(
            recipe.source.held_out(),
            seed=recipe.seed,
            count=budget.validation_samples,
        )
    with simulators(budget.workers) as pool:
        under_way: Stage | None = None
        coming = [_batches(recipe, epoch, pool) for epoch in epochs[len(history) :]]
        for batches, following in pairwise([*coming, None]):
            epoch = epochs[len(history)]
            if batches is None or is_over(history, budget):
                break
            if epoch.stage is not under_way:
                loop.stage(recipe.override(**epoch.stage.changes))
                under_way = epoch.stage
            started = time.perf_counter()
            batches.steps = affordable_steps(epoch, epochs[-1], history, budget)
            batches.following = following
            figures = loop.epoch(batches, held_out)
            _check_finite(figures, epoch)
            loop.skip(epoch.stage.steps - batches.steps)
            fresh = batches.steps * epoch.stage.batch_size
            samples = (history[-1]["samples"] if history else 0.0) + fresh
            numbers = {"epoch": epoch.number + 1.0, "samples": samples}
            seconds = time.perf_counter() - started
            history.append({**numbers, **figures, "seconds": seconds})
            save(folder, loop, history, ends_stage=epoch.ends_stage)
            if judge is not None:
                judge.epoch(epoch.number + 1, loop.network)
            if progress is not None:
                speed = fresh / seconds
                rest = (epochs[-1].samples - epoch.samples) / speed
                if budget.hours is not None:
                    rest = min(rest, max(3600 * budget.hours - spent(history), 0.0))
                timing = {"samples_per_s": speed, "remaining_s": rest}
                progress(epoch.number + 1, len(epochs), {**history[-1], **timing})
    return history


def _batches(recipe: Recipe, epoch: Epoch, pool: Executor | None) -> Batches:
    """Return the batches of an epoch under the conditions of its stage."""
    return Batches(
        recipe.override(**epoch.stage.changes).source,
        seed=recipe.seed,
        epoch=epoch.number,
        steps=epoch.stage.steps,
        batch_size=epoch.stage.batch_size,
        pool=pool,
    )


def affordable_steps(
    epoch: Epoch, last: Epoch, history: History, budget: Budget
) -> int:
    """Return how many batches of an epoch there is time for, at least one.

    What is left of the time is shared out evenly over what is left of the plan, at the
    faster pace of the last two epochs: the first one of a stage also compiles.

    Parameters
    ----------
    epoch, last
        Epoch that comes, and the plan's last one.
    history
        Figures of the epochs so far; two of them are needed for an estimate.
    budget
        Its time; without, every batch is affordable.
    """
    if budget.hours is None or len(history) < 2:
        return epoch.stage.steps
    before = [0.0, *(row["samples"] for row in history)]
    pace = min(
        row["seconds"] / max(row["samples"] - samples, 1.0)
        for row, samples in list(zip(history, before, strict=False))[-2:]
    )
    planned = last.samples - epoch.samples + epoch.stage.steps * epoch.stage.batch_size
    share = (3600 * budget.hours - spent(history)) / max(pace * planned, 1e-9)
    return max(int(min(share, 1.0) * epoch.stage.steps), 1)


def spent(history: History) -> float:
    """Return the seconds that the epochs of a history took."""
    return sum(row["seconds"] for row in history)


def is_over(history: History, budget: Budget) -> bool:
    """Say whether the time of a budget is used up."""
    return budget.hours is not None and spent(history) >= 3600 * budget.hours


def _check_finite(figures: dict[str, float], epoch: Epoch) -> None:
    for name, value in figures.items():
        if not math.isfinite(value):
            raise FloatingPointError(
                f"{name} of epoch {epoch.number + 1} is not finite; resume from the "
                "last checkpoint with a lower learning rate"
            )
