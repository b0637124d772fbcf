"""A picture of how far targets lie from their inputs, block by block."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from zoo.core.files import replacing

MAP = "registration.png"
"""Name of the picture."""
_SHOWN = 12  # files with the largest local shifts
_COLUMNS = 4


class Mapped(NamedTuple):
    """The local shifts of one file."""

    name: str
    image: np.ndarray
    """(y, x, c) input."""
    local: np.ndarray
    """(rows, columns, 3) shifts along y and x, target px, and correlations."""


def write_map(path: Path, maps: Sequence[Mapped], *, scale: int) -> None:
    """Draw local shifts as arrows over the inputs, the largest first.

    Parameters
    ----------
    path
        PNG to write.
    maps
        All files.
    scale
        Target pixels per input pixel.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    def largest(one: Mapped) -> float:
        return float(np.hypot(one.local[..., 0], one.local[..., 1]).max())

    shown = sorted(maps, key=largest, reverse=True)[:_SHOWN]
    columns = min(len(shown), _COLUMNS)
    rows = -(-len(shown) // columns)
    figure = Figure(figsize=(3 * columns, 3.2 * rows + 0.3), dpi=80)
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(rows, columns, squeeze=False)
    figure.subplots_adjust(0.01, 0.01, 0.99, 1 - 0.6 / (3.2 * rows + 0.3), 0.03, 0.12)
    for axes in panels.flat:
        axes.set_axis_off()
    for axes, one in zip(panels.flat, shown, strict=False):
        _draw(axes, one, scale)
    figure.suptitle("shifts that are left between target and input", y=0.99, va="top")
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def _draw(axes: Any, one: Mapped, scale: int) -> None:
    grey = one.image.mean(axis=-1)
    low, high = np.percentile(grey, (0.5, 99.8))
    axes.imshow(grey, cmap="gray", vmin=low, vmax=max(high, low + 1e-6))
    rows, columns = one.local.shape[:2]
    y = (np.arange(rows) + 0.5) * grey.shape[0] / rows
    x = (np.arange(columns) + 0.5) * grey.shape[1] / columns
    along_y, along_x = (one.local[..., n] / scale for n in (0, 1))
    longest = float(np.hypot(along_y, along_x).max())
    axes.quiver(
        *np.meshgrid(x, y),
        *(along_x, along_y),
        angles="xy",
        scale_units="xy",
        # the longest arrow spans half a block; one shorter than half a pixel, less
        scale=max(longest, 0.5) * 2 * rows / grey.shape[0],
        color="orange",
        width=0.012,
    )
    axes.set_title(f"{one.name[-30:]}: up to {longest:.2f} px of the input", fontsize=8)
