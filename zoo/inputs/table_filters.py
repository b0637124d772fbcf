"""Which localizations of a table are drawn, and whether they can be what they say."""

from typing import Any

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations

FEW = 50
"""Localizations from which a table is checked for its unit."""

SMALLEST_FIELD_NM = 2500.0
"""Extent below which many localizations look like camera pixels, nm."""


def frameless(table: Localizations) -> bool:
    """Say whether a table seems to have no frames: all would be in the first."""
    return len(table) > FEW and bool((table.frame == 1).all())


def check_unit(table: Localizations, label: str, *, field_um: float | None) -> None:
    """Refuse a table whose coordinates look like camera pixels."""
    if len(table) <= FEW or field_um is not None:
        return
    far = max(float(table.x_nm.max()), float(table.y_nm.max()))
    if far < SMALLEST_FIELD_NM:
        raise BadInput(
            f"{label}: {len(table)} localizations reach {far:.4g} only, as if x and y "
            "were camera pixels; export nanometres, or state the field with --field-um"
        )


def chosen(table: Localizations, options: Any, label: str) -> Localizations:
    """Return the localizations that the filters let through."""
    kept = np.ones(len(table), bool)
    if options.frames is not None:
        if frameless(table):
            raise BadInput(
                f"{label} has no frames to choose from; export the frame column or "
                "leave --frames out"
            )
        first, last = _frames(options.frames)
        if ":" not in options.frames and len(table):
            last += int(table.frame.min()) - 1  # the first so many that there are
        kept &= (table.frame >= first) & (table.frame <= last)
    for field, column, flag in (
        ("min_photons", "photons", "--min-photons"),
        ("max_uncertainty_nm", "uncertainty_nm", "--max-uncertainty-nm"),
    ):
        bound: float | None = getattr(options, field)
        if bound is None:
            continue
        values: np.ndarray | None = getattr(table, column)
        if values is None:
            raise BadInput(f"{label} has no {column} to filter by; leave {flag} out")
        kept &= values >= bound if field == "min_photons" else values <= bound
    return table if kept.all() else table.select(kept)


def _frames(text: str) -> tuple[int, int]:
    """Return the first and the last frame that a user names."""
    parts = text.split(":")
    try:
        numbers = [int(part) for part in parts]
    except ValueError:
        numbers = []
    first, last = (1, *numbers) if len(numbers) == 1 else (*numbers, 0, 0)[:2]
    if len(numbers) not in (1, 2) or not 1 <= first <= last:
        raise BadInput(
            f"--frames takes a number such as 300, or first:last, not {text!r}"
        )
    return first, last


def windows(text: str | None, count: int, name: str) -> list[tuple[float, float]]:
    """Return the windows of the spectral centroid that a user names."""
    example = ",".join(f"{580 + 40 * n}:{620 + 40 * n}" for n in range(count))
    if text is None:
        raise BadInput(
            f"{name} needs the windows of the spectral centroid, one for each of "
            f"{count} colors, such as --windows-nm {example}"
        )
    try:
        found = [
            (float(low), float(high))
            for low, _, high in (part.partition(":") for part in text.split(","))
        ]
    except ValueError:
        found = []
    if len(found) != count or not all(low < high for low, high in found):
        raise BadInput(
            f"--windows-nm takes {count} windows such as {example}, not {text!r}"
        )
    return found
