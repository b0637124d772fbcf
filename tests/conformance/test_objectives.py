"""Every objective trains what it says, and goes on after an interruption."""

import csv
from itertools import pairwise
from typing import Any, Literal

import keras
import numpy as np
import pytest
from keras import layers, ops

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.network import Network
from zoo.core.optimizers import Adam, Constant, OneCycle, Plateau
from zoo.core.papers import NEHME_2018
from zoo.core.recipe import Budget, Objective, Recipe, Simulation, Source, Stage
from zoo.inputs.frames import Frames
from zoo.losses import MsePlusSsim
from zoo.objectives.adversarial import Adversarial, Companion, Critic, WeightedLoss
from zoo.objectives.psf_design import PsfDesign
from zoo.objectives.supervised import Supervised
from zoo.tasks.image import ImageRestoration
from zoo.test_sets.sim_images import SimImageTestSet
from zoo.train.batches import Batches
from zoo.train.checkpoint import CHECKPOINT, HISTORY
from zoo.train.run import read_run, train

SQUARED = MsePlusSsim(ssim_weight=0.0)
EDGE_PX = 8


class Doubled(Source):
    """Noise, and a smoothed version of it twice as large."""

    kind: Literal["doubled"] = "doubled"
    noise: float = 1.0
    """Range of the pixels."""

    def sample(self, rng):
        frame = self.noise * rng.random((EDGE_PX, EDGE_PX, 1), np.float32)
        smooth = (frame + np.roll(frame, 1, 0) + np.roll(frame, 1, 1)) / 3
        return frame, smooth.repeat(2, 0).repeat(2, 1)

    def record(self, rng, *, frames):
        noise = rng.random((frames, EDGE_PX, EDGE_PX))
        return Simulation(noise, noise.repeat(2, 1).repeat(2, 2), 100.0)


def generator(*, width: int = 3, dtype: str = "float32") -> keras.Model:
    """Enlarge twice; with a layer that draws and one that keeps statistics."""
    frame = keras.Input((None, None, 1), dtype="float32")
    x = layers.Conv2D(
        width, 3, padding="same", use_bias=False, dtype=dtype, name="first"
    )(frame)
    x = layers.BatchNormalization(dtype=dtype, name="norm")(x)
    x = layers.Dropout(0.2, dtype=dtype, name="drop")(x)
    x = layers.LeakyReLU(dtype=dtype, name="relu")(x)
    x = layers.Conv2D(4, 3, padding="same", dtype="float32", name="last")(x)
    return keras.Model(frame, ops.nn.depth_to_space(x, 2), name="doubling")


def critic(
    *, channels: int = 1, pooled: bool = False, dtype: str = "float32"
) -> keras.Model:
    """Score patches, or the whole image."""
    image = keras.Input((None, None, channels), dtype="float32")
    x = layers.Conv2D(
        4, 3, 2, padding="same", use_bias=False, dtype=dtype, name="first"
    )(image)
    x = layers.BatchNormalization(dtype=dtype, name="norm")(x)
    x = layers.LeakyReLU(dtype=dtype, name="relu")(x)
    if pooled:
        x = layers.GlobalAveragePooling2D(dtype=dtype, name="pool")(x)
        x = layers.Dense(1, dtype="float32", name="score")(x)
    else:
        x = layers.Conv2D(1, 3, padding="same", dtype="float32", name="score")(x)
    return keras.Model(image, x, name="critic")


def reduced(*, dtype: str = "float32") -> keras.Model:
    """Halve an image twice."""
    image = keras.Input((None, None, 1), dtype="float32")
    x = layers.Conv2D(2, 3, 2, padding="same", dtype=dtype, name="first")(image)
    x = layers.LeakyReLU(dtype=dtype, name="relu")(x)
    x = layers.Conv2D(1, 3, 2, padding="same", dtype="float32", name="last")(x)
    return keras.Model(image, x, name="reduced")


class Masked(layers.Layer):
    """Multiply frames with a mask that is learnt."""

    def build(self, shape):
        self.mask = self.add_weight(shape=shape[1:], name="mask", initializer="ones")

    def call(self, frames):
        return frames * self.mask


def optics() -> keras.Model:
    sample = keras.Input((EDGE_PX, EDGE_PX, 1), name="sample")
    x = Masked(name="pupil")(sample)
    x = layers.GaussianNoise(0.01, name="noise")(x)
    return keras.Model(sample, x, name="optics")


def network(name: str, build: Any) -> Network:
    return Network(name=name, paper=NEHME_2018, build=build, parameters=1)


DOUBLING = network("doubling", generator)
CRITIC = network("critic", critic)
REDUCED = network("reduced", reduced)
OPTICS = network("optics", optics)

TWICE = (
    Stage(epochs=2, steps=4, batch_size=2),
    Stage(epochs=2, steps=4, batch_size=2, changes={"source__noise": 2.0}),
)


def recipe_for(objective: Objective, stages: tuple[Stage, ...] = TWICE) -> Recipe:
    return Recipe(
        name="doubling_noise",
        title="Doubling",
        summary="For tests.",
        network=DOUBLING,
        contract=Contract(
            grid=Grid.square(scale=2, halo=2), input=Frames(), task=ImageRestoration()
        ),
        source=Doubled(),
        objective=objective,
        test_set=SimImageTestSet(),
        budgets={
            "smoke": Budget(
                stages=stages,
                learning_rate=3e-3,
                warmup_steps=2,
                validation_samples=4,
            )
        },
        seed=5,
    )


def gan(**changes: Any) -> Adversarial:
    return Adversarial(
        losses=(WeightedLoss(loss=SQUARED, weight=10.0),), optimizer=Adam(beta_1=0.5)
    ).override(**changes)


WARM_UP = (
    TWICE[0].override(changes={"objective__warm_up": True}),
    TWICE[1].override(changes={"objective__critics__judge__weight": 0.05}),
)
DESIGN = (
    TWICE[0].override(changes={"objective__phase": "mask"}),
    TWICE[1],
)

CASES = {
    "supervised": recipe_for(Supervised(loss=SQUARED)),
    "supervised-plateau": recipe_for(
        Supervised(
            loss=SQUARED,
            optimizer=Adam(
                weight_decay=1e-3, schedule=Plateau(patience=1, improvement=0.5)
            ),
        )
    ),
    "adversarial": recipe_for(
        gan(critics={"judge": Critic(network=CRITIC, loss="least_squares")}), WARM_UP
    ),
    "adversarial-many": recipe_for(
        gan(
            critics={
                "patches": Critic(
                    network=CRITIC,
                    options={"channels": 2},
                    conditional=True,
                    loss="hinge",
                    optimizer=Adam(learning_rate=1e-3, schedule=Constant()),
                    every=2,
                ),
                "whole": Critic(network=CRITIC, options={"pooled": True}, weight=0.2),
            },
            companions={
                "consistency": Companion(
                    network=REDUCED, against="input", loss=SQUARED, optimizer=Adam()
                ),
                "features": Companion(network=REDUCED, loss=SQUARED),
            },
            optimizer=Adam(schedule=OneCycle()),
        )
    ),
    "psf_design": recipe_for(PsfDesign(loss=SQUARED, optics=OPTICS), DESIGN),
    "psf_design-decoder": recipe_for(
        PsfDesign(loss=SQUARED, optics=OPTICS, decoder=DOUBLING), DESIGN
    ),
}
every_case = pytest.mark.parametrize("name", CASES)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Return a function that trains a case once and gives its folder."""
    folders = {}

    def run(name):
        if name not in folders:
            folders[name] = tmp_path_factory.mktemp(name) / "run"
            train(CASES[name], budget="smoke", run_folder=folders[name])
        return folders[name]

    return run


def state(folder, file=CHECKPOINT) -> dict[str, np.ndarray]:
    with np.load(folder / file) as arrays:
        return {name: arrays[name] for name in arrays.files if "/" in name}


def rows(folder) -> list[dict[str, str]]:
    with (folder / HISTORY).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_every_kind_of_objective_is_asked():
    project = [k for k in Objective.kinds() if k.__module__.startswith("zoo.")]
    assert {type(recipe.objective) for recipe in CASES.values()} == set(project)


@every_case
def test_figures_are_finite_and_every_trained_weight_moves(name, runs):
    folder = runs(name)
    history = rows(folder)
    assert len(history) == 4
    assert {"loss", "val_loss", "learning_rate"} <= set(history[0])
    for row in history:
        for figure, value in row.items():
            absent = name == "adversarial" and figure.startswith("judge")
            assert np.isfinite(float(value)) or (absent and float(row["epoch"]) < 3)
    keras.utils.set_random_seed(5)
    recipe = CASES[name]
    loop = recipe.objective.start(recipe, recipe.budgets["smoke"], dtype="float32")
    after = state(folder)
    assert set(loop.variables()) == set(after)
    frozen = {"features"}
    for path, variable in loop.variables().items():
        if variable.trainable and path.partition("/")[0] not in frozen:
            before = np.asarray(ops.convert_to_numpy(variable))
            assert not np.array_equal(before, after[path]), path
        elif path.startswith("features/"):
            assert np.array_equal(np.asarray(variable), after[path]), path


@every_case
def test_the_results_are_networks_for_use_and_arrays(name, runs):
    folder = runs(name)
    model = keras.saving.load_model(folder / "weights.keras", compile=False)
    assert {weight.dtype for weight in model.weights} == {"float32"}
    image = np.ones((1, EDGE_PX, EDGE_PX, 1), np.float32)
    assert model(image).shape == (1, 2 * EDGE_PX, 2 * EDGE_PX, 1)
    further = {
        "adversarial-many": ["consistency.keras"],
        "psf_design": ["mask.npy"],
        "psf_design-decoder": ["mask.npy"],
    }.get(name, [])
    assert read_run(folder)["results"] == further
    assert all((folder / file).is_file() for file in further)


@pytest.mark.parametrize(
    "name",
    [
        # the same loop as for one critic
        pytest.param(n, marks=pytest.mark.slow) if n == "adversarial-many" else n
        for n in CASES
    ],
)
def test_an_interrupted_training_ends_bit_for_bit_as_another(name, runs, tmp_path):
    def stop(done, _total, _figures):
        if done in (1, 3):  # in the middle of either stage
            raise KeyboardInterrupt

    for resume in (False, True):
        with pytest.raises(KeyboardInterrupt):
            train(
                CASES[name],
                budget="smoke",
                run_folder=tmp_path,
                resume=resume,
                progress=stop,
            )
        keras.utils.set_random_seed(999)  # what happens in between does not matter
    train(CASES[name], budget="smoke", run_folder=tmp_path, resume=True)
    whole, resumed = state(runs(name)), state(tmp_path)
    assert set(whole) == set(resumed)
    for path, array in whole.items():
        assert np.array_equal(array, resumed[path]), path
    for one, two in zip(rows(runs(name)), rows(tmp_path), strict=True):
        assert {**one, "seconds": ""} == {**two, "seconds": ""}


def test_variables_are_named_by_what_they_belong_to(runs):
    names = set(state(runs("adversarial-many")))
    for path in (
        "generator/first/kernel",
        "adam_generator/iteration",
        "patches/first/kernel",
        "adam_whole/iteration",
        "consistency/last/bias",
    ):
        assert path in names


def test_a_warm_up_leaves_critics_alone(runs):
    folder = runs("adversarial")
    first, last = state(folder, "stage-1.npz"), state(folder, "stage-2.npz")
    assert first["adam_judge/iteration"] == 0
    assert last["adam_judge/iteration"] == 8
    assert first["adam_generator/iteration"] == 8
    history = rows(folder)
    assert history[0]["judge_loss"] == history[0]["judge_term"] == "nan"


def test_networks_take_a_step_every_so_many_batches(tmp_path, runs):
    assert state(runs("adversarial-many"))["adam_patches/iteration"] == 8
    lazy = recipe_for(
        gan(critics={"judge": Critic(network=CRITIC, loss="wasserstein")}, every=3)
    )
    train(lazy, budget="smoke", run_folder=tmp_path)
    found = state(tmp_path)
    assert found["adam_judge/iteration"] == 16
    # batches 0, 3, 6, 9, 12, 15 of the whole training, not of each epoch
    assert found["adam_generator/iteration"] == 6


def test_critic_and_generator_pull_in_opposite_directions():
    steady = Adam(learning_rate=0.01, schedule=Constant())
    judge = Critic(
        network=CRITIC, options={"pooled": True}, weight=100.0, optimizer=steady
    )
    recipe = recipe_for(gan(critics={"judge": judge}, optimizer=steady))
    keras.utils.set_random_seed(1)
    loop: Any = recipe.objective.start(recipe, recipe.budgets["smoke"], dtype="float32")
    batches = Batches(recipe.source, seed=1, epoch=0, steps=20, batch_size=8)
    loop.stage(recipe)
    steps = dict(loop.steps)
    # each alone lowers what it pays for the scores
    for alone, figure in (("judge", "judge_loss"), ("generator", "judge_term")):
        loop.steps = {alone: steps[alone]}
        prices = [loop.epoch(batches, None)[figure] for _ in range(2)]
        assert prices[1] < prices[0]


def test_the_mask_rests_while_the_network_learns(runs):
    folder = runs("psf_design-decoder")
    first, last = state(folder, "stage-1.npz"), state(folder, "stage-2.npz")
    assert (first["optics/pupil/mask"] != 1).all()
    assert np.array_equal(first["optics/pupil/mask"], last["optics/pupil/mask"])
    assert np.array_equal(np.load(folder / "mask.npy"), last["optics/pupil/mask"])
    for path in (p for p in first if p.endswith("kernel")):
        moved = not np.array_equal(first[path], last[path])
        assert moved == path.startswith("network/"), path
    assert first["adam_network/iteration"] == 0


def test_a_plateau_lowers_the_learning_rate(runs):
    rates = [float(row["learning_rate"]) for row in rows(runs("supervised-plateau"))]
    assert rates[0] == pytest.approx(3e-3)
    # no halving of the loss in one epoch: half of it after every other
    assert rates[-1] < rates[0]
    assert all(
        b in (pytest.approx(a), pytest.approx(a / 2)) for a, b in pairwise(rates)
    )


def test_a_declaration_survives_json():
    for recipe in CASES.values():
        text = recipe.objective.model_dump_json()
        assert Objective.model_validate_json(text) == recipe.objective
