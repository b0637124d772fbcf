"""The promise that recipe, description and predictor share; kinds and conditions."""

from typing import Annotated, ClassVar, Literal

import pytest

from zoo.core.config import Config, Kind
from zoo.core.contract import CONDITION, Contract, Input, Options, Range, conditions
from zoo.core.contract import Task as AnyTask
from zoo.core.grid import Grid


class Plain(Input):
    kind: Literal["plain_frames_of_a_test"] = "plain_frames_of_a_test"

    def open(self, source, contract, *, name, options, pixel_size_nm=None):
        raise NotImplementedError


class Threshold(Options):
    threshold: float | None = None
    """Smallest response."""


class Finding(AnyTask):
    kind: Literal["finding_of_a_test"] = "finding_of_a_test"
    options: ClassVar[type[Options]] = Threshold
    texts: ClassVar[tuple[str, str]] = ("Frames", "Findings")
    limit: float = 0.5

    def start(self, recording, contract, options):
        raise NotImplementedError

    def postprocessing(self, grid):
        return ({"id": "clip", "kwargs": {"min": 0.0, "max": float(grid.scale("y"))}},)


CONTRACT = Contract(grid=Grid.square(scale=2, halo=2), input=Plain(), task=Finding())


def test_a_contract_survives_json_with_its_kinds():
    contract = CONTRACT.override(task__limit=0.25, training={"photons": (1, 2)})
    stored = contract.model_dump(mode="json", exclude_none=True)
    assert stored["task"] == {"kind": "finding_of_a_test", "limit": 0.25}
    again = Contract.model_validate(stored)
    assert again == contract
    assert type(again.task) is Finding


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"thresold": 1}, "thresold"),
        ({"task": {"kind": "finding_of_a_test", "limt": 1}}, "limt"),
        ({"task": {"kind": "finding_of_a_tst"}}, "did you mean finding_of_a_test"),
        ({"input": {"kind": "finding_of_a_test"}}, "no input is of the kind"),
        ({"grid": {"halo": 2}}, "halo"),
    ],
)
def test_what_is_not_known_is_named(change, words):
    with pytest.raises(ValueError, match=words):
        Contract.model_validate(CONTRACT.model_dump(mode="json") | change)


def test_processing_is_that_of_the_kinds_unless_stated():
    assert CONTRACT.before[0]["id"] == "scale_range"
    assert CONTRACT.before[0]["kwargs"]["axes"] == ["y", "x", "channel"]
    assert CONTRACT.after[0]["kwargs"]["max"] == 2
    bare = CONTRACT.override(preprocessing=(), postprocessing=())
    assert (bare.before, bare.after) == ((), ())


def test_texts_are_those_of_the_task_unless_stated():
    assert CONTRACT.texts == ("Frames", "Findings")
    assert CONTRACT.override(input_text="Movies").texts == ("Movies", "Findings")


def test_options_are_those_of_the_kinds():
    assert CONTRACT.option_types() == (Options, Threshold)


@pytest.mark.parametrize(
    ("tile", "words"),
    [
        ({"y": 16}, "tile must state y, x"),
        ({"y": 16, "x": 4}, "4 px along x must .* exceed twice the halo of 2 px"),
    ],
)
def test_a_tile_fits_the_grid(tile, words):
    with pytest.raises(ValueError, match=words):
        CONTRACT.override(tile=tile)
    assert CONTRACT.override(tile={"y": 16, "x": 8}).declared_size("x") == 8
    assert CONTRACT.declared_size("x") is None
    fixed = CONTRACT.override(grid=Grid.square(size=32))
    assert fixed.declared_size("y") == 32


class Light(Config):
    photons: Annotated[Range, CONDITION] = (100.0, 900.0)
    pixel_size_nm: Annotated[float, CONDITION] = 100.0
    crop_px: int = 64
    name: str = "lamp"


def test_conditions_are_those_that_say_so():
    assert conditions(Light(photons=(1, 2))) == {
        "photons": (1.0, 2.0),
        "pixel_size_nm": (100.0, 100.0),
    }

    class Wrong(Config):
        name: Annotated[str, CONDITION] = "lamp"

    with pytest.raises(TypeError, match="must be a number or two, not 'lamp'"):
        conditions(Wrong())


def test_every_kind_of_the_folders_is_found():
    for folder, kinds in (
        (Input, {"frames", "raw_frames", "regions", "tables"}),
        (AnyTask, {"density", "image", "parameters"}),
    ):
        known = {kind.model_fields["kind"].default for kind in folder.kinds()}
        assert kinds <= known
        assert all(issubclass(folder.find(kind), Kind) for kind in kinds)
