"""What a network promises about the shape of its tensors, axis by axis."""

from collections.abc import Mapping
from typing import Self

from pydantic import Field, field_validator, model_validator

from zoo.core.axes import check_axes
from zoo.core.config import Config

SPACE = "zyx"
"""Letters of space, in the order of every tensor of this project."""


class Axis(Config):
    """What a network promises along one direction of space."""

    scale: int = Field(default=1, ge=1)
    """Output pixels per input pixel."""
    halo: int | None = Field(default=0, ge=0)
    """Input pixels at a border whose output a neighbouring tile would change, px; None
    if nothing is known."""
    step: int = Field(default=1, ge=1)
    """Lengths are ``minimum + n * step``, px."""
    minimum: int = Field(default=1, ge=1)
    """Smallest length, px."""
    size: int | None = Field(default=None, ge=1)
    """The only length that the network takes, px; None if it is free."""
    overlap: int = Field(default=0, ge=0)
    """Input pixels by which neighbouring tiles of a fixed size overlap at least and
    are blended, px; 0 to join them edge to edge behind the halo."""

    @model_validator(mode="after")
    def _overlap_of_a_fixed_size(self) -> Self:
        if self.overlap and (self.size is None or self.overlap >= self.size):
            least = "a fixed size" if self.size is None else f"{self.size} px"
            raise ValueError(f"an overlap of {self.overlap} px needs more than {least}")
        return self


class Grid(Config):
    """Input and output tensors of a network.

    Letters are ``b`` batch, ``z y x`` space and ``c`` channel.  A letter of space in
    the input appears in the output, `Axis.scale` times as long, or does not appear at
    all, where the output holds no image.  Depth that only the output has is `planes`
    deep.
    """

    input_axes: str = "byxc"
    """Axis letters of the input tensor, in order."""
    output_axes: str = "byxc"
    """Axis letters of the output tensor, in order."""
    axes: dict[str, Axis] = {"y": Axis(), "x": Axis()}
    """The promise for every letter of space in the input."""
    planes: int | None = Field(default=None, ge=1)
    """Planes of depth in the output where the input has no z."""
    channels: tuple[str, ...] = ("intensity",)
    """Names of the input's channels."""
    outputs: tuple[str, ...] = ("intensity",)
    """Names of the output's channels."""

    @classmethod
    def square(
        cls,
        *,
        scale: int = 1,
        halo: int = 0,
        step: int = 1,
        size: int | None = None,
        overlap: int = 0,
        channels: tuple[str, ...] = ("intensity",),
        outputs: tuple[str, ...] = ("intensity",),
    ) -> Self:
        """Return the grid of two-dimensional images with equal promises for y and x.

        Lengths are multiples of `step`.
        """
        axis = Axis(
            scale=scale, halo=halo, step=step, minimum=step, size=size, overlap=overlap
        )
        return cls(axes={"y": axis, "x": axis}, channels=channels, outputs=outputs)

    @field_validator("input_axes", "output_axes")
    @classmethod
    def _known_axes(cls, axes: str) -> str:
        check_axes(axes)
        if "t" in axes:
            raise ValueError("a network has no axis of time; frames go along the batch")
        return axes

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        given = {a for a in self.input_axes if a in SPACE}
        if given != set(self.axes):
            raise ValueError(
                f"axes must state {', '.join(sorted(given))}, the letters of space in "
                f"the input {self.input_axes}, not {', '.join(sorted(self.axes))}"
            )
        added = {a for a in self.output_axes if a in SPACE} - given
        if added != ({"z"} if self.planes else set()):
            raise ValueError(
                f"an output {self.output_axes} of an input {self.input_axes} and "
                f"planes={self.planes} do not fit: planes is the depth of a z axis "
                "that only the output has"
            )
        for axes, names in (
            (self.input_axes, self.channels),
            (self.output_axes, self.outputs),
        ):
            if not names or ("c" not in axes and len(names) > 1):
                raise ValueError(
                    f"a tensor {axes} cannot have the channels {', '.join(names)}"
                )
        return self

    @property
    def space(self) -> str:
        """Letters of space in the input, in the order z, y, x."""
        return "".join(a for a in SPACE if a in self.axes)

    @property
    def output_space(self) -> str:
        """Letters of space in the output, in the order z, y, x; none for vectors."""
        return "".join(a for a in SPACE if a in self.output_axes)

    @property
    def is_fixed(self) -> bool:
        """Whether any length of the input is fixed."""
        return any(axis.size is not None for axis in self.axes.values())

    @property
    def can_be_turned(self) -> bool:
        """Whether rows may become columns: the network takes both alike."""
        return self.axes["y"] == self.axes["x"]

    def scale(self, letter: str) -> int:
        """Return output pixels per input pixel along a letter; 1 where it is new."""
        return self.axes[letter].scale if letter in self.axes else 1

    def output_size(self, sizes: Mapping[str, int]) -> dict[str, int]:
        """Return the lengths of an output of space for the lengths of an input.

        Examples
        --------
        >>> Grid.square(scale=8).output_size({"y": 10, "x": 20})
        {'y': 80, 'x': 160}
        """
        return {
            letter: self.planes or 1
            if letter not in self.axes
            else sizes[letter] * self.axes[letter].scale
            for letter in self.output_space
        }
