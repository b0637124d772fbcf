"""Confocal and STED spots against known widths, and the noise of a scan."""

import numpy as np
import pytest

from zoo.physics.scanning import (
    PER_SIGMA,
    Detector,
    ScanOptics,
    scan,
    scan_transfer,
    scanned_spot,
)


def of_width(fwhm_nm, **options):
    """Return a microscope whose confocal spot has this width."""
    optics = ScanOptics(
        na=1.4, emission_nm=670, excitation_nm=640, pinhole_au=0, **options
    )
    widening = fwhm_nm / (PER_SIGMA * optics.confocal_sigma_nm)
    return optics.override(widening=widening)


def fwhm_nm(optics):
    r = np.arange(0, 400, 0.1)
    spot = scanned_spot(optics, r)
    return 2 * r[np.argmax(spot < spot[0] / 2)]


@pytest.mark.parametrize(
    ("saturation", "width_nm"), [(0, 250), (5, 136), (10, 103), (20, 76), (50, 49)]
)
def test_depletion_narrows_the_spot_as_the_law_of_saturation_says(saturation, width_nm):
    # numbers of the standing-wave doughnut, confocal spot of 250 nm, 775 nm, NA 1.4
    optics = of_width(250.0, saturation=saturation)
    assert fwhm_nm(optics) == pytest.approx(width_nm, abs=1.5)


def test_a_pinhole_widens_what_it_lets_through():
    widths = [
        ScanOptics(
            na=1.4, emission_nm=670, excitation_nm=640, pinhole_au=au
        ).confocal_sigma_nm
        for au in (0.0, 0.5, 1.0, 2.0, 50.0)
    ]
    assert widths == sorted(widths)
    # an open one leaves the excitation spot, 0.51 wavelength / NA wide
    assert widths[-1] * PER_SIGMA == pytest.approx(0.51 * 640 / 1.4, rel=1e-3)


@pytest.mark.parametrize("saturation", [0.0, 15.0])
def test_the_transfer_is_that_of_the_spot(saturation):
    optics = of_width(240.0, saturation=saturation, undepleted=0.1)
    shape, pixel_nm = (96, 120), 20.0
    transfer = scan_transfer(optics, shape, pixel_nm=pixel_nm)
    point = np.zeros(shape)
    point[40, 50] = 1
    image = np.fft.irfft2(np.fft.rfft2(point) * transfer, s=shape)
    assert image.sum() == pytest.approx(1, abs=1e-5)
    rows, columns = np.indices(shape)
    spot = scanned_spot(optics, pixel_nm * np.hypot(rows - 40, columns - 50))
    np.testing.assert_allclose(image, spot / spot.sum(), atol=0.01 * image.max())


def test_counts_have_the_variance_of_photons():
    rng = np.random.default_rng(0)
    counts = scan(np.full((200, 200), 9.0), Detector(), rng)
    assert counts.dtype == np.uint16
    assert counts.mean() == pytest.approx(9, rel=0.02)
    assert counts.var() == pytest.approx(9, rel=0.05)


def test_multiplication_and_dwell_times_add_variance():
    light = np.full((400, 100), 20.0)
    noisy = scan(light, Detector(excess=0.5), np.random.default_rng(1))
    assert noisy.var() == pytest.approx(1.5 * 20, rel=0.06)
    lines = scan(light, Detector(dwell_spread=0.2), np.random.default_rng(2))
    assert lines.mean(axis=1).std() == pytest.approx(np.hypot(4, 0.45), rel=0.15)


def test_lines_are_displaced_along_themselves():
    light = np.zeros((300, 40))
    light[:, 20] = 1000.0
    rows = scan(light, Detector(line_jitter_px=0.3), np.random.default_rng(3))
    centre = rows @ np.arange(40) / rows.sum(axis=1)
    assert centre.std() == pytest.approx(0.3, abs=0.08)
    assert scan(light, Detector(), np.random.default_rng(3))[:, 21].max() == 0


def test_stored_images_fill_their_range_or_are_saturated():
    light = np.tile(np.linspace(0, 100, 128), (64, 1))
    rng = np.random.default_rng(4)
    full = scan(light, Detector(bits=8), rng)
    assert full.max() == 255
    saturated = scan(light, Detector(bits=8, headroom=0.5), rng)
    assert (saturated == 255).mean() > 0.2
    assert scan(light, Detector(bits=8, headroom=4.0), rng).max() <= 64
    assert not scan(np.zeros((8, 8)), Detector(bits=8), rng).any()
