"""Training in stages, with a checkpoint after every epoch; knows no optimiser."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from zoo.core.recipe import Budget, Loop, Recipe, Stage
from zoo.train.batches import Batches, simulators, validation_pairs
from zoo.train.checkpoint import History, restore, save

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
) -> History:
    """Train to the end of the budget, from the folder's last checkpoint on.

    Each epoch draws batches that depend on ``(seed, epoch, batch)`` alone and ends with
    a checkpoint of everything that changes, so that a run which was stopped anywhere
    continues as one that was not.

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
            recipe.source, seed=recipe.seed, count=budget.validation_samples
        )
    with simulators(budget.workers) as pool:
        under_way: Stage | None = None
        for epoch in epochs[len(history) :]:
            if is_over(history, budget):
                break
            staged = recipe.override(**epoch.stage.changes)
            if epoch.stage is not under_way:
                loop.stage(staged)
                under_way = epoch.stage
            started = time.perf_counter()
            batches = Batches(
                staged.source,
                seed=recipe.seed,
                epoch=epoch.number,
                steps=epoch.stage.steps,
                batch_size=epoch.stage.batch_size,
                pool=pool,
            )
            figures = loop.epoch(batches, held_out)
            _check_finite(figures, epoch)
            numbers = {"epoch": epoch.number + 1.0, "samples": float(epoch.samples)}
            seconds = time.perf_counter() - started
            history.append({**numbers, **figures, "seconds": seconds})
            save(folder, loop, history, ends_stage=epoch.ends_stage)
            if progress is not None:
                speed = epoch.stage.steps * epoch.stage.batch_size / seconds
                rest = (epochs[-1].samples - epoch.samples) / speed
                if budget.hours is not None:
                    rest = min(rest, max(3600 * budget.hours - spent(history), 0.0))
                timing = {"samples_per_s": speed, "remaining_s": rest}
                progress(epoch.number + 1, len(epochs), {**history[-1], **timing})
    return history


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
