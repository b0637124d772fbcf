"""What it is worth to show an image network every frame from several sides.

    python benchmarks/looks.py pssr_em --every 4

The image is the mean over 1, 2, 4 and 8 flips and turns of the frame
(``zoo predict --looks``); scores are means over conditions of the frozen test set of
the package, or of every n-th of its images, beside the time against a single look.
"""

import argparse
import json
import time
from typing import Any

import numpy as np
from common import print_row

from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.predict.predictor import Predictor

LOOKS = (1, 2, 4, 8)
SCORES = ("psnr", "ssim", "ms_ssim")
WIDTHS = (6, 10, 10, 10, 8)


def scores(name: str, looks: int, *, every: int) -> dict[str, float]:
    """Return mean scores of a package's test set, and the seconds that it took."""
    test_set = frozen_test_set(open_package(name))
    predictor = Predictor(name, looks=looks, uncertainty=False, **test_set.wanted)
    scored: list[tuple[str, Any]] = []
    seconds = 0.0
    for case in list(test_set.cases())[::every]:
        began = time.perf_counter()
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        seconds += time.perf_counter() - began
        scored.append((case.name, test_set.score(case, result)))
    groups = test_set.metrics(scored).values()
    rows = [row for group in groups for row in group.values()]
    found = {"seconds": seconds}
    for score in SCORES:
        values = [row[score] for row in rows if score in row]
        if values:
            found[score] = float(np.nanmean(values))
    return found


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("package", help="that makes images")
    parser.add_argument("--every", type=int, default=1, help="n-th image only, 1")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    found: list[dict[str, float]] = []
    if not chosen.json:
        print_row(("looks", *SCORES, "time"), WIDTHS)
    for looks in LOOKS:
        row = {"looks": looks} | scores(chosen.package, looks, every=chosen.every)
        found.append(row)
        if not chosen.json:
            cells = [f"{row[s]:.3f}" if s in row else "-" for s in SCORES]
            ratio = row["seconds"] / found[0]["seconds"]
            print_row((looks, *cells, f"{ratio:.1f}"), WIDTHS)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
