"""A designed mask becomes the optics of what is packaged."""

import csv

import numpy as np
import pytest

from zoo.calibrate.design_course import COURSE
from zoo.core.recipe import Stage
from zoo.models.deep_storm3d import deep_storm3d
from zoo.package import designs
from zoo.physics.imaging_arrays import modes_up_to
from zoo.recipes.deep_storm3d import (
    BOUND,
    BOUND_STAGES,
    DEEP_STORM3D_LEARNED,
    DEEP_STORM3D_TETRAPOD,
    MASK,
)
from zoo.train.run import train

SMALL = {"source__crop_px": 24, "source__margin_px": 2}


def reduced(*ways, steps=2, **changes):
    """Return the recipe of the learned mask with few short stages."""
    stages = [
        Stage(epochs=1, steps=steps, batch_size=1, changes=SMALL | way) for way in ways
    ]
    recipe = DEEP_STORM3D_LEARNED.override(
        options={"planes": 8, "width": 4, "dilation": 1},
        source__planes=8,
        objective__decoder_options={"planes": 8, "width": 4, "dilation": 1}
        | {"upsampling": 1, "leak": 0.01},
        **changes,
    )
    budget = recipe.budgets["smoke"].override(stages=stages, warmup_steps=0)
    return recipe.override(budgets={"smoke": budget})


def test_a_recipe_follows_the_bound_before_it_learns_with_a_decoder():
    for budget in DEEP_STORM3D_LEARNED.budgets.values():
        objectives = [
            DEEP_STORM3D_LEARNED.override(**stage.changes).objective
            for stage in budget.stages
        ]
        phases = [objective.phase for objective in objectives]
        assert phases == sorted(phases)  # bound, mask, network
        assert phases.count("bound") == 2 * BOUND_STAGES
        assert "mask" in phases
        # the mean first; of the worst depths, a mask near zero finds a poor minimum
        powers = [o.bound_power for o in objectives if o.phase != "network"]
        assert powers[:BOUND_STAGES] == [1.0] * BOUND_STAGES
        assert set(powers[BOUND_STAGES:]) == {8.0}
    stages = DEEP_STORM3D_LEARNED.budgets["gpu"].stages
    # as many epochs as the published package had; the last ones in quarters
    assert [s.epochs for s in stages[-6:]] == [2, 3, 9, 9, 9, 8]


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """A run with a stage of each kind, kept for its masks."""
    folder = tmp_path_factory.mktemp("design") / "run"
    recipe = reduced(BOUND, BOUND, MASK, {})
    train(recipe, budget="smoke", run_folder=folder)
    return folder


def stage(run, number):
    with np.load(run / f"stage-{number}.npz") as arrays:
        return {name: arrays[name] for name in arrays.files if name != "record"}


def test_the_bound_moves_the_mask_and_nothing_else(run):
    first, second, third, last = (stage(run, n) for n in range(1, 5))
    (mask,) = (name for name in first if name.startswith("optics/") and "mask" in name)
    kernels = [n for n in first if n.endswith("/kernel") and "adam" not in n]
    assert {n.partition("/")[0] for n in kernels} == {"decoder", "network"}
    for name in kernels:
        np.testing.assert_array_equal(first[name], second[name])
    assert any((second[n] != third[n]).any() for n in kernels if "decoder" in n)
    assert (first[mask] != second[mask]).any()
    assert (second[mask] != third[mask]).any()
    np.testing.assert_array_equal(third[mask], last[mask])
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    bounds = [float(row["bound_nm"]) for row in rows]
    assert bounds[1] < bounds[0] < 24
    assert np.isnan(bounds[3])


def test_a_design_shows_how_the_mask_was_learnt(run, tmp_path):
    lines = designs.write(str(run), tmp_path / "mask", overwrite=False, depths=3)
    assert any("training.png" in line for line in lines)
    with (tmp_path / "mask" / COURSE[0]).open() as file:
        _, *rows = csv.reader(file)
    assert [int(samples) for samples, _ in rows] == [0, 2, 4, 6]
    bounds = [float(bound) for _, bound in rows]
    assert bounds[2] < bounds[1] < bounds[0]
    with np.load(run / "stage-3.npz") as arrays:
        mask = DEEP_STORM3D_LEARNED.objective.mask_rad(arrays)
    # the weights of a mask are tenths of its phases
    np.testing.assert_allclose(mask, np.load(run / "mask.npy"))
    assert (tmp_path / "mask" / COURSE[1]).stat().st_size > 10_000
    # another time without a course: its pictures do not stay behind
    optics = DEEP_STORM3D_TETRAPOD.name
    designs.write(optics, tmp_path / "mask", overwrite=True, depths=3)
    assert not (tmp_path / "mask" / COURSE[1]).exists()


def test_a_descent_needs_a_bound(tmp_path):
    unbound = {**DEEP_STORM3D_LEARNED.objective.optics_options, "bound_weight": 0.0}
    recipe = reduced(BOUND, objective__optics_options=unbound)
    with pytest.raises(ValueError, match="needs optics with a bound_weight"):
        train(recipe, budget="smoke", run_folder=tmp_path / "run")


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
