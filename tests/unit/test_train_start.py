"""Weights of a smaller network begin a larger one that keeps all of its layers."""

import keras
import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.models.anna_palm import anna_palm
from zoo.models.deep_storm_fast import deep_storm_fast
from zoo.train.start import start_from, start_from_mean

SMALL = {"width": 4, "levels": 3, "norm": "moving", "scaling": "logarithmic"}


def output(model, image):
    return keras.ops.convert_to_numpy(model(image, training=False))


@pytest.fixture
def plain(tmp_path):
    keras.utils.set_random_seed(1)
    model = anna_palm(switch=False, **SMALL)
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(np.full(weight.shape, 2.0))
    model.save(tmp_path / "plain.keras")
    return model


def test_a_switch_begins_as_the_network_without_it(plain, tmp_path):
    keras.utils.set_random_seed(2)
    switched = anna_palm(coding="places", **SMALL)
    record = start_from(switched, tmp_path / "plain.keras")
    assert record["start_new"] == 3
    image = np.random.default_rng(0).random((1, 48, 32, 2), np.float32)
    for number, same in ((0, True), (1, False), (3, False)):
        third = np.full_like(image[..., :1], number)
        found = output(switched, np.concatenate([image, third], -1))
        assert np.allclose(found, output(plain, image), atol=1e-6) == same


def test_the_other_way_and_other_names_are_refused(plain, tmp_path):
    switched = anna_palm(coding="places", **SMALL)
    switched.save(tmp_path / "switched.keras")
    with pytest.raises(
        BadInput, match=r"the network has .*; start from one of the same"
    ):
        start_from(plain, tmp_path / "switched.keras")
    image = keras.Input((8, 8, 2))
    other = keras.Model(image, keras.layers.Conv2D(2, 3, name="other")(image))
    other.save(tmp_path / "other.keras")
    before = switched.get_weights()
    with pytest.raises(BadInput, match="start from one of the same architecture"):
        start_from(switched, tmp_path / "other.keras")
    wide = anna_palm(switch=False, **SMALL | {"width": 5})
    wide.save(tmp_path / "wide.keras")
    with pytest.raises(BadInput, match="same architecture and width"):
        start_from(switched, tmp_path / "wide.keras")
    for old, new in zip(before, switched.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_wider_network_begins_with_what_the_narrow_one_did(tmp_path):
    keras.utils.set_random_seed(3)
    narrow = deep_storm_fast(width=4, blocks=2)
    rng = np.random.default_rng(1)
    for weight in narrow.weights:
        if "norm" in weight.path:
            weight.assign(rng.uniform(0.5, 2.0, weight.shape))
    narrow.save(tmp_path / "narrow.keras")
    keras.utils.set_random_seed(4)
    wide = deep_storm_fast(width=7, blocks=2)
    record = start_from(wide, tmp_path / "narrow.keras")
    assert record["start_wider"] == len(wide.weights) - 1  # all but the last bias
    assert "start_channels" not in record
    frame = rng.random((2, 12, 9, 1), np.float32)
    np.testing.assert_allclose(
        output(wide, frame), output(narrow, frame), rtol=1e-4, atol=1e-6
    )
    before = wide.get_weights()
    wide.compile(keras.optimizers.Adam(1e-2), "mse")
    wide.train_on_batch(frame, rng.random((2, 96, 72, 1), np.float32))
    for weight, old in zip(wide.weights, before, strict=True):
        if weight.path.endswith("first_conv/kernel"):  # of the channels that are new
            new = keras.ops.convert_to_numpy(weight.value)
            assert (new[..., 4:, :4] != old[..., 4:, :4]).all(), weight.path


def test_a_wider_network_that_does_something_else_is_refused(tmp_path):
    image = keras.Input((8, 8, 1))
    other = keras.Model(image, keras.layers.Conv2D(2, 3, name="other")(image))
    other.save(tmp_path / "other.keras")
    wide = keras.Model(image, keras.layers.Conv2D(3, 3, name="wide")(image))
    before = wide.get_weights()
    with pytest.raises(BadInput, match="which does something else with them"):
        start_from(wide, tmp_path / "other.keras")
    for old, new in zip(before, wide.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_several_weights_begin_with_their_mean(tmp_path):
    models = []
    for seed, name in enumerate(("before", "after")):
        keras.utils.set_random_seed(seed)
        models.append(anna_palm(switch=False, **SMALL))
        models[-1].save(tmp_path / f"{name}.keras")
    before, after = (tmp_path / f"{name}.keras" for name in ("before", "after"))
    model = anna_palm(switch=False, **SMALL)
    record = start_from_mean(model, [before, after, after])
    assert record["start"].split(", ") == [
        f"{tmp_path.name}/{name}.keras" for name in ("before", "after", "after")
    ]
    first, second, third = str(record["start_sha256"]).split(", ")
    assert first != second == third
    weights = [each.get_weights() for each in (*models, model)]
    for old, new, mean in zip(*weights, strict=True):
        np.testing.assert_allclose(mean, (old + 2 * new) / 3, rtol=1e-5, atol=1e-6)
    # a single one is taken as it is
    start_from_mean(model, [before])
    for old, same in zip(weights[0], model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, same)
