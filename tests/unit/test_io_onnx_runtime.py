"""ONNX Runtime tells nobody what is computed on a machine, and leaves no mark on it."""

import os
import subprocess
import sys

import pytest

from zoo.verify.isolated import _environment

PROGRAM = """
import sys
import numpy as np
import zoo
model = zoo.load(sys.argv[1], engine="onnx")
model.predict(np.random.default_rng(0).random((2, 48, 48)), pixel_size_nm=100)
"""


def marks(folder, small_package, **settings):
    """Predict with `folder` as home and for temporary files; return what is there."""
    places = ("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME")
    env = os.environ | dict.fromkeys(places, str(folder)) | settings
    env |= {"SUPERRES_ZOO_CACHE": str(folder / "zoo")}
    subprocess.run(
        [sys.executable, "-c", PROGRAM, str(small_package)], env=env, check=True
    )
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


@pytest.mark.skipif(sys.platform != "linux", reason="keeps its numbers elsewhere")
def test_a_prediction_leaves_no_number_of_the_machine(tmp_path, small_package):
    assert marks(tmp_path, small_package) == []


def test_processes_that_check_packages_are_silent_too(tmp_path):
    assert _environment(tmp_path)["ORT_DISABLE_TELEMETRY"] == "1"
