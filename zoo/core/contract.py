"""The typed promise that recipe, description file and predictor share."""

from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import (
    Any,
    ClassVar,
    NamedTuple,
    Protocol,
    Self,
    cast,
    runtime_checkable,
)

import numpy as np
from pydantic import Field, SerializeAsAny, model_validator

from zoo.core.axes import AXIS_NAMES
from zoo.core.config import Config, Kind
from zoo.core.grid import Grid
from zoo.core.measured import Measured
from zoo.core.processing import Operation
from zoo.core.products import Panel, Product
from zoo.core.resampling import Resampling

Range = tuple[float, float]


class Options(Config):
    """What a user may decide about one prediction; kinds of input and task add fields.

    Every field reaches Python as a keyword of `zoo.load` and the command line as an
    option of the same name, a Boolean that is true by default as ``--no-...``.
    """


class Origin(NamedTuple):
    """Where a part of a recording lies in the whole."""

    frame: int = 0
    """Frames before it."""
    y_nm: float = 0.0
    """Distance of its first row from that of the whole, nm."""
    x_nm: float = 0.0
    """Distance of its first column, nm."""


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


class Input(Kind, ABC):
    """What a user's file is and how it becomes network frames."""

    home: ClassVar[str] = "zoo.inputs"
    options: ClassVar[type[Options]] = Options
    """Options of this kind of input."""
    border: ClassVar[str] = "symmetric"
    """How frames smaller than a tile are continued, a mode of `numpy.pad`."""
    channel_word: ClassVar[str] = "channels"
    """What several channels of a frame are called."""
    resamples: ClassVar[bool] = False
    """Whether images of another pixel are brought to the trained one unless told
    otherwise: where ``benchmarks/pixel_sizes.py`` or recordings score better so."""

    @abstractmethod
    def open(
        self,
        source: Any,
        contract: "Contract",
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open a user's data for a package.

        Parameters
        ----------
        source
            Path, array or open stack.
        contract
            What the package takes.
        name
            Name of the package, for messages.
        options
            Of the type `options`.
        pixel_size_nm
            Edge of a pixel; overrides the file's.

        Raises
        ------
        BadInput
            If it cannot be read, does not fit the package, or lacks a pixel size that
            the task needs.  Nothing is left open.
        """


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
    """A prediction under way that judges outputs by those for other views of a frame.

    What `Running` has comes on top.
    """

    @property
    def views(self) -> int:
        """Views of every frame besides the frame itself; 0 for none."""
        ...

    def judge(self, spread: np.ndarray) -> None:
        """Take how far outputs for other views are from those that `add` gets next."""
        ...


class Task(Kind, ABC):
    """What the output of a network means, and what becomes of it."""

    home: ClassVar[str] = "zoo.tasks"
    options: ClassVar[type[Options]] = Options
    """Options of this kind of task."""
    needs_pixel_size: ClassVar[bool] = False
    """Whether nothing can be said without a pixel size."""
    channels_apart: ClassVar[bool] = False
    """Whether channels of a recording may go one by one through a network of one."""
    resamples: ClassVar[bool] = False
    """Whether results can be brought back from the trained pixel to the file's."""
    tags: ClassVar[tuple[str, ...]] = ()
    """Search words of the bioimage.io collection."""
    title: ClassVar[str] = ""
    """What bioimage.io calls such a task."""
    texts: ClassVar[tuple[str, str]] = ("Input", "Output")
    """What the tensors are, unless the contract says more."""
    output_name: ClassVar[str] = "intensity"
    """Name of a single output channel."""
    files: ClassVar[tuple[str, ...]] = ()
    """Every file that a prediction may write for this task."""

    @abstractmethod
    def start(
        self, recording: Recording, contract: "Contract", options: Options
    ) -> Running:
        """Begin a prediction.

        Raises
        ------
        BadInput
            If an option has no meaning for the package or the recording.
        """

    def uncalibrated(self) -> Self | None:
        """Return the task with uncertainties as the network hints at them.

        They are not yet errors: `calibration` says what errors go with them.  None
        where there are no such hints.
        """
        return None

    def calibration(
        self,
        spread: Mapping[str, np.ndarray],
        error: Mapping[str, np.ndarray],
        weight: np.ndarray,
    ) -> dict[str, Any]:
        """Return the fields of the task that state errors as they were measured.

        Parameters
        ----------
        spread
            By column, such as ``uncertainty_nm``: what `uncalibrated` states, (n,), in
            the unit of the fields; ``response`` as it is.
        error
            By column: found minus true along the axes of space that it speaks of,
            (n, axes), in the same unit.
        weight
            (n,) of each row.
        """
        del spread, error, weight
        return {}

    def margin(self, grid: Grid) -> int:
        """Return the input px around a tile, beyond its halo, that parts must hold."""
        del grid
        return 0

    def postprocessing(self, grid: Grid) -> tuple[Operation, ...]:
        """Return the declared steps behind the network where a recipe states none."""
        del grid
        return ()

    def products(self, grid: Grid) -> str:
        """Return in a few words what is written, for tables of packages."""
        del grid
        return self.output_name


class Contract(Config):
    """How to feed a network and what its output is."""

    grid: Grid = Grid()
    """Shape of the tensors."""
    input: SerializeAsAny[Input]
    """What the user's files are."""
    task: SerializeAsAny[Task]
    """What the output means."""
    preprocessing: tuple[dict[str, Any], ...] | None = None
    """Declared steps before the network; None scales every frame to [0, 1] by its
    extremes, which every consumer computes alike."""
    postprocessing: tuple[dict[str, Any], ...] | None = None
    """Declared steps behind the network; None for those of the task."""
    tile: dict[str, int] | None = None
    """Lengths that other programs are told to use where the network takes any, px."""
    batch: int | None = Field(default=None, ge=1)
    """The only batch size that the network takes; None for any."""
    training: dict[str, Range] = {}
    """Ranges of the conditions under which the network was trained."""
    input_text: str = ""
    """What the input is, in a sentence; the task's words if left out."""
    output_text: str = ""
    """What the output is, in a sentence; the task's words if left out."""
    modality: str = "fluorescence microscopy"
    """Kind of microscopy, for the collection."""
    tolerance: float = Field(default=1e-5, gt=0, le=1e-3)
    """Largest difference between two formats or processors that rounding explains,
    relative to the largest output; a wrong weight must exceed it."""

    @model_validator(mode="after")
    def _tile_within_the_grid(self) -> Self:
        if self.tile is None:
            return self
        if set(self.tile) != set(self.grid.axes):
            raise ValueError(
                f"tile must state {', '.join(self.grid.axes)}, not "
                f"{', '.join(self.tile)}"
            )
        for letter, size in self.tile.items():
            axis = self.grid.axes[letter]
            halo = axis.halo or 0
            if axis.size not in (None, size) or size % axis.step or size <= 2 * halo:
                raise ValueError(
                    f"a tile of {size} px along {letter} must be a multiple of "
                    f"{axis.step} px, exceed twice the halo of {halo} px and not "
                    f"differ from a fixed size"
                )
        return self

    @property
    def before(self) -> tuple[Operation, ...]:
        """Steps before the network, defaults filled in."""
        if self.preprocessing is not None:
            return self.preprocessing
        over = [AXIS_NAMES[a] for a in self.grid.input_axes if a != "b"]
        kwargs = {
            "axes": over,
            "min_percentile": 0.0,
            "max_percentile": 100.0,
            "eps": 1e-6,
        }
        return ({"id": "scale_range", "kwargs": kwargs},)

    @property
    def after(self) -> tuple[Operation, ...]:
        """Steps behind the network, defaults filled in."""
        if self.postprocessing is not None:
            return self.postprocessing
        return self.task.postprocessing(self.grid)

    @property
    def texts(self) -> tuple[str, str]:
        """What input and output are, in a sentence each."""
        return (
            self.input_text or self.task.texts[0],
            self.output_text or self.task.texts[1],
        )

    def declared_size(self, letter: str) -> int | None:
        """Return the input length that the description states, None if it is free."""
        fixed = self.grid.axes[letter].size
        return fixed if fixed is not None else (self.tile or {}).get(letter)

    def option_types(self) -> Sequence[type[Options]]:
        """Return the options that a prediction with this package takes."""
        return type(self.input).options, type(self.task).options


class Condition:
    """Marks a field of a `Source` as a condition that inputs are checked against.

    Examples
    --------
    >>> from typing import Annotated
    >>> class Light(Config):
    ...     photons: Annotated[Range, CONDITION] = (100.0, 900.0)
    ...     pixel_size_nm: Annotated[float, CONDITION] = 100.0
    ...     crop_px: int = 64
    >>> conditions(Light())
    {'photons': (100.0, 900.0), 'pixel_size_nm': (100.0, 100.0)}
    """


CONDITION = Condition()


def conditions(source: Config) -> dict[str, Range]:
    """Return lower and upper bound of every field that is marked as a condition.

    Raises
    ------
    TypeError
        If such a field holds neither a number nor two of them.
    """
    found: dict[str, Range] = {}
    for name, about in type(source).model_fields.items():
        if not any(isinstance(mark, Condition) for mark in about.metadata):
            continue
        value: Any = getattr(source, name)
        bounds = cast(
            "tuple[Any, ...]", value if isinstance(value, tuple) else (value, value)
        )
        if len(bounds) != 2 or not all(isinstance(b, (int, float)) for b in bounds):
            raise TypeError(
                f"{type(source).__name__}.{name} is marked as a condition and must be "
                f"a number or two, not {value!r}"
            )
        found[name] = (float(bounds[0]), float(bounds[1]))
    return found
