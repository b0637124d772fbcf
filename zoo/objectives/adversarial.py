"""Training against critics that tell predictions from targets."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import keras
import numpy as np
from keras import layers
from pydantic import Field, SerializeAsAny

from zoo.core.config import Config
from zoo.core.network import Network
from zoo.core.optimizers import Adam, Optimizer
from zoo.core.recipe import Batches, Budget, Loop, Loss, Objective, Pair, Recipe
from zoo.io.keras_network import load_network
from zoo.objectives import _optimizers
from zoo.objectives._networks import (
    compile_for,
    enlarged,
    in_float32,
    let_train,
    mean_loss,
    packaged_network,
    stages_where,
    trained_network,
)
from zoo.objectives._scores import ScoreLoss, fooling, forgery, reality
from zoo.objectives._steps import Steps

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops
GENERATOR = "generator"
PIXEL = "pixel"


class WeightedLoss(Config):
    """A loss between prediction and target, and what it counts."""

    loss: SerializeAsAny[Loss]
    """The loss."""
    weight: float = Field(default=1.0, ge=0)
    """Factor."""


class Critic(Config):
    """A network that learns to tell targets from predictions.

    Its output is a score of any shape per image, high for targets, without an
    activation at the end: a published sigmoid is part of ``bce``.
    """

    network: Network
    """The architecture; its builder takes images (b, [z,] y, x, c) and ``dtype``."""
    options: dict[str, Any] = {}
    """Arguments of the builder."""
    loss: ScoreLoss = "bce"
    """Cross entropy of the scores as logits; squared distances to 1 and 0 (Mao et al.
    2017, doi:10.1109/ICCV.2017.304); hinge (Lim and Ye 2017,
    doi:10.48550/arXiv.1705.02894); difference of scores, for a network that bounds its
    own slope (Arjovsky et al. 2017, doi:10.48550/arXiv.1701.07875)."""
    weight: float = Field(default=0.1, ge=0)
    """Factor of the adversarial term in the loss of the generator."""
    conditional: bool = False
    """Whether it sees the input too, enlarged by repetition where it is smaller and in
    front of the image along the channels."""
    optimizer: SerializeAsAny[Optimizer] = Adam()
    """What moves its weights; cycles are those of the budget."""
    every: int = Field(default=1, ge=1)
    """Batches per step; 5 for five steps of the generator between two of the critic."""


class Companion(Config):
    """A further network through which predictions are compared.

    A feature network is frozen, and what it makes of prediction and target is compared.
    A consistency network learns to predict channels of the input from the target, and
    what it makes of the prediction is compared with them, as in ANNA-PALM (Ouyang et
    al. 2018, doi:10.1038/nbt.4106).
    """

    network: Network
    """The architecture; its builder takes images (b, [z,] y, x, c) and ``dtype``."""
    options: dict[str, Any] = {}
    """Arguments of the builder."""
    weights: Path | None = None
    """``.keras`` file of its weights; random without."""
    against: Literal["target", "input"] = "target"
    """What its output for a prediction is compared with: its output for the target, or
    channels of the input, averaged over as many pixels as its output is smaller."""
    channels: tuple[int, ...] = (0,)
    """Channels of the input that it predicts, from 0."""
    loss: SerializeAsAny[Loss]
    """The comparison, for its own training as well."""
    weight: float = Field(default=1.0, ge=0)
    """Factor of the comparison in the loss of the generator."""
    optimizer: SerializeAsAny[Optimizer] | None = None
    """What moves its weights towards channels of the input; None to freeze it."""


class Adversarial(Objective):
    """A generator, which is packaged, between targets and critics.

    Each batch trains critics and companions first, the generator then.  A network that
    takes a step only every few batches declares `every`: critics with a generator of
    ``every=5`` take five steps, on other batches each, between two of it.

    Epochs without critics at the beginning are stages that change
    ``objective__warm_up`` to true; weights and ratios change in the same way.
    """

    kind: Literal["adversarial"] = "adversarial"
    """Type of the objective."""
    losses: tuple[WeightedLoss, ...] = Field(min_length=1)
    """Losses between prediction and target."""
    critics: dict[str, Critic] = {}
    """Critics by name; their variables and figures are called by it."""
    companions: dict[str, Companion] = {}
    """Further networks by name."""
    optimizer: SerializeAsAny[Optimizer] = Adam()
    """What moves the weights of the generator."""
    every: int = Field(default=1, ge=1)
    """Batches per step of the generator."""
    warm_up: bool = False
    """Whether critics stay out of it."""

    def start(self, recipe: Recipe, budget: Budget, *, dtype: str) -> Loop:
        """Build all networks and optimisers."""
        return AdversarialLoop(self, recipe, budget, dtype=dtype)


class AdversarialLoop:
    """An adversarial training under way.

    Parameters
    ----------
    objective
        Networks and optimisers; stages change weights, ratios and losses.
    recipe, budget, dtype
        As for `Objective.start`.
    """

    def __init__(
        self, objective: Adversarial, recipe: Recipe, budget: Budget, *, dtype: str
    ) -> None:
        self.objective = self.staged = objective
        self.recipe = recipe
        self.network: Any = trained_network(recipe, dtype=dtype)
        self.others: dict[str, Any] = {}
        declared = {**objective.critics, **objective.companions}
        if len(declared) < len(objective.critics) + len(objective.companions) or (
            {GENERATOR, PIXEL} & set(declared)
        ):
            raise ValueError(
                "critics and companions need names of their own, other than "
                f"{GENERATOR} and {PIXEL}, not {', '.join(declared)}"
            )
        self.optimizers = {
            GENERATOR: _optimizers.Optimizer(
                objective.optimizer,
                budget,
                name=f"adam_{GENERATOR}",
                every=objective.every,
            )
        }
        with_critics = stages_where(recipe, budget, lambda o: not o.warm_up)
        for name, other in declared.items():
            model = other.network.build(**other.options, dtype=dtype)
            self.others[name] = model
            if isinstance(other, Companion) and other.weights is not None:
                model.set_weights(load_network(other.weights).get_weights())
            if other.optimizer is None:
                # layers too: its normalisation goes on as in use
                model.trainable = False
            else:
                is_critic = isinstance(other, Critic)
                self.optimizers[name] = _optimizers.Optimizer(
                    other.optimizer,
                    with_critics if is_critic else budget,
                    name=f"adam_{name}",
                    every=other.every if is_critic else 1,
                )
        # in one graph, networks of one architecture need names of their own
        self.parts = {
            name: keras.Model(model.input, model.output, name=name)
            for name, model in {GENERATOR: self.network, **self.others}.items()
        }
        self.learnt = {
            name: list(model.trainable_variables)
            for name, model in {GENERATOR: self.network, **self.others}.items()
        }
        for name, optimizer in self.optimizers.items():
            optimizer.build(self.learnt[name])
        self.batches: Any = keras.Variable(
            0, dtype="int32", trainable=False, name="batches"
        )
        self.steps: dict[str, Any] = {}

    def variables(self) -> dict[str, Any]:
        """Return the variables of all networks and optimisers."""
        found = {f"{GENERATOR}/batches": self.batches}
        for name, model in {GENERATOR: self.network, **self.others}.items():
            found |= _optimizers.named(name, model.variables)
        for optimizer in self.optimizers.values():
            found |= optimizer.variables()
        return found

    def stage(self, recipe: Recipe) -> None:
        """Go on with the losses, weights and ratios of another stage."""
        staged = recipe.objective
        if not isinstance(staged, Adversarial):
            raise ValueError(f"a stage cannot become {staged.kind}")
        if self.steps and staged == self.staged:
            return
        self.staged = staged
        image = keras.Input(self.network.input_shape[1:], name="input")
        prediction = self.parts[GENERATOR](image)
        truth = keras.Input(prediction.shape[1:], name="target")
        outputs: dict[str, Any] = {PIXEL: prediction}
        losses: dict[str, Any] = {PIXEL: _pixel_loss(staged)}
        self.steps = {}
        for name, critic in staged.critics.items():
            if staged.warm_up:
                continue
            real, fake = (
                self._score(name, critic, image, shown) for shown in (truth, prediction)
            )
            outputs[f"{name}_term"] = fake
            losses[f"{name}_term"] = fooling(critic.loss, critic.weight)
            self._compile(
                name,
                keras.Model([image, truth], {"real": real, "fake": fake}),
                {"real": reality(critic.loss), "fake": forgery(critic.loss)},
            )
        for name, companion in staged.companions.items():
            seen, known = self.parts[name](prediction), self.parts[name](truth)
            if companion.against == "target":
                seen = layers.Concatenate(dtype="float32")([seen, known])
            outputs[f"{name}_term"] = seen
            losses[f"{name}_term"] = _comparison(companion)
            if companion.optimizer is not None:
                loss: Any = companion.loss
                self._compile(
                    name, keras.Model(truth, known), lambda w, q, loss=loss: loss(w, q)
                )
        self._compile(GENERATOR, keras.Model([image, truth], outputs), losses)

    def _score(self, name: str, critic: Critic, image: Any, shown: Any) -> Any:
        if critic.conditional:
            join = layers.Concatenate(dtype="float32")
            shown = join([enlarged(image, self.recipe.contract.grid), shown])
        return self.parts[name](shown)

    def _compile(self, name: str, model: Any, loss: Any) -> None:
        compile_for(model, self.optimizers[name].keras, loss)
        self.steps[name] = model

    def epoch(self, batches: Batches, held_out: Pair | None) -> dict[str, float]:
        """Train on every batch; return mean losses of all networks.

        ``<name>_term`` is what a critic or companion adds to ``loss``, its weight
        included, ``<name>_loss`` what it minimises itself.
        """
        done = int(ops.convert_to_numpy(self.batches))
        with Steps() as steps:
            for index in range(len(batches)):
                image, truth = batches[index]
                for name, step in self.steps.items():
                    if (done + index) % self._every(name) == 0:
                        self._step(steps, name, step, image=image, truth=truth)
        self.batches.assign(done + len(batches))
        seen = self._figures(steps)
        order = sorted(seen, key=lambda name: (name != "loss", name))
        figures = {name: seen[name] for name in order}
        if held_out is not None:
            figures["val_loss"] = mean_loss(
                _pixel_loss(self.objective), self.network, held_out
            )
        for name, optimizer in self.optimizers.items():
            end = "" if name == GENERATOR else f"_{name}"
            figures[f"learning_rate{end}"] = optimizer.learning_rate
        for optimizer in self.optimizers.values():
            optimizer.watch(figures)
        return figures

    def _every(self, name: str) -> int:
        if name == GENERATOR:
            return self.staged.every
        critic = self.staged.critics.get(name)
        return 1 if critic is None else critic.every

    def _step(
        self,
        steps: Steps,
        name: str,
        step: Any,
        *,
        image: np.ndarray,
        truth: np.ndarray,
    ) -> None:
        """Let one network learn from a batch while the others are frozen."""
        for other, variables in self.learnt.items():
            let_train(variables, trainable=other == name)
        none = np.zeros((len(image), 1), np.float32)
        inputs: Any = [image, truth]
        if name == GENERATOR:
            aims: Any = dict.fromkeys(step.output, none) | {PIXEL: truth}
            for other, companion in self.staged.companions.items():
                if companion.against == "input":
                    aims[f"{other}_term"] = self._channels(
                        other, companion, pair=inputs
                    )
        elif name in self.staged.critics:
            aims = {"real": none, "fake": none}
        else:
            companion = self.staged.companions[name]
            aims = self._channels(name, companion, pair=inputs)
            inputs = truth
        steps.take(name, step, inputs, aims)

    def _figures(self, steps: Steps) -> dict[str, float]:
        """Return the mean losses of an epoch under their names in the history."""
        seen: dict[str, float] = {}
        for name, figures in steps.figures.items():
            if name != GENERATOR:
                seen[f"{name}_loss"] = figures["loss"]
                continue
            # Keras leaves out the parts of a loss that has only one
            seen[f"{PIXEL}_loss"] = figures["loss"]
            for key, value in figures.items():
                seen[key.replace("_term_loss", "_term")] = value
        return seen

    def _channels(
        self, name: str, companion: Companion, *, pair: list[np.ndarray]
    ) -> np.ndarray:
        """Return channels of the input at the size of a companion's output."""
        image, truth = pair
        shape = self.others[name].compute_output_shape(truth.shape)
        wanted = image[..., list(companion.channels)]
        for axis in range(1, image.ndim - 1):
            factor, rest = divmod(wanted.shape[axis], shape[axis])
            if rest:
                raise ValueError(
                    f"{name} gives {shape[axis]} px where the input has "
                    f"{wanted.shape[axis]}; the input must be a multiple"
                )
            split = (
                *wanted.shape[:axis],
                shape[axis],
                factor,
                *wanted.shape[axis + 1 :],
            )
            wanted = wanted.reshape(split).mean(axis=axis + 1)
        return wanted

    def skip(self, batches: int) -> None:
        """Let the learning rates fall as if further batches had been seen."""
        for name in self.steps:
            self.optimizers[name].skip(batches)

    def results(self) -> dict[str, Any]:
        """Return the generator as it is packaged, and companions that were trained."""
        found = {"weights": packaged_network(self.recipe, self.network)}
        for name, companion in self.objective.companions.items():
            if companion.optimizer is not None:
                found[name] = in_float32(
                    companion.network, companion.options, self.others[name]
                )
        return found


def _pixel_loss(objective: Adversarial) -> Callable[[Any, Any], Any]:
    def loss(target: Any, prediction: Any) -> Any:
        terms = [
            part.weight * part.loss(target, prediction) for part in objective.losses
        ]
        return sum(terms[1:], terms[0])

    return loss


def _comparison(companion: Companion) -> Callable[[Any, Any], Any]:
    def loss(wanted: Any, seen: Any) -> Any:
        if companion.against == "target":
            seen, wanted = ops.split(seen, 2, axis=-1)
        return companion.weight * companion.loss(wanted, seen)

    return loss
