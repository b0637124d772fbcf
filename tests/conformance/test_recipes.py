"""Every recipe is consistent with its network, its budgets and its scores."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from zoo import catalog
from zoo.core.localizations import Localizations
from zoo.core.recipe import Recipe
from zoo.package import score as scoring
from zoo.package.card import find_metric
from zoo.predict.raw_frames import ORDERS
from zoo.simulate.benchmark import DensityBenchmark
from zoo.simulate.image_benchmark import ImageBenchmark
from zoo.train.fit import plan

ROOT = Path(__file__).parents[2]
RECIPES = catalog.recipes()
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


@every_recipe
def test_a_name_is_the_network_and_what_it_was_trained_on(recipe):
    assert recipe.name.startswith(f"{recipe.network.name}_")
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", recipe.name)
    assert catalog.recipe(recipe.name) is recipe
    assert catalog.network(recipe.network.name) is recipe.network
    # the longest network name that fits is the network's
    fitting = [n for n in catalog.networks() if recipe.name.startswith(f"{n}_")]
    assert max(fitting, key=len) == recipe.network.name


@every_recipe
def test_texts_fit_the_description_file(recipe):
    # bioimage.io: 5 to 64 letters, numbers, spaces and some signs
    assert 5 <= len(recipe.title) <= 64
    assert re.fullmatch(r"[\w\s()+.,;:/-]+", recipe.title)
    assert recipe.title.strip() == recipe.title
    assert 20 < len(recipe.summary) < 1024
    assert recipe.summary.endswith(".")
    assert len(recipe.tags) == len(set(recipe.tags)) > 0
    assert all(re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", tag) for tag in recipe.tags)


@every_recipe
def test_a_variant_of_ours_says_so(recipe):
    if not recipe.network.published:
        assert "our own" in recipe.summary
        assert "not the published" in recipe.network.note.lower()


@every_recipe
def test_there_is_a_budget_for_every_machine(recipe):
    assert set(recipe.budgets) == {"smoke", "cpu", "gpu"}
    samples = {name: budget.samples for name, budget in recipe.budgets.items()}
    assert 0 < samples["smoke"] < samples["cpu"] <= samples["gpu"]
    for budget in recipe.budgets.values():
        assert budget.learning_rate > 0
        assert budget.workers >= 1
        assert len(plan(budget)) == sum(stage.epochs for stage in budget.stages)
        for stage in budget.stages:
            assert min(stage.epochs, stage.steps, stage.batch_size) >= 1
    # bfloat16 on a CPU, where it was measured to pay
    assert not recipe.budgets["smoke"].mixed_precision


@every_recipe
def test_the_changes_of_every_stage_are_possible(recipe):
    allowed = {"source", "loss"}
    for budget in recipe.budgets.values():
        for stage in budget.stages:
            staged = recipe.override(**stage.changes)
            assert isinstance(staged, Recipe)
            assert {key.partition("__")[0] for key in stage.changes} <= allowed
            same = recipe.model_dump(exclude=allowed)
            assert staged.model_dump(exclude=allowed) == same
            grid = recipe.grid
            size = getattr(staged.source, "crop_px", grid.tile or grid.step)
            assert size % grid.step == 0


@every_recipe
def test_training_ends_under_the_declared_conditions(recipe):
    # the last stage may change the size of the crops, not what is learnt
    for name, budget in recipe.budgets.items():
        staged = recipe.override(**budget.stages[-1].changes)
        assert staged.loss == recipe.loss, name


@every_recipe
def test_the_builder_takes_the_options(recipe):
    model = recipe.network.build(**recipe.options)
    grid = recipe.grid
    assert model.name == recipe.network.name
    assert model.input_shape == (None, grid.tile, grid.tile, grid.channels)
    assert model.output_shape[-1] == grid.outputs
    # what is trained becomes the package: the same weights under the same names
    trained = recipe.network.build(**recipe.options | recipe.training_options)
    shapes = [[(w.path, tuple(w.shape)) for w in m.weights] for m in (model, trained)]
    assert shapes[0] == shapes[1]
    if not set(recipe.options) - {"mean", "std"}:
        counted = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
        assert counted == recipe.network.parameters


@every_recipe
def test_training_and_test_seeds_differ(recipe):
    assert recipe.seed != getattr(recipe.benchmark, "seed", None)


@every_recipe
def test_the_test_set_lies_within_the_training_conditions(recipe):
    benchmark, source = recipe.benchmark, recipe.source
    if isinstance(benchmark, ImageBenchmark):
        low, high = source.photons
        assert low <= min(benchmark.photon_levels)
        assert max(benchmark.photon_levels) <= high
        assert set(benchmark.structures) <= set(source.structures)
        # the same light, microscopes and cameras; the sizes of pictures may differ
        sizes = {"crop_px", "field_px"}
        wanted = source.model_dump(exclude=sizes)
        assert benchmark.conditions.model_dump(exclude=sizes) == wanted
        return
    if not isinstance(benchmark, DensityBenchmark):
        return
    for value, (low, high) in (
        (benchmark.psf_sigma_nm, source.psf_sigma_nm),
        (benchmark.background_photons, source.background_photons),
        (benchmark.photons, source.photons),
        *((level, source.photons) for level in benchmark.photon_levels),
        *((d, source.density_per_um2) for d in benchmark.densities_per_um2),
    ):
        assert low <= value <= high
    assert benchmark.pixel_size_nm == source.pixel_size_nm


@every_recipe
def test_the_recipe_is_written_whole_and_equal(recipe):
    stored = recipe.model_dump_json()
    assert stored == recipe.override().model_dump_json()
    assert f'"name":"{recipe.name}"' in stored
    module = recipe.network.build.__module__
    assert f'"build":"{module}:{recipe.network.build.__qualname__}"' in stored


class Perfect:
    """Find every emitter of a test set exactly."""

    def __init__(self, benchmark: DensityBenchmark) -> None:
        self.name = "perfect"
        self.truths = {r.counts.tobytes(): r.truth for r in benchmark.recordings()}

    def predict(self, counts: np.ndarray, **_options: Any) -> Any:
        class Result:
            localizations = self.truths[counts.tobytes()]

        return Result()


class PerfectImages:
    """Give the target of every test picture, but for a trace of noise."""

    def __init__(self, benchmark: ImageBenchmark) -> None:
        self.name = "perfect"
        self.targets = {p.input.tobytes(): p.target for p in benchmark.pictures()}
        self.weight = 1.0

    def predict(self, recording: np.ndarray, **_options: Any) -> Any:
        target = self.targets[np.ascontiguousarray(recording[0]).tobytes()][..., 0]
        noise = np.random.default_rng(0).normal(0, 1e-3, target.shape)

        class Result:
            task = "image"
            image = self.weight * target + noise

        return Result()


def check_image_thresholds(recipe: Recipe, monkeypatch: Any) -> None:
    """Assert that the truth reaches the scores and that noise does not."""
    names = {threshold.metric for threshold in recipe.acceptance}
    structures = {name.partition("/")[0] for name in names}
    known = [s for s in recipe.benchmark.structures if s in structures]
    assert structures - {"all"} == set(known)
    small = recipe.benchmark.override(
        images=1,
        photon_levels=(60.0, 240.0),
        structures=tuple(known or recipe.benchmark.structures),
        conditions__crop_px=64,
    )
    perfect = PerfectImages(small)
    monkeypatch.setattr(scoring, "Predictor", lambda _package, **_options: perfect)
    held = {}
    for weight in (1.0, 0.0):
        perfect.weight = weight
        metrics = scoring.score_package("any", recipe.override(benchmark=small))
        assert names <= figures(metrics)
        held[weight] = {
            threshold.metric
            for threshold in recipe.acceptance
            if threshold.holds(find_metric(metrics, threshold.metric) or np.nan)
        }
    assert held[1.0] == names
    assert any("psnr" in name or "ssim" in name for name in names - held[0.0])


def figures(metrics: dict[str, Any]) -> set[str]:
    """Return ``group/condition/figure`` of everything that is measured."""
    return {
        f"{group}/{condition}/{figure}"
        for group, conditions in metrics.items()
        for condition, scores in conditions.items()
        for figure in scores
    }


@every_recipe
def test_a_published_package_has_scores_to_reach(recipe):
    published = (ROOT / "specs" / recipe.name / "rdf.yaml").is_file()
    assert recipe.acceptance or not published


@every_recipe
def test_thresholds_name_what_is_measured(recipe, monkeypatch):
    names = [threshold.metric for threshold in recipe.acceptance]
    assert len(names) == len(set(names))
    for threshold in recipe.acceptance:
        assert re.fullmatch(r"\w+/[\w.]+/\w+", threshold.metric)
        assert not (threshold.at_least is None and threshold.at_most is None)
        if threshold.at_least is not None and threshold.at_most is not None:
            assert threshold.at_least < threshold.at_most
    if not recipe.acceptance:
        pytest.skip("a recipe without published weights has no scores to reach yet")
    if isinstance(recipe.benchmark, ImageBenchmark):
        check_image_thresholds(recipe, monkeypatch)
        return
    if not isinstance(recipe.benchmark, DensityBenchmark):
        return
    small = recipe.benchmark.override(
        frames=1, isolated_frames=1, empty_frames=1, photon_levels=(1000.0,)
    )
    perfect = Perfect(small)
    monkeypatch.setattr(scoring, "Predictor", lambda _package, **_options: perfect)
    metrics = scoring.score_package("any", recipe.override(benchmark=small))
    assert set(names) <= figures(metrics)
    # a predictor that knows the truth passes; one that finds nothing does not
    for threshold in recipe.acceptance:
        group, condition, figure = threshold.metric.split("/")
        assert threshold.holds(metrics[group][condition][figure]), threshold.metric
    perfect.truths = dict.fromkeys(perfect.truths, Localizations.empty())
    blind = scoring.score_package("any", recipe.override(benchmark=small))
    failed = [
        threshold.metric
        for threshold in recipe.acceptance
        if not threshold.holds(blind[(p := threshold.metric.split("/"))[0]][p[1]][p[2]])
    ]
    assert any(name.endswith("/jaccard") for name in failed)


@every_recipe
def test_the_predictor_is_told_what_it_must_know(recipe):
    told, grid = recipe.prediction, recipe.grid
    if grid.tile is not None:
        # tiles of a network that sees all of them differ where they meet: blended
        assert 0 < told["overlap"] <= grid.tile // 2
    if grid.channels > 1:
        assert len(set(told["input_channels"])) == grid.channels
    if "frame_order" in told:
        assert told["frame_order"] in ORDERS
        angles = [name.partition("_")[0] for name in told["input_channels"]]
        consecutive = [name for name, _ in groupby(angles)]
        assert (consecutive == sorted(set(angles))) == (
            told["frame_order"] == "angle-major"
        )
    if recipe.network.task != "density":
        assert told.get("reference") in (None, "mean")
        return
    assert 0 < told["threshold"] < 1
    assert told["window_px"] % 2 == 1
    assert told["tile"] > 2 * grid.halo
    assert told["tile"] % grid.step == 0
