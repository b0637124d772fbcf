"""A picture of what went in and what came out, side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

PIXELS = 512
"""Edge of a picture's longer side, px; larger images are binned to about this."""
IMAGE_PIXELS = 1024
"""The same where the result is an image, whose detail the picture is to show."""
DARK_ERROR = 0.05
"""Errors below this part of the input's range stay dark, however few greater ones there
are: a map of nothing but noise shall not look alarming."""
_BACKGROUND = "#101014"
_TEXT = "#e8e8ec"
_DPI = 100
_MARGIN, _TITLE = 0.12, 0.34  # inch


def write_preview(
    path: str | Path,
    before: np.ndarray,
    after: np.ndarray,
    errors: np.ndarray | None = None,
    *,
    pixel_size_nm: float | None,
    titles: Sequence[str],
    density: bool,
) -> None:
    """Write a PNG with pictures of the same field side by side.

    Grey for input and image, a perceptually uniform colour map for a density of
    emitters and for an error map.  Brightness is stretched between percentiles; a
    density is smoothed to the display's resolution first, because single fine pixels
    would not be seen.  Zero is black in an error map.

    Parameters
    ----------
    path
        Where to.
    before : (y, x)
        Mean or single input frame.
    after : (Y, X)
        Result on the finer grid, of the same field.
    errors : (Y, X)
        Error map, on the finer grid.
    pixel_size_nm
        Edge of an input pixel; None leaves out the scale bars.
    titles
        What to write above each.
    density
        Whether `after` is a density of emitters rather than an image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    height, width = before.shape
    longer = max(height, width)
    edge = PIXELS if density else min(max(PIXELS, *after.shape), IMAGE_PIXELS)
    panel = (edge * width / longer / _DPI, edge * height / longer / _DPI)
    pictures = [(before, "gray")]
    if density:
        pictures.append((_smooth(_binned(after, edge)), "inferno"))
    else:
        pictures.append((_binned(after, edge), "gray"))
    if errors is not None:
        pictures.append((_binned(errors, edge), "magma"))
    # a very flat or narrow field still needs room for its title
    size = (
        len(pictures) * (max(panel[0], 2.6 if density else 3.2) + _MARGIN) + _MARGIN,
        panel[1] + _TITLE + _MARGIN,
    )
    figure = Figure(figsize=size, dpi=_DPI, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    wide = (size[0] - _MARGIN) / len(pictures)
    span = 1.0
    for i, (picture, colours) in enumerate(pictures):
        axes = figure.add_axes(
            (
                (_MARGIN + i * wide) / size[0],
                _MARGIN / size[1],
                (wide - _MARGIN) / size[0],
                panel[1] / size[1],
            )
        )
        low, high = _stretch(picture, colours)
        title = titles[i]
        if picture is pictures[0][0]:
            span = high - low
        elif colours == "magma":
            high = max(high, DARK_ERROR * span)
            title += f", white: {100 * high / span:.2g} % of input"
        axes.imshow(
            picture,
            cmap=colours,
            vmin=low,
            vmax=high,
            extent=(0, width, height, 0),
            interpolation="nearest",
        )
        axes.set_axis_off()
        axes.set_title(title, color=_TEXT, fontsize=10, pad=5)
        if pixel_size_nm is not None:
            _scale_bar(axes, before.shape, pixel_size_nm)
    # without the program's version in it, equal results give equal files
    figure.savefig(path, format="png", metadata={"Software": None})


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
    factor = max(1, round(max(image.shape) / edge))
    height, width = (length // factor for length in image.shape)
    if factor == 1 or not min(height, width):
        return image
    cropped = image[: height * factor, : width * factor]
    return cropped.reshape(height, factor, width, factor).mean(axis=(1, 3))


def _smooth(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, 0.8, mode="constant")


def _stretch(image: np.ndarray, colours: str) -> tuple[float, float]:
    """Return the values shown as black and as brightest."""
    if colours == "inferno":  # a density
        lit = image[image > 0.01 * image.max()] if image.max() > 0 else image
        low, high = 0.0, float(np.percentile(lit, 95)) if lit.size else 1.0
    elif colours == "magma":  # an error, whose zero means something
        low, high = 0.0, float(np.percentile(image, 99.8))
    else:
        low, high = (float(p) for p in np.percentile(image, (0.5, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)
