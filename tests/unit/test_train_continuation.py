"""Going on from published weights for the optics of a user's microscope."""

import json
import shutil

import keras
import numpy as np
import pytest

import zoo.io.library
from zoo import catalog
from zoo.core.errors import BadInput, UnknownPackage
from zoo.core.recipe import Budget, Recipe, Stage
from zoo.package.trained import read_trained
from zoo.train.checkpoint import CHECKPOINT
from zoo.train.run import RECIPE, read_run, train
from zoo.train.start import FROM_SCRATCH, continuation

NAME = "zelger_vgg16_astigmatism"
TINY = {
    "options__width": 0.03,
    "options__dense": 8,
    "budgets__cpu": Budget(
        stages=(Stage(epochs=2, steps=2, batch_size=2),), warmup_steps=1
    ).model_dump(mode="json"),
}


@pytest.fixture
def published(monkeypatch):
    """Stand in for a checkout that holds every package."""
    monkeypatch.setattr(zoo.io.library, "find_package", lambda name: name)


@pytest.fixture
def optics(tmp_path):
    """Return optics.json of a Gaussian spot."""
    path = tmp_path / "optics.json"
    content = {
        "kind": "gaussian",
        "pixel_nm": 100.0,
        "sigma_x_nm": [130.0, 60.0, 120.0],
        "sigma_y_nm": [130.0, -60.0, 120.0],
        "z_range_nm": [-500, 500],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.usefixtures("published")
def test_another_source_goes_on_from_the_published_weights():
    changes, start = continuation(
        NAME, {"source__optics": "optics.json"}, start=(), budget="cpu"
    )
    assert start == (NAME,)
    plan = Budget.model_validate(changes["budgets__cpu"])
    assert plan == catalog.recipe(NAME).retraining
    assert plan.hours == 0.5


@pytest.mark.usefixtures("published")
@pytest.mark.parametrize(
    ("name", "changes", "start", "budget"),
    [
        (NAME, {}, (), "cpu"),
        (NAME, {"source__optics": "a.json"}, ("mine.keras",), "cpu"),
        (NAME, {"source__optics": "a.json"}, (), "gpu"),
        (NAME, {"source__optics": "a.json", "options__width": 0.5}, (), "cpu"),
        # not foreseen
        ("deep_storm_microtubules", {"source__photons": [1e3, 2e3]}, (), "cpu"),
    ],
)
def test_nothing_else_does(name, changes, start, budget):
    found = continuation(name, changes, start=start, budget=budget)
    assert found == (changes, start)


def test_weights_and_no_weights_do_not_go_together():
    with pytest.raises(BadInput, match="--start none leaves no room"):
        continuation(NAME, {}, start=(FROM_SCRATCH, "mine.keras"), budget="cpu")
    assert continuation(NAME, {}, start=(FROM_SCRATCH,), budget="cpu") == ({}, ())


def test_without_a_package_it_starts_at_random_weights(monkeypatch):
    def none(name):
        raise UnknownPackage(f"there is no {name}")

    monkeypatch.setattr(zoo.io.library, "find_package", none)
    changes = {"source__optics": "optics.json"}
    assert continuation(NAME, changes, start=(), budget="cpu") == (changes, ())


def test_recipes_that_foresee_nothing_are_written_as_before():
    recipe = catalog.recipe("deep_storm_microtubules")
    assert "retraining" not in json.loads(recipe.model_dump_json())
    with_plan = catalog.recipe(NAME)
    stored = with_plan.model_dump_json()
    assert Recipe.model_validate_json(stored) == with_plan
    assert json.loads(stored)["retraining"]["hours"] == 0.5


def test_a_run_goes_on_where_the_optics_file_is_gone(optics, tmp_path):
    settings = {"source__optics": str(optics), **TINY}
    recipe = catalog.configured(NAME, settings)
    folder = tmp_path / "run"
    train(recipe, budget="cpu", run_folder=folder, settings=settings, declared_as=NAME)
    optics.unlink()
    stored = read_run(folder)["settings"]
    assert str(optics) not in json.dumps(stored)
    again = catalog.configured(NAME, stored)
    assert again.source == recipe.source
    declared = json.loads((folder / RECIPE).read_text())
    assert json.loads(again.model_dump_json()) == declared
    # killed before its weights were written
    broken = tmp_path / "broken"
    shutil.copytree(folder, broken)
    (broken / "weights.keras").unlink()
    weights = train(again, budget="cpu", run_folder=broken, resume=True)
    for one, other in zip(
        keras.saving.load_model(weights).get_weights(),
        keras.saving.load_model(folder / "weights.keras").get_weights(),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    assert (broken / CHECKPOINT).is_file()


def test_a_package_of_other_optics_promises_them(optics, tmp_path):
    settings = {"source__optics": str(optics), **TINY}
    recipe = catalog.configured(NAME, settings)
    folder = tmp_path / "run"
    train(recipe, budget="cpu", run_folder=folder, settings=settings, declared_as=NAME)
    found = read_trained(folder, recipe=catalog.recipe(NAME)).recipe
    assert found.contract.task.optics is None
    assert found.test_set.optics == recipe.source.optics
    assert found.test_set.z_nm == (-500.0, 500.0)
    assert found.promise.training["z_nm"] == (-500.0, 500.0)
