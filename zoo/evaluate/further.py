"""Scores of image packages beside those of their frozen test set.

What they invent (`zoo.test_sets.invention`), and whether the uncertainty that they
state predicts the error (`zoo.metrics.reliability`): groups of their own in
``metrics.json`` and tables of their own in the card.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from zoo.core.products import Products
from zoo.core.test_set import Case, Metrics, ScoreTable, TestSet

if TYPE_CHECKING:
    from zoo.predict.predictor import Predictor

INVENTION = "invention"
"""Group of `zoo.test_sets.invention.InventionTestSet`."""
UNCERTAINTY = "image_uncertainty"
"""Group of what an uncertainty is worth."""
OVERALL = "all"
"""Condition of all cases together."""

_HEADLINES = ("noise", "haze", "crossing_60_deg")
_RANKS = {
    "rank_element": "rank correlation",
    "rank_element_squirrel": "error map",
    "rank_element_brightness": "brightness alone",
    "rank_pixel": "of single pixels",
    "rank_pixel_squirrel": "error map",
    "ece_percent": "calibration error [%]",
    "ence_percent": "relative in each bin [%]",
}


class Judgement(NamedTuple):
    """Evidence about the uncertainty of one image."""

    group: str
    """Group of the case."""
    ranks: dict[str, float]
    """Rank correlations with the true error."""
    predicted: np.ndarray
    """Some pixels' standard deviation."""
    error: np.ndarray
    """The error of those, (pixel,)."""


def judgement(case: Case, found: Products) -> Judgement | None:
    """Return evidence about a stated uncertainty; None if none is stated."""
    from zoo.metrics.comparison import means
    from zoo.metrics.reliability import channel_errors, elements, rank_correlation

    main = found.main
    if "uncertainty" not in found.images or main is None:
        return None
    rows: list[dict[str, float]] = []
    pixels: list[tuple[np.ndarray, np.ndarray]] = []
    for channel, error in channel_errors(main, case.truth):
        sigma = np.asarray(found.images["uncertainty"].array[channel], float)
        shown = {"": sigma, "_brightness": np.abs(main.array[channel])}
        if "error_map" in found.images:
            squirrel = found.images["error_map"].array[channel]
            shown["_squirrel"] = np.asarray(squirrel, float)
        ranks: dict[str, float] = {}
        for ending, image in shown.items():
            ranks[f"rank_pixel{ending}"] = rank_correlation(image, error)
            coarse = rank_correlation(elements(image), elements(error))
            ranks[f"rank_element{ending}"] = coarse
        rows.append(ranks)
        pixels.append((sigma.ravel()[::7], error.ravel()[::7]))
    if not rows:
        return None
    predicted, errors = (np.concatenate(parts) for parts in zip(*pixels, strict=True))
    return Judgement(case.name.partition("/")[0], means(rows), predicted, errors)


def uncertainty_metrics(found: Sequence[Judgement]) -> Metrics:
    """Return rank correlations and the reliability diagram, by group and of all.

    ``rank_pixel`` and ``rank_element`` (root mean squares over 4 x 4 px, about the
    resolution) are means over images of Spearman's correlation of the stated standard
    deviation with the true error, the same of the error map and of the brightness of
    the image alone beside them; ``rank_element_least`` is the lowest of an image.
    ``ece_percent`` is the expected calibration error over the mean error, and
    ``ence_percent`` the mean of the relative ones of the bins; ``predicted_<n>`` and
    ``measured_<n>`` are the diagram, in bins with as many pixels each.
    """
    from zoo.metrics.comparison import means
    from zoo.metrics.reliability import reliability

    if not found:
        return {}
    groups: dict[str, list[Judgement]] = {}
    for one in found:
        groups.setdefault(one.group, []).append(one)
    rows: dict[str, dict[str, Any]] = {}
    for name, members in (*groups.items(), (OVERALL, list(found))):
        row = means([member.ranks for member in members])
        row["rank_element_least"] = min(m.ranks["rank_element"] for m in members)
        diagram = reliability(
            np.concatenate([member.predicted for member in members]),
            np.concatenate([member.error for member in members]),
        )
        row["ece_percent"] = 100 * diagram.ece
        row["ence_percent"] = 100 * diagram.ence
        if name == OVERALL:
            for number, pair in enumerate(zip(*diagram, strict=True), start=1):
                row |= dict(
                    zip(
                        (f"predicted_{number}", f"measured_{number}"), pair, strict=True
                    )
                )
        rows[name] = {
            key: float(f"{value:.4g}") if np.isfinite(value) else None
            for key, value in row.items()
        }
    return {UNCERTAINTY: rows}


def invention_metrics(
    predictor: "Predictor",
    test_set: TestSet,
    *,
    progress: Callable[[], None] | None = None,
) -> Metrics:
    """Return what an image package invents; nothing where no bench is offered."""
    if test_set.bench() is None:
        return {}
    from zoo.test_sets.invention import InventionTestSet

    trained = predictor.contract.training.get("photons")
    invented = InventionTestSet(of=test_set, photons=trained)
    scored: list[tuple[str, Any]] = []
    for case in invented.cases():
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        scored.append((case.name, invented.score(case, result)))
        if progress is not None:
            progress()
    return invented.metrics(scored)


def own_metrics(metrics: Mapping[str, Any]) -> Metrics:
    """Return the groups that the frozen test set itself defines."""
    return {k: v for k, v in metrics.items() if k not in (INVENTION, UNCERTAINTY)}


def headlines(test_set: TestSet, metrics: Metrics) -> Metrics:
    """Return the metrics that are told first, those of this module included."""
    first = test_set.headlines(own_metrics(metrics))
    if INVENTION in metrics:
        rows = metrics[INVENTION]
        gaps = [name for name in rows if name.startswith("gap_")]
        middle = gaps[len(gaps) // 2 :][:1]
        kept = {n: r for n, r in rows.items() if n in (*_HEADLINES, *middle)}
        first = first | {INVENTION: kept}
    if OVERALL in metrics.get(UNCERTAINTY, {}):
        row = metrics[UNCERTAINTY][OVERALL]
        told = {n: v for n, v in row.items() if n.startswith(("rank", "e"))}
        first = first | {UNCERTAINTY: {OVERALL: told}}
    return first


def tables(test_set: TestSet, metrics: Metrics) -> list[ScoreTable]:
    """Lay all metrics out for a card or a terminal."""
    laid = test_set.tables(own_metrics(metrics))
    if INVENTION in metrics:
        from zoo.test_sets.invention import invention_tables

        laid += invention_tables(metrics)
    rows = metrics.get(UNCERTAINTY, {})
    if rows:
        laid.append(ScoreTable("uncertainty and true error", dict(_RANKS), dict(rows)))
    overall = rows.get(OVERALL, {})
    bins = sum(name.startswith("predicted_") for name in overall)
    if bins:
        diagram: dict[str, Mapping[str, Any]] = {
            name: {str(n): overall.get(f"{name}_{n}") for n in range(1, bins + 1)}
            for name in ("predicted", "measured")
        }
        columns = {str(n): str(n) for n in range(1, bins + 1)}
        laid.append(ScoreTable("reliability, tenths of all pixels", columns, diagram))
    return laid
