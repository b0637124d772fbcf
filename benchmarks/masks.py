r"""Phase masks after equal training: what networks find behind each, and how deep.

    zoo train deep_storm3d_fast_tetrapod -o runs/tetrapod
    zoo train deep_storm3d_fast_tetrapod -o runs/other \
        --set "source.optics.zernikes_rad=[[2, 0, 0.7709], [2, 2, -1.6653], ...]"
    zoo package runs/tetrapod -o dist --name tetrapod
    zoo package runs/other -o dist --name other
    python benchmarks/masks.py dist/tetrapod dist/other --threshold 0.05 0.08

Packages of one network that were trained alike on frames behind different masks (of
modes as above, of images with ``source.optics=mask.npy``), scored on frames of several
seeds without their border, which the crops of a training leave out.  Columns: Jaccard
index, precision, recall, lateral and axial root mean square errors; below, the recall
by depth in eight parts of the range.
"""

import argparse
import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import print_row

from zoo.core.localizations import Localizations
from zoo.core.products import Products, Table
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.library import open_package
from zoo.metrics.matching import match
from zoo.predict.predictor import Predictor
from zoo.test_sets.dense_emitters import MATCH_NM, DenseEmitterTestSet

SEEDS = (20203, 77, 78, 79)
"""The first is that of the frozen sets."""
NAMES = ("jaccard", "precision", "recall", "rmse_lateral_nm", "rmse_axial_nm")
DEPTHS = 8
WIDTHS = (28, 11, 10, 10, 11, 8, 16, 14)


def inner(found: Localizations, test_set: DenseEmitterTestSet) -> Localizations:
    """Return the localizations of the part of a frame that has emitters."""
    low = (test_set.border_px - 0.5) * test_set.pixel_size_nm
    high = test_set.size_px * test_set.pixel_size_nm - low
    x, y = found.x_nm, found.y_nm
    return found.select((x > low) & (x < high) & (y > low) & (y < high))


def were_found(truth: Localizations, found: Localizations) -> np.ndarray:
    """Say of every emitter whether a localization belongs to it, (n,)."""
    pairs = match(truth, found, radius_nm=MATCH_NM, axial_radius_nm=MATCH_NM)
    hit = np.zeros(len(truth), bool)
    hit[pairs.truth] = True
    return hit


def scores(package: str, threshold: float | None) -> Iterator[dict[str, Any]]:
    """Yield the means over seeds for every number of emitters above one."""
    base = frozen_test_set(open_package(package))
    if not isinstance(base, DenseEmitterTestSet):
        raise SystemExit(f"{package} finds no emitters in a volume")
    options = {} if threshold is None else {"threshold": threshold}
    predictor = Predictor(package, looks=1, **options)
    rows: dict[str, list[dict[str, float]]] = defaultdict(list)
    depths: dict[str, list[np.ndarray]] = defaultdict(list)
    for seed in SEEDS:
        test_set = base.override(seed=seed)
        for case in test_set.cases():
            group, _, count = case.name.partition("/")
            if group != "emitters" or count == "1":
                continue
            result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
            kept = inner(result.localizations, test_set)
            scored = test_set.score(case, Products([Table("localizations", kept)]))
            rows[count].append(test_set.metrics([(case.name, scored)])[group][count])
            hit = were_found(case.truth, kept)
            depths[count].append(np.stack([np.asarray(case.truth.z_nm), hit]))
    for count, values in rows.items():
        z_nm, hit = np.concatenate(depths[count], axis=1)
        edges = np.linspace(*base.z_nm, DEPTHS + 1)[1:-1]
        part = np.digitize(z_nm, edges)
        yield {
            "package": package,
            "threshold": threshold or predictor.contract.task.threshold,
            "emitters": int(count),
            **{name: float(np.mean([v[name] for v in values])) for name in NAMES},
            "by_depth": [float(hit[part == n].mean()) for n in range(DEPTHS)],
        }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("packages", nargs="+", help="of networks trained alike")
    parser.add_argument("--threshold", type=float, nargs="+", help="of localizations")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    found: list[dict[str, Any]] = []
    if not chosen.json:
        print_row(("package", "threshold", "emitters", *NAMES), WIDTHS)
    for threshold in chosen.threshold or (None,):
        for package in chosen.packages:
            for row in scores(package, threshold):
                found.append(row)
                if chosen.json:
                    continue
                cells = [f"{row[name]:.3f}" for name in NAMES]
                shown = (Path(package).name, f"{row['threshold']:g}", row["emitters"])
                print_row((*shown, *cells), WIDTHS)
                share = " ".join(f"{value:.2f}" for value in row["by_depth"])
                print(f"    recall by depth {share}", flush=True)
    if chosen.json:
        print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
