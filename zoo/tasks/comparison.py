"""Images against the diffraction-limited input that they were made from.

A network's image is blurred and scaled until it resembles the widefield image of the
same field as much as it can (`zoo.metrics.squirrel`).  What is left over is the *error
map*: it shows where the image cannot be trusted.  The scaling is also the way back from
the arbitrary intensities of a network to those of the recording.
"""

import math
from typing import Any

import numpy as np

from zoo.tasks.conditions import plain_number


class Comparison:
    """Compares images with their references and keeps the metrics.

    Parameters
    ----------
    match
        Whether images are given the intensities of their reference.
    widest_px
        Full width at half maximum of the widest blur that a reference may have, px of
        it, if it is not on a grid of its own but on that of what was drawn beside it;
        such images are compared around every pixel, too (`zoo.tasks.consistency`).
    """

    def __init__(self, *, match: bool = False, widest_px: float | None = None) -> None:
        self._match, self._widest_px = match, widest_px
        self._rows: list[np.ndarray] = []
        self._agreements: list[float] = []
        self.agreement: np.ndarray | None = None
        """(t, Y, X, C) float32, how far the images added last agree with their
        references around every pixel; None if that is not asked for."""

    def add(
        self, references: np.ndarray, output: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Compare further images with the diffraction-limited ones.

        Parameters
        ----------
        references : (t, y, x, g)
            One for each group of input channels, in its own intensities.
        output : (t, Y, X, C)
            What the network made of them; C is a multiple of g.

        Returns
        -------
        images : (t, Y, X, C) float32
            The output; if intensities are matched, gain · output + offset, whose blur
            resembles the reference most.  The gain is never negative.
        errors : (t, Y, X, C) float32
            Absolute difference of the blurred, scaled output and its reference.
        """
        from zoo.metrics.squirrel import LARGEST_FWHM_PX, error_map  # needs SciPy
        from zoo.tasks.consistency import consistency

        widest = self._widest_px
        images = np.empty_like(output) if self._match else output
        errors = np.empty_like(output)
        if widest is not None:
            self.agreement = np.empty(output.shape, np.float32)
        count, groups = output.shape[-1], references.shape[-1]
        for t, reference in enumerate(references):
            row = np.empty((count, 5))
            for c in range(count):
                widefield = reference[..., c * groups // count]
                match = error_map(
                    widefield,
                    output[t, ..., c],
                    largest_fwhm_px=widest or LARGEST_FWHM_PX,
                    out=errors[t, ..., c],
                )
                gain, offset = match.gain, match.offset
                if self.agreement is not None:
                    self.agreement[t, ..., c], mean = consistency(
                        widefield,
                        output[t, ..., c],
                        sigma_px=match.sigma_px,
                        gain=gain,
                        offset=offset,
                    )
                    self._agreements.append(mean)
                if self._match:
                    if gain <= 0:  # nothing in common: the reference's mean is best
                        gain, offset = 0.0, float(widefield.mean())
                    images[t, ..., c] = gain * output[t, ..., c] + offset
                row[c] = match.rsp, match.rse, match.sigma_px, gain, offset
            self._rows.append(row)
        return images, errors

    @property
    def metrics(self) -> np.ndarray:
        """RSP, RSE, sigma (px of the images), gain and offset, (t, C, 5)."""
        return np.stack(self._rows)

    def summary(self, fine_nm: float | None) -> dict[str, Any]:
        """Return the metrics for a report: of all frames together, and of each.

        RSP and RSE are means; sigma, alpha (gain) and beta (offset) medians, which one
        odd frame does not spoil.  One that does not exist is None.

        Parameters
        ----------
        fine_nm
            Edge of a pixel of the images, nm.
        """
        table = self.metrics
        per_frame = [
            {"frame": t + 1}
            | ({"channel": c + 1} if table.shape[1] > 1 else {})
            | _named(row, fine_nm)
            for t, rows in enumerate(table)
            for c, row in enumerate(rows)
        ]
        flat = table.reshape(-1, table.shape[-1])
        together = np.array(
            [*_mean_of_finite(flat[:, :2]), *np.median(flat[:, 2:], axis=0)]
        )
        return _named(together, fine_nm) | {"per_frame": per_frame}

    def agreements(self) -> dict[str, Any]:
        """Return the mean agreement of all images, for a report, and of each."""
        per_image = [_plain(value) for value in self._agreements]
        known = [value for value in per_image if value is not None]
        mean = plain_number(float(np.mean(known))) if known else None
        return {"mean": mean, "per_image": per_image}

    def intensities(self) -> dict[str, Any]:
        """Return alpha and beta of each frame, for several channels as lists."""
        matches = self.metrics[..., 3:]
        values = matches[:, 0] if matches.shape[1] == 1 else matches
        return {
            name: [_plain(value) for value in np.moveaxis(values, -1, 0)[i]]
            for i, name in enumerate(("alpha", "beta"))
        }

    def warnings(self) -> list[str]:
        """Return what a user should know about the comparison."""
        strange = int(np.count_nonzero((self.metrics[..., 0] < 0).any(axis=1)))
        if not strange:
            return []
        return [
            f"{strange} of {len(self._rows)} images have nothing in common with their "
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
    return [_plain(one) for one in value] if np.ndim(value) else plain_number(value)
