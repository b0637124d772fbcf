"""The frozen test images: what they hold, that they stay, how they are scored."""

import hashlib

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.metrics.baselines import bicubic
from zoo.physics.sim_reconstruction import reconstruct, wiener_parameter
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import scaled_counts
from zoo.test_sets.sim_images import SIGNAL_LEVELS, SimImageTestSet

SMALL = SimPairs(crop_px=32)
WIDEFIELD = SimPairs(modality="widefield", crop_px=32)


def small(conditions=WIDEFIELD, **changes):
    options = {
        "structures": ("microtubules", "er"),
        "photon_levels": (40.0, 200.0, 600.0),
        "images": 1,
        "conditions": conditions,
    }
    return SimImageTestSet(**(options | changes))


def scored(test_set, image):
    """Return the metrics of a package that makes `image` of a case."""
    evidence = []
    for case in test_set.cases():
        products = Products([Image("image", image(case), "yx")])
        evidence.append((case.name, test_set.score(case, products)))
    return test_set.metrics(evidence)


def test_every_structure_is_shown_at_every_level():
    cases = list(SimImageTestSet(images=1, conditions=SMALL).cases())
    names = [case.name for case in cases]
    assert len(names) == len(set(names)) == 5 * 9
    assert names[:2] == ["microtubules/15", "microtubules/25"]
    assert {case.facts.photons for case in cases} == set(SIGNAL_LEVELS)
    for case in cases:
        assert case.input.shape == (1, 32, 32, 9)
        assert case.truth.shape == (64, 64)
        assert case.pixel_size_nm == 62.6
        assert case.facts.frames.shape == (9, 32, 32)


def test_samples_are_repeated_and_their_noise_is_not():
    test_set = small(
        SMALL, images=2, structures=("actin", "er"), photon_levels=(15, 600)
    )
    first = list(test_set.cases())
    dim, bright, next_dim = first[:3]
    np.testing.assert_array_equal(dim.truth, bright.truth)
    assert dim.facts.pattern == bright.facts.pattern
    assert not np.array_equal(dim.truth, next_dim.truth)
    # a part of the set is that part of the whole set
    alone = small(SMALL, structures=("er",), photon_levels=(600,))
    np.testing.assert_array_equal(next(alone.cases()).input, first[5].input)
    # illumination changes neither samples nor microscopes
    uniform = next(test_set.override(conditions=WIDEFIELD).cases())
    np.testing.assert_array_equal(uniform.truth, dim.truth)
    assert uniform.facts.optics == dim.facts.optics
    assert uniform.input.shape == (1, 32, 32, 1)


@pytest.mark.parametrize(
    ("conditions", "digits"),
    [
        (SMALL, "6e585fc35bc4b45c"),
        (WIDEFIELD, "34540905bcc018e7"),
    ],
    ids=["sim", "widefield"],
)
def test_the_example_is_one_of_the_images_and_stays(conditions, digits):
    test_set = SimImageTestSet(images=2, conditions=conditions)
    example = test_set.example()
    assert example.shape == (32, 32, conditions.exposures)
    assert example.dtype == np.float32
    # camera counts, made with numpy 2.4 and scipy 1.17 on x86-64
    assert np.array_equal(example, example.round())
    assert hashlib.sha256(example.astype("<u2").tobytes()).hexdigest()[:16] == digits
    shown = scaled_counts(np.moveaxis(example, -1, 0))
    few = test_set.override(structures=("microtubules",), images=1)
    names = [c.name for c in few.cases() if np.array_equal(c.input[0], shown)]
    assert names == ["microtubules/95"]


def test_a_case_tells_the_wiener_filter_all_it_needs():
    clean = SimPairs(crop_px=96, haze=(0, 0), tirf_share=1.0)
    test_set = small(clean, structures=("microtubules",), photon_levels=(15, 600))
    scores = []
    for case in test_set.cases():
        exposure = case.facts
        signal = exposure.frames - exposure.background_photons
        regularisation = wiener_parameter(exposure.photons)
        image = reconstruct(
            signal, exposure.pattern, exposure.optics, regularisation=regularisation
        )
        enlarged = np.kron(signal.mean(axis=0), np.ones((2, 2)))
        correlations = [
            np.corrcoef(shown.ravel(), case.truth.ravel())[0, 1]
            for shown in (image, enlarged)
        ]
        assert correlations[0] > correlations[1]
        scores.append(correlations[0])
    assert scores[0] < scores[1]
    assert scores[1] > 0.98


def test_the_truth_at_any_gain_and_offset_is_perfect_and_ahead_of_everything():
    metrics = scored(small(), lambda case: 3 * case.truth - 5)
    assert list(metrics) == ["microtubules", "er", "all"]
    for conditions in metrics.values():
        assert list(conditions) == ["40", "200", "600", "all", "below_100", "above_100"]
        for row in conditions.values():
            assert row["ssim"] == 1
            assert row["nrmse"] == 0
            assert row["psnr_over_bicubic"] > 20
            assert row["ssim_over_richardson_lucy"] > 0
            # 64 px are too small for five scales
            assert row["ms_ssim"] is None


def test_an_enlargement_is_no_better_than_bicubic():
    metrics = scored(small(SMALL), lambda c: bicubic(c.input[0].mean(axis=-1)))
    for row in metrics["all"].values():
        # photons know the gain of every pixel, counts do not
        assert row["psnr_over_bicubic"] == pytest.approx(0, abs=0.15)
        assert row["psnr_wiener"] > row["psnr_bicubic"]
        for name in ("wiener", "wiener_estimated"):
            for metric in ("psnr", "ssim"):
                assert row[f"{metric}_over_{name}"] == pytest.approx(
                    row[metric] - row[f"{metric}_{name}"], abs=2e-4
                )
            assert row[f"nrmse_{name}"] > 0
            assert row[f"ms_ssim_{name}"] is None  # 64 px are too small
        assert row["psnr_wiener_estimated"] <= row["psnr_wiener"]
        # it explains what it was made from
        assert row["rsp"] > 0.99
    rse = [metrics["all"][level]["rse"] for level in ("40", "200", "600")]
    assert rse == sorted(rse)


@pytest.fixture(scope="module")
def noise_metrics():
    rng = np.random.default_rng(1)
    return scored(small(), lambda _case: rng.random((64, 64)))


def test_groups_of_levels_are_means_of_means(noise_metrics):
    of_er = noise_metrics["er"]
    levels = [of_er[level]["psnr"] for level in ("40", "200", "600")]
    assert of_er["all"]["psnr"] == pytest.approx(np.mean(levels), abs=1e-4)
    assert of_er["below_100"]["psnr"] == levels[0]
    assert of_er["above_100"]["psnr"] == pytest.approx(np.mean(levels[1:]), abs=1e-4)
    of_structures = [noise_metrics[s]["40"]["psnr"] for s in ("microtubules", "er")]
    assert noise_metrics["all"]["40"]["psnr"] == pytest.approx(
        np.mean(of_structures), abs=1e-4
    )


def test_tables_show_structures_by_range_of_levels_and_psnr_by_level(noise_metrics):
    test_set = small()
    tables = test_set.tables(noise_metrics)
    assert [table.corner for table in tables] == [
        "all signal levels",
        "below 100 photons",
        "above 100 photons",
        "PSNR [dB] by photons",
    ]
    assert list(tables[0].columns.values()) == [
        "PSNR [dB]",
        "bicubic",
        "Richardson-Lucy",
        "SSIM",
        "bicubic",
        "Richardson-Lucy",
        "NRMSE",
        "bicubic",
        "Richardson-Lucy",
        "RSP",
        "RSE",
    ]
    assert list(tables[3].columns) == ["40", "200", "600"]
    assert tables[1].rows["er"]["ssim"] == noise_metrics["er"]["below_100"]["ssim"]
    assert tables[3].rows["all"]["200"] == noise_metrics["all"]["200"]["psnr"]
    first = test_set.headlines(noise_metrics)
    assert list(first["er"]) == ["all", "below_100", "above_100"]


def test_images_large_enough_have_every_metric():
    conditions = SimPairs(modality="widefield", crop_px=96)
    test_set = small(conditions, structures=("actin",), photon_levels=(600.0,))
    row = scored(test_set, lambda case: case.truth)["actin"]["600"]
    assert row["ms_ssim"] == 1
    # near the end of the target's own support, not beyond
    assert 60 < row["resolution_nm"] < 200


@pytest.mark.parametrize(
    ("products", "complaint"),
    [
        ([Image("image", np.zeros((32, 32)), "yx")], "must be finite and of the"),
        ([Image("image", np.full((64, 64), np.nan), "yx")], "must be finite and of"),
        ([], "the package returns none"),
    ],
)
def test_images_off_the_grid_or_broken_are_named(products, complaint):
    test_set = small()
    with pytest.raises(BadInput, match=f"microtubules/40.*{complaint}"):
        test_set.score(next(test_set.cases()), Products(products))
