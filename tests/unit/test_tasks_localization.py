"""`zoo.tasks.localization.localize`: maxima, centres of gravity, ties and borders."""

import numpy as np
import pytest
from scipy import ndimage

from zoo.tasks.localization import localize

SETTINGS = {"pixel_size_nm": 12.5, "threshold": 0.2, "ideal_peak": 50.0}


def _map(*values, shape=(9, 9)):
    density = np.zeros((1, *shape), np.float32)
    for y, x, value in values:
        density[0, y, x] = value
    return density


def _peaks(found, pixel_size_nm=12.5):
    return sorted(
        zip(
            found.frame.tolist(),
            (found.y_nm // pixel_size_nm).astype(int).tolist(),
            (found.x_nm // pixel_size_nm).astype(int).tolist(),
            strict=True,
        )
    )


def test_position_is_the_pixel_centre_and_response_one():
    found = localize(_map((2, 6, 50)), **SETTINGS)
    assert found.x_nm.tolist() == [6.5 * 12.5]
    assert found.y_nm.tolist() == [2.5 * 12.5]
    assert found.frame.tolist() == [1]
    assert found.response.tolist() == [1.0]


def test_centre_of_gravity_by_hand():
    # columns 3, 4, 5 with 10, 30, 20: the mean is 4 + (20 - 10) / 60
    found = localize(_map((4, 3, 10), (4, 4, 30), (4, 5, 20)), **SETTINGS)
    assert found.x_nm == pytest.approx([(4.5 + 1 / 6) * 12.5])
    assert found.y_nm == pytest.approx([4.5 * 12.5])
    assert found.response == pytest.approx([60 / 50])


@pytest.mark.parametrize("window", [3, 5])
@pytest.mark.parametrize("threshold", [0.02, 0.2, 0.5])
def test_maxima_equal_the_maximum_filter(window, threshold):
    rng = np.random.default_rng(3)
    density = ndimage.gaussian_filter(
        rng.exponential(20.0, (4, 40, 33)), (0, 0.6, 0.6)
    ) + rng.normal(0, 0.5, (4, 40, 33))
    density = density.clip(0).astype(np.float32)
    highest = ndimage.maximum_filter(
        density, (1, window, window), mode="constant", cval=-np.inf
    )
    expected = np.argwhere((density == highest) & (density > threshold * 50.0))
    found = localize(
        density,
        **SETTINGS | {"threshold": threshold},
        window=window,
        centroid_window=1,  # positions are then the pixels themselves
    )
    assert len(expected) > 20
    assert _peaks(found) == [(t + 1, y, x) for t, y, x in expected.tolist()]


def test_threshold_is_a_fraction_of_the_ideal_peak():
    density = _map((2, 2, 10.0), (6, 6, 10.001))
    assert _peaks(localize(density, **SETTINGS)) == [(1, 6, 6)]


def test_threshold_asks_for_the_sum_of_the_window():
    spread = _map((4, 4, 3.0), (4, 5, 2.5), (5, 4, 2.5), (3, 4, 2.5))
    assert len(localize(spread, **SETTINGS)) == 1  # 10.5 of 50, no pixel above 3
    assert len(localize(spread, **SETTINGS | {"threshold": 0.22})) == 0


@pytest.mark.parametrize(
    ("plateau", "window", "middle"),
    [
        ([(4, 4), (4, 5)], 3, (4, 4.5)),
        ([(4, 4), (5, 4)], 3, (4.5, 4)),
        ([(4, 4), (4, 5), (5, 4), (5, 5)], 3, (4.5, 4.5)),
        ([(3, 3), (4, 3), (5, 4), (4, 5), (3, 5)], 3, (3.8, 4)),  # two arms that meet
        ([(2, 2), (2, 3), (2, 4), (2, 5), (2, 6)], 3, (2, 4)),
        ([(4, 2), (4, 4)], 5, (4, 3)),
        ([(y, x) for y in range(9) for x in range(9)], 3, (4, 4)),
    ],
)
@pytest.mark.parametrize("centroid_window", [1, None])
def test_plateau_gives_one_localization(plateau, window, middle, centroid_window):
    density = _map(*[(y, x, 40.0) for y, x in plateau])
    found = localize(
        density, **SETTINGS, window=window, centroid_window=centroid_window
    )
    assert len(found) == 1
    if centroid_window == 1 or len(set(middle)) == 1:  # symmetric
        assert found.y_nm / 12.5 - 0.5 == pytest.approx([middle[0]])
        assert found.x_nm / 12.5 - 0.5 == pytest.approx([middle[1]])


def test_equal_peaks_apart_stay_two():
    density = _map((4, 2, 40.0), (4, 4, 40.0), (4, 7, 40.0))
    assert len(localize(density, **SETTINGS, window=3)) == 3
    assert len(localize(density, **SETTINGS, window=5)) == 2
    # the same place in two frames is no plateau, nor are two ends of adjacent rows
    assert len(localize(np.concatenate([density, density]), **SETTINGS)) == 6
    assert len(localize(_map((3, 8, 40.0), (4, 0, 40.0)), **SETTINGS)) == 2


@pytest.mark.parametrize("corner", [(0, 0), (0, 8), (8, 0), (8, 8), (0, 4), (4, 8)])
def test_border_maxima(corner):
    y, x = corner
    found = localize(_map((y, x, 30.0)), **SETTINGS)
    assert (found.y_nm[0], found.x_nm[0]) == ((y + 0.5) * 12.5, (x + 0.5) * 12.5)
    assert found.response == pytest.approx([0.6])


def test_shifted_spot_has_no_bias():
    """The centre of gravity of a sampled spot follows its true position."""
    y, x = np.mgrid[:15, :15] + 0.5
    errors = []
    for phase in np.linspace(-0.5, 0.5, 21):
        spot = 40 * np.exp(-((y - 7.5) ** 2 + (x - 7.5 - phase) ** 2) / (2 * 0.5**2))
        found = localize(spot[None], **SETTINGS, window=5)
        errors.append(found.x_nm[0] / 12.5 - 7.5 - phase)
    assert abs(np.mean(errors)) < 1e-6
    assert np.abs(errors).max() < 0.05


def test_negative_values_weigh_nothing():
    found = localize(_map((4, 4, 40.0), (4, 5, -40.0)), **SETTINGS)
    assert found.x_nm == pytest.approx([4.5 * 12.5])


def test_frames_are_numbered_and_empty_ones_give_nothing():
    density = np.zeros((4, 9, 9), np.float32)
    density[1, 3, 3] = density[3, 5, 5] = 40
    found = localize(density, **SETTINGS, first_frame=101)
    assert found.frame.tolist() == [102, 104]
    nothing = localize(np.zeros((2, 9, 9)), **SETTINGS)
    assert len(nothing) == 0
    assert set(nothing.columns) == {"x_nm", "y_nm", "frame", "response"}


@pytest.mark.parametrize(
    "change",
    [
        {"window": 4},
        {"centroid_window": 0},
        {"threshold": 0},
        {"ideal_peak": -1.0},
        {"pixel_size_nm": float("nan")},
    ],
)
def test_impossible_settings(change):
    with pytest.raises(ValueError, match=next(iter(change)).split("_")[-1]):
        localize(_map(), **SETTINGS | change)
    with pytest.raises(ValueError, match="axes"):
        localize(np.zeros((9, 9)), **SETTINGS)


DEEP = SETTINGS | {"z_step_nm": 100.0}


def _volume(*values, shape=(7, 9, 9)):
    density = np.zeros((1, *shape), np.float32)
    for z, y, x, value in values:
        density[0, z, y, x] = value
    return density


def test_depth_follows_from_planes_and_where_the_first_one_lies():
    density = _volume((2, 2, 6, 50), (5, 7, 1, 20), (5, 7, 2, 20))
    found = localize(density, **DEEP, z_first_nm=-300.0)
    assert found.z_nm.tolist() == [-100.0, 200.0]
    assert found.x_nm.tolist() == [6.5 * 12.5, 2.0 * 12.5]
    assert found.response.tolist() == [1.0, 0.8]
    assert localize(density, **DEEP).z_nm.tolist() == [250.0, 550.0]


def test_maxima_in_volumes_equal_the_maximum_filter():
    rng = np.random.default_rng(4)
    density = ndimage.gaussian_filter(
        rng.exponential(60.0, (2, 12, 30, 33)), (0, 0.6, 0.6, 0.6)
    ).astype(np.float32)
    highest = ndimage.maximum_filter(density, (1, 5, 3, 3), mode="constant")
    expected = np.argwhere((density == highest) & (density > 0.5 * 50.0))
    found = localize(
        density,
        **DEEP | {"threshold": 0.5},
        window=3,
        window_planes=5,
        centroid_window=3,
    )
    # the sum of the window decides, so all of them are found, and perhaps others
    places = {
        (int(t), int(z // 100 // 3))
        for t, z in zip(found.frame, found.z_nm, strict=True)
    }
    assert len(expected) > 20
    assert {(t + 1, z // 3) for t, z, _, _ in expected.tolist()} <= places


def test_volumes_need_a_distance_of_planes():
    with pytest.raises(ValueError, match="z_step_nm must be positive"):
        localize(_volume(), **SETTINGS)
