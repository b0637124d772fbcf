"""Strengths of crappifiers, recovered from pairs."""

import json

import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.physics.smooth_noise import smooth_noise
from zoo.simulate.crappifier_fit import Pair, fit, fit_folder, misfit, read_pairs
from zoo.simulate.crappifiers import (
    DownsampledOnly,
    Electron,
    GaussianNoise,
    PoissonNoise,
    Pssr2,
)


def scenes(count: int = 4, side: int = 256) -> list[np.ndarray]:
    found = []
    for number in range(count):
        field = smooth_noise(generator(1, number), (side, side), 6.0)
        found.append(np.clip(0.5 + 0.17 * field, 0.02, 0.98))
    return found


def pairs_of(crappifier, count: int = 4) -> list[Pair]:
    dense = scenes(count)
    return [Pair(crappifier(d, generator(7, k)), d) for k, d in enumerate(dense)]


@pytest.mark.parametrize(
    ("true", "start"),
    [
        (Electron(variance=0.02), Electron()),
        (Electron(variance=0.12), Electron()),
        (GaussianNoise(deviation=0.06), GaussianNoise()),
        (PoissonNoise(peak=25.0), PoissonNoise()),
    ],
)
def test_a_strength_is_recovered_from_four_pairs(true, start):
    found = fit(start, pairs_of(true)).crappifier
    for name in true.strengths:
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.1)


def test_the_truth_fits_better_than_another_kind():
    pairs = pairs_of(Electron(variance=0.05))
    right = misfit(Electron(variance=0.05), pairs)
    assert right < 2
    assert misfit(GaussianNoise(deviation=0.1), pairs) > 2 * right
    assert misfit(Electron(variance=0.1), pairs) > 2 * right


def test_what_has_no_strength_cannot_be_fitted():
    with pytest.raises(BadInput, match="crappifier with a strength"):
        fit(DownsampledOnly(), pairs_of(DownsampledOnly(), 1))
    with pytest.raises(BadInput, match="0 pairs"):
        fit(Electron(), [])


@pytest.fixture
def folder(tmp_path):
    for kind in ("input", "target"):
        (tmp_path / kind).mkdir()
    for number, pair in enumerate(pairs_of(GaussianNoise(deviation=0.1), 2)):
        for kind, image in (("input", pair.coarse), ("target", pair.dense)):
            levels = np.round(255 * image).astype(np.uint8)
            tifffile.imwrite(tmp_path / kind / f"field{number}.tif", levels)
    return tmp_path


def test_a_folder_is_fitted_and_the_result_trains(folder, tmp_path):
    output = tmp_path / "mine.json"
    lines = fit_folder(folder, output, kind="gaussian")
    stored = json.loads(output.read_text(encoding="utf-8"))
    assert stored["crappifier"]["deviation"] == pytest.approx(0.1, rel=0.1)
    assert stored["pairs"] == 2
    assert "source.crappifiers=" in lines[1]
    with pytest.raises(BadInput, match="exists"):
        fit_folder(folder, output, kind="gaussian")


def test_files_that_do_not_fit_each_other_are_refused(folder, tmp_path):
    (tmp_path / "input" / "field1.tif").rename(tmp_path / "input" / "other.tif")
    with pytest.raises(BadInput, match=r"same name .* field1, other has none"):
        read_pairs(folder)
    (tmp_path / "input" / "other.tif").rename(tmp_path / "input" / "field1.tif")
    tifffile.imwrite(tmp_path / "target" / "field1.tif", np.zeros((128, 128), np.uint8))
    with pytest.raises(BadInput, match=r"field1 must have 4 times the pixels"):
        read_pairs(folder)
    with pytest.raises(BadInput, match="is missing"):
        read_pairs(tmp_path / "input")


def test_an_unknown_kind_is_refused(folder, tmp_path):
    with pytest.raises(BadInput, match="no crappifier is of the kind 'electrons'"):
        fit_folder(folder, tmp_path / "x.json", kind="electrons")


def test_two_strengths_are_told_apart():
    true = Pssr2(poisson=1.5, gaussian=5.0)
    found = fit(Pssr2(), pairs_of(true, 6)).crappifier
    # the deviation at every brightness, whichever part it comes from
    for level in (30.0, 128.0, 220.0):
        expected, mine = (
            (c.poisson**2 * level + c.gaussian**2) ** 0.5 for c in (true, found)
        )
        assert mine == pytest.approx(expected, rel=0.06)
