"""`zoo.predict.reference`: pictures compared with their inputs, figures for reports."""

import json
import math

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.predict.contract import Contract
from zoo.predict.reference import Comparison, looks_super_resolved, why_no_error_map

ALL = (slice(0, 3),)


@pytest.fixture(scope="module")
def pair():
    """Three frames whose mean is the blurred picture, times 300, plus 50."""
    rng = np.random.default_rng(21)
    picture = gaussian_filter(rng.random((96, 80)) ** 12, 1.0)
    blurred = gaussian_filter(300 * picture + 50, 3.0, truncate=8)
    coarse = blurred.reshape(48, 2, 40, 2).mean((1, 3))
    stripes = np.array([0.5, 1.0, 1.5]) * coarse[..., None]
    return stripes[None].astype(np.float32), picture[None, ..., None].astype(np.float32)


def test_reference_is_the_mean_of_what_went_in_together(pair):
    frames, picture = pair
    comparison = Comparison(ALL)
    images, errors = comparison.add(frames, picture)
    assert images is picture
    assert errors.shape == picture.shape
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


def test_matched_pictures_have_the_light_of_their_input(pair):
    frames, picture = pair
    comparison = Comparison(ALL, match=True)
    images, errors = comparison.add(frames, picture)
    np.testing.assert_allclose(images, 300 * picture + 50, rtol=0.01)
    np.testing.assert_array_equal(errors, Comparison(ALL).add(frames, picture)[1])
    found = comparison.intensities()
    assert found["alpha"] == pytest.approx([300], rel=0.01)
    assert found["beta"] == pytest.approx([50], rel=0.01)


def test_channels_on_their_own_have_references_of_their_own(pair):
    frames, picture = pair
    alone = tuple(slice(c, c + 1) for c in range(3))
    comparison = Comparison(alone)
    comparison.add(frames, picture.repeat(3, axis=-1))
    alphas = comparison.figures[0, :, 3]
    np.testing.assert_allclose(alphas, [150, 300, 450], rtol=0.01)
    assert np.shape(comparison.intensities()["alpha"]) == (1, 3)
    rows = comparison.summary(None)["per_frame"]
    assert [row["channel"] for row in rows] == [1, 2, 3]
    assert rows[0]["sigma_nm"] is None


def test_one_flat_frame_leaves_the_means_alone(pair):
    frames, picture = pair
    comparison = Comparison(ALL, match=True)
    images, _ = comparison.add(
        np.concatenate([frames, np.full_like(frames, 9)]), picture.repeat(2, axis=0)
    )
    np.testing.assert_allclose(images[1], 9, atol=1e-4)
    found = comparison.summary(None)
    assert found["per_frame"][1]["rsp"] is None
    assert found["rsp"] == found["per_frame"][0]["rsp"]
    assert comparison.warnings() == []
    json.dumps([found, comparison.intensities()], allow_nan=False)


def test_opposites_are_pointed_out(pair):
    frames, picture = pair
    comparison = Comparison(ALL, match=True)
    images, _ = comparison.add(frames, 1 - picture)
    assert comparison.figures[0, 0, 0] < -0.9
    np.testing.assert_allclose(images, frames.mean(), rtol=1e-4)
    assert "1 of 1 pictures" in comparison.warnings()[0]


def test_reasons_for_no_error_map():
    trained = {"pixel_size_nm": [60.0, 70.0]}
    usual = Contract(task="image", scale=2, reference="mean", training=trained)
    assert why_no_error_map(usual, 62.0) is None
    assert why_no_error_map(usual, None) is None
    assert why_no_error_map(usual, 62.0, wanted=False) == "switched off"
    assert "already super-resolved" in str(why_no_error_map(usual, 31.0))
    foreign = Contract(task="image", scale=2)
    assert "diffraction-limited" in str(why_no_error_map(foreign, 62.0))
    assert not looks_super_resolved(foreign, 10.0)
    density = Contract(task="density", scale=8, training=trained)
    assert not looks_super_resolved(density, 10.0)
