import numpy as np
import pytest
import tifffile
from PIL import Image

from zoo.core.errors import BadPackage
from zoo.core.files import sha256
from zoo.package import images
from zoo.package.images import write_cover, write_sample

CAMERA = {"y": 100.0, "x": 100.0}


@pytest.mark.parametrize(
    ("shape", "axes", "stored"),
    [
        ((12, 16, 1), "yxc", "YX"),
        ((12, 16, 9), "yxc", "CYX"),
        ((5, 12, 16, 1), "zyxc", "ZYX"),
        ((2, 5, 12, 16), "czyx", "ZCYX"),
    ],
)
def test_a_sample_is_the_same_image_in_the_same_bytes(tmp_path, shape, axes, stored):
    image = np.random.default_rng(0).random(shape, np.float32)

    for name in "ab":
        path = tmp_path / f"{name}.tif"
        write_sample(path, image, axes, pixel_size_nm=CAMERA | {"z": 50.0})

    assert sha256(tmp_path / "a.tif") == sha256(tmp_path / "b.tif")
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.series[0].axes == stored
        content = tif.asarray()
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["unit"] == "um"
        assert tif.imagej_metadata.get("spacing") == (0.05 if "z" in axes else None)
        assert tif.pages[0].tags["XResolution"].value == (10, 1)
    assert content.dtype == np.float32
    order = [axes.index(letter) for letter in "zcyx" if letter in axes]
    assert np.array_equal(content, image.transpose(order).reshape(content.shape))


@pytest.mark.parametrize(("shape", "axes"), [((4, 4), "yxc"), ((4, 4), "yb")])
def test_a_sample_needs_the_axes_of_an_image(shape, axes):
    with pytest.raises(ValueError, match="an image has the axes y and x"):
        write_sample("nowhere.tif", np.zeros(shape), axes, pixel_size_nm={})


def half(path, side):
    """Return one half of a cover, 512 px square."""
    with Image.open(path) as picture:
        assert picture.size == (1024, 512)
        pixels = np.asarray(picture.convert("RGB"))
    return pixels[:, :512] if side == "left" else pixels[:, 512:]


@pytest.mark.parametrize(("small", "large"), [(16, 32), (64, 512), (700, 1400)])
def test_a_cover_is_twice_as_wide_as_high_and_small(tmp_path, small, large):
    rng = np.random.default_rng(1)
    before = rng.random((small, small, 1))
    after = np.zeros((large, large, 2))
    after[tuple(rng.integers(0, large, (2, 20)))] = 40

    write_cover(tmp_path / "cover.png", before, after, ("yxc", "yxc"))

    assert (tmp_path / "cover.png").stat().st_size < images.COVER_BYTES
    grey, colour = (half(tmp_path / "cover.png", s) for s in ("left", "right"))
    assert np.array_equal(grey[..., 0], grey[..., 1])
    assert not np.array_equal(colour[..., 0], colour[..., 2])


def test_the_cover_of_a_volume_shows_its_brightest_voxels(tmp_path):
    before, after = np.zeros((3, 8, 8, 1)), np.zeros((5, 64, 64, 1))
    before[2, 6, 1], after[4, 54, 12] = 1, 1
    write_cover(tmp_path / "c.png", before, after, ("zyxc", "zyxc"))
    for side in ("left", "right"):
        row, column, _ = np.unravel_index(
            half(tmp_path / "c.png", side).argmax(), (512, 512, 3)
        )
        assert row // 64 == 6
        assert column // 64 == 1


def test_the_cover_of_a_volume_colours_depths_and_leaves_out_weak_voxels(tmp_path):
    after = np.zeros((9, 64, 64, 1))
    after[0, 10, 10], after[8, 50, 10], after[4, 10, 50] = 1, 0.9, 0.01
    write_cover(tmp_path / "c.png", np.ones((8, 8, 1)), after, ("yxc", "zyxc"))
    colour = half(tmp_path / "c.png", "right")
    red, _, blue = colour[404, 84].astype(int)  # the deepest
    assert red > blue + 50
    red, _, blue = colour[84, 84].astype(int)
    assert blue > red + 50
    assert not colour[40:130, 360:450].any()


def test_the_cover_of_values_has_a_bar_for_each(tmp_path):
    values = np.array([100.0, -50.0, 0.0])
    before = np.ones((8, 8, 1))
    write_cover(tmp_path / "c.png", before, values, ("yxc", "c"), names=("x", "y", "z"))
    pixels = half(tmp_path / "c.png", "right")
    lengths = [
        int((pixels[30 + images._ROW_PX * row, :, 0] == 221).sum()) for row in range(3)
    ]
    assert lengths[0] > 1.9 * lengths[1] > 100
    assert lengths[2] <= 1


def test_names_of_values_end_before_their_bars(tmp_path):
    before = np.zeros((8, 8, 1))
    names = ("uncertainty_x_nm", "uncertainty_background_photons")
    write_cover(tmp_path / "c.png", before, np.ones(2), ("yxc", "c"), names=names)
    right = np.asarray(Image.open(tmp_path / "c.png"))[:, 512:]
    assert right[:, 16:128].max() > 200
    assert right[:, 129:136].max() < 30


def test_a_cover_of_a_constant_image_is_drawn(tmp_path):
    arrays = np.ones((8, 8, 1)), np.zeros((16, 16, 1))
    write_cover(tmp_path / "c.png", *arrays, ("yxc", "yxc"))
    assert (tmp_path / "c.png").is_file()


def test_a_cover_too_large_for_the_collection_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(images, "COVER_BYTES", 100)
    noise = np.random.default_rng(2).random((512, 512, 1))
    with pytest.raises(BadPackage, match="fewer than 100"):
        write_cover(tmp_path / "c.png", noise, noise, ("yxc", "yxc"))
    assert not (tmp_path / "c.png").exists()
