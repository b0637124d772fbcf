"""Widefield, TIRF and structured illumination, and the camera images under each.

Structured illumination (Gustafsson 2000, doi:10.1046/j.1365-2818.2000.00710.x): a
pattern ``1 + m cos(2 pi p.r + phi)`` in three orientations and three phases shifts
frequencies beyond the cut-off of the objective into its reach.  Frames are ordered by
orientation first: orientation 0 with its phases, then orientation 1.
"""

from typing import Self

import numpy as np
from pydantic import Field, model_validator
from scipy import fft

from zoo.core.config import Config
from zoo.physics.optics import bin_pixels

ORIENTATIONS = 3
PHASES = 3


class Pattern(Config):
    """Illumination pattern of all raw frames of one SIM acquisition."""

    frequency_per_um: float = Field(gt=0)
    """Pattern frequency, cycles per micrometre, the same for every orientation."""
    angles_rad: tuple[float, ...]
    """Direction of the pattern vector of every orientation, from x towards y."""
    phases_rad: tuple[tuple[float, ...], ...]
    """Phase of every frame at the outer corner of the field, by orientation."""
    modulations: tuple[float, ...]
    """Modulation depth of every orientation, within (0, 1]."""

    @model_validator(mode="after")
    def _complete(self) -> Self:
        angles = len(self.angles_rad)
        if not angles or {len(self.phases_rad), len(self.modulations)} != {angles}:
            raise ValueError(
                "angles_rad, phases_rad and modulations must be as long as each other, "
                f"not {angles}, {len(self.phases_rad)} and {len(self.modulations)}"
            )
        if min(len(phases) for phases in self.phases_rad) < PHASES:
            raise ValueError(f"an orientation needs at least {PHASES} phases")
        if not all(0 < m <= 1 for m in self.modulations):
            raise ValueError(f"modulations must lie in (0, 1], not {self.modulations}")
        return self

    @property
    def frames(self) -> int:
        """Number of raw frames."""
        return sum(len(phases) for phases in self.phases_rad)

    def vectors_per_um(self) -> np.ndarray:
        """Return the pattern vectors, (orientation, 2), y before x."""
        angles = np.array(self.angles_rad)
        return self.frequency_per_um * np.stack([np.sin(angles), np.cos(angles)], 1)


def draw_pattern(
    rng: np.random.Generator,
    *,
    frequency_per_um: float,
    modulation: float,
    modulation_spread: float = 0.05,
    phase_jitter_rad: float = 0.05,
    angle_jitter_rad: float = 0.01,
) -> Pattern:
    """Draw an illumination pattern of three orientations with three phases each.

    Parameters
    ----------
    rng
        Source of offsets and jitter.
    frequency_per_um
        Pattern frequency, cycles per micrometre.
    modulation
        Modulation depth about which that of the orientations varies.
    modulation_spread
        Relative standard deviation of the modulation depth between orientations.
    phase_jitter_rad
        Standard deviation of a frame's phase about steps of 120 degrees; 2 to 5
        degrees are common.
    angle_jitter_rad
        Standard deviation of an orientation about steps of 60 degrees.

    Returns
    -------
    pattern : Pattern
        With a common angle and, for every orientation, a first phase at random.
        Microscopes turn the pattern either way round, and shift it either way: both
        directions are drawn, from a stream of their own.
    """
    directions: np.ndarray = rng.spawn(1)[0].choice([-1, 1], 2)
    turning, shifting = (int(direction) for direction in directions)
    steps = shifting * 2 * np.pi * np.arange(PHASES) / PHASES
    turns = turning * np.pi * np.arange(ORIENTATIONS) / ORIENTATIONS
    angles = rng.uniform(0, np.pi) + turns
    angles = angles + rng.normal(0, angle_jitter_rad, ORIENTATIONS)
    phases = rng.uniform(0, 2 * np.pi, (ORIENTATIONS, 1)) + steps
    phases = phases + rng.normal(0, phase_jitter_rad, phases.shape)
    modulations = modulation * (1 + rng.normal(0, modulation_spread, ORIENTATIONS))
    return Pattern(
        frequency_per_um=frequency_per_um,
        angles_rad=tuple(angles.tolist()),
        phases_rad=tuple(tuple(row) for row in phases.tolist()),
        modulations=tuple(np.clip(modulations, 0.05, 1.0).tolist()),
    )


def carriers(
    pattern: Pattern, shape: tuple[int, int], *, pixel_nm: float, origin_px: float = 0.0
) -> np.ndarray:
    """Return ``exp(2 pi i p.r)`` at the pixel centres for every orientation.

    Parameters
    ----------
    pattern
        Illumination pattern.
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of a pixel.
    origin_px
        Distance of the field's outer corner from the image's along both axes; positive
        where the image begins outside the field.

    Returns
    -------
    waves : (orientation, y, x) complex128
    """
    r_y, r_x = (
        (np.arange(length) + 0.5 - origin_px) * pixel_nm / 1000 for length in shape
    )
    vectors = pattern.vectors_per_um()
    along_y = np.exp(2j * np.pi * vectors[:, 0, None] * r_y)
    along_x = np.exp(2j * np.pi * vectors[:, 1, None] * r_x)
    return along_y[:, :, None] * along_x[:, None, :]


def tirf_weight(z_nm: np.ndarray, *, depth_nm: float) -> np.ndarray:
    """Return the relative excitation ``exp(-z / depth)`` above the coverslip.

    Evanescent light of total reflection: Axelrod 1981, doi:10.1083/jcb.89.1.141.
    """
    return np.exp(-np.maximum(z_nm, 0.0) / depth_nm)


def widefield_image(
    sample: np.ndarray, transfer: np.ndarray, *, binning: int
) -> np.ndarray:
    """Return the image of a sample under uniform illumination on the camera.

    Parameters
    ----------
    sample
        (y, x) photons per fine pixel.
    transfer
        (y, x // 2 + 1) transfer on the fine grid.
    binning
        Fine pixels per camera pixel along an axis.

    Returns
    -------
    image : (y / binning, x / binning)
        Expected photons per camera pixel without background.
    """
    return _observed(sample[None, None], transfer[None], binning)[0]


def sim_images(
    sample: np.ndarray,
    pattern: Pattern,
    transfer: np.ndarray,
    *,
    pixel_nm: float,
    binning: int,
    origin_px: float = 0.0,
    haze: np.ndarray | None = None,
    haze_transfer: np.ndarray | None = None,
) -> np.ndarray:
    """Return all raw frames of a sample under structured illumination.

    Frame ``(a, j)`` is ``bin[(S I_aj) * h]``.  Because the light is a sum of a uniform
    part, a cosine and a sine, seven blurred images make nine frames, and the mean over
    equidistant phases is the widefield image to rounding.

    Parameters
    ----------
    sample
        (y, x) photons per fine pixel, in focus.
    pattern
        Illumination pattern.
    transfer
        (y, x // 2 + 1) transfer on the fine grid.
    pixel_nm
        Edge of a fine pixel; two or more make a camera pixel.
    binning
        Fine pixels per camera pixel along an axis.
    origin_px
        As for `carriers`, fine px.
    haze, haze_transfer
        (y, x) photons of a part of the sample out of focus, under the same pattern,
        and its transfer.

    Returns
    -------
    frames : (frame, y / binning, x / binning)
        Expected photons per camera pixel without background, in the precision of
        `sample`, ordered by orientation, then phase.

    Raises
    ------
    ValueError
        If only one of `haze` and `haze_transfer` is given.
    """
    if (haze is None) != (haze_transfer is None):
        raise ValueError("haze and haze_transfer belong together")
    height, width = sample.shape
    waves = carriers(pattern, (height, width), pixel_nm=pixel_nm, origin_px=origin_px)
    parts = np.concatenate(
        [np.ones((1, height, width)), np.real(waves), np.imag(waves)]
    )
    parts = parts.astype(sample.dtype, copy=False)
    layers, transfers = [sample], [transfer]
    if haze is not None and haze_transfer is not None:
        layers.append(haze)
        transfers.append(haze_transfer)
    excited = np.stack(layers)[:, None] * parts
    observed = _observed(excited, np.stack(transfers), binning)
    mean, cosine, sine = np.split(observed, [1, 1 + len(waves)])
    frames = [
        mean[0] + modulation * (np.cos(phase) * c - np.sin(phase) * s)
        for c, s, phases, modulation in zip(
            cosine, sine, pattern.phases_rad, pattern.modulations, strict=True
        )
        for phase in phases
    ]
    return np.stack(frames).astype(sample.dtype, copy=False)


def _observed(layers: np.ndarray, transfers: np.ndarray, binning: int) -> np.ndarray:
    """Blur (layer, part, y, x), add up the layers and bin: (part, y, x)."""
    spectra = np.asarray(fft.rfft2(layers))
    spectra *= transfers[:, None].astype(layers.dtype, copy=False)
    blurred = fft.irfft2(
        np.asarray(spectra.sum(axis=0)), s=layers.shape[-2:], overwrite_x=True
    )
    return bin_pixels(np.asarray(blurred), binning)
