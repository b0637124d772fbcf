"""Keras models written in the formats of a package.

That a file has been written proves nothing: `zoo.verify` runs every format and compares
what they compute.  This is the only module of the project that imports TensorFlow.
"""

import json
import logging
import shutil
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.errors import BadPackage
from zoo.core.files import replacing
from zoo.core.sim_pattern import ENTRANCE, LENGTH
from zoo.io.keras_network import load_network
from zoo.io.onnx_runtime import onnx_runtime
from zoo.package.tensors import INPUT, OUTPUT
from zoo.package.zips import read_members, write_zip

if TYPE_CHECKING:
    import keras

OPSET = 17
"""ONNX operator set: onnxruntime 1.12, which Fiji installs, knows no later one."""

CONVERSIONS = 8
"""Attempts to convert to ONNX.  In a few of a hundred conversions tf2onnx 1.17 loses
the last node of a network that ends in a rearrangement of pixels, depending on the
order of its sets of names; what it gives otherwise is always the same."""

NEW_KEYS = {
    "input_axes": None,
    "output_axes": None,
    "renorm": False,
    "renorm_clipping": None,
    "renorm_momentum": 0.99,
}
"""Settings that Keras 3.15 writes and 3.14 refuses, with the values they may have."""

_log = logging.getLogger(__name__)
_DATE = "2000-01-01@00:00:00"


def export_keras(model: "keras.Model", path: Path) -> Path:
    """Write a ``.keras`` file that does not change from one writing to the next.

    Settings that older Keras does not know are left out where they have their
    default value, dates are fixed, and computation is declared as float32 whatever
    policy the model was trained under.

    Parameters
    ----------
    model
        A functional model of stock layers.
    path
        Where to write; the name must end in ``.keras``.
    """
    with replacing(path) as part:
        as_float32(model).save(part)
        members = read_members(part)
        config = json.loads(members["config.json"])
        _drop_new_keys(config)
        config.pop("compile_config", None)
        members["config.json"] = json.dumps(config).encode()
        metadata = json.loads(members["metadata.json"]) | {"date_saved": _DATE}
        members["metadata.json"] = json.dumps(metadata).encode()
        write_zip(part, members)
    return path


def export_onnx(
    model: "keras.Model", path: Path, *, shape: tuple[int, ...] | None = None
) -> Path:
    """Write one ONNX file whose free sizes stay free.

    Enlargements are folded into the convolutions behind them (`zoo.layers.fold`).
    Nodes and tensors are numbered in the order of evaluation, so that the same
    model gives the same bytes in any process.

    Parameters
    ----------
    model
        A functional model of stock layers.
    path
        Where to write.
    shape
        Shape of an input that the network takes; by default one with 32 px along
        every free axis.

    Raises
    ------
    BadPackage
        If an output of the graph does not have the shape of the model's.
    """
    plain = _for_inference(model)
    full = shape or (1, *(n or 32 for n in model.inputs[0].shape[1:]))
    expected = tuple(plain.compute_output_shape(full))
    converted: tuple[int, ...] = ()
    with replacing(path) as part:
        for attempt in range(1, CONVERSIONS + 1):
            part.write_bytes(_onnx_bytes(plain))
            converted = _onnx_output_shape(part, full)
            if converted == expected:
                return path
            _log.info("conversion %d to ONNX was wrong, trying again", attempt)
        raise BadPackage(
            f"the ONNX graph gives an output {converted} for an input {full}, Keras "
            f"one of {expected}; tf2onnx cannot convert {model.name}"
        )


def export_saved_model(model: "keras.Model", path: Path) -> Path:
    """Write a zipped SavedModel whose variables are constants of the graph.

    A frozen graph holds none of the operators with which recent TensorFlow saves
    and restores variables, and therefore also loads in the TensorFlow 2.7 that
    Fiji and Icy use.  Enlargements are folded as in ONNX.

    Parameters
    ----------
    model
        A functional model of stock layers.
    path
        Where to write; ``saved_model.pb`` lies at the root of the archive.
    """
    with replacing(path) as part:
        folder = part.with_suffix(".frozen")
        try:
            _write_frozen(_for_inference(model), folder)
            members = {"saved_model.pb": (folder / "saved_model.pb").read_bytes()}
            # the Java library looks for the folder of variables, empty or not
            write_zip(part, {**members, "variables/": b""})
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    return path


def load_keras(path: Path) -> "keras.Model":
    """Read a ``.keras`` file of stock layers, without its training configuration.

    Raises
    ------
    BadPackage
        If the running Keras does not compute with TensorFlow, or the file holds
        anything else.
    """
    import keras

    if keras.config.backend() != "tensorflow":
        raise BadPackage(
            f"packages are written with the TensorFlow backend of Keras, not "
            f"{keras.config.backend()}; set KERAS_BACKEND=tensorflow"
        )
    return load_network(path)


def as_float32(model: "keras.Model") -> "keras.Model":
    """Return the model computing in float32, itself if it does already.

    Examples
    --------
    A model trained in bfloat16 keeps float32 weights; only its layers' policy says
    otherwise, and that policy would travel into every format.
    """
    config = model.get_config()
    if not _set_float32(config):
        return model
    plain = type(model).from_config(config)
    plain.set_weights(model.get_weights())
    return plain


def _for_inference(model: "keras.Model") -> "keras.Model":
    """Return the network as programs that only predict run it."""
    from zoo.layers.fold import folded

    return folded(as_float32(model))


def predict(model: "keras.Model", tensor: np.ndarray) -> np.ndarray:
    """Return the output of a model for a whole batch at once."""
    import keras

    output: Any = keras.ops.convert_to_numpy(model(tensor, training=False))
    return np.asarray(output)


def record(model: "keras.Model") -> dict[str, Any]:
    """Return the versions of the writing programs and the trainable ``parameters``."""
    from importlib.metadata import version

    versions = {name: version(name) for name in ("keras", "tensorflow", "tf2onnx")}
    count = sum(int(np.prod(weight.shape)) for weight in model.trainable_variables)
    return {**versions, "parameters": count}


def _set_float32(config: Any) -> bool:
    """Replace reduced precision in a nested configuration; say whether any was."""
    found = False
    if isinstance(config, dict):
        for key, value in config.items():
            if key == "dtype":
                name = value["config"]["name"] if isinstance(value, dict) else value
                if isinstance(name, str) and ("16" in name):
                    config[key] = "float32"
                    found = True
            found |= _set_float32(value)
    elif isinstance(config, (list, tuple)):
        for value in config:
            found |= _set_float32(value)
    return found


def _onnx_bytes(model: "keras.Model") -> bytes:
    import onnx
    import tensorflow as tf
    import tf2onnx
    from keras.src.export.tf2onnx_lib import patch_tf2onnx

    from zoo.layers.sim.entrance import enterable
    from zoo.package.onnx_graph import canonical

    whole = enterable(model)
    network = model if whole is None else whole
    defaults = {}
    if whole is not None:
        defaults[ENTRANCE] = np.zeros((1, LENGTH), np.float32)
    signature = [
        tf.TensorSpec(tensor.shape, tf.float32, name=name)
        for tensor, name in zip(network.inputs, (INPUT, *defaults), strict=True)
    ]

    def compute(*tensors: Any) -> dict[str, Any]:
        frames = tensors[0] if len(tensors) == 1 else list(tensors)
        return {OUTPUT: network(frames, training=False)}

    function = tf.function(compute, input_signature=signature)
    with warnings.catch_warnings():
        # both look for names that numpy has removed
        warnings.simplefilter("ignore")
        patch_tf2onnx()
        converted, _ = tf2onnx.convert.from_function(
            function, input_signature=signature, opset=OPSET
        )
    graph = canonical(
        converted, input_name=INPUT, output_name=OUTPUT, defaults=defaults
    )
    onnx.checker.check_model(graph, full_check=True)
    return graph.SerializeToString(deterministic=True)


def _drop_new_keys(config: Any) -> None:
    if isinstance(config, dict):
        for key, default in NEW_KEYS.items():
            if key in config and config[key] == default:
                del config[key]
        for value in config.values():
            _drop_new_keys(value)
    elif isinstance(config, list):
        for value in config:
            _drop_new_keys(value)


def _onnx_output_shape(path: Path, shape: tuple[int, ...]) -> tuple[int, ...]:
    session = onnx_runtime().InferenceSession(path, providers=["CPUExecutionProvider"])
    output: Any = session.run([OUTPUT], {INPUT: np.full(shape, 0.5, np.float32)})[0]
    return tuple(output.shape)


def _write_frozen(model: "keras.Model", folder: Path) -> None:
    import tensorflow as tf
    from tensorflow.python.framework.convert_to_constants import (
        convert_variables_to_constants_v2,
    )

    def compute(frames: Any) -> Any:
        return model(frames, training=False)

    spec = tf.TensorSpec(model.inputs[0].shape, tf.float32, name=INPUT)
    frozen = convert_variables_to_constants_v2(
        tf.function(compute).get_concrete_function(spec)
    )
    v1 = tf.compat.v1
    with _quiet(), tf.Graph().as_default() as graph:
        tf.import_graph_def(frozen.graph.as_graph_def(), name="")
        with v1.Session(graph=graph) as session:
            builder = v1.saved_model.Builder(str(folder))
            signature = v1.saved_model.predict_signature_def(
                {INPUT: graph.get_tensor_by_name(frozen.inputs[0].name)},
                {OUTPUT: graph.get_tensor_by_name(frozen.outputs[0].name)},
            )
            builder.add_meta_graph_and_variables(
                session,
                ["serve"],
                {"serving_default": signature},
                strip_default_attrs=True,
            )
            builder.save()


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep TensorFlow from announcing that its first interface is old."""
    import tensorflow as tf

    logger = tf.get_logger()
    level = logger.level
    logger.setLevel("ERROR")
    try:
        yield
    finally:
        logger.setLevel(level)
