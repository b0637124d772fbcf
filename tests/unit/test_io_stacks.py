import logging
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput
from zoo.io.stacks import open_stack, write_imagej_tiff, write_ome_tiff


def movie(frames=12, height=20, width=24, dtype="uint16", seed=1):
    rng = np.random.default_rng(seed)
    return rng.integers(0, 200, (frames, height, width)).astype(dtype)


def read_all(source, **options):
    with open_stack(source, **options) as stack:
        return stack.read(0, stack.frames)


def same(source, expected, **options):
    """Compare whole reading, block reading and a read in the middle with the truth."""
    with open_stack(source, **options) as stack:
        whole = stack.read(0, stack.frames)
        assert whole.dtype == np.float32
        assert whole.flags.c_contiguous
        np.testing.assert_array_equal(whole, expected)
        assert (stack.frames, stack.height, stack.width) == expected.shape[:3]
        assert stack.channels == expected.shape[3]
        blocks = [stack.read(i, i + 5) for i in range(0, stack.frames, 5)]
        np.testing.assert_array_equal(np.concatenate(blocks), expected)
        middle = stack.frames // 2
        np.testing.assert_array_equal(
            stack.read(middle, middle + 1), expected[middle : middle + 1]
        )


def nearly(expected):
    return expected if expected is None else pytest.approx(expected, rel=1e-4)


def one_line(caught):
    text = str(caught.value)
    assert "\n" not in text
    return text


# ---- kinds of TIFF


def write_page_by_page(path, frames, **options):
    with tifffile.TiffWriter(path, bigtiff=options.pop("bigtiff", False)) as tif:
        for frame in frames:
            tif.write(frame, metadata=None, contiguous=False, **options)


WRITERS = {
    "plain": lambda p, m: tifffile.imwrite(p, m, photometric="minisblack"),
    "big": lambda p, m: tifffile.imwrite(p, m, bigtiff=True, photometric="minisblack"),
    "big_endian": lambda p, m: tifffile.imwrite(
        p, m, byteorder=">", photometric="minisblack"
    ),
    "deflate": lambda p, m: tifffile.imwrite(
        p, m, compression="zlib", predictor=True, photometric="minisblack"
    ),
    "big_endian_deflate": lambda p, m: tifffile.imwrite(
        p, m, byteorder=">", compression="zlib", photometric="minisblack"
    ),
    "tiled": lambda p, m: tifffile.imwrite(
        p, m, tile=(16, 16), photometric="minisblack"
    ),
    "strips": lambda p, m: tifffile.imwrite(
        p, m, rowsperstrip=3, photometric="minisblack"
    ),
    "imagej": lambda p, m: tifffile.imwrite(
        p, m, imagej=True, metadata={"axes": "TYX"}
    ),
    "imagej_deflate": lambda p, m: tifffile.imwrite(
        p, m, imagej=True, compression="zlib", metadata={"axes": "TYX"}
    ),
    "ome": lambda p, m: tifffile.imwrite(
        p, m, ome=True, metadata={"axes": "TYX"}, photometric="minisblack"
    ),
    "ome_deflate": lambda p, m: tifffile.imwrite(
        p, m, ome=True, compression="zlib", metadata={"axes": "TYX"}
    ),
    "pages": write_page_by_page,
    "pages_big": lambda p, m: write_page_by_page(p, m, bigtiff=True),
    "pages_deflate": lambda p, m: write_page_by_page(p, m, compression="zlib"),
    "ours_ome": lambda p, m: write_ome_tiff(p, m, pixel_size_nm=100, axes="tyx"),
    "ours_imagej": lambda p, m: write_imagej_tiff(p, m, pixel_size_nm=100),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_every_kind_of_tiff_gives_its_frames(tmp_path, kind):
    frames = movie()
    path = tmp_path / "movie.tif"
    WRITERS[kind](path, frames)
    same(path, frames[..., None])
    same(str(path), frames[..., None])


@pytest.mark.parametrize("count", [2, 7, 9])
def test_short_files_of_loose_pages(tmp_path, count):
    frames = movie(count)
    write_page_by_page(tmp_path / "a.tif", frames)
    same(tmp_path / "a.tif", frames[..., None])


@pytest.mark.parametrize(
    "dtype",
    ["uint8", "uint16", "uint32", "int16", "int32", "float16", "float32", "float64"],
)
def test_every_number_type_is_read(tmp_path, dtype):
    frames = movie(dtype=dtype)
    tifffile.imwrite(tmp_path / "a.tif", frames, photometric="minisblack")
    same(tmp_path / "a.tif", frames[..., None])
    np.save(tmp_path / "a.npy", frames)
    same(tmp_path / "a.npy", frames[..., None])


@pytest.mark.parametrize(
    ("axes", "shape", "frames"),
    [
        ("YX", (20, 24), 1),
        ("TYX", (5, 20, 24), 5),
        ("ZYX", (5, 20, 24), 5),
        ("QYX", (5, 20, 24), 5),
        ("TZCYX", (5, 1, 1, 20, 24), 5),
        ("TZCYX", (1, 5, 1, 20, 24), 5),
        ("TZCYX", (3, 2, 1, 20, 24), 6),
        ("CYX", (1, 20, 24), 1),
        ("PYX", (4, 20, 24), 4),
    ],
)
def test_every_leading_axis_counts_frames(tmp_path, axes, shape, frames):
    data = np.arange(np.prod(shape), dtype="uint16").reshape(shape)
    tifffile.imwrite(
        tmp_path / "a.tif", data, photometric="minisblack", metadata={"axes": axes}
    )
    same(tmp_path / "a.tif", data.reshape(frames, 20, 24, 1))


def imagej_single_directory(path, frames):
    """Write what ImageJ does beyond 4 GB: one directory, raw images behind it."""
    description = (
        f"ImageJ=1.53t\nimages={len(frames)}\nframes={len(frames)}\n"
        "unit=nm\nloop=false\n"
    ).encode() + b"\0"
    count, height, width = frames.shape
    entries = 11
    directory = 8
    text = directory + 2 + entries * 12 + 4
    rational = text + len(description)
    data = rational + 8
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, height),
        (258, 3, 1, 16),
        (259, 3, 1, 1),
        (262, 3, 1, 1),
        (270, 2, len(description), text),
        (273, 4, 1, data),
        (277, 3, 1, 1),
        (278, 4, 1, height),
        (279, 4, 1, height * width * 2),
        (282, 5, 1, rational),
    ]
    with path.open("wb") as file:
        file.write(struct.pack("<2sHI", b"II", 42, directory))
        file.write(struct.pack("<H", entries))
        for tag in tags:
            file.write(struct.pack("<HHII", *tag))
        file.write(struct.pack("<I", 0) + description)
        file.write(struct.pack("<II", 1, 100))
        file.write(frames.astype("<u2").tobytes())
    return count


def test_imagej_stack_with_a_single_directory(tmp_path):
    frames = movie(50)
    path = tmp_path / "huge.tif"
    imagej_single_directory(path, frames)
    with tifffile.TiffFile(path) as tif:
        assert len(tif.pages) == 1
    same(path, frames[..., None])


def test_imagej_stack_with_a_single_directory_truncated(tmp_path):
    path = tmp_path / "huge.tif"
    imagej_single_directory(path, movie(50))
    path.write_bytes(path.read_bytes()[:-3000])
    with pytest.raises(BadInput, match=r"truncated.*50 images") as caught:
        open_stack(path)
    one_line(caught)


def test_first_of_several_ome_images_is_read_with_a_note(tmp_path):
    first, second = movie(4), movie(3, 30, 32)
    with tifffile.TiffWriter(tmp_path / "a.ome.tif") as tif:
        tif.write(first, metadata={"axes": "TYX"}, photometric="minisblack")
        tif.write(second, metadata={"axes": "TYX"}, photometric="minisblack")
    same(tmp_path / "a.ome.tif", first[..., None])
    with open_stack(tmp_path / "a.ome.tif") as stack:
        assert stack.notes == ["the first of 2 image series in the file was read"]


# ---- several files


def write_linked_ome(folder, frames, parts, **options):
    """Write a movie over several OME-TIFF files that name one another."""
    _, height, width = frames.shape
    names = [f"part{i}.ome.tif" for i in range(len(parts))]
    rows, first = "", 0
    for i, n in enumerate(parts):
        rows += (
            f'<TiffData IFD="0" FirstT="{first}" FirstC="0" FirstZ="0" '
            f'PlaneCount="{n}"><UUID FileName="{names[i]}">urn:uuid:{i}</UUID>'
            "</TiffData>"
        )
        first += n
    for i, n in enumerate(parts):
        xml = (
            '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/'
            f'OME/2016-06" UUID="urn:uuid:{i}"><Image ID="Image:0"><Pixels '
            f'ID="Pixels:0" DimensionOrder="XYZCT" Type="uint16" SizeX="{width}" '
            f'SizeY="{height}" SizeZ="1" SizeC="1" SizeT="{len(frames)}" '
            'PhysicalSizeX="120" PhysicalSizeXUnit="nm" PhysicalSizeY="120" '
            f'PhysicalSizeYUnit="nm"><Channel ID="Channel:0"/>{rows}</Pixels></Image>'
            "</OME>"
        )
        begin = sum(parts[:i])
        with tifffile.TiffWriter(folder / names[i]) as tif:
            for k, frame in enumerate(frames[begin : begin + n]):
                tif.write(
                    frame,
                    description=xml if k == 0 else None,
                    metadata=None,
                    contiguous=False,
                    **options,
                )
    return [folder / name for name in names]


@pytest.mark.parametrize("options", [{}, {"compression": "zlib"}])
def test_ome_tiff_over_several_files(tmp_path, options):
    frames = movie(13)
    paths = write_linked_ome(tmp_path, frames, [6, 5, 2], **options)
    same(paths[0], frames[..., None])
    same(tmp_path, frames[..., None])
    with open_stack(paths[0]) as stack:
        assert stack.pixel_size_nm == 120


def test_ome_tiff_with_a_missing_part_is_refused(tmp_path):
    paths = write_linked_ome(tmp_path, movie(13), [6, 5, 2])
    paths[1].unlink()
    with pytest.raises(BadInput, match="image 7 is not there") as caught:
        open_stack(paths[0])
    one_line(caught)


def test_linked_files_and_strangers_in_a_folder_are_refused(tmp_path):
    write_linked_ome(tmp_path, movie(13), [6, 5, 2])
    tifffile.imwrite(tmp_path / "z.tif", movie(2), photometric="minisblack")
    with pytest.raises(BadInput, match="others beside it"):
        open_stack(tmp_path)


def test_folder_of_single_frames_in_natural_order(tmp_path):
    frames = movie(12)
    for i, frame in enumerate(frames):
        tifffile.imwrite(tmp_path / f"frame{i}.tif", frame)
    (tmp_path / "notes.txt").write_text("not an image")
    (tmp_path / "._frame0.tif").write_text("left by another system")
    same(tmp_path, frames[..., None])


def test_folder_of_stacks(tmp_path):
    frames = movie(13)
    for i, (a, b) in enumerate([(0, 6), (6, 11), (11, 12), (12, 13)]):
        tifffile.imwrite(
            tmp_path / f"{i}.TIFF",
            frames[a:b],
            photometric="minisblack",
            compression="zlib" if i == 1 else None,
        )
    same(tmp_path, frames[..., None])


def test_folder_with_one_file_is_that_file(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", movie(3), photometric="minisblack")
    same(tmp_path, movie(3)[..., None])


def test_folder_of_unequal_sizes_is_refused(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", movie(1)[0])
    tifffile.imwrite(tmp_path / "b.tif", movie(1, 20, 25)[0])
    with pytest.raises(BadInput, match=r"b\.tif is 20 x 25 pixels, a\.tif is 20 x 24"):
        open_stack(tmp_path)


def test_folder_without_tiff_is_refused(tmp_path):
    with pytest.raises(BadInput, match="holds no TIFF file"):
        open_stack(tmp_path)


def test_folder_with_a_damaged_file_names_it(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", movie(1)[0])
    (tmp_path / "b.tif").write_bytes((tmp_path / "a.tif").read_bytes()[:500])
    with pytest.raises(BadInput, match=r"b\.tif is truncated"):
        open_stack(tmp_path)


# ---- channels


@pytest.mark.parametrize(
    ("axes", "order"),
    [("TCYX", (0, 3, 1, 2)), ("CTYX", (3, 0, 1, 2)), ("TYXS", (0, 1, 2, 3))],
)
@pytest.mark.parametrize("compression", [None, "zlib"])
def test_channels_wherever_they_are_stored(tmp_path, axes, order, compression):
    frames = movie(5 * 9).reshape(5, 20, 24, 9)
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.ascontiguousarray(frames.transpose(order)),
        photometric="minisblack",
        planarconfig="contig" if "S" in axes else None,
        metadata={"axes": axes},
        compression=compression,
    )
    same(tmp_path / "a.tif", frames, channels=9)


def test_channels_that_are_not_wanted_are_named(tmp_path):
    write_ome_tiff(
        tmp_path / "a.ome.tif",
        movie(8).reshape(4, 20, 24, 2),
        pixel_size_nm=100,
        axes="tyxc",
        channel_names=["tubulin", "actin"],
    )
    with pytest.raises(BadInput, match=r"2 channels \(tubulin, actin\).*one is needed"):
        open_stack(tmp_path / "a.ome.tif")
    with pytest.raises(BadInput, match=r"2 channels.*9 are needed"):
        open_stack(tmp_path / "a.ome.tif", channels=9)


@pytest.mark.parametrize(
    "options",
    [
        {"planarconfig": "contig"},
        {"planarconfig": "contig", "compression": "zlib"},
        {"planarconfig": "separate"},
    ],
)
def test_colour_images_are_refused(tmp_path, options):
    shape = (3, 20, 24) if options["planarconfig"] == "separate" else (20, 24, 3)
    data = np.zeros(shape, "uint8")
    tifffile.imwrite(tmp_path / "rgb.tif", data, photometric="rgb", **options)
    with pytest.raises(BadInput, match=r"rgb\.tif is a colour \(RGB\) image") as caught:
        open_stack(tmp_path / "rgb.tif")
    one_line(caught)


# ---- pixel size


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("um", 10.0, 100),
        ("micron", 8.0, 125),
        ("\\u00B5m", 10.0, 100),
        ("nm", 0.01, 100),
        ("mm", 10_000.0, 100),
        ("cm", 100_000.0, 100),
        ("inch", 254_000.0, 100),
        ("pixel", 1.0, None),
        ("pixels", 10.0, None),
        ("um", 1e-3, None),  # a millimetre is no pixel of a microscope
        ("nm", 2.0, None),
    ],
)
def test_pixel_size_of_imagej(tmp_path, unit, per_unit, expected):
    tifffile.imwrite(
        tmp_path / "a.tif",
        movie(3),
        imagej=True,
        resolution=(per_unit, per_unit),
        metadata={"unit": unit, "axes": "TYX"},
    )
    with open_stack(tmp_path / "a.tif") as stack:
        assert stack.pixel_size_nm == nearly(expected)
        source = "ImageJ metadata" if expected else "missing"
        assert stack.pixel_size_source == source


@pytest.mark.parametrize(
    ("size", "unit", "expected"),
    [
        (0.1, "µm", 100),
        (0.1, None, 100),
        (108.0, "nm", 108),
        (1.0e-4, "mm", 100),
        (1000.0, "Å", 100),
        (1.0, "pixel", None),
        (0.0, "µm", None),
        (1.0, "mm", None),
    ],
)
def test_pixel_size_of_ome(tmp_path, size, unit, expected):
    metadata = {"axes": "TYX", "PhysicalSizeX": size, "PhysicalSizeY": size}
    if unit:
        metadata |= {"PhysicalSizeXUnit": unit, "PhysicalSizeYUnit": unit}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", movie(3), metadata=metadata, photometric="minisblack"
    )
    with open_stack(tmp_path / "a.ome.tif") as stack:
        assert stack.pixel_size_nm == nearly(expected)
        assert stack.pixel_size_source == ("OME metadata" if expected else "missing")


@pytest.mark.parametrize(
    ("unit", "per_unit", "expected"),
    [
        ("CENTIMETER", 100_000.0, 100),
        ("INCH", 254_000.0, 100),  # 25.4 mm, not 25
        ("INCH", 72.0, None),
        ("NONE", 0.01, None),
    ],
)
def test_pixel_size_of_plain_tiff(tmp_path, unit, per_unit, expected):
    tifffile.imwrite(
        tmp_path / "a.tif",
        movie(3),
        photometric="minisblack",
        resolution=(per_unit, per_unit),
        resolutionunit=unit,
    )
    with open_stack(tmp_path / "a.tif") as stack:
        assert stack.pixel_size_nm == nearly(expected)
        assert stack.pixel_size_source == ("TIFF resolution" if expected else "missing")


def test_given_pixel_size_wins_and_the_difference_is_noted(tmp_path):
    write_ome_tiff(tmp_path / "a.tif", movie(3), pixel_size_nm=108, axes="tyx")
    with open_stack(tmp_path / "a.tif", pixel_size_nm=100) as stack:
        assert (stack.pixel_size_nm, stack.pixel_size_source) == (100, "given")
        assert any("108 nm" in note for note in stack.notes)


def test_unequal_pixel_edges_are_noted(tmp_path):
    metadata = {"axes": "TYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.11}
    tifffile.imwrite(
        tmp_path / "a.ome.tif", movie(3), metadata=metadata, photometric="minisblack"
    )
    with open_stack(tmp_path / "a.ome.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(100)
        assert any("110 nm along y" in note for note in stack.notes)


@pytest.mark.parametrize("value", [0, -100, 0.1, 1e6, float("nan")])
def test_impossible_given_pixel_size(value):
    with pytest.raises(BadInput, match="1 to 10000 nm"):
        open_stack(movie(), pixel_size_nm=value)


# ---- bad input


def test_missing_file(tmp_path):
    with pytest.raises(BadInput, match="does not exist") as caught:
        open_stack(tmp_path / "nothing.tif")
    one_line(caught)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is an empty file"),
        (b"id,frame,x\n1,2,3\n", "is not a TIFF file;"),
        (b"\x89PNG\r\n\x1a\n" + bytes(50), "but a PNG image"),
        (b"II*\0", "truncated or not a valid TIFF"),
        (b"II*\0\x08\0\0\0", "truncated"),
        (b"II*\0\xff\xff\xff\x0f" + bytes(50), "truncated"),
        (b"MM\0*" + bytes(range(250)), "truncated"),
    ],
)
def test_not_a_tiff(tmp_path, content, words):
    path = tmp_path / "a.tif"
    path.write_bytes(content)
    with pytest.raises(BadInput, match=words) as caught:
        open_stack(path)
    assert str(path) in one_line(caught)


@pytest.mark.parametrize("kind", WRITERS)
@pytest.mark.parametrize("share", [0.02, 0.1, 0.5, 0.9, 0.999])
def test_truncated_tiff_is_refused_at_opening(tmp_path, kind, share, caplog, capfd):
    frames = movie(12, 64, 64, seed=3)
    path = tmp_path / "movie.tif"
    WRITERS[kind](path, frames)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    with caplog.at_level(logging.DEBUG), pytest.raises(BadInput) as caught:
        open_stack(path)
    text = one_line(caught)
    assert str(path) in text
    assert "truncated" in text
    assert not caplog.records
    assert capfd.readouterr().err == ""


def test_damaged_page_is_named_when_it_is_read(tmp_path):
    frames = movie(6, 64, 64)
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, frames, compression="zlib", photometric="minisblack")
    with tifffile.TiffFile(path) as tif:
        start = tif.pages[3].dataoffsets[0]
    content = bytearray(path.read_bytes())
    content[start : start + 400] = bytes(400)
    path.write_bytes(content)
    with open_stack(path) as stack:
        np.testing.assert_array_equal(stack.read(0, 3)[..., 0], frames[:3])
        with pytest.raises(BadInput, match=r"image 4 of .*a\.tif cannot be decoded"):
            stack.read(0, 6)


def test_codec_that_is_not_installed_is_named_at_opening(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, movie(3), compression="zlib", photometric="minisblack")

    def absent(*_, **__):
        raise ValueError("<COMPRESSION.LZW: 5> requires the 'imagecodecs' package")

    monkeypatch.setattr(tifffile.TiffPage, "asarray", absent)
    with pytest.raises(BadInput, match="install imagecodecs or save it uncompressed"):
        open_stack(path)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("kind", ["tif", "npy", "array"])
def test_frames_that_are_not_finite_are_numbered(tmp_path, value, kind):
    frames = movie(dtype="float32")
    frames[7, 3, 4] = value
    source = frames if kind == "array" else tmp_path / f"a.{kind}"
    if kind == "tif":
        tifffile.imwrite(source, frames, photometric="minisblack")
    elif kind == "npy":
        np.save(source, frames)
    with open_stack(source) as stack:
        assert len(stack.read(0, 7)) == 7
        with pytest.raises(BadInput, match=r"frame 8 of .* holds NaN or infinite"):
            stack.read(5, 12)


def test_numbers_beyond_float32_are_not_finite():
    with (
        open_stack(np.full((2, 8, 8), 1e300)) as stack,
        pytest.raises(BadInput, match="frame 1 of"),
    ):
        stack.read(0, 2)


@pytest.mark.parametrize("dtype", ["bool", "complex64", "S4"])
def test_other_types_are_refused(tmp_path, dtype):
    data = np.zeros((3, 8, 8), dtype)
    with pytest.raises(BadInput, match="pixels of type"):
        open_stack(data)
    np.save(tmp_path / "a.npy", data)
    with pytest.raises(BadInput, match="pixels of type"):
        open_stack(tmp_path / "a.npy")


@pytest.mark.parametrize("dtype", ["bool", "complex64"])
def test_other_types_in_tiff_are_refused(tmp_path, dtype):
    tifffile.imwrite(
        tmp_path / "a.tif", np.zeros((3, 16, 16), dtype), photometric="minisblack"
    )
    with pytest.raises(BadInput, match="pixels of type"):
        open_stack(tmp_path / "a.tif")


@pytest.mark.parametrize("shape", [(0, 8, 8), (4, 0, 8), (4, 8, 0)])
def test_empty_recordings_are_refused(tmp_path, shape):
    with pytest.raises(BadInput, match="is empty"):
        open_stack(np.zeros(shape))
    np.save(tmp_path / "a.npy", np.zeros(shape))
    with pytest.raises(BadInput, match="is empty"):
        open_stack(tmp_path / "a.npy")


def test_reading_outside_is_a_programming_error():
    with open_stack(movie(5)) as stack:
        assert stack.read(3, 99).shape == (2, 20, 24, 1)
        for start, stop in [(5, 6), (-1, 2), (3, 3)]:
            with pytest.raises(ValueError, match="do not exist"):
                stack.read(start, stop)


# ---- arrays and .npy


@pytest.mark.parametrize(
    ("shape", "channels", "frames"),
    [
        ((20, 24), 1, 1),
        ((5, 20, 24), 1, 5),
        ((5, 20, 24, 1), 1, 5),
        ((20, 24, 1), 1, 1),
        ((5, 2, 20, 24), 1, 10),
        ((20, 24, 9), 9, 1),
        ((5, 20, 24, 9), 9, 5),
    ],
)
@pytest.mark.parametrize("where", ["array", "c", "fortran"])
def test_arrays(tmp_path, shape, channels, frames, where):
    data = np.arange(np.prod(shape), dtype="int64").reshape(shape)
    expected = data.reshape(frames, 20, 24, channels)
    source = data
    if where != "array":
        source = tmp_path / "a.npy"
        np.save(source, np.asfortranarray(data) if where == "fortran" else data)
    same(source, expected, channels=channels)


def test_channels_first_arrays():
    data = np.arange(5 * 9 * 20 * 24).reshape(5, 9, 20, 24)
    same(data, data.transpose(0, 2, 3, 1), channels=9)
    same(data[0], data[:1].transpose(0, 2, 3, 1), channels=9)


def test_array_of_colours_is_refused():
    with pytest.raises(BadInput, match="colour"):
        open_stack(np.zeros((64, 64, 3), "uint8"))


def test_line_is_refused():
    with pytest.raises(BadInput, match="an image"):
        open_stack(np.zeros(5))


def test_reading_gives_a_copy():
    data = movie(3, dtype="float32")
    with open_stack(data) as stack:
        stack.read(0, 3)[:] = -1
    assert (data >= 0).all()


def test_damaged_npy(tmp_path):
    path = tmp_path / "a.npy"
    np.save(path, movie(5))
    content = path.read_bytes()
    for broken in (content[:-100], content[:20], content[:9]):
        path.write_bytes(broken)
        with pytest.raises(BadInput, match="truncated, damaged or") as caught:
            open_stack(path)
        one_line(caught)
    np.save(path, np.array([{}, None]), allow_pickle=True)
    with pytest.raises(BadInput, match="holds objects"):
        open_stack(path)


# ---- Zarr


def write_zarr(path, data, axes, version, scale, unit):
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(path, zarr_format=3 if version == "0.5" else 2)
    array = group.create_array(
        "0", shape=data.shape, chunks=(4, *data.shape[1:]), dtype=data.dtype
    )
    array[...] = data
    kinds = {"t": "time", "c": "channel"}
    named = [{"name": a, "type": kinds.get(a, "space")} for a in axes]
    for axis in named:
        if axis["type"] == "space":
            axis["unit"] = unit
    scales = [scale if a in "yx" else 1.0 for a in axes]
    multiscales = [
        {
            "axes": named,
            "datasets": [
                {
                    "path": "0",
                    "coordinateTransformations": [{"type": "scale", "scale": scales}],
                }
            ],
        }
    ]
    if version == "0.5":
        group.attrs["ome"] = {"version": "0.5", "multiscales": multiscales}
    else:
        group.attrs["multiscales"] = multiscales


@pytest.mark.parametrize("version", ["0.4", "0.5"])
def test_ome_zarr(tmp_path, version):
    data = movie(10)
    write_zarr(tmp_path / "a.zarr", data, "tyx", version, 0.108, "micrometer")
    same(tmp_path / "a.zarr", data[..., None])
    with open_stack(tmp_path / "a.zarr") as stack:
        assert stack.pixel_size_nm == pytest.approx(108)
        assert stack.pixel_size_source == "OME-Zarr metadata"
        assert stack.axes == "TYX"


def test_ome_zarr_with_channels(tmp_path):
    data = movie(4 * 9).reshape(4, 9, 1, 20, 24)
    write_zarr(tmp_path / "a.zarr", data, "tczyx", "0.5", 100.0, "nanometer")
    same(tmp_path / "a.zarr", data[:, :, 0].transpose(0, 2, 3, 1), channels=9)
    with pytest.raises(BadInput, match="9 channels"):
        open_stack(tmp_path / "a.zarr")


@pytest.mark.parametrize("version", [2, 3])
@pytest.mark.parametrize(
    ("shape", "chunks"),
    [
        ((2, 16, 16), (1, 10**5, 10**5)),
        ((2, 10**5, 10**5), (1, 16, 16)),
        ((10**9, 16, 16), (1, 16, 16)),
    ],
)
def test_what_a_zarr_array_declares_gets_no_memory(tmp_path, version, shape, chunks):
    zarr = pytest.importorskip("zarr")
    group = zarr.create_group(tmp_path / "a.zarr", zarr_format=version)
    options = {"shape": shape, "chunks": chunks, "dtype": "uint16"}
    group.create_array("0", **options)
    axes = [{"name": name} for name in "tyx"]
    scales = [{"version": "0.4", "axes": axes, "datasets": [{"path": "0"}]}]
    group.attrs["multiscales"] = scales
    zarr.create_array(tmp_path / "b.zarr", zarr_format=version, **options)
    for name in "ab":
        with pytest.raises(BadInput, match=r"is damaged: it declares .* again"):
            open_stack(tmp_path / f"{name}.zarr")


def test_a_large_chunk_that_is_stored_is_read(tmp_path, monkeypatch):
    zarr = pytest.importorskip("zarr")
    monkeypatch.setattr("zoo.io.formats.BLANK_BYTES", 1000)
    data = movie(4)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=data.shape, chunks=data.shape, dtype="uint16"
    )
    array[:] = data
    same(tmp_path / "a.zarr", data[..., None])


def test_plain_zarr_array_and_empty_group(tmp_path):
    zarr = pytest.importorskip("zarr")
    data = movie(5)
    array = zarr.create_array(
        tmp_path / "a.zarr", shape=data.shape, chunks=(2, 20, 24), dtype="uint16"
    )
    array[...] = data
    same(tmp_path / "a.zarr", data[..., None])
    zarr.create_group(tmp_path / "b.zarr")
    with pytest.raises(BadInput, match="holds no OME-Zarr image"):
        open_stack(tmp_path / "b.zarr")


@pytest.mark.parametrize(
    ("module", "extra", "name"),
    [("mrcfile.mrcinterpreter", "mrc", "a.mrc"), ("zarr", "zarr", "a.zarr")],
)
def test_missing_extra_is_named(tmp_path, monkeypatch, module, extra, name):
    path = tmp_path / name
    if extra == "mrc":
        sizes = np.array([4, 4, 1, 0], "<i4").tobytes()
        path.write_bytes(sizes + bytes(192) + b"MAP " + bytes(2000))
    else:
        path.mkdir()
        (path / "zarr.json").write_text("{}")
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(BadInput, match=rf'pip install "superres-zoo\[{extra}\]"'):
        open_stack(path)


# ---- writers


def test_ome_writer_keeps_axes_size_and_names(tmp_path):
    data = movie(8).reshape(4, 20, 24, 2)
    path = tmp_path / "a.ome.tif"
    write_ome_tiff(
        path,
        data,
        pixel_size_nm=12.5,
        axes="tyxc",
        description="two colours",
        channel_names=["a", "b"],
    )
    with tifffile.TiffFile(path) as tif:
        assert tif.is_ome
        assert tif.series[0].axes == "TCYX"
        assert tif.ome_metadata is not None
        assert 'PhysicalSizeX="0.0125"' in tif.ome_metadata
        assert "two colours" in tif.ome_metadata
    same(path, data, channels=2)
    with open_stack(path, channels=2) as stack:
        assert stack.pixel_size_nm == pytest.approx(12.5)


def test_writers_take_other_floats_as_float32(tmp_path):
    image = np.linspace(0, 1, 20 * 24).reshape(20, 24)
    write_ome_tiff(tmp_path / "a.ome.tif", image, pixel_size_nm=10, axes="yx")
    write_imagej_tiff(tmp_path / "a.tif", image, pixel_size_nm=10)
    for name in ("a.ome.tif", "a.tif"):
        np.testing.assert_array_equal(
            read_all(tmp_path / name)[0, ..., 0], image.astype("float32")
        )


def test_imagej_writer(tmp_path):
    write_imagej_tiff(tmp_path / "a.tif", movie(5), pixel_size_nm=108)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.is_imagej
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["frames"] == 5
    with open_stack(tmp_path / "a.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(108, rel=1e-5)


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path, monkeypatch):
    path = tmp_path / "a.tif"
    write_imagej_tiff(path, movie(2), pixel_size_nm=100)
    before = path.read_bytes()

    def full(file, *_, **__):
        Path(file).write_bytes(b"half of it")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tifffile, "imwrite", full)
    with pytest.raises(OSError, match="No space left"):
        write_imagej_tiff(path, movie(3), pixel_size_nm=100)
    with pytest.raises(OSError, match="No space left"):
        write_ome_tiff(tmp_path / "b.tif", movie(3), pixel_size_nm=100, axes="tyx")
    assert path.read_bytes() == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.tif"]


def test_writers_refuse_nonsense(tmp_path):
    with pytest.raises(ValueError, match="axes 'yx'"):
        write_ome_tiff(tmp_path / "a.tif", movie(3), pixel_size_nm=100, axes="yx")
    with pytest.raises(ValueError, match="positive"):
        write_imagej_tiff(tmp_path / "a.tif", movie(3), pixel_size_nm=0)
    with pytest.raises(ValueError, match="3 names for 1 channels"):
        write_ome_tiff(
            tmp_path / "a.tif",
            movie(3),
            pixel_size_nm=100,
            axes="tyx",
            channel_names=["a", "b", "c"],
        )
    assert not list(tmp_path.iterdir())


# ---- memory

# VmHWM starts anew with a program; ru_maxrss would include the parent's memory
PEAK = """
import re, sys
from pathlib import Path
from zoo.io.stacks import open_stack
with open_stack(sys.argv[1]) as stack:
    for start in range(0, stack.frames, 50):
        stack.read(start, start + 50)
status = Path("/proc/self/status").read_text()
print(stack.frames, re.search(r"VmHWM:\\s+(\\d+) kB", status).group(1))
"""


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="needs Linux")
@pytest.mark.parametrize(
    ("kind", "limit_mb"), [("plain", 2), ("deflate", 2), ("ome", 8), ("npy", 2)]
)
def test_memory_does_not_grow_with_frames(tmp_path, kind, limit_mb):
    peaks = []
    for frames in (500, 5000):
        data = np.zeros((frames, 128, 128), "uint16")
        path = tmp_path / f"{frames}.{'npy' if kind == 'npy' else 'tif'}"
        if kind == "npy":
            np.save(path, data)
        else:
            WRITERS[kind](path, data)
        run = subprocess.run(
            [sys.executable, "-c", PEAK, str(path)],
            check=True, capture_output=True, text=True, cwd=Path(__file__).parents[2],
        )  # fmt: skip
        count, peak = run.stdout.split()
        assert int(count) == frames
        peaks.append(int(peak))
    # the longer movie has 147 MB more
    assert peaks[1] - peaks[0] < limit_mb * 1000
