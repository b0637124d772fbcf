import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput
from zoo.io.layout import array_axes, plan
from zoo.io.readers import RawPlanes
from zoo.io.stacks import open_stack, write_ome_tiff

SIZE = (20, 24)
RAW = "raw frames"


def images(*lead, dtype="uint16"):
    """Return images that all differ, in the order of their numbers."""
    rng = np.random.default_rng(len(lead))
    count = int(np.prod(lead))
    base = rng.integers(0, 99, SIZE)
    stack = base + 100 * np.arange(count)[:, None, None]
    return stack.reshape(*lead, *SIZE).astype(dtype)


def same(source, expected, *, note=None, **options):
    with open_stack(source, **options) as stack:
        assert (stack.frames, stack.channels) == (len(expected), expected.shape[-1])
        assert (stack.height, stack.width) == SIZE
        np.testing.assert_array_equal(stack.read(0, stack.frames), expected)
        for number in range(stack.frames):
            one = stack.read(number, number + 1)
            np.testing.assert_array_equal(one, expected[number : number + 1])
        text = " / ".join(stack.notes)
    if note is None:
        assert not text
    else:
        assert note in text


def refused(source, *parts, channels: int | None = 9, group: str | None = RAW):
    with pytest.raises(BadInput) as caught:
        open_stack(source, channels=channels, group=group)
    text = str(caught.value)
    assert "\n" not in text
    for part in parts:
        assert part in text, text


def last(data, *axes):
    """Return (t, y, x, c) from `data`, whose `axes` in this order make the channels."""
    moved = np.moveaxis(data, axes, range(-len(axes), 0))
    channels = int(np.prod(moved.shape[-len(axes) :]))
    return moved.reshape(-1, *SIZE, channels)


def tiff(path, data, axes, kind):
    if kind == "imagej":
        tifffile.imwrite(path, data, imagej=True, metadata={"axes": axes})
    else:
        options = {"compression": "zlib"} if kind == "deflate" else {}
        tifffile.imwrite(
            path,
            data,
            ome=kind == "ome",
            photometric="minisblack",
            metadata={"axes": axes},
            **options,
        )
    return path


# ---- axes


@pytest.mark.parametrize(
    ("axes", "lead", "channels", "note"),
    [
        ("C", (9,), (0,), None),
        ("TC", (4, 9), (1,), None),
        ("CT", (9, 4), (0,), None),
        ("TCZ", (2, 9, 3), (1,), "all of T=2 x Z=3 were read as frames"),
        ("T", (9,), (0,), "along T=9 were read as the 9 raw frames of an image"),
        ("Z", (9,), (0,), "along Z=9 were read as the 9 raw frames of an image"),
        ("TZ", (4, 9), (1,), "along Z=9"),
        ("TZ", (9, 4), (0,), "along T=9"),
        ("TZ", (9, 9), (1,), "along Z=9"),
        ("TZ", (3, 3), (0, 1), "along T=3 x Z=3 were read as the 9 raw frames"),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "deflate", "ome", "imagej"])
def test_one_group_along_axes(tmp_path, axes, lead, channels, note, kind):
    if kind == "imagej":  # knows the order TZC only, images written as they come
        order = [axes.index(letter) for letter in "TZC" if letter in axes]
        data = np.ascontiguousarray(images(*lead).transpose(*order, -2, -1))
        channels = tuple(order.index(c) for c in channels)
        axes = "".join(axes[i] for i in order)
    else:
        data = images(*lead)
    path = tiff(tmp_path / "a.tif", data, f"{axes}YX", kind)
    same(path, last(data, *channels), channels=9, group=RAW, note=note)


@pytest.mark.parametrize(
    ("axes", "lead", "channels"),
    [
        ("QQ", (3, 3), (0, 1)),
        ("QQQ", (4, 3, 3), (1, 2)),
        ("QQQ", (3, 3, 4), (0, 1)),
        ("QQQ", (3, 3, 3), (1, 2)),
        ("TQQZ", (2, 3, 3, 5), (1, 2)),
        ("TQZQ", (2, 3, 1, 3), (1, 3)),
    ],
)
def test_angles_and_phases_on_axes_of_their_own(tmp_path, axes, lead, channels):
    data = images(*lead)
    path = tiff(tmp_path / "a.tif", data, f"{axes}YX", "plain")
    same(
        path,
        last(data, *channels),
        channels=9,
        group=RAW,
        note="were read as the 9 raw frames",
    )
    np.save(tmp_path / "a.npy", data)
    for source in (data, tmp_path / "a.npy"):
        same(source, last(data, *channels), channels=9, group=RAW, note="raw frames")


# ---- groups of nine


@pytest.mark.parametrize("groups", [2, 3, 5])
@pytest.mark.parametrize(
    ("kind", "axis"),
    [
        *((kind, axis) for kind in ("plain", "deflate") for axis in "TZQI"),
        *(("ome", axis) for axis in "TZQ"),
        *(("imagej", axis) for axis in "TZ"),
    ],
)
def test_row_of_groups(tmp_path, groups, axis, kind):
    data = images(9 * groups)
    path = tiff(tmp_path / "a.tif", data, f"{axis}YX", kind)
    expected = last(data.reshape(groups, 9, *SIZE), 1)
    same(
        path,
        expected,
        channels=9,
        group=RAW,
        note=f"read as {groups} groups of 9 raw frames",
    )


def test_row_of_groups_of_loose_pages(tmp_path):
    data = images(27)
    with tifffile.TiffWriter(tmp_path / "a.tif") as tif:
        for image in data:
            tif.write(image, metadata=None, contiguous=False)
    expected = last(data.reshape(3, 9, *SIZE), 1)
    same(
        tmp_path / "a.tif",
        expected,
        channels=9,
        group=RAW,
        note="3 groups of 9 raw frames",
    )


@pytest.mark.parametrize(
    ("lead", "split", "channels", "frames"),
    [
        ((2, 18), (2, 2, 9), (2,), "Q=2 x Q=2"),
        ((18, 5), (2, 9, 5), (1,), "Q=2 x Q=5"),
        ((4, 27, 5), (4, 3, 9, 5), (2,), "Q=4 x Q=3 x Q=5"),
        ((6, 3), (2, 3, 3), (1, 2), None),
        ((5, 6, 3), (5, 2, 3, 3), (2, 3), "Q=5 x Q=2"),
    ],
)
@pytest.mark.parametrize("where", ["array", "npy", "fortran", "tif"])
def test_groups_within_axes(tmp_path, lead, split, channels, frames, where):
    data = images(*lead)
    source = data
    if where == "tif":
        source = tiff(tmp_path / "a.tif", data, f"{'Q' * len(lead)}YX", "plain")
    elif where != "array":
        source = tmp_path / "a.npy"
        np.save(source, np.asfortranarray(data) if where == "fortran" else data)
    expected = last(data.reshape(*split, *SIZE), *channels)
    note = f"all of {frames} were read as frames" if frames else "2 groups of 9"
    same(source, expected, channels=9, group=RAW, note=note)


@pytest.mark.parametrize("shape", [(18, *SIZE), (18, *SIZE, 1), (18, 1, *SIZE)])
def test_rows_of_groups_in_arrays(tmp_path, shape):
    data = images(18)
    expected = last(data.reshape(2, 9, *SIZE), 1)
    same(data.reshape(shape), expected, channels=9, group=RAW, note="2 groups")
    np.save(tmp_path / "a.npy", data.reshape(shape))
    same(tmp_path / "a.npy", expected, channels=9, group=RAW, note="2 groups")


def test_an_axis_of_nine_wins_over_an_axis_of_groups():
    data = images(9, 18)
    same(data, last(data, 0), channels=9, group=RAW, note="along Q=9")


@pytest.mark.parametrize(("channels", "lead"), [(25, (5, 5)), (25, (50,)), (15, (30,))])
def test_other_numbers_of_raw_frames(channels, lead):
    data = images(*lead)
    expected = last(data.reshape(-1, channels, *SIZE), 1)
    same(data, expected, channels=channels, group=RAW, note=f"{channels} raw frames")


@pytest.mark.parametrize("channels", [2, 5])
def test_other_networks_do_not_cut_movies_into_channels(channels):
    refused(
        images(10, 4), f"{channels} channels are needed", channels=channels, group=None
    )


# ---- folders


def folder(path, data):
    for number, file in enumerate(data):
        tifffile.imwrite(path / f"f{number}.tif", file, photometric="minisblack")
    return path


@pytest.mark.parametrize("lead", [(18,), (6, 3), (2, 9), (1, 18), (2, 18)])
def test_folders(tmp_path, lead):
    data = images(*lead)
    expected = last(data.reshape(-1, 9, *SIZE), 1)
    with open_stack(folder(tmp_path, data), channels=9, group=RAW) as stack:
        assert any("raw frames" in note for note in stack.notes)
    if len(expected) > 1 and lead[0] > 1:
        same(tmp_path, expected, channels=9, group=RAW, note="raw frames")


def test_folder_of_three_files_with_three_phases(tmp_path):
    data = images(3, 3)
    expected = last(data.reshape(1, 9, *SIZE), 1)
    same(
        folder(tmp_path, data),
        expected,
        channels=9,
        group=RAW,
        note="9 raw frames of an image",
    )


def test_folder_of_channels(tmp_path):
    data = images(3, 9)
    for number, file in enumerate(data):
        tiff(tmp_path / f"f{number}.tif", file, "CYX", "ome")
    same(tmp_path, last(data, 1), channels=9, group=RAW)
    same(tmp_path, last(data, 1), channels=None)


def test_folder_with_a_wrong_number_of_images(tmp_path):
    folder(tmp_path, images(10))
    refused(tmp_path, str(tmp_path), "10 single images", "multiple of 9")


def test_folder_in_which_one_file_has_a_wrong_number(tmp_path):
    folder(tmp_path, [*images(2, 9), images(10)])
    refused(tmp_path, "f2.tif", "10 single images", "multiple of 9")


def test_folder_of_files_with_different_channels(tmp_path):
    tiff(tmp_path / "a.tif", images(2), "CYX", "ome")
    tiff(tmp_path / "b.tif", images(3), "CYX", "ome")
    refused(tmp_path, "b.tif has 3 channels, a.tif 2", channels=None, group=None)


# ---- wrong numbers


@pytest.mark.parametrize("count", [2, 8, 10, 15, 100])
@pytest.mark.parametrize("where", ["array", "npy", "plain", "ome", "imagej"])
def test_wrong_number_of_images_is_named_with_rule_and_remedy(tmp_path, count, where):
    data = images(count)
    source, name = data, "array"
    if where == "npy":
        source = name = tmp_path / "a.npy"
        np.save(source, data)
    elif where != "array":
        source = name = tiff(tmp_path / "a.tif", data, "TYX", where)
    refused(
        source,
        str(name),
        f"a stack of {count} single images",
        "9 channels are needed",
        "a multiple of 9",
        "save all 9 raw frames of every image one after the other",
    )


def test_single_image_is_no_raw_frames(tmp_path):
    path = tiff(tmp_path / "a.tif", images(1)[0], "YX", "plain")
    refused(path, "a.tif is a single image", "multiple of 9")


def test_wrong_number_over_several_axes_counts_them_all():
    refused(images(4, 5), "20 single images")


@pytest.mark.parametrize("lead", [(3, 5, 3), (3, 6), (3, 2, 3)])
def test_groups_that_would_reach_across_axes(lead):
    refused(
        images(*lead),
        " x ".join(f"Q={n}" for n in lead),
        "in axes next to each other",
        "save all 9 raw frames",
    )


@pytest.mark.parametrize("count", [2, 3, 8, 10])
def test_declared_channels_of_another_number(tmp_path, count):
    path = tiff(tmp_path / "a.tif", images(9, count), "TCYX", "ome")
    refused(path, "a.tif", f"{count} channels", "9 are needed", "exactly those")


def test_groups_in_a_channel_axis_are_asked_for_as_frames(tmp_path):
    path = tiff(tmp_path / "a.tif", images(18), "CYX", "ome")
    refused(path, "18 channels", "9 are needed", "declare the axis as frames")


# ---- any number of channels


@pytest.mark.parametrize(
    ("axes", "lead", "channels"),
    [
        ("TCYX", (5, 2), (1,)),
        ("CTYX", (2, 5), (0,)),
        ("TZCYX", (2, 3, 4), (2,)),
        ("CYX", (3,), (0,)),
        ("CYX", (9,), (0,)),
    ],
)
@pytest.mark.parametrize("kind", ["plain", "deflate", "ome"])
def test_declared_channels_are_taken_as_they_are(tmp_path, axes, lead, channels, kind):
    data = images(*lead)
    path = tiff(tmp_path / "a.tif", data, axes, kind)
    note = "all of T=2 x Z=3" if "Z" in axes else None
    same(path, last(data, *channels), channels=None, note=note)


@pytest.mark.parametrize(
    ("axes", "lead"), [("TYX", (9,)), ("ZYX", (5,)), ("QYX", (18,)), ("YX", ())]
)
def test_without_declared_channels_there_is_one(tmp_path, axes, lead):
    data = images(*lead)
    path = tiff(tmp_path / "a.tif", data, axes, "plain")
    same(path, data.reshape(-1, *SIZE, 1), channels=None)


def test_imagej_hyperstack_of_two_colours(tmp_path):
    data = images(4, 2)
    path = tiff(tmp_path / "a.tif", data, "TCYX", "imagej")
    same(path, last(data, 1), channels=None)


@pytest.mark.parametrize(
    ("shape", "axes"),
    [
        ((64, 64), "YX"),
        ((7, 64, 64), "QYX"),
        ((7, 64, 64, 1), "QYXC"),
        ((7, 64, 64, 2), "QYXC"),
        ((7, 64, 64, 3), "QYXC"),
        ((64, 64, 2), "YXC"),
        ((64, 64, 9), "YXC"),
        ((5, 2, 64, 64), "QQYX"),
        ((9, 64, 64), "QYX"),
        ((12, 12, 12), "QYX"),
    ],
)
def test_axes_of_arrays_with_any_number_of_channels(shape, axes):
    assert array_axes(shape, None, "a", dtype=np.dtype("uint16")) == axes


def test_array_of_several_channels(tmp_path):
    data = np.moveaxis(images(5, 2), 1, -1)
    same(data, data, channels=None)
    np.save(tmp_path / "a.npy", data)
    same(tmp_path / "a.npy", data, channels=None)


@pytest.mark.parametrize(
    ("shape", "dtype"), [((64, 64, 3), "float32"), ((5, 64, 64, 4), "uint8")]
)
def test_colours_in_arrays_stay_refused(shape, dtype):
    refused(np.zeros(shape, dtype), "colour (RGB)", channels=None, group=None)


@pytest.mark.parametrize("photometric", ["rgb", "minisblack"])
def test_colours_in_tiff_stay_refused(tmp_path, photometric):
    tifffile.imwrite(
        tmp_path / "a.tif",
        np.zeros((*SIZE, 3), "uint8"),
        photometric=photometric,
        planarconfig="contig",
    )
    refused(
        tmp_path / "a.tif", "a.tif is a colour (RGB) image", channels=None, group=None
    )


def test_names_of_channels_are_kept(tmp_path):
    data = np.moveaxis(images(5, 2), 1, -1)
    names = ["tubulin", "actin"]
    path = tmp_path / "a.ome.tif"
    write_ome_tiff(path, data, pixel_size_nm=65, axes="tyxc", channel_names=names)
    with open_stack(path, channels=None) as stack:
        assert stack.channel_names == ("tubulin", "actin")
    with open_stack(tiff(tmp_path / "b.tif", images(5), "TYX", "plain")) as stack:
        assert stack.channel_names == ()


def test_ome_zarr_of_any_number_of_channels_and_of_groups(tmp_path):
    zarr = pytest.importorskip("zarr")
    for axes, lead in (("tcyx", (4, 2)), ("tyx", (18,))):
        data = images(*lead)
        group = zarr.create_group(tmp_path / axes, zarr_format=3)
        array = group.create_array(
            "0", shape=data.shape, chunks=(*(1 for _ in lead), *SIZE), dtype=data.dtype
        )
        array[...] = data
        named = [{"name": letter} for letter in axes]
        scales = [{"axes": named, "datasets": [{"path": "0"}]}]
        group.attrs["ome"] = {"version": "0.5", "multiscales": scales}
    same(tmp_path / "tcyx", last(images(4, 2), 1), channels=None)
    expected = last(images(18).reshape(2, 9, *SIZE), 1)
    same(
        tmp_path / "tyx",
        expected,
        channels=9,
        group=RAW,
        note="2 groups of 9 raw frames",
    )


# ---- laziness


def test_only_the_raw_frames_asked_for_are_read(tmp_path, monkeypatch):
    path = tiff(tmp_path / "a.tif", images(9 * 40), "TYX", "plain")
    read = []
    original = RawPlanes.read

    def watch(self, numbers):
        read.extend(numbers.tolist())
        return original(self, numbers)

    monkeypatch.setattr(RawPlanes, "read", watch)
    with open_stack(path, channels=9, group=RAW) as stack:
        assert stack.frames == 40
        assert read == []
        stack.read(30, 31)
        assert read == list(range(270, 279))


def test_plane_numbers_of_groups_between_other_axes():
    layout = plan("TZYX", (18, 2, 4, 4), channels=9, group=RAW, name="a")
    assert (layout.frame_sizes, layout.frame_strides) == ((2, 2), (18, 1))
    assert layout.planes(0, 1).tolist() == [list(range(0, 18, 2))]
    assert layout.planes(3, 4).tolist() == [list(range(19, 36, 2))]


# ---- depth


@pytest.mark.parametrize(
    ("axes", "lead", "outer"),
    [
        ("TZ", (2, 3), (("t", 2), ("z", 3))),
        ("ZT", (3, 2), (("t", 2), ("z", 3))),
        ("TZQ", (2, 3, 4), (("t", 8), ("z", 3))),
        ("Z", (5,), (("t", 1), ("z", 5))),
        ("QQ", (2, 3), (("t", 6),)),
        ("", (), (("t", 1),)),
    ],
)
def test_depth_stays_labelled_and_planes_of_one_time_follow_each_other(
    tmp_path, axes, lead, outer
):
    data = images(*lead)
    path = tiff(tmp_path / "a.tif", data, f"{axes}YX", "plain")
    order = sorted(range(len(axes)), key=lambda i: (axes[i] == "Z", i))
    expected = data.transpose(*order, -2, -1).reshape(-1, *SIZE, 1)
    with open_stack(path) as stack:
        assert (stack.outer, stack.depth) == (outer, None)
        assert list(stack.sizes) == ["y", "x"]
        np.testing.assert_array_equal(stack.read(0, stack.frames), expected)


@pytest.mark.parametrize(
    ("axes", "lead", "shape", "note"),
    [
        ("TZ", (2, 3), (2, 3), None),
        ("ZT", (3, 2), (2, 3), None),
        ("Z", (5,), (1, 5), None),
        ("TZC", (2, 3, 4), (2, 3), None),
        ("T", (5,), (1, 5), "along T=5 were read as the planes of a volume"),
        ("QQ", (2, 3), (2, 3), "along Q=3 were read as the planes"),
        ("", (), (1, 1), None),
    ],
)
def test_volumes_have_their_depth_in_the_frame(tmp_path, axes, lead, shape, note):
    data = images(*lead)
    kind = "ome" if "C" in axes else "plain"
    path = tiff(tmp_path / "a.tif", data, f"{axes}YX", kind)
    order = sorted(range(len(axes)), key=lambda i: "TQZC".index(axes[i]))
    if "C" not in axes:
        data, order = data[..., None, :, :], [*order, len(axes)]
    planes = data.transpose(*order, -2, -1).reshape(*shape, -1, *SIZE)
    with open_stack(path, channels=None, depth=True) as stack:
        assert (stack.frames, stack.depth) == shape
        assert list(stack.sizes) == ["z", "y", "x"]
        found = stack.read(0, stack.frames)
        np.testing.assert_array_equal(found, np.moveaxis(planes, 2, -1))
        assert note is None or note in stack.notes[0]
        assert (note is None) == (not stack.notes)


def test_folders_of_volumes(tmp_path):
    data = images(2, 3)
    for number, volume in enumerate(data):
        tiff(tmp_path / f"{number}.tif", volume, "ZYX", "plain")
    with open_stack(tmp_path) as stack:
        assert stack.outer == (("t", 2), ("z", 3))
    with open_stack(tmp_path, depth=True) as stack:
        assert (stack.frames, stack.depth) == (2, 3)
        np.testing.assert_array_equal(stack.read(1, 2)[0, ..., 0], data[1])
    tiff(tmp_path / "2.tif", images(4), "ZYX", "plain")
    with open_stack(tmp_path) as stack:
        assert stack.outer == (("t", 10),)
    refused_depth = r"3, 4 planes deep; all volumes of a folder must have one size"
    with pytest.raises(BadInput, match=refused_depth):
        open_stack(tmp_path, depth=True)


def test_distance_of_planes_is_read_and_written(tmp_path):
    path = tmp_path / "a.ome.tif"
    sizes = {"z": 250.0, "y": 100.0, "x": 100.0}
    write_ome_tiff(path, images(5), pixel_size_nm=sizes, axes="zyx")
    with open_stack(path, depth=True) as stack:
        assert stack.z_step_nm == pytest.approx(250)
        assert stack.pixel_size_nm == pytest.approx(100)
    metadata = {"axes": "ZYX", "spacing": 0.3, "unit": "um"}
    tifffile.imwrite(
        tmp_path / "b.tif",
        images(5),
        imagej=True,
        resolution=(10, 10),
        metadata=metadata,
    )
    with open_stack(tmp_path / "b.tif") as stack:
        assert stack.z_step_nm == pytest.approx(300)
        assert stack.pixel_size_nm == pytest.approx(100)
