"""Several recordings in one call, and progress that counts tiles."""

import json
import sys

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.predict.predictor import Predictor
from zoo.predict.progress import shown
from zoo.predict.several import predict_each, result_folders


def _write(path, frames=2):
    movie = np.random.default_rng(0).integers(90, 900, (frames, 24, 24), np.uint16)
    np.save(path, movie)
    return str(path)


def test_every_recording_gets_a_folder(small_package, tmp_path, zoo):
    one, two = _write(tmp_path / "one.npy"), _write(tmp_path / "two.npy", frames=3)
    pixel = ("--pixel-size-nm", 100)
    code, out, err = zoo(
        "predict", small_package, one, two, "-o", tmp_path / "o", *pixel
    )
    assert (code, len(out.splitlines())) == (0, 2), err
    frames = {}
    for name in ("one", "two"):
        report = json.loads((tmp_path / "o" / name / "report.json").read_text())
        frames[name] = report["input"]["frames"]
        assert (tmp_path / "o" / name / "localizations.csv").is_file()
    assert frames == {"one": 2, "two": 3}


def test_one_that_fails_stops_no_other(small_package, tmp_path):
    broken = tmp_path / "broken.npy"
    broken.write_bytes(b"nothing")
    good = _write(tmp_path / "good.npy")
    found = []

    def collect():
        model = Predictor(small_package)
        sources, place = [str(broken), good], tmp_path / "out"
        for source, _ in predict_each(model, sources, place, pixel_size_nm=100):
            found.append(source)

    with pytest.raises(BadInput, match=r"1 of 2 recordings gave no result: .*broken"):
        collect()
    assert found == [good]
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["good"]


def test_two_of_one_name_are_refused_before_anything_is_done(tmp_path):
    with pytest.raises(BadInput, match="share the folder"):
        result_folders(["a/cell.tif", "b/cell.ome.tif"], tmp_path)


def test_progress_counts_tiles_where_a_frame_has_several(small_package):
    movie = np.random.default_rng(1).integers(90, 900, (2, 40, 40), np.uint16)
    calls = []
    Predictor(small_package, tile=16, batch_size=1).predict(
        movie, pixel_size_nm=100, progress=lambda *call: calls.append(call)
    )
    done, totals = zip(*calls, strict=True)
    assert len(set(totals)) == 1
    assert totals[0] > 2 * 4
    assert list(done) == sorted(done)
    assert done[-1] == totals[0]
    calls.clear()
    Predictor(small_package, batch_size=1).predict(
        movie, pixel_size_nm=100, progress=lambda *call: calls.append(call)
    )
    assert calls == [(1, 2), (2, 2)]


def test_a_bar_is_drawn_where_somebody_watches(monkeypatch, capsys):
    monkeypatch.delitem(sys.modules, "ipykernel", raising=False)
    with shown(None) as progress:
        assert progress is None
    monkeypatch.setattr(sys, "ps1", ">>> ", raising=False)
    with shown(None) as progress:
        progress(3, 5)
    assert "3/5" in capsys.readouterr().err

    def own(done, total):
        del done, total

    with shown(own) as progress:
        assert progress is own
