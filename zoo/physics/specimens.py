"""Images of fluorescent cell structures: the truth of a simulated microscope.

A specimen is a cloud of labels with a brightness each, drawn under conditions that
cells show, and rendered on a fine grid.  `SPECIMENS` names the five structures.
"""

from collections.abc import Callable
from typing import Literal

import numpy as np

from zoo.physics.actin import actin_bundles
from zoo.physics.illumination import tirf_weight
from zoo.physics.organelles import endoplasmic_reticulum, mitochondria
from zoo.physics.structures import Labels, microtubules, vesicles

Structure = Literal["microtubules", "actin", "pits", "er", "mitochondria"]
"""Names of the structures; `pits` are clathrin-coated pits, `er` the reticulum."""

_BRIGHTNESS_PERIOD_NM = 3000.0  # labelling and light change over a few micrometres


def render_labels(
    labels: Labels,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    brightness: np.ndarray | None = None,
) -> np.ndarray:
    """Draw labels as points, each shared among the four nearest pixels.

    The shares are bilinear, so that the centre of mass of every label is exact and
    lines show no stairs; the price is a triangular blur of one pixel.

    Parameters
    ----------
    labels
        Points, nm from the outer corner of the image; those outside are left out.
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of a pixel.
    brightness
        (n,) weight of each label; ones when left out.

    Returns
    -------
    image : (y, x) float32
        Brightness per pixel; the sum is that of the labels away from the border.

    Raises
    ------
    ValueError
        If `pixel_nm` is not positive.

    Examples
    --------
    >>> one = Labels(*(np.array([60.0]) for _ in "xyz"), np.array([0]))
    >>> image = render_labels(one, (5, 5), pixel_nm=30.0)
    >>> float(image[1, 1]), float(image.sum())
    (0.25, 1.0)
    """
    if pixel_nm <= 0:
        raise ValueError(f"pixel_nm must be positive, not {pixel_nm}")
    height, width = shape
    # a ring of one pixel takes what falls half beside the image
    row, column = (np.asarray(v) / pixel_nm + 0.5 for v in (labels.y_nm, labels.x_nm))
    top, left = np.floor(row).astype(np.intp), np.floor(column).astype(np.intp)
    kept = (top >= 0) & (top <= height) & (left >= 0) & (left <= width)
    weight = np.ones(len(labels)) if brightness is None else brightness
    if not kept.all():
        row, column, top, left = row[kept], column[kept], top[kept], left[kept]
        weight = weight[kept]
    down, right = row - top, column - left
    index = top * (width + 2) + left
    size = (height + 2) * (width + 2)
    image = np.zeros(size)
    for step, share in (
        (0, (1 - down) * (1 - right)),
        (1, (1 - down) * right),
        (width + 2, down * (1 - right)),
        (width + 3, down * right),
    ):
        image += np.bincount(index + step, weights=weight * share, minlength=size)
    return image.reshape(height + 2, width + 2)[1:-1, 1:-1].astype(np.float32)


def vary_brightness(
    rng: np.random.Generator,
    labels: Labels,
    *,
    instance_spread: float = 0.3,
    field_spread: float = 0.2,
) -> np.ndarray:
    """Draw a brightness for every label.

    Parameters
    ----------
    rng
        Source of the draw.
    labels
        Labels with the instance each belongs to.
    instance_spread
        Standard deviation of the logarithm between instances.
    field_spread
        Standard deviation of the logarithm over the field, along waves of a few
        micrometres.

    Returns
    -------
    brightness : (n,) float64
        About one in the median.
    """
    instances = int(labels.instance.max(initial=-1)) + 1
    log = rng.normal(0, instance_spread, instances)[labels.instance]
    waves = 3
    for _ in range(waves):
        angle, phase = rng.uniform(0, 2 * np.pi, 2)
        period_nm = _BRIGHTNESS_PERIOD_NM * rng.uniform(0.7, 3.0)
        along = np.cos(angle) * labels.x_nm + np.sin(angle) * labels.y_nm
        wave = np.sin(2 * np.pi * along / period_nm + phase)
        log = log + field_spread * (2 / waves) ** 0.5 * wave
    return np.exp(log)


def _microtubules(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    edge_um = float(np.mean(field_nm)) / 1000
    return microtubules(
        rng,
        field_nm=field_nm,
        filaments=max(int(rng.uniform(0.5, 3.0) * edge_um), 1),
        persistence_nm=rng.uniform(8_000, 30_000),
        layout="radial" if rng.random() < 0.15 else "crossing",
        efficiency=rng.uniform(0.05, 0.25),
        depth_nm=300.0,
    )


def _actin(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    edge_um = float(np.mean(field_nm)) / 1000
    area_um2 = field_nm[0] * field_nm[1] / 1e6
    return actin_bundles(
        rng,
        field_nm=field_nm,
        bundles=int(rng.uniform(0.5, 3.5) * edge_um),
        mesh_filaments=max(int(rng.uniform(0.5, 2.5) * area_um2), 1),
        bundle_filaments=(2, int(rng.integers(6, 31))),
        alignment_rad=float(rng.choice([0.1, 0.4, 1.2])),
        filament_persistence_nm=rng.uniform(4_000, 17_000),
        efficiency=rng.uniform(0.08, 0.25),
    )


def _pits(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    return vesicles(
        rng,
        field_nm=field_nm,
        density_per_um2=rng.uniform(0.5, 2.0),
        diameter_nm=(120.0, 230.0),
        labels=(30, 120),
        cap=rng.uniform(0.45, 0.9),
        spacing_nm=220.0,
    )


def _er(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    return endoplasmic_reticulum(
        rng,
        field_nm=field_nm,
        cell_nm=rng.uniform(700, 1800),
        sheet_share=float(rng.choice([0.0, 0.08, 0.2])),
        labels_per_um=rng.uniform(200, 500),
    )


def _mitochondria(rng: np.random.Generator, field_nm: tuple[float, float]) -> Labels:
    return mitochondria(
        rng,
        field_nm=field_nm,
        density_per_um2=rng.uniform(0.1, 0.3),
        label="membrane" if rng.random() < 0.6 else "matrix",
        labels_per_um2=rng.uniform(1000, 3000),
    )


SPECIMENS: dict[
    Structure, Callable[[np.random.Generator, tuple[float, float]], Labels]
] = {
    "microtubules": _microtubules,
    "actin": _actin,
    "pits": _pits,
    "er": _er,
    "mitochondria": _mitochondria,
}
"""Structures by name: draw conditions of a cell and place the labels."""


def specimen(
    rng: np.random.Generator,
    structure: Structure,
    shape: tuple[int, int],
    *,
    pixel_nm: float,
    tirf_depth_nm: float | None = None,
) -> np.ndarray:
    """Draw a labelled structure of a cell on a fine grid.

    Parameters
    ----------
    rng
        Source of conditions, geometry, labelling and brightness.
    structure
        A name of `SPECIMENS`.
    shape
        ``(height, width)`` of the image, px.
    pixel_nm
        Edge of a pixel; 31.3 nm or less for SIM.
    tirf_depth_nm
        Depth of an evanescent field that lights the sample; uniform illumination
        without it.

    Returns
    -------
    image : (y, x) float32
        Relative brightness, about one for each label; scale it to photons.

    Raises
    ------
    ValueError
        If the structure is unknown.

    Examples
    --------
    >>> rng = np.random.default_rng(0)
    >>> image = specimen(rng, "microtubules", (128, 128), pixel_nm=31.3)
    >>> image.shape, bool(image.min() >= 0), bool(image.sum() > 100)
    ((128, 128), True, True)
    """
    if structure not in SPECIMENS:
        raise ValueError(f"structure must be one of {list(SPECIMENS)}, not {structure}")
    field_nm = (shape[0] * pixel_nm, shape[1] * pixel_nm)
    labels = SPECIMENS[structure](rng, field_nm)
    brightness = vary_brightness(
        rng, labels, instance_spread=0.1 if structure == "er" else 0.3
    )
    if tirf_depth_nm is not None:
        brightness = brightness * tirf_weight(labels.z_nm, depth_nm=tirf_depth_nm)
    return render_labels(labels, shape, pixel_nm=pixel_nm, brightness=brightness)
