"""What every point-spread function promises, and drawing with any of them."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.physics.psf import gaussian_spots
from zoo.physics.pupil import PupilOptics, PupilPsf
from zoo.physics.spots import GaussianPsf, draw_emitters
from zoo.physics.tabulated import tabulated_psf

OPTICS = PupilOptics(
    na=1.45, wavelength_nm=670.0, pixel_nm=100.0, zernikes_rad=((2, 2, 0.66),)
)
PUPIL = PupilPsf(OPTICS)
PSFS = {
    "gaussian": GaussianPsf(pixel_nm=100.0, sigma_x_nm=130.0),
    "astigmatic": GaussianPsf(
        pixel_nm=120.0,
        sigma_x_nm=(150.0, 80.0, 200.0),
        sigma_y_nm=(150.0, -80.0, 200.0),
    ),
    "pupil": PUPIL,
    "spline": tabulated_psf(
        PUPIL, z_range_nm=(-500.0, 500.0), size_px=45, dtype=np.float64
    ),
}
SHAPE = (21, 25)


@pytest.fixture(params=list(PSFS))
def psf(request):
    return PSFS[request.param]


def places(psf, count=5):
    rng = np.random.default_rng(4)
    middle_y, middle_x = (edge * psf.pixel_nm / 2 for edge in SHAPE)
    return [
        rng.uniform(middle_x - 150, middle_x + 150, count),
        rng.uniform(middle_y - 150, middle_y + 150, count),
        rng.uniform(-400, 400, count),
    ]


def test_images_are_shares_of_the_photons(psf):
    images = psf.images(*places(psf), SHAPE)
    assert images.shape == (5, *SHAPE)
    sums = images.sum(axis=(1, 2))
    assert np.all(sums < 1.0 + 1e-9)
    assert np.all(sums > 0.85)
    assert images.min() > -1e-4 * images.max()


def test_derivatives_agree_with_differences(psf):
    at = places(psf)
    images, slopes = psf.derivatives(*at, SHAPE)
    assert slopes.shape == (5, 3, *SHAPE)
    np.testing.assert_allclose(images, psf.images(*at, SHAPE), atol=1e-12)
    for axis in range(3):
        up, down = ([p.copy() for p in at] for _ in range(2))
        up[axis] += 0.05
        down[axis] -= 0.05
        numerical = (psf.images(*up, SHAPE) - psf.images(*down, SHAPE)) / 0.1
        tolerance = 1e-3 * np.abs(numerical).max() + 1e-12
        np.testing.assert_allclose(slopes[:, axis], numerical, atol=tolerance)


def test_the_centroid_follows_the_emitter(psf):
    x, y, z = (values[:1] for values in places(psf))
    step = np.array([3 * psf.pixel_nm])
    start, moved = psf.images(x, y, z, SHAPE)[0], psf.images(x + step, y, z, SHAPE)[0]
    np.testing.assert_allclose(moved[:, 3:], start[:, :-3], atol=2e-5)
    down = psf.images(x, y + step, z, SHAPE)[0]
    np.testing.assert_allclose(down[3:], start[:-3], atol=2e-5)


def test_emitters_are_independent_of_each_other(psf):
    at = places(psf, count=70)  # more than a chunk
    together = psf.images(*at, SHAPE)
    for index in (0, 16, 33, 69):
        alone = psf.images(*(values[[index]] for values in at), SHAPE)[0]
        np.testing.assert_allclose(together[index], alone, atol=1e-12)


def test_the_gaussian_is_that_of_the_flat_simulators():
    x, y = np.array([1033.0]), np.array([987.0])
    ours = PSFS["gaussian"].images(x, y, np.zeros(1), SHAPE)[0]
    theirs = gaussian_spots(x / 100, y / 100, 1.0, SHAPE, sigma_px=1.3)
    np.testing.assert_allclose(ours, theirs, atol=1e-12)


def test_widths_are_polynomials_of_the_depth():
    psf = GaussianPsf(pixel_nm=100.0, sigma_x_nm=(120.0, 100.0), sigma_y_nm=140.0)
    deep, flat = np.array([500.0]), np.zeros(1)
    x, y = np.array([1250.0]), np.array([1050.0])
    wide = GaussianPsf(pixel_nm=100.0, sigma_x_nm=170.0, sigma_y_nm=140.0)
    np.testing.assert_allclose(
        psf.images(x, y, deep, SHAPE), wide.images(x, y, flat, SHAPE), atol=1e-12
    )


def test_impossible_gaussians_are_refused():
    with pytest.raises(ValueError, match="sigma must be positive"):
        GaussianPsf(pixel_nm=100.0, sigma_x_nm=0.0)
    with pytest.raises(ValueError, match="pixel_nm must be positive"):
        GaussianPsf(pixel_nm=0.0, sigma_x_nm=100.0)
    narrow = GaussianPsf(pixel_nm=100.0, sigma_x_nm=(100.0, -200.0))
    one = np.array([1000.0])
    with pytest.raises(ValueError, match="sigma_px must be positive"):
        narrow.images(one, one, one, SHAPE)


def emitters():
    rng = np.random.default_rng(8)
    return Localizations(
        x_nm=rng.uniform(-300, 3300, 40),
        y_nm=rng.uniform(-300, 2300, 40),
        z_nm=rng.uniform(-400, 400, 40),
        photons=rng.uniform(500, 5000, 40),
    )


def test_a_frame_is_the_sum_of_its_emitters(psf):
    table = emitters()
    if psf is PSFS["spline"]:
        window, tolerance = 41, 1e-3
    else:
        window, tolerance = 81, 1e-4
    shape = (20, 30)
    drawn = draw_emitters(psf, table, shape, window_px=window)
    spots = psf.images(table.x_nm, table.y_nm, table.z_nm, shape)
    expected = np.tensordot(table.photons, spots, 1)
    np.testing.assert_allclose(drawn, expected, atol=tolerance * expected.max())


def test_emitters_without_depth_or_photons_can_be_drawn():
    table = Localizations(x_nm=np.array([1050.0]), y_nm=np.array([1050.0]))
    frame = draw_emitters(PUPIL, table, (21, 21), window_px=21)
    middle = np.array([1050.0])
    expected = PUPIL.images(middle, middle, np.zeros(1), (21, 21))[0]
    np.testing.assert_allclose(frame, expected, atol=1e-12)
    far = Localizations(x_nm=np.array([-9000.0]), y_nm=np.array([1050.0]))
    assert not draw_emitters(PUPIL, far, (21, 21)).any()
    assert not draw_emitters(PUPIL, Localizations.empty(), (21, 21)).any()
    with pytest.raises(ValueError, match="window_px must be a positive odd number"):
        draw_emitters(PUPIL, table, (21, 21), window_px=20)
