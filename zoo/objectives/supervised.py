"""Training against known targets: one network, one loss, one optimiser."""

from typing import Any, Literal

from pydantic import SerializeAsAny

from zoo.core.optimizers import Adam, Optimizer
from zoo.core.recipe import Batches, Budget, Loop, Loss, Objective, Pair, Recipe
from zoo.objectives import _optimizers
from zoo.objectives._networks import (
    compile_for,
    fit_epoch,
    packaged_network,
    trained_network,
)


class Supervised(Objective):
    """A loss between the network's output and the target, and who minimises it."""

    kind: Literal["supervised"] = "supervised"
    """Type of the objective."""
    loss: SerializeAsAny[Loss]
    """What is minimised."""
    optimizer: SerializeAsAny[Optimizer] = Adam()
    """How."""

    def start(self, recipe: Recipe, budget: Budget, *, dtype: str) -> Loop:
        """Build the network and its optimiser."""
        return SupervisedLoop(self, recipe, budget, dtype=dtype)


class SupervisedLoop:
    """A supervised training under way.

    Parameters
    ----------
    objective
        Loss that held-out samples are judged by, whatever a stage trains with.
    recipe, budget, dtype
        As for `Objective.start`.
    """

    def __init__(
        self, objective: Supervised, recipe: Recipe, budget: Budget, *, dtype: str
    ) -> None:
        self.recipe = recipe
        self.staged = objective
        self.loss = objective.loss
        self.network: Any = trained_network(recipe, dtype=dtype)
        self.optimizer = _optimizers.Optimizer(objective.optimizer, budget, name="adam")
        self.optimizer.build(self.network.trainable_variables)

    def variables(self) -> dict[str, Any]:
        """Return the variables of network and optimiser."""
        network = _optimizers.named("network", self.network.variables)
        return network | self.optimizer.variables()

    def stage(self, recipe: Recipe) -> None:
        """Go on with the loss of another stage."""
        staged = recipe.objective
        if not isinstance(staged, Supervised):
            raise ValueError(f"a stage cannot become {staged.kind}")
        if self.network.compiled and staged == self.staged:
            return
        self.staged = staged
        loss: Any = staged.loss
        compile_for(
            self.network,
            self.optimizer.keras,
            lambda target, prediction: loss(target, prediction),
        )

    def epoch(self, batches: Batches, held_out: Pair | None) -> dict[str, float]:
        """Train on every batch; return the mean loss and that of held-out samples."""
        return fit_epoch(
            self.network, self.optimizer, batches, held_out=held_out, loss=self.loss
        )

    def skip(self, batches: int) -> None:
        """Let the learning rate fall as if further batches had been seen."""
        self.optimizer.skip(batches)

    def results(self) -> dict[str, Any]:
        """Return the network as it is packaged."""
        return {"weights": packaged_network(self.recipe, self.network)}
