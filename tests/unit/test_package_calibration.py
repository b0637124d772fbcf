"""Errors that packages state: measured on other movies, kept, read back, scored."""

import json

import numpy as np
import pytest
import yaml

from zoo.core.errors import BadPackage
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.evaluate.scoring import score_package
from zoo.evaluate.uncertainty import measured_calibration
from zoo.package.describe import describe, to_yaml, validate
from zoo.package.document import drifted
from zoo.package.scores import calibrated, write_metrics
from zoo.package.trained import read_trained, record_of, with_calibration
from zoo.tasks.uncertainty import Errors
from zoo.test_sets.emitters import EmitterTestSet
from zoo.test_sets.filaments import FilamentTestSet

SMALL = EmitterTestSet(
    frames=4,
    isolated_frames=4,
    empty_frames=1,
    densities_per_um2=(1.0,),
    photon_levels=(5000.0,),
)
FIELDS = {
    "errors": {
        "spread": [0.5, 1.5],
        "error": [0.4, 2.0],
        "response": [0.5, 1.0],
        "factor": [1.2, 0.9],
    }
}


def test_calibrating_movies_are_others_of_the_same_conditions():
    for test_set in (SMALL, FilamentTestSet().reduced()):
        other = test_set.calibrating()
        assert other.covers() == test_set.covers()
        ours = {case.name: case for case in test_set.cases() if "emp" not in case.name}
        for case in other.cases():
            if case.name in ours and len(case.truth):
                first = case.truth.x_nm[:5]
                assert not np.isin(first, ours[case.name].truth.x_nm).any()


def test_errors_are_measured_by_spread(small_package):
    progress = []
    fields = measured_calibration(small_package, SMALL, progress=progress.append)
    errors = fields["errors"]
    assert isinstance(errors, Errors)
    assert set(fields) == {"errors"}
    assert 0 < errors.error[0] <= errors.error[-1] < 5  # px of 50 nm, matched in 250 nm
    assert progress == sorted(progress)
    assert progress


def test_what_was_measured_is_kept_and_described(tiny, toy_package, tmp_path):
    trained = with_calibration(toy_package(tiny.TINY, tmp_path / "tiny"), FIELDS)
    folder = trained.folder
    (folder / "recipe.json").write_text(record_of(trained, trained.export))
    (folder / "rdf.yaml").write_text(to_yaml(describe(trained)))
    validate(yaml.safe_load((folder / "rdf.yaml").read_text()), folder)
    task = yaml.safe_load((folder / "rdf.yaml").read_text())["config"]["superres_zoo"]
    assert task["contract"]["task"]["errors"] == FIELDS["errors"]
    again = read_trained(folder)
    assert again.calibration == FIELDS
    assert again.recipe.contract.task.errors == Errors(**FIELDS["errors"])
    assert drifted(folder) == []

    record = json.loads((folder / "recipe.json").read_text())
    wrong = record | {"calibration": {"errors": {"spread": [1], "error": []}}}
    (folder / "recipe.json").write_text(json.dumps(wrong))
    with pytest.raises(BadPackage, match="calibration that does not fit"):
        read_trained(folder)


def test_known_errors_and_scores_are_not_measured_again(tiny, toy_package, tmp_path):
    trained = toy_package(tiny.TINY, tmp_path / "tiny", metrics={"all": {}})
    stated = with_calibration(trained, FIELDS)
    assert calibrated(stated, stated) is stated
    (tmp_path / "new").mkdir()
    write_metrics(stated, stated._replace(folder=tmp_path / "new"), score=True)
    assert json.loads((tmp_path / "new" / "metrics.json").read_text()) == {"all": {}}


def _stating(case):
    """Return the true emitters 3 or 9 nm off along x, stating 6 nm."""
    off = np.where(np.arange(len(case.truth)) % 4, 3.0, 9.0)
    rows = case.truth.with_columns(
        x_nm=case.truth.x_nm + off, uncertainty_nm=np.full(len(off), 6.0)
    )
    return Products([Table("localizations", rows)])


def test_scores_hold_a_group_of_their_own():
    cases = list(SMALL.cases())
    metrics = SMALL.metrics([(c.name, SMALL.score(c, _stating(c))) for c in cases])
    row = metrics["uncertainty"]["density 1"]
    assert row["uncertainty_nm"] == 6.0
    # along y nothing is wrong, along x three of four lie within 6 nm, all within 12
    assert row["within_1_sigma"] == pytest.approx(0.875, abs=0.01)
    assert row["within_2_sigma"] == 1.0
    assert set(metrics["uncertainty"]) == {"density 1", "photons 5000"}
    silent = [(c.name, SMALL.score(c, SMALL.perfect(c))) for c in cases]
    assert "uncertainty" not in SMALL.metrics(silent)


def test_packages_without_a_calibration_score_as_before(small_package):
    assert "uncertainty" not in score_package(small_package, SMALL)
    assert Localizations.empty().uncertainty_nm is None
