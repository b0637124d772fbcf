"""How a package is made: the declaration that training, packaging and tests read."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Protocol

import numpy as np
from pydantic import Field, SerializeAsAny

from zoo.core.config import Config, Kind, is_left_out
from zoo.core.contract import Contract, conditions
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.network import Network
from zoo.core.test_set import TestSet

BudgetName = Literal["smoke", "cpu", "gpu"]


class Simulation(NamedTuple):
    """What a microscope would have written, and what is true about it."""

    counts: np.ndarray
    """(t, y, x), (t, z, y, x) or, if `axes` says so, (t, y, x, c) camera counts."""
    truth: Localizations | np.ndarray
    """Emitters inside the field, or images (t, Y, X) or volumes (t, Z, Y, X)."""
    pixel_size_nm: float
    """Edge of a camera pixel, nm."""
    axes: str | None = None
    """Letters of the counts; ``tyx`` or ``tzyx`` if left out."""
    z_step_nm: float | None = None
    """Distance of the planes of depth, nm."""
    table: Localizations | None = None
    """What a user would have instead of counts, for networks that take tables."""

    @property
    def letters(self) -> str:
        """Letters of the counts."""
        return self.axes or ("tyx" if self.counts.ndim == 3 else "tzyx")


class Source(Kind, ABC):
    """Anything that yields pairs to learn from."""

    home: ClassVar[str] = "zoo.simulate"

    @abstractmethod
    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return one (input, target) pair without the batch axis, float32 each."""

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` pairs, the batch axis first.

        One `sample` after the other; a source that is faster when it draws many at a
        time does so here.
        """
        pairs = [self.sample(rng) for _ in range(count)]
        return np.stack([pair[0] for pair in pairs]), np.stack([p[1] for p in pairs])

    @abstractmethod
    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Return frames as a user's file would hold them, with their truth."""

    def training_options(self) -> dict[str, Any]:
        """Return arguments of the builder of networks that learn from the samples."""
        return {}

    def packaged_options(self, options: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments of the builder of packages whose networks learnt from this.

        Those of the recipe by default.  A source whose conditions can be set to those
        of a user's microscope says here which of them no longer hold.
        """
        return dict(options)

    def settle(self, contract: Contract, test_set: TestSet) -> tuple[Contract, TestSet]:
        """Return what a package promises and is scored on if it learns from this.

        Both as they are by default.  A source whose conditions can be set to those of a
        user's microscope says here what follows from them.
        """
        return contract, test_set

    def held_out(self) -> "Source":
        """Return where pairs come from that are judged and never trained on.

        The same by default, where every pair is drawn anew; another one where there is
        a limited number of images.
        """
        return self

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


class Loss(Kind, ABC):
    """A training loss in `keras.ops`; calling it gives one number per sample."""

    home: ClassVar[str] = "zoo.losses"

    @abstractmethod
    def __call__(self, target: Any, prediction: Any) -> Any:
        """Return the loss of each sample, (b,), for tensors with a batch axis."""


Pair = tuple[np.ndarray, np.ndarray]
"""Inputs and targets, each with a batch axis."""


class Batches(Protocol):
    """The batches of one epoch, in order; also a `keras.utils.PyDataset`."""

    def __len__(self) -> int:
        """Return the number of batches."""
        ...

    def __getitem__(self, index: int) -> Pair:
        """Return a batch; the same one however often it is asked for."""
        ...


class Loop(Protocol):
    """A training under way; it knows networks and optimisers, and no files."""

    network: Any
    """The network that is packaged, in the form in which it is trained: it may be given
    other weights before the first epoch."""

    def variables(self) -> dict[str, Any]:
        """Return every variable that a continued training needs, by its path.

        Paths name what they belong to: ``generator/enc1_conv/kernel``,
        ``adam_critic/iteration``.  States of random generators and of schedules are
        among them.
        """
        ...

    def stage(self, recipe: "Recipe") -> None:
        """Go on under the conditions of a stage, `recipe` with its changes.

        Called before the first epoch of every stage, and once when a training resumes
        in the middle of one.
        """
        ...

    def epoch(self, batches: Batches, held_out: Pair | None) -> dict[str, float]:
        """Train for one epoch and return its figures.

        Parameters
        ----------
        batches
            What to train on, in this order.
        held_out
            Samples that are judged and never trained on, if the budget has any.

        Returns
        -------
        figures
            ``loss``, and whatever else there is; figures of held-out samples begin
            with ``val_``.
        """
        ...

    def skip(self, batches: int) -> None:
        """Let schedules go on as if further batches of this stage had been seen.

        Called behind an epoch that was cut short for want of time.
        """
        ...

    def results(self) -> dict[str, Any]:
        """Return what the training made: ``weights`` is the network to package.

        Networks (`keras.Model`, built for use in float32) become ``<name>.keras``,
        arrays ``<name>.npy``.
        """
        ...


class Objective(Kind, ABC):
    """How one epoch is trained: losses, optimisers, further networks."""

    home: ClassVar[str] = "zoo.objectives"

    @abstractmethod
    def start(self, recipe: "Recipe", budget: "Budget", *, dtype: str) -> Loop:
        """Build networks and optimisers for a training.

        Parameters
        ----------
        recipe
            What is trained; its network is the one that is packaged.
        budget
            Learning rates and numbers of steps.
        dtype
            Precision of the layers, such as ``mixed_bfloat16``.
        """

    def conclude(self, recipe: "Recipe", folder: Path) -> "Recipe":
        """Return a recipe that knows what its training made beside the weights.

        Parameters
        ----------
        recipe
            What was trained.
        folder
            Run folder with the results.
        """
        del folder
        return recipe


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
    """Learning rate to which this stage rises once more, for another cycle down to the
    end or the next restart; without, the one that is under way goes on."""


class Budget(Config):
    """The stages of one training and how its learning rate falls."""

    stages: tuple[Stage, ...]
    """Stages, in order."""
    learning_rate: float = 1e-3
    """Peak learning rate; how it rises and falls is the optimiser's matter."""
    warmup_steps: int = 100
    """Batches over which the learning rate rises from zero, at every restart too."""
    mixed_precision: bool = False
    """Whether to compute in bfloat16 where the processor has instructions for it;
    weights are float32 in any case."""
    validation_samples: int = 0
    """Held-out samples that every epoch is judged on; none by default."""
    workers: int = 1
    """Processes that simulate batches ahead; one simulates them when they are due."""
    hours: float | None = Field(default=None, gt=0)
    """Time in which the training is to be ready: on a slow machine epochs get fewer
    batches, and behind that time it ends with the epoch under way, as if it were the
    last; interruptions do not count."""

    @property
    def samples(self) -> int:
        """Training samples seen in all."""
        return sum(s.epochs * s.steps * s.batch_size for s in self.stages)

    @property
    def steps(self) -> int:
        """Batches in all."""
        return sum(s.epochs * s.steps for s in self.stages)

    @property
    def cycles(self) -> tuple[tuple[float, int], ...]:
        """Peak learning rate and batches of every rise and fall."""
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
    contract: Contract
    """What the package promises; its training conditions are those of `source`."""
    source: SerializeAsAny[Source]
    """Where training pairs come from."""
    objective: SerializeAsAny[Objective]
    """How the network is trained."""
    test_set: SerializeAsAny[TestSet]
    """The frozen test set that the scores are measured on."""
    budgets: dict[BudgetName, Budget]
    """Training plans by size."""
    seed: int = 2018
    """Seed of all random draws in training."""
    acceptance: tuple[Threshold, ...] = ()
    """Scores that the published weights must reach."""
    tags: tuple[str, ...] = ()
    """Search words for the bioimage.io collection."""
    retraining: Budget | None = Field(default=None, exclude_if=is_left_out)
    """How the published weights are trained on for another source, such as the optics
    of a user's microscope; None where that is not foreseen."""

    def settled(self) -> "Recipe":
        """Return the recipe with options, contract and test set that fit its source."""
        contract, test_set = self.source.settle(self.contract, self.test_set)
        return self.model_copy(
            update={
                "options": self.source.packaged_options(self.options),
                "contract": contract,
                "test_set": test_set,
            }
        )

    @property
    def promise(self) -> Contract:
        """The contract with the conditions of the source that it was trained on."""
        return self.contract.override(training=conditions(self.source))
