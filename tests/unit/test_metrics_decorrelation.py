"""Decorrelation analysis on lines through an incoherent OTF, where it is known."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.metrics.decorrelation import decorrelation

SIDE = 512


@pytest.fixture(scope="module")
def structure():
    """Return straight lines at random places and directions."""
    rng = np.random.default_rng(41)
    image = np.zeros((SIDE, SIDE))
    for _ in range(60):
        (y0, x0), (y1, x1) = rng.uniform(0, SIDE - 1, (2, 2))
        steps = np.linspace(0, 1, 4 * SIDE)
        y, x = y0 + (y1 - y0) * steps, x0 + (x1 - x0) * steps
        image[np.rint(y).astype(int), np.rint(x).astype(int)] = 1
    return image


def through_microscope(image, cutoff_period_px):
    y, x = np.meshgrid(np.fft.fftfreq(SIDE), np.fft.fftfreq(SIDE), indexing="ij")
    v = np.clip(np.hypot(y, x) * cutoff_period_px, 0, 1)
    otf = 2 / np.pi * (np.arccos(v) - v * np.sqrt(1 - v**2))
    seen = np.clip(np.fft.ifft2(np.fft.fft2(image) * otf).real, 0, None)
    return seen / seen.max()


@pytest.mark.parametrize(
    ("period_px", "expected_px"),
    [(10, 11.8), (6.7, 7.75), (5, 5.8), (3.3, 3.95), (2.5, 3.0)],
)
def test_resolution_follows_the_cut_off_at_any_photon_number(
    structure, period_px, expected_px
):
    rng = np.random.default_rng(42)
    seen = through_microscope(structure, period_px)
    for photons in (100, 10_000, 1_000_000):
        found = decorrelation(rng.poisson(photons * seen).astype(float))
        assert found.resolution_px == pytest.approx(expected_px, rel=0.09)
        assert 1.05 * period_px < found.resolution_px < 1.3 * period_px


def test_scale_and_offset_do_not_matter(structure):
    rng = np.random.default_rng(43)
    image = rng.poisson(500 * through_microscope(structure, 5.0)).astype(float)
    plain, changed = decorrelation(image), decorrelation(3 * image + 100)
    assert changed.cutoff == pytest.approx(plain.cutoff, rel=1e-9)
    assert changed.amplitude == pytest.approx(plain.amplitude, rel=1e-6)
    assert plain.resolution_px == pytest.approx(2 / plain.cutoff)


def test_amplitude_measures_the_signal_to_noise_ratio(structure):
    rng = np.random.default_rng(44)
    seen = through_microscope(structure, 6.0)
    heights = [
        decorrelation(rng.poisson(20 + photons * seen).astype(float)).amplitude
        for photons in (60, 300, 10_000)
    ]
    assert heights == sorted(heights)
    assert heights[0] < 0.95 * heights[2]
    # noise alone correlates with its phases up to the last radius
    noise = rng.normal(size=(SIDE, SIDE))
    assert np.isnan(decorrelation(noise).amplitude)


def test_rectangles_are_measured_in_pixels_not_in_sides(structure):
    rng = np.random.default_rng(45)
    image = rng.poisson(1e4 * through_microscope(structure, 5.0)).astype(float)
    found = decorrelation(image[100:356]).resolution_px
    assert found == pytest.approx(5.8, rel=0.12)


def test_white_noise_has_no_resolution_short_of_the_pixel():
    noise = np.random.default_rng(46).normal(size=(256, 256))
    found = decorrelation(noise)
    # a peak near the border at most
    assert np.isnan(found.resolution_px) or found.resolution_px < 2.6
    smooth = gaussian_filter(noise, 4) * 50
    assert decorrelation(smooth + noise).resolution_px > 5


@pytest.mark.parametrize(
    ("image", "complaint"),
    [
        (np.eye(63), "at least 64 x 64"),
        (np.zeros((2, 70, 70)), "at least 64 x 64"),
        (np.ones((64, 64)), "not constant"),
        (np.full((64, 64), np.nan), "finite"),
    ],
)
def test_unfit_images_are_refused(image, complaint):
    with pytest.raises(ValueError, match=complaint):
        decorrelation(image)
