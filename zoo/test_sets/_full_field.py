"""Movies of a whole field of single emitters: what is found, missed and invented."""

from typing import Any, NamedTuple

import numpy as np

from zoo.core.localizations import Localizations
from zoo.metrics.localizations import inside, match, score
from zoo.physics.fisher import EmitterBound, emitter_bound
from zoo.physics.spots import Psf, draw_emitters
from zoo.test_sets._estimates import AXES

WINDOW_PX = 51
"""Edge of the window in which a spot is drawn, px."""

DIGITS = 4
"""Decimals of the metrics."""


class Conditions(NamedTuple):
    """What a movie of emitters is drawn from."""

    z_nm: tuple[float, float]
    """Least and greatest depth, nm."""
    photons: tuple[float, float]
    """Fewest and most photons, drawn evenly by their logarithm."""
    background_photons: tuple[float, float]
    """Least and most background of a frame, photons per pixel, likewise."""


class Movie(NamedTuple):
    """A simulated movie."""

    frames: np.ndarray
    """(t, y, x) uint16 photons."""
    truth: Localizations
    """Its emitters, those beyond the border included."""


class FieldKnown(NamedTuple):
    """What is known about a movie beside the truth."""

    bounds: EmitterBound
    """Cramér-Rao bounds of every emitter by itself, (n,) each."""
    field_nm: float
    """Edge of the field, nm."""
    border_nm: float
    """Emitters nearer to the border are not scored, nm."""
    frames: int
    """Number of frames."""


class FieldEvidence(NamedTuple):
    """Evidence of one movie."""

    scores: dict[str, Any]
    """Scores of the tables, as `zoo.metrics.localizations.score` gives them."""
    over: dict[str, np.ndarray]
    """Errors of the pairs over the bounds, by the letter of the axis."""
    frames: int
    """Number of frames."""


def emitter_movie(
    psf: Psf,
    conditions: Conditions,
    rng: np.random.Generator,
    *,
    density_per_um2: float,
    frames: int,
    field_px: int,
    pixel_nm: float,
) -> Movie:
    """Draw emitters at random places of every frame, some of them beyond the border.

    Parameters
    ----------
    psf
        Image of an emitter.
    conditions
        Depths, photons and background.
    rng
        Source of all randomness.
    density_per_um2
        Emitters in every frame.
    frames, field_px
        Number and edge of the frames.
    pixel_nm
        Edge of a pixel.
    """
    field_nm, beyond_nm = field_px * pixel_nm, WINDOW_PX / 2 * pixel_nm
    area_um2 = ((field_nm + 2 * beyond_nm) / 1000) ** 2
    fewest, most = np.log(conditions.photons)
    least, greatest = np.log(conditions.background_photons)
    images, tables = [], []
    for number in range(1, frames + 1):
        count = rng.poisson(density_per_um2 * area_um2)
        x_nm, y_nm = rng.uniform(-beyond_nm, field_nm + beyond_nm, (2, count))
        level = float(np.exp(rng.uniform(least, greatest)))
        table = Localizations(
            x_nm=x_nm,
            y_nm=y_nm,
            z_nm=rng.uniform(conditions.z_nm[0], conditions.z_nm[1], count),
            photons=np.exp(rng.uniform(fewest, most, count)),
            background_photons=np.full(count, level),
            frame=np.full(count, number),
        )
        shape = (field_px, field_px)
        light = draw_emitters(psf, table, shape, window_px=WINDOW_PX).clip(0)
        images.append(np.minimum(rng.poisson(light + level), 65535))
        tables.append(table)
    return Movie(np.stack(images).astype(np.uint16), Localizations.concatenate(tables))


def field_known(
    psf: Psf, movie: Movie, *, region_px: int, pixel_nm: float
) -> FieldKnown:
    """Return the bounds of emitters in the middle of regions, and what is scored.

    Parameters
    ----------
    psf
        Image of an emitter.
    movie
        Its emitters and frames.
    region_px
        Edge of the regions that are cut out; emitters nearer to the border than half of
        it are not scored.
    pixel_nm
        Edge of a pixel.
    """
    truth = movie.truth
    middle = np.full(len(truth), (region_px // 2 + 0.5) * pixel_nm)
    assumed = (truth.z_nm, truth.photons, truth.background_photons)
    z_nm, photons, background = (np.asarray(column, float) for column in assumed)
    bounds = emitter_bound(
        psf,
        middle,
        middle,
        z_nm,
        photons=photons,
        background_photons=background,
        shape=(region_px, region_px),
    )
    return FieldKnown(
        bounds,
        movie.frames.shape[1] * pixel_nm,
        (region_px // 2 + 1) * pixel_nm,
        len(movie.frames),
    )


def field_evidence(
    truth: Localizations, found: Localizations, known: FieldKnown
) -> FieldEvidence:
    """Match a table of a movie with its emitters, frame by frame."""
    field: dict[str, Any] = {"field_nm": known.field_nm, "border_nm": known.border_nm}
    seen, stated = (np.flatnonzero(inside(t, **field)) for t in (truth, found))
    pairs = match(truth.select(seen), found.select(stated))
    true, mine = seen[pairs.truth], stated[pairs.found]
    over = {
        letter: (getattr(found, column)[mine] - getattr(truth, column)[true])
        / getattr(known.bounds, column)[true]
        for letter, column in AXES.items()
        if column in found.columns
    }
    return FieldEvidence(score(truth, found, **field), over, known.frames)


def field_values(evidence: FieldEvidence) -> dict[str, Any]:
    """Return the metrics of a movie.

    ``recall`` and ``precision`` of emitters, those false per frame, and the errors of
    the pairs: root mean squares in nm and over the bound that each emitter would have
    by itself; ``median_over_crlb_<axis>`` is the median of the errors' size over that
    of a normal distribution at the bound, which overlapping emitters do not lift.
    """
    scores = evidence.scores
    values: dict[str, float] = {
        "recall": scores["recall"],
        "precision": scores["precision"],
        "false_per_frame": scores["fp"] / evidence.frames,
        "rmse_lateral_nm": scores["rmse_lateral_nm"],
        "rmse_axial_nm": scores.get("rmse_axial_nm", np.nan),
    }
    for letter, over in evidence.over.items():
        median = np.median(np.abs(over)) / 0.6745 if len(over) else np.nan
        values[f"median_over_crlb_{letter}"] = float(median)
    return {"emitters": int(scores["tp"] + scores["fn"])} | {
        name: round(float(value), DIGITS) if np.isfinite(value) else None
        for name, value in values.items()
    }
