"""`zoo.io.onnx_file`: arrays that are declared and not there."""

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.core.errors import BadPackage
from zoo.io.onnx_file import check_onnx_file

SPECS = Path(__file__).parents[2] / "specs"
WEIGHTS = numpy_helper.from_array(np.ones((4, 4), np.float32), "w")


def huge():
    """An array of 10^10 values without any of them."""
    return onnx.TensorProto(
        name="w", dims=[100_000, 100_000], data_type=TensorProto.FLOAT, raw_data=b"1234"
    )


def save(path, tensor=WEIGHTS, *, nodes=(), sparse=()):
    frame = helper.make_tensor_value_info("x", TensorProto.FLOAT, [4, 4])
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, [4, 4])
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"]), *nodes],
        "g",
        [frame],
        [out],
        [tensor],
        sparse_initializer=list(sparse),
    )
    path.write_bytes(helper.make_model(graph).SerializeToString())
    return path


def test_sound_files_pass(tmp_path):
    check_onnx_file(save(tmp_path / "a.onnx"))
    whole = numpy_helper.from_array(np.ones((7, 7), np.float64), "w")
    check_onnx_file(save(tmp_path / "b.onnx", whole))
    plain = helper.make_tensor("w", TensorProto.FLOAT, [50], [0.0] * 50)
    check_onnx_file(save(tmp_path / "c.onnx", plain))
    (tmp_path / "d.onnx").write_bytes(b"no protocol buffer")
    check_onnx_file(tmp_path / "d.onnx")  # ONNX Runtime says what is wrong


@pytest.mark.parametrize("path", sorted(SPECS.glob("*/model.onnx")), ids=str)
def test_published_files_pass(path):
    check_onnx_file(path)


def in_a_node():
    return helper.make_node("Constant", [], ["c"], value=huge())


def in_a_branch():
    out = helper.make_tensor_value_info("c", TensorProto.FLOAT, None)
    branch = helper.make_graph([in_a_node()], "b", [], [out])
    return helper.make_node("If", ["x"], ["z"], then_branch=branch, else_branch=branch)


@pytest.mark.parametrize(
    "options",
    [{"tensor": huge()}, {"nodes": [in_a_node()]}, {"nodes": [in_a_branch()]}],
)
def test_arrays_that_are_not_there_are_refused(tmp_path, options):
    path = save(tmp_path / "a.onnx", **options)
    assert path.stat().st_size < 1000
    with pytest.raises(BadPackage, match=r"declares an array of 1e\+10 values"):
        check_onnx_file(path)


@pytest.mark.parametrize(
    ("location", "message"),
    [
        ("../secret", "outside its folder"),
        ("/etc/hostname", "outside its folder"),
        ("link", "outside its folder"),
        ("absent", "stores 0 bytes"),
        ("data", None),
    ],
)
def test_arrays_in_other_files_stay_in_the_folder(tmp_path, location, message):
    folder = tmp_path / "package"
    folder.mkdir()
    (tmp_path / "secret").write_bytes(bytes(64))
    (folder / "data").write_bytes(bytes(64))
    (folder / "link").symlink_to(tmp_path / "secret")
    tensor = onnx.TensorProto(name="w", dims=[4, 4], data_type=TensorProto.FLOAT)
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    path = save(folder / "a.onnx", tensor)
    if message is None:
        check_onnx_file(path)
        return
    with pytest.raises(BadPackage, match=message):
        check_onnx_file(path)


def test_sparse_arrays_and_deep_graphs_are_refused(tmp_path):
    indices = numpy_helper.from_array(np.array([0], np.int64), "i")
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    sparse = helper.make_sparse_tensor(values, indices, [10**10])
    with pytest.raises(BadPackage, match="sparse array"):
        check_onnx_file(save(tmp_path / "a.onnx", sparse=[sparse]))
    graph = b""
    for _ in range(40):  # graph, node, attribute, graph: deeper than its own library
        graph = field(1, field(5, field(6, graph)))
    (tmp_path / "b.onnx").write_bytes(field(7, graph))
    with pytest.raises(BadPackage, match="nests graphs more than 32 deep"):
        check_onnx_file(tmp_path / "b.onnx")


def field(number, content):
    """Return a field of a protocol buffer that holds a message."""
    length, size = b"", len(content)
    while size >= 0x80:
        length += bytes([size & 0x7F | 0x80])
        size >>= 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + content
