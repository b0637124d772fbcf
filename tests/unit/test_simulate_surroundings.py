"""`zoo.simulate.surroundings`: stains, texture, unequal light, missing patterns."""

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics.illumination import draw_pattern
from zoo.simulate.sim_images import CLEAR, SimPairs
from zoo.simulate.surroundings import Surroundings, has_pattern

PLAIN = SimPairs(crop_px=64, tirf_share=0.0, haze=(0.5, 0.5), structures=("pits",))


def scene(**conditions):
    source = PLAIN.override(surroundings=Surroundings(**conditions))
    return source.scene(generator(6, 1), "pits")


def test_without_conditions_images_are_what_they_were():
    before = PLAIN.scene(generator(6, 1), "pits")
    np.testing.assert_array_equal(scene().frames, before.frames)
    assert not Surroundings().any


def test_orientations_are_lit_unequally_and_their_mean_is_kept():
    plain, unequal = scene(), scene(light_ratio=(2.0, 2.0))
    ratio = (unequal.frames - unequal.background).mean((1, 2))
    ratio = ratio / (plain.frames - plain.background).mean((1, 2))
    gains = ratio.reshape(3, 3)
    np.testing.assert_allclose(gains, gains[:, :1] * np.ones(3), rtol=1e-3)
    assert gains.max() / gains.min() == pytest.approx(2.0, rel=1e-3)
    assert gains[:, 0].mean() == pytest.approx(1.0, rel=1e-3)
    np.testing.assert_array_equal(unequal.target, plain.target)


def test_smooth_areas_are_in_frames_and_target():
    plain, stained = scene(), scene(stain=(1.0, 1.0))
    # as bright as the structure, and smooth
    extra = stained.frames.mean(0) - plain.frames.mean(0)
    peak = (plain.frames.mean(0) - plain.background).max()
    assert 0.3 * peak < extra.max() < 1.5 * peak
    assert np.abs(np.diff(extra, axis=0)).max() < 0.2 * extra.max()
    assert (stained.target - plain.target).max() > 0.2 * plain.target.max()


def test_texture_moves_the_light_from_out_of_focus():
    plain, textured = scene(), scene(texture=(1.0, 1.0))
    difference = (textured.frames - plain.frames).mean(0)
    assert difference.std() > 0.01 * plain.frames.mean()
    assert abs(difference.mean()) < 0.1 * plain.frames.mean()
    np.testing.assert_array_equal(textured.target, plain.target)


def test_images_without_pattern_promise_the_resolution_of_the_microscope():
    plain, flat = scene(), scene(without_pattern=1.0)
    assert not has_pattern(flat.pattern)
    np.testing.assert_allclose(flat.frames, flat.frames[:1].repeat(9, 0), rtol=1e-4)
    fine = np.abs(np.fft.rfft2(flat.target)) / np.abs(np.fft.rfft2(plain.target))
    f_y, f_x = np.fft.fftfreq(128)[:, None], np.fft.rfftfreq(128)
    beyond = np.hypot(f_y, f_x) > 0.0313 * flat.optics.cutoff_per_um
    assert np.median(fine[beyond]) < 0.5


def test_three_of_five_phases():
    pattern = scene(unequal_steps=1.0).pattern
    steps = np.degrees(np.diff(np.array(pattern.phases_rad), axis=1))
    np.testing.assert_allclose(steps, 72.0)


def test_a_share_of_images_is_changed():
    drawn = draw_pattern(generator(0, 0), frequency_per_um=4.0, modulation=0.5)
    half = Surroundings(without_pattern=0.5)
    kept = [has_pattern(half.changed(generator(1, n), drawn)) for n in range(60)]
    assert 15 < sum(kept) < 45


def test_a_share_of_images_is_clear():
    hard = PLAIN.override(
        background=(2.0, 2.0), surroundings=Surroundings(stain=(1, 1))
    )
    mixed, clear = hard.override(clear=0.4), PLAIN.override(**CLEAR)
    few = 0
    for number in range(30):
        made, plain = (
            source.scene(generator(8, number), "pits", size_px=32).background
            for source in (mixed, clear)
        )
        few += made == plain
        assert made == plain or made > 5 * plain
    assert 6 <= few <= 18


def test_bounds_rise():
    with pytest.raises(ValueError, match="bounds from 0, lower one first"):
        Surroundings(stain=(1.0, 0.5))
