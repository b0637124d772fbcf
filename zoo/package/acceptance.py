"""What a recipe requires of published weights, and how many of its bounds hold."""

from typing import TYPE_CHECKING, NamedTuple

from zoo.core.recipe import Threshold
from zoo.core.test_set import Metrics, find_metric
from zoo.package.trained import read_metrics

if TYPE_CHECKING:
    from collections.abc import Sequence

    from zoo.core.recipe import Recipe
    from zoo.package.trained import Trained

EVERY_IMAGE = (
    Threshold(metric="invention/noise/false_filaments_per_100_um2", at_most=0.5),
    Threshold(metric="invention/noise/false_spots_per_100_um2", at_most=2.0),
    Threshold(metric="image_uncertainty/all/rank_element", at_least=0.5),
)
"""What is required of every image package for which it was measured."""


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
    if metrics is None:
        return None
    bounds = bounds_of(trained.recipe, metrics)
    return within(bounds, metrics) if bounds else None


def bounds_of(recipe: "Recipe", metrics: Metrics) -> tuple[Threshold, ...]:
    """Return what is required of a package: its recipe's bounds, and those of its kind.

    Every image package that was tested for what it invents must make next to nothing
    out of pure noise, and an uncertainty must predict the error, unless its recipe has
    bounds of its own on the same.
    """
    own = {bound.metric for bound in recipe.acceptance}
    further = tuple(
        bound
        for bound in EVERY_IMAGE
        if bound.metric.partition("/")[0] in metrics and bound.metric not in own
    )
    return recipe.acceptance + further


def within(bounds: "Sequence[Threshold]", metrics: Metrics) -> Accepted:
    """Compare scores with bounds; a score that is missing holds none."""
    missed: list[str] = []
    for bound in bounds:
        value = find_metric(metrics, bound.metric)
        if value is None or not bound.holds(value):
            what = "has no value" if value is None else f"= {value:.4g}"
            missed.append(f"{bound.metric} {what}")
    return Accepted(len(bounds), tuple(missed))
