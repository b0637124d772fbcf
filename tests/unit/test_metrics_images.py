"""Image metrics against formulas and their invariances."""

import numpy as np
import pytest

from zoo.metrics.images import (
    affine_match,
    nmse,
    nrmse,
    pearson,
    psnr,
    ssim,
)


@pytest.fixture
def pair():
    rng = np.random.default_rng(5)
    target = rng.gamma(2.0, 20.0, (40, 50))
    return target + rng.normal(0, 8, target.shape), target


def test_psnr_of_a_constant_offset():
    image = np.arange(12.0).reshape(3, 4)
    assert psnr(image + 2, image, data_range=200) == pytest.approx(40)
    assert psnr(image, image, data_range=1) == np.inf


def test_nmse_does_not_depend_on_the_scale_of_the_prediction(pair):
    prediction, target = pair
    value = nmse(prediction, target)
    assert nmse(7 * prediction, target) == pytest.approx(value)
    # gain-matched error = 1 − cos² of the angle between the two images
    cosine = np.sum(prediction * target) / (
        np.linalg.norm(prediction) * np.linalg.norm(target)
    )
    assert value == pytest.approx(100 * (1 - cosine**2))
    assert nmse(np.zeros((2, 2)), np.ones((2, 2))) == 100


def test_norms_of_nrmse_differ_as_defined(pair):
    prediction, target = pair
    rmse = np.sqrt(np.mean((prediction - target) ** 2))
    values = {n: nrmse(prediction, target, norm=n) for n in ("euclidean", "mean")}
    assert values["euclidean"] == pytest.approx(
        rmse * np.sqrt(target.size) / np.linalg.norm(target)
    )
    assert values["mean"] == pytest.approx(rmse / target.mean())
    spread = target.max() - target.min()
    assert nrmse(prediction, target, norm="minmax") == pytest.approx(rmse / spread)


@pytest.mark.parametrize("data_range", [1.0, 255.0])
def test_ssim_is_that_of_the_publication(pair, data_range):
    prediction, target = pair
    offset = np.arange(-5, 6)
    window = np.exp(-0.5 * (offset[:, None] ** 2 + offset**2) / 1.5**2)
    window /= window.sum()
    views = [
        np.lib.stride_tricks.sliding_window_view(image, (11, 11))
        for image in (prediction, target)
    ]
    means = [(view * window).sum((-2, -1)) for view in views]
    p, g = (v - m[..., None, None] for v, m in zip(views, means, strict=True))
    covariance = (p * g * window).sum((-2, -1))
    variances = ((p**2 + g**2) * window).sum((-2, -1))
    c1, c2 = (0.01 * data_range) ** 2, (0.03 * data_range) ** 2
    local = (2 * means[0] * means[1] + c1) / (means[0] ** 2 + means[1] ** 2 + c1)
    local *= (2 * covariance + c2) / (variances + c2)
    assert ssim(prediction, target, data_range=data_range) == pytest.approx(
        local.mean(), abs=1e-9
    )
    assert ssim(target, target, data_range=data_range) == pytest.approx(1)


def test_ssim_averages_only_whole_windows():
    # images that differ in a corner pixel, 5 px from the first whole window's centre
    flat = np.ones((21, 21))
    other = flat.copy()
    other[0, 0] = 2.0
    window = np.exp(-0.5 * (np.arange(-5, 6) / 1.5) ** 2)
    weight = (window[0] / window.sum()) ** 2
    got = ssim(other, flat, data_range=1.0)
    mean, variance = 1 + weight, weight - weight**2
    c1, c2 = 1e-4, 9e-4
    one = (2 * mean + c1) / (mean**2 + 1 + c1) * c2 / (variance + c2)
    assert got == pytest.approx((one + 120) / 121, abs=1e-12)


def test_pearson_is_numpys_and_affine_invariant(pair):
    prediction, target = pair
    expected = np.corrcoef(prediction.ravel(), target.ravel())[0, 1]
    assert pearson(prediction, target) == pytest.approx(expected)
    assert pearson(5 - 2 * prediction, target) == pytest.approx(-expected)
    assert np.isnan(pearson(np.ones(4), np.arange(4)))


def test_affine_match_is_the_least_squares_line(pair):
    prediction, target = pair
    design = np.column_stack([prediction.ravel(), np.ones(prediction.size)])
    gain, offset = np.linalg.lstsq(design, target.ravel(), rcond=None)[0]
    np.testing.assert_allclose(
        affine_match(prediction, target), gain * prediction + offset
    )
    np.testing.assert_allclose(affine_match(np.ones((2, 2)), np.eye(2)), 0.5)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: nmse(np.ones(3), np.ones(4)), "equal shapes"),
        (lambda: nmse(np.ones(0), np.ones(0)), "equal shapes"),
        (lambda: nmse(np.ones(3), np.zeros(3)), "zero everywhere"),
        (lambda: nrmse(np.ones(3), np.ones(3), norm="minmax"), "minmax norm"),
        (lambda: nrmse(np.ones(3), np.ones(3), norm="max"), "euclidean"),
        (lambda: psnr(np.ones(3), np.ones(3), data_range=0), "data_range"),
        (lambda: ssim(np.ones((9, 20)), np.ones((9, 20)), data_range=1), "11 x 11"),
        (lambda: ssim(np.ones((11, 11)), np.eye(11), data_range=-1), "data_range"),
    ],
)
def test_refusals(call, message):
    with pytest.raises(ValueError, match=message):
        call()
