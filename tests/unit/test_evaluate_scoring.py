"""Scores against the truth in a file, and of packages on frozen test sets."""

import json
import tracemalloc
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.products import Image
from zoo.evaluate.localizations import localization_metrics
from zoo.evaluate.scoring import frozen_test_set, score_package, scores
from zoo.inputs.frames import Frames
from zoo.inputs.raw_frames import RawFrames
from zoo.io.tables import write_localizations
from zoo.metrics.baselines import bicubic
from zoo.metrics.images import affine_match, psnr
from zoo.physics.optics import bin_pixels
from zoo.predict.result import Result
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.emitters import EmitterTestSet


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
    whole = localization_metrics(truth, perfect, field_nm=None)
    inner = localization_metrics(truth, perfect, field_nm=(3000.0, 5000.0))
    assert whole["localizations"]["all"]["tp"] == len(truth)
    assert 0 < inner["localizations"]["all"]["tp"] < len(truth)
    assert inner["localizations"]["all"]["jaccard"] == 1
    tiny = localization_metrics(truth, perfect, field_nm=(800.0, 800.0))
    assert tiny["localizations"]["all"]["jaccard"] == 1


def test_recall_is_given_by_brightness_and_by_distance():
    truth = truth_table()
    bright = truth.select(truth.photons >= np.median(truth.photons))
    metrics = localization_metrics(truth, bright, field_nm=None)
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
    metrics, tables = scores(str(tmp_path / "found.csv"), truth=tmp_path / "truth.csv")
    assert tables[0].corner == "localizations"
    assert metrics["localizations"]["all"]["bias_x_nm"] == pytest.approx(7, abs=0.01)


class Model:
    """Stands in for a predictor: knows the images, whatever it is shown."""

    name = "some"

    def __init__(self, images, axes, *, raw=False, map_of_errors=True):
        channels = tuple(f"frame{k}" for k in range(9)) if raw else ("intensity",)
        self.contract = Contract(
            grid=Grid.square(scale=2, channels=channels),
            input=RawFrames() if raw else Frames(diffraction_limited=True),
            task=ImageRestoration(),
        )
        self.options = SimpleNamespace(input=self.contract.input.options())
        self.images, self.axes, self.map_of_errors = images, axes, map_of_errors

    def predict(self, _source, *, pixel_size_nm, progress):
        assert progress is None
        size = {} if pixel_size_nm is None else dict.fromkeys("yx", pixel_size_nm / 2)
        image = Image("image", self.images, self.axes, pixel_size_nm=size)
        errors = [replace(image, name="error_map")] if self.map_of_errors else []
        return Result([image, *errors], report={})


def write(path, array, axes):
    tifffile.imwrite(path, array.astype(np.float32), metadata={"axes": axes}, ome=True)
    return path


@pytest.fixture
def scene(tmp_path, monkeypatch):
    """Return truth (t, Y, X), a recording of it on disk, and a way to set the model."""
    rng = np.random.default_rng(3)
    truth = gaussian_filter(rng.random((3, 96, 128)), (0, 1.5, 1.5))
    truth = 1000 * (truth - truth.min())
    blurred = gaussian_filter(truth, (0, 3, 3))
    recording = bin_pixels(blurred, 2)
    write(tmp_path / "movie.ome.tif", recording, "TYX")
    write(tmp_path / "truth.ome.tif", truth, "TYX")

    def use(images, axes="tyx", **options):
        model = Model(images, axes, **options)
        monkeypatch.setattr("zoo.predict.predictor.Predictor", lambda *_, **__: model)

    return truth, recording, use


def evaluate(tmp_path, source="movie.ome.tif", truth="truth.ome.tif", **options):
    return scores(
        "some", source=str(tmp_path / source), truth=tmp_path / truth, **options
    ).metrics


def test_a_perfect_movie_beats_its_enlarged_input_in_every_frame(scene, tmp_path):
    truth, recording, use = scene
    use(0.01 * truth + 7)
    metrics = evaluate(tmp_path, pixel_size_nm=62.6)
    own, simple = metrics["image"]["prediction"], metrics["image"]["bicubic"]
    assert own["ssim"] == pytest.approx(1, abs=1e-6)
    assert own["nrmse_euclidean"] < 1e-4
    assert own["pearson"] == pytest.approx(1, abs=1e-6)
    assert np.isnan(own["ms_ssim"])
    expected = []
    for image, goal in zip(recording, truth, strict=True):
        enlarged = affine_match(bicubic(image), goal)
        expected.append(psnr(enlarged, goal, data_range=np.ptp(goal)))
    assert simple["psnr_db"] == pytest.approx(np.mean(expected), abs=1e-3)
    by_frame = metrics["frame"]
    assert list(by_frame) == ["1", "2", "3"]
    found = [by_frame[t]["psnr_bicubic_db"] for t in by_frame]
    assert found == pytest.approx(expected, abs=1e-3)
    # the truth under the blur is what the camera saw
    assert metrics["input"]["prediction"]["rsp"] > 0.99
    resolution = metrics["resolution"]
    assert resolution["bicubic"]["frc_nm"] > 31.3
    assert "decorrelation_nm" not in resolution["bicubic"]
    assert resolution["prediction"]["decorrelation_nm"] == pytest.approx(
        resolution["truth"]["decorrelation_nm"]
    )


def test_without_a_pixel_size_lengths_are_in_pixels(scene, tmp_path):
    truth, _, use = scene
    use(truth, map_of_errors=False)
    metrics = evaluate(tmp_path)
    assert "decorrelation_px" in metrics["resolution"]["truth"]
    assert "input" not in metrics
    assert "rsp" not in metrics["frame"]["1"]


def test_channels_are_compared_one_by_one(scene, tmp_path):
    truth, recording, use = scene
    write(tmp_path / "two.ome.tif", np.stack([recording, recording], 1), "TCYX")
    wrong = np.roll(truth, 9, axis=2)
    use(np.stack([truth, wrong], axis=-1), "tyxc")
    write(tmp_path / "truth2.ome.tif", np.stack([truth, truth], axis=1), "TCYX")
    metrics = evaluate(tmp_path, "two.ome.tif", "truth2.ome.tif")
    assert list(metrics["frame"])[:2] == ["1 channel 1", "1 channel 2"]
    first, second = (metrics["frame"][f"2 channel {c}"] for c in (1, 2))
    assert first["pearson"] == pytest.approx(1, abs=1e-6)
    assert second["pearson"] < 0.5
    assert first["rsp"] > second["rsp"]


def test_raw_frames_are_enlarged_from_their_mean(scene, tmp_path):
    truth, recording, use = scene
    waves = 1 + 0.5 * np.cos(2 * np.pi * np.arange(9) / 3)
    raw = recording[:, None] * waves[:, None, None]
    write(tmp_path / "raw.ome.tif", raw.reshape(27, 48, 64), "TYX")
    use(truth, raw=True)
    metrics = evaluate(tmp_path, "raw.ome.tif")
    plain = psnr(
        affine_match(bicubic(recording[0]), truth[0]),
        truth[0],
        data_range=np.ptp(truth[0]),
    )
    assert metrics["frame"]["1"]["psnr_bicubic_db"] == pytest.approx(plain, abs=1e-2)


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda truth: truth[:, ::2, ::2], "output grid, 2 times as fine"),
        (lambda truth: truth[:, :90], "90 x 128 px, the prediction 96 x 128 px"),
        (lambda truth: truth[:2], "2 frames of 1 channels, the prediction 3 of 1"),
        (lambda truth: truth * [[[1]], [[0]], [[1]]], "image 2 of the truth is con"),
    ],
)
def test_truth_that_does_not_fit_is_named_in_a_line(change, complaint, scene, tmp_path):
    truth, _, use = scene
    use(truth)
    write(tmp_path / "truth.ome.tif", change(truth), "TYX")
    with pytest.raises(BadInput, match=complaint) as caught:
        evaluate(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_black_prediction_has_scores_but_no_resolution(scene, tmp_path):
    truth, _, use = scene
    use(np.zeros_like(truth))
    metrics = evaluate(tmp_path)
    assert np.isnan(metrics["image"]["prediction"]["pearson"])
    assert metrics["image"]["prediction"]["psnr_db"] > 0
    assert np.isnan(metrics["resolution"]["prediction"]["frc_px"])


def test_an_image_is_not_compared_with_a_table(scene, tmp_path):
    truth, _, use = scene
    use(truth)
    write_localizations(tmp_path / "truth.csv", truth_table())
    with pytest.raises(BadInput, match="makes images"):
        evaluate(tmp_path, truth="truth.csv")


def test_coordinates_about_the_centre_of_a_region_are_all_compared():
    truth = Localizations(x_nm=np.array([-80.0, 60.0]), y_nm=np.array([10.0, -40.0]))
    metrics = localization_metrics(truth, truth, field_nm=None)
    assert metrics["localizations"]["all"]["tp"] == 2


def test_large_tables_are_scored_in_bounded_memory():
    rng = np.random.default_rng(4)
    side_nm = 1e6
    truth = Localizations(
        x_nm=rng.uniform(0, side_nm, 2000),
        y_nm=rng.uniform(0, side_nm, 2000),
        frame=rng.integers(1, 200, 2000),
    )
    tracemalloc.start()
    metrics = localization_metrics(truth, truth, field_nm=None)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert metrics["localizations"]["all"]["jaccard"] == 1
    assert peak < 3e8


class Perfect:
    """Stands in for the predictor of a package that makes no mistake."""

    def __init__(self, _package, *, engine):
        assert engine == "onnx"

    def predict(self, counts, *, pixel_size_nm):
        assert pixel_size_nm == SMALL.pixel_size_nm
        case = next(c for c in SMALL.cases() if np.array_equal(c.input, counts))
        return SMALL.perfect(case)


SMALL = EmitterTestSet(
    field_px=20, densities_per_um2=(1.0,), photon_levels=(), spacing_px=9
).reduced()


def test_a_package_is_scored_through_its_own_prediction(monkeypatch):
    monkeypatch.setattr("zoo.predict.predictor.Predictor", Perfect)
    calls = []
    metrics = score_package("any", SMALL, engine="onnx", progress=calls.append)
    assert calls == [1, 2, 3, 4]
    assert metrics["density"]["1"]["jaccard"] == 1


def test_options_of_the_prediction_hold_on_the_frozen_test_set(monkeypatch):
    stated = {}

    class Noting(Perfect):
        def __init__(self, _package, *, engine, **options):
            super().__init__(_package, engine=engine)
            stated.update(options)

    monkeypatch.setattr("zoo.predict.predictor.Predictor", Noting)
    score_package("any", SMALL, engine="onnx", threshold=0.3, frames=None)
    assert stated == {**SMALL.wanted, "threshold": 0.3}


def package(folder, **declared):
    (folder / "recipe.json").write_text(json.dumps(declared), encoding="utf-8")
    return SimpleNamespace(name="some", folder=folder, zoo={"version": 2})


def test_the_frozen_test_set_is_the_one_that_the_package_declares(tmp_path):
    declared = SMALL.model_dump(mode="json")
    assert frozen_test_set(package(tmp_path, test_set=declared)) == SMALL


@pytest.mark.parametrize(
    "declared",
    [
        {},
        {"test_set": {"kind": "unheard_of"}},
        {"test_set": {"kind": "emitters", "a": 1}},
    ],
)
def test_an_unknown_test_set_is_named_in_a_line(declared, tmp_path, monkeypatch):
    monkeypatch.setattr("zoo.catalog.recipes", dict)
    with pytest.raises(BadPackage, match="declares no test set") as caught:
        frozen_test_set(package(tmp_path, **declared))
    assert "\n" not in str(caught.value)


def test_packages_of_others_have_no_frozen_test_set(tmp_path):
    foreign = SimpleNamespace(name="other", folder=tmp_path, zoo={})
    with pytest.raises(BadInput, match="--input FILE --truth FILE"):
        frozen_test_set(foreign)


@pytest.mark.parametrize(
    ("files", "missing"),
    [({"source": "a.tif"}, "--truth"), ({"truth": "a.csv"}, "--input")],
)
def test_a_recording_and_its_truth_come_together(files, missing):
    with pytest.raises(BadInput, match=f"{missing} is missing"):
        scores("some", **files)
