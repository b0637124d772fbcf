"""The illumination pattern of a recording, without knowledge of the microscope."""

from typing import NamedTuple

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics.illumination import Pattern, sim_images
from zoo.physics.optics import Optics, otf_grid
from zoo.physics.pattern_search import Peaks, Window, find_peaks, windows_of
from zoo.physics.recording_pattern import (
    RecordingPattern,
    estimate_recording,
    phases_at,
)
from zoo.physics.specimens import specimen

OPTICS = Optics(na=1.4, wavelength_nm=560.0, pixel_nm=62.6, blur_nm=30.0)
FREQUENCY = 0.93 * OPTICS.cutoff_per_um
ANGLES = (0.4, 0.4 + np.pi / 3, 0.4 + 2 * np.pi / 3)
OFFSETS = np.array([0.3, 2.1, 4.4])
VECTORS = 0.0626 * FREQUENCY * np.stack([np.sin(ANGLES), np.cos(ANGLES)], axis=1)


class Light(NamedTuple):
    """What is on the camera."""

    photons: float = 150.0
    background: float = 0.2
    gains: tuple[float, float, float] = (1.0, 1.0, 1.0)


USUAL = Light()


def frames(steps, *, light=USUAL, size=128, seed=1, shift=0.0, structure="er"):
    """Return (orientation, phase, y, x) photons; `steps` are phases but for offsets."""
    rng = generator(4, seed)
    fine = 2 * size
    sample = specimen(rng, structure, (fine, fine), pixel_nm=31.3)
    pattern = Pattern(
        frequency_per_um=float(FREQUENCY),
        angles_rad=ANGLES,
        phases_rad=tuple(tuple(offset + shift + steps) for offset in OFFSETS),
        modulations=(0.7, 0.7, 0.7),
    )
    transfer = otf_grid(OPTICS, (fine, fine), pixel_nm=31.3)
    clean = sim_images(sample, pattern, transfer, pixel_nm=31.3, binning=2)
    clean = light.photons * (clean / clean.max() + light.background)
    clean = clean.reshape(3, -1, size, size) * np.reshape(light.gains, (3, 1, 1, 1))
    return rng.poisson(np.maximum(clean, 0)).astype(float)


def equal(count):
    return 2 * np.pi * np.arange(count) / count


def estimate(stack, **options):
    windows = windows_of(stack)
    peaks = find_peaks(windows, **options)
    assert peaks.convincing
    return estimate_recording(windows, peaks, **options)


def angle(phases):
    return np.angle(np.exp(1j * np.asarray(phases)))


def at_middle(phases, vectors, size):
    return np.asarray(phases) + np.pi * size * vectors.sum(axis=1)


@pytest.mark.parametrize("light", [Light(40.0), Light(100.0, 1.5)])
@pytest.mark.parametrize("gains", [(1.0, 1.0, 1.0), (1.0, 0.5, 0.8)])
def test_pattern_of_an_unknown_microscope_is_found(light, gains):
    light = light._replace(gains=gains)
    pattern = estimate(frames(equal(3), light=light))
    assert pattern.visible.all()
    assert np.abs(pattern.vectors - VECTORS).max() < 0.15 / 128
    error = at_middle(pattern.phases_rad[:, 0], pattern.vectors, 128)
    error = angle(error - at_middle(OFFSETS, VECTORS, 128))
    assert np.abs(error).max() < 0.3
    assert pattern.equal_steps
    assert pattern.steady_in_space
    assert pattern.steady_in_time
    assert abs(pattern.cutoff / (OPTICS.cutoff_per_um * 0.0626) - 1) < 0.08


def test_unequal_light_is_in_the_modulation():
    light = Light(400.0, 0.05, (1.0, 0.5, 0.75))
    pattern = estimate(frames(equal(3), light=light))
    expected = 0.7 * np.array(light.gains) / 0.75
    np.testing.assert_allclose(pattern.modulations, expected, rtol=0.15)


def test_network_is_told_the_phase_in_the_middle_of_a_tile():
    pattern = estimate(frames(equal(3), light=Light(400.0)))
    row = pattern.for_network().row((10, 30), (64, 64))
    middle = np.array([10 + 32, 30 + 32])
    expected = OFFSETS + 2 * np.pi * VECTORS @ middle
    found = np.arctan2(row[7:12:2], row[6:12:2])
    assert np.abs(angle(found - expected)).max() < 0.15
    np.testing.assert_allclose(row[:6], VECTORS.ravel(), atol=0.1 / 128)


def test_phases_that_fall_turn_the_vector_round():
    pattern = estimate(frames(-equal(3), light=Light(400.0)))
    np.testing.assert_allclose(pattern.vectors, -VECTORS, atol=0.1 / 128)


@pytest.mark.parametrize("count", [4, 5, 7])
def test_other_numbers_of_phases(count):
    pattern = estimate(frames(equal(count)))
    assert pattern.visible.all()
    assert pattern.phases_rad.shape == (3, count)
    np.testing.assert_allclose(pattern.vectors, VECTORS, atol=0.1 / 128)


def test_second_harmonic_of_five_phases():
    """Fine fringes of three beams: two steps of a fifth of a turn."""
    stack = frames(2 * equal(5))
    assert not find_peaks(windows_of(stack), harmonic=1).visible.any()
    pattern = estimate(stack, harmonic=2)
    np.testing.assert_allclose(pattern.vectors, VECTORS, atol=0.1 / 128)


def test_steps_that_are_not_equal_are_measured():
    steps = np.radians([0.0, 72.0, 144.0])
    pattern = estimate(frames(steps, light=Light(400.0)))
    assert not pattern.equal_steps
    differences = np.degrees(np.diff(pattern.steps_rad, axis=1))
    np.testing.assert_allclose(differences, 72.0, atol=10.0)
    np.testing.assert_allclose(pattern.vectors, VECTORS, atol=0.1 / 128)


def test_frames_in_another_order_are_not_convincing():
    stack = frames(equal(3), light=Light(400.0))
    peaks = find_peaks(windows_of(stack.swapaxes(0, 1)))
    assert not peaks.convincing


def test_first_nine_of_fifteen_are_not_convincing():
    stack = frames(equal(5), light=Light(400.0)).reshape(15, 128, 128)[:9]
    assert not find_peaks(windows_of(stack.reshape(3, 3, 128, 128))).convincing


@pytest.mark.parametrize("seed", range(4))
def test_copies_of_one_image_show_no_pattern(seed):
    stack = frames(equal(3), seed=seed, structure="actin")
    copies = np.repeat(stack.mean(axis=(0, 1))[None], 9, axis=0)
    noisy = np.random.default_rng(seed).poisson(copies).astype(float)
    peaks = find_peaks(windows_of(noisy.reshape(3, 3, 128, 128)))
    assert not peaks.visible.any()


def test_parts_of_a_field_together_show_what_one_does_not():
    light = Light(20.0, 0.5)
    alone = [frames(equal(3), light=light, seed=n) for n in range(4)]
    windows = [Window(stack, (0, 128 * n), 0) for n, stack in enumerate(alone)]
    counts = [int(find_peaks([w]).visible.sum()) for w in windows]
    together = find_peaks(windows)
    assert together.visible.all()
    assert min(counts) < 3
    np.testing.assert_allclose(together.vectors, VECTORS, atol=0.2 / 128)


def test_parts_of_a_field_join_to_one_wave():
    stack = frames(equal(3), size=320, light=Light(300.0))
    windows = windows_of(stack)
    assert [w.start for w in windows] == [(0, 0), (0, 64), (64, 0), (64, 64)]
    small = [
        Window(stack[:, :, y : y + 96, x : x + 96], (y, x), 0)
        for y in (0, 224)
        for x in (0, 224)
    ]
    pattern = estimate_recording(small, find_peaks(small))
    assert pattern.steady_in_space
    # four times as exact as the windows' 96 px allow
    assert np.abs(pattern.vectors - VECTORS).max() < 0.06 / 320
    middle = angle(
        at_middle(pattern.phases_rad[:, 0], pattern.vectors, 320)
        - at_middle(OFFSETS, VECTORS, 320)
    )
    assert np.abs(middle).max() < 0.15


def test_phases_that_drift_are_noticed_and_measured():
    stacks = [
        frames(equal(3), light=Light(200.0), seed=9, shift=s) for s in (0.0, 2.1, 4.2)
    ]
    windows = [Window(stack, (0, 0), n) for n, stack in enumerate(stacks)]
    pattern = estimate_recording(windows, find_peaks(windows))
    assert not pattern.steady_in_time
    assert pattern.steady_in_space
    for shift, window in zip((0.0, 2.1, 4.2), windows, strict=True):
        phases = phases_at([window], pattern)[:, 0]
        error = at_middle(phases, pattern.vectors, 128)
        error = angle(error - at_middle(OFFSETS + shift, VECTORS, 128))
        assert np.abs(error).max() < 0.2


def test_orientations_that_coincide_are_no_orientations():
    same = np.array([[0.0, 0.3], [0.0, -0.3], [0.26, 0.15]])
    seen = np.ones(3, bool)
    peaks = Peaks(same, np.full(3, 9.0), seen, np.ones(3))
    assert not peaks.apart
    assert not peaks.convincing
    assert Peaks(same, np.full(3, 9.0), np.array([1, 0, 1], bool), np.ones(3)).apart


def test_repetition_is_no_evidence():
    stack = frames(equal(3), light=Light(6.0, 1.0))
    once = find_peaks([Window(stack, (0, 0), 0)])
    often = find_peaks([Window(stack, (0, 0), n) for n in range(3)])
    np.testing.assert_array_equal(often.visible, once.visible)
    np.testing.assert_allclose(often.clarity, once.clarity)


def test_nothing_at_all_is_no_pattern():
    peaks = find_peaks(windows_of(np.full((3, 3, 64, 64), 7.0)))
    assert not peaks.visible.any()
    assert np.isfinite(peaks.vectors).all()


def test_a_pattern_is_a_tuple_of_plain_values():
    pattern = estimate(frames(equal(3), light=Light(400.0)))
    assert isinstance(pattern, RecordingPattern)
    assert pattern.for_network().modulations.shape == (3,)
