"""How a network does on a structure that its training has not shown it yet.

The first stages of DFCAN's trainings leave one structure out.  This takes the weights
at the end of such a stage and scores them on that structure, next to the classical
methods:

    zoo train dfcan_widefield -o runs/widefield
    python benchmarks/unseen.py runs/widefield --stage 2
"""

import argparse
import json
from pathlib import Path
from typing import Any

import numpy as np
from common import print_row

from zoo.core.products import Image, Products
from zoo.core.recipe import Recipe
from zoo.package.trained import RECIPE, RUN, declared_recipe, rebuild
from zoo.recipes.dfcan import UNSEEN
from zoo.test_sets.sim_images import CONDITIONS, SimImageTestSet
from zoo.train.checkpoint import load_stage

WIDTHS = (24, 12, 12, 12)


def main() -> None:
    """Print a table, or JSON for programs."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path, help="run folder of a DFCAN training")
    parser.add_argument("--stage", type=int, required=True, help="stage, from 1")
    parser.add_argument("--structure", default=UNSEEN, help="structure to score")
    parser.add_argument("--quick", action="store_true", help="one small image a level")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()

    record, run = (
        json.loads((chosen.run / name).read_text(encoding="utf-8"))
        for name in (RECIPE, RUN)
    )
    declared = declared_recipe(run.get("recipe", record["name"]))
    if declared is None:
        parser.error(f"{record['name']} of {chosen.run} is not declared")
    recipe = rebuild(declared, record, where=chosen.run / RECIPE)
    for stage in recipe.budgets[run["budget"]].stages[: chosen.stage]:
        shown = recipe.override(**stage.changes).source.model_dump()["structures"]
        if chosen.structure in shown:
            parser.error(f"a stage before shows {chosen.structure}: it is not unseen")
    test_set = recipe.test_set
    if not isinstance(test_set, SimImageTestSet):
        parser.error(f"{recipe.name} is not tested on images")
    if chosen.quick:
        test_set = test_set.reduced()
    test_set = test_set.override(structures=(chosen.structure,))
    scores = test_set.metrics(evidence(chosen.run, chosen.stage, recipe, test_set))
    values = scores[chosen.structure]
    if chosen.json:
        print(json.dumps(values, indent=2))
        return
    print(f"{recipe.name}, {chosen.structure}, end of stage {chosen.stage}")
    print_row(("", *CONDITIONS), WIDTHS)
    for name in values["all"]:
        if name.startswith(("psnr", "ssim")):
            cells = (f"{values[condition][name]:.3f}" for condition in CONDITIONS)
            print_row((name, *cells), WIDTHS)


def evidence(
    folder: Path, stage: int, recipe: Recipe, test_set: SimImageTestSet
) -> list[tuple[str, Any]]:
    """Return the evidence of every case for the weights at the end of a stage."""
    options = dict(recipe.options)
    side = test_set.conditions.crop_px
    if "tile" in options or recipe.contract.grid.is_fixed:
        options["tile"] = side
    model = recipe.network.build(**options)
    load_stage(folder, stage, model)
    scored: list[tuple[str, Any]] = []
    for case in test_set.cases():
        output = np.asarray(model.predict_on_batch(case.input))
        image = Image("image", output[0, ..., 0], "yx")
        scored.append((case.name, test_set.score(case, Products([image]))))
    return scored


if __name__ == "__main__":
    main()
