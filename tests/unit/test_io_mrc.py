import struct

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.io.stacks import open_stack

pytest.importorskip("mrcfile")

MODES = {"int8": 0, "uint8": 0, "int16": 1, "float32": 2, "complex64": 4, "uint16": 6}


def sections(count=9, height=20, width=24, dtype="uint16"):
    rng = np.random.default_rng(1)
    return rng.integers(0, 120, (count, height, width)).astype(dtype)


def write_mrc(
    path,
    data,
    *,
    voxel=0.0,
    byteorder="<",
    samplings=None,
    cell=None,
    identified=True,
    mark=None,
    extended=b"",
    stated=None,
    group=0,
    priism=False,
):
    """Write the 1024-byte header by its definition, then the sections."""
    count, height, width = data.shape
    mx, my, mz = (width, height, count) if samplings is None else samplings
    header = bytearray(1024)
    struct.pack_into(
        f"{byteorder}10i", header, 0,
        width, height, count, MODES[data.dtype.name], 0, 0, 0, mx, my, mz,
    )  # fmt: skip
    edges = (mx * voxel, my * voxel, mz * voxel) if cell is None else cell
    struct.pack_into(f"{byteorder}3f", header, 40, *edges)
    struct.pack_into(f"{byteorder}3i", header, 64, 1, 2, 3)
    length = len(extended) if stated is None else stated
    struct.pack_into(f"{byteorder}2i", header, 88, group, length)
    if priism:
        struct.pack_into(f"{byteorder}h", header, 96, -16224)
    if identified:
        header[208:212] = b"MAP "
        header[212:216] = b"DD\0\0" if byteorder == "<" else b"\x11\x11\0\0"
    if mark is not None:
        header[212:216] = mark
    body = data.astype(data.dtype.newbyteorder(byteorder)).tobytes()
    path.write_bytes(bytes(header) + extended + body)
    return path


def same(path, expected, **options):
    with open_stack(path, **options) as stack:
        assert (stack.frames, stack.channels) == (len(expected), expected.shape[-1])
        np.testing.assert_array_equal(stack.read(0, stack.frames), expected)
        last = stack.frames - 1
        np.testing.assert_array_equal(stack.read(last, last + 1), expected[last:])


@pytest.mark.parametrize("dtype", ["int8", "int16", "uint16", "float32"])
@pytest.mark.parametrize("byteorder", "<>")
def test_sections_are_frames_or_raw_frames(tmp_path, dtype, byteorder):
    data = sections(18, dtype=dtype)
    path = write_mrc(tmp_path / "a.mrc", data, byteorder=byteorder)
    same(path, data[..., None])
    same(path, data[..., None], channels=None)
    groups = data.reshape(2, 9, 20, 24).transpose(0, 2, 3, 1)
    same(path, groups, channels=9, group="raw frames")
    write_mrc(path, data[:9], byteorder=byteorder)
    same(path, groups[:1], channels=9, group="raw frames")


@pytest.mark.parametrize("count", [1, 8, 10, 26])
def test_number_of_sections_that_is_no_multiple_of_nine(tmp_path, count):
    path = write_mrc(tmp_path / "a.mrc", sections(count))
    with pytest.raises(BadInput, match="multiple of 9") as caught:
        open_stack(path, channels=9, group="raw frames")
    text = str(caught.value)
    assert "\n" not in text
    assert str(path) in text
    assert ("single image" if count == 1 else f"{count} single images") in text


@pytest.mark.parametrize("group", [0, 1])
def test_a_single_section(tmp_path, group):
    data = sections(1)
    same(write_mrc(tmp_path / "a.mrc", data, group=group), data[..., None])


def test_volumes_are_read_one_after_the_other(tmp_path):
    data = sections(6)
    options = {"samplings": (24, 20, 3), "group": 401}
    path = write_mrc(tmp_path / "a.mrc", data, **options)
    same(path, data[..., None])
    with open_stack(path) as stack:
        assert stack.axes == "QZYX"
    for depth in (0, 4):  # nonsense, which other programs do not read
        options["samplings"] = (24, 20, depth)
        same(write_mrc(tmp_path / "a.mrc", data, **options), data[..., None])


# ---- headers as they are, not as they should be


@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "float32"])
def test_headers_without_identification(tmp_path, byteorder, dtype):
    data = sections(9, dtype=dtype)
    path = tmp_path / "a.mrc"
    write_mrc(path, data, byteorder=byteorder, identified=False, priism=True)
    same(path, data[..., None])


@pytest.mark.parametrize("mark", [b"\x11\x11\0\0", b"\0\0\0\0", b"????"])
def test_mark_of_the_wrong_byte_order(tmp_path, mark):
    data = sections(9)
    same(write_mrc(tmp_path / "a.mrc", data, mark=mark), data[..., None])


@pytest.mark.parametrize("priism", [True, False])
def test_bytes_have_a_sign_by_the_format_and_none_in_older_files(tmp_path, priism):
    data = np.full((2, 20, 24), 200, "uint8")
    path = write_mrc(tmp_path / "a.mrc", data, priism=priism)
    with open_stack(path) as stack:
        assert stack.read(0, 1).max() == (200 if priism else 200 - 256)


def test_extended_header_is_skipped(tmp_path):
    data = sections(9)
    path = write_mrc(tmp_path / "a.mrc", data, extended=b"\xff" * 320)
    same(path, data[..., None])


def test_extended_header_that_is_not_there(tmp_path):
    data = sections(9)
    same(write_mrc(tmp_path / "a.mrc", data, stated=320), data[..., None])


def test_an_identified_file_needs_no_ending(tmp_path):
    data = sections(9)
    same(write_mrc(tmp_path / "RawSIMData_level_01", data), data[..., None])


# ---- pixel size


@pytest.mark.parametrize(
    ("voxel", "expected", "unit"),
    [
        (0.0, None, None),
        (626.0, 62.6, "ångström"),
        (313.0, 31.3, "ångström"),
        (1000.0, 100, "ångström"),
        (250.0, 25, "ångström"),  # 250 nm would be possible: the format's unit wins
        (6000.0, 600, "ångström"),
        (62.6, 62.6, "nanometre"),
        (31.3, 31.3, "nanometre"),
        (108.0, 108, "nanometre"),
        (0.0626, 62.6, "micrometre"),
        (0.0313, 31.3, "micrometre"),
        (0.5, 500, "micrometre"),
    ],
)
@pytest.mark.parametrize("byteorder", "<>")
def test_unit_of_the_pixel_size_is_found(tmp_path, voxel, expected, unit, byteorder):
    path = tmp_path / "a.mrc"
    write_mrc(path, sections(3), voxel=voxel, byteorder=byteorder)
    with open_stack(path) as stack:
        if expected is None:
            assert stack.pixel_size_nm is None
            assert stack.pixel_size_source == "missing"
            assert not stack.notes
        else:
            assert stack.pixel_size_nm == pytest.approx(expected, rel=1e-5)
            assert stack.pixel_size_source == f"MRC header ({unit})"
            (note,) = stack.notes
            assert f"{expected:.4g} nm" in note
            assert "give it yourself" in note


@pytest.mark.parametrize("voxel", [5.0, 1.0, 1e-6, 1e7])
def test_size_of_no_microscope_counts_as_missing_with_a_note(tmp_path, voxel):
    path = write_mrc(tmp_path / "a.mrc", sections(3), voxel=voxel)
    with open_stack(path) as stack:
        assert stack.pixel_size_nm is None
        assert stack.pixel_size_source == "missing"
        (note,) = stack.notes
        assert f"pixels of {voxel:.4g}," in note
        assert "counts as missing" in note


@pytest.mark.parametrize("voxel", [-0.0626, float("nan"), float("inf")])
def test_cells_that_are_no_lengths_state_nothing(tmp_path, voxel):
    path = write_mrc(tmp_path / "a.mrc", sections(3), voxel=voxel)
    with open_stack(path) as stack:
        assert (stack.pixel_size_nm, stack.notes) == (None, [])


@pytest.mark.parametrize(
    ("samplings", "cell"),
    [
        ((24, 20, 9), (24 * 0.0626, 20 * 0.0626, 9 * 0.0626)),  # the cell, µm
        ((1, 1, 1), (0.0626, 0.0626, 0.0626)),  # of one sampling
        ((0, 0, 0), (24 * 0.0626, 20 * 0.0626, 1.0)),  # samplings left out
        ((502, 502, 9), (31.4252, 31.4252, 1.0)),  # a header of another size
        ((24, 20, 9), (0.0626, 0.0626, 0.125)),  # the pixel where the cell belongs
    ],
)
def test_micrometres_as_light_microscopes_write_them(tmp_path, samplings, cell):
    path = write_mrc(tmp_path / "a.mrc", sections(), samplings=samplings, cell=cell)
    with open_stack(path, channels=9, group="raw frames") as stack:
        assert stack.pixel_size_nm == pytest.approx(62.6, rel=1e-4)
        assert stack.pixel_size_source == "MRC header (micrometre)"


def test_given_size_overrides_the_header(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", sections(3), voxel=0.0626)
    with open_stack(path, pixel_size_nm=65) as stack:
        assert (stack.pixel_size_nm, stack.pixel_size_source) == (65, "given")


# ---- damage


@pytest.mark.parametrize("byteorder", "<>")
def test_truncated_file(tmp_path, byteorder):
    path = write_mrc(tmp_path / "a.mrc", sections(5), byteorder=byteorder)
    content = path.read_bytes()
    path.write_bytes(content[:-1000])
    with pytest.raises(BadInput, match="truncated: it describes 5 images"):
        open_stack(path)
    path.write_bytes(content[:300])
    with pytest.raises(BadInput, match="not a readable MRC file"):
        open_stack(path)


@pytest.mark.parametrize(
    ("offset", "value"), [(12, 99), (12, 101), (8, 0), (0, -5), (4, 0), (92, -1)]
)
def test_header_that_describes_no_images(tmp_path, offset, value):
    path = write_mrc(tmp_path / "a.mrc", sections(5))
    content = bytearray(path.read_bytes())
    struct.pack_into("<i", content, offset, value)
    path.write_bytes(content)
    with pytest.raises(BadInput, match="not a readable MRC file") as caught:
        open_stack(path)
    assert "\n" not in str(caught.value)


def test_other_data_with_the_ending(tmp_path):
    (tmp_path / "a.mrc").write_bytes(b"no header of this kind " * 100)
    with pytest.raises(BadInput, match="not a readable MRC file"):
        open_stack(tmp_path / "a.mrc")


def test_spectra_are_refused(tmp_path):
    path = write_mrc(tmp_path / "a.mrc", sections(2, dtype="complex64"))
    with pytest.raises(BadInput, match="pixels of type complex64"):
        open_stack(path)


def test_what_a_header_declares_gets_no_memory(tmp_path):
    import tracemalloc

    data = sections(2)
    path = write_mrc(tmp_path / "a.mrc", data, voxel=65.0, stated=2**31 - 1)
    tracemalloc.start()
    same(path, data[..., None])  # its length tells that nothing follows the header
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()

    path = write_mrc(tmp_path / "b.mrc", data, extended=b"1", stated=2**31 - 1)
    with pytest.raises(BadInput, match="truncated: it describes 2 images"):
        open_stack(path)
    head = bytearray(write_mrc(tmp_path / "c.mrc", data).read_bytes())
    struct.pack_into("<10i", head, 0, 1, 1, 2**24 - 1, 0, 0, 0, 0, 1, 1, 1)
    (tmp_path / "c.mrc").write_bytes(head)
    tracemalloc.start()
    with pytest.raises(BadInput, match="truncated: it describes 16777215 images"):
        open_stack(tmp_path / "c.mrc")
    assert tracemalloc.get_traced_memory()[1] < 2**24
    tracemalloc.stop()


def test_compressed_and_very_short_files_are_said_to_be_that(tmp_path):
    import bz2
    import gzip

    content = write_mrc(tmp_path / "a.mrc", sections(2)).read_bytes()
    for name, packed in (("g", gzip.compress(content)), ("b", bz2.compress(content))):
        (tmp_path / f"{name}.mrc").write_bytes(packed)
        with pytest.raises(BadInput, match="is compressed; unpack it first"):
            open_stack(tmp_path / f"{name}.mrc")
    (tmp_path / "s.mrc").write_bytes(content[:1000])
    with pytest.raises(BadInput, match="not a readable MRC file: it ends"):
        open_stack(tmp_path / "s.mrc")
