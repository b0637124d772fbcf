"""TIFF files that declare more than they hold, or store white as zero."""

import json
import resource
import struct
import subprocess
import sys
import uuid

import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput
from zoo.io.stacks import open_stack
from zoo.io.tiff_metadata import elements
from zoo.io.write import write_ome_planes, write_ome_tiff

IMAGE = np.arange(48, dtype=np.uint16).reshape(6, 8)

OPEN = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, (int(sys.argv[2]), int(sys.argv[2])))
from zoo.core.errors import BadInput
from zoo.io.stacks import open_stack
try:
    with open_stack(sys.argv[1], channels=None) as stack:
        stack.read(0, 1)
except BadInput as error:
    print(error)
    sys.exit(1)
"""


def ome(tmp_path, change, shape=(3, 6, 8)):
    """Write an OME-TIFF whose XML is changed."""
    path = tmp_path / "a.ome.tif"
    tifffile.imwrite(
        path, np.ones(shape, np.uint16), ome=True, metadata={"axes": "TYX"}
    )
    with tifffile.TiffFile(path) as tif:
        text = tif.ome_metadata
    tifffile.tiffcomment(path, change(text).encode())
    return path


def page(path, *, width, length, compression=1, counts=None, data=b"", loop=False):
    """Write a TIFF of one page by hand."""
    stored = len(data) if counts is None else counts
    start = 8 + 2 + 10 * 12 + 4
    tags = [
        (256, 4, 1, width),
        (257, 4, 1, length),
        (258, 3, 1, 16),
        (259, 3, 1, compression),
        (262, 3, 1, 1),
        (273, 4, 1, start),
        (277, 3, 1, 1),
        (278, 4, 1, length),
        (279, 4, 1, stored),
        (339, 3, 1, 1),
    ]
    entries = b"".join(struct.pack("<HHII", *tag) for tag in tags)
    following = struct.pack("<I", 8 if loop else 0)
    head = struct.pack("<2sHIH", b"II", 42, 8, len(tags))
    path.write_bytes(head + entries + following + data)
    return path


def size_t(text):
    return text.replace('SizeT="3"', 'SizeT="99999999999"')


def plane_count(text):
    return text.replace("<TiffData", '<TiffData PlaneCount="999999999"').replace(
        ' PlaneCount="3"', ""
    )


def many_images(text):
    pixels = text[text.index("<Image") : text.index("</Image>") + 8]
    more = pixels.replace('SizeT="3"', 'SizeT="3000000"')
    return text.replace(pixels, pixels + 30 * more)


def wide_image(text):
    return text.replace('SizeX="8"', 'SizeX="8000000000"')


def modulo(text):
    along = '<ModuloAlongT Start="0" End="1e12" Step="1" Type="phase"/>'
    note = (
        '<StructuredAnnotations><XMLAnnotation ID="A" Namespace="x/modulo"><Value>'
        f"<Modulo>{along}</Modulo></Value></XMLAnnotation></StructuredAnnotations>"
    )
    return text.replace("</OME>", f"{note}</OME>")


@pytest.mark.parametrize(
    "change", [size_t, plane_count, many_images, wide_image, modulo]
)
def test_ome_metadata_beyond_the_files_are_refused(tmp_path, change):
    path = ome(tmp_path, change)
    assert path.stat().st_size < 30_000
    with pytest.raises(BadInput, match=r"OME metadata declare .* files can hold"):
        open_stack(path, channels=None)


def shaped(tmp_path):
    path = tmp_path / "shaped.tif"
    tifffile.imwrite(path, IMAGE, description="x" * 60, metadata=None)
    text = json.dumps({"shape": [10**9, 6, 8]})
    tifffile.tiffcomment(path, text.ljust(60).encode())
    return path


def imagej(tmp_path):
    path = tmp_path / "imagej.tif"
    tifffile.imwrite(path, IMAGE, imagej=True)
    text = "ImageJ=1.54\nimages=4000000000\nframes=4000000000\n"
    tifffile.tiffcomment(path, text.encode())
    return path


def raw_terabyte(tmp_path):
    return page(tmp_path / "raw.tif", width=2**20, length=2**20, counts=2**31)


def compressed_terabyte(tmp_path):
    return page(
        tmp_path / "c.tif", width=2**20, length=2**20, compression=8, data=b"x" * 90
    )


def byte_counts(tmp_path):
    path = page(tmp_path / "counts.tif", width=8, length=6, data=bytes(96))
    content = path.read_bytes()
    many = struct.pack("<HHII", 279, 4, 2**32 - 1, 8)
    start = content.index(struct.pack("<HHI", 279, 4, 1))
    path.write_bytes(content[:start] + many + content[start + 12 :])
    return path


def circle(tmp_path):
    return page(tmp_path / "loop.tif", width=8, length=6, data=bytes(96), loop=True)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (imagej, "truncated"),
        (raw_terabyte, "truncated"),
        (compressed_terabyte, r"image of 2\.2e\+03 GB is declared, 90 bytes of it"),
        (byte_counts, "lies beyond the end"),
        (circle, "runs in a circle"),
        (lambda path: ome(path, size_t), "OME metadata declare"),
    ],
)
def test_small_files_that_declare_terabytes_take_no_memory(tmp_path, write, message):
    path = write(tmp_path)
    assert path.stat().st_size < 10_000
    done = subprocess.run(
        [sys.executable, "-c", OPEN, path, str(2 * 2**30)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (1, "")
    assert done.stdout.count("\n") == 1
    with pytest.raises(BadInput, match=message):
        open_stack(path, channels=None)


def test_shaped_metadata_beyond_the_file_are_not_believed(tmp_path):
    path = shaped(tmp_path)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with pytest.raises(BadInput, match="truncated"):
        open_stack(path)
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000


def test_a_blank_image_may_be_stored_in_few_bytes(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", np.zeros((2048, 2048), "u2"), compression=8)
    with open_stack(tmp_path / "a.tif") as stack:
        assert not stack.read(0, 1).any()


@pytest.mark.parametrize("error", [EOFError(), MemoryError(), ImportError("no codec")])
def test_whatever_a_decoder_raises_is_one_line(tmp_path, monkeypatch, error):
    tifffile.imwrite(tmp_path / "a.tif", IMAGE, compression=8)

    def fail(*_, **__):
        raise error

    monkeypatch.setattr(tifffile.TiffPage, "asarray", fail)
    with pytest.raises(BadInput, match=r"image 1 of .* cannot be decoded") as caught:
        open_stack(tmp_path / "a.tif")
    said = {EOFError: "break off", MemoryError: "memory", ImportError: "damaged"}
    assert said[type(error)] in str(caught.value)


@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16"])
def test_white_that_is_stored_as_zero_is_inverted(tmp_path, compression, dtype):
    image = IMAGE.astype(dtype)
    options = {"photometric": "miniswhite", "compression": compression}
    tifffile.imwrite(tmp_path / "a.tif", np.invert(image), **options)
    with open_stack(tmp_path / "a.tif") as stack:
        np.testing.assert_array_equal(stack.read(0, 1)[0, ..., 0], IMAGE)
        assert stack.notes == ["white is stored as zero; the image was inverted"]


def test_inversion_in_a_folder_is_that_of_each_file(tmp_path):
    tifffile.imwrite(tmp_path / "1.tif", IMAGE)
    tifffile.imwrite(tmp_path / "2.tif", 65535 - IMAGE, photometric="miniswhite")
    with open_stack(tmp_path) as stack:
        frames = stack.read(0, 2)[..., 0]
        np.testing.assert_array_equal(frames, [IMAGE, IMAGE])
        assert "white is stored as zero; the image was inverted" in stack.notes


def test_floating_point_white_is_refused(tmp_path):
    image = IMAGE.astype("float32")
    tifffile.imwrite(tmp_path / "a.tif", image, photometric="miniswhite")
    with pytest.raises(BadInput, match="leaves open what black is"):
        open_stack(tmp_path / "a.tif")


def test_elements_are_found_in_linear_time():
    # a search that begins anew at every bracket would take minutes
    assert list(elements("<Pixels " * 200_000, "Pixels")) == []
    assert list(elements("<a" * 200_000 + "<ome:Pixels/>", "Pixels"))


def test_equal_images_give_equal_files_that_name_no_machine(tmp_path):
    # so many images that tifffile writes the metadata behind the pixels
    movie = np.random.default_rng(0).random((400, 40, 50), np.float32)

    def written(name, planes, **changed):
        options = {"shape": movie.shape, "dtype": "f4", "axes": "tyx"} | changed
        path = tmp_path / name
        write_ome_planes(path, planes, pixel_size_nm=100, **options)
        return path

    first = written("a.ome.tif", iter(movie)).read_bytes()
    assert written("b.ome.tif", movie).read_bytes() == first
    others = [
        written("c.ome.tif", movie + 1),
        written("d.ome.tif", movie, description="another"),
        written("e.ome.tif", movie.reshape(400, 50, 40), shape=(400, 50, 40)),
    ]
    identifiers = set()
    for path in (tmp_path / "a.ome.tif", *others):
        with tifffile.TiffFile(path) as tif:
            identifiers.add(str(tif.ome_metadata).partition('UUID="')[2][:45])
    assert len(identifiers) == 4
    node = f"{uuid.getnode():012x}"
    assert not any(node in identifier for identifier in identifiers)
    assert all(uuid.UUID(i[9:]).version == 5 for i in identifiers)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "a.ome.tif"), movie)


def test_channels_and_names_leave_the_identifier_in_reach(tmp_path):
    image = np.zeros((4, 4, 3000), np.uint8)
    names = [f"channel {n} {'long name' * 50}" for n in range(3000)]
    for name in ("a.ome.tif", "b.ome.tif"):
        write_ome_tiff(
            tmp_path / name, image, pixel_size_nm=None, axes="yxc", channel_names=names
        )
    assert (tmp_path / "a.ome.tif").read_bytes() == (
        tmp_path / "b.ome.tif"
    ).read_bytes()


@pytest.mark.parametrize("axes", ["yx", "tyx", "zyxc"])
def test_ome_files_state_their_pixel_for_programs_without_ome(tmp_path, axes):
    array = np.zeros([4, 6, 8, 2][: len(axes)] if axes != "yx" else [6, 8], np.float32)
    write_ome_tiff(
        tmp_path / "a.ome.tif", array, pixel_size_nm={"y": 25.0, "x": 12.5}, axes=axes
    )
    with tifffile.TiffFile(tmp_path / "a.ome.tif") as file:
        for page in file.pages:
            tags = {name: page.tags[name].value for name in ("XResolution",
                    "YResolution", "ResolutionUnit")}  # fmt: skip
            assert tags["ResolutionUnit"] == 3  # centimetre
            across, down = (n / d for n, d in list(tags.values())[:2])
            assert across == pytest.approx(1e7 / 12.5)
            assert down == pytest.approx(1e7 / 25)
    write_ome_tiff(tmp_path / "b.ome.tif", array, pixel_size_nm=None, axes=axes)
    with tifffile.TiffFile(tmp_path / "b.ome.tif") as file:
        assert file.pages[0].tags["ResolutionUnit"].value == 1  # none
