"""What of many scores is told first."""

from collections.abc import Mapping
from typing import Any, cast

OVERALL = ("all", "below_100", "above_100")
"""Conditions of an image test set that stand for several signal levels."""


def is_image_group(conditions: Any) -> bool:
    """Say whether scores are those of one structure at several signal levels.

    Examples
    --------
    >>> is_image_group({"15": {"psnr": 21.0}, "all": {"psnr": 25.0}})
    True
    >>> is_image_group({"all": {"false_per_100_frames": 0.5}})
    False
    """
    if not isinstance(conditions, Mapping):
        return False
    overall = cast("Mapping[Any, Any]", conditions).get("all")
    return isinstance(overall, Mapping) and "psnr" in overall


def headlines(metrics: Mapping[str, Any]) -> dict[str, Any]:
    """Return scores without the single signal levels of image test sets.

    Examples
    --------
    >>> headlines({"er": {"15": {"psnr": 21.0}, "all": {"psnr": 25.0}}})
    {'er': {'all': {'psnr': 25.0}}}
    >>> headlines({"density": {"1": {"jaccard": 0.9}}})
    {'density': {'1': {'jaccard': 0.9}}}
    """
    return {
        group: {k: v for k, v in conditions.items() if k in OVERALL}
        if is_image_group(conditions)
        else conditions
        for group, conditions in metrics.items()
    }
