"""The microscopes of cross-modality networks, for samples of any kind."""

from typing import NamedTuple

import numpy as np
from scipy import fft
from scipy.ndimage import gaussian_filter

from zoo.core.bench import Shot, Stage
from zoo.core.resampling import resampled
from zoo.physics.camera import Scmos
from zoo.physics.optics import Optics, cone_apodisation, frequencies, otf_grid
from zoo.physics.scanning import Detector, ScanOptics, scan, scan_transfer
from zoo.simulate.modalities import MARGIN_PX, ModalityPairs, depleted, on_grid
from zoo.test_sets._modality_baselines import Exposure, baselines, response

FIELD_PX = 300
"""Edge of the field, px of the target; a whole number of pixels a fifth larger or
smaller fit in."""

_PER_DEFOCUS = 0.7  # standard deviation of a blur per distance from the focal plane
_SENSOR = 11  # of the camera; no training draws it


class ModalityBench(NamedTuple):
    """A `zoo.core.bench.Bench` with the middle of the conditions of `ModalityPairs`.

    Input and target lie on one grid; files of other pixels are resampled onto it by
    the prediction.
    """

    conditions: ModalityPairs
    """Microscopes and detectors."""

    @property
    def photons(self) -> tuple[float, float]:
        """Signal levels of the training, photons per pixel of the input."""
        return self.conditions.photons

    @property
    def scale(self) -> int:
        """Pixels of the output per pixel of the input."""
        return 1

    @property
    def lengths(self) -> float:
        """Lengths as they are."""
        return 1.0

    def grid(self, pixel_factor: float = 1.0) -> tuple[tuple[int, int], float, int]:
        """Return shape, pixel (nm) and margin (px) of the grid of the target."""
        del pixel_factor
        edge = FIELD_PX + 2 * MARGIN_PX
        return (edge, edge), self.conditions.pixel_size_nm, MARGIN_PX

    def shoot(
        self, stage: Stage, rng: np.random.Generator, *, pixel_factor: float = 1.0
    ) -> Shot:
        """Take an image of what is on the stage with the worse microscope."""
        shape, pixel_nm, margin = self.grid()
        microscope, before, behind = self._microscopes(shape, pixel_nm)
        lit = stage.sample * (1.0 if stage.light is None else stage.light)
        sharp = _seen(lit, before)
        level = float((sharp**2).sum() / max(float(sharp.sum()), 1e-9))
        light = sharp / level if level else sharp
        peak = float(light.max()) if level else 1.0
        if stage.haze is not None and level:
            cloud = _seen(stage.haze, before)
            brightness = float((cloud**2).sum() / max(float(cloud.sum()), 1e-9))
            sigma = _PER_DEFOCUS * stage.defocus_nm / pixel_nm
            far = np.asarray(gaussian_filter(cloud, sigma, mode="wrap"))
            light = light + stage.haze_amount * far / max(brightness, 1e-9)
        background = stage.background * peak if level else 1.0
        light = np.maximum(light, 0) + background
        if stage.ramp is not None:
            light = light + peak * stage.ramp
        inner = slice(margin, -margin)
        side = round(FIELD_PX / pixel_factor)
        recorded = light[inner, inner]
        for axis in (0, 1):
            recorded = resampled(recorded, side, axis=axis)
        expected = stage.photons * np.maximum(recorded, 0)
        counts = self._counts(expected, rng)
        gain, offset = response(counts, expected) if level else self._detector()
        exposure = Exposure(
            structure="filaments",
            photons=min(stage.photons, self.photons[1]),
            image=on_grid(counts, FIELD_PX),
            offset=offset,
            background=gain * stage.photons * background,
            microscope=microscope,
            pixel_nm=pixel_nm,
        )
        images = dict(baselines(exposure))
        target = np.zeros((FIELD_PX, FIELD_PX))
        if level:
            target = np.maximum(_seen(lit, behind), 0)[inner, inner]
        else:  # units of the input's range
            low, span = float(counts.mean()), float(np.ptp(counts))
            images = {
                name: (image - (low if name == "input" else 0.0)) / span
                for name, image in images.items()
            }
        return Shot(
            input=counts[None, ..., None].astype(np.float32),
            target=target,
            baselines=images,
            pixel_size_nm=pixel_nm * pixel_factor,
        )

    def _detector(self) -> tuple[float, float]:
        """Return counts per photon, and counts without light."""
        if self.conditions.modality == "tirf_sim":
            camera = Scmos()
            return camera.adu_per_e * camera.quantum_efficiency, camera.offset_adu
        return 1.0, 0.0

    def _counts(self, expected: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        """Return what the detector records."""
        if self.conditions.modality == "tirf_sim":
            return Scmos(hot_fraction=0.0005, sensor=_SENSOR).expose(expected, rng)
        detector = Detector(
            dwell_spread=_middle(self.conditions.dwell_spread),
            line_jitter_px=0.0,
            excess=0.0,
            read_noise=0.0,
            bits=None,
        )
        return scan(expected, detector, rng)

    def _microscopes(
        self, shape: tuple[int, int], pixel_nm: float
    ) -> tuple[ScanOptics | Optics, np.ndarray, np.ndarray]:
        """Return the worse microscope, and the transfer of either."""
        known = self.conditions
        na, wavelength_nm = _middle(known.na), _middle(known.wavelength_nm)
        if known.modality == "tirf_sim":
            blur_nm = _middle(known.blur) * wavelength_nm
            optics = Optics(
                na=na, wavelength_nm=wavelength_nm, pixel_nm=pixel_nm, blur_nm=blur_nm
            )
            support = (1 + _middle(known.pattern_frequency)) * optics.cutoff_per_um
            frequency = np.hypot(*frequencies(shape, pixel_nm=pixel_nm))
            ideal = cone_apodisation(frequency, support_per_um=support)
            return optics, otf_grid(optics, shape), ideal
        confocal = ScanOptics(
            na=na,
            emission_nm=wavelength_nm,
            excitation_nm=wavelength_nm - _middle(known.stokes_nm),
            pinhole_au=_middle(known.pinhole_au),
            widening=_middle(known.widening),
            depletion_nm=max(known.depletion_nm),
        )
        sted = depleted(confocal, fwhm_nm=_middle(known.sted_fwhm_nm))
        return (
            confocal,
            scan_transfer(confocal, shape, pixel_nm=pixel_nm),
            scan_transfer(sted, shape, pixel_nm=pixel_nm),
        )


def _seen(sample: np.ndarray, transfer: np.ndarray) -> np.ndarray:
    """Return a sample behind a transfer, (y, x) float64."""
    spectrum = np.asarray(fft.rfft2(np.asarray(sample, float))) * transfer
    return np.asarray(fft.irfft2(spectrum, s=sample.shape), float)


def _middle(bounds: tuple[float, float]) -> float:
    """Return the middle of a range."""
    return (bounds[0] + bounds[1]) / 2
