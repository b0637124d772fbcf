"""Panels of what went in and what came out, side by side in one PNG."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from zoo.core.products import ColourBar, Panel

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PIXELS = 512
"""Edge of a panel's longer side, px; larger images are binned to about this."""
IMAGE_PIXELS = 1024
"""The same where the result is an image, whose detail the panel is to show."""
DARK_ERROR = 0.05
"""Errors below this part of the input's range stay dark, however few greater ones there
are: a map of nothing but noise shall not look alarming."""
_BACKGROUND = "#101014"
_TEXT = "#e8e8ec"
_DPI = 100
_MARGIN, _TITLE = 0.12, 0.34  # inch
_COLOURS = {"image": "gray", "density": "inferno", "error": "magma", "depth": None}


def write_preview(
    path: str | Path | BinaryIO,
    panels: Sequence[Panel],
    *,
    pixel_size_nm: float | None,
) -> None:
    """Write a PNG with images of the same field side by side; see `draw_preview`.

    Parameters
    ----------
    path
        Where to.
    panels, pixel_size_nm
        As for `draw_preview`.
    """
    figure = draw_preview(panels, pixel_size_nm=pixel_size_nm)
    # without the program's version in it, equal results give equal files
    figure.savefig(path, format="png", metadata={"Software": None})


def draw_preview(panels: Sequence[Panel], *, pixel_size_nm: float | None) -> "Figure":
    """Draw images of the same field side by side.

    Grey for images, a perceptually uniform colour map for a density of emitters and for
    an error map.  Brightness is stretched between percentiles; a density is smoothed to
    the display's resolution first, because single fine pixels would not be seen.  Zero
    is black in an error map, whose white is told as a part of the first panel's range.

    Parameters
    ----------
    panels
        The first one is the input; all show the same field.
    pixel_size_nm
        Edge of a pixel of the first one; None leaves out the scale bars.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = panels[0].image.shape[:2]
    longer = max(height, width)
    edge = PIXELS
    plain = all(panel.shows in ("image", "error") for panel in panels)
    if plain:
        largest = max(max(panel.image.shape[:2]) for panel in panels)
        edge = min(max(PIXELS, largest), IMAGE_PIXELS)
    panel_size = (edge * width / longer / _DPI, edge * height / longer / _DPI)
    # a very flat or narrow field still needs room for its title
    size = (
        len(panels) * (max(panel_size[0], 3.2 if plain else 2.6) + _MARGIN) + _MARGIN,
        panel_size[1] + _TITLE + _MARGIN,
    )
    figure = Figure(figsize=size, dpi=_DPI, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    wide = (size[0] - _MARGIN) / len(panels)
    span = 1.0
    for i, panel in enumerate(panels):
        axes = figure.add_axes(
            (
                (_MARGIN + i * wide) / size[0],
                _MARGIN / size[1],
                (wide - _MARGIN) / size[0],
                panel_size[1] / size[1],
            )
        )
        image = _binned(panel.image, edge) if i else panel.image
        if panel.shows == "density":
            image = _smooth(image)
        title, low, high = panel.title, 0.0, 1.0
        if panel.shows != "depth":
            low, high = _stretch(image, panel.shows)
        if not i:
            span = high - low
        elif panel.shows == "error":
            high = max(high, DARK_ERROR * span)
            title += f", white: {100 * high / span:.2g} % of input"
        axes.imshow(
            image,
            cmap=_COLOURS[panel.shows],
            vmin=low,
            vmax=high,
            extent=(0, width, height, 0),
            interpolation="nearest",
        )
        axes.set_axis_off()
        axes.set_title(title, color=_TEXT, fontsize=10, pad=5)
        if pixel_size_nm is not None:
            _scale_bar(axes, (height, width), pixel_size_nm)
        if panel.bar is not None:
            _colour_bar(axes, panel.bar)
    return figure


def _scale_bar(axes: Any, shape: Sequence[int], pixel_size_nm: float) -> None:
    """Draw a bar of a round length into the lower right corner."""
    from matplotlib.patheffects import withStroke

    height, width = shape
    length_nm = scale_bar_nm(width * pixel_size_nm)
    long = length_nm / pixel_size_nm
    right, low_edge = 0.96 * width, 0.95 * height
    axes.plot(
        [right - long, right],
        [low_edge, low_edge],
        color="white",
        linewidth=3,
        solid_capstyle="butt",
        path_effects=[withStroke(linewidth=5, foreground="black", alpha=0.6)],
    )
    axes.text(
        right - long / 2,
        low_edge - 0.025 * height,
        _length(length_nm),
        color="white",
        ha="center",
        va="bottom",
        fontsize=9,
        path_effects=[withStroke(linewidth=2.5, foreground="black", alpha=0.6)],
    )
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)


def _colour_bar(axes: Any, bar: ColourBar) -> None:
    """Draw what colours mean into the lower left corner."""
    from matplotlib.patheffects import withStroke

    inset = axes.inset_axes((0.04, 0.045, 0.3, 0.02))
    inset.imshow(bar.colours[None], aspect="auto", extent=(0, 1, 0, 1))
    inset.set_axis_off()
    for place, value, align in ((0.0, bar.low, "left"), (1.0, bar.high, "right")):
        unit = f" {bar.unit}" if place else ""
        inset.text(
            place,
            1.3,
            f"{value:g}{unit}".replace("-", "\N{MINUS SIGN}"),
            color="white",
            ha=align,
            va="bottom",
            fontsize=9,
            path_effects=[withStroke(linewidth=2.5, foreground="black", alpha=0.6)],
        )


def scale_bar_nm(field_nm: float) -> float:
    """Return a round length of about a fifth of the field, nm.

    Examples
    --------
    >>> scale_bar_nm(6400.0), scale_bar_nm(25600.0), scale_bar_nm(3000.0)
    (1000.0, 5000.0, 500.0)
    """
    wanted = field_nm / 5
    decade = 10.0 ** np.floor(np.log10(wanted))
    return float(decade * max(m for m in (1, 2, 5) if m * decade <= wanted * 1.001))


def _length(length_nm: float) -> str:
    return f"{length_nm / 1000:g} µm" if length_nm >= 1000 else f"{length_nm:g} nm"


def _binned(image: np.ndarray, edge: int) -> np.ndarray:
    """Average blocks of pixels until the longer side is near `edge`."""
    factor = max(1, round(max(image.shape[:2]) / edge))
    height, width = (length // factor for length in image.shape[:2])
    if factor == 1 or not min(height, width):
        return image
    cropped = image[: height * factor, : width * factor]
    blocks = cropped.reshape(height, factor, width, factor, *image.shape[2:])
    return blocks.mean(axis=(1, 3))


def _smooth(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, 0.8, mode="constant")


def _stretch(image: np.ndarray, shows: str) -> tuple[float, float]:
    """Return the values shown as black and as brightest."""
    if shows == "density":
        lit = image[image > 0.01 * image.max()] if image.max() > 0 else image
        low, high = 0.0, float(np.percentile(lit, 95)) if lit.size else 1.0
    elif shows == "error":  # whose zero means something
        low, high = 0.0, float(np.percentile(image, 99.8))
    else:
        low, high = (float(p) for p in np.percentile(image, (0.5, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)
