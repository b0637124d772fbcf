"""Carry tensors from a foreign checkpoint into a Keras model, losing none.

A converter states one `Move` per weight of the model.  `apply_moves` then insists that
every tensor of the checkpoint is used exactly once (or left out for a stated reason),
that every weight of the model is set exactly once, and that shapes agree, before it
changes anything.  No framework is imported here: a model is anything whose ``weights``
have a ``path``, a ``shape``, a ``dtype`` and an ``assign``.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from zoo.core.errors import ZooError


class MappingError(ZooError):
    """A checkpoint that does not fit the model it is meant for."""


@dataclass(frozen=True)
class Move:
    """The way of one or several source tensors into one weight.

    Attributes
    ----------
    target
        Path of the weight, as ``weight.path`` of Keras 3 gives it.
    sources
        Names of the tensors that it is made of.
    combine
        Function of the source tensors, in order, that gives one array; needed when
        there are several sources.
    """

    target: str
    sources: tuple[str, ...]
    combine: Callable[..., np.ndarray] | None = None


def weights_by_path(model: Any) -> dict[str, Any]:
    """List the weights of a Keras model by path, in the order of the model.

    Raises
    ------
    MappingError
        If two weights share a path, so that neither can be addressed.
    """
    weights = {weight.path: weight for weight in model.weights}
    if len(weights) != len(model.weights):
        twice = _repeated(weight.path for weight in model.weights)
        raise MappingError(
            f"weights of the model share a path, name its layers apart: {_some(twice)}"
        )
    return weights


def apply_moves(
    model: Any,
    sources: Mapping[str, np.ndarray],
    moves: Sequence[Move],
    *,
    left_out: Mapping[str, str] | None = None,
) -> None:
    """Set all weights of a model from all tensors of a checkpoint.

    Nothing is assigned unless everything fits.

    Parameters
    ----------
    model
        Keras model whose weights are set in place.
    sources
        Tensors of the checkpoint by name.
    moves
        One move per weight of the model.
    left_out
        Tensors that the model has no use for, each with the reason.

    Raises
    ------
    MappingError
        If a tensor is used twice or not at all, a weight set twice or not at all, a
        name is unknown, shapes differ, or a value is not a finite real number.
    """
    targets = weights_by_path(model)
    left_out = left_out or {}
    used = [name for move in moves for name in move.sources]
    set_ = [move.target for move in moves]
    complaints = {
        "the checkpoint has no tensor": _missing(used + list(left_out), sources),
        "the model has no weight": _missing(set_, targets),
        "tensors are used twice": _repeated([*used, *left_out]),
        "weights are set twice": _repeated(set_),
        "tensors are left over": _missing(sources, {*used, *left_out}),
        "weights are not set": _missing(targets, set_),
    }
    found = [f"{text}: {_some(names)}" for text, names in complaints.items() if names]
    if found:
        raise MappingError("; ".join(found))
    arrays = _computed(moves, targets, sources)
    for move, array in zip(moves, arrays, strict=True):
        targets[move.target].assign(array)


def _computed(
    moves: Iterable[Move],
    targets: Mapping[str, Any],
    sources: Mapping[str, np.ndarray],
) -> list[np.ndarray]:
    """Work out every array and compare its shape with the weight's."""
    arrays, wrong = [], []
    for move in moves:
        array = _value(move, sources)
        target = targets[move.target]
        if array.shape != tuple(target.shape):
            wrong.append(
                f"{' + '.join(move.sources)} {array.shape} → {move.target} "
                f"{tuple(target.shape)}"
            )
        arrays.append(array)
    if wrong:
        raise MappingError(f"shapes differ: {_some(wrong)}")
    return arrays


def _value(move: Move, sources: Mapping[str, np.ndarray]) -> np.ndarray:
    values = [np.asarray(sources[name]) for name in move.sources]
    for name, value in zip(move.sources, values, strict=True):
        if value.dtype.kind not in "fiub" or not np.isfinite(value).all():
            raise MappingError(f"{name} holds values that are not finite real numbers")
    if move.combine is not None:
        return np.asarray(move.combine(*values))
    if len(values) != 1:
        raise ValueError(
            f"{move.target} needs a function to combine {len(values)} tensors"
        )
    return values[0]


def _missing(names: Iterable[str], known: Iterable[str]) -> list[str]:
    known = set(known)
    return [name for name in dict.fromkeys(names) if name not in known]


def _repeated(names: Iterable[str]) -> list[str]:
    return [name for name, count in Counter(names).items() if count > 1]


def _some(names: Sequence[str], limit: int = 8) -> str:
    """Join names for one line, counting those beyond `limit`."""
    more = f" and {len(names) - limit} more" if len(names) > limit else ""
    return ", ".join(names[:limit]) + more
