"""Looking into a zipped SavedModel before TensorFlow runs what it holds.

The operations of TensorFlow include ones that read and write any file.  What a graph
may hold is therefore listed by name; the frame of its protocol buffer is read, which
needs no library.
"""

import re
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path

from zoo.core.errors import BadPackage
from zoo.io.archives import check_zip
from zoo.io.operations import SAVED_MODEL
from zoo.io.protobuf import NoProtocolBuffer, messages, texts

LARGEST_GRAPH = 2**31
"""A protocol buffer cannot be larger, bytes."""
GRAPH = "saved_model.pb"
_MEMBERS = re.compile(
    r"(saved_model|fingerprint|keras_metadata)\.pb|(variables|assets|assets\.extra)/.*"
)

# numbers of fields in saved_model.proto, meta_graph.proto, graph.proto, function.proto
_META_GRAPHS, _GRAPH_DEF = 2, 2
_NODES, _LIBRARY, _FUNCTIONS, _FUNCTION_NODES, _OPERATION = 1, 2, 1, 3, 2


def check_saved_model(path: Path) -> None:
    """Refuse a zipped SavedModel that does anything but compute.

    Parameters
    ----------
    path
        The zip; the graph lies at its root or in its only folder.

    Raises
    ------
    BadPackage
        If it is no intact zip, holds files that do not belong there, or a graph with an
        operation that `zoo.io.operations` does not list.
    """
    check_zip(path)
    try:
        with zipfile.ZipFile(path) as archive:
            names = [n for n in archive.namelist() if not n.endswith("/")]
            graphs = [n for n in names if n.rpartition("/")[2] == GRAPH]
            if len(graphs) != 1:
                raise BadPackage(
                    f"{path.name} holds {len(graphs)} files called {GRAPH}, a "
                    "SavedModel has one"
                )
            root = graphs[0].removesuffix(GRAPH)
            for name in names:
                inside = name.startswith(root)
                if not inside or not _MEMBERS.fullmatch(name.removeprefix(root)):
                    raise BadPackage(
                        f"{path.name} holds {name!r}, which does not belong to a "
                        "SavedModel; --trust runs it"
                    )
            if archive.getinfo(graphs[0]).file_size > LARGEST_GRAPH:
                raise BadPackage(f"{path.name} has too large a graph to be read")
            content = memoryview(archive.read(graphs[0]))
        foreign = sorted(set(_operations(content)) - SAVED_MODEL)
        if foreign:
            first, more = ", ".join(foreign[:8]), len(foreign) - 8
            raise BadPackage(
                f"{path.name} holds the operations {first}"
                f"{f' and {more} more' if more > 0 else ''}, which are not among those "
                "that only compute; --trust runs it"
            )
    except NoProtocolBuffer as error:
        raise BadPackage(
            f"{path.name} holds no readable graph; get the package again"
        ) from error
    except (zipfile.BadZipFile, zlib.error, NotImplementedError) as error:
        raise BadPackage(f"{path.name} cannot be read: {error}") from error


def _operations(content: memoryview) -> Iterator[str]:
    """Yield the names of all operations, those of functions included."""
    for meta_graph in messages(content, _META_GRAPHS):
        for graph in messages(meta_graph, _GRAPH_DEF):
            for node in messages(graph, _NODES):
                yield from _names(node)
            for library in messages(graph, _LIBRARY):
                for function in messages(library, _FUNCTIONS):
                    for node in messages(function, _FUNCTION_NODES):
                        yield from _names(node)


def _names(node: memoryview) -> list[str]:
    return texts(node, _OPERATION) or ["without a name"]
