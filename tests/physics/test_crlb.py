"""The Cramér-Rao bound against reference values, brute force and real fits."""

import numpy as np
import pytest

from zoo.physics.camera import EmCcd, Scmos
from zoo.physics.crlb import edge_derivatives, gaussian_crlb
from zoo.physics.psf import edge_integrals, gaussian_spots

CENTRE = np.array([10.5])
CAMERAS = [
    None,
    EmCcd(),
    EmCcd(em_gain=50, spurious_e=0.5),
    Scmos(read_noise_e=3.0, hot_fraction=0.05),
]


def bound_at_centre(photons, background, **options):
    return gaussian_crlb(
        CENTRE,
        CENTRE,
        sigma_px=options.pop("sigma_px", 1.3),
        photons=photons,
        background_photons=background,
        **options,
    )


def fields(bound):
    return np.array([bound.x_px, bound.y_px, bound.photons, bound.background_photons])


def model(theta, shape, sigma_px):
    x, y, photons, background = theta
    spot = gaussian_spots(
        np.array([x]), np.array([y]), photons, shape, sigma_px=sigma_px
    )
    return spot + background


def jacobian(theta, shape, sigma_px):
    """Return (4, pixels) central differences of the model."""
    steps = (1e-4, 1e-4, 1e-1, 1e-2)
    rows = []
    for index, step in enumerate(steps):
        up, down = np.array(theta, float), np.array(theta, float)
        up[index] += step
        down[index] -= step
        difference = model(up, shape, sigma_px) - model(down, shape, sigma_px)
        rows.append(difference.ravel() / (2 * step))
    return np.array(rows)


def variance_e(mean_e, camera):
    """Return the variance of pixels, written down apart from the module."""
    if isinstance(camera, EmCcd):
        return 2 * mean_e + (camera.read_noise_e / camera.em_gain) ** 2
    if isinstance(camera, Scmos):
        return mean_e + camera.maps(mean_e.shape)[0] ** 2
    return mean_e


def in_electrons(photons, camera):
    if camera is None:
        return photons
    return camera.quantum_efficiency * photons + camera.spurious_e


@pytest.mark.parametrize(
    ("photons", "background", "exact"),
    [
        (1000.0, 1.0, 0.0452),
        (1000.0, 10.0, 0.0563),
        (500.0, 20.0, 0.1085),
        (5000.0, 50.0, 0.0252),
    ],
)
def test_reference_values(photons, background, exact):
    bound = bound_at_centre(photons, background)
    assert bound.x_px[0] == pytest.approx(exact, abs=6e-5)
    assert bound.y_px[0] == pytest.approx(exact, abs=6e-5)


def test_reference_values_of_photons_and_background():
    bound = bound_at_centre(1000.0, 10.0, window_px=15)
    assert bound.photons[0] == pytest.approx(37.5, abs=0.05)
    assert bound.background_photons[0] == pytest.approx(0.229, abs=5e-4)


@pytest.mark.parametrize("sigma_px", [0.9, 1.3, 2.0])
def test_without_background_only_the_photons_limit(sigma_px):
    limit = ((sigma_px**2 + 1 / 12) / 800.0) ** 0.5
    bound = bound_at_centre(800.0, 0.0, sigma_px=sigma_px)
    assert bound.x_px[0] == pytest.approx(limit, rel=2e-3)
    assert bound.photons[0] == pytest.approx(800**0.5, rel=1e-3)


@pytest.mark.parametrize("sigma_px", [0.6, 1.3])
def test_derivatives_are_those_of_the_integrals(sigma_px):
    position = np.array([7.0, 7.31, 7.5, 6.02])
    sigma = np.full(4, sigma_px)
    step = 1e-4
    shifted = (
        edge_integrals(position + sign * step, 15, sigma_px=sigma) for sign in (1, -1)
    )
    numerical = np.subtract(*shifted) / (2 * step)
    analytic = edge_derivatives(position, 15, sigma_px=sigma)
    np.testing.assert_allclose(analytic, numerical, atol=3e-7 / sigma_px**3)


@pytest.mark.parametrize("camera", CAMERAS)
def test_the_bound_equals_the_inverse_of_a_brute_force_fisher_matrix(camera):
    theta, shape = (9.31, 8.77, 700.0, 6.0), (17, 19)
    slopes = jacobian(theta, shape, 1.2)
    mean_e = in_electrons(model(theta, shape, 1.2), camera)
    efficiency = 1.0 if camera is None else camera.quantum_efficiency
    weight = efficiency**2 / variance_e(mean_e, camera).ravel()
    expected = np.diag(np.linalg.inv((slopes * weight) @ slopes.T)) ** 0.5
    bound = gaussian_crlb(
        np.array([theta[0]]),
        np.array([theta[1]]),
        sigma_px=1.2,
        photons=theta[2],
        background_photons=theta[3],
        camera=camera,
        window_px=41,
        shape=shape,
    )
    np.testing.assert_allclose(fields(bound)[:, 0], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "camera", [None, EmCcd(), Scmos(read_noise_e=2.5, hot_fraction=0.02)]
)
def test_maximum_likelihood_fits_reach_the_bound(camera):
    truth, shape, sigma, images = np.array([7.3, 7.8, 1000, 10]), (15, 15), 1.3, 3000
    rng = np.random.default_rng(11)
    photons = np.broadcast_to(model(truth, shape, sigma), (images, *shape))
    if camera is None:
        data = rng.poisson(photons).astype(float)
    else:
        data = camera.to_photons(camera.expose(photons, rng))
    estimates = fit(data, truth, sigma, camera)

    bound = gaussian_crlb(
        truth[:1],
        truth[1:2],
        sigma_px=sigma,
        photons=truth[2],
        background_photons=truth[3],
        camera=camera,
        window_px=15,
    )
    limits = fields(bound)[:, 0]
    # a standard deviation from 3000 fits is known to 1.3 %
    np.testing.assert_allclose(estimates.std(axis=0) / limits, 1.0, atol=0.06)
    assert np.all(abs(estimates.mean(axis=0) - truth) < 0.1 * limits)


def fit(data, start, sigma_px, camera, iterations=8):
    """Fit all images at once by Fisher scoring, from the same start."""
    images, height, width = data.shape
    theta = np.tile(start, (images, 1)) + np.array([0.2, -0.2, 100.0, 2.0])
    efficiency = 1.0 if camera is None else camera.quantum_efficiency
    for _ in range(iterations):
        x, y, photons, background = theta.T
        sigma = np.full(images, sigma_px)
        columns = edge_integrals(x, width, sigma_px=sigma)
        rows = edge_integrals(y, height, sigma_px=sigma)
        step = 1e-4
        d_columns, d_rows = (
            (
                edge_integrals(p + step, n, sigma_px=sigma)
                - edge_integrals(p - step, n, sigma_px=sigma)
            )
            / (2 * step)
            for p, n in ((x, width), (y, height))
        )
        spot = np.einsum("ni,nj->nij", rows, columns)
        slopes = np.stack(
            [
                photons[:, None, None] * np.einsum("ni,nj->nij", rows, d_columns),
                photons[:, None, None] * np.einsum("ni,nj->nij", d_rows, columns),
                spot,
                np.ones_like(spot),
            ],
            axis=1,
        ).reshape(images, 4, -1)
        mean = photons[:, None, None] * spot + background[:, None, None]
        noise = np.stack([variance_e(in_electrons(m, camera), camera) for m in mean])
        weighted = slopes * (efficiency**2 / noise.reshape(images, 1, -1))
        gradient = weighted @ (data - mean).reshape(images, -1, 1)
        fisher = weighted @ slopes.swapaxes(1, 2)
        theta = theta + np.linalg.solve(fisher, gradient)[:, :, 0]
    return theta


def test_multiplication_costs_a_factor_of_root_two():
    camera = EmCcd(quantum_efficiency=1.0, spurious_e=0.0, read_noise_e=0.0)
    noisy, perfect = (bound_at_centre(1000.0, 10.0, camera=c) for c in (camera, None))
    np.testing.assert_allclose(fields(noisy), 2**0.5 * fields(perfect), rtol=1e-9)


def test_lost_photons_are_missing_photons():
    camera = Scmos(quantum_efficiency=0.5, spurious_e=0, read_noise_e=0, hot_fraction=0)
    lossy = bound_at_centre(1000.0, 10.0, camera=camera)
    half = bound_at_centre(500.0, 5.0)
    np.testing.assert_allclose(lossy.x_px, half.x_px, rtol=1e-9)
    np.testing.assert_allclose(lossy.photons, 2 * half.photons, rtol=1e-9)


def test_a_hot_pixel_costs_precision_where_it_is():
    camera = Scmos(hot_fraction=0.02, sensor=1)
    read, _, _ = camera.maps((200, 200))
    row, column = np.argwhere(read[20:180, 20:180] > 15)[0] + 20.5
    place = {"sigma_px": 1.3, "photons": 500.0, "background_photons": 5.0}
    here = gaussian_crlb(
        np.array([column]), np.array([row]), camera=camera, shape=(200, 200), **place
    )
    quiet = gaussian_crlb(
        np.array([column]),
        np.array([row]),
        camera=camera.override(hot_fraction=0.0),
        shape=(200, 200),
        **place,
    )
    moved = gaussian_crlb(
        np.array([column - 3]),
        np.array([row - 4]),
        camera=camera,
        origin=(4, 3),
        **place,
    )
    assert here.photons[0] > 1.05 * quiet.photons[0]
    np.testing.assert_allclose(fields(moved), fields(here), rtol=1e-9)


def test_emitters_are_independent_of_each_other():
    rng = np.random.default_rng(5)
    n = 5000  # more than one chunk
    columns = {
        "sigma_px": rng.uniform(0.9, 1.6, n),
        "photons": rng.uniform(300, 6000, n),
        "background_photons": rng.uniform(2, 150, n),
    }
    x, y = rng.uniform(0, 60, (2, n))
    options = {"camera": Scmos(), "shape": (60, 60)}
    together = fields(gaussian_crlb(x, y, **columns, **options))
    assert together.shape == (4, n)
    for index in (0, 17, 4095, 4096, n - 1):
        alone = gaussian_crlb(
            x[[index]],
            y[[index]],
            **{name: values[index] for name, values in columns.items()},
            **options,
        )
        np.testing.assert_allclose(fields(alone)[:, 0], together[:, index], rtol=1e-9)


def test_the_border_takes_information_away():
    x_px = np.array([20.5, 2.5, 0.5, 0.0, -40.0])
    bound = gaussian_crlb(
        x_px,
        np.full(5, 20.5),
        sigma_px=1.3,
        photons=1000.0,
        background_photons=10.0,
        shape=(41, 41),
    )
    assert np.all(np.diff(bound.x_px[:4]) > 0)
    assert np.all(np.isinf(fields(bound)[:, 4]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photons": 0.0}, "photons must be positive"),
        ({"background_photons": -1.0}, "background_photons must not be negative"),
        ({"sigma_px": 0.0}, "sigma_px must be positive"),
        ({"window_px": 20}, "window_px must be a positive odd number"),
    ],
)
def test_impossible_emitters_are_refused(change, message):
    options = {"sigma_px": 1.3, "photons": 100.0, "background_photons": 1.0} | change
    with pytest.raises(ValueError, match=message):
        gaussian_crlb(CENTRE, CENTRE, **options)
