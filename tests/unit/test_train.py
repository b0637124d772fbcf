"""Training in stages: what a run writes, and that it can be stopped anywhere."""

import csv
import itertools
import json
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Literal

import keras
import numpy as np
import psutil
import pytest
from keras import layers, ops

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, ZooError
from zoo.core.grid import Grid
from zoo.core.network import Network
from zoo.core.papers import NEHME_2018
from zoo.core.random import generator
from zoo.core.recipe import (
    Budget,
    Loss,
    Objective,
    Recipe,
    Simulation,
    Source,
    Stage,
)
from zoo.inputs.frames import Frames
from zoo.models.pssr import pssr
from zoo.objectives.supervised import Supervised
from zoo.simulate.frames import DensityFrames
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.sim_images import SimImageTestSet
from zoo.train import fit as fit_module
from zoo.train import precision
from zoo.train.batches import (
    VALIDATION_EPOCH,
    Batches,
    simulators,
    validation_pairs,
)
from zoo.train.checkpoint import CHECKPOINT, HISTORY, load_stage
from zoo.train.fit import affordable_steps, plan
from zoo.train.run import RECIPE, RUN, WEIGHTS, read_run, train
from zoo.train.start import start_from

FIELDS = (
    "epoch",
    "samples",
    "loss",
    "val_loss",
    "learning_rate",
    "seconds",
)


def tiny(
    *, width: int = 3, dtype: str = "float32", tile: int | None = None
) -> keras.Model:
    frame = keras.Input((tile, tile, 1), name="frame", dtype="float32")
    x = layers.Conv2D(width, 3, padding="same", dtype=dtype, name="first")(frame)
    x = layers.BatchNormalization(dtype=dtype, name="norm")(x)
    x = layers.ReLU(dtype=dtype, name="relu")(x)
    x = layers.Conv2D(1, 3, padding="same", dtype="float32", name="last")(x)
    return keras.Model(frame, x, name="tiny")


class Blurred(Source):
    """Noise, and the same noise averaged over three columns."""

    kind: Literal["blurred"] = "blurred"
    edge_px: int = 8
    """Edge of the images."""
    poison: bool = False
    """Whether targets are not a number."""

    def sample(self, rng):
        frame = rng.random((self.edge_px, self.edge_px, 1)).astype(np.float32)
        target = (frame + np.roll(frame, 1, axis=1) + np.roll(frame, -1, axis=1)) / 3
        return frame, target * (np.nan if self.poison else 1)

    def record(self, rng, *, frames):
        shape = (frames, self.edge_px, self.edge_px)
        return Simulation(rng.random(shape), rng.random(shape), 100.0)


class Squared(Loss):
    kind: Literal["squared"] = "squared"
    weight: float = 1.0
    """Factor of the loss."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        return self.weight * ops.mean(ops.square(target - prediction), axis=(1, 2, 3))


STAGES = (
    Stage(epochs=2, steps=3, batch_size=2, changes={"objective__loss__weight": 0.5}),
    Stage(epochs=2, steps=2, batch_size=4, changes={"source__edge_px": 12}),
)

RECIPE_OF_TESTS = Recipe(
    name="tiny_noise",
    title="Tiny network",
    summary="For tests.",
    network=Network(name="tiny", paper=NEHME_2018, build=tiny, parameters=64),
    contract=Contract(
        grid=Grid.square(halo=2), input=Frames(), task=ImageRestoration()
    ),
    source=Blurred(),
    objective=Supervised(loss=Squared()),
    test_set=SimImageTestSet(),
    budgets={
        "smoke": Budget(stages=STAGES, warmup_steps=3, validation_samples=3),
        "cpu": Budget(stages=STAGES[:1], mixed_precision=True, warmup_steps=2),
    },
    seed=11,
)


def weights(path) -> list[np.ndarray]:
    return keras.saving.load_model(path, compile=False).get_weights()


def rows(folder) -> list[dict[str, str]]:
    with (folder / HISTORY).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def files(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """Return the folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("run") / "new" / "run"
    calls = []
    path = train(
        RECIPE_OF_TESTS,
        budget="smoke",
        run_folder=folder,
        settings={"seed": 11},
        data="somewhere",
        progress=lambda *call: calls.append(call),
    )
    assert path == folder / WEIGHTS
    assert [call[:2] for call in calls] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    for call in calls:
        assert set(call[2]) == {*FIELDS, "samples_per_s", "remaining_s"}
        assert call[2]["samples_per_s"] > 0
    assert calls[-1][2]["remaining_s"] == 0
    return folder


def test_a_plan_lists_every_epoch_with_its_stage():
    epochs = plan(RECIPE_OF_TESTS.budgets["smoke"])
    assert [epoch.number for epoch in epochs] == [0, 1, 2, 3]
    assert [epoch.stage for epoch in epochs] == [STAGES[0]] * 2 + [STAGES[1]] * 2
    assert [epoch.ends_stage for epoch in epochs] == [None, 1, None, 2]
    assert [epoch.samples for epoch in epochs] == [6, 12, 20, 28]
    assert plan(Budget(stages=())) == []


def test_weights_at_the_end_of_a_stage_are_kept(finished):
    loaded = []
    for number in (1, 2):
        model = tiny()
        load_stage(finished, number, model)
        loaded.append(model.get_weights())
    for stage, final in zip(loaded[1], weights(finished / WEIGHTS), strict=True):
        assert np.array_equal(stage, final)
    assert not np.array_equal(loaded[0][0], loaded[1][0])
    with pytest.raises(BadInput, match=r"stage-3\.npz"):
        load_stage(finished, 3, tiny())


def test_options_of_training_do_not_reach_the_result(tmp_path):
    recipe = RECIPE_OF_TESTS.override(
        options={"tile": 16}, training_options={"tile": None}
    )
    # the images of both stages are not 16 px large
    path = train(recipe, budget="smoke", run_folder=tmp_path / "run")
    model = keras.saving.load_model(path, compile=False)
    assert model.input_shape == (None, 16, 16, 1)


def batches(*, seed: int = 1, epoch: int = 0, **more: int) -> Batches:
    numbers = {"steps": 3, "batch_size": 2} | more
    return Batches(Blurred(), seed=seed, epoch=epoch, **numbers)


def test_batches_have_the_declared_size():
    data = batches(batch_size=5)
    assert len(data) == 3
    frames, targets = data[0]
    assert frames.shape == targets.shape == (5, 8, 8, 1)
    assert frames.dtype == np.float32


def test_a_batch_depends_on_seed_epoch_and_number_only():
    forwards, backwards = batches(), batches()
    first = [forwards[i][0] for i in (0, 1, 2)]
    second = [backwards[i][0] for i in (2, 1, 0)][::-1]
    for one, two in zip(first, second, strict=True):
        assert np.array_equal(one, two)
    # neither on how many batches there are
    assert np.array_equal(batches(steps=9)[1][0], first[1])
    others = [*first[1:], batches(seed=2)[0][0], batches(epoch=1)[0][0]]
    assert not any(np.array_equal(first[0], other) for other in others)


def test_a_batch_is_drawn_from_its_own_generator():
    rng = generator(1, 4, 2)
    expected = [Blurred().sample(rng) for _ in range(2)]
    frames, targets = batches(epoch=4)[2]
    assert np.array_equal(frames, [pair[0] for pair in expected])
    assert np.array_equal(targets, [pair[1] for pair in expected])


@pytest.fixture(scope="module")
def pool():
    """Two processes that simulate; what takes time is to begin them."""
    with simulators(2) as started:
        yield started


def test_one_process_needs_no_further():
    with simulators(1) as none:
        assert none is None


def test_processes_simulate_what_one_does(pool):
    source = DensityFrames(crop_px=8)
    alone = Batches(source, seed=1, epoch=0, steps=5, batch_size=2)
    ahead = Batches(source, seed=1, epoch=0, steps=5, batch_size=2, pool=pool, ahead=3)
    # Keras may ask for the first batch twice
    for index in (0, 0, 1, 2, 3, 4):
        for one, two in zip(alone[index], ahead[index], strict=True):
            assert np.array_equal(one, two)


def test_the_next_epoch_is_begun_while_one_ends(pool):
    source = DensityFrames(crop_px=8)
    numbers = {"seed": 1, "batch_size": 2, "ahead": 3}
    alone = Batches(source, epoch=1, steps=3, **numbers)
    first = Batches(source, epoch=0, steps=4, pool=pool, **numbers)
    second = Batches(source, epoch=1, steps=3, pool=pool, **numbers)
    first.steps, first.following = 2, second
    assert len(first) == 2
    first[0]
    assert sorted(second._coming) == [0]
    first[1]
    assert sorted(second._coming) == [0, 1]
    for index in range(3):
        for one, two in zip(alone[index], second[index], strict=True):
            assert np.array_equal(one, two)


WORKERS = """
import os, sys, time
from zoo.train.batches import simulators

if __name__ == "__main__":
    with simulators(2) as pool:
        print(*{pool.submit(os.getpid).result() for _ in range(8)}, flush=True)
        time.sleep(600)
"""


@pytest.mark.slow
def test_processes_end_with_a_training_that_is_killed(tmp_path):
    script = tmp_path / "training.py"
    script.write_text(WORKERS)
    command = [sys.executable, str(script)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as training:
        assert training.stdout is not None
        workers = [psutil.Process(int(n)) for n in training.stdout.readline().split()]
        training.kill()
    for worker in workers:
        worker.wait()  # those that go on wait for work for ever


def test_held_out_pairs_are_never_trained_on():
    frames, targets = validation_pairs(Blurred(), seed=1, count=6)
    assert frames.shape == targets.shape == (6, 8, 8, 1)
    assert max(epoch.number for epoch in plan(RECIPE_OF_TESTS.budgets["smoke"])) < (
        VALIDATION_EPOCH
    )
    seen = [batches(epoch=epoch)[i][0] for epoch in range(20) for i in range(3)]
    assert not np.isin(frames[:, 0, 0, 0], np.stack(seen)[..., 0, 0, 0]).any()
    again = validation_pairs(Blurred(), seed=1, count=6)
    assert np.array_equal(frames, again[0])


def test_a_run_folder_holds_what_made_it(finished):
    assert files(finished) == sorted(
        [CHECKPOINT, HISTORY, RECIPE, RUN, WEIGHTS, "stage-1.npz", "stage-2.npz"]
    )
    declared = json.loads((finished / RECIPE).read_text(encoding="utf-8"))
    assert declared == json.loads(RECIPE_OF_TESTS.model_dump_json())
    assert declared["source"] == {"kind": "blurred", "edge_px": 8, "poison": False}
    run = read_run(finished)
    assert run["recipe"] == "tiny_noise"
    assert run["budget"] == "smoke"
    assert run["settings"] == {"seed": 11}
    assert run["data"] == "somewhere"
    assert run["finished"] is True
    assert run["precision"] == "float32"
    assert run["results"] == []
    assert "stopped_by" not in run
    assert run["steps"] == 2 * 3 + 2 * 2
    assert run["samples"] == 2 * 3 * 2 + 2 * 2 * 4
    assert run["seconds"] > 0
    assert run["backend"] == keras.config.backend()
    assert run["keras"] == keras.__version__


def test_the_history_has_a_row_for_every_epoch(finished):
    history = rows(finished)
    assert tuple(history[0]) == FIELDS
    assert [float(row["epoch"]) for row in history] == [1, 2, 3, 4]
    assert [float(row["samples"]) for row in history] == [6, 12, 20, 28]
    for row in history:
        for name in FIELDS:
            assert np.isfinite(float(row[name])), name
        assert float(row["seconds"]) > 0
    # a hundredth of the peak at the end
    assert float(history[-1]["learning_rate"]) == pytest.approx(1e-5, rel=1e-3)


def test_the_held_out_loss_is_that_of_the_final_weights(finished):
    model = keras.saving.load_model(finished / WEIGHTS, compile=False)
    frames, targets = validation_pairs(Blurred(), seed=11, count=3)
    prediction = ops.convert_to_numpy(model(frames, training=False))
    expected = np.mean((targets - prediction) ** 2)
    assert float(rows(finished)[-1]["val_loss"]) == pytest.approx(expected, rel=1e-4)


def test_a_run_that_broke_off_in_an_epoch_repeats_that_epoch(finished, tmp_path):
    class Flaky(Blurred):
        def sample(self, rng):
            if self.edge_px == 12:
                raise KeyboardInterrupt
            return super().sample(rng)

    flaky = RECIPE_OF_TESTS.override(source=Flaky())
    with pytest.raises(KeyboardInterrupt):
        train(flaky, budget="smoke", run_folder=tmp_path)
    assert len(rows(tmp_path)) == 2
    train(RECIPE_OF_TESTS, budget="smoke", run_folder=tmp_path, resume=True)
    for one, two in zip(
        weights(finished / WEIGHTS), weights(tmp_path / WEIGHTS), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-6)


def test_a_finished_run_is_not_trained_on(finished):
    before = weights(finished / WEIGHTS)
    calls = []
    train(
        RECIPE_OF_TESTS,
        budget="smoke",
        run_folder=finished,
        resume=True,
        progress=lambda *call: calls.append(call),
    )
    assert calls == []
    for one, two in zip(before, weights(finished / WEIGHTS), strict=True):
        np.testing.assert_array_equal(one, two)


def test_weights_are_float32_whatever_computed_them(tmp_path):
    path = train(RECIPE_OF_TESTS, budget="cpu", run_folder=tmp_path)
    model = keras.saving.load_model(path, compile=False)
    for layer in model.layers:
        assert layer.dtype_policy.name == "float32", layer.name
    assert {weight.dtype for weight in model.weights} == {"float32"}
    assert all(np.isfinite(weight).all() for weight in model.get_weights())
    # no held-out samples are declared
    assert "val_loss" not in rows(tmp_path)[0]


@pytest.mark.parametrize(
    "name", [WEIGHTS, HISTORY, "stage-2.npz", "mask.npy", "critic.keras"]
)
def test_files_that_no_run_wrote_are_not_replaced(tmp_path, name):
    (tmp_path / name).write_text("mine")
    (tmp_path / "notes.txt").write_text("mine, too")
    with pytest.raises(BadInput, match=f"{name} is not replaced: no run wrote it"):
        train(RECIPE_OF_TESTS, budget="smoke", run_folder=tmp_path)
    assert files(tmp_path) == sorted([name, "notes.txt"])
    assert (tmp_path / name).read_text() == "mine"
    with pytest.raises(BadInput, match="is a file; give a folder"):
        train(RECIPE_OF_TESTS, budget="smoke", run_folder=tmp_path / "notes.txt")


@pytest.mark.parametrize("name", [RECIPE, RUN, CHECKPOINT])
def test_a_folder_that_holds_a_run_is_refused(tmp_path, name):
    (tmp_path / name).write_text("{}")
    with pytest.raises(BadInput, match="already holds a run") as caught:
        train(RECIPE_OF_TESTS, budget="smoke", run_folder=tmp_path)
    assert "--resume" in str(caught.value)
    assert files(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "{}"


def test_there_must_be_a_run_to_resume(tmp_path):
    folder = tmp_path / "none"
    with pytest.raises(BadInput, match="holds no run") as caught:
        train(RECIPE_OF_TESTS, budget="smoke", run_folder=folder, resume=True)
    assert "\n" not in str(caught.value)
    assert not folder.exists()
    with pytest.raises(BadInput, match=r"run\.json is missing"):
        read_run(folder)


@pytest.mark.parametrize(
    ("changes", "field"),
    [({"seed": 12}, "seed"), ({"source__edge_px": 10}, "source")],
)
def test_a_changed_recipe_is_not_resumed(finished, changes, field):
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    with pytest.raises(BadInput, match=f"in {field};"):
        train(
            RECIPE_OF_TESTS.override(**changes),
            budget="smoke",
            run_folder=finished,
            resume=True,
        )
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before


def test_an_unknown_budget_lists_the_known_ones(tmp_path):
    with pytest.raises(BadInput, match="it has smoke, cpu"):
        train(RECIPE_OF_TESTS, budget="gpu", run_folder=tmp_path / "new")
    assert not (tmp_path / "new").exists()


def test_a_loss_that_is_not_finite_stops_training(tmp_path):
    stages = (
        Stage(epochs=1, steps=2, batch_size=2),
        Stage(epochs=1, steps=2, batch_size=2, changes={"source__poison": True}),
    )
    poisoned = RECIPE_OF_TESTS.override(
        budgets={"smoke": Budget(stages=stages, warmup_steps=1)}
    )
    with pytest.raises(FloatingPointError, match="loss of epoch 2 is not") as caught:
        train(poisoned, budget="smoke", run_folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert WEIGHTS not in files(tmp_path)
    # the last good checkpoint stays
    assert len(rows(tmp_path)) == 1
    with np.load(tmp_path / CHECKPOINT) as arrays:
        assert all(np.isfinite(arrays[n]).all() for n in arrays.files if "/" in n)


@pytest.mark.parametrize("name", ["mine", "tiny_noise"])
def test_a_run_under_another_name_remembers_the_recipe(tmp_path, name):
    recipe = RECIPE_OF_TESTS.override(
        name=name, budgets={"smoke": Budget(stages=STAGES[:1])}
    )
    arguments: dict[str, Any] = {
        "budget": "smoke",
        "run_folder": tmp_path,
        "declared_as": "tiny_noise",
        "settings": {"name": name},
    }
    train(recipe, **arguments)
    assert read_run(tmp_path)["recipe"] == "tiny_noise"
    assert json.loads((tmp_path / RECIPE).read_text("utf-8"))["name"] == name
    train(recipe, **arguments, resume=True)


def test_what_is_left_of_the_time_is_shared_out_evenly():
    budget = Budget(stages=(Stage(epochs=10, steps=100, batch_size=2),), hours=1.0)
    epochs = plan(budget)
    row = {"seconds": 600.0}
    history = [{"samples": 200.0, "seconds": 900.0}, {"samples": 400.0} | row]
    # 2100 s are left for eight epochs of 600 s
    share = 2100 / (8 * 600)
    assert affordable_steps(epochs[2], epochs[-1], history, budget) == int(share * 100)
    # one epoch says nothing: it compiled, too
    assert affordable_steps(epochs[1], epochs[-1], history[:1], budget) == 100
    assert affordable_steps(epochs[2], epochs[-1], history, Budget(stages=())) == 100
    fast = [one | {"seconds": 1.0} for one in history]
    assert affordable_steps(epochs[2], epochs[-1], fast, budget) == 100
    late = [one | {"seconds": 1799.0} for one in history]
    assert affordable_steps(epochs[2], epochs[-1], late, budget) == 1


def test_a_training_short_of_time_ends_with_small_steps(tmp_path, monkeypatch):
    clock = itertools.count(step=5.0)  # every look at it: 5 s of an epoch
    counted = SimpleNamespace(perf_counter=lambda: next(clock))
    monkeypatch.setattr(fit_module, "time", counted)
    stages = (Stage(epochs=6, steps=6, batch_size=2),)
    budget = Budget(stages=stages, warmup_steps=0, hours=20.0 / 3600)
    short = RECIPE_OF_TESTS.override(budgets={"smoke": budget})
    train(short, budget="smoke", run_folder=tmp_path)
    history = rows(tmp_path)
    rates = [float(row["learning_rate"]) for row in history]
    steps = np.diff([0, *(float(row["samples"]) for row in history)]) / 2
    assert steps[0] == steps[1] == 6
    assert 1 <= steps[2] < 6
    # the three epochs before have moved on by 18 of 36 steps, however few they made
    fall = budget.learning_rate * (1 + np.cos(np.pi * (18 + steps[3]) / 36)) / 2
    assert rates[3] == pytest.approx(fall, rel=0.05)
    run = read_run(tmp_path)
    assert run["steps"] == steps.sum()
    assert run["stopped_by"] == "time"


def test_a_training_ends_when_its_time_is_over(tmp_path):
    budget = RECIPE_OF_TESTS.budgets["smoke"].override(hours=1e-9)
    calls = []
    short = RECIPE_OF_TESTS.override(budgets={"smoke": budget})
    for resume in (False, True):
        train(
            short,
            budget="smoke",
            run_folder=tmp_path,
            resume=resume,
            progress=lambda *call: calls.append(call),
        )
        run = read_run(tmp_path)
        # the epoch that was begun is finished, and time does not start anew
        assert [call[:2] for call in calls] == [(1, 4)]
        assert calls[0][2]["remaining_s"] == 0
        assert (run["finished"], run["stopped_by"]) == (True, "time")
        assert (run["samples"], run["steps"]) == (6, 3)
        assert len(rows(tmp_path)) == 1
        assert np.isfinite(weights(tmp_path / WEIGHTS)[0]).all()


@pytest.mark.parametrize(
    ("flags", "policy"),
    [
        ("fpu avx2 avx512f", "float32"),
        ("fpu avx512_bf16 avx2", "mixed_bfloat16"),
        ("fpu amx_bf16", "mixed_bfloat16"),
    ],
)
def test_bfloat16_needs_a_processor_that_has_it(tmp_path, monkeypatch, flags, policy):
    processor = tmp_path / "cpuinfo"
    processor.write_text(f"processor : 0\nflags\t\t: {flags}\n")
    monkeypatch.setattr(precision, "PROCESSOR", processor)
    monkeypatch.setattr(precision, "has_gpu", lambda: False)
    assert precision.precision_for(RECIPE_OF_TESTS.budgets["cpu"]) == policy
    assert precision.precision_for(RECIPE_OF_TESTS.budgets["smoke"]) == "float32"
    folder = tmp_path / "run"
    train(RECIPE_OF_TESTS, budget="cpu", run_folder=folder)
    assert read_run(folder)["precision"] == policy
    # another machine goes on as the first one began
    other = "fpu" if policy != "float32" else "amx_bf16"
    processor.write_text(f"flags : {other}\n")
    train(RECIPE_OF_TESTS, budget="cpu", run_folder=folder, resume=True)
    assert read_run(folder)["precision"] == policy


def test_a_run_can_start_from_another_ones_weights(finished, tmp_path):
    recipe = RECIPE_OF_TESTS.override(
        budgets={"smoke": Budget(stages=STAGES[:1], learning_rate=0.0)}, name="again"
    )
    for start, expected in (
        (finished, weights(finished / WEIGHTS)),
        (finished / "stage-2.npz", weights(finished / WEIGHTS)),
    ):
        folder = tmp_path / start.name
        train(recipe, budget="smoke", run_folder=folder, start=str(start))
        got = weights(folder / WEIGHTS)
        # kernels and biases; the statistics of the normalisation move by themselves
        for number in (0, 1, -2, -1):
            assert np.array_equal(got[number], expected[number])
        run = read_run(folder)
        name = WEIGHTS if start == finished else start.name
        assert run["start"] == f"tiny_noise/{name}"
        assert len(run["start_sha256"]) == 64


def test_a_network_prepares_weights_that_have_not_been_trained(finished, tmp_path):
    def mark(model: keras.Model) -> None:
        values = model.get_weights()
        values[1][:] = 7
        model.set_weights(values)

    recipe = RECIPE_OF_TESTS.override(
        network=RECIPE_OF_TESTS.network.model_copy(update={"prepare": mark}),
        budgets={"smoke": Budget(stages=STAGES[:1], learning_rate=0.0)},
    )
    train(recipe, budget="smoke", run_folder=tmp_path / "fresh")
    assert (weights(tmp_path / "fresh" / WEIGHTS)[1] == 7).all()
    train(
        recipe,
        budget="smoke",
        run_folder=tmp_path / "started",
        start=str(finished / WEIGHTS),
    )
    assert not (weights(tmp_path / "started" / WEIGHTS)[1] == 7).any()


def test_a_kernel_of_one_channel_is_spread_over_several(tmp_path):
    def network(channels: int) -> keras.Model:
        image = keras.Input((8, 8, channels))
        return keras.Model(image, layers.Conv2D(2, 3)(image))

    one, three = network(1), network(3)
    one.save(tmp_path / "one.keras")
    assert start_from(three, tmp_path / "one.keras")["start_channels"] == 1
    assert "start_channels" not in start_from(one, tmp_path / "one.keras")
    image = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    mean = image.mean(axis=-1, keepdims=True)
    assert np.allclose(
        three.predict_on_batch(image), one.predict_on_batch(mean), atol=1e-6
    )


def test_a_network_of_more_channels_begins_with_those_of_the_old_one(tmp_path):
    def network(channels: int) -> keras.Model:
        image = keras.Input((8, 8, channels))
        x = layers.Conv2D(4, 3, name="stem")(image)
        for number in range(2):
            x = layers.Conv2D(4, 1, name=f"trunk{number}")(x)
        return keras.Model(image, layers.Conv2D(channels, 1, name="head")(x))

    two, three = network(2), network(3)
    built = three.get_layer("head").get_weights()[0][..., 2]
    two.save(tmp_path / "two.keras")
    assert start_from(three, tmp_path / "two.keras")["start_channels"] == 2
    image = np.random.default_rng(0).random((2, 8, 8, 3), np.float32)
    found = three.predict_on_batch(image)
    assert np.allclose(found[..., :2], two.predict_on_batch(image[..., :2]), atol=1e-6)
    assert (three.get_layer("head").get_weights()[0][..., 2] == built).all()
    three.save(tmp_path / "three.keras")
    with pytest.raises(BadInput, match="same architecture and width"):
        start_from(two, tmp_path / "three.keras")


def test_a_movie_network_begins_as_that_of_single_images(tmp_path):
    one, five = (pssr(channels=n, width=8, tile=8) for n in (1, 5))
    one.save(tmp_path / "one.keras")
    assert start_from(five, tmp_path / "one.keras")["start_channels"] == 1
    frame = np.random.default_rng(0).random((1, 8, 8, 1), np.float32)
    still = np.repeat(frame, 5, axis=-1)
    assert np.allclose(
        five.predict_on_batch(still), one.predict_on_batch(frame), atol=1e-5
    )


def test_weights_of_another_width_are_refused(tmp_path):
    wide, narrow = (pssr(width=n, tile=8) for n in (9, 8))
    narrow.save(tmp_path / "narrow.keras")
    with pytest.raises(BadInput, match=r"arrays are smaller .* something else"):
        start_from(wide, tmp_path / "narrow.keras")


@pytest.mark.parametrize(
    ("start", "message"),
    [("nowhere", "nowhere"), ("wide", "same architecture and width")],
)
def test_weights_that_do_not_fit_are_refused(tmp_path, start, message):
    tiny(width=5).save(tmp_path / "wide.keras")
    path = str(tmp_path / "wide.keras") if start == "wide" else start
    run = tmp_path / "run"
    with pytest.raises(ZooError, match=message):
        train(RECIPE_OF_TESTS, budget="smoke", run_folder=run, start=path)
    # it can be repeated with other weights
    train(RECIPE_OF_TESTS, budget="smoke", run_folder=run)


class Counting:
    """A training of one number that adds up what it sees, in no time."""

    def __init__(self, model: keras.Model) -> None:
        self.network = model
        self.total: Any = model.weights[0]

    def variables(self):
        return {f"network/{w.path}": w for w in self.network.weights}

    def stage(self, recipe):
        self.factor = recipe.objective.factor

    def epoch(self, batches, held_out):
        del held_out
        step = sum(float(batches[i][0].sum()) for i in range(len(batches)))
        self.total.assign(ops.convert_to_numpy(self.total) + self.factor * step)
        return {"loss": float(np.asarray(self.total).mean())}

    def skip(self, batches):
        assert batches == 0

    def results(self):
        return {
            "weights": self.network,
            "total": np.array(ops.convert_to_numpy(self.total)),
        }


class Count(Objective):
    kind: Literal["count"] = "count"
    factor: float = 1.0

    def start(self, recipe, budget, *, dtype):
        del budget, dtype
        return Counting(recipe.network.build())


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture
def killer(monkeypatch):
    """Return a function that ends the program around the n-th file that appears."""
    rename = Path.replace

    def arm(number: int, *, after: bool) -> None:
        numbers = itertools.count(1)

        def replace(self, target):
            is_last = next(numbers) == number
            if is_last and not after:
                raise Killed
            rename(self, target)
            if is_last:
                raise Killed

        monkeypatch.setattr(Path, "replace", replace)

    return arm


def test_a_training_that_is_killed_at_any_write_ends_like_another(
    tmp_path, killer, monkeypatch
):
    stages = (
        Stage(epochs=2, steps=1, batch_size=1),
        Stage(epochs=1, steps=1, batch_size=1, changes={"objective__factor": 2.0}),
    )
    recipe = RECIPE_OF_TESTS.override(
        objective=Count(), budgets={"smoke": Budget(stages=stages)}
    )

    def run(folder, *, resume=False):
        train(recipe, budget="smoke", run_folder=folder, resume=resume)

    run(tmp_path / "whole")
    expected = contents(tmp_path / "whole")
    assert set(expected) == {
        *(CHECKPOINT, HISTORY, RECIPE, RUN, WEIGHTS),
        *("stage-1.npz", "stage-2.npz", "total.npy"),
    }
    kills = 0
    instants = ((n, after) for n in itertools.count(1) for after in (False, True))
    for number, after in instants:
        folder = tmp_path / f"{number}-{after}"
        killer(number, after=after)
        # nor does a dead process tidy up
        monkeypatch.setattr(Path, "unlink", lambda *_args, **_more: None)
        with suppress(Killed):
            run(folder)
            break
        kills += 1
        monkeypatch.undo()
        try:
            run(folder, resume=True)
        except BadInput:  # nothing had been written: it can be begun again
            assert not (folder / RUN).exists()
            run(folder)
        assert contents(folder) == expected, (number, after)
    # two files at the start, two for each epoch, two stages, three at the end
    assert kills == 2 * (2 + 3 * 2 + 2 + 3)


def contents(folder) -> dict[str, Any]:
    """Return what the files of a run say, but for the time that it took."""
    said: dict[str, Any] = {}
    for path in folder.iterdir():
        if path.suffix == ".npz":
            with np.load(path) as arrays:
                values = {n: arrays[n].tolist() for n in arrays.files if "/" in n}
                said[path.name] = values
        elif path.suffix == ".npy":
            said[path.name] = np.load(path).tolist()
        elif path.suffix == ".keras":
            said[path.name] = [w.tolist() for w in weights(path)]
        elif path.suffix == ".csv":
            said[path.name] = [{**row, "seconds": ""} for row in rows(folder)]
        else:
            record = json.loads(path.read_text("utf-8"))
            said[path.name] = {**record, "seconds": ""}
    return said
