"""Scores against given truth: tables with and without a field, images."""

import numpy as np
import pytest
import tifffile

from zoo import assess
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.io.tables import write_localizations


def truth_table(n=200, seed=0):
    rng = np.random.default_rng(seed)
    return Localizations(
        x_nm=rng.uniform(0, 5000, n),
        y_nm=rng.uniform(0, 3000, n),
        frame=rng.integers(1, 40, n),
        photons=rng.uniform(500, 4000, n),
    )


def test_a_field_leaves_out_the_border_and_no_field_does_not():
    truth = truth_table()
    perfect = truth.with_columns(photons=None)
    whole = assess.localization_metrics(truth, perfect, field_nm=None)
    inner = assess.localization_metrics(truth, perfect, field_nm=(3000.0, 5000.0))
    assert whole["localizations"]["all"]["tp"] == len(truth)
    assert 0 < inner["localizations"]["all"]["tp"] < len(truth)
    assert inner["localizations"]["all"]["jaccard"] == 1
    tiny = assess.localization_metrics(truth, perfect, field_nm=(800.0, 800.0))
    assert tiny["localizations"]["all"]["jaccard"] == 1


def test_recall_is_given_by_brightness_and_by_distance():
    truth = truth_table()
    bright = truth.select(truth.photons >= np.median(truth.photons))
    metrics = assess.localization_metrics(truth, bright, field_nm=None)
    by_photons = list(metrics["recall by photons"].values())
    assert [b["emitters"] for b in by_photons] == [50, 50, 50, 50]
    recalls = [b["recall"] for b in by_photons]
    assert recalls[0] < 0.2
    assert recalls[2:] == [1.0, 1.0]
    by_distance = metrics["recall by distance to the next emitter"]
    assert sum(b["emitters"] for b in by_distance.values()) == len(truth)


def test_tables_are_compared_from_files(tmp_path):
    truth = truth_table()
    write_localizations(tmp_path / "truth.csv", truth)
    moved = truth.with_columns(x_nm=truth.x_nm + 7)
    write_localizations(tmp_path / "found.csv", moved)
    metrics = assess.scores(str(tmp_path / "found.csv"), truth=tmp_path / "truth.csv")
    assert metrics["localizations"]["all"]["bias_x_nm"] == pytest.approx(7, abs=0.01)


class Model:
    """Stands in for a predictor."""

    def __init__(self, result):
        self.result = result

    def predict(self, source, **_):
        assert source == "movie.tif"
        return self.result


class Result:
    def __init__(self, image, localizations=None):
        self.image = image
        self.localizations = localizations
        self.report = {"output": {"pixel_size_nm": None, "height": 20, "width": 30}}


@pytest.fixture
def image(monkeypatch):
    picture = np.random.default_rng(3).random((20, 30)).astype(np.float32)
    monkeypatch.setattr("zoo.load", lambda *_, **__: Model(Result(picture)))
    return picture


def test_images_are_compared_on_the_output_grid(image, tmp_path):
    path = tmp_path / "truth.tif"
    tifffile.imwrite(path, 5 * image + 2, photometric="minisblack")
    metrics = assess.scores("some", source="movie.tif", truth=path)
    assert metrics["image"]["truth.tif"]["pearson"] == pytest.approx(1)
    tifffile.imwrite(path, image[:18], photometric="minisblack")
    with pytest.raises(BadInput, match="output grid"):
        assess.scores("some", source="movie.tif", truth=path)
    stack = np.stack([image] * 5)
    tifffile.imwrite(path, stack, photometric="minisblack")
    with pytest.raises(BadInput, match="one image, not 5"):
        assess.scores("some", source="movie.tif", truth=path)


@pytest.mark.usefixtures("image")
def test_an_image_is_not_compared_with_a_table(tmp_path):
    write_localizations(tmp_path / "truth.csv", truth_table())
    with pytest.raises(BadInput, match="makes images"):
        assess.scores("some", source="movie.tif", truth=tmp_path / "truth.csv")
