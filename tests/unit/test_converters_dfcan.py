"""Checkpoints in the layout of the authors' program, against a NumPy rendering of it.

The reference below follows the description of the network (exact GELU, unnormalised
transform, quadrants swapped about (n + 1) // 2, corner-aligned resizing of TensorFlow
1), not our layers.
"""

import json

import h5py
import numpy as np
import pytest
from keras import ops
from scipy.special import erf

from converters.checkpoints.dfcan import load_dfcan
from converters.mapping import MappingError
from zoo.core.errors import BadInput

# raised inside Keras where it reads its own variables

WIDTH, SPECTRUM = 16, 16


def convolutions(groups, blocks, *, channels=1, scale=2, width=WIDTH):
    """Return (kernel, bias) of every convolution in the order of the program."""
    rng = np.random.default_rng(21)
    shapes = [(3, channels, width)]
    for _ in range(groups * blocks):
        narrow = width // 16
        shapes += [(3, width, width)] * 3 + [(1, width, narrow), (1, narrow, width)]
    shapes += [(3, width, width * scale**2), (3, width, 1)]
    return [
        (
            rng.normal(0, 0.5 / np.sqrt(k * k * i), (k, k, i, o)).astype("float32"),
            rng.normal(0, 0.1, o).astype("float32"),
        )
        for k, i, o in shapes
    ]


def write(path, weights, *, first=1, order=None, config=None):
    """Write what Keras 2.2 writes: a group per layer, lists of names as attributes."""
    names = [f"conv2d_{first + n}" for n in range(len(weights))]
    layers = [("input_1", None)]
    for n, (name, pair) in enumerate(zip(names, weights, strict=True)):
        layers.append((name, pair))
        layers.append((f"lambda_{n + 1}", None))
    layers.append(("activation_1", None))
    if order is not None:
        layers = [layers[i] for i in order(len(layers))]
    with h5py.File(path, "w") as file:
        root = file if config is None else file.create_group("model_weights")
        if config is not None:
            file.attrs["model_config"] = json.dumps(config).encode()
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        root.attrs["backend"] = b"tensorflow"
        root.attrs["keras_version"] = b"2.2.4"
        for name, pair in layers:
            group = root.create_group(name)
            stored = [] if pair is None else [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = [item.encode() for item in stored]
            for item, array in zip(stored, pair or (), strict=True):
                group.create_dataset(item, data=array)
    return path


def conv(x, pair):
    kernel, bias = pair
    edge = kernel.shape[0] // 2
    height, width = x.shape[:2]
    padded = np.pad(x, [(edge, edge), (edge, edge), (0, 0)])
    return bias + sum(
        padded[i : i + height, j : j + width] @ kernel[i, j].astype(float)
        for i in range(kernel.shape[0])
        for j in range(kernel.shape[1])
    )


def gelu(x):
    return x * 0.5 * (1 + erf(x / np.sqrt(2)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def corner_resized(x, size):
    for axis in (0, 1):
        length = x.shape[axis]
        place = np.minimum(np.arange(size) * length / size, length - 1)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, length - 1)
        part = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def attended(x, pairs, gamma):
    amplitude = (np.abs(np.fft.fft2(x, axes=(0, 1))) + 1e-8) ** gamma
    swapped = np.roll(
        amplitude, [(n + 1) // 2 for n in amplitude.shape[:2]], axis=(0, 1)
    )
    y = np.maximum(conv(corner_resized(swapped, SPECTRUM), next(pairs)), 0)
    y = np.maximum(conv(y.mean((0, 1), keepdims=True), next(pairs)), 0)
    return x * sigmoid(conv(y, next(pairs)))


def reference(x, weights, groups, blocks, gamma, scale):
    pairs = iter(weights)
    x = gelu(conv(x, next(pairs)))
    for _ in range(groups):
        skip = x
        for _ in range(blocks):
            y = gelu(conv(x, next(pairs)))
            y = gelu(conv(y, next(pairs)))
            x = attended(y, pairs, gamma) + x
        x = x + skip
    x = gelu(conv(x, next(pairs)))
    height, width, depth = x.shape
    x = x.reshape(height, width, scale, scale, depth // scale**2)
    x = x.transpose(0, 2, 1, 3, 4).reshape(scale * height, scale * width, -1)
    return sigmoid(conv(x, next(pairs)))


@pytest.mark.parametrize(
    ("groups", "blocks", "gamma", "channels", "scale", "shape"),
    [
        (4, 4, 0.8, 1, 2, (21, 30)),
        (4, 4, 0.8, 9, 3, (16, 16)),
        (2, 1, 0.1, 1, 2, (12, 19)),
    ],
)
def test_the_published_program_is_reproduced(
    tmp_path, groups, blocks, gamma, channels, scale, shape
):
    weights = convolutions(groups, blocks, channels=channels, scale=scale)
    path = write(tmp_path / "weights.best", weights)
    options = (
        {} if groups == 4 else {"groups": groups, "blocks": blocks, "gamma": gamma}
    )
    model = load_dfcan(path, spectrum_px=SPECTRUM, **options)
    image = np.random.default_rng(22).random((*shape, channels))
    expected = reference(image, weights, groups, blocks, gamma, scale)
    found = ops.convert_to_numpy(model(image[None].astype("float32")))[0]
    assert found.shape == expected.shape
    # the picture must have some contrast for the comparison to mean anything
    assert np.ptp(expected) > 0.01
    np.testing.assert_allclose(found, expected, atol=2e-5)


def test_normalised_spectra_are_the_same_at_the_training_tile(tmp_path):
    path = write(tmp_path / "w", convolutions(4, 4))
    image = np.random.default_rng(23).random((1, SPECTRUM, SPECTRUM, 1), "float32")
    found = [
        ops.convert_to_numpy(
            load_dfcan(path, spectrum_px=SPECTRUM, spectrum=spectrum)(image)
        )
        for spectrum in ("published", "normalised")
    ]
    np.testing.assert_allclose(*found, atol=1e-6)


def test_a_checkpoint_of_published_size_is_recognised(tmp_path):
    weights = convolutions(4, 4, channels=9, width=64)
    model = load_dfcan(write(tmp_path / "w", weights, first=85), tile=128)
    assert model.count_params() == 1_935_361
    assert model.input_shape == (None, 128, 128, 9)


def test_the_generator_of_dfgan_is_told_apart_by_its_layers(tmp_path):
    path = write(tmp_path / "w", convolutions(5, 10))
    model = load_dfcan(path, spectrum_px=SPECTRUM)
    names = {layer.name for layer in model.layers}
    assert "group5_block10_conv1" in names
    assert "group6_add" not in names


def described(gamma):
    return {
        "class_name": "Model",
        "config": {
            "layers": [
                {"class_name": "InputLayer", "config": {"name": "input_1"}},
                {"class_name": "Lambda", "config": {"arguments": {"gamma": gamma}}},
                {"class_name": "Lambda", "config": {"arguments": None}},
            ]
        },
    }


def test_a_whole_model_file_is_read_and_its_exponent_checked(tmp_path):
    weights = convolutions(4, 4)
    path = write(tmp_path / "a", weights, config=described(0.8))
    assert load_dfcan(path, spectrum_px=SPECTRUM).name == "dfcan"
    path = write(tmp_path / "b", weights, config=described(0.3))
    with pytest.raises(MappingError, match=r"exponent 0\.3, not 0\.8"):
        load_dfcan(path)


def test_a_file_out_of_order_is_refused(tmp_path):
    def swapped(count):
        return [0, 3, 2, 1, *range(4, count)]

    path = write(tmp_path / "w", convolutions(4, 4), order=swapped)
    with pytest.raises(MappingError, match="order of their numbers"):
        load_dfcan(path)


def test_other_networks_are_refused_in_one_line(tmp_path):
    weights = convolutions(4, 4)
    with pytest.raises(MappingError, match=r"80 convolutions .*DFCAN has 83"):
        load_dfcan(write(tmp_path / "a", weights[:-3]))
    odd = [
        *weights[:-2],
        (np.zeros((3, 3, 16, 40), "f"), np.zeros(40, "f")),
        weights[-1],
    ]
    with pytest.raises(MappingError, match="not a DFCAN: its first"):
        load_dfcan(write(tmp_path / "b", odd))
    wrong = list(weights)
    wrong[2] = (wrong[2][0][:, :, :1], wrong[2][1])
    with pytest.raises(MappingError, match="shapes differ: conv2d_3/kernel"):
        load_dfcan(write(tmp_path / "c", wrong), spectrum_px=SPECTRUM)
    path = write(tmp_path / "d", weights)
    with h5py.File(path, "r+") as file:
        file["conv2d_3"].attrs["weight_names"] = [b"conv2d_3/kernel:0"]
    with pytest.raises(MappingError, match="instead of a kernel and a bias"):
        load_dfcan(path)
    with pytest.raises(BadInput, match="is not a file"):
        load_dfcan(tmp_path / "missing")
