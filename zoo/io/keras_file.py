"""Looking into a ``.keras`` file before anything in it is brought to life.

Loading a ``.keras`` file constructs whatever classes its ``config.json`` names.  A
file from elsewhere is therefore read as text first, and refused unless every object
in it is a plain part of Keras.  This is stricter than Keras' own safe mode, which
also constructs classes that happen to be registered, and layers that open files.
"""

import io
import json
import zipfile
import zlib
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from zoo.core.errors import BadPackage
from zoo.io.hdf5_file import check_hdf5
from zoo.io.operations import KERAS_CONTROL, KERAS_LAYERS

MEMBERS = frozenset({"metadata.json", "config.json", "model.weights.h5"})
"""What a ``.keras`` archive consists of."""
MODULES = frozenset(
    {
        "activations",
        "constraints",
        "dtype_policies",
        "initializers",
        "layers",
        "losses",
        "metrics",
        "models",
        "ops",
        "optimizers",
        "quantizers",
        "regularizers",
    }
)
"""Parts of Keras that a network is made of; others open files or run programs."""
FORBIDDEN = {
    "Lambda": "a Lambda layer, which holds Python code",
    "__lambda__": "a pickled Python function",
    "TFSMLayer": "a TFSMLayer, which runs another file's graph",
    "TorchModuleWrapper": "a TorchModuleWrapper, which holds a pickled module",
    "JaxLayer": "a JaxLayer, which calls foreign code",
    "FlaxLayer": "a FlaxLayer, which calls foreign code",
    "StringLookup": "a StringLookup layer, which opens files",
    "IntegerLookup": "an IntegerLookup layer, which opens files",
    "TextVectorization": "a TextVectorization layer, which opens files",
}
"""Classes of Keras itself that a network of this kind never needs, by what they do."""
MODELS = frozenset({"Functional", "Sequential", "Model"})
OPERATIONS = frozenset({"core", "image", "linalg", "math", "nn", "numpy"})
"""Modules of ``keras.ops`` whose operations only compute with numbers."""
LARGEST_CONFIG_BYTES = 32 * 2**20
"""A description beyond this size is not that of a network."""
BLANK_BYTES = 2**26
"""Size of weights that is believed however small the archive is, bytes."""
DENSEST = 20
"""Most bytes per stored byte of larger weights; trained ones hardly shrink."""

_VALUES = frozenset(
    {
        "__keras_tensor__",
        "__tensor__",
        "__numpy__",
        "__bytes__",
        "__ellipsis__",
        "__slice__",
    }
)


def check_keras_file(path: str | Path) -> int:
    """Refuse a ``.keras`` file that holds anything but plain parts of Keras.

    Only the directories of the archive and of the weights, and ``config.json`` are
    read; nothing is deserialised and Keras is not imported.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    values : int
        Numbers that its weights hold.

    Raises
    ------
    BadPackage
        If the file is no Keras 3 archive, is damaged, holds files that do not belong
        there, Lambda or other code-carrying layers, or a class or function from
        outside Keras, at any depth; or if its weights lead to other files or are
        declared larger than they are.
    """
    path = Path(path)
    for entry in _objects(read_config(path), path):
        fault = _fault(entry)
        if fault:
            raise BadPackage(
                f"{path.name} holds {fault}; it was not loaded, "
                "only networks of plain Keras layers are"
            )
    return _check_weights(path)


def read_config(path: Path) -> Any:
    """Return the parsed ``config.json`` of an archive with the expected members.

    Raises
    ------
    BadPackage
        If it has others, or is damaged.
    """
    if not path.is_file():
        raise BadPackage(f"{path} does not exist")
    if not zipfile.is_zipfile(path):
        raise BadPackage(
            f"{path.name} is not a .keras file (a zip archive); "
            "older HDF5 files must be saved again with Keras 3"
        )
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
            strange = sorted(set(names) - MEMBERS)
            missing = sorted(MEMBERS - set(names))
            if strange or missing or len(names) != len(set(names)):
                what = (
                    f"holds {strange[0]!r}, which does not belong there"
                    if strange
                    else f"lacks {missing[0]!r}"
                    if missing
                    else "holds an entry twice"
                )
                raise BadPackage(f"{path.name} is not a sound .keras file: it {what}")
            size = archive.getinfo("config.json").file_size
            if size > LARGEST_CONFIG_BYTES:
                raise BadPackage(
                    f"{path.name} has a description of {size / 2**20:.0f} MiB, "
                    f"more than {LARGEST_CONFIG_BYTES / 2**20:.0f} MiB"
                )
            return json.loads(archive.read("config.json"))
    except (
        zipfile.BadZipFile,
        zlib.error,
        EOFError,
        OSError,
        NotImplementedError,
        RuntimeError,
    ) as error:
        # RuntimeError: an encrypted entry, or nesting beyond what the parser takes
        raise BadPackage(f"{path.name} cannot be read: {error}") from error
    except ValueError as error:
        raise BadPackage(f"{path.name} has a damaged config.json: {error}") from error


def _check_weights(path: Path) -> int:
    """Count weights; refuse what lies elsewhere or is declared larger than stored."""
    with zipfile.ZipFile(path) as archive:
        entry = archive.getinfo("model.weights.h5")
        if entry.file_size > max(BLANK_BYTES, DENSEST * entry.compress_size):
            raise BadPackage(
                f"{path.name} was not loaded: its weights would fill "
                f"{entry.file_size / 2**30:.2g} GiB, {entry.compress_size} bytes are "
                "there"
            )
        h5py: Any = import_module("h5py")
        try:
            with h5py.File(io.BytesIO(archive.read(entry)), "r") as file:
                return check_hdf5(file, size=entry.file_size, name=path.name)
        except (OSError, KeyError, RuntimeError, ValueError, EOFError) as error:
            reason = " ".join(str(error).split())[:160]
            raise BadPackage(
                f"{path.name} has damaged weights; get it again ({reason})"
            ) from error
        except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
            raise BadPackage(f"{path.name} cannot be read: {error}") from error


def _objects(config: Any, path: Path) -> Iterator[dict[str, Any]]:
    """Yield every dictionary that Keras might take for an object."""
    if not isinstance(config, dict) or "class_name" not in config:
        raise BadPackage(f"{path.name} describes no network in its config.json")
    stack: list[Any] = [config]
    while stack:
        value = stack.pop()
        if isinstance(value, dict):
            entry = cast("dict[str, Any]", value)
            stack.extend(entry.values())
            if "class_name" in entry or "module" in entry or "registered_name" in entry:
                yield entry
        elif isinstance(value, list):
            stack.extend(cast("list[Any]", value))


def _fault(entry: dict[str, Any]) -> str | None:
    """Say what is wrong with an object, None if it is a plain part of Keras."""
    name, module = entry.get("class_name"), entry.get("module")
    registered = entry.get("registered_name")
    config = entry.get("config")
    label = config if name == "function" and isinstance(config, str) else name
    if not isinstance(name, str):
        return f"an object without a class name ({registered or module})"
    if name in FORBIDDEN:
        return FORBIDDEN[name]
    if registered not in (None, name, label):
        return f"the foreign class {registered!r}"
    if name in _VALUES:
        return None if module is None else f"{name} from module {module!r}"
    if name == "function" and module in (None, "builtins"):
        # a bare name, which Keras looks up among its own activations and losses
        plain = isinstance(config, str) and config.isidentifier()
        return None if plain else f"the function {config!r}"
    if label in FORBIDDEN:
        return FORBIDDEN[label]
    inner = _within_keras(module)
    if inner is None:
        return f"{label!r} from module {module!r}, which is not one of Keras' layers"
    if not _computes(str(label), inner, is_function=name == "function"):
        return f"{label!r} from module {module!r}, which does more than compute"
    return None


def _within_keras(module: object) -> list[str] | None:
    """Return the parts of a module's name below Keras, None if it is none of these."""
    parts = module.split(".") if isinstance(module, str) else [""]
    if parts[0] != "keras":
        return None
    inner = [part for part in parts[1:] if part != "src"]
    return inner if not inner or inner[0] in MODULES else None


def _computes(label: str, inner: list[str], *, is_function: bool) -> bool:
    """Say whether a part of Keras is known to do nothing but compute."""
    place = inner[0] if inner else ""
    if is_function:
        return place not in ("", "layers", "models", "dtype_policies", "optimizers")
    if place == "ops":
        return not OPERATIONS.isdisjoint(inner[1:2]) and label not in KERAS_CONTROL
    if place == "layers":
        return label in KERAS_LAYERS
    if place == "models":
        return label in MODELS
    return bool(place) or label in MODELS or label.endswith("DTypePolicy")
