"""A designed mask becomes the optics of what is packaged."""

import numpy as np

from zoo.models.deep_storm3d import deep_storm3d
from zoo.physics.imaging_arrays import modes_up_to
from zoo.recipes.deep_storm3d import DEEP_STORM3D_LEARNED, DEEP_STORM3D_TETRAPOD


def test_a_run_states_the_mask_that_it_designed(tmp_path):
    recipe = DEEP_STORM3D_LEARNED
    assert recipe.objective.conclude(recipe, tmp_path) == recipe
    mask = np.random.default_rng(1).normal(size=len(modes_up_to(9)))
    np.save(tmp_path / "mask.npy", mask.astype(np.float32))
    concluded = recipe.objective.conclude(recipe, tmp_path)
    found = [c for _, _, c in concluded.source.optics.zernikes_rad]
    np.testing.assert_allclose(found, mask, atol=1e-4)
    settled = concluded.settled()
    assert settled.contract.task.optics == concluded.source.optics
    assert settled.test_set.optics == concluded.source.optics


def test_a_mask_that_was_not_designed_stays(tmp_path):
    # weights of the optics that never moved
    np.save(tmp_path / "mask.npy", np.zeros(len(modes_up_to(9)), np.float32))
    recipe = DEEP_STORM3D_TETRAPOD
    assert recipe.objective.conclude(recipe, tmp_path) == recipe


def test_a_margin_spares_the_costly_part_of_a_frame():
    frames = np.random.default_rng(2).random((1, 24, 20, 1), np.float32)
    options = {"planes": 8, "width": 4, "dilation": 2}
    whole = deep_storm3d(**options)
    inner = deep_storm3d(**options, margin=6)
    inner.set_weights(whole.get_weights())
    large, small = (np.asarray(model(frames)) for model in (whole, inner))
    assert large.shape == (1, 8, 96, 80, 1)
    assert small.shape == (1, 8, 48, 32, 1)
    # away from the cut, which units behind it take for the border of the frame
    np.testing.assert_allclose(
        small[:, :, 12:-12, 12:-12], large[:, :, 36:-36, 36:-36], atol=1e-4
    )


def test_a_leak_lets_voxels_outside_learn():
    frames = 30 * np.random.default_rng(3).normal(size=(1, 12, 12, 1))
    options = {"planes": 8, "width": 4, "dilation": 2, "peak": 0.1}
    clipped = deep_storm3d(**options)
    leaky = deep_storm3d(**options, leak=0.5)
    leaky.set_weights(clipped.get_weights())
    hard, soft = (np.asarray(m(frames.astype("float32"))) for m in (clipped, leaky))
    assert hard.min() == 0
    assert soft.min() < 0
    inside = (soft > 0) & (soft < 0.1)
    np.testing.assert_allclose(hard[inside], soft[inside], atol=1e-6)
