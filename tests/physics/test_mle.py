"""Maximum-likelihood fits: unbiased, and as precise as the bound allows."""

import numpy as np
import pytest

from zoo.physics.camera import EmCcd, Scmos
from zoo.physics.fisher import emitter_bound, pixel_noise
from zoo.physics.masks import VortexRings
from zoo.physics.mle import fit_emitters, likelihood_terms, match_templates
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import GaussianPsf
from zoo.physics.tabulated import tabulated_psf

OPTICS = PupilOptics(
    na=1.45,
    wavelength_nm=670.0,
    pixel_nm=100.0,
    immersion_index=1.518,
    sample_index=1.518,
)


def pupil(**changes):
    return PupilPsf(OPTICS.override(**changes), dtype=np.float32)


ASTIGMATIC = pupil(zernikes_rad=((2, 2, 0.656),))
TETRAPOD = pupil(zernikes_rad=((2, 2, 2.0), (4, 2, -1.0)))
HELIX = pupil(mask=VortexRings())
COLUMNS = ("x_nm", "y_nm", "z_nm", "photons", "background_photons")


def experiment(
    psf, *, size, depth_nm, photons, background, camera=None, count=700, model=None
):
    """Return fits and their (5, n) errors in units of the bound at the truth."""
    rng = np.random.default_rng(12)
    shape = (size, size)
    middle = size * psf.pixel_nm / 2
    x, y = rng.uniform(middle - 100, middle + 100, (2, count))
    z = rng.uniform(-depth_nm, depth_nm, count)
    expected = photons * psf.images(x, y, z, shape).astype(float) + background
    noise = pixel_noise(camera, shape)
    if camera is None:
        images = rng.poisson(expected).astype(float)
    else:
        images = camera.to_photons(camera.expose(expected, rng))
    fits = fit_emitters(
        model or psf,
        images,
        z_range_nm=(-depth_nm - 100, depth_nm + 100) if depth_nm else None,
        noise=noise,
    )
    bound = emitter_bound(
        psf,
        x,
        y,
        z,
        photons=photons,
        background_photons=background,
        shape=shape,
        noise=noise,
    )
    truth = (x, y, z, photons, background)
    return fits, scaled(fits, truth, bound)


def scaled(fits, truth, bound):
    return np.array(
        [
            (getattr(fits, name) - value) / getattr(bound, name)
            for name, value in zip(COLUMNS, truth, strict=True)
        ]
    )


def reaches_the_bound(errors, count=700):
    """Hold root mean square and mean against their statistical limits (4 sigma)."""
    spread = np.sqrt(np.mean(errors**2, axis=1))
    np.testing.assert_allclose(spread, 1.0, atol=4 / (2 * count) ** 0.5)
    # maximum likelihood is unbiased but for terms that vanish with many photons
    assert np.all(np.abs(errors.mean(axis=1)) < 4 / count**0.5)


@pytest.mark.parametrize(
    ("psf", "size", "depth_nm", "photons"),
    [
        (ASTIGMATIC, 21, 500.0, 4000.0),
        (ASTIGMATIC, 21, 500.0, 1500.0),
        (TETRAPOD, 41, 1200.0, 4000.0),
        (HELIX, 41, 700.0, 4000.0),
    ],
)
def test_fits_reach_the_bound(psf, size, depth_nm, photons):
    fits, errors = experiment(
        psf, size=size, depth_nm=depth_nm, photons=photons, background=10.0
    )
    reaches_the_bound(errors)
    assert fits.converged.mean() > 0.99
    # chi squares of size**2 pixels, averaged over all fits
    assert fits.chi_square.mean() == pytest.approx(
        1.0, abs=4 * (2 / (700 * size**2)) ** 0.5 + 2e-3
    )


@pytest.mark.parametrize(
    "camera", [EmCcd(), Scmos(read_noise_e=2.5, hot_fraction=0.03)]
)
def test_fits_reach_the_bound_of_noisy_cameras(camera):
    _, errors = experiment(
        ASTIGMATIC,
        size=19,
        depth_nm=400.0,
        photons=4000.0,
        background=15.0,
        camera=camera,
    )
    reaches_the_bound(errors)


def test_flat_fits_reach_the_bound():
    psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=130.0)
    fits, errors = experiment(
        psf, size=15, depth_nm=0.0, photons=1000.0, background=10.0
    )
    reaches_the_bound(np.delete(errors, 2, axis=0))
    assert np.all(fits.z_nm == 0)
    assert np.all(np.isinf(fits.bound.z_nm))


def test_a_tabulated_model_fits_as_well():
    table = tabulated_psf(ASTIGMATIC, z_range_nm=(-600.0, 600.0), size_px=31)
    _, errors = experiment(
        ASTIGMATIC,
        size=19,
        depth_nm=500.0,
        photons=4000.0,
        background=10.0,
        model=table,
    )
    reaches_the_bound(errors)


def test_stated_bounds_are_those_of_the_estimates_and_calibrated():
    rng = np.random.default_rng(21)
    x, y = rng.uniform(850, 1050, (2, 700))
    z = rng.uniform(-400, 400, 700)
    images = rng.poisson(3000.0 * ASTIGMATIC.images(x, y, z, (19, 19)) + 10.0)
    fits = fit_emitters(ASTIGMATIC, images, z_range_nm=(-500.0, 500.0))
    bound = emitter_bound(
        ASTIGMATIC,
        fits.x_nm,
        fits.y_nm,
        fits.z_nm,
        photons=fits.photons,
        background_photons=fits.background_photons,
        shape=(19, 19),
    )
    np.testing.assert_allclose(fits.bound.z_nm, bound.z_nm, rtol=1e-4)
    # 68 % of the errors lie within one stated deviation, 95 % within two
    errors = np.abs(scaled(fits, (x, y, z, 3000.0, 10.0), fits.bound))
    np.testing.assert_allclose(np.mean(errors < 1, axis=1), 0.683, atol=0.07)
    np.testing.assert_allclose(np.mean(errors < 2, axis=1), 0.954, atol=0.032)


def test_noiseless_images_give_the_truth():
    x, y, z = (
        np.array([1040.0, 980.0]),
        np.array([1010.0, 1100.0]),
        np.array([-300, 250.0]),
    )
    images = 2000 * ASTIGMATIC.images(x, y, z, (21, 21)).astype(float) + 3.0
    fits = fit_emitters(ASTIGMATIC, images, z_range_nm=(-600.0, 600.0))
    np.testing.assert_allclose(fits.x_nm, x, atol=0.05)
    np.testing.assert_allclose(fits.y_nm, y, atol=0.05)
    np.testing.assert_allclose(fits.z_nm, z, atol=0.1)
    np.testing.assert_allclose(fits.photons, 2000.0, rtol=1e-3)
    np.testing.assert_allclose(fits.background_photons, 3.0, atol=0.02)
    assert fits.converged.all()


def test_two_emitters_in_a_region_stand_out():
    rng = np.random.default_rng(3)
    x, y = np.array([900.0, 1250.0]), np.array([1000.0, 1150.0])
    spots = ASTIGMATIC.images(x, y, np.array([0.0, 200.0]), (21, 21)).astype(float)
    images = rng.poisson(np.stack([3000 * spots[0], 3000 * spots.sum(axis=0)]) + 10.0)
    fits = fit_emitters(ASTIGMATIC, images, z_range_nm=(-500.0, 500.0))
    assert fits.chi_square[0] < 1.2
    assert fits.chi_square[1] > 2.0


def test_regions_are_independent_of_each_other():
    rng = np.random.default_rng(5)
    middle = np.full(70, 950.0)
    depth = rng.uniform(-400, 400, 70)
    images = rng.poisson(
        1500 * ASTIGMATIC.images(middle, middle, depth, (19, 19)) + 8.0
    )
    options = {"z_range_nm": (-500.0, 500.0)}
    together = fit_emitters(ASTIGMATIC, images, **options)
    for index in (0, 63, 64, 69):
        alone = fit_emitters(ASTIGMATIC, images[[index]], **options)
        assert alone.z_nm[0] == pytest.approx(together.z_nm[index], abs=0.05)


def test_more_starts_are_never_worse():
    rng = np.random.default_rng(7)
    middle, depth = np.full(20, 2050.0), rng.uniform(-700, 700, 20)
    images = rng.poisson(600 * HELIX.images(middle, middle, depth, (41, 41)) + 5.0)
    one, three = (
        fit_emitters(HELIX, images, z_range_nm=(-800.0, 800.0), starts=n)
        for n in (1, 3)
    )
    errors = [np.abs(fits.z_nm - depth) for fits in (one, three)]
    assert np.median(errors[1]) <= np.median(errors[0]) + 1.0


def test_gradients_of_the_likelihood():
    rng = np.random.default_rng(1)
    mean = rng.uniform(5, 20, (1, 6, 6))
    slope = rng.normal(size=(1, 1, 6, 6))
    image = rng.poisson(mean).astype(float)
    for camera in (None, EmCcd(), Scmos(read_noise_e=2.0)):
        noise = pixel_noise(camera, (6, 6))
        _, gradient, information = likelihood_terms(image, mean, slope, noise=noise)
        up, down = (
            likelihood_terms(image, mean + step * slope[:, 0], slope, noise=noise)[0]
            for step in (1e-4, -1e-4)
        )
        assert gradient[0, 0] == pytest.approx((up - down)[0] / 2e-4, rel=1e-4)
        variance = noise.variance_photons2(mean)
        expected = np.sum(slope[:, 0] ** 2 / variance)
        assert information[0, 0, 0] == pytest.approx(expected, rel=1e-9)


def test_templates_are_found_with_their_shift():
    depths = np.array([-400.0, -200.0, 0.0, 200.0, 400.0])
    middle = np.full(5, 1050.0)
    templates = ASTIGMATIC.images(middle, middle, depths, (21, 21))
    images = ASTIGMATIC.images(
        middle[:2] + 200, middle[:2] - 300, depths[[1, 4]], (21, 21)
    )
    ranking, shift_y, shift_x = match_templates(500 * images + 7.0, templates)
    assert ranking[:, 0].tolist() == [1, 4]
    assert shift_x[:, 0].tolist() == [2, 2]
    assert shift_y[:, 0].tolist() == [-3, -3]


def test_empty_input_gives_an_empty_table():
    fits = fit_emitters(ASTIGMATIC, np.empty((0, 15, 15)), z_range_nm=(-1.0, 1.0))
    assert len(fits.x_nm) == len(fits.bound.z_nm) == len(fits.converged) == 0


def test_dark_and_constant_regions_do_no_harm():
    images = np.stack([np.zeros((15, 15)), np.full((15, 15), 30.0)])
    fits = fit_emitters(ASTIGMATIC, images, z_range_nm=(-500.0, 500.0))
    assert np.all(np.isfinite(fits.x_nm))
    assert np.all(fits.photons < 50)


@pytest.mark.parametrize(
    ("images", "message"),
    [
        (np.zeros((15, 15)), "axes"),
        (np.full((1, 15, 15), np.nan), "finite"),
    ],
)
def test_bad_images_are_refused(images, message):
    with pytest.raises(ValueError, match=message):
        fit_emitters(ASTIGMATIC, images)
