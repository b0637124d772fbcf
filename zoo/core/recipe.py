"""How a package is made: the declaration that training, packaging and tests read."""

from abc import ABC, abstractmethod
from pathlib import Path
from typing import Any, Literal, NamedTuple

import numpy as np
from pydantic import Field, SerializeAsAny

from zoo.core.config import Config
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.network import Grid, Network

BudgetName = Literal["smoke", "cpu", "gpu"]


class Recording(NamedTuple):
    """What a microscope would have written, and what is true about it."""

    counts: np.ndarray
    """(t, y, x) or (t, y, x, c) camera counts."""
    truth: Localizations | np.ndarray
    """Emitters inside the field, or images (t, Y, X)."""
    pixel_size_nm: float
    """Edge of a camera pixel, nm."""


class Source(Config, ABC):
    """Anything that yields pairs to learn from."""

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return one (input, target) pair, (y, x, c) float32 each."""

    @abstractmethod
    def record(self, rng: np.random.Generator, *, frames: int) -> Recording:
        """Return frames as a user's file would hold them, with their truth."""

    def measured(self, folder: Path) -> "Source":
        """Return the source that reads its pairs from a folder instead.

        Raises
        ------
        BadInput
            If this source has no measured counterpart.
        """
        raise BadInput(
            f"{type(self).__name__} makes its pairs and cannot read them from "
            f"{folder}; leave --data out"
        )


class Loss(Config, ABC):
    """A training loss in `keras.ops`; calling it gives one number per sample."""

    @abstractmethod
    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return the loss of each sample, (b,), for (b, y, x, c) tensors."""


class Stage(Config):
    """A stretch of training under constant conditions."""

    epochs: int
    """Epochs in this stage; a checkpoint follows each."""
    steps: int
    """Batches per epoch."""
    batch_size: int
    """Samples per batch."""
    changes: dict[str, Any] = {}
    """Changes to the recipe during this stage, such as ``source__crop_px``."""
    restart: float | None = Field(default=None, ge=0)
    """Learning rate to which this stage rises once more, for another cosine down to the
    end or the next restart; without, the one that is under way goes on."""


class Budget(Config):
    """The stages of one training and how its learning rate falls."""

    stages: tuple[Stage, ...]
    """Stages, in order."""
    learning_rate: float = 1e-3
    """Peak learning rate of Adam; a cosine brings it to a hundredth."""
    warmup_steps: int = 100
    """Batches over which the learning rate rises from zero, at every restart too."""
    mixed_precision: bool = False
    """Whether to compute in bfloat16; weights are float32 in any case."""
    validation_samples: int = 0
    """Held-out samples that every epoch is judged on; none by default."""
    workers: int = 1
    """Threads (or processes on a GPU machine) that simulate batches ahead."""

    @property
    def samples(self) -> int:
        """Training samples seen in all."""
        return sum(s.epochs * s.steps * s.batch_size for s in self.stages)

    @property
    def steps(self) -> int:
        """Optimiser steps in all."""
        return sum(s.epochs * s.steps for s in self.stages)

    @property
    def cycles(self) -> tuple[tuple[float, int], ...]:
        """Peak learning rate and optimiser steps of every rise and fall."""
        found = [(self.learning_rate, 0)]
        for stage in self.stages:
            if stage.restart is not None:
                found.append((stage.restart, 0))
            peak, steps = found[-1]
            found[-1] = (peak, steps + stage.epochs * stage.steps)
        return tuple(cycle for cycle in found if cycle[1])


class Threshold(Config):
    """A score that a published package must reach."""

    metric: str
    """Name of the figure in ``metrics.json``, as ``group/condition/name``."""
    at_least: float | None = None
    """Lower bound, if there is one."""
    at_most: float | None = None
    """Upper bound, if there is one."""

    def holds(self, value: float) -> bool:
        """Say whether `value` lies within the bounds; NaN never does."""
        low = -np.inf if self.at_least is None else self.at_least
        high = np.inf if self.at_most is None else self.at_most
        return bool(low <= value <= high)


class Recipe(Config):
    """Everything that decides what a package becomes."""

    name: str
    """Name of the package: network, then what it was trained on."""
    title: str
    """Human-readable name, 5 to 64 characters."""
    summary: str
    """What it does, in one or two sentences."""
    network: Network
    """The architecture."""
    options: dict[str, Any] = {}
    """Arguments of the builder that differ from the paper's."""
    training_options: dict[str, Any] = {}
    """Further arguments that hold while training only, such as a tile of any size; the
    weights must fit the network built without them."""
    source: SerializeAsAny[Source]
    """Where training pairs come from."""
    benchmark: SerializeAsAny[Config]
    """The frozen test set that the scores are measured on."""
    loss: SerializeAsAny[Loss]
    """The training loss."""
    budgets: dict[BudgetName, Budget]
    """Training plans by size."""
    seed: int = 2018
    """Seed of all random draws in training."""
    acceptance: tuple[Threshold, ...] = ()
    """Scores that the published weights must reach."""
    tags: tuple[str, ...] = ()
    """Search words for the bioimage.io collection."""
    prediction: dict[str, Any] = {}
    """What the predictor must know beside the tensors; stored in the package."""

    @property
    def grid(self) -> Grid:
        """What the network promises about its tensors, as built with `options`."""
        fields = ("scale", "channels", "tile")
        stated = {name: self.options[name] for name in fields if name in self.options}
        return self.network.grid.override(**stated)
