"""Scores of images and volumes, in nm or px, next to an enlargement."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.evaluate.images import image_metrics
from zoo.metrics.comparison import (
    all_similarities,
    frc_to_truth_px,
    resolution_px,
    similarity,
)
from zoo.metrics.profiles import FWHM_PER_SIGMA
from zoo.physics.optics import bin_pixels


def lines(sigma, shape=(192, 192)):
    """Return slanted straight lines with a Gaussian profile."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(float)
    image = np.zeros(shape)
    for k in range(-6, 14):
        distance = np.cos(0.3) * (y - 24 * k) - np.sin(0.3) * x
        image += 100 * np.exp(-0.5 * (distance / sigma) ** 2)
    return image


def series(*images):
    return np.stack(images)[..., None]


def test_widths_and_frequencies_scale_with_the_pixel():
    truth, blurred = lines(1.5), lines(2.5)
    in_px = image_metrics(series(blurred), series(truth))
    in_nm = image_metrics(series(blurred), series(truth), pixel_size_nm=31.3)
    for name, sigma in (("prediction", 2.5), ("truth", 1.5)):
        width = in_px["resolution"][name]["fwhm_px"]
        assert width == pytest.approx(sigma * FWHM_PER_SIGMA, rel=0.03)
        for metric in ("fwhm", "decorrelation"):
            assert in_nm["resolution"][name][f"{metric}_nm"] == pytest.approx(
                31.3 * in_px["resolution"][name][f"{metric}_px"]
            )
    assert "bicubic" not in in_px["image"]
    assert "frame" not in in_px


def test_norms_are_named_and_differ_as_they_should():
    rng = np.random.default_rng(5)
    truth = rng.random((170, 180)) + 1
    found = all_similarities(truth + rng.normal(0, 0.1, truth.shape), truth)
    ratio = found["nrmse_euclidean"] / found["nrmse_minmax"]
    assert ratio == pytest.approx(np.ptp(truth) / np.sqrt(np.mean(truth**2)))
    ratio = found["nrmse_euclidean"] / found["nrmse_mean"]
    assert ratio == pytest.approx(truth.mean() / np.sqrt(np.mean(truth**2)))
    # what is left of a regression, by its correlation
    left = np.var(truth) * (1 - found["pearson"] ** 2)
    expected = 10 * np.log10(np.ptp(truth) ** 2 / left)
    assert found["psnr_db"] == pytest.approx(expected)
    assert 0 < found["ms_ssim"] < 1


def test_the_range_is_the_targets_own_unless_it_is_given():
    rng = np.random.default_rng(6)
    truth = 0.25 * rng.random((20, 20))
    noisy = truth + rng.normal(0, 0.01, truth.shape)
    own, given = similarity(noisy, truth), similarity(noisy, truth, data_range=1.0)
    gain = given["psnr"] - own["psnr"]
    assert gain == pytest.approx(-20 * np.log10(np.ptp(truth)))
    with pytest.raises(ValueError, match="not constant"):
        similarity(noisy, np.ones_like(truth))


def test_agreement_with_the_truth_ends_where_the_spectrum_was_cut():
    rng = np.random.default_rng(7)
    truth = rng.normal(size=(256, 256))
    radius = np.hypot(*np.meshgrid(np.fft.fftfreq(256), np.fft.fftfreq(256)))
    inside = np.fft.ifft2(np.fft.fft2(truth) * (radius < 0.2)).real
    beyond = np.fft.ifft2(
        np.fft.fft2(rng.normal(size=(256, 256))) * (radius >= 0.2)
    ).real
    found = frc_to_truth_px(inside + beyond, truth)
    assert found == pytest.approx(1 / 0.2, rel=0.04)
    assert np.isnan(frc_to_truth_px(np.zeros_like(truth), truth))


def test_small_images_lack_the_metrics_that_need_more():
    rng = np.random.default_rng(8)
    truth = rng.random((12, 12))
    found = similarity(rng.random((12, 12)), truth)
    assert np.isnan(found["ms_ssim"])
    assert np.isfinite(found["ssim"])
    assert np.isnan(similarity(truth[:10], truth[:10])["ssim"])
    assert np.isnan(resolution_px(truth))


def test_the_better_image_is_the_one_that_knows_more():
    rng = np.random.default_rng(9)
    truth = gaussian_filter(rng.random((2, 64, 64)), (0, 1.2, 1.2))
    inputs = bin_pixels(gaussian_filter(truth, (0, 2.5, 2.5)), 2)
    metrics = image_metrics(
        2 * truth[..., None],
        truth[..., None],
        inputs=inputs[..., None],
        comparable=True,
    )
    assert metrics["image"]["prediction"]["ssim"] > metrics["image"]["bicubic"]["ssim"]
    assert list(metrics["frame"]) == ["1", "2"]
    means = np.mean([row["rse"] for row in metrics["frame"].values()])
    assert metrics["input"]["prediction"]["rse"] == pytest.approx(means)


def test_volumes_are_matched_as_a_whole_and_enlarged_along_all_axes():
    rng = np.random.default_rng(10)
    truth = gaussian_filter(rng.random((2, 8, 24, 32)), (0, 1, 1, 1))[..., None]
    inputs = truth.reshape(2, 4, 2, 12, 2, 16, 2, 1).mean((2, 4, 6))
    metrics = image_metrics(3 * truth - 1, truth, inputs=inputs, comparable=True)
    assert list(metrics) == ["image", "frame"]
    assert metrics["image"]["prediction"]["ssim"] == pytest.approx(1)
    assert 0.1 < metrics["image"]["bicubic"]["ssim"] < 0.99
    # a plane that is too bright by itself is an error of the volume
    uneven = truth * np.linspace(0.5, 1.5, 8)[:, None, None, None]
    assert image_metrics(uneven, truth)["image"]["prediction"]["psnr_db"] < 20


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"truth": np.ones((1, 16, 18, 1))}, "equal shape"),
        ({"inputs": np.ones((1, 8, 9, 1))}, "whole number of times"),
        ({"inputs": np.ones((2, 8, 8, 1))}, "whole number of times"),
        ({"truth": np.ones((1, 16, 16, 1))}, "image 1 of the truth is constant"),
    ],
)
def test_what_does_not_fit_is_refused(changes, complaint):
    image = np.random.default_rng(1).random((1, 16, 16, 1))
    with pytest.raises(ValueError, match=complaint):
        image_metrics(image, **({"truth": image} | changes))
