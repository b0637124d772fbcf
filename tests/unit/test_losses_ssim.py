"""Squared error plus structural similarity: values, gradients, the published form."""

import keras
import numpy as np
import pytest
from keras import ops

from zoo.losses import MsePlusSsim, structural_similarity
from zoo.metrics.images import ssim


@pytest.fixture
def pair():
    rng = np.random.default_rng(11)
    target = rng.gamma(2.0, 0.1, (3, 30, 41, 1)).clip(0, 1)
    prediction = (0.8 * target + rng.normal(0, 0.05, target.shape)).clip(0, 1)
    return target.astype("float32"), prediction.astype("float32")


def numbers(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("data_range", [1.0, 2.0, 255.0])
def test_similarity_is_that_of_scikit_image(pair, data_range):
    from skimage.metrics import structural_similarity as reference

    target, prediction = (data_range * image for image in pair)
    found = numbers(structural_similarity(target, prediction, data_range=data_range))
    assert found.shape == (3,)
    expected = [
        reference(
            g[..., 0].astype(float),
            p[..., 0].astype(float),
            data_range=data_range,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
        )
        for g, p in zip(target, prediction, strict=True)
    ]
    np.testing.assert_allclose(found, expected, atol=2e-5)
    by_evaluation = [
        ssim(p[..., 0], g[..., 0], data_range=data_range)
        for g, p in zip(target, prediction, strict=True)
    ]
    np.testing.assert_allclose(found, by_evaluation, atol=2e-5)


def test_channels_are_compared_one_by_one(pair):
    target, prediction = pair
    found = numbers(
        structural_similarity(
            np.concatenate([target, prediction], axis=-1),
            np.concatenate([prediction, prediction], axis=-1),
            data_range=1.0,
        )
    )
    single = numbers(structural_similarity(target, prediction, data_range=1.0))
    np.testing.assert_allclose(found, (single + 1) / 2, atol=1e-6)


def test_volumes_are_compared_plane_by_plane(pair):
    volumes = [np.stack([image, image[::-1]], axis=1) for image in pair]
    planes = numbers(structural_similarity(*pair, data_range=1.0))
    found = numbers(structural_similarity(*volumes, data_range=1.0))
    np.testing.assert_allclose(found, (planes + planes[::-1]) / 2, atol=1e-6)
    for loss in (MsePlusSsim(), MsePlusSsim(rescale="match", error="logarithmic")):
        assert numbers(loss(*volumes)).shape == (3,)


def test_vectors_are_compared_without_similarity():
    target, prediction = np.random.default_rng(2).random((2, 4, 3), np.float32)
    found = numbers(MsePlusSsim(ssim_weight=0.0)(target, prediction))
    expected = ((target - prediction) ** 2).mean(axis=1)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.tensorflow
def test_similarity_is_that_of_tensorflow(pair):
    import tensorflow as tf

    target, prediction = pair
    np.testing.assert_allclose(
        numbers(structural_similarity(target, prediction, data_range=1.0)),
        tf.image.ssim(target, prediction, 1.0).numpy(),
        atol=2e-6,
    )


def test_loss_is_the_sum_that_it_states(pair):
    target, prediction = pair
    loss = numbers(MsePlusSsim(ssim_weight=0.3)(target, prediction))
    error = ((target - prediction) ** 2).mean((1, 2, 3))
    missing = [
        1 - ssim(p[..., 0], g[..., 0], data_range=1.0)
        for g, p in zip(target, prediction, strict=True)
    ]
    np.testing.assert_allclose(loss, error + 0.3 * np.array(missing), atol=1e-5)
    np.testing.assert_allclose(numbers(MsePlusSsim()(target, target)), 0, atol=1e-6)


def test_the_data_range_decides_what_a_faint_difference_costs(pair):
    target, prediction = (0.01 * image for image in pair)
    right = numbers(MsePlusSsim(data_range=0.01)(target, prediction))
    wrong = numbers(MsePlusSsim(data_range=1.0)(target, prediction))
    assert (right > 20 * wrong).all()


def test_published_form_is_blind_to_gain_and_offset(pair):
    target, prediction = pair
    loss = MsePlusSsim(rescale="batch")
    value = numbers(loss(target, prediction))
    np.testing.assert_allclose(
        numbers(loss(3 * target + 1, 0.2 * prediction - 5)), value, atol=1e-5
    )
    stretched = [(x - x.min()) / (x.max() - x.min()) for x in pair]
    np.testing.assert_allclose(value, numbers(MsePlusSsim()(*stretched)), atol=1e-5)
    # one pair of extremes for the whole batch, not for each image
    own = [(x[:1] - x[:1].min()) / np.ptp(x[:1]) for x in pair]
    assert abs(value[0] - numbers(MsePlusSsim()(*own))[0]) > 1e-4


def test_matched_form_is_blind_to_gain_and_offset_of_every_prediction(pair):
    target, prediction = pair
    gains = np.array([0.2, 1.0, 4.0], "float32").reshape(3, 1, 1, 1)
    loss = MsePlusSsim(rescale="match", anchor=0.0)
    value = numbers(loss(target, prediction))
    moved = numbers(loss(target, gains * prediction - 5 * gains))
    np.testing.assert_allclose(moved, value, rtol=1e-3, atol=1e-5)
    fitted = np.stack(
        [
            np.polynomial.Polynomial.fit(p.ravel(), g.ravel(), 1)(p)
            for p, g in zip(prediction, target, strict=True)
        ]
    )
    np.testing.assert_allclose(value, numbers(MsePlusSsim()(target, fitted)), rtol=1e-3)


def test_the_anchor_holds_gain_and_offset(pair):
    target, prediction = pair
    held, free = (
        numbers(MsePlusSsim(rescale="match", anchor=anchor)(target, prediction))
        for anchor in (0.5, 0.0)
    )
    error = ((target - prediction) ** 2).mean((1, 2, 3))
    np.testing.assert_allclose(held - free, 0.5 * error, atol=1e-6)


def test_a_decibel_counts_the_same_whatever_the_error(pair):
    target, _ = pair
    loss = MsePlusSsim(error="logarithmic", ssim_weight=0.0)
    noise = np.random.default_rng(5).normal(0, 1, target.shape).astype("float32")
    falls = [
        numbers(loss(target, target + 2 * size * noise))
        - numbers(loss(target, target + size * noise))
        for size in (0.02, 0.2)
    ]
    np.testing.assert_allclose(falls, np.log(4), atol=0.01)
    assert np.isfinite(numbers(loss(target, target))).all()


@pytest.mark.parametrize("rescale", ["none", "batch", "match"])
def test_training_on_the_loss_lowers_it_and_empty_batches_do_no_harm(pair, rescale):
    target, image = pair
    keras.utils.set_random_seed(1)
    model = keras.Sequential(
        [keras.Input((30, 41, 1)), keras.layers.Conv2D(1, 3, padding="same")]
    )
    loss = MsePlusSsim(rescale=rescale)
    model.compile(keras.optimizers.Adam(0.02), lambda g, p: loss(g, p))
    first = model.train_on_batch(image, target)
    for _ in range(30):
        last = model.train_on_batch(image, target)
    assert last < 0.8 * first
    empty = np.zeros_like(image)
    assert np.isfinite(model.train_on_batch(empty, empty))
    assert all(np.isfinite(array).all() for array in model.get_weights())


def test_reduced_precision_is_computed_in_float32(pair):
    target, prediction = pair
    half = ops.cast(prediction, "bfloat16")
    loss = MsePlusSsim()(target, half)
    assert keras.backend.standardize_dtype(loss.dtype) == "float32"
    rounded = numbers(ops.cast(half, "float32"))
    np.testing.assert_allclose(
        numbers(loss), numbers(MsePlusSsim()(target, rounded)), atol=1e-6
    )


@pytest.mark.parametrize(
    "options",
    [{"ssim_weight": -1}, {"data_range": 0}, {"rescale": "image"}, {"anchor": -1}],
)
def test_impossible_declarations_are_refused(options):
    with pytest.raises(ValueError, match=next(iter(options))):
        MsePlusSsim(**options)
