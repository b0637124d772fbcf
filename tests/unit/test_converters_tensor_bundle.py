"""TensorFlow's checkpoints read without TensorFlow; the files are written by it."""

import numpy as np
import pytest

from converters.crc32c import crc32c, masked
from converters.tensor_bundle import bundle_prefix, read_bundle
from zoo.core.errors import BadInput

tf = pytest.importorskip("tensorflow")
pytestmark = pytest.mark.tensorflow


def save(prefix, tensors):
    """Write a checkpoint as ``tf.train.Saver`` does."""
    tf.raw_ops.SaveV2(
        prefix=str(prefix),
        tensor_names=list(tensors),
        shape_and_slices=[""] * len(tensors),
        tensors=[tf.constant(value) for value in tensors.values()],
    )
    return prefix


@pytest.fixture
def checkpoint(tmp_path):
    rng = np.random.default_rng(5)
    tensors = {
        f"generator/layer_{n}/{kind}": rng.normal(size=(3, n + 1)).astype(kind)
        for n in range(40)
        for kind in ("float32", "float64", "float16")
    }
    tensors["step"] = np.int64(1234)
    tensors["empty"] = np.zeros((0, 4), np.float32)
    tensors["flags"] = np.array([True, False])
    tensors["large"] = rng.normal(size=(300, 500)).astype(np.float32)
    tensors["words"] = np.array([b"a", b"bc"])
    return save(tmp_path / "model.ckpt-7", tensors), tensors


def numbers(name):
    return name != "words"


def test_checksums_are_those_of_the_standard():
    # RFC 3720, section B.4
    assert crc32c(b"") == 0
    assert crc32c(bytes(32)) == 0x8A9136AA
    assert crc32c(b"\xff" * 32) == 0x62A8AB43
    assert crc32c(bytes(range(32))) == 0x46DD794E
    # parts side by side give what byte after byte gives
    content = np.random.default_rng(1).bytes(70_001)
    state = 0xFFFFFFFF
    for byte in content:
        state ^= byte
        for _ in range(8):
            state = state >> 1 ^ (0x82F63B78 if state & 1 else 0)
    assert crc32c(content) == state ^ 0xFFFFFFFF
    assert masked(0) == 0xA282EAD8


def test_every_tensor_is_read_as_it_was_written(checkpoint):
    prefix, tensors = checkpoint
    found, others = read_bundle(prefix, wanted=numbers)
    assert set(found) == set(tensors) - {"words"}
    assert others == ("words",)
    for name, values in found.items():
        expected = np.asarray(tensors[name])
        assert values.dtype == expected.dtype
        np.testing.assert_array_equal(values, expected)


def test_tensorflow_1_writes_the_same_format(tmp_path):
    with tf.Graph().as_default(), tf.compat.v1.Session() as session:
        with tf.compat.v1.variable_scope("generator/encoder_1/conv"):
            kernel = tf.compat.v1.get_variable("filter", [4, 4, 2, 8])
        session.run(tf.compat.v1.global_variables_initializer())
        values = session.run(kernel)
        path = tf.compat.v1.train.Saver().save(session, str(tmp_path / "m"), 3)
    found, _ = read_bundle(path)
    np.testing.assert_array_equal(found["generator/encoder_1/conv/filter"], values)
    # index, data, graph or folder: they are one checkpoint
    for given in (path, f"{path}.index", f"{path}.meta", tmp_path):
        assert str(bundle_prefix(given)) == path


def test_several_data_files_are_one_checkpoint(tmp_path):
    parts = [
        save(tmp_path / f"part{n}", {f"t{n}": np.full(5, n, np.float32)})
        for n in (0, 1)
    ]
    tf.raw_ops.MergeV2Checkpoints(
        checkpoint_prefixes=[str(p) for p in parts],
        destination_prefix=str(tmp_path / "whole"),
    )
    found, _ = read_bundle(tmp_path / "whole")
    assert {name: values[0] for name, values in found.items()} == {"t0": 0, "t1": 1}
    (tmp_path / "whole.data-00001-of-00002").unlink()
    with pytest.raises(BadInput, match=r"data-00001-of-00002 is missing; it belongs"):
        read_bundle(tmp_path / "whole")


def refusal(prefix, **options):
    with pytest.raises(BadInput) as caught:
        read_bundle(prefix, **options)
    text = str(caught.value)
    assert "\n" not in text
    return text


def index_of(prefix):
    return prefix.with_name(f"{prefix.name}.index")


def data_of(prefix):
    return prefix.with_name(f"{prefix.name}.data-00000-of-00001")


def test_what_is_no_checkpoint_is_refused_in_one_line(tmp_path, checkpoint):
    prefix, _ = checkpoint
    assert "words holds strings, which is not supported" in refusal(prefix)
    assert "is not a file" in refusal(tmp_path / "nothing")
    (tmp_path / "old.ckpt").write_bytes(b"x" * 100)
    assert "format V1, or none" in refusal(tmp_path / "old.ckpt")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "holds no checkpoint" in refusal(empty)
    save(tmp_path / "second", {"a": np.float32(1)})
    assert "holds 2 checkpoints; give one .index" in refusal(tmp_path)


def test_tensors_in_slices_are_refused(tmp_path):
    tf.raw_ops.SaveV2(
        prefix=str(tmp_path / "m"),
        tensor_names=["a"],
        shape_and_slices=["4 2 0,2:0,2"],
        tensors=[tf.zeros((2, 2))],
    )
    assert "a is stored in slices" in refusal(tmp_path / "m")


@pytest.mark.parametrize("share", [0.0, 0.3, 0.9, 0.999])
def test_files_that_were_cut_off_are_refused(checkpoint, share):
    prefix, _ = checkpoint
    for file, word in ((data_of(prefix), "shorter"), (index_of(prefix), "cut off")):
        content = file.read_bytes()
        file.write_bytes(content[: int(share * len(content))])
        assert word in refusal(prefix, wanted=numbers)
        file.write_bytes(content)


def test_changed_bytes_are_never_taken_for_weights(checkpoint):
    prefix, tensors = checkpoint
    rng = np.random.default_rng(2)
    reasons: list[str] = []
    for file in (data_of(prefix), index_of(prefix)):
        content = file.read_bytes()
        for place in rng.integers(0, len(content), 60):
            changed = bytearray(content)
            changed[place] ^= 1 << rng.integers(8)
            file.write_bytes(changed)
            try:
                found, _ = read_bundle(prefix, wanted=numbers)
            except BadInput as error:
                reasons.append(str(error))
            else:  # padding, or the strings
                assert set(found) == set(tensors) - {"words"}
                for name, values in found.items():
                    np.testing.assert_array_equal(values, np.asarray(tensors[name]))
        file.write_bytes(content)
    assert len(reasons) > 100
    assert not any("\n" in reason for reason in reasons)


def test_a_shape_larger_than_the_data_is_refused_before_memory_is_taken(tmp_path):
    prefix = save(tmp_path / "m", {"a": np.zeros((100, 100), np.float32)})
    file = index_of(prefix)
    content = file.read_bytes()
    # the length 100 of an axis, and the sum over the block that holds it
    assert content.count(b"\x12\x02\x08\x64") == 2
    content = content.replace(b"\x12\x02\x08\x64", b"\x12\x02\x08\x7f")
    assert "block is damaged" in _rewritten(file, content, prefix, repair=False)
    text = _rewritten(file, content, prefix, repair=True)
    assert "should have 64516 bytes by its shape, and has 40000" in text


def _rewritten(file, content, prefix, *, repair):
    if repair:
        end = content.index(b"\x00\x00\x00\x00\x01\x00\x00\x00") + 8
        total = masked(crc32c(content[: end + 1])).to_bytes(4, "little")
        content = content[: end + 1] + total + content[end + 5 :]
    file.write_bytes(content)
    return refusal(prefix)
