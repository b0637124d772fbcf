"""Declarations are frozen, validated and overridden field by field."""

from typing import Any

import pytest
from pydantic import Field, ValidationError, field_validator

from zoo.core.config import Config, parse_settings
from zoo.core.network import Network, Paper
from zoo.core.recipe import Budget, Stage, Threshold


class Lens(Config):
    na: float = Field(default=1.4, gt=0)
    """Numerical aperture."""
    name: str = "oil"
    """Immersion."""

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name not in ("oil", "water"):
            raise ValueError("must be oil or water")
        return name


class Scope(Config):
    lens: Lens = Lens()
    """Objective."""
    magnification: int = 100
    """Of the whole microscope."""
    notes: dict[str, Any] = {}
    """Anything."""


class Lab(Config):
    scope: Scope = Scope()
    """The microscope."""


def test_override_returns_a_changed_copy_and_leaves_the_original():
    scope = Scope()
    other = scope.override(magnification=60)
    assert (scope.magnification, other.magnification) == (100, 60)
    assert other.lens == scope.lens
    assert type(other) is Scope


def test_override_descends_and_merges_the_changes_of_one_child():
    lab = Lab().override(scope__lens__na=1.2, scope__lens__name="water")
    assert lab.scope.lens == Lens(na=1.2, name="water")
    assert lab.scope.magnification == 100


def test_a_whole_child_and_one_of_its_fields_may_be_set_together():
    scope = Scope().override(lens=Lens(name="water"), lens__na=0.9)
    assert scope.lens == Lens(na=0.9, name="water")


def test_override_reaches_dictionaries_and_sequences():
    class Labs(Config):
        by_name: dict[str, Lab] = {"here": Lab()}
        scopes: tuple[Scope, ...] = (Scope(), Scope())
        options: dict[str, Any] = {}

    labs = Labs().override(
        by_name__here__scope__lens__na=1.2,
        scopes__1__magnification=60,
        options__width=32,
    )
    assert labs.by_name["here"].scope.lens.na == 1.2
    assert [scope.magnification for scope in labs.scopes] == [100, 60]
    assert labs.options == {"width": 32}
    for changes, words in (
        ({"by_name__heer__scope": Scope()}, "did you mean here"),
        ({"scopes__2__magnification": 60}, "entries 0 to 1, not '2'"),
        ({"scopes__1__magnification": "much"}, "Scope.magnification"),
    ):
        with pytest.raises(ValueError, match=words):
            Labs().override(**changes)


def test_override_of_nothing_is_an_equal_declaration():
    assert Lab().override() == Lab()


@pytest.mark.parametrize(
    ("changes", "parts"),
    [
        ({"zoom": 2}, ("Scope", "'zoom'", "lens, magnification, notes")),
        ({"lens__nA": 2}, ("Lens", "'nA'", "na, name")),
        ({"magnification__x": 2}, ("Scope.magnification", "plain value")),
        ({"notes__x__y": 2}, ("Scope.notes has no 'x'", "there are none")),
        ({"lens__na": -1.0}, ("Lens.na", "greater than 0", "-1.0")),
        ({"lens__na": "wide"}, ("Lens.na", "'wide'")),
        ({"lens__name": "air"}, ("Lens.name", "oil or water", "'air'")),
        ({"magnification": 1.5}, ("Scope.magnification", "1.5")),
        ({"lens": {"depth": 1}}, ("Scope.lens.depth",)),
        ({"": 1}, ("Scope", "''")),
    ],
)
def test_a_wrong_change_is_one_line_that_names_field_and_rule(changes, parts):
    with pytest.raises(ValueError, match=r"Scope|Lens") as caught:
        Scope().override(**changes)
    message = str(caught.value)
    assert "\n" not in message
    for part in parts:
        assert part in message


def test_declarations_are_frozen():
    with pytest.raises(ValidationError, match="frozen"):
        Scope().magnification = 3  # type: ignore[misc]


def test_unknown_fields_are_errors():
    with pytest.raises(ValidationError, match="Extra inputs"):
        Scope(zoom=3)  # type: ignore[call-arg]


def test_defaults_are_validated():
    class Wrong(Config):
        share: float = Field(default=2.0, le=1)

    with pytest.raises(ValidationError, match="less than or equal to 1"):
        Wrong()


def test_the_string_under_a_field_is_its_documentation():
    fields = Lens.model_json_schema()["properties"]
    assert fields["na"]["description"] == "Numerical aperture."


def test_a_declaration_survives_json():
    lab = Lab().override(scope__lens__na=1.2, scope__notes={"a": [1, 2]})
    assert Lab.model_validate_json(lab.model_dump_json()) == lab


@pytest.mark.parametrize(
    ("settings", "changes"),
    [
        ([], {}),
        (["a=1"], {"a": 1}),
        (["a=1.5", "b=true", "c=null"], {"a": 1.5, "b": True, "c": None}),
        (["a=[1, 2]"], {"a": [1, 2]}),
        (["a=some words"], {"a": "some words"}),
        (["a="], {"a": ""}),
        (["a=b=c"], {"a": "b=c"}),
        (["a.b.c=1"], {"a__b__c": 1}),
        (["a__b=1"], {"a__b": 1}),
        ([" a.b =1"], {"a__b": 1}),
        (['a="1"'], {"a": "1"}),
        (["a=1", "a=2"], {"a": 2}),
    ],
)
def test_settings_are_json_where_they_are_json(settings, changes):
    parsed = parse_settings(settings)
    assert parsed == changes
    assert [type(v) for v in parsed.values()] == [type(v) for v in changes.values()]


@pytest.mark.parametrize("setting", ["a", "", "=1", "--set"])
def test_a_setting_without_key_and_value_is_refused(setting):
    with pytest.raises(ValueError, match="KEY=VALUE") as caught:
        parse_settings([setting])
    assert repr(setting) in str(caught.value)


def test_settings_reach_nested_declarations():
    lab = Lab().override(**parse_settings(["scope.lens.na=1.2", "scope.lens.name=oil"]))
    assert lab.scope.lens == Lens(na=1.2)


PAPER = Paper(authors="A", title="T", journal="J 1, 1", year=2018, doi="10/1")


def test_a_paper_is_cited_in_one_line():
    assert PAPER.citation == "A. T. J 1, 1 (2018)."


def test_a_builder_is_written_as_its_name():
    network = Network(name="n", paper=PAPER, build=dict, parameters=1)
    assert network.model_dump()["build"] == "builtins:dict"


def test_a_budget_adds_up_its_stages():
    stages = (
        Stage(epochs=2, steps=10, batch_size=4),
        Stage(epochs=3, steps=5, batch_size=8),
    )
    budget = Budget(stages=stages)
    assert budget.steps == 2 * 10 + 3 * 5
    assert budget.samples == 2 * 10 * 4 + 3 * 5 * 8


@pytest.mark.parametrize(
    ("bounds", "value", "holds"),
    [
        ({"at_least": 0.9}, 0.9, True),
        ({"at_least": 0.9}, 0.899, False),
        ({"at_most": 25}, 25.0, True),
        ({"at_most": 25}, 25.1, False),
        ({"at_least": -1, "at_most": 1}, -1.01, False),
        ({"at_least": -1, "at_most": 1}, 0.0, True),
        ({"at_least": 0.9}, float("nan"), False),
        ({"at_most": 25}, float("nan"), False),
        ({}, float("nan"), False),
        ({}, 1e9, True),
    ],
)
def test_thresholds_hold_within_their_bounds(bounds, value, holds):
    assert Threshold(metric="a/b/c", **bounds).holds(value) is holds
