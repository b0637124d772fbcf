"""Batches that depend on the seed, the epoch and their number only."""

import os
import signal
import threading
from collections.abc import Generator
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from contextlib import contextmanager
from multiprocessing import get_context, parent_process

import keras
import numpy as np

from zoo.core.random import generator
from zoo.core.recipe import Source


class Batches(keras.utils.PyDataset):
    """One epoch of simulated pairs.

    Batch ``i`` is drawn from ``generator(seed, epoch, i)``: the order in which
    workers ask for batches does not matter, and a resumed run sees what an
    uninterrupted one would have seen.

    Parameters
    ----------
    source
        Where pairs come from.
    seed, epoch
        What the draws depend on.
    steps, batch_size
        Batches in the epoch and samples in each.
    pool
        Processes that simulate ahead; without, batches are made when asked for.
    ahead
        Batches that the pool makes before they are asked for.

    Attributes
    ----------
    steps
        May be lowered before the first batch is asked for.
    following : Batches or None
        The next epoch, whose first batches are made while the last ones of this are
        learnt from: short epochs would wait for the pool otherwise.

    Notes
    -----
    The workers that Keras offers are not used: on JAX they hand out the first batch
    after `compile` last, and they fork a program that has threads.
    """

    def __init__(
        self,
        source: Source,
        *,
        seed: int,
        epoch: int,
        steps: int,
        batch_size: int,
        pool: Executor | None = None,
        ahead: int = 24,
    ) -> None:
        super().__init__()
        self.source = source
        self.seed = seed
        self.epoch = epoch
        self.steps = steps
        self.batch_size = batch_size
        self.pool = pool
        self.ahead = ahead
        self.following: Batches | None = None
        self._coming: dict[int, Future[tuple[np.ndarray, np.ndarray]]] = {}

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if self.pool is None:
            return draw(self.source, (self.seed, self.epoch, index), self.batch_size)
        for number in range(index, index + self.ahead):
            if number < self.steps:
                self._request(number)
            elif self.following is not None:
                self.following._request(number - self.steps)
        return self._coming.pop(index).result()

    def _request(self, number: int) -> None:
        if self.pool is not None and number < self.steps and number not in self._coming:
            self._coming[number] = self.pool.submit(
                draw, self.source, (self.seed, self.epoch, number), self.batch_size
            )


def draw(
    source: Source, keys: tuple[int, ...], count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return `count` pairs drawn from the generator of `keys`, the batch axis first."""
    return source.batch(generator(*keys), count)


@contextmanager
def simulators(workers: int) -> Generator[Executor | None]:
    """Yield a pool of fresh processes, or None where one worker is enough."""
    if workers < 2:
        yield None
        return
    # not forked: TensorFlow and JAX have threads, whose locks a fork would copy
    pool = ProcessPoolExecutor(
        workers, mp_context=get_context("spawn"), initializer=_begin_worker
    )
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


def _begin_worker() -> None:
    """Leave Ctrl-C to the training, and end when it does, however it ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    training = parent_process()

    def watch() -> None:
        if training is not None:
            training.join()
            os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


VALIDATION_EPOCH = 2**31
"""Epoch number that no training reaches: held-out samples are drawn from it."""


def validation_pairs(
    source: Source, *, seed: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return held-out pairs, float32 with a batch axis each."""
    batches = Batches(
        source, seed=seed, epoch=VALIDATION_EPOCH, steps=1, batch_size=count
    )
    return batches[0]
