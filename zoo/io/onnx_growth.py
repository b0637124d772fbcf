"""How much larger the operations of an ONNX graph make what they are given.

Operations that enlarge by a constant, or make an array of a constant shape, are
followed through the graph.  What a graph computes its sizes from is not followed.
"""

import struct
from collections.abc import Iterator, Mapping, Sequence
from math import prod
from typing import NamedTuple

from zoo.core.errors import BadPackage
from zoo.io.protobuf import (
    MESSAGE,
    Field,
    fields,
    messages,
    texts,
    whole_numbers,
)

LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
"""Operations that repeat others as often as their input says."""
MOST_GROWTH = 2**12
"""Most values of a tensor per value of the input; 16 times along three axes."""
MOST_VALUES = 2**28
"""Most values of an array that is made from a constant shape."""
SMALL_VALUES = 2**22
"""Values of such an array from which on it counts as growth."""
LONGEST_CONSTANT = 64
"""Values of a constant that can be a shape."""

# numbers of fields in onnx.proto
_INPUTS, _OUTPUTS, _OPERATION, _ATTRIBUTES, _DOMAIN = 1, 2, 4, 5, 7  # of a node
_NAME, _FLOAT, _INTEGER, _TENSOR, _FLOATS, _INTEGERS = 1, 2, 3, 5, 7, 8  # of attribute
_DIMS, _TYPE, _TENSOR_NAME, _RAW = 1, 2, 8, 9  # of a tensor
_DATA = {4: "f", 5: "q", 7: "q", 10: "d", 11: "q"}
_RAW_CODES = {1: "f", 6: "i", 7: "q", 11: "d", 12: "I", 13: "Q"}

_SHAPES = {"Expand": (1,), "ConstantOfShape": (0,), "CenterCropPad": (1,)}
_FACTORS = {"Tile": 1, "Upsample": 1}
_STRIDED = frozenset({"Conv", "AveragePool", "MaxPool", "LpPool", "QLinearConv"})
_ABSOLUTE = ("output_shape", "shape", "pooled_shape")


class Node(NamedTuple):
    """One operation of a graph."""

    operation: str
    domain: str
    inputs: list[str]
    outputs: list[str]
    numbers: dict[str, list[float]]
    """Attributes that are numbers, a few of them."""
    constant: dict[str, list[float]]
    """Values of the tensor in its attributes, if it is a small one."""


def node_of(content: memoryview) -> Node:
    """Return an operation.

    Raises
    ------
    NoProtocolBuffer
        If the bytes are no message.
    """
    numbers: dict[str, list[float]] = {}
    constant: dict[str, list[float]] = {}
    for attribute in messages(content, _ATTRIBUTES):
        name = (texts(attribute, _NAME) or [""])[-1]
        values = _values_of_attribute(attribute)
        if len(values) <= LONGEST_CONSTANT:
            numbers[name] = values
        for tensor in messages(attribute, _TENSOR):
            constant = small_constant(tensor)
    operation = (texts(content, _OPERATION) or [""])[-1]
    domain = (texts(content, _DOMAIN) or [""])[-1]
    inputs, outputs = texts(content, _INPUTS), texts(content, _OUTPUTS)
    return Node(operation, domain, inputs, outputs, numbers, constant)


def small_constant(tensor: memoryview) -> dict[str, list[float]]:
    """Return name and values of a tensor that can be a shape, otherwise nothing.

    Raises
    ------
    NoProtocolBuffer
        If the bytes are no message.
    """
    name, code, count = "", 0, 1
    values: list[float] = []
    raw: bytes | None = None
    for field in fields(tensor):
        if field.number == _DIMS:
            for length in whole_numbers(field):
                count *= max(length, 0)
        elif field.number == _TYPE:
            code = field.value
        elif field.number == _TENSOR_NAME:
            name = bytes(field.content).decode("utf-8", "replace")
        elif field.number == _RAW and field.wire == MESSAGE:
            raw = bytes(field.content[: 8 * LONGEST_CONSTANT])
        elif field.number in _DATA and len(values) <= LONGEST_CONSTANT:
            values += _stored(field.content, field.value, _DATA[field.number])
    if count > LONGEST_CONSTANT:
        return {}
    if raw is not None and code in _RAW_CODES:
        form = struct.Struct("<" + _RAW_CODES[code])
        whole = len(raw) // form.size * form.size
        values = [float(value) for (value,) in form.iter_unpack(raw[:whole])]
    return {name: values[:count]} if len(values) >= count else {}


def check_growth(
    nodes: Sequence[Node], constants: Mapping[str, Sequence[float]], name: str
) -> None:
    """Refuse a graph that by its constants makes something huge.

    Parameters
    ----------
    nodes
        Operations of the graph, in any order.
    constants
        Small constants by the name of their tensor.
    name
        Of the file, for messages.

    Raises
    ------
    BadPackage
        If an array of a constant shape has more than `MOST_VALUES`, or constant
        enlargements in a row make more than `MOST_GROWTH` values out of one.
    """
    known = dict(constants)
    for node in nodes:
        if node.operation == "Constant" and node.outputs:
            values = [*node.constant.values()] or [
                node.numbers[key]
                for key in ("value_ints", "value_int", "value_floats", "value_float")
                if key in node.numbers
            ]
            if values:
                known[node.outputs[0]] = values[0]
    growth: dict[str, float] = {}
    for node in _in_order(nodes):
        made = _made(node, known)
        if made is not None and made > MOST_VALUES:
            raise BadPackage(
                f"{name} makes an array of {made:.3g} values by the operation "
                f"{node.operation}; it was not loaded"
            )
        before = max((growth.get(source, 1.0) for source in node.inputs), default=1.0)
        if node.operation == "Concat":  # of something with itself
            most = max(map(node.inputs.count, node.inputs), default=1)
            before *= most
        after = before * _factor(node, known)
        if made is not None:
            after = max(made / SMALL_VALUES, 1.0)
        if after > MOST_GROWTH:
            raise BadPackage(
                f"{name} enlarges its input {after:.3g} times by the operation "
                f"{node.operation} and those before; it was not loaded"
            )
        growth |= dict.fromkeys(node.outputs, after)


def _made(node: Node, known: Mapping[str, Sequence[float]]) -> float | None:
    """Return the values of an array whose size constants state, None if none do."""
    sizes = [
        _product(values)
        for place in _SHAPES.get(node.operation, ())
        if (values := _input(node, place, known)) is not None
    ]
    sizes += [_product(node.numbers[key]) for key in _ABSOLUTE if key in node.numbers]
    if node.operation == "Resize" and (values := _input(node, 3, known)):
        sizes.append(_product(values))
    if node.operation == "Range":
        ends = [_input(node, place, known) for place in range(3)]
        if all(ends):
            start, limit, step = (end[0] for end in ends if end)
            sizes.append(abs(limit - start) / (abs(step) or 1e-30))
    if node.operation == "OneHot" and (values := _input(node, 1, known)):
        sizes.append(abs(values[0]))
    pads = node.numbers.get("pads") or []
    if node.operation == "Pad":
        pads = _input(node, 1, known) or pads
    if pads:
        half = len(pads) // 2
        sizes.append(
            _product([a + b for a, b in zip(pads[:half], pads[half:], strict=False)])
        )
    return max(sizes, default=None)


def _factor(node: Node, known: Mapping[str, Sequence[float]]) -> float:
    """Return how many values an operation makes out of one, by its constants."""
    strides = node.numbers.get("strides") or []
    if node.operation in _STRIDED:
        return 1 / _product(strides)
    if node.operation == "ConvTranspose":
        return _product(strides)
    place = 2 if node.operation == "Resize" and len(node.inputs) > 2 else None
    if node.operation == "Resize" and len(node.inputs) == 2:  # of the first version
        place = 1
    place = _FACTORS.get(node.operation, place)
    values = None if place is None else _input(node, place, known)
    if node.operation == "Upsample" and values is None:
        values = node.numbers.get("scales")
    return 1.0 if not values else prod(abs(value) for value in values)


def _product(values: Sequence[float]) -> float:
    """Return the size that lengths make; those that are left open count as one."""
    return prod(max(abs(value), 1.0) for value in values)


def _input(
    node: Node, place: int, known: Mapping[str, Sequence[float]]
) -> Sequence[float] | None:
    return known.get(node.inputs[place]) if place < len(node.inputs) else None


def _in_order(nodes: Sequence[Node]) -> Iterator[Node]:
    """Yield operations behind those that they need; what is a circle comes last."""
    makers = {output: number for number, n in enumerate(nodes) for output in n.outputs}
    waiting = [{makers[s] for s in n.inputs if s in makers} for n in nodes]
    users: dict[int, list[int]] = {}
    for number, needed in enumerate(waiting):
        for maker in needed:
            users.setdefault(maker, []).append(number)
    ready = [number for number, needed in enumerate(waiting) if not needed]
    done = set(ready)
    while ready:
        number = ready.pop()
        yield nodes[number]
        for user in users.get(number, ()):
            waiting[user].discard(number)
            if not waiting[user] and user not in done:
                done.add(user)
                ready.append(user)
    yield from (node for number, node in enumerate(nodes) if number not in done)


def _values_of_attribute(attribute: memoryview) -> list[float]:
    values: list[float] = []
    for field in fields(attribute):
        if len(values) > LONGEST_CONSTANT:
            break
        if field.number in (_INTEGER, _INTEGERS):
            values += _stored(field.content, field.value, "q")
        elif field.number in (_FLOAT, _FLOATS):
            values += _stored(field.content, field.value, "f")
    return values


def _stored(content: memoryview, value: int, code: str) -> list[float]:
    """Return the numbers of a field, packed or one; at most some hundred of them."""
    if code == "q":
        if not len(content):
            return [float(value - 2**64 if value >= 2**63 else value)]
        few = content[: 10 * LONGEST_CONSTANT]
        ends = [n for n, byte in enumerate(few) if byte < 0x80]
        few = few[: ends[-1] + 1] if ends else few[:0]
        return [float(n) for n in whole_numbers(Field(0, MESSAGE, 0, few))]
    form = struct.Struct("<" + code)
    few = content[: 8 * LONGEST_CONSTANT]
    whole = len(few) // form.size * form.size
    return [float(v) for (v,) in form.iter_unpack(few[:whole])]
