"""Looking into an ONNX file before ONNX Runtime reserves memory for it.

Only the frame of the protocol buffer is read, which needs no library.
"""

from collections.abc import Iterator
from pathlib import Path

from zoo.core.errors import BadPackage
from zoo.io.archives import unsafe_name
from zoo.io.onnx_growth import LOOPS, check_growth, node_of, small_constant
from zoo.io.protobuf import (
    MESSAGE,
    NoProtocolBuffer,
    fields,
    messages,
    whole_numbers,
)

VALUES_PER_BYTE = 2
"""Most values in a byte of a tensor, those of four bits."""
DEEPEST = 32
"""Deepest nesting of graphs in graphs."""
LARGEST_FILE = 2**31
"""A protocol buffer cannot be larger, bytes."""

STANDARD = frozenset({"", "ai.onnx"})
"""Names of the standard's own set of operations."""

# numbers of fields in onnx.proto
_GRAPH, _FUNCTIONS = 7, 25  # of a model
_NODES, _INITIALIZERS, _SPARSE = 1, 5, 15  # of a graph
_TENSORS, _GRAPHS, _SPARSES = (5, 10), (6, 11), (22, 23)  # of an attribute
_ATTRIBUTES = 5  # of a node
_DIMS, _EXTERNAL = 1, 13  # of a tensor


def check_onnx_file(path: Path, *, allowed: frozenset[str] | None = None) -> None:
    """Refuse an ONNX file that could fill the memory or run for ever.

    Parameters
    ----------
    path
        The file.
    allowed
        Operations that it may hold, such as `zoo.io.operations.ONNX`; by default any
        that ONNX Runtime knows, loops left out.

    Raises
    ------
    BadPackage
        If it is no ONNX file; if a tensor has fewer bytes than its shape needs or lies
        in a file outside the folder; if graphs are nested beyond measure, the file
        defines functions, holds a loop, an operation that is not `allowed`, or one
        that by its constants makes something huge.
    """
    if path.stat().st_size > LARGEST_FILE:
        raise BadPackage(f"{path.name} is too large to be an ONNX file")
    try:
        content = memoryview(path.read_bytes())
        if any(True for _ in messages(content, _FUNCTIONS)):
            raise BadPackage(
                f"{path.name} defines functions of its own, which may call one another "
                "without end; it was not loaded (write them out when exporting)"
            )
        graphs = list(messages(content, _GRAPH))
        if not graphs:
            raise NoProtocolBuffer
        for graph in graphs:
            _check_graph(graph, path, allowed, {}, 0)
    except NoProtocolBuffer as error:
        raise BadPackage(
            f"{path.name} is not a readable ONNX file; get the package again"
        ) from error


def _check_graph(
    content: memoryview,
    path: Path,
    allowed: frozenset[str] | None,
    outer: dict[str, list[float]],
    depth: int,
) -> None:
    """Check a graph that may use the small constants of the graphs around it."""
    if depth > DEEPEST:
        raise BadPackage(
            f"{path.name} nests graphs more than {DEEPEST} deep; it was not loaded"
        )
    constants = dict(outer)
    for tensor in messages(content, _INITIALIZERS):
        _check_tensor(tensor, path)
        constants |= small_constant(tensor)
    if any(True for _ in messages(content, _SPARSE)):
        raise _sparse(path)
    nodes = [(node_of(node), node) for node in messages(content, _NODES)]
    for node, _ in nodes:
        if node.operation in LOOPS:
            raise BadPackage(
                f"{path.name} holds the loop {node.operation}, whose length nothing "
                "bounds; it was not loaded"
            )
        foreign = node.domain not in STANDARD
        if allowed is not None and (foreign or node.operation not in allowed):
            name = f"{node.domain}.{node.operation}" if foreign else node.operation
            raise BadPackage(
                f"{path.name} holds the operation {name}, which is not among those "
                "that only compute; --trust runs it"
            )
    for _, node in nodes:
        for tensor, graph in _inside(node, path):
            if tensor is not None:
                _check_tensor(tensor, path)
            if graph is not None:
                _check_graph(graph, path, allowed, constants, depth + 1)
    check_growth([node for node, _ in nodes], constants, path.name)


def _inside(
    node: memoryview, path: Path
) -> Iterator[tuple[memoryview | None, memoryview | None]]:
    """Yield the tensors and the graphs in the attributes of a node."""
    for attribute in messages(node, _ATTRIBUTES):
        for field in fields(attribute):
            if field.wire != MESSAGE:
                continue
            if field.number in _TENSORS:
                yield field.content, None
            elif field.number in _GRAPHS:
                yield None, field.content
            elif field.number in _SPARSES:
                raise _sparse(path)


def _check_tensor(content: memoryview, path: Path) -> None:
    values, stored = 1, len(content)
    location = None
    for field in fields(content):
        if field.number == _DIMS:
            for length in whole_numbers(field):
                values *= length if length >= 0 else 2**63
        elif field.number == _EXTERNAL and field.wire == MESSAGE:
            pair = {f.number: bytes(f.content) for f in fields(field.content)}
            if pair.get(1) == b"location":
                location = pair.get(2, b"").decode("utf-8", "replace")
    if location is not None:
        file = path.parent / location
        if unsafe_name(location) or not file.resolve().is_relative_to(
            path.parent.resolve()
        ):
            raise BadPackage(
                f"{path.name} keeps an array in {location!r}, outside its folder; it "
                "was not loaded"
            )
        stored = file.stat().st_size if file.is_file() else 0
    if values > VALUES_PER_BYTE * stored:
        raise BadPackage(
            f"{path.name} declares an array of {values:.3g} values and stores {stored} "
            "bytes of it; it was not loaded"
        )


def _sparse(path: Path) -> BadPackage:
    return BadPackage(
        f"{path.name} holds a sparse array, whose size nothing bounds; it was not "
        "loaded"
    )
