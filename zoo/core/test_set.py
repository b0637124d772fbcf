"""Frozen test sets: what a package is scored on, and how."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Self, cast

import numpy as np

from zoo.core.bench import Bench
from zoo.core.config import Kind
from zoo.core.names import label
from zoo.core.products import Products

Metrics = dict[str, dict[str, dict[str, Any]]]
"""Group, condition, metric."""


class Case(NamedTuple):
    """One recording of a test set."""

    name: str
    """Group and condition, such as ``density/3``; several cases may share one."""
    input: Any
    """What a user would give to ``zoo predict``: an array or a table."""
    truth: Any
    """What is true about it, as the test set scores it."""
    pixel_size_nm: float | None = None
    """Edge of a pixel of the input, nm."""
    facts: Any = None
    """What else the test set or a baseline must know."""


class ScoreTable(NamedTuple):
    """Scores laid out for people."""

    corner: str
    """Heading of the conditions."""
    columns: dict[str, str]
    """Metric to heading, in order."""
    rows: dict[str, Mapping[str, Any]]
    """Condition to metrics."""


class TestSet(Kind, ABC):
    """Frozen cases that follow from a declaration alone, and their scores."""

    __test__ = False  # for pytest: no class of tests
    home: ClassVar[str] = "zoo.test_sets"
    wanted: ClassVar[Mapping[str, Any]] = {}
    """Options of the prediction without which there is nothing to score."""

    @abstractmethod
    def cases(self) -> Iterator[Case]:
        """Simulate one case after the other; equal declarations give equal cases."""

    @abstractmethod
    def example(self) -> np.ndarray:
        """Return one input of the network, ([z,] y, x, c) float32, to show and test."""

    def scene(self) -> np.ndarray | None:
        """Return a larger input for the cover, if the example shows too little."""
        return None

    @abstractmethod
    def score(self, case: Case, found: Products) -> Any:
        """Return the evidence of one case; what `metrics` needs and no more.

        Raises
        ------
        BadInput
            If the products are not of the kind that this test set scores.
        """

    @abstractmethod
    def metrics(self, scored: Sequence[tuple[str, Any]]) -> Metrics:
        """Return the metrics of a package from names and evidence of all cases.

        Units end the names of metrics; one that does not exist is None.
        """

    @abstractmethod
    def perfect(self, case: Case) -> Products:
        """Return the products of a package that makes no mistake."""

    @abstractmethod
    def nothing(self, case: Case) -> Products:
        """Return the products of a package that finds nothing."""

    def covers(self) -> dict[str, tuple[float, float]]:
        """Return the ranges that cases span, by names of training conditions."""
        return {}

    def calibrating(self) -> Self | None:
        """Return a further set to measure errors on that are to be stated.

        Its cases differ from those that are scored; None if this set knows no errors.
        """
        return None

    def bench(self) -> Bench | None:
        """Return the microscope of the cases, on which any sample can be put.

        None by default; test sets of image packages offer one where they can, and
        `zoo.test_sets.invention` uses it.
        """
        return None

    def reduced(self) -> Self:
        """Return the smallest set in which every metric of this one has a value.

        The set itself by default; for tests.
        """
        return self

    def headlines(self, metrics: Metrics) -> Metrics:
        """Return the metrics that are told first."""
        return metrics

    def tables(self, metrics: Metrics) -> list[ScoreTable]:
        """Lay the metrics out for a card; one table per group by default."""
        return group_tables(metrics)


def group_tables(metrics: Metrics) -> list[ScoreTable]:
    """Return one table per group, a column for every number that any condition has."""
    tables: list[ScoreTable] = []
    for group, conditions in metrics.items():
        names = dict.fromkeys(
            name
            for row in conditions.values()
            for name, value in row.items()
            if isinstance(value, (int, float))
        )
        columns = {name: heading(name) for name in names}
        tables.append(ScoreTable(group, columns, dict(conditions)))
    return tables


def heading(metric: str) -> str:
    """Return the heading of a column of metrics.

    Examples
    --------
    >>> heading("rmse_lateral_nm")
    'RMSE lateral [nm]'
    """
    words, unit = label(metric)
    return f"{words} [{unit}]" if unit else words


def find_metric(metrics: Mapping[str, Any], path: str) -> float | None:
    """Return the score that is named as ``group/condition/name``, None if it is not.

    Examples
    --------
    >>> find_metric({"density": {"3": {"jaccard": 0.9}}}, "density/3/jaccard")
    0.9
    """
    value: Any = metrics
    for key in path.split("/"):
        if not isinstance(value, Mapping) or key not in value:
            return None
        value = cast("Mapping[str, Any]", value)[key]
    return float(value) if isinstance(value, (int, float)) else None
