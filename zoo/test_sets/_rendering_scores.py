"""Scores of renderings: likeness, frames saved, the best of kernel densities."""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from zoo.core.random import generator
from zoo.core.test_set import Metrics, ScoreTable
from zoo.metrics.images import affine_match
from zoo.metrics.renderings import smoothed
from zoo.metrics.similarity import ms_ssim
from zoo.simulate.acquisitions import Acquisition
from zoo.simulate.renderings import (
    SINGLE,
    TARGET_SIGMA_PX,
    RenderingPairs,
    histogram,
)

NOISE_PER_UM2 = (1.0, 5.0, 20.0)
"""Densities of false localizations without any structure."""

BANDWIDTHS_PX = (0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 4.0, 6.0)
"""Standard deviations that the kernel density estimate chooses from, px."""


TableLayout = tuple[str, str, dict[str, str]]
"""Group of the metrics, corner of its table, metrics and their headings."""

INVENTED: tuple[TableLayout, ...] = (
    (
        "gaps",
        "gap [nm]",
        {
            "bridged_percent": "bridged [%]",
            "bridged_kde_percent": "kernel density [%]",
        },
    ),
    ("noise", "noise [1/µm²]", {"false_area_percent": "area taken [%]"}),
)
"""What is made of true gaps and of false localizations alone."""


def laid_out(metrics: Metrics, layout: Sequence[TableLayout]) -> list[ScoreTable]:
    """Return a table for every group of a layout that was measured."""
    return [
        ScoreTable(corner, columns, dict(metrics[group]))
        for group, corner, columns in layout
        if metrics.get(group)
    ]


def likeness(image: np.ndarray, truth: np.ndarray) -> float:
    """Return the multi-scale structural similarity after the affine match."""
    return ms_ssim(affine_match(image, truth), truth, data_range=1.0)


def long_image(
    counts: np.ndarray, acquisition: Acquisition, pixel_size_nm: float
) -> np.ndarray:
    """Return the rendering of all localizations, (y, x) float32 in [0, 1].

    Parameters
    ----------
    counts
        (y, x) localizations per pixel in the whole acquisition.
    acquisition
        Conditions, which say how many a single structure has.
    pixel_size_nm
        Edge of a pixel.
    """
    usual = max(acquisition.usual_counts * pixel_size_nm**2, 1e-9)
    image = smoothed(counts, TARGET_SIGMA_PX) * (SINGLE / usual)
    return np.minimum(image, 1.0).astype(np.float32)


def frames_for(value: float, frames: Sequence[int], reached: Sequence[float]) -> float:
    """Return the frames from which a rising curve reaches a value.

    Interpolated in the logarithm of the frames; the most there are if it never does.

    Examples
    --------
    >>> frames_for(0.5, (10, 1000), (0.4, 0.6)), frames_for(0.9, (10, 1000), (0.4, 0.6))
    (100.0, 1000.0)
    """
    order = np.argsort(frames)
    known = np.maximum.accumulate(np.asarray(reached, float)[order])
    logs = np.log(np.asarray(frames, float)[order])
    return round(float(np.exp(np.interp(value, known, logs))), 6)


@lru_cache
def bandwidth_px(conditions: str, seed: int, frames: int) -> float:
    """Return the bandwidth that serves best on two further acquisitions, px.

    Parameters
    ----------
    conditions
        `RenderingPairs` as JSON.
    seed
        Seed of the test set.
    frames
        Frames of the sparse rendering.
    """
    source = RenderingPairs.model_validate_json(conditions)
    size = 176
    scores = np.zeros(len(BANDWIDTHS_PX))
    for number in range(2):
        rng = generator(seed, 300, number)
        scene = source.scene(rng, source.structures[0], size)
        total = scene.acquisition.total_frames
        table = source.table(rng, scene, first=0, frames=total)
        everything = histogram(table, size, source.pixel_size_nm)
        truth = long_image(everything, scene.acquisition, source.pixel_size_nm)
        first = table.select(table.frame <= frames)
        counts = histogram(first, size, source.pixel_size_nm)
        scores += [likeness(smoothed(counts, sigma), truth) for sigma in BANDWIDTHS_PX]
    return BANDWIDTHS_PX[int(np.argmax(scores))]
