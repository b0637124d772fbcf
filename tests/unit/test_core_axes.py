"""Axis letters and their long names."""

import pytest

from zoo.core.axes import AXIS_NAMES, check_axes, letters


@pytest.mark.parametrize("axes", ["", "yx", "byxc", "btzyxc", "cxyb"])
def test_known_letters_are_returned_as_they_are(axes):
    assert check_axes(axes) == axes


@pytest.mark.parametrize("axes", ["yy", "byxk", "YX", "b x", "byxcb"])
def test_other_letters_and_repeated_ones_are_refused(axes):
    with pytest.raises(ValueError, match="distinct letters out of btzyxc") as caught:
        check_axes(axes)
    assert repr(axes) in str(caught.value)


@pytest.mark.parametrize(
    ("ids", "axes"),
    [
        (["batch", "channel", "y", "x"], "bcyx"),
        (["batch", "time", "z", "y", "x", "channel"], "btzyxc"),
        (["b", "c", "y", "x"], "bcyx"),
        (["x"], "x"),
        ([], ""),
    ],
)
def test_long_names_and_letters_mix(ids, axes):
    assert letters(ids) == axes


def test_every_name_is_known():
    assert letters(list(AXIS_NAMES.values())) == "".join(AXIS_NAMES)


@pytest.mark.parametrize("ids", [["batch", "index"], ["lambda"], [""]])
def test_unknown_names_are_listed_with_the_known_ones(ids):
    with pytest.raises(ValueError, match="known are batch, time, z, y, x") as caught:
        letters(ids)
    assert ids[-1] in str(caught.value)


def test_an_axis_under_both_names_is_a_repetition():
    with pytest.raises(ValueError, match="distinct"):
        letters(["batch", "b"])
