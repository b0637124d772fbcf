"""`zoo.physics.spot_light`: light, width and background at places that are known."""

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics import spot_light as module
from zoo.physics.cell_background import Cells
from zoo.physics.psf import gaussian_spots
from zoo.physics.spot_light import SpotLight, spot_light

SIGMA_PX, BACKGROUND = 1.2, 30.0


def drawn(x_px, y_px, photons, *, edge=48, sigma_px=SIGMA_PX) -> np.ndarray:
    """Return the image of spots on an even background, (1, y, x)."""
    spots = gaussian_spots(x_px, y_px, photons, (edge, edge), sigma_px=sigma_px)
    return spots[None] + BACKGROUND


def measured(images, x_px, y_px, **settings) -> SpotLight:
    """Measure the spots of the first frame."""
    settings = {"sigma_px": SIGMA_PX} | settings
    return spot_light(images, np.zeros(len(x_px), int), x_px, y_px, **settings)


def crowd(seed: int, *, density_per_um2: float, edge: int = 64):
    """Return places and light of spots all over a field and beyond, pixel 100 nm."""
    rng = generator(2026, seed)
    count = rng.poisson(density_per_um2 * ((edge + 8) / 10) ** 2)
    x_px, y_px = rng.uniform(-4, edge + 4, (2, count))
    return x_px, y_px, rng.gamma(6.0, 2000.0 / 6.0, count)


def test_isolated_spots_are_exact_without_noise():
    x_px, y_px = np.array([10.2, 24.0, 38.7]), np.array([11.9, 30.5, 9.1])
    photons = np.array([500.0, 2000.0, 9000.0])
    found = measured(drawn(x_px, y_px, photons), x_px, y_px)
    np.testing.assert_allclose(found.photons, photons, rtol=0.01)
    np.testing.assert_allclose(found.background, BACKGROUND, rtol=0.01)
    np.testing.assert_allclose(found.sigma_px, SIGMA_PX, rtol=0.01)
    assert np.all(found.noise < 0.1)


def test_overlapping_spots_share_what_they_cover():
    # two of them 0.7 widths apart, a third between both and a fourth
    x_px = np.array([20.0, 20.85, 22.5, 24.6])
    y_px = np.array([20.0, 20.0, 21.0, 19.6])
    photons = np.array([3000.0, 1000.0, 400.0, 5000.0])
    found = measured(drawn(x_px, y_px, photons), x_px, y_px, own_widths=False)
    np.testing.assert_allclose(found.photons, photons, rtol=0.03)
    np.testing.assert_array_equal(found.sigma_px, SIGMA_PX)


def test_spots_at_one_place_split_its_light():
    x_px, y_px = np.array([20.3, 20.3, 40.0]), np.array([22.2, 22.2, 9.0])
    photons = np.array([2000.0, 1000.0, 1500.0])
    found = measured(drawn(x_px, y_px, photons), x_px, y_px)
    np.testing.assert_allclose(found.photons, 1500.0, rtol=0.02)


def test_counts_of_any_camera_give_light_in_counts():
    x_px, y_px, photons = crowd(1, density_per_um2=1.0)
    photos = generator(2026, 2).poisson(drawn(x_px, y_px, photons, edge=64))
    places = x_px.clip(0, 63.99), y_px.clip(0, 63.99)
    plain, counts = (measured(m, *places) for m in (photos, 7.0 * photos + 400.0))
    np.testing.assert_allclose(counts.photons, 7.0 * plain.photons, rtol=1e-3)
    np.testing.assert_allclose(
        counts.background, 7.0 * plain.background + 400.0, rtol=1e-6
    )
    np.testing.assert_allclose(counts.noise, 7.0 * plain.noise, rtol=1e-6)
    np.testing.assert_allclose(counts.sigma_px, plain.sigma_px, rtol=1e-3)


@pytest.mark.parametrize("sigma_px", [0.95, 1.5])
def test_spots_have_widths_of_their_own(sigma_px):
    x_px, y_px = np.array([12.4, 34.8]), np.array([12.1, 30.3])
    photons = np.array([4000.0, 2500.0])
    images = drawn(x_px, y_px, photons, sigma_px=sigma_px)
    noisy = generator(2026, 3).poisson(images)
    found = measured(noisy, x_px, y_px)
    np.testing.assert_allclose(found.sigma_px, sigma_px, rtol=0.08)
    np.testing.assert_allclose(found.photons, photons, rtol=0.08)
    common = measured(noisy, x_px, y_px, own_widths=False)
    assert np.all(np.abs(common.photons / photons - 1) > 0.1)


def test_faint_spots_have_the_usual_width():
    x_px, y_px = np.array([12.4, 34.8]), np.array([12.1, 30.3])
    images = drawn(x_px, y_px, np.full(2, 60.0), sigma_px=0.95)
    found = measured(generator(2026, 4).poisson(images), x_px, y_px)
    np.testing.assert_allclose(found.sigma_px, SIGMA_PX, rtol=0.12)


@pytest.mark.parametrize(("density_per_um2", "missed"), [(1.0, 0.05), (3.0, 0.12)])
def test_unknown_neighbours_do_not_blow_up_light(density_per_um2, missed):
    ratios, backgrounds = [], []
    for seed in range(4):
        rng = generator(2026, 5, seed)
        x_px, y_px, photons = crowd(10 + seed, density_per_um2=density_per_um2)
        images = rng.poisson(drawn(x_px, y_px, photons, edge=64))
        inside = (x_px > 0) & (x_px < 64) & (y_px > 0) & (y_px < 64)
        known = inside & (rng.random(len(x_px)) > missed)
        moved_x, moved_y = rng.normal(0, 0.15, (2, known.sum()))
        places = x_px[known] + moved_x, y_px[known] + moved_y
        found = measured(images, *(place.clip(0, 63.99) for place in places))
        ratios.append(found.photons / photons[known])
        backgrounds.append(found.background)
    ratio, background = np.concatenate(ratios), np.concatenate(backgrounds)
    assert 0.85 < np.median(ratio) < 1.2
    assert np.mean((ratio > 0.4) & (ratio < 2.5)) > 0.95
    assert 0.85 < np.median(background) / BACKGROUND < 1.3


def test_light_at_the_edge_is_that_of_the_whole_spot():
    x_px, y_px = np.array([0.3, 47.9, 24.0]), np.array([20.0, 47.8, 0.1])
    photons = np.full(3, 3000.0)
    found = measured(drawn(x_px, y_px, photons), x_px, y_px)
    np.testing.assert_allclose(found.photons, photons, rtol=0.03)
    np.testing.assert_allclose(found.background, BACKGROUND, rtol=0.01)


def test_light_is_never_negative():
    x_px, y_px = np.array([20.0, 21.5, 40.0]), np.array([20.0, 20.0, 40.0])
    images = drawn(x_px[:1], y_px[:1], np.array([8000.0]))
    images[0, 39:41, 39:41] -= 25.0  # a hole where a spot is said to be
    found = measured(images, x_px, y_px)
    assert np.all(found.photons >= 0)
    assert found.photons[2] == 0
    assert found.photons[0] == pytest.approx(8000, rel=0.05)
    assert found.photons[1] < 400


def test_frames_do_not_influence_each_other(monkeypatch):
    movie, table = [], []
    for number, density in enumerate((0.5, 3.0, 0.0, 1.0)):
        x_px, y_px, photons = crowd(20 + number, density_per_um2=density)
        images = drawn(x_px, y_px, photons, edge=64)
        movie.append(generator(2026, 6, number).poisson(images)[0])
        inside = (x_px > 0) & (x_px < 64) & (y_px > 0) & (y_px < 64)
        x_px, y_px = x_px[inside], y_px[inside]
        table.append((np.full(len(x_px), number), x_px, y_px))
    frame, x_px, y_px = (np.concatenate(column) for column in zip(*table, strict=True))
    whole = np.stack(spot_light(np.stack(movie), frame, x_px, y_px, sigma_px=SIGMA_PX))
    for number in (0, 1, 3):
        own = np.stack(measured(movie[number][None], *table[number][1:]))
        np.testing.assert_allclose(own, whole[:, frame == number], rtol=1e-4, atol=1e-3)
    # neither how many are measured at a time nor their order matters
    order = generator(2026, 7).permutation(len(frame))
    rows = frame[order], x_px[order], y_px[order]
    for spots, pixels in ((1, 2**20), (4096, 1)):
        monkeypatch.setattr(module, "_MOST_SPOTS", spots)
        monkeypatch.setattr(module, "_MOST_PIXELS", pixels)
        alone = np.stack(spot_light(np.stack(movie), *rows, sigma_px=SIGMA_PX))
        np.testing.assert_allclose(alone, whole[:, order], rtol=1e-4, atol=1e-3)


def test_background_and_noise_are_local():
    x_px, y_px, photons = crowd(30, density_per_um2=0.3)
    inside = (x_px > 0) & (x_px < 64) & (y_px > 0) & (y_px < 64)
    x_px, y_px = x_px[inside], y_px[inside]
    images = drawn(x_px, y_px, photons[inside], edge=64)
    found = measured(generator(2026, 8).poisson(images), x_px, y_px)
    assert np.median(found.noise) == pytest.approx(BACKGROUND**0.5, rel=0.15)
    images += np.linspace(0, 9 * BACKGROUND, 64)
    found = measured(generator(2026, 9).poisson(images), x_px, y_px)
    expected = BACKGROUND + 9 * BACKGROUND * x_px / 64
    middle = (x_px > 8) & (x_px < 56)  # of the outer cells, which have no slope
    error = found.background[middle] / expected[middle]
    assert np.median(error) == pytest.approx(1, rel=0.05)
    assert np.all(np.abs(error - 1) < 0.25)
    noise = found.noise[middle] / expected[middle] ** 0.5
    assert np.median(noise) == pytest.approx(1, rel=0.2)


def test_no_spots_and_small_frames():
    nothing = np.zeros(0)
    found = measured(np.ones((1, 9, 9)), nothing, nothing)
    assert [len(column) for column in found] == [0, 0, 0, 0]
    flat = measured(np.ones((1, 3, 4)), np.array([1.2, 2.0]), np.array([1.0, 2.9]))
    np.testing.assert_allclose(flat.photons, 0, atol=1e-9)
    np.testing.assert_allclose(flat.background, 1.0)
    assert np.all(np.isfinite(np.stack(flat)))


def test_what_cannot_be_measured_is_refused():
    one = np.ones(1)
    with pytest.raises(ValueError, match="sigma_px must be positive, not 0"):
        measured(np.ones((1, 9, 9)), one, one, sigma_px=0.0)
    with pytest.raises(ValueError, match="axes"):
        measured(np.ones((9, 9)), one, one)


def test_cells_leave_an_even_background_even():
    cells = Cells(50, 21)
    flat = np.full((2, 50, 21), 4.0)
    np.testing.assert_allclose(cells.spread(cells.quantile(flat, 0.5)), flat)
