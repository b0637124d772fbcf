"""A picture of what went in and what came out, side by side."""

from pathlib import Path

import numpy as np

PIXELS = 512
"""Edge of a picture's longer side, px; larger images are binned to about this."""
_BACKGROUND = "#101014"
_TEXT = "#e8e8ec"
_DPI = 100


def write_preview(
    path: str | Path,
    before: np.ndarray,
    after: np.ndarray,
    *,
    pixel_size_nm: float | None,
    titles: tuple[str, str],
    density: bool,
) -> None:
    """Write a PNG with two pictures of the same field.

    Grey for the input, a perceptually uniform colour map for a density of emitters.
    Brightness is stretched between percentiles; a density is smoothed to the
    display's resolution first, because single fine pixels would not be seen.

    Parameters
    ----------
    path
        Where to.
    before : (y, x)
        Mean or single input frame.
    after : (Y, X)
        Result on the finer grid, of the same field.
    pixel_size_nm
        Edge of an input pixel; None leaves out the scale bars.
    titles
        What to write above each.
    density
        Whether `after` is a density of emitters rather than an image.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    edge = [withStroke(linewidth=2.5, foreground="black", alpha=0.6)]
    height, width = before.shape
    longer = max(height, width)
    panel = (PIXELS * width / longer / _DPI, PIXELS * height / longer / _DPI)
    margin, title = 0.12, 0.34
    # a very flat or narrow field still needs room for its title
    size = (2 * max(panel[0], 2.6) + 3 * margin, panel[1] + title + margin)
    figure = Figure(figsize=size, dpi=_DPI, facecolor=_BACKGROUND)
    FigureCanvasAgg(figure)
    shown = (before, _smooth(_binned(after)) if density else _binned(after))
    for i, picture in enumerate(shown):
        axes = figure.add_axes(
            (
                (margin + i * (size[0] - margin) / 2) / size[0],
                margin / size[1],
                (size[0] - 3 * margin) / 2 / size[0],
                panel[1] / size[1],
            )
        )
        fine = bool(i and density)
        low, high = _stretch(picture, density=fine)
        axes.imshow(
            picture,
            cmap="inferno" if fine else "gray",
            vmin=low,
            vmax=high,
            extent=(0, width, height, 0),
            interpolation="nearest",
        )
        axes.set_axis_off()
        axes.set_title(titles[i], color=_TEXT, fontsize=10, pad=5)
        if pixel_size_nm is not None:
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
                path_effects=edge,
            )
            axes.set_xlim(0, width)
            axes.set_ylim(height, 0)
    # without the program's version in it, equal results give equal files
    figure.savefig(path, format="png", metadata={"Software": None})


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


def _binned(image: np.ndarray) -> np.ndarray:
    """Average blocks of pixels until the longer side is near `PIXELS`."""
    factor = max(1, round(max(image.shape) / PIXELS))
    height, width = (length // factor for length in image.shape)
    if factor == 1 or not min(height, width):
        return image
    cropped = image[: height * factor, : width * factor]
    return cropped.reshape(height, factor, width, factor).mean(axis=(1, 3))


def _smooth(image: np.ndarray) -> np.ndarray:
    from scipy.ndimage import gaussian_filter

    return gaussian_filter(image, 0.8, mode="constant")


def _stretch(image: np.ndarray, *, density: bool) -> tuple[float, float]:
    """Return the values shown as black and as brightest."""
    if density:
        lit = image[image > 0.01 * image.max()] if image.max() > 0 else image
        low, high = 0.0, float(np.percentile(lit, 95)) if lit.size else 1.0
    else:
        low, high = (float(p) for p in np.percentile(image, (0.5, 99.8)))
    return (low, high) if high > low else (low, low + 1.0)
