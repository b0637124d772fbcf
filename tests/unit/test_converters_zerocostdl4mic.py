import csv
import hashlib
import json
from functools import cache

import keras
import numpy as np
import pytest
import scipy.io
import yaml
from keras import layers

from converters.formats import zerocostdl4mic
from converters.formats.zerocostdl4mic import split, to_zerocostdl4mic, training_log
from zoo.core.errors import BadInput, BadPackage
from zoo.models.deep_storm import deep_storm
from zoo.models.deep_storm_fast import deep_storm_fast

MEAN, STD = 0.14, 0.12
LOG = [(9.0, 8.0, 1e-3), (5.0, 4.0, 5e-4), (4.0, 4.5, 1e-5)]


def randomised(model):
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if "moving_variance" in weight.path:
            weight.assign(rng.uniform(0.5, 2.0, weight.shape))
        elif weight.path.endswith(("moving_mean", "beta", "gamma")):
            weight.assign(rng.normal(0.5, 0.3, weight.shape))
    return model


def write_package(folder, model, *, history=True):
    folder.mkdir()
    model.save(folder / "weights.keras")
    digest = hashlib.sha256((folder / "weights.keras").read_bytes()).hexdigest()
    for name in ("test_input.npy", "test_output.npy"):
        np.save(folder / name, np.zeros((1, 8, 8, 1), "float32"))
    sizes = [{"id": "batch", "type": "batch"}]
    sizes += [{"id": a, "type": "space", "size": 64, "scale": 64.0} for a in "yx"]
    sizes += [{"id": "channel", "type": "channel", "channel_names": ["intensity"]}]
    ends = {
        f"{end}s": [
            {
                "id": end,
                "axes": sizes,
                "data": {"type": "float32"},
                "test_tensor": {"source": f"test_{end}.npy"},
            }
        ]
        for end in ("input", "output")
    }
    description = {
        "format_version": "0.5.10",
        "type": "model",
        "id": folder.name,
        "name": "A test",
        "license": "BSD-3-Clause",
        "cite": [{"text": "Nehme et al. 2018", "doi": "10.1364/OPTICA.5.000458"}],
        **ends,
        "weights": {
            "keras_v3": {
                "source": "weights.keras",
                "sha256": digest,
                "keras_version": "3.15.1",
                "backend": ["tensorflow", "2.21.0"],
            }
        },
        "config": {
            "superres_zoo": {
                "version": 2,
                "contract": {
                    "input": {"kind": "frames"},
                    "task": {
                        "kind": "density",
                        "ideal_peak": 48.4,
                        "threshold": 0.25,
                        "window_px": 5,
                    },
                    "training": {"pixel_size_nm": [95, 105]},
                },
            }
        },
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(description), encoding="utf-8")
    if history:
        with (folder / "history.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["epoch", "loss", "val_loss", "learning_rate"])
            writer.writerows((n, *row) for n, row in enumerate(LOG))
    return folder


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return randomised(deep_storm(mean=MEAN, std=STD))


@pytest.fixture(scope="module")
def converted(model, tmp_path_factory):
    folder = tmp_path_factory.mktemp("zerocostdl4mic")
    package = write_package(folder / "deep_storm_test", model)
    return to_zerocostdl4mic(package, folder / "out" / "model")


def notebook_network(size):
    """The network as the notebook defines it: on an image that is already enlarged."""
    start = x = keras.Input((size, size, 1))
    for number, width in enumerate((32, 64, 128, 512, 128, 64, 32), start=1):
        x = layers.Conv2D(width, (3, 3), padding="same", use_bias=False)(x)
        x = layers.BatchNormalization()(x)
        x = layers.Activation("relu")(x)
        if number <= 3:
            x = layers.MaxPooling2D((2, 2))(x)
        elif number <= 6:
            x = layers.UpSampling2D((2, 2))(x)
    x = layers.Conv2D(1, (1, 1), padding="same", activation="linear", use_bias=False)(x)
    return keras.Model(start, x)


def in_the_notebook(folder, frame, weights):
    """Scale, standardise, enlarge and predict as the notebook does."""
    metadata = scipy.io.loadmat(folder / "model_metadata.mat")
    factor = int(metadata["upsampling_factor"].item())
    scaled = (frame - frame.min()) / (frame.max() - frame.min())
    normed = (scaled - metadata["mean_test"]) / metadata["std_test"]
    enlarged = np.kron(normed, np.ones((factor, factor))).astype("float32")
    network = notebook_network(enlarged.shape[0])
    network.load_weights(folder / f"{weights}.weights.keras")
    return enlarged, np.asarray(network(enlarged[None, ..., None], training=False))


@pytest.mark.parametrize("weights", ["best", "last"])
def test_notebook_network_gives_what_the_package_gives(model, converted, weights):
    frame = np.random.default_rng(2).integers(100, 900, (12, 12)).astype("float64")
    enlarged, found = in_the_notebook(converted, frame, weights)
    trunk, _, _ = split(model, "deep_storm_test")
    same = np.asarray(trunk(enlarged[None, ..., None], training=False))
    np.testing.assert_array_equal(found, same)

    scaled = (frame - frame.min()) / (frame.max() - frame.min())
    whole = np.asarray(model(scaled[None, ..., None].astype("float32")))
    assert found.shape == whole.shape == (1, 96, 96, 1)
    np.testing.assert_allclose(found, whole, atol=1e-5 * np.abs(whole).max())
    assert whole.std() > 1e-3


def test_metadata_has_the_names_and_values_that_the_notebook_reads(converted):
    metadata = scipy.io.loadmat(converted / "model_metadata.mat")
    assert metadata["mean_test"].item() == pytest.approx(MEAN, rel=1e-6)
    assert metadata["std_test"].item() == pytest.approx(STD, rel=1e-6)
    assert metadata["upsampling_factor"].item() == 8
    assert metadata["Normalization factor"].item() == 100.0


def test_log_gives_the_learning_rates_that_training_continues_with(converted):
    path = converted / "Quality Control" / "training_evaluation.csv"
    with path.open(newline="", encoding="utf-8") as file:
        log = list(csv.DictReader(file))
    assert list(log[0]) == ["loss", "val_loss", "learning rate"]
    assert float(log[-1]["learning rate"]) == 1e-5
    best = min(log, key=lambda row: float(row["val_loss"]))
    assert float(best["learning rate"]) == 5e-4


def test_readme_states_threshold_window_and_the_half_pixel(converted):
    text = (converted / "README.txt").read_text(encoding="utf-8")
    for part in (
        "Threshold: 0.121 ",
        "neighborhood_size: 5",
        "6.25 nm for camera pixels of 100 nm",
        "95 to 105 nm",
        "10.1364/OPTICA.5.000458",
        "BSD-3-Clause",
    ):
        assert part in text
    assert "keeps no training log" not in text
    assert sorted(p.name for p in converted.iterdir()) == [
        "Quality Control",
        "README.txt",
        "best.weights.keras",
        "last.weights.keras",
        "model_metadata.mat",
    ]


def test_fourfold_upsampling_without_log(tmp_path):
    model = randomised(deep_storm(upsampling=4, mean=0.2, std=0.5))
    package = write_package(tmp_path / "four", model, history=False)
    folder = to_zerocostdl4mic(str(package), tmp_path / "out")
    frame = np.random.default_rng(3).random((10, 10))
    _, found = in_the_notebook(folder, frame, "best")
    assert found.shape == (1, 40, 40, 1)
    assert not (folder / "Quality Control").exists()
    text = (folder / "README.txt").read_text(encoding="utf-8")
    assert "keeps no training log" in text
    assert "12.5 nm" in text


def test_log_in_the_recipe_is_found_and_epochs_without_figures_are_not(tmp_path):
    names = ("loss", "val_loss", "learning_rate")
    rows = [dict(zip(names, row, strict=True)) for row in LOG]
    rows[1]["val_loss"] = "nan"
    rows.append({"loss": 1.0})
    recipe = {"run": {"history": rows}}
    (tmp_path / "recipe.json").write_text(json.dumps(recipe), encoding="utf-8")
    assert training_log(tmp_path) == [rows[0], rows[2]]
    assert training_log(tmp_path / "nowhere") == []


@cache
def published():
    return deep_storm()


def changed(**options):
    """Return the network with some options of one of its layers changed."""

    def change(name):
        config = published().get_config()
        for layer in config["layers"]:
            if layer["config"]["name"] == name:
                layer["config"].update(options)
            if layer["class_name"] == "Conv2D":
                layer["config"]["kernel_initializer"] = "zeros"  # quick to draw
        return keras.Model.from_config(config)

    return change


def shorter(_):
    model = published()
    return keras.Model(model.input, model.get_layer("f7_relu").output)


@pytest.mark.parametrize(
    ("layer", "change", "complaint"),
    [
        ("", lambda _: deep_storm_fast(), "has Conv2D 3x3 to 80"),
        ("f2_norm", changed(epsilon=1e-5), r"BatchNormalization \(epsilon 1e-05\)"),
        ("f3_conv", changed(use_bias=True), r"Conv2D 3x3 to 128 \(use_bias True\)"),
        ("f4_conv", changed(kernel_size=(5, 5)), "5x5 to 512 where Conv2D 3x3 to 512"),
        ("f1_relu", changed(max_value=6.0), r"ReLU \(max_value 6.0\)"),
        ("enlarge", changed(interpolation="bilinear"), "8x8 bilinear where"),
        ("enlarge", changed(size=(16, 16)), "16x16 nearest where"),
        ("density", changed(activation="relu"), "activation relu"),
        ("", shorter, "has nothing where Conv2D 1x1 to 1 belongs"),
    ],
)
def test_other_networks_are_refused(layer, change, complaint):
    with pytest.raises(BadPackage, match=complaint) as caught:
        split(change(layer), "some_package")
    assert "some_package is not the published Deep-STORM" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_refused_package_leaves_nothing(tmp_path):
    package = write_package(tmp_path / "fast", deep_storm_fast())
    with pytest.raises(BadPackage, match="fast is not the published"):
        to_zerocostdl4mic(package, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["fast"]


def test_existing_output_is_not_touched(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="exists already"):
        to_zerocostdl4mic("deep_storm_microtubules", tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_interrupted_conversion_leaves_nothing(model, tmp_path, monkeypatch):
    package = write_package(tmp_path / "package", model)

    def full_disk(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(zerocostdl4mic.scipy.io, "savemat", full_disk)
    with pytest.raises(OSError, match="No space left"):
        to_zerocostdl4mic(package, tmp_path / "out")
    assert [p.name for p in tmp_path.iterdir()] == ["package"]


def test_a_wrong_copy_is_noticed(model, tmp_path, monkeypatch):
    package = write_package(tmp_path / "package", model)
    real = keras.Model.load_weights

    def spoilt(self, path, *args, **kwargs):
        real(self, path, *args, **kwargs)
        self.weights[0].assign(np.asarray(self.weights[0]) + 0.01)

    monkeypatch.setattr(keras.Model, "load_weights", spoilt)
    with pytest.raises(BadPackage, match="differs from the package"):
        to_zerocostdl4mic(package, tmp_path / "out")
    assert not (tmp_path / "out").exists()
