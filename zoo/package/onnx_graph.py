"""ONNX graphs whose names and order follow from what they compute."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import onnx


def canonical(
    model: "onnx.ModelProto", *, input_name: str, output_name: str
) -> "onnx.ModelProto":
    """Return the model with nodes, tensors and free sizes named by position.

    The converter numbers what it makes with counters that live as long as the
    process, and the order of nodes may follow hashes.  Here nodes are sorted by a
    walk from the output, each after its inputs, and numbered in that order.

    Parameters
    ----------
    model
        A model with one input and one output.
    input_name, output_name
        Names of the two tensors.

    Raises
    ------
    ValueError
        If the model has more than one input or output, or subgraphs.
    """
    import onnx

    graph = model.graph
    if len(graph.input) != 1 or len(graph.output) != 1:
        raise ValueError(
            f"expected one input and one output, not {len(graph.input)} and "
            f"{len(graph.output)}"
        )
    if any(a.HasField("g") or a.graphs for n in graph.node for a in n.attribute):
        raise ValueError("control flow has subgraphs, which are not supported")
    ordered = _in_order(graph)
    stored = {tensor.name: tensor for tensor in graph.initializer}
    names = {graph.input[0].name: input_name, "": ""}
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
    for field in ("node", "initializer", "value_info", "doc_string"):
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
    for value, name in ((new.input[0], input_name), (new.output[0], output_name)):
        value.name = name
        for axis, size in enumerate(value.type.tensor_type.shape.dim):
            if size.dim_param:
                size.dim_param = "batch" if axis == 0 else f"{name}_{axis}"
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
