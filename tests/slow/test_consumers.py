"""The programs that people will open the packages with, run for real.

Each has a script under ``consumers/``, which also can be run by hand.  They install
what they need into a cache folder; where the package registries cannot be reached the
test is skipped, for no other reason.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from zoo.package.zips import zip_folder

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

ROOT = Path(__file__).parents[2]
CONSUMERS = Path(__file__).parent / "consumers"
SCRIPTS = sorted(p.stem for p in CONSUMERS.glob("[!_]*.py"))
PACKAGES = sorted(p.parent.name for p in (ROOT / "specs").glob("*/rdf.yaml"))
SKIPPED = 77
BUILD = """
import sys
from zoo.package.build import build_package

formats = ("keras", "onnx", "saved_model")
build_package(sys.argv[1], sys.argv[2], formats=formats, score=False)
"""


@pytest.fixture(scope="module")
def distributables(tmp_path_factory):
    """Return a function that builds a package with all weights, once."""
    folder = tmp_path_factory.mktemp("packages")

    def build(name):
        if not (folder / name).is_dir():
            _run(
                "-c", BUILD, str(ROOT / "specs" / name), str(folder)
            ).check_returncode()
        return folder / name, folder / f"{name}.zip"

    return build


def consume(script, *paths):
    """Run a script; return its exit status and what it printed."""
    done = _run(str(CONSUMERS / f"{script}.py"), *map(str, paths))
    if done.returncode == SKIPPED:
        pytest.skip(done.stdout.strip().splitlines()[-1])
    return done.returncode, done.stdout


def _run(*arguments):
    """Run Python in a process of its own: the official tools leave files open."""
    done = subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=1800,
    )
    print(done.stdout)
    return done


def test_there_is_a_script_for_each_consumer():
    assert SCRIPTS == [
        "bioimageio_core",
        "onnx_node",
        "onnx_web",
        "tensorflow27",
        "zoo_service",
    ]


@pytest.mark.parametrize("script", SCRIPTS)
@pytest.mark.parametrize("name", PACKAGES)
def test_consumer_gives_the_test_output(distributables, name, script):
    folder, archive = distributables(name)
    status, said = consume(script, folder, archive)
    assert status == 0, said
    judged = [line for line in said.splitlines() if "max error" in line]
    per_package = 3 if script in ("bioimageio_core", "zoo_service") else 1
    assert len(judged) == 2 * per_package


@pytest.mark.parametrize("script", [s for s in SCRIPTS if s != "zoo_service"])
@pytest.mark.parametrize("name", PACKAGES[:1])
def test_a_wrong_output_is_noticed(distributables, tmp_path, name, script):
    folder, _ = distributables(name)
    spoilt = shutil.copytree(folder, tmp_path / name)
    output = np.load(folder / "test_output.npy")
    output.flat[output.size // 2] += 0.05 * output.max()
    np.save(spoilt / "test_output.npy", output)
    status, said = consume(script, zip_folder(spoilt, tmp_path / "spoilt.zip"))
    assert status == 1, said
