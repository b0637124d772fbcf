import json
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from zoo.core.errors import BadPackage
from zoo.core.files import sha256
from zoo.package import export
from zoo.package.zips import read_members, write_zip

pytestmark = pytest.mark.tensorflow

WRITERS = {
    ".keras": export.export_keras,
    ".onnx": export.export_onnx,
    ".zip": export.export_saved_model,
}


def network(*, dtype="float32", channels=1, seed=3):
    """Return a small graph of what our networks use, with weights set by a seed."""
    import keras
    from keras import layers, ops

    frame = keras.Input((None, None, channels), name="frame", dtype="float32")
    x = layers.Rescaling(5.0, -1.25, dtype=dtype, name="standardise")(frame)
    x = layers.UpSampling2D(2, dtype=dtype, name="enlarge")(x)
    x = layers.Conv2D(4, 3, padding="same", use_bias=False, dtype=dtype, name="conv")(x)
    x = layers.BatchNormalization(dtype=dtype, name="norm")(x)
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    x = layers.MaxPooling2D(2, dtype=dtype, name="pool")(x)
    x = layers.Conv2D(4, 3, padding="same", dtype=dtype, name="last")(x)
    model = keras.Model(frame, ops.nn.depth_to_space(x, 2), name="small")
    rng = np.random.default_rng(seed)
    model.set_weights(
        [rng.uniform(0.1, 1, w.shape).astype("float32") for w in model.get_weights()]
    )
    return model


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_format_has_the_same_bytes_in_every_process(tmp_path, suffix):
    model = network()
    path = WRITERS[suffix](model, tmp_path / f"first{suffix}")
    again = WRITERS[suffix](network(), tmp_path / f"second{suffix}")
    if suffix == ".keras":  # Keras numbers unnamed operations over the whole process
        again = export.export_keras(export.load_keras(path), again)

    assert sha256(path) == sha256(again)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted([path.name, again.name])


@pytest.mark.slow
def test_another_process_writes_the_same_onnx_and_saved_model(tmp_path):
    script = tmp_path / "write.py"
    script.write_text(
        f"import sys; sys.path[:0] = [{str(Path(export.__file__).parents[2])!r}]\n"
        "from pathlib import Path\n"
        "from zoo.package import export\n"
        f"model = export.load_keras({str(tmp_path / 'm.keras')!r})\n"
        f"export.export_onnx(model, Path({str(tmp_path / 'other.onnx')!r}))\n"
        f"export.export_saved_model(model, Path({str(tmp_path / 'other.zip')!r}))\n"
    )
    export.export_keras(network(), tmp_path / "m.keras")
    subprocess.run([sys.executable, script], check=True, capture_output=True)

    model = network()
    export.export_onnx(model, tmp_path / "own.onnx")
    export.export_saved_model(model, tmp_path / "own.zip")

    assert sha256(tmp_path / "own.onnx") == sha256(tmp_path / "other.onnx")
    assert sha256(tmp_path / "own.zip") == sha256(tmp_path / "other.zip")


def test_keras_file_loads_without_keys_that_older_versions_refuse(tmp_path):
    model = network()
    path = export.export_keras(model, tmp_path / "m.keras")

    members = read_members(path)
    text = members["config.json"].decode()
    assert not [key for key in export.NEW_KEYS if f'"{key}"' in text]
    assert json.loads(members["metadata.json"])["date_saved"].startswith("2000-01-01")
    with zipfile.ZipFile(path) as archive:
        assert {info.date_time for info in archive.infolist()} == {
            (1980, 1, 1, 0, 0, 0)
        }
    image = np.random.default_rng(0).random((2, 12, 20, 1), np.float32)
    reloaded = export.load_keras(path)
    np.testing.assert_array_equal(
        export.predict(reloaded, image), export.predict(model, image)
    )


def test_a_key_that_is_not_at_its_default_stays():
    config = {"layers": [{"renorm": True, "input_axes": None, "units": 4}]}
    export._drop_new_keys(config)
    assert config == {"layers": [{"renorm": True, "units": 4}]}


def test_onnx_has_the_tensors_and_sizes_that_the_description_names(tmp_path):
    import onnx

    path = export.export_onnx(network(channels=2), tmp_path / "m.onnx")

    model = onnx.load(path)
    assert [opset.version for opset in model.opset_import if not opset.domain] == [17]
    (given,), (found,) = model.graph.input, model.graph.output
    assert (given.name, found.name) == ("input", "output")
    sizes = [d.dim_param or d.dim_value for d in given.type.tensor_type.shape.dim]
    assert sizes == ["batch", "input_1", "input_2", 2]
    assert all(node.name.startswith(node.op_type) for node in model.graph.node)
    assert not model.graph.value_info


def test_saved_model_is_frozen(tmp_path):
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    path = export.export_saved_model(network(), tmp_path / "m.zip")

    assert set(read_members(path)) == {"saved_model.pb", "variables/"}
    saved = SavedModel.FromString(read_members(path)["saved_model.pb"])
    graph = saved.meta_graphs[0].graph_def
    operators = {node.op for node in graph.node}
    assert "Const" in operators
    assert not {op for op in operators if "Var" in op or "Restore" in op}
    assert not graph.library.function
    signature = saved.meta_graphs[0].signature_def["serving_default"]
    assert set(signature.inputs) == {"input"}
    assert set(signature.outputs) == {"output"}


def test_a_model_trained_in_bfloat16_is_written_in_float32(tmp_path):
    half, full = network(dtype="mixed_bfloat16"), network()
    plain = export.as_float32(half)
    image = np.random.default_rng(0).random((1, 16, 16, 1), np.float32)

    assert export.as_float32(full) is full
    np.testing.assert_array_equal(
        export.predict(plain, image), export.predict(full, image)
    )
    path = export.export_keras(half, tmp_path / "m.keras")
    assert b"bfloat16" not in read_members(path)["config.json"]


@pytest.mark.parametrize("suffix", WRITERS)
def test_a_format_that_cannot_be_written_leaves_what_was_there(
    tmp_path, monkeypatch, suffix
):
    kept = tmp_path / f"m{suffix}"
    kept.write_text("old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr(export, "write_zip", fail)
    monkeypatch.setattr(export, "_onnx_bytes", fail)
    with pytest.raises(OSError, match="disk full"):
        WRITERS[suffix](network(), kept)

    assert kept.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [kept.name]


def other_shape():
    """Return a network without the rearrangement of pixels, as tf2onnx may lose it."""
    import keras

    whole = network()
    return keras.Model(whole.input, whole.get_layer("last").output)


def test_a_conversion_that_lost_its_last_node_is_repeated(tmp_path, monkeypatch):
    convert, attempts = export._onnx_bytes, []

    def sometimes_wrong(model):
        attempts.append(model)
        return convert(other_shape() if len(attempts) < 3 else model)

    monkeypatch.setattr(export, "_onnx_bytes", sometimes_wrong)
    export.export_onnx(network(), tmp_path / "m.onnx")
    assert len(attempts) == 3

    attempts.clear()
    monkeypatch.setattr(export, "CONVERSIONS", 2)
    with pytest.raises(BadPackage, match=r"an output \(1, 32, 32, 4\) for an input"):
        export.export_onnx(network(), tmp_path / "other.onnx")
    assert [p.name for p in tmp_path.iterdir()] == ["m.onnx"]


def test_another_backend_is_refused(monkeypatch):
    import keras

    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(BadPackage, match="KERAS_BACKEND=tensorflow"):
        export.load_keras(Path("m.keras"))


def test_versions_and_parameters():
    first, normalisation, last = 4 * 9, 2 * 4, 4 * 4 * 9 + 4
    recorded = export.record(network())
    assert recorded.pop("parameters") == first + normalisation + last
    assert set(recorded) == {"keras", "tensorflow", "tf2onnx"}


def test_a_damaged_keras_file_is_not_read(tmp_path):
    path = export.export_keras(network(), tmp_path / "m.keras")
    members = read_members(path)
    write_zip(path, members | {"model.weights.h5": b"nothing"})
    with pytest.raises(BadPackage, match=r"damaged weights; .* signature not found"):
        export.load_keras(path)
