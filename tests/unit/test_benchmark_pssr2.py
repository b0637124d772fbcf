"""PSSR beside PSSR2's network: what the comparison says without the other program."""

import sys
from argparse import Namespace

import numpy as np
import pytest

from zoo.recipes.pssr import PSSR_FLUORESCENCE


@pytest.fixture
def script(benchmark_script):
    return benchmark_script("pssr2")


def test_what_an_interpreter_lacks_is_said_in_one_line(script, tmp_path):
    with pytest.raises(SystemExit) as caught:
        script.check_peer(str(tmp_path / "python"))
    assert "is no Python that runs; make an environment" in str(caught.value)
    empty = tmp_path / "lacking"
    empty.write_text(
        f'#!/bin/sh\nexec "{sys.executable}" -S -I "$@"\n', encoding="utf-8"
    )
    empty.chmod(0o755)
    with pytest.raises(SystemExit) as caught:
        script.check_peer(str(empty))
    text = str(caught.value)
    assert "lacks numpy, torch, pytorch-msssim," in text
    assert "pssr; make an environment" in text
    assert "\n" not in text


def test_both_are_scored_as_packages_are(script, monkeypatch, tmp_path):
    seen = {}

    def better(recipe, _options, coarse, dense, scans):
        seen["ours"] = coarse, dense, scans
        return {"program": recipe.name}, np.stack([c.truth for c in cases])

    def worse(python, _options, coarse, dense, scans, _folder):
        seen["theirs"] = coarse, dense, scans
        return {"program": python}, np.zeros((len(scans), *dense.shape[1:3]))

    options = Namespace(crop=48, tiles=2, quick=True, minutes=1.0)
    cases = list(PSSR_FLUORESCENCE.test_set.reduced().cases())
    monkeypatch.setattr(script, "ours", better)
    monkeypatch.setattr(script, "theirs", worse)
    result = script.compared(PSSR_FLUORESCENCE, options, "python", tmp_path)
    scores = result["scores"]
    assert list(scores) == [
        "bilinear",
        "bicubic",
        "denoised",
        "ours, 1 minutes",
        "PSSR2, 1 minutes",
    ]
    for level in ("half", "trained", "double"):
        right, wrong, plain = (
            scores[name][level]["psnr"]
            for name in ("ours, 1 minutes", "PSSR2, 1 minutes", "bilinear")
        )
        assert wrong < plain < right
    # the same tiles and scans, in grey levels for the one
    for mine, other in zip(seen["ours"], seen["theirs"], strict=True):
        np.testing.assert_allclose(255 * mine, other, rtol=1e-6)
    assert seen["ours"][0].shape == (2, 48, 48, 1)
    assert seen["ours"][1].shape == (2, 192, 192, 1)
    assert seen["ours"][2].min(axis=(1, 2, 3)) == pytest.approx(0)
    assert seen["ours"][2].max(axis=(1, 2, 3)) == pytest.approx(1)
