"""Checkpoints whose checksums are right, and which would take hours or odd shapes."""

import bundles
import numpy as np
import pytest

from converters.crc32c import crc32c, masked
from converters.tensor_bundle import read_bundle
from zoo.core.errors import BadInput

CONTENT = np.arange(6, dtype="<f4").tobytes()


@pytest.fixture
def write(tmp_path):
    """Return what writes a checkpoint of one tensor, with further blocks."""

    def written(shape, *, content=CONTENT, further=(), handles=None):
        total = masked(crc32c(content))
        value = bundles.entry(
            dtype=1, shape=shape, place=(0, 0, len(content)), checksum=total
        )
        first = bundles.block([(b"", bundles.header()), (b"a", value)])
        index = bundles.table([first, *further], handles)
        (tmp_path / "m.index").write_bytes(index)
        (tmp_path / "m.data-00000-of-00001").write_bytes(content)
        return tmp_path / "m"

    return written


def test_what_is_written_here_is_a_checkpoint(write):
    found, others = read_bundle(write((2, 3)))
    np.testing.assert_array_equal(found["a"], np.arange(6.0).reshape(2, 3))
    assert others == ()


def test_axes_that_nothing_stored_bounds_are_refused(write):
    found, _ = read_bundle(write((0, 4), content=b""))
    assert found["a"].shape == (0, 4)
    with pytest.raises(BadInput, match="a has axes that are too long"):
        read_bundle(write((0, 2**62, 2**62), content=b""))


def test_a_block_without_entries_is_not_read_again_and_again(write):
    empty = bundles.block([])
    found, _ = read_bundle(write((2, 3), further=[empty]))
    assert list(found) == ["a"]
    twice = [bundles.handle(0, len(empty))] * 2
    content = bundles.table([empty], twice)
    prefix = write((2, 3))
    prefix.with_name("m.index").write_bytes(content)
    with pytest.raises(BadInput, match="its blocks overlap"):
        read_bundle(prefix)
