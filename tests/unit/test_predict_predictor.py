"""`zoo.predict.predictor`: recordings in, localizations and images out.

The network is a stand-in made by hand: linear enlargement, then a Gaussian blur on
the fine grid.  It has the contract of a density package and is symmetric, so a spot
centred on a pixel must be found exactly there.
"""

import errno
import hashlib
import json
import shutil
import subprocess
import sys

import numpy as np
import onnx
import pytest
import tifffile
import yaml
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage

from zoo.core.errors import BadInput, BadPackage, ZooError
from zoo.io.library import open_package
from zoo.io.stacks import Stack, open_stack
from zoo.io.tables import read_localizations
from zoo.physics.psf import gaussian_spots
from zoo.predict.predictor import Predictor

PEAK = 48.4
FILES = ["localizations.csv", "preview.png", "reconstruction.ome.tif", "report.json"]
CLIP = {"id": "clip", "kwargs": {"min": 0.0, "max": 1e6}}
MIN_MAX = {
    "id": "scale_range",
    "kwargs": {
        "axes": ["y", "x", "channel"],
        "min_percentile": 0.0,
        "max_percentile": 100.0,
    },
}


def _network(path, *, scale=8, channels=1, order="byxc"):
    """Write ``PEAK * blur(enlarge(mean of channels))`` as an ONNX graph."""
    t = np.arange(9) - 4.0
    kernel = np.exp(-(t[:, None] ** 2 + t**2) / (2 * 2.0**2))
    weights = {
        "mix": np.full((1, channels, 1, 1), PEAK / channels, np.float32),
        "scales": np.array([1, 1, scale, scale], np.float32),
        "blur": (kernel / kernel.sum())[None, None].astype(np.float32),
    }
    nodes, image = [], "frame"
    if order == "byxc":
        nodes.append(
            helper.make_node("Transpose", ["frame"], ["in"], perm=[0, 3, 1, 2])
        )
        image = "in"
    nodes += [
        helper.make_node("Conv", [image, "mix"], ["mixed"]),
        helper.make_node("Resize", ["mixed", "", "scales"], ["fine"], mode="linear"),
        helper.make_node("Conv", ["fine", "blur"], ["out"], pads=[4, 4, 4, 4]),
    ]
    output = "out"
    if order == "byxc":
        nodes.append(
            helper.make_node("Transpose", ["out"], ["nhwc"], perm=[0, 2, 3, 1])
        )
        output = "nhwc"
    free = [None] * 4
    graph = helper.make_graph(
        nodes,
        "stand-in",
        [helper.make_tensor_value_info("frame", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, free)],
        [numpy_helper.from_array(value, name) for name, value in weights.items()],
    )
    opset = helper.make_opsetid("", 17)
    onnx.save(helper.make_model(graph, opset_imports=[opset], ir_version=8), path)


def _axes(order, sizes, *, scale, channels):
    found = []
    for letter in order:
        if letter == "b":
            found.append({"type": "batch"})
        elif letter == "c":
            names = [f"c{i}" for i in range(channels)]
            found.append({"type": "channel", "channel_names": names})
        else:
            size = sizes if isinstance(sizes, int | dict) else sizes(letter)
            found.append({"type": "space", "id": letter, "size": size, "scale": scale})
    return found


def _package(
    folder,
    *,
    scale=8,
    channels=1,
    order="byxc",
    size=64,
    halo=None,
    zoo=True,
    before=(MIN_MAX,),
):
    """Write a package around the stand-in network."""
    folder.mkdir()
    _network(folder / "model.onnx", scale=scale, channels=channels, order=order)
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    target = _axes(
        order,
        lambda axis: {"tensor_id": "frame", "axis_id": axis},
        scale=scale,
        channels=1,
    )
    if halo is not None:
        for axis in target:
            axis |= {"halo": halo} if axis["type"] == "space" else {}
    description = {
        "format_version": "0.5.10",
        "type": "model",
        "id": "stand_in",
        "name": "Stand-in",
        "description": "Enlarges and blurs.",
        "inputs": [
            {
                "id": "frame",
                "axes": _axes(order, size, scale=scale**2, channels=channels),
                "preprocessing": list(before),
            }
        ],
        "outputs": [{"id": "density", "axes": target, "postprocessing": [CLIP]}],
        "weights": {
            "onnx": {"source": "model.onnx", "sha256": digest, "opset_version": 17}
        },
    }
    if zoo:
        description["config"] = {
            "superres_zoo": {
                "version": 2,
                "contract": {
                    "grid": {
                        "input_axes": order,
                        "output_axes": order,
                        "axes": {a: {"scale": scale, "halo": 2} for a in "yx"},
                        "channels": [f"c{i}" for i in range(channels)],
                        "outputs": ["c0"],
                    },
                    "input": {"kind": "frames", "scaling": "spots"},
                    "task": {
                        "kind": "density",
                        "ideal_peak": PEAK,
                        "threshold": 0.2,
                        "window_px": 5,
                    },
                    "tile": {"y": 64, "x": 64},
                    "training": {
                        "pixel_size_nm": [90, 110],
                        "density_per_um2": [0.3, 9],
                    },
                },
            }
        }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(description))
    return folder


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    return open_package(_package(tmp_path_factory.mktemp("packages") / "stand_in"))


SPOTS = [(6, 7), (12, 30), (25, 20), (33, 38), (20, 9)]


def _movie(frames=5, shape=(40, 45)):
    """A movie with one spot per frame, centred on a pixel, and a flat background."""
    y, x = np.mgrid[: shape[0], : shape[1]]
    movie = np.full((frames, *shape), 100.0)
    for i in range(frames):
        cy, cx = SPOTS[i % len(SPOTS)]
        movie[i] += 1000 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / 2)
    return movie.round().astype(np.uint16)


def _same(a, b):
    # the image counts rows of the table: rounding moves a whole one
    one, other = (found.images["density"].array for found in (a, b))
    np.testing.assert_allclose(one, other, rtol=0, atol=1e-5 * other.max())
    assert a.image.sum() == b.image.sum()
    assert len(a.localizations) == len(b.localizations)
    for column in ("frame", "x_nm", "y_nm"):
        np.testing.assert_allclose(
            getattr(a.localizations, column),
            getattr(b.localizations, column),
            atol=1e-3,
        )


def test_spots_are_found_where_they_are(package):
    result = Predictor(package).predict(_movie(), pixel_size_nm=100)
    found = result.localizations
    assert found.frame.tolist() == [1, 2, 3, 4, 5]
    # on the border of four fine pixels, whose tie is broken by rounding
    np.testing.assert_allclose(found.y_nm, [(y + 0.5) * 100 for y, _ in SPOTS], atol=7)
    np.testing.assert_allclose(found.x_nm, [(x + 0.5) * 100 for _, x in SPOTS], atol=7)
    assert result.image.shape == (320, 360)
    assert result.image.dtype == np.float32
    assert result.pixel_size_nm == 12.5
    assert result.warnings == []


def test_positions_have_no_half_pixel_bias(package):
    rng = np.random.default_rng(10)
    y, x = np.mgrid[:24, :30]
    cy, cx = rng.uniform(6, 18, 60), rng.uniform(6, 24, 60)
    squared = (y - cy[:, None, None]) ** 2 + (x - cx[:, None, None]) ** 2
    movie = (100 + 1000 * np.exp(-squared / 2)).astype(np.float32)
    found = Predictor(package).predict(movie, pixel_size_nm=100).localizations
    assert found.frame.tolist() == list(range(1, 61))
    for errors in (found.x_nm - (cx + 0.5) * 100, found.y_nm - (cy + 0.5) * 100):
        assert abs(errors.mean()) < 2  # half a fine pixel would be 6.25 nm
        assert np.abs(errors).max() < 20


@pytest.mark.parametrize(
    ("tile", "batch_size"),
    [(16, None), (17, 3), (16, 100), (44, 1), (None, 2), (64, 4)],
)
def test_tiles_and_batches_change_nothing(package, tile, batch_size):
    noisy = np.random.default_rng(8).poisson(_movie(7)).astype(np.uint16)
    options = {"threshold": 0.02, "density": True}
    whole = Predictor(package, **options).predict(noisy, pixel_size_nm=100)
    other = Predictor(package, tile=tile, batch_size=batch_size, **options)
    assert len(whole.localizations) > 50
    _same(other.predict(noisy, pixel_size_nm=100), whole)


def test_density_is_the_sum_of_the_clipped_outputs(package):
    movie = _movie(3)
    predictor = Predictor(package, normalization="frame", density=True)
    results = [predictor.predict(f, pixel_size_nm=100) for f in (*movie, movie)]
    *single, together = (result.images["density"].array for result in results)
    assert min(image.min() for image in single) >= 0
    np.testing.assert_allclose(together, sum(single), rtol=1e-5, atol=1e-4)
    raw = predictor.forward(movie[..., None])[..., 0]
    np.testing.assert_allclose(together, raw.sum(axis=0), rtol=1e-5, atol=1e-4)


def test_folder_holds_what_predict_returns(package, tmp_path):
    result = Predictor(package).predict(_movie(), pixel_size_nm=100)
    calls = []
    written = Predictor(package, batch_size=2).predict_to_folder(
        _movie(),
        tmp_path / "deep" / "out",
        pixel_size_nm=100,
        progress=lambda done, of: calls.append((done, of)),
    )
    folder = tmp_path / "deep" / "out"
    assert written.folder == folder
    assert sorted(file.name for file in folder.iterdir()) == FILES
    assert [p.name for p in folder.parent.iterdir()] == ["out"]
    assert calls == [(2, 5), (4, 5), (5, 5)]
    table = read_localizations(folder / "localizations.csv")
    for column in ("x_nm", "y_nm", "frame", "response"):
        expected = getattr(result.localizations, column)
        np.testing.assert_allclose(getattr(table, column), expected, atol=1e-3)
    image = tifffile.imread(folder / "reconstruction.ome.tif")
    assert image.shape == result.image.shape
    assert image.sum() == len(table)
    with open_stack(folder / "reconstruction.ome.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(12.5)
    assert (folder / "preview.png").read_bytes()[:4] == b"\x89PNG"


def test_equal_predictions_give_equal_bytes(package, tmp_path):
    for name in ("a", "b"):
        Predictor(package).predict_to_folder(
            _movie(), tmp_path / name, pixel_size_nm=100
        )
    for name in set(FILES) - {"report.json"}:  # it states the seconds
        assert (tmp_path / "a" / name).read_bytes() == (
            tmp_path / "b" / name
        ).read_bytes()


def test_report_says_how_it_came_about(package, tmp_path):
    predictor = Predictor(package, threshold=0.3)
    predictor.predict_to_folder(_movie(), tmp_path / "out", pixel_size_nm=100)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["package"]["name"] == predictor.name
    assert report["package"]["entry"] == "onnx"
    digest = hashlib.sha256((package.folder / "model.onnx").read_bytes()).hexdigest()
    assert report["package"]["weights_sha256"] == digest
    assert report["package"]["entry_sha256"] == digest
    assert {"superres-zoo", "numpy", "onnxruntime"} <= set(report["versions"])
    assert report["engine"] == "onnx"
    assert report["input"]["pixel_size_nm"] == 100
    assert report["output"]["pixel_size_nm"] == 12.5
    assert report["frames"] == report["localizations"] == 5
    assert report["frames_per_second"] == pytest.approx(5 / report["seconds"], rel=0.05)
    assert report["options"]["threshold_value"] == pytest.approx(0.3 * PEAK)
    assert report["options"]["normalization"] == "movie"
    assert report["training"]["pixel_size_nm"] == [90, 110]
    assert report["peak_memory_mib"] > 10
    assert report["warnings"] == []


def test_frames_are_read_batch_by_batch(package, monkeypatch):
    asked = []
    read = Stack.read

    def counted(self, start, stop):
        asked.append(min(stop, self.frames) - start)
        return read(self, start, stop)

    monkeypatch.setattr(Stack, "read", counted)
    options = {"batch_size": 4, "normalization": "frame"}
    Predictor(package, light=False, **options).predict(_movie(10), pixel_size_nm=100)
    assert asked[:3] == [4, 4, 2]
    # then one by one, to measure the recording
    assert asked[3:] == [1] * 10
    asked.clear()
    Predictor(package, **options).predict(_movie(10), pixel_size_nm=100)
    # before that as many, of which the width of its spots is read
    assert asked == [*[1] * 10, 4, 4, 2, *[1] * 10]


def test_hot_pixel_ruins_frame_mode_only(package):
    movie = _movie(20)
    movie[:, 2, 40] = 60000
    by_frame = Predictor(package, normalization="frame", threshold=0.5)
    assert (by_frame.predict(movie, pixel_size_nm=100).localizations.x_nm > 4000).all()
    by_movie = Predictor(package, threshold=0.3).predict(movie, pixel_size_nm=100)
    found = by_movie.localizations.select(by_movie.localizations.x_nm < 4000)
    assert found.frame.tolist() == list(range(1, 21))


def test_threshold_counts_from_the_ideal_peak(package):
    movie = _movie(1)[0]
    found = Predictor(package).predict(movie, pixel_size_nm=100).localizations
    for factor, expected in ((0.999, 1), (1.001, 0)):
        predictor = Predictor(package, threshold=factor * found.response.max())
        result = predictor.predict(movie, pixel_size_nm=100)
        assert len(result.localizations) == expected
    assert any("no localizations" in warning for warning in result.warnings)


def test_warnings_name_what_is_wrong(package):
    movie = _movie(6)
    movie[1], movie[4] = 7, 0
    movie[2, 5, 5] = 65535
    result = Predictor(package).predict(movie, pixel_size_nm=160)
    assert len(result.localizations) >= 4
    text = "\n".join(result.warnings)
    assert "160 nm" in text
    assert "90 to 110 nm" in text
    assert "2 of 6 frames are constant" in text
    assert "1 of 6 frames hold saturated" in text
    assert result.report["warnings"] == result.warnings


def test_crowds_are_pointed_out_by_their_light_and_not_by_what_is_found(package):
    rng = np.random.default_rng(9)

    def movie(per_um2):
        frames = []
        for _ in range(6):
            place = rng.uniform(0, 64, (2, rng.poisson(per_um2 * 6.4**2)))
            light = gaussian_spots(*place, 1500.0, (64, 64), sigma_px=1.2)
            frames.append(rng.poisson(light + 10))
        return np.array(frames, np.uint16)

    model = Predictor(package)
    crowded = model.predict(movie(25.0), pixel_size_nm=100)
    (warning,) = [w for w in crowded.warnings if "emitters per frame" in w]
    assert "0.3 to 9" in warning
    assert "merged or missed" in warning
    assert crowded.report["conditions"]["overall"] == "outside"
    assert "density_per_um2" in crowded.report["conditions"]["retrain"]
    sparse = model.predict(movie(2.0), pixel_size_nm=100)
    assert sparse.warnings == []
    assert sparse.report["conditions"]["overall"] == "inside"


def test_constant_movie_works_and_warns(package):
    result = Predictor(package).predict(np.full((3, 20, 20), 9.0), pixel_size_nm=100)
    assert len(result.localizations) == 0
    assert not result.image.any()
    assert any("3 of 3 frames are constant" in w for w in result.warnings)


@pytest.mark.parametrize(
    ("source", "options", "message"),
    [
        (_movie(), {}, "--pixel-size-nm"),
        (np.ones((5, 7, 40)), {"pixel_size_nm": 100}, "7 x 40 px are smaller than"),
        (np.ones((2, 20, 20, 3)), {"pixel_size_nm": 100}, "RGB|channel"),
        (np.full((2, 20, 20), np.nan), {"pixel_size_nm": 100}, "NaN"),
        ("missing.tif", {"pixel_size_nm": 100}, "missing.tif"),
    ],
)
def test_bad_input_writes_nothing(package, tmp_path, source, options, message):
    with pytest.raises(BadInput, match=message) as caught:
        Predictor(package).predict_to_folder(source, tmp_path / "a" / "b", **options)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "torch"}, "auto, onnx or keras"),
        ({"engine": "keras"}, "--engine onnx"),
        ({"batch_size": 0}, "batch size"),
        ({"tile": -1}, "tile"),
        ({"threshold": 0}, "threshold"),
        ({"normalization": "stack"}, "normalization: .*'auto', 'frame' or 'movie'"),
        ({"frame_order": "angle-major"}, "no option of .* normalization, .*threshold"),
        ({"treshold": 0.2}, "no option 'treshold'; did you mean threshold"),
    ],
)
def test_bad_options(package, options, message):
    with pytest.raises(ZooError, match=message):
        Predictor(package, **options)


def test_existing_folder(package, tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    (out / "notes.txt").write_text("mine")
    (out / "image.ome.tif").write_text("of another package")
    with pytest.raises(BadInput, match="--overwrite"):
        Predictor(package).predict_to_folder(_movie(), out, pixel_size_nm=100)
    assert len(list(out.iterdir())) == 2
    Predictor(package).predict_to_folder(
        _movie(), out, pixel_size_nm=100, overwrite=True
    )
    assert sorted(file.name for file in out.iterdir()) == sorted([*FILES, "notes.txt"])
    assert (out / "notes.txt").read_text() == "mine"
    assert list(tmp_path.iterdir()) == [out]


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError(errno.ENOSPC, "full")])
@pytest.mark.parametrize("overwrite", [False, True])
def test_interruption_leaves_no_trace(package, tmp_path, error, overwrite):
    out = tmp_path / "new" / "out"
    if overwrite:
        Predictor(package).predict_to_folder(_movie(2), out, pixel_size_nm=100)
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}

    def stop(done, _):
        if done >= 2:
            raise error

    with pytest.raises(type(error) if isinstance(error, OSError) else error):
        Predictor(package, batch_size=1).predict_to_folder(
            _movie(), out, pixel_size_nm=100, overwrite=overwrite, progress=stop
        )
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before
    if not overwrite:
        assert list(tmp_path.iterdir()) == []


def test_failure_at_the_very_end_keeps_the_old_results(package, tmp_path, monkeypatch):
    out = tmp_path / "out"
    Predictor(package).predict_to_folder(_movie(2), out, pixel_size_nm=100)
    before = {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()}

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zoo.predict.predictor.write_preview", full)
    with pytest.raises(OSError, match="No space"):
        Predictor(package).predict_to_folder(
            _movie(), out, pixel_size_nm=100, overwrite=True
        )
    assert {f: f.read_bytes() for f in tmp_path.rglob("*") if f.is_file()} == before


def test_room_and_rights_are_checked_before_computing(package, tmp_path, monkeypatch):
    predictor = Predictor(package)
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(OSError, match="cannot be written"):
        predictor.predict_to_folder(_movie(), tmp_path / "file/out", pixel_size_nm=100)
    with pytest.raises(BadInput, match="is a file"):
        predictor.predict_to_folder(
            _movie(), tmp_path / "file", pixel_size_nm=100, overwrite=True
        )
    usage = shutil.disk_usage(tmp_path)._replace(free=1000)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: usage)
    with pytest.raises(OSError, match="need about 0 MB") as caught:
        predictor.predict_to_folder(_movie(), tmp_path / "out", pixel_size_nm=100)
    assert caught.value.errno == errno.ENOSPC
    assert "engine" not in vars(predictor)
    assert [f.name for f in tmp_path.iterdir()] == ["file"]


@pytest.mark.parametrize("order", ["bcyx", "byxc"])
def test_foreign_image_package(tmp_path, order):
    standard = {"id": "zero_mean_unit_variance", "kwargs": {"axes": ["y", "x"]}}
    folder = _package(
        tmp_path / "foreign",
        scale=2,
        channels=2,
        order=order,
        size={"min": 16, "step": 4},
        halo=8,
        zoo=False,
        before=[standard],
    )
    predictor = Predictor(folder)
    frames = np.random.default_rng(1).random((3, 2, 30, 33)).astype(np.float32)
    result = predictor.predict(frames)
    assert result.task == "image"
    assert (result.main.axes, result.image.shape) == ("tyx", (3, 60, 66))
    assert result.localizations is None
    one = frames[1].astype(float)
    one = (one - one.mean((1, 2), keepdims=True)) / one.std((1, 2), keepdims=True)
    fine = ndimage.zoom(one.mean(axis=0), 2, order=1, mode="nearest", grid_mode=True)
    t = np.exp(-((np.arange(9) - 4.0) ** 2) / 8)
    kernel = np.outer(t, t) / t.sum() ** 2
    expected = PEAK * ndimage.convolve(fine, kernel, mode="constant").clip(0)
    # 30 x 33 px are padded to 32 x 36 by mirroring, which the last pixels feel
    np.testing.assert_allclose(result.image[1, :54, :60], expected[:54, :60], atol=1e-3)
    tiled = Predictor(folder, tile=20).predict(frames).image
    np.testing.assert_allclose(tiled, result.image, atol=1e-5 * result.image.max())
    with pytest.raises(BadInput, match="threshold is no option of"):
        Predictor(folder, threshold=0.1)
    with pytest.raises(BadInput, match="scale_range"):
        Predictor(folder, normalization="movie").predict(frames)

    written = predictor.predict_to_folder(frames, tmp_path / "out", pixel_size_nm=50)
    names = sorted(file.name for file in (tmp_path / "out").iterdir())
    assert names == ["image.ome.tif", "preview.png", "report.json"]
    image = tifffile.imread(tmp_path / "out" / "image.ome.tif")
    np.testing.assert_array_equal(image, result.image)
    assert written.report["output"]["pixel_size_nm"] == 25


def test_image_package_without_pixel_size(tmp_path):
    folder = _package(tmp_path / "foreign", scale=2, zoo=False, size=16)
    frame = np.random.default_rng(1).random((16, 16)).astype(np.float32)
    Predictor(folder).predict_to_folder(frame, tmp_path / "out")
    assert tifffile.imread(tmp_path / "out" / "image.ome.tif").shape == (32, 32)
    assert Predictor(folder).predict(frame[:12]).image.shape == (24, 32)
    with pytest.raises(BadInput, match="7 x 16 px are smaller than the 8 x 8 px"):
        Predictor(folder).predict(frame[:7])
    larger = Predictor(folder).predict(np.pad(frame, 4))
    assert larger.report["options"]["tiles_per_frame"] == 4
    assert any("seams" in warning for warning in larger.warnings)


@pytest.mark.parametrize("tile", [None, 20])
def test_output_that_is_not_finite_is_refused(tmp_path, tile):
    folder = _package(
        tmp_path / "foreign",
        scale=2,
        zoo=False,
        before=(),
        size={"min": 16, "step": 4},
        halo=8,
    )
    frames = np.ones((5, 32, 32), np.float32)
    frames[3, 8, 8] = 3e38  # overflows in the network; clipping would hide it
    predictor = Predictor(folder, tile=tile, batch_size=2)
    message = r"output for frame 4 is NaN or infinite in \d(\.\d)? % of its pixels"
    with pytest.raises(BadPackage, match=message):
        predictor.predict_to_folder(frames, tmp_path / "out", pixel_size_nm=50)
    assert [f.name for f in tmp_path.iterdir()] == ["foreign"]


def test_postprocessing_that_is_not_finite_is_refused(tmp_path):
    folder = _package(tmp_path / "foreign", scale=2, zoo=False, before=(), size=16)
    description = yaml.safe_load((folder / "rdf.yaml").read_text())
    gain = {"id": "scale_linear", "kwargs": {"gain": 1e39}}
    description["outputs"][0]["postprocessing"] = [gain]
    (folder / "rdf.yaml").write_text(yaml.safe_dump(description))
    with pytest.raises(BadPackage, match="postprocessed output for frame 1 is NaN"):
        Predictor(folder).predict(np.ones((16, 16), np.float32))


def test_package_that_breaks_its_promise(tmp_path):
    folder = _package(tmp_path / "liar", scale=4)
    text = (folder / "rdf.yaml").read_text()
    (folder / "rdf.yaml").write_text(text.replace("scale: 4\n", "scale: 8\n"))
    with pytest.raises(BadPackage, match="promises"):
        Predictor(folder).predict(_movie(), pixel_size_nm=100)


def test_file_that_is_no_network(tmp_path):
    folder = _package(tmp_path / "broken")
    old = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()
    (folder / "model.onnx").write_bytes(b"\x3a\x00")  # without operations
    text = (folder / "rdf.yaml").read_text()
    new = hashlib.sha256(b"\x3a\x00").hexdigest()
    (folder / "rdf.yaml").write_text(text.replace(old, new))
    with pytest.raises(BadPackage, match="cannot be loaded by ONNX Runtime"):
        Predictor(folder).predict(_movie(), pixel_size_nm=100)


def test_nothing_heavy_is_imported(package, tmp_path):
    """`zoo predict` on a CPU starts fast: no framework, no pandas, no pyplot."""
    np.save(tmp_path / "movie.npy", _movie())
    code = (
        "import sys\n"
        "from zoo.predict.predictor import Predictor\n"
        "predictor = Predictor(sys.argv[1])\n"
        "light = ('matplotlib', 'onnxruntime', 'scipy')\n"
        "early = [name for name in light if name in sys.modules]\n"
        "predictor.predict_to_folder(sys.argv[2], sys.argv[3], pixel_size_nm=100)\n"
        "heavy = ('tensorflow', 'keras', 'jax', 'torch', 'pandas', 'skimage',\n"
        "         'bioimageio', 'scipy.stats', 'matplotlib.pyplot')\n"
        "print(early, [name for name in heavy if name in sys.modules])\n"
    )
    arguments = [package.folder, tmp_path / "movie.npy", tmp_path / "out"]
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[0] == "[] []"


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(tmp_path):
    """2,000 frames take at most a tenth more memory than 200.

    The output is only twice as fine, which is quick and makes the bound tight.
    """
    package = _package(tmp_path / "stand_in", scale=2)
    code = (
        "import sys\n"
        "from zoo.predict.predictor import Predictor\n"
        "result = Predictor(sys.argv[1], threshold=0.6).predict_to_folder(\n"
        "    sys.argv[2], sys.argv[3], pixel_size_nm=100)\n"
        "print(result.report['peak_memory_mib'])\n"
    )
    peaks = []
    noise = np.random.default_rng(3).poisson(100, (50, 128, 128)).astype(np.uint16)
    for frames in (200, 2000):
        movie = tmp_path / f"{frames}.tif"
        with tifffile.TiffWriter(movie) as writer:
            for i in range(frames):
                writer.write(noise[i % 50], contiguous=True)
        arguments = [package, movie, tmp_path / f"out{frames}"]
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(float(done.stdout))
    assert peaks[1] <= 1.1 * peaks[0]
