"""Record what ``zoo predict`` writes for small recordings.

    python tests/data/predictions/record.py inputs [KIND]   # once
    python tests/data/predictions/record.py outputs [CASE]  # new published weights

`tests/packages/test_predictions.py` compares every later version with it.  The inputs
were simulated by the sources of the packages at 2ec9a3e; the outputs are those of that
commit, ONNX Runtime 1.31 on an AVX512 machine, except ``movie_fast``, recorded anew
with the weights for crowded filaments, ``raw``, recorded anew when the illumination
pattern of the recording was told to every tile and when its error map began to compare
raw frames, and those of regions, which came later.
"""

import json
import sys
import tempfile
from pathlib import Path

import numpy as np
import tifffile

import zoo

HERE = Path(__file__).parent
CASES = {
    "movie_fast": ("deep_storm_fast_microtubules", "movie", 100.0),
    "movie": ("deep_storm_microtubules", "movie", 100.0),
    "image": ("dfcan_widefield", "image", 62.6),
    "raw": ("dfcan_sim", "raw", 62.6),
    "zelger": ("zelger_vgg16_astigmatism", "astigmatic", 100.0),
    "smnet": ("smnet_astigmatism", "astigmatic", 100.0),
    "smnet_complex": ("smnet_complex", "complex", 130.0),
}


def write_inputs(only: list[str]) -> None:
    """Simulate a movie, an image, a raw stack and regions, or some of them."""
    from zoo import catalog
    from zoo.core.random import generator

    inputs = {}
    if only:
        with np.load(HERE / "inputs.npz") as stored:
            inputs = dict(stored)
    for kind, name, frames, crop, changes in (
        ("movie", "deep_storm_microtubules", 6, (44, 52), {"field_px": 52}),
        ("image", "dfcan_widefield", 1, (140, 150), {"field_px": 150}),
        ("raw", "dfcan_sim", 1, (132, 128), {"field_px": 132}),
        ("astigmatic", "smnet_astigmatism", 6, (32, 32), {}),
        ("complex", "smnet_complex", 6, (32, 32), {}),
    ):
        if only and kind not in only:
            continue
        source = catalog.recipe(name).source.override(**changes)
        counts = source.record(generator(77, 1), frames=frames).counts
        inputs[kind] = counts[:, : crop[0], : crop[1]].astype(np.uint16)
    np.savez_compressed(HERE / "inputs.npz", **inputs)


def predicted(package: str, counts: np.ndarray, pixel_nm: float) -> dict[str, object]:
    """Return files, tables and images of a prediction."""
    with tempfile.TemporaryDirectory() as folder:
        recording = Path(folder) / "input.tif"
        tifffile.imwrite(recording, counts)
        out = Path(folder) / "out"
        wanted = {"density": True} if package.startswith("deep_storm") else {}
        model = zoo.load(package, engine="onnx", **wanted)
        model.predict_to_folder(recording, out, pixel_size_nm=pixel_nm)
        found: dict[str, object] = {"files": sorted(p.name for p in out.iterdir())}
        for path in out.glob("*.csv"):
            found[path.name] = path.read_text(encoding="utf-8")
        for path in out.glob("*.ome.tif"):
            if path.name == "reconstruction.ome.tif":
                continue  # the table's histogram: one rounding moves a whole count
            with tifffile.TiffFile(path) as file:
                found[path.name] = file.asarray()
                found[f"{path.name}.axes"] = file.series[0].axes
                found[f"{path.name}.ome"] = file.ome_metadata.partition(
                    "PhysicalSizeX="
                )[2][:12]
        report = json.loads((out / "report.json").read_text(encoding="utf-8"))
        found["warnings"] = report["warnings"]
        return found


def write_outputs(only: list[str]) -> None:
    """Predict inputs and keep the results, those of other cases as they are."""
    inputs = np.load(HERE / "inputs.npz")
    arrays, texts = {}, {}
    if only:
        with np.load(HERE / "outputs.npz") as stored:
            arrays = dict(stored)
        texts = json.loads((HERE / "outputs.json").read_text(encoding="utf-8"))
    for case in only or CASES:
        package, kind, pixel_nm = CASES[case]
        for name, value in predicted(package, inputs[kind], pixel_nm).items():
            if isinstance(value, np.ndarray):
                arrays[f"{case}/{name}"] = value.astype(np.float16)
                texts[f"{case}/{name}.shape"] = list(value.shape)
            else:
                texts[f"{case}/{name}"] = value
    np.savez_compressed(HERE / "outputs.npz", **arrays)
    text = json.dumps(texts, indent=1, ensure_ascii=False)
    (HERE / "outputs.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    write = write_inputs if sys.argv[1] == "inputs" else write_outputs
    write(sys.argv[2:])
