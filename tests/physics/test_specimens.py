"""Structures as images: geometry of the labels, light on the grid."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, label
from scipy.spatial import KDTree

from zoo.physics.actin import actin_bundles
from zoo.physics.curves import along_curves, curves
from zoo.physics.organelles import endoplasmic_reticulum, mitochondria
from zoo.physics.specimens import (
    SPECIMENS,
    render_labels,
    specimen,
    vary_brightness,
)
from zoo.physics.structures import Labels

FIELD_NM = (6000.0, 8000.0)
STRUCTURES = list(SPECIMENS)


def at(x_nm, y_nm):
    x_nm, y_nm = np.atleast_1d(x_nm).astype(float), np.atleast_1d(y_nm).astype(float)
    return Labels(x_nm, y_nm, np.zeros_like(x_nm), np.zeros(len(x_nm), int))


def straight_mitochondrion(seed, **options):
    """Return the labels of one straight tube: along, across its axis, height."""
    rng = np.random.default_rng(seed)
    labels = mitochondria(
        rng,
        field_nm=(20_000.0, 20_000.0),
        density_per_um2=0.02,
        length_nm=(4000.0, 4001.0),
        persistence_nm=(1e12, 1e13),
        diameter_nm=(400.0, 400.0),
        **options,
    )
    chosen = labels.instance == np.bincount(labels.instance).argmax()
    points = np.stack([labels.x_nm, labels.y_nm], axis=1)[chosen]
    points -= points.mean(axis=0)
    along, across = (points @ np.linalg.svd(points, full_matrices=False)[2].T).T
    return along, across, labels.z_nm[chosen]


def test_labels_keep_brightness_and_centre_of_mass():
    rng = np.random.default_rng(0)
    x_nm, y_nm = rng.uniform(200, 800, (2, 50))
    brightness = rng.uniform(1, 5, 50)
    image = render_labels(
        at(x_nm, y_nm), (32, 40), pixel_nm=31.3, brightness=brightness
    )
    assert image.dtype == np.float32
    assert image.sum() == pytest.approx(brightness.sum(), rel=1e-6)
    rows, columns = (np.indices(image.shape) + 0.5) * 31.3
    assert (image * columns).sum() / image.sum() == pytest.approx(
        (x_nm @ brightness) / brightness.sum(), abs=0.01
    )
    assert (image * rows).sum() / image.sum() == pytest.approx(
        (y_nm @ brightness) / brightness.sum(), abs=0.01
    )


def test_labels_at_the_border_keep_the_part_inside():
    image = render_labels(
        at([0.0, 90.0, -40.0], [45.0, 45.0, 45.0]), (3, 3), pixel_nm=30
    )
    np.testing.assert_allclose(image, [[0, 0, 0], [0.5, 0, 0.5], [0, 0, 0]], atol=1e-7)
    with pytest.raises(ValueError, match="pixel_nm must be positive"):
        render_labels(at(1.0, 1.0), (3, 3), pixel_nm=0.0)


def test_brightness_varies_between_instances_and_over_the_field():
    rng = np.random.default_rng(0)
    x_nm = rng.uniform(0, 50_000, 40_000)
    labels = Labels(x_nm, x_nm[::-1], x_nm, np.arange(40_000) % 4000)
    between = np.log(vary_brightness(rng, labels, instance_spread=0.4, field_spread=0))
    assert between.std() == pytest.approx(0.4, rel=0.05)
    assert np.ptp(between[labels.instance == 7]) == 0
    over = np.log(vary_brightness(rng, labels, instance_spread=0, field_spread=0.2))
    assert over.std() == pytest.approx(0.2, rel=0.15)


@pytest.mark.parametrize("structure", STRUCTURES)
def test_specimens_fill_their_field(structure):
    images = np.stack(
        [
            specimen(np.random.default_rng(seed), structure, (160, 192), pixel_nm=31.3)
            for seed in range(12)
        ]
    )
    assert images.shape == (12, 160, 192)
    assert images.dtype == np.float32
    assert np.isfinite(images).all()
    assert images.min() >= 0
    assert np.median(images.sum(axis=(1, 2))) > 100
    # no corner is left out, and much of the field is dark
    quarters = images.sum(axis=0).reshape(2, 80, 2, 96).sum(axis=(1, 3))
    assert quarters.min() > 0.08 * quarters.sum()
    assert np.median(images < 0.02 * images.max(axis=(1, 2), keepdims=True)) == 1


@pytest.mark.parametrize("structure", STRUCTURES)
def test_specimens_follow_from_the_generator(structure):
    first, again, other = (
        specimen(np.random.default_rng(seed), structure, (96, 96), pixel_nm=31.3)
        for seed in (4, 4, 5)
    )
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


def test_evanescent_light_dims_what_is_deep():
    even, shallow = (
        specimen(
            np.random.default_rng(0),
            "microtubules",
            (96, 96),
            pixel_nm=31.3,
            tirf_depth_nm=depth,
        )
        for depth in (None, 100.0)
    )
    assert 0.02 < shallow.sum() / even.sum() < 0.9
    with pytest.raises(ValueError, match="structure must be one of"):
        specimen(np.random.default_rng(0), "nuclei", (8, 8), pixel_nm=30.0)


def test_curves_have_their_length_heading_and_place():
    rng = np.random.default_rng(0)
    x_nm, y_nm = curves(
        rng,
        field_nm=(1000.0, 3000.0),
        count=500,
        length_nm=2000.0,
        persistence_nm=50_000.0,
        heading_rad=np.full(500, 0.7),
    )
    assert x_nm.shape == (500, 101)
    steps = np.hypot(np.diff(x_nm), np.diff(y_nm))
    np.testing.assert_allclose(steps, 20.0)
    turn = np.arctan2(y_nm[:, 51] - y_nm[:, 50], x_nm[:, 51] - x_nm[:, 50])
    np.testing.assert_allclose(turn, 0.7)
    assert x_nm[:, 50].max() == pytest.approx(3000, rel=0.02)
    assert y_nm[:, 50].max() == pytest.approx(1000, rel=0.02)
    px, py, nx, ny = along_curves(
        x_nm, y_nm, curve=np.array([3, 8]), along_nm=np.array([1010.0, 2000.0])
    )
    assert px[0] == pytest.approx((x_nm[3, 50] + x_nm[3, 51]) / 2)
    assert (px[1], py[1]) == pytest.approx((x_nm[8, -1], y_nm[8, -1]))
    np.testing.assert_allclose(np.hypot(nx, ny), 1)


def test_bundles_are_thin_and_parallel():
    labels = actin_bundles(
        np.random.default_rng(2),
        field_nm=FIELD_NM,
        bundles=6,
        mesh_filaments=0,
        bundle_filaments=(20, 20),
        bundle_persistence_nm=1e12,
        alignment_rad=0.02,
    )
    directions = []
    for number in np.unique(labels.instance):
        chosen = labels.instance == number
        points = np.stack([labels.x_nm[chosen], labels.y_nm[chosen]], axis=1)
        points -= points.mean(axis=0)
        _, spread, axes = np.linalg.svd(points, full_matrices=False)
        # 20 filaments 11 nm apart: a disc of radius 24 nm
        assert 6 < spread[1] / len(points) ** 0.5 < 18
        directions.append(np.arctan2(*axes[0]) % np.pi)
    double = 2 * np.array(directions)  # lines have no sense
    assert np.hypot(np.cos(double).mean(), np.sin(double).mean()) > 0.99


def test_single_actin_filaments_carry_the_labels_of_their_length():
    labels = actin_bundles(
        np.random.default_rng(0),
        field_nm=(40_000.0, 40_000.0),
        bundles=0,
        mesh_filaments=300,
        efficiency=0.1,
    )
    # 4 µm in the mean, one site in 2.7 nm; a few leave the field
    assert len(labels) / 300 == pytest.approx(4000 / 2.7 * 0.1, rel=0.08)
    points = np.stack([labels.x_nm, labels.y_nm], axis=1)
    spans = [np.ptp(points[labels.instance == number], axis=0) for number in range(300)]
    assert np.max(np.hypot(*np.transpose(spans))) <= 6000


@pytest.mark.parametrize(("part", "rim"), [("membrane", True), ("matrix", False)])
def test_membranes_are_bright_at_the_rim_and_matrices_in_the_middle(part, rim):
    along, across, height = straight_mitochondrion(
        1, label=part, labels_per_um2=20_000.0
    )
    inner = np.abs(along) < 1200
    all_across, across, height = across, across[inner], height[inner]
    assert np.ptp(across) == pytest.approx(400, rel=0.35)
    counts, _ = np.histogram(np.abs(across), bins=[0, 50, 100, 150, 200])
    assert (counts[3] > counts[0]) == rim
    assert 100 < height.mean() < 300
    assert np.ptp(along) == pytest.approx(4000, rel=0.02)
    beginning = along.min()
    near, far = (
        np.ptp(all_across[(along > beginning + low) & (along < beginning + low + 20)])
        for low in (0, 300)
    )
    assert near < 0.6 * far  # ends are round


def test_mitochondria_keep_apart():
    labels = mitochondria(
        np.random.default_rng(0),
        field_nm=FIELD_NM,
        density_per_um2=0.4,
        gap_nm=200.0,
        label="matrix",
    )
    points = np.stack([labels.x_nm, labels.y_nm], axis=1)
    assert len(np.unique(labels.instance)) > 5
    for number in np.unique(labels.instance):
        own = labels.instance == number
        nearest, _ = KDTree(points[~own]).query(points[own])
        assert nearest.min() > 60  # the gap, less what diameters waver


def test_reticulum_is_a_network_of_three_way_junctions():
    labels = endoplasmic_reticulum(
        np.random.default_rng(0),
        field_nm=(12_000.0, 12_000.0),
        cell_nm=1500.0,
        open_share=0.0,
        sheet_share=0.0,
        bow=0.0,
        labels_per_um=600.0,
    )
    # regular hexagons have 2 / a of edge per area; shaken ones a little more
    assert len(labels) / 600 == pytest.approx(2 / 1.5 * 144, rel=0.12)
    image = render_labels(labels, (400, 400), pixel_nm=30.0)
    _, holes = label(gaussian_filter(image, 2) < 0.3)
    cells = 144 / (1.5**2 * 3**0.5 / 2)
    assert holes == pytest.approx(cells, rel=0.35)


def test_sheets_fill_cells_on_one_side():
    options = {"field_nm": (12_000.0, 12_000.0), "labels_per_um": 300.0}
    none, some = (
        endoplasmic_reticulum(np.random.default_rng(3), sheet_share=share, **options)
        for share in (0.0, 0.3)
    )
    extra = some.instance > none.instance.max()
    assert extra.sum() > 0.1 * len(none)
    spread = np.hypot(some.x_nm[extra].std(), some.y_nm[extra].std())
    assert spread < 0.85 * np.hypot(some.x_nm[~extra].std(), some.y_nm[~extra].std())
    with pytest.raises(ValueError, match="cell_nm must be positive"):
        endoplasmic_reticulum(np.random.default_rng(0), field_nm=FIELD_NM, cell_nm=0.0)
