"""Read the containers that checkpoints come in, as plain arrays with names."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from zoo.core.errors import BadInput
from zoo.io.hdf5_file import check_hdf5


@dataclass(frozen=True)
class Checkpoint:
    """What a checkpoint holds, without the program that wrote it.

    Attributes
    ----------
    tensors
        Arrays by name, ``<layer>/<weight>``, in the order of the file.
    layers
        Names of the tensors of each layer, layers without any included, in the order
        of the file.
    config
        Description of the model, if the file has one.
    written_by
        Versions that the file states, such as ``{"keras": "2.15.0"}``.
    """

    tensors: dict[str, np.ndarray]
    layers: dict[str, tuple[str, ...]]
    config: dict[str, Any] | None
    written_by: dict[str, str]


def read_keras2(path: str | Path) -> Checkpoint:
    """Read an HDF5 file that Keras 2 wrote with ``save`` or ``save_weights``.

    Optimiser state is not read.  A weight called ``conv/kernel:0`` in layer ``conv``
    becomes ``conv/kernel``, one called ``inner/kernel:0`` in a nested model ``block``
    becomes ``block/inner/kernel``.

    Parameters
    ----------
    path
        The ``.h5`` or ``.hdf5`` file.

    Returns
    -------
    checkpoint
        `config` is None when the file came from ``save_weights``.

    Raises
    ------
    BadInput
        If the file is missing, not HDF5, damaged, or not laid out by Keras 2.
    BadPackage
        If parts of it lie in other files or are declared larger than they are.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the .h5 that Keras wrote")
    try:
        with h5py.File(path, "r") as file:
            check_hdf5(file, size=path.stat().st_size, name=str(path))
            return _read(file, path)
    except (OSError, KeyError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise BadInput(
            f"{path} cannot be read as a Keras 2 HDF5 file ({reason}); is it complete?"
        ) from error


def _read(file: h5py.File, path: Path) -> Checkpoint:
    root = file.get("model_weights", file)
    if not isinstance(root, h5py.Group) or not _has(root, "layer_names"):
        hint = (
            "it is a .weights.h5 of Keras 3, load it with load_weights"
            if "layers" in file or "_layer_checkpoint_dependencies" in file
            else "give a file from save or save_weights of Keras 2"
        )
        raise BadInput(f"{path} does not list its layers as Keras 2 does; {hint}")
    tensors: dict[str, np.ndarray] = {}
    layers: dict[str, tuple[str, ...]] = {}
    for layer in _names(root, "layer_names"):
        group: Any = root[layer]
        names = []
        for weight in _names(group, "weight_names"):
            name = f"{layer}/{weight.partition(':')[0].removeprefix(f'{layer}/')}"
            if name in tensors:
                raise BadInput(f"{path} has two tensors called {name}")
            tensors[name] = np.asarray(group[weight][()])
            names.append(name)
        layers[layer] = tuple(names)
    config = file.attrs.get("model_config")
    versions = {
        key.removesuffix("_version"): _text(root.attrs[key])
        for key in ("keras_version", "backend")
        if key in root.attrs
    }
    parsed = None if config is None else json.loads(_text(config))
    return Checkpoint(tensors, layers, parsed, versions)


def _has(group: Any, name: str) -> bool:
    return name in group.attrs or f"{name}0" in group.attrs


def _names(group: Any, name: str) -> list[str]:
    """Read a list of names, which Keras cuts in pieces beyond 64 KiB."""
    if name in group.attrs:
        pieces = [group.attrs[name]]
    else:
        pieces = []
        while f"{name}{len(pieces)}" in group.attrs:
            pieces.append(group.attrs[f"{name}{len(pieces)}"])
    return [_text(item) for piece in pieces for item in piece]


def _text(value: Any) -> str:
    return value.decode("utf-8") if isinstance(value, bytes) else str(value)
