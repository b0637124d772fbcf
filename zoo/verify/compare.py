"""How far two ways of computing the same differ: outputs, and the kernels inside."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from zoo.core.folding import phase_kernels

KERNEL_TOLERANCE = 1e-6
"""Largest difference of a kernel's values, relative to the norm of the row of values
that share an output channel.  Folding a normalisation into a kernel rounds each value
once, by 6e-8 of it; a wrong value of 1e-3 of the kernel's norm is 1e-3 of a row's or
more."""


def relative_error(output: np.ndarray, expected: np.ndarray) -> float:
    """Return the largest difference relative to the largest expected value.

    Infinite if the shapes differ or a number is not finite.

    Examples
    --------
    >>> relative_error(np.array([0.0, 4.0]), np.array([1.0, 4.0]))
    0.25
    """
    if output.shape != expected.shape:
        return float("inf")
    scale = max(float(np.abs(expected).max(initial=0.0)), 1e-30)
    difference = np.abs(output.astype(np.float64) - expected.astype(np.float64))
    worst = float(difference.max(initial=0.0)) / scale
    return worst if np.isfinite(worst) else float("inf")


def absent_kernels(
    kernels: Mapping[str, np.ndarray], constants: Iterable[np.ndarray]
) -> list[str]:
    """Return the kernels that stand in none of the constants of another format.

    A format may turn the axes of a kernel and may fold a normalisation into it, which
    multiplies all values of an output channel by one factor.  Equal is therefore a
    constant with the same values in any order, or one whose rows along some axis have,
    up to a factor each, the same values in any order; of a 3 x 3 kernel the four that
    `zoo.core.folding.phase_kernels` makes of it, too.  The outputs of a network cannot
    tell: in DFCAN, units of the attention that a test image leaves at zero hide any
    error, and one value that is wrong by 1e-3 of its kernel's norm moves the output by
    4e-6 of its largest value (median).

    Parameters
    ----------
    kernels
        Tensors of the parent format by name; those of fewer than two axes are left
        out, as they vanish where they are folded, and so are single numbers, such as
        the slope of a rectifier, which no factor tells from any other.
    constants
        All tensors of the other format.

    Examples
    --------
    >>> kernel = np.arange(1.0, 25).reshape(2, 3, 4)
    >>> absent_kernels({"conv": kernel}, [2 * kernel.transpose(2, 0, 1)])
    []
    >>> absent_kernels({"conv": kernel}, [kernel + (kernel == 3)])
    ['conv']
    """
    wanted = {
        name: kernel
        for name, kernel in kernels.items()
        if kernel.ndim > 1 and kernel.size > 1
    }
    sizes = {kernel.size for kernel in wanted.values()}
    sizes |= {size * 4 // 9 for size in sizes}
    others = [constant for constant in constants if constant.size in sizes]
    values = {name: _values(kernel) for name, kernel in wanted.items()}
    offered = [_values(other) for other in others]
    # sorting once tells all that are the same; few are left to be compared in pairs
    present, claimed = set(offered), set(values.values())
    missing = [name for name in wanted if values[name] not in present]
    left = [
        other
        for other, content in zip(others, offered, strict=True)
        if content not in claimed
    ]
    return [name for name in missing if not _held(wanted[name], left)]


def _held(kernel: np.ndarray, others: Sequence[np.ndarray]) -> bool:
    """Tell whether a kernel, or what folding makes of it, stands in constants."""
    if any(o.size == kernel.size and _is_scaled(kernel, o) for o in others):
        return True
    if kernel.ndim != 4 or kernel.shape[:2] != (3, 3):
        return False
    phases = phase_kernels(kernel).reshape(4, 2, 2, *kernel.shape[2:])
    size = phases[0].size
    near = [other for other in others if other.size == size]
    return all(any(_is_scaled(phase, other) for other in near) for phase in phases)


def _values(tensor: np.ndarray) -> bytes:
    """Return what tensors with the same values in any order have in common."""
    return np.sort(tensor, axis=None).tobytes()


def _is_scaled(kernel: np.ndarray, other: np.ndarray) -> bool:
    """Tell whether rows of two tensors have the same values up to a factor each."""
    for axis in range(kernel.ndim):
        rows, negative = _rows(kernel, axis)
        for place in range(other.ndim):
            if other.shape[place] != len(rows) or len(rows) == kernel.size:
                continue
            there = _rows(other, place)[0]
            same = np.abs(there - rows).max(axis=1)
            turned = np.abs(there - negative).max(axis=1)
            if np.minimum(same, turned).max() <= KERNEL_TOLERANCE:
                return True
    return False


def _rows(tensor: np.ndarray, axis: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the sorted values of each row, of norm one, and those of its negative."""
    rows = np.moveaxis(tensor, axis, 0).reshape(tensor.shape[axis], -1)
    rows = rows.astype(np.float64)
    norm = np.linalg.norm(rows, axis=1, keepdims=True)
    rows = np.sort(rows / np.maximum(norm, 1e-300), axis=1)
    return rows, -rows[:, ::-1]
