"""What becomes of a kernel when the enlargement before it is folded into it."""

import numpy as np

_SUMS = np.array([[[1, 0, 0], [0, 1, 1]], [[1, 1, 0], [0, 0, 1]]], np.float32)
"""Which rows of a kernel of three add up to the two rows that an output row of even
or odd number needs, (parity, coarse row, row)."""


def phase_kernels(kernel: np.ndarray) -> np.ndarray:
    """Return the 2 x 2 kernels of the four output phases of a 3 x 3 kernel.

    A convolution behind a twofold enlargement by replication sees every pixel two or
    four times; the entries of the kernel that meet the same pixel are added.

    Parameters
    ----------
    kernel : (3, 3, in, out)

    Returns
    -------
    kernels : (row parity, column parity, 2, 2, in, out)

    Examples
    --------
    >>> kernels = phase_kernels(np.ones((3, 3, 1, 1), np.float32))
    >>> kernels[0, 0, :, :, 0, 0].tolist()
    [[1.0, 2.0], [2.0, 4.0]]
    """
    return np.einsum("pak,qbl,klio->pqabio", _SUMS, _SUMS, kernel)
