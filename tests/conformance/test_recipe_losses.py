"""Every loss that a recipe trains with is finite and says which way to go."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from zoo import catalog
from zoo.core.random import generator
from zoo.core.recipe import Loss, Recipe

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

RECIPES = catalog.recipes()


def cases() -> list[Any]:
    """Return every loss of every stage with targets of the sizes it meets."""
    found = []
    for name, recipe in RECIPES.items():
        staged = [recipe] + [
            recipe.override(**stage.changes)
            for budget in recipe.budgets.values()
            for stage in budget.stages
        ]
        # a source that says nothing about crops has one size
        kinds = {(s.loss, getattr(s.source, "crop_px", 0)): s for s in staged}
        for number, stage in enumerate(kinds.values()):
            found.append(pytest.param(stage, id=f"{name}-{number}"))
    return found


every_stage = pytest.mark.parametrize("stage", cases())


def targets(recipe: Recipe, count: int = 2) -> np.ndarray:
    rng = generator(1)
    return np.stack([recipe.source.sample(rng)[1] for _ in range(count)])


def value(loss: Loss, target: np.ndarray, prediction: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(loss(target, prediction)))


@every_stage
def test_there_is_one_finite_number_per_sample(stage):
    target = targets(stage)
    noise = np.random.default_rng(2).normal(size=target.shape).astype(np.float32)
    for prediction in (0 * target, target, noise, 1e4 * noise):
        loss = value(stage.loss, target, prediction)
        assert loss.shape == (2,)
        assert np.isfinite(loss).all()
        assert (loss >= 0).all()


@every_stage
def test_nothing_to_find_and_nothing_found_is_finite(stage):
    nothing = np.zeros_like(targets(stage))
    assert np.isfinite(value(stage.loss, nothing, nothing)).all()


@every_stage
def test_samples_do_not_mix(stage):
    target = targets(stage)
    prediction = np.random.default_rng(2).random(target.shape, np.float32)
    together = value(stage.loss, target, prediction)
    alone = value(stage.loss, target[1:], prediction[1:])
    np.testing.assert_allclose(together[1:], alone, rtol=1e-4)


@every_stage
def test_reduced_precision_is_accepted(stage):
    target = targets(stage)
    prediction = ops.cast(ops.convert_to_tensor(0 * target), "bfloat16")
    loss = stage.loss(target, prediction)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    np.testing.assert_allclose(
        ops.convert_to_numpy(loss), value(stage.loss, target, 0 * target), rtol=1e-5
    )


class Free(keras.layers.Layer):
    """Predict weights of its own, whatever comes in."""

    def __init__(self, start: np.ndarray) -> None:
        super().__init__()
        self.map = self.add_weight(shape=start.shape, name="map")
        self.map.assign(start)

    def call(self, inputs):
        return 0 * inputs + self.map


@every_stage
def test_a_step_against_the_gradient_lowers_the_loss(stage):
    # the all-zero prediction, where training starts, must not be a place of rest
    target = targets(stage, count=6)
    index = int(np.argmax(np.abs(target).sum(axis=(1, 2, 3))))
    target = target[index : index + 1]
    start = np.zeros(target.shape[1:], np.float32)
    frame = keras.Input(target.shape[1:])
    free = Free(start)
    model = keras.Model(frame, free(frame))
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=lambda wanted, found: stage.loss(wanted, found),
        run_eagerly=True,
    )
    model.train_on_batch(target, target)
    slope = start - np.array(np.asarray(free.map))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0
    before = value(stage.loss, target, start[None])[0]
    # a step so short that the loss is straight: its fall is the slope squared
    step = 1e-2 * before / np.sum(slope.astype(float) ** 2)
    after = value(stage.loss, target, (start - step * slope)[None].astype("float32"))
    assert after[0] < before


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_a_declaration_survives_json(recipe):
    loss = recipe.loss
    assert type(loss).model_validate_json(loss.model_dump_json()) == loss
    assert recipe.model_dump(mode="json")["loss"] == loss.model_dump(mode="json")


@pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
def test_the_ideal_peak_of_the_network_is_that_of_the_loss(recipe):
    # the predictor's thresholds are fractions of the network's declared peak
    ideal_peak = getattr(recipe.loss, "ideal_peak", None)
    if recipe.network.ideal_peak is None or ideal_peak is None:
        assert recipe.network.task != "density" or ideal_peak is None
        return
    assert ideal_peak() == pytest.approx(recipe.network.ideal_peak, rel=0.01)
