"""Structured illumination: what the frames are, and what their mean is."""

import numpy as np
import pytest

from zoo.physics.illumination import (
    Pattern,
    carriers,
    draw_pattern,
    sim_images,
    tirf_weight,
    widefield_image,
)
from zoo.physics.optics import Optics, apply_transfer, bin_pixels, otf_grid

SIM = Optics(na=1.41, wavelength_nm=525.0, pixel_nm=62.6)
FINE_NM = SIM.pixel_nm / 2
SHAPE = (96, 112)


def pattern(seed=0, **options):
    options = {"frequency_per_um": 5.0, "modulation": 0.7} | options
    return draw_pattern(np.random.default_rng(seed), **options)


def sample(seed=0):
    return np.random.default_rng(seed).gamma(0.2, 5.0, SHAPE)


def intensity(pattern, shape, *, pixel_nm, origin_px=0.0):
    """Return the light of every frame, ``1 + m cos(2 pi p.r + phi)``."""
    waves = carriers(pattern, shape, pixel_nm=pixel_nm, origin_px=origin_px)
    rows = zip(waves, pattern.phases_rad, pattern.modulations, strict=True)
    return np.stack(
        [
            1 + modulation * (np.exp(1j * phase) * wave).real
            for wave, phases, modulation in rows
            for phase in phases
        ]
    )


def test_mean_of_nine_frames_is_the_widefield_image():
    transfer = otf_grid(SIM, SHAPE, pixel_nm=FINE_NM)
    frames = sim_images(
        sample(), pattern(phase_jitter_rad=0.0), transfer, pixel_nm=FINE_NM, binning=2
    )
    uniform = widefield_image(sample(), transfer, binning=2)
    assert frames.shape == (9, 48, 56)
    np.testing.assert_allclose(frames.mean(axis=0), uniform, atol=1e-12)
    assert np.abs(frames[0] - uniform).max() > 0.1 * uniform.max()
    jittered = sim_images(
        sample(), pattern(phase_jitter_rad=0.1), transfer, pixel_nm=FINE_NM, binning=2
    )
    assert np.abs(jittered.mean(axis=0) - uniform).max() > 1e-3 * uniform.max()


@pytest.mark.parametrize("binning", [1, 2, 4])
def test_frames_are_sample_times_light_blurred_and_binned(binning):
    light = pattern(seed=3)
    sharp = otf_grid(SIM, SHAPE, pixel_nm=FINE_NM)
    hazy = otf_grid(SIM, SHAPE, pixel_nm=FINE_NM, defocus_nm=600.0)
    frames = sim_images(
        sample(),
        light,
        sharp,
        pixel_nm=FINE_NM,
        binning=binning,
        origin_px=7.0,
        haze=sample(1),
        haze_transfer=hazy,
    )
    lit = intensity(light, SHAPE, pixel_nm=FINE_NM, origin_px=7.0)
    direct = apply_transfer(lit * sample(), sharp) + apply_transfer(
        lit * sample(1), hazy
    )
    np.testing.assert_allclose(frames, bin_pixels(direct, binning), atol=1e-11)
    assert frames.sum() == pytest.approx(direct.sum())


def test_frames_keep_single_precision():
    transfer = otf_grid(SIM, SHAPE, pixel_nm=FINE_NM)
    single = sim_images(
        sample().astype(np.float32), pattern(), transfer, pixel_nm=FINE_NM, binning=2
    )
    double = sim_images(sample(), pattern(), transfer, pixel_nm=FINE_NM, binning=2)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, double, atol=1e-5 * double.max())


def test_patterns_have_their_period_direction_and_order():
    light = Pattern(
        frequency_per_um=4.0,
        angles_rad=(0.0, np.pi / 2, np.pi / 4),
        phases_rad=((0.0, 2.0, 4.0),) * 3,
        modulations=(0.5, 0.8, 1.0),
    )
    assert light.frames == 9
    seen = intensity(light, (64, 64), pixel_nm=25.0)
    x_um = (np.arange(64) + 0.5) * 0.025
    np.testing.assert_allclose(
        seen[1], np.tile(1 + 0.5 * np.cos(8 * np.pi * x_um + 2.0), (64, 1)), atol=1e-12
    )
    np.testing.assert_allclose(seen[3].T, 1 + 0.8 * (seen[0] - 1) / 0.5, atol=1e-12)
    # from the corner of the field the phase counts, also where the image begins outside
    shifted = intensity(light, (64, 64), pixel_nm=25.0, origin_px=10.0)
    np.testing.assert_allclose(shifted[:, 10:, 10:], seen[:, :54, :54], atol=1e-12)


def test_drawn_patterns_vary_as_asked():
    patterns = [
        pattern(seed, phase_jitter_rad=0.05, modulation_spread=0.1)
        for seed in range(300)
    ]
    angles = np.array([p.angles_rad for p in patterns])
    steps = np.diff(angles, axis=1)
    assert np.abs(steps).mean() == pytest.approx(np.pi / 3, abs=0.003)
    turning = np.sign(steps)
    assert (turning[:, 0] == turning[:, 1]).all()
    assert np.ptp(angles[:, 0]) > 0.9 * np.pi
    phases = np.array([p.phases_rad for p in patterns])
    second = np.diff(phases, axis=2)
    assert np.abs(second).mean() == pytest.approx(2 * np.pi / 3, abs=0.005)
    assert np.abs(second).std() == pytest.approx(0.05 * 2**0.5, rel=0.1)
    shifting = np.sign(second[:, :, 0])
    assert (np.sign(second) == shifting[:, :1, None]).all()
    # every combination of directions is equally frequent
    for turn in (-1, 1):
        for shift in (-1, 1):
            share = ((turning[:, 0] == turn) & (shifting[:, 0] == shift)).mean()
            assert share == pytest.approx(0.25, abs=0.08)
    modulations = np.array([p.modulations for p in patterns])
    assert modulations.std() == pytest.approx(0.07, rel=0.1)
    vectors = patterns[0].vectors_per_um()
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 5.0)


def test_evanescent_light_fades_over_a_hundred_nanometres():
    depth = 105.5
    weight = tirf_weight(np.array([0.0, depth, 3 * depth, -5.0]), depth_nm=depth)
    np.testing.assert_allclose(weight, [1, np.exp(-1), np.exp(-3), 1])


def test_what_is_impossible_is_refused():
    transfer = otf_grid(SIM, SHAPE, pixel_nm=FINE_NM)
    with pytest.raises(ValueError, match="belong together"):
        sim_images(
            sample(),
            pattern(),
            transfer,
            pixel_nm=FINE_NM,
            binning=2,
            haze=sample(),
        )
    good = pattern()
    with pytest.raises(ValueError, match="as long as each other"):
        good.override(modulations=(0.5,))
    with pytest.raises(ValueError, match="at least 3 phases"):
        good.override(phases_rad=((0.0, 1.0),) * 3)
    with pytest.raises(ValueError, match="must lie in"):
        good.override(modulations=(0.5, 1.2, 0.5))
