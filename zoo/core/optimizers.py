"""How weights are moved: declarations of optimisers and of learning rates over time."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Literal

from pydantic import Field, SerializeAsAny

from zoo.core.config import Kind
from zoo.core.recipe import Budget

Cycle = tuple[float, int]
"""Peak learning rate and batches of a rise and fall, see `Budget.cycles`."""


class Schedule(Kind, ABC):
    """A learning rate over the batches of a training."""

    @abstractmethod
    def text(self, cycles: Sequence[Cycle], warmup_steps: int) -> str:
        """Say in words how the learning rate changes."""


class Cosine(Schedule):
    """Linear rises and cosine falls, one for every cycle of the budget.

    Restarts: Loshchilov and Hutter 2017, doi:10.48550/arXiv.1608.03983.
    """

    kind: Literal["cosine"] = "cosine"
    """Type of the schedule."""
    floor: float = Field(default=0.01, ge=0, le=1)
    """Learning rate at the end of a fall, in units of its peak."""

    def text(self, cycles: Sequence[Cycle], warmup_steps: int) -> str:
        """Say in words how the learning rate changes."""
        end = "a hundredth" if self.floor == 0.01 else f"{self.floor:g} of it"
        again = "".join(f"; once more from {peak:g}" for peak, _ in cycles[1:])
        return f"{_rise(warmup_steps)}cosine fall to {end}{again}"


class OneCycle(Schedule):
    """A slow cosine rise and a long cosine fall, one for every cycle of the budget.

    Smith and Topin 2018, doi:10.48550/arXiv.1708.07120.  The warm-up of the budget has
    no part in it.
    """

    kind: Literal["one_cycle"] = "one_cycle"
    """Type of the schedule."""
    rise: float = Field(default=0.3, gt=0, lt=1)
    """Share of the batches in which the learning rate rises."""
    start: float = Field(default=0.04, gt=0, le=1)
    """Learning rate at the beginning, in units of the peak."""
    end: float = Field(default=4e-6, ge=0, le=1)
    """Learning rate at the end, in units of the peak."""

    def text(self, cycles: Sequence[Cycle], warmup_steps: int) -> str:
        """Say in words how the learning rate changes."""
        del warmup_steps
        again = "".join(f"; once more to {peak:g}" for peak, _ in cycles[1:])
        return (
            f"one cycle: cosine rise from {self.start:g} of the peak over {self.rise:g}"
            f" of the steps, cosine fall to {self.end:g} of it{again}"
        )


class Constant(Schedule):
    """The peak of the budget's cycle throughout, behind the warm-up."""

    kind: Literal["constant"] = "constant"
    """Type of the schedule."""

    def text(self, cycles: Sequence[Cycle], warmup_steps: int) -> str:
        """Say in words how the learning rate changes."""
        again = "".join(f"; then {peak:g}" for peak, _ in cycles[1:])
        return f"{_rise(warmup_steps)}constant{again}"


class Plateau(Schedule):
    """A learning rate that falls when a figure of held-out samples stops improving.

    It begins at the budget's rate without a warm-up, and restarts have no meaning.
    """

    kind: Literal["plateau"] = "plateau"
    """Type of the schedule."""
    figure: str = "val_loss"
    """Figure of the history that is watched; less is better."""
    factor: float = Field(default=0.5, gt=0, lt=1)
    """What the learning rate is multiplied with."""
    patience: int = Field(default=5, ge=1)
    """Epochs without improvement before it falls."""
    improvement: float = Field(default=1e-4, ge=0)
    """Relative decrease that counts as one."""
    floor: float = Field(default=0.001, ge=0, le=1)
    """Smallest learning rate, in units of the first."""

    def text(self, cycles: Sequence[Cycle], warmup_steps: int) -> str:
        """Say in words how the learning rate changes."""
        del cycles, warmup_steps
        return (
            f"times {self.factor:g} after {self.patience} epochs in which {self.figure}"
            " did not improve"
        )


class Optimizer(Kind, ABC):
    """A rule by which gradients move weights."""

    learning_rate: float | None = Field(default=None, gt=0)
    """Peak learning rate; that of the budget if left out."""
    schedule: SerializeAsAny[Schedule] = Cosine()
    """How the learning rate changes."""

    @property
    @abstractmethod
    def name(self) -> str:
        """What the literature calls it."""

    def cycles(self, budget: Budget) -> tuple[Cycle, ...]:
        """Return the budget's cycles with peaks in proportion to the own rate."""
        if self.learning_rate is None or not budget.learning_rate:
            return budget.cycles
        share = self.learning_rate / budget.learning_rate
        return tuple((share * peak, steps) for peak, steps in budget.cycles)

    def schedule_text(self, budget: Budget) -> str:
        """Say in words how the learning rate changes under a budget."""
        return self.schedule.text(self.cycles(budget), budget.warmup_steps)


class Adam(Optimizer):
    """Adam (Kingma and Ba 2015, doi:10.48550/arXiv.1412.6980).

    With `weight_decay` it is AdamW, whose decay bypasses the moments (Loshchilov and
    Hutter 2019, doi:10.48550/arXiv.1711.05101).
    """

    kind: Literal["adam"] = "adam"
    """Type of the optimiser."""
    beta_1: float = Field(default=0.9, ge=0, lt=1)
    """Decay of the mean of gradients."""
    beta_2: float = Field(default=0.999, ge=0, lt=1)
    """Decay of the mean of their squares."""
    clipnorm: float | None = Field(default=1.0, gt=0)
    """Largest norm of the gradient of one tensor; None for any."""
    weight_decay: float | None = Field(default=None, gt=0)
    """Share of a weight that goes in a step, in units of the learning rate."""

    @property
    def name(self) -> str:
        """What the literature calls it."""
        return "Adam" if self.weight_decay is None else "AdamW"


def _rise(steps: int) -> str:
    return f"linear rise over {steps} steps, " if steps else ""
