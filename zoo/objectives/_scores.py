"""What critics pay for their scores, and what a generator pays for them."""

from collections.abc import Callable
from typing import Any, Literal

import keras

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops
ScoreLoss = Literal["bce", "least_squares", "hinge", "wasserstein"]
Term = Callable[[Any], Any]

_REALITY: dict[ScoreLoss, Term] = {
    "bce": lambda score: ops.softplus(-score),
    "least_squares": lambda score: ops.square(score - 1.0),
    "hinge": lambda score: ops.relu(1.0 - score),
    "wasserstein": lambda score: -score,
}
_FORGERY: dict[ScoreLoss, Term] = {
    "bce": lambda score: ops.softplus(score),
    "least_squares": lambda score: ops.square(score),
    "hinge": lambda score: ops.relu(1.0 + score),
    "wasserstein": lambda score: score,
}
_FOOLING: dict[ScoreLoss, Term] = {
    "bce": lambda score: ops.softplus(-score),
    "least_squares": lambda score: ops.square(score - 1.0),
    "hinge": lambda score: -score,
    "wasserstein": lambda score: -score,
}


def reality(kind: ScoreLoss) -> Callable[[Any, Any], Any]:
    """Return a Keras loss: the price of a target's score for the critic."""
    return _of_scores(_REALITY[kind])


def forgery(kind: ScoreLoss) -> Callable[[Any, Any], Any]:
    """Return a Keras loss: the price of a prediction's score for the critic."""
    return _of_scores(_FORGERY[kind])


def fooling(kind: ScoreLoss, weight: float) -> Callable[[Any, Any], Any]:
    """Return a Keras loss: the price of a prediction's score for the generator."""
    return _of_scores(_FOOLING[kind], weight)


def _of_scores(term: Term, weight: float = 1.0) -> Callable[[Any, Any], Any]:
    """Average a function of the scores of every image, whatever is aimed at."""

    def loss(_aim: Any, scores: Any) -> Any:
        values = weight * term(ops.cast(scores, "float32"))
        return ops.mean(values, axis=tuple(range(1, len(values.shape))))

    return loss
