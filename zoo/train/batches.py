"""Batches that depend on the seed, the epoch and their number only."""

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
    workers
        Simulators that run ahead; processes where more than one is asked for.
    """

    def __init__(
        self,
        source: Source,
        *,
        seed: int,
        epoch: int,
        steps: int,
        batch_size: int,
        workers: int = 1,
    ) -> None:
        super().__init__(
            workers=workers, use_multiprocessing=workers > 1, max_queue_size=8
        )
        self.source = source
        self.seed = seed
        self.epoch = epoch
        self.steps = steps
        self.batch_size = batch_size

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        rng = generator(self.seed, self.epoch, index)
        pairs = [self.source.sample(rng) for _ in range(self.batch_size)]
        return np.stack([pair[0] for pair in pairs]), np.stack([p[1] for p in pairs])


VALIDATION_EPOCH = 2**31
"""Epoch number that no training reaches: held-out samples are drawn from it."""


def validation_pairs(
    source: Source, *, seed: int, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return held-out pairs, (n, y, x, c) float32 each."""
    batches = Batches(
        source, seed=seed, epoch=VALIDATION_EPOCH, steps=1, batch_size=count
    )
    return batches[0]
