"""A run: one recipe, one budget, one folder."""

import json
import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Any

import keras

from zoo.core.errors import BadInput
from zoo.core.recipe import BudgetName, Recipe
from zoo.train.fit import CHECKPOINT, HISTORY, Progress, fit
from zoo.train.start import WEIGHTS, start_from

RECIPE = "recipe.json"
RUN = "run.json"


def train(
    recipe: Recipe,
    *,
    budget: BudgetName,
    run_folder: Path,
    settings: dict[str, Any] | None = None,
    data: str | None = None,
    start: str | None = None,
    resume: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Train the network of a recipe and write a run folder.

    The folder holds ``recipe.json`` (the whole declaration), ``run.json`` (budget,
    program versions, time), ``history.csv``, a checkpoint, and at the end
    ``weights.keras`` in float32.

    Parameters
    ----------
    recipe
        What to train, `settings` already applied.
    budget
        Which of its training plans to follow.
    run_folder
        Where to write; must not hold a run unless `resume`.
    settings
        The changes that made `recipe` from its published form; kept for resuming.
    data
        Folder of measured pairs that `recipe` was pointed at; kept for resuming.
    start
        Weights to start from, see `zoo.train.start.start_from`; random ones without.
    resume
        Continue the run in `run_folder`.
    progress
        Called after every epoch.

    Returns
    -------
    weights : Path
        The ``weights.keras`` of the finished run.

    Raises
    ------
    BadInput
        If the folder holds a run already, holds none to resume, the recipe changed
        since it was started, or the weights to start from do not fit.
    """
    if budget not in recipe.budgets:
        raise BadInput(
            f"{recipe.name} has no budget {budget!r}; "
            f"it has {', '.join(recipe.budgets)}"
        )
    chosen = recipe.budgets[budget]
    declared = json.loads(recipe.model_dump_json())
    if resume:
        _check_same(run_folder, declared)
    elif (run_folder / RECIPE).exists() or (run_folder / CHECKPOINT).exists():
        raise BadInput(
            f"{run_folder} already holds a run; continue it with --resume or choose "
            "another folder"
        )
    # the initial weights follow from the seed, as every batch does
    keras.utils.set_random_seed(recipe.seed)
    precision = "mixed_bfloat16" if chosen.mixed_precision else "float32"
    model = recipe.network.build(
        **recipe.options | recipe.training_options, dtype=precision
    )
    if resume:
        # what the run has learnt since takes the place of what it began with
        begun_from = read_run(run_folder).get("start_path")
        start = None if (run_folder / CHECKPOINT).exists() else begun_from
    begun = {} if start is None else start_from(model, start)
    prepare = recipe.network.prepare
    if prepare is not None and (start is None or "start_channels" in begun):
        prepare(model)
    if not resume:
        run_folder.mkdir(parents=True, exist_ok=True)
        _write_json(run_folder / RECIPE, declared)
        _write_json(
            run_folder / RUN,
            {
                "recipe": recipe.name,
                "budget": budget,
                "settings": settings or {},
                "data": data,
                "start_path": start,
                **begun,
                "finished": False,
            },
        )
    history = fit(model, recipe, chosen, run_folder, progress=progress)
    final = recipe.network.build(**recipe.options)
    final.set_weights(model.get_weights())
    temporary = run_folder / f"part-{WEIGHTS}"
    final.save(temporary)
    temporary.replace(run_folder / WEIGHTS)
    run = read_run(run_folder) | {
        "finished": True,
        "samples": chosen.samples,
        "steps": chosen.steps,
        "seconds": round(sum(epoch["seconds"] for epoch in history), 1),
        "backend": keras.config.backend(),
        "keras": version("keras"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }
    _write_json(run_folder / RUN, run)
    return run_folder / WEIGHTS


def read_run(run_folder: Path) -> dict[str, Any]:
    """Return ``run.json`` of a run folder.

    Raises
    ------
    BadInput
        If the folder holds no run.
    """
    path = run_folder / RUN
    if not path.is_file():
        raise BadInput(
            f"{run_folder} holds no run ({RUN} is missing); start one with zoo train"
        )
    return json.loads(path.read_text(encoding="utf-8"))


def _check_same(run_folder: Path, declared: dict[str, Any]) -> None:
    read_run(run_folder)
    path = run_folder / RECIPE
    stored = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(
        key for key in declared | stored if declared.get(key) != stored.get(key)
    )
    if changed:
        raise BadInput(
            f"{path} differs from the recipe of this version in {', '.join(changed)}; "
            "resume with the version that started the run, or start a new one"
        )


def _write_json(path: Path, content: dict[str, Any]) -> None:
    temporary = path.with_name(f"{path.name}.part")
    text = json.dumps(content, indent=2, ensure_ascii=False)
    temporary.write_text(text + "\n", encoding="utf-8")
    temporary.replace(path)


__all__ = ["CHECKPOINT", "HISTORY", "RECIPE", "RUN", "WEIGHTS", "read_run", "train"]
