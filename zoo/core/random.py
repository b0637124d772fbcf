"""Seeds: every random draw of the project comes from a generator made here."""

import numpy as np


def generator(*keys: int) -> np.random.Generator:
    """Return the generator that belongs to a tuple of non-negative integers.

    Equal keys give equal streams, different keys of one length independent ones, on
    every machine: batch ``i`` of epoch ``e`` uses ``generator(seed, e, i)``.  Keys are
    padded with zeros, so ``(1,)`` and ``(1, 0)`` are the same.

    Raises
    ------
    ValueError
        If a key is negative.

    Examples
    --------
    >>> bool(generator(1, 2).random() == generator(1, 2).random())
    True
    """
    if any(key < 0 for key in keys):
        raise ValueError(f"seeds must not be negative, not {keys}")
    return np.random.default_rng(np.random.SeedSequence(keys))
