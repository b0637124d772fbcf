"""Damaged and hostile files, one after the other, through the program.

    python tests/fuzz/harness.py KIND FIRST COUNT FOLDER

makes the cases FIRST to FIRST + COUNT - 1 of a kind in FOLDER, gives each to a command
in this process, and prints what came of it as JSON, one case a line.  Memory is bounded
by the system, so that a case which takes too much fails instead of the machine.
"""

import contextlib
import importlib.util
import io
import json
import resource
import shutil
import struct
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import bundles
import numpy as np

MEMORY_BYTES = 3 * 2**30
"""Private memory that a command may take with any of these files."""
UNFORESEEN = "--debug shows where"
"""Part of the line about an error that nobody thought of."""
NUMBERS = (0, 1, 2, 255, 2**15, 2**16 - 1, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40)
NUMBERS_64 = (*NUMBERS, 2**53, 2**63 - 1, 2**64 - 1)
ODD = (
    None, True, -1, 0, 1, 3, 10**12, 1e300, float("nan"), float("inf"), "", "x", "../x",
    "/etc/hostname", "a" * 5000, "\0", "[/b]", [], [[]], {}, {"a": 1}, "channel",
    [1, 2], "0.5.0",
)  # fmt: skip


def damaged(content: bytes, rng: np.random.Generator) -> bytes:
    """Return bytes with a few changes of the kinds that copying and malice make."""
    data = bytearray(content)
    for _ in range(int(rng.integers(1, 5))):
        size = max(len(data), 1)
        place = int(rng.integers(size))
        kind = int(rng.integers(8))
        if kind == 0:
            data[place : place + 1] = bytes([int(rng.integers(256))])
        elif kind == 1:
            del data[place:]
        elif kind == 2:
            del data[place : place + int(rng.integers(1, 64))]
        elif kind == 3:
            data[place:place] = rng.bytes(int(rng.integers(1, 64)))
        elif kind == 4:
            data[place : place + 32] = bytes(32)
        elif kind == 5:
            number = NUMBERS[int(rng.integers(len(NUMBERS)))] & 0xFFFFFFFF
            data[place : place + 4] = struct.pack("<I", number)
        elif kind == 6:
            number = NUMBERS_64[int(rng.integers(len(NUMBERS_64)))]
            data[place : place + 8] = struct.pack("<Q", number)
        else:
            other = int(rng.integers(size))
            data[place : place + 16] = data[other : other + 16]
    return bytes(data)


def changed(value: Any, rng: np.random.Generator) -> Any:
    """Return nested data with one value replaced, removed or doubled."""
    places: list[tuple[Any, Any]] = []
    stack = [value]
    while stack:
        item = stack.pop()
        keys = item if isinstance(item, dict) else range(len(item))
        for key in list(keys):
            places.append((item, key))
            if isinstance(item[key], dict | list):
                stack.append(item[key])
    for _ in range(int(rng.integers(1, 4))):
        item, key = places[int(rng.integers(len(places)))]
        with contextlib.suppress(KeyError, IndexError):
            kind = int(rng.integers(5))
            if kind == 0:
                del item[key]
            elif kind == 1:
                item[key] = [item[key], item[key]]
            elif kind == 2 and isinstance(item[key], int | float):
                item[key] = item[key] * 10 ** int(rng.integers(1, 12))
            else:
                item[key] = ODD[int(rng.integers(len(ODD)))]
    return value


def load(path: Path) -> Any:
    """Import a file that belongs to no package."""
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Cases:
    """What cases are made from: one package and one recording that work."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.package = folder / "tiny_spots"
        load(Path(__file__).parents[1] / "conftest.py").write_package(self.package)
        y, x = np.mgrid[:24, :24]
        spots = [np.exp(-((y - 9) ** 2 + (x - 7 - t) ** 2) / 4) for t in range(3)]
        self.movie = (100 + 900 * np.stack(spots)).astype(np.uint16)
        self.tiffs = [self._tiff(n) for n in range(6)]
        rows = [f"{t + 1},{700.5 + 100 * t},{900.25},{800.0}" for t in range(3)]
        self.table = "\n".join(["frame,x [nm],y [nm],intensity [photon]", *rows])
        (folder / "truth.csv").write_text(self.table + "\n", encoding="utf-8")
        self.recording = folder / "good.tif"
        self.recording.write_bytes(self.tiffs[0])

    def _tiff(self, number: int) -> bytes:
        import tifffile

        ome = {"axes": "TYX", "PhysicalSizeX": 0.1, "PhysicalSizeY": 0.1}
        imagej = {"unit": "um", "axes": "TYX"}
        options: dict[str, Any] = [
            {"imagej": True, "metadata": imagej, "resolution": (10.0, 10.0)},
            {"ome": True, "metadata": ome},
            {"ome": True, "metadata": ome, "compression": "zlib"},
            {"bigtiff": True, "byteorder": ">", "metadata": None},
            {"metadata": {"axes": "TYX"}, "compression": "lzw", "tile": (16, 16)},
            {"metadata": None, "photometric": "miniswhite", "rowsperstrip": 8},
        ][number]
        content = io.BytesIO()
        tifffile.imwrite(content, self.movie, **{"photometric": "minisblack"} | options)
        return content.getvalue()

    def predict(self, package: Path, recording: Path, out: Path) -> list[str]:
        """Return the command that predicts."""
        paths = [str(package), str(recording), "-o", str(out)]
        return ["predict", *paths, "--engine", "onnx", "--pixel-size-nm", "100"]

    def copy(self, to: Path) -> Path:
        """Return a copy of the package, to be changed."""
        return Path(shutil.copytree(self.package, to / "package"))

    def describe(self, package: Path, change: Callable[[Any], Any]) -> None:
        """Change the description of a package; hashes become those of the files."""
        import hashlib

        import yaml

        path = package / "rdf.yaml"
        rdf = yaml.safe_load(path.read_text(encoding="utf-8"))
        for entry in rdf["weights"].values():
            content = (package / entry["source"]).read_bytes()
            entry["sha256"] = hashlib.sha256(content).hexdigest()
        text = yaml.safe_dump(change(rdf), allow_unicode=True)
        path.write_text(text, encoding="utf-8")


def tiff(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a damaged recording, sometimes with one tag changed and nothing else."""
    content = cases.tiffs[int(rng.integers(len(cases.tiffs)))]
    if rng.random() < 0.5 and content[:4] == b"II*\0":
        data = bytearray(content)
        (start,) = struct.unpack_from("<I", data, 4)
        (count,) = struct.unpack_from("<H", data, start)
        entry = start + 2 + 12 * int(rng.integers(count))
        number = NUMBERS[int(rng.integers(len(NUMBERS)))] & 0xFFFFFFFF
        struct.pack_into("<I", data, entry + 4 * int(rng.integers(1, 3)), number)
        content = bytes(data)
    else:
        content = damaged(content, rng)
    (to / "a.tif").write_bytes(content)
    return cases.predict(cases.package, to / "a.tif", to / "out")


def csv(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a damaged table, sometimes with odd words in its cells."""
    content = cases.table.encode()
    if rng.random() < 0.5:
        cells = [line.split(",") for line in cases.table.split("\n")]
        for _ in range(int(rng.integers(1, 4))):
            row = cells[int(rng.integers(len(cells)))]
            words = ("", "nan", "-1", "1e400", '"', "x [px]", "frame", "\0", "9" * 400)
            row[int(rng.integers(len(row)))] = words[int(rng.integers(len(words)))]
        content = "\n".join(map(",".join, cells)).encode()
    else:
        content = damaged(content, rng)
    (to / "a.csv").write_bytes(content)
    truth = str(cases.folder / "truth.csv")
    paths = [str(to / "a.csv"), "--truth", truth, "-o", str(to / "out")]
    return ["evaluate", *paths]


def yaml(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a package whose description says something odd."""
    package = cases.copy(to)
    if rng.random() < 0.75:
        cases.describe(package, lambda rdf: changed(rdf, rng))
    else:
        path = package / "rdf.yaml"
        path.write_bytes(damaged(path.read_bytes(), rng))
    if rng.random() < 0.5:
        return ["show", str(package)]
    return cases.predict(package, cases.recording, to / "out")


def zip_(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a damaged zip, sometimes with odd names in it."""
    content = io.BytesIO()
    names = ("../x", "/x", "a/../../x", "C:/x", "rdf.yaml", "RDF.yaml", "a\\b", "d/")
    with zipfile.ZipFile(content, "w", zipfile.ZIP_DEFLATED) as archive:
        for file in sorted(cases.package.iterdir()):
            archive.write(file, file.name)
        if rng.random() < 0.5:
            entry = zipfile.ZipInfo(names[int(rng.integers(len(names)))])
            entry.external_attr = int(rng.integers(2**16)) << 16
            with contextlib.suppress(ValueError):
                import warnings

                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    archive.writestr(entry, b"0" * int(rng.integers(9)))
    data = content.getvalue()
    if rng.random() < 0.8:
        data = damaged(data, rng)
    (to / "a.zip").write_bytes(data)
    if rng.random() < 0.5:
        return ["show", str(to / "a.zip")]
    return cases.predict(to / "a.zip", cases.recording, to / "out")


def onnx(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a package with a damaged or exploding graph."""
    import onnx as library
    from onnx import TensorProto, helper, numpy_helper

    package = cases.copy(to)
    path = package / "model.onnx"
    kind = int(rng.integers(4))
    if kind == 0:
        path.write_bytes(damaged(path.read_bytes(), rng))
    elif kind == 3:  # what no program minds
        graph = library.load(path)
        graph.doc_string = "x" * int(rng.integers(10**6))
        path.write_bytes(graph.SerializeToString())
    elif kind == 1:
        graph = library.load(path)
        sizes = [float(rng.choice([0, -1, 0.5, 3, 1e3, 1e6, 1e9])) for _ in range(4)]
        sizes = np.array(sizes, np.float32)
        graph.graph.initializer[0].CopyFrom(numpy_helper.from_array(sizes, "scales"))
        path.write_bytes(graph.SerializeToString())
    else:
        names = ("Expand", "Tile", "ConstantOfShape", "Loop", "If", "Relu", "Reshape")
        shape = rng.choice([1, 2, 16, 10**4, 10**9], 4).astype(np.int64)
        free = helper.make_tensor_value_info(
            "frame", TensorProto.FLOAT, [None, None, None, 1]
        )
        out = helper.make_tensor_value_info("out", TensorProto.FLOAT, None)
        name = names[int(rng.integers(len(names)))]
        inputs = {"ConstantOfShape": ["s"], "Relu": ["frame"]}.get(name, ["frame", "s"])
        nodes = [helper.make_node(name, inputs, ["out"])]
        constant = numpy_helper.from_array(shape, "s")
        graph = helper.make_graph(nodes, "g", [free], [out], [constant])
        opset = helper.make_opsetid("", 17)
        model = helper.make_model(graph, opset_imports=[opset], ir_version=8)
        path.write_bytes(model.SerializeToString())
    cases.describe(package, lambda rdf: rdf)
    return cases.predict(package, cases.recording, to / "out")


def _weights(rng: np.random.Generator) -> bytes:
    """Return an HDF5 file of weights, sometimes with arrays that lead elsewhere."""
    import h5py

    content = io.BytesIO()
    with h5py.File(content, "w") as file:
        file["layers/conv/vars/0"] = np.ones((3, 3, 1, 4), np.float32)
        kind = int(rng.integers(6))
        if kind == 0:
            file["layers/out"] = h5py.ExternalLink("/etc/hostname", "/")
        elif kind == 1:
            file.create_dataset("big", (10**6, 10**6), "f4", chunks=(100, 100))
        elif kind == 2:
            file.create_dataset("far", (4,), "f4", external=[("/etc/hostname", 0, 16)])
        elif kind == 3:
            file.create_dataset("text", (3,), h5py.string_dtype())
    return content.getvalue()


def hdf5(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a file of weights whose arrays are damaged or lead elsewhere."""
    del cases
    content = _weights(rng)
    if rng.random() < 0.7:
        content = damaged(content, rng)
    keras_file(to / "a.keras", json.dumps(NETWORK), content)
    return ["check", str(to / "a.keras")]


def keras(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a Keras file with a description that says something odd."""
    del cases
    config = json.dumps(changed(json.loads(json.dumps(NETWORK)), rng))
    keras_file(to / "a.keras", config, _weights(rng))
    if rng.random() < 0.3:
        path = to / "a.keras"
        path.write_bytes(damaged(path.read_bytes(), rng))
    return ["check", str(to / "a.keras")]


def bundle(cases: Cases, rng: np.random.Generator, to: Path) -> list[str]:
    """Make a TensorFlow checkpoint whose index says something odd."""
    del cases
    bundles.drawn(rng, to / "model")
    return ["read", str(to / "model.index")]


def keras_file(path: Path, config: str, weights: bytes) -> None:
    """Write a Keras file."""
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("metadata.json", '{"keras_version": "3.15.0"}')
        archive.writestr("config.json", config)
        archive.writestr("model.weights.h5", weights)


def _layer(name: str, **config: Any) -> dict[str, Any]:
    return {
        "module": "keras.layers",
        "class_name": name,
        "config": {"name": name.lower(), **config},
        "registered_name": None,
        "name": name.lower(),
    }


NETWORK = {
    "module": "keras",
    "class_name": "Sequential",
    "registered_name": "Sequential",
    "config": {
        "name": "net",
        "layers": [
            _layer("InputLayer", batch_shape=[None, 16, 16, 1], dtype="float32"),
            _layer("Conv2D", filters=4, kernel_size=[3, 3], padding="same"),
            _layer("UpSampling2D", size=[2, 2]),
            _layer("Dense", units=1),
        ],
    },
}

KINDS: dict[str, Callable[[Cases, np.random.Generator, Path], list[str]]] = {
    "tiff": tiff,
    "csv": csv,
    "yaml": yaml,
    "zip": zip_,
    "onnx": onnx,
    "keras": keras,
    "hdf5": hdf5,
    "bundle": bundle,
}


def run(words: list[str]) -> tuple[int, str, str]:
    """Run a command in this process; return its exit status and what it printed."""
    from converters.tensor_bundle import read_bundle
    from zoo import cli, terminal
    from zoo.core.errors import ZooError
    from zoo.io.keras_file import check_keras_file

    # what every command asks before it opens such a file, and what a converter reads
    parts: dict[str, Callable[[str], Any]] = {
        "check": check_keras_file,
        "read": read_bundle,
    }

    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        code = 0
        if words[0] in parts:
            try:
                parts[words[0]](words[1])
            except Exception as error:
                code = 1
                foreseen = words[0] == "check" or isinstance(error, ZooError)
                where = "" if foreseen else f"; {UNFORESEEN}"
                print(f"zoo: {terminal.one_line(error)}{where}", file=sys.stderr)
        else:
            try:
                cli.main(words)
            except SystemExit as stop:
                code = int(stop.code or 0)
    return code, out.getvalue(), err.getvalue()


def state(folder: Path) -> dict[str, int]:
    """Return all files below a folder and when they were changed."""
    files = (path for path in folder.rglob("*") if "cache" not in path.parts)
    return {str(path): path.stat().st_mtime_ns for path in files if path.is_file()}


def faults(code: int, err: str, out: Path, before: dict[str, int]) -> list[str]:
    """Say what a command did that it must never do."""
    said = [line for line in err.splitlines() if not line.startswith("zoo: warning: ")]
    after = state(out.parent.parent)
    results = {path for path in after if Path(path).is_relative_to(out)}
    found = {
        "exit status": code not in (0, 1),
        "traceback": "Traceback" in err,
        "not one line": [line[:5] for line in said] != ["zoo: "] * code,
        "unforeseen": UNFORESEEN in err,
        "memory": "not enough memory" in err,
        "half result": code == 1 and out.exists(),
        "other files": {p: after[p] for p in after if p not in results} != before,
        "leftovers": any(".part-" in path for path in after),
    }
    return [name for name, wrong in found.items() if wrong]


def main(kind: str, first: int, count: int, folder: Path) -> None:
    """Run the cases and print a line of JSON for each."""
    import os

    os.environ["SUPERRES_ZOO_CACHE"] = str(folder / "cache")
    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY_BYTES, MEMORY_BYTES))
    cases = Cases(folder)
    for number in range(first, first + count):
        rng = np.random.default_rng([sum(kind.encode()), number])
        to = folder / f"{kind}-{number}"
        to.mkdir()
        words = KINDS[kind](cases, rng, to)
        before = state(folder)
        print(json.dumps({"begun": number}), flush=True)  # if it is the last one
        started = time.process_time()
        code, _, err = run(words)
        answer = {
            "case": number,
            "command": words[0],
            "code": code,
            "seconds": round(time.process_time() - started, 3),
            "line": err.strip().rpartition("\n")[2].replace(str(folder), ""),
            "faults": faults(code, err, to / "out", before),
        }
        print(json.dumps(answer), flush=True)
        if not answer["faults"]:
            shutil.rmtree(to)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(json.dumps({"peak": peak * 1024}), flush=True)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
