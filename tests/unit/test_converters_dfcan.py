"""Checkpoints in the layout of the authors' program, against that in NumPy."""

import h5py
import numpy as np
import pytest
from dfcan_program import SPECTRUM, convolutions, reference, write
from keras import ops

from converters.checkpoints.dfcan import load_dfcan
from converters.mapping import MappingError
from zoo.core.errors import BadInput


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
