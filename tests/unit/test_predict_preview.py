"""`zoo.predict.preview`: what panels say beside their pixels."""

import numpy as np
import pytest
from matplotlib.image import imread

from zoo.core.products import ColourBar, Panel
from zoo.predict.preview import write_preview
from zoo.tasks.rendering import depth_colours


@pytest.mark.parametrize("with_bar", [True, False])
def test_colours_of_depth_are_explained_by_a_bar(tmp_path, with_bar):
    colours = depth_colours(np.linspace(0, 1, 64))
    bar = ColourBar(colours, -600.0, 600.0, "nm") if with_bar else None
    dark = np.zeros((64, 64, 3))
    panels = [Panel(np.ones((64, 64)), "mean"), Panel(dark, "found", "depth", bar)]
    write_preview(tmp_path / "preview.png", panels, pixel_size_nm=100.0)
    image = imread(tmp_path / "preview.png")[..., :3]
    right = image[:, image.shape[1] // 2 :]
    for colour in colours[[1, 32, -2]]:
        near = np.abs(right - colour).max(axis=-1) < 0.03
        assert near.any() == with_bar
        if with_bar:  # in the lower left of its panel
            rows, columns = np.nonzero(near)
            assert rows.min() > 0.8 * right.shape[0]
            assert columns.max() < 0.5 * right.shape[1]
