"""Every network in the catalogue keeps the promise of its declaration."""

import functools
import os
import re
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from zoo import catalog
from zoo.core.network import Grid, Network

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

NETWORKS = catalog.networks()
LOCAL = [name for name, network in NETWORKS.items() if network.grid.tile is None]
FIXED = [name for name, network in NETWORKS.items() if network.grid.tile is not None]
STORED = Path(__file__).parents[1] / "data" / "weight_names"

every_network = pytest.mark.parametrize("name", NETWORKS)


def sizes(grid: Grid) -> list[tuple[int, int]]:
    """Return heights and widths that the network promises to take."""
    if grid.tile is not None:
        return [(grid.tile, grid.tile)]
    return [(grid.step * rows, grid.step * columns) for rows, columns in SHAPES]


SHAPES = ((5, 9), (12, 7), (8, 8))


def varied(network: Network, seed: int, **options) -> keras.Model:
    """Build a network whose normalisations and biases are no longer neutral."""
    keras.utils.set_random_seed(seed)
    model = network.build(**options)
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
    return varied(NETWORKS[name], seed=0)


def output(model: keras.Model, frames: np.ndarray) -> np.ndarray:
    return np.asarray(keras.ops.convert_to_numpy(model(frames, training=False)))


def noise(network: Network, *, batch: int = 1, size=None, seed: int = 1) -> np.ndarray:
    height, width = size or sizes(network.grid)[0]
    shape = (batch, height, width, network.grid.channels)
    return np.random.default_rng(seed).random(shape, np.float32)


def assert_close(found: np.ndarray, expected: np.ndarray, relative: float = 1e-5):
    assert found.shape == expected.shape
    assert np.abs(found - expected).max() <= relative * np.abs(expected).max()


@every_network
def test_a_network_is_one_uncompiled_graph_under_its_name(name):
    network, model = NETWORKS[name], model_of(name)
    assert network.name == name
    assert model.name == name
    assert not model.compiled
    assert len(model.inputs) == len(model.outputs) == 1
    assert model.inputs[0].dtype == model.outputs[0].dtype == "float32"
    assert network.grid.axes == "byxc"
    tile = network.grid.tile
    assert model.input_shape == (None, tile, tile, network.grid.channels)
    assert model.output_shape[-1] == network.grid.outputs


@every_network
def test_the_parameters_are_as_many_as_declared(name):
    # a fresh graph, because it is the defaults that are declared
    model = NETWORKS[name].build()
    counted = sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)
    assert counted == NETWORKS[name].parameters


@every_network
@pytest.mark.parametrize("batch", [1, 2])
def test_the_output_is_the_input_enlarged(name, batch):
    network, model = NETWORKS[name], model_of(name)
    for height, width in sizes(network.grid):
        found = output(model, noise(network, batch=batch, size=(height, width)))
        scale = network.grid.scale
        assert found.shape == (
            batch,
            height * scale,
            width * scale,
            network.grid.outputs,
        )
        assert found.dtype == np.float32
        assert found.std() > 0


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


LOAD = """
import sys
sys.modules["zoo"] = None  # importing it raises
import keras, numpy as np
model = keras.saving.load_model(sys.argv[1], compile=False, safe_mode=True)
frames = np.load(sys.argv[2])
np.save(sys.argv[3], keras.ops.convert_to_numpy(model(frames, training=False)))
"""


@every_network
def test_the_saved_file_needs_no_code_of_ours(name, tmp_path):
    network, model = NETWORKS[name], model_of(name)
    frames = noise(network)
    model.save(tmp_path / "model.keras")
    np.save(tmp_path / "frames.npy", frames)
    done = subprocess.run(
        [sys.executable, "-c", LOAD, "model.keras", "frames.npy", "output.npy"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": "", "KERAS_BACKEND": keras.config.backend()},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    assert_close(np.load(tmp_path / "output.npy"), output(model, frames), 1e-6)


@every_network
def test_one_step_moves_every_trainable_weight(name):
    network = NETWORKS[name]
    model = varied(network, seed=3)
    for weight in model.weights:
        # no rectifier may start below zero by chance: a narrow bottleneck would be shut
        if weight.path.endswith(("/bias", "/beta")):
            weight.assign(np.full(weight.shape, 0.5))
    frames = noise(network)
    target = np.random.default_rng(4).normal(size=output(model, frames).shape)
    before = [np.array(np.asarray(weight)) for weight in model.trainable_weights]
    model.compile(optimizer=keras.optimizers.Adam(1e-3), loss="mse", run_eagerly=True)
    loss = model.train_on_batch(frames, target.astype(np.float32))
    assert np.isfinite(loss)
    for old, weight in zip(before, model.trainable_weights, strict=True):
        new = np.asarray(weight)
        assert np.isfinite(new).all(), weight.path
        assert np.any(new != old), weight.path


@every_network
def test_equal_input_gives_equal_output(name):
    model, frames = model_of(name), noise(NETWORKS[name])
    assert_close(output(model, frames), output(model, frames), 1e-6)


@every_network
def test_images_of_a_batch_do_not_mix(name):
    model, frames = model_of(name), noise(NETWORKS[name], batch=2)
    frames[1] *= 5
    together = output(model, frames)
    for i in range(2):
        alone = output(model, frames[i : i + 1])
        # products of other sizes are summed in another order
        assert_close(together[i : i + 1], alone, 1e-4)
    assert not np.allclose(together[0], together[1], rtol=0.01)


@every_network
@pytest.mark.parametrize("value", [0.0, 65_535.0])
def test_constant_and_saturated_input_gives_finite_output(name, value):
    frames = np.full_like(noise(NETWORKS[name], batch=1), value)
    assert np.isfinite(output(model_of(name), frames)).all()


@every_network
def test_a_hot_pixel_gives_finite_output(name):
    frames = noise(NETWORKS[name], batch=1)
    frames[0, 2, 3] = 65_535.0
    assert np.isfinite(output(model_of(name), frames)).all()


@every_network
def test_reduced_precision_keeps_weights_and_output_in_float32(name):
    network = NETWORKS[name]
    model = varied(network, seed=0, dtype="mixed_bfloat16")
    assert {str(weight.dtype) for weight in model.weights} == {"float32"}
    assert model.outputs[0].dtype == "float32"
    paths = [weight.path for weight in model.weights]
    assert paths == [weight.path for weight in model_of(name).weights]
    policies = {layer.compute_dtype for layer in model.layers if layer.weights}
    assert "bfloat16" in policies
    frames = noise(network)
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


@every_network
@pytest.mark.usefixtures("other_settings")
def test_a_network_does_not_depend_on_the_settings_of_keras(name):
    network, first = NETWORKS[name], model_of(name)
    second = network.build()
    assert [w.path for w in second.weights] == [w.path for w in first.weights]
    assert [w.shape for w in second.weights] == [w.shape for w in first.weights]
    assert {str(weight.dtype) for weight in second.weights} == {"float32"}
    second.set_weights([np.asarray(weight) for weight in first.weights])
    frames = noise(network)
    assert second.outputs[0].dtype == "float32"
    assert_close(output(second, frames), output(first, frames), 1e-6)


def support(network: Network, model: keras.Model, seed: int) -> int:
    """Return how far an output pixel sees, in input pixels.

    One input pixel is changed strongly, up or down, at every phase of the step; the
    farthest output pixel that notices says how far.
    """
    grid, rng = network.grid, np.random.default_rng(seed)
    reach = grid.halo + 3
    edge = grid.step * -(-(2 * reach + grid.step) // grid.step)
    phases = sorted({0, grid.step // 2, grid.step - 1})
    places = [(reach + i, reach + j) for i in phases for j in phases]
    frames = rng.random((4, edge, edge, grid.channels), np.float32)
    before = output(model, frames)
    farthest = 0
    for row, column in places:
        for change in (60.0, -60.0):
            changed = frames.copy()
            changed[:, row, column] += change
            noticed = np.abs(output(model, changed) - before).max(axis=(0, 3))
            rows, columns = np.nonzero(noticed > 1e-6 * np.abs(before).max())
            distances = [
                np.abs(rows // grid.scale - row),
                np.abs(columns // grid.scale - column),
            ]
            farthest = max(farthest, *(int(d.max()) for d in distances if d.size))
    return farthest


@pytest.mark.parametrize("name", LOCAL)
def test_the_halo_covers_the_measured_support(name):
    network = NETWORKS[name]
    measured = [support(network, varied(network, seed=seed), seed) for seed in range(3)]
    assert 0 < max(measured) <= network.grid.halo
    # a halo far too large would cost time in every tile
    assert network.grid.halo <= max(measured) + network.grid.step


@pytest.mark.parametrize("name", LOCAL)
def test_a_tile_equals_the_whole_inside_its_halo(name):
    network, model = NETWORKS[name], model_of(name)
    grid = network.grid
    step, scale = grid.step, grid.scale
    # tiles start at multiples of the step; so does what is left of their halo
    halo = step * -(-grid.halo // step)
    whole = noise(network, batch=1, size=(3 * halo + 7 * step, 3 * halo + 5 * step))
    height, width = whole.shape[1:3]
    expected = output(model, 5 * whole)
    for top, bottom, left, right in (
        (0, height - step, step, width),
        (2 * step, height, 0, width - 2 * step),
        (step, height - step, step, width - step),
    ):
        tile = output(model, 5 * whole[:, top:bottom, left:right])
        # a side that coincides with the border of the whole needs no halo
        up = top + (halo if top else 0)
        down = bottom - (halo if bottom < height else 0)
        first = left + (halo if left else 0)
        last = right - (halo if right < width else 0)
        inside = tile[
            :,
            (up - top) * scale : (down - top) * scale,
            (first - left) * scale : (last - left) * scale,
        ]
        assert inside.size
        assert_close(
            inside,
            expected[:, up * scale : down * scale, first * scale : last * scale],
        )


@pytest.mark.parametrize("name", FIXED)
def test_a_network_with_global_context_takes_one_size_only(name):
    network, model = NETWORKS[name], model_of(name)
    tile = network.grid.tile
    assert tile is not None
    assert tile % network.grid.step == 0
    other = noise(network, batch=1, size=(tile + network.grid.step, tile))
    with pytest.raises(ValueError, match="shape"):
        output(model, other)


@every_network
def test_a_network_says_where_it_comes_from(name):
    network = NETWORKS[name]
    assert re.fullmatch(r"10\.\d{4,9}/\S+", network.paper.doi)
    assert 1990 <= network.paper.year <= 2100
    assert re.fullmatch(r"[a-z][a-z0-9_]*", network.name)
    assert network.published or network.note
    if network.task == "density":
        assert network.ideal_peak is not None
        assert network.ideal_peak > 0
