"""Scores of a table of localizations against its truth, whole and in parts."""

from typing import Any

import numpy as np

from zoo.core.localizations import Localizations
from zoo.core.test_set import Metrics
from zoo.metrics import localizations as metrics
from zoo.metrics.resolution import frc_localizations_nm


def localization_metrics(
    truth: Localizations, found: Localizations, *, field_nm: tuple[float, float] | None
) -> Metrics:
    """Return the challenge's scores, the recall in bins and the FRC of a table.

    Parameters
    ----------
    truth, found
        Tables in the same coordinates.
    field_nm
        ``(height, width)`` of the field.  Without it nothing is known about the
        border, and nothing is left out at it.
    """
    border = metrics.BORDER_NM
    if field_nm is None:
        truth, found, field_nm = _around(truth, found)
        border = 0.0
    elif 2 * border >= min(field_nm):
        border = 0.0
    scores = metrics.score(truth, found, field_nm=field_nm, border_nm=border)
    scores["frc_nm"] = frc_localizations_nm(found, field_nm=field_nm)
    grouped: Metrics = {"localizations": {"all": scores}}
    inside = metrics.inside(truth, field_nm=field_nm, border_nm=border)
    kept = truth.select(inside)
    seen = metrics.detected_rows(kept, metrics.match(kept, found))
    # those beyond the border are neighbours, too; nobody is farther than a metre
    neighbours = np.minimum(metrics.nearest_neighbour_nm(truth)[inside], 1e9)
    grouped["recall by distance to the next emitter"] = _bins(
        metrics.recall_by(neighbours, seen, edges=[0, 100, 200, 300, 500, np.inf]), "nm"
    )
    if kept.photons is not None and len(kept):
        edges = np.unique(np.quantile(kept.photons, [0, 0.25, 0.5, 0.75, 1]))
        edges[-1] = np.nextafter(edges[-1], np.inf)
        if len(edges) > 1:
            grouped["recall by photons"] = _bins(
                metrics.recall_by(kept.photons, seen, edges=edges.tolist()), "photons"
            )
    return grouped


def _around(
    truth: Localizations, found: Localizations
) -> tuple[Localizations, Localizations, tuple[float, float]]:
    """Return both tables moved into the smallest field that holds them.

    Coordinates that are not negative stay as they are.
    """
    low = {
        name: min(0.0, *(getattr(t, name).min(initial=0.0) for t in (truth, found)))
        for name in ("x_nm", "y_nm")
    }
    moved = [
        t.with_columns(x_nm=t.x_nm - low["x_nm"], y_nm=t.y_nm - low["y_nm"])
        for t in (truth, found)
    ]
    height = max(float(t.y_nm.max(initial=1.0)) for t in moved)
    width = max(float(t.x_nm.max(initial=1.0)) for t in moved)
    return moved[0], moved[1], (height, width)


def _bins(bins: list[dict[str, float]], unit: str) -> dict[str, dict[str, Any]]:
    def name(entry: dict[str, float]) -> str:
        if entry["high"] == float("inf"):
            return f"{entry['low']:.0f} {unit} and more"
        return f"{entry['low']:.0f} to {entry['high']:.0f} {unit}"

    return {
        name(entry): {"emitters": entry["emitters"], "recall": entry["recall"]}
        for entry in bins
        if entry["emitters"]
    }
