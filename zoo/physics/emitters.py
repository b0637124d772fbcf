"""Blinking kinetics of fluorophores: when molecules shine and how bright.

A fluorophore is followed through four states: off, on, dark and bleached (the model
of the 2016 localization challenge, Sage et al. 2019, doi:10.1038/s41592-019-0364-4;
photoswitching rates of real dyes: Dempsey et al. 2011, doi:10.1038/nmeth.1768).
Switching happens in continuous time, measured in frames: the movie's frame ``k``,
counted from 1, lasts from ``k - 1`` to ``k``.
"""

from dataclasses import dataclass

import numpy as np

from zoo.core.localizations import Localizations


@dataclass(frozen=True, eq=False)
class OnPeriods:
    """Times at which molecules shine, one row per on-period."""

    molecule: np.ndarray
    """(k,) int, index of the molecule."""
    start_frames: np.ndarray
    """(k,) float, switching on, frames since the beginning of the movie."""
    stop_frames: np.ndarray
    """(k,) float, switching off, frames since the beginning of the movie."""
    bleaches: np.ndarray
    """(k,) bool, whether the period ends the molecule's life."""


def on_periods(
    rng: np.random.Generator,
    molecules: int,
    *,
    frames: int,
    on_frames: float = 3.0,
    dark_frames: float = 2.5,
    bleach_frames: float = 1.5,
    first_frames: float = 0.0,
) -> OnPeriods:
    """Follow molecules from their activation until they bleach or the movie ends.

    Each molecule is activated once, at a time uniform over the movie, so that the
    density of emitters stays constant.  On-periods end either in the dark state or in
    bleaching, whichever comes first: their mean is
    ``1 / (1 / on_frames + 1 / bleach_frames)``, a share
    ``on_frames / (on_frames + bleach_frames)`` of them ends in bleaching, and a
    molecule has ``1 + bleach_frames / on_frames`` of them.

    Parameters
    ----------
    rng
        Source of all times.
    molecules
        Number of molecules.
    frames
        Length of the movie.
    on_frames
        Mean time from on to dark if nothing bleached, frames.
    dark_frames
        Mean time from dark back to on, frames.
    bleach_frames
        Mean time from on to bleached if nothing turned dark, frames; ``inf`` for
        molecules that never bleach.
    first_frames
        Earliest activation, frames; negative for molecules that were already active
        when the movie began.

    Returns
    -------
    periods : OnPeriods
        Periods that begin before the movie's end.  They may end after it, and those
        of molecules activated early may lie before its beginning.

    Raises
    ------
    ValueError
        If a mean time is not positive.
    """
    times = {
        "on_frames": on_frames,
        "dark_frames": dark_frames,
        "bleach_frames": bleach_frames,
    }
    for name, value in times.items():
        if not value > 0:
            raise ValueError(f"{name} must be positive, not {value}")
    leaving_rate = 1 / on_frames + 1 / bleach_frames
    bleaching = 1 / (bleach_frames * leaving_rate)
    alive = np.arange(molecules)
    start = rng.uniform(first_frames, frames, molecules)
    rounds: list[tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]] = []
    while len(alive):
        stop = start + rng.exponential(1 / leaving_rate, len(alive))
        bleaches = rng.random(len(alive)) < bleaching
        rounds.append((alive, start, stop, bleaches))
        start = stop + rng.exponential(dark_frames, len(alive))
        returns = ~bleaches & (start < frames)
        alive, start = alive[returns], start[returns]
    if not rounds:
        none = np.empty(0)
        return OnPeriods(none.astype(int), none, none, none.astype(bool))
    return OnPeriods(*(np.concatenate(column) for column in zip(*rounds, strict=True)))


def integrate_frames(
    periods: OnPeriods, photons: np.ndarray | float, *, frames: int
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Integrate the light of on-periods over the frames of a movie.

    A molecule that shines for part of a frame gives that part of its photons; several
    periods of one molecule in a frame add up.  The photons of all rows therefore sum
    to the flux times the on-time within the movie.

    Parameters
    ----------
    periods
        Times at which molecules shine.
    photons
        Photons of a full frame, one value or one per molecule.
    frames
        Length of the movie.

    Returns
    -------
    molecule, frame : (n,) int
        Index of the molecule and frame counted from 1, sorted by frame.
    photons : (n,) float64
        Photons of this molecule in this frame.
    """
    start = np.clip(periods.start_frames, 0, frames)
    stop = np.clip(periods.stop_frames, 0, frames)
    visible = stop > start
    start, stop, molecule = start[visible], stop[visible], periods.molecule[visible]
    first = np.floor(start).astype(int)
    touched = np.ceil(stop).astype(int) - first
    period = np.repeat(np.arange(len(start)), touched)
    nth = np.arange(len(period)) - np.repeat(np.cumsum(touched) - touched, touched)
    frame = first[period] + nth
    share = np.minimum(stop[period], frame + 1) - np.maximum(start[period], frame)
    flux = np.asarray(photons, float)
    emitted = share * (flux[molecule[period]] if flux.ndim else flux)

    molecules = int(molecule.max(initial=0)) + 1
    key, row = np.unique(frame * molecules + molecule[period], return_inverse=True)
    merged = np.bincount(row, weights=emitted, minlength=len(key))
    return key % molecules, key // molecules + 1, merged


def blink(
    rng: np.random.Generator,
    molecules_x_nm: np.ndarray,
    molecules_y_nm: np.ndarray,
    *,
    frames: int,
    molecules_z_nm: np.ndarray | None = None,
    photons_per_frame: np.ndarray | float = 2250.0,
    on_frames: float = 3.0,
    dark_frames: float = 2.5,
    bleach_frames: float = 1.5,
    warm_up_frames: float = 20.0,
    minimum_share: float = 0.01,
) -> Localizations:
    """Let molecules blink through a movie.

    Defaults are the rates recommended for the 2016 localization challenge (Sage et al.
    2019, doi:10.1038/s41592-019-0364-4): periods of one frame on average, one and a
    half of them per molecule.  Expected photons are returned; the camera adds the
    noise.

    Parameters
    ----------
    rng
        Source of the switching times.
    molecules_x_nm, molecules_y_nm
        (n,) positions.
    frames
        Length of the movie.
    molecules_z_nm
        (n,) heights, if any.
    photons_per_frame
        Photons of a molecule that shines for a whole frame, one value or (n,).
    on_frames, dark_frames, bleach_frames
        Mean times, frames; see `on_periods`.
    warm_up_frames
        Time before the movie in which molecules are already activated, frames.  It
        makes the density constant from the first frame on; molecules that bleach
        before the movie never show.
    minimum_share
        Rows below this share of the mean full-frame photons are left out.

    Returns
    -------
    emitters : Localizations
        One row per molecule and frame in which it shines, sorted by frame; columns
        ``x_nm``, ``y_nm``, ``frame``, ``photons`` and ``z_nm`` if given.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> x_nm, y_nm = rng.uniform(0, 6400, (2, 500))
    >>> movie = blink(rng, x_nm, y_nm, frames=100)
    >>> int(movie.frame.min()) >= 1, int(movie.frame.max()) <= 100
    (True, True)
    """
    x_nm = np.asarray(molecules_x_nm, float)
    periods = on_periods(
        rng,
        len(x_nm),
        frames=frames,
        on_frames=on_frames,
        dark_frames=dark_frames,
        bleach_frames=bleach_frames,
        first_frames=-warm_up_frames,
    )
    molecule, frame, photons = integrate_frames(
        periods, photons_per_frame, frames=frames
    )
    if len(photons):
        bright = photons >= minimum_share * np.mean(photons_per_frame)
        molecule, frame, photons = molecule[bright], frame[bright], photons[bright]
    z_nm = None if molecules_z_nm is None else np.asarray(molecules_z_nm)[molecule]
    return Localizations(
        x_nm=x_nm[molecule],
        y_nm=np.asarray(molecules_y_nm, float)[molecule],
        z_nm=z_nm,
        frame=frame,
        photons=photons,
    )
