"""Learning rates over a training, and optimisers from their declarations."""

from typing import Any

import keras
import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.optimizers import Adam, Constant, OneCycle, Optimizer, Plateau
from zoo.core.recipe import Budget, Stage
from zoo.objectives import _optimizers


def optimizer_for(budget: Budget, declared: Adam | None = None, **more: Any) -> Any:
    return _optimizers.Optimizer(declared or Adam(), budget, name="adam", **more)


def rate(optimizer: Any, step: int) -> float:
    optimizer.keras.iterations.assign(step)
    return optimizer.learning_rate


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


LONG = Budget(
    stages=(Stage(epochs=10, steps=100, batch_size=1),),
    learning_rate=2e-3,
    warmup_steps=50,
)


def test_an_own_rate_keeps_the_proportions_of_the_cycles():
    restart = Stage(epochs=1, steps=100, batch_size=1, restart=5e-4)
    budget = LONG.override(stages=(*LONG.stages, restart))
    own = optimizer_for(budget, Adam(learning_rate=2e-4))
    other = optimizer_for(budget)
    for step in (10, 400, 1020, 1100):
        assert rate(own, step) == pytest.approx(rate(other, step) / 10, rel=1e-5)


def test_a_step_every_few_batches_follows_the_batches():
    lazy, other = optimizer_for(LONG, every=5), optimizer_for(LONG)
    for step in (0, 4, 100, 200):
        assert rate(lazy, step) == rate(other, 5 * step)


def test_a_constant_rate_is_reached_by_the_warm_up():
    optimizer = optimizer_for(LONG, Adam(schedule=Constant()))
    assert rate(optimizer, 25) == pytest.approx(1e-3)
    for step in (50, 700, 5000):
        assert rate(optimizer, step) == pytest.approx(2e-3)
    sudden = LONG.override(warmup_steps=0)
    assert rate(optimizer_for(sudden, Adam(schedule=Constant())), 0) == (
        pytest.approx(2e-3)
    )


def test_one_cycle_rises_and_falls_along_cosines():
    optimizer = optimizer_for(LONG, Adam(schedule=OneCycle()))
    for step, share in (
        (0, 0.04),
        (150, 0.52),
        (300, 1.0),
        (650, 0.5),
        (1000, 4e-6),
        (2000, 4e-6),
    ):
        assert rate(optimizer, step) == pytest.approx(2e-3 * share, rel=1e-3)


def test_a_plateau_waits_and_keeps_its_memory_among_the_variables():
    budget = LONG.override(validation_samples=4)
    declared = Adam(schedule=Plateau(patience=2, factor=0.1, floor=0.05))
    optimizer = optimizer_for(budget, declared)
    optimizer.build([keras.Variable(np.ones(2), name="weight")])
    expected = [2e-3, 2e-3, 2e-3, 2e-4, 2e-4, 1e-4, 1e-4]
    for number, (loss, after) in enumerate(
        zip((3.0, 2.0, 2.0, 2.0, 1.9999, 2.5, 1.0), expected, strict=True)
    ):
        optimizer.watch({"val_loss": loss})
        assert optimizer.learning_rate == pytest.approx(after), number
    stored = optimizer.variables()
    assert {"adam/plateau", "adam/learning_rate", "adam/iteration"} <= set(stored)
    again = optimizer_for(budget, declared)
    again.build([keras.Variable(np.ones(2), name="weight")])
    for name, variable in again.variables().items():
        variable.assign(stored[name])
    for chosen in (optimizer, again):
        chosen.watch({"val_loss": 0.9})
        assert chosen.learning_rate == pytest.approx(1e-4)
    with pytest.raises(ValueError, match="watches val_loss; the figures"):
        optimizer.watch({"loss": 1.0})
    with pytest.raises(BadInput, match="no held-out samples"):
        optimizer_for(LONG, declared)


def test_declared_numbers_reach_keras():
    declared = Adam(beta_1=0.5, beta_2=0.9, clipnorm=None, weight_decay=0.01)
    optimizer = optimizer_for(LONG, declared).keras
    assert isinstance(optimizer, keras.optimizers.AdamW)
    assert (optimizer.beta_1, optimizer.beta_2) == (0.5, 0.9)
    assert optimizer.clipnorm is None
    assert optimizer.weight_decay == 0.01
    assert optimizer_for(LONG).keras.clipnorm == 1.0


@pytest.mark.parametrize(
    ("schedule", "text"),
    [
        ({}, "linear rise over 50 steps, cosine fall to a hundredth"),
        ({"kind": "constant"}, "linear rise over 50 steps, constant"),
        (
            {"kind": "plateau", "patience": 3},
            "times 0.5 after 3 epochs in which val_loss did not improve",
        ),
    ],
)
def test_a_schedule_is_said_in_words_and_read_back(schedule, text):
    declared = Adam(schedule=schedule) if schedule else Adam()
    assert declared.schedule_text(LONG) == text
    assert Optimizer.model_validate_json(declared.model_dump_json()) == declared


def test_a_restart_is_told():
    budget = LONG.override(
        stages=(*LONG.stages, Stage(epochs=1, steps=9, batch_size=1, restart=2e-4))
    )
    assert Adam().schedule_text(budget).endswith("; once more from 0.0002")
    assert Adam().name == "Adam"
    assert Adam(weight_decay=0.1).name == "AdamW"
