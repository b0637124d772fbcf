"""The loss that counts errors in bounds."""

import numpy as np
import pytest
from keras import ops

from zoo.losses import WITHIN_ONE_SIGMA, BoundWeighted


def value(loss, target, prediction):
    found = loss(np.asarray(target, np.float32), np.asarray(prediction, np.float32))
    return np.asarray(ops.convert_to_numpy(found))


def test_an_efficient_estimator_costs_one():
    rng = np.random.default_rng(1)
    bounds = rng.uniform(0.1, 3.0, (4000, 2))
    truth = rng.normal(size=(4000, 2))
    target = np.concatenate([truth, bounds], axis=1)
    found = truth + bounds * rng.normal(size=truth.shape)
    prediction = np.concatenate([found, bounds], axis=1)
    squared = value(BoundWeighted(deviations=0.0), target, prediction)
    assert squared.mean() == pytest.approx(1.0, abs=0.05)
    size = value(BoundWeighted(error="absolute", deviations=0.0), target, prediction)
    assert size.mean() == pytest.approx((2 / np.pi) ** 0.5, abs=0.02)


def test_weights_choose_which_estimates_count():
    target, prediction = [[0.0, 0.0, 1.0, 1.0]], [[2.0, 5.0, 1.0, 1.0]]
    only_first = BoundWeighted(weights=(1.0, 0.0), deviations=0.0)
    # the mean runs over both
    assert value(only_first, target, prediction)[0] == pytest.approx(4.0 / 2)


def test_the_cheapest_deviation_holds_the_share_of_one_sigma():
    rng = np.random.default_rng(2)
    errors = np.abs(rng.standard_normal(20_001))
    target = np.stack([np.zeros_like(errors), np.ones_like(errors)], axis=1)
    loss = BoundWeighted(deviations=1.0)
    stated = np.linspace(0.6, 1.4, 81)
    costs = [
        value(loss, target, np.stack([errors, np.full_like(errors, s)], axis=1)).mean()
        for s in stated
    ]
    best = stated[int(np.argmin(costs))]
    assert best == pytest.approx(1.0, abs=0.03)
    assert np.mean(errors < best) == pytest.approx(WITHIN_ONE_SIGMA, abs=0.01)


@pytest.mark.tensorflow
def test_stated_deviations_do_not_move_the_estimates():
    import tensorflow as tf

    target = tf.constant([[0.0, 1.0]])
    slopes = []
    for weight in (0.0, 10.0):
        prediction = tf.Variable([[0.7, 0.2]])
        with tf.GradientTape() as tape:
            cost = BoundWeighted(deviations=weight)(target, prediction)
        slopes.append(tape.gradient(cost, prediction).numpy()[0])
    assert slopes[0][0] == slopes[1][0] != 0
    assert slopes[0][1] == 0 > slopes[1][1]
