"""Prices of a critic's scores."""

import numpy as np
import pytest
from keras import ops

from zoo.objectives._scores import fooling, forgery, reality

SCORES = np.linspace(-3, 3, 13, dtype=np.float32).reshape(1, 13, 1, 1)


def value(loss, scores=SCORES):
    return np.asarray(ops.convert_to_numpy(loss(np.zeros((1, 1)), scores)))


def each(loss):
    """Return the price of every score by itself."""
    return value(loss, SCORES.reshape(13, 1))


@pytest.mark.parametrize("kind", ["bce", "least_squares", "hinge", "wasserstein"])
def test_critic_and_generator_want_the_opposite(kind):
    up = SCORES.ravel() <= 1.0  # least squares aim at one
    real, fake, fooled = (
        each(loss) for loss in (reality(kind), forgery(kind), fooling(kind, 0.5))
    )
    assert (np.diff(real[up]) <= 0).all()
    assert np.ptp(real[up]) > 0
    assert (np.diff(fake[SCORES.ravel() >= 0]) >= 0).all()
    assert (np.diff(fooled[up]) < 0).all()
    np.testing.assert_allclose(fooled, each(fooling(kind, 1.0)) / 2, rtol=1e-6)
    # a map of scores costs what its pixels cost on average
    np.testing.assert_allclose(value(reality(kind)), [real.mean()], rtol=1e-6)


def test_cross_entropy_is_that_of_the_logistic_function():
    chance = 1 / (1 + np.exp(-SCORES.ravel().astype(float)))
    np.testing.assert_allclose(each(reality("bce")), -np.log(chance), rtol=1e-5)
    np.testing.assert_allclose(each(forgery("bce")), -np.log(1 - chance), rtol=1e-5)
    np.testing.assert_allclose(each(fooling("bce", 1.0)), -np.log(chance), rtol=1e-5)
