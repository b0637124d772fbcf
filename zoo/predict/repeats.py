"""Tiles that need no computation because their output is known.

Equal tiles have equal outputs, whatever the network: dropped frames of one value, the
rim of a masked field, a frame that a camera delivered twice.  That nothing *rises above
the noise* proves nothing for a convolutional network: its output has no useful bound
that holds for all noise of an amplitude, so noisy tiles are always computed.
"""

from collections.abc import Callable

import numpy as np

from zoo.predict.engines import Engine

REMEMBERED_BYTES = 64 * 10**6
"""What remembered outputs of constant tiles may take."""


class Sparing:
    """An engine that computes equal tiles once; a `zoo.predict.engines.Engine`.

    Constant tiles are remembered from call to call, others within one.

    Parameters
    ----------
    engine
        The network.
    fixed
        Whether it takes batches of one size only; then every tile is computed.
    advance
        Called with the number of tiles so far, behind every batch.
    """

    def __init__(
        self,
        engine: Engine,
        *,
        fixed: bool = False,
        advance: Callable[[int], None] | None = None,
    ) -> None:
        self._engine, self._fixed, self._advance = engine, fixed, advance
        self.name, self.entry = engine.name, engine.entry
        self.versions, self.device = engine.versions, engine.device
        self.enterable, self.threads = engine.enterable, engine.threads
        self.tiles = 0
        """Tiles that were asked for."""
        self.computed = 0
        """Tiles that went through the network."""
        self._known: dict[bytes, np.ndarray] = {}

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Run the network on the tiles that differ; see `Engine`."""
        output = self._output(batch, rows)
        self.tiles += len(batch)
        if self._advance is not None:
            self._advance(self.tiles)
        return output

    def _output(self, batch: np.ndarray, rows: np.ndarray | None) -> np.ndarray:
        if self._fixed or rows is not None:  # what is known of tiles differs, too
            self.computed += len(batch)
            return self._engine(batch, rows)
        corners = [tile[(0,) * (tile.ndim - 1)] for tile in batch]
        flat = [bool((t == c).all()) for t, c in zip(batch, corners, strict=True)]
        names: list[bytes] = []
        for tile, corner, constant in zip(batch, corners, flat, strict=True):
            if constant:
                names.append(repr(tile.shape).encode() + corner.tobytes())
            else:
                names.append(tile.tobytes() if len(batch) > 1 else b"")
        first: dict[bytes, int] = {}
        for number, name in enumerate(names):
            first.setdefault(name, number)
        wanted = [number for name, number in first.items() if name not in self._known]
        outputs = {name: self._known[name] for name in first if name in self._known}
        if wanted:
            part = batch if len(wanted) == len(batch) else batch[wanted]
            computed = self._engine(part)
            self.computed += len(part)
            if len(wanted) == len(batch) and not any(flat):
                return computed
            for number, output in zip(wanted, computed, strict=True):
                outputs[names[number]] = output
                if flat[number]:
                    self._remember(names[number], output)
        return np.stack([outputs[name] for name in names])

    def with_threads(self, threads: int) -> "Sparing":
        """Return the same around a network run by another number of threads."""
        return Sparing(self._engine.with_threads(threads), fixed=self._fixed)

    def report(self) -> dict[str, int]:
        """Return how many tiles there were and how many were spared."""
        return {"tiles": self.tiles, "tiles_spared": self.tiles - self.computed}

    def _remember(self, name: bytes, output: np.ndarray) -> None:
        held = sum(known.nbytes for known in self._known.values())
        while self._known and held + output.nbytes > REMEMBERED_BYTES:
            held -= self._known.pop(next(iter(self._known))).nbytes
        if output.nbytes <= REMEMBERED_BYTES:
            self._known[name] = output.copy()
