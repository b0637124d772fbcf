"""Scores of images: a perfect network, one that is no better than an enlargement."""

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.evaluate.baselines import bicubic
from zoo.package import score as scoring
from zoo.package.score_images import score_pictures
from zoo.recipes.dfcan import DFCAN_SIM, DFCAN_WIDEFIELD
from zoo.simulate.image_benchmark import ImageBenchmark
from zoo.simulate.sim_images import SimPairs


def small(modality="widefield", **changes):
    options = {
        "structures": ("microtubules", "er"),
        "photon_levels": (40.0, 200.0, 600.0),
        "images": 1,
        "conditions": SimPairs(modality=modality, crop_px=32),
    }
    return ImageBenchmark(**(options | changes))


def knowing(benchmark, view):
    """Return a prediction that looks up the picture its frames belong to."""
    known = {
        np.moveaxis(p.input, -1, 0).tobytes(): view(p) for p in benchmark.pictures()
    }
    return lambda frames: known[np.ascontiguousarray(frames).tobytes()]


def test_the_truth_at_any_gain_and_offset_is_perfect_and_ahead_of_everything():
    benchmark = small()
    metrics = score_pictures(
        knowing(benchmark, lambda p: 3 * p.target[..., 0] - 5), benchmark
    )
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
    benchmark = small("sim")
    seen = []

    def enlarge(frames):
        assert frames.shape == (9, 32, 32)
        return bicubic(frames.mean(axis=0))

    metrics = score_pictures(
        enlarge, benchmark, progress=lambda done, count: seen.append((done, count))
    )
    assert seen == [(n, 6) for n in range(1, 7)]
    for row in metrics["all"].values():
        # photons know the gain of every pixel, counts do not
        assert row["psnr_over_bicubic"] == pytest.approx(0, abs=0.15)
        assert row["psnr_wiener"] > row["psnr_bicubic"]
        for name in ("wiener", "wiener_estimated"):
            for figure in ("psnr", "ssim"):
                assert row[f"{figure}_over_{name}"] == pytest.approx(
                    row[figure] - row[f"{figure}_{name}"], abs=2e-4
                )
            assert row[f"nrmse_{name}"] > 0
            assert row[f"ms_ssim_{name}"] is None  # 64 px are too small
        assert row["psnr_wiener_estimated"] <= row["psnr_wiener"]
        # it explains what it was made from
        assert row["rsp"] > 0.99
    rse = [metrics["all"][level]["rse"] for level in ("40", "200", "600")]
    assert rse == sorted(rse)


def test_groups_of_levels_are_means_of_means():
    benchmark = small()
    rng = np.random.default_rng(1)
    metrics = score_pictures(
        lambda _frames: rng.random((64, 64)), benchmark, classical=False
    )
    levels = [metrics["er"][level]["psnr"] for level in ("40", "200", "600")]
    assert metrics["er"]["all"]["psnr"] == pytest.approx(np.mean(levels), abs=1e-4)
    assert metrics["er"]["below_100"]["psnr"] == levels[0]
    assert metrics["er"]["above_100"]["psnr"] == pytest.approx(
        np.mean(levels[1:]), abs=1e-4
    )
    of_structures = [metrics[s]["40"]["psnr"] for s in ("microtubules", "er")]
    assert metrics["all"]["40"]["psnr"] == pytest.approx(
        np.mean(of_structures), abs=1e-4
    )
    assert "psnr_bicubic" not in metrics["er"]["40"]


def test_pictures_large_enough_have_every_figure():
    benchmark = small(
        structures=("actin",),
        photon_levels=(600.0,),
        conditions=SimPairs(modality="widefield", crop_px=96),
    )
    metrics = score_pictures(
        knowing(benchmark, lambda p: p.target[..., 0]), benchmark, classical=False
    )
    row = metrics["actin"]["600"]
    assert row["ms_ssim"] == 1
    # near the end of the target's own support, not beyond
    assert 60 < row["resolution_nm"] < 200


@pytest.mark.parametrize("image", [np.zeros((32, 32)), np.full((64, 64), np.nan)])
def test_images_off_the_grid_or_broken_are_named(image):
    with pytest.raises(BadInput, match="microtubules/40 must be finite"):
        score_pictures(lambda _frames: image, small())


@pytest.mark.parametrize("recipe", [DFCAN_SIM, DFCAN_WIDEFIELD])
def test_packages_are_scored_through_their_own_prediction(recipe, monkeypatch):
    benchmark = small(
        recipe.benchmark.conditions.modality, photon_levels=(40.0,), images=1
    )
    calls = []

    class Predictor:
        name = "some"

        def __init__(self, package, **options):
            calls.append((package, options))

        def predict(self, source, *, pixel_size_nm):
            calls.append((source.shape, pixel_size_nm))

            class Result:
                task = "image"
                image = bicubic(source[0].mean(axis=-1))

            return Result()

    monkeypatch.setattr(scoring, "Predictor", Predictor)
    metrics = scoring.score_package("any", recipe.override(benchmark=benchmark))
    channels = 9 if recipe is DFCAN_SIM else 1
    assert calls == [
        ("any", {"engine": "auto", "error_map": False}),
        ((1, 32, 32, channels), 62.6),
        ((1, 32, 32, channels), 62.6),
    ]
    assert metrics["all"]["all"]["psnr_over_bicubic"] == pytest.approx(0, abs=0.5)
