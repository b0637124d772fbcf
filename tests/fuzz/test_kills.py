"""Programs ended at any instant leave nothing half-done, and no process behind.

The instants are drawn with a seed, as parts of the time that the program takes
undisturbed; where a machine is faster or slower, they fall elsewhere, and nothing may
depend on where.
"""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest
import tifffile

from zoo.core import claims

pytestmark = [pytest.mark.slow, pytest.mark.tensorflow]

TOYS = Path(__file__).parents[1] / "data" / "recipes"
PROGRAM = """
import sys
from zoo.__main__ import be_stoppable, main
be_stoppable()
print("ready", flush=True)
import zoo.recipes
zoo.recipes.__path__.append(sys.argv.pop(1))
main()
"""
SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
TIMES = {"predict": 6, "train": 3, "package": 2}
"""How often each program is ended with each signal."""


def start(*words):
    """Start a program; return when Python itself has started."""
    command = [sys.executable, "-c", PROGRAM, str(TOYS), *map(str, words)]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def undisturbed(*words):
    """Run a program to its end; return how long it takes, s."""
    process = start(*words)
    begun = time.monotonic()
    _, err = process.communicate()
    assert process.returncode == 0, err
    return time.monotonic() - begun


def ended(ending, seconds, *words):
    """End a program after some time, and wait for its children; return its status."""
    process = start(*words)
    time.sleep(seconds)
    try:
        children = psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:  # it was faster this time
        children = []
    process.send_signal(ending)
    _, err = process.communicate()
    _, alive = psutil.wait_procs(children, timeout=60)
    assert not alive
    assert "Traceback" not in err
    if ending != signal.SIGKILL and process.returncode:
        assert process.returncode == 1
        assert err.strip().count("\n") == 0
        assert "interrupted" in err
    return process.returncode


def contents(folder):
    """Return all files of a folder; reports name times and places."""
    return {
        path.relative_to(folder).as_posix(): (
            None if path.name == "report.json" else path.read_bytes()
        )
        for path in folder.rglob("*")
        if path.is_file()
    }


def instants(program, ending):
    rng = np.random.default_rng([len(program), int(ending)])
    return rng.uniform(0.0, 1.0, TIMES[program])


def no_leftovers(folder):
    claims.living(folder)  # as the next start in the same folder does
    assert not [path for path in folder.rglob(".*") if "cache" not in path.parts]


@pytest.fixture(scope="module")
def movie(tmp_path_factory, small_package):
    """The command that predicts a movie, its result, and the time that it takes."""
    folder = tmp_path_factory.mktemp("movie")
    rng = np.random.default_rng(0)
    counts = rng.poisson(100, (60, 48, 48)).astype(np.uint16)
    path = folder / "a.tif"
    tifffile.imwrite(path, counts, photometric="minisblack")
    words = ["predict", small_package, path, "--pixel-size-nm", "100", "-o"]
    seconds = undisturbed(*words, folder / "whole")
    return words, contents(folder / "whole"), seconds


@pytest.mark.parametrize("ending", SIGNALS)
def test_predict(movie, ending, tmp_path):
    words, whole, seconds = movie
    for number, part in enumerate(instants("predict", ending)):
        out = tmp_path / f"out-{number}"
        ended(ending, part * seconds, *words, out)
        if out.exists():  # it was done already
            assert contents(out) == whole
        undisturbed(*words, out, "--overwrite")
        assert contents(out) == whole
        no_leftovers(tmp_path)


@pytest.mark.parametrize("ending", SIGNALS)
def test_predict_over_an_older_result(movie, ending, tmp_path):
    words, whole, seconds = movie
    out = tmp_path / "out"
    older = {name: None if name == "report.json" else b"older" for name in whole}
    for part in instants("predict", ending):
        out.mkdir(exist_ok=True)
        for name in older:
            (out / name).write_bytes(b"older")
        ended(ending, part * seconds, *words, out, "--overwrite")
        assert contents(out) in (older, whole)
        assert ((out / "report.json").read_bytes() == b"older") == (
            contents(out) == older
        )
    undisturbed(*words, out, "--overwrite")
    assert contents(out) == whole
    no_leftovers(tmp_path)


@pytest.fixture(scope="module")
def training(tmp_path_factory):
    """A finished training, and the time that it takes."""
    folder = tmp_path_factory.mktemp("training") / "whole"
    words = ["train", "tiny_noise", "--budget", "smoke", "-o"]
    seconds = undisturbed(*words, folder)
    return words, folder, seconds


def weights(folder):
    import keras

    path = folder / "weights.keras"
    return keras.saving.load_model(path, compile=False).get_weights()


@pytest.mark.parametrize("ending", SIGNALS)
def test_train(training, ending, tmp_path):
    words, whole, seconds = training
    for number, part in enumerate(instants("train", ending)):
        run = tmp_path / f"run-{number}"
        ended(ending, part * seconds, *words, run)
        if (run / "run.json").exists():
            undisturbed("train", "--resume", run)
        else:
            undisturbed(*words, run)
        assert set(contents(run)) == set(contents(whole))
        for one, other in zip(weights(run), weights(whole), strict=True):
            np.testing.assert_array_equal(one, other)
        assert json.loads((run / "run.json").read_text())["finished"]


@pytest.fixture(scope="module")
def packaging(training, tmp_path_factory):
    """The command that packages a training, what it writes, and its time."""
    folder = tmp_path_factory.mktemp("packaging") / "whole"
    words = ["package", training[1], "--formats", "keras,onnx", "-o"]
    seconds = undisturbed(*words, folder)
    return words, contents(folder), seconds


@pytest.mark.parametrize("ending", SIGNALS)
def test_package(packaging, ending, tmp_path, monkeypatch):
    words, whole, seconds = packaging
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setenv("TMPDIR", str(temporary))
    for number, part in enumerate(instants("package", ending)):
        out = tmp_path / f"out-{number}"
        ended(ending, part * seconds, *words, out)
        done = contents(out) if out.exists() else {}
        visible = {name for name in done if not name.startswith(".")}
        assert visible <= set(whole)
        folder = {name for name in whole if "/" in name}
        assert not visible & folder or folder <= visible  # all of it or nothing
    # one that runs to its end sweeps what the others left, also what checks wrote
    out = tmp_path / f"out-{TIMES['package'] - 1}"
    undisturbed(*words, out, "--overwrite")
    assert contents(out) == whole
    no_leftovers(out)
    no_leftovers(temporary)
