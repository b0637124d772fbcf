"""ONNX graphs whose names and order follow from what they compute."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import onnx


def canonical(
    model: "onnx.ModelProto",
    *,
    input_name: str,
    output_name: str,
    defaults: Mapping[str, np.ndarray] | None = None,
) -> "onnx.ModelProto":
    """Return the model with nodes, tensors and free sizes named by position.

    The converter numbers what it makes with counters that live as long as the
    process, and the order of nodes may follow hashes.  Here nodes are sorted by a
    walk from the output, each after its inputs, and numbered in that order.

    Parameters
    ----------
    model
        A model with one output, and one input besides those of `defaults`.
    input_name, output_name
        Names of the two tensors.
    defaults
        Value of each further input that is left out: it becomes an initializer that
        callers may override, and programs that do not know it see one input.

    Raises
    ------
    ValueError
        If the model has other inputs or outputs, or subgraphs.
    """
    import onnx

    graph = model.graph
    defaults = dict(sorted((defaults or {}).items()))
    given = {value.name.partition(":")[0]: value for value in graph.input}
    optional = {name: given.pop(name, None) for name in defaults}
    if len(given) != 1 or None in optional.values() or len(graph.output) != 1:
        raise ValueError(
            f"expected one input, {len(optional)} with a default and one output, not "
            f"{', '.join(value.name for value in graph.input)} and "
            f"{len(graph.output)}"
        )
    (main,) = given.values()
    if any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute):
        raise ValueError("control flow has subgraphs, which are not supported")
    ordered = _in_order(graph)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    names = {main.name: input_name, "": ""}
    names |= {value.name: name for name, value in optional.items() if value is not None}
    kept: list[onnx.TensorProto] = []
    for index, node in enumerate(ordered):
        for name in node.input:
            if name not in names:
                names[name] = f"constant_{len(kept)}"
                kept.append(stored[name])
        for name in node.output:
            names.setdefault(name, f"tensor_{index}")
    names[graph.output[0].name] = output_name

    result = onnx.ModelProto()
    result.CopyFrom(model)
    result.ClearField("metadata_props")
    new = result.graph
    for field in ("node", "initializer", "value_info", "doc_string", "input"):
        new.ClearField(field)
    new.name = "network"
    for index, node in enumerate(ordered):
        copy = new.node.add()
        copy.CopyFrom(node)
        copy.name = f"{node.op_type}_{index}"
        copy.ClearField("doc_string")
        copy.input[:] = [names[name] for name in node.input]
        copy.output[:] = [names[name] for name in node.output]
        attributes = sorted(copy.attribute, key=lambda a: a.name)
        copy.ClearField("attribute")
        copy.attribute.extend(attributes)
    for tensor in kept:
        copy = new.initializer.add()
        copy.CopyFrom(tensor)
        copy.name = names[tensor.name]
        copy.ClearField("doc_string")
    for value in (main, *optional.values()):
        if value is not None:
            new.input.add().CopyFrom(value)
    for name, value in defaults.items():
        new.initializer.append(onnx.numpy_helper.from_array(value, name))
    known = (input_name, *defaults)
    for value, name in zip(
        (*new.input, new.output[0]), (*known, output_name), strict=True
    ):
        value.name = name
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                batch = axis == 0 and name not in defaults
                size.dim_param = "batch" if batch else f"{name}_{axis}"
    return result


def _in_order(graph: "onnx.GraphProto") -> "list[onnx.NodeProto]":
    """Return the nodes that the output needs, each after those it reads."""
    maker = {name: node for node in graph.node for name in node.output}
    done: set[int] = set()
    ordered: list[onnx.NodeProto] = []
    stack = [(maker[graph.output[0].name], False)]
    while stack:
        node, entered = stack.pop()
        if id(node) in done:
            continue
        if entered:
            done.add(id(node))
            ordered.append(node)
            continue
        stack.append((node, True))
        stack.extend(
            (maker[name], False) for name in reversed(node.input) if name in maker
        )
    return ordered
