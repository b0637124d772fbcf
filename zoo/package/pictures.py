"""Sample images and the cover of a package."""

from pathlib import Path

import numpy as np

from zoo.core.errors import BadPackage
from zoo.package.archive import temporary_sibling

COVER_BYTES = 500_000
"""Largest cover that the bioimage.io collection accepts."""
_HALF_PX = 512


def write_sample(path: Path, image: np.ndarray, *, pixel_size_nm: float | None) -> None:
    """Write an image as an ImageJ TIFF, the same bytes every time.

    Parameters
    ----------
    path
        File to write.
    image
        (y, x, c) float32.
    pixel_size_nm
        Edge of a pixel, stored as resolution in micrometres, if known.

    Raises
    ------
    ValueError
        If the image has other axes.
    """
    import tifffile

    if image.ndim != 3:
        raise ValueError(f"image must have axes (y, x, c), not {image.ndim} axes")
    planes = np.moveaxis(image.astype(np.float32), -1, 0)
    axes, data = ("CYX", planes) if len(planes) > 1 else ("YX", planes[0])
    metadata: dict[str, object] = {"axes": axes}
    resolution: tuple[float, float] | None = None
    if pixel_size_nm is not None:
        resolution = (1000.0 / pixel_size_nm, 1000.0 / pixel_size_nm)
        metadata["unit"] = "um"
    with temporary_sibling(path) as part:
        tifffile.imwrite(
            part, data, imagej=True, resolution=resolution, metadata=metadata
        )


def write_cover(path: Path, before: np.ndarray, after: np.ndarray) -> None:
    """Write a picture of twice the width: input in grey, output in colour.

    Parameters
    ----------
    path
        PNG to write.
    before, after
        (y, x, c) input and output; of the input the mean over channels is shown, of
        the output the first channel.

    Raises
    ------
    BadPackage
        If the file is larger than the collection accepts.
    """
    from matplotlib import colormaps
    from PIL import Image

    left = colormaps["gray"](_display(before.mean(axis=-1), 0.5, 99.8))
    right = colormaps["inferno"](_display(_smoothed(after[..., 0]), 1.0, 99.8) ** 0.7)
    picture = np.concatenate([_square(left), _square(right)], axis=1)
    pixels = (255 * picture[..., :3]).round().astype(np.uint8)
    with temporary_sibling(path) as part:
        Image.fromarray(pixels).save(part, optimize=True)
        if part.stat().st_size >= COVER_BYTES:  # 256 colours are enough for a cover
            Image.fromarray(pixels).quantize(256).save(part, optimize=True)
        size = part.stat().st_size
        if size >= COVER_BYTES:
            raise BadPackage(
                f"the cover has {size} bytes; the collection accepts fewer than "
                f"{COVER_BYTES}"
            )


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


def _square(picture: np.ndarray) -> np.ndarray:
    """Enlarge a picture by replication, or cut its middle, to the edge of a half."""
    height, width = picture.shape[:2]
    factor = max(1, _HALF_PX // max(1, min(height, width)))
    if min(height, width) * factor < _HALF_PX:
        factor += 1
    large = picture.repeat(factor, axis=0).repeat(factor, axis=1)
    top = (large.shape[0] - _HALF_PX) // 2
    left = (large.shape[1] - _HALF_PX) // 2
    return large[top : top + _HALF_PX, left : left + _HALF_PX]
