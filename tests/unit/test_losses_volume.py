"""The loss of volumes, against direct convolution, and the frames it is learnt from."""

import keras
import numpy as np
import pytest
from keras import ops
from scipy.ndimage import convolve

from zoo.losses import SpikesInVolume

SHAPE = (6, 14, 13)


def value(loss: SpikesInVolume, rows: np.ndarray, volume: np.ndarray) -> np.ndarray:
    return np.asarray(ops.convert_to_numpy(loss(rows, volume)))


def rows_of(places: list[tuple[int, int, int]], count: int = 4) -> np.ndarray:
    """Return targets of voxels, filled up with rows that count nothing."""
    rows = np.full((1, count, 4), -1.0, np.float32)
    rows[..., 3] = 0.0
    for index, place in enumerate(places):
        rows[0, index, :3] = (np.array(place) + 0.5) / SHAPE
        rows[0, index, 3] = 1.0
    return rows


def reference(
    places: list[tuple[int, int, int]], volume: np.ndarray, *, sigma: float, edge: int
) -> float:
    """Compute the loss of the paper with full arrays."""
    truth = np.zeros(SHAPE)
    for place in places:
        truth[place] += 1
    offsets = np.arange(-(edge // 2), edge // 2 + 1)
    line = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = line[:, None, None] * line[:, None] * line
    blurred = convolve(volume - 800 * truth, kernel, mode="constant")
    half = edge // 2
    fit = np.mean(blurred[:, half:-half, half:-half] ** 2)
    shared, spikes = np.sum(volume / 800 * truth), np.sum(truth**2)
    return fit + 1 - (2 * shared + 1) / (shared + spikes + 1)


@pytest.mark.parametrize(("sigma", "edge"), [(1.0, 7), (1.5, 5)])
def test_it_is_the_loss_of_the_paper(sigma, edge):
    places = [(1, 6, 7), (4, 5, 5), (4, 5, 5)]
    volume = np.random.default_rng(1).uniform(0, 800, SHAPE).astype(np.float32)
    loss = SpikesInVolume(sigma_px=sigma, kernel_px=edge)
    expected = reference(places, volume.astype(float), sigma=sigma, edge=edge)
    found = value(loss, rows_of(places), volume[None, ..., None])
    np.testing.assert_allclose(found, [expected], rtol=1e-4)


def test_ideal_spikes_cost_nothing_and_less_than_none():
    places = [(2, 7, 5), (3, 5, 8)]
    volume = np.zeros(SHAPE, np.float32)
    for place in places:
        volume[place] = 800
    loss = SpikesInVolume()
    ideal = value(loss, rows_of(places), volume[None, ..., None])
    nothing = value(loss, rows_of(places), 0 * volume[None, ..., None])
    np.testing.assert_allclose(ideal, 0, atol=1e-5)
    assert nothing[0] > 1


@pytest.mark.parametrize("side", [(0, 0), (0, -1), (-1, 0), (-1, -1)])
def test_voxels_of_the_border_count_where_the_frame_ends(side):
    volume = np.zeros((1, *SHAPE, 1), np.float32)
    volume[0, 3, side[0], side[1]] = 800
    inner = np.zeros_like(volume)
    inner[0, 3, 7, 6] = 800
    none = rows_of([])
    cropped, whole = SpikesInVolume(), SpikesInVolume(whole=True)
    assert value(cropped, none, volume)[0] < 1e-3 * value(cropped, none, inner)[0]
    assert value(whole, none, volume)[0] > 0.1 * value(whole, none, inner)[0]
    place = tuple(n % size for n, size in zip((3, *side), SHAPE, strict=True))
    np.testing.assert_allclose(value(whole, rows_of([place]), volume), 0, atol=1e-5)


def test_frames_without_emitters_cost_what_is_predicted():
    nothing = np.zeros((1, *SHAPE, 1), np.float32)
    assert value(SpikesInVolume(), rows_of([]), nothing)[0] == 0
    assert value(SpikesInVolume(), rows_of([]), nothing + 1)[0] > 0


def test_samples_do_not_mix_and_reduced_precision_is_accepted():
    rows = np.concatenate([rows_of([(1, 5, 5)]), rows_of([(2, 6, 6), (3, 8, 8)])])
    volume = np.random.default_rng(2).uniform(0, 9, (2, *SHAPE, 1)).astype(np.float32)
    loss = SpikesInVolume()
    together = value(loss, rows, volume)
    np.testing.assert_allclose(together[1:], value(loss, rows[1:], volume[1:]))
    half = loss(rows, ops.cast(ops.convert_to_tensor(volume), "bfloat16"))
    assert keras.backend.standardize_dtype(half.dtype) == "float32"
    np.testing.assert_allclose(ops.convert_to_numpy(half), together, rtol=2e-2)
