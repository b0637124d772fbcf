"""Scores against the threshold, on simulated frames apart from the frozen test set.

Usage: python benchmarks/threshold.py NAME [FRAMES]
"""

import sys

import numpy as np
from common import print_row

from zoo import catalog
from zoo.metrics.localizations import score
from zoo.predict.predictor import Predictor
from zoo.test_sets.emitters import EmitterTestSet

SEED = 77
"""Not the seed of the frozen test set, nor one of training."""
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)
WIDTHS = (22, 11, 9, 9, 18)


def main(name: str, frames: int = 20) -> None:
    """Print Jaccard and error at each threshold and density, and false findings."""
    declared = catalog.recipe(name).test_set
    if not isinstance(declared, EmitterTestSet):
        sys.exit(f"{name} is not tested on emitters")
    test_set = declared.override(
        seed=SEED,
        frames=frames,
        isolated_frames=2,
        empty_frames=5 * frames,
        photon_levels=(1000.0,),
    )
    predictor = Predictor(name, threshold=min(THRESHOLDS))
    field_nm = test_set.field_px * test_set.pixel_size_nm
    heads = ("movie", "threshold", "jaccard", "rmse nm", "false/100 frames")
    print_row(heads, WIDTHS)
    for case in test_set.cases():
        result = predictor.predict(case.input, pixel_size_nm=case.pixel_size_nm)
        table = test_set.score(case, result).localizations
        for threshold in THRESHOLDS:
            kept = table.select(np.asarray(table.response) > threshold)
            cells = (f"{case.name} {case.facts}", f"{threshold:.1f}")
            if case.name.startswith("empty"):
                rate = 100 * len(kept) / len(case.input)
                print_row((*cells, "", "", f"{rate:.1f}"), WIDTHS)
                continue
            scores = score(case.truth, kept, field_nm=field_nm)
            jaccard, rmse_nm = scores["jaccard"], scores["rmse_lateral_nm"]
            print_row((*cells, f"{jaccard:.3f}", f"{rmse_nm:.1f}", ""), WIDTHS)


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:3]))
