"""TensorFlow 2.7.0, the default engine of deepImageJ, through its C interface.

The wheel for Python 3.9 holds the native library that the Java engine is built from.
It is called with ctypes from whatever Python this is; nothing of TensorFlow's Python
code is loaded.  Signature names are looked up as the Java library does.  Needs Linux on
x86-64.
"""

import ctypes
import tempfile
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from _environments import wheel
from _package import Package, main, opened

LIBRARIES = (
    "tensorflow/libtensorflow_framework.so.2",
    "tensorflow/python/_pywrap_tensorflow_internal.so",
)
RETURNING_POINTERS = (
    "NewGraph",
    "NewStatus",
    "NewSessionOptions",
    "LoadSessionFromSavedModel",
    "GraphOperationByName",
    "AllocateTensor",
    "TensorData",
)
FLOAT = 1
POINTER, SIZE = ctypes.c_void_p, ctypes.c_size_t


class Buffer(ctypes.Structure):
    _fields_ = (("data", POINTER), ("length", SIZE), ("deallocator", POINTER))


class Output(ctypes.Structure):
    _fields_ = (("operation", POINTER), ("index", ctypes.c_int))


def library() -> ctypes.CDLL:
    folder = wheel("tensorflow-2.7.0", "tensorflow-cpu==2.7.0", "3.9", LIBRARIES)
    ctypes.CDLL(str(folder / LIBRARIES[0]), ctypes.RTLD_GLOBAL)
    tf = ctypes.CDLL(str(folder / LIBRARIES[1]), ctypes.RTLD_GLOBAL)
    for name in RETURNING_POINTERS:
        getattr(tf, f"TF_{name}").restype = POINTER
    tf.TF_Message.restype = tf.TF_Version.restype = ctypes.c_char_p
    tf.TF_Dim.restype = ctypes.c_int64
    return tf


def fields(message: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and contents of the fields of a protobuf message that have any."""

    def varint() -> int:
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    at = 0
    while at < len(message):
        number, kind = divmod(varint(), 8)
        if kind == 2:
            length = varint()
            yield number, message[at : at + length]
            at += length
        elif kind == 0:
            varint()
        else:
            at += {1: 8, 5: 4}[kind]


def entries(message: bytes, number: int) -> dict[str, bytes]:
    """Return a map field of a protobuf message."""
    found = {}
    for field, content in fields(message):
        if field == number:
            pair = dict(fields(content))
            found[pair[1].decode()] = pair[2]
    return found


def signature(meta_graph: bytes) -> tuple[dict[str, str], dict[str, str]]:
    """Return the tensor names of inputs and outputs of ``serving_default``."""
    definition = entries(meta_graph, 5)["serving_default"]
    names = [
        {
            key: dict(fields(info))[1].decode()
            for key, info in entries(definition, n).items()
        }
        for n in (1, 2)
    ]
    return names[0], names[1]


def compute(tf: ctypes.CDLL, folder: Path, package: Package) -> np.ndarray:
    status, graph = POINTER(tf.TF_NewStatus()), POINTER(tf.TF_NewGraph())

    def check() -> None:
        if tf.TF_GetCode(status):
            raise SystemExit(f"TensorFlow 2.7: {tf.TF_Message(status).decode()}")

    tags, meta = (ctypes.c_char_p * 1)(b"serve"), Buffer()
    session = POINTER(
        tf.TF_LoadSessionFromSavedModel(
            POINTER(tf.TF_NewSessionOptions()), None, str(folder).encode(), tags, 1,
            graph, ctypes.byref(meta), status,
        )
    )  # fmt: skip
    check()
    inputs, outputs = signature(ctypes.string_at(meta.data, meta.length))

    def end(names: dict[str, str], tensor_id: str) -> Output:
        operation, _, index = names[tensor_id].partition(":")
        found = tf.TF_GraphOperationByName(graph, operation.encode())
        return Output(found, int(index))

    image = package.network_input()
    shape = (ctypes.c_int64 * image.ndim)(*image.shape)
    tensor = POINTER(tf.TF_AllocateTensor(FLOAT, shape, image.ndim, SIZE(image.nbytes)))
    ctypes.memmove(tf.TF_TensorData(tensor), image.ctypes.data, image.nbytes)
    start, stop = end(inputs, package.input["id"]), end(outputs, package.output["id"])
    given, got = (POINTER * 1)(tensor), (POINTER * 1)()
    tf.TF_SessionRun(
        session, None, ctypes.byref(start), given, 1, ctypes.byref(stop), got, 1,
        None, 0, None, status,
    )  # fmt: skip
    check()
    result = POINTER(got[0])
    dims = [tf.TF_Dim(result, axis) for axis in range(tf.TF_NumDims(result))]
    data = ctypes.string_at(tf.TF_TensorData(result), 4 * int(np.prod(dims)))
    return np.frombuffer(data, "float32").reshape(dims)


def run(path: Path) -> bool:
    tf = library()
    with opened(path) as package, tempfile.TemporaryDirectory() as folder:
        with zipfile.ZipFile(package.weights("tensorflow_saved_model_bundle")) as files:
            files.extractall(folder)
        version = tf.TF_Version().decode()
        found = compute(tf, Path(folder), package)
        return package.compare(found, f"TensorFlow {version} (C): {path.name}")


if __name__ == "__main__":
    main(run, __doc__)
