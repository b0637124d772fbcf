"""One emitter seen several ways, and its parameters put together again.

A spot that looks the same after a turn gives a network several images of one emitter.
What the network makes wrong of each is different; the mean is nearer to the truth.
"""

from typing import Any

import keras

from zoo.core.symmetry import SPOT_VIEWS, SpotSymmetry, Symmetry

# to a type checker, results are the tensors of every backend at once
ops: Any = keras.ops

SHARED = 0.25
"""Least part of the stated variance that all views are taken to have in common."""


def seen(region: Any, symmetry: SpotSymmetry) -> Any:
    """Return regions from all sides, view by view along the batch.

    Views are taken about the centre of the central pixel, the one of index ``n // 2``.
    Regions of even size have a row more on one side; the last one on the other side
    then stands twice.

    Parameters
    ----------
    region : (b, y, x, c)
        Square regions.
    symmetry
        What the spot shares with itself.

    Returns
    -------
    views : (v * b, y, x, c)

    Raises
    ------
    ValueError
        If there is no such symmetry.
    """
    if symmetry not in SPOT_VIEWS:
        raise ValueError(
            f"symmetry must be one of {', '.join(SPOT_VIEWS)}, not {symmetry!r}"
        )
    views = SPOT_VIEWS[symmetry]
    if len(views) == 1:
        return region
    size = int(region.shape[1])
    about = [min(2 * (size // 2) - k, size - 1) for k in range(size)]
    return ops.concatenate([_view(region, view, about) for view in views], axis=0)


def _view(region: Any, view: Symmetry, about: list[int]) -> Any:
    if view.flip_y:
        region = ops.take(region, about, axis=1)
    if view.flip_x:
        region = ops.take(region, about, axis=2)
    return ops.transpose(region, (0, 2, 1, 3)) if view.swap else region


def together(outputs: Any, symmetry: SpotSymmetry, *, deviations: int) -> Any:
    """Return the mean of what a network says of all views, and how far it may be off.

    The mean of the views is off by less than each of them.  If views err by ``c + d``,
    with ``c`` what they have in common, the variance of the mean is the mean of the
    stated variances less the variance between the views; a quarter of the former is
    kept.

    Parameters
    ----------
    outputs : (v * b, n + deviations)
        x, y, z and further parameters, in this order, view by view, x and y in one
        unit from the central pixel; behind them standard deviations.
    symmetry
        What the spot shares with itself; quarter turns change the sign of z.
    deviations
        Number of standard deviations: n, or none.

    Returns
    -------
    outputs : (b, n + deviations)
    """
    views = SPOT_VIEWS[symmetry]
    if len(views) == 1:
        return outputs
    count = int(outputs.shape[-1]) - deviations
    upright = _upright(outputs[:, :count], views, signed=True)
    mean = ops.mean(upright, axis=1)
    if not deviations:
        return mean
    spreads = _upright(outputs[:, count:], views, signed=False)
    stated = ops.mean(ops.square(spreads), axis=1)
    between = ops.mean(ops.square(upright - ops.expand_dims(mean, 1)), axis=1)
    spread = ops.sqrt(ops.maximum(stated - between, SHARED * stated))
    return ops.concatenate([mean, spread], axis=-1)


def _upright(values: Any, views: tuple[Symmetry, ...], *, signed: bool) -> Any:
    """Return (b, v, n): values (v * b, n) as they are in the region itself."""
    count, every = int(values.shape[-1]), len(views) * int(values.shape[-1])
    by_view = ops.reshape(values, (len(views), -1, count))
    rows = ops.reshape(ops.transpose(by_view, (1, 0, 2)), (-1, every))
    order: list[int] = []
    for number, view in enumerate(views):
        xy, turned = [0, 1], [view.flip_x, view.flip_y, view.swap]
        turned += [False] * (count - len(turned))
        places = (xy[::-1] if view.swap else xy) + list(range(2, count))
        # values of the other sign stand behind all values
        order += [
            number * count + place + (every if minus and signed else 0)
            for place, minus in zip(places, turned, strict=True)
        ]
    both = ops.concatenate([rows, -rows], axis=1)
    return ops.reshape(ops.take(both, order, axis=1), (-1, len(views), count))
