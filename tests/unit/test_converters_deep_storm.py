"""Checkpoints of Deep-STORM and AutoDS, against a NumPy rendering of both.

The files are written here as Keras 1, Keras 2 and Keras 3 lay them out.  The networks
are rendered from their descriptions, not from our layers.
"""

import h5py
import numpy as np
import pytest
import yaml
from scipy.io import savemat

from converters import registry
from converters.autods import AUTODS, HALO_PX, autods
from converters.checkpoints.deep_storm import convert, load_deep_storm
from converters.mapping import MappingError
from zoo.core.errors import BadInput
from zoo.io.library import open_package
from zoo.predict.contract import read_contract

WIDTHS = (32, 64, 128, 512, 128, 64, 32)
AUTODS_WIDTHS = (32, 64, 128, 256, 128, 64)


def normalisation(rng, width):
    return {
        "gamma": rng.uniform(0.5, 1.5, width),
        "beta": rng.normal(0, 0.2, width),
        "moving_mean": rng.normal(0, 0.2, width),
        "moving_variance": rng.uniform(0.5, 2.0, width),
    }


def kernel(rng, size, before, after):
    scale = np.sqrt(2 / (before * size**2))
    return rng.normal(0, scale, (size, size, before, after))


def deep_storm_weights():
    """Return weights by layer and name, in the order of the program."""
    rng, before, layers = np.random.default_rng(8), 1, {}
    for number, width in enumerate(WIDTHS, start=1):
        layers[f"conv-CNNF{number}"] = {"kernel": kernel(rng, 3, before, width)}
        layers[f"BN-CNNF{number}"] = normalisation(rng, width)
        before = width
    layers["Prediction"] = {"kernel": kernel(rng, 1, before, 1)}
    return layers


def autods_weights(doublings=3):
    rng, before, layers = np.random.default_rng(9), 1, {}
    names = [(f"F{n}", f"BN_{n}", w, 3) for n, w in enumerate(AUTODS_WIDTHS, start=1)]
    names += [
        (f"conv_upsample{n}", f"BN_upsample{n}", 32, 5) for n in range(1, doublings + 1)
    ]
    for conv, norm, width, size in names:
        layers[conv] = {
            "kernel": kernel(rng, size, before, width),
            "bias": rng.normal(0, 0.1, width),
        }
        layers[norm] = normalisation(rng, width)
        before = width
    layers["Prediction"] = {"kernel": np.abs(kernel(rng, 1, before, 1))}
    return layers


def keras1_name(layer, weight):
    short = {"kernel": "W", "bias": "b", "moving_mean": "running_mean",
             "moving_variance": "running_std"}  # fmt: skip
    return f"{layer}_{short.get(weight, weight)}:0"


def keras2_name(layer, weight):
    return f"{layer}/{weight}:0"


def keras3_name(layer, weight):
    return f"{layer}/{weight}"


def write(path, layers, name=keras2_name, *, whole=False):
    """Write a file of weights, or of a whole model, as Keras does."""
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        if whole:
            file["optimizer_weights/training/Adam/m"] = np.ones(3)
        version = {keras1_name: "1.2.2", keras2_name: "2.1.2", keras3_name: "3.8.0"}
        root.attrs["keras_version"] = version[name].encode()
        root.attrs["layer_names"] = [b"input_1", *(layer.encode() for layer in layers)]
        root.create_group("input_1").attrs["weight_names"] = []
        for layer, weights in layers.items():
            group = root.create_group(layer)
            names = [name(layer, weight) for weight in weights]
            group.attrs["weight_names"] = [item.encode() for item in names]
            for item, array in zip(names, weights.values(), strict=True):
                group[item] = array.astype("f4")
    return path


def conv(x, weights):
    k = weights["kernel"]
    edge = k.shape[0] // 2
    padded = np.pad(x, [(edge, edge), (edge, edge), (0, 0)])
    windows = np.lib.stride_tricks.sliding_window_view(padded, k.shape[:2], (0, 1))
    return np.tensordot(windows, k, ((2, 3, 4), (2, 0, 1))) + weights.get("bias", 0.0)


def normalised(x, w):
    spread = np.sqrt(w["moving_variance"] + 1e-3)
    return np.maximum((x - w["moving_mean"]) / spread * w["gamma"] + w["beta"], 0)


def deep_storm_input(frame, mean, std):
    """Return a frame (y, x) of counts as the network takes it."""
    return ((frame - frame.min()) / (np.ptp(frame) + 1e-6) - mean) / std


def deep_storm_reference(ready, layers):
    """Return the density of a standardised frame (y, x)."""
    x = np.kron(ready, np.ones((8, 8)))[..., None]
    for number in range(1, 8):
        x = conv(x, layers[f"conv-CNNF{number}"])
        x = normalised(x, layers[f"BN-CNNF{number}"])
        if number <= 3:
            height, width, maps = x.shape
            x = x.reshape(height // 2, 2, width // 2, 2, maps).max(axis=(1, 3))
        elif number <= 6:
            x = np.kron(x, np.ones((2, 2, 1)))
    return conv(x, layers["Prediction"])[..., 0]


def doubled(x):
    """Interpolate linearly at the centres of pixels half as large."""
    for axis in (0, 1):
        size = x.shape[axis]
        place = np.clip((np.arange(2 * size) + 0.5) / 2 - 0.5, 0, size - 1)
        low = np.floor(place).astype(int)
        part = (place - low).reshape((-1, 1, 1) if axis == 0 else (1, -1, 1))
        high = np.minimum(low + 1, size - 1)
        x = np.take(x, low, axis) * (1 - part) + np.take(x, high, axis) * part
    return x


def autods_reference(ready, layers, doublings=3):
    x = ready[..., None]
    for number in range(1, 7):
        x = normalised(conv(x, layers[f"F{number}"]), layers[f"BN_{number}"])
    for number in range(1, doublings + 1):
        x = conv(doubled(x), layers[f"conv_upsample{number}"])
        x = normalised(x, layers[f"BN_upsample{number}"])
    return conv(x, layers["Prediction"])[..., 0]


def frame(size=6):
    return np.random.default_rng(4).poisson(150, (size, size + 1)).astype(float)


@pytest.mark.parametrize(
    ("name", "whole"),
    [(keras1_name, False), (keras2_name, False), (keras2_name, True)],
)
def test_deep_storm_computes_what_the_program_does(tmp_path, name, whole):
    layers = deep_storm_weights()
    model = load_deep_storm(write(tmp_path / "w.hdf5", layers, name, whole=whole))
    ready = deep_storm_input(frame(), 0.196, 0.178)
    found = np.asarray(model(ready[None, ..., None].astype("f4")))[0, ..., 0]
    expected = deep_storm_reference(ready, layers)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=5e-5 * np.abs(expected).max())


@pytest.mark.parametrize(("name", "doublings"), [(keras2_name, 3), (keras3_name, 2)])
def test_autods_computes_what_the_notebook_does(tmp_path, name, doublings):
    layers = autods_weights(doublings)
    model = load_deep_storm(write(tmp_path / "best_weights.h5", layers, name))
    image = frame()
    ready = (image - image.mean()) / image.std()
    found = np.asarray(model(ready[None, ..., None].astype("f4")))[0, ..., 0]
    expected = autods_reference(ready, layers, doublings)
    assert expected.shape == tuple(2**doublings * n for n in image.shape)
    assert expected.std() > 0.1
    np.testing.assert_allclose(found, expected, atol=5e-5 * np.abs(expected).max())


def test_the_graph_of_autods_is_what_is_declared():
    model = autods()
    trained = sum(int(np.prod(w.shape)) for w in model.trainable_weights)
    assert trained == AUTODS.parameters
    with pytest.raises(ValueError, match="power of two"):
        autods(upsampling=6)


def test_no_pixel_reaches_beyond_the_halo():
    model = autods()
    for weight in model.weights:
        if weight.path.endswith("kernel"):
            weight.assign(np.full(weight.shape, 1 / np.prod(weight.shape[:3])))
    size = 2 * HALO_PX + 7
    image = np.ones((2, size, size, 1), "f4")
    image[1, size // 2, size // 2] = 1e3
    flat, changed = np.asarray(model(image))[..., 0]
    difference = np.abs(changed - flat).max(axis=0)
    # elsewhere it is rounding, on some processors
    lines = np.nonzero(difference > 1e-6 * np.abs(changed).max())[0] // 8
    reach = max(size // 2 - lines.min(), lines.max() - size // 2)
    assert reach == HALO_PX


@pytest.mark.tensorflow
def test_zoo_convert_takes_the_pair_of_files(tmp_path):
    import onnxruntime

    layers = deep_storm_weights()
    write(tmp_path / "weights_tubulin.hdf5", layers, whole=True)
    scalars = {"mean_test": 0.19608, "std_test": 0.17764}
    savemat(tmp_path / "meanstd_tubulin.mat", scalars)
    made = registry.checkpoint("deep_storm")(
        str(tmp_path), tmp_path / "made", verify=False
    )
    package = open_package(made)
    image = package.test_input()[0, ..., 0].astype(float)
    ready = deep_storm_input(image, *scalars.values())
    # the corner, as far as it does not depend on what is cut off
    expected = deep_storm_reference(ready[:16, :16], layers)[:88, :88]
    found = package.test_output()[0, :88, :88, 0]
    most = np.abs(expected).max()
    np.testing.assert_allclose(found, expected.clip(0), atol=5e-5 * most)
    contract = read_contract(package)
    assert [step["id"] for step in contract.before] == [
        "scale_range", "fixed_zero_mean_unit_variance",
    ]  # fmt: skip
    assert contract.before[1]["kwargs"] == {"mean": 0.19608, "std": 0.17764}
    assert contract.task.ideal_peak == 48.4
    rdf = yaml.safe_load((made / "rdf.yaml").read_text(encoding="utf-8"))
    assert rdf["config"]["superres_zoo"]["published_architecture"]
    session = onnxruntime.InferenceSession(package.weights_path("onnx"))
    batch = ready[None, ..., None].astype("f4")
    (found,) = session.run(None, {session.get_inputs()[0].name: batch})
    np.testing.assert_allclose(found[0, :88, :88, 0], expected, atol=5e-5 * most)


@pytest.mark.tensorflow
def test_zoo_convert_takes_a_network_of_autods(tmp_path):
    layers = autods_weights(2)
    path = write(tmp_path / "best_weights.h5", layers)
    savemat(tmp_path / "model_metadata.mat", {"Normalization factor": 200.0})
    made = convert(path, tmp_path / "made", verify=False)
    package = open_package(made)
    image = package.test_input()[0, ..., 0].astype(float)
    ready = (image - image.mean()) / (image.std() + 1e-6)
    cut = 14 + HALO_PX
    expected = autods_reference(ready[:cut, :cut], layers, 2)[:56, :56]
    found = package.test_output()[0, :56, :56, 0]
    most = np.abs(expected).max()
    np.testing.assert_allclose(found, expected.clip(0), atol=5e-5 * most)
    contract = read_contract(package)
    assert [step["id"] for step in contract.before] == ["zero_mean_unit_variance"]
    assert contract.grid.axes["x"].scale == 4
    assert contract.task.ideal_peak == 98.4


@pytest.mark.slow
@pytest.mark.tensorflow
def test_a_converted_network_of_autods_passes_the_official_test(tmp_path):
    path = write(tmp_path / "best_weights.h5", autods_weights(2), keras3_name)
    made = convert(path, tmp_path / "made")
    assert (made / "rdf.yaml").is_file()


def test_what_is_missing_or_foreign_is_refused_in_one_line(tmp_path):
    def refused(source, error, text):
        with pytest.raises(error, match=text) as caught:
            convert(source, tmp_path / "made")
        assert "\n" not in str(caught.value)
        assert not (tmp_path / "made").exists()

    layers = deep_storm_weights()
    refused(tmp_path, BadInput, "it holds none")
    path = write(tmp_path / "weights_a.hdf5", layers)
    refused(path, BadInput, "none has these")
    write(tmp_path / "weights_b.hdf5", layers)
    refused(tmp_path, BadInput, r"it holds weights_a\.hdf5, weights_b\.hdf5")
    for name in ("c", "d"):
        savemat(
            tmp_path / f"meanstd_{name}.mat", {"mean_test": 0.2, "std_test": np.nan}
        )
    refused(path, BadInput, "none has these")
    (tmp_path / "meanstd_d.mat").unlink()
    refused(path, BadInput, "mean 0.2 and std nan")
    (tmp_path / "meanstd_c.mat").write_bytes(b"no matrix")
    refused(path, BadInput, "cannot be read as a MATLAB file")
    (tmp_path / "meanstd_c.mat").unlink()
    savemat(tmp_path / "meanstd_c.mat", {"mean_test": 0.2, "std_test": 0.1})
    other = write(tmp_path / "other.h5", {"dense": {"kernel": np.ones((2, 2))}})
    refused(other, MappingError, "neither Deep-STORM")
    del layers["BN-CNNF4"]
    path = write(tmp_path / "weights_a.hdf5", layers)
    refused(path, MappingError, "weights are not set: f4_norm")
