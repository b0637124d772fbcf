"""A run: one recipe, one budget, one folder."""

import json
import os
import platform
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import keras
import numpy as np

from zoo.core.errors import BadInput
from zoo.core.files import replacing, write_json
from zoo.core.random import generator
from zoo.core.recipe import Budget, BudgetName, Loop, Recipe
from zoo.train.checkpoint import CHECKPOINT, HISTORY, STAGE, History
from zoo.train.fit import Progress, fit, plan, spent
from zoo.train.precision import precision_for
from zoo.train.start import WEIGHTS, start_from_mean

if TYPE_CHECKING:
    from zoo.train.judging import Judge

RECIPE = "recipe.json"
RUN = "run.json"


def train(
    recipe: Recipe,
    *,
    budget: BudgetName,
    run_folder: Path,
    declared_as: str | None = None,
    settings: dict[str, Any] | None = None,
    data: str | None = None,
    start: str | Sequence[str] = (),
    resume: bool = False,
    progress: Progress | None = None,
    judge: "Judge | None" = None,
) -> Path:
    """Train the network of a recipe and write a run folder.

    The folder holds ``run.json`` (budget, precision, program versions, time),
    ``recipe.json`` (the whole declaration), ``history.csv``, a checkpoint, and at the
    end ``weights.keras`` in float32 and whatever else the objective made.  A training
    that is killed at any instant can be resumed, or leaves nothing that is in the way.

    Parameters
    ----------
    recipe
        What to train, `settings` already applied.
    budget
        Which of its training plans to follow.
    run_folder
        Where to write; must not hold a run or package unless `resume`.
    declared_as
        Name under which the recipe is in the catalogue, if `settings` give it another.
    settings
        The changes that made `recipe` from its published form; kept for resuming.
    data
        Folder of measured pairs that `recipe` was pointed at; kept for resuming.
    start
        Weights to start from, see `zoo.train.start.start_from`, or several, of which
        the mean is taken; random ones without.
    resume
        Continue the run in `run_folder`.
    progress
        Called after every epoch.
    judge
        Compares held-out images of own pairs before and after; draws one every epoch.

    Returns
    -------
    weights : Path
        The ``weights.keras`` of the finished run.

    Raises
    ------
    BadInput
        If the folder holds a run already or files that are called like those of one,
        holds none to resume, the recipe changed
        since it was started, or the weights to start from do not fit.
    """
    if budget not in recipe.budgets:
        raise BadInput(
            f"{recipe.name} has no budget {budget!r}; "
            f"it has {', '.join(recipe.budgets)}"
        )
    chosen = recipe.budgets[budget]
    declared = json.loads(recipe.model_dump_json())
    run: dict[str, Any] = {}
    if resume:
        run = read_run(run_folder)
        _check_same(run_folder, declared)
        start = run.get("start_path") or ()
    else:
        require_free(run_folder)
        # a source that has nothing to show leaves no folder behind
        recipe.source.sample(generator(recipe.seed))
    start = [start] if isinstance(start, str) else list(start)
    precision = run.get("precision") or precision_for(chosen)
    # the initial weights follow from the seed, as every batch does
    keras.utils.set_random_seed(recipe.seed)
    loop = recipe.objective.start(recipe, chosen, dtype=precision)
    begun: dict[str, Any] = {}
    if not (run_folder / CHECKPOINT).exists():
        # what a run has learnt since takes the place of what it began with
        begun = _initial_weights(loop, recipe, start)
    if not resume:
        run = {
            "recipe": declared_as or recipe.name,
            "budget": budget,
            "precision": precision,
            "settings": _self_contained(settings or {}, declared),
            "data": data,
            "start_path": start,
            **begun,
            "finished": False,
        }
        run_folder.mkdir(parents=True, exist_ok=True)
        write_json(run_folder / RUN, run)
    for remains in run_folder.glob(".part-*"):  # of a training that was killed
        if remains.is_file():
            remains.unlink()
    if not (run_folder / RECIPE).exists():
        write_json(run_folder / RECIPE, declared)
    if judge is not None:
        judge.begin(loop.network)
    history = fit(loop, recipe, chosen, run_folder, progress=progress, judge=judge)
    further = _write_results(run_folder, loop.results())
    run |= {"finished": True, **_facts(history, chosen), "results": further}
    if judge is not None:
        run["comparison"] = judge.end(loop.network)
    write_json(run_folder / RUN, run)
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


def require_free(run_folder: Path) -> None:
    """Refuse a folder in which a new run would take the place of files.

    Raises
    ------
    BadInput
        If there is a run, or a file that is called like one of a run.
    """
    if any((run_folder / name).exists() for name in (RECIPE, RUN, CHECKPOINT)):
        raise BadInput(
            f"{run_folder} already holds a run; continue it with --resume or choose "
            "another folder"
        )
    if run_folder.exists() and not run_folder.is_dir():
        raise BadInput(f"{run_folder} is a file; give a folder for the run")
    written = (HISTORY, STAGE.format("*"), "*.npy", "*.keras")
    in_the_way = sorted(path for name in written for path in run_folder.glob(name))
    if in_the_way:
        raise BadInput(
            f"{in_the_way[0]} is not replaced: no run wrote it; choose another folder "
            "with -o"
        )


def _check_same(run_folder: Path, declared: dict[str, Any]) -> None:
    path = run_folder / RECIPE
    if not path.exists():  # killed before it was written: nothing has been learnt
        return
    stored = json.loads(path.read_text(encoding="utf-8"))
    changed = sorted(
        key for key in declared | stored if declared.get(key) != stored.get(key)
    )
    if changed:
        raise BadInput(
            f"{path} differs from the recipe of this version in {', '.join(changed)}; "
            "resume with the version that started the run, or start a new one"
        )


def _self_contained(
    settings: dict[str, Any], declared: dict[str, Any]
) -> dict[str, Any]:
    """Return settings that say the same where a user's files are missing.

    A source that read a file when it was set is stored as it was understood.
    """
    if not any(
        name.startswith("source__") and isinstance(value, str)
        for name, value in settings.items()
    ):
        return settings
    others = {n: v for n, v in settings.items() if not n.startswith("source__")}
    return {"source": declared["source"]} | others


def _initial_weights(
    loop: Loop, recipe: Recipe, start: Sequence[str]
) -> dict[str, Any]:
    begun = start_from_mean(loop.network, start) if start else {}
    prepare = recipe.network.prepare
    if prepare is not None and (not start or "start_channels" in begun):
        prepare(loop.network)
    return begun


def _write_results(run_folder: Path, results: dict[str, Any]) -> list[str]:
    """Write networks and arrays, and return the names of those beside the weights."""
    names: list[str] = []
    for name, result in results.items():
        is_array = isinstance(result, np.ndarray)
        file = (
            WEIGHTS
            if name == "weights"
            else f"{name}{'.npy' if is_array else '.keras'}"
        )
        with replacing(run_folder / file) as part:
            if is_array:
                np.save(part, result)
            else:
                result.save(part)
        if file != WEIGHTS:
            names.append(file)
    return names


def _facts(history: History, budget: Budget) -> dict[str, Any]:
    """Return what is to be said about a training that is over."""
    planned = plan(budget)
    samples = [0, *(int(row["samples"]) for row in history)]
    steps = sum(
        (samples[n + 1] - samples[n]) // planned[n].stage.batch_size
        for n in range(len(history))
    )
    stopped = bool(planned) and samples[-1] < planned[-1].samples
    return {
        "samples": samples[-1],
        "steps": steps,
        "seconds": round(spent(history), 1),
        **({"stopped_by": "time"} if stopped else {}),
        "backend": keras.config.backend(),
        "keras": version("keras"),
        "cores": os.cpu_count(),
        "machine": platform.machine(),
    }


__all__ = ["CHECKPOINT", "HISTORY", "RECIPE", "RUN", "WEIGHTS", "read_run", "train"]
