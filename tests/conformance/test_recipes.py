"""Every recipe is consistent with its network, its budgets and its scores."""

import re
from itertools import groupby
from pathlib import Path
from typing import Any

import pytest

from zoo import catalog
from zoo.core.config import parse_settings
from zoo.core.contract import conditions
from zoo.core.recipe import Recipe
from zoo.inputs.raw_frames import RawFrames
from zoo.tasks.density import Density
from zoo.train.fit import plan

ROOT = Path(__file__).parents[2]
RECIPES = catalog.recipes()
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


@every_recipe
def test_a_name_is_the_network_and_what_it_was_trained_on(recipe):
    network = recipe.network
    # a variant may go by the name of the published network that it is built on
    names = {network.name, network.variant_of} - {None}
    assert re.fullmatch(r"[a-z0-9]+(_[a-z0-9]+)+", recipe.name)
    assert catalog.recipe(recipe.name) is recipe
    assert catalog.network(network.name) is network
    # the longest network name that fits is the network's
    fitting = [n for n in catalog.networks() if recipe.name.startswith(f"{n}_")]
    assert max(fitting, key=len) in names


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
    network = recipe.network
    assert network.published == (network.variant_of is None)
    if not network.published:
        assert catalog.network(network.variant_of).published
        assert "our own" in recipe.summary
        assert "not the published" in network.note.lower()


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
    # two hours on two cores, however slow they are
    assert recipe.budgets["cpu"].hours == 2.0
    assert not recipe.budgets["smoke"].mixed_precision


@every_recipe
def test_the_changes_of_every_stage_are_possible(recipe):
    allowed = {"source", "objective"}
    for budget in recipe.budgets.values():
        for stage in budget.stages:
            staged = recipe.override(**stage.changes)
            assert isinstance(staged, Recipe)
            assert {key.partition("__")[0] for key in stage.changes} <= allowed
            same = recipe.model_dump(exclude=allowed)
            assert staged.model_dump(exclude=allowed) == same
            crop_px = getattr(staged.source, "crop_px", None)
            for axis in recipe.contract.grid.axes.values():
                size = crop_px or axis.size or axis.minimum
                assert (size - axis.minimum) % axis.step == 0


@every_recipe
def test_training_ends_under_the_declared_conditions(recipe):
    # the last stage may change the size of the crops, not what is learnt
    for name, budget in recipe.budgets.items():
        staged = recipe.override(**budget.stages[-1].changes)
        assert staged.objective == recipe.objective, name
        assert conditions(staged.source) == conditions(recipe.source), name


@every_recipe
def test_the_builder_takes_the_options(recipe):
    model = recipe.network.build(**recipe.options)
    grid = recipe.contract.grid
    assert model.name == recipe.network.name
    for axes, shape, names in (
        (grid.input_axes, model.input_shape, grid.channels),
        (grid.output_axes, model.output_shape, grid.outputs),
    ):
        assert len(shape) == len(axes)
        assert shape[0] is None
        if "c" in axes:
            assert shape[axes.index("c")] == len(names)
    for letter, axis in grid.axes.items():
        size = model.input_shape[grid.input_axes.index(letter)]
        assert size == axis.size
    # what is trained becomes the package: the same weights under the same names
    trained = recipe.network.build(**recipe.options | recipe.training_options)
    shapes = [[(w.path, tuple(w.shape)) for w in m.weights] for m in (model, trained)]
    assert shapes[0] == shapes[1]


@every_recipe
@pytest.mark.parametrize(
    "setting",
    [
        "budgets.cpu.learning_rate=0.5",
        "budgets.cpu.stages.0.epochs=17",
        "options.{option}=3",
        "options.width=3",
        "source.pixel_size_nm=60",
        "objective.optimizer.beta_1=0.5",
        "contract.grid.axes.y.halo=7",
        "test_set.seed=3",
    ],
)
def test_settings_reach_everything(recipe, setting):
    setting = setting.format(option=next(iter(recipe.options)))
    ((key, value),) = parse_settings([setting]).items()
    found: Any = recipe.override(**{key: value}).model_dump(mode="json")
    for part in key.split("__"):
        found = found[int(part) if part.isdecimal() else part]
    assert found == value


@every_recipe
def test_the_recipe_is_written_whole_and_equal(recipe):
    stored = recipe.model_dump_json()
    assert stored == recipe.override().model_dump_json()
    assert stored == Recipe.model_validate_json(stored).model_dump_json()
    assert f'"name":"{recipe.name}"' in stored
    module = recipe.network.build.__module__
    assert f'"build":"{module}:{recipe.network.build.__qualname__}"' in stored


@every_recipe
def test_a_published_package_has_scores_to_reach(recipe):
    published = (ROOT / "specs" / recipe.name / "rdf.yaml").is_file()
    assert recipe.acceptance or not published


@every_recipe
def test_the_contract_says_what_a_prediction_must_know(recipe):
    contract = recipe.contract
    # conditions come from the source alone
    assert contract.training == {}
    assert recipe.promise.training == conditions(recipe.source)
    assert "pixel_size_nm" in recipe.promise.training
    for axis in contract.grid.axes.values():
        if axis.size is not None and not contract.grid.output_space:
            # one vector for the whole input: there are no tiles
            assert axis.overlap == 0
        elif axis.size is not None:
            # tiles of a network that sees all of them differ where they meet
            assert 0 < axis.overlap <= axis.size // 2
        else:
            # other programs are told a size, a small one where they make volumes
            assert contract.tile or contract.grid.planes
    assert len(set(contract.grid.channels)) == len(contract.grid.channels)
    if isinstance(contract.input, RawFrames):
        frames = contract.input
        assert len(contract.grid.channels) == frames.orientations * frames.phases
        angles = [name.partition("_")[0] for name in contract.grid.channels]
        consecutive = [name for name, _ in groupby(angles)]
        assert (consecutive == sorted(set(angles))) == (frames.order == "angle-major")
    if isinstance(contract.task, Density):
        assert 0 < contract.task.threshold < 1
        assert contract.task.window_px % 2 == 1
        # thresholds are fractions of the peak that the loss aims at
        ideal_peak = getattr(
            getattr(recipe.objective, "loss", None), "ideal_peak", None
        )
        if ideal_peak is not None:
            assert ideal_peak() == pytest.approx(contract.task.ideal_peak, rel=0.01)
