"""Notebooks run from top to bottom, as Jupyter runs them, with smoke parameters.

The one that only predicts runs always; those that train are slow.  A stub stands in for
Colab.
"""

import json
import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")
pytest.importorskip("pandas")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
QUICK = {"predict"}
STAGE = '{"epochs":1,"steps":4,"batch_size":1,"changes":{"source__crop_px":32}}'
SMALLER = (
    "test_set.images=1 test_set.photon_levels=[15,600] "
    f"'budgets.smoke.stages=[{STAGE}]'"
)
PARAMETERS = {
    'budget = "gpu"': 'budget = "smoke"',
    "frames = 100": "frames = 4",
    "frames = 40": "frames = 4",
    "images = 2": "images = 1",
    # instead of 90 images and three stages, each compiled anew
    'changes = ""': f"changes = {SMALLER!r}",
}
STUB = """
import sys, types
colab = types.ModuleType("google.colab")
colab.files = types.SimpleNamespace(download=lambda path: print("download", path))
sys.modules["google.colab"] = colab
try:
    import google.protobuf  # other packages live in this name, too
except ModuleNotFoundError:
    sys.modules["google"] = types.ModuleType("google")
sys.modules["google"].colab = colab
"""


def one(path):
    """Return a notebook as a parameter of a test."""
    marks = [] if path.stem in QUICK else [pytest.mark.slow]
    return pytest.param(path, id=path.stem, marks=marks)


def smoke(path):
    """Return a notebook without installation, with a stub and small numbers."""
    made = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(made)
    for cell in made.cells:
        if cell.cell_type == "code":
            for text, other in PARAMETERS.items():
                cell.source = cell.source.replace(text, other)
    made.cells = [c for c in made.cells if "!pip install" not in c.source]
    made.cells.insert(0, nbformat.v4.new_code_cell(STUB))
    return made


def kernel(folder):
    """Write the description of a kernel in this very Python; return its folder."""
    place = folder / "kernels" / "tests"
    place.mkdir(parents=True)
    words = [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    described = {"argv": words, "display_name": "tests", "language": "python"}
    (place / "kernel.json").write_text(json.dumps(described), encoding="utf-8")
    return folder


@pytest.mark.parametrize(
    "path", [one(path) for path in sorted(NOTEBOOKS.glob("*.ipynb"))]
)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    monkeypatch.setenv("JUPYTER_PATH", str(kernel(tmp_path / "jupyter")))
    made = smoke(path)
    client = nbclient.NotebookClient(
        made,
        timeout=None,  # a machine may be slow
        kernel_name="tests",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    shown = json.dumps(made.cells)
    assert "image/png" in shown, "no figure was shown"
    assert "download " in shown
    (result,) = tmp_path.glob("superres-zoo-*/result")
    files = {file.name for file in result.iterdir()}
    assert {"preview.png", "report.json"} <= files
    for name in files:
        assert name in shown, f"{name} is not handed over"
