"""What a network in training is told of the illumination pattern."""

from typing import Any

import numpy as np
import pytest

from zoo.catalog import recipe
from zoo.core.random import generator
from zoo.core.sim_pattern import (
    ATTENUATION,
    CUTOFF,
    LENGTH,
    MODULATION,
    PHASORS,
    VECTORS,
    beside,
)
from zoo.layers.sim.entrance import enterable
from zoo.models.dfcan_reconstructed import dfcan_reconstructed, show_reconstruction
from zoo.physics.resynthesis import resynthesis
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.sim_scenes import expose, scaled_counts
from zoo.simulate.told_patterns import (
    PatternErrors,
    nearly_equal,
    rewritten,
    steps_of,
)

# raised inside Keras where it reads its own variables
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")

NONE = PatternErrors(**dict.fromkeys(PatternErrors.model_fields, 0.0))
BRIGHT = SimPairs(
    crop_px=64,
    photons=(600.0, 600.0),
    modulation=(0.6, 1.0),
    haze=(0.0, 0.0),
    structures=("actin",),
)


def told(scene, errors=NONE, *, seed=0):
    return errors.told(
        generator(9, seed),
        scene.pattern,
        scene.optics,
        light=scene.light,
        size_px=scene.frames.shape[1],
    )


def side_bands(frames, row):
    """Return the sample's Fourier amplitude in every orientation at the pattern."""
    (height, width, _), found = frames.shape, []
    y, x = (np.arange(side) - (side - 1) / 2 for side in (height, width))
    for number in range(3):
        part = frames[..., 3 * number : 3 * number + 3]
        band = part @ np.exp(-2j * np.pi * np.arange(3) / 3)
        v_y, v_x = row[VECTORS].reshape(3, 2)[number]
        cos, sin = row[PHASORS].reshape(3, 2)[number]
        wave = np.exp(-2j * np.pi * (v_y * y[:, None] + v_x * x)) * (cos - 1j * sin)
        found.append((band * wave).sum() / frames.sum() * 6)
    return np.array(found)


@pytest.mark.parametrize("steps", [0.0, 1.0])
def test_the_truth_demodulates_the_frames(steps):
    source = BRIGHT.override(
        surroundings__light_ratio=(2.0, 2.0), surroundings__unequal_steps=steps
    )
    for number in range(4):
        rng = generator(31, number)
        scene = source.scene(rng, "actin")
        assert nearly_equal(steps_of(scene.pattern)) == (not steps)
        frames = np.moveaxis(scene.frames - scene.background, 0, -1)
        row = told(scene)
        band = side_bands(rewritten(frames, scene.pattern), row)
        # what is left of the modulation is what the OTF lets through: positive
        assert np.all(np.abs(np.angle(band)) < 0.6)
        wrong = side_bands(rewritten(frames, scene.pattern), np.roll(row, 2))
        assert np.abs(wrong).max() < np.abs(band).min()


def test_unequal_light_changes_the_modulation_that_is_told():
    scene = BRIGHT.override(surroundings__light_ratio=(2.0, 2.0)).scene(
        generator(4), "actin"
    )
    assert scene.light.max() == pytest.approx(2 * scene.light.min())
    np.testing.assert_allclose(
        told(scene)[MODULATION], scene.light * scene.pattern.modulations, rtol=1e-6
    )


def test_errors_are_as_large_as_declared():
    scene = BRIGHT.scene(generator(5), "actin")
    truth = told(scene)
    errors = PatternErrors(invisible=0.0, alone=0.0, wrong=0.0)
    rows = np.stack([told(scene, errors, seed=n) for n in range(300)])
    assert (rows - truth)[:, VECTORS].std() == pytest.approx(errors.vector, rel=0.1)
    turned = rows[:, PHASORS].reshape(-1, 3, 2) @ [1, 1j]
    turned = np.angle(turned / (truth[PHASORS].reshape(3, 2) @ [1, 1j]))
    assert turned.std() == pytest.approx(errors.phase_rad, rel=0.1)
    for part, size in (
        (MODULATION, errors.modulation),
        (CUTOFF, errors.cutoff),
        (ATTENUATION, errors.attenuation),
    ):
        spread = np.log(rows[:, part] / truth[part]).std()
        assert spread == pytest.approx(size, rel=0.15)


def test_shares_of_patterns_that_are_missing():
    scene = BRIGHT.scene(generator(6), "actin")
    rows = np.stack(
        [
            told(scene, NONE.override(invisible=0.3, alone=0.2), seed=n)
            for n in range(400)
        ]
    )
    seen = rows[:, MODULATION] > 0
    nothing = ~seen.any(axis=1)
    assert nothing.mean() == pytest.approx(0.3 + 0.7 * 0.2**3, abs=0.07)
    assert seen[~nothing].mean() == pytest.approx(0.8, abs=0.04)
    # lengths limit the frequencies of the sharpened mean even so
    lengths = np.linalg.norm(rows[nothing][:, VECTORS].reshape(-1, 3, 2), axis=-1)
    np.testing.assert_allclose(lengths, lengths[0, 0], rtol=1e-5)


def test_a_missing_pattern_is_not_told():
    source = BRIGHT.override(surroundings__without_pattern=1.0)
    assert not told(source.scene(generator(7), "actin"))[MODULATION].any()


def test_frames_with_equal_steps_stay_and_others_are_rewritten():
    scene = BRIGHT.scene(generator(8), "actin")
    frames = np.moveaxis(scene.frames, 0, -1)
    assert rewritten(frames, scene.pattern) is frames
    steps = np.tile(np.radians(72.0) * np.arange(3), (3, 1))
    unequal = scene.pattern.override(
        phases_rad=tuple(map(tuple, scene.pattern.phases_rad + steps))
    )
    other = rewritten(frames, unequal)
    assert other.shape == frames.shape
    assert np.abs(other - frames).max() > 0.01 * frames.max()
    assert not np.allclose(resynthesis(steps), np.eye(9), atol=0.1)


def test_pairs_carry_the_pattern_in_a_tenth_channel():
    source = BRIGHT.override(told=PatternErrors())
    image, target = source.sample(generator(1))
    assert image.shape == (64, 64, 10)
    assert target.shape == (128, 128, 1)
    assert image.dtype == np.float32
    channel = image[..., 9].ravel()
    assert np.count_nonzero(channel) <= LENGTH
    assert np.count_nonzero(channel[:LENGTH]) == np.count_nonzero(channel) > 6
    plain, _ = BRIGHT.sample(generator(1))
    np.testing.assert_array_equal(image[..., :9], plain)
    assert source.training_options() == {"informed": True}
    assert BRIGHT.training_options() == {}


@pytest.mark.parametrize("changes", [{"modality": "widefield"}, {"crop_px": 16}])
def test_only_raw_frames_of_some_size_are_told(changes):
    with pytest.raises(ValueError, match="told goes with raw SIM frames of 17 px"):
        BRIGHT.override(told=PatternErrors(), **changes)


def test_the_network_in_training_is_the_packaged_one_that_is_told():
    options = {"tile": None, "width": 16, "groups": 1, "blocks": 1, "spectrum_px": 16}
    packaged = dfcan_reconstructed(**options)
    show_reconstruction(packaged)
    trained = dfcan_reconstructed(**options, informed=True)
    trained.set_weights(packaged.get_weights())
    both: Any = enterable(packaged)
    scene = BRIGHT.override(crop_px=32).scene(generator(3), "actin")
    counts = expose(scene, generator(2), BRIGHT.camera.draw(generator(1)), 600.0)
    frames, row = scaled_counts(counts), told(scene)
    expected = both.predict_on_batch([frames[None], row[None]])
    got = trained.predict_on_batch(beside(frames, row)[None])
    np.testing.assert_allclose(got, expected, atol=2e-6)
    other = trained.predict_on_batch(beside(frames, 1.1 * row)[None])
    assert np.abs(other - expected).max() > 1e-3


def test_own_pairs_of_raw_frames_need_no_pattern():
    from zoo.train.fine_tuning import for_own_pairs

    declared = recipe("dfcan_sim")
    assert declared.source.training_options() == {"informed": True}
    assert for_own_pairs(declared).source.training_options() == {}
