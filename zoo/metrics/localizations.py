"""Scores of localization tables, as the SMLM challenge of 2016 defines them.

Emitters and localizations are paired frame by frame; counts and errors are then
pooled over all frames.  References: Sage et al. 2019, doi:10.1038/s41592-019-0364-4.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.spatial import KDTree

from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.metrics.matching import (
    AXIAL_RADIUS_NM,
    RADIUS_NM,
    Matches,
    match,
    points,
)

__all__ = [
    "AXIAL_RADIUS_NM",
    "BORDER_NM",
    "RADIUS_NM",
    "Matches",
    "detected_rows",
    "efficiency",
    "inside",
    "match",
    "nearest_neighbour_nm",
    "recall_by",
    "score",
]

BORDER_NM = 450.0
"""Truth and localizations nearer to the border than this are left out, nm."""


def score(
    truth: Localizations,
    found: Localizations,
    *,
    field_nm: float | tuple[float, float],
    border_nm: float = BORDER_NM,
    radius_nm: float = RADIUS_NM,
    axial_radius_nm: float = AXIAL_RADIUS_NM,
    photon_quantile: float | None = None,
    bound_nm: np.ndarray | None = None,
) -> dict[str, Any]:
    """Score a table of localizations against the truth.

    Parameters
    ----------
    truth, found
        Tables in nanometres from the outer corner of the first pixel.
    field_nm
        ``(height, width)`` of the field of view; one number for a square.
    border_nm
        Emitters and localizations nearer to the border are left out beforehand.
    radius_nm, axial_radius_nm
        Cylinder of a match.
    photon_quantile
        True emitters below this quantile of photons (0.25 in the challenge) are
        ignored and so are the localizations matched to them.
    bound_nm
        (n,) lateral Cramér–Rao bound ``sqrt(var x + var y)`` of each true emitter.

    Returns
    -------
    scores : dict
        Counts ``tp fp fn``; ``jaccard precision recall f1`` between 0 and 1;
        ``rmse_lateral_nm`` = sqrt(mean(dx² + dy²)), not divided by √2;
        ``mean_absolute_nm`` = mean(|dx| + |dy|); ``bias_x_nm bias_y_nm`` = mean of
        found − true; ``efficiency`` in percent, ``100 − sqrt((100 − JI)² + RMSE²)``
        with JI in percent and the RMSE in nm; ``jaccard_random``, what as many
        localizations at random places would score.  With z: ``rmse_axial_nm``,
        ``bias_z_nm``, ``efficiency_lateral``, ``efficiency_axial`` (half weight on
        the axial RMSE) and their mean as ``efficiency``.  With `bound_nm`:
        ``rmse_over_crlb`` = sqrt(mean((dx² + dy²)/bound²)).  With photons in both
        tables: ``photon_slope``, the factor found/true.  What has no value, such as
        the error of no match, is NaN.

    Raises
    ------
    ValueError
        If a parameter is out of range or `truth` lacks the photons that
        `photon_quantile` needs.

    Examples
    --------
    >>> truth = Localizations(x_nm=np.array([1000.0, 2000.0]), y_nm=np.full(2, 1500.0))
    >>> found = Localizations(x_nm=np.array([1003.0]), y_nm=np.array([1504.0]))
    >>> scores = score(truth, found, field_nm=3000)
    >>> scores["jaccard"], scores["rmse_lateral_nm"], round(scores["efficiency"], 2)
    (0.5, 5.0, 49.75)
    """
    field = _field(field_nm)
    kept = np.flatnonzero(inside(truth, field_nm=field, border_nm=border_nm))
    if bound_nm is not None:
        bound_nm = np.asarray(bound_nm, float)
        if bound_nm.shape != (len(truth),):
            raise ValueError(
                f"bound_nm has shape {bound_nm.shape}, truth has {len(truth)} rows"
            )
        bound_nm = bound_nm[kept]
    truth = truth.select(kept)
    found = found.select(inside(found, field_nm=field, border_nm=border_nm))
    counted = _bright(truth, photon_quantile)

    def pairs_of(table: Localizations) -> Matches:
        return match(
            truth,
            table,
            radius_nm=radius_nm,
            axial_radius_nm=axial_radius_nm,
        )

    pairs = pairs_of(found)
    valid = counted[pairs.truth]
    true_rows, found_rows = pairs.truth[valid], pairs.found[valid]
    scores = _ratios(pairs, counted, len(found))
    shuffled = _scatter(found, field, border_nm)
    scores["jaccard_random"] = _ratios(pairs_of(shuffled), counted, len(found))[
        "jaccard"
    ]

    dx = found.x_nm[found_rows] - truth.x_nm[true_rows]
    dy = found.y_nm[found_rows] - truth.y_nm[true_rows]
    square = dx**2 + dy**2
    scores["rmse_lateral_nm"] = _root(square)
    scores["mean_absolute_nm"] = _mean(np.abs(dx) + np.abs(dy))
    scores["bias_x_nm"] = _mean(dx)
    scores["bias_y_nm"] = _mean(dy)
    scores["efficiency"] = efficiency(scores["jaccard"], scores["rmse_lateral_nm"])
    if truth.z_nm is not None and found.z_nm is not None:
        dz = found.z_nm[found_rows] - truth.z_nm[true_rows]
        scores["rmse_axial_nm"] = _root(dz**2)
        scores["bias_z_nm"] = _mean(dz)
        scores["efficiency_lateral"] = scores["efficiency"]
        scores["efficiency_axial"] = efficiency(
            scores["jaccard"], scores["rmse_axial_nm"], weight_per_nm=0.5
        )
        scores["efficiency"] = (
            scores["efficiency_lateral"] + scores["efficiency_axial"]
        ) / 2
    if bound_nm is not None:
        scores["rmse_over_crlb"] = _root(square / bound_nm[true_rows] ** 2)
    if truth.photons is not None and found.photons is not None:
        expected = truth.photons[true_rows].astype(float)
        power = float(np.sum(expected**2))
        product = float(np.sum(expected * found.photons[found_rows]))
        scores["photon_slope"] = product / power if power else float("nan")
    return scores


def efficiency(jaccard: float, rmse_nm: float, *, weight_per_nm: float = 1.0) -> float:
    """Return the challenge's efficiency in percent: 100 is perfect, it has no floor.

    Parameters
    ----------
    jaccard
        Jaccard index between 0 and 1.
    rmse_nm
        Root mean square error, lateral or axial.
    weight_per_nm
        1 for lateral errors, 0.5 for axial ones.

    Examples
    --------
    >>> efficiency(0.97, 4.0)
    95.0
    """
    miss = 100 * (1 - jaccard)
    return float(100 - np.hypot(miss, weight_per_nm * rmse_nm))


def inside(
    table: Localizations,
    *,
    field_nm: float | tuple[float, float],
    border_nm: float = BORDER_NM,
) -> np.ndarray:
    """Say which rows keep their distance from the border of the field.

    Returns
    -------
    mask : (n,) bool

    Raises
    ------
    ValueError
        If the border leaves nothing of the field.
    """
    height, width = _field(field_nm)
    if border_nm < 0 or 2 * border_nm >= min(height, width):
        raise ValueError(
            f"a border of {border_nm} nm leaves nothing of a field of "
            f"{height} x {width} nm; border_nm must be below half the field"
        )
    return (
        (table.x_nm >= border_nm)
        & (table.x_nm <= width - border_nm)
        & (table.y_nm >= border_nm)
        & (table.y_nm <= height - border_nm)
    )


def nearest_neighbour_nm(table: Localizations) -> np.ndarray:
    """Return each emitter's lateral distance to the next one in its frame.

    Returns
    -------
    distance : (n,) float
        nm; infinite for an emitter that is alone in its frame.

    Examples
    --------
    >>> row = Localizations(x_nm=np.array([0.0, 30.0, 100.0]), y_nm=np.zeros(3))
    >>> nearest_neighbour_nm(row).tolist()
    [30.0, 30.0, 70.0]
    """
    if len(table) < 2:
        return np.full(len(table), np.inf)
    extent = float(np.hypot(np.ptp(table.x_nm), np.ptp(table.y_nm)))
    places = points(table, separation=2 * extent + 1)
    distance = np.asarray(KDTree(places).query(places, k=2)[0])[:, 1]
    return np.where(distance > extent * (1 + 1e-9), np.inf, distance)


def recall_by(
    values: np.ndarray, detected: np.ndarray, *, edges: Sequence[float]
) -> list[dict[str, float]]:
    """Return the recall of true emitters in bins of a property of theirs.

    Parameters
    ----------
    values
        (n,) property of each true emitter, for instance its photons or the
        distance to its nearest neighbour (:func:`nearest_neighbour_nm`).
    detected
        (n,) bool, whether the emitter was matched (:func:`detected_rows`).
    edges
        Rising bin edges; a bin holds its lower edge and not its upper one.

    Returns
    -------
    bins : list of dict
        ``low high emitters recall`` of each bin; the recall of no emitter is NaN.

    Raises
    ------
    ValueError
        If the columns differ in length or the edges do not rise.

    Examples
    --------
    >>> recall_by(np.array([1, 2, 6]), np.array([True, False, True]), edges=[0, 5, 9])
    [{'low': 0.0, 'high': 5.0, 'emitters': 2, 'recall': 0.5},
     {'low': 5.0, 'high': 9.0, 'emitters': 1, 'recall': 1.0}]
    """
    values, detected = np.asarray(values, float), np.asarray(detected, bool)
    limits = np.asarray(edges, float)
    if values.shape != detected.shape or values.ndim != 1:
        raise ValueError(
            f"values {values.shape} and detected {detected.shape} must be "
            "one-dimensional and equally long"
        )
    if len(limits) < 2 or not (np.diff(limits) > 0).all():
        raise ValueError(f"edges must rise, not {list(edges)}")
    bins = np.searchsorted(limits, values, side="right") - 1
    within = (bins >= 0) & (bins < len(limits) - 1)
    total = np.bincount(bins[within], minlength=len(limits) - 1)
    hits = np.bincount(bins[within & detected], minlength=len(limits) - 1)
    return [
        {
            "low": float(limits[i]),
            "high": float(limits[i + 1]),
            "emitters": int(total[i]),
            "recall": _ratio(int(hits[i]), int(total[i])),
        }
        for i in range(len(limits) - 1)
    ]


def detected_rows(truth: Localizations, pairs: Matches) -> np.ndarray:
    """Return a mask, (n,) bool, of the true emitters that were matched."""
    mask = np.zeros(len(truth), bool)
    mask[pairs.truth] = True
    return mask


def _bright(truth: Localizations, quantile: float | None) -> np.ndarray:
    """Mark the true emitters that count."""
    if quantile is None:
        return np.ones(len(truth), bool)
    if truth.photons is None:
        raise ValueError("photon_quantile needs a truth with the column photons")
    if not 0 <= quantile < 1:
        raise ValueError(f"photon_quantile must lie in [0, 1), not {quantile}")
    if not len(truth):
        return np.ones(0, bool)
    return truth.photons >= np.quantile(truth.photons, quantile)


def _ratios(pairs: Matches, counted: np.ndarray, n_found: int) -> dict[str, Any]:
    """Return counts and their ratios when only the `counted` true emitters count."""
    tp = int(counted[pairs.truth].sum())
    fp = n_found - len(pairs)
    fn = int(counted.sum()) - tp
    return {
        "tp": tp,
        "fp": fp,
        "fn": fn,
        "jaccard": _ratio(tp, tp + fp + fn),
        "precision": _ratio(tp, tp + fp),
        "recall": _ratio(tp, tp + fn),
        "f1": _ratio(2 * tp, 2 * tp + fp + fn),
    }


def _scatter(
    found: Localizations, field: tuple[float, float], border_nm: float
) -> Localizations:
    """Return `found` with its lateral positions drawn at random inside the border."""
    rng = generator(2016, 1)  # two keys: no truth drawn from a plain seed is met again
    height, width = field
    return found.with_columns(
        x_nm=rng.uniform(border_nm, width - border_nm, len(found)),
        y_nm=rng.uniform(border_nm, height - border_nm, len(found)),
    )


def _field(field_nm: float | tuple[float, float]) -> tuple[float, float]:
    if isinstance(field_nm, tuple):
        height, width = field_nm
        return float(height), float(width)
    return float(field_nm), float(field_nm)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")


def _root(square: np.ndarray) -> float:
    return float(np.sqrt(square.mean())) if len(square) else float("nan")
