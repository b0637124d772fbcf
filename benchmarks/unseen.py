"""How a network does on a structure that its training has not shown it yet.

The first stages of DFCAN's trainings leave one structure out.  This takes the weights
at the end of such a stage and scores them on that structure, next to the classical
methods and to the finished network:

    zoo train dfcan_widefield -o runs/widefield
    python benchmarks/unseen.py runs/widefield --stage 2
"""

import argparse
import json
from pathlib import Path

import keras
import numpy as np

from zoo.package.score_images import score_pictures
from zoo.package.source import RECIPE, declared_recipe, rebuild
from zoo.recipes.dfcan import UNSEEN
from zoo.simulate.image_benchmark import ImageBenchmark
from zoo.train.fit import load_stage

CONDITIONS = ("below_100", "above_100", "all")


def main() -> None:
    """Print a table, or JSON for programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of a DFCAN training")
    parser.add_argument("--stage", type=int, required=True, help="stage, from 1")
    parser.add_argument("--structure", default=UNSEEN, help="structure to score")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()

    record = json.loads((chosen.run / RECIPE).read_text(encoding="utf-8"))
    declared = declared_recipe(record["name"])
    if declared is None:
        parser.error(f"{record['name']} of {chosen.run} is not declared")
    recipe = rebuild(declared, record, where=chosen.run / RECIPE)
    budget = json.loads((chosen.run / "run.json").read_text(encoding="utf-8"))["budget"]
    stages = recipe.budgets[budget].stages[: chosen.stage]
    for stage in stages:
        shown = stage.changes.get("source__structures", recipe.source.structures)
        if chosen.structure in shown:
            parser.error(f"a stage before shows {chosen.structure}: it is not unseen")
    benchmark = recipe.benchmark
    if not isinstance(benchmark, ImageBenchmark):
        parser.error(f"{recipe.name} has no frozen pictures")
    model = recipe.network.build(**recipe.options)
    load_stage(chosen.run, chosen.stage, model)
    predict = _predictor(model)
    figures = score_pictures(
        predict, benchmark.override(structures=(chosen.structure,))
    )[chosen.structure]
    if chosen.json:
        print(json.dumps(figures, indent=2))
        return
    names = [name for name in figures["all"] if name.startswith(("psnr", "ssim"))]
    print(f"{recipe.name}, {chosen.structure}, end of stage {chosen.stage}")
    print(f"{'':24}" + "".join(f"{condition:>12}" for condition in CONDITIONS))
    for name in names:
        row = "".join(f"{figures[c][name]:12.3f}" for c in CONDITIONS)
        print(f"{name:24}{row}")


def _predictor(model: keras.Model):
    def predict(frames: np.ndarray) -> np.ndarray:
        image = np.moveaxis(frames, 0, -1)[None].astype(np.float32)
        return np.asarray(model.predict_on_batch(image))[0, ..., 0]

    return predict


if __name__ == "__main__":
    main()
