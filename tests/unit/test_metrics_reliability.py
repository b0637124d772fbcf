"""Uncertainties against errors: ranks, reliability, recalibration."""

import numpy as np
import pytest

from zoo.metrics.reliability import (
    FEWEST,
    elements,
    image_error,
    rank_correlation,
    recalibrate,
    reliability,
)


def _pair(count=60_000, factor=1.0):
    rng = np.random.default_rng(5)
    sigma = np.exp(rng.uniform(-5, 0, count))
    return sigma, np.abs(factor * sigma * rng.normal(size=count))


def test_true_uncertainties_are_reliable_and_wrong_ones_are_not():
    sigma, error = _pair()
    assert reliability(sigma, error).ence < 0.05
    assert reliability(2 * sigma, error).ence == pytest.approx(0.5, abs=0.05)
    assert rank_correlation(sigma, error) > 0.7
    assert abs(rank_correlation(np.random.default_rng(6).permutation(sigma), error)) < (
        0.02
    )
    assert np.isnan(rank_correlation(np.ones(9), np.arange(9.0)))


def test_a_calibration_is_monotonous_and_holds_for_other_pixels():
    sigma, error = _pair(factor=3.0)
    scores, errors = recalibrate(sigma[::2], error[::2])
    assert (np.diff(scores) > 0).all()
    assert (np.diff(errors) >= 0).all()
    stated = np.interp(sigma[1::2], scores, errors)
    assert reliability(stated, error[1::2]).ence < 0.06
    few = recalibrate(sigma[: FEWEST - 1], error[: FEWEST - 1])
    assert len(few[0]) == 0


def test_errors_are_those_after_the_best_linear_match():
    rng = np.random.default_rng(7)
    truth = rng.random((40, 40))
    wrong = truth.copy()
    wrong[10, 10] += 0.5
    error = image_error(20 * wrong + 7, truth)
    assert np.unravel_index(error.argmax(), error.shape) == (10, 10)
    assert error[10, 10] == pytest.approx(10, rel=0.05)
    assert image_error(-truth, truth) is None
    assert image_error(np.ones((4, 4)), np.eye(4)) is None
    assert elements(error).shape == (10, 10)
    assert elements(error)[2, 2] == pytest.approx(error[10, 10] / 4, rel=0.05)
