"""The pre- and postprocessing that bioimage.io descriptions declare, in NumPy.

Results equal those of bioimageio.core 0.11, quirks included: a fixed standard
deviation is widened by 1e-6, and percentiles of ``clip`` take an existing value
while those of ``scale_range`` interpolate.  One deviation: a declared ``eps`` is
obeyed here, whereas that version ignores it and always uses 1e-6, its default.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from zoo.core.axes import letters
from zoo.core.errors import BadPackage

Operation = Mapping[str, Any]
"""One step of a description: ``{"id": "clip", "kwargs": {"min": 0, "max": 1}}``."""

EPS = 1e-6
"""Default of every ``eps``, and what bioimageio.core adds to a fixed deviation."""


class _Step(NamedTuple):
    """A tensor on its way, and the tensor that statistics are taken from."""

    tensor: np.ndarray
    axes: str
    statistics_from: np.ndarray

    def reduced(self, kwargs: Mapping[str, Any]) -> tuple[int, ...]:
        """Return the dimensions over which a statistic runs."""
        named = kwargs.get("axes")
        if named is None:
            return tuple(range(len(self.axes)))
        chosen = letters(list(named))
        missing = sorted(set(chosen) - set(self.axes))
        if missing:
            raise BadPackage(
                f"processing names the axes {', '.join(missing)}, "
                f"but the tensor has {', '.join(self.axes)}"
            )
        return tuple(self.axes.index(axis) for axis in chosen)

    def along(self, values: Any, axis: str | None) -> np.ndarray:
        """Return numbers shaped so that they broadcast along one axis."""
        numbers = np.asarray(values, dtype=np.float64)
        if axis is None:
            if numbers.size != 1:
                raise BadPackage(
                    f"processing gives {numbers.size} values but names no axis for them"
                )
            return numbers.reshape(())
        shape = [1] * len(self.axes)
        shape[self.axes.index(letters([axis]))] = numbers.size
        return numbers.reshape(shape)

    def percentile(
        self, percent: float, kwargs: Mapping[str, Any], *, method: Any = "linear"
    ) -> np.ndarray:
        """Return a percentile with its dimensions kept."""
        where = self.reduced(kwargs)
        if percent <= 0:
            return np.min(self.statistics_from, axis=where, keepdims=True)
        if percent >= 100:
            return np.max(self.statistics_from, axis=where, keepdims=True)
        return np.percentile(
            self.statistics_from, percent, axis=where, keepdims=True, method=method
        )


def _binarize(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    return step.tensor > step.along(kwargs["threshold"], kwargs.get("axis"))


def _clip(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    method = "linear" if kwargs.get("axes") is None else "inverted_cdf"
    bounds: list[Any] = []
    for end in ("min", "max"):
        bound = kwargs.get(end)
        percent = kwargs.get(f"{end}_percentile")
        if bound is None and percent is not None:
            bound = step.percentile(percent, kwargs, method=method)
        bounds.append(bound)
    if all(bound is None for bound in bounds):
        raise BadPackage("clip needs a minimum or a maximum")
    return np.clip(step.tensor, *bounds)


def _ensure_dtype(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    return step.tensor.astype(kwargs["dtype"])


def _fixed(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    mean = step.along(kwargs["mean"], kwargs.get("axis"))
    std = step.along(kwargs["std"], kwargs.get("axis"))
    return (step.tensor - mean) / (std + EPS)


def _scale_linear(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    axis = kwargs.get("axis")
    gain, offset = kwargs.get("gain", 1.0), kwargs.get("offset", 0.0)
    # one of the two may be a single number for all channels
    gain = step.along(gain, axis if np.size(gain) > 1 else None)
    offset = step.along(offset, axis if np.size(offset) > 1 else None)
    return step.tensor * gain + offset


def _scale_range(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    low = step.percentile(kwargs.get("min_percentile", 0.0), kwargs)
    high = step.percentile(kwargs.get("max_percentile", 100.0), kwargs)
    return (step.tensor - low) / (high - low + kwargs.get("eps", EPS))


def _sigmoid(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    del kwargs
    half = np.tanh(0.5 * step.tensor)  # does not overflow for large negative values
    return 0.5 * (1.0 + half)


def _softmax(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    axis = step.axes.index(letters([kwargs.get("axis", "channel")]))
    grown = np.exp(step.tensor - step.tensor.max(axis=axis, keepdims=True))
    return grown / grown.sum(axis=axis, keepdims=True)


def _standardise(step: _Step, kwargs: Mapping[str, Any]) -> np.ndarray:
    where = step.reduced(kwargs)
    mean = step.statistics_from.mean(axis=where, keepdims=True)
    std = step.statistics_from.std(axis=where, keepdims=True)
    return (step.tensor - mean) / (std + kwargs.get("eps", EPS))


_FUNCTIONS: dict[str, Callable[[_Step, Mapping[str, Any]], np.ndarray]] = {
    "binarize": _binarize,
    "clip": _clip,
    "ensure_dtype": _ensure_dtype,
    "fixed_zero_mean_unit_variance": _fixed,
    "scale_linear": _scale_linear,
    "scale_range": _scale_range,
    "sigmoid": _sigmoid,
    "softmax": _softmax,
    "zero_mean_unit_variance": _standardise,
}

OPERATIONS = tuple(_FUNCTIONS)
"""Names of the operations that `apply` knows."""


def apply(
    operations: Sequence[Operation],
    tensor: np.ndarray,
    axes: str | Sequence[str],
    *,
    statistics_from: np.ndarray | None = None,
) -> np.ndarray:
    """Apply the declared operations in order.

    A statistic whose ``axes`` leave out the batch is taken for each image of the
    batch separately; without ``axes`` it is taken over the whole tensor.

    Parameters
    ----------
    operations
        Steps as format 0.5 writes them in ``rdf.yaml``.
    tensor
        Numbers with the given axes.
    axes
        Axis letters such as ``"byxc"``, or bioimage.io axis ids.
    statistics_from
        Tensor with the same axes from which minima, percentiles, means and
        deviations are taken, for instance the frame that `tensor` is a tile of.
        The steps are applied to it as well.

    Returns
    -------
    tensor : float32
        Another type only if the last step is ``ensure_dtype`` or ``binarize``.

    Raises
    ------
    BadPackage
        If an operation is unknown, names an axis that the tensor does not have, or
        refers to another tensor and `statistics_from` is not given.
    ValueError
        If the axes do not fit the tensor.

    Examples
    --------
    >>> steps = [{"id": "scale_range", "kwargs": {"axes": ["y", "x"]}}]
    >>> frame = np.array([[100.0, 300.0], [200.0, 100.0]])
    >>> apply(steps, frame, "yx").round(3).tolist()
    [[0.0, 1.0], [0.5, 0.0]]
    """
    names = letters(list(axes))
    for array in (tensor, statistics_from):
        if array is not None and array.ndim != len(names):
            raise ValueError(
                f"a tensor with axes {names} has {len(names)} dimensions, "
                f"not {array.ndim}"
            )
    # float64 until the end: a pedestal of 1e4 counts would cost float32 three digits
    result = np.asarray(tensor, dtype=np.float64)
    other = None if statistics_from is None else np.asarray(statistics_from, np.float64)
    last = "ensure_dtype"
    if not operations:
        return np.asarray(tensor, dtype=np.float32)
    for operation in operations:
        last = operation["id"]
        kwargs: dict[str, Any] = operation.get("kwargs") or {}
        if last not in _FUNCTIONS:
            raise BadPackage(
                f"processing step {last!r} is not supported; supported are "
                f"{', '.join(OPERATIONS)}"
            )
        if kwargs.get("reference_tensor") is not None and other is None:
            raise BadPackage(
                f"{last} takes its statistics from tensor "
                f"{kwargs['reference_tensor']!r}, which was not given"
            )
        source = result if other is None else other
        result, other = (
            _FUNCTIONS[last](_Step(result, names, source), kwargs),
            None
            if other is None
            else _FUNCTIONS[last](_Step(other, names, other), kwargs),
        )
    if last in ("ensure_dtype", "binarize"):
        return result
    return result.astype(np.float32)
