"""Errors in units of their bounds, and how honest stated deviations are."""

import numpy as np
import pytest

from zoo.metrics.estimates import (
    bias_over_bound,
    calibration_error,
    coverage,
    rmse_over_bound,
)


@pytest.fixture
def normal():
    """Return errors of 20,000 estimates, each with a deviation of its own."""
    rng = np.random.default_rng(1)
    deviations = rng.uniform(1, 20, 20_000)
    return rng.normal(0, deviations), deviations


def test_an_efficient_estimator_is_at_one(normal):
    errors, deviations = normal
    assert rmse_over_bound(errors, deviations) == pytest.approx(1, abs=0.02)
    assert rmse_over_bound(2 * errors, deviations) == pytest.approx(2, abs=0.04)


def test_rows_without_an_estimate_or_a_bound_are_left_out():
    errors = np.array([1.0, np.nan, 3.0])
    assert rmse_over_bound(errors, np.array([1.0, 1.0, np.inf])) == 1.0
    assert rmse_over_bound(errors[1:2], np.ones(1)) is None
    assert coverage(errors[1:2], np.ones(1), 1.0) is None
    assert calibration_error(errors[1:2], np.ones(1)) is None
    assert bias_over_bound(errors[1:2], np.ones(1), np.zeros(1)) is None


def test_the_bias_is_that_of_the_worst_depth():
    errors = np.array([1.0, -1.0, 3.0, 5.0])
    assert bias_over_bound(errors, np.full(4, 2.0), np.array([0, 0, 1, 1])) == 2.0
    # of either sign
    assert bias_over_bound(-errors, np.full(4, 2.0), np.array([0, 0, 1, 1])) == 2.0
    # errors of different depths must not cancel
    assert bias_over_bound(np.array([3.0, -3.0]), np.ones(2), np.array([0, 1])) == 3.0


def test_honest_deviations_cover_what_they_say(normal):
    errors, deviations = normal
    assert coverage(errors, deviations, 1.0) == pytest.approx(0.6827, abs=0.01)
    assert coverage(errors, deviations, 2.0) == pytest.approx(0.9545, abs=0.01)
    assert calibration_error(errors, deviations) == pytest.approx(0, abs=0.01)


def test_deviations_that_are_too_small_or_too_large_are_found(normal):
    errors, deviations = normal
    # half of the errors: coverage at level p is erf(erfinv(p) / 2)
    small = calibration_error(errors, deviations / 2)
    large = calibration_error(errors, deviations * 2)
    assert small == pytest.approx(0.206, abs=0.01)
    assert large == pytest.approx(0.219, abs=0.01)
