"""Every test set is frozen, fits its network, and tells the truth from nothing."""

import re
from functools import cache
from itertools import zip_longest
from typing import Any

import numpy as np
import pytest

from zoo import catalog
from zoo.core.test_set import Metrics, TestSet, find_metric
from zoo.evaluate.further import INVENTION, UNCERTAINTY

RECIPES = catalog.recipes()
KINDS = list(TestSet.kinds())

every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)
# recipes may share a test set, and one of them may be that of a kind's defaults
SETS = {
    test_set.model_dump_json(): test_set
    for test_set in (
        *(recipe.test_set.reduced() for recipe in RECIPES.values()),
        *(kind().reduced() for kind in KINDS),
    )
}
every_set = pytest.mark.parametrize("key", SETS, ids=[s.kind for s in SETS.values()])


@cache
def scored(key: str, products: str) -> Metrics:
    """Return the metrics of a package that returns `perfect` or `nothing`."""
    test_set = SETS[key]
    evidence: list[Any] = []
    for case in test_set.cases():
        result = getattr(test_set, products)(case)
        evidence.append((case.name, test_set.score(case, result)))
    return test_set.metrics(evidence)


@every_set
def test_it_is_read_back_by_its_kind(key):
    test_set = SETS[key]
    assert type(test_set) in KINDS
    stored = test_set.model_dump(mode="json")
    assert TestSet.model_validate(stored) == test_set


@every_set
def test_equal_declarations_give_equal_cases(key):
    test_set = SETS[key]
    count = 0
    again = test_set.override()
    for first, second in zip_longest(test_set.cases(), again.cases()):
        assert (first.name, first.pixel_size_nm) == (second.name, second.pixel_size_nm)
        np.testing.assert_equal(content(first.input), content(second.input))
        np.testing.assert_equal(content(first.truth), content(second.truth))
        count += 1
    assert count
    np.testing.assert_array_equal(test_set.example(), again.example())


def content(value: Any) -> Any:
    """Return arrays, or the columns of a table."""
    return vars(value) if hasattr(value, "columns") else value


@every_set
def test_the_truth_is_laid_out_for_people(key):
    test_set = SETS[key]
    metrics = scored(key, "perfect")
    first = test_set.headlines(metrics)
    assert set(first) <= set(metrics)
    for group, conditions in metrics.items():
        assert re.fullmatch(r"\w+", group)
        for condition, values in conditions.items():
            assert re.fullmatch(r"[\w.]+", condition)
            assert all(v is None or np.isfinite(v) for v in values.values())
    tables = test_set.tables(metrics)
    assert tables
    for table in tables:
        assert table.columns
        assert table.rows
        for name in table.columns:
            assert any(row.get(name) is not None for row in table.rows.values())


@every_recipe
def test_the_seed_is_not_that_of_training(recipe):
    assert recipe.test_set.seed != recipe.seed


@every_recipe
def test_it_lies_within_the_training_conditions(recipe):
    training = recipe.promise.training
    covered = recipe.test_set.covers()
    assert covered
    for name, (least, most) in covered.items():
        low, high = training[name]
        assert low <= least <= most <= high, name


@every_recipe
def test_the_example_fits_the_network(recipe):
    grid = recipe.contract.grid
    example = recipe.test_set.example()
    assert example.dtype == np.float32
    assert np.isfinite(example).all()
    assert np.ptp(example) > 0
    *sides, channels = example.shape
    assert len(sides) == len(grid.space)
    assert channels == len(grid.channels)
    for letter, side in zip(grid.space, sides, strict=True):
        assert side >= (recipe.contract.declared_size(letter) or 1)
        assert side >= grid.axes[letter].minimum


@every_recipe
def test_the_truth_is_accepted_and_nothing_is_not(recipe):
    key = recipe.test_set.reduced().model_dump_json()
    names = [bound.metric for bound in recipe.acceptance]
    assert len(names) == len(set(names)) > 0
    truth, nothing = scored(key, "perfect"), scored(key, "nothing")
    missed, failed = {}, []
    for bound in recipe.acceptance:
        assert re.fullmatch(r"\w+/[\w.]+/\w+", bound.metric)
        if bound.metric.partition("/")[0] in (INVENTION, UNCERTAINTY):
            continue  # measured of the network, beside the test set
        assert not (bound.at_least is None and bound.at_most is None)
        if bound.at_least is not None and bound.at_most is not None:
            assert bound.at_least < bound.at_most
        value = find_metric(truth, bound.metric)
        if value is None or not bound.holds(value):
            missed[bound.metric] = value
        value = find_metric(nothing, bound.metric)
        if value is None or not bound.holds(value):
            failed.append(bound.metric)
    assert missed == {}
    assert failed
