"""Speed and memory of image packages, beside bioimageio.core on the same package.

    python benchmarks/images.py --quick
    python benchmarks/images.py dfcan_sim path/to/package --json

Every row is measured in a process of its own: a first prediction of one tile loads and
compiles everything, the second one, of whole images, is timed; the peak is the largest
resident memory of that process.  Both programs get the same images from memory, scale
each by itself as the package declares, and hand back arrays; nothing is written, and
our error map, which the other does not make, is left out.  bioimageio.core is what
``bioimageio predict`` runs, with the blocks that it chooses.  Tiles overlap here where
the package says so, blocks there do not: the tiles column counts how often the network
looks.
"""

import argparse
import json
import sys
import tempfile
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import in_fresh_process, machine, number, peak_mib, print_machine, print_row

PACKAGES = ("dfcan_sim", "dfcan_widefield")
OURS, CORE = "zoo", "bioimageio"
FORMATS = {"onnx": "onnx", "keras": "keras_v3"}
WARM_UP_PX = 128
PIXEL_SIZE_NM = 62.6
COLUMNS = (
    ("package", 28),
    ("program", 11),
    ("engine", 7),
    ("image", 7),
    ("tile", 6),
    ("tiles", 6),
    ("batch", 6),
    ("in MP/s", 9),
    ("out MP/s", 9),
    ("start s", 8),
    ("MiB", 7),
)
WIDTHS = [width for _, width in COLUMNS]


def main() -> None:
    """Measure and print a table, or JSON."""
    options = _options()
    if options.case:
        print(json.dumps(measure(json.loads(options.case))))
        return
    found = _described(options.packages or list(PACKAGES), named=bool(options.packages))
    if not found:
        sys.exit("nothing to measure; name an image package or its folder")
    size = options.size or (192 if options.quick else 512)
    images = 1 if options.quick else options.images
    if not options.json:
        print_machine(f"{images} x {size} x {size} px")
        print_row([name for name, _ in COLUMNS], WIDTHS)
    results: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        for package in found:
            path = Path(folder) / f"{len(results)}.npy"
            np.save(path, lines(images, size, channels=package["channels"]))
            for case in cases(package, size=size, quick=options.quick):
                result = case | in_fresh_process(__file__, case | {"images": str(path)})
                results.append(result)
                if not options.json:
                    print_row(_cells(result), WIDTHS)
                    if "error" in result:
                        print(f"  {result['error']}")
    if options.json:
        print(json.dumps(machine() | {"images": images, "rows": results}, indent=2))
    else:
        _compare(results)


def cases(
    package: dict[str, Any], *, size: int, quick: bool
) -> Iterator[dict[str, Any]]:
    """Yield what is measured of a package, a row of the table each."""
    tiles: tuple[int | None, ...] = (None,)
    if not package["fixed"] and not quick:
        tiles = (None, 128, 256)
    batches: tuple[int | None, ...] = (None, 4) if quick else (None, 1, 4, 16)
    shared = {"label": package["name"], "package": package["path"], "size": size}
    for engine in package["engines"]:
        for tile in tiles:
            # the batch matters for memory, which one size of tiles shows
            for batch in batches if tile is None else (None,):
                yield shared | {
                    "program": OURS,
                    "engine": engine,
                    "tile": tile,
                    "batch": batch,
                }
        yield shared | {
            "program": CORE,
            "engine": engine,
            "tile": None,
            "batch": None,
        }


def measure(case: dict[str, Any]) -> dict[str, Any]:
    """Run one case in this process."""
    began = time.perf_counter()
    images = np.load(case["images"], mmap_mode="r")
    warm = np.array(images[:1, :WARM_UP_PX, :WARM_UP_PX])
    if case["program"] == OURS:
        run, facts = _ours(case, images.shape[1:3])
    else:
        run, facts = _core(case, images.shape[1:3])
    run(warm)
    start = time.perf_counter() - began
    began = time.perf_counter()
    outputs = run(images)
    seconds = time.perf_counter() - began
    return facts | {
        "input_rate": images[..., 0].size / 1e6 / seconds,
        "output_rate": outputs / 1e6 / seconds,
        "start": start,
        "peak": peak_mib(),
    }


def _ours(case: dict[str, Any], shape: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """Return our prediction: images (t, y, x, c) in, the number of pixels out."""
    from zoo.predict.plan import make_plan
    from zoo.predict.predictor import Predictor

    model = Predictor(
        case["package"],
        engine=case["engine"],
        batch_size=case["batch"],
        tile=case["tile"],
        normalization="frame",
        error_map=False,
    )
    sizes = dict(zip("yx", shape, strict=True))
    plan = make_plan(model.contract, sizes, batch_size=case["batch"], tile=case["tile"])

    def run(images: np.ndarray) -> int:
        found = model.predict(np.array(images), pixel_size_nm=PIXEL_SIZE_NM)
        return int(found.image.size)

    facts = {"tile": plan.tile[0], "tiles": len(plan.tiles), "batch": plan.batch}
    return run, facts


def _core(case: dict[str, Any], shape: tuple[int, int]) -> tuple[Any, dict[str, Any]]:
    """Return the prediction of bioimageio.core: as `_ours`, image by image."""
    warnings.simplefilter("ignore")
    from bioimageio.core import create_prediction_pipeline, load_description
    from bioimageio.core.digest_spec import create_sample_for_model, get_member_ids

    from zoo.io.library import open_package

    folder = open_package(case["package"]).folder
    model: Any = load_description(folder / "rdf.yaml")
    kind: Any = FORMATS[case["engine"]]
    pipeline = create_prediction_pipeline(model, weight_format=kind)
    pipeline.load()
    member = get_member_ids(model.inputs)[0]

    def run(images: np.ndarray) -> int:
        count = 0
        for image in images:
            inputs = {member: np.array(image[None], dtype=np.float32)}
            sample = create_sample_for_model(model, inputs=inputs, sample_id="image")
            done = pipeline.predict_sample_with_blocking(sample)
            count += int(next(iter(done.members.values())).data.to_numpy().size)
        return count

    sizes = {
        axis.id: axis.size for axis in model.inputs[0].axes if axis.type == "space"
    }
    edges = [sizes[axis] for axis in ("y", "x")]
    if not all(isinstance(edge, int) for edge in edges):
        return run, {"tile": None, "tiles": None, "batch": 1}
    tiles = [-(-length // edge) for length, edge in zip(shape, edges, strict=True)]
    return run, {"tile": edges[0], "tiles": tiles[0] * tiles[1], "batch": 1}


def lines(images: int, size: int, *, channels: int) -> np.ndarray:
    """Return noisy images of blurred lines, (t, y, x, c) uint16."""
    rng = np.random.default_rng(2021)
    y, x = np.mgrid[:size, :size] + 0.5
    stack = np.empty((images, size, size, channels), np.uint16)
    for image in stack:
        light = np.full((size, size), 5.0)
        for angle, place in rng.uniform(0, (np.pi, size), (max(4, size // 12), 2)):
            across = (x - place) * np.cos(angle) + (y - place) * np.sin(angle)
            light += 150 * np.exp(-(across**2) / (2 * 1.6**2))
        image[:] = 100 + rng.poisson(light[..., None].repeat(channels, axis=-1))
    return stack


def _described(names: list[str], *, named: bool) -> list[dict[str, Any]]:
    """Return what is there of the packages; say of the others why not."""
    from zoo.core.errors import ZooError
    from zoo.io.library import open_package
    from zoo.predict.contract import read_contract

    found = []
    for name in names:
        try:
            package = open_package(name)
            contract = read_contract(package)
        except (ZooError, OSError) as error:
            reason = str(error) if named else "not published yet, left out"
            print(f"{name}: {reason}", file=sys.stderr)
            continue
        if contract.task.kind != "image" or contract.grid.space != "yx":
            print(f"{name}: its task is {contract.task.kind}", file=sys.stderr)
            continue
        found.append(
            {
                "name": package.name,
                "path": str(package.folder),
                "channels": len(contract.grid.channels),
                "fixed": contract.grid.is_fixed,
                "engines": [e for e, f in FORMATS.items() if f in package.weights],
            }
        )
    return found


def _compare(results: list[dict[str, Any]]) -> None:
    """Print how many times as fast as bioimageio.core each package is here."""
    lines = []
    for label, engine in dict.fromkeys((r["label"], r["engine"]) for r in results):
        rates = {
            program: max(
                (
                    r["input_rate"]
                    for r in results
                    if (r["label"], r["engine"], r["program"])
                    == (label, engine, program)
                    and "input_rate" in r
                ),
                default=0.0,
            )
            for program in (OURS, CORE)
        }
        if all(rates.values()):
            lines.append(f"  {label} {engine}: {rates[OURS] / rates[CORE]:.2f}")
    if lines:
        print("\nspeed relative to bioimageio.core, same engine, best batch:")
        print(*lines, sep="\n")


def _cells(result: dict[str, Any]) -> list[Any]:
    return [
        result["label"],
        result["program"],
        result["engine"],
        f"{result['size']}²",
        _shown(result["tile"]),
        _shown(result.get("tiles")),
        _shown(result["batch"]),
        number(result, "input_rate", ".3g"),
        number(result, "output_rate", ".3g"),
        number(result, "start", ".1f"),
        number(result, "peak", ".0f"),
    ]


def _shown(value: Any) -> str:
    return "-" if value is None else str(value)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("packages", nargs="*", help="names or paths of image packages")
    parser.add_argument("--quick", action="store_true", help="one small image")
    parser.add_argument("--size", type=int, help="edge of an image, px; 512")
    parser.add_argument("--images", type=int, default=2, help="how many, 2")
    parser.add_argument("--json", action="store_true", help="print JSON, no table")
    parser.add_argument("--case", help=argparse.SUPPRESS)
    return parser.parse_args()


if __name__ == "__main__":
    main()
