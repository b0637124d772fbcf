"""Every source of every recipe fits its network and depends on the seed alone."""

import numpy as np
import pytest

from zoo import catalog
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.network import Grid
from zoo.core.random import generator
from zoo.core.recipe import Recipe, Source
from zoo.simulate.write import write_simulation

RECIPES = catalog.recipes()


def sources(recipe: Recipe) -> list[Source]:
    """Return the source of a recipe, and what the stages of its budgets make of it."""
    found = [recipe.source]
    for budget in recipe.budgets.values():
        for stage in budget.stages:
            found.append(recipe.override(**stage.changes).source)
    return list(dict.fromkeys(found))


CASES = [
    pytest.param(recipe, source, id=f"{name}-{number}")
    for name, recipe in RECIPES.items()
    for number, source in enumerate(sources(recipe))
]
every_source = pytest.mark.parametrize(("recipe", "source"), CASES)
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)


def trained_grid(recipe: Recipe) -> Grid:
    """Return what the network promises while it is trained."""
    return recipe.override(options=recipe.options | recipe.training_options).grid


def check_fit(
    recipe: Recipe, pair: tuple[np.ndarray, np.ndarray], grid: Grid | None = None
) -> None:
    """Assert that a pair has the shapes, types and values that a network takes."""
    grid = grid or trained_grid(recipe)
    scale = recipe.options.get("upsampling", grid.scale)
    frame, target = pair
    assert frame.ndim == target.ndim == 3
    height, width = frame.shape[:2]
    assert frame.shape == (height, width, grid.channels)
    assert target.shape == (height * scale, width * scale, grid.outputs)
    assert height % grid.step == width % grid.step == 0
    if grid.tile is not None:
        assert (height, width) == (grid.tile, grid.tile)
    for array in pair:
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


@every_source
def test_pairs_fit_the_network(recipe, source):
    for index in range(4):
        check_fit(recipe, source.sample(generator(1, index)))


@every_recipe
def test_the_declared_source_shows_what_the_package_takes(recipe):
    # smaller pictures may be trained on; those declared fill the package's tile
    check_fit(recipe, recipe.source.sample(generator(1, 9)), recipe.grid)


@every_source
def test_inputs_are_scaled_and_not_constant(recipe, source):
    del recipe
    frames = np.stack([source.sample(generator(2, i))[0] for i in range(8)])
    assert (frames.std(axis=(1, 2, 3)) > 0).all()
    # about [0, 1], whatever the camera counts
    assert frames.min() > -5
    assert frames.max() < 20


@every_source
def test_equal_seeds_give_equal_pairs(recipe, source):
    del recipe
    first, again = source.sample(generator(3, 1)), source.sample(generator(3, 1))
    assert np.array_equal(first[0], again[0])
    assert np.array_equal(first[1], again[1])


@every_source
def test_other_indices_give_other_pairs(recipe, source):
    del recipe
    pairs = [source.sample(generator(3, index)) for index in range(6)]
    for i, (frame, _) in enumerate(pairs):
        for other, _ in pairs[i + 1 :]:
            assert not np.array_equal(frame, other)
    # a target may be empty, but not all of them
    assert len({target.tobytes() for _, target in pairs}) > 3


@every_source
def test_batches_have_one_shape(recipe, source):
    del recipe
    rng = generator(5)
    shapes = {tuple(a.shape for a in source.sample(rng)) for _ in range(5)}
    assert len(shapes) == 1


@every_source
def test_a_declaration_survives_json(recipe, source):
    del recipe
    assert type(source).model_validate_json(source.model_dump_json()) == source


@every_recipe
def test_a_recipe_writes_every_field_of_its_source(recipe):
    stored = recipe.model_dump(mode="json")["source"]
    assert stored == recipe.source.model_dump(mode="json")
    assert set(stored) == set(type(recipe.source).model_fields)


@every_recipe
def test_recordings_look_like_a_users_file(recipe):
    first = recipe.source.record(generator(7), frames=3)
    again = recipe.source.record(generator(7), frames=3)
    other = recipe.source.record(generator(8), frames=3)
    # several exposures of a picture are channels, or pages that follow each other
    exposures = getattr(recipe.source, "exposures", 1)
    stacked = (*first.counts.shape[:1], *first.counts.shape[3:])
    assert stacked in {(3, exposures), (3 * exposures,)}
    assert exposures == recipe.grid.channels
    assert first.counts.ndim in (3, 4)
    assert first.counts.dtype == np.uint16
    assert first.pixel_size_nm > 0
    assert np.array_equal(first.counts, again.counts)
    assert not np.array_equal(first.counts, other.counts)
    if isinstance(first.truth, Localizations):
        assert recipe.network.task != "image"
        assert first.truth.frame.min() >= 1
        assert first.truth.frame.max() <= 3
        height, width = first.counts.shape[1:3]
        assert first.truth.x_nm.max() < width * first.pixel_size_nm
        assert first.truth.y_nm.max() < height * first.pixel_size_nm
    else:
        assert first.truth.shape[0] == 3


@every_recipe
def test_measured_pairs_fit_the_network_or_are_refused(recipe, tmp_path):
    try:
        measured = recipe.source.measured(tmp_path)
    except BadInput:
        with pytest.raises(BadInput, match="leave --data out"):
            recipe.source.measured(tmp_path)
        return
    with pytest.raises(BadInput) as caught:
        measured.sample(generator(0))
    assert "\n" not in str(caught.value)
    write_simulation(recipe.source, tmp_path, count=2, seed=3)
    check_fit(recipe, measured.sample(generator(0)))
    first, again = measured.sample(generator(1)), measured.sample(generator(1))
    assert np.array_equal(first[0], again[0])
    # the recipe that reads them is stored with the run, too
    assert recipe.override(source=measured).source == measured
    assert type(measured).model_validate_json(measured.model_dump_json()) == measured
