import json
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import keras
import numpy as np
import pytest

from converters.checkpoints.tensorflow_addons import (
    fold_weight_norm,
    load_tensorflow_addons,
)
from converters.mapping import MappingError
from converters.readers import read_keras2
from zoo.io.keras_file import check_keras_file

DATA = Path(__file__).parents[1] / "data" / "tensorflow_addons"


def array(name):
    return np.load(DATA / f"{name}.npy")


def config_of(name):
    config = read_keras2(DATA / f"{name}.h5").config
    assert config is not None
    return deepcopy(config)


def layer_in(config, name):
    return next(x for x in config["config"]["layers"] if x["config"]["name"] == name)


def double_output(model, inputs):
    """Return what a network gives in double precision, on every processor the same."""
    copy = keras.models.model_from_json(
        model.to_json().replace('"float32"', '"float64"')
    )
    copy.set_weights(model.get_weights())
    image = array(inputs).astype(np.float64)
    return keras.ops.convert_to_numpy(copy(image, training=False))


def assert_same(model, inputs, expected):
    found = double_output(model, inputs)
    assert found.dtype == np.float64
    largest = np.abs(array(expected)).max()
    assert largest > 0.1
    np.testing.assert_allclose(found, array(expected), rtol=0, atol=1e-6 * largest)


@pytest.mark.parametrize(
    ("name", "options", "inputs"),
    [
        ("instance_norm", {}, "instance_norm_input"),
        ("group_norm", {"gelu": "approximate"}, "group_norm_input"),
        ("spectral_norm_fresh", {}, "spectral_norm_input"),
        ("spectral_norm_trained", {}, "spectral_norm_input"),
        ("spectral_norm_trained", {"unwrap_spectral": True}, "spectral_norm_input"),
        ("weight_norm", {}, "weight_norm_input"),
    ],
)
def test_outputs_of_the_library_are_reproduced(name, options, inputs):
    model = load_tensorflow_addons(DATA / f"{name}.h5", **options)
    assert_same(model, inputs, f"{name}_output")


def test_weights_alone_need_the_config():
    path = DATA / "instance_norm_weights.h5"
    with pytest.raises(MappingError, match="holds weights only"):
        load_tensorflow_addons(path)
    config = json.loads((DATA / "instance_norm_weights.json").read_text())
    model = load_tensorflow_addons(path, config=config)
    assert_same(model, "instance_norm_input", "instance_norm_output")


def test_a_training_call_normalises_kernels_as_the_library_does():
    model = load_tensorflow_addons(DATA / "spectral_norm_fresh.h5")
    found = keras.ops.convert_to_numpy(
        model(array("spectral_norm_input"), training=True)
    )
    np.testing.assert_allclose(found, array("spectral_norm_called_output"), atol=1e-6)
    for name in ("sn1", "sn2", "sn3"):
        wrapper = model.get_layer(name)
        for tensor, weight in (
            ("u", wrapper.vector_u),
            ("kernel", wrapper.layer.kernel),
        ):
            np.testing.assert_allclose(
                np.asarray(weight),
                array(f"spectral_norm_called_{name}_{tensor}"),
                atol=1e-6,
            )


def test_results_are_of_stock_layers_and_load_without_this_project(tmp_path):
    names = {
        "instance_norm": "instance_norm",
        "group_norm": "group_norm",
        "spectral_norm_trained": "spectral_norm",
        "weight_norm": "weight_norm",
    }
    for name, inputs in names.items():
        model = load_tensorflow_addons(DATA / f"{name}.h5", gelu="approximate")
        model.save(tmp_path / f"{name}.keras")
        check_keras_file(tmp_path / f"{name}.keras")
        # what the library's outputs were compared with
        assert_same(model, f"{inputs}_input", f"{name}_output")
        np.save(tmp_path / f"{name}.npy", double_output(model, f"{inputs}_input"))
    script = (
        "import keras, numpy as np, sys\n"
        "for name, x in (a.split(':') for a in sys.argv[3:]):\n"
        "    model = keras.saving.load_model(f'{sys.argv[1]}/{name}.keras')\n"
        "    double = model.to_json().replace('\"float32\"', '\"float64\"')\n"
        "    double = keras.models.model_from_json(double)\n"
        "    double.set_weights(model.get_weights())\n"
        "    x = np.load(f'{sys.argv[2]}/{x}_input.npy').astype(np.float64)\n"
        "    y = keras.ops.convert_to_numpy(double(x, training=False))\n"
        "    assert abs(y - np.load(f'{sys.argv[1]}/{name}.npy')).max() < 1e-6\n"
        "assert 'converters' not in sys.modules\n"
    )
    pairs = [f"{name}:{inputs}" for name, inputs in names.items()]
    command = [sys.executable, "-c", script, str(tmp_path), str(DATA), *pairs]
    subprocess.run(command, check=True, cwd=tmp_path)


def test_instance_norm_fits_any_channel_count_of_the_file():
    model = load_tensorflow_addons(DATA / "instance_norm.h5")
    assert model.get_layer("enc_norm").groups in (-1, 4)
    assert model.get_layer("mid_norm").epsilon == 1e-5
    assert not model.get_layer("mid_norm").weights


def test_bare_gelu_must_be_given_its_meaning():
    with pytest.raises(MappingError, match="does not say which form"):
        load_tensorflow_addons(DATA / "group_norm.h5")
    exact = load_tensorflow_addons(DATA / "group_norm.h5", gelu="exact")
    found = keras.ops.convert_to_numpy(exact(array("group_norm_input")))
    assert np.abs(found - array("group_norm_output")).max() > 1e-5


def test_older_files_name_the_library_in_the_activation():
    config = config_of("group_norm")
    for name in ("gelu1", "dense"):
        layer_in(config, name)["config"]["activation"] = "Addons>gelu"
    layer_in(config, "conv2")["config"]["activation"] = "Addons>mish"
    model = load_tensorflow_addons(DATA / "group_norm.h5", config=config)
    assert_same(model, "group_norm_input", "group_norm_output")


def test_weight_norm_without_initialisation():
    with pytest.raises(MappingError, match="'wn1' was saved before"):
        load_tensorflow_addons(DATA / "weight_norm_fresh.h5")


def test_folding_gives_slices_the_stated_length():
    rng = np.random.default_rng(3)
    g, v = rng.uniform(1, 2, 5), rng.normal(size=(3, 3, 2, 5))
    kernel = fold_weight_norm(g, v)
    np.testing.assert_allclose(np.linalg.norm(kernel.reshape(-1, 5), axis=0), g)
    np.testing.assert_allclose(kernel[0, 1] / v[0, 1], kernel[2, 0] / v[2, 0])


def test_a_shared_layer_is_built_once_and_called_twice():
    config = config_of("instance_norm")
    shared = layer_in(config, "mid_conv")
    shared["inbound_nodes"].append([["mid_norm", 0, 0, {}]])
    skip = layer_in(config, "skip")
    skip["inbound_nodes"] = [[["mid_conv", 1, 0, {}], ["enc_relu", 0, 0, {}]]]
    path = DATA / "instance_norm.h5"
    model = load_tensorflow_addons(path, config=config)
    reference = load_tensorflow_addons(path)
    x = array("instance_norm_input")
    middle = keras.Model(
        reference.input,
        [
            reference.get_layer("mid_norm").output,
            reference.get_layer("enc_relu").output,
        ],
    )
    normed, relu = middle(x)
    expected = reference.get_layer("out_conv")(
        reference.get_layer("mid_conv")(normed) + relu
    )
    np.testing.assert_allclose(
        keras.ops.convert_to_numpy(model(x)),
        keras.ops.convert_to_numpy(expected),
        atol=1e-6,
    )


def rename(name, **changes):
    def change(config):
        layer_in(config, name).update(changes)

    return change


def options(name, **changes):
    def change(config):
        layer_in(config, name)["config"].update(changes)

    return change


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (rename("enc_norm", class_name="Addons>Maxout"), "Maxout of tensorflow-addons"),
        (rename("enc_relu", class_name="Lambda"), "is a Lambda"),
        (rename("enc_relu", class_name="MyOwn"), "is a MyOwn"),
        (options("enc_conv", activation="Addons>snake"), "activation snake"),
        (options("enc_conv", colour="red"), "'enc_conv' .*colour"),
        (
            options(
                "enc_conv",
                activation={
                    "module": "os",
                    "class_name": "function",
                    "config": "system",
                    "registered_name": "function",
                },
            ),
            r"'enc_conv' names code outside Keras \(os\)",
        ),
        (options("enc_conv", filters=3), "'skip' cannot follow what is before it"),
        (
            options("enc_conv", kernel_size=[5, 3]),
            r"shapes differ: enc_conv/kernel \(3, 3, 2, 4\) → enc_conv/kernel \(5",
        ),
        (options("mid_norm", scale=True), "no tensors for gamma of layer 'mid_norm'"),
        (options("out_conv", use_bias=False), "left over: out_conv/bias"),
        (rename("enc_norm", inbound_nodes=[{"args": []}]), "as Keras 3 does it"),
        (
            rename("enc_relu", inbound_nodes=[[["enc_norm", 0, 0, {"mask": 1}]]]),
            "'enc_relu' is called with mask",
        ),
        (rename("enc_conv", inbound_nodes=[[["skip", 0, 0, {}]]]), "not connected"),
        (lambda c: c.update(class_name="Recurrence"), "describes a Recurrence"),
    ],
)
def test_what_cannot_be_rebuilt_is_named_in_one_line(change, complaint):
    config = config_of("instance_norm")
    change(config)
    with pytest.raises(MappingError, match=complaint) as caught:
        load_tensorflow_addons(DATA / "instance_norm.h5", config=config)
    assert "\n" not in str(caught.value)


def test_sequential_without_input_shape_is_refused():
    config = config_of("group_norm")
    del config["config"]["layers"][0]
    with pytest.raises(MappingError, match="does not state the shape"):
        load_tensorflow_addons(DATA / "group_norm.h5", config=config, gelu="exact")
    config["config"]["build_input_shape"] = [None, 9, 8, 1]
    model = load_tensorflow_addons(
        DATA / "group_norm.h5", config=config, gelu="approximate"
    )
    assert_same(model, "group_norm_input", "group_norm_output")
