"""What the illumination pattern of raw SIM frames means for a user."""

from collections.abc import Mapping

import numpy as np

from zoo.core.contract import Range
from zoo.physics.recording_pattern import RecordingPattern


def pattern_warnings(
    pattern: RecordingPattern | None,
    *,
    pixel_nm: float | None,
    training: Mapping[str, Range],
) -> list[str]:
    """Return what a user should know about a pattern, one line each.

    Parameters
    ----------
    pattern
        Of the recording; None if none is visible.
    pixel_nm
        Edge of its pixels.
    training
        Ranges of the conditions under which the network was trained.
    """
    if pattern is None:
        return [
            "no illumination pattern is visible in the raw frames: the result is a "
            "sharpened mean of the frames without SIM resolution; give frames with "
            "more light, or a package for widefield images"
        ]
    warnings: list[str] = []
    if not pattern.visible.all():
        numbers = ", ".join(str(n + 1) for n in np.flatnonzero(~pattern.visible))
        warnings.append(
            f"the illumination pattern of orientation {numbers} is not visible; that "
            "orientation counts as uniform illumination, and resolution is lower along "
            "it"
        )
    warnings += _out_of_range(pattern, pixel_nm, training)
    if not pattern.equal_steps:
        steps = np.degrees(np.diff(pattern.steps_rad[pattern.visible], axis=1))
        mean = ", ".join(f"{step:.0f}" for step in steps.mean(axis=0) % 360)
        warnings.append(
            f"the phases of an orientation differ by {mean} degrees, not by equal "
            "parts of a turn; the frames were rewritten for equal steps. If they are "
            "part of a longer series, give all of it"
        )
    if not pattern.steady_in_space:
        warnings.append(
            "the illumination pattern differs between parts of the field; each tile "
            "was left to find its own, which fails more often"
        )
    if not pattern.steady_in_time:
        warnings.append(
            "the phases of the illumination pattern differ between points of time; "
            "they were measured for each"
        )
    return warnings


def trained_periods_px(training: Mapping[str, Range]) -> Range | None:
    """Return the finest and coarsest pattern that a network was trained on.

    Returns
    -------
    periods
        In pixels of the training; None where the training does not say.

    Examples
    --------
    >>> conditions = {
    ...     "pattern_frequency": (0.85, 1.0), "na": (1.2, 1.49),
    ...     "wavelength_nm": (480.0, 680.0), "pixel_size_nm": (62.6, 62.6)
    ... }
    >>> [round(period, 2) for period in trained_periods_px(conditions)]
    [2.57, 5.32]
    """
    names = ("pattern_frequency", "na", "wavelength_nm", "pixel_size_nm")
    if not all(name in training for name in names):
        return None
    relative, na, wavelength_nm, pixel_nm = (training[name] for name in names)
    return (
        wavelength_nm[0] / (2 * na[1] * relative[1] * pixel_nm[1]),
        wavelength_nm[1] / (2 * na[0] * relative[0] * pixel_nm[0]),
    )


def _out_of_range(
    pattern: RecordingPattern, pixel_nm: float | None, training: Mapping[str, Range]
) -> list[str]:
    """Compare the period, in pixels, with those of the training."""
    trained = trained_periods_px(training)
    if trained is None:
        return []
    lengths = np.hypot(*pattern.vectors[pattern.visible].T)
    period = float(1 / lengths.mean())
    if 0.97 * trained[0] <= period <= 1.03 * trained[1]:
        return []
    word = "finer" if period < trained[0] else "coarser"
    length = "" if pixel_nm is None else f" ({period * pixel_nm:.0f} nm)"
    low, high = trained
    return [
        f"the illumination pattern has a period of {period:.2f} px{length}, {word} "
        f"than the {low:.2f} to {high:.2f} px of the training; compare the result with "
        "a classical reconstruction"
    ]
