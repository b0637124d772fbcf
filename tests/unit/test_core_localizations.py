"""The table of emitters keeps its columns together."""

from dataclasses import FrozenInstanceError

import numpy as np
import pytest

from zoo.core.localizations import Localizations


def table(**more: np.ndarray) -> Localizations:
    return Localizations(
        x_nm=np.array([1.0, 2.0, 3.0]), y_nm=np.array([4.0, 5.0, 6.0]), **more
    )


def test_frames_count_from_one_where_none_are_given():
    assert table().frame.tolist() == [1, 1, 1]
    assert table().frame.dtype.kind == "i"


def test_columns_are_those_that_exist_in_a_fixed_order():
    assert table().columns == ("x_nm", "y_nm", "frame")
    full = table(response=np.ones(3), z_nm=np.zeros(3))
    assert full.columns == ("x_nm", "y_nm", "frame", "z_nm", "response")


def test_lists_become_arrays():
    made = Localizations(x_nm=[1.0, 2.0], y_nm=[3.0, 4.0])  # type: ignore[arg-type]
    assert made.x_nm.tolist() == [1.0, 2.0]
    assert made.select(np.array([False, True])).y_nm.tolist() == [4.0]


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("photons", np.ones(2)),
        ("frame", np.ones(4, int)),
        ("z_nm", np.ones((3, 1))),
        ("sigma_nm", np.float64(1)),
    ],
)
def test_columns_of_another_length_are_refused(name, column):
    with pytest.raises(ValueError, match=name) as caught:
        table(**{name: column})
    assert str(column.shape) in str(caught.value)


def test_positions_must_be_one_dimensional():
    with pytest.raises(ValueError, match="one-dimensional"):
        Localizations(x_nm=np.ones((2, 2)), y_nm=np.ones((2, 2)))


def test_a_table_is_frozen():
    with pytest.raises(FrozenInstanceError):
        table().x_nm = np.zeros(3)  # type: ignore[misc]


@pytest.mark.parametrize(
    "index",
    [
        np.array([True, False, True]),
        np.array([0, 2]),
        np.array([0, -1]),
        slice(None, None, 2),
    ],
    ids=["mask", "positions", "from the end", "slice"],
)
def test_a_selection_takes_every_column(index):
    full = table(photons=np.array([10.0, 20.0, 30.0]), frame=np.array([1, 2, 3]))
    picked = full.select(index)
    assert picked.columns == full.columns
    assert picked.x_nm.tolist() == [1.0, 3.0]
    assert picked.y_nm.tolist() == [4.0, 6.0]
    assert picked.photons.tolist() == [10.0, 30.0]
    assert picked.frame.tolist() == [1, 3]
    assert len(full) == 3


def test_a_selection_may_be_empty():
    nothing = table(photons=np.ones(3)).select(np.zeros(3, bool))
    assert len(nothing) == 0
    assert nothing.columns == ("x_nm", "y_nm", "frame", "photons")


def test_an_empty_table_has_the_columns_asked_for():
    nothing = Localizations.empty(("x_nm", "y_nm", "photons"))
    assert len(nothing) == 0
    assert nothing.columns == ("x_nm", "y_nm", "frame", "photons")
    assert nothing.frame.dtype.kind == "i"


def test_columns_are_added_replaced_and_removed():
    first = table(photons=np.ones(3))
    second = first.with_columns(photons=None, z_nm=np.zeros(3), x_nm=np.zeros(3))
    assert second.columns == ("x_nm", "y_nm", "frame", "z_nm")
    assert second.x_nm.tolist() == [0, 0, 0]
    assert first.x_nm.tolist() == [1, 2, 3]
    with pytest.raises(ValueError, match="z_nm"):
        first.with_columns(z_nm=np.zeros(2))


def test_joined_tables_keep_what_all_of_them_have():
    first = table(photons=np.array([1.0, 2.0, 3.0]), z_nm=np.zeros(3))
    second = table(frame=np.array([2, 2, 3]), photons=np.array([4.0, 5.0, 6.0]))
    joined = Localizations.concatenate([first, second])
    assert joined.columns == ("x_nm", "y_nm", "frame", "photons")
    assert joined.photons.tolist() == [1, 2, 3, 4, 5, 6]
    assert joined.frame.tolist() == [1, 1, 1, 2, 2, 3]
    assert joined.frame.dtype.kind == "i"


def test_joining_takes_generators_empty_tables_and_nothing():
    joined = Localizations.concatenate(t for t in (table(), Localizations.empty()))
    assert joined.x_nm.tolist() == [1, 2, 3]
    assert joined.frame.dtype.kind == "i"
    assert len(Localizations.concatenate([])) == 0
