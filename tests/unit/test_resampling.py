"""Recordings of another pixel size: to the trained pixel and back."""

import json

import numpy as np
import pytest
import tifffile
from scipy.ndimage import gaussian_filter

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.resampling import Resampling, resampled
from zoo.inputs.frames import Frames, to_trained_pixel
from zoo.inputs.raw_frames import RawFrames
from zoo.inputs.resampling import coarsest_nm, resampling
from zoo.io.resampled import ResampledStack
from zoo.io.stacks import open_stack
from zoo.predict.options import split_options
from zoo.tasks.density import Density
from zoo.tasks.image import ImageOptions, ImageRestoration

OPTICS = {"na": (1.2, 1.49), "wavelength_nm": (480.0, 680.0)}


def _contract(task=None, **training):
    return Contract(
        grid=Grid.square(scale=2),
        input=Frames(scaling="image", diffraction_limited=True),
        task=task or ImageRestoration(),
        training={"pixel_size_nm": (62.6, 62.6)} | training,
    )


def _image(shape=(80, 100), seed=0):
    rng = np.random.default_rng(seed)
    return 100 + 900 * gaussian_filter(rng.random(shape) ** 8, 2.5, mode="reflect")


def _open(contract, source, pixel_nm, **given):
    given = {"resample": True} | given
    options = split_options(contract, "a package", **given)
    return contract.input.open(
        source, contract, name="it", options=options.input, pixel_size_nm=pixel_nm
    )


@pytest.mark.parametrize("length", [50, 79, 111, 160])
def test_resampling_keeps_the_mean_and_places(length):
    image = _image()
    other = resampled(image, length, axis=0)
    assert other.shape == (length, 100)
    assert other.mean() == pytest.approx(image.mean(), rel=1e-3)
    place = np.arange(length) + 0.5
    before = (np.arange(80) + 0.5) @ (image - 100) / (image - 100).sum()
    after = place @ (other - 100) / (other - 100).sum() * 80 / length
    assert after == pytest.approx(before, abs=0.05)


@pytest.mark.parametrize("length", [56, 111, 200])
def test_what_is_sampled_finely_comes_back(length):
    image = _image()
    back = resampled(resampled(image, length, axis=1), 100, axis=1)
    assert np.abs(back - image).max() < 0.02 * np.ptp(image)


def test_frequencies_that_the_coarse_grid_cannot_hold_do_not_alias():
    fine = np.cos(2 * np.pi * 0.42 * np.arange(240))
    assert np.abs(resampled(fine, 120, axis=0)[12:-12]).max() < 0.05


@pytest.mark.parametrize(
    ("pixel_nm", "happens"),
    [(62.6, False), (60.0, False), (50.0, True), (87.0, True), (141.0, True),
     (150.0, False), (20.0, True), (None, False)],
)  # fmt: skip
def test_only_what_needs_it_and_allows_it_is_resampled(pixel_nm, happens):
    contract = _contract(**OPTICS)
    assert coarsest_nm(contract) == pytest.approx(141.67, abs=0.01)
    stack = open_stack(_image(), pixel_size_nm=pixel_nm)
    assert (resampling(stack, contract) is not None) == happens


def test_frames_reach_the_network_on_the_trained_pixel():
    recording = _open(_contract(), _image(), 87.0)
    assert recording.sizes == {"y": 111, "x": 139}
    assert recording.pixel_size_nm["x"] == pytest.approx(62.6, rel=0.01)
    ((_, frames),) = recording.chunks(5)
    assert frames.shape == (1, 111, 139, 1)
    report = recording.report()
    assert report["input"]["height"] == 80
    assert report["input"]["pixel_size_nm"] == 87.0
    assert report["resampling"]["from_pixel_size_nm"] == 87.0
    assert report["resampling"]["to_size_px"] == [111, 139]
    json.dumps(report, allow_nan=False)
    plain = _open(_contract(), _image(), 87.0, resample=False)
    assert plain.sizes == {"y": 80, "x": 100}
    assert "resampling" not in plain.report()


def test_single_images_are_resampled_when_asked_and_raw_frames_unless_told_not_to():
    assert _open(_contract(), _image(), 87.0, resample=None).resampling is None
    raw = _contract().model_copy(update={"input": RawFrames()})
    stack = open_stack(_image(), pixel_size_nm=87.0)
    assert to_trained_pixel(stack, raw, RawFrames.options())[1] is not None
    assert to_trained_pixel(stack, raw, RawFrames.options(resample=False))[1] is None


def test_positions_need_no_resampling():
    contract = _contract(Density(ideal_peak=1.0))
    assert _open(contract, _image(), 87.0).resampling is None


def test_saturated_and_constant_frames_stay_what_they_are():
    frames = np.round(np.stack([_image(), np.full((80, 100), 7.0)])).astype(np.uint16)
    frames[0, 40:43, 50:53] = 65535
    recording = _open(_contract(), frames, 87.0)
    chunks = list(recording.chunks(1))
    assert chunks[0][1].max() == 65535
    assert np.ptp(chunks[1][1]) == 0
    text = " ".join(recording.warnings())
    assert "1 of 2 frames are constant" in text
    assert "1 of 2 frames hold saturated" in text


def test_images_come_back_on_the_grid_of_the_file():
    contract = _contract()
    recording = _open(contract, _image(), 87.0)
    task = contract.task.start(recording, contract, ImageOptions(error_map=False))
    ((first, frames),) = recording.chunks(1)
    output = frames.repeat(2, axis=1).repeat(2, axis=2)
    (image,) = task.add(frames, output, first)
    assert image.array.shape == (1, 160, 200, 1)
    assert image.pixel_size_nm == {"y": 43.5, "x": 43.5}
    assert task.report()["output"] == {
        "scale": 2,
        "height": 160,
        "width": 200,
        "pixel_size_nm": 43.5,
    }
    truth = _image().repeat(2, axis=0).repeat(2, axis=1)
    inner = np.s_[4:-4, 4:-4]
    difference = image.array[0, ..., 0][inner] - truth[inner]
    assert np.abs(difference).mean() < 0.03 * np.ptp(truth)
    assert task.warnings() == []


def test_error_maps_come_back_too_and_volumes_of_channels():
    way = Resampling({"y": 8, "x": 6}, {"y": 12, "x": 9}, 90.0, 60.0)
    images = np.zeros((3, 24, 18, 2), np.float32)
    images[..., 1] = 5
    back = way.back(images, scale=2, axes="yxc")
    assert back.shape == (3, 16, 12, 2)
    np.testing.assert_allclose(back[..., 1], 5, rtol=1e-6)
    assert not back[..., 0].any()


def test_far_finer_pixels_are_resampled_with_a_warning():
    contract = _contract()
    recording = _open(contract, _image((200, 240)), 20.0)
    task = contract.task.start(recording, contract, ImageOptions())
    ((first, frames),) = recording.chunks(1)
    list(task.add(frames, frames.repeat(2, 1).repeat(2, 2), first))
    (warning,) = task.warnings()
    assert "20 nm" in warning
    assert "resampled to 62.6 nm" in warning
    assert "super-resolved" in task.report()["error_map"]["skipped"]


def test_a_stack_on_another_grid_closes_its_file(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, _image().astype(np.float32))
    stack = open_stack(path, pixel_size_nm=87.0)
    way = resampling(stack, _contract())
    other = ResampledStack(stack, way)
    assert other.read(0, 1).shape == (1, 111, 139, 1)
    assert (other.source, other.frames) == (str(path), 1)
    other.close()
