"""The scores in ``metrics.json`` are what the packages score."""

import json
from pathlib import Path

import pytest

from zoo.evaluate.scoring import frozen_test_set
from zoo.io.package import Package
from zoo.predict.predictor import Predictor

SPECS = Path(__file__).parents[2] / "specs"


@pytest.mark.parametrize(
    ("name", "case_name", "group"),
    [
        ("deep_storm_fast_microtubules", "photons/5000", "photons_emccd"),
        ("dfcan_widefield", "microtubules/600", "microtubules"),
        ("dfcan_sim", "microtubules/15", "microtubules"),
    ],
)
def test_a_condition_is_measured_as_published(name, case_name, group):
    package = Package(SPECS / name)
    published = json.loads((package.folder / "metrics.json").read_text("utf-8"))
    test_set = frozen_test_set(package)
    model = Predictor(package, engine="onnx")
    # the condition's only movie on that camera, or both of its images
    count = 1 if "emccd" in group else test_set.images
    evidence = []
    for case in test_set.cases():
        if case.name == case_name:
            result = model.predict(case.input, pixel_size_nm=case.pixel_size_nm)
            evidence.append((case.name, test_set.score(case, result)))
        if len(evidence) == count:
            break
    condition = case_name.partition("/")[2]
    metrics = test_set.metrics(evidence)[group][condition]
    assert metrics == pytest.approx(published[group][condition], abs=5e-4)
