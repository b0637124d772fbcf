"""Follow a pickle on plain data, without loading or importing it.

A pickle is a program that can call any function.  Here functions and classes stay
names, what they would make stays an `Instance`, and nothing is ever called.
"""

import pickletools
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np

from zoo.core.errors import BadInput

_MOST_STEPS = 2_000_000
_MOST_BYTES = 2**28
_DEEPEST = 8


@dataclass(frozen=True)
class Name:
    """A function or class of the file, which stays a name."""

    text: str


Naming = Callable[[str], Name]
"""What makes a name of what a pickle names, or refuses it."""


@dataclass(eq=False)
class Instance:
    """An instance of some class: its name, what it was made with and its state."""

    kind: str
    arguments: Any = ()
    state: Any = field(default=None)


def read_values(path: str | Path) -> dict[str, Any]:
    """Read the plain values of a pickled dictionary: numbers, words, lists, arrays.

    What is made by other classes than those of NumPy's arrays is left out.

    Parameters
    ----------
    path
        The file.

    Raises
    ------
    BadInput
        If the file is missing, damaged, or no dictionary.
    """
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"{path} is not a file")
    if path.stat().st_size > _MOST_BYTES:
        raise BadInput(f"{path} has more than {_MOST_BYTES} bytes; give settings only")
    try:
        with path.open("rb") as stream:
            content = follow(stream, path, Name, _value_of, lambda _: None)
        if not isinstance(content, dict):
            raise TypeError("it holds no dictionary")
        entries: dict[Any, Any] = content
        values = {str(key): _plain(value) for key, value in entries.items()}
    except BadInput:
        raise
    except Exception as error:  # a damaged stream breaks in any way
        raise BadInput(
            f"{path} cannot be read as pickled settings ({type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'damaged'})"
        ) from error
    return {key: value for key, value in values.items() if value is not None}


def _value_of(function: Name, arguments: tuple[Any, ...]) -> Any:
    """Return what a call stands for: bytes of old protocols, or an instance."""
    if function.text == "_codecs.encode":
        return str(arguments[0]).encode("latin-1")
    return Instance(function.text, arguments)


def _plain(value: Any, depth: int = 0) -> Any:
    """Return numbers, words, arrays and lists of them; None for all else."""
    if isinstance(value, (bool, int, float, str)):
        return value
    if isinstance(value, (list, tuple)) and depth < _DEEPEST:
        items: list[Any] = list(value)
        return [_plain(item, depth + 1) for item in items]
    if isinstance(value, Instance):
        return _array(value)
    return None


def _array(value: Instance) -> Any:
    """Return an array or a number of NumPy; None for all else."""
    if value.kind.endswith("multiarray.scalar"):
        dtype, data = value.arguments
        return np.frombuffer(data, _dtype(dtype))[0].item()
    if value.kind.endswith("numeric._frombuffer"):  # protocol 5
        data, dtype, shape, order = value.arguments
        return np.array(np.frombuffer(data, _dtype(dtype)).reshape(shape, order=order))
    if not value.kind.endswith("multiarray._reconstruct") or value.state is None:
        return None
    _, shape, dtype, fortran, data = value.state
    array = np.frombuffer(data, _dtype(dtype))
    return np.array(array.reshape(shape, order="F" if fortran else "C"))


def _dtype(value: Instance) -> np.dtype[Any]:
    """Return the type of plain numbers that an instance of numpy.dtype stands for."""
    dtype = np.dtype(str(value.arguments[0]))
    if dtype.kind not in "biuf":
        raise TypeError(f"an array of the type {dtype}")
    order = value.state[1] if isinstance(value.state, tuple) else "="
    return dtype.newbyteorder(order if order in "<>" else "=")


def follow(
    stream: BinaryIO | Any,
    path: Path,
    name_of: Naming,
    made: Callable[[Name, tuple[Any, ...]], Any],
    block: Callable[[tuple[Any, ...]], Any],
) -> Any:
    """Follow the instructions of one pickle; see the table in `pickletools`.

    Parameters
    ----------
    stream
        Where the pickle begins.
    path
        Its file, for messages.
    name_of
        What a function or class that is named becomes.
    made
        What a call of a name with arguments stands for.
    block
        What a reference out of the pickle stands for.

    Raises
    ------
    BadInput
        If it has other instructions than data need, or no end.
    """
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
            raise BadInput(f"{path} is no data: its pickle does not end")
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
                | "BINBYTES" | "SHORT_BINBYTES" | "BINBYTES8" | "BYTEARRAY8"
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
                stack.append(name_of(".".join(value.split(" "))))
            case "STACK_GLOBAL":
                name, module = stack.pop(), stack.pop()
                stack.append(name_of(f"{module}.{name}"))
            case "REDUCE" | "NEWOBJ":
                arguments, function = stack.pop(), stack.pop()
                stack.append(made(function, arguments))
            case "BUILD":
                state = stack.pop()
                top = stack[-1]
                if isinstance(top, Instance):
                    top.state = state
            case "BINPERSID":
                stack.append(block(stack.pop()))
            case other:
                raise BadInput(
                    f"{path} was not read: its pickle has the instruction {other}, "
                    "which data do not need"
                )
    raise BadInput(f"{path} is cut off; copy it again")


def _items(target: Any) -> list[Any]:
    """Return what items are added to, which must be a list."""
    if not isinstance(target, list):
        raise TypeError("items are added to what is no list")
    return target


def _entries(target: Any) -> dict[Any, Any]:
    """Return what entries are set in, also of an instance of a mapping."""
    if isinstance(target, Instance):
        target.state = target.state if isinstance(target.state, dict) else {}
        return target.state
    return target
