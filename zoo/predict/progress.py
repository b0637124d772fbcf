"""How far a prediction is: tiles or frames, as a bar where somebody is watching."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from zoo.core.contract import Recording
from zoo.core.regions import Cutting
from zoo.predict.plan import Plan

Progress = Callable[[int, int], None]
"""Called with what is done and all there is: tiles, or frames where a frame is one."""


def tile_progress(
    recording: Recording, plan: Plan, progress: Progress | None
) -> Callable[[int], None] | None:
    """Return what is to be called with the number of tiles done.

    None where frames tell as much: a frame is a single tile, or the number of tiles is
    not known beforehand because regions are still to be found.
    """
    each = len(plan.tiles) * len(recording.groups)
    if progress is None or each == 1 or isinstance(recording, Cutting):
        return None
    total = each * recording.frames

    def advance(tiles: int) -> None:
        progress(min(tiles, total), total)  # batches of a fixed size are filled up

    return advance


@contextmanager
def shown(progress: Progress | None) -> Iterator[Progress | None]:
    """Give `progress`, or a bar in notebooks and interactive sessions."""
    if progress is not None or not (_in_notebook() or hasattr(sys, "ps1")):
        yield progress
        return
    from tqdm.auto import tqdm

    with tqdm(unit=" tiles", leave=False) as bar:

        def advance(done: int, total: int) -> None:
            bar.update(done - bar.n)
            if bar.total != total:
                bar.total = total
                bar.refresh()

        yield advance


def _in_notebook() -> bool:
    """Say whether this process is the kernel of a notebook; others may import one."""
    kernels: Any = sys.modules.get("ipykernel.kernelapp")
    return kernels is not None and bool(kernels.IPKernelApp.initialized())
