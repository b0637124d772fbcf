"""Sample images and the cover of a package."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from zoo.core.errors import BadPackage
from zoo.core.files import replacing
from zoo.tasks.rendering import depth_colours

COVER_BYTES = 500_000
"""Largest cover that the bioimage.io collection accepts."""
_HALF_PX = 512
_ROW_PX = 44
_DOT_PX = 2.0  # Gaussian that an emitter of a volume is shown as
_LEAST = 0.1  # of the brightest, what is shown of a volume


def write_sample(
    path: Path, image: np.ndarray, axes: str, *, pixel_size_nm: Mapping[str, float]
) -> None:
    """Write an image or volume as an ImageJ TIFF, the same bytes every time.

    Parameters
    ----------
    path
        File to write.
    image
        float32 with the axes that `axes` names.
    axes
        Letters out of ``z y x c``, such as ``yxc``; a single channel is left out of
        the file.
    pixel_size_nm
        Edge of a pixel by letter, stored in micrometres as far as it is known.

    Raises
    ------
    ValueError
        If the letters are not those of an image.
    """
    import tifffile

    if not {"y", "x"} <= set(axes) <= set("zyxc") or len(axes) != image.ndim:
        raise ValueError(
            f"an image has the axes y and x, perhaps z and c, not {axes!r} for "
            f"{image.ndim} dimensions"
        )
    order = [a for a in "zcyx" if a in axes]
    data = image.astype(np.float32).transpose([axes.index(a) for a in order])
    if "c" in order and data.shape[order.index("c")] == 1:
        data = data.squeeze(order.index("c"))
        order.remove("c")
    metadata: dict[str, object] = {"axes": "".join(order).upper()}
    resolution: tuple[float, float] | None = None
    if "x" in pixel_size_nm:
        resolution = (1000.0 / pixel_size_nm["x"], 1000.0 / pixel_size_nm["y"])
        metadata["unit"] = "um"
        if "z" in order and "z" in pixel_size_nm:
            metadata["spacing"] = pixel_size_nm["z"] / 1000.0
    with replacing(path) as part:
        tifffile.imwrite(
            part, data, imagej=True, resolution=resolution, metadata=metadata
        )


def write_cover(
    path: Path,
    before: np.ndarray,
    after: np.ndarray,
    axes: tuple[str, str],
    *,
    names: Sequence[str] = (),
) -> None:
    """Write an image of twice the width: input in grey, output in colour.

    Of several channels the input shows the mean, the output the first; of a volume
    each shows the brightest voxel along z, an output in the colour of its depth.  An
    output without space is shown as bars, one for each value.

    Parameters
    ----------
    path
        PNG to write.
    before, after
        Input and output without the batch axis.
    axes
        Letters of the two.
    names
        What to call the values of an output without space.

    Raises
    ------
    BadPackage
        If the file is larger than the collection accepts.
    """
    from matplotlib import colormaps
    from PIL import Image

    grey = _flat(before, axes[0], channels="mean")
    left = _square(colormaps["gray"](_display(grey, 0.5, 99.8)))
    if "z" in axes[1]:
        right = _square(_depth_coded(_single(after, axes[1], channels="first")))
    elif set(axes[1]) & set("yx"):
        density = _smoothed(_flat(after, axes[1], channels="first"))
        shown = _display(density, 1.0, 99.8) ** 0.7
        right = _square(colormaps["inferno"](shown))
    else:
        right = _bars(after.reshape(-1), names)
    both = np.concatenate([left[..., :3], right[..., :3]], axis=1)
    pixels = (255 * both).round().astype(np.uint8)
    with replacing(path) as part:
        Image.fromarray(pixels).save(part, optimize=True)
        if part.stat().st_size >= COVER_BYTES:  # 256 colours are enough for a cover
            Image.fromarray(pixels).quantize(256).save(part, optimize=True)
        size = part.stat().st_size
        if size >= COVER_BYTES:
            raise BadPackage(
                f"the cover has {size} bytes; the collection accepts fewer than "
                f"{COVER_BYTES}"
            )


def _flat(image: np.ndarray, axes: str, *, channels: str) -> np.ndarray:
    """Return (y, x): the mean or first channel, the brightest voxel along z."""
    single = _single(image, axes, channels=channels)
    return single.max(axis=0) if single.ndim == 3 else single


def _single(image: np.ndarray, axes: str, *, channels: str) -> np.ndarray:
    """Return ([z,] y, x): the mean or first channel."""
    if "c" in axes:
        place = axes.index("c")
        image = image.mean(place) if channels == "mean" else image.take(0, place)
        axes = axes.replace("c", "")
    return image.transpose([axes.index(a) for a in "zyx" if a in axes])


def _depth_coded(volume: np.ndarray) -> np.ndarray:
    """Return (y, x, 3) in [0, 1]: brightest voxels along z in colours of planes."""
    from scipy.ndimage import gaussian_filter

    plane = volume.argmax(axis=0) / max(len(volume) - 1, 1)
    bright = volume.max(axis=0)
    bright = np.where(bright > _LEAST * bright.max(), bright, 0.0)
    colours = depth_colours(plane.ravel()).reshape(*plane.shape, 3)
    wide = gaussian_filter(bright[..., None] * colours, (_DOT_PX, _DOT_PX, 0))
    total = wide.max(axis=2, keepdims=True)
    lit = total[total > _LEAST * total.max()]
    strength = np.clip(total / np.median(lit), 0, 1) if lit.size else total
    return wide / np.maximum(total, 1e-12) * strength


def _bars(values: np.ndarray, names: Sequence[str]) -> np.ndarray:
    """Return (y, x, 4) in [0, 1]: values with their names and bars, as many as fit."""
    from PIL import Image, ImageDraw, ImageFont

    board = Image.new("RGBA", (_HALF_PX, _HALF_PX), (0, 0, 4, 255))
    pen, font = ImageDraw.Draw(board), ImageFont.load_default(20)
    largest = max(float(np.abs(values).max(initial=0.0)), 1e-30)
    for row, value in enumerate(values[: (_HALF_PX - 32) // _ROW_PX]):
        name = names[row] if row < len(names) else f"{row + 1}"
        name = name.replace("uncertainty_", "± ")
        while pen.textlength(name, font=font) > 112:  # where the bars begin
            name = name.removesuffix("…")[:-1] + "…"
        top = 24 + row * _ROW_PX
        length = round(232 * abs(float(value)) / largest)
        pen.text((16, top), name, fill=(230, 230, 230, 255), font=font)
        pen.rectangle((136, top, 136 + length, top + 22), fill=(221, 81, 58, 255))
        pen.text(
            (384, top), f"{float(value):.4g}", fill=(252, 255, 164, 255), font=font
        )
    return np.asarray(board, dtype=np.float64) / 255


def _display(image: np.ndarray, low: float, high: float) -> np.ndarray:
    bottom, top = np.percentile(image, [low, high])
    if not top > bottom:
        bottom, top = float(image.min()), float(image.max())
    if not top > bottom:
        return np.zeros(image.shape)
    return np.clip((image - bottom) / (top - bottom), 0, 1)


def _smoothed(image: np.ndarray) -> np.ndarray:
    """Widen single pixels to spots that survive being shown on a small card."""
    from scipy.ndimage import gaussian_filter

    sparse = np.count_nonzero(image > 0.05 * image.max(initial=0.0)) < 0.1 * image.size
    return gaussian_filter(image, 1.0) if sparse else image


def _square(image: np.ndarray) -> np.ndarray:
    """Enlarge an image by replication, or cut its middle, to the edge of a half."""
    height, width = image.shape[:2]
    factor = max(1, _HALF_PX // max(1, min(height, width)))
    if min(height, width) * factor < _HALF_PX:
        factor += 1
    large = image.repeat(factor, axis=0).repeat(factor, axis=1)
    top = (large.shape[0] - _HALF_PX) // 2
    left = (large.shape[1] - _HALF_PX) // 2
    return large[top : top + _HALF_PX, left : left + _HALF_PX]
