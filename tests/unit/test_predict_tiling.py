"""`zoo.predict.tiling`: tiles cover the frame once and keep their distance."""

import itertools

import numpy as np
import pytest
from scipy import ndimage

from zoo.core.errors import BadInput
from zoo.predict.tiling import (
    cut_batches,
    join,
    padded_length,
    plan_spans,
    plan_tiles,
)


@pytest.mark.parametrize(
    ("length", "tile", "halo", "step"),
    [
        c
        for c in itertools.product(
            (1, 31, 32, 33, 64, 65, 200, 512), (32, 48), (0, 3, 10), (1, 4, 8)
        )
        if c[0] <= c[1] or (c[0] - c[1]) % c[3] == 0
    ],
)
def test_spans_keep_their_promises(length, tile, halo, step):
    spans = plan_spans(length, tile=tile, halo=halo, step=step)
    assert spans[0].start == spans[0].keep_start == 0
    assert spans[-1].stop == spans[-1].keep_stop == length
    assert {s.stop - s.start for s in spans} == {min(tile, length)}
    assert all(s.start % step == 0 for s in spans)
    for a, b in itertools.pairwise(spans):
        assert a.start < b.start
        assert a.keep_stop == b.keep_start
        assert a.stop - a.keep_stop >= halo
        assert b.keep_start - b.start >= halo


def test_no_more_tiles_than_needed():
    # 4 tiles of 128 with a stride of 120 cover 128 + 3 * 120 = 488 px
    assert len(plan_spans(488, tile=128, halo=4)) == 4
    assert len(plan_spans(489, tile=128, halo=4)) == 5
    assert len(plan_tiles((488, 100), tile=(128, 128), halo=(4, 4))) == 4


def test_short_tile_is_refused():
    with pytest.raises(BadInput, match=r"halo of 10 px .* not 20 px; use --tile 30"):
        plan_spans(64, tile=20, halo=10)
    assert len(plan_spans(20, tile=20, halo=10)) == 1
    with pytest.raises(ValueError, match="multiple of step 8"):
        plan_spans(67, tile=32, halo=2, step=8)


@pytest.mark.parametrize(
    ("shape", "tile", "halo"),
    [((50, 37), (16, 20), (2, 2)), ((9, 20, 31), (5, 20, 16), (1, 0, 3))],
)
def test_cut_and_join_undo_each_other(shape, tile, halo):
    rng = np.random.default_rng(1)
    frames = rng.random((2, *shape, 2), dtype=np.float32)
    tiles = plan_tiles(shape, tile=tile, halo=halo)
    crops = np.concatenate(list(cut_batches(frames, tiles, 3)))
    assert crops.shape == (2 * len(tiles), *tile, 2)
    ones = [1] * len(shape)
    joined = join(crops, tiles, shape, count=2, scales=ones)
    np.testing.assert_array_equal(joined, frames)
    scales = [2, 3, 4][: len(shape)]
    for axis, scale in enumerate(scales, start=1):
        crops, frames = crops.repeat(scale, axis), frames.repeat(scale, axis)
    joined = join(crops, tiles, shape, count=2, scales=scales)
    np.testing.assert_array_equal(joined, frames)


def test_planes_that_only_the_output_has_are_joined_whole():
    frames = np.random.default_rng(1).random((2, 30, 37, 1), dtype=np.float32)
    tiles = plan_tiles((30, 37), tile=(16, 20), halo=(2, 2))
    crops = np.concatenate(list(cut_batches(frames, tiles, 3)))
    planes = crops[:, None] * np.arange(1, 4, dtype=np.float32)[:, None, None, None]
    joined = join(planes, tiles, (30, 37), count=2, scales=(1, 1))
    assert joined.shape == (2, 3, 30, 37, 1)
    np.testing.assert_array_equal(joined[:, 2], 3 * frames)


@pytest.mark.parametrize(("halo", "equal"), [(3, True), (2, False)])
def test_tiled_filter_equals_whole_including_zero_padding(halo, equal):
    """A filter of radius 3 with zeros outside, like a "same" convolution."""

    def filtered(frames):
        return ndimage.convolve(frames, np.ones((1, 7, 7, 1)), mode="constant")

    frames = np.random.default_rng(2).random((3, 61, 90, 1))
    tiles = plan_tiles((61, 90), tile=(24, 24), halo=(halo, halo))
    crops = np.concatenate(list(cut_batches(frames, tiles, 99)))
    joined = join(filtered(crops), tiles, (61, 90), count=3, scales=(1, 1))
    assert np.allclose(joined, filtered(frames), atol=1e-5) == equal


@pytest.mark.parametrize(
    ("length", "minimum", "step", "padded"),
    [(64, 1, 1, 64), (65, 16, 8, 72), (64, 16, 8, 64), (10, 16, 8, 16)],
)
def test_padded_length(length, minimum, step, padded):
    assert padded_length(length, minimum=minimum, step=step) == padded
