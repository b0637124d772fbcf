"""Recordings measured and held against the training: numbers that are known."""

import json

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, zoom

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.measured import Measured
from zoo.inputs.frames import Frames
from zoo.metrics.emission import emission
from zoo.metrics.noise import photon_transfer
from zoo.metrics.recording import measured_image, measured_spots
from zoo.metrics.sampling import spectral_sigma
from zoo.metrics.spots import isolated_spots
from zoo.physics.camera import EmCcd, Scmos
from zoo.physics.engineered import PUPILS
from zoo.physics.psf import gaussian_spots
from zoo.physics.pupil import PupilPsf
from zoo.physics.spots import draw_emitters
from zoo.tasks.conditions import (
    compare,
    condition_report,
    condition_warnings,
    overall,
    retraining,
)
from zoo.tasks.density import Density
from zoo.tasks.image import ImageRestoration

STORM = Contract(
    grid=Grid.square(scale=8),
    input=Frames(scaling="spots"),
    task=Density(),
    training={
        "pixel_size_nm": (100.0, 100.0),
        "psf_sigma_nm": (100.0, 140.0),
        "density_per_um2": (0.3, 9.0),
        "photons": (300.0, 6000.0),
        "background_photons": (2.0, 150.0),
    },
)
WIDEFIELD = Contract(
    grid=Grid.square(scale=2),
    input=Frames(scaling="image", diffraction_limited=True),
    task=ImageRestoration(),
    training={
        "pixel_size_nm": (62.6, 62.6),
        "na": (1.2, 1.49),
        "wavelength_nm": (480.0, 680.0),
        "photons": (15.0, 600.0),
        "background": (0.02, 0.1),
        "haze": (0.0, 1.0),
    },
)


def _movie(seed, *, density=1.0, photons=1500.0, sigma=1.2, background=10.0, frames=8):
    """Return expected light (t, y, x) of emitters that are new in every frame."""
    rng = np.random.default_rng(seed)
    light = []
    for _ in range(frames):
        place = rng.uniform(0, 64, (2, rng.poisson(density * 6.4**2)))
        bright = np.exp(rng.normal(np.log(photons), 0.3, place.shape[1]))
        light.append(gaussian_spots(*place, bright, (64, 64), sigma_px=sigma))
    return np.array(light) + background


def _counts(light, seed=0):
    return 100 + np.random.default_rng(seed).poisson(light).astype(float)


def _values(found):
    return {m.name: m.value for m in found}


def _outside(contract, found):
    return {c.measured.name for c in compare(contract, found) if c.grade == "outside"}


@pytest.mark.parametrize(
    ("camera", "slope"),
    [
        (Scmos(adu_per_e=2.2, read_noise_e=1.5, hot_fraction=0.0), 2.2),
        # multiplied electrons: twice the variance
        (EmCcd(em_gain=200.0, e_per_adu=20.0, read_noise_e=40.0), 20.0),
    ],
)
def test_noise_tells_the_gain_of_a_camera(camera, slope):
    counts = camera.expose(_movie(1), np.random.default_rng(2)).astype(float)
    gain = photon_transfer(counts)
    assert gain.slope == pytest.approx(slope, rel=0.15)
    assert abs(gain.dark - camera.offset_adu) < 5 * slope


def test_constant_light_tells_no_gain():
    assert photon_transfer(np.full((2, 64, 64), 7.0)) is None


@pytest.mark.parametrize("density", [0.5, 3.0, 9.0])
@pytest.mark.parametrize("sigma", [1.0, 1.5])
def test_the_spectrum_tells_the_width_of_spots_in_crowds_too(density, sigma):
    movie = _counts(_movie(4, density=density, sigma=sigma))
    assert spectral_sigma(movie) == pytest.approx(sigma, rel=0.07)


def test_haze_and_lines_do_not_widen_spots():
    light = _movie(5)
    y, x = np.mgrid[:64, :64]
    light += 60 * np.exp(-((x - 30) ** 2 + (y - 40) ** 2) / 800)
    assert spectral_sigma(_counts(light)) == pytest.approx(1.2, rel=0.07)


def test_no_light_has_no_width():
    assert np.isnan(spectral_sigma(_counts(np.full((4, 64, 64), 20.0))))


def test_isolated_spots_are_fitted():
    spots = isolated_spots(_counts(_movie(6, density=0.4)), half_px=6)
    assert spots.sigma_px == pytest.approx(1.2, rel=0.05)
    assert spots.light == pytest.approx(1500, rel=0.2)
    assert spots.ellipticity < 1.1
    assert spots.residual < 0.1


@pytest.mark.parametrize(
    ("density", "tolerance"), [(1.0, 0.5), (4.0, 0.35), (9.0, 0.4)]
)
def test_light_tells_how_many_emitters_there_are(density, tolerance):
    found = emission(_counts(_movie(7, density=density)), sigma_px=1.2, pixel_nm=100.0)
    assert found.density_per_px * 100 == pytest.approx(density, rel=tolerance)
    assert found.stillness < 0.1
    assert found.blinking


def _haze(strength):
    y, x = np.mgrid[:64, :64]
    return strength * np.exp(-((x - 30) ** 2 + (y - 40) ** 2) / 800)


@pytest.mark.parametrize("photons", [200.0, 1500.0])
@pytest.mark.parametrize("haze", [0.0, 150.0])
def test_light_that_does_not_blink_changes_neither_brightness_nor_number(photons, haze):
    light = _movie(16, density=3.0, photons=photons, frames=24) + _haze(haze)
    found = emission(_counts(light), sigma_px=1.2, pixel_nm=100.0)
    assert found.blinking
    assert found.brightness == pytest.approx(photons, rel=0.3)
    assert found.density_per_px * 100 == pytest.approx(3.0, rel=0.35)


def test_smooth_light_that_does_not_blink_does_not_make_a_movie_still():
    light = _movie(17, density=0.5, photons=400.0, frames=24)
    stillness = [
        emission(_counts(light + _haze(haze)), sigma_px=1.2, pixel_nm=100.0).stillness
        for haze in (0.0, 100.0)
    ]
    assert max(stillness) < 0.5


def test_noise_alone_blinks_nowhere():
    dark = _counts(np.full((24, 64, 64), 50.0) + _haze(100.0))
    found = emission(dark, sigma_px=1.2, pixel_nm=100.0)
    assert found is None or not found.blinking


@pytest.mark.parametrize(
    ("local", "names"), [(22.0, {"density_per_um2"}), (45.0, set())]
)
def test_a_field_full_of_emitters_is_outside_but_crowded_filaments_are_not(
    local, names
):
    crowds = STORM.override(
        training=STORM.training | {"local_density_per_um2": (3.0, 48.0)}
    )
    found = [
        Measured("density_per_um2", 18.0, "/µm²", "emitters per frame"),
        Measured("local_density_per_um2", local, "/µm²", "around an emitter"),
    ]
    assert _outside(crowds, found) == names


def test_frames_that_stay_the_same_are_still():
    light = np.repeat(_movie(8, frames=1), 6, axis=0)
    found = emission(_counts(light), sigma_px=1.2, pixel_nm=100.0)
    assert found.stillness > 0.9


INSIDE = [
    {"density": 0.5},
    {"density": 3.0, "sigma": 1.35},
    {"density": 6.0, "background": 60.0},
    {"photons": 500.0, "background": 4.0},
]


@pytest.mark.parametrize("change", INSIDE)
def test_movies_of_the_training_are_not_warned_of(change):
    found = measured_spots(_counts(_movie(9, **change)), pixel_nm=100.0)
    assert _outside(STORM, found) == set()
    assert overall(compare(STORM, found)) in ("inside", "near")


@pytest.mark.parametrize(
    ("change", "names"),
    [
        ({"density": 20.0}, {"density_per_um2"}),
        ({"photons": 130.0, "density": 0.6, "background": 3.0}, {"photons"}),
        ({"sigma": 2.2}, {"psf_sigma_nm"}),
        ({"background": 700.0, "photons": 5000.0}, {"background_photons"}),
    ],
)
def test_movies_beyond_the_training_are_told_by_what_is_wrong(change, names):
    found = measured_spots(_counts(_movie(10, **change)), pixel_nm=100.0)
    assert names <= _outside(STORM, found)


def test_emitters_that_do_not_blink_are_pointed_out():
    light = np.repeat(_movie(11, frames=1, density=2.0), 6, axis=0)
    found = measured_spots(_counts(light), pixel_nm=100.0)
    assert "stillness" in _outside(STORM, found)


def test_a_tetrapod_is_no_round_spot():
    rng = np.random.default_rng(12)
    psf = PupilPsf(PUPILS["tetrapod"])
    edge_nm = 64 * psf.pixel_nm
    frames = []
    for _ in range(12):
        count = rng.poisson(0.2 * (edge_nm / 1000) ** 2)
        emitters = Localizations(
            x_nm=rng.uniform(0, edge_nm, count),
            y_nm=rng.uniform(0, edge_nm, count),
            z_nm=rng.uniform(500, 3500, count),
            photons=np.full(count, 8000.0),
        )
        frames.append(rng.poisson(draw_emitters(psf, emitters, (64, 64)) + 10))
    found = measured_spots(np.array(frames), pixel_nm=psf.pixel_nm)
    round_one = measured_spots(_counts(_movie(13, density=0.4)), pixel_nm=100.0)
    assert _values(found)["spot_shape"] > 1.4
    assert _values(round_one)["spot_shape"] < 1.2


def _structure(sigma_px, peak, background, seed=14):
    rng = np.random.default_rng(seed)
    light = rng.random((128, 128)) ** 40
    light = gaussian_filter(light, sigma_px, mode="wrap")
    return rng.poisson(peak * light / light.max() + background).astype(float) + 100


def test_a_widefield_image_is_inside():
    found = measured_image([_structure(1.6, 200, 10)], pixel_nm=62.6)
    values = _values(found)
    assert values["cutoff_per_um"] < 6.2
    assert values["noise_colour"] == pytest.approx(1, abs=0.3)
    assert _outside(WIDEFIELD, found) == set()


@pytest.mark.parametrize(
    ("image", "name"),
    [
        (_structure(0.5, 2000, 10), "cutoff_per_um"),
        (zoom(_structure(1.6, 200, 10), 2, order=3), "noise_colour"),
        (_structure(1.6, 6, 1), "photons"),
        (_structure(1.6, 200, 400), "background"),
    ],
)
def test_images_beyond_the_training_are_told_by_what_is_wrong(image, name):
    found = measured_image([image], pixel_nm=62.6)
    assert name in _outside(WIDEFIELD, found)


def test_a_blinking_movie_is_no_series_of_images():
    blinking = _counts(_movie(15, frames=2, photons=3000))
    found = measured_image([blinking[0]], pixel_nm=62.6, later=[blinking[1]])
    assert "constancy" in _outside(WIDEFIELD, found)
    same = _counts(np.repeat(_movie(15, frames=1, photons=3000), 2, axis=0))
    found = measured_image([same[0]], pixel_nm=62.6, later=[same[1]])
    assert "constancy" not in _outside(WIDEFIELD, found)


@pytest.mark.parametrize(
    ("pixel_nm", "grade"),
    [
        (62.6, "inside"),
        (60.0, "inside"),
        (65.5, "inside"),
        (70.0, "near"),
        (87.0, "outside"),
        (None, "unknown"),
    ],
)
def test_one_trained_pixel_is_a_point_with_a_tolerance(pixel_nm, grade):
    size = Measured("pixel_size_nm", pixel_nm, "nm", "pixel size")
    (condition,) = compare(WIDEFIELD, [size])
    assert condition.grade == grade


def test_reports_and_warnings_state_both_numbers():
    found = [
        Measured("density_per_um2", 21.0, "/µm²", "emitters per frame"),
        Measured("photons", 2000.0, "photons", "light of an emitter"),
        Measured("spot_shape", None, "", "shape", (0.8, 1.3), "too few spots"),
    ]
    conditions = compare(STORM, found)
    assert [c.grade for c in conditions] == ["outside", "inside", "unknown"]
    (line,) = condition_warnings(conditions)
    assert "21 /µm²" in line
    assert "0.3 to 9" in line
    block = condition_report("deep", STORM, conditions)
    json.dumps(block, allow_nan=False)
    assert block["overall"] == "outside"
    assert block["summary"].startswith("outside what deep was trained on: emitters")
    assert block["measured"][0]["trained"] == [0.3, 9.0]
    assert block["measured"][2]["note"] == "too few spots"
    assert retraining("deep", STORM, conditions) == (
        "zoo train deep --set source.density_per_um2=[0.3,26.2]"
    )
    assert block["retrain"] == retraining("deep", STORM, conditions)


def test_a_package_that_says_nothing_is_not_held_against_anything():
    silent = STORM.override(training={})
    found = [Measured("photons", 3.0, "photons", "light")]
    conditions = compare(silent, found)
    assert overall(conditions) == "unknown"
    assert condition_warnings(conditions) == []
