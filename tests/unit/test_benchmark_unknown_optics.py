"""What unknown optics cost an estimator: laws of the linear model."""

import numpy as np
import pytest


@pytest.fixture
def inflation(benchmark_script):
    return benchmark_script("unknown_optics").inflation


@pytest.fixture
def region():
    rng = np.random.default_rng(3)
    return rng.uniform(5, 50, 40), rng.normal(size=(5, 40)), rng.normal(size=(2, 40))


def test_known_optics_cost_nothing(inflation, region):
    light, slopes, _ = region
    overall, middle = inflation(light, slopes, np.zeros((1, 40)))
    np.testing.assert_allclose(overall, 1)
    np.testing.assert_allclose(middle, 1)


def test_what_is_unknown_costs_the_more_the_wider_and_least_in_the_middle(
    inflation, region
):
    light, slopes, unknown = region
    before = np.ones(3)
    for width in (0.3, 1.0, 3.0):
        overall, middle = inflation(light, slopes, width * unknown)
        assert (overall > before).all()
        assert (overall >= middle).all()
        assert (middle > 1).all()
        before = overall


def test_optics_that_look_like_depth_make_errors_of_depth_alone(inflation, region):
    light, slopes, _ = region
    sigma_z = 4.0  # by which depths are shifted
    overall, middle = inflation(light, slopes, sigma_z * slopes[2:3])
    bound = np.linalg.inv((slopes / light) @ slopes.T)[2, 2]
    np.testing.assert_allclose(overall[:2], 1)
    np.testing.assert_allclose(overall[2], 1 + sigma_z**2 / bound)
    np.testing.assert_allclose(middle, 1)
