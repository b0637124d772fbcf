"""Networks brought to life from ``.keras`` files, no larger than their weights."""

import math
from importlib import import_module
from pathlib import Path
from typing import Any

from zoo.core.errors import BadPackage
from zoo.io.keras_file import check_keras_file, read_config

SPARE_VALUES = 2**20
"""Values that a network may have beyond its stored weights, such as random seeds."""


def load_network(path: str | Path) -> Any:
    """Return the network in a ``.keras`` file, with its weights.

    A description may ask for layers larger than the memory.  It is therefore built
    once without memory, where variables have a shape and nothing else, and a second
    time only if the file is known to hold as many values.

    Parameters
    ----------
    path
        The file.

    Returns
    -------
    model
        A ``keras.Model``, not compiled.

    Raises
    ------
    BadPackage
        As `zoo.io.keras_file.check_keras_file`, or if the network has more values than
        the file has weights.
    TypeError, ValueError, KeyError, OSError
        If this Keras cannot build it.
    """
    path = Path(path)
    stored = check_keras_file(path)
    config = read_config(path)
    config.pop("compile_config", None)
    keras: Any = import_module("keras")
    state: Any = import_module("keras.src.backend.common.global_state")
    without_memory: list[Any] = state.get_global_attribute(
        "uninitialized_variables", [], set_to_default=True
    )
    before = len(without_memory)
    try:
        with keras.StatelessScope(initialize_variables=False):
            keras.saving.deserialize_keras_object(config, safe_mode=True)
        declared = sum(math.prod(value.shape) for value in without_memory[before:])
    finally:
        del without_memory[before:]  # they would get it at the end of any such scope
    if declared > stored + SPARE_VALUES:
        raise BadPackage(
            f"{path.name} was not loaded: it describes a network of {declared:.3g} "
            f"values and holds {stored:.3g}"
        )
    return keras.saving.load_model(path, compile=False, safe_mode=True)
