"""Training in stages: what a run writes, and that it can be stopped anywhere."""

import csv
import json
from typing import Any

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.core.config import Config
from zoo.core.errors import BadInput, ZooError
from zoo.core.network import Grid, Network, Paper
from zoo.core.random import generator
from zoo.core.recipe import Budget, Loss, Recipe, Recording, Source, Stage
from zoo.simulate.frames import DensityFrames
from zoo.train.batches import (
    VALIDATION_EPOCH,
    Batches,
    simulators,
    validation_pairs,
)
from zoo.train.fit import (
    CHECKPOINT,
    FIELDS,
    HISTORY,
    fit,
    load_stage,
    optimizer_for,
    plan,
    restore,
    save,
)
from zoo.train.run import RECIPE, RUN, WEIGHTS, read_run, train
from zoo.train.start import start_from

# Keras 3.15 turns its variables into arrays in a way that NumPy 2 deprecates
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation")


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

    edge_px: int = 8
    """Edge of the pictures."""
    poison: bool = False
    """Whether targets are not a number."""

    def sample(self, rng):
        frame = rng.random((self.edge_px, self.edge_px, 1)).astype(np.float32)
        target = (frame + np.roll(frame, 1, axis=1) + np.roll(frame, -1, axis=1)) / 3
        return frame, target * (np.nan if self.poison else 1)

    def record(self, rng, *, frames):
        shape = (frames, self.edge_px, self.edge_px)
        return Recording(rng.random(shape), rng.random(shape), 100.0)


class Squared(Loss):
    weight: float = 1.0
    """Factor of the loss."""

    def __call__(self, target: Any, prediction: Any) -> Any:
        return self.weight * ops.mean(ops.square(target - prediction), axis=(1, 2, 3))


class Nothing(Config):
    """No test set."""


STAGES = (
    Stage(epochs=2, steps=3, batch_size=2, changes={"loss__weight": 0.5}),
    Stage(epochs=2, steps=2, batch_size=4, changes={"source__edge_px": 12}),
)

RECIPE_OF_TESTS = Recipe(
    name="tiny_noise",
    title="Tiny network",
    summary="For tests.",
    network=Network(
        name="tiny",
        task="image",
        paper=Paper(authors="A", title="T", journal="J 1, 1", year=2018, doi="10/1"),
        build=tiny,
        grid=Grid(halo=2),
        parameters=64,
    ),
    source=Blurred(),
    benchmark=Nothing(),
    loss=Squared(),
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
    assert all(set(call[2]) == set(FIELDS) for call in calls)
    return folder


def stop_after(epoch: int):
    def progress(done, _total, _figures):
        if done == epoch:
            raise KeyboardInterrupt

    return progress


def test_a_plan_lists_every_epoch_with_its_stage():
    epochs = plan(RECIPE_OF_TESTS.budgets["smoke"])
    assert [epoch.number for epoch in epochs] == [0, 1, 2, 3]
    assert [epoch.stage for epoch in epochs] == [STAGES[0]] * 2 + [STAGES[1]] * 2
    assert [epoch.ends_stage for epoch in epochs] == [None, 1, None, 2]
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
    # the pictures of both stages are not 16 px large
    path = train(recipe, budget="smoke", run_folder=tmp_path / "run")
    model = keras.saving.load_model(path, compile=False)
    assert model.input_shape == (None, 16, 16, 1)


def rate(optimizer: keras.optimizers.Optimizer, step: int) -> float:
    optimizer.iterations.assign(step)
    return float(np.asarray(ops.convert_to_numpy(optimizer.learning_rate)))


def test_the_learning_rate_rises_and_falls():
    budget = Budget(
        stages=(Stage(epochs=10, steps=100, batch_size=1),),
        learning_rate=2e-3,
        warmup_steps=200,
    )
    optimizer = optimizer_for(budget)
    assert rate(optimizer, 0) == 0
    assert rate(optimizer, 100) == pytest.approx(1e-3, rel=1e-5)
    assert rate(optimizer, 200) == pytest.approx(2e-3, rel=1e-5)
    # half way down the cosine: (1 + 0.01) / 2
    assert rate(optimizer, 600) == pytest.approx(2e-3 * 0.505, rel=1e-4)
    assert rate(optimizer, 1000) == pytest.approx(2e-5, rel=1e-3)


def test_a_restart_is_another_rise_and_fall_and_leaves_the_first_as_it_was():
    first = Stage(epochs=2, steps=100, batch_size=1)
    second = Stage(epochs=3, steps=200, batch_size=1, restart=5e-4)
    last = Stage(epochs=1, steps=200, batch_size=1)
    alone = optimizer_for(Budget(stages=(first,), learning_rate=2e-3, warmup_steps=20))
    both = optimizer_for(
        Budget(stages=(first, second, last), learning_rate=2e-3, warmup_steps=20)
    )
    for step in (0, 7, 20, 111, 199):
        assert rate(both, step) == rate(alone, step)
    assert rate(both, 200) == 0
    assert rate(both, 210) == pytest.approx(2.5e-4, rel=1e-5)
    assert rate(both, 220) == pytest.approx(5e-4, rel=1e-5)
    # the cosine runs through to the end of the stage that does not restart
    assert rate(both, 220 + 390) == pytest.approx(5e-4 * 0.505, rel=1e-4)
    assert rate(both, 1000) == pytest.approx(5e-6, rel=1e-3)
    assert rate(both, 5000) == pytest.approx(5e-6, rel=1e-3)


def test_a_short_training_warms_up_for_half_of_it():
    budget = Budget(stages=(Stage(epochs=1, steps=10, batch_size=1),))
    optimizer = optimizer_for(budget)
    assert rate(optimizer, 5) == pytest.approx(1e-3, rel=1e-5)
    assert rate(optimizer, 10) == pytest.approx(1e-5, rel=1e-3)


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


def test_processes_simulate_what_one_does():
    source = DensityFrames(crop_px=8)
    alone = Batches(source, seed=1, epoch=0, steps=5, batch_size=2)
    with simulators(2) as pool:
        assert pool is not None
        ahead = Batches(
            source, seed=1, epoch=0, steps=5, batch_size=2, pool=pool, ahead=3
        )
        # Keras may ask for the first batch twice
        for index in (0, 0, 1, 2, 3, 4):
            for one, two in zip(alone[index], ahead[index], strict=True):
                assert np.array_equal(one, two)
    with simulators(1) as pool:
        assert pool is None


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
    assert declared["source"] == {"edge_px": 8, "poison": False}
    run = read_run(finished)
    assert run["recipe"] == "tiny_noise"
    assert run["budget"] == "smoke"
    assert run["settings"] == {"seed": 11}
    assert run["data"] == "somewhere"
    assert run["finished"] is True
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


def test_training_moves_every_weight(finished):
    keras.utils.set_random_seed(11)
    before = tiny().get_weights()
    for first, second in zip(before, weights(finished / WEIGHTS), strict=True):
        assert not np.isclose(first, second, atol=1e-6).any()


# in the middle of a stage, and at its end
@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interrupted_run_ends_like_one_that_was_not(finished, tmp_path, epoch):
    with pytest.raises(KeyboardInterrupt):
        train(
            RECIPE_OF_TESTS,
            budget="smoke",
            run_folder=tmp_path,
            progress=stop_after(epoch),
        )
    stages = ["stage-1.npz"] if epoch == 2 else []
    assert files(tmp_path) == sorted([CHECKPOINT, HISTORY, RECIPE, RUN, *stages])
    assert read_run(tmp_path)["finished"] is False
    assert len(rows(tmp_path)) == epoch
    # what happens elsewhere in between does not matter
    keras.utils.set_random_seed(999)
    calls = []
    train(
        RECIPE_OF_TESTS,
        budget="smoke",
        run_folder=tmp_path,
        resume=True,
        progress=lambda *call: calls.append(call[0]),
    )
    assert calls == list(range(epoch + 1, 5))
    for one, two in zip(
        weights(finished / WEIGHTS), weights(tmp_path / WEIGHTS), strict=True
    ):
        np.testing.assert_allclose(one, two, atol=1e-6)
    for one, two in zip(rows(finished), rows(tmp_path), strict=True):
        for name in set(FIELDS) - {"seconds"}:
            assert float(one[name]) == pytest.approx(float(two[name]), rel=1e-4)
    assert read_run(tmp_path)["finished"] is True


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
    assert [row["val_loss"] for row in rows(tmp_path)] == ["nan", "nan"]


@pytest.mark.parametrize("name", [RECIPE, CHECKPOINT])
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
    with pytest.raises(FloatingPointError, match="epoch 2 is not finite") as caught:
        train(poisoned, budget="smoke", run_folder=tmp_path)
    assert "\n" not in str(caught.value)
    assert WEIGHTS not in files(tmp_path)
    # the last good checkpoint stays
    assert len(rows(tmp_path)) == 1
    model = tiny()
    optimizer = optimizer_for(poisoned.budgets["smoke"])
    optimizer.build(model.trainable_variables)
    done, history = restore(tmp_path, model, optimizer)
    assert done == len(history) == 1
    assert all(np.isfinite(weight).all() for weight in model.get_weights())


def test_a_checkpoint_brings_everything_back(tmp_path):
    budget = RECIPE_OF_TESTS.budgets["smoke"]
    model = tiny()
    fit(model, RECIPE_OF_TESTS, budget, tmp_path)
    other = tiny()
    optimizer = optimizer_for(budget)
    optimizer.build(other.trainable_variables)
    done, history = restore(tmp_path, other, optimizer)
    assert done == 4
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]
    for one, two in zip(model.get_weights(), other.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)
    assert int(np.asarray(optimizer.iterations)) == budget.steps
    pairs = list(zip(model.optimizer.variables, optimizer.variables, strict=True))
    assert len(pairs) > 2 * len(model.trainable_variables)
    for one, two in pairs:
        np.testing.assert_array_equal(np.asarray(one), np.asarray(two))


def test_a_folder_without_a_checkpoint_starts_at_the_beginning(tmp_path):
    model = tiny()
    before = model.get_weights()
    optimizer = optimizer_for(RECIPE_OF_TESTS.budgets["smoke"])
    optimizer.build(model.trainable_variables)
    assert restore(tmp_path, model, optimizer) == (0, [])
    for one, two in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_checkpoint_that_cannot_be_written_leaves_the_last_one(tmp_path, monkeypatch):
    model = tiny()
    optimizer = optimizer_for(RECIPE_OF_TESTS.budgets["smoke"])
    optimizer.build(model.trainable_variables)
    row = dict.fromkeys(FIELDS, 1.0)
    save(tmp_path, model, optimizer, [row])

    def full(file, **_arrays):
        file.write(b"half")
        raise OSError("No space left on device")

    monkeypatch.setattr(np, "savez", full)
    with pytest.raises(OSError, match="No space"):
        save(tmp_path, model, optimizer, [row, row])
    monkeypatch.undo()
    assert restore(tmp_path, model, optimizer)[0] == 1


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
