"""Scores against given truth: tables with and without a field, images."""

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from zoo import assess
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.evaluate.baselines import bicubic
from zoo.evaluate.images import affine_match, psnr
from zoo.io.tables import write_localizations
from zoo.physics.optics import bin_pixels
from zoo.predict.contract import Contract
from zoo.predict.result import Result


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
    """Stands in for a predictor: doubles the grid of what it is given, or knows."""

    name = "some"

    def __init__(self, images, axes, *, channels=1, reference="mean"):
        self.contract = Contract(
            task="image",
            scale=2,
            channels=channels,
            reference=reference,
            frame_order="angle-major" if channels == 9 else None,
            training={"pixel_size_nm": 62.6},
        )
        self.images, self.axes = images, axes

    def predict(self, _source, *, pixel_size_nm, progress):
        assert progress is None
        return Result(
            task="image",
            image=self.images,
            image_axes=self.axes,
            pixel_size_nm=pixel_size_nm and pixel_size_nm / 2,
            localizations=None,
            preview_source=np.zeros((1, 1)),
            report={},
        )


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
        monkeypatch.setattr("zoo.load", lambda *_, **__: model)

    return truth, recording, use


def evaluate(tmp_path, source="movie.ome.tif", truth="truth.ome.tif", **options):
    return assess.scores(
        "some", source=str(tmp_path / source), truth=tmp_path / truth, **options
    )


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
    for picture, goal in zip(recording, truth, strict=True):
        enlarged = affine_match(bicubic(picture), goal)
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
    use(truth, reference=None)
    metrics = evaluate(tmp_path)
    assert "decorrelation_px" in metrics["resolution"]["truth"]
    assert "input" not in metrics
    assert "rsp" not in metrics["frame"]["1"]


def test_an_input_as_fine_as_the_output_is_no_reference(scene, tmp_path):
    truth, _, use = scene
    use(truth)
    assert "input" in evaluate(tmp_path, pixel_size_nm=62.6)
    assert "input" not in evaluate(tmp_path, pixel_size_nm=31.3)


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
    use(truth, channels=9)
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
        (lambda truth: truth * [[[1]], [[0]], [[1]]], "picture 2 of the truth is con"),
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
