"""Cameras against the photon-transfer numbers of their models."""

import numpy as np
import pytest

from zoo.physics.camera import SENSOR_PX, EmCcd, Scmos

PIXELS = (700, 700)
EVEN = {"read_noise_spread": 0.0, "hot_fraction": 0.0}
UNIFORM = EVEN | {"offset_sd_adu": 0.0, "gain_spread": 0.0}


def electrons(camera, photons, *, seed=0):
    """Return what the camera measures of a flat field, in electrons."""
    counts = camera.expose(np.full(PIXELS, photons), np.random.default_rng(seed))
    return camera.to_photons(counts) * camera.quantum_efficiency


@pytest.mark.parametrize(
    ("photons", "variance"), [(1.0, 1.86), (5.0, 9.06), (20.0, 36.1), (100.0, 180.0)]
)
def test_emccd_doubles_the_variance(photons, variance):
    measured = electrons(EmCcd(), photons)
    assert measured.mean() == pytest.approx(0.9 * photons, rel=0.008)
    assert measured.var() == pytest.approx(variance, rel=0.015)


def test_emccd_read_noise_is_divided_by_the_gain():
    camera = EmCcd(spurious_e=0.0)
    expected = (74.4 / 300) ** 2 + (45 / 300) ** 2 / 12
    assert electrons(camera, 0.0).var() == pytest.approx(expected, rel=0.01)


def test_scmos_adds_the_read_noise_of_its_maps():
    measured = electrons(Scmos(hot_fraction=0.0), 20.0)
    assert measured.mean() == pytest.approx(16.4, rel=0.002)
    assert 17.5 < measured.var() < 17.85  # 17.6 to 17.7 within the sampling error


def test_scmos_variance_against_mean_gives_the_gain():
    camera = Scmos(adu_per_e=2.17, **UNIFORM)
    rng = np.random.default_rng(3)
    exposures = [
        camera.expose(np.full(PIXELS, level), rng).astype(float)
        for level in (10.0, 100.0, 1000.0)
    ]
    mean = [frame.mean() for frame in exposures]
    slope, _ = np.polyfit(mean, [frame.var() for frame in exposures], 1)
    assert slope == pytest.approx(2.17, rel=0.01)
    # at the offset only the read noise is left, and the rounding
    dark = camera.expose(np.zeros(PIXELS), rng).var()
    assert dark == pytest.approx(2.17**2 * (1.0 + 0.002) + 1 / 12, rel=0.01)


@pytest.mark.parametrize(
    "camera",
    [
        EmCcd(),
        EmCcd(quantum_efficiency=0.8, em_gain=100, e_per_adu=8, spurious_e=0.2),
        Scmos(),
        Scmos(sensor=5, adu_per_e=0.7, spurious_e=0.3, gain_spread=0.05),
    ],
)
@pytest.mark.parametrize("photons", [0.0, 3.0, 150.0])
def test_to_photons_undoes_expose_on_average(camera, photons):
    counts = camera.expose(np.full(PIXELS, photons), np.random.default_rng(1))
    estimate = camera.to_photons(counts)
    standard_error = estimate.std() / estimate.size**0.5
    assert abs(estimate.mean() - photons) < 4.5 * standard_error


@pytest.mark.parametrize("camera", [EmCcd(), Scmos()])
def test_an_image_keeps_its_shape_and_pixels_stay_independent(camera):
    photons = np.zeros((3, 20, 30))
    photons[1, 4, 25] = 5000.0
    counts = camera.expose(photons, np.random.default_rng(2))
    assert counts.shape == photons.shape
    assert counts.dtype == np.uint16
    assert np.unravel_index(counts.argmax(), counts.shape) == (1, 4, 25)


@pytest.mark.parametrize("camera", [EmCcd(), Scmos()])
@pytest.mark.parametrize("bits", [12, 16])
def test_counts_saturate_at_the_converter(camera, bits):
    camera = camera.override(bits=bits)
    counts = camera.expose(np.full((8, 8), 1e6), np.random.default_rng(0))
    assert np.all(counts == 2**bits - 1)


@pytest.mark.parametrize(
    "camera", [EmCcd(offset_adu=0), Scmos(offset_adu=0, read_noise_e=5)]
)
def test_counts_are_never_negative(camera):
    counts = camera.expose(np.zeros((64, 64)), np.random.default_rng(0))
    assert 0.3 < np.mean(counts == 0) < 1.0
    assert counts.max() < 1000  # a wrapped negative number would be near 65535


@pytest.mark.parametrize("camera", [EmCcd(), Scmos()])
def test_equal_generators_take_equal_images(camera):
    photons = np.full((16, 16), 20.0)
    first, again, other = (
        camera.expose(photons, np.random.default_rng(seed)) for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


def test_scmos_maps_have_the_declared_statistics():
    camera = Scmos(hot_fraction=0.0)
    read, gain, offset = camera.maps((SENSOR_PX, SENSOR_PX))
    assert np.median(read) == pytest.approx(1.0, rel=0.01)
    assert np.log(read).std() == pytest.approx(0.35, rel=0.01)
    assert np.mean(read**2) ** 0.5 == pytest.approx(1.13, rel=0.01)
    assert np.quantile(read, 0.999) == pytest.approx(3.0, rel=0.05)
    assert gain.mean() == pytest.approx(2.17, rel=1e-3)
    assert gain.std() / gain.mean() == pytest.approx(0.015, rel=0.01)
    assert offset.mean() == pytest.approx(100.0, abs=0.02)
    assert offset.std() == pytest.approx(2.0, rel=0.01)


def test_hot_pixels_are_few_and_loud():
    quiet, _, _ = Scmos(hot_fraction=0.0).maps((SENSOR_PX, SENSOR_PX))
    read, _, _ = Scmos(hot_fraction=0.004).maps((SENSOR_PX, SENSOR_PX))
    hot = read != quiet
    assert hot.mean() == pytest.approx(0.004, rel=0.1)
    assert read[hot].min() >= 5
    assert read[hot].max() <= 20


def test_maps_belong_to_the_sensor():
    camera = Scmos(sensor=3)
    whole = camera.maps((40, 50))
    crop = camera.maps((10, 12), origin=(7, 30))
    repeated = camera.maps((10, 12), origin=(7 + SENSOR_PX, 30 - SENSOR_PX))
    for full, part, same in zip(whole, crop, repeated, strict=True):
        np.testing.assert_array_equal(full[7:17, 30:42], part)
        np.testing.assert_array_equal(part, same)
    for mine, other in zip(whole, Scmos(sensor=4).maps((40, 50)), strict=True):
        assert np.all(mine != other)


def test_dark_frames_reveal_the_maps():
    camera = Scmos(read_noise_e=2.0, spurious_e=0.0, hot_fraction=0.1)
    origin = (100, 480)
    dark = camera.expose(
        np.zeros((1500, 24, 40)), np.random.default_rng(6), origin=origin
    ).astype(float)
    read, gain, offset = camera.maps((24, 40), origin=origin)
    np.testing.assert_allclose(dark.mean(axis=0), offset, atol=5 * 40 / 1500**0.5)
    expected = (read * gain) ** 2 + 1 / 12
    np.testing.assert_allclose(dark.var(axis=0), expected, rtol=0.25)
    assert np.corrcoef(dark.var(axis=0).ravel(), expected.ravel())[0, 1] > 0.99


@pytest.mark.parametrize("efficiency", [0.0, 1.2])
def test_a_quantum_efficiency_is_a_share(efficiency):
    with pytest.raises(ValueError, match="quantum_efficiency"):
        EmCcd(quantum_efficiency=efficiency)
