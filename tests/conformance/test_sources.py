"""Every source of every recipe fits its network and depends on the seed alone."""

from functools import lru_cache
from typing import Any

import keras
import numpy as np
import pytest

from zoo import catalog
from zoo.core.contract import CONDITION
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.network import Network
from zoo.core.random import generator
from zoo.core.recipe import Recipe, Source
from zoo.inputs.movie_frames import MovieFrames
from zoo.objectives.psf_design import PsfDesign
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


@lru_cache(maxsize=8)
def optics_of(design: Network, source: Source) -> Any:
    """Return the network that images what a source draws."""
    return design.build(**source.imaging())


def seen(recipe: Recipe, source: Source, sample: np.ndarray) -> np.ndarray:
    """Return a sample as the network sees it: behind the optics, if it is imaged."""
    if not isinstance(recipe.objective, PsfDesign):
        return sample
    optics = optics_of(recipe.objective.optics, source)
    return np.asarray(keras.ops.convert_to_numpy(optics(sample[None])))[0]


def check_fit(
    recipe: Recipe,
    pair: tuple[np.ndarray, np.ndarray],
    *,
    source: Source | None = None,
    packaged: bool = False,
) -> None:
    """Assert that a pair has the shapes, types and values that a network takes.

    A network may be trained on other sizes than the one that its package takes.
    """
    grid = recipe.contract.grid
    frame, target = (array[None] for array in pair)
    if isinstance(recipe.objective, PsfDesign):
        frame = seen(recipe, source or recipe.source, pair[0])[None]
        # emitters by their places, of which the loss makes a volume
        assert target.shape[2:] == (len(grid.output_space) + 1,)
        lengths = dict(zip("yx", frame.shape[1:3], strict=True))
        target = np.zeros((1, *grid.output_size(lengths).values(), 1))
    assert frame.ndim == len(grid.input_axes)
    assert target.ndim == len(grid.output_axes)
    sizes = {}
    for letter, axis in grid.axes.items():
        sizes[letter] = frame.shape[grid.input_axes.index(letter)]
        assert (sizes[letter] - axis.minimum) % axis.step == 0
        if axis.size is not None and (packaged or not recipe.training_options):
            assert sizes[letter] == axis.size
    for letter, size in grid.output_size(sizes).items():
        assert target.shape[grid.output_axes.index(letter)] == size
    if "c" in grid.input_axes:
        # a network that is told of the pattern takes it in a channel of its own
        told = (source or recipe.source).training_options().get("informed", False)
        assert frame.shape[grid.input_axes.index("c")] == len(grid.channels) + told
    if "c" in grid.output_axes:
        assert target.shape[grid.output_axes.index("c")] == len(grid.outputs)
    for array in pair:
        assert array.dtype == np.float32
        assert np.isfinite(array).all()


def test_every_source_says_under_which_pixel_size_it_draws():
    kinds = [k for k in Source.kinds() if k.__module__.startswith("zoo.")]
    assert len(kinds) > 3
    for kind in kinds:
        marked = {
            name
            for name, field in kind.model_fields.items()
            if any(mark is CONDITION for mark in field.metadata)
        }
        assert "pixel_size_nm" in marked, kind.__name__
        # sizes and shares of the training are no conditions of a recording
        for name in marked:
            assert not name.endswith(("crop_px", "field_px", "_share", "_jitter_rad"))
            assert name not in ("scale", "brightness", "pedestal")


@every_source
def test_pairs_fit_the_network(recipe, source):
    for index in range(4):
        check_fit(recipe, source.sample(generator(1, index)), source=source)


@every_recipe
def test_the_declared_source_shows_what_the_package_takes(recipe):
    # smaller images may be trained on; those declared fill the package's tile
    check_fit(recipe, recipe.source.sample(generator(1, 9)), packaged=True)


@every_source
def test_inputs_are_scaled_and_not_constant(recipe, source):
    frames = np.stack(
        [seen(recipe, source, source.sample(generator(2, i))[0]) for i in range(8)]
    )
    assert (frames.reshape(8, -1).std(axis=1) > 0).all()
    if recipe.contract.before:
        # about [0, 1], whatever the camera counts
        assert frames.min() > -5
        assert frames.max() < 20
    else:
        # photons, which the network scales itself
        assert recipe.contract.grid.channels == ("photons",)
        assert np.abs(frames.min()) < 0.1 * frames.max()


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
    (one,) = shapes
    # many at a time are as good as one after the other
    together = source.batch(rng, 3)
    assert [a.shape for a in together] == [(3, *shape) for shape in one]
    assert all(a.dtype == np.float32 for a in together)


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
    # several exposures of an image are channels, or pages that follow each other
    assert first.counts.ndim == len(first.letters)
    exposures = len(recipe.contract.grid.channels)
    if first.letters[-1] == "c":
        assert first.counts.shape[-1] == exposures
        exposures = 1
    if isinstance(recipe.contract.input, MovieFrames):  # exposures of further images
        exposures = 1
    assert first.counts.shape[0] == 3 * exposures
    assert first.counts.dtype == np.uint16
    assert first.pixel_size_nm > 0
    assert np.array_equal(first.counts, again.counts)
    assert not np.array_equal(first.counts, other.counts)
    if isinstance(first.truth, Localizations):
        assert recipe.contract.task.kind != "image"
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
