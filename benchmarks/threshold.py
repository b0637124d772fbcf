"""How localizations are made of a density: scores on frames apart from the test set.

    python benchmarks/threshold.py deep_storm_fast_microtubules --frames 30

Every threshold by windows around maxima and by the response that is shared out among
them (`zoo.tasks.crowding`), then other reaches and other shares that count as two.
Columns: Jaccard index at 250 nm of uniform emitters; on crowded filaments Jaccard index
at 50 and 100 nm, what is left of the first beyond chance, precision at 50 nm, and found
to true emitters; false localizations per 100 frames without emitters, with a static
haze, and with isolated wide spots.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from typing import Any

import numpy as np
from common import print_row

from zoo import catalog
from zoo.core.test_set import Case
from zoo.metrics.crowds import crowd_scores, false_per_100_frames
from zoo.metrics.localizations import score
from zoo.predict.predictor import Predictor
from zoo.tasks.crowding import Crowding
from zoo.tasks.density import Density
from zoo.test_sets.filaments import FilamentTestSet

SEED = 77
"""Not the seed of the frozen test set, nor one of training."""
THRESHOLDS = (0.3, 0.4, 0.5, 0.6)
REACHES_PX, TWO = (5.0, 9.0), (1.5, 2.0)
WIDTHS = (32, 9, 9, 9, 9, 9, 9, 8, 8, 8)
TITLES = ("uniform", "J 50", "net", "J 100", "prec. 50", "count")
FALSE = ("empty", "haze", "wide")


def settings(task: Density) -> Iterator[tuple[str, Density]]:
    """Yield the ways to compare: what they are, and the task that goes them."""
    shared = task.crowding or Crowding()
    for threshold in THRESHOLDS:
        changed = task.override(threshold=threshold)
        yield f"windows, {threshold}", changed.override(window_px=7, crowding=None)
    ways = [(threshold, shared) for threshold in THRESHOLDS]
    ways += [(0.5, shared.override(reach_px=reach)) for reach in REACHES_PX]
    ways += [(0.5, shared.override(two_above=share)) for share in TWO]
    for threshold, crowding in ways:
        label = (
            f"shared, {threshold}, {crowding.reach_px:g} px, two {crowding.two_above:g}"
        )
        changed = task.override(threshold=threshold, window_px=5, crowding=crowding)
        yield label, changed


def frames_of(test_set: FilamentTestSet, frames: int) -> list[Case]:
    """Return uniform emitters, crowds and frames without any."""
    fewer = test_set.override(
        seed=SEED,
        filament_seed=SEED,
        frames=max(frames // 4, 1),
        isolated_frames=2,
        empty_frames=1,
        filament_frames=3,
        movie_frames=max(frames, 3),
        bundled_frames=4,
        false_frames=2 * frames,
        photon_levels=(1000.0,),
    )
    wanted = ("density", "dense", "false")
    return [c for c in fewer.cases() if c.name.partition("/")[0] in wanted]


def scores(predictor: Predictor, cases: list[Case], field_nm: float) -> dict[str, Any]:
    """Return the means over densities and cameras of what is printed."""
    values: dict[str, list[float]] = defaultdict(list)
    for case in cases:
        result = predictor.predict(
            case.input, pixel_size_nm=case.pixel_size_nm, progress=lambda *_: None
        )
        table, frames = result.localizations, len(case.input)
        group, _, condition = case.name.partition("/")
        if group == "false":
            rate = false_per_100_frames(case.truth, table, frames=frames)
            values[condition].append(rate)
        elif group == "density":
            found = score(case.truth, table, field_nm=field_nm)
            values["uniform"].append(found["jaccard"])
        else:
            found = crowd_scores(case.truth, table, field_nm=field_nm, frames=frames)
            names = ("jaccard_50", "jaccard_50_net", "jaccard_100", "precision_50")
            for name in (*names, "count_ratio"):
                values[name].append(found[name])
    return {name: round(float(np.mean(each)), 3) for name, each in values.items()}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="of localizations in a plane")
    parser.add_argument("--frames", type=int, default=30, help="of crowds, 30")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    test_set = catalog.recipe(chosen.package).test_set
    predictor = Predictor(chosen.package)
    contract = predictor.contract
    if not isinstance(test_set, FilamentTestSet):
        parser.error(f"{chosen.package} is not tested on filaments")
    if not chosen.json:
        print_row(("", *TITLES, *FALSE), WIDTHS)
    cases = frames_of(test_set, chosen.frames)
    found: list[dict[str, Any]] = []
    for label, task in settings(contract.task):
        predictor.contract = contract.override(task=task)
        row = {"way": label} | scores(predictor, cases, test_set.field_nm)
        found.append(row)
        if not chosen.json:
            names = ("uniform", "jaccard_50", "jaccard_50_net", "jaccard_100")
            names = ("way", *names, "precision_50", "count_ratio", *FALSE)
            print_row([row[name] for name in names], WIDTHS)
    if chosen.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
