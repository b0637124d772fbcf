"""OME-Zarr as other programs read it, and what is no image."""

import json

import numpy as np
import pytest

from zoo.io.stacks import open_stack
from zoo.io.write_zarr import write_ome_zarr

EDGES = {"z": 50.0, "y": 27.5, "x": 27.5}


def test_what_is_written_is_read_again(tmp_path):
    zarr = pytest.importorskip("zarr")
    volume = np.random.default_rng(1).random((5, 30, 40)).astype(np.float32)
    volume[2] = 0
    path = tmp_path / "a.ome.zarr"
    write_ome_zarr(path, volume, pixel_size_nm=EDGES, axes="zyx", description="a sum")
    stored = zarr.open_group(path, mode="r")["0"]
    assert (stored.metadata.zarr_format, stored.chunks) == (2, (1, 30, 40))
    np.testing.assert_array_equal(stored[:], volume)
    with open_stack(path) as stack:
        assert (stack.axes, stack.z_step_nm) == ("ZYX", 50.0)
        assert stack.pixel_size_nm == pytest.approx(27.5)
    # the keys that readers look for, in the letters of the standard
    (image,) = json.loads((path / ".zattrs").read_text())["multiscales"]
    assert (image["version"], image["name"]) == ("0.4", "a")
    assert image["metadata"] == {"description": "a sum"}
    assert image["axes"][0] == {"name": "z", "type": "space", "unit": "micrometer"}
    assert json.loads((path / "0" / ".zarray").read_text())["dimension_separator"] == (
        "/"
    )
    assert not (path / "0" / "2").exists()  # nothing but zeros


def test_axes_without_a_size_have_no_unit(tmp_path):
    pytest.importorskip("zarr")
    path = tmp_path / "a.ome.zarr"
    frames = np.zeros((2, 3, 8, 8), np.uint16)
    write_ome_zarr(path, frames, pixel_size_nm={"y": 100.0, "x": 100.0}, axes="tcyx")
    (image,) = json.loads((path / ".zattrs").read_text())["multiscales"]
    assert image["axes"][:2] == [
        {"name": "t", "type": "time"},
        {"name": "c", "type": "channel"},
    ]
    (step,) = image["datasets"][0]["coordinateTransformations"]
    assert step["scale"] == [1.0, 1.0, 0.1, 0.1]


def test_what_is_refused(tmp_path):
    pytest.importorskip("zarr")
    volume = np.zeros((2, 8, 8))
    for axes in ("yx", "yxz", "zxy"):
        with pytest.raises(ValueError, match="do not name the 3 axes"):
            write_ome_zarr(tmp_path / "a", volume, pixel_size_nm=EDGES, axes=axes)
    with pytest.raises(ValueError, match="must be positive"):
        write_ome_zarr(tmp_path / "a", volume, pixel_size_nm={"z": 0.0}, axes="zyx")
    assert not (tmp_path / "a").exists()
    (tmp_path / "b").mkdir()
    with pytest.raises(FileExistsError):
        write_ome_zarr(tmp_path / "b", volume, pixel_size_nm=EDGES, axes="zyx")
