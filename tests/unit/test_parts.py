"""Parts of recordings: `--frames` and `--roi`."""

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.inputs.frames import Frames
from zoo.io.part import PartStack, part_of
from zoo.io.stacks import open_stack
from zoo.predict.options import split_options
from zoo.predict.predictor import Predictor
from zoo.tasks.density import Density


def _movie():
    """Return a movie (t, y, x) with a bright spot of its own in every frame."""
    movie = np.random.default_rng(0).poisson(5.0, (6, 40, 48)).astype(np.uint16)
    for number in range(6):
        movie[number, 10 + 3 * number, 20 + 2 * number] = 500
    return movie


def _open(**given):
    contract = Contract(grid=Grid.square(scale=2), input=Frames(), task=Density())
    options = split_options(contract, "a package", **given)
    return contract.input.open(
        _movie(), contract, name="it", options=options.input, pixel_size_nm=100.0
    )


def test_a_part_is_read_as_it_stands_in_the_whole():
    recording = _open(frames="3:5", roi="8:30,10:")
    assert (recording.frames, recording.outer) == (3, (("t", 3),))
    assert recording.sizes == {"y": 22, "x": 38}
    frames = np.concatenate([frames for _, frames in recording.chunks(2)])
    np.testing.assert_array_equal(frames[..., 0], _movie()[2:5, 8:30, 10:])
    assert recording.report()["part"] == {
        "first_frame": 3,
        "last_frame": 5,
        "roi_y_px": [8, 30],
        "roi_x_px": [10, 48],
    }
    assert recording.origin == (2, 800.0, 1000.0)
    assert "part" not in _open().report()


@pytest.mark.parametrize(
    ("given", "complaint"),
    [
        ({"frames": "0:3"}, "count from 1"),
        ({"frames": "4:9"}, "the 6 frames"),
        ({"frames": "5:3"}, "is no part"),
        ({"frames": "2"}, "whole numbers such as 100:2000"),
        ({"frames": "-2:3"}, "whole numbers"),
        ({"roi": "0:10"}, "y0:y1,x0:x1"),
        ({"roi": "0:10,5:60"}, "40 x 48 px"),
        ({"roi": "0:10,a:b"}, "--roi takes whole numbers"),
    ],
)
def test_parts_that_do_not_exist_are_named(given, complaint):
    with pytest.raises(BadInput, match=complaint):
        _open(**given)


def test_a_hyperstack_has_no_single_count_of_frames():
    stack = open_stack(np.zeros((6, 16, 16), np.uint8))
    stack.outer = (("t", 2), ("z", 3))
    with pytest.raises(BadInput, match="several axes, t, z"):
        part_of(stack, frames="1:2", roi=None)
    part = part_of(stack, frames=None, roi="0:8,0:16")
    assert PartStack(stack, part).read(0, 1).shape[1:3] == (8, 16)


def test_tables_keep_the_coordinates_of_the_whole(small_package):
    whole = Predictor(small_package).predict(_movie(), pixel_size_nm=100.0)
    some = Predictor(small_package, frames="2:4", roi="6:36,16:40").predict(
        _movie(), pixel_size_nm=100.0
    )
    expected = whole.localizations
    chosen = expected.select((expected.frame >= 2) & (expected.frame <= 4))
    found = some.localizations
    assert len(found) >= 3
    assert set(found.frame.tolist()) == {2, 3, 4}
    for number in (2, 3, 4):
        one = found.select(found.frame == number)
        same = chosen.select(chosen.frame == number)
        best = np.hypot(
            one.x_nm[:, None] - same.x_nm, one.y_nm[:, None] - same.y_nm
        ).min()
        assert best < 1e-6
    assert some.report["part"]["first_frame"] == 2
