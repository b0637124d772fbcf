"""Image packages: raw frames, hyperstacks, error maps, intensities, through the zoo.

The networks are stand-ins made by hand: a weighted sum of the channels on a grid twice
as fine.  One takes nine raw frames, the other one image.
"""

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
from matplotlib import image as png
from onnx import TensorProto, helper, numpy_helper
from scipy import ndimage

from zoo import cli
from zoo.core.errors import BadInput, BadPackage
from zoo.io.stacks import open_stack
from zoo.predict.predictor import Predictor
from zoo.predict.writing import FolderWriter

RAW_KIND = {"kind": "raw_frames"}
RAW = [f"angle{a}_phase{p}" for a in (1, 2, 3) for p in (1, 2, 3)]
FILES = ["error_map.ome.tif", "image.ome.tif", "preview.png", "report.json"]
WEIGHTS = np.arange(1.0, 10) / 45
MIN_MAX = {
    "id": "scale_range",
    "kwargs": {
        "axes": ["y", "x", "channel"],
        "min_percentile": 0.0,
        "max_percentile": 100.0,
    },
}


def _network(path, weights):
    """Write ``enlarge(sum of weighted channels)`` as an ONNX graph."""
    constants = {
        "mix": np.asarray(weights, np.float32).reshape(-1, 1),
        "scales": np.array([1, 2, 2, 1], np.float32),
    }
    nodes = [
        helper.make_node("MatMul", ["raw", "mix"], ["mixed"]),
        helper.make_node("Resize", ["mixed", "", "scales"], ["image"], mode="linear"),
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


def _package(folder, names, *, weights=WEIGHTS, kind=None, task=None):
    folder.mkdir(parents=True)
    _network(folder / "model.onnx", weights)
    digest = hashlib.sha256((folder / "model.onnx").read_bytes()).hexdigest()

    def tensor(name, channels, scale, size):
        space = [
            {"type": "space", "id": axis, "size": size(axis), "scale": scale}
            for axis in "yx"
        ]
        channel = {"type": "channel", "channel_names": channels}
        return {"id": name, "axes": [{"type": "batch"}, *space, channel]}

    source = tensor("raw", list(names), 4.0, lambda _: {"min": 16, "step": 1})
    target = tensor(
        "image", ["structure"], 2.0, lambda a: {"tensor_id": "raw", "axis_id": a}
    )
    if kind is None:
        kind = {"kind": "frames", "scaling": "image", "diffraction_limited": True}
        if len(names) == 9:
            kind = {"kind": "raw_frames"}
    axis = {"scale": 2, "halo": 2, "minimum": 16}
    contract = {
        "grid": {
            "axes": {"y": axis, "x": axis},
            "channels": list(names),
            "outputs": ["structure"],
        },
        "input": kind,
        "task": task or {"kind": "image"},
        "training": {"pixel_size_nm": [62.6, 62.6]},
    }
    rdf = {
        "format_version": "0.5.10",
        "type": "model",
        "id": folder.name,
        "name": "Stand-in",
        "description": "Enlarges.",
        "inputs": [source | {"preprocessing": [MIN_MAX]}],
        "outputs": [target],
        "weights": {
            "onnx": {"source": "model.onnx", "sha256": digest, "opset_version": 17}
        },
        "config": {"superres_zoo": {"version": 2, "contract": contract}},
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def sim(tmp_path_factory):
    return _package(tmp_path_factory.mktemp("a") / "tiny_sim", RAW)


@pytest.fixture(scope="module")
def widefield(tmp_path_factory):
    folder = tmp_path_factory.mktemp("b") / "tiny_widefield"
    return _package(folder, ["widefield"], weights=[1.0])


def _scene(size=40, seed=3):
    """Return a smooth image of blobs, between 0 and 1."""
    rng = np.random.default_rng(seed)
    smooth = ndimage.gaussian_filter(rng.random((size, size + 4)) ** 20, 1.5)
    return smooth / smooth.max()


def _raw(groups=1, seed=3):
    """Return raw frames (t * 9, y, x), the phases of an angle in a row."""
    scene = _scene(seed=seed)
    y, x = np.mgrid[: scene.shape[0], : scene.shape[1]]
    frames = []
    for angle in range(3):
        direction = np.pi * angle / 3 + 0.3
        along = y * np.sin(direction) + x * np.cos(direction)
        for phase in range(3):
            fringes = 1 + 0.8 * np.cos(2 * np.pi * (0.21 * along + phase / 3))
            frames.append(100 + 2000 * scene * fringes)
    return np.tile(np.array(frames), (groups, 1, 1)).round().astype(np.uint16)


def _swapped(raw):
    """Return raw frames with the angles of a phase in a row."""
    return raw.reshape(-1, 3, 3, *raw.shape[1:]).swapaxes(1, 2).reshape(raw.shape)


def _series(frames=4):
    """Return images (t, y, x) of a sample that moves and bleaches."""
    scene = 100 + 2000 * _scene()
    fade = 0.9 ** np.arange(frames)[:, None, None]
    moved = np.stack([np.roll(scene, n, axis=1) for n in range(frames)])
    return (fade * moved).round().astype(np.uint16)


def _two_colours(frames=3):
    """Return a hyperstack (t, 2, y, x) whose channels differ a hundredfold."""
    return np.stack([_series(frames), 60 + _series(frames)[::-1] // 100], axis=1)


def test_raw_frames_are_read_nine_by_nine(sim, tmp_path):
    tifffile.imwrite(tmp_path / "raw.tif", _raw(3))
    result = Predictor(sim).predict_to_folder(
        tmp_path / "raw.tif", tmp_path / "out", pixel_size_nm=62.6
    )
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FILES
    for name in FILES[:2]:
        with tifffile.TiffFile(tmp_path / "out" / name) as tiff:
            assert tiff.series[0].axes == "TYX"
            assert tiff.series[0].shape == (3, 80, 88)
            assert 'PhysicalSizeX="0.0313"' in tiff.ome_metadata
            assert 'Name="structure"' in tiff.ome_metadata
            assert "phase" not in tiff.ome_metadata
    with open_stack(tmp_path / "out" / "image.ome.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(31.3)
    assert result.image is None  # a series of them is in the file only
    assert result.pixel_size_nm == pytest.approx(31.3)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["frames"] == 3
    assert report["input"]["channels"] == 9
    assert report["options"]["frame_order"] == "angle-major"
    assert report["options"]["normalization"] == "movie"
    assert report["options"]["match_intensity"] is False
    errors = report["error_map"]
    assert [row["frame"] for row in errors["per_frame"]] == [1, 2, 3]
    for name in ("rsp", "rse"):
        rows = [row[name] for row in errors["per_frame"]]
        assert errors[name] == pytest.approx(np.mean(rows), rel=1e-5)
    assert errors["sigma_nm"] == pytest.approx(31.3 * errors["sigma_px"], rel=1e-4)


def test_orders_of_raw_frames(sim):
    right = Predictor(sim).predict(_raw(2), pixel_size_nm=62.6)
    given = Predictor(sim, frame_order="phase-major")
    swapped = given.predict(_swapped(_raw(2)), pixel_size_nm=62.6)
    np.testing.assert_array_equal(swapped.image, right.image)
    assert swapped.report["options"]["frame_order"] == "phase-major"
    found = Predictor(sim).predict(_swapped(_raw(2)), pixel_size_nm=62.6)
    np.testing.assert_array_equal(found.image, right.image)
    assert found.report["options"]["frame_order"] == "phase-major"
    assert any("were put into that order" in text for text in found.warnings)
    given = Predictor(sim, frame_order="angle-major")
    wrong = given.predict(_swapped(_raw(2)), pixel_size_nm=62.6)
    assert np.abs(wrong.image - right.image).max() > 0.05
    # neither order of the package changes what a recording is understood as
    assert right.image.shape == (2, 80, 88)


def test_packages_may_want_the_other_order(tmp_path, sim):
    other = _package(tmp_path / "other", RAW, kind=RAW_KIND | {"order": "phase-major"})
    as_it_is = Predictor(sim, frame_order="angle-major")
    expected = as_it_is.predict(_swapped(_raw()), pixel_size_nm=62.6).image
    # the same weights, on frames that it is handed in its own order
    result = Predictor(other, frame_order="angle-major").predict(
        _raw(), pixel_size_nm=62.6
    )
    np.testing.assert_array_equal(result.image, expected)
    odd = _package(tmp_path / "odd", RAW, kind=RAW_KIND | {"order": "random"})
    with pytest.raises(BadPackage, match="'angle-major' or 'phase-major'"):
        Predictor(odd)
    five = _package(tmp_path / "five", RAW, kind=RAW_KIND | {"phases": 5})
    with pytest.raises(BadPackage, match="takes 15 raw frames and its network 9"):
        Predictor(five).predict(_raw(), pixel_size_nm=62.6)


def test_what_looks_wrong_with_the_order_is_told(sim, monkeypatch):
    asked = []

    def judge(frames, order):
        asked.append((frames.shape, order))
        return "turn it round"

    monkeypatch.setattr("zoo.inputs.sim.recording.order_warning", judge)
    predictor = Predictor(sim, frame_order="phase-major")
    result = predictor.predict(_raw(2), pixel_size_nm=62.6)
    assert "turn it round" in result.warnings
    assert asked == [((2, 40, 44, 9), "phase-major")]


def test_hyperstacks_go_channel_by_channel(widefield, tmp_path):
    movie = _two_colours()
    path = tmp_path / "colours.ome.tif"
    tifffile.imwrite(
        path,
        movie,
        metadata={
            "axes": "TCYX",
            "Channel": {"Name": ["DAPI", "actin"]},
            "PhysicalSizeX": 0.0626,
            "PhysicalSizeXUnit": "µm",
            "PhysicalSizeY": 0.0626,
            "PhysicalSizeYUnit": "µm",
        },
    )
    predictor = Predictor(widefield)
    result = predictor.predict(path)
    assert (result.main.axes, result.image.shape) == ("tyxc", (3, 80, 88, 2))
    assert result.warnings == []
    for channel in (0, 1):
        alone = predictor.predict(movie[:, channel], pixel_size_nm=62.6)
        np.testing.assert_array_equal(result.image[..., channel], alone.image)
        np.testing.assert_array_equal(result.error_map[..., channel], alone.error_map)
        low = result.report["options"]["movie_low"][channel]
        assert low == alone.report["options"]["movie_low"]
    rows = result.report["error_map"]["per_frame"]
    assert [(row["frame"], row["channel"]) for row in rows[:3]] == [
        (1, 1),
        (1, 2),
        (2, 1),
    ]

    out = tmp_path / "out"
    predictor.predict_to_folder(path, out)
    for name in FILES[:2]:
        with tifffile.TiffFile(out / name) as tiff:
            assert tiff.series[0].axes == "TCYX"
            assert 'Name="DAPI"' in tiff.ome_metadata
            assert 'Name="actin"' in tiff.ome_metadata
    written = tifffile.imread(out / "image.ome.tif")
    np.testing.assert_array_equal(written, np.moveaxis(result.image, -1, 1))


def test_a_series_does_not_flicker_and_a_hot_pixel_does_not_darken(widefield):
    series = _series(4)
    predictor = Predictor(widefield)
    clean = predictor.predict(series, pixel_size_nm=62.6).image
    # bleaching stays visible, as it is: every frame has the same scale
    np.testing.assert_allclose(
        clean.max(axis=(1, 2)) / clean[0].max(), 0.9 ** np.arange(4), atol=0.03
    )
    hot = series.copy()
    hot[2, 5, 5] = 65535
    other = predictor.predict(hot, pixel_size_nm=62.6).image
    far = np.s_[:, 20:]
    np.testing.assert_allclose(other[far], clean[far], atol=0.01)
    by_frame = Predictor(widefield, normalization="frame")
    assert by_frame.predict(hot, pixel_size_nm=62.6).image[2, 20:].max() < 0.05
    # also a single image
    single = predictor.predict(hot[2], pixel_size_nm=62.6)
    assert single.report["options"]["normalization"] == "movie"
    assert single.image[20:].max() > 0.6


def test_intensities_are_those_of_the_input(widefield, sim):
    series = _series(2)
    plain = Predictor(widefield).predict(series, pixel_size_nm=62.6)
    assert plain.image.max() < 1.3
    matched = Predictor(widefield, match_intensity=True)
    result = matched.predict(series, pixel_size_nm=62.6)
    fine = ndimage.zoom(
        series.astype(float), (1, 2, 2), order=1, mode="grid-mirror", grid_mode=True
    )
    np.testing.assert_allclose(result.image, fine, atol=60)
    options = result.report["options"]
    assert options["match_intensity"] is True
    found = result.report["intensity"]
    for n in (0, 1):
        again = found["alpha"][n] * plain.image[n] + found["beta"][n]
        np.testing.assert_allclose(result.image[n], again, rtol=1e-4)
    span = options["movie_high"] - options["movie_low"]
    assert found["alpha"] == pytest.approx([span, span], rel=0.05)
    np.testing.assert_array_equal(result.error_map, plain.error_map)

    # without a map the figures of the match are still there
    bare = Predictor(sim, match_intensity=True, error_map=False)
    result = bare.predict(_raw(), pixel_size_nm=62.6)
    assert result.error_map is None
    assert result.report["error_map"] == {"skipped": "switched off"}
    assert len(result.report["intensity"]["alpha"]) == 1
    widefield_mean = _raw().mean(axis=0).mean()
    assert result.image.mean() == pytest.approx(widefield_mean, rel=0.01)


def test_channels_are_matched_on_their_own(widefield, tmp_path):
    movie = _two_colours(2)
    tifffile.imwrite(tmp_path / "c.tif", movie, imagej=True, metadata={"axes": "TCYX"})
    result = Predictor(widefield, match_intensity=True).predict(
        tmp_path / "c.tif", pixel_size_nm=62.6
    )
    np.testing.assert_allclose(
        result.image.mean(axis=(1, 2)), movie.mean(axis=(2, 3)), rtol=0.02
    )
    assert np.shape(result.report["intensity"]["alpha"]) == (2, 2)


def test_error_map_shows_what_a_network_leaves_out(tmp_path):
    """A image that is the opposite of its input has nothing in common with it."""
    liar = _package(tmp_path / "liar", ["widefield"], weights=[-1.0])
    predictor = Predictor(liar, match_intensity=True)
    result = predictor.predict(_series(3), pixel_size_nm=62.6)
    assert all(r["rsp"] < -0.9 for r in result.report["error_map"]["per_frame"])
    assert any("3 of 3 images have nothing in common" in w for w in result.warnings)
    # no negative of the sample: the mean is the best that is not one
    expected = np.broadcast_to(
        _series(3).mean(axis=(1, 2), keepdims=True), result.image.shape
    )
    np.testing.assert_allclose(result.image, expected, rtol=1e-3)


def test_flat_images_have_no_correlation(widefield, tmp_path):
    flat = np.full((2, 20, 20), 100, np.uint16)
    result = Predictor(widefield).predict_to_folder(
        flat, tmp_path / "out", pixel_size_nm=62.6
    )
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["error_map"]["rsp"] is None
    assert report["error_map"]["rse"] == pytest.approx(0, abs=1e-9)
    assert any("2 of 2 frames are constant" in w for w in result.warnings)


def test_a_missing_exposure_is_noticed(sim):
    raw = _raw(2)
    raw[4] = 0
    warnings = Predictor(sim).predict(raw, pixel_size_nm=62.6).warnings
    assert any("1 of 2 frames have a channel that is constant" in w for w in warnings)


@pytest.mark.parametrize(
    ("size_nm", "words", "reason"),
    [
        (62.6, (), None),
        (60.0, (), None),
        (100.0, ("100 nm", "62.6 nm", "train for this"), None),
        (160.0, ("160 nm", "62.6 nm", "train for this"), None),
        (31.3, ("31.3 nm", "62.6 nm", "already super-resolved"), "super-resolved"),
        (None, ("no pixel size", "62.6 nm", "--pixel-size-nm"), None),
    ],
)
def test_pixel_sizes(widefield, size_nm, words, reason):
    result = Predictor(widefield).predict(_series(1), pixel_size_nm=size_nm)
    text = "\n".join(result.warnings)
    assert len(result.warnings) == bool(words)
    for word in words:
        assert word in text
    errors = result.report["error_map"]
    if reason is None:
        assert result.error_map.shape == result.image.shape == (80, 88)
        assert (errors["sigma_nm"] is None) == (size_nm is None)
    else:
        assert result.error_map is None
        assert reason in errors["skipped"]


def test_only_what_is_a_reference_is_compared(tmp_path):
    unknown = _package(
        tmp_path / "u", ["holes"], weights=[1.0], kind={"kind": "frames"}
    )
    result = Predictor(unknown).predict(_series(2), pixel_size_nm=62.6)
    assert result.error_map is None
    assert "diffraction-limited" in result.report["error_map"]["skipped"]
    # neither a reference nor raw frames: the declared processing stays
    assert result.report["options"]["normalization"] == "frame"
    with pytest.raises(BadInput, match="leave --match-intensity out"):
        Predictor(unknown, match_intensity=True).predict(_series(2))


def test_room_counts_channels_and_the_tiff(widefield, tmp_path, monkeypatch):
    tifffile.imwrite(
        tmp_path / "c.tif", _two_colours(3), imagej=True, metadata={"axes": "TCYX"}
    )
    needed = 2 * 3 * 2 * 80 * 88 * 4
    predictor = Predictor(widefield, error_map=False)
    usage = shutil.disk_usage(tmp_path)
    for free, enough in ((needed - 1, False), (needed, True)):
        less = usage._replace(free=free)
        monkeypatch.setattr(shutil, "disk_usage", lambda _, less=less: less)
        monkeypatch.setattr(FolderWriter, "finish", _stop)
        with pytest.raises(KeyError if enough else OSError):
            predictor.predict_to_folder(tmp_path / "c.tif", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def _stop(*_):
    raise KeyError


def test_results_of_other_options_are_removed(widefield, tmp_path):
    out = tmp_path / "out"
    Predictor(widefield).predict_to_folder(_series(1), out, pixel_size_nm=62.6)
    Predictor(widefield, error_map=False).predict_to_folder(
        _series(1), out, pixel_size_nm=62.6, overwrite=True
    )
    names = sorted(file.name for file in out.iterdir())
    assert names == FILES[1:]
    # three images side by side, now two
    height, width, _ = png.imread(out / "preview.png").shape
    assert 1.9 < width / height < 2.3


def test_tiles_change_nothing(sim):
    whole = Predictor(sim).predict(_raw(2), pixel_size_nm=62.6)
    tiled = Predictor(sim, tile=24, batch_size=2).predict(_raw(2), pixel_size_nm=62.6)
    assert tiled.report["options"]["tiles_per_frame"] > 1
    np.testing.assert_allclose(tiled.image, whole.image, atol=1e-5)
    np.testing.assert_allclose(tiled.error_map, whole.error_map, atol=0.1)


@pytest.fixture
def refused(capsys, tmp_path):
    """Return a function that runs a command which must fail and leave no trace."""

    def listing():
        return {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}

    def call(*words):
        before = listing()
        with pytest.raises(SystemExit) as stop:
            cli.main([str(word) for word in words])
        out, err = capsys.readouterr()
        assert stop.value.code == 1
        assert out == ""
        assert err.startswith("zoo: ")
        assert err.count("\n") == 1
        assert "Traceback" not in err
        assert listing() == before
        return err

    return call


def _colour(path):
    tifffile.imwrite(path, np.zeros((32, 32, 3), np.uint8), photometric="rgb")


def _holes(path):
    raw = _raw(2).astype(np.float32)
    raw[13, 4, 4] = np.nan
    tifffile.imwrite(path, raw)


@pytest.mark.parametrize(
    ("write", "message"),
    [
        (lambda path: tifffile.imwrite(path, _raw()[:8]), "multiple of 9"),
        (lambda path: tifffile.imwrite(path, _raw(2)[:10]), "multiple of 9"),
        (_colour, "RGB"),
        (_holes, "NaN"),
        (lambda path: path.write_text("no image"), "not a TIFF"),
        (lambda path: tifffile.imwrite(path, _raw()[:, :4]), "4 x 44 px"),
    ],
)
def test_bad_recordings_for_raw_frames(refused, sim, tmp_path, write, message):
    write(tmp_path / "raw.tif")
    err = refused("predict", sim, tmp_path / "raw.tif", "-o", tmp_path / "out")
    assert message in err
    assert "raw.tif" in err or "px" in err


def test_colour_images_are_no_hyperstacks(refused, widefield, tmp_path):
    _colour(tmp_path / "rgb.tif")
    err = refused("predict", widefield, tmp_path / "rgb.tif", "-o", tmp_path / "out")
    assert "colour (RGB)" in err


def test_bad_options(refused, sim, widefield, tmp_path):
    tifffile.imwrite(tmp_path / "raw.tif", _raw())
    words = ("predict", sim, tmp_path / "raw.tif", "-o", tmp_path / "out")
    with pytest.raises(BadInput, match="'angle-major' or 'phase-major', not 'random'"):
        Predictor(sim, frame_order="random")
    assert "threshold is no option of" in refused(*words, "--threshold", "0.2")
    single = ("predict", widefield, tmp_path / "raw.tif", "-o", tmp_path / "out")
    err = refused(*single, "--frame-order", "angle-major")
    assert "frame_order is no option of" in err
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "image.ome.tif").write_text("precious", encoding="utf-8")
    assert "--overwrite" in refused(*words)


def test_packages_without_intensities_to_match(refused, tmp_path):
    density = _package(
        tmp_path / "density",
        ["movie"],
        weights=[1.0],
        kind={"kind": "frames", "scaling": "spots"},
        task={"kind": "density"},
    )
    unknown = _package(
        tmp_path / "u", ["holes"], weights=[1.0], kind={"kind": "frames"}
    )
    tifffile.imwrite(tmp_path / "movie.tif", _series(), photometric="minisblack")
    for package, message in (
        (density, "match_intensity is no option of"),
        (unknown, "leave --match-intensity out"),
    ):
        err = refused(
            "predict",
            package,
            tmp_path / "movie.tif",
            *("-o", tmp_path / "out", "--pixel-size-nm", "100", "--match-intensity"),
        )
        assert message in err


def test_options_of_the_command_line_arrive(sim, tmp_path, capsys):
    tifffile.imwrite(tmp_path / "raw.tif", _swapped(_raw()))
    words = ["predict", sim, tmp_path / "raw.tif", "-o", tmp_path / "out"]
    words += ["--pixel-size-nm", "62.6", "--frame-order", "phase-major"]
    with pytest.raises(SystemExit) as stop:
        cli.main([*map(str, words), "--match-intensity", "--no-error-map"])
    assert stop.value.code in (None, 0)
    assert "image.ome.tif" in capsys.readouterr().out
    options = json.loads((tmp_path / "out" / "report.json").read_text())["options"]
    assert options["frame_order"] == "phase-major"
    assert options["match_intensity"] is True
    assert sorted(f.name for f in (tmp_path / "out").iterdir()) == FILES[1:]


@pytest.mark.slow
def test_memory_does_not_grow_with_the_recording(widefield, tmp_path):
    """A thousand images and error maps take at most a tenth more memory than 100."""
    code = (
        "import sys\n"
        "from zoo.predict.predictor import Predictor\n"
        "result = Predictor(sys.argv[1]).predict_to_folder(\n"
        "    sys.argv[2], sys.argv[3], pixel_size_nm=62.6)\n"
        "print(result.report['peak_memory_mib'])\n"
    )
    peaks = []
    noise = np.random.default_rng(3).poisson(100, (50, 96, 96)).astype(np.uint16)
    for frames in (100, 1000):
        np.save(tmp_path / f"{frames}.npy", np.tile(noise, (frames // 50, 1, 1)))
        arguments = [widefield, tmp_path / f"{frames}.npy", tmp_path / f"out{frames}"]
        done = subprocess.run(
            [sys.executable, "-c", code, *map(str, arguments)],
            capture_output=True,
            text=True,
            check=True,
        )
        peaks.append(float(done.stdout))
    assert peaks[1] <= 1.1 * peaks[0]
