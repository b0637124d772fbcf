"""PSSR beside PSSR2's network, trained for the same minutes on the same tiles.

    python benchmarks/pssr2.py pssr_em --peer PYTHON --minutes 20
    python benchmarks/pssr2.py pssr_fluorescence --quick
    python benchmarks/pssr2.py pssr_movie --crop 64 --minutes 5  # frames as channels

A pool of tiles is drawn from the source of a recipe; our network, with the recipe's
loss and optimiser, and the default network of PSSR2 (ResUNet, PyPI ``pssr``), with the
loss, optimiser and decay of its documentation, learn from it one after the other.  Both
turn and mirror tiles at random, and the clock starts behind the first batch, which
compiles.  Learning rates follow the share of the time that is over.  Then both restore
the recipe's frozen test set, and are scored as packages are.

PSSR2 is run by the interpreter PYTHON (or that of the variable ZOO_PSSR2_PYTHON), in an
environment of its own: it asks for NumPy before 2.  Its network needs torch,
pytorch-msssim, scikit-image, tifffile and pillow; ``pip install --no-deps pssr`` does
without the rest, of which nothing is imported.  Without PYTHON only ours is trained.
"""

import argparse
import json
import os
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from common import print_machine, print_row

from zoo import catalog
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.core.recipe import Recipe
from zoo.core.test_set import Case
from zoo.test_sets.scans import METRICS

RECIPES = ("pssr_em", "pssr_fluorescence", "pssr_movie")
SEED = 20250
PEER = "ZOO_PSSR2_PYTHON"
"""Variable that names the interpreter."""
WHITE = 255.0
"""Grey level of 1 for PSSR2."""
WIDTHS = (28, 10, 10, 8, 9, 9, 8, 8)
SPECS = Path(__file__).resolve().parents[1] / "specs"

NEEDED = """
import importlib.util, json
names = {"numpy": "numpy", "torch": "torch", "pytorch_msssim": "pytorch-msssim",
         "skimage": "scikit-image", "tifffile": "tifffile", "PIL": "pillow",
         "pssr": "pssr"}
print(json.dumps([p for n, p in names.items() if importlib.util.find_spec(n) is None]))
"""

TRAINED = """
import importlib, importlib.metadata, importlib.util, json, sys, time, types
import numpy as np
import torch

case = json.load(open(sys.argv[1]))
torch.manual_seed(case["seed"])
rng = np.random.default_rng(case["seed"])
torch.set_num_threads(case["threads"])
# the list of models imports transformers and further programs that are not used
root = importlib.util.find_spec("pssr").submodule_search_locations[0]
models = types.ModuleType("pssr.models")
models.__path__ = [root + "/models"]
sys.modules["pssr.models"] = models
ResUNet = importlib.import_module("pssr.models.resunet").ResUNet
SSIMLoss = importlib.import_module("pssr.util").SSIMLoss

device = "cuda" if torch.cuda.is_available() else "cpu"
tiles = np.load(case["tiles"])
coarse = np.moveaxis(tiles["coarse"], -1, 1)
dense = np.moveaxis(tiles["dense"], -1, 1)
network = ResUNet(channels=[coarse.shape[1], 1]).to(device)
loss = SSIMLoss()
optimizer = torch.optim.AdamW(network.parameters(), lr=1e-3)
seconds, began, steps = 60 * case["minutes"], None, 0
network.train()
while began is None or time.perf_counter() - began < seconds:
    chosen = rng.integers(len(coarse), size=case["batch"])
    turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
    pair = []
    for images in (coarse, dense):
        images = np.rot90(images[chosen], turns, (2, 3))
        images = images[..., ::-1] if mirror else images
        pair.append(torch.from_numpy(np.ascontiguousarray(images)).to(device))
    share = 0.0 if began is None else (time.perf_counter() - began) / seconds
    for group in optimizer.param_groups:
        group["lr"] = 1e-3 * 0.7 ** (10 * share)  # 0.7 per epoch of ten
    made = network(pair[0])
    value = loss(made / 255, pair[1] / 255)
    value.backward()
    optimizer.step()
    optimizer.zero_grad()
    if began is None:
        began = time.perf_counter()
    else:
        steps += 1
took = time.perf_counter() - began
network.eval()
images = []
with torch.no_grad():
    for scan in np.load(case["scans"]):
        one = torch.from_numpy(np.moveaxis(scan, -1, 0)[None].copy()).to(device)
        images.append(network(one)[0, 0].cpu().numpy())
np.save(case["images"], np.array(images))
print(json.dumps({
    "program": "pssr " + importlib.metadata.version("pssr"),
    "device": device,
    "parameters": sum(p.numel() for p in network.parameters() if p.requires_grad),
    "steps": steps, "seconds": took, "loss": float(value),
}))
"""


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("recipe", choices=RECIPES)
    parser.add_argument("--peer", help=f"Python that has PSSR2; else {PEER}")
    parser.add_argument("--minutes", type=float, default=20.0, help="of each training")
    parser.add_argument("--tiles", type=int, default=256, help="tiles in the pool")
    parser.add_argument("--crop", type=int, default=128, help="their edge, coarse px")
    parser.add_argument("--batch", type=int, default=8, help="tiles per step")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--quick", action="store_true", help="a smoke test of a minute")
    parser.add_argument("--json", action="store_true", help="print JSON, no table")
    options = parser.parse_args()
    if options.quick:
        options.minutes, options.tiles = 0.5, 8
        options.crop, options.batch = 48, 2
    peer = options.peer or os.environ.get(PEER)
    if peer:
        check_peer(peer)
    recipe = catalog.recipes()[options.recipe]
    with tempfile.TemporaryDirectory() as folder:
        result = compared(recipe, options, peer, Path(folder))
    if options.json:
        print(json.dumps(result, indent=2))
        return
    print_machine(f"{options.minutes:g} minutes, {options.tiles} tiles")
    for training in result["trainings"].values():
        print(
            f"{training['program']}: {training['parameters']:,} parameters, "
            f"{training['steps']} steps of {options.batch} tiles, "
            f"on {training['device']}"
        )
    print()
    print_row(["method", "noise", *METRICS.values()], WIDTHS)
    for method, conditions in result["scores"].items():
        for condition, row in conditions.items():
            values = [row.get(metric) for metric in METRICS]
            cells = ["-" if value is None else f"{value:.3g}" for value in values]
            print_row([method, condition, *cells], WIDTHS)


def check_peer(python: str) -> None:
    """Say in one line what an interpreter lacks, and end."""
    remedy = (
        "make an environment with torch, pytorch-msssim, scikit-image, tifffile, "
        "pillow and 'pip install --no-deps pssr', and name its Python with --peer"
    )
    try:
        done = subprocess.run(
            [python, "-c", NEEDED], capture_output=True, text=True, check=True
        )
        missing = json.loads(done.stdout)
    except (OSError, subprocess.CalledProcessError, json.JSONDecodeError):
        raise SystemExit(f"{python} is no Python that runs; {remedy}") from None
    if missing:
        raise SystemExit(f"{python} lacks {', '.join(missing)}; {remedy}")


def compared(
    recipe: Recipe, options: argparse.Namespace, peer: str | None, folder: Path
) -> dict[str, Any]:
    """Return how both trainings went, and the scores of all methods."""
    source = recipe.source.override(crop_px=options.crop)
    coarse, dense = source.batch(generator(SEED), options.tiles)
    test_set: Any = recipe.test_set
    test_set = test_set.reduced() if options.quick else test_set
    cases = list(test_set.cases())
    scans = np.concatenate([scaled(case.input) for case in cases])
    trainings: dict[str, Any] = {}
    images: dict[str, np.ndarray] = {}
    trainings["ours"], images["ours"] = ours(recipe, options, coarse, dense, scans)
    if peer:
        trainings["PSSR2"], images["PSSR2"] = theirs(
            peer, options, WHITE * coarse, WHITE * dense, WHITE * scans, folder
        )
    scores: dict[str, Any] = {}
    for name, made in images.items():
        metrics = scored(test_set, cases, made)["all"]
        if not scores:
            scores = {
                method: {
                    condition: {m: row.get(f"{m}_{method}") for m in METRICS}
                    for condition, row in metrics.items()
                }
                for method in ("bilinear", "bicubic", "denoised")
            }
        scores[f"{name}, {options.minutes:g} minutes"] = {
            condition: {m: row.get(m) for m in METRICS}
            for condition, row in metrics.items()
        }
    packaged = SPECS / recipe.name / "metrics.json"
    if packaged.is_file() and not options.quick:
        metrics = json.loads(packaged.read_text(encoding="utf-8"))
        scores["ours, as packaged"] = metrics["all"]
    return {"trainings": trainings, "scores": scores}


def scaled(scan: np.ndarray) -> np.ndarray:
    """Return scans (1, y, x, c) between 0 and 1, as the preprocessing does."""
    low, high = float(scan.min()), float(scan.max())
    return ((scan - low) / max(high - low, 1e-6)).astype(np.float32)


def scored(test_set: Any, cases: list[Case], images: np.ndarray) -> dict[str, Any]:
    """Return the metrics of images (case, y, x)."""
    evidence = [
        (case.name, test_set.score(case, Products([Image("image", image, "yx")])))
        for case, image in zip(cases, images, strict=True)
    ]
    return test_set.metrics(evidence)


def ours(
    recipe: Recipe,
    options: argparse.Namespace,
    coarse: np.ndarray,
    dense: np.ndarray,
    scans: np.ndarray,
) -> tuple[dict[str, Any], np.ndarray]:
    """Train our network on the pool, and return what it makes of scans."""
    import keras

    from zoo.models.pssr import begin_with_bilinear, pssr

    keras.utils.set_random_seed(SEED)
    network: Any = pssr(**{**recipe.options, "tile": None})
    begin_with_bilinear(network)
    objective: Any = recipe.objective
    budget = recipe.budgets["gpu"]
    declared = objective.optimizer
    optimizer: Any = keras.optimizers.AdamW(
        budget.learning_rate,
        weight_decay=declared.weight_decay,
        beta_1=declared.beta_1,
        beta_2=declared.beta_2,
        clipnorm=declared.clipnorm,
    )
    network.compile(optimizer, loss=lambda t, p: objective.loss(t, p))
    rng = np.random.default_rng(SEED)
    seconds, began, steps, value = 60 * options.minutes, None, 0, 0.0
    while began is None or time.perf_counter() - began < seconds:
        chosen = rng.integers(len(coarse), size=options.batch)
        turns, mirror = int(rng.integers(4)), bool(rng.integers(2))
        pair = [np.rot90(images[chosen], turns, (1, 2)) for images in (coarse, dense)]
        pair = [images[:, :, ::-1] if mirror else images for images in pair]
        share = 0.0 if began is None else (time.perf_counter() - began) / seconds
        fall = 0.5 * (1 + np.cos(np.pi * min(share, 1.0)))
        optimizer.learning_rate.assign(budget.learning_rate * max(fall, 0.01))
        value = float(network.train_on_batch(*map(np.ascontiguousarray, pair)))
        if began is None:
            began = time.perf_counter()
        else:
            steps += 1
    took = time.perf_counter() - began
    images = np.concatenate(
        [np.asarray(network.predict_on_batch(scan[None]))[..., 0] for scan in scans]
    )
    training = {
        "program": recipe.name,
        "device": keras.backend.backend(),
        "parameters": sum(int(np.prod(w.shape)) for w in network.trainable_weights),
        "steps": steps,
        "seconds": took,
        "loss": value,
    }
    return training, images


def theirs(
    python: str,
    options: argparse.Namespace,
    coarse: np.ndarray,
    dense: np.ndarray,
    scans: np.ndarray,
    folder: Path,
) -> tuple[dict[str, Any], np.ndarray]:
    """Train PSSR2's network on the pool in grey levels, and return its images."""
    case = {
        "tiles": str(folder / "tiles.npz"),
        "scans": str(folder / "scans.npy"),
        "images": str(folder / "images.npy"),
        "minutes": options.minutes,
        "batch": options.batch,
        "threads": options.threads,
        "seed": SEED,
    }
    np.savez(case["tiles"], coarse=coarse.astype("f4"), dense=dense.astype("f4"))
    np.save(case["scans"], scans.astype("f4"))
    (folder / "case.json").write_text(json.dumps(case), encoding="utf-8")
    done = subprocess.run(
        [python, "-c", TRAINED, str(folder / "case.json")],
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["no message"])[-1]
        raise SystemExit(f"PSSR2 failed in {python}: {last}")
    training = json.loads(done.stdout.strip().splitlines()[-1])
    return training, np.load(case["images"]) / WHITE


if __name__ == "__main__":
    main()
