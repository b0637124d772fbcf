"""Frames of crowded filaments."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.spatial import KDTree

from zoo.core.random import generator
from zoo.simulate.filament_frames import (
    FilamentFrames,
    cell_haze,
    emitters_for,
    local_densities,
)

SOURCE = FilamentFrames()
CROWDED = SOURCE.override(filament_share=1.0, empty_share=0.0)


def scenes(source, count, seed=0, size_px=None):
    drawn = []
    for number in range(count):
        rng = generator(seed, number)
        drawn.append(source.scene(rng, source.camera.draw(rng), size_px=size_px))
    return drawn


def neighbours(source, count=150):
    """Return local densities and distances to the nearest neighbour, per emitter."""
    densities, nearest = [], []
    for scene in scenes(source, count):
        table = scene.emitters
        if len(table) < 2:
            continue
        places = np.stack([table.x_nm, table.y_nm], axis=1)
        densities.append(local_densities(table.x_nm, table.y_nm))
        nearest.append(KDTree(places).query(places, k=2)[0][:, 1])
    return np.concatenate(densities), np.concatenate(nearest)


def test_emitters_are_as_crowded_as_on_bundled_filaments():
    # bundled recordings: 10, 15 and 31 per µm², a third nearer than 45 nm
    densities, nearest = neighbours(CROWDED)
    low, middle, high = np.percentile(densities, [10, 50, 90])
    assert low < 15
    assert 15 < middle < 35
    assert 40 < high < 80
    assert np.mean(nearest < 45) > 0.3


def test_sparse_frames_are_among_them():
    mean = []
    for scene in scenes(CROWDED, 100):
        table = scene.emitters
        if len(table) > 1:
            mean.append(local_densities(table.x_nm, table.y_nm).mean())
    assert np.percentile(mean, 10) < 12
    assert np.percentile(mean, 95) > 30


@pytest.mark.parametrize("wanted", [10.0, 30.0])
def test_the_local_density_is_the_stated_one(wanted):
    source = CROWDED.override(local_density_per_um2=(wanted, wanted))
    mean = []
    for scene in scenes(source, 80):
        x_nm, y_nm = scene.emitters.x_nm, scene.emitters.y_nm
        inner = (x_nm > 0) & (x_nm < 2600) & (y_nm > 0) & (y_nm < 2600)
        if inner.any():
            mean.append(local_densities(x_nm, y_nm)[inner].mean())
    # a square stands for the disk, and Poisson numbers weigh full frames more
    assert np.mean(mean) == pytest.approx(wanted, rel=0.35)


def test_a_larger_field_is_as_crowded():
    small, large = (
        np.concatenate(
            [
                local_densities(scene.emitters.x_nm, scene.emitters.y_nm)
                for scene in scenes(CROWDED, count, size_px=size)
                if len(scene.emitters)
            ]
        )
        for size, count in ((26, 150), (64, 40))
    )
    assert np.median(large) == pytest.approx(np.median(small), rel=0.5)


def test_shares_of_frames_are_those_declared():
    source = SOURCE.override(crop_px=16)
    empty = [len(scene.emitters) == 0 for scene in scenes(source, 500)]
    # a small frame may also miss the few emitters around it
    assert source.empty_share - 0.04 < np.mean(empty) < source.empty_share + 0.12


def test_uniform_frames_are_not_crowded():
    even = SOURCE.override(filament_share=0.0, empty_share=0.0)
    densities, _ = neighbours(even, count=60)
    assert np.median(densities) < 15


def test_the_pedestal_keeps_the_photons():
    emitters = scenes(CROWDED, 1, seed=3)[0].emitters
    middle = emitters.select(
        (np.abs(emitters.x_nm - 1300) < 300) & (np.abs(emitters.y_nm - 1300) < 300)
    )
    plain, wide = (CROWDED._rendered(middle, 26, tail) for tail in (0.0, 0.2))
    assert wide.sum() == pytest.approx(plain.sum(), rel=0.02)
    assert wide.max() < plain.max()


def test_a_haze_covers_part_of_a_frame():
    haze = np.stack([cell_haze(generator(1, i), 40) for i in range(30)])
    assert haze.min() >= -1e-9
    assert 0.3 < haze.max(axis=(1, 2)).mean() < 2.5
    assert np.ptp(haze, axis=(1, 2)).max() > 0.5


def test_emitters_for_a_single_place():
    assert emitters_for(np.zeros((1, 2)), local_density_per_um2=20.0) == 1.0


def test_bounds_must_rise():
    with pytest.raises(ValidationError, match="lower one first"):
        FilamentFrames(local_density_per_um2=(20.0, 3.0))
