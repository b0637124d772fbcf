"""Structures of every kind: drawn from the seed alone, and of the right sizes."""

from typing import get_args

import numpy as np
import pytest

from zoo.physics.cell_structures import (
    LABELLED,
    CellStructure,
    beads,
    cell_structure,
    nuclear_pores,
    smooth_field,
)
from zoo.physics.membranes import INNER_NM, cristae, membranes

FIELD_NM = (3000.0, 3600.0)


@pytest.mark.parametrize("structure", get_args(CellStructure))
def test_every_structure_is_an_image_that_follows_from_the_seed(structure):
    first, again = (
        cell_structure(np.random.default_rng(5), structure, (96, 80), pixel_nm=30.0)
        for _ in range(2)
    )
    assert first.shape == (96, 80)
    assert first.dtype == np.float32
    assert np.isfinite(first).all()
    assert first.min() >= 0
    np.testing.assert_array_equal(first, again)
    total = sum(
        cell_structure(
            np.random.default_rng(seed), structure, (96, 80), pixel_nm=30.0
        ).sum()
        for seed in range(4)
    )
    assert (total > 0) == (structure != "nothing")


def test_an_evanescent_field_dims_what_is_high():
    lit, dim = (
        cell_structure(
            np.random.default_rng(6), "mitochondria", (96, 96), pixel_nm=30.0, **options
        ).sum()
        for options in ({}, {"tirf_depth_nm": 80.0})
    )
    assert 0 < dim < 0.6 * lit


def test_an_unknown_structure_is_named():
    with pytest.raises(ValueError, match="structure must be one of"):
        cell_structure(np.random.default_rng(0), "cilia", (9, 9), pixel_nm=30.0)  # pyright: ignore[reportArgumentType]


@pytest.mark.parametrize("name", LABELLED)
def test_labels_lie_in_the_field(name):
    labels = LABELLED[name](np.random.default_rng(7), FIELD_NM)
    assert len(labels)
    assert labels.x_nm.min() >= 0
    assert labels.x_nm.max() < FIELD_NM[1]
    assert labels.y_nm.max() < FIELD_NM[0]


def test_pores_are_rings_of_107_nm_that_keep_apart():
    labels = nuclear_pores(np.random.default_rng(8), field_nm=FIELD_NM, efficiency=1.0)
    centres = []
    for number in np.unique(labels.instance):
        own = labels.instance == number
        if own.sum() < 32:
            continue  # at the border
        x, y = labels.x_nm[own], labels.y_nm[own]
        centres.append((x.mean(), y.mean()))
        radius = np.hypot(x - x.mean(), y - y.mean())
        assert 2 * radius.mean() == pytest.approx(107, abs=4)
    places = np.array(centres)
    away = np.linalg.norm(places[:, None] - places[None], axis=-1)
    assert (away + 1e6 * np.eye(len(places))).min() > 140


def test_beads_have_one_size():
    labels = beads(np.random.default_rng(9), field_nm=FIELD_NM, diameter_nm=150.0)
    for number in np.unique(labels.instance):
        own = labels.instance == number
        if own.sum() == 30:
            assert np.ptp(labels.x_nm[own]) <= 150
    assert labels.z_nm.max() <= 150


def straight(**options):
    """Return labels beside the axis of one long straight tube, and along it."""
    return cristae(
        np.random.default_rng(10),
        field_nm=(8000.0, 8000.0),
        tubes=1,
        length_nm=(3000.0, 3000.0),
        diameter_nm=(400.0, 400.0),
        **options,
    )


def test_an_outer_membrane_is_wider_than_the_inner_by_twice_their_distance():
    heights = [np.ptp(straight(outer_share=share).z_nm) for share in (1.0, 0.0)]
    assert heights[0] == pytest.approx(400, rel=0.15)
    assert heights[0] - heights[1] == pytest.approx(2 * INNER_NM, abs=12)


def test_outlines_are_thin_lines():
    labels = membranes(
        np.random.default_rng(11),
        field_nm=FIELD_NM,
        outlines=1,
        radius_nm=(20_000.0, 20_000.0),
        partner=0.0,
    )
    points = np.stack([labels.x_nm, labels.y_nm], 1)
    spread = np.linalg.svd(points - points.mean(0), compute_uv=False)
    assert spread[1] < 0.15 * spread[0]


def test_smooth_fields_have_unit_variance():
    field = smooth_field(
        np.random.default_rng(12), (64, 96), pixel_nm=30.0, slope=2.0, size_nm=500.0
    )
    assert field.std() == pytest.approx(1)
    assert abs(field.mean()) < 1e-9
