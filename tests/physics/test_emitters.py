"""Blinking: the kinetics of the 2016 challenge and the light of every frame."""

import numpy as np
import pytest

from zoo.physics.emitters import (
    OnPeriods,
    blink,
    integrate_frames,
    on_periods,
)


def periods(*rows):
    molecule, start, stop = (np.array(column) for column in zip(*rows, strict=True))
    return OnPeriods(
        molecule, start.astype(float), stop.astype(float), np.zeros(len(rows), bool)
    )


def test_the_challenge_kinetics():
    molecules = 40_000
    drawn = on_periods(np.random.default_rng(2), molecules, frames=10**9)
    duration = drawn.stop_frames - drawn.start_frames
    assert duration.mean() == pytest.approx(1.0, rel=0.02)
    assert np.median(duration) == pytest.approx(np.log(2), rel=0.02)  # exponential
    assert drawn.bleaches.mean() == pytest.approx(2 / 3, abs=0.01)
    assert len(duration) / molecules == pytest.approx(1.5, rel=0.01)
    assert np.bincount(drawn.molecule[drawn.bleaches]).max() == 1


def test_periods_of_a_molecule_follow_each_other_after_dark_times():
    drawn = on_periods(np.random.default_rng(3), 20_000, frames=10**9, dark_frames=2.5)
    order = np.lexsort((drawn.start_frames, drawn.molecule))
    molecule = drawn.molecule[order]
    again = molecule[1:] == molecule[:-1]
    dark = (drawn.start_frames[order][1:] - drawn.stop_frames[order][:-1])[again]
    assert dark.min() >= 0
    assert dark.mean() == pytest.approx(2.5, rel=0.03)
    assert not drawn.bleaches[order][:-1][again].any()


def test_molecules_that_never_bleach_keep_their_duty_cycle():
    table = blink(
        np.random.default_rng(4),
        np.zeros(3000),
        np.zeros(3000),
        frames=60,
        photons_per_frame=1.0,
        on_frames=2.0,
        dark_frames=6.0,
        bleach_frames=np.inf,
        warm_up_frames=3000.0,  # nearly everybody was activated long ago
        minimum_share=0.0,
    )
    assert table.photons.sum() / (3000 * 60) == pytest.approx(
        2 / 8 * 3030 / 3060, rel=0.02
    )


def test_photons_are_shared_by_the_time_in_each_frame():
    molecule, frame, photons = integrate_frames(
        periods((0, 0.25, 2.5), (1, 1.0, 2.0), (2, 4.5, 99.0), (3, -7.0, -1.0)),
        np.array([100.0, 10.0, 1000.0, 1.0]),
        frames=6,
    )
    rows = sorted(zip(molecule.tolist(), frame.tolist(), photons.tolist(), strict=True))
    assert rows == [
        (0, 1, 75.0),
        (0, 2, 100.0),
        (0, 3, 50.0),
        (1, 2, 10.0),
        (2, 5, 500.0),
        (2, 6, 1000.0),
    ]
    assert np.all(np.diff(frame) >= 0)


def test_a_molecule_that_blinks_within_a_frame_is_one_row():
    molecule, frame, photons = integrate_frames(
        periods((4, 0.1, 0.3), (4, 0.6, 0.9), (1, 0.0, 0.5)), 100.0, frames=1
    )
    assert molecule.tolist() == [1, 4]
    assert frame.tolist() == [1, 1]
    assert photons == pytest.approx([50.0, 50.0])


def test_photons_are_conserved():
    rng = np.random.default_rng(5)
    flux = rng.uniform(100, 3000, 2000)
    drawn = on_periods(rng, 2000, frames=80, first_frames=-20)
    molecule, frame, photons = integrate_frames(drawn, flux, frames=80)
    start = np.clip(drawn.start_frames, 0, 80)
    stop = np.clip(drawn.stop_frames, 0, 80)
    emitted = np.bincount(
        drawn.molecule, (stop - start) * flux[drawn.molecule], minlength=2000
    )
    counted = np.bincount(molecule, photons, minlength=2000)
    np.testing.assert_allclose(counted, emitted, atol=1e-6)
    assert np.all(photons <= flux[molecule] * (1 + 1e-12))
    assert frame.min() == 1
    assert frame.max() == 80
    assert len(np.unique(frame * 2000 + molecule)) == len(frame)


def test_the_density_is_constant_over_the_movie():
    molecules, frames, warm_up = 60_000, 200, 20
    table = blink(
        np.random.default_rng(6),
        *np.zeros((2, molecules)),
        frames=frames,
        photons_per_frame=1.0,
        warm_up_frames=warm_up,
        minimum_share=0.0,
    )
    light = np.bincount(table.frame, table.photons, minlength=frames + 1)[1:]
    # activations per frame times one and a half periods of one frame
    expected = molecules / (frames + warm_up) * 1.5
    blocks = light.reshape(-1, 20).mean(axis=1)
    np.testing.assert_allclose(blocks, expected, rtol=0.05)


def test_blink_places_every_row_at_its_molecule():
    rng = np.random.default_rng(7)
    x_nm = np.arange(300.0)
    table = blink(
        rng,
        x_nm,
        2 * x_nm + 1,
        molecules_z_nm=3 * x_nm + 2,
        photons_per_frame=1000.0 + x_nm,
        frames=50,
    )
    np.testing.assert_array_equal(table.y_nm, 2 * table.x_nm + 1)
    np.testing.assert_array_equal(table.z_nm, 3 * table.x_nm + 2)
    assert np.all(table.photons <= 1000 + table.x_nm + 1e-9)
    assert table.photons.min() >= 0.01 * (1000 + x_nm.mean())
    assert np.all(np.diff(table.frame) >= 0)


def test_first_and_last_frames_are_dim():
    table = blink(
        np.random.default_rng(8),
        *np.zeros((2, 5000)),
        frames=100,
        photons_per_frame=1.0,
        minimum_share=0.0,
    )
    assert 0.05 < np.mean(table.photons > 0.999) < 0.5
    assert np.mean(table.photons < 0.9) > 0.4


def test_equal_generators_give_equal_movies():
    first, again = (
        blink(np.random.default_rng(9), *np.zeros((2, 50)), frames=30) for _ in "ab"
    )
    np.testing.assert_array_equal(first.frame, again.frame)
    np.testing.assert_array_equal(first.photons, again.photons)


def test_no_molecules_give_an_empty_movie():
    table = blink(np.random.default_rng(0), np.empty(0), np.empty(0), frames=10)
    assert len(table) == 0
    assert "photons" in table.columns


@pytest.mark.parametrize("name", ["on_frames", "dark_frames", "bleach_frames"])
def test_mean_times_must_be_positive(name):
    with pytest.raises(ValueError, match=f"{name} must be positive"):
        on_periods(np.random.default_rng(0), 5, frames=10, **{name: 0.0})
