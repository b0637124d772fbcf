"""Localizations as images: how many lie where, and how deep."""

from collections.abc import Mapping
from typing import Literal

import numpy as np

from zoo.core.contract import Options
from zoo.core.localizations import Localizations
from zoo.core.products import ColourBar, Panel
from zoo.tasks.localization import add_gaussians

FINE = 8
"""Pixels of a rendering per camera pixel, as far as `LARGEST_PX` allows."""
LARGEST_PX = 4096
"""Longest side of a rendering, px."""
_SHOWN_PX = 512
_BLUR_PX = 0.8
_BRIGHTEST_PERCENTILE = 97.0
# colours of equal lightness and chroma, from blue for the lowest to red for the highest
_LIGHTNESS, _CHROMA, _HUES_DEG = 0.78, 0.13, (265.0, 25.0)


class RenderOptions(Options):
    """What a user may decide about the image of a table."""

    render: Literal["histogram", "gaussian"] = "histogram"
    """How localizations become an image: counts per pixel, or Gaussians as wide as
    their uncertainties."""


class Rendering:
    """An image of localizations, and its colours by depth; added to piece by piece.

    Parameters
    ----------
    field
        Lengths of the field along y and x, camera px.
    pixel_nm
        Edge of a camera pixel.
    z_range_nm
        Depths of the first and the last colour; None where there are no depths.
    gaussian
        Whether rows are drawn as Gaussians of their uncertainty instead of counted.
    """

    def __init__(
        self,
        field: Mapping[str, int],
        *,
        pixel_nm: float,
        z_range_nm: tuple[float, float] | None,
        gaussian: bool = False,
    ) -> None:
        longest = max(field["y"], field["x"])
        self.scale = max(1, min(FINE, LARGEST_PX // longest))
        """Pixels of the histogram per camera pixel."""
        self._nm = pixel_nm
        self._sizes = (field["y"], field["x"])
        self._z_range_nm, self._gaussian = z_range_nm, gaussian
        fine = [n * self.scale for n in self._sizes]
        self.histogram = np.zeros(fine, np.float32)
        """(y, x) localizations per pixel, or what their Gaussians add up to."""
        self._shown_scale = min(float(self.scale), _SHOWN_PX / longest)
        shown = [max(1, round(n * self._shown_scale)) for n in self._sizes]
        self._shown = np.zeros((*shown, 3), np.float32)

    def add(self, rows: Localizations) -> None:
        """Add localizations; those outside of the field do not show."""
        if self._gaussian:
            add_gaussians(self.histogram, rows, pixel_nm=self._nm / self.scale)
        else:
            fine = self._places(rows, self.scale, self.histogram.shape)
            np.add.at(self.histogram, fine[:2], 1.0)
        coarse = self._places(rows, self._shown_scale, self._shown.shape)
        colours: np.ndarray | float = 1.0
        if self._z_range_nm is not None and rows.z_nm is not None:
            low, high = self._z_range_nm
            colours = depth_colours((rows.z_nm[coarse[2]] - low) / (high - low))
        np.add.at(self._shown, coarse[:2], colours)

    def _places(
        self, rows: Localizations, scale: float, shape: tuple[int, ...]
    ) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Return rows and columns of those inside, and which these are."""
        y = np.floor(rows.y_nm / self._nm * scale).astype(int)
        x = np.floor(rows.x_nm / self._nm * scale).astype(int)
        inside = (y >= 0) & (y < shape[0]) & (x >= 0) & (x < shape[1])
        return y[inside], x[inside], np.flatnonzero(inside)

    def panel(self, title: str) -> Panel:
        """Return the localizations: colour is depth, brightness how many there are."""
        from scipy.ndimage import gaussian_filter

        image = gaussian_filter(self._shown, (_BLUR_PX, _BLUR_PX, 0))
        total = image.max(axis=2)
        lit = total[total > 0.05 * total.max()]
        bright = float(np.percentile(lit, _BRIGHTEST_PERCENTILE)) if lit.size else 1.0
        strength = np.clip(total / bright, 0, 1) ** 0.7
        image = image / np.maximum(total, 1e-12)[..., None] * strength[..., None]
        if self._z_range_nm is None:
            return Panel(image[..., 0], title, "density")
        peak = depth_colours(np.linspace(0, 1, 64))
        low, high = self._z_range_nm
        return Panel(
            image * float(peak.max()),
            f"{title}, colour: depth",
            "depth",
            ColourBar(peak, low, high, "nm"),
        )


def depth_colours(fraction: np.ndarray) -> np.ndarray:
    """Return colours of equal lightness, evenly spaced to the eye.

    Hues of constant lightness and chroma in the OKLab space (Ottosson 2020): brightness
    is left to say how many there are.

    Parameters
    ----------
    fraction
        (n,) places between the first colour, 0, and the last, 1; clipped.

    Returns
    -------
    colours : (n, 3) float64
        Red, green and blue in [0, 1], for a display of the standard gamma.

    Examples
    --------
    >>> first, last = depth_colours(np.array([0.0, 1.0]))
    >>> int(first.argmax()), int(last.argmax())
    (2, 0)
    """
    first, last = np.deg2rad(_HUES_DEG)
    hue = first + (last - first) * np.clip(fraction, 0, 1)
    a, b = _CHROMA * np.cos(hue), _CHROMA * np.sin(hue)
    cones = np.stack(
        [
            _LIGHTNESS + 0.3963377774 * a + 0.2158037573 * b,
            _LIGHTNESS - 0.1055613458 * a - 0.0638541728 * b,
            _LIGHTNESS - 0.0894841775 * a - 1.2914855480 * b,
        ],
        axis=-1,
    )
    to_linear = np.array(
        [
            [4.0767416621, -3.3077115913, 0.2309699292],
            [-1.2684380046, 2.6097574011, -0.3413193965],
            [-0.0041960863, -0.7034186147, 1.7076147010],
        ]
    )
    linear = np.clip(cones**3 @ to_linear.T, 0, 1)
    return np.where(
        linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055
    )
