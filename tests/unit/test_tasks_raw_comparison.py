"""Error maps of raw SIM frames as a prediction writes them."""

import json

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.inputs.raw_frames import RawFrames
from zoo.metrics.squirrel import error_map
from zoo.physics.illumination import Pattern, sim_images
from zoo.physics.optics import Optics, otf_grid
from zoo.physics.specimens import specimen
from zoo.predict.options import split_options
from zoo.simulate.sim_scenes import ideal_image
from zoo.tasks.image import ERROR_MAP, ImageRestoration
from zoo.tasks.raw_comparison import RAW_ERROR_MAP, RawComparison, raw_comparison

OPTICS = Optics(na=1.4, wavelength_nm=560.0, pixel_nm=62.6, blur_nm=30.0)
CONTRACT = Contract(
    grid=Grid.square(
        scale=2, size=96, overlap=32, channels=tuple(f"c{n}" for n in range(9))
    ),
    input=RawFrames(),
    task=ImageRestoration(),
    training={"pixel_size_nm": (62.6, 62.6)},
)


@pytest.fixture(scope="module")
def movie():
    """Two points of time (t, 9, y, x) uint16 and their ideal images (t, 2y, 2x, 1)."""
    rng = np.random.default_rng(3)
    steps = 2 * np.pi * np.arange(3) / 3
    pattern = Pattern(
        frequency_per_um=0.93 * OPTICS.cutoff_per_um,
        angles_rad=tuple((0.4 + np.pi * np.arange(3) / 3).tolist()),
        phases_rad=tuple(tuple((o + steps).tolist()) for o in (0.3, 2.1, 4.4)),
        modulations=(0.7,) * 3,
    )
    transfer = otf_grid(OPTICS, (192, 192), pixel_nm=31.3)
    frames, ideal = [], []
    for _ in range(2):
        sample = specimen(rng, "er", (192, 192), pixel_nm=31.3)
        light = sim_images(sample, pattern, transfer, pixel_nm=31.3, binning=2)
        frames.append(rng.poisson(300 * np.maximum(light / light.max(), 0) + 30))
        ideal.append(ideal_image(sample, OPTICS, pattern))
    truth = np.stack(ideal)[..., None] / np.max(ideal)
    return np.stack(frames).astype(np.uint16), truth.astype(np.float32)


def recording(frames, *, pixel_nm=62.6):
    return CONTRACT.input.open(
        frames.reshape(-1, *frames.shape[2:]),
        CONTRACT,
        name="sim",
        options=split_options(CONTRACT, "sim").input,
        pixel_size_nm=pixel_nm,
    )


def run(opened, output, **given):
    """Return the products of a prediction by their names, and its report."""
    options = split_options(CONTRACT, "sim", **given)
    running = CONTRACT.task.start(opened, CONTRACT, options.task)
    found = {}
    for first, chunk in opened.chunks(1):
        for product in running.add(chunk, output[first : first + 1], first):
            found.setdefault(product.name, []).append(product)
    return found, running.report()


def test_raw_frames_whose_pattern_is_known_are_compared(movie):
    frames, truth = movie
    false = truth.copy()
    false[1, 70:120, 70:120] = truth[1, 70:120, 70:120].mean()
    found, report = run(recording(frames), false)
    maps = found["error_map"]
    assert [m.description for m in maps] == [RAW_ERROR_MAP] * 2
    assert maps[0].array.shape == (1, 192, 192, 1)
    right, wrong = (m.array[0, 75:115, 75:115, 0].mean() for m in maps)
    assert wrong > 2 * right
    said = report["error_map"]
    assert said["compared_with"] == "raw frames"
    assert "measured illumination pattern" in said["meaning"]
    raw = said["raw_frames"]
    assert [row["frame"] for row in raw["per_frame"]] == [1, 2]
    first, second = (row["misfit"] for row in raw["per_frame"])
    assert second > 3 * first
    assert raw["misfit"] == pytest.approx(np.hypot(first, second) / 2**0.5, rel=1e-4)
    assert raw["noise"] > 0
    assert len(said["per_frame"]) == 2  # with the widefield image, as for all packages
    assert said["rsp"] > 0.8
    json.dumps(report, allow_nan=False)


def test_matched_intensities_leave_the_map_as_it_is(movie):
    frames, truth = movie
    opened = recording(frames[:1])
    plain, _ = run(opened, truth[:1])
    matched, report = run(opened, truth[:1], match_intensity=True)
    assert report["intensity"]["alpha"][0] > 10
    np.testing.assert_array_equal(
        matched["error_map"][0].array, plain["error_map"][0].array
    )


def test_without_a_pattern_the_widefield_image_is_compared(movie):
    frames, truth = movie
    rng = np.random.default_rng(1)
    copies = rng.poisson(np.repeat(frames[:1].mean(axis=1, keepdims=True), 9, axis=1))
    copies = copies.astype(np.uint16)
    found, report = run(recording(copies), truth[:1])
    (made,) = found["error_map"]
    assert made.description == ERROR_MAP
    like = error_map(copies[0].mean(axis=0), truth[0, ..., 0]).error
    np.testing.assert_allclose(made.array[0, ..., 0], like, rtol=1e-4, atol=1e-4)
    assert report["error_map"]["compared_with"] == "widefield"
    assert "raw_frames" not in report["error_map"]


def test_maps_come_back_on_the_grid_of_the_file(movie):
    frames, _ = movie
    opened = recording(frames[:1], pixel_nm=70.0)
    seen = [2 * n for n in opened.sizes.values()]
    assert seen != [192, 192]
    rng = np.random.default_rng(2)
    output = rng.random((1, *seen, 1)).astype(np.float32)
    found, report = run(opened, output)
    (made,) = found["error_map"]
    assert made.array.shape == (1, 192, 192, 1)
    assert made.array.min() >= 0
    assert report["error_map"]["compared_with"] == "raw frames"


def test_other_networks_and_switches(movie):
    frames, truth = movie
    opened = recording(frames[:1])
    found, report = run(opened, truth[:1], error_map=False)
    assert "error_map" not in found
    assert report["error_map"] == {"skipped": "switched off"}
    assert isinstance(raw_comparison(opened, CONTRACT), RawComparison)
    coarse = CONTRACT.override(grid=Grid.square(channels=CONTRACT.grid.channels))
    assert raw_comparison(opened, coarse) is None  # images as coarse as frames
