"""From declaration to score: five toy recipes that no module of ``zoo`` knows.

Each is trained, packaged, predicted whole and in tiles, and scored; in the slow run
also killed and resumed, as `tests/unit/test_train.py` has it, and verified by the
official tool in every format, as `tests/unit/test_verify.py` has it of a package of
this project.
"""

import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from zoo import catalog
from zoo.core.formats import FORMATS
from zoo.core.test_set import find_metric
from zoo.evaluate.scoring import score_package
from zoo.package.build import build_package
from zoo.predict.predictor import Predictor
from zoo.train.run import train

TOYS = Path(__file__).parents[1] / "data" / "recipes"
NAMES = [
    "toy_adversarial_dots",
    # their kinds of input and output have published packages, which are tested, too
    pytest.param("toy_table_lines", marks=pytest.mark.slow),
    pytest.param("toy_depth_astigmatism", marks=pytest.mark.slow),
    pytest.param("toy_regions_gaussian", marks=pytest.mark.slow),
    pytest.param("toy_volume_points", marks=pytest.mark.slow),
]
TRAINING = """
import sys
from pathlib import Path
import zoo.recipes
zoo.recipes.__path__.append(sys.argv[1])
from zoo import catalog
from zoo.train.run import train
train(
    catalog.recipe(sys.argv[2]), budget="smoke", run_folder=Path(sys.argv[3]),
    progress=lambda done, *_: print(done, flush=True),
)
"""

pytestmark = pytest.mark.tensorflow


@pytest.fixture(scope="module", params=NAMES)
def recipe(request):
    request.getfixturevalue("toy_recipes")
    return catalog.recipe(request.param)


@pytest.fixture(scope="module")
def run(recipe, tmp_path_factory):
    folder = tmp_path_factory.mktemp("runs") / recipe.name
    train(recipe, budget="smoke", run_folder=folder)
    return folder


@pytest.fixture(scope="module")
def package(run, tmp_path_factory):
    return build_package(run, tmp_path_factory.mktemp("dist"))


def weights(folder):
    import keras

    return keras.saving.load_model(
        folder / "weights.keras", compile=False
    ).get_weights()


@pytest.mark.slow
def test_a_training_that_is_killed_goes_on_as_if_nothing_had_happened(
    recipe, run, tmp_path
):
    folder = tmp_path / "killed"
    # any moment will do; the seed makes a failure repeatable
    chance = random.Random(recipe.name)
    stop_after = chance.randint(1, 2)
    process = subprocess.Popen(
        [sys.executable, "-c", TRAINING, str(TOYS), recipe.name, str(folder)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    for line in process.stdout:
        if int(line) >= stop_after:
            break
    time.sleep(chance.uniform(0, 0.5))
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert not (folder / "weights.keras").exists()
    train(recipe, budget="smoke", run_folder=folder, resume=True)
    for one, other in zip(weights(run), weights(folder), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.slow
def test_the_package_passes_the_official_tool_in_every_format(run, tmp_path):
    from zoo.package.checks import verify_package

    report = verify_package(build_package(run, tmp_path, formats=list(FORMATS)))
    assert report.ok, [str(row) for row in report.failed]
    official = [row for row in report.rows if row.name.startswith("official test")]
    assert len(official) == len(FORMATS)
    assert all(row.ok for row in official)


def test_tiles_give_what_the_whole_gives(recipe, package):
    case = next(iter(recipe.test_set.cases()))
    options = {"pixel_size_nm": case.pixel_size_nm}
    # the image of a table counts its rows: rounding moves a whole one
    wanted = {"density": True} if recipe.contract.task.kind == "density" else {}
    whole = Predictor(package, **wanted).predict(case.input, **options)
    if recipe.contract.grid.is_fixed or not recipe.contract.grid.output_space:
        assert whole.localizations is not None
        return
    assert len(whole.images) > 0
    tiled = Predictor(package, tile=16, **wanted).predict(case.input, **options)
    assert tiled.report["options"]["tiles_per_frame"] > 1
    for name in whole.images.keys() - ({"reconstruction"} if wanted else set()):
        image = whole.images[name]
        limit = 1e-5 * np.abs(image.array).max()
        np.testing.assert_allclose(tiled.images[name].array, image.array, atol=limit)
    for name, table in whole.tables.items():
        assert len(tiled.tables[name]) == len(table)


def test_the_package_scores_what_its_recipe_asks_for(recipe, package):
    metrics = score_package(package, recipe.test_set)
    assert recipe.acceptance
    for bound in recipe.acceptance:
        value = find_metric(metrics, bound.metric)
        assert value is not None
        assert bound.holds(value), (bound, value)


def test_files_are_written_for_every_kind_of_result(recipe, package, tmp_path):
    case = next(iter(recipe.test_set.cases()))
    result = Predictor(package).predict_to_folder(
        case.input, tmp_path / "out", pixel_size_nm=case.pixel_size_nm
    )
    names = {path.name for path in (tmp_path / "out").iterdir()}
    assert {"report.json", "preview.png"} <= names
    assert names <= {*recipe.contract.task.files, "report.json", "preview.png"}
    assert len(names) > 2
    assert isinstance(result.warnings, list)
