"""Optimisers of Keras from their declarations."""

from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from zoo.core.errors import BadInput
from zoo.core.optimizers import Adam, Constant, Cosine, Cycle, OneCycle, Plateau
from zoo.core.optimizers import Optimizer as Declared
from zoo.core.optimizers import Schedule as DeclaredSchedule
from zoo.core.recipe import Budget

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops
decays: Any = keras.optimizers.schedules


class Rates(decays.LearningRateSchedule):
    """The learning rate of every step, cycle after cycle.

    Parameters
    ----------
    schedule
        Shape of a cycle.
    cycles
        Peak and batches of each; the last one's end holds for all later steps.
    warmup_steps
        Batches of a linear rise, or half of the cycle if it is short.
    every
        Batches per step of the optimiser.
    """

    def __init__(
        self,
        schedule: DeclaredSchedule,
        cycles: tuple[Cycle, ...],
        *,
        warmup_steps: int,
        every: int = 1,
    ) -> None:
        super().__init__()
        self.schedule = schedule
        self.cycles = cycles
        self.warmup_steps = warmup_steps
        self.every = every

    def __call__(self, step: Any) -> Any:
        """Return the learning rate of a step, which may be a tensor."""
        batch: Any = self.every * ops.cast(step, "float32")
        rate, begun = None, 0
        for peak, batches in self.cycles:
            now = self._cycle(peak, batches)(batch - begun)
            rate = now if rate is None else ops.where(batch < begun, rate, now)
            begun += batches
        return rate

    def _cycle(self, peak: float, batches: int) -> Any:
        warmup = min(self.warmup_steps, batches // 2)
        if isinstance(self.schedule, OneCycle):
            rise = max(round(self.schedule.rise * batches), 1)
            low, end = self.schedule.start * peak, self.schedule.end
            fall = decays.CosineDecay(peak, max(batches - rise, 1), alpha=end)

            def rate(batch: Any) -> Any:
                turn = np.pi * ops.clip(batch / rise, 0.0, 1.0)
                up = low + (peak - low) * (1.0 - ops.cos(turn)) / 2
                return ops.where(batch < rise, up, fall(ops.maximum(batch - rise, 0.0)))

            return rate
        constant = isinstance(self.schedule, Constant)
        return decays.CosineDecay(
            initial_learning_rate=0.0 if warmup or not constant else peak,
            warmup_target=peak if warmup or not constant else None,
            warmup_steps=warmup,
            decay_steps=max(batches - warmup, 1),
            alpha=self.schedule.floor if isinstance(self.schedule, Cosine) else 1.0,
        )

    def get_config(self) -> dict[str, Any]:
        """Return the arguments."""
        return {
            "schedule": self.schedule.model_dump(),
            "cycles": self.cycles,
            "warmup_steps": self.warmup_steps,
            "every": self.every,
        }


class Optimizer:
    """An optimiser of Keras, and what it must remember from epoch to epoch.

    Parameters
    ----------
    declared
        Rule and schedule.
    budget
        Learning rates and batches; only of the stages in which it is used.
    name
        Beginning of the paths of its variables, such as ``adam_critic``.
    every
        Batches per step.

    Raises
    ------
    BadInput
        If the schedule watches held-out samples that the budget does not have.
    ValueError
        If the declaration is of a kind that is not known here.
    """

    def __init__(
        self, declared: Declared, budget: Budget, *, name: str, every: int = 1
    ) -> None:
        if not isinstance(declared, Adam):
            raise ValueError(f"no optimiser of Keras is known for {declared.kind!r}")
        self.name = name
        self.every = every
        self.plateau: Plateau | None = None
        cycles = declared.cycles(budget)
        rate: Any = Rates(
            declared.schedule, cycles, warmup_steps=budget.warmup_steps, every=every
        )
        if not cycles:  # not used in this budget
            rate = 0.0
        elif isinstance(declared.schedule, Plateau):
            self.plateau = declared.schedule
            watches_samples = self.plateau.figure.startswith("val_")
            if watches_samples and not budget.validation_samples:
                raise BadInput(
                    f"the learning rate watches {self.plateau.figure}, but the budget "
                    "has no held-out samples; set its validation_samples"
                )
            rate = cycles[0][0]
            self.least = self.plateau.floor * rate
        more = {"clipnorm": declared.clipnorm, "name": name}
        betas = {"beta_1": declared.beta_1, "beta_2": declared.beta_2}
        if declared.weight_decay is None:
            self.keras: Any = keras.optimizers.Adam(rate, **betas, **more)
        else:
            self.keras = keras.optimizers.AdamW(
                rate, weight_decay=declared.weight_decay, **betas, **more
            )
        # smallest value of the figure so far, and epochs since
        self.memory: Any = keras.Variable(
            np.array([np.inf, 0.0], np.float32), trainable=False, name="memory"
        )

    def build(self, variables: list[Any]) -> None:
        """Make the moments of the variables that will be trained."""
        self.keras.build(variables)

    def variables(self) -> dict[str, Any]:
        """Return every variable by its path."""
        found = named(self.name, self.keras.variables)
        if self.plateau is not None:
            found[f"{self.name}/plateau"] = self.memory
        return found

    @property
    def learning_rate(self) -> float:
        """The learning rate of the next step."""
        return float(ops.convert_to_numpy(self.keras.learning_rate))

    def skip(self, batches: int) -> None:
        """Go on in the schedule as if further batches had been seen."""
        if batches:
            self.keras.iterations.assign_add(batches // self.every)

    def watch(self, figures: Mapping[str, float]) -> None:
        """Lower the learning rate if the watched figure has ceased to improve.

        Raises
        ------
        ValueError
            If there is no such figure.
        """
        if self.plateau is None:
            return
        if self.plateau.figure not in figures:
            raise ValueError(
                f"the learning rate watches {self.plateau.figure}; the figures of this "
                f"training are {', '.join(figures)}"
            )
        value = figures[self.plateau.figure]
        best, waited = (float(n) for n in ops.convert_to_numpy(self.memory))
        if value < best - self.plateau.improvement * abs(best if best < np.inf else 0):
            best, waited = value, 0.0
        else:
            waited += 1
        if waited >= self.plateau.patience:
            rate = max(self.plateau.factor * self.learning_rate, self.least)
            self.keras.learning_rate.assign(rate)
            waited = 0.0
        self.memory.assign(np.array([best, waited], np.float32))


def named(prefix: str, variables: list[Any]) -> dict[str, Any]:
    """Return variables by their paths, below a prefix unless they have it.

    States of random generators, which Keras numbers as they are made, are counted in
    their order: ``random/0``.

    Raises
    ------
    ValueError
        If two have one path.
    """
    found: dict[str, Any] = {}
    generators = 0
    for variable in variables:
        path: str = variable.path
        if variable.name == "seed_generator_state":
            path = f"random/{generators}"
            generators += 1
        path = path if path.startswith(f"{prefix}/") else f"{prefix}/{path}"
        if path in found:
            raise ValueError(
                f"two variables are called {path}; name the layers of the network"
            )
        found[path] = variable
    return found
