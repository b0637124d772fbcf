"""Scores of localizations where emitters crowd on a structure that does not move."""

import numpy as np
from scipy.ndimage import gaussian_filter

from zoo.core.localizations import Localizations
from zoo.metrics.images import nmse, pearson
from zoo.metrics.localizations import BORDER_NM, inside
from zoo.metrics.matching import match

RADII_NM = (50.0, 100.0)
"""Largest distances of a match, nm."""

SHIFTS = (1, 2, 3)
"""Frames by which a table is shifted to find what chance scores."""


def crowd_scores(
    truth: Localizations, localizations: Localizations, *, field_nm: float, frames: int
) -> dict[str, float]:
    """Score a table against the truth, less what chance would have scored.

    The same table, its frame numbers shifted cyclically by `SHIFTS`, is matched with
    the truth of another frame: on a static structure neighbours are often met by
    accident, and a blurred guess anywhere on a filament scores as much.

    Parameters
    ----------
    truth, localizations
        Tables of one recording, frames from 1.
    field_nm
        Edge of the square field; `BORDER_NM` at its border are left out.
    frames
        Frames of the recording.

    Returns
    -------
    scores : dict
        For every radius of `RADII_NM`, such as 50: ``jaccard_50``,
        ``jaccard_50_chance``, their difference ``jaccard_50_net``, ``recall_50`` and
        ``precision_50``; ``rmse_lateral_nm`` of the matches within the largest radius,
        and ``count_ratio``, found to true emitters.
    """
    truth = truth.select(inside(truth, field_nm=field_nm, border_nm=BORDER_NM))
    localizations = localizations.select(
        inside(localizations, field_nm=field_nm, border_nm=BORDER_NM)
    )
    scores: dict[str, float] = {}
    for radius_nm in RADII_NM:
        label = f"{radius_nm:g}"
        pairs = match(truth, localizations, radius_nm=radius_nm)
        hits = len(pairs)
        chance = [
            _jaccard(
                len(match(truth, moved, radius_nm=radius_nm)), truth, localizations
            )
            for moved in (_shifted(localizations, shift, frames) for shift in SHIFTS)
        ]
        scores[f"jaccard_{label}"] = _jaccard(hits, truth, localizations)
        scores[f"jaccard_{label}_chance"] = float(np.mean(chance))
        scores[f"jaccard_{label}_net"] = scores[f"jaccard_{label}"] - float(
            np.mean(chance)
        )
        scores[f"recall_{label}"] = _ratio(hits, len(truth))
        scores[f"precision_{label}"] = _ratio(hits, len(localizations))
        scores["rmse_lateral_nm"] = (
            float(np.sqrt(np.mean(pairs.distance_nm**2))) if hits else float("nan")
        )
    scores["count_ratio"] = _ratio(len(localizations), len(truth))
    return scores


def image_scores(
    density: np.ndarray,
    truth: Localizations,
    *,
    pixel_size_nm: float,
) -> dict[str, float]:
    """Compare the summed output of a network with the image of all true emitters.

    Both are blurred with a Gaussian of one fine pixel, as Deep-STORM's loss does.

    Parameters
    ----------
    density : (y, x)
        Sum over all frames of a network's output, clipped at zero.
    truth
        Emitters of all frames.
    pixel_size_nm
        Edge of a fine pixel.

    Returns
    -------
    scores : dict
        ``pcc``, Pearson's correlation, NaN for a constant image, and ``nmse_percent``,
        squared error over squared truth with the best factor.
    """
    height, width = density.shape
    rows = np.floor(truth.y_nm / pixel_size_nm).astype(int).clip(0, height - 1)
    columns = np.floor(truth.x_nm / pixel_size_nm).astype(int).clip(0, width - 1)
    spikes = np.bincount(rows * width + columns, minlength=density.size).astype(float)
    goal = gaussian_filter(spikes.reshape(density.shape), 1.0)
    image = gaussian_filter(density.astype(float), 1.0)
    return {"pcc": pearson(image, goal), "nmse_percent": nmse(image, goal)}


def false_per_100_frames(
    truth: Localizations, localizations: Localizations, *, frames: int
) -> float:
    """Return the localizations that belong to no emitter, per 100 frames.

    A second localization of one spot belongs to none.
    """
    hits = len(match(truth, localizations)) if len(truth) and len(localizations) else 0
    return 100 * (len(localizations) - hits) / frames


def _shifted(table: Localizations, shift: int, frames: int) -> Localizations:
    return table.with_columns(frame=(np.asarray(table.frame) - 1 + shift) % frames + 1)


def _jaccard(hits: int, truth: Localizations, localizations: Localizations) -> float:
    return _ratio(hits, len(truth) + len(localizations) - hits)


def _ratio(part: int, whole: int) -> float:
    return part / whole if whole else float("nan")
