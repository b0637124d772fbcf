"""`zoo.tasks.image`: images compared with their inputs, metrics for reports."""

import json
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.tasks.comparison import Comparison
from zoo.tasks.conditions import looks_super_resolved, pixel_size_warnings
from zoo.tasks.image import ImageOptions, ImageRestoration


@pytest.fixture(scope="module")
def pair():
    """Three frames whose mean is the blurred image, times 300, plus 50."""
    rng = np.random.default_rng(21)
    image = gaussian_filter(rng.random((96, 80)) ** 12, 1.0)
    blurred = gaussian_filter(300 * image + 50, 3.0, truncate=8)
    coarse = blurred.reshape(48, 2, 40, 2).mean((1, 3))
    fringes = np.array([0.5, 1.0, 1.5]) * coarse[..., None]
    return fringes[None].astype(np.float32), image[None, ..., None].astype(np.float32)


def mean(frames):
    return frames.mean(axis=-1, keepdims=True, dtype=float)


def test_reference_is_the_mean_of_what_went_in_together(pair):
    frames, image = pair
    comparison = Comparison()
    images, errors = comparison.add(mean(frames), image)
    assert images is image
    assert errors.shape == image.shape
    assert errors.dtype == np.float32
    found = comparison.summary(20.0)
    # the coarse pixels add to the blur: sqrt(9 + 3 / 12)
    assert found["sigma_px"] == pytest.approx(math.sqrt(9.25), rel=0.02)
    assert found["sigma_nm"] == pytest.approx(20 * found["sigma_px"], rel=1e-5)
    assert found["alpha"] == pytest.approx(300, rel=0.01)
    assert found["beta"] == pytest.approx(50, rel=0.01)
    assert found["rsp"] > 0.999
    assert found["rse"] == pytest.approx(np.sqrt(np.mean(errors**2)), rel=1e-4)
    assert found["per_frame"] == [
        {"frame": 1} | {k: v for k, v in found.items() if k != "per_frame"}
    ]


def test_matched_images_have_the_light_of_their_input(pair):
    frames, image = pair
    comparison = Comparison(match=True)
    images, errors = comparison.add(mean(frames), image)
    np.testing.assert_allclose(images, 300 * image + 50, rtol=0.01)
    np.testing.assert_array_equal(errors, Comparison().add(mean(frames), image)[1])
    found = comparison.intensities()
    assert found["alpha"] == pytest.approx([300], rel=0.01)
    assert found["beta"] == pytest.approx([50], rel=0.01)


def test_channels_on_their_own_have_references_of_their_own(pair):
    frames, image = pair
    comparison = Comparison()
    comparison.add(frames, image.repeat(3, axis=-1))
    alphas = comparison.metrics[0, :, 3]
    np.testing.assert_allclose(alphas, [150, 300, 450], rtol=0.01)
    assert np.shape(comparison.intensities()["alpha"]) == (1, 3)
    rows = comparison.summary(None)["per_frame"]
    assert [row["channel"] for row in rows] == [1, 2, 3]
    assert rows[0]["sigma_nm"] is None


def test_one_flat_frame_leaves_the_means_alone(pair):
    frames, image = pair
    comparison = Comparison(match=True)
    images, _ = comparison.add(
        mean(np.concatenate([frames, np.full_like(frames, 9)])), image.repeat(2, axis=0)
    )
    np.testing.assert_allclose(images[1], 9, atol=1e-4)
    found = comparison.summary(None)
    assert found["per_frame"][1]["rsp"] is None
    assert found["rsp"] == found["per_frame"][0]["rsp"]
    assert comparison.warnings() == []
    json.dumps([found, comparison.intensities()], allow_nan=False)


def test_opposites_are_pointed_out(pair):
    frames, image = pair
    comparison = Comparison(match=True)
    images, _ = comparison.add(mean(frames), 1 - image)
    assert comparison.metrics[0, 0, 0] < -0.9
    np.testing.assert_allclose(images, frames.mean(), rtol=1e-4)
    assert "1 of 1 images" in comparison.warnings()[0]


class _Recording:
    """A recording of (t, [z,] y, x, c) in memory, as tasks see it."""

    source = "array"
    channel_names = ()
    resampling = None

    def __init__(self, frames, *, pixel_nm=None, limited=False, groups=None, z_nm=None):
        self.array = frames
        self.frames = len(frames)
        self.outer = (("t", len(frames)),)
        self.sizes = dict(
            zip("zyx"[5 - frames.ndim :], frames.shape[1:-1], strict=True)
        )
        self.groups = groups or (slice(0, frames.shape[-1]),)
        self.pixel_size_nm = {} if pixel_nm is None else {"y": pixel_nm, "x": pixel_nm}
        self.pixel_size_nm |= {} if z_nm is None else {"z": z_nm}
        self._limited = limited

    def reference(self, frames):
        if not self._limited:
            return None
        return np.stack([frames[..., g].mean(-1) for g in self.groups], axis=-1)


def _contract(scale=2, **changes):
    return Contract(
        grid=Grid.square(scale=scale),
        input=Frames(diffraction_limited=True),
        task=ImageRestoration(),
        training={"pixel_size_nm": (60.0, 70.0)},
    ).override(**changes)


def _skipped(contract, *, options=None, limited=True, pixel_nm=62.0, ndim=4):
    recording = _Recording(
        np.zeros((1, *(8,) * (ndim - 2), 1)), pixel_nm=pixel_nm, limited=limited
    )
    running = contract.task.start(recording, contract, options or ImageOptions())
    return running.report().get("error_map", {"skipped": None})["skipped"]


def test_reasons_for_no_error_map():
    usual = _contract()
    recording = _Recording(np.zeros((1, 8, 8, 1)), pixel_nm=31.0, limited=True)
    assert looks_super_resolved(usual, 31.0)
    assert not looks_super_resolved(usual.override(training={}), 10.0)
    (warning,) = pixel_size_warnings(recording, usual, "mind", images=True)
    assert "already super-resolved" in warning
    assert pixel_size_warnings(recording, usual, "mind")[0].endswith("70 nm; mind")
    off = ImageOptions(error_map=False)
    assert _skipped(usual, options=off) == "switched off"
    assert "already super-resolved" in _skipped(usual, pixel_nm=31.0)
    assert "diffraction-limited" in _skipped(usual, limited=False)
    axes = {"z": Axis(scale=2), "y": Axis(), "x": Axis()}
    grid = Grid(input_axes="bzyxc", output_axes="bzyxc", axes=axes)
    volumes = usual.override(grid=grid)
    assert "volumes are not compared" in _skipped(volumes, ndim=5)
    assert volumes.task.products(grid) == "2x finer volume"
    with pytest.raises(BadInput, match="leave --match-intensity out"):
        _skipped(volumes, options=ImageOptions(match_intensity=True), ndim=5)


def test_volumes_and_channels_are_handed_on_with_their_axes():
    axes = dict.fromkeys("zyx", Axis(scale=2))
    grid = Grid(
        input_axes="bzyxc", output_axes="bzyxc", axes=axes, outputs=("red", "green")
    )
    contract = _contract(grid=grid)
    recording = _Recording(np.ones((3, 4, 8, 8, 1)), pixel_nm=62.0, z_nm=300.0)
    running = contract.task.start(recording, contract, ImageOptions())
    output = np.random.default_rng(0).random((3, 8, 16, 16, 2), dtype=np.float32)
    (image,) = running.add(recording.array, output, 0)
    assert (image.name, image.axes, image.outer) == ("volume", "zyxc", (("t", 3),))
    assert image.pixel_size_nm == {"z": 150.0, "y": 31.0, "x": 31.0}
    assert image.channel_names == ("red", "green")
    assert list(running.finish()) == []
    before, after = running.preview()
    assert (before.title, before.image.shape) == ("input, frame 1 of 3", (8, 8))
    np.testing.assert_allclose(after.image, output[0].mean(-1).max(0))
