"""`zoo.test_sets.dense_emitters`: what is drawn, and how it is scored."""

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.core.test_set import Case
from zoo.test_sets.dense_emitters import DenseEmitterTestSet

SET = DenseEmitterTestSet(emitters=(3,), frames=(2,), empty_frames=1)
TRUTH = Localizations(
    x_nm=np.array([3000.0, 5000.0, 7000.0, 9000.0]),
    y_nm=np.full(4, 6000.0),
    z_nm=np.array([500.0, 1500.0, 2500.0, 3500.0]),
    frame=np.array([1, 1, 2, 2]),
)
CASE = Case("emitters/2", np.zeros((2, 121, 121), np.uint16), TRUTH, 110.0)


def scores(rows):
    evidence = SET.score(CASE, Products([Table("localizations", rows)]))
    return SET.metrics([("emitters/2", evidence)])["emitters"]["2"]


def test_frames_hold_their_emitters_away_from_the_border():
    movie, empty = SET.cases()
    assert movie.input.shape == (2, 121, 121)
    assert movie.input.dtype == np.uint16
    truth = movie.truth
    assert np.bincount(truth.frame).tolist() == [0, 3, 3]
    for place in (truth.x_nm, truth.y_nm):
        assert (place >= 20 * 110).all()
        assert (place <= 101 * 110).all()
    assert (truth.z_nm >= 0).all()
    assert (truth.z_nm <= 4000).all()
    assert len(empty.truth) == 0
    low, high = np.percentile(empty.input, [1, 99])
    assert 5 < low < 35
    assert 90 < high < 190


def test_light_lies_where_the_truth_says():
    case = next(iter(SET.override(emitters=(1,), frames=(1,)).cases()))
    frame = case.input[0].astype(float)
    y, x = (int(getattr(case.truth, name)[0] / 110) for name in ("y_nm", "x_nm"))
    near = frame[y - 15 : y + 16, x - 15 : x + 16].sum()
    mirrored = frame[::-1, ::-1][y - 15 : y + 16, x - 15 : x + 16].sum()
    assert near > mirrored


def test_a_match_is_within_100_nm_along_each_direction():
    near = scores(TRUTH.with_columns(x_nm=TRUTH.x_nm + 60, z_nm=TRUTH.z_nm - 90))
    assert near["jaccard"] == 1
    assert near["rmse_lateral_nm"] == near["bias_x_nm"] == 60
    assert near["rmse_axial_nm"] == 90
    assert near["bias_z_nm"] == -90
    for column in ("x_nm", "z_nm"):
        far = scores(TRUTH.with_columns(**{column: getattr(TRUTH, column) + 101}))
        assert (far["jaccard"], far["fp"], far["fn"]) == (0, 4, 4)
        assert "rmse_lateral_nm" not in far
    half = scores(TRUTH.select(np.array([0, 3])))
    assert (half["jaccard"], half["precision"], half["recall"]) == (0.5, 1, 0.5)


def test_stated_errors_are_compared():
    values = scores(
        TRUTH.with_columns(
            x_nm=TRUTH.x_nm + 15,
            z_nm=TRUTH.z_nm + 15,
            uncertainty_nm=np.full(4, 10.0),
            uncertainty_z_nm=np.full(4, 20.0),
        )
    )
    assert (values["within_1_sigma"], values["within_2_sigma"]) == (0.5, 1)
    assert values["within_1_sigma_z"] == 1
    assert "within_1_sigma" not in scores(TRUTH)


def test_false_emitters_in_empty_frames_are_counted():
    *_, empty = SET.cases()
    rows = TRUTH.select(np.array([0])).with_columns(frame=np.array([1]))
    evidence = SET.score(empty, Products([Table("localizations", rows)]))
    metrics = SET.metrics([("empty/all", evidence)])
    assert metrics["empty"]["all"]["false_per_100_frames"] == 100


def test_depths_are_wanted():
    flat = TRUTH.with_columns(z_nm=None)
    for products in (Products([Table("localizations", flat)]), Products()):
        with pytest.raises(BadInput, match="localizations x, y and z"):
            SET.score(CASE, products)


def test_movies_for_calibration_are_others():
    other = SET.calibrating()
    assert other.seed != SET.seed
