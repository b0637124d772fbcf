"""Scores against the threshold, on simulated frames apart from the frozen test set.

Usage: python benchmarks/threshold.py NAME [FRAMES]
"""

import sys

import numpy as np

from zoo import catalog
from zoo.evaluate.localizations import score
from zoo.predict.predictor import Predictor

SEED = 77
"""Not the seed of the frozen test set, nor one of training."""
THRESHOLDS = (0.2, 0.3, 0.4, 0.5, 0.6)


def main(name: str, frames: int = 20) -> None:
    """Print Jaccard and error at each threshold and density, and false findings."""
    benchmark = catalog.recipe(name).benchmark.override(
        seed=SEED,
        frames=frames,
        isolated_frames=2,
        empty_frames=5 * frames,
        photon_levels=(1000.0,),
    )
    predictor = Predictor(name, threshold=min(THRESHOLDS))
    field_nm = benchmark.field_px * benchmark.pixel_size_nm
    print("recording            threshold  jaccard  rmse nm  false/100 frames")
    for recording in benchmark.recordings():
        found = predictor.predict(
            recording.counts, pixel_size_nm=benchmark.pixel_size_nm
        ).localizations
        for threshold in THRESHOLDS:
            kept = found.select(np.asarray(found.confidence) > threshold)
            label = f"{recording.name} {recording.camera:<8} {threshold:>10.1f}"
            if recording.name.startswith("empty"):
                rate = 100 * len(kept) / len(recording.counts)
                print(f"{label:<31}  {'':>7}  {'':>7}  {rate:.1f}")
                continue
            scores = score(recording.truth, kept, field_nm=field_nm)
            print(
                f"{label:<31}  {scores['jaccard']:.3f}    "
                f"{scores['rmse_lateral_nm']:.1f}"
            )


if __name__ == "__main__":
    main(sys.argv[1], *(int(argument) for argument in sys.argv[2:3]))
