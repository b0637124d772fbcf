"""`zoo.physics.emitter_model`: estimates held against the optics."""

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics.emitter_model import EmitterModel, far_px, known_model
from zoo.physics.engineered import PUPILS
from zoo.physics.fisher import emitter_bound
from zoo.physics.pupil import PupilPsf

OPTICS = PUPILS["astigmatic"]
DEPTHS = (-500.0, 500.0)
EDGE = 16
SHAPE = (EDGE, EDGE)


@pytest.fixture(scope="module")
def model():
    return known_model(OPTICS, EDGE, DEPTHS)


@pytest.fixture(scope="module")
def exact():
    return PupilPsf(OPTICS)


def _emitters(count, rng, *, photons=4000.0, background=5.0):
    middle = (EDGE // 2 + 0.5) * OPTICS.pixel_nm
    return np.stack(
        [
            middle + rng.uniform(-150, 150, count),
            middle + rng.uniform(-150, 150, count),
            rng.uniform(-450, 450, count),
            np.full(count, photons),
            np.full(count, background),
        ],
        axis=1,
    )


def _expected(exact, values):
    q = exact.images(values[:, 0], values[:, 1], values[:, 2], SHAPE)
    return values[:, 3, None, None] * q + values[:, 4, None, None]


def test_the_table_is_drawn_once_and_agrees_with_the_pupil(model, exact):
    assert known_model(OPTICS, EDGE, DEPTHS) is model
    values = _emitters(40, generator(1))
    own = _expected(exact, values) - values[:, 4, None, None]
    difference = np.abs(model.light(values) - own).max(axis=(1, 2))
    assert np.all(difference < 5e-3 * own.max(axis=(1, 2)))


def test_light_is_known_further_out_than_the_region(model, exact):
    wide = (far_px(EDGE),) * 2
    shift = (far_px(EDGE) - EDGE) // 2 * OPTICS.pixel_nm
    values = _emitters(5, generator(2)) + np.array([shift, shift, 0, 0, 0])
    q = exact.images(values[:, 0], values[:, 1], values[:, 2], wide)
    light = model.resized(wide).light(values)
    np.testing.assert_allclose(light.sum(axis=(1, 2)), 4000 * q.sum(axis=(1, 2)), 5e-3)


def test_photons_and_background_follow_from_the_position(model, exact):
    values = _emitters(30, generator(3))
    expected = _expected(exact, values)
    found = model.with_light(expected, values[:, :3])
    np.testing.assert_allclose(found[:, 3], 4000.0, rtol=5e-3)
    np.testing.assert_allclose(found[:, 4], 5.0, rtol=0.05)
    # and the light of others does not count
    other = generator(4).uniform(0, 50, expected.shape)
    again = model.with_light(expected + other, values[:, :3], other=other)
    np.testing.assert_allclose(again[:, 3], 4000.0, rtol=5e-3)


def test_bounds_are_those_of_the_pupil(model, exact):
    values = _emitters(30, generator(5))
    judged = model.judge(_expected(exact, values), values)
    bound = emitter_bound(
        exact, *values[:, :3].T, photons=4000.0, background_photons=5.0, shape=SHAPE
    )
    for index, name in enumerate(("x_nm", "y_nm", "z_nm", "photons")):
        np.testing.assert_allclose(judged.bound[:, index], getattr(bound, name), 0.05)


def test_light_of_others_makes_the_bound_larger(model, exact):
    values = _emitters(5, generator(6))
    expected = _expected(exact, values)
    other = np.full(expected.shape, 40.0)
    alone = model.judge(expected, values)
    beside = model.judge(expected + other, values, other=other)
    assert np.all(beside.bound[:, :3] > 1.1 * alone.bound[:, :3])


def test_refined_estimates_reach_the_bound(model, exact):
    rng = generator(7)
    values = _emitters(300, rng)
    images = rng.poisson(_expected(exact, values))
    start = values[:, :3] + rng.normal(0, [25.0, 25.0, 60.0], (300, 3))
    rough = model.with_light(images, start)
    refined, moved = model.refine(images, rough)
    bound = model.judge(images, refined).bound
    ratio = np.sqrt(np.mean(((refined - values) / bound)[:, :3] ** 2, axis=0))
    assert moved.all()
    assert np.all(ratio < 1.15)
    assert np.all(ratio > 0.85)
    before = np.sqrt(np.mean(((rough - values) / bound)[:, :3] ** 2, axis=0))
    assert np.all(before > 2)


def test_a_refinement_is_never_less_likely_and_leaves_what_is_right(model, exact):
    values = _emitters(20, generator(8))
    images = _expected(exact, values)
    refined, _ = model.refine(images, values)
    bound = model.judge(images, values).bound
    assert np.all(np.abs(refined - values)[:, :3] < 0.2 * bound[:, :3])


def test_a_single_emitter_fits_and_two_do_not(model, exact):
    rng = generator(9)
    values = _emitters(100, rng)
    single = _expected(exact, values)
    neighbour = values + np.array([350.0, 0, 0, -1000.0, 0])
    neighbour[:, 2] = -values[:, 2]
    pair = single + _expected(exact, neighbour) - 5.0
    alone = model.judge(rng.poisson(single), values)
    assert abs(alone.chi_square.mean() - 1) < 0.05
    assert np.mean(alone.misfit > 0.1) < 0.02
    images = rng.poisson(pair)
    overlapping = model.judge(images, model.with_light(images, values[:, :3]))
    assert np.mean(overlapping.misfit > 0.3) > 0.95
    assert np.all(overlapping.chi_square > 1.5)


def test_noise_alone_is_no_misfit(model, exact):
    rng = generator(10)
    values = _emitters(200, rng, photons=700.0, background=60.0)
    judged = model.judge(rng.poisson(_expected(exact, values)), values)
    assert np.mean(judged.misfit > 0) < 0.02


def test_depths_beyond_the_table_are_judged_at_its_end(model):
    values = _emitters(2, generator(11))
    values[:, 2] = [-5000.0, 5000.0]
    judged = model.judge(np.full((2, *SHAPE), 5.0), values)
    assert np.isfinite(judged.chi_square).all()
    refined, _ = model.refine(np.full((2, *SHAPE), 5.0), values)
    low, high = model.z_range_nm
    assert np.all((refined[:, 2] >= low) & (refined[:, 2] <= high))


def test_regions_may_be_oblong(model):
    oblong = EmitterModel(model.psf, (14, 20), z_range_nm=model.z_range_nm)
    values = np.array([[1050.0, 750.0, 100.0, 3000.0, 4.0]])
    images = oblong.light(values) + 4.0
    found = oblong.with_light(images, values[:, :3])
    np.testing.assert_allclose(found, values, rtol=1e-6)
