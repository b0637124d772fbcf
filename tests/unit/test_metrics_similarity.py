"""Multi-scale similarity against TensorFlow and its definition."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.metrics.images import ssim
from zoo.metrics.similarity import SMALLEST_PX, ms_ssim


@pytest.fixture(scope="module")
def pair():
    rng = np.random.default_rng(31)
    target = gaussian_filter(rng.random((170, 181)) ** 8, 2)
    target = (target - target.min()) / np.ptp(target)
    blurred = gaussian_filter(target, 1.5) + rng.normal(0, 0.03, target.shape)
    return blurred, target


@pytest.mark.tensorflow
@pytest.mark.parametrize("data_range", [1.0, 3.0])
def test_multi_scale_similarity_is_that_of_tensorflow(pair, data_range):
    import tensorflow as tf

    prediction, target = (data_range * image[..., None] for image in pair)
    expected = float(tf.image.ssim_multiscale(target, prediction, data_range))
    found = ms_ssim(prediction[..., 0], target[..., 0], data_range=data_range)
    assert found == pytest.approx(expected, abs=3e-5)


def test_multi_scale_similarity_forgives_fine_noise_more_than_blur(pair):
    _, target = pair
    fine = target + np.random.default_rng(1).normal(0, 0.05, target.shape)
    coarse = target + 0.05 * np.std(target) + gaussian_filter(fine - target, 8) * 8
    single = ssim(fine, target, data_range=1.0)
    assert ms_ssim(fine, target, data_range=1.0) > single + 0.05
    assert ms_ssim(target, target, data_range=1.0) == pytest.approx(1)
    assert ms_ssim(coarse, target, data_range=1.0) < 1


def test_inverted_contrast_counts_as_nothing(pair):
    _, target = pair
    assert ms_ssim(1 - target, target, data_range=1.0) == 0


def test_small_images_are_an_error_that_says_the_size():
    image = np.zeros((SMALLEST_PX - 1, 200))
    with pytest.raises(ValueError, match="161 px a side, not 160 x 200 px"):
        ms_ssim(image, image, data_range=1.0)
    larger = np.pad(image, [(0, 1), (0, 0)])
    assert ms_ssim(larger, larger, data_range=1.0) == 1


@pytest.mark.parametrize(
    ("images", "data_range", "complaint"),
    [
        ((np.ones((9, 9)), np.ones((9, 8))), 1, "equal shape"),
        ((np.ones(9), np.ones(9)), 1, "two-dimensional"),
        ((np.eye(200), np.eye(200)), 0, "data_range"),
    ],
)
def test_wrong_arguments_are_named(images, data_range, complaint):
    with pytest.raises(ValueError, match=complaint):
        ms_ssim(*images, data_range=data_range)
