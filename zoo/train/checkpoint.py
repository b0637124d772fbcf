"""What a training leaves behind after every epoch, and how it goes on from there."""

import csv
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from keras import ops

from zoo.core.errors import BadInput
from zoo.core.files import replacing
from zoo.core.recipe import Loop

CHECKPOINT = "checkpoint.npz"
STAGE = "stage-{}.npz"
HISTORY = "history.csv"
RECORD = "record"
"""Entry of a checkpoint that holds the history and the weights that are packaged."""

History = list[dict[str, float]]


def save(
    folder: Path, loop: Loop, history: History, *, ends_stage: int | None = None
) -> None:
    """Write the state of a training behind an epoch.

    Every file appears whole, the copy for the end of a stage before the checkpoint:
    killed anywhere in between, a training goes on from the checkpoint that it has and
    writes the rest once more.

    Parameters
    ----------
    folder
        Run folder.
    loop
        What is trained.
    history
        Figures of all epochs so far.
    ends_stage
        Number of the stage that is over, from 1.
    """
    variables = loop.variables()
    network = loop.network.weights
    # by identity: paths of different networks may be alike
    places = {id(variable): path for path, variable in variables.items()}
    record = {"history": history, "network": [places[id(w)] for w in network]}
    arrays = {
        path: np.asarray(ops.convert_to_numpy(variable))
        for path, variable in variables.items()
    }
    arrays[RECORD] = np.array(json.dumps(record))
    with replacing(folder / CHECKPOINT) as part:
        with part.open("wb") as file:
            np.savez(file, allow_pickle=False, **arrays)
        if ends_stage is not None:
            with replacing(folder / STAGE.format(ends_stage)) as copy:
                shutil.copyfile(part, copy)
    write_history(folder, history)


def write_history(folder: Path, history: History) -> None:
    """Write the figures of every epoch; one that an epoch does not have is ``nan``."""
    fields = list(dict.fromkeys(name for row in history for name in row))
    with (
        replacing(folder / HISTORY) as part,
        part.open("w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(fields)
        writer.writerows(
            [f"{row.get(name, float('nan')):.6g}" for name in fields] for row in history
        )


def restore(folder: Path, loop: Loop) -> History:
    """Give a training the state of a folder's checkpoint, if there is one.

    Returns
    -------
    history
        Figures of the epochs behind the checkpoint; none without one.

    Raises
    ------
    BadInput
        If the checkpoint is of another training.
    """
    path = folder / CHECKPOINT
    if not path.exists():
        return []
    variables = loop.variables()
    with _open(path) as arrays:
        history: History = _record(arrays, path)["history"]
        stored = set(arrays.files) - {RECORD}
        if stored != set(variables):
            odd = sorted(stored ^ set(variables))
            raise BadInput(
                f"{path} is the checkpoint of another training: {odd[0]} is in only "
                "one of the two; resume with the version that started the run"
            )
        for name, variable in variables.items():
            variable.assign(arrays[name])
    # killed before they were written, these would stay behind
    write_history(folder, history)
    return history


def load_stage(folder: Path, number: int, model: Any) -> None:
    """Give a network the weights that a run had at the end of a stage.

    Parameters
    ----------
    folder
        Run folder.
    number
        Stage, from 1.
    model
        Network of the run's recipe.

    Raises
    ------
    BadInput
        If the run has not come to the end of that stage.
    """
    path = folder / STAGE.format(number)
    if not path.is_file():
        raise BadInput(
            f"{folder} holds no {path.name}; a run writes it at the end of a stage"
        )
    model.set_weights(stored_weights(path))


def stored_weights(checkpoint: Path) -> list[np.ndarray]:
    """Return the weights that would be packaged, in the network's order.

    Raises
    ------
    BadInput
        If the file is no checkpoint of this version.
    """
    with _open(checkpoint) as arrays:
        return [arrays[name] for name in _record(arrays, checkpoint)["network"]]


def _open(path: Path) -> Any:
    try:
        return np.load(path)
    except (OSError, ValueError) as error:
        raise BadInput(f"{path} is no checkpoint of a run: {error}") from error


def _record(arrays: Mapping[str, Any], path: Path) -> dict[str, Any]:
    if RECORD not in arrays:
        raise BadInput(
            f"{path} was written by an earlier version; train anew with this one"
        )
    return json.loads(str(arrays[RECORD]))
