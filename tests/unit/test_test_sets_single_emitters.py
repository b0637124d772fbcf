"""The frozen regions, their bounds and the baselines beside them."""

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.core.test_set import find_metric
from zoo.test_sets.single_emitters import SingleEmitterTestSet

SMALL = SingleEmitterTestSet(
    depths=4,
    regions=8,
    edge_regions=4,
    photon_levels=(2000.0, 8000.0),
    movie_frames=3,
    movie_px=96,
)


@pytest.fixture(scope="module")
def cases():
    return [case for case in SMALL.cases() if not case.name.startswith("movie")]


@pytest.fixture(scope="module")
def movies():
    return [case for case in SMALL.cases() if case.name.startswith("movie")]


@pytest.fixture(scope="module")
def metrics(cases):
    evidence = [(c.name, SMALL.score(c, SMALL.perfect(c))) for c in cases]
    return SMALL.metrics(evidence)


def test_every_condition_has_regions_at_every_depth(cases):
    assert [c.name for c in cases[:2]] == ["nominal/2000", "nominal/8000"]
    assert len({c.name for c in cases}) == len(cases) == 11
    for case in cases:
        count = 8 if case.name.startswith("nominal") else 4
        assert case.input.shape == (4 * count, 32, 32)
        depths, repeats = np.unique(case.truth.z_nm, return_counts=True)
        np.testing.assert_allclose(depths, [-600, -200, 200, 600])
        assert (repeats == count).all()


def test_an_efficient_estimator_is_at_its_bounds(metrics):
    row = metrics["nominal"]["all"]
    for letter in "xyz":
        assert row[f"rmse_over_crlb_{letter}"] == pytest.approx(1, abs=0.06)
        assert row[f"bias_over_crlb_{letter}"] < 1e-9
    assert row["within_1_sigma"] == pytest.approx(0.68, abs=0.04)
    assert row["calibration_error"] < 0.03
    assert row["missing"] == 0


def test_the_fit_is_near_the_bound_and_gravity_is_not(metrics):
    row = metrics["nominal"]["all"]
    for letter in ("x", "y", "z", "photons", "background"):
        assert 0.7 < row[f"fitted_over_crlb_{letter}"] < 1.4
    assert row["centroid_over_crlb_x"] > 3
    assert "centroid_over_crlb_z" not in row
    # under another pupil than its own the fit is far from the bound
    edges = metrics["edge"]
    assert edges["aberrated"]["fitted_over_crlb_z"] > 1.5
    assert edges["neighbour"]["fitted_over_crlb_x"] > 1.4


def test_depths_are_told_apart(cases):
    def shifted(case):
        table = SMALL.perfect(case).localizations
        z_nm = table.z_nm + np.where(case.truth.z_nm > 500, 300.0, 0.0)
        return Products([Table("localizations", table.with_columns(z_nm=z_nm))])

    evidence = [(c.name, SMALL.score(c, shifted(c))) for c in cases[:2]]
    found = SMALL.metrics(evidence)
    assert list(found["depth"]) == ["minus_600", "minus_200", "200", "600"]
    assert found["depth"]["minus_600"]["bias_over_crlb_z"] < 1e-9
    assert found["depth"]["600"]["bias_over_crlb_z"] > 5
    assert found["nominal"]["all"]["bias_over_crlb_z"] > 5


def test_regions_without_a_row_are_counted(cases):
    case = cases[0]
    table = SMALL.perfect(case).localizations.select(np.arange(5, 32))
    found = SMALL.score(case, Products([Table("localizations", table)]))
    values = SMALL.metrics([(case.name, found)])["nominal"]["2000"]
    assert values["missing"] == 5
    # the others are still compared with their own truth
    assert values["rmse_over_crlb_z"] < 2
    with pytest.raises(BadInput, match="scored by its localizations"):
        SMALL.score(case, Products([]))


def test_a_package_without_depth_or_deviations_has_no_such_scores(cases):
    case = cases[0]
    truth = case.truth
    table = Localizations(x_nm=truth.x_nm, y_nm=truth.y_nm, frame=truth.frame)
    found = SMALL.score(case, Products([Table("localizations", table)]))
    values = SMALL.metrics([(case.name, found)])["nominal"]["2000"]
    assert values["rmse_over_crlb_x"] == 0
    assert "rmse_over_crlb_z" not in values
    assert "within_1_sigma" not in values


def test_tables_show_what_there_is(metrics):
    tables = SMALL.tables(metrics)
    assert [t.corner for t in tables].count("depth [nm]") == 1
    assert "-600" in next(t for t in tables if t.corner == "depth [nm]").rows
    assert find_metric(metrics, "nominal/all/rmse_over_crlb_z") is not None
    assert SMALL.headlines(metrics) == {"nominal": metrics["nominal"]}


def test_movies_have_as_many_emitters_as_they_say(movies):
    assert [case.name for case in movies] == ["movie/0.02", "movie/0.2"]
    side_um = (96 + 51) * SMALL.optics.pixel_nm / 1000
    for case, density in zip(movies, SMALL.movie_densities_per_um2, strict=True):
        assert case.input.shape == (3, 96, 96)
        mean = 3 * density * side_um**2
        assert abs(len(case.truth) - mean) < 4 * np.sqrt(mean)
        assert case.truth.photons.min() >= 2000
        assert case.truth.photons.max() <= 8000


def test_emitters_missed_and_invented_in_a_movie_are_counted(movies):
    def values(table):
        case = movies[1]
        found = SMALL.score(case, Products([Table("localizations", table)]))
        return SMALL.metrics([(case.name, found)])["movie"]["0.2"]

    truth = movies[1].truth
    all_found = values(truth)
    assert (all_found["recall"], all_found["false_per_frame"]) == (1, 0)
    assert all_found["rmse_lateral_nm"] == all_found["median_over_crlb_x"] == 0
    inner = np.flatnonzero(
        (np.abs(truth.x_nm - 4800) < 2500) & (np.abs(truth.y_nm - 4800) < 2500)
    )
    missed = inner[::2]
    half = values(truth.select(np.setdiff1d(np.arange(len(truth)), missed)))
    assert half["recall"] == pytest.approx(
        1 - len(missed) / all_found["emitters"], abs=1e-4
    )
    first = truth.select(inner[:1])
    far = first.with_columns(x_nm=first.x_nm % 200 + 3000, y_nm=first.y_nm % 200 + 3000)
    more = values(Localizations.concatenate([truth, far, far]))
    assert more["false_per_frame"] == pytest.approx(2 / 3, abs=1e-4)
    nothing = values(truth.select(np.empty(0, int)))
    assert nothing["recall"] == 0
    assert nothing["rmse_lateral_nm"] is None


def test_errors_in_a_movie_are_held_against_the_bounds(movies):
    case = movies[0]
    rng = np.random.default_rng(3)
    off = {
        name: getattr(case.truth, name)
        + 2 * getattr(case.facts.bounds, name) * rng.standard_normal(len(case.truth))
        for name in ("x_nm", "y_nm", "z_nm")
    }
    table = case.truth.with_columns(**off)
    found = SMALL.score(case, Products([Table("localizations", table)]))
    values = SMALL.metrics([(case.name, found)])["movie"]["0.02"]
    assert 1.0 < values["median_over_crlb_x"] < 3.5
    assert 1.0 < values["median_over_crlb_z"] < 3.5
