"""Widefield and raw SIM images of cell structures with their ideal images."""

from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, field_validator, model_validator

from zoo.core.contract import CONDITION
from zoo.core.recipe import Simulation, Source
from zoo.core.sim_pattern import LENGTH, beside
from zoo.physics.illumination import (
    Pattern,
    draw_pattern,
    sim_images,
    widefield_image,
)
from zoo.physics.optics import (
    Optics,
    otf_grid,
)
from zoo.physics.sim_reconstruction import SCALE
from zoo.physics.specimens import SPECIMENS, Structure, specimen
from zoo.simulate.frames import CameraPrior, Range
from zoo.simulate.sim_scenes import (
    SimScene,
    corner,
    expose,
    ideal_image,
    scaled_counts,
    scaled_target,
)
from zoo.simulate.surroundings import Surroundings
from zoo.simulate.told_patterns import PatternErrors, rewritten

RAW_FRAMES = 9
"""Three orientations with three phases each, ordered by orientation."""

MARGIN_PX = 8
"""The sample is drawn this far beyond the image: what is outside shines in."""

CLEAR: dict[str, Any] = {
    "background": (0.02, 0.1),
    "background_spacing": "linear",
    "haze": (0.0, 1.0),
    "surroundings": Surroundings(),
}
"""Conditions of images in which little lies around the structure."""

_ATTEMPTS = 20  # at a field that holds any label
_FAINT = 0.02  # of the brightest pixel of the sample: a darker crop counts as empty


class SimPairs(Source):
    """Images under uniform or structured illumination, and ideal ones twice as fine.

    Every pair has a sample, a microscope, a signal level and a camera of its own.  The
    input is the counts scaled jointly to [0, 1]; the target is the sample in focus with
    the apodisation ``max(0, 1 - |f| / (cut-off + pattern))``, scaled to [0, 1].  Both
    are then dimmed alike, because a network sees parts of fields that were scaled as a
    whole.

    The signal level is the mean number of photons in the pixel that a photon from the
    sample falls into, per exposure: background and haze come on top.

    Pairs of this kind: Qiao et al. 2021 (doi:10.1038/s41592-020-01048-5).
    """

    kind: Literal["sim_pairs"] = "sim_pairs"
    """Type of the source."""
    modality: Literal["widefield", "sim"] = "sim"
    """One image under uniform illumination, or nine raw frames under a pattern."""
    structures: tuple[Structure, ...] = tuple(SPECIMENS)
    """Samples, equally often; leave one out to test on what was never seen."""
    crop_px: int = Field(default=64, ge=16)
    """Edge of the training images, camera px."""
    field_px: int = Field(default=256, ge=16)
    """Edge of the images that ``zoo simulate`` writes, camera px."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=62.6, gt=0)
    """Camera pixel referred to the sample, nm."""
    na: Annotated[Range, CONDITION] = (1.2, 1.49)
    """Numerical aperture of detection, uniform."""
    wavelength_nm: Annotated[Range, CONDITION] = (480.0, 680.0)
    """Emission wavelength, uniform, nm."""
    blur: Annotated[Range, CONDITION] = (0.02, 0.09)
    """Gaussian blur beyond the scalar theory, uniform, in wavelengths."""
    pattern_frequency: Annotated[Range, CONDITION] = (0.85, 1.0)
    """Frequency of the illumination pattern, uniform, in units of the cut-off."""
    modulation: Annotated[Range, CONDITION] = (0.3, 1.0)
    """Modulation depth of the illumination pattern, uniform."""
    modulation_spread: float = Field(default=0.05, ge=0)
    """Relative standard deviation of the modulation depth between orientations."""
    phase_jitter_rad: float = Field(default=0.05, ge=0)
    """Standard deviation of the phase steps, rad."""
    angle_jitter_rad: float = Field(default=0.01, ge=0)
    """Standard deviation of the angle between orientations, rad."""
    photons: Annotated[Range, CONDITION] = (15.0, 600.0)
    """Signal level, log-uniform, photons per pixel on the structure and exposure."""
    background: Annotated[Range, CONDITION] = CLEAR["background"]
    """Constant background in units of the brightest pixel of the sample."""
    background_spacing: Literal["linear", "logarithmic"] = "linear"
    """Whether backgrounds are uniform, or their logarithms, so that clear images stay
    in the majority where backgrounds reach far."""
    tirf_share: float = Field(default=0.4, ge=0, le=1)
    """Share of samples lit by an evanescent field; they have no haze."""
    tirf_depth_nm: Range = (70.0, 200.0)
    """Depth of the evanescent field, uniform, nm."""
    haze: Annotated[Range, CONDITION] = CLEAR["haze"]
    """Light from out of focus, uniform, in units of the light in focus."""
    haze_defocus_nm: Range = (400.0, 1500.0)
    """Distance of that light's origin from the focal plane, uniform, nm."""
    brightness: Range = (0.2, 1.0)
    """Brightest pixel of a training image, log-uniform, in units of the brightest of
    the larger field that it stands for; what is dim in it stays dim in the target."""
    pedestal: Range = (0.0, 0.1)
    """Darkest pixel of a training image, uniform, in units of the range that its
    brightness leaves."""
    camera: CameraPrior = CameraPrior(emccd_share=0.0, hot_fraction=(0.0, 0.001))
    """Cameras that take the images."""
    surroundings: Surroundings = Surroundings()
    """Smooth areas, textured haze, unequal light, and patterns that are missing."""
    clear: float = Field(default=0.0, ge=0, le=1)
    """Share of images that have none of these and little haze and background (`CLEAR`),
    whatever is asked for otherwise."""
    told: PatternErrors | None = None
    """Training pairs come with the illumination pattern in a tenth channel, as
    ``zoo predict`` tells a network of it, with such errors; None where a network looks
    for it in the frames."""

    @field_validator(
        "na",
        "wavelength_nm",
        "photons",
        "pattern_frequency",
        "modulation",
        "brightness",
    )
    @classmethod
    def _rising(cls, bounds: Range) -> Range:
        if not 0 < bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of positive bounds, lower one first")
        return bounds

    @field_validator(
        "blur", "background", "haze", "haze_defocus_nm", "tirf_depth_nm", "pedestal"
    )
    @classmethod
    def _not_negative(cls, bounds: Range) -> Range:
        if not 0 <= bounds[0] <= bounds[1]:
            raise ValueError("must be a pair of bounds from 0, lower one first")
        return bounds

    @model_validator(mode="after")
    def _resolved(self) -> "SimPairs":
        if not self.structures:
            raise ValueError("structures must name at least one sample")
        if self.background_spacing == "logarithmic" and not self.background[0]:
            raise ValueError("background must be positive to be spaced by logarithms")
        if self.told is not None and (self.modality != "sim" or self.crop_px < LENGTH):
            raise ValueError(
                f"told goes with raw SIM frames of {LENGTH} px or more, not with "
                f"{self.modality} images of {self.crop_px} px"
            )
        if self.modulation[1] > 1:
            raise ValueError(f"modulation must not exceed 1, not {self.modulation[1]}")
        for name in ("brightness", "pedestal"):
            if (highest := getattr(self, name)[1]) > 1:
                raise ValueError(f"{name} must not exceed 1, not {highest}")
        cutoff = 2000 * self.na[1] / self.wavelength_nm[0]
        support = cutoff * (1 + self.pattern_frequency[1])
        finest = SCALE * 500 / self.pixel_size_nm
        if support > finest:
            raise ValueError(
                f"pixel_size_nm must be at most {1000 / support:.1f} for images up to "
                f"{support:.1f} cycles/µm, not {self.pixel_size_nm}"
            )
        return self

    @property
    def exposures(self) -> int:
        """Camera frames, and input channels, of one image."""
        return RAW_FRAMES if self.modality == "sim" else 1

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return an image (y, x, 1 or 9) and its ideal image (2y, 2x, 1), float32."""
        scene = self.scene(rng, self._structure(rng))
        counts = expose(scene, rng, self.camera.draw(rng), self._photons(rng))
        gain = np.float32(np.exp(rng.uniform(*np.log(self.brightness))))
        dark = np.float32(rng.uniform(*self.pedestal)) * (1 - gain)
        image, target = gain * scaled_counts(counts) + dark, gain * scaled_target(scene)
        if self.told is None:
            return image, target
        row = self.told.told(
            rng, scene.pattern, scene.optics, light=scene.light, size_px=self.crop_px
        )
        return beside(rewritten(image, scene.pattern), row), target

    def training_options(self) -> dict[str, Any]:
        """Tell networks whether they are told of the pattern."""
        return {} if self.told is None else {"informed": True}

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:
        """Take images on one camera, each of a sample of its own.

        Raw SIM frames follow each other as pages, nine for one image of the
        truth, which is in photons per fine pixel.
        """
        camera = self.camera.draw(rng)
        origin = corner(rng)
        counts, truth = [], []
        for _ in range(frames):
            scene = self.scene(rng, self._structure(rng), size_px=self.field_px)
            photons = self._photons(rng)
            counts.append(expose(scene, rng, camera, photons, origin=origin))
            truth.append(photons * scene.target)
        return Simulation(np.concatenate(counts), np.stack(truth), self.pixel_size_nm)

    def scene(
        self,
        rng: np.random.Generator,
        structure: Structure,
        *,
        size_px: int | None = None,
    ) -> SimScene:
        """Draw a sample and a microscope, and let light through.

        Parameters
        ----------
        rng
            Source of everything random.
        structure
            What the sample is.
        size_px
            Edge of the image; `crop_px` when left out.
        """
        # a stream of its own, so that the others stay what they are without such images
        if self.clear and rng.spawn(1)[0].random() < self.clear:
            clear = self.override(**CLEAR, clear=0.0)
            return clear.scene(rng, structure, size_px=size_px)
        size = self.crop_px if size_px is None else size_px
        optics = self._optics(rng)
        pattern = self._pattern(rng, optics)
        fine_nm = self.pixel_size_nm / SCALE
        edge = SCALE * (size + 2 * MARGIN_PX)
        shape = (edge, edge)
        tirf = rng.random() < self.tirf_share
        depth = rng.uniform(*self.tirf_depth_nm) if tirf else None
        sample = np.zeros(shape, np.float32)
        for _ in range(_ATTEMPTS):
            sample = specimen(
                rng, structure, shape, pixel_nm=fine_nm, tirf_depth_nm=depth
            )
            if sample.any():
                break
        in_focus = otf_grid(optics, shape, pixel_nm=fine_nm)
        uniform = widefield_image(sample, in_focus, binning=SCALE)
        level = float((uniform**2).sum() / max(float(uniform.sum()), 1e-9))
        sample = sample / np.float32(max(level, 1e-9))
        background = self._background(rng) * float(uniform.max()) / max(level, 1e-9)
        amount = 0.0 if tirf else rng.uniform(*self.haze)
        haze = np.float32(amount) * _elsewhere(rng, sample)
        # a stream of its own, so that images without surroundings stay what they are
        aside = rng.spawn(1)[0] if self.surroundings.any else None
        if aside is not None:
            peak = float(uniform.max()) / max(level, 1e-9)
            sample = self.surroundings.stained(aside, sample, peak, scale=SCALE)
            haze = self.surroundings.textured(aside, haze)
            pattern = self.surroundings.changed(aside, pattern)
        light = np.ones(len(pattern.modulations))
        defocus_nm = rng.uniform(*self.haze_defocus_nm)
        blurred = otf_grid(optics, shape, pixel_nm=fine_nm, defocus_nm=defocus_nm)
        if self.modality == "sim":
            frames = sim_images(
                sample,
                pattern,
                in_focus,
                pixel_nm=fine_nm,
                binning=SCALE,
                origin_px=SCALE * MARGIN_PX,
                haze=haze if amount else None,
                haze_transfer=blurred if amount else None,
            )
            if aside is not None:
                light = self.surroundings.gains(aside, len(light))
                each = np.repeat(light, len(frames) // len(light))
                frames = frames * each[:, None, None].astype(np.float32)
        else:
            frames = widefield_image(sample, in_focus, binning=SCALE)[None]
            if amount:
                frames = frames + widefield_image(haze, blurred, binning=SCALE)
        inner = slice(MARGIN_PX, MARGIN_PX + size)
        ideal = ideal_image(sample, optics, pattern)
        fine = slice(SCALE * MARGIN_PX, SCALE * (MARGIN_PX + size))
        return SimScene(
            structure,
            optics,
            pattern,
            np.maximum(frames[:, inner, inner] + np.float32(background), 0),
            np.ascontiguousarray(ideal[fine, fine]),
            background,
            _FAINT * float(ideal.max()),
            light,
        )

    def _structure(self, rng: np.random.Generator) -> Structure:
        return self.structures[int(rng.integers(len(self.structures)))]

    def _background(self, rng: np.random.Generator) -> float:
        if self.background_spacing == "linear":
            return float(rng.uniform(*self.background))
        return float(np.exp(rng.uniform(*np.log(self.background))))

    def _photons(self, rng: np.random.Generator) -> float:
        return float(np.exp(rng.uniform(*np.log(self.photons))))

    def _optics(self, rng: np.random.Generator) -> Optics:
        wavelength_nm = rng.uniform(*self.wavelength_nm)
        return Optics(
            na=rng.uniform(*self.na),
            wavelength_nm=wavelength_nm,
            pixel_nm=self.pixel_size_nm,
            blur_nm=rng.uniform(*self.blur) * wavelength_nm,
        )

    def _pattern(self, rng: np.random.Generator, optics: Optics) -> Pattern:
        return draw_pattern(
            rng,
            frequency_per_um=rng.uniform(*self.pattern_frequency)
            * optics.cutoff_per_um,
            modulation=rng.uniform(*self.modulation),
            modulation_spread=self.modulation_spread,
            phase_jitter_rad=self.phase_jitter_rad,
            angle_jitter_rad=self.angle_jitter_rad,
        )


def _elsewhere(rng: np.random.Generator, sample: np.ndarray) -> np.ndarray:
    """Return the sample mirrored and shifted: more of its kind, in another plane."""
    flips = tuple(axis for axis in (0, 1) if rng.random() < 0.5)
    row, column = (int(rng.integers(side)) for side in sample.shape)
    return np.roll(np.flip(sample, flips), (row, column), axis=(0, 1))
