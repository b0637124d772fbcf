"""The joint fit in depth against its errors, bounds and what networks mistake."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.matching import match
from zoo.physics import crowd_fit_3d
from zoo.physics.blurred_spots import blurred_spots
from zoo.physics.crowd_fit_3d import COLUMNS, fit_crowds_3d
from zoo.physics.crowd_frame_3d import DepthSettings
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import PixelNoise
from zoo.physics.frame_parts import Cut
from zoo.physics.pupil import PupilPsf

OPTICS = PUPILS["tetrapod"]
PIXEL_NM = OPTICS.pixel_nm
Z_NM = (1000.0, 3000.0)
BLURS_NM = (0.75 * PIXEL_NM, 1.25 * PIXEL_NM)
SPOTS = blurred_spots(OPTICS, z_range_nm=Z_NM, blurs_nm=BLURS_NM)
SETTINGS = DepthSettings(Z_NM, fewest_photons=4000.0)
SIDE = 72


def emitters(*rows: tuple[float, float, float, float]) -> Localizations:
    """Return a table of x and y in px, z in nm, and photons."""
    x, y, z, photons = np.array(rows, float).reshape(-1, 4).T
    return Localizations(x_nm=x * PIXEL_NM, y_nm=y * PIXEL_NM, z_nm=z, photons=photons)


FIVE = emitters(
    (20.2, 22.7, 1300, 30000),
    (26.9, 25.1, 1900, 15000),
    (50.4, 20.3, 2700, 50000),
    (30.6, 50.8, 2200, 20000),
    (52.3, 51.5, 1500, 12000),
)


def movie(
    truth: Localizations, *, frames: int = 1, blur_nm: float = 100.0, optics=OPTICS
) -> np.ndarray:
    """Return photons of the same emitters on a background that is not even."""
    psf = PupilPsf(optics.override(blur_nm=blur_nm), samples=96)
    where = truth.x_nm, truth.y_nm, truth.z_nm
    light = np.tensordot(truth.photons, psf.images(*where, (SIDE, SIDE)), axes=1)
    light += 40 + 30 * np.sin(np.arange(SIDE) / 25)
    return generator(5, frames).poisson(light, (frames, SIDE, SIDE)).astype(float)


def shifted(truth: Localizations, by_nm: float) -> Localizations:
    """Return what a network might have found."""
    return truth.with_columns(
        x_nm=truth.x_nm + by_nm, y_nm=truth.y_nm - by_nm, z_nm=truth.z_nm + by_nm
    )


@pytest.mark.parametrize("blur_nm", [95.0, 125.0])
def test_crowded_emitters_have_the_errors_that_are_stated(blur_nm):
    images = movie(FIVE, frames=6, blur_nm=blur_nm)
    starts = [
        shifted(FIVE, 25.0).with_columns(frame=np.full(len(FIVE), number))
        for number in range(1, 7)
    ]
    fits = fit_crowds_3d(
        SPOTS, images, settings=SETTINGS, starts=Localizations.concatenate(starts)
    )
    found = fits.emitters
    assert len(found) == 6 * len(FIVE)
    distance = np.hypot(
        found.x_nm[:, None] - FIVE.x_nm, found.y_nm[:, None] - FIVE.y_nm
    )
    row = distance.argmin(axis=1)
    lateral = np.stack([found.x_nm - FIVE.x_nm[row], found.y_nm - FIVE.y_nm[row]])
    axial = found.z_nm - FIVE.z_nm[row]
    assert 0.75 < np.sqrt(np.mean((lateral / found.uncertainty_nm) ** 2)) < 1.3
    assert 0.75 < np.sqrt(np.mean((axial / found.uncertainty_z_nm) ** 2)) < 1.3
    assert np.mean(found.uncertainty_nm) < 10
    assert abs(np.mean(found.photons / FIVE.photons[row]) - 1) < 0.05
    assert np.all((fits.chi_square > 0.9) & (fits.chi_square < 1.1))
    under = found.background_photons.reshape(6, -1)
    assert np.all((under > 35) & (under < 80))


def test_what_a_network_missed_is_added_and_what_it_invented_removed():
    starts = shifted(FIVE.select(np.array([0, 2, 3, 4])), 30.0)
    wrong = emitters((60.0, 60.0, 2000, 1), (50.9, 20.6, 2300, 1))
    starts = Localizations.concatenate([starts, wrong])
    found = fit_crowds_3d(SPOTS, movie(FIVE), settings=SETTINGS, starts=starts).emitters
    assert len(found) == len(FIVE)
    assert len(match(FIVE, found, radius_nm=50.0)) == len(FIVE)


def test_two_that_a_network_took_for_one_are_told_apart():
    pair = emitters((34.2, 35.1, 1700, 30000), (36.9, 36.2, 2300, 20000))
    middle = emitters((35.5, 35.6, 2000, 1))
    found = fit_crowds_3d(SPOTS, movie(pair), settings=SETTINGS, starts=middle).emitters
    assert len(match(pair, found, radius_nm=50.0)) == len(found) == 2
    assert np.ptp(found.z_nm) == pytest.approx(600, abs=60)


def test_emitters_are_found_without_a_network():
    found = fit_crowds_3d(SPOTS, movie(FIVE), settings=SETTINGS).emitters
    assert len(match(FIVE, found, radius_nm=50.0)) == len(found) >= 4


def test_nothing_is_found_where_nothing_is():
    images = movie(emitters(), frames=3)
    fits = fit_crowds_3d(SPOTS, images, settings=SETTINGS)
    assert len(fits.emitters) == 0
    assert {name for name in COLUMNS if getattr(fits.emitters, name) is None} == set()
    weak = shifted(emitters((30, 30, 2000, 1)), 0.0)
    assert not len(fit_crowds_3d(SPOTS, images, settings=SETTINGS, starts=weak)[0])


def test_dim_recordings_keep_their_emitters():
    dim = FIVE.with_columns(photons=np.full(5, 3000.0))
    found = fit_crowds_3d(
        SPOTS, movie(dim), settings=SETTINGS, starts=shifted(dim, 20.0)
    ).emitters
    assert len(match(dim, found, radius_nm=120.0)) == len(found) == 5


def test_parts_of_a_frame_give_what_the_whole_gives(monkeypatch):
    images = movie(FIVE)
    starts = shifted(FIVE, 20.0)
    whole = fit_crowds_3d(SPOTS, images, settings=SETTINGS, starts=starts).emitters
    monkeypatch.setattr(crowd_fit_3d, "_CUT", Cut(60, core_px=36, overlap_px=20))
    cut = fit_crowds_3d(SPOTS, images, settings=SETTINGS, starts=starts).emitters
    assert len(cut) == len(whole) == len(match(whole, cut, radius_nm=25.0))


def test_wrong_optics_leave_light_unexplained():
    other = OPTICS.override(zernikes_rad=(*OPTICS.zernikes_rad, (3, 1, 1.5)))
    fits = fit_crowds_3d(
        SPOTS, movie(FIVE, optics=other), settings=SETTINGS, starts=shifted(FIVE, 20.0)
    )
    assert fits.chi_square[0] > 1.3


def test_excess_noise_widens_the_errors():
    images = movie(FIVE)
    starts = shifted(FIVE, 20.0)
    plain, noisy = (
        fit_crowds_3d(
            SPOTS,
            images,
            settings=SETTINGS,
            noise=PixelNoise(excess=excess),
            starts=starts,
        ).emitters
        for excess in (1.0, 2.0)
    )
    ratio = np.mean(noisy.uncertainty_z_nm) / np.mean(plain.uncertainty_z_nm)
    assert ratio == pytest.approx(np.sqrt(2), rel=0.05)


def test_bad_input_is_named():
    with pytest.raises(ValueError, match="axes"):
        fit_crowds_3d(SPOTS, np.ones((40, 40)), settings=SETTINGS)
    with pytest.raises(ValueError, match="finite"):
        fit_crowds_3d(SPOTS, np.full((1, 40, 40), np.nan), settings=SETTINGS)
    flat = Localizations(x_nm=np.zeros(1), y_nm=np.zeros(1))
    with pytest.raises(ValueError, match="depths"):
        fit_crowds_3d(SPOTS, np.ones((1, 40, 40)), settings=SETTINGS, starts=flat)
