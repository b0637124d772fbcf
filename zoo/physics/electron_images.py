"""Micrographs of stained sections: contrast of the stain, and faults of the image.

Transmission images of serial sections show membranes dark on light ground; scanning
images of block faces or of sections on tape are inverted to look alike.  Both have
uneven illumination, marks of the knife, precipitates of the stain and, where the
section does not conduct, charging along the fast axis of the scan.
"""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import ndimage

from zoo.physics.neuropil import Section
from zoo.physics.smooth_noise import smooth_noise


@dataclass(frozen=True)
class Look:
    """How a microscope shows sections; `draw_look` draws one."""

    level: float
    """Grey level of the ground substance, between 0 and 1."""
    membrane: float
    """How much darker a membrane is."""
    dense: float
    """How much darker a fully dense structure is."""
    cytoplasm: float
    """Grey levels per unit of the ground's lightness."""
    blur_px: float
    """Standard deviation of the probe or the lens."""
    grain: float
    """Standard deviation of the noise of a slow, dense scan, grey levels."""
    uneven: float
    """Amplitude of uneven illumination."""
    knife_marks: int
    """Straight lines of unequal thickness."""
    charging: float
    """Amplitude of streaks along the rows."""
    precipitates: int
    """Black grains of stain."""
    gamma: float
    """Exponent of the detector."""
    inverted: bool
    """Whether membranes are bright."""


def draw_look(rng: np.random.Generator) -> Look:
    """Draw a microscope, a stain and a state of the section."""
    contrast = math.exp(rng.uniform(math.log(0.45), math.log(1.3)))
    return Look(
        level=rng.uniform(0.5, 0.8),
        membrane=contrast * rng.uniform(0.3, 0.55),
        dense=contrast * rng.uniform(0.2, 0.5),
        cytoplasm=contrast * rng.uniform(0.03, 0.11),
        blur_px=rng.uniform(0.3, 1.3),
        grain=math.exp(rng.uniform(math.log(0.004), math.log(0.05))),
        uneven=rng.uniform(0.0, 0.12),
        knife_marks=int(rng.poisson(2)) if rng.random() < 0.3 else 0,
        charging=rng.uniform(0.0, 0.06) if rng.random() < 0.25 else 0.0,
        precipitates=int(rng.poisson(3)) if rng.random() < 0.3 else 0,
        gamma=rng.uniform(0.75, 1.35),
        inverted=bool(rng.random() < 0.08),
    )


def micrograph(rng: np.random.Generator, section: Section, look: Look) -> np.ndarray:
    """Return the image of a section without the noise of counting electrons.

    Parameters
    ----------
    rng
        Source of places and shapes of the faults.
    section
        Where the stain is.
    look
        Contrast and faults.

    Returns
    -------
    image : (y, x) float32
        Between 0 and 1.

    Examples
    --------
    >>> from zoo.physics.neuropil import neuropil
    >>> rng = np.random.default_rng(0)
    >>> section = neuropil(rng, (64, 64), pixel_nm=8.0)
    >>> image = micrograph(rng, section, draw_look(rng))
    >>> bool(image.min() >= 0), bool(image.max() <= 1)
    (True, True)
    """
    image = look.level + np.float32(look.cytoplasm) * section.cytoplasm
    image -= np.float32(look.membrane) * section.membrane
    image -= np.float32(look.dense) * section.dense
    return develop(rng, image, look)


def develop(rng: np.random.Generator, image: np.ndarray, look: Look) -> np.ndarray:
    """Return an image with the faults of section and microscope, within 0 and 1.

    Parameters
    ----------
    rng
        Source of places and shapes.
    image
        (y, x) grey levels of the stain.
    look
        Faults; its contrasts are those of `image` already.
    """
    rows, columns = image.shape
    for _ in range(look.precipitates):
        _precipitate(rng, image)
    y = np.linspace(-1, 1, rows, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, columns, dtype=np.float32)[None]
    if look.uneven:
        a, b, c = (np.float32(look.uneven * v) for v in rng.uniform(-1, 1, 3))
        image = image + (a * x + b * y + c * (x * y))
    for _ in range(look.knife_marks):
        angle = rng.uniform(0, np.pi)
        along = np.float32(np.cos(angle)) * x + np.float32(np.sin(angle)) * y
        width = 2 * rng.uniform(0.8, 6) / columns
        mark: Any = np.exp(-0.5 * ((along - rng.uniform(-1, 1)) / width) ** 2)
        image = image + np.float32(rng.uniform(-0.12, 0.12)) * mark
    if look.charging:
        streaks = smooth_noise(rng, (rows, 8), 0.0)[:, :1]
        fade = 0.7 + 0.3 * np.sin(np.float32(rng.uniform(1, 4)) * x)
        image = image + np.float32(look.charging) * streaks * fade
    if look.blur_px > 0.3:
        image = ndimage.gaussian_filter(image, look.blur_px, truncate=3)
    image = np.clip(image, 0, 1) ** np.float32(look.gamma)
    return (1 - image if look.inverted else image).astype(np.float32)


def _precipitate(rng: np.random.Generator, image: np.ndarray) -> None:
    """Darken a grain of stain."""
    radius = rng.uniform(1.5, 7)
    row, column = int(rng.integers(len(image))), int(rng.integers(len(image[0])))
    reach = int(radius + 4)
    rows, columns = (slice(max(n - reach, 0), n + reach) for n in (row, column))
    part = image[rows, columns]
    down: np.ndarray = np.arange(part.shape[0], dtype=np.float64)
    along: np.ndarray = np.arange(part.shape[1], dtype=np.float64)
    dy = down[:, None] + rows.start - row
    dx = along[None] + columns.start - column
    shape = np.hypot(dy, dx * rng.uniform(0.7, 1.4))
    part -= (0.6 * np.clip((radius - shape) / 2, 0, 1)).astype(np.float32)
