"""Localizations of blinking dyes: what a program finds in a long acquisition.

Dyes blink independently at a rate that falls as they bleach.  Their events last one
or more frames, each of which gives a localization of its own; rates of real dyes:
Dempsey et al. 2011 (doi:10.1038/nmeth.1768).
"""

from typing import NamedTuple

import numpy as np
from pydantic import Field

from zoo.core.config import Config
from zoo.core.localizations import Localizations
from zoo.simulate.dye_clouds import Cloud

Range = tuple[float, float]


class Blinking(Config):
    """Conditions of acquisitions; every one draws its own."""

    total_frames: int = Field(default=60_000, ge=1)
    """Length of the acquisition."""
    localizations: Range = (10.0, 80.0)
    """Mean localizations per dye in all of it, log-uniform."""
    spread: Range = (0.8, 3.0)
    """Shape of the gamma distribution of that number over dyes, uniform: 1 is
    exponential."""
    on_frames: Range = (1.0, 3.0)
    """Mean length of an event, uniform, frames; every frame is a localization."""
    bleaching: Range = (0.4, 4.0)
    """Time in which activity falls to 1/e, log-uniform, lengths of the acquisition."""
    precision_nm: Range = (5.0, 18.0)
    """Localization error per axis at the median photon number, uniform, nm."""
    photons: Range = (700.0, 5000.0)
    """Median photons of a localization, log-uniform."""
    photons_spread: float = Field(default=0.5, ge=0)
    """Standard deviation of their logarithm."""
    false_share: Range = (0.0, 0.08)
    """False localizations anywhere in the field, uniform, in units of the true ones."""
    sticky_per_um2: Range = (0.0, 0.3)
    """Stray dyes that blink again and again on one spot, uniform."""


class Acquisition(NamedTuple):
    """Dyes and the conditions under which they blink."""

    dyes: Cloud
    """Where they are."""
    edge_nm: float
    """Edge of the field."""
    counts: np.ndarray
    """(n,) localizations of each dye in the whole acquisition."""
    on_frames: float
    """Mean length of an event."""
    decay_frames: float
    """Frames in which activity falls to 1/e."""
    total_frames: int
    """Length of the acquisition."""
    precision_nm: float
    """Localization error per axis at the median photon number."""
    photons: float
    """Median photons."""
    photons_spread: float
    """Standard deviation of the logarithm of photons."""
    false_per_frame: float
    """False localizations per frame, anywhere."""
    sticky: np.ndarray
    """(k, 2) places of stray dyes, x and y."""

    @property
    def error_nm(self) -> float:
        """Root mean square localization error per axis, over all photon numbers."""
        # errors go with one over the root of the photons
        return self.precision_nm * float(np.exp(0.5 * self.photons_spread**2))

    @property
    def usual_counts(self) -> float:
        """Localizations per square nanometre in the middle of one structure."""
        mean = float(self.counts.mean()) if len(self.counts) else 0.0
        spread = self.dyes.radius_nm
        dilution = 1.0
        if np.isfinite(spread):
            dilution = spread / float(np.hypot(spread, self.error_nm))
        return mean * self.dyes.density_per_nm2 * dilution

    def activity(self, first: float, last: float) -> float:
        """Return the share of all localizations between two frames."""
        start, stop, end = (
            -np.expm1(-np.asarray(frame) / self.decay_frames)
            for frame in (first, last, self.total_frames)
        )
        return float((stop - start) / end)


def begin(
    rng: np.random.Generator, dyes: Cloud, blinking: Blinking, *, edge_nm: float
) -> Acquisition:
    """Draw the conditions of an acquisition and how often every dye is localized.

    Parameters
    ----------
    rng
        Source of the draws.
    dyes
        Dyes of the field.
    blinking
        Conditions to draw from.
    edge_nm
        Edge of the square field.
    """
    mean = float(np.exp(rng.uniform(*np.log(blinking.localizations))))
    on_frames = rng.uniform(*blinking.on_frames)
    shape = rng.uniform(*blinking.spread)
    events = rng.poisson(rng.gamma(shape, mean / on_frames / shape, len(dyes.x_nm)))
    counts = (events * on_frames).astype(np.float32)
    total = blinking.total_frames
    field_um2 = edge_nm**2 * 1e-6
    stray = rng.poisson(rng.uniform(*blinking.sticky_per_um2) * field_um2)
    return Acquisition(
        dyes,
        edge_nm,
        counts,
        on_frames,
        total * float(np.exp(rng.uniform(*np.log(blinking.bleaching)))),
        total,
        rng.uniform(*blinking.precision_nm),
        float(np.exp(rng.uniform(*np.log(blinking.photons)))),
        blinking.photons_spread,
        rng.uniform(*blinking.false_share) * float(counts.sum()) / total,
        rng.uniform(0, edge_nm, (stray, 2)),
    )


def localize(
    rng: np.random.Generator, acquisition: Acquisition, *, first: int, frames: int
) -> Localizations:
    """Return what is found in a block of consecutive frames.

    Parameters
    ----------
    rng
        Source of events and errors.
    acquisition
        Dyes and conditions.
    first
        Frames of the acquisition before the block.
    frames
        Length of the block.

    Returns
    -------
    table : Localizations
        Frames counted from the beginning of the acquisition; with photons and
        uncertainties, sorted by frame.
    """
    a = acquisition
    share = a.activity(first, first + frames)
    dye = _events(rng, a.counts, share / a.on_frames)
    x_nm, y_nm = a.dyes.x_nm[dye], a.dyes.y_nm[dye]
    false = rng.uniform(0, a.edge_nm, (rng.poisson(a.false_per_frame * frames), 2))
    # a stray dye blinks some dozen times in 1,000 frames, whatever became of the others
    stray = np.repeat(
        np.arange(len(a.sticky)),
        rng.poisson(rng.gamma(1.0, 0.004 * frames, len(a.sticky))),
    )
    x_nm = np.concatenate([x_nm, false[:, 0], a.sticky[stray, 0]])
    y_nm = np.concatenate([y_nm, false[:, 1], a.sticky[stray, 1]])
    start = _times(rng, a, first, frames, len(x_nm))
    lasts = rng.geometric(1 / a.on_frames, len(x_nm))
    lasts[len(dye) : len(dye) + len(false)] = 1  # noise does not last
    event = np.repeat(np.arange(len(x_nm)), lasts)
    nth = np.arange(len(event)) - np.repeat(np.cumsum(lasts) - lasts, lasts)
    frame = start[event] + nth
    kept = frame < first + frames
    event, frame = event[kept], frame[kept]
    light = np.exp(rng.normal(0, a.photons_spread, len(event)))
    error = a.precision_nm / np.sqrt(light)
    table = Localizations(
        x_nm=x_nm[event] + rng.normal(0, 1, len(event)) * error,
        y_nm=y_nm[event] + rng.normal(0, 1, len(event)) * error,
        frame=frame + 1,
        photons=a.photons * light,
        uncertainty_nm=error,
    )
    return table.select(np.argsort(frame, kind="stable"))


def _events(rng: np.random.Generator, counts: np.ndarray, share: float) -> np.ndarray:
    """Return the dyes of all events, in units of counts a share of which happens."""
    reach = np.cumsum(counts, dtype=np.float64)
    total = reach[-1] if len(reach) else 0.0
    number = rng.poisson(total * share)
    found = np.searchsorted(reach, rng.random(number) * total, side="right")
    return np.minimum(found, max(len(counts) - 1, 0))


def _times(
    rng: np.random.Generator, a: Acquisition, first: int, frames: int, count: int
) -> np.ndarray:
    """Return frames, from 0, at which events begin while activity falls."""
    low, high = (np.exp(-f / a.decay_frames) for f in (first, first + frames))
    place = low - rng.random(count) * (low - high)
    when = np.floor(-a.decay_frames * np.log(place)).astype(int)
    return np.clip(when, first, first + frames - 1)
