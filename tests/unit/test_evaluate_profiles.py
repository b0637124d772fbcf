"""Profiles and widths of structures that were drawn with known ones."""

import numpy as np
import pytest

from zoo.evaluate.filaments import filament_widths_nm, width_summary
from zoo.evaluate.profiles import (
    FWHM_PER_SIGMA,
    dip_depth,
    fit_gaussian,
    fit_tube,
    line_profile,
)


def test_profiles_are_those_of_scikit_image():
    from skimage.measure import profile_line

    image = np.random.default_rng(61).random((40, 50))
    for start, end, width in (
        ((5, 6), (30, 40), 3),
        ((30, 10), (8, 10), 1),
        ((20, 5), (20, 45), 5),
    ):
        position, values = line_profile(image, start, end, width_px=width)
        length = np.hypot(end[0] - start[0], end[1] - start[1])
        assert position[0] == 0
        assert position[-1] == pytest.approx(length)
        expected = profile_line(
            image, start, end, linewidth=width, order=1, mode="constant"
        )
        if len(expected) == len(values):
            np.testing.assert_allclose(values, expected, atol=1e-6)


@pytest.mark.parametrize("angle", [0.0, 0.4, 1.2])
def test_a_gaussian_ridge_gives_its_own_profile(angle):
    y, x = np.mgrid[:81, :81] - 40.0
    across = np.cos(angle) * y + np.sin(angle) * x
    image = 4 + 10 * np.exp(-0.5 * (across / 2.5) ** 2)
    reach = 12 * np.array([np.cos(angle), np.sin(angle)])
    position, values = line_profile(image, 40 - reach, 40 + reach, width_px=5, order=3)
    found = fit_gaussian(position, values)
    assert found.centre == pytest.approx(12, abs=0.01)
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


@pytest.mark.parametrize("separation", [5.0, 8.0, 14.0])
def test_the_walls_of_a_tube_are_found(separation):
    x = np.arange(41.0)
    walls = [
        height * np.exp(-0.5 * ((x - 20.4 + side * separation / 2) / 1.6) ** 2)
        for side, height in ((1, 5.0), (-1, 4.0))
    ]
    found = fit_tube(x, 2 + sum(walls))
    assert found.centre == pytest.approx(20.4, abs=0.01)
    assert found.separation == pytest.approx(separation, rel=0.01)
    assert found.fwhm == pytest.approx(1.6 * FWHM_PER_SIGMA, rel=0.01)
    assert found.amplitudes == pytest.approx((5.0, 4.0), rel=0.02)
    assert found.offset == pytest.approx(2, abs=0.02)


def two_lines(separation, sigma):
    x = np.arange(-60, 60.1, 0.1)
    return sum(
        np.exp(-0.5 * ((x - side * separation / 2) / sigma) ** 2) for side in (1, -1)
    )


def test_dip_between_two_lines_follows_the_formula():
    # valley over peak of two Gaussians far enough apart that the peaks do not move
    sigma, separation = 4.0, 20.0
    valley = 2 * np.exp(-0.5 * (separation / 2 / sigma) ** 2)
    peak = 1 + np.exp(-0.5 * (separation / sigma) ** 2)
    found = dip_depth(two_lines(separation, sigma), background=0.0)
    assert found == pytest.approx(1 - valley / peak, abs=1e-3)
    # two equal Gaussians closer than two standard deviations have one peak
    assert dip_depth(two_lines(1.9 * sigma, sigma), background=0.0) < 1e-9
    assert dip_depth(two_lines(2.3 * sigma, sigma), background=0.0) > 0
    assert dip_depth(two_lines(15 * sigma, sigma), background=0.0) == pytest.approx(1)


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
    found = width_summary(widths)
    expected = 30.0 * sigma * FWHM_PER_SIGMA
    assert found["segments"] >= 50
    assert found["fwhm_nm"] == pytest.approx(expected, rel=0.02)
    low, high = found["fwhm_lower_quartile_nm"], found["fwhm_upper_quartile_nm"]
    assert low <= found["fwhm_nm"] <= high
    assert high - low < 0.15 * expected


def test_pictures_without_filaments_have_no_width():
    noise = np.random.default_rng(65).normal(size=(128, 128))
    found = width_summary(filament_widths_nm(noise, pixel_size_nm=30.0))
    assert found["segments"] < 30
    assert np.isnan(found["fwhm_nm"])
    assert len(filament_widths_nm(np.zeros((64, 64)), pixel_size_nm=30.0)) == 0


def test_small_pictures_have_no_room_for_a_segment():
    assert len(filament_widths_nm(np.eye(12), pixel_size_nm=30.0)) == 0


@pytest.mark.parametrize(
    ("call", "complaint"),
    [
        (lambda: line_profile(np.eye(9), (1, 1), (1, 1)), "two different ends"),
        (lambda: line_profile(np.eye(9), (1, 1), (1, 9)), "leaves the image"),
        (lambda: line_profile(np.eye(9), (1, 1), (5, 5), width_px=0), "at least 1"),
        (lambda: fit_gaussian(np.arange(4.0), np.arange(4.0)), "at least 5"),
        (lambda: fit_tube(np.arange(9.0), np.ones(9)), "not all equal|all equal"),
        (lambda: filament_widths_nm(np.ones(9), pixel_size_nm=1), r"\(y, x\)"),
        (lambda: filament_widths_nm(np.eye(9), pixel_size_nm=0), "pixel_size_nm"),
    ],
)
def test_wrong_arguments_are_named(call, complaint):
    with pytest.raises(ValueError, match=complaint):
        call()
