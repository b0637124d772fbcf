"""Flips and turns of images, and of what is known of their illumination pattern."""

import numpy as np
import pytest

from zoo.core.sim_pattern import PHASORS, VECTORS, PixelPattern
from zoo.core.symmetry import SYMMETRIES


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_tiles_of_a_view_are_found_in_the_field(symmetry):
    field = np.arange(20 * 30).reshape(20, 30, 1)
    seen = symmetry.apply(field)
    (y, x), (height, width) = symmetry.place((3, 5), (8, 6), (20, 30))
    tile = field[y : y + height, x : x + width]
    np.testing.assert_array_equal(symmetry.apply(tile), seen[3:11, 5:11])
    np.testing.assert_array_equal(symmetry.undo(seen), field)


@pytest.mark.parametrize("symmetry", SYMMETRIES)
def test_the_pattern_of_a_view_is_that_of_the_turned_frames(symmetry):
    sides, start, size = (24, 40), (5, 3), (8, 12)
    vectors = np.array([[0.11, 0.2], [-0.23, 0.05], [0.02, -0.19]])
    phases = np.array([0.3, 1.9, -2.0])
    pattern = PixelPattern(vectors, phases, np.ones(3), 0.28, 0.4)
    y, x = (np.arange(n) + 0.5 for n in sides)
    turns = vectors[:, 0, None, None] * y[:, None] + vectors[:, 1, None, None] * x
    frames = np.cos(2 * np.pi * turns + phases[:, None, None])
    seen = symmetry.apply(np.moveaxis(frames, 0, -1))
    place, lengths = symmetry.place(start, size, sides)
    row = symmetry.pattern_row(pattern.row(place, lengths)).astype(float)
    # draw the tile from its row: phases hold in its middle
    ty, tx = (np.arange(n) + 0.5 - n / 2 for n in size)
    cosine, sine = row[PHASORS].reshape(3, 2).T
    for number, (vy, vx) in enumerate(row[VECTORS].reshape(3, 2)):
        phase = 2 * np.pi * (vy * ty[:, None] + vx * tx)
        drawn = cosine[number] * np.cos(phase) - sine[number] * np.sin(phase)
        tile = seen[start[0] : start[0] + size[0], start[1] : start[1] + size[1]]
        np.testing.assert_allclose(drawn, tile[..., number], atol=1e-5)
