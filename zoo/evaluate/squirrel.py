"""SQUIRREL's error map among the metrics; computed in `zoo.physics.squirrel`.

It lives there because prediction draws error maps, too, and knows no metrics.
"""

from zoo.physics.squirrel import LARGEST_FWHM_PX, ErrorMap, error_map

__all__ = ["LARGEST_FWHM_PX", "ErrorMap", "error_map"]
