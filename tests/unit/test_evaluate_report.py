"""The printed table and the metrics file."""

import json

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.evaluate.report import plain, table, write_metrics


def test_units_stand_in_a_column_of_their_own():
    lines = table({"rmse_lateral_nm": 21.46, "density_per_um2": 3, "psnr_db": 30.0})
    assert lines.splitlines() == [
        "RMSE lateral  21.5  nm",
        "density       3     /µm²",
        "PSNR          30.0  dB",
    ]


def test_conditions_become_lines_of_equal_width():
    text = table(
        {
            "density": {
                "1 per µm²": {"jaccard": 0.951, "rmse_lateral_nm": 19.0},
                "6 per µm²": {"jaccard": 0.7, "rmse_lateral_nm": np.nan, "fp": 3},
            },
            "empty": {"false_per_100": 0.5},
        }
    )
    lines = text.splitlines()
    assert "density" in lines
    grid = lines[lines.index("density") + 1 :][:3]
    assert len({len(line) for line in grid}) == 1
    assert grid[0].split()[:4] == ["Jaccard", "RMSE", "lateral", "(nm)"]
    assert grid[2].split()[3:] == ["0.700", "–", "3"]
    assert "0.500" in text


def test_mixed_levels_show_figures_then_conditions():
    text = table({"tp": 3, "by photons": {"dim": {"recall": 0.5}}})
    assert text.splitlines()[0] == "matched  3"
    assert "by photons" in text
    assert "recall" in text


def test_file_holds_plain_numbers(tmp_path):
    path = write_metrics(
        tmp_path / "deep" / "metrics.json",
        {
            "a": np.float32(0.5),
            "n": np.int64(3),
            "none": float("nan"),
            "list": np.arange(2),
        },
    )
    assert json.loads(path.read_text(encoding="utf-8")) == {
        "a": 0.5,
        "n": 3,
        "none": None,
        "list": [0, 1],
    }
    assert [p.name for p in path.parent.iterdir()] == ["metrics.json"]


def test_existing_file_is_kept(tmp_path):
    path = tmp_path / "metrics.json"
    write_metrics(path, {"a": 1})
    with pytest.raises(BadInput, match="--overwrite"):
        write_metrics(path, {"a": 2})
    assert json.loads(path.read_text()) == {"a": 1}
    write_metrics(path, {"a": 2}, overwrite=True)
    assert json.loads(path.read_text()) == {"a": 2}


def test_failed_writing_leaves_nothing(tmp_path, monkeypatch):
    path = tmp_path / "metrics.json"

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(path), "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_metrics(path, {"a": 1})
    assert not list(tmp_path.iterdir())


def test_infinity_is_no_json():
    assert plain({"x": (np.inf, True, "text")}) == {"x": [None, True, "text"]}
