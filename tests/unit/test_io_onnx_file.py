"""`zoo.io.onnx_file`: arrays that are declared and not there."""

import itertools
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from zoo.core.errors import BadPackage
from zoo.io.onnx_file import check_onnx_file
from zoo.io.operations import ONNX

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


@pytest.mark.parametrize(
    "content",
    [
        b"no protocol buffer",
        b"",
        b"\x3a\x05ab",  # ends too early
        b"\x3a\x02\x0b\x0c",  # a group in the graph, which others skip
        b"\x08\x01",  # no graph
        b"\x3a\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    ],
)
def test_what_is_not_read_is_not_loaded(tmp_path, content):
    (tmp_path / "d.onnx").write_bytes(content)
    with pytest.raises(BadPackage, match="not a readable ONNX file"):
        check_onnx_file(tmp_path / "d.onnx")


@pytest.mark.parametrize("path", sorted(SPECS.glob("*/model.onnx")), ids=str)
def test_published_files_pass(path):
    check_onnx_file(path, allowed=ONNX)


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


def graph(nodes, constants=()):
    """Return a file of the given nodes from x to y."""
    free = helper.make_tensor_value_info("x", TensorProto.FLOAT, None)
    out = helper.make_tensor_value_info("y", TensorProto.FLOAT, None)
    tensors = [numpy_helper.from_array(np.array(v), k) for k, v in constants]
    made = helper.make_graph(list(nodes), "g", [free], [out], tensors)
    return helper.make_model(made).SerializeToString()


def node(name, *inputs, to="y", **attributes):
    return helper.make_node(name, list(inputs), [to], **attributes)


def shape(values, *, to="c"):
    value = numpy_helper.from_array(np.array(values, np.int64), "v")
    return helper.make_node("Constant", [], [to], value=value)


LONG = [1, 10**5, 10**5, 1]
HUGE = {
    "Expand": [node("Expand", "x", "c")],
    "ConstantOfShape": [node("ConstantOfShape", "c")],
    "Tile": [node("Tile", "x", "c")],
    "Resize": [node("Resize", "x", "", "", "c")],
    "Pad": [node("Pad", "x", "p")],
    "Range": [node("Range", "zero", "many", "one")],
    "ConvTranspose": [node("ConvTranspose", "x", "w", strides=[9000, 9000])],
    "RandomNormal": [node("RandomNormal", shape=LONG)],
    "Concat": [
        node("Concat", *["x"] * 99, to="z", axis=0),
        node("Concat", *["z"] * 99, axis=0),
    ],
}


@pytest.mark.parametrize("name", HUGE)
def test_operations_that_make_something_huge_are_refused(tmp_path, name):
    constants = {"p": [10**5] * 4, "zero": 0, "one": 1, "many": 10**11}
    given = [(key, np.array(value, np.int64)) for key, value in constants.items()]
    path = tmp_path / "a.onnx"
    path.write_bytes(graph(HUGE[name], [*given, ("c", np.array(LONG, np.int64))]))
    with pytest.raises(BadPackage, match=rf"by the operation {name}"):
        check_onnx_file(path)
    # the same shape as a node, and with the nodes in another order
    path.write_bytes(graph([*HUGE[name][::-1], shape(LONG)], given))
    with pytest.raises(BadPackage, match=rf"by the operation {name}"):
        check_onnx_file(path)


def test_small_steps_add_up_unless_others_undo_them(tmp_path):
    twice = ("s", np.array([1, 1, 4, 4], np.float32))
    names = ["x", *"abcdefgh", "y"]

    def chain(between):
        nodes = []
        for source, target in itertools.pairwise(names):
            nodes += between(source, f"{target}_")
            nodes.append(node("Resize", f"{target}_", "", "s", to=target))
        return graph(nodes, [twice])

    path = tmp_path / "a.onnx"
    path.write_bytes(chain(lambda a, b: [node("Relu", a, to=b)]))
    with pytest.raises(BadPackage, match="enlarges its input"):
        check_onnx_file(path)

    def shrunk(a, b):
        return [node("MaxPool", a, to=b, kernel_shape=[4, 4], strides=[4, 4])]

    path.write_bytes(chain(shrunk))
    check_onnx_file(path)


@pytest.mark.parametrize("name", ["Loop", "Scan", "SequenceMap"])
def test_loops_are_refused_wherever_they_are(tmp_path, name):
    out = helper.make_tensor_value_info("b", TensorProto.FLOAT, None)
    body = helper.make_graph([node("Relu", "x", to="b")], "b", [], [out])
    loop = helper.make_node(name, ["x"], ["y"], body=body)
    branch = helper.make_graph([loop], "i", [], [out])
    hidden = node("If", "x", then_branch=branch, else_branch=branch)
    for nodes in ([loop], [hidden]):
        (tmp_path / "a.onnx").write_bytes(graph(nodes))
        with pytest.raises(BadPackage, match=f"holds the loop {name}"):
            check_onnx_file(tmp_path / "a.onnx")


def test_functions_of_a_file_are_refused(tmp_path):
    opset = helper.make_opsetid("", 17)
    calls = [node("g", "x", to="t", domain="own"), node("g", "t", domain="own")]
    function = helper.make_function("own", "f", ["x"], ["y"], calls, [opset])
    model = onnx.ModelProto.FromString(graph([node("f", "x", domain="own")]))
    model.functions.append(function)
    (tmp_path / "a.onnx").write_bytes(model.SerializeToString())
    with pytest.raises(BadPackage, match="functions of its own"):
        check_onnx_file(tmp_path / "a.onnx")


def test_other_operations_are_named(tmp_path):
    path = tmp_path / "a.onnx"
    foreign = node("Gelu", "x", domain="com.microsoft")
    cases = {"com.microsoft.Gelu": foreign, "ImageDecoder": node("ImageDecoder", "x")}
    for name, operation in cases.items():
        path.write_bytes(graph([operation]))
        check_onnx_file(path)
        with pytest.raises(BadPackage, match=f"operation {name}, .*--trust runs it"):
            check_onnx_file(path, allowed=ONNX)
    path.write_bytes(graph([node("Relu", "x")]))
    check_onnx_file(path, allowed=ONNX)
