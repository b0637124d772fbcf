"""Classical baselines: on the right grid, keeping photons, of use."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.metrics.baselines import (
    bicubic,
    richardson_lucy,
    richardson_lucy_iterations,
    wiener,
    wiener_estimated,
)
from zoo.metrics.images import affine_match
from zoo.physics.optics import Optics, apply_transfer, bin_pixels, otf_grid
from zoo.physics.sim_reconstruction import reconstruct, wiener_parameter
from zoo.simulate.sim_images import SimPairs
from zoo.test_sets.sim_images import SimImageTestSet

SIM = Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6)


def blurred(sample):
    """Return a sample on the fine grid as the objective shows it."""
    transfer = otf_grid(SIM, sample.shape, pixel_nm=SIM.pixel_nm / 2)
    return apply_transfer(sample, transfer)


def mse(image, target):
    return np.mean((image - target) ** 2)


def points(shape=(128, 128), count=60, seed=4):
    rng = np.random.default_rng(seed)
    sample = np.zeros(shape)
    rows, columns = (rng.integers(24, side - 24, count) for side in shape)
    sample[rows, columns] = 800.0
    return sample


@pytest.mark.parametrize("scale", [1, 2, 3, 4])
def test_bicubic_reproduces_what_is_quadratic_at_the_pixel_centres(scale):
    def surface(y, x):
        return 2 + 0.3 * y - 0.2 * x + 0.01 * y * y + 0.02 * x * y

    coarse = surface(*np.meshgrid(np.arange(12.0), np.arange(14.0), indexing="ij"))
    rows, columns = ((np.arange(scale * n) + 0.5) / scale - 0.5 for n in (12, 14))
    fine = surface(*np.meshgrid(rows, columns, indexing="ij"))
    inner = slice(2 * scale, -2 * scale)
    found = bicubic(coarse, scale)
    assert found.shape == (12 * scale, 14 * scale)
    np.testing.assert_allclose(found[inner, inner], fine[inner, inner], atol=1e-10)


def test_bicubic_mirrors_at_the_outer_corner_and_keeps_constants():
    rng = np.random.default_rng(2)
    image = rng.random((2, 9, 7))
    mirrored = np.concatenate([image[:, ::-1], image], axis=1)
    np.testing.assert_allclose(bicubic(mirrored)[:, 18:], bicubic(image), atol=1e-12)
    np.testing.assert_allclose(bicubic(np.full((5, 6), 3.0)), 3.0)


@pytest.mark.parametrize("bad", [np.zeros(4), np.zeros((4, 4))])
def test_bicubic_refuses_impossible_calls(bad):
    with pytest.raises(ValueError, match="bicubic needs"):
        bicubic(bad, 0 if bad.ndim == 2 else 2)


def test_richardson_lucy_finds_points_where_they_are():
    sample = points()
    image = bin_pixels(blurred(sample), 2)
    found = richardson_lucy(image + 5, SIM, iterations=60, background=5)
    assert found.shape == sample.shape
    assert found.min() >= 0
    assert found.sum() == pytest.approx(sample.sum(), rel=0.03)
    near = gaussian_filter(sample, 1.0)
    # a shift by one fine pixel would cost most of the correlation
    right = np.corrcoef(near.ravel(), found.ravel())[0, 1]
    shifted = np.corrcoef(near.ravel(), np.roll(found, 1, axis=1).ravel())[0, 1]
    assert right > 0.9
    assert right > shifted + 0.05


def test_one_step_of_richardson_lucy_is_the_formula():
    rng = np.random.default_rng(8)
    image = rng.uniform(5, 50, (16, 16))
    found = richardson_lucy(image, SIM, iterations=1, background=2, padding_px=0)
    start = (image.mean() - 2) / 4
    ratio = image / (4 * start + 2)
    fine = np.kron(ratio, np.ones((2, 2)))
    spread = blurred(fine)
    np.testing.assert_allclose(found, start * spread, rtol=1e-4)


def test_richardson_lucy_stands_what_noise_and_borders_do():
    bright = np.zeros((32, 32))
    bright[:, 0] = 1000.0
    found = richardson_lucy(bright - 3, SIM, iterations=20, background=1)
    assert np.isfinite(found).all()
    assert found[:, -8:].max() < 1
    assert richardson_lucy(np.zeros((16, 16)), SIM, iterations=3).max() < 1e-6
    for wrong in ({"iterations": 0}, {"iterations": 2, "background": -1.0}):
        with pytest.raises(ValueError, match="at least 1"):
            richardson_lucy(bright, SIM, **wrong)


def scene(modality, photons, *, crop_px=64):
    test_set = SimImageTestSet(
        seed=77,
        structures=("microtubules",),
        images=1,
        photon_levels=(photons,),
        conditions=SimPairs(modality=modality, crop_px=crop_px),
    )
    return next(test_set.cases())


@pytest.mark.parametrize("photons", [25.0, 380.0])
def test_the_number_of_steps_is_neither_far_too_small_nor_too_large(photons):
    taken = scene("widefield", photons)
    target, taken = taken.truth, taken.facts

    def error(steps):
        found = richardson_lucy(
            taken.frames[0],
            taken.optics,
            iterations=steps,
            background=taken.background_photons,
        )
        return mse(affine_match(found, target), target)

    rule = richardson_lucy_iterations(photons)
    enlarged = affine_match(bicubic(taken.frames[0]), target)
    assert error(rule) < mse(enlarged, target)
    assert error(rule) < min(error(rule // 4), error(rule * 6))


@pytest.mark.parametrize("photons", [25.0, 380.0])
def test_cutting_off_negative_light_helps_the_wiener_filter(photons):
    taken = scene("sim", photons)
    target, taken = taken.truth, taken.facts
    options = {"photons": photons, "background": taken.background_photons}
    found = wiener(taken.frames, taken.pattern, taken.optics, **options)
    plain = reconstruct(
        taken.frames,
        taken.pattern,
        taken.optics,
        regularisation=wiener_parameter(photons),
    )
    assert found.min() == pytest.approx(taken.background_photons / 4)
    errors = [mse(affine_match(image, target), target) for image in (found, plain)]
    assert errors[0] < errors[1]


@pytest.mark.parametrize("photons", [25.0, 380.0])
def test_estimating_the_pattern_costs_the_wiener_filter_little(photons):
    taken = scene("sim", photons, crop_px=128)
    target, taken = taken.truth, taken.facts
    options = {"photons": photons, "background": taken.background_photons}
    found = wiener_estimated(taken.frames, taken.optics, **options)
    told = wiener(taken.frames, taken.pattern, taken.optics, **options)
    errors = [mse(affine_match(image, target), target) for image in (found, told)]
    assert errors[0] < 1.15 * errors[1]
    enlarged = affine_match(bicubic(taken.frames.mean(axis=0)), target)
    assert errors[0] < 0.7 * mse(enlarged, target)


@pytest.mark.parametrize("shape", [(9, 32, 40), (15, 16, 16)])
def test_there_is_an_image_without_a_pattern_too(shape):
    rng = np.random.default_rng(6)
    frames = rng.poisson(3.0, shape).astype(float)
    for dark in (frames, np.zeros(shape)):
        image = wiener_estimated(dark, SIM, photons=15.0, background=1.0)
        assert image.shape == (2 * shape[1], 2 * shape[2])
        assert np.isfinite(image).all()
        assert image.min() >= 0.25
    # the filter keeps the mean of what is cut off nowhere
    image = wiener_estimated(frames, SIM, photons=15.0)
    assert image.sum() == pytest.approx(frames.mean(axis=0).sum(), rel=0.02)
