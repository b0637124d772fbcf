"""Errors of localizations beside what a table states about them."""

from collections.abc import Mapping, Sequence

import numpy as np

from zoo.core.localizations import Localizations
from zoo.metrics.estimates import coverage
from zoo.metrics.localizations import BORDER_NM, inside
from zoo.metrics.matching import match

AXES: dict[str, tuple[str, ...]] = {
    "uncertainty_nm": ("x_nm", "y_nm"),
    "uncertainty_z_nm": ("z_nm",),
}
"""Columns of stated errors, and the coordinates whose errors they are."""

Pair = tuple[Localizations, Mapping[str, np.ndarray]]
"""Localizations and, by column of `AXES`, found minus true, (n, axes) nm."""


def paired(
    truth: Localizations, found: Localizations, *, field_nm: float | tuple[float, float]
) -> Pair:
    """Return the localizations that belong to an emitter, and their errors.

    Parameters
    ----------
    truth, found
        Tables of one movie.
    field_nm
        ``(height, width)``, or the edge of a square; localizations within `BORDER_NM`
        of its border are left out, where that leaves something.

    Returns
    -------
    table, errors
        Rows of `found`, and for every column of `AXES` that it has found minus true
        of its coordinates, (n, axes) nm.

    Examples
    --------
    >>> truth = Localizations(x_nm=np.array([900.0]), y_nm=np.array([800.0]))
    >>> found = truth.with_columns(
    ...     x_nm=np.array([903.0]), uncertainty_nm=np.array([4.0])
    ... )
    >>> table, errors = paired(truth, found, field_nm=2000.0)
    >>> errors["uncertainty_nm"].tolist()
    [[3.0, 0.0]]
    """
    shortest = field_nm if isinstance(field_nm, (int, float)) else min(field_nm)
    border = 0.0 if shortest <= 2 * BORDER_NM else BORDER_NM
    found = found.select(inside(found, field_nm=field_nm, border_nm=border))
    pairs = match(truth, found)
    table, known = found.select(pairs.found), truth.select(pairs.truth)
    errors = {
        column: np.stack([getattr(table, a) - getattr(known, a) for a in axes], axis=1)
        for column, axes in AXES.items()
        if {column, *axes} <= set(table.columns) and set(axes) <= set(known.columns)
    }
    return table, errors


def uncertainty_scores(parts: Sequence[Pair]) -> dict[str, float | int]:
    """Return how well the stated errors of movies describe the real ones.

    The law: of normal errors with the stated deviations 68 % lie within one of them
    and 95 % within two.

    Parameters
    ----------
    parts
        What `paired` returned for each movie.

    Returns
    -------
    scores
        ``found``; ``uncertainty_nm``, the median of what is stated;
        ``rmse_axis_nm``, root mean square error per axis; ``within_1_sigma`` and
        ``within_2_sigma``.  With depths the last four once more, ``axial``.  Empty
        without localizations that state errors.
    """
    scores: dict[str, float | int] = {}
    for column, ending in zip(AXES, ("", "_axial"), strict=True):
        known = [(t, e[column]) for t, e in parts if column in e and len(t)]
        if not known:
            continue
        error = np.concatenate([e for _, e in known])
        stated = np.concatenate([getattr(t, column) for t, _ in known])
        each = np.repeat(stated[:, None], error.shape[1], axis=1)
        scores.setdefault("found", len(error))
        scores[f"uncertainty{ending}_nm"] = float(np.median(stated))
        scores[f"rmse{ending or '_axis'}_nm"] = float(np.sqrt(np.mean(error**2)))
        for sigmas in (1, 2):
            share = coverage(error.ravel(), each.ravel(), sigmas)
            if share is not None:
                scores[f"within_{sigmas}_sigma{ending}"] = share
    return scores
