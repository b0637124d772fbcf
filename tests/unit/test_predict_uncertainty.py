"""Uncertainty of images: spread of views, calibrated, written beside the image."""

import hashlib
import json

import numpy as np
import onnx
import pytest
import tifffile
import yaml
from onnx import TensorProto, helper, numpy_helper

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, ZooError
from zoo.core.grid import Grid
from zoo.core.products import Image, Products
from zoo.core.test_set import Case
from zoo.evaluate.further import (
    UNCERTAINTY,
    headlines,
    judgement,
    tables,
    uncertainty_metrics,
)
from zoo.inputs.frames import Frames
from zoo.predict.predictor import Predictor
from zoo.predict.views import symmetries
from zoo.tasks.image import BRIGHTNESS, ImageOptions, ImageRestoration, score
from zoo.tasks.uncertainty import Errors
from zoo.test_sets.sim_images import SimImageTestSet

ERRORS = {"spread": [0.0, 1.0], "error": [0.01, 2.01]}
FILES = [
    "error_map.ome.tif",
    "image.ome.tif",
    "preview.png",
    "report.json",
    "uncertainty.ome.tif",
]


def _network(path, kernel):
    """Write a convolution with a 3 x 3 kernel, then an enlargement by two."""
    constants = {
        "kernel": np.asarray(kernel, np.float32).reshape(1, 1, 3, 3),
        "scales": np.array([1, 1, 2, 2], np.float32),
    }
    nodes = [
        helper.make_node("Transpose", ["raw"], ["first"], perm=[0, 3, 1, 2]),
        helper.make_node("Conv", ["first", "kernel"], ["mixed"], pads=[1, 1, 1, 1]),
        helper.make_node("Resize", ["mixed", "", "scales"], ["fine"], mode="nearest"),
        helper.make_node("Transpose", ["fine"], ["image"], perm=[0, 2, 3, 1]),
    ]
    free = [None] * 4
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("raw", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def _package(folder, kernel, **task):
    folder.mkdir(parents=True)
    _network(folder / "model.onnx", kernel)
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()

    def tensor(name, scale, size):
        space = [
            {"type": "space", "id": axis, "size": size(axis), "scale": scale}
            for axis in "yx"
        ]
        channel = {"type": "channel", "channel_names": ["intensity"]}
        return {"id": name, "axes": [{"type": "batch"}, *space, channel]}

    axis = {"scale": 2, "halo": 2, "minimum": 16}
    contract = {
        "grid": {"axes": {"y": axis, "x": axis}},
        "input": {"kind": "frames", "scaling": "image", "diffraction_limited": True},
        "task": {"kind": "image", **task},
    }
    source = tensor("raw", 4.0, lambda _: {"min": 16, "step": 1})
    rdf = {
        "format_version": "0.5.10",
        "type": "model",
        "id": folder.name,
        "name": "Stand-in",
        "description": "Enlarges.",
        "inputs": [source],
        "outputs": [tensor("image", 2.0, lambda a: {"tensor_id": "raw", "axis_id": a})],
        "weights": {
            "onnx": {"source": "model.onnx", "sha256": digest, "opset_version": 17}
        },
        "config": {"superres_zoo": {"version": 2, "contract": contract}},
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    return folder


EVEN = [[0, 1, 0], [1, 4, 1], [0, 1, 0]]
LEANING = [[0, 0, 0], [1, 2, 0], [0, 0, 0]]


@pytest.fixture(scope="module")
def even(tmp_path_factory):
    return _package(tmp_path_factory.mktemp("e") / "even", EVEN, errors=ERRORS)


@pytest.fixture(scope="module")
def leaning(tmp_path_factory):
    return _package(tmp_path_factory.mktemp("l") / "leaning", LEANING)


def _movie(shape=(2, 40, 52)):
    rng = np.random.default_rng(8)
    return (rng.random(shape) ** 6).astype(np.float32)


def test_what_views_agree_on_is_as_sure_as_its_brightness_says(even):
    result = Predictor(even).predict(_movie())
    image, sigma = (result.images[n].array for n in ("image", "uncertainty"))
    assert sigma.shape == image.shape == (2, 80, 104)
    expected = 0.01 + 2 * BRIGHTNESS * np.abs(image)
    np.testing.assert_allclose(sigma, expected, atol=1e-4 * image.max())
    report = result.report["uncertainty"]
    assert report["calibrated"]
    assert report["views"] == 1
    assert report["rms"] == pytest.approx(np.sqrt(np.mean(sigma**2)), rel=1e-4)
    json.dumps(result.report, allow_nan=False)


def test_a_network_that_leans_is_unsure_at_edges(leaning):
    frames = np.zeros((40, 52), np.float32)
    frames[:, 26:] = 1.0
    result = Predictor(leaning, uncertainty=True).predict(frames)
    sigma = result.images["uncertainty"].array
    assert not result.report["uncertainty"]["calibrated"]
    spread = np.sqrt(np.maximum(sigma**2 - (BRIGHTNESS * result.image) ** 2, 0))
    inner = spread[10:-10]
    assert inner[:, 48:56].max() > 10 * np.median(inner[:, 10:40])
    plain = Predictor(leaning).predict(frames)
    assert "uncertainty" not in plain.images
    assert "--uncertainty" in plain.report["uncertainty"]["skipped"]
    np.testing.assert_array_equal(plain.image, result.image)


def test_it_is_written_beside_the_image_and_can_be_switched_off(even, tmp_path):
    tifffile.imwrite(tmp_path / "movie.tif", _movie())
    Predictor(even).predict_to_folder(tmp_path / "movie.tif", tmp_path / "on")
    assert sorted(file.name for file in (tmp_path / "on").iterdir()) == FILES
    with tifffile.TiffFile(tmp_path / "on" / "uncertainty.ome.tif") as tiff:
        assert tiff.series[0].shape == (2, 80, 104)
        assert "calibrated" in tiff.ome_metadata
    off = Predictor(even, uncertainty=False)
    off.predict_to_folder(tmp_path / "movie.tif", tmp_path / "off")
    names = sorted(file.name for file in (tmp_path / "off").iterdir())
    assert names == FILES[:-1]
    report = json.loads((tmp_path / "off" / "report.json").read_text())
    assert report["uncertainty"] == {"skipped": "switched off"}


def test_matched_images_have_uncertainties_in_their_intensities(even):
    frames = (300 * _movie() + 50).astype(np.float32)
    plain = Predictor(even).predict(frames)
    matched = Predictor(even, match_intensity=True).predict(frames)
    gains = matched.report["intensity"]["alpha"]
    for number, gain in enumerate(gains):
        np.testing.assert_allclose(
            matched.images["uncertainty"].array[number],
            gain * plain.images["uncertainty"].array[number],
            rtol=1e-4,
        )


def test_rows_become_columns_only_where_a_network_takes_both_alike():
    alike = Contract(grid=Grid.square(scale=2), input=Frames(), task=ImageRestoration())
    assert any(s.swap for s in symmetries(alike, 1))
    axes = dict(alike.grid.axes)
    axes["x"] = axes["x"].override(step=4)
    unlike = alike.override(grid=alike.grid.override(axes=axes))
    assert not any(s.swap for s in symmetries(unlike, 7))
    assert len(symmetries(unlike, 7)) == 3


def test_an_image_is_the_mean_of_as_many_looks_as_are_asked_for(leaning):
    frame = _movie((40, 40))

    def seen(looks, turned=frame):
        return Predictor(leaning, looks=looks).predict(turned).image

    one, eight = seen(1), seen(8)
    np.testing.assert_array_equal(one, Predictor(leaning).predict(frame).image)
    even_kernel = np.mean([np.rot90(LEANING, k) for k in range(4)], axis=0)
    ideal = np.zeros_like(frame)
    padded = np.pad(frame, 1)
    for (y, x), weight in np.ndenumerate(even_kernel):
        ideal += weight * padded[y : y + 40, x : x + 40]
    ideal = ideal.repeat(2, 0).repeat(2, 1)[8:-8, 8:-8]
    errors = [np.abs(image[8:-8, 8:-8] - ideal).mean() for image in (one, eight)]
    assert errors[1] < 1e-5 * errors[0]
    # and so it is the same whichever way the field lies
    turned = seen(8, np.ascontiguousarray(frame[::-1].T))
    np.testing.assert_allclose(turned.T[::-1], eight, atol=1e-5 * eight.max())
    mirrored = seen(1, np.ascontiguousarray(frame[:, ::-1]))[:, ::-1]
    assert not np.allclose(mirrored, one, atol=0.05 * one.max())


def test_looks_of_the_package_hold_unless_others_are_asked_for(even, tmp_path):
    twice = _package(tmp_path / "twice", LEANING, errors=ERRORS, looks=2)
    frames = _movie((1, 40, 40))
    result = Predictor(twice).predict(frames)
    assert result.report["options"]["looks"] == 2
    assert result.report["uncertainty"]["views"] == 1
    once = Predictor(twice, looks=1).predict(frames)
    assert not np.allclose(once.image, result.image)
    # how sure it is follows from what is averaged, not from how much is
    assert result.images["uncertainty"].array.shape == result.image.shape
    asked = Predictor(twice, looks=2, uncertainty=False).predict(frames)
    np.testing.assert_array_equal(asked.image, result.image)
    assert Predictor(even).predict(frames).report["options"]["looks"] == 1
    assert "looks" not in ImageRestoration().model_dump()
    assert ImageRestoration(looks=4).model_dump()["looks"] == 4


def test_more_looks_than_there_are_views_are_refused(even):
    with pytest.raises(ZooError, match="looks"):
        Predictor(even, looks=9)
    alike = Contract(grid=Grid.square(scale=2), input=Frames(), task=ImageRestoration())
    axes = dict(alike.grid.axes)
    axes["x"] = axes["x"].override(step=4)
    unlike = alike.override(grid=alike.grid.override(axes=axes))
    with pytest.raises(BadInput, match="5 looks need rows to become columns"):
        unlike.task.start(None, unlike, ImageOptions(looks=5, error_map=False))


def test_a_calibration_is_read_off_validation_scenes():
    task = ImageRestoration()
    rng = np.random.default_rng(9)
    scores = rng.uniform(0.01, 1, 40_000)
    error = 3 * scores * np.abs(rng.normal(size=scores.size))
    raw = task.uncalibrated()
    assert raw.errors is not None
    np.testing.assert_allclose(raw.errors.at(scores), scores)
    fields = task.calibration(
        {"uncertainty": scores}, {"uncertainty": error}, np.ones(scores.size)
    )
    known = task.override(**fields)
    assert isinstance(known.errors, Errors)
    np.testing.assert_allclose(known.errors.at(np.array([0.5])), [1.5], rtol=0.1)
    assert task.calibration({}, {}, np.ones(0)) == {}
    assert ImageRestoration.model_validate(known.model_dump(mode="json")) == known


def test_metrics_tell_whether_it_predicts_the_error():
    rng = np.random.default_rng(10)
    found = []
    for number in range(3):
        truth = rng.random((64, 64)) ** 3
        sigma = 0.02 + 0.2 * truth
        image = truth + sigma * rng.normal(size=truth.shape)
        products = Products(
            [
                Image("image", image, "yx"),
                Image("uncertainty", sigma, "yx"),
                Image("error_map", rng.random(truth.shape), "yx"),
            ]
        )
        case = Case(f"actin/{number}", None, truth)
        found.append(judgement(case, products))
        plain = Products([Image("image", image, "yx")])
        assert judgement(case, plain) is None
    metrics = uncertainty_metrics(found)
    row = metrics[UNCERTAINTY]["all"]
    assert set(metrics[UNCERTAINTY]) == {"actin", "all"}
    assert row["rank_element"] > 0.5 > row["rank_element_squirrel"]
    assert row["ence_percent"] < 30
    assert uncertainty_metrics([]) == {}
    test_set = SimImageTestSet()
    last, diagram = tables(test_set, metrics)
    assert last.rows["all"] == row
    assert diagram.rows["predicted"]["10"] == row["predicted_10"]
    told = headlines(test_set, metrics)[UNCERTAINTY]["all"]
    assert "rank_element" in told
    assert "predicted_1" not in told


def test_every_color_is_judged_by_its_own_uncertainty():
    rng = np.random.default_rng(11)
    truth = rng.random((32, 32, 2)) ** 3
    sigma = 0.02 + 0.2 * truth
    image = truth + sigma * rng.normal(size=truth.shape)
    image[..., 1] = 5 * image[..., 1] + 1  # a brightness of its own is no error

    def judged(stated, case_truth=truth):
        products = [Image("image", image, "yxc"), Image("uncertainty", stated, "yxc")]
        return judgement(Case("colors/1", None, case_truth), Products(products))

    right, swapped = judged(sigma), judged(sigma[..., ::-1])
    assert right.ranks["rank_element"] > 0.5 > swapped.ranks["rank_element"]
    assert "rank_element_squirrel" not in right.ranks
    assert len(right.predicted) == len(right.error) == 2 * -(-32 * 32 // 7)
    assert judged(sigma, truth[..., 0]) is None
    without = truth.copy()
    without[..., 1] = 0  # nothing to compare the second with
    assert len(judged(sigma, without).error) == len(right.error) // 2


def test_scores_grow_with_spread_and_brightness():
    flat = np.zeros((16, 16), np.float32)
    spot = flat.copy()
    spot[8, 8] = 1.0
    assert score(spot, flat)[8, 8] > score(spot, flat)[0, 0] == 0
    assert score(flat, spot)[8, 8] == pytest.approx(BRIGHTNESS)
    assert score(flat, spot, brightness=3.0)[8, 8] == pytest.approx(3)
    stained = score(flat, spot, brightness=-3.0)
    assert stained[8, 8] == 0
    assert stained[0, 0] == pytest.approx(3)


def test_it_is_a_panel_of_the_preview(even):
    recording = _movie()
    panels = Predictor(even).predict(recording)._panels
    assert [panel.title.partition(",")[0] for panel in panels] == [
        "input",
        "restored",
        "error map",
        "uncertainty",
    ]
    off = Predictor(even, uncertainty=False).predict(recording)._panels
    assert len(off) == 3
