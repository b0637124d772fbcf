"""What a recipe requires of published weights, and how many of its bounds hold."""

from typing import TYPE_CHECKING, NamedTuple

from zoo.core.recipe import Threshold
from zoo.core.test_set import Metrics, find_metric
from zoo.package.trained import read_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.package.trained import Trained


class Accepted(NamedTuple):
    """How scores lie within the bounds of a recipe."""

    of: int
    """Bounds of the recipe."""
    missed: tuple[str, ...]
    """Those that do not hold, with what was measured."""

    @property
    def held(self) -> int:
        """Bounds that hold."""
        return self.of - len(self.missed)

    def sentence(self, recipe: str) -> str:
        """Return the outcome in words, to follow the name of the package.

        Examples
        --------
        >>> Accepted(3, ("all/psnr_db = 12",)).sentence("dfcan_sim")
        'holds 2 of the 3 bounds that dfcan_sim requires of published weights'
        """
        return (
            f"holds {self.held} of the {self.of} bounds that {recipe} requires of "
            "published weights"
        )


def accepted(trained: "Trained") -> Accepted | None:
    """Compare scores of a package with its recipe; None if it lacks one of them."""
    metrics = read_metrics(trained.folder)
    bounds = trained.recipe.acceptance
    return None if metrics is None or not bounds else within(bounds, metrics)


def within(bounds: "Sequence[Threshold]", metrics: Metrics) -> Accepted:
    """Compare scores with bounds; a score that is missing holds none."""
    missed: list[str] = []
    for bound in bounds:
        value = find_metric(metrics, bound.metric)
        if value is None or not bound.holds(value):
            what = "has no value" if value is None else f"= {value:.4g}"
            missed.append(f"{bound.metric} {what}")
    return Accepted(len(bounds), tuple(missed))
