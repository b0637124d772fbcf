"""What passes between the parts of a prediction: recording, network, results."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np

from zoo.core.measured import Measured
from zoo.core.products import Panel, Product
from zoo.core.resampling import Resampling
from zoo.core.symmetry import Symmetry


class Origin(NamedTuple):
    """Where a part of a recording lies in the whole."""

    frame: int = 0
    """Frames before it."""
    y_nm: float = 0.0
    """Distance of its first row from that of the whole, nm."""
    x_nm: float = 0.0
    """Distance of its first column, nm."""


@runtime_checkable
class Readable(Protocol):
    """What frames can be read from in any order."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        ...

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames, (t, [z,] y, x, c) float32."""
        ...


class Recording(Protocol):
    """An open recording, read as a network takes its frames.

    A *frame* is what the network sees at once: the letters of space of its input, in
    the order z, y, x, then channels.  Frames follow each other in the C order of
    `outer`.
    """

    source: str
    """Where it comes from, for messages and the report."""
    outer: tuple[tuple[str, int], ...]
    """Letters and lengths that count frames, such as ``(("t", 100), ("z", 5))``."""
    sizes: Mapping[str, int]
    """Length of a frame along every letter of space, px."""
    pixel_size_nm: Mapping[str, float]
    """Edge of a pixel along the letters of space for which it is known, nm."""
    groups: tuple[slice, ...]
    """Channels of a frame that go through the network together: all of them, or each
    on its own where the network takes one and the file has several."""
    channel_names: tuple[str, ...]
    """Names of the channels of the file; empty if it states none."""
    resampling: Resampling | None
    """How frames were brought to the trained pixel; None if they have the file's."""
    origin: Origin
    """Where it lies in the recording that it is a part of; tables are put there."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        ...

    def chunks(self, count: int) -> Iterator[tuple[int, np.ndarray]]:
        """Yield the number of the first frame, from 0, and up to `count` frames.

        Frames are (frame, [z,] y, x, c) float32 in the units of the file.
        """
        ...

    def scaled(self, frames: np.ndarray, group: int) -> np.ndarray | None:
        """Return frames of one group of channels on the scale of the whole recording.

        None where every frame is scaled by itself, as the package declares.
        """
        ...

    def reference(self, frames: np.ndarray) -> np.ndarray | None:
        """Return diffraction-limited images of frames, (frame, [z,] y, x, group).

        None where the input is no such image.
        """
        ...

    def knowledge(
        self, frame: int, start: tuple[int, ...], size: tuple[int, ...]
    ) -> np.ndarray | None:
        """Return what is known of the whole recording for one tile of a frame.

        Parameters
        ----------
        frame
            Number of the frame, from 0.
        start, size
            First pixel of the tile in the frame, which may lie before it, and the
            lengths of the tile along the letters of space.

        Returns
        -------
        row
            Of `zoo.core.sim_pattern`, for networks that take it; None where nothing is
            known, and the network looks at the tile alone.
        """
        ...

    def measurements(self) -> list[Measured]:
        """Return what was measured of the recording, to hold against the training."""
        ...

    def warnings(self) -> list[str]:
        """Return what a user should know about the recording, one line each."""
        ...

    def report(self) -> dict[str, Any]:
        """Return what the report says of the input and of how it was scaled."""
        ...

    def close(self) -> None:
        """Close open files."""
        ...


class Running(Protocol):
    """A prediction under way: takes the network's output, yields products."""

    def add(
        self, frames: np.ndarray, output: np.ndarray, first: int
    ) -> Iterable[Product]:
        """Take further frames and what the network made of them.

        Parameters
        ----------
        frames
            (frame, [z,] y, x, c) as the recording gives them.
        output
            (frame, [z,] y, x, c) float32 behind the postprocessing, or (frame, c) for
            vectors; the outputs of several groups of channels follow each other
            along c.
        first
            Number of the first frame, from 0.
        """
        ...

    def finish(self) -> Iterable[Product]:
        """Yield what is known when all frames have been seen."""
        ...

    def warnings(self) -> list[str]:
        """Return what a user should know about the results, one line each."""
        ...

    def report(self) -> dict[str, Any]:
        """Return what the report says of the results; ``options`` is merged."""
        ...

    def preview(self) -> list[Panel]:
        """Return panels of what went in and what came out."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A prediction under way that asks for outputs of other views of a frame, too.

    What `Running` has comes on top.
    """

    @property
    def looks(self) -> int:
        """Views of a frame whose outputs are averaged; 1 for the frame itself."""
        ...

    @property
    def compared(self) -> int:
        """Further views whose outputs are compared with the frame's; 0 for none."""
        ...

    def judge(self, spread: np.ndarray) -> None:
        """Take how far outputs for other views are from those that `add` gets next."""
        ...


@runtime_checkable
class Averaging(Protocol):
    """A prediction under way whose outputs are means over views of every tile.

    What `Running` has comes on top.
    """

    @property
    def views(self) -> Sequence[Symmetry]:
        """Flips of a tile whose outputs are averaged, the tile itself first."""
        ...
