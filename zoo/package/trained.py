"""What a package is built from: a run folder, or a package that exists."""

import csv
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from pydantic import ValidationError

from zoo import catalog
from zoo.core.config import one_line
from zoo.core.errors import BadPackage
from zoo.core.files import to_json
from zoo.core.formats import KERAS
from zoo.core.recipe import Recipe
from zoo.package.own import Own

RECIPE, RUN, METRICS, HISTORY = (
    "recipe.json",
    "run.json",
    "metrics.json",
    "history.csv",
)

PRESENTATION = ("title", "summary", "contract", "test_set", "acceptance", "tags")
"""Fields of a recipe that may change after training, unless it was started with
others; the rest is a record."""


class Trained(NamedTuple):
    """A trained network with all that is known about its making."""

    folder: Path
    """Where the files are."""
    recipe: Recipe
    """The declaration that it was trained by."""
    run: dict[str, Any]
    """Budget, samples, seconds, backend: what the training wrote down."""
    export: dict[str, Any]
    """Versions of the programs that wrote the formats; empty for a run folder."""
    packaged: bool
    """Whether `folder` is a package rather than a run."""
    own: Own | None = None
    """Identity of a package that is not the published one of the recipe."""
    calibration: dict[str, Any] = {}
    """Fields of the contract's task that state measured errors, which the recipe's
    have already; none where a network has no such calibration."""

    @property
    def name(self) -> str:
        """Name of the package: its own, or that of the recipe."""
        return self.recipe.name if self.own is None else self.own.name


class KeptStage(NamedTuple):
    """A stage of a training whose variables the run keeps."""

    samples: int
    """Samples that the training had seen at its end."""
    objective: Any
    """How it was trained."""
    path: Path
    """Checkpoint of its end."""


def kept_stages(trained: Trained) -> Iterator[KeptStage]:
    """Yield the stages of a run that left a checkpoint, in the order of training."""
    from zoo.train.checkpoint import RECORD, STAGE  # brings Keras

    budget = trained.recipe.budgets.get(trained.run.get("budget", ""))
    for number, stage in enumerate(budget.stages if budget else (), start=1):
        path = trained.folder / STAGE.format(number)
        if not path.is_file():
            continue
        with np.load(path) as arrays:
            history = json.loads(str(arrays[RECORD]))["history"]
        objective = trained.recipe.override(**stage.changes).objective
        yield KeptStage(int(history[-1]["samples"]), objective, path)


def declared_recipe(name: str) -> Recipe | None:
    """Return the recipe that a module of ``zoo.recipes`` declares under a name."""
    return catalog.recipes().get(name)


def read_trained(folder: Path, *, recipe: Recipe | None = None) -> Trained:
    """Read a run folder or a package of this zoo.

    Parameters
    ----------
    folder
        Holds ``recipe.json`` and ``weights.keras``.
    recipe
        The declaration that the run started from; by default the one declared in
        ``zoo.recipes`` under the recorded name.

    Raises
    ------
    BadPackage
        If a file is missing or broken, the run is not finished, or no recipe of the
        recorded name is declared.
    """
    record = _read_json(folder / RECIPE)
    packaged = (folder / "rdf.yaml").is_file()
    run = record.pop("run", {})
    export = record.pop("export", {})
    own = _read_own(record.pop("package", None), where=folder / RECIPE)
    calibration = record.pop("calibration", {}) if packaged else {}
    if not packaged:
        run = _read_json(folder / RUN) if (folder / RUN).is_file() else run
        run |= {"history": history} if (history := _read_history(folder)) else {}
        if run.get("finished") is False:
            raise BadPackage(
                f"{folder} holds an unfinished run; finish it with "
                f"zoo train --resume {folder}"
            )
    # a setting may have given the recipe another name, but it is declared under this
    name = record["name"] = run.get("recipe") or record.get("name", "")
    base = recipe or declared_recipe(name)
    if base is None:
        raise BadPackage(
            f"{folder / RECIPE} names the recipe {name!r}, which no module of "
            "zoo.recipes declares; a package is built from a declared recipe"
        )
    if not (folder / KERAS.file).is_file():
        raise BadPackage(f"{folder} holds no {KERAS.file}; there is nothing to package")
    current = rebuild(base, record, where=folder / RECIPE)
    chosen = {key.partition("__")[0] for key in run.get("settings", {})}
    kept = {f: getattr(base, f) for f in PRESENTATION if f not in chosen}
    current = current.model_copy(update=kept)
    if not packaged:
        current = current.objective.conclude(current, folder)
    if current.source != base.source:
        current = current.settled()
    trained = Trained(folder, current, run, export, packaged, own)
    try:
        return with_calibration(trained, calibration)
    except ValueError as error:
        raise BadPackage(
            f"{folder / RECIPE} states a calibration that does not fit the task of "
            f"{name}: {' '.join(str(error).split())}"
        ) from error


def with_calibration(trained: Trained, calibration: dict[str, Any]) -> Trained:
    """Return a training whose package states the errors that were measured of it."""
    if not calibration:
        return trained
    recipe = trained.recipe
    changes = {f"contract__task__{name}": value for name, value in calibration.items()}
    recipe = recipe.override(**changes)
    return trained._replace(recipe=recipe, calibration=calibration)


def rebuild(base: Recipe, record: dict[str, Any], *, where: Path) -> Recipe:
    """Return `base` with the values that were written down when it was used.

    The architecture itself is code and cannot differ; its options can.

    Raises
    ------
    BadPackage
        If a value does not fit its field, or the record is of another network.
    """
    recorded = record.get("network", {}).get("name", base.network.name)
    if recorded != base.network.name:
        raise BadPackage(
            f"{where} is about the network {recorded}, the recipe {base.name} about "
            f"{base.network.name}"
        )
    fields = {name: getattr(base, name) for name in Recipe.model_fields}
    fields |= {k: v for k, v in record.items() if k in fields and k != "network"}
    try:
        return Recipe(**fields)
    except ValidationError as error:
        raise BadPackage(
            f"{where} does not fit the recipe {base.name} of this version: "
            f"{one_line(error)}"
        ) from error


def record_of(trained: Trained, export: dict[str, Any]) -> str:
    """Return the ``recipe.json`` of a package: declaration, run and versions."""
    content = json.loads(trained.recipe.model_dump_json())
    # where files were kept says nothing about the weights
    places = ("data", "start_path")
    run = {key: value for key, value in trained.run.items() if key not in places}
    own = {} if trained.own is None else {"package": trained.own.model_dump()}
    stated = {"calibration": c} if (c := trained.calibration) else {}
    return to_json({**content, **own, **stated, "run": run, "export": export})


def read_metrics(folder: Path) -> dict[str, Any] | None:
    """Return the scores of a package, ``None`` if it has not been scored."""
    path = folder / METRICS
    return _read_json(path) if path.is_file() else None


def _read_own(record: dict[str, Any] | None, *, where: Path) -> Own | None:
    try:
        return None if record is None else Own(**record)
    except (TypeError, ValidationError) as error:
        raise BadPackage(f"{where} names its package wrongly: {error}") from error


def _read_history(folder: Path) -> list[dict[str, float | None]]:
    """Return the figures of each epoch that the training wrote down."""
    path = folder / HISTORY
    if not path.is_file():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return [
            {name: _figure(text) for name, text in row.items()}
            for row in csv.DictReader(file)
        ]


def _figure(text: str | None) -> float | None:
    """Return a number of the log; None where an epoch has none, as JSON demands."""
    number = float(text) if text else math.nan
    return number if math.isfinite(number) else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise BadPackage(
            f"{path.parent} is neither a run nor a package of this zoo: "
            f"{path.name} is missing"
        ) from error
    except ValueError as error:
        raise BadPackage(f"{path} is not valid JSON: {error}") from error
    if not isinstance(content, dict):
        raise BadPackage(f"{path} must hold a JSON object")
    return content
