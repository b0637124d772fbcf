"""Camera frames of filaments as cells hold them: bundled, crossing and crowded.

`zoo.simulate.frames.DensityFrames` spreads emitters evenly or along single lines.  In
recordings of the cytoskeleton they crowd: filaments run side by side, cross and merge,
and a spot hardly ever stands alone.  The frames here are drawn for that case, together
with what else shines in a cell: haze in the shape of the cell, texture, and spots far
out of focus.
"""

from typing import Annotated, Literal

import numpy as np
from pydantic import Field, field_validator
from scipy.ndimage import gaussian_filter
from scipy.spatial import KDTree

from zoo.core.contract import CONDITION, Range
from zoo.core.localizations import Localizations
from zoo.physics.camera import Camera
from zoo.physics.curves import along_curves, curves
from zoo.simulate.frames import MARGIN_PX, DensityFrames, waves
from zoo.simulate.pairs import Scene, render

NEIGHBOURHOOD_NM = 250.0
"""Radius within which emitters count as neighbours in a local density."""

CANDIDATES = 1500
"""Places on filaments that are drawn in a field of `REFERENCE_NM`, before the emitters
are chosen among them."""

REFERENCE_NM = 3600.0
"""Edge of a training frame with its margins; larger fields hold more filaments."""


class FilamentFrames(DensityFrames):
    """Frames with a majority of bundled filaments, and their emitters.

    Filament frames hold bundles of parallel filaments, single crossing ones, or both.
    The labels sit on a hollow wall or scatter around the axis.  Their number follows
    from a local density: the mean over emitters of the number of emitters within
    `NEIGHBOURHOOD_NM`, itself included, per area.  Uniform frames keep the density of
    `DensityFrames`.  Frames without emitters have backgrounds of every kind.

    Walls and antibodies: see `zoo.physics.structures.microtubules`.  Neighbours in
    axons and dendrites keep a distance that depends on the protein between them (Chen
    et al. 1992, doi:10.1038/360674a0); walls of 25 nm, one beside the other, are the
    lower limit, and projection into the plane brings axes closer still.
    """

    kind: Literal["filament_frames"] = "filament_frames"  # pyright: ignore[reportIncompatibleVariableOverride]
    """Type of the source."""
    psf_sigma_nm: Annotated[Range, CONDITION] = (95.0, 170.0)
    """Standard deviation of a spot, uniform over frames, nm."""
    psf_tail: Range = (0.0, 0.2)
    """Share of a spot's light in a pedestal 2.5 times as wide, uniform over half of the
    frames; the others have none."""
    filament_share: float = Field(default=0.6, ge=0, le=1)
    """Share of frames whose emitters sit on filaments; taken after the empty ones."""
    empty_share: float = Field(default=0.2, ge=0, le=1)
    """Share of frames without any emitter."""
    local_density_per_um2: Annotated[Range, CONDITION] = (3.0, 48.0)
    """Mean local density of the emitters of a filament frame, uniform in the root."""
    bundle_share: float = Field(default=0.7, ge=0, le=1)
    """Share of filament frames that hold bundles."""
    bundle_filaments: tuple[int, int] = (2, 6)
    """Fewest and most filaments of a bundle."""
    bundle_spacing_nm: Range = (15.0, 90.0)
    """Distance of neighbouring filaments in a bundle, nm."""
    wall_radius_nm: Range = (8.0, 40.0)
    """Distance of the dyes from a filament's axis, nm."""
    persistence_nm: Range = (2_000.0, 40_000.0)
    """Persistence length of filaments, log-uniform, nm."""
    haze_share: float = Field(default=0.6, ge=0, le=1)
    """Share of frames with a haze in the shape of a cell."""
    texture_share: float = Field(default=0.4, ge=0, le=1)
    """Share of frames whose background has a texture."""
    blur_share: float = Field(default=0.25, ge=0, le=1)
    """Share of frames with spots that are far out of focus and no emitters to find."""

    @field_validator("local_density_per_um2", "bundle_spacing_nm", "persistence_nm")
    @classmethod
    def _rising_positive(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    def scene(
        self,
        rng: np.random.Generator,
        camera: Camera,
        *,
        size_px: int | None = None,
        origin: tuple[int, int] | None = None,
    ) -> Scene:
        """Draw conditions and emitters, and take the image.

        Parameters
        ----------
        rng
            Source of everything random.
        camera
            Camera to expose.
        size_px
            Edge of the frame; `crop_px` when left out.
        origin
            Corner of the frame on the sensor; random when left out.
        """
        size = self.crop_px if size_px is None else size_px
        sigma_nm = rng.uniform(*self.psf_sigma_nm)
        emitters, places_nm = self._drawn(rng, size, sigma_nm)
        background = np.exp(rng.uniform(*np.log(self.background_photons)))
        expected = background * self._shape(rng, size, places_nm)
        if rng.random() < self.blur_share:
            expected = expected + self._blurred_spots(rng, size, sigma_nm)
        if len(emitters):
            tail = rng.uniform(*self.psf_tail) if rng.random() < 0.5 else 0.0
            expected = expected + self._rendered(emitters, size, tail)
        if origin is None:
            first, second = rng.integers(512, size=2)
            origin = (int(first), int(second))
        return Scene(camera.expose(expected, rng, origin=origin), emitters)

    def _drawn(
        self, rng: np.random.Generator, size: int, sigma_nm: float
    ) -> tuple[Localizations, np.ndarray | None]:
        """Return the emitters of a frame, and (n, 2) places on its filaments."""
        edge_nm = (size + 2 * MARGIN_PX) * self.pixel_size_nm
        if rng.random() < self.empty_share:
            return Localizations.empty(("x_nm", "y_nm", "photons", "sigma_nm")), None
        places = None
        if rng.random() < self.filament_share:
            places, wall = self._filaments(rng, edge_nm)
            low, high = np.sqrt(self.local_density_per_um2)
            count = emitters_for(
                places, local_density_per_um2=rng.uniform(low, high) ** 2
            )
            count = min(int(rng.poisson(count)), len(places))
            x_nm, y_nm = (places + wall)[:count].T
            places = places - MARGIN_PX * self.pixel_size_nm
        else:
            low, high = np.sqrt(self.density_per_um2)
            mean = rng.uniform(low, high) ** 2 * (edge_nm / 1000) ** 2
            x_nm, y_nm = rng.uniform(0, edge_nm, (2, rng.poisson(mean)))
        shift, count = MARGIN_PX * self.pixel_size_nm, len(x_nm)
        width = rng.normal(sigma_nm, self.psf_sigma_spread * sigma_nm, count)
        return (
            Localizations(
                x_nm=x_nm - shift,
                y_nm=y_nm - shift,
                photons=self._photons(rng, count),
                sigma_nm=np.clip(width, 0.5 * sigma_nm, 1.5 * sigma_nm),
            ),
            places,
        )

    def _photons(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Draw gamma-distributed photons around a mean of the frame's own.

        Where spots overlap, only their light says how many there are: a network that
        has seen emitters of any brightness beside each other takes one bright spot for
        many.  A tenth of the frames have such emitters nevertheless.
        """
        low, high = self.photons
        if rng.random() < 0.1:
            return np.exp(rng.uniform(np.log(low), np.log(high), count))
        mean = np.exp(rng.uniform(np.log(low), np.log(high)))
        shape = np.exp(rng.uniform(np.log(1.5), np.log(12.0)))
        return np.clip(rng.gamma(shape, mean / shape, count), low, 2 * high)

    def _filaments(
        self, rng: np.random.Generator, edge_nm: float
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return places on filaments in random order, and the dyes' distance to them.

        Returns
        -------
        places, wall : (n, 2) float64
            x and y, nm.
        """
        bundled = rng.random() < self.bundle_share
        bundles = int(rng.integers(1, 5)) if bundled else 0
        alone = int(rng.integers(0 if bundled else 2, 6 if bundled else 13))
        # lines that cross a field grow in number with its edge
        larger = max(1.0, edge_nm / REFERENCE_NM)
        bundles, alone = round(bundles * larger), round(alone * larger)
        candidates = round(CANDIDATES * larger**2)
        size = np.ones(bundles + alone, int)
        low, high = self.bundle_filaments
        size[:bundles] = rng.integers(low, high + 1, bundles)
        length_nm = 2.0 * edge_nm
        x_nm, y_nm = curves(
            rng,
            field_nm=(edge_nm, edge_nm),
            count=len(size),
            length_nm=length_nm,
            persistence_nm=float(np.exp(rng.uniform(*np.log(self.persistence_nm)))),
        )
        filament = rng.integers(size.sum(), size=candidates)
        line = np.repeat(np.arange(len(size)), size)[filament]
        along_nm = rng.uniform(0, length_nm, candidates)
        x, y, across_x, across_y = along_curves(
            x_nm, y_nm, curve=line, along_nm=along_nm
        )
        # filaments of a bundle lie side by side and drift apart or together
        rank = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size, size)
        spacing = rng.uniform(*self.bundle_spacing_nm, len(size))
        middle = (size - 1) / 2
        offset = np.repeat(spacing, size) * (rank - np.repeat(middle, size))
        offset += rng.normal(0, 0.15, size.sum()) * np.repeat(
            spacing * (size > 1), size
        )
        drift = rng.normal(0, 0.03, size.sum()) * np.repeat(size > 1, size)
        aside = offset[filament] + drift[filament] * (along_nm - length_nm / 2)
        across = np.stack([across_x, across_y], axis=1)
        places = np.stack([x, y], axis=1) + aside[:, None] * across
        radius = rng.uniform(*self.wall_radius_nm)
        if rng.random() < 0.6:
            wall = radius * np.cos(rng.uniform(0, np.pi, candidates))
        else:
            wall = rng.normal(0, radius / 2, candidates)
        inside = ((places >= 0) & (places < edge_nm)).all(axis=1)
        return places[inside], (wall[:, None] * across)[inside]

    def _rendered(self, emitters: Localizations, size: int, tail: float) -> np.ndarray:
        image = render(emitters, (size, size), pixel_size_nm=self.pixel_size_nm)
        if not tail:
            return image
        wide = emitters.with_columns(sigma_nm=2.5 * np.asarray(emitters.sigma_nm))
        far = render(wide, (size, size), pixel_size_nm=self.pixel_size_nm)
        return (1 - tail) * image + tail * far

    def _blurred_spots(
        self, rng: np.random.Generator, size: int, sigma_nm: float
    ) -> np.ndarray:
        """Return the light of a few emitters far above or below the focus."""
        area_um2 = (size * self.pixel_size_nm / 1000) ** 2
        count = 1 + rng.poisson(rng.uniform(0, 0.8) * area_um2)
        sigma = sigma_nm * rng.uniform(2.0, 5.0, count)
        x_nm, y_nm = rng.uniform(0, size * self.pixel_size_nm, (2, count))
        blurred = Localizations(
            x_nm=x_nm,
            y_nm=y_nm,
            photons=2 * self._photons(rng, count),
            sigma_nm=sigma,
        )
        return render(blurred, (size, size), pixel_size_nm=self.pixel_size_nm)

    def _shape(
        self, rng: np.random.Generator, size: int, places_nm: np.ndarray | None
    ) -> np.ndarray:
        """Return a relative background, (y, x); one where nothing is added."""
        shape = np.ones((size, size))
        if rng.random() < 0.3:
            return shape
        if rng.random() < 0.5:
            shape += 0.3 * rng.uniform(0, 1) * waves(rng, size)
        if places_nm is not None and rng.random() < 0.5:
            shape += rng.uniform(0, 1.0) * self._halo(rng, size, places_nm)
        if rng.random() < self.haze_share:
            shape += np.exp(rng.uniform(*np.log((0.2, 5.0)))) * cell_haze(rng, size)
        if rng.random() < self.texture_share:
            grain = gaussian_filter(
                rng.normal(size=(size, size)),
                np.exp(rng.uniform(*np.log((2.0, 6.0)))),
                mode="wrap",
            )
            shape *= 1 + rng.uniform(0.05, 0.4) * grain / max(float(grain.std()), 1e-9)
        return np.maximum(shape, 0.1)

    def _halo(
        self, rng: np.random.Generator, size: int, places_nm: np.ndarray
    ) -> np.ndarray:
        """Return the blurred image of the filaments, (y, x), of mean one."""
        bins = np.arange(size + 1) * self.pixel_size_nm
        cloud = np.histogram2d(places_nm[:, 1], places_nm[:, 0], bins=(bins, bins))[0]
        cloud = gaussian_filter(cloud, rng.uniform(3, 10), mode="nearest")
        return cloud / max(float(cloud.mean()), 1e-9)


def emitters_for(places_nm: np.ndarray, *, local_density_per_um2: float) -> float:
    """Return how many emitters on a structure have this mean local density.

    Of N emitters on a structure, one has ``1 + (N - 1) q`` within a square as large as
    the disk of `NEIGHBOURHOOD_NM`, itself included, if q is the probability that two
    random places of the structure share a square.

    Parameters
    ----------
    places_nm
        (n, 2) places on the structure, uniform along it.
    local_density_per_um2
        Emitters per area, as an emitter sees them.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> flat = rng.uniform(0, 10_000, (100_000, 2))
    >>> 950 < emitters_for(flat, local_density_per_um2=10 + 5.09) < 1050
    True
    """
    if len(places_nm) < 2:
        return float(len(places_nm))
    edge_nm = NEIGHBOURHOOD_NM * np.pi**0.5
    cells = np.floor(places_nm / edge_nm).astype(int)
    cells -= cells.min(axis=0)
    count = np.bincount(cells[:, 0] * (cells[:, 1].max() + 1) + cells[:, 1])
    total = len(places_nm)
    share = float(np.sum(count * (count - 1.0))) / (total * (total - 1.0))
    wanted = local_density_per_um2 * (edge_nm / 1000) ** 2
    return 1.0 + max(wanted - 1.0, 0.0) / max(share, 1.0 / total)


def local_densities(x_nm: np.ndarray, y_nm: np.ndarray) -> np.ndarray:
    """Return the emitters per µm² around every emitter, itself included, (n,).

    Examples
    --------
    >>> local_densities(np.array([0.0, 10.0, 900.0]), np.zeros(3)).round(2).tolist()
    [10.19, 10.19, 5.09]
    """
    places = np.stack([x_nm, y_nm], axis=1)
    area_um2 = np.pi * (NEIGHBOURHOOD_NM / 1000) ** 2
    tree = KDTree(places)
    near = tree.query_ball_point(places, NEIGHBOURHOOD_NM, return_length=True)
    return np.asarray(near, float) / area_um2


def cell_haze(rng: np.random.Generator, size: int) -> np.ndarray:
    """Return a blurred shape of a cell, (y, x), between 0 and about 1.

    A blob whose radius varies with the angle covers part of the frame; its edge may be
    as sharp as the optics allow or a soft slope, and it may have a dark nucleus.

    Parameters
    ----------
    rng
        Source of the shape.
    size
        Edge of the frame, px.
    """
    y, x = np.mgrid[:size, :size]
    haze = np.zeros((size, size))
    for _ in range(int(rng.integers(1, 3))):
        middle_y, middle_x = rng.uniform(-0.3 * size, 1.3 * size, 2)
        dy, dx = y - middle_y, x - middle_x
        angle, radius = np.arctan2(dy, dx), rng.uniform(0.2, 1.0) * max(size, 20)
        outline = np.ones((size, size))
        for order in range(1, 6):
            weight = rng.normal(0, 0.25 / order)
            outline += weight * np.cos(order * angle + rng.uniform(0, 2 * np.pi))
        distance = np.hypot(dy, dx)
        cell = (distance < radius * outline).astype(float)
        if rng.random() < 0.3:
            cell -= rng.uniform(0.3, 0.9) * (distance < 0.4 * radius * outline)
        haze += gaussian_filter(cell, np.exp(rng.uniform(*np.log((1.0, 8.0)))))
    return haze
