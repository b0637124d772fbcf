"""Smooth backgrounds of frames, found in cells of some ten pixels."""

import numpy as np

CELL_PX = 16
"""Edge of the cells in which a background is found, about."""


class Cells:
    """Cells of a frame, and the way from them to its pixels.

    The law: what is spread from cells of one value is this value everywhere.

    Parameters
    ----------
    height, width
        Of the frame, px.

    Examples
    --------
    >>> cells = Cells(32, 48)
    >>> slope = np.broadcast_to(np.arange(48.0), (1, 32, 48))
    >>> medians = cells.quantile(slope, 0.5)
    >>> medians[0, 0].tolist()
    [8.0, 24.0, 40.0]
    >>> cells.spread(medians)[0, 0, [0, 15, 16, 47]].tolist()
    [8.0, 15.5, 16.5, 40.0]
    """

    def __init__(self, height: int, width: int) -> None:
        self._edges = [
            np.linspace(0, n, max(1, round(n / CELL_PX)) + 1).round().astype(int)
            for n in (height, width)
        ]
        self._up, self._across = (_bilinear(edges) for edges in self._edges)

    def quantile(self, images: np.ndarray, quantile: float) -> np.ndarray:
        """Return a quantile of every cell of images (t, y, x), (t, rows, columns)."""
        rows, columns = self._edges
        values = np.zeros((len(images), len(rows) - 1, len(columns) - 1))
        for i in range(values.shape[1]):
            for j in range(values.shape[2]):
                cell = images[:, rows[i] : rows[i + 1], columns[j] : columns[j + 1]]
                flat = cell.reshape(len(images), -1)
                rank = int(quantile * flat.shape[1])
                values[:, i, j] = np.partition(flat, rank, axis=1)[:, rank]
        return values

    def spread(self, values: np.ndarray) -> np.ndarray:
        """Return images that are bilinear between the centres of the cells."""
        return self._up @ values @ self._across.T


def _bilinear(edges: np.ndarray) -> np.ndarray:
    """Return the weights of cells along an axis for its pixels, (pixel, cell)."""
    centres = (edges[1:] + edges[:-1]) / 2
    pixels = np.arange(int(edges[-1])) + 0.5
    return np.stack(
        [np.interp(pixels, centres, unit) for unit in np.eye(len(centres))], axis=1
    )
