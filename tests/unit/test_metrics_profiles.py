"""Profiles and widths of structures that were drawn with known ones."""

import numpy as np
import pytest
from scipy.ndimage import spline_filter

from zoo.metrics.filaments import ENOUGH, filament_widths_nm, median_width
from zoo.metrics.profiles import FWHM_PER_SIGMA, fit_gaussian, sample_line


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_a_gaussian_ridge_gives_its_own_profile(angle):
    y, x = np.mgrid[:81, :81] - 40.0
    across = np.cos(angle) * y + np.sin(angle) * x
    image = 4 + 10 * np.exp(-0.5 * (across / 2.5) ** 2)
    along = np.array([np.cos(angle), np.sin(angle)])
    position = np.arange(-12.0, 12.5)
    values = sample_line(
        spline_filter(image, 3), np.array([40.0, 40.0]), along, position, 5
    )
    found = fit_gaussian(position, values)
    assert found.centre == pytest.approx(0, abs=0.01)
    assert found.fwhm == pytest.approx(2.5 * FWHM_PER_SIGMA, rel=0.005)
    assert found.amplitude == pytest.approx(10, rel=0.01)
    assert found.offset == pytest.approx(4, abs=0.05)
    assert found.r_squared > 0.999


def test_a_fit_to_noise_says_so():
    rng = np.random.default_rng(62)
    found = fit_gaussian(np.arange(41.0), rng.normal(size=41))
    assert found.r_squared < 0.6


def test_gaussian_fits_are_unbiased_under_noise():
    rng = np.random.default_rng(63)
    x = np.arange(-12, 12.5, 0.5)
    clean = 100 * np.exp(-0.5 * (x / 2) ** 2) + 10
    widths = [fit_gaussian(x, rng.poisson(clean)).fwhm for _ in range(60)]
    assert np.mean(widths) == pytest.approx(2 * FWHM_PER_SIGMA, rel=0.02)


def filaments(sigma, noise=0.0):
    """Draw straight filaments of Gaussian profile at many angles."""
    rng = np.random.default_rng(64)
    y, x = np.mgrid[:300, :300]
    image = np.zeros((300, 300))
    for angle in np.linspace(0, np.pi, 9)[:-1]:
        offset = rng.uniform(-90, 90)
        across = np.cos(angle) * (y - 150) + np.sin(angle) * (x - 150) - offset
        image += np.exp(-0.5 * (across / sigma) ** 2)
    return 20 + 100 * image + noise * rng.normal(size=image.shape)


@pytest.mark.parametrize(("sigma", "noise"), [(1.6, 0.0), (2.5, 0.0), (2.0, 5.0)])
def test_widths_of_filaments_are_measured_without_help(sigma, noise):
    widths = filament_widths_nm(
        filaments(sigma, noise), pixel_size_nm=30.0, half_length_px=8.0
    )
    expected = 30.0 * sigma * FWHM_PER_SIGMA
    assert len(widths) >= 50
    assert median_width(widths) == pytest.approx(expected, rel=0.02)
    low, high = np.percentile(widths, (25, 75))
    assert high - low < 0.15 * expected


def test_images_without_filaments_have_no_width():
    noise = np.random.default_rng(65).normal(size=(128, 128))
    widths = filament_widths_nm(noise, pixel_size_nm=30.0)
    assert len(widths) < ENOUGH
    assert np.isnan(median_width(widths))
    assert len(filament_widths_nm(np.zeros((64, 64)), pixel_size_nm=30.0)) == 0


def test_small_images_have_no_room_for_a_segment():
    assert len(filament_widths_nm(np.eye(12), pixel_size_nm=30.0)) == 0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: fit_gaussian(np.arange(4.0), np.arange(4.0)), "at least 5"),
        (lambda: filament_widths_nm(np.ones(9), pixel_size_nm=1), r"\(y, x\)"),
        (lambda: filament_widths_nm(np.eye(9), pixel_size_nm=0), "pixel_size_nm"),
    ],
)
def test_wrong_arguments_are_named(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
