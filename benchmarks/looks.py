r"""What it is worth to show a network every frame from several sides.

    python benchmarks/looks.py pssr_em --every 4
    python benchmarks/looks.py deep_storm3d_tetrapod --looks 1 2 4 --seed 77 \
        --threshold 0.03 0.05 --metric emitters/34/jaccard
    python benchmarks/looks.py deep_storm3d_tetrapod --looks 1 2 --refine \
        --metric emitters/34/jaccard --metric emitters/34/rmse_axial_nm

The output is the mean over 1, 2, 4 and 8 flips and turns of the frame
(``zoo predict --looks``); scores are means over conditions of the frozen test set of
the package, of every n-th of its cases, or of frames apart from it (another seed),
beside the time against the first row.  Of localizations, name the metrics; those in a
volume can also be refined by a fit.
"""

import argparse
import itertools
import json
import time
from typing import Any

import numpy as np
from common import print_row

from zoo.core.test_set import find_metric
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.predict.predictor import Predictor

LOOKS = (1, 2, 4, 8)
SCORES = ("psnr", "ssim", "ms_ssim")
WIDTH = 10


def scores(
    name: str,
    *,
    every: int = 1,
    seed: int | None = None,
    metrics: list[str] | None = None,
    **options: Any,
) -> dict[str, float]:
    """Return scores of a package's test set, and the seconds that it took.

    Parameters
    ----------
    name
        Package.
    every
        Cases of the test set that are used: every n-th.
    seed
        In place of the seed of the frozen set.
    metrics
        Paths into what the test set scores; by default means over all conditions.
    **options
        Of the predictor.
    """
    test_set: Any = frozen_test_set(open_package(name))
    if seed is not None:
        test_set = test_set.override(seed=seed)
    predictor = Predictor(name, **options, **test_set.wanted)
    scored: list[tuple[str, Any]] = []
    seconds = 0.0
    for case in list(test_set.cases())[::every]:
        began = time.perf_counter()
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        seconds += time.perf_counter() - began
        scored.append((case.name, test_set.score(case, result)))
    found: dict[str, Any] = test_set.metrics(scored)
    if metrics:
        values = {name: find_metric(found, name) for name in metrics}
        known = {name: value for name, value in values.items() if value is not None}
        return known | {"seconds": seconds}
    rows = [row for group in found.values() for row in group.values()]
    means: dict[str, float] = {}
    for score in SCORES:
        given = [row[score] for row in rows if score in row]
        if given:
            means[score] = float(np.nanmean(given))
    return means | {"seconds": seconds}


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="that can be shown frames from several sides")
    parser.add_argument("--looks", type=int, nargs="+", default=LOOKS)
    parser.add_argument("--every", type=int, default=1, help="n-th case only, 1")
    parser.add_argument("--seed", type=int, help="of the cases, the frozen set's")
    parser.add_argument("--threshold", type=float, nargs="+", help="of localizations")
    parser.add_argument(
        "--refine", action="store_true", help="and localizations fitted"
    )
    parser.add_argument("--metric", action="append", help="as in metrics.json")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    images = chosen.metric is None
    common: dict[str, Any] = {"uncertainty": False} if images else {}
    names = chosen.metric or list(SCORES)
    thresholds = [{"threshold": t} for t in chosen.threshold or ()] or [{}]
    # frames of the test sets count photons
    fit = {"refine": True, "offset_adu": 0.0, "photons_per_adu": 1.0}
    fits: list[dict[str, Any]] = [{}, fit] if chosen.refine else [{}]
    widths = (6, 10, 7, *(max(WIDTH, len(name) + 2) for name in names), 8)
    found: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("looks", "threshold", "fitted", *names, "time"), widths)
    for looks in chosen.looks:
        for threshold, refined in itertools.product(thresholds, fits):
            row: dict[str, Any] = {"looks": looks, "fitted": bool(refined)} | threshold
            row |= scores(
                chosen.package,
                every=chosen.every,
                seed=chosen.seed,
                metrics=chosen.metric,
                looks=looks,
                **threshold,
                **refined,
                **common,
            )
            found.append(row)
            if not chosen.json:
                cells = [f"{row[name]:.3f}" if name in row else "-" for name in names]
                level = f"{threshold['threshold']:g}" if threshold else "-"
                ratio = row["seconds"] / found[0]["seconds"]
                fitted = "yes" if refined else "no"
                print_row((looks, level, fitted, *cells, f"{ratio:.1f}"), widths)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
