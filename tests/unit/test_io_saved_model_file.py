"""`zoo.io.saved_model_file`: what is refused before TensorFlow sees it."""

import zipfile

import pytest

from zoo.core.errors import BadPackage
from zoo.io.saved_model_file import check_saved_model


def field(number, content):
    """Return a field of a protocol buffer that holds a message or text."""
    content = content.encode() if isinstance(content, str) else content
    length, size = b"", len(content)
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content


def node(operation):
    return field(1, "name") + field(2, operation)


def saved(*operations, functions=()):
    """Return a SavedModel as its protocol buffer writes it."""
    graph = b"".join(field(1, node(name)) for name in operations)
    for names in functions:
        body = field(1, field(1, "f")) + b"".join(field(3, node(n)) for n in names)
        graph += field(2, field(1, body))
    return b"\x08\x01" + field(2, field(2, graph))


def write(path, content, **others):
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("saved_model.pb", content)
        archive.writestr("variables/", b"")
        for name, text in others.items():
            archive.writestr(name, text)
    return path


def test_a_graph_that_computes_passes(tmp_path):
    content = saved("Placeholder", "Conv2D", functions=[["Relu", "Mul"]])
    others = {"fingerprint.pb": b"1", "assets/a.txt": b"2"}
    check_saved_model(write(tmp_path / "a.zip", content, **others))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("net/saved_model.pb", content)
    check_saved_model(tmp_path / "b.zip")


@pytest.mark.parametrize(
    "name", ["ReadFile", "WriteFile", "SaveV2", "RestoreV2", "EagerPyFunc", "While"]
)
@pytest.mark.parametrize("place", ["graph", "function", "second"])
def test_any_other_operation_is_refused_by_name(tmp_path, name, place):
    content = {
        "graph": saved("Relu", name),
        "function": saved("PartitionedCall", functions=[["Relu"], ["Mul", name]]),
        "second": saved("Relu") + saved(name),  # messages of one field are merged
    }[place]
    path = write(tmp_path / "a.zip", content)
    with pytest.raises(BadPackage, match=f"the operations {name}, .*--trust runs it"):
        check_saved_model(path)


@pytest.mark.parametrize(
    ("content", "others", "reason"),
    [
        (b"text", {}, "no readable graph"),
        (field(2, field(2, b"\x0b\x0c")), {}, "no readable graph"),
        (saved("Relu"), {"saved_model.cpb": b""}, "'saved_model.cpb', which does not"),
        (saved("Relu"), {"saved_model.pbtxt": b""}, "saved_model.pbtxt"),
        (saved("Relu"), {"b/saved_model.pb": b""}, "holds 2 files"),
        (saved("Relu"), {"../x": b""}, "lies outside"),
        (saved("Relu"), {"run.py": b""}, "'run.py', which does not belong"),
    ],
)
def test_what_is_no_plain_bundle_is_refused(tmp_path, content, others, reason):
    path = write(tmp_path / "a.zip", content, **others)
    with pytest.raises(BadPackage, match=reason):
        check_saved_model(path)
