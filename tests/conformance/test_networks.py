"""Every network keeps its declaration, and the contract of every recipe that uses it.

Nothing here knows how many axes a network has: sizes, tiles and halos are those of the
contract's grid, letter by letter.
"""

import functools
import itertools
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pytest

import zoo.recipes
from zoo import catalog
from zoo.core.grid import Axis, Grid
from zoo.core.network import Network
from zoo.core.processing import apply

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

TESTS = Path(__file__).parents[1]
STORED = TESTS / "data" / "weight_names"
SPECS = TESTS.parent / "specs"


class Promise(NamedTuple):
    """A network with options, and the grid that it must keep."""

    name: str
    network: Network
    options: dict[str, Any]
    grid: Grid | None
    """None for a network that no recipe uses: what its own tensors say."""


def promises() -> dict[str, Promise]:
    """Return what recipes, those of the tests too, promise, and what networks do."""
    with pytest.MonkeyPatch.context() as patch:
        toys = str(TESTS / "data" / "recipes")
        patch.setattr(zoo.recipes, "__path__", [*zoo.recipes.__path__, toys])
        recipes = catalog.recipes().values()
    kept: dict[str, Promise] = {}
    for r in recipes:
        promise = Promise(r.name, r.network, r.options, r.contract.grid)
        # recipes that differ in what they learn from promise the same
        if not any(promise[1:] == other[1:] for other in kept.values()):
            kept[r.name] = promise
    used = {promise.network.name for promise in kept.values()}
    for name, network in catalog.networks().items():
        if name not in used:
            kept[name] = Promise(name, network, {}, None)
    return kept


NETWORKS = catalog.networks()
PROMISES = promises()

every_network = pytest.mark.parametrize("name", NETWORKS)
UNPUBLISHED = {name for name in catalog.recipes() if not (SPECS / name).is_dir()}
"""Recipes without a package: their networks are tested when there is time."""


def siblings() -> set[str]:
    """Return the promises whose network an earlier, published one is built from."""
    first: dict[str, str] = {}
    for name, promise in PROMISES.items():
        if name not in UNPUBLISHED:
            first.setdefault(promise.network.name, name)
    return {n for n, p in PROMISES.items() if first.get(p.network.name, n) != n}


ALIKE = {"dfcan_sim", "dfgan_sim", "dfgan_widefield"}
"""Promises of networks with the layers of `dfcan_widefield`; what stands before them
has no weights, and tests of its own."""
RARE = UNPUBLISHED | siblings() | ALIKE
"""What is tested when there is time: what was tested, with other options or grid."""


def when_there_is_time(names: list[str]) -> list[Any]:
    """Return parameters of which the rare ones are slow."""
    slow = pytest.mark.slow
    return [pytest.param(n, marks=slow) if n in RARE else n for n in names]


def sees_far(promise: Promise) -> bool:
    """Say whether frames that show the support of a network are larger than 100 px."""
    axes = promise.grid.axes.values() if promise.grid is not None else ()
    return any((axis.halo or 0) > 32 for axis in axes)


every_promise = pytest.mark.parametrize("name", when_there_is_time(list(PROMISES)))
every_support = pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=pytest.mark.slow)
        if sees_far(promise) or name in RARE
        else name
        for name, promise in PROMISES.items()
    ],
)
OURS = when_there_is_time(
    [name for name, p in PROMISES.items() if p.network.name in NETWORKS]
)


def grid_of(name: str) -> Grid:
    """Return the grid of a promise; without recipe, from the shapes of the tensors."""
    promise = PROMISES[name]
    if promise.grid is not None:
        return promise.grid
    model = model_of(name)
    lengths = [length or 32 for length in model.input_shape[1:-1]]
    after = output(model, np.zeros((1, *lengths, model.input_shape[-1]), np.float32))
    before_space, after_space = ("zyx"[5 - n :] for n in (len(lengths) + 2, after.ndim))
    enlarged = dict(zip(after_space, after.shape[1:-1], strict=True))
    return Grid(
        input_axes=f"b{before_space}c",
        output_axes=f"b{after_space}c",
        axes={
            letter: Axis(scale=enlarged.get(letter, length) // length, halo=None)
            if fixed is None
            else Axis(scale=enlarged.get(letter, length) // length, size=fixed)
            for letter, length, fixed in zip(
                before_space, lengths, model.input_shape[1:-1], strict=True
            )
        },
        planes=enlarged.get("z") if "z" not in before_space else None,
        channels=tuple(f"in{i}" for i in range(model.input_shape[-1])),
        outputs=tuple(f"out{i}" for i in range(after.shape[-1])),
    )


def sizes(grid: Grid) -> list[dict[str, int]]:
    """Return lengths by letter that the network promises to take, of unequal sides."""
    cases = []
    for steps in ({"z": 4, "y": 9, "x": 5}, {"z": 3, "y": 7, "x": 12}):
        lengths = {
            letter: axis.size or axis.minimum + axis.step * (steps[letter] - 1)
            for letter, axis in grid.axes.items()
        }
        if lengths not in cases:
            cases.append(lengths)
    return cases


def shape_of(grid: Grid, lengths: dict[str, int]) -> tuple[int, ...]:
    return *(lengths[letter] for letter in grid.space), len(grid.channels)


def noise(grid: Grid, *, batch: int = 1, lengths=None, seed: int = 1) -> np.ndarray:
    shape = batch, *shape_of(grid, lengths or sizes(grid)[0])
    return np.random.default_rng(seed).random(shape, np.float32)


def varied(promise: Promise, seed: int, **options) -> keras.Model:
    """Build a network whose normalisations and biases are no longer neutral."""
    keras.utils.set_random_seed(seed)
    model = promise.network.build(**(promise.options | options))
    rng = np.random.default_rng(seed)
    for weight in model.weights:
        kind = weight.path.rpartition("/")[2]
        if kind in ("moving_variance", "gamma"):
            weight.assign(rng.uniform(0.7, 1.4, weight.shape))
        elif kind in ("moving_mean", "beta", "bias"):
            weight.assign(rng.normal(0, 0.1, weight.shape))
    return model


@functools.cache
def model_of(name: str) -> keras.Model:
    return varied(PROMISES[name], seed=0)


def output(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(frames, training=False)))


def assert_close(found: np.ndarray, expected: np.ndarray, relative: float = 1e-5):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


@every_network
def test_a_network_is_one_uncompiled_graph_under_its_name(name):
    network = NETWORKS[name]
    model = network.build()
    assert network.name == name == model.name
    assert re.fullmatch(r"[a-z][a-z0-9_]*", name)
    assert not model.compiled
    assert len(model.inputs) == len(model.outputs) == 1
    assert model.inputs[0].dtype == model.outputs[0].dtype == "float32"


@every_network
def test_the_parameters_are_as_many_as_declared(name):
    model = NETWORKS[name].build()
    counted = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert counted == NETWORKS[name].parameters


@every_network
def test_weight_names_equal_the_stored_list(name):
    # converters and published files address weights by them
    found = [f"{w.path} {tuple(w.shape)}" for w in NETWORKS[name].build().weights]
    path = STORED / f"{name}.txt"
    assert path.is_file(), "\n".join([f"{path} is missing; it would hold", *found])
    assert found == path.read_text(encoding="utf-8").splitlines()


@every_network
def test_layers_with_weights_are_named_by_hand(name):
    # Keras counts the names that it gives, so that a second graph has others
    first, second = NETWORKS[name].build(), NETWORKS[name].build()
    names = [layer.name for layer in first.layers if layer.weights]
    assert names == [layer.name for layer in second.layers if layer.weights]
    assert len(set(names)) == len(names)


@every_network
def test_a_network_says_where_it_comes_from(name):
    network = NETWORKS[name]
    assert re.fullmatch(r"10\.\d{4,9}/\S+", network.paper.doi)
    assert 1990 <= network.paper.year <= 2100
    assert network.published or network.note


@every_promise
def test_the_tensors_have_the_axes_of_the_contract(name):
    grid, model = grid_of(name), model_of(name)
    # the predictor brings other orders into this one, and networks of ours keep it
    assert grid.input_axes == f"b{grid.space}c"
    fixed = (grid.axes[letter].size for letter in grid.space)
    assert model.input_shape == (None, *fixed, len(grid.channels))
    if grid.output_space:
        assert grid.output_axes == f"b{grid.output_space}c"
        assert model.output_shape[-1] == len(grid.outputs)


@every_promise
@pytest.mark.parametrize("batch", [1, 2])
def test_the_output_is_the_input_enlarged(name, batch):
    grid, model = grid_of(name), model_of(name)
    for lengths in sizes(grid):
        found = output(model, noise(grid, batch=batch, lengths=lengths))
        expected = grid.output_size(lengths).values()
        assert found.shape == (batch, *expected, len(grid.outputs))
        assert found.dtype == np.float32
        assert found.std() > 0 or found.size == batch


LOAD = """
import sys
sys.modules["zoo"] = None  # importing it raises
import keras, numpy as np
for name in sys.argv[1:]:
    print(name, file=sys.stderr)
    model = keras.saving.load_model(f"{name}.keras", compile=False, safe_mode=True)
    frames = np.load(f"{name}.frames.npy")
    found = keras.ops.convert_to_numpy(model(frames, training=False))
    np.save(f"{name}.output.npy", found)
"""


FIRST = {
    "deep_storm_fast_microtubules",
    "dfcan_widefield",
    "gaire_resnet_three_color",
    "smnet_astigmatism",
    "toy_volume_points",
}
"""One of every kind of output, the quickest; published files are read without code of
ours in `tests/packages`, too."""


@pytest.mark.parametrize(
    "names",
    [
        pytest.param([n for n in PROMISES if n in FIRST], id="first"),
        pytest.param(
            [n for n in PROMISES if n not in FIRST], marks=pytest.mark.slow, id="others"
        ),
    ],
)
def test_the_saved_files_need_no_code_of_ours(names, tmp_path):
    for name in names:
        model_of(name).save(tmp_path / f"{name}.keras")
        np.save(tmp_path / f"{name}.frames.npy", noise(grid_of(name)))
    # one process for all: what takes time is to import Keras
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *names],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "KERAS_BACKEND": keras.config.backend()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    for name in names:
        found = np.load(tmp_path / f"{name}.output.npy")
        assert_close(found, output(model_of(name), noise(grid_of(name))), 1e-6)


def cancelled(model: keras.Model) -> set[str]:
    """Return the biases that a batch normalisation takes off again in training."""
    return {
        layer.bias.path
        for layer in model.layers
        if getattr(layer, "bias", None) is not None
        and all(
            isinstance(node.operation, keras.layers.BatchNormalization)
            for node in layer._outbound_nodes
        )
        and layer._outbound_nodes
    }


@pytest.mark.parametrize(
    "name",
    [
        # its steps take longest, and trainings of its kind run in tests of their own
        pytest.param(n, marks=pytest.mark.slow)
        if n in RARE or n == "dfcan_widefield"
        else n
        for n in PROMISES
    ],
)
def test_one_step_moves_every_trainable_weight(name):
    # two: batch normalisation over one sample of one pixel has no slope
    model, frames = varied(PROMISES[name], seed=3), noise(grid_of(name), batch=2)
    for weight in model.weights:
        # no rectifier may start below zero by chance: a narrow bottleneck would be shut
        if weight.path.endswith(("/bias", "/beta")):
            weight.assign(np.full(weight.shape, 0.5))
    target = np.random.default_rng(4).normal(size=output(model, frames).shape)
    still = cancelled(model)
    before = [np.array(np.asarray(weight)) for weight in model.trainable_weights]
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", run_eagerly=True)
    loss = model.train_on_batch(frames, target.astype(np.float32))
    assert np.isfinite(loss)
    for old, weight in zip(before, model.trainable_weights, strict=True):
        new = np.asarray(weight)
        assert np.isfinite(new).all(), weight.path
        assert np.any(new != old) or weight.path in still, weight.path


@every_promise
def test_equal_input_gives_equal_output(name):
    model, frames = model_of(name), noise(grid_of(name))
    assert_close(output(model, frames), output(model, frames), 1e-6)


@every_promise
def test_images_of_a_batch_do_not_mix(name):
    model, frames = model_of(name), noise(grid_of(name), batch=2)
    frames[1] = 100 * frames[1] ** 2  # other shapes, for what is blind to brightness
    together = output(model, frames)
    for i in range(2):
        alone = output(model, frames[i : i + 1])
        # products of other sizes are summed in another order
        assert_close(together[i : i + 1], alone, 1e-4)
    assert not np.allclose(together[0], together[1], rtol=1e-3)


@every_promise
@pytest.mark.parametrize("value", [0.0, 65_535.0, "hot pixel"])
def test_constant_and_saturated_input_gives_finite_output(name, value):
    frames = noise(grid_of(name))
    if value == "hot pixel":
        frames[(0, *(side // 3 for side in frames.shape[1:-1]))] = 65_535.0
    else:
        frames[:] = value
    assert np.isfinite(output(model_of(name), frames)).all()


@every_promise
def test_reduced_precision_keeps_weights_and_output_in_float32(name):
    model = varied(PROMISES[name], seed=0, dtype="mixed_bfloat16")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert model.outputs[0].dtype == "float32"
    paths = [weight.path for weight in model.weights]
    assert paths == [weight.path for weight in model_of(name).weights]
    policies = {layer.compute_dtype for layer in model.layers if layer.weights}
    assert "bfloat16" in policies
    frames = noise(grid_of(name))
    exact = output(model_of(name), frames)
    # eight bits of mantissa and tens of layers
    assert np.abs(output(model, frames) - exact).mean() < 0.1 * np.abs(exact).mean()


@pytest.fixture
def other_settings():
    """Give Keras unusual settings, as a user's configuration file may."""
    policy = keras.config.dtype_policy()
    floatx, layout = keras.config.floatx(), keras.config.image_data_format()
    keras.config.set_floatx("float16")
    keras.config.set_image_data_format("channels_first")
    keras.config.set_dtype_policy("mixed_float16")
    yield
    keras.config.set_floatx(floatx)
    keras.config.set_image_data_format(layout)
    keras.config.set_dtype_policy(policy)


@pytest.mark.parametrize("name", OURS)
@pytest.mark.usefixtures("other_settings")
def test_a_network_does_not_depend_on_the_settings_of_keras(name):
    promise, first = PROMISES[name], model_of(name)
    second = promise.network.build(**promise.options)
    assert [w.path for w in second.weights] == [w.path for w in first.weights]
    assert [w.shape for w in second.weights] == [w.shape for w in first.weights]
    assert {str(weight.dtype) for weight in second.weights} == {"float32"}
    second.set_weights([np.asarray(weight) for weight in first.weights])
    frames = noise(grid_of(name))
    assert second.outputs[0].dtype == "float32"
    assert_close(output(second, frames), output(first, frames), 1e-6)


@every_promise
def test_weights_that_are_prepared_for_training_stay_finite(name):
    promise = PROMISES[name]
    if promise.network.prepare is None:
        return
    model = promise.network.build(**promise.options)
    before = model.get_weights()
    promise.network.prepare(model)
    after = model.get_weights()
    assert all(np.isfinite(weight).all() for weight in after)
    assert any(np.any(a != b) for a, b in zip(before, after, strict=True))


def shared(grid: Grid) -> list[str]:
    """Return the letters along which a tile of the output belongs to one of the input.

    Letters of a fixed length, or for whose border nothing is promised, are left out.
    """
    return [
        letter
        for letter, axis in grid.axes.items()
        if letter in grid.output_space and axis.size is None and axis.halo is not None
    ]


def support(name: str, seed: int) -> dict[str, int]:
    """Return how far an output pixel sees along every letter, in input pixels.

    One input pixel is changed strongly, up or down, at every phase of the steps; the
    farthest output pixel that notices says how far.
    """
    grid, model = grid_of(name), varied(PROMISES[name], seed)
    rng = np.random.default_rng(seed)
    lengths, reaches = {}, {}
    for letter, axis in grid.axes.items():
        reaches[letter] = (axis.halo or 0) + 3
        steps = -(-(2 * reaches[letter] + axis.step) // axis.step)
        lengths[letter] = axis.size or axis.minimum + axis.step * steps
    frames = rng.random((4, *shape_of(grid, lengths)), np.float32)
    before = output(model, frames)
    farthest = dict.fromkeys(shared(grid), 0)
    phases = {
        letter: sorted({0, axis.step // 2, axis.step - 1})
        for letter, axis in grid.axes.items()
    }
    for phase in itertools.product(*(phases[letter] for letter in grid.space)):
        place = {
            letter: min(reaches[letter] + shift, lengths[letter] - 1)
            for letter, shift in zip(grid.space, phase, strict=True)
        }
        for change in (60.0, -60.0):
            changed = frames.copy()
            changed[(slice(None), *place.values())] += change
            noticed = np.abs(output(model, changed) - before).max(axis=(0, -1))
            at = np.nonzero(noticed > 1e-6 * np.abs(before).max())
            for letter in farthest:
                along = at[grid.output_space.index(letter)] // grid.scale(letter)
                away = np.abs(along - place[letter]).max(initial=0)
                farthest[letter] = max(farthest[letter], int(away))
    return farthest


@every_support
def test_the_halo_covers_the_measured_support(name):
    grid = grid_of(name)
    letters = shared(grid)
    if not letters:
        return
    measured = [support(name, seed) for seed in range(3)]
    for letter in letters:
        axis = grid.axes[letter]
        farthest = max(each[letter] for each in measured)
        assert farthest <= axis.halo, letter
        # a halo far too large would cost time in every tile; what random weights let
        # through to the corners of a deep network is lost in rounding, on some
        # processors sooner than on others
        assert axis.halo <= 1.15 * farthest + axis.step + 1, letter


@every_support
def test_a_tile_equals_the_whole_inside_its_halo(name):
    grid, model = grid_of(name), model_of(name)
    letters = shared(grid)
    if not letters:
        return
    # tiles start at multiples of the step; so does what remains without their halo
    halos = {
        x: grid.axes[x].step * -(-grid.axes[x].halo // grid.axes[x].step)
        for x in letters
    }
    lengths = {
        letter: axis.size or axis.minimum + 3 * halos[letter] + (6 - i) * axis.step
        for i, (letter, axis) in enumerate(grid.axes.items())
    }
    whole = 5 * noise(grid, lengths=lengths)
    expected = output(model, whole)
    # a side that coincides with the border of the whole needs no halo
    kinds = [(0, 1), (2, 0), (1, 1)]  # steps cut off before and behind
    for number in range(len(kinds)):
        tile, inside, same = [], [], []
        for i, letter in enumerate(grid.space):
            if letter not in letters:
                tile.append(slice(None))
                continue
            before, behind = kinds[(number + i) % len(kinds)]
            step, scale = grid.axes[letter].step, grid.scale(letter)
            first, last = before * step, lengths[letter] - behind * step
            low = first + (halos[letter] if before else 0)
            high = last - (halos[letter] if behind else 0)
            assert low < high
            tile.append(slice(first, last))
            inside.append(
                (letter, slice((low - first) * scale, (high - first) * scale))
            )
            same.append((letter, slice(low * scale, high * scale)))
        cut = output(model, whole[(slice(None), *tile)])
        at, of = (
            (slice(None), *(dict(spans).get(x, slice(None)) for x in grid.output_space))
            for spans in (inside, same)
        )
        assert_close(cut[at], expected[of])


@every_promise
def test_a_network_of_fixed_size_takes_no_other(name):
    grid = grid_of(name)
    for letter, axis in grid.axes.items():
        if axis.size is None:
            continue
        assert (axis.size - axis.minimum) % axis.step == 0
        other = sizes(grid)[0] | {letter: axis.size + axis.step}
        with pytest.raises(ValueError, match="shape"):
            output(model_of(name), noise(grid, lengths=other))


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(n, marks=pytest.mark.slow) if n in ALIKE else n
        for n in sorted(set(PROMISES) & {p.name for p in SPECS.iterdir()})
    ],
)
def test_published_weights_give_the_stored_output_in_a_fresh_graph(name):
    recipe, folder = catalog.recipe(name), SPECS / name
    stored = keras.saving.load_model(folder / "weights.keras", compile=False)
    fresh = recipe.network.build(**recipe.options)
    assert [w.path for w in fresh.weights] == [w.path for w in stored.weights]
    fresh.set_weights(stored.get_weights())
    test_input = np.load(folder / "test_input.npy")
    frames = apply(recipe.contract.before, test_input, recipe.contract.grid.input_axes)
    assert_close(output(fresh, frames), output(stored, frames), 1e-6)
