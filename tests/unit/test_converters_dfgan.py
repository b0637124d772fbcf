"""Checkpoints of the generator of DFGAN, as the authors' program writes them.

What the layers compute is tested with DFCAN's checkpoints, whose layout is the same.
"""

import h5py
import numpy as np
import pytest
from keras import ops

from converters.checkpoints.dfcan import load_dfcan
from converters.checkpoints.dfgan import convert, load_dfgan
from converters.mapping import MappingError
from converters.registry import checkpoint

WIDTH, SPECTRUM = 16, 16


def convolutions(groups, blocks, *, channels=1, scale=2):
    """Return (kernel, bias) of every convolution in the order of the program."""
    rng = np.random.default_rng(31)
    shapes = [(3, channels, WIDTH)]
    for _ in range(groups * blocks):
        shapes += [(3, WIDTH, WIDTH)] * 3 + [(1, WIDTH, 1), (1, 1, WIDTH)]
    shapes += [(3, WIDTH, WIDTH * scale**2), (3, WIDTH, 1)]
    return [
        (
            rng.normal(0, 0.5 / np.sqrt(k * k * i), (k, k, i, o)).astype("float32"),
            rng.normal(0, 0.1, o).astype("float32"),
        )
        for k, i, o in shapes
    ]


def write(path, weights):
    """Write what Keras 2.2 writes: a group per layer, lists of names as attributes."""
    names = [f"conv2d_{n + 1}" for n in range(len(weights))]
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in names]
        file.attrs["keras_version"] = b"2.2.4"
        for name, pair in zip(names, weights, strict=True):
            group = file.create_group(name)
            stored = [f"{name}/kernel:0", f"{name}/bias:0"]
            group.attrs["weight_names"] = [item.encode() for item in stored]
            for item, array in zip(stored, pair, strict=True):
                group.create_dataset(item, data=array)
    return path


@pytest.mark.parametrize(
    ("channels", "scale"), [(1, 2), pytest.param(9, 3, marks=pytest.mark.slow)]
)
def test_every_tensor_finds_its_layer(tmp_path, channels, scale):
    weights = convolutions(5, 10, channels=channels, scale=scale)
    path = write(tmp_path / "weights.best", weights)
    model = load_dfgan(path, spectrum_px=SPECTRUM)
    assert model.name == "dfgan"
    assert model.input_shape[-1] == channels
    flat = [array for pair in weights for array in pair]
    assert len(flat) == len(model.weights)
    for found, array in zip(model.get_weights(), flat, strict=True):
        np.testing.assert_array_equal(found, array)
    image = np.random.default_rng(1).random((1, 16, 16, channels), np.float32)
    same = load_dfcan(path, spectrum_px=SPECTRUM)
    np.testing.assert_array_equal(
        *(ops.convert_to_numpy(network(image)) for network in (model, same))
    )
    assert model.output_shape[-1] == 1


def test_it_is_found_by_the_name_of_the_network():
    assert checkpoint("dfgan") is convert


def test_a_checkpoint_of_dfcan_is_refused(tmp_path):
    path = write(tmp_path / "weights.best", convolutions(4, 4))
    with pytest.raises(MappingError, match="--as dfcan"):
        convert(path, tmp_path / "package")
    assert not (tmp_path / "package").exists()


def test_the_discriminator_is_refused(tmp_path):
    with pytest.raises(MappingError, match="convolutions"):
        load_dfgan(write(tmp_path / "weights_d.best", convolutions(5, 10)[:11]))
