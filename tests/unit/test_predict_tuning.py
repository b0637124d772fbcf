"""Threads, batch and tile are chosen by measuring, within limits."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from zoo.core.contract import Contract
from zoo.core.grid import Axis, Grid
from zoo.inputs.frames import Frames
from zoo.io.library import open_package
from zoo.io.package import Package
from zoo.predict.plan import make_plan
from zoo.predict.predictor import Predictor
from zoo.predict.tuning import SECONDS, tuned
from zoo.tasks.image import ImageRestoration


@pytest.fixture
def package(small_package: Path) -> Package:
    return open_package(small_package)


CONTRACT = Contract(
    grid=Grid.square(scale=2, halo=4), input=Frames(), task=ImageRestoration()
)
SIZES = {"y": 96, "x": 96}


class Slow:
    """An engine of which a call takes what a function of its batch says."""

    name, entry, device = "onnx", "onnx", "CPU"
    versions: dict[str, str] = {}
    enterable = False

    def __init__(
        self, cost: Callable[[int, int, int], float], threads: int = 4, at: float = 0.0
    ) -> None:
        self.cost, self.threads = cost, threads
        self.now = [at]

    def clock(self) -> float:
        return self.now[0]

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        del rows
        self.now[0] += self.cost(len(batch), batch.shape[1], self.threads)
        return batch

    def with_threads(self, threads: int) -> "Slow":
        other = Slow(self.cost, threads)
        other.now = self.now
        return other


def choose(engine: Slow, frames: int = 100_000, **chosen: int):
    plan = make_plan(CONTRACT, SIZES, **chosen)
    return tuned(
        engine,
        CONTRACT,
        SIZES,
        frames=frames,
        plan=plan,
        clock=engine.clock,
        **chosen,
    )


def test_the_default_stays_where_nothing_is_faster() -> None:
    choice = choose(Slow(lambda batch, edge, _threads: 1e-6 * batch * edge**2))
    assert choice.plan == make_plan(CONTRACT, SIZES)
    assert len(choice.trials) > 2
    assert choice.trials[0].tile == (96, 96)


def test_a_faster_batch_is_taken() -> None:
    choice = choose(Slow(lambda batch, edge, _threads: 0.01 + 1e-7 * batch * edge**2))
    assert choice.plan.batch == max(trial.batch for trial in choice.trials) > 1
    assert choice.plan.batch == choice.plan.chunk


def test_a_faster_tile_is_taken() -> None:
    choice = choose(
        Slow(lambda batch, edge, _threads: 1e-10 * batch * edge**4), batch_size=1
    )
    assert choice.plan.tile == (64, 64)
    assert choice.plan.batch == 1


def test_fewer_threads_are_taken_where_they_are_faster() -> None:
    choice = choose(Slow(lambda batch, edge, threads: 5e-7 * batch * edge**2 * threads))
    assert choice.engine.threads == 2


def test_what_the_user_chose_is_not_touched() -> None:
    choice = choose(
        Slow(lambda batch, edge, _threads: 0.02 / batch * edge**2 / 96**2),
        batch_size=2,
        tile=48,
    )
    assert {(trial.batch, trial.tile) for trial in choice.trials} == {(2, (48, 48))}


def test_short_recordings_are_not_delayed() -> None:
    engine = Slow(lambda batch, edge, _threads: 1e-6 * batch * edge**2)
    assert choose(engine, frames=10).trials == ()
    assert engine.clock() == 0
    assert choose(engine, frames=200).trials == ()
    assert engine.clock() < 0.1


def test_trials_end_in_time() -> None:
    for seconds in (0.01, 0.1, 0.5, 3.0):
        engine = Slow(lambda n, edge, _, s=seconds: s * n * (edge / 96) ** 2)
        choose(engine)
        default = make_plan(CONTRACT, SIZES).batch
        assert engine.clock() <= max(SECONDS, 2 * seconds * default) + 1e-9


def test_seams_are_not_bought() -> None:
    unknown = Contract(
        grid=Grid(axes={"y": Axis(scale=2, halo=None), "x": Axis(scale=2, halo=None)}),
        input=Frames(),
        task=ImageRestoration(),
    )
    engine = Slow(lambda batch, edge, _threads: 1e-10 * batch * edge**4)
    plan = make_plan(unknown, SIZES)
    choice = tuned(
        engine, unknown, SIZES, frames=100_000, plan=plan, clock=engine.clock
    )
    assert {trial.tile for trial in choice.trials} == {(96, 96)}


def test_a_prediction_reports_its_trials(
    package: Package, monkeypatch: pytest.MonkeyPatch
) -> None:
    movie = np.random.default_rng(1).poisson(30, (60, 16, 16)).astype(np.uint16)
    plain = Predictor(package, batch_size=1, threshold=0.02).predict(
        movie, pixel_size_nm=100.0
    )
    assert plain.report["tuning"] == []
    monkeypatch.setattr("zoo.predict.tuning.WORTH", 0.0)
    measured = Predictor(package, batch_size=1, threshold=0.02).predict(
        movie, pixel_size_nm=100.0
    )
    first = measured.report["tuning"][0]
    assert (first["batch_size"], first["tile"]) == (1, [16, 16])
    assert measured.localizations is not None
    assert plain.localizations is not None
    np.testing.assert_allclose(
        measured.localizations.x_nm, plain.localizations.x_nm, atol=1e-3
    )
