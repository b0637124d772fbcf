"""The same frames seen in another way: how far outputs differ tells how sure they are.

A network that has learnt structures and not directions answers alike for a field and
for the field turned.  Where it does not, its answer hangs on chance: that spread is
what `zoo.tasks.image` turns into a calibrated uncertainty, and the mean over several
views is nearer to the truth than each (Timofte et al. 2016,
doi:10.1109/CVPR.2016.206).  Which views, and how many, was chosen by measurement
(``benchmarks/uncertainty.py``, ``benchmarks/looks.py``).
"""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from zoo.core.contract import Contract, Recording
from zoo.core.symmetry import SYMMETRIES, Symmetry
from zoo.predict.engines import Engine

ORDER = (5, 3, 6, 7, 2, 4, 1)
"""Numbers of `SYMMETRIES` in the order in which they are used: a quarter turn first."""


class Seen(NamedTuple):
    """A recording whose frames are seen in one way, as the network needs to know it."""

    recording: Recording
    """What is seen."""
    symmetry: Symmetry
    """The way."""

    @property
    def groups(self) -> Sequence[slice]:
        """Channels that go through the network together."""
        return self.recording.groups

    @property
    def upright(self) -> bool:
        """Whether frames have their height and width still."""
        sizes = self.recording.sizes
        return not self.symmetry.swap or sizes["y"] == sizes["x"]

    @property
    def sizes(self) -> Mapping[str, int]:
        """Length of a seen frame along every letter of space, px."""
        sizes = dict(self.recording.sizes)
        if self.symmetry.swap:
            sizes |= {"y": sizes["x"], "x": sizes["y"]}
        return sizes

    def scaled(self, frames: np.ndarray, group: int) -> np.ndarray | None:
        """Return seen frames of a group on the scale of the recording."""
        return self.recording.scaled(frames, group)

    def knowledge(
        self, frame: int, start: tuple[int, ...], size: tuple[int, ...]
    ) -> np.ndarray | None:
        """Return what is known of a tile that is seen in this way."""
        if len(start) != 2:  # nothing is known of parts of volumes
            return None
        sizes = self.recording.sizes
        place, lengths = self.symmetry.place(start, size, (sizes["y"], sizes["x"]))
        row = self.recording.knowledge(frame, place, lengths)
        return None if row is None else self.symmetry.pattern_row(row)


class Averaged:
    """The mean over several views of every tile; a `zoo.predict.engines.Engine`.

    Parameters
    ----------
    engine
        The network.
    ways
        Flips of tiles along y and x, which keep their sizes.
    """

    def __init__(self, engine: Engine, ways: Sequence[Symmetry]) -> None:
        self._engine, self._ways = engine, tuple(ways)
        self.name, self.entry = engine.name, engine.entry
        self.versions, self.device = engine.versions, engine.device
        self.threads = engine.threads
        self.enterable = False
        """What is known of a tile does not hold for its views."""

    def __call__(self, batch: np.ndarray, rows: np.ndarray | None = None) -> np.ndarray:
        """Run the network on all views; see `Engine`."""
        del rows
        total: np.ndarray | float = 0.0
        for way in self._ways:
            seen = np.ascontiguousarray(way.apply(batch))
            total = total + way.undo(self._engine(seen))
        return np.asarray(total, np.float32) / np.float32(len(self._ways))

    def with_threads(self, threads: int) -> "Averaged":
        """Return the same around a network run by another number of threads."""
        return Averaged(self._engine.with_threads(threads), self._ways)


class Compared(NamedTuple):
    """Outputs of frames and of other views of them, (t, [Z,] Y, X, C) float32."""

    mean: np.ndarray
    """Mean over the frames themselves and some views."""
    spread: np.ndarray
    """Root mean square deviation of some views from the frames themselves."""


def symmetries(contract: Contract, count: int) -> tuple[Symmetry, ...]:
    """Return the views that a network can be shown, `count` or fewer.

    Rows and columns change places only where the network takes both alike.
    """
    turned = contract.grid.can_be_turned
    usable = [SYMMETRIES[n] for n in ORDER if turned or not SYMMETRIES[n].swap]
    return tuple(usable[:count])


def compare(
    recording: Recording,
    ways: Sequence[Symmetry],
    frames: np.ndarray,
    output: np.ndarray,
    run: Callable[[Seen, np.ndarray], np.ndarray],
    *,
    looks: int,
    compared: int,
) -> Compared:
    """Return the mean of outputs for several views of frames, and their spread.

    For the spread, every view is brought to brightness and offset of the output by
    least squares: those of a network are arbitrary.

    Parameters
    ----------
    recording, frames : (t, [z,] y, x, c)
        A recording and some of its frames.
    ways
        How they are seen.
    output : (t, [Z,] Y, X, C)
        What the network made of them.
    run
        Returns what it makes of frames that are seen in one of the ways.
    looks
        Number of outputs in the mean: that of the frames and those of the first ways.
    compared
        Number of the first ways in the spread.
    """
    squares = np.zeros(output.shape, np.float32)
    total = output.astype(np.float32)
    for number, symmetry in enumerate(ways, start=1):
        turned = np.ascontiguousarray(symmetry.apply(frames))
        made = symmetry.undo(run(Seen(recording, symmetry), turned))
        if number < looks:
            total += made
        if number > compared:
            continue
        for target, view, image in zip(squares, made, output, strict=True):
            for channel in range(image.shape[-1]):
                difference = _matched(view[..., channel], image[..., channel])
                target[..., channel] += difference**2
    mean = total / min(looks, 1 + len(ways))
    return Compared(mean, np.sqrt(squares / max(min(compared, len(ways)), 1)))


def _matched(view: np.ndarray, image: np.ndarray) -> np.ndarray:
    """Return the difference of a view and an image in the image's brightness."""
    centred = view.astype(np.float64) - view.mean(dtype=np.float64)
    goal = image.astype(np.float64) - image.mean(dtype=np.float64)
    power = float((centred**2).sum())
    gain = max(float((centred * goal).sum()) / power, 0.0) if power > 0 else 0.0
    return gain * centred - goal
