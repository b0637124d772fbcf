"""Read the tensors of a PyTorch file without executing anything in it.

Such files are pickles, which can call any function when they are loaded.  Here the
pickle is neither loaded nor imported: its instructions are followed one by one on plain
data, functions and classes stay names, and an instruction that PyTorch does not need is
refused.  Both layouts are read, the zip archive of version 1.6 and later and the single
stream of those before, from ``torch.save`` of a ``state_dict`` or of a whole module.
"""

import math
import pickletools
import zipfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from converters.readers import Checkpoint
from zoo.core.errors import BadInput

_MAGIC = 0x1950A86A20F9469CFC6C
_PROTOCOL = 1001
_MOST_STEPS = 2_000_000
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
_WRAPPED = ("state_dict", "model_state_dict", "model")
"""Keys under which trainings keep the state of the network."""


def read_torch(path: str | Path) -> Checkpoint:
    """Read a file that ``torch.save`` wrote.

    Parameters
    ----------
    path
        The ``.pth`` or ``.pt`` file.

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
        content, storages = _from_zip(path) if zipped else _from_stream(path)
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
class _Name:
    """A function or class of the file, which stays a name."""

    text: str


@dataclass(eq=False)
class _Object:
    """An instance of some class: its name, what it was made with and its state."""

    kind: str
    arguments: Any = ()
    state: Any = field(default=None)


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


def _from_zip(path: Path) -> tuple[Any, dict[str, bytes]]:
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
            content = _follow(stream, path)
        data = f"{root}data/"
        storages = {
            name.removeprefix(data): archive.read(name)
            for name in entries
            if name.startswith(data)
        }
    return content, storages


def _from_stream(path: Path) -> tuple[Any, dict[str, bytes]]:
    with path.open("rb") as stream:
        if _follow(stream, path) != _MAGIC or _follow(stream, path) != _PROTOCOL:
            raise BadInput(
                f"{path} is no PyTorch file; give the .pth that torch.save wrote"
            )
        system = _follow(stream, path)
        if isinstance(system, dict) and system.get("little_endian") is False:
            raise BadInput(f"{path} was written on a big-endian machine; convert it")
        seen: dict[str, _Storage] = {}
        content = _follow(stream, path, seen)
        storages: dict[str, bytes] = {}
        for key in _follow(stream, path):
            count = int.from_bytes(stream.read(8), "little")
            wanted = count * np.dtype(seen[key].dtype).itemsize
            storages[key] = stream.read(min(wanted, _MOST_BYTES))
    return content, storages


def _follow(
    stream: BinaryIO | Any, path: Path, seen: dict[str, _Storage] | None = None
) -> Any:
    """Follow the instructions of one pickle; see the table in `pickletools`."""
    stack: list[Any] = []
    marks: list[int] = []
    memo: dict[int, Any] = {}

    def since_mark() -> list[Any]:
        place = marks.pop()
        items = stack[place:]
        del stack[place:]
        return items

    for step, (code, argument, _) in enumerate(pickletools.genops(stream)):
        value: Any = argument
        if step > _MOST_STEPS:
            raise BadInput(f"{path} is not a network: its pickle does not end")
        match code.name:
            case "PROTO" | "FRAME":
                pass
            case "STOP":
                return stack.pop()
            case "MARK":
                marks.append(len(stack))
            case "POP":
                stack.pop()
            case "POP_MARK":
                since_mark()
            case "NONE":
                stack.append(None)
            case "NEWTRUE":
                stack.append(True)
            case "NEWFALSE":
                stack.append(False)
            case (
                "INT" | "BININT" | "BININT1" | "BININT2" | "LONG" | "LONG1" | "LONG4"
                | "FLOAT" | "BINFLOAT" | "UNICODE" | "BINUNICODE" | "SHORT_BINUNICODE"
                | "BINUNICODE8" | "STRING" | "BINSTRING" | "SHORT_BINSTRING"
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8"
            ):  # fmt: skip
                stack.append(value)
            case "EMPTY_TUPLE":
                stack.append(())
            case "TUPLE1" | "TUPLE2" | "TUPLE3":
                count = int(code.name[-1])
                items = tuple(stack[-count:])
                del stack[-count:]
                stack.append(items)
            case "TUPLE":
                stack.append(tuple(since_mark()))
            case "EMPTY_LIST" | "EMPTY_SET":
                stack.append([])
            case "LIST" | "FROZENSET":
                stack.append(since_mark())
            case "APPEND":
                item = stack.pop()
                _items(stack[-1]).append(item)
            case "APPENDS" | "ADDITEMS":
                items = since_mark()
                _items(stack[-1]).extend(items)
            case "EMPTY_DICT":
                stack.append({})
            case "DICT":
                items = since_mark()
                stack.append(dict(zip(items[::2], items[1::2], strict=True)))
            case "SETITEM":
                entry, key = stack.pop(), stack.pop()
                _entries(stack[-1])[key] = entry
            case "SETITEMS":
                items = since_mark()
                pairs = zip(items[::2], items[1::2], strict=True)
                _entries(stack[-1]).update(pairs)
            case "PUT" | "BINPUT" | "LONG_BINPUT":
                memo[value] = stack[-1]
            case "MEMOIZE":
                memo[len(memo)] = stack[-1]
            case "GET" | "BINGET" | "LONG_BINGET":
                stack.append(memo[value])
            case "GLOBAL":
                stack.append(_Name(".".join(value.split(" "))))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(_Name(f"{module}.{name}"))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(_made(function, arguments))
            case "BUILD":
                state = stack.pop()
                top = stack[-1]
                if isinstance(top, _Object):
                    top.state = state
            case "BINPERSID":
                stack.append(_block(stack.pop(), seen))
            case other:
                raise BadInput(
                    f"{path} was not read: its pickle has the instruction {other}, "
                    "which tensors do not need"
                )
    raise BadInput(f"{path} is cut off; copy it again")


def _items(target: Any) -> list[Any]:
    """Return what items are added to, which must be a list."""
    if not isinstance(target, list):
        raise TypeError("items are added to what is no list")
    return target


def _entries(target: Any) -> dict[Any, Any]:
    """Return what entries are set in, also of an instance of a mapping."""
    if isinstance(target, _Object):
        target.state = target.state if isinstance(target.state, dict) else {}
        return target.state
    return target


def _made(function: _Name, arguments: tuple[Any, ...]) -> Any:
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
            return _Object(kind, arguments)


def _block(reference: tuple[Any, ...], seen: dict[str, _Storage] | None) -> Any:
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
            if isinstance(content.get(key), dict | _Object):
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
        if isinstance(item, _Object) and isinstance(item.state, dict):
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
