"""Pairs of microscopes as a test set: what is scored, and beside what."""

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.core.test_set import find_metric
from zoo.metrics.images import affine_match, psnr
from zoo.simulate.modalities import ModalityPairs
from zoo.test_sets._modality_baselines import (
    METHODS,
    baselines,
    deconvolved,
    richardson_lucy_iterations,
    spot_sigma_px,
)
from zoo.test_sets.modalities import ModalityTestSet

SMALL = ModalityTestSet(structures=("filaments", "pits"), size_px=192, images=2)


@pytest.fixture(scope="module")
def cases():
    return list(SMALL.cases())


def test_every_second_sample_has_coarse_pixels(cases):
    sizes = {case.pixel_size_nm for case in cases}
    assert sizes == {25.0, 50.0}
    for case in cases:
        assert case.input.ndim == 4
        assert len(case.truth) * 25.0 == pytest.approx(
            case.input.shape[1] * case.pixel_size_nm
        )
        assert case.truth.min() == 0
        assert case.truth.max() == pytest.approx(1)


def test_methods_that_need_no_training_are_ahead_of_the_input(cases):
    bright = [case for case in cases if case.facts.photons == 200]
    means = {}
    for case in bright:
        for name, image in baselines(case.facts):
            assert image.shape == case.truth.shape
            matched = affine_match(image, case.truth)
            value = psnr(matched, case.truth, data_range=1.0)
            means.setdefault(name, []).append(value)
    assert tuple(means) == METHODS
    assert np.mean(means["richardson_lucy"]) > np.mean(means["input"]) + 0.5
    assert np.mean(means["sharpened"]) > np.mean(means["input"])


def test_the_target_wins_and_nothing_loses(cases):
    for products, ahead in ((SMALL.perfect, True), (SMALL.nothing, False)):
        scored = [(c.name, SMALL.score(c, products(c))) for c in cases]
        metrics = SMALL.metrics(scored)
        for method in METHODS:
            for name in ("psnr", "ssim", "ms_ssim", "micro_ssim"):
                value = find_metric(metrics, f"all/all/{name}_over_{method}")
                assert (value is None) or (value > 0) == ahead, (name, method)
    assert {"20", "200", "all"} == set(metrics["pits"])
    assert len(SMALL.tables(metrics)) == 3


def test_widths_of_filaments_are_those_of_input_and_target(cases):
    own = [c for c in cases if c.facts.structure == "filaments"]
    scored = [(c.name, SMALL.score(c, SMALL.perfect(c))) for c in own]
    row = SMALL.metrics(scored)["filaments"]["all"]
    assert row["fwhm_nm"] == pytest.approx(row["fwhm_target_nm"], rel=0.05)
    assert 40 < row["fwhm_target_nm"] < 150
    assert row["fwhm_input_nm"] > 1.4 * row["fwhm_target_nm"]


def test_an_image_on_another_grid_is_refused(cases):
    case = cases[0]
    wrong = Products([Image("image", case.truth[::2, ::2], "yx")])
    with pytest.raises(BadInput, match="of the target's"):
        SMALL.score(case, wrong)
    with pytest.raises(BadInput, match="returns none"):
        SMALL.score(case, Products([]))


def test_deconvolution_goes_on_from_blurred_to_sharp(cases):
    exposure = cases[1].facts
    few, many = (deconvolved(exposure, iterations=n) for n in (2, 20))
    assert many.max() / many.sum() > few.max() / few.sum()
    for scanned in (True, False):
        steps = [richardson_lucy_iterations(n, scanned=scanned) for n in (5, 50, 500)]
        assert steps == sorted(set(steps))


def test_the_spot_is_that_of_the_microscope():
    for modality, (low, high) in {
        "confocal_sted": (60, 150),
        "tirf_sim": (70, 140),
    }.items():
        conditions = ModalityPairs(modality=modality)
        tests = SMALL.override(conditions=conditions, structures=("beads",), images=1)
        exposure = next(tests.cases()).facts
        assert low < spot_sigma_px(exposure) * exposure.pixel_nm < high
