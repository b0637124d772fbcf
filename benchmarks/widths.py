"""Published packages beside the width of the paper, after the same short training.

    python benchmarks/widths.py dfgan_widefield cross_modality_gan_confocal_sted

Both are trained from nothing with the budget `smoke`, on the same simulated patches.
Its last stage, on whole tiles, is left out: at the paper's width it takes a quarter of
an hour.  The critic is reduced and whole with its generator.  Printed are the weights
of generator and critic, and mean PSNR and SSIM of held-out pairs after the best linear
match, beside those of the input itself.  So short a training says that both learn, and
not which is better in the end.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from common import matched_scores, print_row

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from zoo.catalog import recipe as declared
from zoo.core.random import generator
from zoo.core.recipe import Recipe
from zoo.objectives._networks import trained_network
from zoo.objectives.adversarial import Adversarial
from zoo.train.run import train
from zoo.train.start import start_from

REDUCED = {"width", "groups", "blocks"}
"""Options of networks that published packages set below the paper's."""
SEED = 78
EDGE = 4  # pixels of the output that are left out at every border
WIDTHS = (34, 10, 12, 12, 10, 8)


def whole(recipe: Recipe) -> Recipe:
    """Return a recipe whose networks have the paper's width."""
    changes: dict[str, Any] = {"options": _kept(recipe.options)}
    if isinstance(recipe.objective, Adversarial):
        for name, critic in recipe.objective.critics.items():
            changes[f"objective__critics__{name}__options"] = _kept(critic.options)
    return recipe.override(**changes)


def _kept(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name not in REDUCED}


def critics(recipe: Recipe) -> int | None:
    """Return the trained weights of the critics; None if there are none."""
    if not isinstance(recipe.objective, Adversarial):
        return None
    built = [c.network.build(**c.options) for c in recipe.objective.critics.values()]
    return sum(_trainable(model) for model in built)


def _trainable(model: Any) -> int:
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def held_out(recipe: Recipe, count: int, crop_px: int) -> list[tuple[Any, Any]]:
    """Return pairs that no training of these has seen."""
    source = recipe.source.override(crop_px=crop_px)
    drawn = (source.sample(generator(SEED, number)) for number in range(10 * count))
    shown = (pair for pair in drawn if np.ptp(pair[1]) > 0)  # something is there
    return list(islice(shown, count))


def scores(made: list[np.ndarray], pairs: list[tuple[Any, Any]]) -> tuple[float, float]:
    """Return mean PSNR and SSIM of images against the targets of pairs."""
    rows = [
        matched_scores(image, target, edge=EDGE)
        for image, (_, target) in zip(made, pairs, strict=True)
    ]
    found = np.mean(rows, axis=0)
    return float(found[0]), float(found[1])


def enlarged(image: np.ndarray, target: np.ndarray) -> np.ndarray:
    """Return the mean of an input's channels on the grid of the target."""
    factor = len(target) // len(image)
    mean = image[..., :9].mean(axis=-1, keepdims=True)
    return mean.repeat(factor, 0).repeat(factor, 1)


def on_patches(recipe: Recipe) -> Recipe:
    """Return a recipe whose shortest training shows patches only."""
    smoke = recipe.budgets["smoke"]
    stages = tuple(s for s in smoke.stages if "source__crop_px" in s.changes)
    budget = smoke.model_copy(update={"stages": stages})
    return recipe.override(budgets={**recipe.budgets, "smoke": budget})


def rows_of(name: str, count: int, crop_px: int) -> Iterator[dict[str, Any]]:
    """Yield what is printed of one recipe."""
    published = on_patches(declared(name))
    pairs = held_out(published, count, crop_px)
    before = scores([enlarged(*pair) for pair in pairs], pairs)
    yield {
        "network": f"{name}: input",
        "weights": None,
        "critic": None,
        "minutes": None,
        "psnr_db": round(before[0], 2),
        "ssim": round(before[1], 3),
    }
    for width, recipe in (("published", published), ("paper", whole(published))):
        with tempfile.TemporaryDirectory() as folder:
            path = train(recipe, budget="smoke", run_folder=Path(folder) / "run")
            run = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
            model = trained_network(recipe, dtype="float32")
            start_from(model, path)
        made = [model.predict_on_batch(image[None])[0] for image, _ in pairs]
        after = scores(made, pairs)
        yield {
            "network": f"{name}: {width}",
            "weights": _trainable(model),
            "critic": critics(recipe),
            "minutes": round(run["seconds"] / 60, 1),
            "psnr_db": round(after[0], 2),
            "ssim": round(after[1], 3),
        }


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipes", nargs="+", help="names of image recipes")
    parser.add_argument("--images", type=int, default=16, help="held-out pairs, 16")
    parser.add_argument("--crop-px", type=int, default=64, help="their edge, 64 px")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    if not chosen.json:
        titles = ("network", "weights", "critic", "minutes", "PSNR [dB]", "SSIM")
        print_row(titles, WIDTHS)
    found: list[dict[str, Any]] = []
    for name in chosen.recipes:
        for row in rows_of(name, chosen.images, chosen.crop_px):
            found.append(row)
            if not chosen.json:
                cells = ["-" if value is None else value for value in row.values()]
                print_row(cells, WIDTHS)
    if chosen.json:
        print(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
