"""Shifts between two images of one field."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from zoo.metrics.registration import local_shifts, shift_between


def scene(seed=0, edge=128):
    """Return blobs on a dark field, (y, x)."""
    rng = np.random.default_rng(seed)
    points = np.zeros((edge, edge))
    points[tuple(rng.integers(0, edge, (2, edge)))] = rng.uniform(0.3, 1, edge)
    return gaussian_filter(points, 2, mode="wrap") * 100


@pytest.mark.parametrize("moved", [(0, 0), (4.3, -2.6), (-0.4, 0.25), (25, 31)])
def test_a_shift_is_found_to_a_tenth_of_a_pixel(moved):
    image = scene(edge=160)
    other = shift(image, moved, order=3, mode="nearest")
    found = shift_between(5 + 3 * other, image)
    assert (found.y_px, found.x_px) == pytest.approx(moved, abs=0.1)
    assert found.correlation > 0.9
    assert found.length_px == pytest.approx(np.hypot(*moved), abs=0.15)


def test_noise_and_blur_do_not_draw_the_shift_to_zero():
    image, rng = scene(), np.random.default_rng(1)
    errors = []
    for _ in range(8):
        other = gaussian_filter(shift(image, (3, -4), order=3), 2)
        noisy = rng.poisson(20 * other / other.max() + 5)
        found = shift_between(image, noisy, smooth_px=2)
        errors.append([found.y_px + 3, found.x_px - 4])
    assert np.abs(np.mean(errors, axis=0)).max() < 0.15
    assert np.abs(errors).max() < 0.6


def test_images_of_different_fields_do_not_correlate():
    assert shift_between(scene(1), scene(2)).correlation < 0.5
    # nor does one without anything in it
    nothing = shift_between(np.ones((32, 32)), scene(edge=32))
    assert nothing == (0.0, 0.0, 0.0)


def test_every_block_has_its_own_shift():
    image = scene(edge=192)
    other = image.copy()
    other[:, 96:] = shift(image, (2, 0), order=3)[:, 96:]
    found = local_shifts(other, image, block_px=96)
    assert found.shape == (2, 2, 3)
    np.testing.assert_allclose(found[:, 0, :2], 0, atol=0.15)
    np.testing.assert_allclose(found[:, 1, 0], 2, atol=0.15)


@pytest.mark.parametrize("shapes", [((16, 16), (16, 17)), ((4, 16), (4, 16))])
def test_sizes_are_checked(shapes):
    with pytest.raises(ValueError, match="at least 8 px"):
        shift_between(*map(np.ones, shapes))
