"""Cramér-Rao bounds in three dimensions: the table of the guide, other ways to them."""

import numpy as np
import pytest

from zoo.physics.camera import EmCcd, Scmos
from zoo.physics.crlb import gaussian_crlb
from zoo.physics.fisher import (
    PixelNoise,
    emitter_bound,
    emitter_information,
    fisher_information,
    pixel_noise,
    standard_deviations,
)
from zoo.physics.masks import VortexRings
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import GaussianPsf

OPTICS = PupilOptics(
    na=1.45,
    wavelength_nm=670.0,
    pixel_nm=100.0,
    immersion_index=1.518,
    sample_index=1.518,
    blur_nm=0.0,
)
ASTIGMATIC = OPTICS.override(zernikes_rad=((2, 2, 2 * np.pi * 70 / 670),))
TETRAPOD = OPTICS.override(zernikes_rad=((2, 2, 2.0), (4, 2, -1.0)))
HELIX = OPTICS.override(mask=VortexRings(rings=5))
BLURRED = ASTIGMATIC.override(blur_nm=60.0)
EXCESS = PixelNoise(excess=2.0, read_variance_e2=(74.4 / 300) ** 2)
READ = PixelNoise(read_variance_e2=1.6**2)
INF = np.inf


def fields(bound):
    return np.array(
        [bound.x_nm, bound.y_nm, bound.z_nm, bound.photons, bound.background_photons]
    )


def bound_in_the_middle(optics, window, z_um, noise=None):
    psf = PupilPsf(optics, samples=128)
    middle, depth = np.array([50.0 * window]), np.array([1000 * z_um])
    bound = emitter_bound(
        psf,
        middle,
        middle,
        depth,
        photons=4000.0,
        background_photons=20.0,
        shape=(window, window),
        noise=noise,
    )
    spot = psf.images(middle, middle, depth, (window, window))
    return fields(bound)[:, 0], spot.max(), spot.sum()


@pytest.mark.parametrize(
    ("optics", "window", "z_um", "expected", "peak", "total"),
    [
        (OPTICS, 25, 0.0, (1.83, 1.83, INF, 76.7, 0.188), 0.1323, 0.932),
        (OPTICS, 25, 0.2, (2.53, 2.53, 7.34, 96.6, 0.206), 0.0949, 0.925),
        (OPTICS, 25, 0.4, (5.86, 5.86, 6.57, 120.7, 0.228), 0.0299, 0.902),
        (ASTIGMATIC, 25, 0.0, (2.72, 2.72, 6.30, 80.3, 0.192), 0.0807, 0.930),
        (ASTIGMATIC, 25, 0.2, (2.16, 5.11, 8.29, 88.1, 0.198), 0.0603, 0.922),
        (ASTIGMATIC, 25, 0.4, (3.28, 8.05, 8.39, 123.3, 0.228), 0.0254, 0.896),
        (TETRAPOD, 61, 0.0, (3.62, 3.62, 9.18, 103, 0.076), 0.0155, 0.967),
        (TETRAPOD, 61, 1.0, (4.91, 7.38, 10.4, 126, 0.078), 0.0124, 0.929),
        (TETRAPOD, 61, 1.5, (9.41, 15.2, 17.3, 186, 0.083), 0.0057, 0.862),
        (HELIX, 41, 0.0, (7.18, 4.67, 10.8, 132, 0.123), 0.0116, 0.847),
        (HELIX, 41, 0.8, (8.50, 6.94, 14.3, 163, 0.125), 0.0087, 0.730),
        (BLURRED, 25, 0.2, (2.78, 6.13, 9.64, 91.8, 0.201), 0.0471, 0.922),
    ],
)
def test_reference_values(optics, window, z_um, expected, peak, total):
    bound, brightest, share = bound_in_the_middle(optics, window, z_um)
    np.testing.assert_allclose(bound, expected, rtol=0.011)
    # the guide gives four digits after the point
    assert brightest == pytest.approx(peak, rel=0.01, abs=1e-4)
    assert share == pytest.approx(total, abs=0.003)


@pytest.mark.parametrize(
    ("noise", "expected"), [(EXCESS, (3.06, 7.24, 11.7)), (READ, (2.20, 5.22, 8.47))]
)
def test_reference_values_of_noisy_cameras(noise, expected):
    bound, _, _ = bound_in_the_middle(ASTIGMATIC, 25, 0.2, noise)
    np.testing.assert_allclose(bound[:3], expected, rtol=0.01)


@pytest.mark.parametrize(
    "camera", [None, EmCcd(), Scmos(read_noise_e=3.0, hot_fraction=0.05)]
)
def test_a_flat_gaussian_has_the_bound_of_the_flat_module(camera):
    psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=130.0)
    x_px, y_px = np.array([10.3, 10.7, 10.5]), np.array([10.9, 10.1, 10.5])
    options = {"photons": 800.0, "background_photons": 7.0}
    ours = emitter_bound(
        psf,
        100 * x_px,
        100 * y_px,
        np.zeros(3),
        shape=(21, 21),
        noise=pixel_noise(camera, (21, 21)),
        **options,
    )
    theirs = gaussian_crlb(
        x_px, y_px, sigma_px=1.3, camera=camera, window_px=21, **options
    )
    np.testing.assert_allclose(ours.x_nm, 100 * theirs.x_px, rtol=1e-6)
    np.testing.assert_allclose(ours.y_nm, 100 * theirs.y_px, rtol=1e-6)
    np.testing.assert_allclose(ours.photons, theirs.photons, rtol=1e-6)
    np.testing.assert_allclose(
        ours.background_photons, theirs.background_photons, rtol=1e-6
    )
    assert np.all(np.isinf(ours.z_nm))


def test_a_region_has_the_noise_of_its_place_on_the_sensor():
    camera = Scmos(hot_fraction=0.02, sensor=3)
    origins = np.array([[4, 7], [30, 2], [11, 40]])
    noise = pixel_noise(camera, (5, 6), origins=origins)
    for region, (row, column) in zip(noise.read_variance_e2, origins, strict=True):
        read, _, _ = camera.maps((5, 6), origin=(int(row), int(column)))
        np.testing.assert_allclose(region, read**2)
    assert noise.of(slice(1, 2)).read_variance_e2.shape == (1, 5, 6)


def test_the_noise_of_a_photon_estimate_is_that_of_the_camera():
    rng = np.random.default_rng(2)
    photons = np.full((40, 60, 60), 25.0)
    for camera in (
        EmCcd(),
        Scmos(read_noise_e=2.0, hot_fraction=0.0, read_noise_spread=0.0),
    ):
        noise = pixel_noise(camera, (60, 60))
        estimates = camera.to_photons(camera.expose(photons, rng))
        expected = np.mean(noise.variance_photons2(photons[0]))
        assert estimates.var() == pytest.approx(expected, rel=0.03)


def test_multiplication_costs_a_factor_of_root_two():
    clean, _, _ = bound_in_the_middle(ASTIGMATIC, 25, 0.1)
    noisy, _, _ = bound_in_the_middle(ASTIGMATIC, 25, 0.1, PixelNoise(excess=2.0))
    np.testing.assert_allclose(noisy, 2**0.5 * clean, rtol=1e-9)


def test_information_of_a_known_case():
    # one parameter: the mean of pixels of 4 photons each
    photons = np.full((1, 3, 3), 4.0)
    slopes = np.ones((1, 1, 3, 3))
    information = fisher_information(photons, slopes)
    assert information[0, 0, 0] == pytest.approx(9 / 4)
    assert standard_deviations(information)[0, 0] == pytest.approx(2 / 3)


def test_parameters_that_imitate_each_other_have_no_bound():
    matrix = np.array([[[1.0, 1.0], [1.0, 1.0]]])
    assert np.all(np.isinf(standard_deviations(matrix)))


def test_a_depth_without_trace_does_not_disturb_the_others():
    information = emitter_information(
        PupilPsf(OPTICS),
        np.array([1250.0]),
        np.array([1250.0]),
        np.zeros(1),
        photons=4000.0,
        background_photons=20.0,
        shape=(25, 25),
    )
    assert not information[0, 2].any()
    deviations = standard_deviations(information)[0]
    assert np.isinf(deviations[2])
    assert np.all(np.isfinite(np.delete(deviations, 2)))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photons": 0.0}, "photons must be positive"),
        ({"background_photons": -1.0}, "background_photons must not be negative"),
    ],
)
def test_impossible_emitters_are_refused(change, message):
    options = {"photons": 100.0, "background_photons": 1.0} | change
    middle = np.array([1000.0])
    with pytest.raises(ValueError, match=message):
        emitter_bound(
            PupilPsf(OPTICS), middle, middle, middle, shape=(21, 21), **options
        )
