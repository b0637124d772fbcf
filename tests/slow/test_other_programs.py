"""Programs that read our tables and images, each in a Python of its own.

``ZOO_LOCAN_PYTHON`` and ``ZOO_NAPARI_PYTHON`` name interpreters that have locan and
napari, as ``ZOO_PICASSO_PYTHON`` in `tests/unit/test_io_picasso.py` does; ImageJ is
Debian's ``imagej`` under ``xvfb-run``.
"""

import re
import shutil
from ast import literal_eval
from pathlib import Path

import numpy as np
import pytest
import tifffile
from foreign import interpreter, run

from zoo.core.localizations import Localizations
from zoo.io.tables import write_localizations
from zoo.io.write import write_imagej_tiff, write_ome_tiff

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


DEEPIMAGEJ = r'run\("DeepImageJ Run", .*\);'
ENLARGE = """
run("Scale...", "x=8 y=8 interpolation=None create title=output");
run("32-bit");
"""
SAVE = """
print(nImages, bitDepth());
saveAs("Tiff", "%s");
run("Quit");
"""
FIJI = Path(__file__).parents[2] / "docs" / "fiji.md"


def test_locan_reads_the_table(tmp_path):
    python = interpreter("ZOO_LOCAN_PYTHON")
    rng = np.random.default_rng(3)
    table = Localizations(
        x_nm=rng.uniform(0, 6400, 20),
        y_nm=rng.uniform(0, 6400, 20),
        frame=np.sort(rng.integers(1, 9, 20)),
        sigma_nm=rng.uniform(100, 150, 20),
        photons=rng.uniform(300, 3000, 20),
        background_photons=rng.uniform(10, 30, 20),
        noise_photons=rng.uniform(3, 6, 20),
        uncertainty_nm=rng.uniform(5, 30, 20),
        response=np.ones(20),
    )
    write_localizations(tmp_path / "localizations.csv", table)
    names, sums, uncertainty = run(python, "-c", LOCAN, tmp_path / "localizations.csv")[
        -3:
    ]
    assert {"intensity", "local_background", "psf_sigma"} <= set(literal_eval(names))
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


def imagej(macro, path):
    """Return the lines that a macro prints which ImageJ runs on a file, or skip."""
    if not (shutil.which("imagej") and shutil.which("xvfb-run")):
        pytest.skip("imagej or xvfb-run is not installed")
    place = path.with_name("macro.ijm")
    place.write_text(macro, encoding="utf-8")
    # Debian's script ends with 1 after a macro that quits
    return run("xvfb-run", "-a", "imagej", "-b", place, path, codes=(0, 1))


NM = {"nm": 1.0, "micron": 1e3, "um": 1e3, "µm": 1e3, "cm": 1e7, "mm": 1e6}


def test_imagej_knows_the_pixel(tmp_path):
    line = imagej(IMAGEJ, _image(tmp_path / "reconstruction.ome.tif"))[-1]
    slices, width, unit, edge = line.split()
    assert (slices, width) == ("1", "32")
    assert float(edge) * NM[unit] == pytest.approx(12.5, rel=1e-3)


def test_imagej_runs_the_macro_of_the_page_on_fiji(tmp_path):
    """An enlargement stands for the network, which plain ImageJ cannot run."""
    (text,) = re.findall(
        r"```ijm\n(.*?)```", FIJI.read_text(encoding="utf-8"), re.DOTALL
    )
    macro, count = re.subn(DEEPIMAGEJ, ENLARGE, text)
    assert count == 1
    movie, density = tmp_path / "movie.tif", tmp_path / "density.tif"
    frames = np.random.default_rng(0).integers(0, 1000, (5, 6, 7)).astype(np.uint16)
    write_imagej_tiff(movie, frames, pixel_size_nm=100.0)
    lines = imagej(f"open(getArgument());\n{macro}{SAVE % density}", movie)
    assert "1 32" in [line.strip() for line in lines]
    with tifffile.TiffFile(density) as file:
        summed = file.asarray()
        pixels, length = file.pages[0].tags["XResolution"].value
        unit = file.imagej_metadata["unit"]
    np.testing.assert_array_equal(summed, np.kron(frames.sum(0), np.ones((8, 8))))
    edge_nm = length / pixels * NM[unit.replace("\\u00B5", "µ")]
    assert edge_nm == pytest.approx(12.5, rel=1e-3)
