"""The test set of scans: what its scores say."""

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.metrics.denoising import best_denoised, bilinear, denoised, noise_deviation
from zoo.physics.smooth_noise import smooth_noise
from zoo.test_sets.scans import FluorescenceTestSet, ScanTestSet


@pytest.fixture(scope="module")
def small() -> ScanTestSet:
    return ScanTestSet().reduced()


def test_the_truth_scores_best_and_the_wrong_grid_is_refused(small):
    case = next(small.cases())
    values = small.score(case, small.perfect(case)).values
    assert values["psnr"] > 60
    assert values["psnr_over_bilinear"] > 20
    assert values["psnr_over_denoised"] > 20
    assert values["ssim_over_denoised"] > 0
    coarse = Products([Image("image", case.truth[::4, ::4], "yx")])
    with pytest.raises(BadInput, match="must be finite and of the target's"):
        small.score(case, coarse)
    with pytest.raises(BadInput, match="returns none"):
        small.score(case, Products([]))


@pytest.mark.parametrize("kind", [ScanTestSet, FluorescenceTestSet])
def test_errors_are_measured_on_other_views(kind):
    test_set = kind().reduced()
    other = test_set.calibrating().reduced()
    assert other.covers() == test_set.covers()
    for one, two in zip(test_set.cases(), other.cases(), strict=True):
        assert not np.array_equal(one.truth, two.truth)


def test_noise_grows_with_the_condition_and_the_view_stays(small):
    cases = {case.facts.condition: case for case in small.cases()}
    assert list(cases) == ["half", "trained", "double", "published"]
    for case in cases.values():
        np.testing.assert_array_equal(case.truth, cases["half"].truth)
    noise = {n: noise_deviation(c.input[0, ..., 0]) for n, c in cases.items()}
    assert noise["half"] < noise["trained"] < noise["double"]


def test_the_deviation_of_noise_is_measured_beside_structure():
    field = 5 * smooth_noise(generator(1), (128, 128), 8.0)
    noisy = field + generator(2).normal(0, 1.5, field.shape)
    assert noise_deviation(noisy) == pytest.approx(1.5, rel=0.1)


def test_the_tuned_denoiser_beats_enlargement():
    truth = smooth_noise(generator(3), (128, 128), 14.0)
    coarse = truth.reshape(32, 4, 32, 4).mean(axis=(1, 3))
    noisy = coarse + generator(4).normal(0, 0.5, coarse.shape)
    assert len(list(denoised(noisy))) == 6
    errors = [
        float(np.mean((image - truth) ** 2))
        for image in (bilinear(noisy, 4), best_denoised(noisy, truth))
    ]
    assert errors[1] < 0.7 * errors[0]
