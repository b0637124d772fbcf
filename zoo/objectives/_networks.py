"""What all objectives do with networks: build, freeze, compile, judge, hand over."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import keras
import numpy as np

from zoo.core.grid import Grid
from zoo.core.network import Network
from zoo.core.recipe import Batches, Budget, Loss, Pair, Recipe
from zoo.objectives._optimizers import Optimizer

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops
AT_ONCE = 8
"""Held-out samples that go through a network together."""


def trained_network(recipe: Recipe, *, dtype: str) -> Any:
    """Build the network of a recipe as it is trained."""
    asked = recipe.source.training_options()
    options = recipe.options | recipe.training_options | asked
    return recipe.network.build(**options, dtype=dtype)


def packaged_network(recipe: Recipe, trained: Any) -> Any:
    """Return the network of a recipe as it is packaged, with trained weights."""
    return in_float32(recipe.network, recipe.options, trained)


def in_float32(network: Network, options: Mapping[str, Any], trained: Any) -> Any:
    """Build a network for use in float32 and give it trained weights."""
    model = network.build(**options)
    model.set_weights(trained.get_weights())
    return model


def compile_for(
    model: Any, optimizer: Any, loss: Callable[..., Any] | dict[str, Any] | None
) -> None:
    """Make a model ready to be trained; XLA costs time on a CPU with TensorFlow.

    Without a loss, those that layers add are all there is.
    """
    model.compile(
        optimizer=optimizer, loss=loss, jit_compile=keras.config.backend() == "jax"
    )


def let_train(variables: Iterable[Any], *, trainable: bool) -> None:
    """Free or freeze weights, while layers go on as in training.

    Weights are frozen, not layers: a frozen batch normalisation would use the
    statistics of inference.  Has to be called before each step that depends on it.
    """
    for variable in variables:
        variable.trainable = trainable


def fit_epoch(
    model: Any,
    optimizer: Optimizer,
    batches: Batches,
    *,
    held_out: Pair | None,
    loss: Loss,
) -> dict[str, float]:
    """Train a compiled model on every batch; return its figures.

    Parameters
    ----------
    model, optimizer
        What is trained and by what.
    batches
        Batches of the epoch, in order.
    held_out, loss
        Samples that are judged, and how.
    """
    result = model.fit(batches, epochs=1, verbose=0, shuffle=False)
    figures = {"loss": float(result.history["loss"][-1])}
    if held_out is not None:
        figures["val_loss"] = mean_loss(loss, model, held_out)
    figures["learning_rate"] = optimizer.learning_rate
    optimizer.watch(figures)
    return figures


def mean_loss(loss: Loss | Callable[..., Any], network: Any, pairs: Pair) -> float:
    """Return the mean loss of a network on held-out pairs."""
    losses: list[np.ndarray] = []
    for start in range(0, len(pairs[0]), AT_ONCE):
        frames, targets = (part[start : start + AT_ONCE] for part in pairs)
        value = loss(targets, network.predict_on_batch(frames))
        losses.append(np.asarray(ops.convert_to_numpy(value)))
    return float(np.concatenate(losses).mean())


def stages_where(
    recipe: Recipe, budget: Budget, holds: Callable[[Any], bool]
) -> Budget:
    """Return a budget with those stages only whose objective is as asked for."""
    stages = [
        stage
        for stage in budget.stages
        if holds(recipe.override(**stage.changes).objective)
    ]
    return budget.override(stages=tuple(stages))


def enlarged(images: Any, grid: Grid) -> Any:
    """Repeat pixels of a network's input until it is as large as the output.

    Parameters
    ----------
    images : (b, [z,] y, x, c)
        Input in a graph, or as an array.
    grid
        Axes and scales of the network.
    """
    for axis, letter in enumerate(grid.input_axes):
        if grid.scale(letter) > 1:
            images = ops.repeat(images, grid.scale(letter), axis=axis)
    return images
