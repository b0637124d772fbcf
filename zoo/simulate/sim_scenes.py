"""A cell structure under a microscope: its ideal image, and camera frames of it."""

from typing import NamedTuple

import numpy as np

from zoo.physics.camera import Camera
from zoo.physics.illumination import Pattern
from zoo.physics.optics import Optics, apply_transfer, cone_apodisation, frequencies
from zoo.physics.sim_reconstruction import SCALE, sim_support_per_um
from zoo.physics.specimens import Structure
from zoo.simulate.surroundings import has_pattern


class SimScene(NamedTuple):
    """A sample under a microscope, before any exposure."""

    structure: Structure
    """What the sample is."""
    optics: Optics
    """Objective, wavelength and camera pixel."""
    pattern: Pattern
    """Illumination pattern of the raw frames, phases at the corner of the image."""
    frames: np.ndarray
    """(frame, y, x) float32, expected light per camera pixel and photon of the signal
    level, background and haze included; one frame under uniform, nine under
    structured illumination."""
    target: np.ndarray
    """(2y, 2x) float32, the ideal image per fine pixel and photon of the signal level,
    limited to the frequencies that the illumination pattern brings in."""
    background: float
    """Constant part of `frames`."""
    faint: float
    """Brightness of `target` below which an image counts as empty."""
    light: np.ndarray
    """(orientation,) brightness of every orientation, 1 on average."""


def ideal_image(sample: np.ndarray, optics: Optics, pattern: Pattern) -> np.ndarray:
    """Return a sample as an ideal SIM microscope without noise would show it.

    Parameters
    ----------
    sample
        (y, x) photons per fine pixel.
    optics, pattern
        Microscope and illumination pattern, which give the support; without a
        pattern it is the microscope's.

    Returns
    -------
    image : (y, x)
        Photons per fine pixel, none negative.
    """
    height, width = sample.shape
    frequency = np.hypot(
        *frequencies((height, width), pixel_nm=optics.pixel_nm / SCALE)
    )
    support = sim_support_per_um(optics, pattern)
    if not has_pattern(pattern):
        support = optics.cutoff_per_um
    apodisation = cone_apodisation(frequency, support_per_um=support)
    return np.maximum(apply_transfer(sample, apodisation), 0)


def expose(
    scene: SimScene,
    rng: np.random.Generator,
    camera: Camera,
    photons: float,
    *,
    origin: tuple[int, int] | None = None,
) -> np.ndarray:
    """Take the camera frames of a scene.

    Parameters
    ----------
    scene
        What is in front of the camera.
    rng
        Source of the noise.
    camera
        Camera to expose.
    photons
        Signal level, photons per pixel on the structure and exposure.
    origin
        Corner of the image on the sensor; random when left out.

    Returns
    -------
    counts : (frame, y, x) uint16
    """
    where = corner(rng) if origin is None else origin
    return camera.expose(photons * scene.frames, rng, origin=where)


def scaled_counts(counts: np.ndarray) -> np.ndarray:
    """Return (frame, y, x) counts as a network takes them, (y, x, frame) float32.

    Zero is the lowest and one the highest count of all frames together.
    """
    low, high = float(counts.min()), float(counts.max())
    scaled = (counts.astype(np.float32) - low) / (high - low + 1e-7)
    return np.ascontiguousarray(np.moveaxis(scaled, 0, -1), dtype=np.float32)


def scaled_target(scene: SimScene) -> np.ndarray:
    """Return the ideal image between zero and one, (2y, 2x, 1) float32.

    An image beside the sample stays empty instead of showing rounding errors.
    """
    low, high = float(scene.target.min()), float(scene.target.max())
    span = max(high - low, scene.faint, 1e-7)
    return ((scene.target - low) / span)[..., None].astype(np.float32)


def corner(rng: np.random.Generator) -> tuple[int, int]:
    """Draw where on the sensor an image begins, y before x."""
    row, column = rng.integers(512, size=2)
    return int(row), int(column)
