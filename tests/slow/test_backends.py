"""TensorFlow and JAX compute the same thing."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from zoo import catalog
from zoo.core.random import generator

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
RECIPES = catalog.recipes()
every_recipe = pytest.mark.parametrize("recipe", RECIPES.values(), ids=RECIPES)

STEP = """
import sys
from pathlib import Path
import keras, numpy as np
from zoo import catalog

folder, recipe = Path(sys.argv[1]), catalog.recipe(sys.argv[2])
model = keras.saving.load_model(folder / "start.keras", compile=False)
data = np.load(folder / "data.npz")
loss = recipe.objective.loss
found = {
    "inferred": keras.ops.convert_to_numpy(model(data["frames"], training=False)),
    "trained": keras.ops.convert_to_numpy(model(data["frames"], training=True)),
}
found["loss"] = keras.ops.convert_to_numpy(loss(data["targets"], found["inferred"]))
model.compile(
    optimizer=keras.optimizers.SGD(1e-2),
    loss=lambda target, prediction: loss(target, prediction),
    jit_compile=keras.config.backend() == "jax",
)
found["step_loss"] = np.asarray(model.train_on_batch(data["frames"], data["targets"]))
for number, weight in enumerate(model.weights):
    found[f"weight_{number:03d}"] = np.asarray(weight)
np.savez(folder / f"{keras.config.backend()}.npz", **found)
print("complete", keras.config.backend())
"""

WORKERS = """
import json, sys
from pathlib import Path
import keras, numpy as np
from zoo import catalog
from zoo.train.run import train

folder, recipe = Path(sys.argv[1]), catalog.recipe(sys.argv[2])
smoke = recipe.budgets["smoke"]
stage = smoke.stages[-1].model_copy(update={"epochs": 2, "steps": 4, "batch_size": 4})
weights = []
if __name__ == "__main__":
    for workers in (1, 2):
        budget = smoke.model_copy(
            update={"stages": (stage,), "workers": workers, "validation_samples": 0}
        )
        path = train(
            recipe.override(budgets={"smoke": budget}),
            budget="smoke",
            run_folder=folder / str(workers),
        )
        weights.append(keras.saving.load_model(path, compile=False).get_weights())
    for one, two in zip(*weights, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-4, atol=1e-5)
    print("complete", keras.config.backend())
"""


@pytest.fixture(scope="module")
def jax_python() -> str:
    """Return a Python that imports JAX: the one stated, or this one."""
    stated = os.environ.get("SUPERRES_ZOO_JAX_PYTHON", sys.executable)
    found = subprocess.run(
        [stated, "-c", "import jax, pydantic, scipy, h5py, tifffile"],
        capture_output=True,
        check=False,
    )
    if found.returncode:
        pytest.skip(
            f"{stated} does not import JAX and what training needs; "
            "SUPERRES_ZOO_JAX_PYTHON names a Python that does"
        )
    return stated


def call(python: str, script: str, *arguments: str, backend: str) -> None:
    done = subprocess.run(
        [python, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
        timeout=900,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith(f"complete {backend}\n")


@pytest.mark.tensorflow
@every_recipe
def test_outputs_losses_and_steps_agree(recipe, jax_python, tmp_path):
    keras.utils.set_random_seed(5)
    model = recipe.network.build(**recipe.options | recipe.training_options)
    rng = np.random.default_rng(5)
    for weight in model.weights:
        if weight.path.endswith("moving_variance"):
            weight.assign(rng.uniform(0.05, 0.5, weight.shape))
    model.save(tmp_path / "start.keras")
    small = recipe.override(**recipe.budgets["smoke"].stages[-1].changes).source
    pairs = [small.sample(generator(6, index)) for index in range(4)]
    np.savez(
        tmp_path / "data.npz",
        frames=np.stack([pair[0] for pair in pairs]),
        targets=np.stack([pair[1] for pair in pairs]),
    )
    call(sys.executable, STEP, str(tmp_path), recipe.name, backend="tensorflow")
    call(jax_python, STEP, str(tmp_path), recipe.name, backend="jax")
    tensorflow, jax = (np.load(tmp_path / f"{n}.npz") for n in ("tensorflow", "jax"))
    assert set(tensorflow.files) == set(jax.files)
    for name in ("inferred", "trained", "loss", "step_loss"):
        expected = tensorflow[name]
        assert np.isfinite(expected).all()
        difference = np.abs(jax[name] - expected).max()
        assert difference <= 1e-4 * np.abs(expected).max(), name
    # the same step, too: sums of float32 over batch and pixels in another order
    start = [np.array(np.asarray(weight)) for weight in model.weights]
    for number, before in enumerate(start):
        name = f"weight_{number:03d}"
        moved = tensorflow[name] - before
        assert np.abs(moved).max() > 0, model.weights[number].path
        difference = np.abs(jax[name] - tensorflow[name]).max()
        assert difference <= 5e-3 * np.abs(moved).max() + 1e-6, model.weights[
            number
        ].path


def test_simulating_in_processes_changes_nothing(jax_python, tmp_path):
    recipe = "deep_storm_fast_microtubules"
    call(jax_python, WORKERS, str(tmp_path), recipe, backend="jax")
