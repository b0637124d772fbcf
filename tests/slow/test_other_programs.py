"""Programs that read our tables and images, each in a Python of its own.

``ZOO_LOCAN_PYTHON`` and ``ZOO_NAPARI_PYTHON`` name interpreters that have locan and
napari, as ``ZOO_PICASSO_PYTHON`` in `tests/unit/test_io_picasso.py` does; ImageJ is
Debian's ``imagej`` under ``xvfb-run``.
"""

import os
import shutil
import subprocess

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.io.tables import write_localizations
from zoo.io.write import write_ome_tiff

pytestmark = pytest.mark.slow

LOCAN = """
import sys
import locan
data = locan.load_thunderstorm_file(sys.argv[1]).data
names = ["position_x", "position_y", "frame", "uncertainty", "intensity"]
print([name for name in data.columns])
print(len(data), *(float(data[name].sum()) for name in names[:3]))
print(float(data[[c for c in data.columns if c.startswith("uncertainty")][0]].sum()))
"""
NAPARI = """
import sys
from napari_builtins.io import napari_get_reader
layers = napari_get_reader(sys.argv[1])(sys.argv[1])
print(*layers[0][0].shape)
"""
IMAGEJ = """
open(getArgument());
getPixelSize(unit, width, height);
print(nSlices, getWidth(), unit, width);
run("Quit");
"""


def interpreter(variable):
    """Return the Python that a variable names, or skip."""
    python = os.environ.get(variable)
    if not python:
        pytest.skip(f"{variable} names no Python")
    return python


def run(*words):
    """Return the lines that a program prints."""
    environment = {**os.environ, "QT_QPA_PLATFORM": "offscreen"}
    environment.pop("PYTHONPATH", None)
    done = subprocess.run(
        [str(word) for word in words],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=600,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()


def test_locan_reads_the_table(tmp_path):
    python = interpreter("ZOO_LOCAN_PYTHON")
    rng = np.random.default_rng(3)
    table = Localizations(
        x_nm=rng.uniform(0, 6400, 20),
        y_nm=rng.uniform(0, 6400, 20),
        frame=np.sort(rng.integers(1, 9, 20)),
        uncertainty_nm=rng.uniform(5, 30, 20),
        response=np.ones(20),
    )
    write_localizations(tmp_path / "localizations.csv", table)
    _, sums, uncertainty = run(python, "-c", LOCAN, tmp_path / "localizations.csv")[-3:]
    count, x, y, _ = map(float, sums.split())
    assert count == 20
    assert x == pytest.approx(table.x_nm.sum(), abs=0.1)
    assert y == pytest.approx(table.y_nm.sum(), abs=0.1)
    assert float(uncertainty) == pytest.approx(table.uncertainty_nm.sum(), abs=0.1)


def _image(path):
    image = np.arange(24 * 32, dtype=np.float32).reshape(24, 32)
    write_ome_tiff(path, image, pixel_size_nm={"y": 12.5, "x": 12.5}, axes="yx")
    return path


def test_napari_reads_the_image(tmp_path):
    python = interpreter("ZOO_NAPARI_PYTHON")
    lines = run(python, "-c", NAPARI, _image(tmp_path / "reconstruction.ome.tif"))
    assert lines[-1].split()[-2:] == ["24", "32"]


def test_imagej_knows_the_pixel(tmp_path):
    if not (shutil.which("imagej") and shutil.which("xvfb-run")):
        pytest.skip("imagej or xvfb-run is not installed")
    macro = tmp_path / "open.ijm"
    macro.write_text(IMAGEJ, encoding="utf-8")
    image = _image(tmp_path / "reconstruction.ome.tif")
    line = run("xvfb-run", "-a", "imagej", "-b", macro, image)[-1]
    slices, width, unit, edge = line.split()
    assert (slices, width) == ("1", "32")
    factor = {"nm": 1.0, "micron": 1e3, "um": 1e3, "µm": 1e3, "cm": 1e7, "mm": 1e6}
    assert float(edge) * factor[unit] == pytest.approx(12.5, rel=1e-3)
