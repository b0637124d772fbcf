"""The Gaussian spot against its moments and against numerical integration."""

import numpy as np
import pytest
from scipy.integrate import dblquad

from zoo.physics.psf import edge_integrals, gaussian_spots

SHAPE = (23, 31)


def spot(x_px, y_px, *, photons=1.0, sigma_px=1.3, shape=SHAPE):
    return gaussian_spots(
        np.atleast_1d(x_px), np.atleast_1d(y_px), photons, shape, sigma_px=sigma_px
    )


def moments(image):
    rows, columns = (np.arange(n) + 0.5 for n in image.shape)
    mass = image.sum()
    x, y = image.sum(axis=0) @ columns / mass, image.sum(axis=1) @ rows / mass
    return (
        x,
        y,
        image.sum(axis=0) @ (columns - x) ** 2 / mass,
        image.sum(axis=1) @ (rows - y) ** 2 / mass,
    )


@pytest.mark.parametrize("sigma_px", [0.2, 1.1, 1.6])
def test_an_emitter_far_from_the_border_gives_exactly_its_photons(sigma_px):
    image = spot(15.37, 11.81, photons=2250.0, sigma_px=sigma_px)
    assert image.sum() == pytest.approx(2250.0, rel=1e-9)
    assert image.min() >= 0


@pytest.mark.parametrize(
    ("x_px", "y_px", "share"),
    [(0.0, 11.5, 0.5), (15.0, 23.0, 0.5), (31.0, 0.0, 0.25), (-1.3, 11.5, 0.158655)],
)
def test_the_border_cuts_a_spot(x_px, y_px, share):
    assert spot(x_px, y_px).sum() == pytest.approx(share, rel=1e-5)


@pytest.mark.parametrize("x_px", [15.0, 15.21, 15.5, 15.93])
@pytest.mark.parametrize("y_px", [11.07, 11.5])
def test_the_centroid_is_the_position(x_px, y_px):
    x, y, _, _ = moments(spot(x_px, y_px))
    assert (x, y) == pytest.approx((x_px, y_px), abs=1e-6)


@pytest.mark.parametrize("sigma_px", [0.8, 1.1, 2.0])
def test_a_pixel_adds_a_twelfth_to_the_variance(sigma_px):
    _, _, var_x, var_y = moments(spot(15.4, 11.7, sigma_px=sigma_px))
    assert (var_x, var_y) == pytest.approx([sigma_px**2 + 1 / 12] * 2, rel=1e-3)


def test_every_emitter_has_its_own_width_and_brightness():
    x_px, y_px = np.array([7.3, 15.2, 22.9]), np.array([6.1, 14.8, 9.5])
    photons, sigma_px = np.array([500.0, 1000.0, 4000.0]), np.array([0.7, 1.1, 1.9])
    together = spot(x_px, y_px, photons=photons, sigma_px=sigma_px)
    apart = [
        n * spot(x, y, sigma_px=s)
        for x, y, n, s in zip(x_px, y_px, photons, sigma_px, strict=True)
    ]
    np.testing.assert_allclose(together, np.sum(apart, axis=0), atol=1e-12)


@pytest.mark.parametrize("pixel", [(11, 15), (12, 15), (10, 17), (8, 13)])
def test_pixels_hold_the_integral_of_the_gaussian(pixel):
    row, column = pixel
    x0, y0, sigma = 15.37, 11.81, 0.9

    def density(y, x):
        square = ((x - x0) ** 2 + (y - y0) ** 2) / (2 * sigma**2)
        return np.exp(-square) / (2 * np.pi * sigma**2)

    expected, _ = dblquad(density, column, column + 1, row, row + 1, epsabs=1e-12)
    assert spot(x0, y0, sigma_px=sigma)[pixel] == pytest.approx(expected, rel=1e-7)


def test_x_runs_along_columns():
    image = spot(20.5, 4.5, sigma_px=0.6)
    assert np.unravel_index(image.argmax(), SHAPE) == (4, 20)


def test_no_emitters_give_a_dark_image():
    assert not spot(np.empty(0), np.empty(0)).any()


def test_a_row_of_integrals_is_one_dimensional_and_sums_to_one():
    rows = edge_integrals(np.array([5.2, 9.9]), 16, sigma_px=np.array([0.5, 1.0]))
    assert rows.shape == (2, 16)
    np.testing.assert_allclose(rows.sum(axis=1), 1.0, atol=1e-6)


@pytest.mark.parametrize("sigma_px", [0.0, -1.0])
def test_a_width_must_be_positive(sigma_px):
    with pytest.raises(ValueError, match="sigma_px must be positive"):
        spot(5.0, 5.0, sigma_px=sigma_px)
