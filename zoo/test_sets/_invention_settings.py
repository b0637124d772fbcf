"""The conditions of the test set of invented structures, and what they show."""

from collections.abc import Callable
from typing import Literal, NamedTuple

import numpy as np

from zoo.core.bench import Stage
from zoo.physics import phantoms
from zoo.physics.specimens import Structure, specimen

BEYOND = 4.0
"""Times the light, or less of it, for half and double the noise."""
PIXELS = 0.2
"""How far camera pixels are from the trained one, relatively."""


class Setting(NamedTuple):
    """One condition of the test set."""

    name: str
    """Name of the condition."""
    kind: Literal["gaps", "crossings", "noise", "image"]
    """What is judged."""
    words: str
    """What it is, for tables."""
    draw: Callable[["Draw"], Stage]
    """Draws what is on the stage."""
    value: float = 0.0
    """Width of gaps (nm), angle of crossings (degrees)."""
    pixel_factor: float = 1.0
    """Camera pixel in units of the trained one."""
    tiles: int = 2
    """Fields that are shown."""

    def named(self, lengths: float = 1.0) -> str:
        """Return its name where all lengths are multiplied.

        Examples
        --------
        >>> [setting.named(0.2) for setting in SETTINGS[:2]]
        ['gap_18_nm', 'gap_24_nm']
        """
        if self.kind != "gaps":
            return self.name
        return f"gap_{self.value * lengths:g}_nm"


class Draw(NamedTuple):
    """What a setting is drawn with."""

    rng: np.random.Generator
    shape: tuple[int, int]
    fine_nm: float
    number: int
    facts: dict[str, np.ndarray]

    photons: tuple[float, float]

    @property
    def light(self) -> float:
        """A signal level in the middle of the training."""
        low, high = self.photons
        return float(np.sqrt(low * high))

    def sample(self, structure: Structure) -> np.ndarray:
        """Return a specimen as in the training."""
        return specimen(self.rng, structure, self.shape, pixel_nm=self.fine_nm)

    def trained(self) -> np.ndarray:
        """Return a specimen of filaments or of spots, in turn."""
        return self.sample(("microtubules", "pits")[self.number % 2])


def _gaps(width_nm: float) -> Callable[[Draw], Stage]:
    def draw(d: Draw) -> Stage:
        drawn = phantoms.gap_lines(d.rng, d.shape, pixel_nm=d.fine_nm, gap_nm=width_nm)
        d.facts.update(places=drawn.places_nm, directions=drawn.directions)
        return Stage(drawn.image, d.light)

    return draw


def _crossings(angle_deg: float) -> Callable[[Draw], Stage]:
    def draw(d: Draw) -> Stage:
        drawn = phantoms.crossings(
            d.rng, d.shape, pixel_nm=d.fine_nm, angle_deg=angle_deg
        )
        d.facts.update(places=drawn.places_nm, directions=drawn.arms)
        return Stage(drawn.image, d.light)

    return draw


def _noise(d: Draw) -> Stage:
    low, high = d.photons
    level = (low / 3, np.sqrt(low * high), high / 2)[d.number % 3]
    return Stage(np.zeros(d.shape, np.float32), float(level))


def _haze(amount: float) -> Callable[[Draw], Stage]:
    def draw(d: Draw) -> Stage:
        lines = phantoms.gap_lines(
            d.rng, d.shape, pixel_nm=d.fine_nm, gap_nm=0.0, spacing_nm=3500.0
        )
        haze = d.sample(("microtubules", "er")[d.number % 2])
        defocus = (700.0, 1300.0)[d.number % 2]
        return Stage(
            lines.image, d.light, haze=haze, haze_amount=amount, defocus_nm=defocus
        )

    return draw


def _untrained(
    shape_of: Callable[..., np.ndarray],
) -> Callable[[Draw], Stage]:
    return lambda d: Stage(shape_of(d.rng, d.shape, pixel_nm=d.fine_nm), d.light)


def _usual(d: Draw) -> Stage:
    return Stage(d.trained(), d.light)


def _doubled(d: Draw) -> Stage:
    return Stage(d.trained(), d.photons[0] / BEYOND)


def _halved(d: Draw) -> Stage:
    return Stage(d.trained(), d.photons[1] * BEYOND)


def _uneven(d: Draw) -> Stage:
    y, x = (np.linspace(-1, 1, n) for n in d.shape)
    light = np.exp(-((y[:, None] - 0.3) ** 2 + (x[None, :] + 0.2) ** 2) / 0.9)
    return Stage(d.trained(), d.light, light=light.astype(np.float32))


def _background(d: Draw) -> Stage:
    y, x = (np.linspace(0, 1, n) for n in d.shape)
    ramp = 0.8 * x[None, :] * np.ones_like(y)[:, None]
    ramp += 0.5 * np.exp(-((y[:, None] - 0.6) ** 2 + (x[None, :] - 0.4) ** 2) / 0.05)
    return Stage(d.trained(), d.light, ramp=ramp.astype(np.float32))


GAPS_NM = (90.0, 120.0, 180.0, 250.0, 350.0)
"""Widths of gaps."""
ANGLES_DEG = (30.0, 60.0, 90.0)
"""Angles of crossings."""

SETTINGS: tuple[Setting, ...] = (
    *(
        Setting(f"gap_{w:g}_nm", "gaps", f"gaps of {w:g} nm", _gaps(w), w, tiles=1)
        for w in GAPS_NM
    ),
    *(
        Setting(f"crossing_{a:g}_deg", "crossings", f"crossings at {a:g}°",
                _crossings(a), a)
        for a in ANGLES_DEG
    ),
    Setting("noise", "noise", "nothing but noise", _noise, tiles=3),
    Setting("haze", "image", "haze as strong as the structure", _haze(1.0)),
    Setting("haze_doubled", "image", "haze twice as strong", _haze(2.0)),
    Setting("rings", "image", "never trained: rings", _untrained(phantoms.rings),
            tiles=1),
    Setting("discs", "image", "never trained: discs", _untrained(phantoms.discs),
            tiles=1),
    Setting("clouds", "image", "never trained: clouds", _untrained(phantoms.clouds),
            tiles=1),
    Setting("dot_grid", "image", "never trained: lattice of dots",
            _untrained(phantoms.dot_grid), tiles=1),
    Setting("usual", "image", "as in the training", _usual),
    Setting("noise_halved", "image", "half the least trained noise", _halved),
    Setting("noise_doubled", "image", "twice the strongest trained noise", _doubled),
    Setting("pixels_smaller", "image", "pixels 20 % smaller", _usual,
            pixel_factor=1 - PIXELS),
    Setting("pixels_larger", "image", "pixels 20 % larger", _usual,
            pixel_factor=1 + PIXELS),
    Setting("light_uneven", "image", "uneven illumination", _uneven),
    Setting("background_uneven", "image", "uneven background", _background),
)  # fmt: skip
"""All conditions, in the order of tables."""


def words_of(name: str) -> str:
    """Return what a condition is, for tables, from what `Setting.named` returned.

    Examples
    --------
    >>> words_of("gap_36_nm"), words_of("noise")
    ('gaps of 36 nm', 'nothing but noise')
    """
    if name.startswith("gap_"):
        return f"gaps of {name.split('_')[1]} nm"
    return _WORDS[name]


_WORDS = {setting.name: setting.words for setting in SETTINGS}
