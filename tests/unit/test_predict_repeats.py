"""Equal tiles are computed once, with the same results."""

from pathlib import Path

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.io.library import open_package
from zoo.predict.predictor import Predictor
from zoo.predict.repeats import REMEMBERED_BYTES, Sparing


class Doubling:
    """An engine that doubles tiles and counts them."""

    name, entry, device = "onnx", "onnx", "CPU"
    versions: dict[str, str] = {}
    enterable = False
    threads = 1

    def __init__(self) -> None:
        self.seen = 0

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        self.seen += len(batch)
        return 2 * batch if rows is None else batch + rows[:, None, None]

    def with_threads(self, threads: int) -> "Doubling":
        del threads
        return Doubling()


def test_equal_tiles_go_through_the_network_once() -> None:
    network = Doubling()
    engine = Sparing(network)
    noise = generator(1).random((2, 4, 5, 1)).astype(np.float32)
    batch = noise[[0, 1, 0, 0, 1]]
    np.testing.assert_array_equal(engine(batch), 2 * batch)
    assert network.seen == 2
    assert engine.report() == {"tiles": 5, "tiles_spared": 3}


def test_constant_tiles_are_remembered_and_told_apart() -> None:
    network = Doubling()
    engine = Sparing(network)
    for value in (0.0, 0.5, 0.0, 0.5):
        flat = np.full((1, 4, 4, 2), value, np.float32)
        np.testing.assert_array_equal(engine(flat), 2 * flat)
    assert network.seen == 2
    other = np.zeros((1, 5, 4, 2), np.float32)  # another shape is another tile
    np.testing.assert_array_equal(engine(other), other)
    two = np.zeros((1, 4, 4, 2), np.float32)
    two[..., 1] = 3  # every channel constant
    engine(two)
    np.testing.assert_array_equal(engine(two), 2 * two)
    assert network.seen == 4


def test_a_noisy_tile_is_not_taken_for_the_one_before() -> None:
    network = Doubling()
    engine = Sparing(network)
    for tile in generator(2).random((3, 1, 4, 4, 1)).astype(np.float32):
        np.testing.assert_array_equal(engine(tile), 2 * tile)
    assert network.seen == 3


def test_what_is_known_of_a_tile_counts() -> None:
    network = Doubling()
    engine = Sparing(network)
    batch, rows = np.zeros((2, 3, 3, 1), np.float32), np.array([[1.0], [2.0]])
    assert engine(batch, rows)[:, 0, 0, 0].tolist() == [1.0, 2.0]
    assert network.seen == 2


def test_a_network_of_one_batch_size_gets_all_of_it() -> None:
    network = Doubling()
    Sparing(network, fixed=True)(np.zeros((4, 3, 3, 1), np.float32))
    assert network.seen == 4


def test_memory_of_constant_tiles_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    assert REMEMBERED_BYTES > 0
    monkeypatch.setattr("zoo.predict.repeats.REMEMBERED_BYTES", 100)
    network = Doubling()
    engine = Sparing(network)
    for value in (0.0, 1.0, 0.0):  # 64 bytes each: one is kept
        engine(np.full((1, 4, 4, 1), value, np.float32))
    assert network.seen == 3
    engine(np.full((1, 6, 6, 1), 0, np.float32))  # does not fit at all
    engine(np.full((1, 6, 6, 1), 0, np.float32))
    assert network.seen == 5


def test_more_threads_are_those_of_the_network() -> None:
    assert isinstance(Sparing(Doubling()).with_threads(3), Sparing)


def test_dropped_frames_are_spared_in_a_prediction(small_package: Path) -> None:
    package = open_package(small_package)
    movie = generator(5).poisson(30, (12, 16, 16)).astype(np.uint16)
    movie[::3] = 0
    movie[4] = movie[5]
    predictor = Predictor(package, batch_size=4, threshold=0.02)
    result = predictor.predict(movie, pixel_size_nm=100.0)
    assert result.report["tiles"] == 12
    assert result.report["tiles_spared"] == 4
    alone = [
        Predictor(package, threshold=0.02, normalization="frame").predict(
            movie[number], pixel_size_nm=100.0
        )
        for number in (0, 1, 5)
    ]
    assert all(single.report["tiles_spared"] == 0 for single in alone)
