"""Speed and memory of prediction, per engine, batch size and stack length.

    python benchmarks/predict.py --quick

Every row is measured in a process of its own: a first prediction of a few frames
loads and compiles everything, the second one is timed; the peak is the largest
resident memory of that process.  The last lines compare, on the same frames, the
faithful package, the fast one, and the published way of running Deep-STORM: frames
enlarged eight times by replication on the host, then `keras.Model.predict` with a
batch of one.
"""

import argparse
import json
import os
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import in_fresh_process, number, peak_mib, print_machine, print_row

FAITHFUL = "deep_storm_microtubules"
FAST = "deep_storm_fast_microtubules"
PUBLISHED = "published way"
WARM_UP_FRAMES = 4
DISTINCT_FRAMES = 50
PIXEL_SIZE_NM = 100.0
HEADER = ("package", "engine", "frame", "frames", "batch", "frames/s", "start s", "MiB")
WIDTHS = (30, 7, 6, 7, 6, 10, 9, 8)


def main() -> None:
    """Measure and print a table."""
    options = _options()
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    packages = {"faithful": options.faithful, "fast": options.fast}
    print_machine(f"{options.size} x {options.size} px frames")
    print_row(HEADER, WIDTHS)
    rates: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as folder:
        for case in cases(packages, size=options.size, quick=options.quick):
            path = Path(folder) / f"{case['frames']}.npy"
            if not path.exists():
                write_movie(path, frames=case["frames"], size=options.size)
            result = in_fresh_process(__file__, case | {"movie": str(path)})
            print_row(
                (
                    case["label"],
                    case["engine"],
                    f"{options.size}²",
                    case["frames"],
                    result.get("batch", "-"),
                    number(result, "rate", ".2f"),
                    number(result, "start", ".2f"),
                    number(result, "peak", ".0f"),
                ),
                WIDTHS,
            )
            if "error" in result:
                print(f"  {result['error']}")
            elif case["batch"] is None:
                way = case["way"]
                rates[way] = max(rates.get(way, 0.0), result["rate"])
    _compare(rates)


def cases(
    packages: dict[str, str], *, size: int, quick: bool
) -> Iterator[dict[str, Any]]:
    """Yield what is measured, a row of the table each."""
    lengths = {"faithful": (10,), "fast": (50, 200)}
    batches: tuple[int | None, ...] = (None, 4)
    if not quick:
        lengths = {"faithful": (20, 100), "fast": (500, 5000)}
        batches = (None, 1, 4, 16)
    for way, package in packages.items():
        for engine in ("onnx", "keras"):
            for batch in batches:
                # the length matters for memory, which one batch size shows
                kept = lengths[way] if batch is None else lengths[way][:1]
                for frames in kept:
                    yield {
                        "way": way,
                        "label": Path(package).name,
                        "package": package,
                        "engine": engine,
                        "batch": batch,
                        "frames": frames,
                        "size": size,
                    }
    yield {
        "way": "published",
        "label": PUBLISHED,
        "package": packages["faithful"],
        "engine": "keras",
        "batch": None,
        "frames": lengths["faithful"][0],
        "size": size,
    }


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case in this process."""
    began = time.perf_counter()
    movie = np.load(case["movie"], mmap_mode="r")
    warm = np.array(movie[:WARM_UP_FRAMES])
    batch: Any = case["batch"]
    if case["way"] == "published":
        run, batch = published_way(case["package"]), 1
        run(warm)
        start = time.perf_counter() - began
        began = time.perf_counter()
        run(movie)
        rate = len(movie) / (time.perf_counter() - began)
    else:
        from zoo.predict.predictor import Predictor

        model = Predictor(case["package"], engine=case["engine"], batch_size=batch)
        model.predict(warm, pixel_size_nm=PIXEL_SIZE_NM)
        start = time.perf_counter() - began
        with tempfile.TemporaryDirectory() as folder:
            result = model.predict_to_folder(
                case["movie"], Path(folder) / "out", pixel_size_nm=PIXEL_SIZE_NM
            )
        # reading, scaling, network and localization; not the reconstruction at the end
        rate = result.report["frames_per_second"]
        batch = result.report["options"]["batch_size"]
    return {
        "rate": rate,
        "start": start,
        "peak": peak_mib(),
        "batch": batch,
    }


def published_way(package: str) -> Any:
    """Return Deep-STORM as its authors run it, with the package's weights.

    The function takes frames (t, y, x) and returns the sum of the clipped outputs.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras

    from zoo.io.library import open_package

    packaged = keras.saving.load_model(
        open_package(package).weights_path("keras_v3"), compile=False
    )
    names = [layer.name for layer in packaged.layers]
    enlarge = names.index("enlarge")
    factor = packaged.layers[enlarge].size[0]
    rescale = packaged.get_layer("standardise")
    image = keras.Input((None, None, 1))
    x = image
    for layer in packaged.layers[enlarge + 1 :]:
        x = layer(x)
    trunk = keras.Model(image, x)

    def run(frames: np.ndarray) -> np.ndarray:
        total: Any = 0.0
        for frame in frames:
            scaled = (frame - frame.min()) / max(float(np.ptp(frame)), 1e-6)
            scaled = scaled * rescale.scale + rescale.offset
            large = np.kron(scaled, np.ones((factor, factor))).astype(np.float32)
            output = trunk.predict(large[None, :, :, None], batch_size=1, verbose=0)
            total = total + output[0, ..., 0].clip(0)
        return total

    return run


def write_movie(path: Path, *, frames: int, size: int) -> None:
    """Write blinking spots, 3 per µm² and frame, on a noisy background.

    A long movie repeats its first frames; that is the same work.
    """
    rng = np.random.default_rng(2018)
    grid = np.arange(size) + 0.5
    count = max(1, round(3 * (size * PIXEL_SIZE_NM / 1000) ** 2))
    distinct = min(frames, DISTINCT_FRAMES)
    movie = np.empty((distinct, size, size), np.uint16)
    for frame in movie:
        y, x = (
            np.exp(-((grid - rng.uniform(0, size, count)[:, None]) ** 2) / (2 * 1.2**2))
            for _ in range(2)
        )
        photons = rng.uniform(500, 4000, count) / (2 * np.pi * 1.2**2)
        frame[:] = 100 + rng.poisson(20 + np.einsum("n,ny,nx->yx", photons, y, x))
    repeated = np.lib.format.open_memmap(
        path, "w+", dtype=np.uint16, shape=(frames, size, size)
    )
    for start in range(0, frames, distinct):
        stop = min(start + distinct, frames)
        repeated[start:stop] = movie[: stop - start]


def _compare(rates: dict[str, float]) -> None:
    if "published" not in rates:
        return
    base = rates["published"]
    print("\nframes/s relative to the published way, default batch, better engine:")
    for way in ("faithful", "fast", "published"):
        if way in rates:
            print(f"  {way:<10}{rates[way]:9.2f} frames/s {rates[way] / base:8.1f}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="few frames, few batches")
    parser.add_argument("--size", type=int, default=64, help="edge of a frame, px")
    parser.add_argument("--faithful", default=FAITHFUL, help="package or path")
    parser.add_argument("--fast", default=FAST, help="package or path")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
