"""ANNA-PALM's networks and Gaire's: counts, normalisations, the switch."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.core.random import generator
from zoo.layers.anna_palm import (
    ANNA_PALM_CONSISTENCY,
    ANNA_PALM_CRITIC,
    anna_palm_consistency,
    anna_palm_critic,
)
from zoo.models.anna_palm import anna_palm
from zoo.models.gaire_resnet import gaire_resnet

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


def output(model, images):
    return np.asarray(ops.convert_to_numpy(model(images, training=False)))


def renderings(count=2, size=32, channels=2):
    rng = generator(1)
    sparse = rng.poisson(0.3, (count, size, size, 1))
    rest = rng.random((count, size, size, channels - 1))
    return np.concatenate([sparse, rest], axis=-1).astype(np.float32)


@pytest.mark.parametrize("network", [ANNA_PALM_CRITIC, ANNA_PALM_CONSISTENCY])
def test_what_it_is_trained_against_has_the_published_parameters(network):
    weights = network.build().trainable_weights
    assert sum(int(np.prod(w.shape)) for w in weights) == network.parameters


def test_the_critic_scores_patches_and_the_consistency_network_shrinks():
    scores = output(anna_palm_critic(channels=3, width=4), renderings(2, 64, 3))
    assert scores.shape == (2, 6, 6, 1)
    small = output(anna_palm_consistency(width=2), renderings(2, 64, 2)[..., :1])
    assert small.shape == (2, 16, 16, 1)
    assert small.min() > 0
    assert small.max() < 1


@pytest.mark.parametrize(("norm", "mixes"), [("batch", True), ("moving", False)])
def test_published_statistics_are_those_of_the_batch(norm, mixes):
    keras.utils.set_random_seed(1)
    model = anna_palm(width=4, levels=3, switch=False, norm=norm, scaling="logarithmic")
    images = renderings()
    images[1] *= 3
    together, alone = output(model, images)[:1], output(model, images[:1])
    assert np.allclose(together, alone, atol=1e-5) != mixes


def test_moving_statistics_do_not_depend_on_the_tile():
    keras.utils.set_random_seed(1)
    model = anna_palm(
        width=4, levels=2, switch=False, norm="moving", scaling="logarithmic"
    )
    image = renderings(1, 96)
    whole, part = output(model, image), output(model, image[:, 24:72, 24:72])
    # two levels see 9 px; tiles begin at multiples of four
    assert np.allclose(whole[:, 36:60, 36:60], part[:, 12:36, 12:36], atol=1e-5)


def test_the_switch_changes_the_image_and_zero_leaves_it():
    keras.utils.set_random_seed(2)
    model = anna_palm(width=4, levels=3, norm="instance")
    images = renderings(1, 32, 3)
    found = []
    for number in (0, 3):
        images[..., 2] = number
        found.append(output(model, images))
    assert not np.allclose(*found, atol=1e-4)
    for layer in model.layers:
        if layer.name.endswith("_switch"):
            layer.set_weights([0 * w for w in layer.get_weights()])
    images[..., 2] = 3
    assert np.allclose(output(model, images), found[0], atol=1e-5)


def test_every_structure_has_weights_of_its_own_and_counts_where_it_stands():
    keras.utils.set_random_seed(4)
    model = anna_palm(
        width=4, levels=2, norm="moving", scaling="logarithmic", coding="places"
    )
    image = renderings(1, 64, 3)
    found = []
    for number in range(4):
        image[..., 2] = number
        found.append(output(model, image))
    # what one of them adds is no multiple of what another one does
    added = [(other - found[0]).ravel() for other in found[1:]]
    assert np.linalg.matrix_rank(np.stack(added), tol=1e-3) == 3
    # two structures in one image: each where it stands, but for what a pixel sees
    image[..., 2] = 1
    image[:, :, 32:, 2] = 3
    both = output(model, image)
    assert np.allclose(both[:, :, :20], found[1][:, :, :20], atol=1e-6)
    assert np.allclose(both[:, :, 44:], found[3][:, :, 44:], atol=1e-6)
    # zeros around a field that is smaller than the tile are no other structure
    small = np.pad(np.full((1, 30, 30, 1), 2.0), [(0, 0), (0, 2), (0, 2), (0, 0)])
    coded = anna_palm(width=4, levels=2, norm="instance")
    inner = np.concatenate([image[:, :32, :32, :2], small.astype("float32")], -1)
    full = inner.copy()
    full[..., 2] = 2
    assert np.allclose(output(coded, inner), output(coded, full), atol=1e-6)


def test_published_scaling_is_blind_to_gain_of_either_channel():
    keras.utils.set_random_seed(3)
    model = anna_palm(width=4, levels=3, switch=False, norm="instance")
    image = renderings(1)
    image[..., 1] *= 1000
    other = image * np.array([5.0, 2.0], np.float32)
    np.testing.assert_allclose(output(model, image), output(model, other), atol=1e-4)
    dark = np.zeros_like(image)
    assert np.isfinite(output(model, dark)).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 0}, "width and levels"),
        ({"norm": "layer"}, "norm must be"),
        ({"scaling": "none"}, "scaling must be"),
        ({"coding": "one_hot"}, "coding must be"),
        ({"tile": 100}, "tile must be a multiple of 256"),
    ],
)
def test_impossible_options_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        anna_palm(**options)


def test_a_residual_network_without_weights_leaves_the_input():
    model = gaire_resnet(colors=2, width=4, blocks=1)
    head = model.get_layer("head_conv")
    head.set_weights([0 * w for w in head.get_weights()])
    image = renderings(1, 16)
    np.testing.assert_array_equal(output(model, image), image)
    with pytest.raises(ValueError, match="colors, width and blocks"):
        gaire_resnet(colors=0)
