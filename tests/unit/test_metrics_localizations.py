"""Matching and the challenge's scores against hand-made and brute-force answers."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.metrics.localizations import (
    detected_rows,
    efficiency,
    inside,
    match,
    nearest_neighbour_nm,
    recall_by,
    score,
)


def table(x, y, frame=None, **columns):
    columns = {name: np.asarray(v, float) for name, v in columns.items()}
    x, y = np.asarray(x, float), np.asarray(y, float)
    return Localizations(x_nm=x, y_nm=y, frame=frame, **columns)


def crowd(rng, n, *, frames=5, field=3000.0, z=False):
    columns = {"z_nm": rng.uniform(-700, 700, n)} if z else {}
    return table(
        rng.uniform(0, field, n),
        rng.uniform(0, field, n),
        rng.integers(1, frames + 1, n),
        **columns,
    )


def serial_greedy(truth, found, radius=250.0, axial=500.0):
    """Apply the rule as it is written: sort all pairs, accept while ends are free."""
    pairs = []
    for i in range(len(truth)):
        for j in range(len(found)):
            if truth.frame[i] != found.frame[j]:
                continue
            lateral = np.hypot(
                truth.x_nm[i] - found.x_nm[j], truth.y_nm[i] - found.y_nm[j]
            )
            dz = 0.0
            if truth.z_nm is not None and found.z_nm is not None:
                dz = truth.z_nm[i] - found.z_nm[j]
            if lateral <= radius and abs(dz) <= axial:
                pairs.append((np.hypot(lateral, dz), i, j))
    accepted, used_i, used_j = [], set(), set()
    for distance, i, j in sorted(pairs):
        if i not in used_i and j not in used_j:
            accepted.append((i, j, distance))
            used_i.add(i)
            used_j.add(j)
    return accepted


@pytest.mark.parametrize("z", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_greedy_is_the_serial_rule(seed, z):
    rng = np.random.default_rng(seed)
    truth, found = crowd(rng, 300, z=z), crowd(rng, 280, z=z)
    expected = serial_greedy(truth, found)
    pairs = match(truth, found)
    assert len(pairs) > 100
    assert list(zip(pairs.truth, pairs.found, strict=True)) == [
        (i, j) for i, j, _ in expected
    ]
    np.testing.assert_allclose(pairs.distance_nm, [d for *_, d in expected])


def test_equal_distances_are_decided_by_row():
    truth, found = table([0, 200], [0, 0]), table([100, 300], [0, 0])
    pairs = match(truth, found)
    assert pairs.truth.tolist() == [0, 1]
    assert pairs.found.tolist() == [0, 1]


def test_pairs_stay_within_frame_and_cylinder():
    truth = table([1000, 1000], [1000, 1000], np.array([1, 2]), z_nm=[0, 0])
    other_frame = table([1000], [1000], np.array([3]), z_nm=[0])
    too_deep = table([1000], [1000], np.array([1]), z_nm=[501])
    on_rim = table([1250], [1000], np.array([2]), z_nm=[-500])
    flat = table([1250.1], [1000], np.array([2]))
    assert len(match(truth, other_frame)) == 0
    assert len(match(truth, too_deep)) == 0
    assert match(truth, on_rim).distance_nm.tolist() == [np.hypot(250, 500)]
    assert len(match(truth, flat)) == 0
    assert len(match(truth, too_deep.with_columns(z_nm=None))) == 1


def test_match_of_nothing():
    none = Localizations.empty()
    assert len(match(none, none)) == 0
    assert len(match(none, table([0], [0]))) == 0


def test_match_refuses_a_radius_of_nothing():
    with pytest.raises(ValueError, match="must be positive"):
        match(table([0], [0]), table([0], [0]), radius_nm=0)


def test_scores_of_a_case_counted_by_hand():
    # 4 true; found: two matched with errors (3, 4) and (-6, 8), one false
    truth = table([1000, 2000, 3000, 4000], [1000] * 4, np.array([1, 1, 2, 2]))
    found = table([1003, 1994, 3600], [1004, 1008, 1000], np.array([1, 1, 2]))
    scores = score(truth, found, field_nm=(2000.0, 5000.0))
    assert (scores["tp"], scores["fp"], scores["fn"]) == (2, 1, 2)
    assert scores["jaccard"] == 2 / 5
    assert scores["precision"] == 2 / 3
    assert scores["recall"] == 1 / 2
    assert scores["f1"] == pytest.approx(4 / 7)
    assert scores["rmse_lateral_nm"] == pytest.approx(np.sqrt((25 + 100) / 2))
    assert scores["mean_absolute_nm"] == pytest.approx((7 + 14) / 2)
    assert (scores["bias_x_nm"], scores["bias_y_nm"]) == (-1.5, 6.0)
    assert scores["efficiency"] == pytest.approx(100 - np.sqrt(60**2 + 62.5))


def test_counts_are_pooled_over_frames():
    truth = table([1000] * 10, [1000] * 10, np.arange(1, 11))
    found = table([1000], [1000], np.array([1]))
    assert score(truth, found, field_nm=2000)["jaccard"] == 0.1


def test_rmse_is_not_per_axis_and_bias_has_the_sign_of_found_minus_true():
    rng = np.random.default_rng(3)
    n = 20_000
    truth = table(np.full(n, 5e3), np.full(n, 5e3), np.arange(1, n + 1))
    error = rng.normal(0, 20, (2, n))
    found = truth.with_columns(
        x_nm=truth.x_nm + error[0] + 5, y_nm=truth.y_nm + error[1] - 3
    )
    bound = np.full(n, 20 * np.sqrt(2))
    scores = score(truth, found, field_nm=1e4, bound_nm=bound)
    expected = np.sqrt(2 * 20**2 + 5**2 + 3**2)
    assert scores["rmse_lateral_nm"] == pytest.approx(expected, rel=0.01)
    assert scores["bias_x_nm"] == pytest.approx(5, abs=0.5)
    assert scores["bias_y_nm"] == pytest.approx(-3, abs=0.5)
    assert scores["rmse_over_crlb"] == pytest.approx(expected / bound[0], rel=0.01)


def test_bound_belongs_to_the_row_of_its_emitter():
    truth = table([100, 1000, 2000], [1500] * 3)
    found = table([2004, 1002], [1500] * 2)
    scores = score(truth, found, field_nm=3000, bound_nm=np.array([9.0, 1.0, 4.0]))
    assert scores["rmse_over_crlb"] == pytest.approx(np.sqrt((2**2 + 1**2) / 2))


def test_border_leaves_out_both_sides():
    truth = table([449, 450, 2551, 1000], [1000, 1000, 1000, 2600])
    assert inside(truth, field_nm=3000).tolist() == [False, True, False, False]
    found = table([451, 1500, 1500], [1000, 100, 1500])
    scores = score(truth, found, field_nm=3000)
    assert (scores["tp"], scores["fp"], scores["fn"]) == (1, 1, 0)
    whole = score(truth, found, field_nm=3000, border_nm=0)
    assert (whole["tp"], whole["fp"], whole["fn"]) == (1, 2, 3)


def test_height_comes_before_width():
    truth = table([2900], [900])
    assert inside(truth, field_nm=(1800.0, 4000.0)).all()
    assert not inside(truth, field_nm=(4000.0, 1800.0)).any()


def test_dim_truth_and_its_matches_are_ignored():
    truth = table([1000, 1500, 2000, 2500], [1500] * 4, photons=[10, 1000, 1000, 1000])
    found = table([1000, 1500, 2000], [1500] * 3)
    scores = score(truth, found, field_nm=4000, photon_quantile=0.25)
    assert (scores["tp"], scores["fp"], scores["fn"]) == (2, 0, 1)
    everything = score(truth, found, field_nm=4000)
    assert (everything["tp"], everything["fp"], everything["fn"]) == (3, 0, 1)


def test_three_dimensional_scores():
    truth = table([1000, 2000], [1500, 1500], z_nm=[0, 100])
    found = table([1000, 2000], [1500, 1500], z_nm=[20, 120])
    scores = score(truth, found, field_nm=3000)
    assert scores["rmse_axial_nm"] == 20
    assert scores["bias_z_nm"] == 20
    assert scores["efficiency_lateral"] == 100
    assert scores["efficiency_axial"] == 90
    assert scores["efficiency"] == 95


def test_photon_slope():
    truth = table([1000, 2000], [1500, 1500], photons=[100, 300])
    found = table([1000, 2000], [1500, 1500], photons=[80, 240])
    assert score(truth, found, field_nm=3000)["photon_slope"] == pytest.approx(0.8)


def test_random_jaccard_is_the_chance_of_two_random_points():
    # one emitter and one localization per frame, uniform in a square of side L:
    # P(distance < r) = πa² − 8a³/3 + a⁴/2 with a = r/L
    rng = np.random.default_rng(0)
    n, side, radius = 20_000, 2000.0, 500.0
    truth = table(*rng.uniform(0, side, (2, n)), np.arange(1, n + 1))
    found = table(*np.full((2, n), side / 2), np.arange(1, n + 1))
    a = radius / side
    p = np.pi * a**2 - 8 * a**3 / 3 + a**4 / 2
    scores = score(truth, found, field_nm=side, border_nm=0, radius_nm=radius)
    assert scores["jaccard_random"] == pytest.approx(p / (2 - p), rel=0.03)


def test_scores_of_nothing_are_not_a_number():
    none = Localizations.empty()
    scores = score(none, none, field_nm=3000)
    assert np.isnan(scores["jaccard"])
    assert np.isnan(scores["rmse_lateral_nm"])
    missed = score(table([1500], [1500]), none, field_nm=3000)
    assert missed["jaccard"] == 0
    assert missed["fn"] == 1
    assert np.isnan(missed["efficiency"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"border_nm": 1500}, "leaves nothing"),
        ({"photon_quantile": 0.25}, "column photons"),
        ({"bound_nm": np.ones(3)}, "1 rows"),
    ],
)
def test_score_refuses(options, message):
    one = table([1500], [1500])
    with pytest.raises(ValueError, match=message):
        score(one, one, field_nm=3000, **options)


def test_quantile_out_of_range():
    one = table([1500], [1500], photons=[1])
    with pytest.raises(ValueError, match="photon_quantile"):
        score(one, one, field_nm=3000, photon_quantile=1.0)


def test_efficiency_weights():
    assert efficiency(1.0, 0.0) == 100
    assert efficiency(1.0, 20.0, weight_per_nm=0.5) == 90
    assert efficiency(0.6, 30.0) == pytest.approx(50)


def test_nearest_neighbours_against_all_distances():
    rng = np.random.default_rng(1)
    emitters = crowd(rng, 60, frames=20)
    got = nearest_neighbour_nm(emitters)
    for i in range(len(emitters)):
        same = np.flatnonzero(emitters.frame == emitters.frame[i])
        others = same[same != i]
        distance = np.hypot(
            emitters.x_nm[others] - emitters.x_nm[i],
            emitters.y_nm[others] - emitters.y_nm[i],
        )
        assert got[i] == pytest.approx(min(distance, default=np.inf))
    assert np.isinf(got).any()


def test_recall_in_bins_of_photons():
    truth = table([1000, 2000, 3000], [1000] * 3, photons=[100, 100, 900])
    found = table([1000, 3000], [1000] * 2)
    seen = detected_rows(truth, match(truth, found))
    assert seen.tolist() == [True, False, True]
    bins = recall_by(truth.photons, seen, edges=[0, 500, 900, 1000])
    assert [b["recall"] for b in bins][::2] == [0.5, 1.0]
    assert np.isnan(bins[1]["recall"])
    assert [b["emitters"] for b in bins] == [2, 0, 1]
    with pytest.raises(ValueError, match="rise"):
        recall_by(truth.photons, seen, edges=[1, 1])
