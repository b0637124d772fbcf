"""Figures around a training: `zoo.pictures` and the commands that end with them."""

import csv

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.io.write import write_imagej_tiff
from zoo.pictures import LIKE, TRAINING, Likeness, training_figure, write_training
from zoo.simulate.write import write_simulation
from zoo.train.run import train


@pytest.fixture
def simulated(tiny, tmp_path):
    """Write frames of the smallest recipe."""
    write_simulation(tiny.TINY.source, tmp_path / "sim", count=3, seed=1)
    return tmp_path / "sim" / "input.tif"


def _recording(path, value):
    rng = np.random.default_rng(0)
    frames = rng.poisson(value, (6, 24, 24)).astype(np.uint16)
    write_imagej_tiff(path, frames, pixel_size_nm=100.0)
    return path


def test_recording_and_simulation_stand_one_above_the_other(tiny, simulated, tmp_path):
    own = _recording(tmp_path / "own.tif", 700)
    both = Likeness(tiny.TINY, simulated, own)
    figure = both.draw()
    upper, lower = figure.axes[:4], figure.axes[4:]
    assert upper[0].get_title(loc="left") == "recording"
    assert lower[0].get_title(loc="left") == "simulation"
    assert [len(axes.images) for axes in upper] == [1, 1, 1, 1]
    assert [len(axes.images) for axes in lower] == [1, 1, 1, 0]
    shown = upper[0].images[0].get_array()
    assert abs(float(np.mean(shown)) - 700) < 10
    assert both.write(tmp_path).name == LIKE
    assert (tmp_path / LIKE).read_bytes()[:4] == b"\x89PNG"
    lines = both.summary()
    assert "tiny_noise" in lines[0]
    assert lines[-1].startswith("next: zoo train tiny_noise")


def test_what_lies_outside_gives_settings(tiny, simulated, tmp_path):
    far = _recording(tmp_path / "far.tif", 5)
    both = Likeness(tiny.TINY, simulated, far, pixel_size_nm=400.0)
    assert any(c.grade == "outside" for c in both.conditions)
    assert any("--set source.pixel_size_nm=400" in line for line in both.summary())


def test_a_file_that_is_none_is_refused(tiny, simulated, tmp_path):
    with pytest.raises(BadInput):
        Likeness(tiny.TINY, simulated, tmp_path / "nowhere.tif")


def test_a_training_ends_with_its_loss_and_samples(tiny, tmp_path):
    run = tmp_path / "run"
    train(tiny.TINY, budget="smoke", run_folder=run)
    figure = training_figure(tiny.TINY, run)
    loss, *samples = figure.axes
    with (run / "history.csv").open() as file:
        rows = list(csv.DictReader(file))
    drawn = loss.lines[0].get_ydata()
    assert drawn.tolist() == pytest.approx([float(row["loss"]) for row in rows])
    assert len(samples) % 3 == 0
    assert {axes.get_title() for axes in samples} >= {"input", "network"}
    assert write_training(tiny.TINY, run) == run / TRAINING
    assert (run / TRAINING).read_bytes()[:4] == b"\x89PNG"
    (run / "weights.keras").unlink()
    with pytest.raises(BadInput, match="no finished run"):
        training_figure(tiny.TINY, run)


def test_commands_end_with_a_figure_and_what_is_next(toy_recipes, zoo, tmp_path):
    del toy_recipes
    own = _recording(tmp_path / "own.tif", 700)
    target = tmp_path / "look"
    words = ("simulate", "tiny_noise", "-o", target, "-n", 3, "--like", own)
    code, out, err = zoo(*words)
    assert code == 0, err
    assert (target / LIKE).is_file()
    assert out.splitlines()[-1].startswith("next: zoo train tiny_noise")
    run = tmp_path / "run"
    code, out, err = zoo("train", "tiny_noise", "-o", run, "--budget", "smoke")
    assert code == 0, err
    assert (run / TRAINING).is_file()
    assert out.splitlines()[-1] == f"next: zoo package {run} -o dist --name my_name"
