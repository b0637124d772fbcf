"""The design of ``deep_storm3d_learned`` ends below the bound of the Tetrapod."""

import numpy as np
import pytest

from zoo.physics.engineered import PUPILS, mean_bound_nm
from zoo.physics.pupil import PupilPsf
from zoo.recipes.deep_storm3d import BOUND, DEEP_STORM3D_LEARNED
from zoo.train.run import train

pytestmark = pytest.mark.slow


def test_a_mask_that_starts_from_zero_gets_below_the_tetrapod(tmp_path):
    recipe = DEEP_STORM3D_LEARNED
    plan = recipe.budgets["cpu"]
    designing = tuple(s for s in plan.stages if BOUND.items() <= s.changes.items())
    budget = plan.override(stages=designing, hours=None)
    recipe = recipe.override(budgets={"cpu": budget})
    train(recipe, budget="cpu", run_folder=tmp_path / "run")
    mask = np.load(tmp_path / "run" / "mask.npy")
    assert mask.any()

    def bounds(optics):
        # another computation than that which was descended: NumPy, more depths
        psf = PupilPsf(optics, samples=96)
        light = {"photons": 10000.0, "background_photons": 60.0}
        z_nm = np.linspace(*recipe.source.z_nm, 21)
        return np.array([mean_bound_nm(psf, np.array([z]), **light) for z in z_nm])

    # the blur of the training, a camera pixel, and that of a point
    for blur_nm in (110.0, PUPILS["tetrapod"].blur_nm):
        learned = recipe.source.with_mask(mask).optics.override(blur_nm=blur_nm)
        tetrapod = PUPILS["tetrapod"].override(blur_nm=blur_nm)
        assert bounds(learned).mean() < 0.98 * bounds(tetrapod).mean()
        assert bounds(learned).max() < 0.98 * bounds(tetrapod).max()
