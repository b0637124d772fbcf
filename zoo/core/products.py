"""What a prediction yields: tables of emitters, images, and panels of a preview."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from zoo.core.localizations import Localizations


@dataclass(frozen=True)
class Movie:
    """The frames in which the emitters of a table lie."""

    frames: int
    """Number of frames."""
    height: int
    """Length along y, px."""
    width: int
    """Length along x, px."""
    pixel_size_nm: float
    """Edge of a pixel, nm."""


@dataclass(frozen=True, eq=False)
class Table:
    """Rows of a table of emitters; pieces under one name follow each other."""

    name: str
    """File name without its ending, such as ``localizations``."""
    rows: Localizations
    """The rows."""
    movie: Movie | None = None
    """Their movie, if the table is to be written for Picasso, too."""


@dataclass(frozen=True, eq=False)
class Image:
    """An image, or the next part of a series of images under one name.

    A part of a series holds whole images one after the other along its first axis;
    `outer` says how all of them together are arranged.
    """

    name: str
    """File name without its ending, such as ``image`` or ``reconstruction``."""
    array: np.ndarray
    """Pixels; of a series (image, [z,] y, x, c), otherwise as `axes` says."""
    axes: str
    """Letters of one image, such as ``yxc``, ``zyxc`` or ``yx``."""
    pixel_size_nm: Mapping[str, float] = field(default_factory=dict[str, float])
    """Edge of a pixel along the letters of space that are known, nm."""
    outer: tuple[tuple[str, int], ...] = ()
    """Letters and lengths of the series, such as ``(("t", 5), ("z", 3))``, in C order;
    empty for a single image, whose array has just `axes`."""
    channel_names: tuple[str, ...] = ()
    """Names of the channels, none if they have none."""
    description: str = ""
    """What the image says about itself."""
    stored: Literal["tiff", "zarr"] = "tiff"
    """File format that it is written in: OME-TIFF or, single images only, OME-Zarr."""


Product = Table | Image


@dataclass(frozen=True, eq=False)
class ColourBar:
    """What colours of a panel mean."""

    colours: np.ndarray
    """(n, 3) colours from the lowest value to the highest, in [0, 1]."""
    low: float
    """Value of the first colour."""
    high: float
    """Value of the last colour."""
    unit: str
    """Unit of the values."""


@dataclass(frozen=True, eq=False)
class Panel:
    """One image of a preview."""

    image: np.ndarray
    """(y, x)"""
    title: str
    """What stands above it."""
    shows: Literal["image", "density", "error", "depth"] = "image"
    """How it is coloured and stretched; ``depth`` is an image (y, x, 3) in [0, 1]."""
    bar: ColourBar | None = None
    """What the colours of ``depth`` mean."""


class Products:
    """Products of a prediction by name, kept in memory.

    Parameters
    ----------
    products
        As they came; parts of a series or table are joined.
    """

    def __init__(self, products: Iterable[Product] = ()) -> None:
        self.tables: dict[str, Localizations] = {}
        """Tables by name."""
        self.images: dict[str, Image] = {}
        """Images by name; a series has its outer axes in front, those of length one
        left out, and so has the channel axis."""
        parts: dict[str, list[Image]] = {}
        rows: dict[str, list[Localizations]] = {}
        for product in products:
            if isinstance(product, Table):
                rows.setdefault(product.name, []).append(product.rows)
            else:
                parts.setdefault(product.name, []).append(product)
        for name, pieces in rows.items():
            self.tables[name] = Localizations.concatenate(pieces)
        for name, images in parts.items():
            self.images[name] = joined(images)

    @property
    def localizations(self) -> Localizations | None:
        """The table ``localizations``; None if there is none."""
        return self.tables.get("localizations")

    @property
    def image(self) -> np.ndarray | None:
        """The main image: ``image``, ``volume`` or ``reconstruction``."""
        main = self.main
        return None if main is None else main.array

    @property
    def main(self) -> Image | None:
        """The main image with its axes and pixel size; None if there is none."""
        for name in ("image", "volume", "reconstruction"):
            if name in self.images:
                return self.images[name]
        return None


def joined(parts: list[Image]) -> Image:
    """Return the parts of a series as one image with its outer axes in front.

    Outer axes and channels of length one are left out.

    Examples
    --------
    >>> part = Image("image", np.zeros((2, 8, 8, 1)), "yxc", outer=(("t", 4),))
    >>> whole = joined([part, part])
    >>> whole.axes, whole.array.shape
    ('tyx', (4, 8, 8))
    """
    first = parts[0]
    if not first.outer:
        return first
    array = np.concatenate([part.array for part in parts])
    shape = [n for _, n in first.outer] + list(array.shape[1:])
    array = array.reshape(shape)
    letters = "".join(letter for letter, _ in first.outer) + first.axes
    drop = tuple(
        place
        for place, letter in enumerate(letters)
        if array.shape[place] == 1 and (place < len(first.outer) or letter == "c")
    )
    return Image(
        name=first.name,
        array=array.squeeze(drop),
        axes="".join(a for place, a in enumerate(letters) if place not in drop),
        pixel_size_nm=first.pixel_size_nm,
        channel_names=() if len(letters) - 1 in drop else first.channel_names,
        description=first.description,
        stored=first.stored,
    )
