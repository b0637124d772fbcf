"""Error maps against blurs that are known, a missing part and a plain search."""

import tracemalloc

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.metrics.images import pearson
from zoo.metrics.squirrel import error_map


@pytest.fixture(scope="module")
def image():
    return gaussian_filter(np.random.default_rng(51).random((256, 240)) ** 12, 0.7)


def test_a_known_blur_gain_and_offset_are_found(image):
    reference = gaussian_filter(2.5 * image + 7, 4.0, truncate=8)
    found = error_map(reference, image, largest_fwhm_px=16)
    assert found.sigma_px == pytest.approx(4.00, abs=1e-3)
    assert found.gain == pytest.approx(2.5, abs=1e-3)
    assert found.offset == pytest.approx(7.0, abs=1e-3)
    assert found.rse < 1e-5
    assert found.rsp == pytest.approx(1)
    assert found.error.shape == image.shape


def test_what_is_missing_shows_in_the_map(image):
    rng = np.random.default_rng(52)
    clean = gaussian_filter(image, 3.0)
    reference = rng.poisson(2000 * clean / clean.max() + 20).astype(float)
    whole = error_map(reference, image, largest_fwhm_px=12)
    gap = image.copy()
    gap[100:140] = 0
    found = error_map(reference, gap, largest_fwhm_px=12)
    inside = found.error[105:135].mean()
    outside = np.delete(found.error, np.s_[90:150], axis=0).mean()
    assert inside > 1.8 * outside
    assert inside > 5 * whole.error[105:135].mean()
    assert found.rse > 1.5 * whole.rse
    assert found.rsp < 0.95 * whole.rsp
    assert whole.sigma_px == pytest.approx(3.0, abs=0.1)


def test_metrics_are_those_of_the_blurred_image(image):
    rng = np.random.default_rng(53)
    reference = gaussian_filter(image, 2.2) + rng.normal(0, 0.002, image.shape)
    found = error_map(reference, image, largest_fwhm_px=10)
    blurred = gaussian_filter(
        found.gain * image + found.offset, found.sigma_px, truncate=8
    )
    assert found.rse == pytest.approx(
        np.sqrt(np.mean((reference - blurred) ** 2)), rel=1e-4
    )
    assert found.rsp == pytest.approx(pearson(blurred, reference), rel=1e-5)
    np.testing.assert_allclose(found.error, np.abs(reference - blurred), atol=1e-5)

    def unexplained(sigma):
        return 1 - pearson(gaussian_filter(image, sigma, truncate=8), reference) ** 2

    tried = np.arange(1.5, 3.0, 0.01)
    best = tried[int(np.argmin([unexplained(sigma) for sigma in tried]))]
    assert found.sigma_px == pytest.approx(best, abs=0.011)


@pytest.mark.parametrize("factor", [1, 2, 3])
def test_references_on_a_coarser_grid_are_enlarged(factor):
    rng = np.random.default_rng(54)
    fine = gaussian_filter(rng.random((192, 216)) ** 12, 1.0)
    sigma = 2.0 * factor
    blurred = gaussian_filter(fine, sigma, truncate=8)
    rows, columns = (side // factor for side in fine.shape)
    coarse = blurred.reshape(rows, factor, columns, factor).mean((1, 3))
    found = error_map(100 * coarse + 5, fine, largest_fwhm_px=5.0)
    # a coarse pixel averages: its variance adds to that of the blur
    expected = np.sqrt(sigma**2 + (factor**2 - 1) / 12)
    assert found.sigma_px == pytest.approx(expected, rel=0.02)
    assert found.rsp > 0.999
    assert found.error.shape == fine.shape


def test_the_search_ends_at_the_widest_blur(image):
    reference = gaussian_filter(image, 6.0)
    found = error_map(reference, image, largest_fwhm_px=4.0)
    assert found.sigma_px == pytest.approx(4.0 / 2.3548, rel=1e-3)


def test_a_sharper_reference_asks_for_no_blur(image):
    found = error_map(image, gaussian_filter(image, 1.0))
    assert found.sigma_px == pytest.approx(0, abs=1e-3)


@pytest.mark.parametrize("which", [0, 1])
def test_constant_images_have_no_correlation(image, which):
    images = [image, image]
    images[which] = np.full(image.shape, 0.3)
    found = error_map(*images)
    assert np.isnan(found.rsp)
    assert np.isfinite(found.rse)
    assert np.isfinite(found.error).all()
    expected = image.std() if which else 0.0
    assert found.rse == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize(
    ("reference", "image", "complaint"),
    [
        (np.eye(8), np.eye(12), "whole number of times"),
        (np.eye(8), np.eye(4), "whole number of times"),
        (np.zeros((8, 8, 1)), np.zeros((8, 8, 1)), "whole number of times"),
        (np.eye(8), np.full((8, 8), np.inf), "finite"),
    ],
)
def test_unfit_images_are_refused(reference, image, complaint):
    with pytest.raises(ValueError, match=complaint):
        error_map(reference, image)


def test_widest_blur_must_be_positive():
    with pytest.raises(ValueError, match="largest_fwhm_px"):
        error_map(np.eye(8), np.eye(8), largest_fwhm_px=0)


def test_tiles_give_what_the_whole_gives(monkeypatch, image):
    rng = np.random.default_rng(55)
    blurred = gaussian_filter(image, 3.0).reshape(128, 2, 120, 2).mean((1, 3))
    reference = 100 * blurred + rng.normal(0, 0.05, blurred.shape)
    whole = error_map(reference, image)
    monkeypatch.setattr("zoo.metrics.squirrel.TILE_PX", 40)
    tiled = error_map(reference, image)
    # tiles of 80 fine pixels end every 13 widths of the blur
    assert tiled.sigma_px == pytest.approx(whole.sigma_px, rel=1e-2)
    assert tiled.gain == pytest.approx(whole.gain, rel=1e-2)
    assert tiled.rsp == pytest.approx(whole.rsp, abs=1e-4)
    step = 1e-2 * float(np.ptp(reference))
    np.testing.assert_allclose(tiled.error, whole.error, atol=step)


def test_memory_does_not_grow_with_the_image(monkeypatch):
    monkeypatch.setattr("zoo.metrics.squirrel.TILE_PX", 64)
    rng = np.random.default_rng(56)

    def most_bytes(rows):
        reference = rng.random((rows, 64)).astype(np.float32)
        image = rng.random((2 * rows, 128)).astype(np.float32)
        error = np.empty_like(image)
        tracemalloc.start()
        error_map(reference, image, out=error)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        assert error.max() > 0
        return peak, image.nbytes

    (few, small), (many, large) = most_bytes(128), most_bytes(1024)
    # a check for finite values looks at a byte per pixel, four to a float
    assert many - few < 0.5 * (large - small)
