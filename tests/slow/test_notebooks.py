"""Every notebook runs from top to bottom, as Jupyter runs it, with smoke parameters.

Needs the extra ``notebooks``; a stub stands in for Colab.
"""

import json
import os
import sys
from pathlib import Path

import pytest

nbformat = pytest.importorskip("nbformat")
nbclient = pytest.importorskip("nbclient")
pytest.importorskip("ipykernel")

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"
PARAMETERS = {
    'budget = "gpu"': 'budget = "smoke"',
    "frames = 100": "frames = 4",
    "frames = 40": "frames = 4",
    "images = 2": "images = 1",
}
STUB = """
import sys, types
import google.protobuf  # other packages live in this name, too
colab = types.ModuleType("google.colab")
colab.files = types.SimpleNamespace(download=lambda path: print("download", path))
sys.modules["google.colab"] = google.colab = colab
"""

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    "path", sorted(NOTEBOOKS.glob("*.ipynb")), ids=lambda path: path.stem
)
def test_a_notebook_runs(path, tmp_path, monkeypatch):
    monkeypatch.setenv("KERAS_BACKEND", os.environ.get("KERAS_BACKEND", "tensorflow"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "3")
    made = nbformat.reads(path.read_text(encoding="utf-8"), as_version=4)
    nbformat.validate(made)
    for cell in made.cells:
        if cell.cell_type == "code":
            for text, other in PARAMETERS.items():
                cell.source = cell.source.replace(text, other)
    made.cells = [c for c in made.cells if "!pip install" not in c.source]
    made.cells.insert(0, nbformat.v4.new_code_cell(STUB))
    kernel = {
        "argv": [sys.executable, "-m", "ipykernel_launcher", "-f", "{connection_file}"],
        "display_name": "tests",
        "language": "python",
    }
    place = tmp_path / "jupyter" / "kernels" / "tests"
    place.mkdir(parents=True)
    (place / "kernel.json").write_text(json.dumps(kernel), encoding="utf-8")
    monkeypatch.setenv("JUPYTER_PATH", str(tmp_path / "jupyter"))
    client = nbclient.NotebookClient(
        made,
        timeout=1800,
        kernel_name="tests",
        resources={"metadata": {"path": str(tmp_path)}},
    )
    client.execute()
    shown = json.dumps(made.cells)
    assert "image/png" in shown, "no figure was shown"
    assert "download " in shown
    assert list(tmp_path.rglob("preview.png"))
