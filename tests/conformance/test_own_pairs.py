"""Every recipe that makes images can be trained on a user's own pairs."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo import catalog
from zoo.io.write import write_ome_tiff
from zoo.tasks.image import ImageRestoration
from zoo.train.fine_tuning import for_own_pairs
from zoo.train.own_pairs import find_pairs
from zoo.train.registering import common_range, register

RECIPES = {
    name: recipe
    for name, recipe in catalog.recipes().items()
    if isinstance(recipe.contract.task, ImageRestoration)
    and recipe.contract.grid.space == recipe.contract.grid.output_space == "yx"
}
EDGE = 64
"""Edge of the inputs, px."""


def write(path, image, *, pixel_nm):
    path.parent.mkdir(parents=True, exist_ok=True)
    single = image.shape[-1] == 1
    write_ome_tiff(
        path,
        image[..., 0] if single else image,
        pixel_size_nm=pixel_nm,
        axes="yx" if single else "yxc",
    )


@pytest.mark.parametrize("name", RECIPES)
def test_own_pairs(name, tmp_path):
    grid = RECIPES[name].contract.grid
    scale, pixel_nm = grid.scale("x"), 80.0
    rng = np.random.default_rng(0)
    for number in range(2):
        points = np.zeros((scale * EDGE, scale * EDGE))
        points[tuple(rng.integers(0, scale * EDGE, (2, 60)))] = 1
        sharp = gaussian_filter(points, 1.5 * scale)
        coarse = sharp.reshape(EDGE, scale, EDGE, scale).sum(axis=(1, 3))
        for end, image, channels, edge in (
            ("input", coarse, grid.channels, pixel_nm),
            ("target", sharp, grid.outputs, pixel_nm / scale),
        ):
            photons = np.repeat(image[..., None], len(channels), axis=-1)
            counts = rng.poisson(1000 * photons / photons.max() + 10)
            path = tmp_path / end / f"{number}.ome.tif"
            write(path, counts.astype(np.uint16), pixel_nm=edge)

    recipe = for_own_pairs(RECIPES[name])
    assert set(recipe.budgets) == set(RECIPES[name].budgets)
    pairs = find_pairs(tmp_path)
    found = register(pairs[0], recipe, shared_range=common_range(pairs, recipe))
    [image], [target] = found.inputs, found.targets
    assert image.shape[-1] == len(grid.channels)
    assert target.shape[-1] == len(grid.outputs)
    for place, letter in enumerate("yx"):
        axis = grid.axes[letter]
        assert (image.shape[place] - axis.minimum) % axis.step == 0
        assert target.shape[place] == scale * image.shape[place]
        assert (recipe.source.crop_px - axis.minimum) % axis.step == 0
    assert np.hypot(*found.shift[:2]) < 0.5 * scale
    assert target.min() >= 0
    assert 0.5 < target.max() <= 1
    assert np.isfinite(image).all()
