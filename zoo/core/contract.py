"""The typed promise that recipe, description file and predictor share."""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self, cast

import numpy as np
from pydantic import Field, SerializeAsAny, model_validator

from zoo.core.axes import AXIS_NAMES
from zoo.core.config import Config, Kind
from zoo.core.grid import Grid
from zoo.core.prediction import Averaging as Averaging
from zoo.core.prediction import Judging as Judging
from zoo.core.prediction import Origin as Origin
from zoo.core.prediction import Recording, Running
from zoo.core.processing import Operation

Range = tuple[float, float]


class Options(Config):
    """What a user may decide about one prediction; kinds of input and task add fields.

    Every field reaches Python as a keyword of `zoo.load` and the command line as an
    option of the same name, a Boolean that is true by default as ``--no-...``.
    """


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
