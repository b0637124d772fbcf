"""The frozen movies of crowded filaments and their scores."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.metrics.crowds import crowd_scores, false_per_100_frames, image_scores
from zoo.simulate.filament_frames import local_densities
from zoo.test_sets.filaments import FilamentTestSet

SMALL = (
    FilamentTestSet()
    .reduced()
    .override(filament_frames=6, movie_frames=4, false_frames=2, psf_sigmas_nm=(110.0,))
)
CROWDS = ("dense/115", "bundled/115", "tubes/110", "crossing/110")
FALSE = ("false/empty", "false/haze", "false/wide")


@pytest.fixture(scope="module")
def cases():
    return {
        case.name: case
        for case in SMALL.cases()
        if case.name in (*CROWDS, *FALSE) and case.facts == "scmos"
    }


def of_frame(table, number):
    return table.select(table.frame == number)


def test_all_conditions_are_there_beside_the_uniform_ones(cases):
    assert set(cases) == {*CROWDS, *FALSE}
    names = [case.name for case in SMALL.cases()]
    assert all(names.count(name) == 2 for name in (*CROWDS, *FALSE, "density/3"))


def test_filaments_are_crowded_and_stay_where_they_are(cases):
    frames = [of_frame(cases["tubes/110"].truth, n) for n in range(1, 7)]
    density = np.concatenate([local_densities(f.x_nm, f.y_nm) for f in frames])
    assert np.median(density) > 10
    assert np.percentile(density, 98) > 40
    places = [
        np.histogram2d(f.x_nm, f.y_nm, bins=8, range=[[0, 6400]] * 2)[0].ravel()
        for f in frames[4:]
    ]
    assert np.corrcoef(places)[0, 1] > 0.5


def test_bundles_are_as_crowded_as_they_claim(cases):
    frames = [of_frame(cases["bundled/115"].truth, n) for n in range(1, 5)]
    places = [np.stack([f.x_nm, f.y_nm], axis=1) for f in frames]
    nearest = np.concatenate([KDTree(p).query(p, k=2)[0][:, 1] for p in places])
    assert 0.25 < np.mean(nearest < 45) < 0.42
    density = np.concatenate([local_densities(f.x_nm, f.y_nm) for f in frames])
    low, middle, high = np.percentile(density, [10, 50, 90])
    assert 5 <= low <= 16
    assert 20 <= middle <= 36
    assert 46 <= high <= 66


def test_haze_is_static_and_holds_no_emitter(cases):
    haze = cases["false/haze"]
    assert not len(haze.truth)
    first, second = (gaussian_filter(frame.astype(float), 2) for frame in haze.input)
    assert np.corrcoef(first.ravel(), second.ravel())[0, 1] > 0.8


def test_the_truth_scores_all_but_chance(cases):
    truth = cases["tubes/110"].truth
    scores = crowd_scores(truth, truth, field_nm=6400.0, frames=6)
    assert scores["jaccard_50"] == scores["jaccard_100"] == 1.0
    assert scores["rmse_lateral_nm"] == 0
    assert 0 < scores["jaccard_50_chance"] < scores["jaccard_100_chance"] < 0.6
    assert scores["jaccard_50_net"] == pytest.approx(1 - scores["jaccard_50_chance"])


def test_a_table_of_another_frame_scores_nothing(cases):
    truth = cases["tubes/110"].truth
    moved = truth.with_columns(frame=truth.frame % 6 + 1)
    scores = crowd_scores(truth, moved, field_nm=6400.0, frames=6)
    assert scores["jaccard_50"] < 0.4
    assert scores["jaccard_50_net"] < 0.15


def test_the_true_image_is_perfect_on_any_scale():
    x_nm, y_nm = np.random.default_rng(0).uniform(0, 800, (2, 40))
    density = np.zeros((64, 64))
    rows, columns = (np.floor(axis / 12.5).astype(int) for axis in (y_nm, x_nm))
    np.add.at(density, (rows, columns), 48.4)
    truth = Localizations(x_nm=x_nm, y_nm=y_nm)
    scores = image_scores(density, truth, pixel_size_nm=12.5)
    assert scores["pcc"] == pytest.approx(1)
    assert scores["nmse_percent"] == pytest.approx(0, abs=1e-6)
    elsewhere = image_scores(density[::-1], truth, pixel_size_nm=12.5)
    assert elsewhere["pcc"] < 0.5 < elsewhere["nmse_percent"]


def test_a_split_spot_is_a_false_localization():
    truth = Localizations(x_nm=np.array([900.0]), y_nm=np.array([900.0]))
    twice = Localizations(x_nm=np.array([890.0, 910.0]), y_nm=np.array([900.0, 900.0]))
    assert false_per_100_frames(truth, twice, frames=1) == 100
    assert false_per_100_frames(truth, truth, frames=1) == 0
    assert false_per_100_frames(Localizations.empty(), twice, frames=4) == 50


def test_a_movie_is_scored_by_its_group(cases):
    scored = [
        (name, SMALL.score(case, SMALL.perfect(case))) for name, case in cases.items()
    ]
    metrics = SMALL.metrics(scored)
    assert metrics["false"]["empty"] == {"false_per_100_frames": 0.0}
    assert {"jaccard_50_net", "pcc", "nmse_percent"} <= set(metrics["tubes"]["110"])
    assert metrics["dense"]["115"]["pcc"] > 0.999


def test_the_summed_image_is_needed(cases):
    table = Products([Table("localizations", cases["tubes/110"].truth)])
    with pytest.raises(BadInput, match="summed image"):
        SMALL.score(cases["tubes/110"], table)
