"""`zoo.io.picasso`: tables that Picasso opens."""

import json

import h5py
import numpy as np
import pytest
import yaml
from foreign import interpreter, run

from zoo.core.localizations import Localizations
from zoo.core.products import Movie, Table
from zoo.core.random import generator
from zoo.io.picasso import PicassoWriter
from zoo.io.tables import write_localizations
from zoo.predict.writing import FolderWriter

MOVIE = Movie(frames=12, height=40, width=64, pixel_size_nm=130.0)


def _table(count=9):
    rng = generator(60)
    return Localizations(
        x_nm=rng.uniform(130, 8000, count),
        y_nm=rng.uniform(130, 5000, count),
        z_nm=rng.uniform(-500, 500, count),
        photons=rng.uniform(1e3, 5e3, count),
        background_photons=rng.uniform(1, 9, count),
        noise_photons=rng.uniform(1, 3, count),
        sigma_nm=rng.uniform(100, 150, count),
        uncertainty_nm=np.full(count, 13.0),
        uncertainty_z_nm=np.full(count, 30.0),
        chi_square=np.full(count, 1.1),
        flags=np.arange(count) % 2,
        frame=np.sort(rng.integers(1, 13, count)),
    )


def _write(path, table, cuts=(4,)):
    with PicassoWriter(path, MOVIE, table.columns) as writer:
        for part in np.split(np.arange(len(table)), cuts):
            writer.write(table.select(part))
        writer.finish()


def test_the_layout_is_that_of_the_documentation(tmp_path):
    table = _table()
    _write(tmp_path / "found.hdf5", table)
    with h5py.File(tmp_path / "found.hdf5") as file:
        rows, embedded = file["locs"][:], json.loads(file["metadata"][()])
    assert {"frame", "x", "y", "z", "photons", "bg", "lpx", "lpy", "lpz"} <= set(
        rows.dtype.names
    )
    assert rows.dtype["frame"] == np.uint32
    assert {rows.dtype[n] for n in rows.dtype.names if n != "frame"} == {
        np.dtype(np.float32)
    }
    # frames count from 0, and pixels from the centre of the first one
    np.testing.assert_array_equal(rows["frame"], table.frame - 1)
    np.testing.assert_allclose(rows["x"], table.x_nm / 130 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(rows["y"], table.y_nm / 130 - 0.5, rtol=1e-6)
    np.testing.assert_allclose(rows["z"], table.z_nm, rtol=1e-6)
    np.testing.assert_allclose(rows["lpx"], 0.1, rtol=1e-6)
    np.testing.assert_allclose(rows["lpz"], 30.0)
    np.testing.assert_allclose(rows["bkgstd"], table.noise_photons, rtol=1e-6)
    for name in ("sx", "sy"):
        np.testing.assert_allclose(rows[name], table.sigma_nm / 130, rtol=1e-6)
    text = (tmp_path / "found.yaml").read_text()
    documents = list(yaml.safe_load_all(text))
    assert documents == embedded
    movie = documents[0]
    assert [movie[k] for k in ("Frames", "Height", "Width")] == [12, 40, 64]
    assert movie["Pixelsize"] == 130.0
    assert documents[1]["Localizations"] == 9


def test_columns_that_picasso_needs_are_always_there(tmp_path):
    plain = Localizations(x_nm=np.array([130.0]), y_nm=np.array([65.0]))
    _write(tmp_path / "plain.hdf5", plain, cuts=())
    with h5py.File(tmp_path / "plain.hdf5") as file:
        rows = file["locs"][:]
    assert rows.dtype.names == ("frame", "x", "y", "lpx", "lpy")
    np.testing.assert_allclose(rows[0].tolist(), [0, 0.5, 0.0, 0.1, 0.1])
    apart = plain.with_columns(
        uncertainty_x_nm=np.array([26.0]), uncertainty_y_nm=np.array([39.0])
    )
    _write(tmp_path / "apart.hdf5", apart, cuts=())
    with h5py.File(tmp_path / "apart.hdf5") as file:
        np.testing.assert_allclose(file["locs"]["lpx"], 0.2)
        np.testing.assert_allclose(file["locs"]["lpy"], 0.3)


def test_a_table_without_rows_is_a_table(tmp_path):
    _write(tmp_path / "none.hdf5", _table(0), cuts=())
    with h5py.File(tmp_path / "none.hdf5") as file:
        assert file["locs"].shape == (0,)
    assert "Localizations: 0" in (tmp_path / "none.yaml").read_text()


def test_all_pieces_have_the_same_columns(tmp_path):
    with (
        PicassoWriter(tmp_path / "a.hdf5", MOVIE, ("x_nm", "y_nm", "z_nm")) as writer,
        pytest.raises(ValueError, match="the table has no z_nm"),
    ):
        writer.write(Localizations(x_nm=np.ones(1), y_nm=np.ones(1)))


def test_only_tables_of_a_movie_are_written_for_picasso(tmp_path):
    table = _table()
    for name, movie in (("with", MOVIE), ("without", None)):
        folder = tmp_path / name
        folder.mkdir()
        with FolderWriter(folder) as writer:
            writer.take(Table("localizations", table, movie=movie))
            writer.take(Table("localizations", table, movie=movie))
            writer.finish()
    names = {p.name for p in (tmp_path / "with").iterdir()}
    assert names == {"localizations.csv", "localizations.hdf5", "localizations.yaml"}
    assert [p.name for p in (tmp_path / "without").iterdir()] == ["localizations.csv"]
    with h5py.File(tmp_path / "with" / "localizations.hdf5") as file:
        assert len(file["locs"]) == 18


def _picasso(script, path):
    """Return the words that Picasso's Python prints; it pins other dependencies."""
    lines = run(interpreter("ZOO_PICASSO_PYTHON"), "-c", script, path)
    return [word for line in lines for word in line.split()]


OPENING = """
import sys
from picasso import io
locs, info = io.load_locs(sys.argv[1])
print(len(locs), locs["x"].sum().round(2), locs["frame"].max(), info[0]["Width"])
"""


IMPORTING = """
import sys
from picasso import io
locs, info = io.import_ts(sys.argv[1], 130.0)
sums = locs["x"].sum(), locs["lpx"].sum()
print(len(locs), *sums, locs["frame"].max(), info[0]["Pixelsize"])
"""


@pytest.mark.slow
def test_picasso_imports_the_text_table(tmp_path):
    rng = np.random.default_rng(2)
    table = Localizations(
        x_nm=rng.uniform(0, 6400, 20),
        y_nm=rng.uniform(0, 6400, 20),
        frame=np.arange(1, 21),
        sigma_nm=rng.uniform(100, 150, 20),
        photons=rng.uniform(300, 3000, 20),
        background_photons=rng.uniform(10, 30, 20),
        uncertainty_nm=rng.uniform(5, 30, 20),
        response=np.ones(20),
    )
    write_localizations(tmp_path / "localizations.csv", table)
    words = _picasso(IMPORTING, tmp_path / "localizations.csv")
    count, x_px, precision_px, last, pixel_nm = map(float, words[-5:])
    assert (count, last, pixel_nm) == (20, 19, 130)
    assert x_px == pytest.approx(table.x_nm.sum() / 130, abs=0.01)
    assert precision_px == pytest.approx(table.uncertainty_nm.sum() / 130, abs=0.01)


@pytest.mark.slow
def test_picassos_own_reader_opens_the_file(tmp_path):
    table = _table()
    _write(tmp_path / "found.hdf5", table)
    for kept in ("with .yaml", "without"):
        if kept == "without":
            (tmp_path / "found.yaml").unlink()
        words = _picasso(OPENING, tmp_path / "found.hdf5")
        count, total, last, width = words[-4:]
        assert (int(count), int(last), int(width)) == (9, table.frame.max() - 1, 64)
        assert abs(float(total) - (table.x_nm / 130 - 0.5).sum()) < 0.1
