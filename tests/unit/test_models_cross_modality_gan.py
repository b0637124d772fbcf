"""The cross-modality generator, and the critics that train it and DFGAN."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.layers.critics import FLAT_CRITIC, STRIDED_CRITIC, flat_critic, strided_critic
from zoo.models.cross_modality_gan import (
    STEP,
    cross_modality_gan,
    show_input,
    twice_as_fine,
)
from zoo.models.dfgan import dfgan, dfgan_reconstructed


def numbers(x):
    return ops.convert_to_numpy(x)


@pytest.mark.parametrize("declared", [STRIDED_CRITIC, FLAT_CRITIC])
def test_a_critic_has_the_parameters_of_its_paper(declared):
    model = declared.build()
    assert model.count_params() == declared.parameters
    assert model.name == declared.name
    assert [w.path for w in declared.build().weights] == [w.path for w in model.weights]


@pytest.mark.parametrize("build", [strided_critic, flat_critic])
def test_a_critic_scores_images_of_any_size(build):
    model = build(width=4)
    rng = np.random.default_rng(0)
    for shape in ((2, 64, 64, 1), (1, 48, 80, 1)):
        score = numbers(model(rng.random(shape, np.float32)))
        assert score.shape == (shape[0], 1)
        assert np.isfinite(score).all()
    # without a sigmoid, which is part of the loss
    assert numbers(model(50 * rng.random((8, 64, 64, 1), np.float32))).std() > 1e-3
    with pytest.raises(ValueError, match="width must be at least 1"):
        build(width=0)


def test_a_strided_critic_halves_five_times_and_a_flat_one_never():
    strides = [
        [
            layer.strides[0]
            for layer in build(width=2).layers
            if "conv" in layer.name and hasattr(layer, "strides")
        ]
        for build in (strided_critic, flat_critic)
    ]
    assert np.prod(strides[0]) == 32
    assert np.prod(strides[1]) == 1
    assert len(strides[0]) == len(strides[1]) == 11


def test_the_widths_of_the_generator_are_those_of_the_table():
    model = cross_modality_gan()
    widths = {
        level: [model.get_layer(f"{level}_conv{n}").filters for n in (1, 2, 3)]
        for level in ("down0", "down3", "up3", "up0")
    }
    assert widths == {
        "down0": [32, 32, 64],
        "down3": [384, 384, 512],
        "up3": [640, 640, 256],
        "up0": [80, 80, 32],
    }
    assert model.get_layer("output_conv").activation is keras.activations.linear


@pytest.mark.parametrize("shape", [(1, 4, 6, 2), (2, 1, 3, 1)])
def test_enlarging_is_bilinear_at_pixel_centres(shape):
    maps = np.random.default_rng(1).random(shape).astype(np.float32)
    expected = maps
    for axis in (1, 2):
        length = shape[axis]
        place = np.clip((np.arange(2 * length) + 0.5) / 2 - 0.5, 0, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        share = (place - low).reshape((1, -1, 1, 1) if axis == 1 else (1, 1, -1, 1))
        expected = (1 - share) * np.take(expected, low, axis) + share * np.take(
            expected, high, axis
        )
    np.testing.assert_allclose(numbers(twice_as_fine(maps)), expected, atol=1e-6)


def test_a_prepared_network_returns_its_input():
    keras.utils.set_random_seed(3)
    model = cross_modality_gan(width=8)
    image = np.random.default_rng(2).random((1, 48, 32, 1), np.float32)
    before = numbers(model(image))
    show_input(model)
    after = numbers(model(image))
    assert np.abs(after - image).max() < 0.1
    assert np.abs(after - image).std() < 0.1 * np.abs(before - image).std()


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"width": 7}, "width must be even"),
        ({"width": 0}, "width must be even"),
        ({"tile": STEP + 1}, "multiple of 16 px, not 17"),
    ],
)
def test_impossible_sizes_are_refused(options, words):
    with pytest.raises(ValueError, match=words):
        cross_modality_gan(**options)


def test_dfgan_takes_the_weights_of_a_dfcan_of_its_depth():
    from zoo.models.dfcan import dfcan

    small = {"width": 8, "groups": 2, "blocks": 2, "spectrum_px": 16, "tile": None}
    first, second = dfcan(**small), dfgan(**small, gamma=0.8)
    assert [w.path for w in first.weights] == [w.path for w in second.weights]
    second.set_weights(first.get_weights())
    image = np.random.default_rng(4).random((1, 16, 20, 1), np.float32)
    np.testing.assert_allclose(numbers(second(image)), numbers(first(image)), atol=1e-6)


@pytest.mark.parametrize("build", [dfgan, dfgan_reconstructed])
def test_dfgan_refuses_what_cannot_be(build):
    with pytest.raises(ValueError, match="tile must be at least 1, not 0"):
        build(tile=0)
    with pytest.raises(ValueError, match="blocks must be at least 1"):
        build(blocks=0)
