"""The printed table and the metrics file."""

import io
import json

import numpy as np
import pytest
from rich.console import Console

from zoo.core.errors import BadInput
from zoo.core.test_set import group_tables
from zoo.evaluate.report import layout, plain, write_metrics


def drawn(*tables, markup=True):
    console = Console(width=60, file=io.StringIO(), markup=markup)
    console.print(layout(tables))
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


@pytest.mark.parametrize("markup", [True, False])
def test_few_conditions_stand_beside_each_other(markup):
    metrics = {
        "density": {
            "1": {"jaccard": 0.951, "rmse_lateral_nm": 19.0, "fp": 3},
            "6": {"jaccard": 0.7, "rmse_lateral_nm": np.nan, "fp": 3},
        },
        "empty": {"all": {"false_per_100_frames": 0.5}},
    }
    lines = drawn(*group_tables(metrics), markup=markup)
    assert lines[0].split() == ["density", "1", "6"]
    assert lines[2].split() == ["Jaccard", "0.951", "0.700"]
    assert lines[3].split() == ["RMSE", "lateral", "[nm]", "19.0", "–"]
    assert lines[4].split() == ["false", "3", "3"]
    assert lines[6].split() == ["empty", "all"]
    assert "0.500" in lines[-1]


def test_many_conditions_stand_below_each_other():
    rows = {f"{frame}": {"psnr_db": 20.0 + frame} for frame in range(1, 4)}
    lines = drawn(*group_tables({"frame": rows}))
    assert lines[0].split() == ["frame", "PSNR", "[dB]"]
    assert [line.split() for line in lines[2:]] == [
        ["1", "21.0"],
        ["2", "22.0"],
        ["3", "23.0"],
    ]


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


def test_infinity_is_no_json():
    assert plain({"x": (np.inf, True, "text")}) == {"x": [None, True, "text"]}
