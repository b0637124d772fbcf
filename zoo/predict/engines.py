"""Programs that execute a network: ONNX Runtime, or Keras on any of its backends.

ONNX Runtime starts in a fraction of a second and is as fast as a compiled Keras
function on a CPU, so it is what ``auto`` picks, except where only Keras can use the
graphics card.
"""

import importlib
import importlib.util
import os
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage, ZooError
from zoo.core.formats import FORMATS
from zoo.core.grid import Grid
from zoo.core.sim_pattern import ENTRANCE
from zoo.io.keras_network import load_network
from zoo.io.onnx_runtime import onnx_runtime
from zoo.io.package import Package
from zoo.predict.contract import read_contract

ENTRIES = {name: FORMATS[name].entry for name in ("onnx", "keras")}
"""Engines, and the weights entry of a description that each runs."""


class Engine(Protocol):
    """A network ready to run."""

    name: str
    """``onnx`` or ``keras``."""
    entry: str
    """The weights entry of the package that it runs."""
    versions: dict[str, str]
    """Versions of the libraries that compute."""
    device: str
    """What it computes on."""
    enterable: bool
    """Whether it takes rows of `zoo.core.sim_pattern`."""
    threads: int
    """Threads of one call; 0 where the library decides."""

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Run the network, (b, [z,] y, x, c) float32 to float32 of the output's space.

        The output is (b, [z,] y, x, c), or (b, c) for vectors.  Rows, (b, n) float32,
        tell an enterable network what is known of the recording.
        """
        ...

    def with_threads(self, threads: int) -> "Engine":
        """Return the same network run by another number of threads, if that is free."""
        ...


def make_engine(package: Package, kind: str = "auto") -> Engine:
    """Prepare a package's network to run.

    Parameters
    ----------
    package
        The package; the hash of the weights is checked before they are read.
    kind
        ``onnx``, ``keras`` or ``auto``: see `choose_engine`.

    Raises
    ------
    BadInput
        If `kind` is none of these.
    BadPackage
        If the package holds no weights for the engine, or they cannot be loaded.
    """
    chosen = choose_engine(package, kind)
    contract = read_contract(package)
    path = package.weights_path(ENTRIES[chosen])
    return (OnnxEngine if chosen == "onnx" else KerasEngine)(path, contract)


def choose_engine(package: Package, kind: str = "auto") -> str:
    """Return the name of the engine that `make_engine` would make.

    ``auto`` takes ``onnx`` unless the package has none, or a graphics card is there,
    ONNX Runtime cannot use it and the framework below Keras can.  Nothing heavy is
    imported to find out.

    Raises
    ------
    BadInput, BadPackage
        As `make_engine`.
    """
    if kind not in ("auto", *ENTRIES):
        raise BadInput(f"engine must be auto, {' or '.join(ENTRIES)}, not {kind!r}")
    # an installation has only some; where none is there, the first one is asked for
    held = package.present or list(package.weights)
    usable = [engine for engine, entry in ENTRIES.items() if entry in held]
    if not usable:
        raise BadPackage(
            f"{package.name} holds {', '.join(held)} weights; "
            f"{' and '.join(ENTRIES.values())} can be run"
        )
    if kind == "auto":
        return "keras" if usable == ["keras"] or _keras_only_gpu(usable) else "onnx"
    if kind not in usable:
        raise BadPackage(
            f"{package.name} has no {ENTRIES[kind]} weights for the engine {kind}; "
            f"use --engine {usable[0]}"
        )
    return kind


def _keras_only_gpu(usable: list[str]) -> bool:
    """Say whether a graphics card is there that only Keras can use."""
    if "keras" not in usable or not any(Path("/dev").glob("nvidia[0-9]*")):
        return False
    onnxruntime = onnx_runtime()
    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        return False
    if _keras_backend() == "jax":
        plugins = ("jax_cuda12_plugin", "jax_cuda13_plugin")
        return any(importlib.util.find_spec(plugin) for plugin in plugins)
    # the libraries that tensorflow[and-cuda] and the builds of PyTorch bring along
    return (
        importlib.util.find_spec("nvidia") is not None
        and importlib.util.find_spec("nvidia.cudnn") is not None
    )


def _keras_backend() -> str:
    """Return the framework that Keras will use, without importing it."""
    chosen = os.environ.get("KERAS_BACKEND")
    if chosen:
        return chosen
    for backend in ("tensorflow", "jax"):
        if importlib.util.find_spec(backend):
            return backend
    return "tensorflow"


def thread_count() -> int:
    """Return the processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class OnnxEngine:
    """A network run by ONNX Runtime, on CUDA where that is available.

    Parameters
    ----------
    path
        The ``.onnx`` file.
    contract
        Axes of its tensors.
    threads
        Threads of one call; as many as processors by default.

    Raises
    ------
    BadPackage
        If ONNX Runtime refuses the file, or it has several inputs.
    """

    name = "onnx"
    entry = "onnx"

    def __init__(
        self, path: Path, contract: Contract, threads: int | None = None
    ) -> None:
        onnxruntime = onnx_runtime()
        self._path, self._contract = path, contract
        self.threads = thread_count() if threads is None else threads
        self._grid = contract.grid
        self.versions = {"onnxruntime": onnxruntime.__version__}
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = self.threads
        options.log_severity_level = 3
        # Batches have one shape, so the arena stops growing after the first; without
        # it every layer's memory is fetched anew, which halves the speed.  The
        # memory pattern would double what it holds.
        options.enable_mem_pattern = False
        providers = ["CPUExecutionProvider"]
        if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
            providers.insert(0, "CUDAExecutionProvider")
        try:
            self._session = onnxruntime.InferenceSession(
                str(path), options, providers=providers
            )
        except _onnx_errors() as error:
            raise BadPackage(
                f"{path.name} cannot be loaded by ONNX Runtime "
                f"{onnxruntime.__version__}: {_first_line(error)}"
            ) from error
        inputs = self._session.get_inputs()
        if len(inputs) != 1:
            raise BadPackage(f"{path.name} has {len(inputs)} inputs, one is needed")
        self._input = inputs[0].name
        self._dtype = _ONNX_TYPES.get(inputs[0].type, np.float32)
        self.device = self._session.get_providers()[0].removesuffix("ExecutionProvider")
        optional = self._session.get_overridable_initializers()
        self.enterable = any(value.name == ENTRANCE for value in optional)

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Run the network; see `Engine`.

        Raises
        ------
        ZooError
            If ONNX Runtime fails, for instance for want of memory.
        """
        tensor = _to_network(batch, self._grid).astype(self._dtype, copy=False)
        feeds = {self._input: tensor}
        if rows is not None:
            feeds[ENTRANCE] = rows.astype(np.float32, copy=False)
        try:
            outputs: Any = self._session.run(None, feeds)
        except _onnx_errors() as error:
            raise ZooError(
                f"ONNX Runtime failed on a batch of shape {tensor.shape}: "
                f"{_first_line(error)}; try a smaller --batch-size or --tile"
            ) from error
        return _from_network(outputs[0], self._grid)

    def with_threads(self, threads: int) -> "OnnxEngine":
        """Return the same network in a session of its own; see `Engine`."""
        return OnnxEngine(self._path, self._contract, threads)


class KerasEngine:
    """A network run by Keras 3 on the backend that it is configured for.

    Parameters
    ----------
    path
        The ``.keras`` file; see `zoo.io.keras_network`.
    contract
        Axes of its tensors.

    Raises
    ------
    BadPackage
        If the file holds more than plain Keras layers or this Keras cannot load it.
    """

    name = "keras"
    entry = "keras_v3"
    threads = 0

    def __init__(self, path: Path, contract: Contract) -> None:
        os.environ.setdefault("KERAS_BACKEND", _keras_backend())
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
        import keras

        self._grid = contract.grid
        backend = str(keras.config.backend())
        self.versions = {"keras": keras.__version__, "backend": backend}
        self.device = backend
        try:
            model: Any = load_network(path)
        except (TypeError, ValueError, KeyError, OSError) as error:
            raise BadPackage(
                f"{path.name} cannot be loaded by Keras {keras.__version__}: "
                f"{_first_line(error)}"
            ) from error
        if len(model.inputs) != 1:
            raise BadPackage(
                f"{path.name} has {len(model.inputs)} inputs, one is needed"
            )
        # TensorFlow's graphs are faster on a CPU without XLA, which would also compile
        # anew for every shape; JAX runs nothing fast without it
        model.jit_compile = backend != "tensorflow"
        self._model = model
        self.enterable = any(layer.name == ENTRANCE for layer in model.layers)

    @cached_property
    def _told(self) -> Any:
        """The network with an input for what is known of the recording."""
        from zoo.layers.sim.entrance import enterable

        told: Any = enterable(self._model)
        told.jit_compile = self._model.jit_compile
        return told

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Run the network; see `Engine`."""
        tensor = _to_network(batch, self._grid)
        if rows is None:
            output = self._model.predict_on_batch(tensor)
        else:
            rows = rows.astype(np.float32, copy=False)
            output = self._told.predict_on_batch([tensor, rows])
        return _from_network(output, self._grid)

    def with_threads(self, threads: int) -> "KerasEngine":
        """Return itself: threads are the business of the framework below Keras."""
        del threads
        return self


_ONNX_TYPES: dict[str, Any] = {
    "tensor(float)": np.float32,
    "tensor(double)": np.float64,
    "tensor(float16)": np.float16,
    "tensor(uint8)": np.uint8,
    "tensor(uint16)": np.uint16,
}


def _onnx_errors() -> tuple[type[Exception], ...]:
    """Return what ONNX Runtime raises; its errors have no common base."""
    state = importlib.import_module("onnxruntime.capi.onnxruntime_pybind11_state")
    names = (
        "EPFail Fail InvalidArgument InvalidGraph InvalidProtobuf ModelLoaded NoModel "
        "NoSuchFile NotImplemented RuntimeException"
    )
    found = [getattr(state, name, None) for name in names.split()]
    return tuple(e for e in found if isinstance(e, type) and issubclass(e, Exception))


def _first_line(error: Exception) -> str:
    return next(iter(str(error).strip().splitlines()), type(error).__name__)[:300]


def _to_network(batch: np.ndarray, grid: Grid) -> np.ndarray:
    """Arrange (b, [z,] y, x, c) as the network wants it."""
    return np.ascontiguousarray(arranged(batch, f"b{grid.space}c", grid.input_axes))


def _from_network(tensor: Any, grid: Grid) -> np.ndarray:
    """Arrange the network's output as (b, [z,] y, x, c) float32, vectors as (b, c)."""
    array, axes = np.asarray(tensor, np.float32), grid.output_axes
    if array.ndim != len(axes):
        raise BadPackage(
            f"the network's output has shape {array.shape}, its description says {axes}"
        )
    return arranged(array, axes, f"b{grid.output_space}c")


def arranged(array: np.ndarray, axes: str, order: str) -> np.ndarray:
    """Return an array with its axes in another order, with or without channels.

    Examples
    --------
    >>> arranged(np.zeros((1, 3, 8, 9)), "bcyx", "byxc").shape
    (1, 8, 9, 3)
    >>> arranged(np.zeros((1, 8, 9)), "byx", "byxc").shape
    (1, 8, 9, 1)
    """
    if "c" in order and "c" not in axes:
        array, axes = array[..., None], axes + "c"
    elif "c" in axes and "c" not in order:
        array, axes = array.take(0, axes.index("c")), axes.replace("c", "")
    return array.transpose([axes.index(axis) for axis in order])
