"""What networks promise about the shape of their tensors, axis by axis."""

import pytest

from zoo.core.grid import Axis, Grid

ZYX = {"z": Axis(scale=2), "y": Axis(), "x": Axis()}


def test_square_images_promise_the_same_along_y_and_x():
    grid = Grid.square(scale=2, halo=3, step=4)
    assert grid.axes["y"] == grid.axes["x"]
    assert (grid.space, grid.output_space, grid.is_fixed) == ("yx", "yx", False)
    assert grid.output_size({"y": 8, "x": 12}) == {"y": 16, "x": 24}


def test_volumes_have_a_scale_of_their_own_along_z():
    grid = Grid(input_axes="bzyxc", output_axes="bzyxc", axes=ZYX)
    assert (grid.space, grid.scale("z"), grid.scale("y")) == ("zyx", 2, 1)
    assert grid.output_size({"z": 3, "y": 8, "x": 8}) == {"z": 6, "y": 8, "x": 8}


def test_depth_that_only_the_output_has():
    grid = Grid(output_axes="bzyxc", planes=5)
    assert (grid.space, grid.output_space, grid.scale("z")) == ("yx", "zyx", 1)
    assert grid.output_size({"y": 8, "x": 8}) == {"z": 5, "y": 8, "x": 8}


def test_vectors_have_no_space():
    grid = Grid(output_axes="bc", outputs=("x", "y", "z"))
    assert grid.output_space == ""
    assert grid.output_size({"y": 8, "x": 8}) == {}


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"input_axes": "byxx"}, "distinct letters"),
        ({"input_axes": "btyxc"}, "no axis of time"),
        ({"input_axes": "bzyxc"}, "axes must state x, y, z"),
        ({"axes": ZYX}, "axes must state x, y,"),
        ({"output_axes": "bzyxc"}, "planes is the depth"),
        ({"planes": 3}, "planes is the depth"),
        ({"channels": ()}, "cannot have the channels"),
        ({"input_axes": "byx", "channels": ("a", "b")}, "cannot have the channels"),
    ],
)
def test_what_contradicts_itself_is_refused(fields, words):
    with pytest.raises(ValueError, match=words):
        Grid(**fields)


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scale": 0}, "greater than or equal to 1"),
        ({"step": 0}, "greater than or equal to 1"),
        ({"halo": -1}, "greater than or equal to 0"),
        ({"overlap": 8}, "needs more than a fixed size"),
        ({"overlap": 8, "size": 8}, "needs more than 8 px"),
        ({"halos": 2}, "Extra inputs"),
    ],
)
def test_axes_count_from_one_and_overlap_where_they_are_fixed(fields, words):
    with pytest.raises(ValueError, match=words):
        Axis(**fields)
