"""What a published architecture is, stated without building it."""

from collections.abc import Callable
from typing import Any, Literal

from pydantic import field_serializer, field_validator, model_validator

from zoo.core.axes import check_axes
from zoo.core.config import Config

Task = Literal["image", "density", "parameters"]


class Paper(Config):
    """A publication, as it is cited everywhere in the project."""

    authors: str
    """Authors as printed, abbreviated with "et al." beyond three."""
    title: str
    """Title of the publication."""
    journal: str
    """Journal, volume and first page."""
    year: int
    """Year of publication."""
    doi: str
    """DOI without a resolver in front of it."""

    @property
    def citation(self) -> str:
        """One line for a list of references."""
        return f"{self.authors}. {self.title}. {self.journal} ({self.year})."


class Grid(Config):
    """The promise that a network makes about its input and output tensors."""

    axes: str = "byxc"
    """Axis letters of input and output, in order."""
    scale: int = 1
    """Output pixels per input pixel, along y and x."""
    step: int = 1
    """Input height and width must be a multiple of this, px."""
    halo: int = 0
    """Input pixels at a border whose output a neighbouring tile would change, px."""
    tile: int | None = None
    """Fixed input height and width where the network looks at the whole field, px."""
    channels: int = 1
    """Channels of the input."""
    outputs: int = 1
    """Channels of the output."""

    @field_validator("axes")
    @classmethod
    def _known_axes(cls, axes: str) -> str:
        return check_axes(axes)

    @field_validator("scale", "step", "channels", "outputs")
    @classmethod
    def _positive(cls, value: int) -> int:
        if value < 1:
            raise ValueError("must be at least 1")
        return value

    @model_validator(mode="after")
    def _tile_or_halo(self) -> "Grid":
        if self.tile is not None and self.halo:
            raise ValueError("a network has a fixed tile or a halo, not both")
        return self


class Network(Config):
    """A published architecture: where it comes from and how to build it."""

    name: str
    """The paper's own name in snake case."""
    task: Task
    """What the output means: an image, a density of emitters, or parameters."""
    paper: Paper
    """The publication that introduced it."""
    build: Callable[..., Any]
    """Function returning an uncompiled `keras.Model`; defaults are the paper's."""
    grid: Grid
    """Axes, scale and halo of its tensors."""
    parameters: int
    """Trainable parameters with the builder's defaults."""
    published: bool = True
    """Whether the layers are those of the paper; otherwise a variant of our own."""
    ideal_peak: float | None = None
    """Output at the peak of an isolated, ideally recovered emitter (density task)."""
    note: str = ""
    """What a reader must know about the architecture, in one sentence."""
    prepare: Callable[[Any], None] | None = None
    """Function that changes weights before they are trained, if they are random or were
    those of a network with one channel."""

    @field_serializer("build", "prepare")
    def _name_of_function(self, function: Callable[..., Any] | None) -> str | None:
        if function is None:
            return None
        return f"{function.__module__}:{function.__qualname__}"
