"""`zoo.predict.result`: what a user of Python does with what came out."""

import sys

import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput
from zoo.core.extras import MissingExtra
from zoo.core.products import Image
from zoo.io.tables import read_localizations
from zoo.predict.predictor import Predictor
from zoo.predict.result import Result


@pytest.fixture
def frames():
    return np.random.default_rng(0).integers(90, 900, (3, 24, 24), np.uint16)


@pytest.fixture
def predictor(small_package):
    return Predictor(small_package)


@pytest.fixture
def result(predictor, frames):
    return predictor.predict(frames, pixel_size_nm=100.0)


def test_it_says_in_one_line_what_there_is(result):
    count = len(result.localizations)
    line = f"<Result of tiny_spots: {count} localizations, reconstruction 48 x 48>"
    assert repr(result) == line


def test_notebooks_show_images_and_warnings(result):
    result.report["warnings"] = ["more than <the> training range"]
    html = result._repr_html_()
    assert "<b>tiny_spots</b>" in html
    assert 'src="data:image/png;base64,iVBOR' in html
    assert "<li>more than &lt;the&gt; training range</li>" in html
    result.report["warnings"] = []
    assert "Warnings" not in result._repr_html_()
    assert "<img" not in Result(report=result.report)._repr_html_()


def test_plot_shows_every_panel(result):
    figure = result.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert titles == ["mean of 3 frames", f"{len(result.localizations)} localizations"]
    with pytest.raises(BadInput, match="has no panels"):
        Result(report=result.report).plot()


def test_saved_files_are_those_of_a_prediction_to_a_folder(
    predictor, frames, result, tmp_path
):
    written = predictor.predict_to_folder(frames, tmp_path / "a", pixel_size_nm=100.0)
    assert result.save(tmp_path / "b") == tmp_path / "b"
    names = {p.name for p in (tmp_path / "a").iterdir()}
    assert {p.name for p in (tmp_path / "b").iterdir()} == names
    for name in names - {"report.json"}:  # which tells the time
        one, other = (tmp_path / folder / name for folder in "ab")
        assert one.read_bytes() == other.read_bytes(), name
    assert "files in" in repr(written)
    with pytest.raises(BadInput, match="--overwrite"):
        result.save(tmp_path / "b")
    result.save(tmp_path / "b", overwrite=True)
    with pytest.raises(BadInput, match="copy the folder"):
        written.save(tmp_path / "c")


def test_a_saved_series_keeps_its_axes(result, tmp_path):
    movie = np.arange(2 * 4 * 5, dtype=np.float32).reshape(2, 4, 5, 1)
    part = Image("image", movie, "yxc", {"y": 50.0, "x": 50.0}, outer=(("t", 2),))
    Result([part], report=result.report).save(tmp_path / "out")
    with tifffile.TiffFile(tmp_path / "out" / "image.ome.tif") as file:
        assert file.series[0].axes == "TYX"
        np.testing.assert_array_equal(file.asarray(), movie[..., 0])


def test_tables_become_data_frames(predictor, frames, result, tmp_path):
    pandas = pytest.importorskip("pandas")
    table = result.to_pandas()
    light = ["sigma [nm]", "intensity [photon]", "offset [photon]", "bkgstd [photon]"]
    assert list(table.columns) == ["frame", "x [nm]", "y [nm]", *light, "response"]
    assert len(table) == len(result.localizations)
    written = predictor.predict_to_folder(frames, tmp_path / "a", pixel_size_nm=100.0)
    pandas.testing.assert_frame_equal(written.to_pandas(), table, atol=6e-3)
    read = read_localizations(tmp_path / "a" / "localizations.csv")
    assert table["x [nm]"].tolist() == pytest.approx(read.x_nm, abs=1e-3)
    with pytest.raises(BadInput, match="has no table emitters"):
        result.to_pandas("emitters")


def test_without_pandas_the_extra_is_named(result, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingExtra, match=r"superres-zoo\[notebooks\]"):
        result.to_pandas()
