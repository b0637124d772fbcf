"""Tables of other programs: Picasso's and SMAP's files are read as ours."""

import json

import h5py
import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Movie
from zoo.io.picasso import PicassoWriter
from zoo.io.table_files import read_table
from zoo.io.tables import write_localizations

TABLE = Localizations(
    x_nm=np.array([65.0, 1300.0, 2600.5]),
    y_nm=np.array([130.0, 195.0, 3000.0]),
    frame=np.array([1, 2, 300]),
    photons=np.array([900.0, 1200.0, 3000.0]),
    background_photons=np.array([20.0, 35.5, 0.0]),
    noise_photons=np.array([4.5, 6.0, 1.25]),
    sigma_nm=np.array([110.0, 143.0, 97.5]),
    uncertainty_nm=np.array([12.0, 10.0, 6.0]),
)
LIGHT = ("photons", "background_photons", "noise_photons", "sigma_nm")
"""What is measured of localizations, all of which goes there and back."""


def same(found, *columns):
    for name in ("x_nm", "y_nm", "frame", *columns):
        np.testing.assert_allclose(
            getattr(found, name), getattr(TABLE, name), rtol=1e-5, atol=2e-3
        )


def test_text_is_read_as_before(tmp_path):
    write_localizations(tmp_path / "t.csv", TABLE)
    same(read_table(tmp_path / "t.csv"), *LIGHT, "uncertainty_nm")


def picasso(path):
    movie = Movie(frames=300, height=64, width=64, pixel_size_nm=130.0)
    with PicassoWriter(path, movie, TABLE.columns) as writer:
        writer.write(TABLE)
        writer.finish()


def test_what_is_written_for_picasso_comes_back(tmp_path):
    path = tmp_path / "t.hdf5"
    picasso(path)
    same(read_table(path), *LIGHT, "uncertainty_nm")
    path.with_suffix(".yaml").unlink()  # the metadata inside are enough
    same(read_table(path))


def test_a_table_in_pixels_needs_their_size(tmp_path):
    path = tmp_path / "t.hdf5"
    picasso(path)
    path.with_suffix(".yaml").unlink()
    with h5py.File(path, "a") as file:
        del file["metadata"]
        file.create_dataset("metadata", data=json.dumps([{"Frames": 3}]))
    with pytest.raises(BadInput, match="states no Pixelsize"):
        read_table(path)
    path.with_suffix(".yaml").write_text("Frames: 3\n---\nPixelsize: 130\n")
    same(read_table(path))


def smap(path, **changes):
    columns = {
        "xnm": TABLE.x_nm,
        "ynm": TABLE.y_nm,
        "frame": TABLE.frame,
        "phot": TABLE.photons,
        "locprecnm": TABLE.uncertainty_nm,
    } | changes
    with h5py.File(path, "w") as file:
        group = file.create_group("saveloc/loc")
        for name, values in columns.items():
            if values is not None:
                group.create_dataset(name, data=np.asarray(values, float)[None])


def test_tables_of_smap_are_read(tmp_path):
    smap(tmp_path / "cell_sml.mat")
    same(read_table(tmp_path / "cell_sml.mat"), "photons", "uncertainty_nm")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"frame": None}, "has no frame"),
        ({"xnm": [1.0, 2.0]}, "differ in length"),
        ({"xnm": [1.0, np.nan, 2.0]}, "row 2 is not a number"),
    ],
)
def test_damaged_tables_of_smap_are_refused(tmp_path, changes, message):
    smap(tmp_path / "t.mat", **changes)
    with pytest.raises(BadInput, match=message) as caught:
        read_table(tmp_path / "t.mat")
    assert "\n" not in str(caught.value)


def test_other_files_are_refused_in_one_line(tmp_path):
    (tmp_path / "old.mat").write_bytes(b"MATLAB 5.0 MAT-file")
    with pytest.raises(BadInput, match=r"-v7\.3"):
        read_table(tmp_path / "old.mat")
    with h5py.File(tmp_path / "other.hdf5", "w") as file:
        file.create_dataset("data", data=np.ones(3))
    with pytest.raises(BadInput, match="no table 'locs'"):
        read_table(tmp_path / "other.hdf5")
    with pytest.raises(BadInput, match="does not exist"):
        read_table(tmp_path / "none.hdf5")
    with pytest.raises(BadInput, match="tables end in"):
        read_table(tmp_path / "movie.tif")
