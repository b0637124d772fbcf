"""One network for x, y and z, or one for each, after equally long trainings.

    python benchmarks/branches.py smnet_astigmatism --minutes 10

The paper trains one smNet for every group of coordinates; published packages have one
with three outputs.  Compared are that network, three of its width side by side in one
graph, and three that are so much narrower that they cost about as much as the one.
All start from nothing and learn from the recipe's own simulated regions for the same
time, first by the size of the errors and then by their squares, at a rate that falls
to zero.  Printed are the weights, the samples that were seen, and root mean square
errors over the Cramér-Rao bound on the frozen regions under the declared optics.
Times are wall-clock: nothing else may run meanwhile.
"""

import argparse
import json
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from common import print_machine, print_row

os.environ.setdefault("KERAS_BACKEND", "tensorflow")

from zoo.catalog import recipe as declared
from zoo.core.recipe import Budget, Recipe, Stage
from zoo.objectives._networks import trained_network
from zoo.recipes.smnet import BY_SIZE, COLUMNS
from zoo.train.run import train
from zoo.train.start import start_from

BATCH, STEPS, EPOCHS = 32, 60, 40
WIDTHS = (38, 10, 10, 9, 8, 8, 8)


def arrangements(recipe: Recipe) -> Iterator[tuple[str, Recipe]]:
    """Yield the recipe of one network, of three, and of three at the same cost."""
    width = recipe.options["width"]
    yield "one network, three outputs", recipe
    for name, factor in (("three networks", 1.0), ("three of a third each", 3**-0.5)):
        changes = {"outputs": 1, "branches": 3, "width": width * factor}
        yield name, recipe.override(options=recipe.options | changes)


def timed(recipe: Recipe, minutes: float) -> Recipe:
    """Return a recipe whose only budget lasts a number of minutes."""
    # more than there is time for: steps of every epoch are cut to what is affordable
    stages = (
        Stage(epochs=EPOCHS, steps=STEPS, batch_size=BATCH, changes=BY_SIZE),
        Stage(epochs=EPOCHS, steps=STEPS, batch_size=BATCH),
    )
    budget = Budget(
        stages=stages,
        learning_rate=1.5e-3,
        validation_samples=64,
        hours=minutes / 60,
    )
    return recipe.override(budgets={"smoke": budget})


def over_bounds(recipe: Recipe, weights: Path) -> tuple[Any, list[float]]:
    """Return the trained network and its errors over their bounds, by axis."""
    model = trained_network(recipe, dtype="float32")
    start_from(model, weights)
    errors: list[np.ndarray] = []
    for case in recipe.test_set.cases():
        if not case.name.startswith("nominal/"):
            break
        regions = case.input[..., None].astype(np.float32)
        found = model.predict(regions, batch_size=BATCH, verbose=0)
        factors = recipe.contract.task.factors
        errors.append(
            np.stack(
                [
                    (found[:, place] * factors[place] - getattr(case.truth, name))
                    / getattr(case.facts.bounds, name)
                    for place, name in enumerate(COLUMNS)
                ]
            )
        )
    together = np.concatenate(errors, axis=1)
    return model, [float(np.sqrt(np.mean(row**2))) for row in together]


def main() -> None:
    """Print a table, or JSON."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("recipe", nargs="?", default="smnet_astigmatism")
    parser.add_argument("--minutes", type=float, default=10.0, help="of each, 10")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()
    if not chosen.json:
        print_machine(f"{chosen.recipe}, {chosen.minutes:g} minutes each")
        titles = ("arrangement", "weights", "samples", "minutes", *"xyz")
        print_row(titles, WIDTHS)
    rows: list[dict[str, Any]] = []
    for name, recipe in arrangements(declared(chosen.recipe)):
        with tempfile.TemporaryDirectory() as folder:
            path = train(
                timed(recipe, chosen.minutes),
                budget="smoke",
                run_folder=Path(folder) / "run",
            )
            run = json.loads((path.parent / "run.json").read_text(encoding="utf-8"))
            model, errors = over_bounds(recipe, path)
        row = {
            "arrangement": name,
            "weights": sum(int(np.prod(w.shape)) for w in model.trainable_weights),
            "samples": run["samples"],
            "minutes": round(run["seconds"] / 60, 1),
            **{
                f"rmse_over_crlb_{axis}": round(error, 2)
                for axis, error in zip("xyz", errors, strict=True)
            },
        }
        rows.append(row)
        if not chosen.json:
            print_row(list(row.values()), WIDTHS)
    if chosen.json:
        print(json.dumps(rows, indent=1))


if __name__ == "__main__":
    main()
