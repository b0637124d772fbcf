"""Images of two microscopes of one field: confocal and STED, TIRF and TIRF-SIM."""

from typing import Annotated, Literal, NamedTuple, cast, get_args

import numpy as np
from pydantic import Field, field_validator, model_validator
from scipy import fft

from zoo.core.contract import CONDITION
from zoo.core.recipe import Simulation, Source
from zoo.core.resampling import resampled
from zoo.physics.cell_structures import CellStructure, cell_structure
from zoo.physics.optics import (
    Optics,
    bin_pixels,
    cone_apodisation,
    frequencies,
    otf_grid,
)
from zoo.physics.scanning import Detector, ScanOptics, depleted, scan, scan_transfer
from zoo.simulate.frames import CameraPrior, Range

STRUCTURES: tuple[CellStructure, ...] = get_args(CellStructure)
"""Everything that networks are shown."""

MARGIN_PX = 12
"""The sample is drawn this far beyond the image: what is outside shines in."""

COARSEST = 3
"""Most pixels of the target that a pixel of the input is long; sides of drawn scenes
are multiples of 6, so that pixels twice or three times as long fit in."""

_FAINT = 0.02  # of the brightest pixel of the sample: a darker crop counts as empty


class ModalityScene(NamedTuple):
    """A sample under two microscopes, before any exposure."""

    structure: CellStructure
    """What the sample is."""
    light: np.ndarray
    """(y, x) float32, expected light per pixel of the input and photon of the signal
    level, background and haze included."""
    target: np.ndarray
    """(Y, X) float32, what the better microscope shows without noise, on its grid."""
    coarseness: int
    """Pixels of the target that a pixel of the input is long."""
    pixel_nm: float
    """Pixel of the target, nm."""
    microscope: ScanOptics | Optics
    """What took the input."""
    background: float
    """Constant part of `light`."""
    faint: float
    """Brightness of `target` below which an image counts as empty."""


class ModalityPairs(Source):
    """Images of a microscope, and of a better one, both on the better one's grid.

    Every pair has a sample, two microscopes, a signal level and a detector of its own.
    ``confocal_sted``: the input is a confocal scan with few photons, and the target
    the same field under depletion, without noise, pedestal or light that stays
    undepleted.  ``tirf_sim``: the input is a TIRF image of a camera, and the target the
    sample with the apodisation ``max(0, 1 - |f| / support)`` of an ideal TIRF-SIM.

    Inputs that were taken with larger pixels are resampled to the target's as a
    prediction does it, so that their noise is correlated alike.  Both images are then
    scaled to [0, 1] and dimmed alike, because a network sees parts of fields that were
    scaled as a whole.

    Pairs of this kind: Wang et al. 2019 (doi:10.1038/s41592-018-0239-0).
    """

    kind: Literal["modality_pairs"] = "modality_pairs"
    """Type of the source."""
    modality: Literal["confocal_sted", "tirf_sim"] = "confocal_sted"
    """Which two microscopes."""
    structures: tuple[CellStructure, ...] = STRUCTURES
    """Samples, equally often; leave one out to test on what was never seen."""
    crop_px: int = Field(default=128, ge=16)
    """Edge of the training images, px of the target."""
    field_px: int = Field(default=384, ge=16)
    """Edge of the images that ``zoo simulate`` writes, px of the target."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=25.0, gt=0)
    """Pixel of the target, and of the input that the network sees, nm."""
    pixel_spread: float = Field(default=1.2, ge=1)
    """Factor by which pixels are larger or smaller, log-uniform: users' pixel sizes
    are not exact."""
    coarseness: tuple[int, ...] = (1, 1, 2, 3)
    """Pixels of the target that a pixel of the recorded input is long, each entry
    equally often."""
    na: Annotated[Range, CONDITION] = (1.2, 1.49)
    """Numerical aperture, uniform."""
    wavelength_nm: Annotated[Range, CONDITION] = (500.0, 700.0)
    """Emission wavelength, uniform, nm."""
    stokes_nm: Range = (15.0, 60.0)
    """Emission less excitation wavelength, uniform, nm."""
    widening: Range = (1.0, 1.3)
    """Width of the confocal spot over that of theory, uniform."""
    pinhole_au: Annotated[Range, CONDITION] = (0.5, 2.0)
    """Pinhole of the confocal scan, uniform, Airy units."""
    depletion_nm: Range = (592.0, 775.0)
    """Wavelengths of depletion, of which the nearest above the emission is used."""
    sted_fwhm_nm: Range = (50.0, 100.0)
    """Width of the STED spot, uniform, nm; the saturation follows from it."""
    blur: Range = (0.02, 0.09)
    """TIRF: Gaussian blur beyond the scalar theory, uniform, in wavelengths."""
    pattern_frequency: Range = (0.85, 1.0)
    """TIRF-SIM: frequency of the illumination pattern, uniform, of the cut-off."""
    tirf_depth_nm: Range = (70.0, 200.0)
    """TIRF: depth of the evanescent field, uniform, nm."""
    photons: Annotated[Range, CONDITION] = (5.0, 500.0)
    """Signal level, log-uniform, photons per pixel of the input on the structure."""
    background: Annotated[Range, CONDITION] = (0.005, 0.5)
    """Constant background, log-uniform, in units of the brightest pixel."""
    haze: Annotated[Range, CONDITION] = (0.0, 1.0)
    """Light from out of focus, in units of the light in focus; little of it is the
    most frequent."""
    haze_sigma_nm: Range = (250.0, 900.0)
    """Blur of that light, uniform, nm."""
    brightness: Range = (0.2, 1.0)
    """Brightest pixel of a training image, log-uniform, in units of the brightest of
    the larger field that it stands for."""
    pedestal: Range = (0.0, 0.1)
    """Darkest pixel of a training image, uniform, in units of the range that its
    brightness leaves."""
    stored_share: float = Field(default=0.5, ge=0, le=1)
    """Share of confocal scans that are stored in eight bits, scaled to their range;
    the others are counts of photons."""
    dwell_spread: Range = (0.0, 0.04)
    """Relative spread of the dwell times of lines, uniform."""
    line_jitter_px: Range = (0.0, 0.3)
    """Displacement of lines along them, uniform, px."""
    views: int = Field(default=2, ge=1)
    """Pairs of a batch that show one sample, each with a part of the field, a noise and
    an orientation of its own; drawing samples takes most of the time."""
    camera: CameraPrior = CameraPrior(emccd_share=0.3, hot_fraction=(0.0, 0.001))
    """Cameras that take TIRF images."""

    @field_validator(
        "na", "wavelength_nm", "photons", "background", "sted_fwhm_nm", "brightness",
        "depletion_nm", "pattern_frequency", "tirf_depth_nm", "haze_sigma_nm",
    )  # fmt: skip
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    @field_validator(
        "stokes_nm", "pinhole_au", "blur", "haze", "pedestal", "dwell_spread",
        "line_jitter_px", "widening",
    )  # fmt: skip
    @classmethod
    def _not_negative(cls, bounds: Range) -> Range:
        if not 0 <= bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of bounds from 0, lower one first")
        return bounds

    @model_validator(mode="after")
    def _possible(self) -> "ModalityPairs":
        if not self.structures:
            raise ValueError("structures must name at least one sample")
        if not self.coarseness or not set(self.coarseness) <= {1, 2, COARSEST}:
            raise ValueError(f"coarseness must hold 1, 2 or 3, not {self.coarseness}")
        return self

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return an image and the better one, (y, x, 1) float32 each."""
        return self._view(self.scene(rng, self._structure(rng)), rng)

    def batch(
        self, rng: np.random.Generator, count: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return `count` pairs, `views` of them of each sample."""
        pairs: list[tuple[np.ndarray, np.ndarray]] = []
        while len(pairs) < count:
            scene = self.scene(rng, self._structure(rng))
            views = range(min(self.views, count - len(pairs)))
            pairs += [self._view(scene, rng) for _ in views]
        return np.stack([pair[0] for pair in pairs]), np.stack([p[1] for p in pairs])

    def _view(
        self, scene: ModalityScene, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return a part of a field at one orientation and signal level."""
        counts = self.expose(scene, rng, self._photons(rng))
        image = on_grid(counts, self._edge(self.crop_px))
        corner = rng.integers(0, len(image) - self.crop_px + 1, 2)
        inner = tuple(slice(first, first + self.crop_px) for first in corner)
        gain = np.float32(np.exp(rng.uniform(*np.log(self.brightness))))
        dark = np.float32(rng.uniform(*self.pedestal)) * (1 - gain)
        target = scaled_target(scene.target[inner], scene.faint)
        turns, flip = int(rng.integers(4)), slice(None, None, int(rng.choice([-1, 1])))
        first, second = (
            np.ascontiguousarray(np.rot90(part[flip], turns))
            for part in (gain * scaled(image[inner]) + dark, gain * target)
        )
        return first, second

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Take images, each of a sample of its own, and what they should become."""
        coarseness = 1 if self.modality == "confocal_sted" else 2
        counts, truth = [], []
        for _ in range(frames):
            scene = self.scene(
                rng,
                self._structure(rng),
                size_px=self.field_px,
                coarseness=coarseness,
                pixel_nm=self.pixel_size_nm,
            )
            counts.append(self.expose(scene, rng, self._photons(rng)))
            truth.append(scene.target)
        pixel_nm = coarseness * self.pixel_size_nm
        return Simulation(np.stack(counts), np.stack(truth), pixel_nm)

    def scene(
        self,
        rng: np.random.Generator,
        structure: CellStructure,
        *,
        size_px: int | None = None,
        coarseness: int | None = None,
        pixel_nm: float | None = None,
    ) -> ModalityScene:
        """Draw a sample and two microscopes, and let light through.

        Parameters
        ----------
        rng
            Source of everything random.
        structure
            What the sample is.
        size_px
            Least edge of the image, px of the target; `crop_px` when left out.
        coarseness, pixel_nm
            As the fields of a scene; drawn when left out.
        """
        edge = self._edge(self.crop_px if size_px is None else size_px)
        shape = (edge, edge)
        if coarseness is None:
            coarseness = int(rng.choice(self.coarseness))
        if pixel_nm is None:
            spread = np.log(self.pixel_spread)
            pixel_nm = self.pixel_size_nm * float(np.exp(rng.uniform(-spread, spread)))
        tirf = self.modality == "tirf_sim"
        depth_nm = rng.uniform(*self.tirf_depth_nm) if tirf else None
        sample = cell_structure(
            rng, structure, shape, pixel_nm=pixel_nm, tirf_depth_nm=depth_nm
        )
        microscope, before, behind = (
            self._tirf_sim(rng, shape, pixel_nm)
            if tirf
            else self._confocal_sted(rng, shape, pixel_nm)
        )
        spectrum = np.asarray(fft.rfft2(sample))
        haze = rng.uniform(*self.haze) * rng.random()
        cloud = haze * _elsewhere(rng, self.haze_sigma_nm, shape, pixel_nm)
        sharp = _image(spectrum * before, shape)
        level = _level(bin_pixels(sharp, coarseness))
        # the cloud is the sample turned by half a turn and shifted
        light = sharp + _image(np.conj(spectrum) * cloud, shape) if haze else sharp
        light = bin_pixels(np.maximum(light, 0), coarseness) / max(level, 1e-9)
        peak = max(float(light.max()), 1.0)
        background = peak * float(np.exp(rng.uniform(*np.log(self.background))))
        target = np.maximum(_image(spectrum * behind, shape), 0)
        return ModalityScene(
            structure=structure,
            light=(light + background).astype(np.float32),
            target=target.astype(np.float32),
            coarseness=coarseness,
            pixel_nm=pixel_nm,
            microscope=microscope,
            background=background,
            faint=_FAINT * float(target.max()),
        )

    def expose(
        self, scene: ModalityScene, rng: np.random.Generator, photons: float
    ) -> np.ndarray:
        """Return the noisy input of a scene at a signal level, (y, x) uint16."""
        light = photons * scene.light
        if self.modality == "tirf_sim":
            row, column = rng.integers(512, size=2)
            origin = (int(row), int(column))
            return self.camera.draw(rng).expose(light, rng, origin=origin)
        stored = rng.random() < self.stored_share
        detector = Detector(
            dwell_spread=rng.uniform(*self.dwell_spread),
            line_jitter_px=rng.uniform(*self.line_jitter_px),
            excess=rng.uniform(0.0, 0.5) if stored else 0.0,
            read_noise=rng.uniform(0.0, 1.0) if stored else 0.0,
            bits=8 if stored else None,
            headroom=float(np.exp(rng.uniform(*np.log((0.8, 3.0))))),
        )
        return scan(light, detector, rng)

    def _edge(self, size_px: int) -> int:
        """Return the edge of a scene that holds an image, a multiple of 6 px."""
        return 6 * -(-(size_px + 2 * MARGIN_PX) // 6)

    def _structure(self, rng: np.random.Generator) -> CellStructure:
        return self.structures[int(rng.integers(len(self.structures)))]

    def _photons(self, rng: np.random.Generator) -> float:
        return float(np.exp(rng.uniform(*np.log(self.photons))))

    def _confocal_sted(
        self, rng: np.random.Generator, shape: tuple[int, int], pixel_nm: float
    ) -> tuple[ScanOptics, np.ndarray, np.ndarray]:
        emission_nm = rng.uniform(*self.wavelength_nm)
        above = [w for w in self.depletion_nm if w > emission_nm + 20]
        confocal = ScanOptics(
            na=rng.uniform(*self.na),
            emission_nm=emission_nm,
            excitation_nm=emission_nm - rng.uniform(*self.stokes_nm),
            pinhole_au=rng.uniform(*self.pinhole_au),
            widening=rng.uniform(*self.widening),
            depletion_nm=min(above, default=max(self.depletion_nm)),
        )
        sted = depleted(confocal, fwhm_nm=rng.uniform(*self.sted_fwhm_nm))
        return (
            confocal,
            scan_transfer(confocal, shape, pixel_nm=pixel_nm),
            scan_transfer(sted, shape, pixel_nm=pixel_nm),
        )

    def _tirf_sim(
        self, rng: np.random.Generator, shape: tuple[int, int], pixel_nm: float
    ) -> tuple[Optics, np.ndarray, np.ndarray]:
        wavelength_nm = rng.uniform(*self.wavelength_nm)
        optics = Optics(
            na=rng.uniform(*self.na),
            wavelength_nm=wavelength_nm,
            pixel_nm=pixel_nm,
            blur_nm=rng.uniform(*self.blur) * wavelength_nm,
        )
        support = (1 + rng.uniform(*self.pattern_frequency)) * optics.cutoff_per_um
        frequency = np.hypot(*frequencies(shape, pixel_nm=pixel_nm))
        ideal = cone_apodisation(frequency, support_per_um=support)
        transfer = otf_grid(optics, shape)
        return optics, transfer.astype(np.float32), ideal.astype(np.float32)


def on_grid(counts: np.ndarray, edge_px: int) -> np.ndarray:
    """Return (y, x) counts on the grid of the target, float32.

    The resampling is that of a prediction (`zoo.core.resampling`).
    """
    return resampled(resampled(counts, edge_px, axis=0), edge_px, axis=1)


def scaled(image: np.ndarray) -> np.ndarray:
    """Return an image between zero and one by its extremes, (y, x, 1) float32."""
    low, high = float(image.min()), float(image.max())
    return ((image - low) / (high - low + 1e-7))[..., None].astype(np.float32)


def scaled_target(target: np.ndarray, faint: float) -> np.ndarray:
    """Return a target between zero and one, (y, x, 1) float32.

    One beside the sample stays empty instead of showing rounding errors.
    """
    low, high = float(target.min()), float(target.max())
    span = max(high - low, faint, 1e-7)
    return ((target - low) / span)[..., None].astype(np.float32)


def _level(light: np.ndarray) -> float:
    """Return the mean light in the pixel that a photon of the sample falls into."""
    return float((light**2).sum() / max(float(light.sum()), 1e-9))


def _image(spectrum: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    return cast(np.ndarray, np.asarray(fft.irfft2(spectrum, s=shape)))


def _elsewhere(
    rng: np.random.Generator, sigma_nm: Range, shape: tuple[int, int], pixel_nm: float
) -> np.ndarray:
    """Return the transfer of a blur behind a shift to anywhere, complex64."""
    f_y, f_x = (f / 1000 for f in frequencies(shape, pixel_nm=pixel_nm))  # per nm
    row_nm, column_nm = (rng.uniform(0, n * pixel_nm) for n in shape)
    turn = np.exp(-2j * np.pi * (f_y * row_nm)) * np.exp(
        -2j * np.pi * (f_x * column_nm)
    )
    sigma = rng.uniform(*sigma_nm)
    square = f_y**2 + f_x**2
    return (np.exp(-2 * np.pi**2 * sigma**2 * square) * turn).astype(np.complex64)
