"""Steps of networks in turn: those of the networks on their own."""

import keras
import numpy as np

from zoo.objectives._steps import Steps

RNG = np.random.default_rng(0)
INPUTS, AIMS = RNG.random((4, 8, 3)), RNG.random((4, 8, 2))


def networks():
    """Return a network, and one through it that learns other weights."""
    keras.utils.set_random_seed(1)
    image = keras.Input((3,))
    seen = keras.layers.Dense(2, name="a")(image)
    first = keras.Model(image, seen)
    both = keras.Model(image, keras.layers.Dense(2, name="b")(seen))
    for model, loss in ((first, "mse"), (both, "mae")):
        model.compile(optimizer=keras.optimizers.Adam(0.01), loss=loss)
    return first, both


def test_steps_are_those_of_train_on_batch():
    plain, careful = networks(), networks()
    losses = {"first": [], "both": []}
    for _ in range(2):
        for name in losses:
            losses[name].clear()
        with Steps() as steps:
            for image, aim in zip(INPUTS, AIMS, strict=True):
                for name, model in zip(losses, careful, strict=True):
                    steps.take(name, model, image, aim)
        for image, aim in zip(INPUTS, AIMS, strict=True):
            for name, model in zip(losses, plain, strict=True):
                losses[name].append(float(model.train_on_batch(image, aim)))
        for name, values in losses.items():
            found = steps.figures[name]["loss"]
            np.testing.assert_allclose(found, np.mean(values), rtol=1e-4)
    for one, two in zip(plain[1].weights, careful[1].weights, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(one), keras.ops.convert_to_numpy(two), atol=1e-5
        )


def test_an_epoch_without_steps_has_no_figures():
    with Steps() as steps:
        pass
    assert steps.figures == {}
