"""Every loss that a recipe trains with is finite and says which way to go."""

from typing import Any

import keras
import numpy as np
import pytest
from keras import ops

from zoo import catalog
from zoo.core.config import Config
from zoo.core.random import generator
from zoo.core.recipe import Loss, Source

RECIPES = catalog.recipes()


def losses_of(declared: Any) -> list[Loss]:
    """Return the losses in an objective, wherever they are."""
    if isinstance(declared, Loss):
        return [declared]
    if isinstance(declared, Config):
        declared = [getattr(declared, name) for name in type(declared).model_fields]
    elif isinstance(declared, dict):
        declared = list(declared.values())
    elif not isinstance(declared, (list, tuple)):
        return []
    return [loss for part in declared for loss in losses_of(part)]


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
        kinds = {
            (loss, getattr(s.source, "crop_px", 0)): s.source
            for s in staged
            for loss in losses_of(s.objective)
        }
        assert kinds, name
        for number, ((loss, _), source) in enumerate(kinds.items()):
            found.append(pytest.param(loss, source, id=f"{name}-{number}"))
    return found


every_stage = pytest.mark.parametrize(("loss", "source"), cases())


def targets(source: Source, count: int = 2) -> np.ndarray:
    rng = generator(1)
    return np.stack([source.sample(rng)[1] for _ in range(count)])


def nothing_for(source: Source, target: np.ndarray) -> np.ndarray:
    """Return an all-zero prediction: as large as the target, unless that is a table."""
    if hasattr(source, "imaging"):
        # emitters by their places, which fit volumes of any size
        return np.zeros((len(target), 8, 20, 24, 1), np.float32)
    return np.zeros_like(target)


def value(loss: Loss, target: np.ndarray, prediction: Any) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(loss(target, prediction)))


@every_stage
def test_there_is_one_finite_number_per_sample(loss, source):
    target = targets(source)
    zero = nothing_for(source, target)
    noise = np.random.default_rng(2).normal(size=zero.shape).astype(np.float32)
    ideal = target if target.shape == zero.shape else zero
    for prediction in (zero, ideal, noise, 1e4 * noise):
        costs = value(loss, target, prediction)
        assert costs.shape == (2,)
        assert np.isfinite(costs).all()
        assert (costs >= 0).all()


@every_stage
def test_nothing_to_find_and_nothing_found_is_finite(loss, source):
    nothing = np.zeros_like(targets(source))
    assert np.isfinite(value(loss, nothing, nothing_for(source, nothing))).all()


@every_stage
def test_samples_do_not_mix(loss, source):
    target = targets(source)
    shape = nothing_for(source, target).shape
    prediction = np.random.default_rng(2).random(shape, np.float32)
    together = value(loss, target, prediction)
    alone = value(loss, target[1:], prediction[1:])
    np.testing.assert_allclose(together[1:], alone, rtol=1e-4)


@every_stage
def test_reduced_precision_is_accepted(loss, source):
    target = targets(source)
    zero = nothing_for(source, target)
    prediction = ops.cast(ops.convert_to_tensor(zero), "bfloat16")
    costs = loss(target, prediction)
    assert keras.backend.standardize_dtype(costs.dtype) == "float32"
    np.testing.assert_allclose(
        ops.convert_to_numpy(costs), value(loss, target, zero), rtol=1e-5
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
def test_a_step_against_the_gradient_lowers_the_loss(loss, source):
    # the all-zero prediction, where training starts, must not be a place of rest
    target = targets(source, count=6)
    index = int(np.argmax(np.abs(target).reshape(len(target), -1).sum(axis=1)))
    target = target[index : index + 1]
    start = nothing_for(source, target)[0]
    frame = keras.Input(start.shape)
    free = Free(start)
    model = keras.Model(frame, free(frame))
    model.compile(
        optimizer=keras.optimizers.SGD(1.0),
        loss=lambda truth, output: loss(truth, output),
        run_eagerly=True,
    )
    model.train_on_batch(start[None], target)
    slope = start - np.array(np.asarray(free.map))
    assert np.isfinite(slope).all()
    assert np.abs(slope).max() > 0
    before = value(loss, target, start[None])[0]
    # a step so short that the loss is straight: its fall is the slope squared
    step = 1e-3 * before / np.sum(slope.astype(float) ** 2)
    after = value(loss, target, (start - step * slope)[None].astype("float32"))
    assert after[0] < before


@every_stage
def test_a_declaration_survives_json(loss, source):
    del source
    assert Loss.model_validate_json(loss.model_dump_json()) == loss
