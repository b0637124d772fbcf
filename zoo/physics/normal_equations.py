"""Steps and errors from Fisher matrices, scaled to a diagonal of one."""

import numpy as np
from scipy import linalg

_NOT_SINGULAR = 1e-6


def solved(fisher: np.ndarray, right: np.ndarray, damping: float) -> np.ndarray:
    """Solve ``(F + damping diag F) step = right`` for one or several columns.

    Parameters
    ----------
    fisher
        (p, p) information; not scaled.
    right
        (p,) or (p, k) gradients.
    damping
        As a share of the diagonal, above zero.

    Examples
    --------
    >>> solved(np.diag([4.0, 100.0]), np.array([4.0, 50.0]), 1e-12).round(3).tolist()
    [1.0, 0.5]
    """
    system, scale = _scaled(fisher, damping)
    factor = linalg.cho_factor(system, lower=True, check_finite=False)
    by = scale if right.ndim == 1 else scale[:, None]
    return linalg.cho_solve(factor, right * by, check_finite=False) * by


def inverse_diagonal(fisher: np.ndarray) -> np.ndarray:
    """Return the diagonal of the inverse of a Fisher matrix: variances.

    Examples
    --------
    >>> inverse_diagonal(np.diag([4.0, 100.0])).round(3).tolist()
    [0.25, 0.01]
    """
    system, scale = _scaled(fisher, _NOT_SINGULAR)
    inverse, _ = linalg.lapack.dpotri(linalg.cholesky(system, lower=True), lower=1)
    return np.diagonal(inverse) * scale**2


def _scaled(fisher: np.ndarray, damping: float) -> tuple[np.ndarray, np.ndarray]:
    """Return a damped matrix with a diagonal of about one, and the scale."""
    diagonal = np.diagonal(fisher)
    scale = np.where(diagonal > 0, diagonal, 1.0) ** -0.5
    system = fisher * scale[:, None] * scale
    np.einsum("aa->a", system)[:] = 1.0 + damping
    return system, scale
