"""Regions around single emitters, cut out by another program."""

from typing import Any, Literal

from zoo.core.contract import Contract, Input, Options, Recording
from zoo.core.errors import BadInput
from zoo.inputs.recording import (
    StackRecording,
    check_fit,
    closing_on_error,
    open_frames,
)


class Regions(Input):
    """A stack of regions (n, y, x[, c]) of the one size that the network takes.

    Every region is scaled by itself, as the package declares.
    """

    kind: Literal["regions"] = "regions"

    def open(
        self,
        source: Any,
        contract: Contract,
        *,
        name: str,
        options: Options,
        pixel_size_nm: float | None = None,
    ) -> Recording:
        """Open a stack of regions; see `zoo.core.contract.Input.open`."""
        del options
        grid = contract.grid
        channels = len(grid.channels)
        stack = open_frames(
            source, contract, channels=channels, pixel_size_nm=pixel_size_nm
        )
        with closing_on_error(stack):
            check_fit(stack, contract, name=name, channels=channels)
            declared = {letter: contract.declared_size(letter) for letter in grid.space}
            wrong = any(
                size not in (None, stack.sizes[a]) for a, size in declared.items()
            )
            if wrong:
                raise BadInput(
                    f"{stack.source} holds regions of {_times(stack.sizes)} px, {name} "
                    f"takes {_times(declared)} px; cut regions of that size with the "
                    "emitter in the middle"
                )
        return StackRecording(
            stack, contract, scaling=None, groups=(slice(0, channels),)
        )


def _times(sizes: Any) -> str:
    return " x ".join("any" if n is None else str(n) for n in sizes.values())
