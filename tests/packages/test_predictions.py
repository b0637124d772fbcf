"""Published packages predict what they did when they were published.

`tests/data/predictions/record.py` tells how the inputs and outputs came about.
"""

import importlib.util
import io
import json
from pathlib import Path

import numpy as np
import pytest

DATA = Path(__file__).parents[1] / "data" / "predictions"
DISTANCE_NM, RESPONSE, RANGE, PHOTONS = 0.2, 2e-3, 1e-3, 2.0


def _record():
    spec = importlib.util.spec_from_file_location("record", DATA / "record.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


RECORD = _record()
STORED = json.loads((DATA / "outputs.json").read_text(encoding="utf-8"))


def _rows(text):
    header, _, body = text.partition("\n")
    return header, np.loadtxt(io.StringIO(body), delimiter=",", ndmin=2)


@pytest.mark.parametrize("case", RECORD.CASES)
def test_predictions_are_those_of_the_publication(case):
    package, kind, pixel_nm = RECORD.CASES[case]
    inputs, outputs = (np.load(DATA / f"{name}.npz") for name in ("inputs", "outputs"))
    result = RECORD.predicted(package, inputs[kind], pixel_nm)
    stored = {
        key.partition("/")[2]: value
        for key, value in STORED.items()
        if key.startswith(f"{case}/") and not key.endswith(".shape")
    }
    images = {
        key.partition("/")[2]: outputs[key]
        for key in outputs.files
        if key.startswith(f"{case}/")
    }
    assert set(result) == set(stored) | set(images)
    for name, image in images.items():
        assert result[name].shape == image.shape
        expected = image.astype(float)
        rounding = 2.0**-10 * np.abs(expected) + RANGE * np.ptp(expected)
        assert (np.abs(result[name] - expected) <= rounding).all(), name
    for name, value in stored.items():
        if name == "warnings":  # the word has changed since
            value = [text.replace("a picture", "an image") for text in value]
        if not name.endswith(".csv"):
            assert result[name] == value, name
            continue
        header, rows = _rows(result[name])
        expected_header, expected = _rows(value)
        columns, known = (
            text.replace('"', "").split(",") for text in (header, expected_header)
        )
        # stated since; the positions it speaks of are compared
        added = {"uncertainty [nm]", "sigma [nm]", "intensity [photon]"}
        added |= {"uncertainty_xy [nm]"}
        added = (added | {"offset [photon]", "bkgstd [photon]"}) - set(known)
        rows = rows[:, [column not in added for column in columns]]
        columns = [column for column in columns if column not in added]
        assert columns == known
        assert rows.shape == expected.shape
        for column, found, wanted in zip(columns, rows.T, expected.T, strict=True):
            slack = {"response": RESPONSE, "id": 0, "frame": 0, "flags": 0}
            slack |= {"intensity [photon]": PHOTONS, "chi2": RESPONSE}
            slack["uncertainty_intensity [photon]"] = PHOTONS
            tolerance = slack.get(column, DISTANCE_NM)
            assert np.abs(found - wanted).max() <= tolerance, column
