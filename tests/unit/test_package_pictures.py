import numpy as np
import pytest
import tifffile
from PIL import Image

from zoo.package import pictures
from zoo.package.archive import sha256
from zoo.package.pictures import write_cover, write_sample


@pytest.mark.parametrize("channels", [1, 9])
def test_a_sample_is_the_same_picture_in_the_same_bytes(tmp_path, channels):
    image = np.random.default_rng(0).random((12, 16, channels), np.float32)

    write_sample(tmp_path / "a.tif", image, pixel_size_nm=100.0)
    write_sample(tmp_path / "b.tif", image, pixel_size_nm=100.0)

    assert sha256(tmp_path / "a.tif") == sha256(tmp_path / "b.tif")
    found = tifffile.imread(tmp_path / "a.tif")
    assert found.dtype == np.float32
    assert np.array_equal(np.atleast_3d(np.moveaxis(found, 0, -1)), image) or (
        np.array_equal(found, image[..., 0])
    )
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        assert tif.imagej_metadata is not None
        assert tif.imagej_metadata["unit"] == "um"
        assert tif.pages[0].tags["XResolution"].value == (10, 1)


def test_a_sample_needs_channels():
    with pytest.raises(ValueError, match="2 axes"):
        write_sample("nowhere.tif", np.zeros((4, 4)), pixel_size_nm=None)


@pytest.mark.parametrize(("small", "large"), [(16, 32), (64, 512), (700, 1400)])
def test_a_cover_is_twice_as_wide_as_high_and_small(tmp_path, small, large):
    rng = np.random.default_rng(1)
    before = rng.random((small, small, 1))
    after = np.zeros((large, large, 2))
    after[tuple(rng.integers(0, large, (2, 20)))] = 40

    write_cover(tmp_path / "cover.png", before, after)

    assert (tmp_path / "cover.png").stat().st_size < pictures.COVER_BYTES
    with Image.open(tmp_path / "cover.png") as picture:
        assert picture.size == (1024, 512)
        pixels = np.asarray(picture.convert("RGB"))
    assert np.array_equal(pixels[:, :512, 0], pixels[:, :512, 1])  # grey
    assert not np.array_equal(pixels[:, 512:, 0], pixels[:, 512:, 2])  # colour


def test_a_cover_of_a_constant_image_is_drawn(tmp_path):
    write_cover(tmp_path / "c.png", np.ones((8, 8, 1)), np.zeros((16, 16, 1)))
    assert (tmp_path / "c.png").is_file()


def test_a_cover_too_large_for_the_collection_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(pictures, "COVER_BYTES", 100)
    noise = np.random.default_rng(2).random((512, 512, 1))
    with pytest.raises(pictures.BadPackage, match="fewer than 100"):
        write_cover(tmp_path / "c.png", noise, noise)
    assert not (tmp_path / "c.png").exists()
