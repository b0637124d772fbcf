"""Read the tensors of a PyTorch file without executing anything in it.

Such files are pickles, which can call any function when they are loaded.  Here the
pickle is neither loaded nor imported: its instructions are followed one by one on plain
data, functions and classes stay names, and an instruction that PyTorch does not need is
refused.  Both layouts are read, the zip archive of version 1.6 and later and the single
stream of those before, from ``torch.save`` of a ``state_dict`` or of a whole module.
"""

import math
import zipfile
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from converters.pickles import Instance, Name, Naming, follow
from converters.readers import Checkpoint
from zoo.core.errors import BadInput

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_ENTRIES = 100_000
_DEEPEST = 20
_MOST_BYTES = 2**32
_DTYPES = {
    "FloatStorage": "<f4",
    "DoubleStorage": "<f8",
    "HalfStorage": "<f2",
    "LongStorage": "<i8",
    "IntStorage": "<i4",
    "ShortStorage": "<i2",
    "CharStorage": "i1",
    "ByteStorage": "u1",
    "BoolStorage": "?",
}
_HARMLESS = {
    "collections.OrderedDict",
    "torch._utils._rebuild_tensor",
    "torch._utils._rebuild_tensor_v2",
    "torch._utils._rebuild_parameter",
}
"""What a ``state_dict`` names besides the types of its numbers."""
_WRAPPED = ("state_dict", "model_state_dict", "model")
"""Keys under which trainings keep the state of the network."""


def read_torch(path: str | Path, *, only_tensors: bool = False) -> Checkpoint:
    """Read a file that ``torch.save`` wrote.

    Parameters
    ----------
    path
        The ``.pth`` or ``.pt`` file.
    only_tensors
        Whether a file that would call anything else than what rebuilds tensors is
        refused; otherwise what such calls would make is left out.

    Returns
    -------
    checkpoint : Checkpoint
        Tensors as ``state_dict`` names them, without the ``module.`` of parallel
        training; `layers` has the names by module, `config` the numbers and words that
        the modules of a whole network hold, by module, as ``{"Hardtanh": {"min_val":
        -2}}``; None for a ``state_dict``.

    Raises
    ------
    BadInput
        If the file is missing, damaged, of another kind, or asks for something else
        than tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path} is not a file; give the .pth that PyTorch wrote")
    if path.stat().st_size > _MOST_BYTES:
        raise BadInput(f"{path} has more than {_MOST_BYTES} bytes; save weights only")
    try:
        zipped = zipfile.is_zipfile(path)
        read = _from_zip if zipped else _from_stream
        content, storages = read(path, _Tensors(path) if only_tensors else Name)
        tensors, config = _named(_inner(content))
        names = {name: _array(tensor, storages) for name, tensor in tensors.items()}
    except BadInput:
        raise
    except Exception as error:  # a damaged stream breaks in any way
        raise BadInput(
            f"{path} cannot be read as a PyTorch file ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'damaged'}); save it "
            "again with torch.save(model.state_dict(), ...)"
        ) from error
    if not names:
        raise BadInput(f"{path} holds no tensors; save the network's state_dict")
    if all(name.startswith("module.") for name in names):
        names = {name.removeprefix("module."): v for name, v in names.items()}
        config = {name.removeprefix("module."): v for name, v in config.items()}
    layers: dict[str, tuple[str, ...]] = {}
    for name in names:
        layer = name.rpartition(".")[0]
        layers[layer] = (*layers.get(layer, ()), name)
    return Checkpoint(names, layers, config or None, {})


@dataclass(frozen=True)
class _Tensors:
    """Refuses names that tensors do not need."""

    path: Path

    def __call__(self, text: str) -> Name:
        """Return a name that is harmless."""
        module, _, kind = text.rpartition(".")
        number = module == "torch" and kind.endswith("Storage")
        if text not in _HARMLESS and not number:
            raise BadInput(
                f"{self.path} was not read: its pickle names {text}, which tensors do "
                "not need and which would run where it is loaded; save "
                "torch.save(model.state_dict(), ...)"
            )
        return Name(text)


@dataclass(frozen=True, eq=False)
class _Storage:
    """A block of numbers that lies elsewhere in the file."""

    dtype: str
    key: str


@dataclass(frozen=True, eq=False)
class _Tensor:
    """A view of a block."""

    storage: _Storage
    offset: int
    size: tuple[int, ...]
    stride: tuple[int, ...]


def _from_zip(path: Path, name_of: Naming) -> tuple[Any, dict[str, bytes]]:
    size = path.stat().st_size
    with zipfile.ZipFile(path) as archive:
        entries = {entry.filename: entry for entry in archive.infolist()}
        found = [name for name in entries if name.endswith("/data.pkl")]
        if len(found) != 1:
            raise BadInput(
                f"{path} is a zip without the data.pkl of PyTorch; give the file "
                "that torch.save wrote"
            )
        stored = all(e.compress_type == zipfile.ZIP_STORED for e in entries.values())
        if not stored or sum(e.file_size for e in entries.values()) > size:
            raise BadInput(
                f"{path} is compressed or declares more than it holds, which PyTorch "
                "never does; save it again"
            )
        root = found[0].removesuffix("data.pkl")
        stated = f"{root}byteorder"
        if stated in entries and archive.read(stated) == b"big":
            raise BadInput(f"{path} was written on a big-endian machine; convert it")
        with archive.open(found[0]) as stream:
            content = follow(stream, path, name_of, _made, _block)
        data = f"{root}data/"
        storages = {
            name.removeprefix(data): archive.read(name)
            for name in entries
            if name.startswith(data)
        }
    return content, storages


def _from_stream(path: Path, name_of: Naming) -> tuple[Any, dict[str, bytes]]:
    with path.open("rb") as stream:
        first = partial(follow, stream, path, name_of, _made, _block)
        if first() != _MAGIC or first() != _PROTOCOL:
            raise BadInput(
                f"{path} is no PyTorch file; give the .pth that torch.save wrote"
            )
        system = first()
        if isinstance(system, dict) and system.get("little_endian") is False:
            raise BadInput(f"{path} was written on a big-endian machine; convert it")
        seen: dict[str, _Storage] = {}
        content = follow(stream, path, name_of, _made, partial(_block, seen=seen))
        storages: dict[str, bytes] = {}
        for key in first():
            count = int.from_bytes(stream.read(8), "little")
            wanted = count * np.dtype(seen[key].dtype).itemsize
            storages[key] = stream.read(min(wanted, _MOST_BYTES))
    return content, storages


def _made(function: Name, arguments: tuple[Any, ...]) -> Any:
    """Return what a call of the file stands for; nothing is called."""
    match function.text:
        case "collections.OrderedDict":
            return dict(arguments[0]) if arguments else {}
        case "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2":
            storage, offset, size, stride = arguments[:4]
            return _Tensor(storage, int(offset), tuple(size), tuple(stride))
        case "torch._utils._rebuild_parameter":
            return arguments[0]
        case kind:
            return Instance(kind, arguments)


def _block(reference: tuple[Any, ...], seen: dict[str, _Storage] | None = None) -> Any:
    """Return the block or, in old files, the class that lies outside of the pickle."""
    if reference[0] == "module":
        return reference[1]
    _, kind, key = reference[:3]
    name = kind.text.rpartition(".")[2]
    if name not in _DTYPES:
        raise BadInput(
            f"the file holds numbers of the type {name}; save it as float32 "
            "(model.float())"
        )
    storage = _Storage(_DTYPES[name], str(key))
    if seen is not None:
        seen[storage.key] = storage
    return storage


def _array(tensor: _Tensor, storages: dict[str, bytes]) -> np.ndarray:
    """Return a copy of the view of a block that a tensor is."""
    block = np.frombuffer(storages[tensor.storage.key], tensor.storage.dtype)
    size, stride = tensor.size, tensor.stride
    if any(n < 0 for n in (*size, *stride, tensor.offset)) or len(size) != len(stride):
        raise ValueError("a tensor has a negative size")
    count = math.prod(size)
    reach = sum((n - 1) * s for n, s in zip(size, stride, strict=True))
    if count == 0:
        return np.zeros(size, block.dtype)
    if tensor.offset + reach >= len(block) or count > len(block):
        raise ValueError("a tensor reaches beyond its data")
    steps = [s * block.itemsize for s in stride]
    view = np.lib.stride_tricks.as_strided(block[tensor.offset :], size, steps)
    return np.array(view)


def _inner(content: Any) -> Any:
    """Return the state of the network in what a training saved."""
    if isinstance(content, dict):
        for key in _WRAPPED:
            if isinstance(content.get(key), dict | Instance):
                return content[key]
    return content


def _named(root: Any) -> tuple[dict[str, _Tensor], dict[str, dict[str, Any]]]:
    """Return tensors by name, in the order of ``state_dict``, and words of modules."""
    tensors: dict[str, _Tensor] = {}
    words: dict[str, dict[str, Any]] = {}
    pending: list[tuple[str, Any, int]] = [("", root, 0)]
    for _ in range(_MOST_ENTRIES):
        if not pending:
            return tensors, words
        name, item, depth = pending.pop()
        if isinstance(item, _Tensor):
            tensors[name] = item
        entries: dict[Any, Any] = item if isinstance(item, dict) else {}
        if isinstance(item, Instance) and isinstance(item.state, dict):
            entries = {}
            for part in ("_parameters", "_buffers", "_modules"):
                entries |= item.state.get(part) or {}
            words[name] = {
                str(key): value
                for key, value in item.state.items()
                if isinstance(value, bool | int | float | str)
            }
        if depth < _DEEPEST:
            pending += [
                (f"{name}.{key}" if name else str(key), value, depth + 1)
                for key, value in reversed(entries.items())
            ]
    raise ValueError("it holds more modules than a network")
