"""ANNA-PALM's losses: what they are for equal, unlike and missing images."""

import numpy as np
import pytest
from keras import ops
from scipy.ndimage import gaussian_filter

from zoo.core.random import generator
from zoo.losses_renderings import (
    RenderingSimilarity,
    WidefieldSimilarity,
    similarity_map,
)


def images(count=2, size=48):
    rng = generator(1)
    made = [gaussian_filter(rng.random((size, size)), 1.5) for _ in range(count)]
    stack = np.stack([(m - m.min()) / np.ptp(m) for m in made])
    return stack[..., None].astype(np.float32)


def value(loss, target, prediction):
    return np.asarray(ops.convert_to_numpy(loss(target, prediction)))


def test_equal_images_are_alike_everywhere_and_cost_nothing():
    truth = images()
    alike = np.asarray(ops.convert_to_numpy(similarity_map(truth, truth)))
    assert alike.shape == truth.shape
    np.testing.assert_allclose(alike, 1, atol=2e-3)
    assert value(RenderingSimilarity(), truth, truth).max() < 2e-3
    assert value(WidefieldSimilarity(), truth, truth).max() < 2e-3


def test_one_window_is_the_published_similarity():
    first, second = images()[:1], images()[1:]
    alike = np.asarray(
        ops.convert_to_numpy(similarity_map(first, second, sigmas_px=(1.5,)))
    )[0, 12:-12, 12:-12, 0]
    p, g = second[0, ..., 0].astype(float), first[0, ..., 0].astype(float)

    def local(x):
        return gaussian_filter(x, 1.5, radius=5, mode="constant")

    mp, mg = local(p), local(g)
    cov, var = local(p * g) - mp * mg, local(p * p + g * g) - mp**2 - mg**2
    expected = (2 * cov + 9e-4) / (var + 9e-4) * (2 * mp * mg + 1e-4)
    expected /= mp**2 + mg**2 + 1e-4
    expected = np.clip(expected, 0, 1)[12:-12, 12:-12]
    np.testing.assert_allclose(alike, expected, atol=2e-4)


def test_the_difference_counts_with_its_weight():
    dark = np.zeros((1, 40, 40, 1), np.float32)
    grey = np.full((1, 40, 40, 1), 0.25, np.float32)
    only = RenderingSimilarity(similarity=0.0)
    # the border does not know what lies behind it
    assert 0.12 < value(only, dark, grey)[0] < 0.25
    assert value(RenderingSimilarity(), dark, grey)[0] == pytest.approx(
        0.84 * value(RenderingSimilarity(similarity=1.0), dark, grey)[0]
        + 0.16 * value(only, dark, grey)[0],
        rel=1e-5,
    )


def test_a_missing_widefield_image_costs_nothing():
    target = np.concatenate([images(1), np.zeros((1, 48, 48, 1), np.float32)])
    costs = value(WidefieldSimilarity(), target, images()[::-1])
    assert costs[0] > 0.1
    assert costs[1] == 0
