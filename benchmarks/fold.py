"""Deep-STORM in ONNX Runtime: published graph, folded enlargements, fast package.

    python benchmarks/fold.py [--edge 64] [--rounds 5]

The first two graphs are exported from the packaged weights, the third is the packaged
one; all are timed in turns in one run.  The processor time of one thread is counted,
which a busy machine does not change much.
"""

import argparse
import tempfile
import time
from pathlib import Path

import numpy as np
import onnxruntime

from zoo.io.package import specs_folder
from zoo.layers import fold
from zoo.package import export

FAST = "deep_storm_fast_microtubules"


def session(path: Path) -> onnxruntime.InferenceSession:
    """Return a graph ready to run on one thread."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(str(path), options)


def main() -> None:
    """Print processor seconds per frame, the ratio and the largest difference."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--edge", type=int, default=64, help="edge of a frame, px")
    parser.add_argument("--rounds", type=int, default=5)
    arguments = parser.parse_args()
    specs = specs_folder()
    assert specs is not None, "run this from a checkout"  # noqa: S101
    model = export.load_keras(specs / "deep_storm_microtubules" / "weights.keras")
    frame = np.random.default_rng(0).random(
        (1, arguments.edge, arguments.edge, 1), np.float32
    )
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "folded.onnx"
        export.export_onnx(model, path)
        sessions = {"folded": session(path)}
        plain = Path(folder) / "plain.onnx"
        plain.write_bytes(export._onnx_bytes(export.as_float32(model)))
        sessions["plain"] = session(plain)
        sessions["fast"] = session(specs / FAST / "model.onnx")
        seconds: dict[str, list[float]] = {name: [] for name in sessions}
        outputs = {}
        for _ in range(arguments.rounds + 1):
            for name, one in sessions.items():
                start = time.process_time()
                outputs[name] = one.run(None, {one.get_inputs()[0].name: frame})[0]
                seconds[name].append(time.process_time() - start)
    best = {name: min(values[1:]) for name, values in seconds.items()}
    difference = np.abs(outputs["folded"] - outputs["plain"]).max()
    largest = np.abs(outputs["plain"]).max()
    for name, value in best.items():
        print(f"{name:8} {value:.3f} s of processor time per frame")
    for name in ("folded", "fast"):
        print(f"{name:8} {best['plain'] / best[name]:.2f} times less than plain")
    print(f"fast     {best['folded'] / best['fast']:.2f} times less than folded")
    print(f"largest difference {difference / largest:.1e} of the largest output")
    assert len(fold.foldable(model)) == 3  # noqa: S101


if __name__ == "__main__":
    main()
