"""`zoo.tasks.crowding`: the response is shared out, none of it is counted twice."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.tasks.crowding import Crowding, share_out
from zoo.tasks.density import Density
from zoo.tasks.localization import localize

SETTINGS = {"threshold": 0.5, "ideal_peak": 50.0, "window": 5}


def _map(*values, sigma=0.0, shape=(48, 48)):
    density = np.zeros((1, *shape))
    for y, x, value in values:
        density[0, y, x] += value
    return gaussian_filter(density, (0, sigma, sigma))


def _crowd(rng, frames=3, emitters=40):
    density = np.zeros((frames, 96, 96))
    for frame in density:
        for y, x in rng.integers(0, 96, (emitters, 2)):
            frame[y, x] += rng.uniform(20, 70)  # no two maxima are equal
    return gaussian_filter(density, (0, 1.5, 1.5))


def test_an_isolated_emitter_is_where_its_centre_of_gravity_is():
    found = share_out(_map((20, 31, 50.0), sigma=1.2), Crowding(), **SETTINGS)
    assert found.centre[0] == pytest.approx([20.5], abs=1e-6)
    assert found.centre[1] == pytest.approx([31.5], abs=1e-6)
    assert found.mass == pytest.approx([50.0], rel=0.08)  # dark pixels belong to none
    assert np.sqrt(found.variance[0]) == pytest.approx([1.2], rel=0.15)


def test_two_of_them_apart_are_two():
    found = share_out(
        _map((20, 20, 50.0), (20, 34, 50.0), sigma=1.2), Crowding(), **SETTINGS
    )
    assert found.centre[1] == pytest.approx([20.5, 34.5], abs=1e-6)


@pytest.mark.parametrize("axis", ["y", "x"])
def test_a_patch_with_the_response_of_two_is_two_along_its_longer_axis(axis):
    places = [(20, 20), (23, 20)] if axis == "y" else [(20, 20), (20, 23)]
    density = _map(*[(*place, 50.0) for place in places], sigma=1.6)
    found = share_out(density, Crowding(), **SETTINGS)
    assert len(found.frame) == 2
    along, across = found.centre if axis == "y" else found.centre[::-1]
    # a standard deviation of both: root of half their distance and the blur, squared
    assert np.sort(along) == pytest.approx([22 - 2.2, 22 + 2.2], abs=0.25)
    assert across == pytest.approx([20.5, 20.5], abs=1e-6)
    assert found.mass == pytest.approx([50.0, 50.0], rel=0.1)


def test_a_weak_maximum_leaves_what_it_holds_to_its_neighbour():
    # 35 alone is an emitter of mass .7; with the 15 beside it, of 1
    alone = share_out(_map((20, 20, 35.0), sigma=1.0), Crowding(), **SETTINGS)
    density = _map((20, 20, 35.0), (20, 25, 15.0), sigma=1.0)
    found = share_out(density, Crowding(), **SETTINGS)
    assert len(found.frame) == 1
    assert found.mass[0] - alone.mass[0] > 12.0
    assert found.centre[1][0] == pytest.approx(20.5 + 5 * 15 / 50, abs=0.2)


def test_two_weak_maxima_together_are_one_emitter():
    density = _map((20, 20, 20.0), (20, 24, 19.0), sigma=0.7)
    found = share_out(density, Crowding(core_px=4.0), **SETTINGS)
    assert len(found.frame) == 1
    assert 20.5 < found.centre[1][0] < 24.5
    # neither of them is one
    for value in (20.0, 19.0):
        single = share_out(_map((20, 20, value), sigma=0.7), Crowding(), **SETTINGS)
        assert not len(single.frame)


def test_haze_of_the_same_response_is_no_emitter():
    sharp = _map((20, 20, 50.0), sigma=1.5)
    haze = _map((20, 20, 50.0), sigma=4.0)
    assert len(share_out(sharp, Crowding(), **SETTINGS).frame) == 1
    assert not len(share_out(haze, Crowding(), **SETTINGS).frame)


def test_nothing_is_counted_twice():
    density = _crowd(np.random.default_rng(4))
    found = share_out(density, Crowding(), **SETTINGS)
    sums = np.bincount(found.frame, found.mass, len(density))
    assert len(found.frame) > 60
    assert (sums <= density.sum(axis=(1, 2)) + 1e-6).all()
    # windows that overlap do count twice
    windows = localize(
        density,
        pixel_size_nm=1.0,
        threshold=0.2,
        ideal_peak=50.0,
        window=3,
        centroid_window=9,
    )
    doubled = np.bincount(windows.frame - 1, windows.response * 50.0, len(density))
    assert (doubled > density.sum(axis=(1, 2))).all()


def test_frames_do_not_see_each_other():
    density = _crowd(np.random.default_rng(5), frames=4)
    together = share_out(density, Crowding(), **SETTINGS)
    assert (np.diff(together.frame) >= 0).all()
    for number, frame in enumerate(density):
        alone = share_out(frame[None], Crowding(), **SETTINGS)
        own = together.frame == number
        for name in ("place", "centre", "mass", "variance"):
            values = np.array(getattr(together, name))[..., own]
            np.testing.assert_allclose(values, np.array(getattr(alone, name)))


def test_empty_maps_give_nothing():
    for density in (np.zeros((2, 9, 9)), _map((4, 4, 10.0))):
        found = share_out(density, Crowding(), **SETTINGS)
        assert not len(found.frame)
        columns = (found.mass, *found.place, *found.centre, *found.variance)
        assert all(len(values) == 0 for values in columns)


def test_more_emitters_of_a_crowd_are_found_and_fewer_guesses_are_wrong():
    rng = np.random.default_rng(7)
    density = np.zeros((40, 64, 64))
    truth = []
    for frame in density:
        for centre in rng.uniform(12, 52, (3, 2)):
            pair = centre + rng.normal(0, 2.0, (2, 2))  # closer than is told apart
            truth.append(pair)
            for y, x in np.round(pair).astype(int):
                frame[y, x] += 50.0
    density = gaussian_filter(density, (0, 2.0, 2.0))
    settings = {"pixel_size_nm": 1.0, "threshold": 0.5, "ideal_peak": 50.0}
    by_windows = localize(density, **settings, window=7)
    shared = localize(density, **settings, window=5, crowding=Crowding())
    emitters = 2 * len(truth)
    assert len(by_windows) < 0.75 * emitters
    assert 0.85 * emitters < len(shared) <= 1.05 * emitters


def test_a_volume_is_refused():
    with pytest.raises(ValueError, match="in a plane, not in a volume"):
        localize(
            np.zeros((1, 3, 9, 9)),
            pixel_size_nm=1.0,
            z_step_nm=1.0,
            threshold=0.5,
            ideal_peak=50.0,
            crowding=Crowding(),
        )


def test_a_package_that_shares_out_planes_of_depth_is_refused():
    grid = Grid(
        output_axes="bzyxc",
        axes={"y": Axis(scale=2), "x": Axis(scale=2)},
        planes=4,
        channels=("intensity",),
        outputs=("density",),
    )
    task = Density(crowding=Crowding(), z_first_nm=0.0, z_step_nm=150.0)
    contract = Contract(grid=grid, input=Frames(scaling="spots"), task=task)
    with pytest.raises(BadPackage, match=r"in a plane \(crowding\)"):
        task.start(None, contract, task.options())
