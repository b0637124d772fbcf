from pathlib import Path

import h5py
import numpy as np
import pytest

from converters.readers import read_keras2
from zoo.core.errors import BadInput

DATA = Path(__file__).parents[1] / "data" / "tensorflow_addons"


def test_saved_model_gives_tensors_in_order_and_its_config():
    found = read_keras2(DATA / "instance_norm.h5")
    assert list(found.tensors) == [
        "enc_conv/kernel",
        "enc_conv/bias",
        "enc_norm/gamma",
        "enc_norm/beta",
        "mid_conv/kernel",
        "out_conv/kernel",
        "out_conv/bias",
    ]
    assert found.tensors["enc_conv/kernel"].shape == (3, 3, 2, 4)
    assert found.layers["mid_norm"] == ()
    assert found.config is not None
    assert found.config["class_name"] == "Functional"
    assert found.written_by == {"keras": "2.15.0", "backend": "tensorflow"}


def test_saved_weights_are_the_same_without_config():
    weights = read_keras2(DATA / "instance_norm_weights.h5")
    model = read_keras2(DATA / "instance_norm.h5")
    assert weights.config is None
    assert weights.layers == model.layers
    for name, tensor in model.tensors.items():
        np.testing.assert_array_equal(weights.tensors[name], tensor)


def test_nested_models_keep_the_inner_name():
    found = read_keras2(DATA / "weight_norm.h5")
    assert found.layers["block"] == (
        "block/block_wn/g",
        "block/block_wn/kernel",
        "block/block_wn/bias",
        "block/block_wn/initialized",
    )


def test_lists_that_keras_cut_in_pieces_are_joined(tmp_path):
    path = tmp_path / "pieces.h5"
    with h5py.File(path, "w") as file:
        file.attrs["layer_names0"] = np.array([b"a"])
        file.attrs["layer_names1"] = np.array([b"b"])
        for layer in "ab":
            group = file.create_group(layer)
            group.attrs["weight_names"] = np.array([f"{layer}/kernel:0".encode()])
            group[f"{layer}/kernel:0"] = np.full(2, ord(layer), "float32")
    found = read_keras2(path)
    assert {name: float(t[0]) for name, t in found.tensors.items()} == {
        "a/kernel": 97.0,
        "b/kernel": 98.0,
    }


def foreign(path):
    with h5py.File(path, "w") as file:
        file["data"] = np.ones(3)


def keras3(path):
    with h5py.File(path, "w") as file:
        file.create_group("layers/conv2d/vars")


def without_tensor(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"a"])
        file.create_group("a").attrs["weight_names"] = np.array([b"a/kernel:0"])


def same_name_twice(path):
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = np.array([b"a"])
        group = file.create_group("a")
        group.attrs["weight_names"] = np.array([b"a/kernel:0", b"a/kernel:1"])
        group["a/kernel:0"] = group["a/kernel:1"] = np.ones(2)


@pytest.mark.parametrize(
    ("write", "complaint"),
    [
        (Path.mkdir, "not a file"),
        (lambda path: path.write_bytes(b"not hdf5"), "cannot be read"),
        (foreign, "give a file from save"),
        (keras3, "of Keras 3"),
        (without_tensor, "is it complete"),
        (same_name_twice, "two tensors called a/kernel"),
    ],
)
def test_other_files_are_refused_in_one_line(tmp_path, write, complaint):
    path = tmp_path / "file.h5"
    write(path)
    with pytest.raises(BadInput, match=complaint) as caught:
        read_keras2(path)
    assert "\n" not in str(caught.value)


def test_truncated_file_is_refused(tmp_path):
    path = tmp_path / "cut.h5"
    path.write_bytes((DATA / "instance_norm.h5").read_bytes()[:15_000])
    with pytest.raises(BadInput, match="is it complete"):
        read_keras2(path)
