"""Where a super-resolved image disagrees with the raw SIM frames it came from.

The image is multiplied by the illumination pattern, blurred by the microscope and
binned to camera pixels, as the sample was.  What it does not explain of the raw frames
is separated into bands, and these are shifted back and averaged like those of a Wiener
reconstruction (`zoo.metrics.sim_bands`).  So the residual is seen as finely as the
illumination pattern resolves it: detail that is invented within the reach of the
pattern shows, which a comparison with the widefield image (`zoo.metrics.squirrel`)
cannot tell.

Frames have noise.  At every frequency the residual counts by how far its power exceeds
that of noise, and the noise that such a reconstruction has is added: an error below it
cannot be excluded.  Noise is measured where nothing else is: the means over phases of
the orientations show one sample, and differ by noise alone.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise, product
from typing import NamedTuple

import numpy as np
from scipy.ndimage import gaussian_filter

from zoo.core.frame_pattern import FramePattern
from zoo.metrics.sim_bands import (
    BORDER_PX,
    NO_RINGS,
    Bands,
    Grid,
    beyond,
    fast,
    ring_means,
)
from zoo.physics.sim_reconstruction import SCALE, unmixing

TILE_PX = 192
"""Edge of the tiles in which large fields are compared, px of the frames."""
MARGIN_PX = 24
"""Neighbours beyond a tile that are looked at, px of the frames."""
SHARPNESSES = (0.0, 0.5, 0.75, 1.0, 1.25, 1.5)
"""Exponents that are tried for the image's own transfer, the apodisation
``1 - |f| / (cut-off + pattern)``: 0 for the sample, 1 for an ideal SIM image."""
SMOOTH_PX = 2.0
"""Standard deviation over which squares are averaged, px of the image."""
_NOISE_PX = 3.0  # the same of the noise, px of the frames
_SEARCHED = 4  # tiles in which the sharpness of the image is searched
_KEPT = 4  # tiles whose bands are kept: small fields are separated but once


@dataclass(frozen=True, eq=False)
class RawFrameMap:
    """An image explained by raw frames, and what is left.

    Attributes
    ----------
    error : (2y, 2x) float
        Root mean square of residual and noise, in the intensities of the frames.
    misfit
        Root mean square of the residual beyond noise, in the same intensities.
    noise
        Root mean square of the noise.
    sharpness
        Exponent of the image's own transfer.
    light : (orientation,)
        Gain from the image to the means of the frames.
    fringes : (orientation,)
        Gain from the image under the pattern to the side bands, relative to the
        mean of `light` and the modulation: 1 if they agree, NaN where neither is seen.
    """

    error: np.ndarray
    misfit: float
    noise: float
    sharpness: float
    light: np.ndarray
    fringes: np.ndarray


def raw_frame_map(
    frames: np.ndarray,
    image: np.ndarray,
    pattern: FramePattern,
    *,
    sharpness: float | None = None,
    out: np.ndarray | None = None,
) -> RawFrameMap:
    """Compare a super-resolved image with the raw frames that it was made of.

    Brightness, light and contrast of every orientation and sharpness of the image are
    fitted by least squares.

    Parameters
    ----------
    frames : (y, x, c)
        Raw frames, of any offset and gain.
    image : (2y, 2x)
        Super-resolved image of the same field.
    pattern
        Illumination pattern of the frames.
    sharpness
        Exponent of the image's own transfer, where it is known; else one of
        `SHARPNESSES` is found.
    out : (2y, 2x)
        Array for the error, of any type of float; a new one if left out.

    Raises
    ------
    ValueError
        If the sizes do not fit, a value is not finite, or no pattern is visible.
    """
    if frames.ndim != 3 or image.shape != tuple(SCALE * n for n in frames.shape[:2]):
        raise ValueError(
            f"the image must be {SCALE} times as large as its raw frames (y, x, c), "
            f"not {image.shape} for {frames.shape}"
        )
    if not np.isfinite(frames).all() or not np.isfinite(image).all():
        raise ValueError("an error map needs finite frames and images")
    if not (pattern.modulations > 0).any():
        raise ValueError("no orientation has a visible illumination pattern")
    field = _Field(frames, image, pattern)
    if sharpness is None:
        sharpness = field.best_sharpness()
    fit = field.fitted(sharpness)
    spectrum = field.spectrum(fit)
    error = np.empty(image.shape) if out is None else out
    squares, noise = field.write(fit, spectrum, error)
    expected = fit.light.mean() * pattern.modulations / 2
    fringes = np.divide(
        fit.fringes,
        expected,
        out=np.full(len(expected), np.nan),
        where=expected > 0,
    )
    return RawFrameMap(
        error=error,
        misfit=float(np.sqrt(squares / image.size)),
        noise=float(np.sqrt(noise / image.size)),
        sharpness=fit.sharpness,
        light=fit.light,
        fringes=fringes,
    )


class _Tile(NamedTuple):
    """A part of the field with its surroundings, px of the frames."""

    wide: tuple[slice, slice]
    """What is looked at."""
    inner: tuple[slice, slice]
    """Where in it the tile lies."""
    core: tuple[slice, slice]
    """The tile in the field."""


class _Fit(NamedTuple):
    """How the image becomes the bands."""

    sharpness: float
    light: np.ndarray
    """(orientation,) gain to the means."""
    fringes: np.ndarray
    """(orientation,) gain to the side bands."""
    alike: np.ndarray
    """(orientation,) gain from the mean of all frames to that of each orientation."""
    noise: float
    """Variance of the mean of all frames in a pixel."""
    left: float
    """Sum of squares that the fit leaves."""


class _Spectrum(NamedTuple):
    """Residual and noise of the whole field, by rings of equal frequency."""

    kept: np.ndarray
    """(ring,) share of the residual's power that is no noise."""
    amplified: float
    """Variance of the noise in a reconstruction, over that of the mean of frames."""


class _Field:
    """Frames and an image, looked at in tiles so that memory does not grow."""

    def __init__(
        self, frames: np.ndarray, image: np.ndarray, pattern: FramePattern
    ) -> None:
        self._frames, self._image, self._pattern = frames, image, pattern
        self._unmix: list[tuple[np.ndarray, np.ndarray]] = []
        for phases in pattern.phases_rad:
            zero, plus, _ = unmixing(np.asarray(phases, float))
            self._unmix.append((zero, plus))
        self._known: dict[str, Bands] = {}
        self._tiles = list(_tiles((frames.shape[0], frames.shape[1])))
        height, width = (n.stop - n.start for n in self._tiles[0].wide)
        self._grid = Grid((height, width), pattern)

    def best_sharpness(self) -> float:
        """Return the sharpness of the image with which a fit leaves least."""
        step = -(-len(self._tiles) // _SEARCHED)
        some = self._tiles[step // 2 :: step]
        left = [self.fitted(sharpness, some).left for sharpness in SHARPNESSES]
        return SHARPNESSES[int(np.argmin(left))]

    def fitted(self, sharpness: float, tiles: Sequence[_Tile] | None = None) -> _Fit:
        """Fit all gains for a sharpness, by all tiles or some."""
        count = len(self._unmix)
        means, sides, alike = (np.zeros((count, 3)) for _ in range(3))
        pixels = 0
        for tile in self._tiles if tiles is None else tiles:
            bands, like = self._bands(tile), self._predicted(tile, sharpness)
            pixels += bands.means[0][tile.inner].size
            mean = bands.means.mean(axis=0)
            for number in range(count):
                for sums, own, other in (
                    (means, bands.means[number], like.means),
                    (sides, bands.sides[number], like.sides[number]),
                    (alike, bands.means[number], mean),
                ):
                    sums[number] += _products(own[tile.inner], other[tile.inner])
        light, fringes, even = (_gain(sums) for sums in (means, sides, alike))
        noise = alike[:, 2] - even**2 * alike[:, 1]
        left = means[:, 2] - light**2 * means[:, 1]
        left += 2 * (sides[:, 2] - fringes**2 * sides[:, 1])
        variance = float(noise.sum()) / (count * (count - 1)) / max(pixels, 1)
        return _Fit(
            sharpness, light, fringes, even, max(variance, 0.0), float(left.sum())
        )

    def spectrum(self, fit: _Fit) -> _Spectrum:
        """Compare the residual with noise at every frequency."""
        power = noise = NO_RINGS
        for tile in self._tiles:
            bands = self._bands(tile)
            residual = self._residual(tile, fit, bands)
            seen = self._grid.reconstructed(residual, self._carriers(tile))
            power = power + self._grid.rings(np.abs(seen) ** 2)
            spectra = np.stack(
                [self._grid.enlarged(one) for one in self._differences(bands, fit)]
            )
            noise = noise + self._grid.rings((np.abs(spectra) ** 2).sum(axis=0))
        expected, variance = self._grid.noise(ring_means(noise))
        amplified = variance / fit.noise if fit.noise > 0 else 0.0
        return _Spectrum(beyond(ring_means(power), expected), amplified)

    def write(
        self, fit: _Fit, spectrum: _Spectrum, out: np.ndarray
    ) -> tuple[float, float]:
        """Write the error; return the sums of squares of residual and noise."""
        squares = noise = 0.0
        for tile in self._tiles:
            bands = self._bands(tile)
            residual = self._grid.sharpened(
                self._grid.reconstructed(
                    self._residual(tile, fit, bands), self._carriers(tile)
                ),
                spectrum.kept,
            )
            local = (self._differences(bands, fit) ** 2).sum(axis=0)
            local = spectrum.amplified * _smooth(local, _NOISE_PX)
            local = local.repeat(SCALE, axis=0).repeat(SCALE, axis=1)
            inner = _finer(tile.inner)
            squared = _continued(residual**2)
            squares += float(squared[inner].sum())
            noise += float(local[inner].sum())
            error = np.maximum(_smooth(squared + local, SMOOTH_PX), 0)
            out[_finer(tile.core)] = np.sqrt(error)[inner]
        return squares, noise

    def _bands(self, tile: _Tile) -> Bands:
        """Separate the frames of a tile."""
        place = str(tile.core)
        known = self._known.pop(place, None)
        if known is None:
            known = self._separated(tile)
        self._known[place] = known
        while len(self._known) > _KEPT:
            del self._known[next(iter(self._known))]
        return known

    def _separated(self, tile: _Tile) -> Bands:
        """Return bands that are not known yet."""
        means: list[np.ndarray] = []
        sides: list[np.ndarray] = []
        for (zero, plus), channels in zip(
            self._unmix, self._pattern.channels, strict=True
        ):
            frames = np.stack([fast(self._frames[(*tile.wide, c)]) for c in channels])
            means.append(np.tensordot(np.real(zero), frames, axes=1))
            sides.append(np.tensordot(plus, frames, axes=1))
        return Bands(np.stack(means), np.stack(sides))

    def _differences(self, bands: Bands, fit: _Fit) -> np.ndarray:
        """Return what tells the means apart, (orientation, y, x).

        The sum of their squares is the variance of the mean of all frames.
        """
        count = len(bands.means)
        alike = fit.alike[:, None, None] * bands.means.mean(axis=0)
        return (bands.means - alike) / np.sqrt(count * (count - 1))

    def _predicted(self, tile: _Tile, sharpness: float) -> Bands:
        """Return the bands of the image."""
        part = self._image[_finer(tile.wide)]
        return self._grid.seen(part, self._carriers(tile), sharpness)

    def _residual(self, tile: _Tile, fit: _Fit, bands: Bands) -> Bands:
        """Return what the image does not explain."""
        like = self._predicted(tile, fit.sharpness)
        light, fringes = (gain[:, None, None] for gain in (fit.light, fit.fringes))
        return Bands(
            bands.means - light * like.means, bands.sides - fringes * like.sides
        )

    def _carriers(self, tile: _Tile) -> np.ndarray:
        """Return the carriers at the corner of a tile, (orientation,) complex128."""
        corner = [n.start for n in tile.wide]
        return np.exp(2j * np.pi * (self._pattern.vectors @ corner))


def _products(own: np.ndarray, other: np.ndarray) -> list[float]:
    """Return the product of two bands, and the squares of the second and first."""
    product = complex(np.vdot(other, own)).real
    return [product, *(float((np.abs(one) ** 2).sum()) for one in (other, own))]


def _gain(sums: np.ndarray) -> np.ndarray:
    """Return the gain of least squares, never negative, from products and squares."""
    power = sums[:, 1]
    return np.maximum(sums[:, 0], 0) / np.where(power > 0, power, 1)


def _smooth(image: np.ndarray, sigma_px: float) -> np.ndarray:
    return np.asarray(gaussian_filter(image, sigma_px))


def _continued(squares: np.ndarray) -> np.ndarray:
    """Return squared residuals whose border, where they fade, mirrors its inside."""
    edge = SCALE * min(BORDER_PX, min(squares.shape) // (4 * SCALE))
    return np.pad(squares[edge:-edge, edge:-edge], edge, mode="symmetric")


def _finer(tile: tuple[slice, slice]) -> tuple[slice, slice]:
    rows, columns = (slice(SCALE * n.start, SCALE * n.stop) for n in tile)
    return rows, columns


def _tiles(shape: tuple[int, int]) -> Iterator[_Tile]:
    """Yield the tiles of a field, with surroundings of one size."""
    parts: list[list[tuple[slice, slice, slice]]] = []
    for size in shape:
        count = -(-size // TILE_PX)
        edges = [size * n // count for n in range(count + 1)]
        length = min(size, -(-size // count) + 2 * MARGIN_PX)
        row: list[tuple[slice, slice, slice]] = []
        for start, stop in pairwise(edges):
            first = min(max(start - MARGIN_PX, 0), size - length)
            wide, inner = (
                slice(first, first + length),
                slice(start - first, stop - first),
            )
            row.append((wide, inner, slice(start, stop)))
        parts.append(row)
    for above, beside in product(*parts):
        yield _Tile(*zip(above, beside, strict=True))
