import keras
import numpy as np
import pytest
from keras import layers

from zoo.core.folding import phase_kernels
from zoo.layers.fold import foldable, folded


def network(*, norm=True, relu=True, point=True, bias=False, twice=False):
    keras.utils.set_random_seed(5)
    frame = keras.Input((None, None, 2), name="frame")
    x = layers.Conv2D(3, 3, padding="same", name="first")(frame)
    x = up = layers.UpSampling2D(2, name="enlarge")(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=bias, name="second")(x)
    if norm:
        x = layers.BatchNormalization(name="norm")(x)
    if relu:
        x = layers.ReLU(name="relu")(x)
    if point:
        x = layers.Conv2D(2, 1, name="point")(x)
    if twice:
        x = layers.Concatenate(name="both")([x, up])
    model = keras.Model(frame, x)
    rng = np.random.default_rng(1)
    model.set_weights(
        [rng.uniform(0.1, 1.0, w.shape).astype("f4") - 0.4 * (w.ndim > 1)
         for w in model.get_weights()]
    )  # fmt: skip
    return model


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"norm": False},
        {"relu": False},
        {"point": False},
        {"norm": False, "relu": False, "point": False, "bias": True},
    ],
    ids=str,
)
@pytest.mark.parametrize("shape", [(1, 8, 8), (2, 5, 9)])
def test_a_folded_network_computes_the_same(options, shape):
    model = network(**options)
    image = np.random.default_rng(2).random((*shape, 2), np.float32)
    expected = model.predict_on_batch(image)
    result = folded(model).predict_on_batch(image)
    assert result.shape == expected.shape == (shape[0], 2 * shape[1], 2 * shape[2],
                                              expected.shape[-1])  # fmt: skip
    np.testing.assert_allclose(result, expected, atol=2e-6 * np.abs(expected).max())


def test_the_enlargement_is_gone_and_multiplications_are_fewer():
    names = [layer.name for layer in folded(network()).layers]
    assert "enlarge" not in names
    assert [f"second_phase{p}{q}" in names for p in (0, 1) for q in (0, 1)] == [
        True
    ] * 4
    kernels = phase_kernels(np.ones((3, 3, 1, 1), np.float32))
    assert kernels[..., 0, 0].size == 16  # of 36
    assert kernels.sum() == 36


def test_what_others_read_is_left_alone():
    model = network(twice=True)
    assert foldable(model) == []
    assert folded(model) is model


def test_other_enlargements_are_left_alone():
    frame = keras.Input((None, None, 1))
    x = layers.UpSampling2D(3)(frame)
    model = keras.Model(frame, layers.Conv2D(1, 3, padding="same")(x))
    assert folded(model) is model


def test_a_border_of_its_own_is_folded_too():
    keras.utils.set_random_seed(5)
    frame = keras.Input((None, None, 2), name="frame")
    x = layers.UpSampling2D(2, name="enlarge")(frame)
    x = layers.ZeroPadding2D(1, name="pad")(x)
    x = layers.Conv2D(4, 3, name="conv", bias_initializer="random_normal")(x)
    x = layers.LeakyReLU(0.2, name="relu")(x)
    model = keras.Model(frame, layers.BatchNormalization(name="norm")(x))
    lean = folded(model)
    assert {"enlarge", "pad"}.isdisjoint(layer.name for layer in lean.layers)
    image = np.random.default_rng(2).random((1, 7, 6, 2), np.float32)
    expected = model.predict_on_batch(image)
    np.testing.assert_allclose(
        lean.predict_on_batch(image), expected, atol=2e-6 * np.abs(expected).max()
    )


def test_a_wider_border_is_left_alone():
    frame = keras.Input((None, None, 2))
    x = layers.ZeroPadding2D(2)(layers.UpSampling2D(2)(frame))
    model = keras.Model(frame, layers.Conv2D(4, 3)(x))
    assert folded(model) is model
