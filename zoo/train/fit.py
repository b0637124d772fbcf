"""Supervised training in stages, with a checkpoint after every epoch."""

import csv
import json
import shutil
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np

from zoo.core.errors import BadInput
from zoo.core.recipe import Budget, Recipe, Stage
from zoo.train.batches import Batches, simulators, validation_pairs

Progress = Callable[[int, int, dict[str, float]], None]
"""Called after each epoch with epochs done, epochs in all and the figures so far."""

CHECKPOINT = "checkpoint.npz"
STAGE = "stage-{}.npz"
HISTORY = "history.csv"
FIELDS = ("epoch", "samples", "loss", "val_loss", "learning_rate", "seconds")


class Epoch(NamedTuple):
    """One epoch of a plan."""

    number: int
    stage: Stage
    ends_stage: int | None = None
    """Number of the stage that is over after this epoch, from 1."""


def plan(budget: Budget) -> list[Epoch]:
    """List the epochs of a budget in order."""
    epochs: list[Epoch] = []
    for count, stage in enumerate(budget.stages, start=1):
        for left in reversed(range(stage.epochs)):
            epochs.append(Epoch(len(epochs), stage, None if left else count))
    return epochs


class Cycles(keras.optimizers.schedules.LearningRateSchedule):
    """Linear rises and cosine falls to a hundredth, one after the other.

    Restarts: Loshchilov and Hutter 2017, doi:10.48550/arXiv.1608.03983.

    Parameters
    ----------
    cycles
        Peak and steps of each; the last one's end holds for all later steps.
    warmup_steps
        Steps of every rise, or half of the cycle if it is short.
    """

    def __init__(
        self, cycles: tuple[tuple[float, int], ...], *, warmup_steps: int
    ) -> None:
        super().__init__()
        self.cycles = cycles
        self.warmup_steps = warmup_steps

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, which may be a tensor."""
        now_step: Any = keras.ops.cast(step, "float32")
        rate, begun = None, 0
        for peak, steps in self.cycles:
            warmup = min(self.warmup_steps, steps // 2)
            cycle = keras.optimizers.schedules.CosineDecay(
                initial_learning_rate=0.0,
                warmup_target=peak,
                warmup_steps=warmup,
                decay_steps=max(steps - warmup, 1),
                alpha=0.01,
            )
            now = cycle(now_step - begun)
            rate = now if rate is None else keras.ops.where(step < begun, rate, now)
            begun += steps
        return rate

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {"cycles": self.cycles, "warmup_steps": self.warmup_steps}


def optimizer_for(budget: Budget) -> keras.optimizers.Optimizer:
    """Return Adam with the rises and falls of the learning rate of a budget."""
    schedule = Cycles(budget.cycles, warmup_steps=budget.warmup_steps)
    return keras.optimizers.Adam(schedule, clipnorm=1.0)  # pyright: ignore[reportArgumentType]


def fit(
    model: keras.Model,
    recipe: Recipe,
    budget: Budget,
    folder: Path,
    *,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train `model` to the end of the budget, from the folder's last checkpoint on.

    Each epoch draws batches that depend on ``(seed, epoch, batch)`` alone and ends
    with a checkpoint of weights, optimiser and figures, so that a run which was
    stopped anywhere continues as one that was not.

    Parameters
    ----------
    model
        Uncompiled network.
    recipe
        Source, loss and seed.
    budget
        Stages and learning rate.
    folder
        Run folder; receives ``checkpoint.npz``, a copy of it at the end of every
        stage, ``stage-1.npz`` and so on, and ``history.csv``.
    progress
        Called after every epoch.

    Returns
    -------
    history
        The figures of every epoch, those before a resumption included.

    Raises
    ------
    FloatingPointError
        If the loss is no longer finite; the last checkpoint stays.
    """
    optimizer = optimizer_for(budget)
    optimizer.build(model.trainable_variables)
    done, history = restore(folder, model, optimizer)
    epochs = plan(budget)
    held_out = None
    if budget.validation_samples:
        held_out = validation_pairs(
            recipe.source, seed=recipe.seed, count=budget.validation_samples
        )
    with simulators(budget.workers) as pool:
        compiled_for: Stage | None = None
        for epoch in epochs[done:]:
            staged = recipe.override(**epoch.stage.changes)
            if epoch.stage is not compiled_for:
                loss = staged.loss
                model.compile(
                    optimizer=optimizer,
                    loss=lambda target, prediction, loss=loss: loss(target, prediction),
                    jit_compile=keras.config.backend() == "jax",  # pyright: ignore[reportArgumentType]
                )
                compiled_for = epoch.stage
            started = time.perf_counter()
            result = model.fit(
                Batches(
                    staged.source,
                    seed=recipe.seed,
                    epoch=epoch.number,
                    steps=epoch.stage.steps,
                    batch_size=epoch.stage.batch_size,
                    pool=pool,
                ),
                epochs=1,
                verbose=0,  # pyright: ignore[reportArgumentType]
                shuffle=False,
            )
            figures = {
                "epoch": float(epoch.number + 1),
                "samples": float(
                    sum(
                        e.stage.steps * e.stage.batch_size
                        for e in epochs[: epoch.number]
                    )
                    + epoch.stage.steps * epoch.stage.batch_size
                ),
                "loss": float(result.history["loss"][-1]),
                "val_loss": _held_out_loss(model, recipe, held_out),
                "learning_rate": float(
                    keras.ops.convert_to_numpy(optimizer.learning_rate)  # type: ignore[arg-type]
                ),
                "seconds": time.perf_counter() - started,
            }
            if not np.isfinite(figures["loss"]):
                raise FloatingPointError(
                    f"the loss of epoch {epoch.number + 1} is not finite; resume from "
                    "the last checkpoint with a lower learning rate"
                )
            history.append(figures)
            save(folder, model, optimizer, history)
            if epoch.ends_stage:
                shutil.copyfile(
                    folder / CHECKPOINT, folder / STAGE.format(epoch.ends_stage)
                )
            if progress is not None:
                progress(epoch.number + 1, len(epochs), figures)
    return history


def _held_out_loss(
    model: keras.Model, recipe: Recipe, pairs: tuple[np.ndarray, np.ndarray] | None
) -> float:
    if pairs is None:
        return float("nan")
    losses = []
    for start in range(0, len(pairs[0]), 8):
        frames, targets = (part[start : start + 8] for part in pairs)
        losses.append(
            keras.ops.convert_to_numpy(
                recipe.loss(targets, model.predict_on_batch(frames))
            )
        )
    return float(np.concatenate(losses).mean())


def save(
    folder: Path,
    model: keras.Model,
    optimizer: keras.optimizers.Optimizer,
    history: list[dict[str, float]],
) -> None:
    """Write a checkpoint in one step: the old one stays until the new is complete."""
    arrays: dict[str, Any] = {"history": np.array(json.dumps(history))}
    for kind, variables in (("model", model.weights), ("adam", optimizer.variables)):
        for number, variable in enumerate(variables):
            arrays[f"{kind}_{number:04d}"] = keras.ops.convert_to_numpy(variable)
    temporary = folder / f"{CHECKPOINT}.part"
    with temporary.open("wb") as file:
        np.savez(file, **arrays)
    temporary.replace(folder / CHECKPOINT)
    with (folder / HISTORY).open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, FIELDS)
        writer.writeheader()
        writer.writerows(
            {name: f"{row[name]:.6g}" for name in FIELDS} for row in history
        )


def restore(
    folder: Path, model: keras.Model, optimizer: keras.optimizers.Optimizer
) -> tuple[int, list[dict[str, float]]]:
    """Load the checkpoint of a folder, if there is one.

    Returns
    -------
    done, history
        Epochs behind the checkpoint and their figures; ``(0, [])`` without one.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return 0, []
    with np.load(path) as arrays:
        history = json.loads(str(arrays["history"]))
        for kind, variables in (
            ("model", model.weights),
            ("adam", optimizer.variables),
        ):
            for number, variable in enumerate(variables):
                variable.assign(arrays[f"{kind}_{number:04d}"])
    return len(history), history


def load_stage(folder: Path, number: int, model: keras.Model) -> None:
    """Give a network the weights that a run had at the end of a stage.

    Parameters
    ----------
    folder
        Run folder.
    number
        Stage, from 1.
    model
        Network of the run's recipe.

    Raises
    ------
    BadInput
        If the run has not come to the end of that stage.
    """
    path = folder / STAGE.format(number)
    if not path.is_file():
        raise BadInput(
            f"{folder} holds no {path.name}; a run writes it at the end of a stage"
        )
    model.set_weights(stored_weights(path))


def stored_weights(checkpoint: Path) -> list[np.ndarray]:
    """Return the arrays of the network in a checkpoint, in the network's order."""
    with np.load(checkpoint) as arrays:
        names = sorted(name for name in arrays.files if name.startswith("model_"))
        return [arrays[name] for name in names]
