"""`zoo.inputs.scaling`: one robust scale for a recording."""

import numpy as np
import pytest
from scipy import ndimage

from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.inputs.scaling import (
    Scale,
    image_scales,
    median_filter_3x3,
    spot_scales,
)
from zoo.io.stacks import open_stack
from zoo.simulate.frames import DensityFrames
from zoo.simulate.pairs import display_range


def _spots(recording):
    (scale,) = spot_scales(recording, (slice(0, 1),))
    return scale


def _movie(frames=60, *, rng=None):
    """Background 100, in every frame one spot that peaks at 500."""
    rng = rng or np.random.default_rng(5)
    y, x = np.mgrid[:24, :24]
    movie = np.full((frames, 24, 24), 100.0, np.float32)
    for frame in movie:
        cy, cx = rng.integers(5, 19, 2)
        frame += 400 * np.exp(-((y - cy) ** 2 + (x - cx) ** 2) / (2 * 1.5**2))
    return movie


def test_median_filter_equals_scipy():
    frame = np.random.default_rng(4).random((31, 17))
    np.testing.assert_array_equal(
        median_filter_3x3(frame), ndimage.median_filter(frame, 3, mode="nearest")
    )


def test_scale_spans_background_to_brightest_spots():
    scale = _spots(open_stack(_movie()))
    assert scale.low == pytest.approx(100, abs=0.5)
    # the median of nine at the peak of a sampled Gaussian: a direct neighbour's value
    assert scale.high == pytest.approx(100 + 1.5 * 400 * np.exp(-1 / 4.5), abs=2)


def test_hot_pixel_does_not_move_it():
    movie = _movie()
    before = _spots(open_stack(movie))
    movie[:, 3, 3] = 60000
    movie[:, 20, 4] = -9000
    after = _spots(open_stack(movie))
    assert after.low == pytest.approx(before.low, abs=1)
    assert after.high == pytest.approx(before.high, rel=0.01)
    assert after.apply(movie).max() == 3.0
    assert after.apply(movie).min() == -0.5


def test_empty_frames_stay_empty():
    rng = np.random.default_rng(6)
    movie = _movie(rng=rng)
    movie[::3] = 100
    movie += rng.normal(0, 3, movie.shape)
    scale = _spots(open_stack(movie))
    scaled = scale.apply(movie)
    assert scaled[0].max() < 0.1
    assert scaled[1].max() > 0.6


def test_constant_recording_becomes_zero():
    frames = np.full((3, 8, 8), 7.0)
    scaled = _spots(open_stack(frames)).apply(frames)
    assert scaled.dtype == np.float32
    assert not scaled.any()


def test_long_recording_is_sampled_evenly():
    class Counting:
        frames = 1000
        asked: tuple[int, ...] = ()

        def read(self, start, stop):
            self.asked += (start,)
            return np.full((stop - start, 8, 8, 1), float(start), np.float32)

    recording = Counting()
    scale = _spots(recording)
    assert len(recording.asked) == 100
    assert {0, 999} <= set(recording.asked)
    assert scale.low == pytest.approx(499.5, abs=1)
    assert scale.high == pytest.approx(499.5 + 1.5 * (979 - 499.5), abs=4)


def test_nothing_to_scale():
    class Empty:
        frames = 0

        def read(self, start, stop):
            raise AssertionError(f"frames {start} to {stop} do not exist")

    with pytest.raises(BadInput, match="no frames"):
        _spots(Empty())


def test_scale_is_linear_in_between():
    values = np.array([50.0, 100.0, 150.0, 200.0])
    assert Scale(100, 200).apply(values).tolist() == [-0.5, 0.0, 0.5, 1.0]


def _images(rng):
    """Two channels (t, y, x, 2): smooth blobs over noise; the second is ten times."""
    blobs = ndimage.gaussian_filter(rng.random((64, 64)) ** 30, 2)
    images = 100 + 800 * blobs / blobs.max() + rng.normal(0, 4, (5, 64, 64))
    return np.stack([images, 10 * images], axis=-1)


def test_images_reach_from_below_the_noise_to_above_the_peak():
    images = _images(np.random.default_rng(7))
    each = open_stack(images, channels=2)
    first, second = image_scales(each, groups=(slice(0, 1), slice(1, 2)))
    scaled = first.apply(images[..., 0])
    # a peak of 2 px sigma loses a tenth, noise adds a little: 0.9 to 1.05
    assert 0.85 < scaled.max() < 1.05
    assert -0.02 < scaled.min() < 0.02
    assert second.low == pytest.approx(10 * first.low, rel=1e-4)
    assert second.high == pytest.approx(10 * first.high, rel=1e-4)
    (joint,) = image_scales(each, groups=(slice(0, 2),))
    assert joint.high == pytest.approx(second.high, rel=0.1)
    assert joint.low < 100


def test_images_with_hot_and_dead_pixels_keep_their_scale():
    images = _images(np.random.default_rng(8))[..., :1]
    group = (slice(0, 1),)
    (before,) = image_scales(open_stack(images), groups=group)
    images[:, 3, 3] = 60000
    images[:, 40, 9] = 0
    images[2] = 100  # an exposure without light
    (after,) = image_scales(open_stack(images), groups=group)
    assert after.low == pytest.approx(before.low, abs=3)
    assert after.high == pytest.approx(before.high, rel=0.01)
    assert after.apply(images).max() == 1.25
    assert after.apply(images).min() == np.float32(-0.1)


def test_images_without_contrast_become_zero():
    flat = np.full((2, 16, 16), 7.0)
    flat[0, 5, 5] = 1000
    (scale,) = image_scales(open_stack(flat), groups=(slice(0, 1),))
    assert not scale.apply(flat).any()


class _End:
    """A generator whose draws all lie at one end of their range."""

    def __init__(self, last):
        self._last = last

    def random(self):
        return 1.0

    def uniform(self, low, high):
        return high if self._last else low


@pytest.mark.parametrize("background", [5.0, 100.0])
@pytest.mark.parametrize("density", [0.5, 6.0])
def test_scales_of_movies_lie_within_those_that_training_draws(density, background):
    """As `zoo.simulate.pairs.display_range` draws them for every frame of a movie.

    Frames of a source have conditions of their own; here, they share those that a
    recording shares.
    """
    source = DensityFrames(
        field_px=64,
        density_per_um2=(density, density),
        background_photons=(background, background),
        photons=(1500.0, 3000.0),
        filament_share=0.0,
        empty_share=0.0,
    )
    movie = source.record(generator(31), frames=30).counts
    scale = _spots(open_stack(movie))
    contrast = scale.high - scale.low
    lows, highs = [], []
    for frame in movie:
        bounds = np.array([display_range(frame, _End(e), empty=False) for e in (0, 1)])
        (upper, least), (lower, most) = bounds
        lows.append((lower - scale.low, upper - scale.low))
        highs.append((least - upper < contrast, contrast < most - lower))
    assert np.all(highs)
    low, high = np.median(lows, axis=0)
    assert low <= 0 <= high
    assert np.abs(np.mean(lows, axis=1)).max() < 0.25 * contrast


def test_noise_alone_is_not_stretched_to_the_range_of_a_structure():
    rng = np.random.default_rng(17)
    blank = 200 + 10 * rng.normal(size=(1, 128, 128, 1))
    (scale,) = image_scales(open_stack(blank[..., 0]), [slice(0, 1)])
    assert scale.high - scale.low > 14 * 10
    spot = blank.copy()
    spot[0, 60:64, 60:64] += 150  # rises above the noise: scaled by what is there
    (bright,) = image_scales(open_stack(spot[..., 0]), [slice(0, 1)])
    assert bright.high - 200 == pytest.approx(1.2 * 150, rel=0.25)
    flat = np.full((1, 32, 32, 1), 7.0)
    (none,) = image_scales(open_stack(flat[..., 0]), [slice(0, 1)])
    assert none.high == none.low
