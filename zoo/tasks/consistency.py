"""How far an estimate agrees, place by place, with a widefield image of the field.

ANNA-PALM (Ouyang et al. 2018, doi:10.1038/nbt.4106) learns a network for this, which
predicts the widefield image from the estimate.  Here nothing is learnt: the estimate is
blurred and scaled until it resembles the widefield image most (`zoo.metrics.squirrel`),
and the two are compared by structural similarity (Wang et al. 2004,
doi:10.1109/TIP.2003.819861) in windows as wide as the blur.

The constants of the similarity are larger than the published 0.01 and 0.03, with which
the noise of dark places counts as much as a structure.  ``benchmarks/consistency.py``
compares them, and the learnt network, on errors that are known: on the test sets of
ANNA-PALM's packages this map finds invented and missing structures more surely than
that network does.  The network's own errors are ordered by neither as well as by the
brightness of its image.
"""

from typing import Protocol, runtime_checkable

import numpy as np

from zoo.core.contract import Contract

CONSISTENCY = (
    "Agreement of the blurred, scaled image with the widefield image around every "
    "pixel: local structural similarity, 1 where they agree, 0 where they have nothing "
    "in common. No learnt network. Structures finer than the widefield image are not "
    "judged, those of a tenth of its range of brightness less strictly than bright ones"
)
"""What a map says about itself."""

MEANING = (
    "mean agreement of the image, blurred to the resolution of the widefield image, "
    "with that, by classical structural similarity; weighted by the light of the two, "
    "so that dark places do not count"
)
"""What a report says of it."""

WIDEST_NM = 700.0
"""Full width at half maximum of the widest blur that a widefield image may have."""

LEAST_WINDOW_PX = 4.0
"""Standard deviation of the windows, px, where the blur is smaller."""

CONSTANTS = (0.1, 0.1)
"""Constants of the similarity, for brightness and for contrast, as shares of the range
of the widefield image: differences below them hardly count."""

_ROWS = 1024  # compared at a time, so that memory does not grow
_REACH = 4.0  # standard deviations of Gaussians that are looked at


@runtime_checkable
class BesideLocalizations(Protocol):
    """An input in which a widefield image may lie on the grid of a rendering."""

    def widefield_grid_nm(self) -> float | None:
        """Return the edge of a pixel of that grid; None without a widefield image."""
        ...


def widest_px(contract: Contract) -> float | None:
    """Return the widest blur of a widefield image that lies beside localizations.

    Full width at half maximum in px of the rendering, None for all other inputs.
    """
    given = contract.input
    if not isinstance(given, BesideLocalizations):
        return None
    grid_nm = given.widefield_grid_nm()
    return None if grid_nm is None else WIDEST_NM / grid_nm


def consistency(
    widefield: np.ndarray,
    image: np.ndarray,
    *,
    sigma_px: float,
    gain: float,
    offset: float,
    constants: tuple[float, float] = CONSTANTS,
) -> tuple[np.ndarray, float]:
    """Compare an image, blurred and scaled, with a widefield image around every pixel.

    Parameters
    ----------
    widefield : (y, x)
        What was measured.
    image : (y, x)
        The estimate on the same grid.
    sigma_px
        Standard deviation of the blur, and of the windows if it is not too small, px.
    gain, offset
        Scaling of the estimate; one without a positive gain has nothing in common.
    constants
        Of the similarity, as `CONSTANTS`.

    Returns
    -------
    map : (y, x) float32
        Local structural similarity in [0, 1].
    mean
        Its mean, weighted by the light of both above the darkest; NaN without light.

    Examples
    --------
    >>> image = np.random.default_rng(0).random((40, 40))
    >>> alike, mean = consistency(3 * image, image, sigma_px=0, gain=3, offset=0)
    >>> bool(alike.min() > 0.999), round(mean, 3)
    (True, 1.0)
    """
    from scipy.ndimage import gaussian_filter  # takes a while to import

    low, span = float(widefield.min()), max(float(np.ptp(widefield)), 1e-9)
    if gain <= 0:
        gain, offset = 0.0, float(widefield.mean(dtype=float))
    width = max(sigma_px, LEAST_WINDOW_PX)
    margin = int(_REACH * (sigma_px + width)) + 2
    floor_b, floor_c = (constant**2 for constant in constants)

    def near(values: np.ndarray, deviation_px: float) -> np.ndarray:
        return np.asarray(gaussian_filter(values, deviation_px, truncate=_REACH))

    found = np.empty(widefield.shape, np.float32)
    total = alike_sum = 0.0
    for start in range(0, len(widefield), _ROWS):
        stop = min(start + _ROWS, len(widefield))
        first = max(start - margin, 0)
        rows = slice(first, stop + margin)
        inner = slice(start - first, stop - first)
        measured = (np.asarray(widefield[rows], float) - low) / span
        blurred = near(np.asarray(image[rows], float), sigma_px)
        seen = (gain * blurred + offset - low) / span
        mean_m, mean_s = near(measured, width), near(seen, width)
        squares = mean_m**2 + mean_s**2
        variances = near(measured**2 + seen**2, width) - squares
        covariance = near(measured * seen, width) - mean_m * mean_s
        alike = (2 * mean_m * mean_s + floor_b) / (squares + floor_b)
        alike *= (2 * covariance + floor_c) / (np.maximum(variances, 0) + floor_c)
        found[start:stop] = np.clip(alike[inner], 0, 1)
        light = (measured + np.maximum(seen, 0))[inner]
        total += float(light.sum())
        alike_sum += float((found[start:stop] * light).sum())
    return found, alike_sum / total if total > 0 else float("nan")
