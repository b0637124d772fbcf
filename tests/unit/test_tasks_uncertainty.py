"""Stated errors: `zoo.tasks.uncertainty`, `zoo.metrics.uncertainty`, Gaussians."""

import numpy as np
import pytest
from pydantic import ValidationError

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.products import Products
from zoo.inputs.frames import Frames
from zoo.inputs.recording import StackRecording
from zoo.io.stacks import open_stack
from zoo.io.tables import read_localizations
from zoo.metrics.uncertainty import paired, uncertainty_scores
from zoo.tasks.density import Density, DensityOptions
from zoo.tasks.localization import add_gaussians, add_histogram, localize
from zoo.tasks.uncertainty import UNCALIBRATED, Errors, fit_errors

SETTINGS = {"pixel_size_nm": 10.0, "threshold": 0.1, "ideal_peak": 40.0, "window": 7}


def _spot(sigma_px, size=21):
    axis = np.arange(size) - size // 2
    spot = np.exp(-0.5 * (axis / sigma_px) ** 2)
    spot = np.outer(spot, spot)
    return (40 * spot / spot.sum())[None]


def test_the_spread_of_a_response_is_told_and_translated():
    raw = localize(_spot(1.0), **SETTINGS, errors=UNCALIBRATED)
    # the tails beyond the window of seven pixels are missing
    assert raw.uncertainty_nm[0] == pytest.approx(10.0, rel=0.01)
    wider = localize(_spot(1.6), **SETTINGS, errors=UNCALIBRATED)
    assert wider.uncertainty_nm[0] > raw.uncertainty_nm[0] + 3
    errors = Errors(spread=(0.9, 1.1), error=(2.0, 4.0))
    stated = localize(_spot(1.0), **SETTINGS, errors=errors)
    expected = 10 * errors.at(raw.uncertainty_nm / 10)
    np.testing.assert_allclose(stated.uncertainty_nm, expected)
    assert localize(_spot(1.0), **SETTINGS).uncertainty_nm is None


def test_depth_has_errors_of_its_own():
    deep = np.zeros((1, 9, 9, 9))
    deep[0, 3:6, 4, 4] = 10.0, 20.0, 10.0
    found = localize(
        deep, **SETTINGS, z_step_nm=50.0, errors=UNCALIBRATED, errors_z=UNCALIBRATED
    )
    assert found.uncertainty_nm.tolist() == [0.0]
    assert found.uncertainty_z_nm.tolist() == pytest.approx([50 * 0.5**0.5])


@pytest.mark.parametrize(
    "fields",
    [
        {"spread": (1.0, 2.0), "error": (1.0,)},
        {"spread": (2.0, 1.0), "error": (1.0, 2.0)},
        {"spread": (1.0, 2.0), "error": (2.0, 1.0)},
        {"spread": (), "error": ()},
        {"spread": (1.0,), "error": (1.0,), "response": (1.0,)},
        {"spread": (1.0,), "error": (1.0,), "response": (1, 2), "factor": (1, 2)},
    ],
)
def test_errors_must_be_a_rising_table(fields):
    with pytest.raises(ValidationError):
        Errors(**fields)


def test_measured_errors_never_fall_and_are_root_mean_squares():
    rng = np.random.default_rng(2)
    spread = rng.uniform(0.5, 2.5, 4000)
    error = rng.normal(0, 3.0 * np.maximum(spread, 1.5)[:, None], (4000, 2))
    errors = fit_errors(spread, error)
    assert (np.diff(errors.error) >= 0).all()
    assert errors.at(np.array([0.6]))[0] == pytest.approx(4.5, rel=0.08)
    assert errors.at(np.array([2.4]))[0] == pytest.approx(7.2, rel=0.08)
    assert fit_errors(spread[:10], error[:10]) is None


def test_faint_responses_have_larger_errors():
    rng = np.random.default_rng(7)
    spread, response = rng.uniform(1, 2, 8000), rng.uniform(0.5, 1.5, 8000)
    error = rng.normal(0, (spread / response)[:, None], (8000, 2))
    errors = fit_errors(spread, error, response=response)
    assert (np.diff(errors.factor) <= 0).all()
    assert (np.diff(errors.response) > 0).all()
    for faint, expected in ((0.6, 1.5 / 0.6), (1.4, 1.5 / 1.4)):
        stated = errors.at(np.array([1.5]), np.array([faint]))
        assert stated[0] == pytest.approx(expected, rel=0.1)
    blind = fit_errors(spread, error)
    assert blind.response == ()
    assert blind.at(np.array([1.5]), np.array([0.6])) == blind.at(np.array([1.5]))


def test_weights_count():
    spread = np.full(80, 1.0)  # enough for one bin
    error = np.repeat([1.0, 3.0], 40)
    weight = np.repeat([3.0, 1.0], 40)
    assert fit_errors(spread, error, weight).error[0] == pytest.approx(3**0.5, abs=1e-3)


def test_scores_say_which_share_lies_within_the_stated_errors():
    rng = np.random.default_rng(4)
    count, sigma = 3000, 8.0
    place = rng.uniform(500, 5500, (2, count))
    frame = np.arange(count) + 1
    truth = Localizations(x_nm=place[0], y_nm=place[1], frame=frame)
    found = Localizations(
        x_nm=place[0] + rng.normal(0, sigma, count),
        y_nm=place[1] + rng.normal(0, sigma, count),
        frame=frame,
        uncertainty_nm=np.full(count, sigma),
    )
    scores = uncertainty_scores([paired(truth, found, field_nm=6000.0)])
    assert scores["found"] == count
    assert scores["within_1_sigma"] == pytest.approx(0.683, abs=0.02)
    assert scores["within_2_sigma"] == pytest.approx(0.954, abs=0.01)
    assert scores["rmse_axis_nm"] == pytest.approx(sigma, rel=0.05)
    silent = found.with_columns(uncertainty_nm=None)
    assert uncertainty_scores([paired(truth, silent, field_nm=6000.0)]) == {}


def test_gaussians_sum_to_the_table_and_shrink_to_its_histogram():
    rng = np.random.default_rng(5)
    place = rng.uniform(100, 300, (2, 50))
    rows = Localizations(
        x_nm=place[0], y_nm=place[1], uncertainty_nm=rng.uniform(0.5, 25, 50)
    )
    image = np.zeros((40, 40))
    add_gaussians(image, rows, pixel_nm=10.0)
    assert image.sum() == pytest.approx(50)
    one = Localizations(
        x_nm=np.array([205.0]), y_nm=np.array([155.0]), uncertainty_nm=np.array([20.0])
    )
    single = np.zeros((40, 40))
    add_gaussians(single, one, pixel_nm=10.0)
    _, x = np.mgrid[:40, :40] * 10.0 + 5
    assert (single * x).sum() == pytest.approx(205.0)
    # variance of the Gaussian and of the square pixel
    spread = ((x - 205) ** 2 * single).sum()
    assert spread == pytest.approx(400 + 100 / 12, rel=0.01)
    sharp, counted = np.zeros((40, 40)), np.zeros((40, 40))
    exact = rows.with_columns(uncertainty_nm=np.full(50, 1e-6))
    add_gaussians(sharp, exact, pixel_nm=10.0)
    add_histogram(counted, rows, pixel_nm=10.0)
    np.testing.assert_allclose(sharp, counted, atol=1e-9)


def test_gaussians_outside_and_in_other_planes_do_not_show():
    rows = Localizations(
        x_nm=np.array([15.0, 900.0, 15.0]),
        y_nm=np.array([15.0, 15.0, 15.0]),
        z_nm=np.array([0.0, 0.0, 900.0]),
        uncertainty_nm=np.full(3, 1.0),
    )
    volume = np.zeros((2, 4, 4))
    add_gaussians(volume, rows, pixel_nm=10.0, z_step_nm=100.0, z_first_nm=0.0)
    assert volume.sum() == pytest.approx(1.0)
    assert volume[0, 1, 1] == pytest.approx(1.0, abs=1e-4)
    with pytest.raises(ValueError, match="uncertainty_nm"):
        add_gaussians(volume, rows.with_columns(uncertainty_nm=None), pixel_nm=10.0)


def _predicted(task, options):
    grid = Grid.square(scale=2, outputs=("density",))
    contract = Contract(grid=grid, input=Frames(), task=task)
    stack = open_stack(np.ones((1, 16, 16)), pixel_size_nm=20)
    recording = StackRecording(stack, contract, scaling=None, groups=(slice(0, 1),))
    output = np.zeros((1, 32, 32, 1), np.float32)
    output[0, 5:26, 5:26, 0] = _spot(1.0)[0]
    running = task.start(recording, contract, options)
    products = []
    for first, frames in recording.chunks(1):
        products += running.add(frames, output, first)
    products += running.finish()
    return running.report(), Products(products)


def test_a_package_with_errors_states_and_draws_them():
    errors = Errors(spread=(0.5, 1.5), error=(1.0, 2.0))
    task = Density(ideal_peak=40.0, window_px=7, errors=errors)
    report, counted = _predicted(task, DensityOptions())
    assert counted.localizations.uncertainty_nm[0] == pytest.approx(15.0, rel=0.01)
    assert report["uncertainty"]["rms_nm"] == pytest.approx(15.0, rel=0.01)
    assert counted.image.max() == 1.0
    report, drawn = _predicted(task, DensityOptions(render="gaussian"))
    assert report["options"]["render"] == "gaussian"
    assert drawn.image.sum() == pytest.approx(1.0, rel=1e-3)
    assert drawn.image.max() < 0.2
    assert "Gaussian" in drawn.main.description


def test_without_errors_there_are_no_gaussians():
    task = Density(ideal_peak=40.0, window_px=7)
    report, products = _predicted(task, DensityOptions())
    assert "uncertainty" not in report
    assert products.localizations.uncertainty_nm is None
    with pytest.raises(BadInput, match="--render gaussian"):
        _predicted(task, DensityOptions(render="gaussian"))


def test_a_task_turns_measured_errors_into_fields():
    task = Density()
    assert task.uncalibrated().errors == UNCALIBRATED
    rng = np.random.default_rng(6)
    spread = rng.uniform(1, 2, 500)
    error = rng.normal(0, spread[:, None], (500, 2))
    fields = task.calibration(
        {"uncertainty_nm": spread}, {"uncertainty_nm": error}, np.ones(500)
    )
    assert list(fields) == ["errors"]
    assert task.override(**fields).errors == fields["errors"]


def test_a_table_of_densities_goes_to_picasso(small_package, tmp_path):
    import h5py

    from zoo.predict.predictor import Predictor

    movie = np.random.default_rng(0).integers(90, 900, (3, 24, 30), np.uint16)
    model = Predictor(small_package, picasso=True)
    model.predict_to_folder(movie, tmp_path / "out", pixel_size_nm=100)
    with h5py.File(tmp_path / "out" / "localizations.hdf5") as file:
        rows = file["locs"][:]
    table = read_localizations(tmp_path / "out" / "localizations.csv")
    np.testing.assert_allclose(rows["x"], table.x_nm / 100 - 0.5, atol=1e-3)
    np.testing.assert_array_equal(rows["frame"], table.frame - 1)
    assert (tmp_path / "out" / "localizations.yaml").is_file()
