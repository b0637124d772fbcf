"""Training needs neither TensorFlow nor the programs around bioimage.io.

A borrowed machine with a GPU has JAX, NumPy, SciPy, pandas, tifffile and h5py, and is
given Keras and pydantic.  The other half of the project's requirements is refused here.
"""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BLOCKED = """
import sys

ABSENT = {
    "tensorflow", "tf2onnx", "onnx", "onnxruntime", "bioimageio", "pooch", "yaml",
    "skimage", "matplotlib", "platformdirs", "requests",
}


class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ABSENT:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


sys.meta_path.insert(0, Absent())
"""

# Keras' NumPy backend imports JAX for a few functions that no test here calls
STAND_IN = """
import importlib.machinery
from unittest.mock import MagicMock


class Loader:
    def create_module(self, spec):
        return MagicMock(name=spec.name)

    def exec_module(self, module):
        module.__path__ = []


class StandIn:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("jax", "jaxlib"):
            return importlib.machinery.ModuleSpec(name, Loader(), is_package=True)


sys.meta_path.insert(1, StandIn())
"""

IMPORT_ALL = """
import importlib, pkgutil

names = []
for half in (
    "core", "physics", "layers", "models", "simulate", "metrics", "inputs", "tasks",
    "test_sets", "objectives", "recipes", "train",
):
    package = importlib.import_module(f"zoo.{half}")
    names.append(package.__name__)
    for entry in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
        importlib.import_module(entry.name)
        names.append(entry.name)
importlib.import_module("zoo.losses")
assert len(names) > 20, names
assert not ABSENT & {name.partition(".")[0] for name in sys.modules}
"""

BUILD_ALL = """
import math
import keras
from zoo import catalog
from zoo.core.random import generator

assert keras.config.backend() == "numpy"
for network in catalog.networks().values():
    model = network.build()
    counted = sum(math.prod(weight.shape) for weight in model.trainable_weights)
    assert counted == network.parameters, network.name
for recipe in catalog.recipes().values():
    frame, target = recipe.source.sample(generator(1))
    assert frame.dtype == target.dtype == "float32"
    recording = recipe.source.record(generator(1), frames=1)
    # exposures are pages, or channels of one
    exposures = recording.counts.shape[-1 if recording.letters[-1] == "c" else 0]
    # a movie has one per frame, and its neighbours are the other channels
    slides = recipe.contract.input.kind == "movie_frames"
    assert exposures == (1 if slides else len(recipe.contract.grid.channels))
    assert recipe.override(**recipe.budgets["smoke"].stages[0].changes)
print("complete")
"""

TRAIN = """
import json
from pathlib import Path
import keras, numpy as np
from zoo import catalog
from zoo.train.run import train

assert keras.config.backend() == "jax"
for name, recipe in catalog.recipes().items():
    smoke = recipe.budgets["smoke"]
    stages = tuple(
        stage.model_copy(update={"epochs": 1, "steps": 1, "batch_size": 2})
        for stage in (smoke.stages[0], smoke.stages[-1])
    )
    short = recipe.override(
        budgets={"smoke": smoke.model_copy(update={"stages": stages})}
    )
    path = train(short, budget="smoke", run_folder=Path(sys.argv[1]) / name)
    run = json.loads((path.parent / "run.json").read_text())
    assert run["finished"] and run["steps"] == 2 and run["backend"] == "jax", run
    weights = keras.saving.load_model(path, compile=False).get_weights()
    assert all(np.isfinite(weight).all() for weight in weights)
assert not ABSENT & {name.partition(".")[0] for name in sys.modules}
print("complete")
"""


def python_with_jax() -> str | None:
    """Return a Python that imports JAX and Keras: the one stated, or this one."""
    stated = os.environ.get("SUPERRES_ZOO_JAX_PYTHON", sys.executable)
    found = subprocess.run(
        [stated, "-c", "import jax, pydantic, scipy, h5py, tifffile"],
        capture_output=True,
        check=False,
    )
    return stated if found.returncode == 0 else None


def call(python: str, script: str, *arguments: str, backend: str) -> None:
    done = subprocess.run(
        [python, "-c", script, *arguments],
        cwd=ROOT,
        env={**os.environ, "KERAS_BACKEND": backend, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.endswith("complete\n")


def test_the_training_half_imports_and_builds_without_tensorflow():
    call(
        sys.executable,
        BLOCKED + STAND_IN + IMPORT_ALL + BUILD_ALL,
        backend="numpy",
    )


def test_what_is_blocked_is_missed():
    # the test above can fail: the packaging half needs what is refused there
    with pytest.raises(AssertionError, match="No module named 'yaml'"):
        call(
            sys.executable,
            BLOCKED + "import zoo.package.describe",
            backend="numpy",
        )


@pytest.mark.slow
def test_the_training_half_trains_with_jax_alone(tmp_path):
    python = python_with_jax()
    if python is None:
        pytest.skip("JAX is not installed; SUPERRES_ZOO_JAX_PYTHON names a Python")
    call(python, BLOCKED + IMPORT_ALL + TRAIN, str(tmp_path), backend="jax")
