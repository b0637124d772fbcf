"""Pictures against the diffraction-limited input that they were made from.

A network's picture is blurred and scaled until it resembles the widefield picture of
the same field as much as it can (`zoo.physics.squirrel`).  What is left over is the
*error map*: it shows where the picture cannot be trusted.  The scaling is also the way
back from the arbitrary intensities of a network to those of the recording.
"""

import math
from typing import Any

import numpy as np

from zoo.predict.contract import Contract

_DIGITS = 6  # significant ones in the report


def looks_super_resolved(contract: Contract, pixel_size_nm: float | None) -> bool:
    """Tell whether a recording has pixels as fine as the package's own output.

    That is the case if its pixel size is, as a ratio, nearer to that of the pictures
    that the package makes than to that of those which it was trained to take.

    Examples
    --------
    >>> trained = Contract(task="image", scale=2, training={"pixel_size_nm": 60})
    >>> [looks_super_resolved(trained, nm) for nm in (30.0, 41.0, 44.0, None)]
    [True, True, False, False]
    """
    limits = contract.training.get("pixel_size_nm")
    if pixel_size_nm is None or limits is None or contract.task != "image":
        return False
    return pixel_size_nm < float(np.min(limits)) / math.sqrt(contract.scale)


def why_no_error_map(
    contract: Contract, pixel_size_nm: float | None, *, wanted: bool = True
) -> str | None:
    """Return why a prediction comes without an error map; None if it has one.

    Parameters
    ----------
    contract
        The package.
    pixel_size_nm
        Edge of a pixel of the recording.
    wanted
        Whether it was asked for.
    """
    if not wanted:
        return "switched off"
    if contract.reference != "mean":
        return "the package does not say that its input is diffraction-limited"
    if looks_super_resolved(contract, pixel_size_nm):
        return (
            f"with pixels of {pixel_size_nm:.4g} nm the input looks already "
            "super-resolved and is no diffraction-limited reference"
        )
    return None


class Comparison:
    """Compares pictures with their inputs and keeps the figures.

    Parameters
    ----------
    groups
        Input channels that went through the network together; the mean of each group
        is the reference of what came out.
    match
        Whether pictures are given the intensities of their reference.
    """

    def __init__(self, groups: tuple[slice, ...], *, match: bool = False) -> None:
        self._groups = groups
        self._match = match
        self._rows: list[np.ndarray] = []

    def add(
        self, frames: np.ndarray, output: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare further pictures with the frames that they were made from.

        Parameters
        ----------
        frames : (t, y, x, c)
            Input, in its own intensities.
        output : (t, Y, X, C)
            What the network made of it; C is a multiple of the number of groups.

        Returns
        -------
        pictures : (t, Y, X, C) float32
            The output; if intensities are matched, gain · output + offset, whose blur
            resembles the reference most.  The gain is never negative.
        errors : (t, Y, X, C) float32
            Absolute difference of the blurred, scaled output and its reference.
        """
        from zoo.physics.squirrel import error_map

        pictures = np.empty_like(output) if self._match else output
        errors = np.empty_like(output)
        count = output.shape[-1]
        for t, frame in enumerate(frames):
            figures = np.empty((count, 5))
            for c in range(count):
                group = self._groups[c * len(self._groups) // count]
                reference = frame[..., group].mean(axis=-1, dtype=float)
                found = error_map(reference, output[t, ..., c])
                errors[t, ..., c] = found.error
                gain, offset = found.gain, found.offset
                if self._match:
                    if gain <= 0:  # nothing in common: the reference's mean is best
                        gain, offset = 0.0, float(reference.mean())
                    pictures[t, ..., c] = gain * output[t, ..., c] + offset
                figures[c] = found.rsp, found.rse, found.sigma_px, gain, offset
            self._rows.append(figures)
        return pictures, errors

    @property
    def figures(self) -> np.ndarray:
        """RSP, RSE, sigma (px of the pictures), gain and offset, (t, C, 5)."""
        return np.stack(self._rows)

    def summary(self, fine_nm: float | None) -> dict[str, Any]:
        """Return the figures for a report: of all frames together, and of each.

        RSP and RSE are means; sigma, alpha (gain) and beta (offset) medians, which one
        odd frame does not spoil.  A figure that does not exist is None.

        Parameters
        ----------
        fine_nm
            Edge of a pixel of the pictures, nm.
        """
        found = self.figures
        per_frame = [
            {"frame": t + 1}
            | ({"channel": c + 1} if found.shape[1] > 1 else {})
            | _named(row, fine_nm)
            for t, rows in enumerate(found)
            for c, row in enumerate(rows)
        ]
        flat = found.reshape(-1, found.shape[-1])
        together = np.array(
            [*_mean_of_finite(flat[:, :2]), *np.median(flat[:, 2:], axis=0)]
        )
        return _named(together, fine_nm) | {"per_frame": per_frame}

    def intensities(self) -> dict[str, Any]:
        """Return alpha and beta of each frame, for several channels as lists."""
        found = self.figures[..., 3:]
        values = found[:, 0] if found.shape[1] == 1 else found
        return {
            name: [_plain(value) for value in np.moveaxis(values, -1, 0)[i]]
            for i, name in enumerate(("alpha", "beta"))
        }

    def warnings(self) -> list[str]:
        """Return what a user should know about the comparison."""
        alien = int(np.count_nonzero((self.figures[..., 0] < 0).any(axis=1)))
        if not alien:
            return []
        return [
            f"{alien} of {len(self._rows)} pictures have nothing in common with their "
            "input; do not trust them"
        ]


def _named(row: np.ndarray, fine_nm: float | None) -> dict[str, Any]:
    rsp, rse, sigma_px, alpha, beta = (_plain(value) for value in row)
    sigma_nm = None if fine_nm is None else _plain(row[2] * fine_nm)
    return {
        "rsp": rsp,
        "rse": rse,
        "sigma_nm": sigma_nm,
        "sigma_px": sigma_px,
        "alpha": alpha,
        "beta": beta,
    }


def _mean_of_finite(columns: np.ndarray) -> list[float]:
    return [
        float(column[np.isfinite(column)].mean())
        if np.isfinite(column).any()
        else math.nan
        for column in columns.T
    ]


def _plain(value: Any) -> Any:
    """Return numbers as JSON has them."""
    if np.ndim(value):
        return [_plain(one) for one in value]
    return float(f"{value:.{_DIGITS}g}") if np.isfinite(value) else None
