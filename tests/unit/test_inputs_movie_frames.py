"""Movies whose frames go through a network together with their neighbours in time."""

import json

import numpy as np
import onnx
import pytest
import tifffile
import yaml
from onnx import TensorProto, helper, numpy_helper

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.core.grid import Grid
from zoo.inputs.movie_frames import MIRRORED, MovieFrames, neighbours
from zoo.predict.options import split_options
from zoo.predict.predictor import Predictor
from zoo.recipes.pssr import PSSR_MOVIE
from zoo.tasks.image import ImageRestoration

FRAMES = tuple(f"frame{n}" for n in range(1, 6))
WEIGHTS = np.array([0.5, 0.25, 1.0, 0.125, 0.0625])
"""Of the stand-in's channels: no two are alike, so that their order shows."""


def _contract(channels=FRAMES):
    return Contract(
        grid=Grid.square(channels=channels),
        input=MovieFrames(),
        task=ImageRestoration(),
    )


def _open(source, contract=None, **given):
    contract = contract or _contract()
    options = split_options(contract, "a package", **given).input
    return contract.input.open(
        source, contract, name="a package", options=options, pixel_size_nm=200
    )


def _movie(*shape):
    """Return a movie of uint16 whose pixels are all different."""
    size = int(np.prod(shape))
    return np.random.default_rng(0).permutation(size).reshape(shape).astype(np.uint16)


def _read(recording, count=2):
    """Return all frames, read a few at a time, as (t, window, c, y, x)."""
    parts = [frames for _, frames in recording.chunks(count)]
    frames = np.concatenate(parts)
    apart = frames.reshape(*frames.shape[:3], len(recording.groups), len(FRAMES))
    return np.transpose(apart, (0, 4, 3, 1, 2))


def test_the_published_recipe_slides_over_time():
    assert PSSR_MOVIE.contract.input == MovieFrames()
    assert PSSR_MOVIE.contract.input.channel_word == "frames"


@pytest.mark.parametrize("length", [3, 4, 5, 6, 11])
def test_a_movie_of_any_length_has_as_many_windows(length):
    movie = _movie(length, 16, 12)
    recording = _open(movie)
    assert recording.frames == length
    assert recording.outer == (("t", length),)
    windows = _read(recording)[:, :, 0]
    np.testing.assert_array_equal(windows[:, 2], movie)
    mirrored = np.pad(movie, ((2, 2), (0, 0), (0, 0)), mode="reflect")
    for number in range(length):
        np.testing.assert_array_equal(windows[number], mirrored[number : number + 5])


def test_mirrors_repeat_the_noise_of_a_frame_less_than_repetition_would():
    for length in (4, 7):
        seen = neighbours(np.arange(length), (("t", length),), 5)
        times = (seen == seen[:, 2:3]).sum(axis=1)
        assert times.tolist() == [1, 2, *(1,) * (length - 4), 2, 1]


def test_channels_and_planes_are_movies_of_their_own(tmp_path):
    movie = _movie(4, 3, 2, 12, 16)
    path = tmp_path / "hyper.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TZCYX"})
    recording = _open(path)
    assert recording.outer == (("t", 4), ("z", 3))
    assert recording.groups == (slice(0, 5), slice(5, 10))
    windows = _read(recording, 5).reshape(4, 3, 5, 2, 12, 16)
    np.testing.assert_array_equal(windows[:, :, 2], movie)
    np.testing.assert_array_equal(windows[2, :, 0], movie[0])
    np.testing.assert_array_equal(windows[3, :, 4], movie[1])
    recording.close()


def test_a_part_of_a_movie_has_its_neighbours_outside_of_it():
    movie = _movie(9, 16, 16)
    whole, part = _open(movie), _open(movie, frames="4:6", roi="2:10,3:15")
    assert (part.frames, part.sizes) == (3, {"y": 8, "x": 12})
    expected = _read(whole)[3:6, ..., 2:10, 3:15]
    np.testing.assert_array_equal(_read(part), expected)
    assert part.report()["part"]["first_frame"] == 4
    assert part.origin.frame == 3


def test_as_many_channels_as_frames_are_the_frames_of_one_image(tmp_path):
    movie = _movie(2, 5, 12, 16)
    path = tmp_path / "groups.tif"
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "TCYX"})
    recording = _open(path)
    assert (recording.frames, recording.groups) == (2, (slice(0, 5),))
    ((_, frames),) = recording.chunks(4)
    np.testing.assert_array_equal(np.moveaxis(frames, -1, 1), movie)
    assert any("a movie has its frames along t" in w for w in recording.warnings())
    recording.close()
    single = _open(np.moveaxis(movie[:1], 1, -1))
    assert single.frames == 1
    assert single.warnings() == []


@pytest.mark.parametrize(
    ("movie", "what"),
    [
        (_movie(16, 16), "1 time point;"),
        (_movie(2, 16, 16), "2 time points;"),
    ],
)
def test_movies_too_short_for_a_mirror_image_are_refused(movie, what):
    with pytest.raises(BadInput) as caught:
        _open(movie)
    text = str(caught.value)
    assert what in text
    assert "needs a movie of 3 or more" in text
    assert "\n" not in text


def test_the_slices_of_a_movie_without_time_are_its_frames(tmp_path):
    path = tmp_path / "slices.tif"
    movie = _movie(7, 12, 16)
    tifffile.imwrite(path, movie, imagej=True, metadata={"axes": "ZYX"})
    recording = _open(path)
    assert recording.outer == (("t", 1), ("z", 7))
    windows = _read(recording)[:, :, 0]
    np.testing.assert_array_equal(windows[0], movie[[2, 1, 0, 1, 2]])
    np.testing.assert_array_equal(windows[4], movie[2:])
    (told,) = recording.warnings()
    assert told.startswith("the 7 planes along z were read as time points")
    recording.close()


def test_networks_of_an_even_number_have_no_middle():
    with pytest.raises(BadPackage, match="must be odd"):
        _open(_movie(4, 16, 16), _contract(FRAMES[:4]))


def test_what_is_wrong_with_a_frame_is_said_once():
    movie = _movie(8, 16, 16)
    movie[3] = 7
    movie[5, 0, 0] = np.iinfo(np.uint16).max
    recording = _open(movie)
    _read(recording)
    constant, saturated = recording.warnings()
    assert constant.startswith("1 of 8 frames are constant")
    assert saturated.startswith("1 of 8 frames hold saturated")


def test_a_movie_may_have_one_scale():
    contract = _contract().override(
        preprocessing=({"id": "scale_range", "kwargs": {"axes": ["y", "x"]}},)
    )
    movie = _movie(6, 16, 16)
    alone = _open(movie, contract)
    assert alone.scaled(alone.read(0, 1), 0) is None
    whole = _open(movie, contract, normalization="movie")
    ((_, frames),) = whole.chunks(6)
    scaled = whole.scaled(frames, 0)
    np.testing.assert_allclose(scaled[3, ..., 0], scaled[1, ..., 2])


@pytest.fixture(scope="module")
def package(tmp_path_factory):
    """Return a package whose network is a weighted sum of five frames."""
    folder = tmp_path_factory.mktemp("movie") / "tiny_movie"
    folder.mkdir()
    mix = numpy_helper.from_array(WEIGHTS.astype(np.float32).reshape(-1, 1), "mix")
    free = [None] * 4
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["movie", "mix"], ["image"])],
        "stand-in",
        [helper.make_tensor_value_info("movie", TensorProto.FLOAT, free)],
        [helper.make_tensor_value_info("image", TensorProto.FLOAT, free)],
        [mix],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
    onnx.save(model, folder / "model.onnx")

    def tensor(name, channels, size):
        space = [{"type": "space", "id": axis, "size": size(axis)} for axis in "yx"]
        channel = {"type": "channel", "channel_names": list(channels)}
        return {"id": name, "axes": [{"type": "batch"}, *space, channel]}

    grid = Grid.square(channels=FRAMES)
    target = tensor("image", ["clean"], lambda a: {"tensor_id": "movie", "axis_id": a})
    rdf = {
        "format_version": "0.5.10",
        "type": "model",
        "id": folder.name,
        "name": "Stand-in",
        "description": "Adds frames.",
        "inputs": [tensor("movie", FRAMES, lambda _: {"min": 8, "step": 1})],
        "outputs": [target],
        "weights": {"onnx": {"source": "model.onnx", "opset_version": 17}},
        "config": {
            "superres_zoo": {
                "version": 2,
                "contract": {
                    "grid": grid.model_dump(mode="json") | {"outputs": ["clean"]},
                    "input": {"kind": "movie_frames"},
                    "task": {"kind": "image"},
                },
            }
        },
    }
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    return folder


def _expected(movie):
    """Return what the stand-in makes of a movie (t, ...)."""
    around = [(2, 2), *((0, 0),) * (movie.ndim - 1)]
    mirrored = np.pad(movie.astype(float), around, mode="reflect")
    shifted = [mirrored[n : n + len(movie)] for n in range(5)]
    return np.tensordot(WEIGHTS, shifted, axes=1)


def test_the_result_is_a_movie_of_the_same_length(package, tmp_path):
    movie = _movie(7, 20, 24)
    tifffile.imwrite(
        tmp_path / "movie.tif", movie, imagej=True, metadata={"axes": "TYX"}
    )
    predictor = Predictor(package)
    predictor.predict_to_folder(
        tmp_path / "movie.tif", tmp_path / "out", pixel_size_nm=200
    )
    with tifffile.TiffFile(tmp_path / "out" / "image.ome.tif") as file:
        assert file.series[0].axes == "TYX"
        image = file.asarray()
    np.testing.assert_allclose(image, _expected(movie), rtol=1e-5)
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["frames"] == 7
    assert report["input"]["channels"] == 1
    assert report["input"]["channels_per_run"] == 5
    assert report["options"]["frames_at_once"] == 5
    assert report["options"]["beyond_the_ends"] == MIRRORED


def test_every_channel_of_a_movie_is_restored(package):
    movie = _movie(4, 24, 28, 2)
    result = Predictor(package).predict(movie, pixel_size_nm=200)
    assert result.main.axes == "tyxc"
    np.testing.assert_allclose(result.image, _expected(movie), rtol=1e-5)


def test_five_channels_give_one_image(package):
    frames = _movie(24, 28, 5)
    result = Predictor(package).predict(frames, pixel_size_nm=200)
    np.testing.assert_allclose(result.image, frames @ WEIGHTS, rtol=1e-5)
