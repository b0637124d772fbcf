"""The joint fit of crowded emitters against its errors, bounds and simpler fits."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.matching import match
from zoo.physics.camera import Camera, EmCcd, Scmos
from zoo.physics.crowd_fit import WHOLE_PX, fit_crowds
from zoo.physics.crowd_frame import CrowdSettings
from zoo.physics.fisher import PixelNoise, pixel_noise
from zoo.physics.spots import GaussianPsf, draw_emitters

PIXEL_NM = 100.0
PSF = GaussianPsf(pixel_nm=PIXEL_NM, sigma_x_nm=115.0)


def emitters(x_nm: list[float], y_nm: list[float], photons: float) -> Localizations:
    return Localizations(
        x_nm=np.array(x_nm), y_nm=np.array(y_nm), photons=np.full(len(x_nm), photons)
    )


def movie(
    camera: Camera, truth: Localizations, frames: int, edge: int = 20
) -> np.ndarray:
    """Return photons of noisy frames of the same emitters, (t, y, x)."""
    rng = generator(7, frames)
    expected = draw_emitters(PSF, truth, (edge, edge)) + 10.0
    return np.stack(
        [camera.to_photons(camera.expose(expected, rng)) for _ in range(frames)]
    )


@pytest.mark.parametrize("camera", [EmCcd(), Scmos()])
def test_a_close_pair_is_resolved_with_the_errors_that_are_stated(
    camera: Camera,
) -> None:
    truth = emitters([900.0, 1090.0], [1000.0, 1040.0], 4000.0)
    images = movie(camera, truth, 15)
    noise = pixel_noise(camera, images.shape[1:])
    fits = fit_crowds(PSF, images, noise=noise)
    assert len(fits) == 30
    assert fits.uncertainty_nm is not None
    assert fits.photons is not None
    row = np.where(fits.x_nm < 995, 0, 1)
    errors = np.concatenate([fits.x_nm - truth.x_nm[row], fits.y_nm - truth.y_nm[row]])
    scaled = errors / np.tile(fits.uncertainty_nm, 2)
    assert 0.75 < np.sqrt(np.mean(scaled**2)) < 1.25
    assert abs(np.mean(fits.photons) - 4000) < 200


def test_the_centre_between_two_emitters_is_no_emitter() -> None:
    truth = emitters([900.0, 1090.0], [1000.0, 1040.0], 4000.0)
    image = movie(Scmos(), truth, 1)
    noise = pixel_noise(Scmos(), image.shape[1:])
    middle = emitters([995.0], [1020.0], 1.0)
    alone = fit_crowds(
        PSF, image, noise=noise, starts=middle, settings=CrowdSettings(rounds=0)
    )
    assert len(alone) == 1
    helped = fit_crowds(PSF, image, noise=noise, starts=middle)
    assert len(match(truth, helped, radius_nm=40.0)) == 2


def test_wrong_starts_are_removed() -> None:
    truth = emitters([700.0, 1400.0], [700.0, 1300.0], 3000.0)
    starts = emitters(
        [690.0, 1410.0, 1405.0, 300.0], [710.0, 1290.0, 1320.0, 1500.0], 1
    )
    fits = fit_crowds(PSF, movie(EmCcd(), truth, 1), starts=starts)
    assert len(fits) == len(match(truth, fits, radius_nm=30.0)) == 2


def test_little_is_found_where_nothing_is() -> None:
    images = movie(Scmos(), emitters([], [], 1.0), 6, edge=32)
    noise = pixel_noise(Scmos(), images.shape[1:])
    fits = fit_crowds(PSF, images, noise=noise)
    assert len(fits) <= 1
    careless = fit_crowds(PSF, images, noise=noise, settings=CrowdSettings(alone=1.0))
    assert len(careless) > 5


def test_emitters_outside_the_frame_explain_its_border() -> None:
    truth = emitters([-80.0, 1000.0], [1000.0, 600.0], 5000.0)
    fits = fit_crowds(PSF, movie(Scmos(), truth, 1))
    assert len(fits) == 1
    assert abs(fits.x_nm[0] - 1000) < 20


def test_large_frames_are_fitted_in_parts_without_a_seam() -> None:
    rng = generator(11)
    edge = WHOLE_PX + 4
    count = 24
    x_nm, y_nm = rng.uniform(300, edge * 100 - 300, (2, count))
    y_nm[:10] = edge * 50 + rng.uniform(-60, 60, 10)  # along the border of two parts
    truth = Localizations(x_nm=x_nm, y_nm=y_nm, photons=np.full(count, 3000.0))
    image = movie(Scmos(), truth, 1, edge=edge)
    noise = pixel_noise(Scmos(), image.shape[1:])
    parts = fit_crowds(PSF, image, noise=noise)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.physics.crowd_fit.WHOLE_PX", edge)
        whole = fit_crowds(PSF, image, noise=noise)
    assert abs(len(parts) - len(whole)) <= 1
    assert len(match(whole, parts, radius_nm=15.0)) >= len(whole) - 2
    again = fit_crowds(PSF, image, noise=noise, starts=parts)
    assert len(match(parts, again, radius_nm=15.0)) >= len(parts) - 2


def test_frames_and_empty_movies() -> None:
    truth = emitters([1000.0], [1000.0], 3000.0)
    images = movie(Scmos(), truth, 3)
    assert fit_crowds(PSF, images).frame.tolist() == [1, 2, 3]
    assert len(fit_crowds(PSF, images[:0])) == 0


def test_impossible_images_are_refused() -> None:
    with pytest.raises(ValueError, match="axes"):
        fit_crowds(PSF, np.zeros((4, 4)))
    with pytest.raises(ValueError, match="finite"):
        fit_crowds(PSF, np.full((1, 8, 8), np.nan), noise=PixelNoise())
