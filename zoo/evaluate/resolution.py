"""Fourier ring correlation: up to which detail two independent images agree.

Nieuwenhuizen et al. 2013, doi:10.1038/nmeth.2448.  The two images must come from
separate data; computed on the outputs of a network it also rewards inventions that
both outputs share.
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import uniform_filter1d
from scipy.signal.windows import tukey

from zoo.core.localizations import Localizations

THRESHOLD = 1 / 7
"""Correlation that the resolution is read at; 1/2 against a noise-free reference."""


@dataclass(frozen=True, eq=False)
class FourierRings:
    """Correlation of two images, ring by ring of spatial frequency.

    Parameters
    ----------
    frequency_per_px
        (n,) mean radius of each ring, cycles per pixel, from the first ring to
        the Nyquist frequency.
    correlation
        (n,) between −1 and 1.
    """

    frequency_per_px: np.ndarray
    correlation: np.ndarray

    def cutoff_per_px(self, *, threshold: float = THRESHOLD, smooth: int = 5) -> float:
        """Return the frequency at which the correlation first falls to `threshold`.

        Parameters
        ----------
        threshold
            Correlation of the crossing.
        smooth
            Number of neighbouring rings averaged beforehand.

        Returns
        -------
        frequency : float
            Cycles per pixel, interpolated between rings; NaN where the curve never
            falls that far (finer than the pixels show) or starts below.
        """
        curve = uniform_filter1d(self.correlation, smooth, mode="nearest")
        below = np.flatnonzero(curve <= threshold)
        if not len(below) or below[0] == 0:
            return float("nan")
        high, low = below[0] - 1, below[0]
        part = (curve[high] - threshold) / (curve[high] - curve[low])
        q = self.frequency_per_px
        return float(q[high] + part * (q[low] - q[high]))


def frc(first: np.ndarray, second: np.ndarray, *, taper: float = 0.25) -> FourierRings:
    """Correlate two images ring by ring in Fourier space.

    Rings are ``1/N`` cycles per pixel wide, N being the shorter side.

    Parameters
    ----------
    first, second
        Two images of the same scene, (y, x), on the same grid; the pixel should be a
        quarter of the expected resolution or less.
    taper
        Part of each side that a Tukey window fades out; 0 for none.

    Raises
    ------
    ValueError
        If shapes differ, the images are smaller than 8 px or constant.

    Examples
    --------
    >>> image = np.random.default_rng(1).normal(size=(32, 32))
    >>> bool(np.allclose(frc(image, image).correlation, 1))
    True
    """
    a, b = np.asarray(first, float), np.asarray(second, float)
    if a.shape != b.shape or a.ndim != 2 or min(a.shape) < 8:
        raise ValueError(
            "frc needs two images of equal shape and at least 8 x 8 px, "
            f"not {a.shape} and {b.shape}"
        )
    if not np.ptp(a) or not np.ptp(b):
        raise ValueError("frc needs images that are not constant")
    window = np.outer(tukey(a.shape[0], taper), tukey(a.shape[1], taper))
    spectrum_a, spectrum_b = (np.fft.fft2((m - m.mean()) * window) for m in (a, b))
    y, x = np.meshgrid(*(np.fft.fftfreq(n) for n in a.shape), indexing="ij")
    radius = np.hypot(y, x).ravel()
    shorter = min(a.shape)
    ring = np.rint(radius * shorter).astype(int)

    def over_rings(values: np.ndarray) -> np.ndarray:
        sums = np.bincount(ring, weights=values.ravel())
        return sums[1 : shorter // 2 + 1]

    cross = over_rings((spectrum_a * spectrum_b.conj()).real)
    power = over_rings(np.abs(spectrum_a) ** 2) * over_rings(np.abs(spectrum_b) ** 2)
    return FourierRings(
        frequency_per_px=over_rings(radius) / over_rings(np.ones(radius.shape)),
        correlation=cross / np.sqrt(power, where=power > 0, out=np.ones_like(power)),
    )


def frc_resolution_nm(
    first: np.ndarray,
    second: np.ndarray,
    *,
    pixel_size_nm: float,
    threshold: float = THRESHOLD,
) -> float:
    """Return the resolution of two independent images of one scene, nm.

    Parameters
    ----------
    first, second
        Images, (y, x), on the same grid.
    pixel_size_nm
        Edge of their pixels.
    threshold
        1/7 for two noisy halves, 1/2 against the noise-free truth.

    Returns
    -------
    resolution : float
        nm; NaN where the correlation has no crossing, see
        :meth:`FourierRings.cutoff_per_px`.

    Raises
    ------
    ValueError
        As :func:`frc`, or if `pixel_size_nm` is not positive.
    """
    if pixel_size_nm <= 0:
        raise ValueError(f"pixel_size_nm must be positive, not {pixel_size_nm}")
    return pixel_size_nm / frc(first, second).cutoff_per_px(threshold=threshold)


def halves(
    table: Localizations,
    *,
    field_nm: tuple[float, float],
    pixel_size_nm: float,
    block_frames: int = 50,
) -> tuple[np.ndarray, np.ndarray]:
    """Draw two images from alternating blocks of frames of one table.

    Blocks, because an emitter that is seen in consecutive frames and falls into both
    halves would make them agree better than the structure does.

    Parameters
    ----------
    table
        Localizations; rows outside the field are left out.
    field_nm
        ``(height, width)`` of the field.
    pixel_size_nm
        Edge of the pixels to draw, at most a quarter of the expected resolution.
    block_frames
        Frames per block; longer than an emitter stays on.

    Returns
    -------
    first, second : (y, x) float64
        Localizations per pixel.

    Raises
    ------
    ValueError
        If a size is not positive.
    """
    height, width = (int(np.ceil(side / pixel_size_nm)) for side in field_nm)
    if pixel_size_nm <= 0 or block_frames < 1 or min(height, width) < 1:
        raise ValueError(
            "pixel_size_nm, field_nm and block_frames must be positive, not "
            f"{pixel_size_nm}, {field_nm} and {block_frames}"
        )
    row = np.floor(table.y_nm / pixel_size_nm).astype(int)
    column = np.floor(table.x_nm / pixel_size_nm).astype(int)
    within = (row >= 0) & (row < height) & (column >= 0) & (column < width)
    odd = ((table.frame - 1) // block_frames) % 2 == 1

    def draw(rows: np.ndarray) -> np.ndarray:
        place = row[rows] * width + column[rows]
        return (
            np.bincount(place, minlength=height * width)
            .reshape(height, width)
            .astype(float)
        )

    return draw(within & ~odd), draw(within & odd)


def frc_localizations_nm(
    table: Localizations,
    *,
    field_nm: tuple[float, float],
    pixel_size_nm: float = 5.0,
    block_frames: int = 50,
    threshold: float = THRESHOLD,
) -> float:
    """Return the resolution of a localization table, nm, by Fourier ring correlation.

    The table is split into alternating blocks of frames (:func:`halves`), each half
    is drawn as a histogram and the two are correlated.

    Returns
    -------
    resolution : float
        nm; NaN where a half is empty or the correlation has no crossing.
    """
    pair = halves(
        table,
        field_nm=field_nm,
        pixel_size_nm=pixel_size_nm,
        block_frames=block_frames,
    )
    if not all(np.ptp(half) for half in pair):
        return float("nan")
    return frc_resolution_nm(*pair, pixel_size_nm=pixel_size_nm, threshold=threshold)
