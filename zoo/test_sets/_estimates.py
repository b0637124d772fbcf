"""Evidence about estimates of single emitters, and what is made of it."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.core.localizations import Localizations
from zoo.core.test_set import Metrics, ScoreTable
from zoo.metrics.estimates import (
    bias_over_bound,
    calibration_error,
    coverage,
    rmse_over_bound,
)
from zoo.physics.fisher import EmitterBound

AXES = {"x": "x_nm", "y": "y_nm", "z": "z_nm"}
"""Positions by the letter that ends the name of their metrics."""

DEVIATIONS = {a: f"uncertainty_{a}_nm" for a in AXES}
"""Columns of their stated standard deviations."""

SIGNALS = {"photons": "photons", "background": "background_photons"}
"""Other parameters, likewise."""

_ERRORS = {
    **{f"rmse_over_crlb_{name}": f"RMSE / bound {name}" for name in (*AXES, *SIGNALS)},
    **{f"fitted_over_crlb_{name}": f"fit / bound {name}" for name in AXES},
}
_HONESTY = {
    **{f"bias_over_crlb_{name}": f"bias / bound {name}" for name in AXES},
    "within_1_sigma": "within 1 sigma",
    "within_2_sigma": "within 2 sigma",
    "calibration_error": "calibration error",
    "missing": "missing",
}
_LENGTHS = {
    **{f"rmse_{name}_nm": f"RMSE {name} [nm]" for name in AXES},
    "centroid_over_crlb_x": "centroid / bound x",
    "centroid_over_crlb_y": "centroid / bound y",
}
_BY_DEPTH = {
    **{f"rmse_over_crlb_{name}": f"RMSE / bound {name}" for name in AXES},
    **{f"bias_over_crlb_{name}": f"bias / bound {name}" for name in AXES},
}
_MOVIES = {
    "emitters": "emitters",
    "recall": "recall",
    "precision": "precision",
    "false_per_frame": "false per frame",
    "rmse_lateral_nm": "RMSE lateral [nm]",
    "rmse_axial_nm": "RMSE axial [nm]",
    **{f"median_over_crlb_{name}": f"median / bound {name}" for name in AXES},
}


class Known(NamedTuple):
    """What is known about the regions of a case beside the truth."""

    depth: np.ndarray
    """(n,) number of the depth."""
    bounds: EmitterBound
    """Cramér-Rao bounds, (n,) each."""
    images: np.ndarray
    """(n, y, x) the regions, photons."""


class Estimates(NamedTuple):
    """Evidence of one case: a column per parameter, NaN where nothing was returned."""

    truth: Localizations
    """True parameters."""
    known: Known
    """Depths and bounds."""
    found: dict[str, np.ndarray]
    """Estimates and stated deviations by the name of their column."""
    fitted: dict[str, np.ndarray]
    """Estimates by maximum likelihood under the optics of the package."""
    centroid: dict[str, np.ndarray]
    """Centres of gravity."""


def pooled_values(
    parts: Sequence[Estimates], depth: int | None = None
) -> dict[str, Any]:
    """Return the metrics of some conditions together, at one depth or all of them."""
    values: dict[str, Any] = {}

    def together(column: Callable[[Estimates], np.ndarray | None]) -> np.ndarray:
        arrays: list[np.ndarray] = []
        for part in parts:
            array = column(part)
            if array is None:
                array = np.full(len(part.truth), np.nan)
            arrays.append(array if depth is None else array[part.known.depth == depth])
        return np.concatenate(arrays)

    def put(name: str, value: float | None) -> None:
        if value is not None:
            values[name] = round(value, 4)

    layer = together(lambda part: part.known.depth)
    pooled: list[tuple[np.ndarray, np.ndarray]] = []
    for letter, column in (AXES | SIGNALS).items():
        truth = together(lambda part, c=column: getattr(part.truth, c))
        bounds = together(lambda part, c=column: getattr(part.known.bounds, c))
        errors = together(lambda part, c=column: part.found.get(c)) - truth
        put(f"rmse_over_crlb_{letter}", rmse_over_bound(errors, bounds))
        put(f"bias_over_crlb_{letter}", bias_over_bound(errors, bounds, layer))
        if letter in AXES:
            stated = together(lambda part, c=letter: part.found.get(DEVIATIONS[c]))
            pooled.append((errors, stated))
            unit = letter + "_nm"
            kept = errors[np.isfinite(errors)]
            put(f"rmse_{unit}", rmse_over_bound(kept, np.ones(len(kept))))
        for method in ("fitted", "centroid"):
            other = together(lambda part, m=method, c=column: getattr(part, m).get(c))
            put(f"{method}_over_crlb_{letter}", rmse_over_bound(other - truth, bounds))
    errors, stated = (
        np.concatenate(list(arrays)) for arrays in zip(*pooled, strict=True)
    )
    put("within_1_sigma", coverage(errors, stated, 1.0))
    put("within_2_sigma", coverage(errors, stated, 2.0))
    put("calibration_error", calibration_error(errors, stated))
    values["missing"] = int(np.count_nonzero(~np.isfinite(pooled[0][0])))
    return values


def score_tables(metrics: Metrics) -> list[ScoreTable]:
    """Lay out errors over bounds beside the baselines, calibration, and depths."""
    layout = (
        ("nominal", "photons", _ERRORS),
        ("nominal", "photons", _HONESTY),
        ("nominal", "photons", _LENGTHS),
        ("edge", "edge of the range", _ERRORS),
        ("edge", "edge of the range", _HONESTY),
        ("depth", "depth [nm]", _BY_DEPTH),
        ("movie", "movie, emitters/µm²", _MOVIES),
    )
    tables: list[ScoreTable] = []
    for group, corner, columns in layout:
        rows = {
            name.replace("minus_", "-").replace("_", " "): row
            for name, row in metrics.get(group, {}).items()
        }
        shown = {
            name: heading
            for name, heading in columns.items()
            if any(row.get(name) is not None for row in rows.values())
        }
        if shown:
            tables.append(ScoreTable(corner, shown, dict(rows)))
    return tables
