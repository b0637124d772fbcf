"""Spike maps, drawn emitters and the scale of a training frame."""

import numpy as np
import pytest
from scipy.special import erf

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.simulate.pairs import Scene, as_pair, display_range, render, spike_map, within


def emitters(x_nm, y_nm, **more) -> Localizations:
    return Localizations(
        x_nm=np.asarray(x_nm, float), y_nm=np.asarray(y_nm, float), **more
    )


def occupied(spikes: np.ndarray) -> list[list[int]]:
    return np.argwhere(spikes).tolist()


@pytest.mark.parametrize(
    ("x_nm", "y_nm", "pixel"),
    [
        (0.0, 0.0, [0, 0]),
        (12.499, 0.0, [0, 0]),
        (12.5, 0.0, [0, 1]),
        (0.0, 12.5, [1, 0]),
        (6.25, 18.75, [1, 0]),
        (99.99, 50.0, [4, 7]),
        (100.0, 50.0, [4, 8]),
        (299.999, 199.999, [15, 23]),
    ],
)
def test_an_emitter_marks_the_fine_pixel_that_contains_it(x_nm, y_nm, pixel):
    spikes = spike_map(emitters([x_nm], [y_nm]), (2, 3), scale=8, pixel_size_nm=100.0)
    assert spikes.shape == (16, 24)
    assert spikes.dtype == np.float32
    assert occupied(spikes) == [pixel]
    assert spikes.max() == 1.0


@pytest.mark.parametrize(
    ("x_nm", "y_nm"),
    [
        (-0.001, 50.0),
        (50.0, -0.001),
        (300.0, 50.0),
        (50.0, 200.0),
        (-12.5, -12.5),
        (312.5, 50.0),
    ],
)
def test_emitters_outside_mark_nothing(x_nm, y_nm):
    # negative indices must not wrap around to the other border
    spikes = spike_map(emitters([x_nm], [y_nm]), (2, 3), scale=8, pixel_size_nm=100.0)
    assert spikes.sum() == 0


def test_coincident_emitters_mark_one_pixel_once():
    table = emitters([51.0, 51.0, 55.0, 150.0], [20.0, 20.0, 24.0, 20.0])
    spikes = spike_map(table, (1, 2), scale=8, pixel_size_nm=100.0)
    assert occupied(spikes) == [[1, 4], [1, 12]]
    assert spikes.max() == 1.0


def test_no_emitters_give_an_empty_map():
    spikes = spike_map(Localizations.empty(), (3, 2), scale=4, pixel_size_nm=100.0)
    assert spikes.shape == (12, 8)
    assert not spikes.any()


@pytest.mark.parametrize(
    ("scale", "pixel_size_nm"), [(8, 100.0), (4, 107.0), (1, 65.0), (8, 97.3), (3, 160)]
)
def test_the_map_equals_a_plain_loop(scale, pixel_size_nm):
    rng = np.random.default_rng(3)
    x_nm, y_nm = rng.uniform(-2 * pixel_size_nm, 9 * pixel_size_nm, (2, 200))
    fine_nm = pixel_size_nm / scale
    expected = set()
    for x, y in zip(x_nm, y_nm, strict=True):
        row, column = int(np.floor(y / fine_nm)), int(np.floor(x / fine_nm))
        if 0 <= row < 5 * scale and 0 <= column < 7 * scale:
            expected.add((row, column))
    spikes = spike_map(
        emitters(x_nm, y_nm), (5, 7), scale=scale, pixel_size_nm=pixel_size_nm
    )
    assert {tuple(pixel) for pixel in occupied(spikes)} == expected
    assert spikes.sum() == len(expected)


def test_the_centre_of_a_fine_pixel_is_an_unbiased_position():
    rng = np.random.default_rng(5)
    errors = []
    for x_nm, y_nm in rng.uniform(0, 400.0, (2000, 2)):
        spikes = spike_map(emitters([x_nm], [y_nm]), (4, 4), scale=8, pixel_size_nm=100)
        ((row, column),) = occupied(spikes)
        errors.append(((column + 0.5) * 12.5 - x_nm, (row + 0.5) * 12.5 - y_nm))
    # uniform over a fine pixel of 12.5 nm; half a pixel of bias would be 6.25
    assert np.abs(np.mean(errors, axis=0)).max() < 4 * 12.5 / np.sqrt(12 * 2000)
    assert np.abs(errors).max() <= 6.25


@pytest.mark.parametrize(
    ("x_nm", "y_nm", "inside"),
    [
        (0.0, 0.0, True),
        (299.9, 199.9, True),
        (300.0, 0.0, False),
        (0.0, 200.0, False),
        (-0.1, 0.0, False),
        (0.0, -0.1, False),
        (250.0, 250.0, False),
    ],
)
def test_a_field_includes_its_first_border_only(x_nm, y_nm, inside):
    assert within(emitters([x_nm], [y_nm]), 200.0, 300.0).tolist() == [inside]


def test_one_emitter_is_the_integral_of_a_gaussian_over_every_pixel():
    table = emitters(
        [1237.0], [411.0], photons=np.array([2250.0]), sigma_nm=np.array([110.0])
    )
    image = render(table, (12, 20), pixel_size_nm=100.0)

    def shares(position_nm, pixels):
        edges = 100.0 * np.arange(pixels + 1)
        return np.diff(erf((edges - position_nm) / (110.0 * np.sqrt(2)))) / 2

    expected = 2250.0 * np.outer(shares(411.0, 12), shares(1237.0, 20))
    np.testing.assert_allclose(image, expected, rtol=1e-12, atol=1e-12)
    assert np.unravel_index(image.argmax(), image.shape) == (4, 12)
    # the centroid, at pixel centres, is the position
    columns = 100.0 * (np.arange(20) + 0.5)
    assert image.sum(axis=0) @ columns / image.sum() == pytest.approx(1237.0, abs=0.1)


def test_an_emitter_on_the_border_gives_half_of_its_photons():
    table = emitters(
        [0.0], [1000.0], photons=np.array([1000.0]), sigma_nm=np.array([120.0])
    )
    image = render(table, (20, 20), pixel_size_nm=100.0)
    assert image.sum() == pytest.approx(500.0, rel=1e-6)


def test_emitters_add_up_whatever_their_width():
    x_nm, y_nm = np.array([400.0, 1010.0]), np.array([700.0, 730.0])
    photons, sigma = np.array([300.0, 5000.0]), np.array([90.0, 140.0])
    both = render(
        emitters(x_nm, y_nm, photons=photons, sigma_nm=sigma),
        (16, 16),
        pixel_size_nm=100.0,
    )
    apart = [
        render(
            emitters(x_nm[[i]], y_nm[[i]], photons=photons[[i]], sigma_nm=sigma[[i]]),
            (16, 16),
            pixel_size_nm=100.0,
        )
        for i in range(2)
    ]
    np.testing.assert_allclose(both, sum(apart), rtol=1e-12)


@pytest.mark.parametrize("missing", ["photons", "sigma_nm"])
def test_emitters_without_brightness_or_width_are_not_drawn(missing):
    table = emitters([1.0], [1.0], photons=np.ones(1), sigma_nm=np.ones(1))
    with pytest.raises(ValueError, match="photons and sigma_nm"):
        render(table.with_columns(**{missing: None}), (4, 4), pixel_size_nm=100.0)


def frame_of_spots(seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x_nm, y_nm = rng.uniform(200, 2400, (2, 12))
    table = emitters(
        x_nm, y_nm, photons=np.full(12, 2000.0), sigma_nm=np.full(12, 110.0)
    )
    expected = render(table, (26, 26), pixel_size_nm=100.0) + 20
    return (rng.poisson(expected) + 100).astype(np.uint16)


def ranges(counts: np.ndarray, *, empty: bool, draws: int = 400) -> np.ndarray:
    return np.array(
        [display_range(counts, generator(9, i), empty=empty) for i in range(draws)]
    )


@pytest.mark.parametrize("empty", [False, True])
def test_half_of_the_frames_use_their_own_extremes(empty):
    counts = frame_of_spots()
    drawn = ranges(counts, empty=empty)
    own = (drawn == [counts.min(), counts.max()]).all(axis=1)
    assert abs(own.mean() - 0.5) < 4 * 0.5 / np.sqrt(len(drawn))


@pytest.mark.parametrize("empty", [False, True])
def test_the_other_half_stays_within_stated_limits(empty):
    from scipy.ndimage import median_filter

    counts = frame_of_spots()
    drawn = ranges(counts, empty=empty)
    other = drawn[~(drawn == [counts.min(), counts.max()]).all(axis=1)]
    smooth = median_filter(counts, 3, mode="nearest").astype(float)
    gap = smooth.min() - counts.min()
    assert other[:, 0].min() >= smooth.min() - 0.5 * gap
    assert other[:, 0].max() <= smooth.min() + 0.2 * gap
    factor = (other[:, 1] - other[:, 0]) / (1.5 * (smooth.max() - other[:, 0]))
    most = 15.0 if empty else 4.0
    assert factor.min() >= 0.7 - 1e-9
    assert factor.max() <= most + 1e-9
    # log-uniform: the mean logarithm lies in the middle
    middle = (np.log(0.7) + np.log(most)) / 2
    spread = (np.log(most) - np.log(0.7)) / np.sqrt(12 * len(factor))
    assert abs(np.log(factor).mean() - middle) < 4 * spread


def test_a_hot_pixel_does_not_widen_the_range_of_a_recording():
    counts = frame_of_spots()
    hot = counts.copy()
    hot[20, 5] = 60_000
    clean, spoilt = ranges(counts, empty=False), ranges(hot, empty=False)
    own = spoilt[:, 1] == 60_000
    assert 0.4 < own.mean() < 0.6
    np.testing.assert_allclose(spoilt[~own], clean[~own], rtol=0.05)


@pytest.mark.parametrize("empty", [False, True])
@pytest.mark.parametrize("value", [0, 100, 65_535])
def test_a_constant_frame_has_a_range_of_at_least_one_count(value, empty):
    drawn = ranges(np.full((8, 8), value, np.uint16), empty=empty, draws=50)
    assert (drawn[:, 1] - drawn[:, 0] >= 1).all()
    assert (drawn[:, 0] == value).all()


def test_counts_do_not_wrap_around():
    counts = np.array([[0, 65_535], [65_535, 0]], np.uint16).repeat(8, 0).repeat(8, 1)
    drawn = ranges(counts, empty=False, draws=50)
    assert (drawn[:, 1] > drawn[:, 0]).all()
    assert drawn[:, 0].max() == 0


def test_a_pair_is_a_scaled_frame_and_its_spikes():
    table = emitters([1300.0, 55.0, -20.0], [700.0, 2599.0, 700.0])
    counts = frame_of_spots()
    for seed in range(20):
        frame, spikes = as_pair(
            Scene(counts, table), generator(seed), scale=8, pixel_size_nm=100.0
        )
        assert frame.shape == (26, 26, 1)
        assert spikes.shape == (208, 208, 1)
        assert frame.dtype == spikes.dtype == np.float32
        assert occupied(spikes[..., 0]) == [[56, 104], [207, 4]]
        low, high = display_range(counts, generator(seed), empty=False)
        scaled = (counts.astype(float) - low) / (high - low)
        expected = np.clip(scaled, -0.5, 3.0)
        np.testing.assert_allclose(frame[..., 0], expected, atol=1e-6)


def test_a_hot_pixel_is_clipped_in_a_pair():
    counts = np.full((16, 16), 100, np.uint16)
    counts[4:7, 4:7] = 200
    counts[12, 12], counts[12, 3] = 60_000, 0
    frames = [
        as_pair(
            Scene(counts, emitters([550.0], [550.0])),
            generator(seed),
            scale=8,
            pixel_size_nm=100.0,
        )[0]
        for seed in range(40)
    ]
    assert max(frame.max() for frame in frames) == 3.0
    assert min(frame.min() for frame in frames) == -0.5
