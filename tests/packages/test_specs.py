"""Every folder in ``specs/`` is true."""

import json
from pathlib import Path

import numpy as np
import pytest
import tifffile
from PIL import Image

from zoo.io.packages import Package
from zoo.package.archive import sha256
from zoo.package.card import find_metric
from zoo.package.compare import relative_error
from zoo.package.document import (
    check_generated,
    drifted,
    missing_sections,
    unwritten_sections,
)
from zoo.package.rules import java_arithmetic, plain_style
from zoo.package.source import declared_recipe
from zoo.package.verify import verify
from zoo.predict.predictor import Predictor

ROOT = Path(__file__).parents[2]
SPECS = sorted(path.parent for path in (ROOT / "specs").glob("*/rdf.yaml"))
FILES = {
    "README.md",
    "cover.png",
    "metrics.json",
    "model.onnx",
    "rdf.yaml",
    "recipe.json",
    "sample_input.tif",
    "sample_output.tif",
    "test_input.npy",
    "test_output.npy",
    "weights.keras",
}
MIB = 2**20

each = pytest.mark.parametrize("folder", SPECS, ids=lambda path: path.name)


@each
def test_files_and_sizes(folder):
    assert {path.name for path in folder.iterdir()} == FILES
    assert (folder / "weights.keras").stat().st_size <= 24 * MIB
    assert (folder / "model.onnx").stat().st_size <= 24 * MIB
    assert (folder / "cover.png").stat().st_size < 500_000


def test_all_packages_together_stay_small():
    total = sum(p.stat().st_size for p in (ROOT / "specs").rglob("*") if p.is_file())
    assert total < 110 * MIB


@each
def test_description_is_read_alike_by_all_consumers(folder):
    rdf = Package(folder).rdf
    assert plain_style(rdf) == []
    assert java_arithmetic(rdf) == []
    assert rdf["id"] == folder.name
    assert set(rdf["weights"]) == {"keras_v3", "onnx"}


@each
def test_hashes(folder):
    package = Package(folder)
    for entry in package.weights:
        assert package.weights_path(entry).is_file()
    for tensor in (*package.inputs, *package.outputs):
        for key in ("test_tensor", "sample_tensor"):
            file = tensor[key]
            assert sha256(folder / file["source"]) == file["sha256"]


@each
def test_generated_files_have_not_drifted(folder):
    assert drifted(folder) == []


def test_nothing_in_the_checkout_has_drifted():
    assert check_generated(ROOT) == []


@each
def test_readme_is_complete(folder):
    text = (folder / "README.md").read_text(encoding="utf-8")
    assert missing_sections(text) == []
    assert unwritten_sections(text) == []


@each
def test_scores_reach_what_the_recipe_requires(folder):
    recipe = declared_recipe(folder.name)
    assert recipe is not None
    assert recipe.acceptance
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    values = {
        bound.metric: find_metric(metrics, bound.metric) for bound in recipe.acceptance
    }
    missed = {
        bound.metric: values[bound.metric]
        for bound in recipe.acceptance
        if values[bound.metric] is None or not bound.holds(float(values[bound.metric]))
    }
    assert missed == {}


@each
def test_samples_and_cover_show_the_test_tensors(folder):
    package = Package(folder)
    for kind, tensor in (
        ("input", package.test_input()),
        ("output", package.test_output()),
    ):
        sample = tifffile.imread(folder / f"sample_{kind}.tif")
        planes = np.moveaxis(tensor[0], -1, 0)
        assert np.array_equal(sample, planes if len(planes) > 1 else planes[0])
    with Image.open(folder / "cover.png") as cover:
        assert cover.size[0] == 2 * cover.size[1]


@each
def test_predictor_reproduces_the_test_output(folder):
    package = Package(folder)
    model = Predictor(package, engine="onnx", normalization="frame", error_map=False)
    pixel_nm = package.zoo["training"]["pixel_size_nm"][0]

    result = model.predict(package.test_input(), pixel_size_nm=pixel_nm)

    assert result.warnings == []
    found = result.image

    expected = np.squeeze(package.test_output())
    assert relative_error(np.squeeze(found), expected) < 1e-4


@each
@pytest.mark.slow
@pytest.mark.tensorflow
def test_verification_passes(folder):
    report = verify(folder)
    assert report.failed == [], "\n".join(map(str, report.rows))
