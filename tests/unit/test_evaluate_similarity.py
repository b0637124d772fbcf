"""Published protocols against scikit-image, TensorFlow and their definitions."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.evaluate.images import psnr, ssim
from zoo.evaluate.similarity import (
    WEIGHTS,
    care_scores,
    dfcan_scores,
    minmax,
    ms_ssim,
    norm_minmse,
    range_invariant_psnr,
    ssim_uniform,
)


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
    weights = np.array(WEIGHTS[:4]) / sum(WEIGHTS[:4])
    expected = float(
        tf.image.ssim_multiscale(target, prediction, data_range, power_factors=weights)
    )
    found = ms_ssim(prediction[..., 0], target[..., 0], data_range=data_range, scales=4)
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


@pytest.mark.parametrize(
    ("scales", "side", "complaint"),
    [(5, 160, "161 px a side, not 160 x 200 px; 81 px"), (4, 80, "at least 81 px")],
)
def test_small_images_are_an_error_that_says_the_size(scales, side, complaint):
    image = np.zeros((side, 200))
    with pytest.raises(ValueError, match=complaint):
        ms_ssim(image, image, data_range=1.0, scales=scales)
    larger = np.pad(image, [(0, 1), (0, 0)])
    assert ms_ssim(larger, larger, data_range=1.0, scales=scales) == 1


def test_range_invariant_psnr_is_the_best_affine_psnr(pair):
    prediction, target = pair
    value = range_invariant_psnr(prediction, target)
    assert range_invariant_psnr(100 * prediction - 7, 3 * target + 1) == pytest.approx(
        value
    )
    gain, offset = np.polyfit(prediction.ravel(), target.ravel(), 1)
    best = psnr(gain * prediction + offset, target, data_range=np.ptp(target))
    assert value == pytest.approx(best)
    assert value > psnr(prediction, target, data_range=np.ptp(target))
    assert np.isfinite(range_invariant_psnr(np.zeros_like(target), target))


def test_norm_minmse_follows_its_three_steps(pair):
    prediction, target = pair
    p, g = norm_minmse(5 * prediction + 2, 9 * target - 4)
    low, high = np.percentile(target, (0.1, 99.9))
    expected = (target - low) / (high - low)
    np.testing.assert_allclose(g, expected - expected.mean(), atol=1e-9)
    assert p.mean() == pytest.approx(0, abs=1e-12)
    # no other gain brings the prediction nearer
    error = np.mean((p - g) ** 2)
    assert error < min(np.mean((f * p - g) ** 2) for f in (0.99, 1.01))
    assert np.ptp(g) > 1
    scores = care_scores(prediction, target)
    p, g = norm_minmse(prediction, target)
    assert scores["psnr_norm_minmse_db"] == pytest.approx(psnr(p, g, data_range=1))
    assert scores["ssim_norm_minmse"] == pytest.approx(ssim(p, g, data_range=1))


@pytest.mark.parametrize("data_range", [1.0, 2.0])
def test_uniform_window_is_the_default_of_scikit_image(pair, data_range):
    from skimage.metrics import structural_similarity

    prediction, target = pair
    expected = structural_similarity(target, prediction, data_range=data_range)
    found = ssim_uniform(prediction, target, data_range=data_range)
    assert found == pytest.approx(expected, abs=1e-9)
    assert found != pytest.approx(ssim(prediction, target, data_range=data_range))


def test_dfcan_protocol(pair):
    from skimage.metrics import (
        normalized_root_mse,
        peak_signal_noise_ratio,
        structural_similarity,
    )

    prediction, target = pair
    p, g = minmax(prediction), minmax(target)
    scores = dfcan_scores(40 * prediction + 3, 7 * target)
    assert scores["nrmse_euclidean"] == pytest.approx(
        normalized_root_mse(g, p), abs=1e-6
    )
    assert scores["psnr_db"] == pytest.approx(
        peak_signal_noise_ratio(g, p, data_range=1), abs=1e-4
    )
    assert scores["ssim_7x7"] == pytest.approx(
        structural_similarity(g, p, data_range=1), abs=1e-5
    )
    # the range that the published program took by accident flatters
    accidental = dfcan_scores(prediction, target, ssim_range=2.0)
    assert accidental["ssim_7x7"] > scores["ssim_7x7"] + 0.02
    assert accidental["psnr_db"] == pytest.approx(scores["psnr_db"], abs=1e-4)


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (
            lambda: ms_ssim(np.ones((9, 9)), np.ones((9, 8)), data_range=1),
            "equal shape",
        ),
        (lambda: ms_ssim(np.ones(9), np.ones(9), data_range=1), "two-dimensional"),
        (
            lambda: ms_ssim(np.ones((9, 9)), np.ones((9, 9)), data_range=1, scales=3),
            "4 or 5",
        ),
        (lambda: ms_ssim(np.eye(200), np.eye(200), data_range=0), "data_range"),
        (lambda: range_invariant_psnr(np.eye(3), np.ones((3, 3))), "not constant"),
        (lambda: norm_minmse(np.eye(3), np.ones((3, 3))), "not constant"),
        (lambda: ssim_uniform(np.eye(6), np.eye(6), data_range=1), "7 x 7"),
        (lambda: ssim_uniform(np.eye(7), np.eye(7), data_range=-1), "data_range"),
        (lambda: dfcan_scores(np.eye(9), np.zeros((9, 9))), "not zero"),
    ],
)
def test_wrong_arguments_are_named(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
