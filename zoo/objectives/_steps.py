"""Steps of several networks in turn, without copies between them.

With JAX, `train_on_batch` brings all variables of a network and its optimiser back to
their places, and waits for the figures: tens of milliseconds for a deep network.  Here
their values stay on the device until the epoch is over.  Other backends keep them in
place anyway.
"""

from typing import Any

import keras


class Steps:
    """Steps of compiled networks during one epoch.

    Figures are means over the steps of each network.

    Examples
    --------
    >>> import numpy as np
    >>> model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    >>> model.compile(optimizer="sgd", loss="mse")
    >>> with Steps() as steps:
    ...     for _ in range(3):
    ...         steps.take("model", model, np.ones((2, 1)), np.ones((2, 1)))
    >>> sorted(steps.figures["model"])
    ['loss']
    """

    def __init__(self) -> None:
        self.figures: dict[str, dict[str, float]] = {}
        """Mean figures by name of the network, when the epoch is over."""
        self._sums: dict[str, dict[str, float]] = {}
        self._counts: dict[str, int] = {}
        self._logs: dict[str, Any] = {}
        self._groups: dict[str, list[list[Any]]] = {}
        self._values: dict[int, tuple[Any, Any]] = {}
        self._resident = keras.config.backend() == "jax"

    def __enter__(self) -> "Steps":
        """Begin an epoch."""
        return self

    def __exit__(self, *failure: object) -> None:
        """Bring variables back to their places and compute the figures."""
        self._bring_back()
        for name, sums in self._sums.items():
            count = self._counts[name]
            self.figures[name] = {key: sums[key] / count for key in sums}
        for name, logs in self._logs.items():
            self.figures[name] = {key: float(value) for key, value in logs.items()}

    def take(self, name: str, model: Any, inputs: Any, aims: Any) -> None:
        """Let a network learn from a batch.

        Parameters
        ----------
        name
            Of the network, for its figures.
        model
            Compiled network; its variables that are trainable now are trained.
        inputs, aims
            What it is shown, and what is aimed at, arrays of one batch.
        """
        if not self._resident:
            logs = model.train_on_batch(inputs, aims, return_dict=True)
            sums = self._sums.setdefault(name, {})
            for key, value in logs.items():
                sums[key] = sums.get(key, 0.0) + float(value)
            self._counts[name] = self._counts.get(name, 0) + 1
            return
        if name not in self._groups:
            logs = None
            if model.train_function is None:  # builds and compiles what it needs
                self._bring_back()
                logs = model.train_on_batch(inputs, aims, return_dict=True)
            else:
                model.reset_metrics()
            self._groups[name] = [
                model.trainable_variables,
                model.non_trainable_variables,
                model.optimizer.variables,
                model.metrics_variables,
            ]
            if logs is not None:
                self._logs[name] = logs
                return
        groups = self._groups[name]
        state = tuple([self._value(v) for v in group] for group in groups)
        step: Any = model.train_function
        logs, after = step(state, iter([(inputs, aims, None)]))
        for group, values in zip(groups, after, strict=True):
            for variable, value in zip(group, values, strict=True):
                self._values[id(variable)] = variable, value
        # means since the metrics were reset; nobody waits for them yet
        self._logs[name] = logs

    def _value(self, variable: Any) -> Any:
        known = self._values.get(id(variable))
        return variable.value if known is None else known[1]

    def _bring_back(self) -> None:
        for variable, value in self._values.values():
            variable.assign(value)
        self._values = {}
