"""A recording as a package wants it: which of its channels together, in which order."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from zoo.core.errors import BadInput, BadPackage
from zoo.io.stacks import Stack, open_stack
from zoo.predict.contract import Contract

# What judges raw frames needs SciPy, which takes a while to import and which packages
# for other recordings do not need: it is imported where there are raw frames.

_LOOKED_AT = 4  # frames that are judged by whether they are raw frames in this order


@dataclass(frozen=True)
class Recording:
    """An open stack, read as a network takes its frames."""

    stack: Stack
    """The recording itself."""
    groups: tuple[slice, ...]
    """Channels that go through the network together: all of them, or for a hyperstack
    and a network of one channel each on its own."""
    order: str | None = None
    """Order of raw frames in the stack; None if its channels are no raw frames."""
    wanted_order: str | None = None
    """Order of raw frames that the network takes."""

    @property
    def frames(self) -> int:
        """Number of frames."""
        return self.stack.frames

    def read(self, start: int, stop: int) -> np.ndarray:
        """Return frames as `zoo.io.stacks.Stack.read`, channels in the wanted order."""
        frames = self.stack.read(start, stop)
        if self.order == self.wanted_order:
            return frames
        from zoo.predict.raw_frames import reordered

        # three angles and three phases change places, which undoes itself
        return reordered(frames, "phase-major")

    def order_warning(self) -> str | None:
        """Say if raw frames do not look like raw frames in the order that they have."""
        if self.order is None:
            return None
        from zoo.predict.raw_frames import order_warning

        return order_warning(self.stack.read(0, _LOOKED_AT), self.order)


def open_recording(
    source: str | Path | np.ndarray | Stack,
    contract: Contract,
    *,
    name: str,
    pixel_size_nm: float | None = None,
    frame_order: str | None = None,
) -> Recording:
    """Open a recording and make sure that a package can take it.

    Parameters
    ----------
    source
        Anything that `zoo.io.stacks.open_stack` takes, or an open stack.
    contract
        What the package takes.
    name
        Name of the package, for messages.
    pixel_size_nm
        Edge of a camera pixel; overrides the file's.
    frame_order
        Order of raw frames in the recording, if it differs from the package's.

    Raises
    ------
    BadInput
        If it cannot be read, has a wrong number of channels, or lacks a pixel size
        that is needed.  The stack is then closed.
    """
    # a network of one channel is given the channels of a hyperstack one by one
    separate = contract.task == "image" and contract.channels == 1
    wanted = None if separate else contract.channels
    if isinstance(source, Stack):
        stack = source
    else:
        stack = open_stack(source, pixel_size_nm=pixel_size_nm, channels=wanted)
    problem = None
    if wanted is not None and stack.channels != wanted:
        problem = f"{stack.source} has {stack.channels} channels, {name} needs {wanted}"
    elif contract.task == "density" and stack.pixel_size_nm is None:
        problem = (
            f"{stack.source} states no pixel size, which localizations need; "
            "give it with --pixel-size-nm"
        )
    if problem:
        stack.close()
        raise BadInput(problem)
    count = stack.channels
    return Recording(
        stack,
        groups=tuple(slice(c, c + 1) for c in range(count))
        if separate
        else (slice(0, count),),
        order=frame_order or contract.frame_order,
        wanted_order=contract.frame_order,
    )


def check_order(contract: Contract, frame_order: str | None, *, name: str) -> None:
    """Refuse an order of raw frames that does not exist or has no place.

    Raises
    ------
    BadInput
        If `frame_order` is unknown, or the package takes no raw frames.
    BadPackage
        If the package's own order is unknown.
    """
    if frame_order is None and contract.frame_order is None:
        return
    from zoo.predict.raw_frames import ORDERS

    known = " or ".join(ORDERS)
    if contract.frame_order is not None and contract.frame_order not in ORDERS:
        raise BadPackage(
            f"{name} wants raw frames in the order {contract.frame_order!r}; "
            f"this version knows {known}"
        )
    if frame_order is None:
        return
    if frame_order not in ORDERS:
        raise BadInput(f"the frame order must be {known}, not {frame_order!r}")
    if contract.frame_order is None:
        raise BadInput(
            f"{name} takes no raw frames of structured illumination; "
            "leave --frame-order out"
        )
