"""Structures: bending of filaments, geometry of labels, what they cost."""

import numpy as np
import pytest

from zoo.physics.structures import (
    Labels,
    filament_points,
    microtubules,
    vesicles,
    worm_like_chain,
)

FIELD_NM = (4000.0, 6000.0)
STRAIGHT = 1e15


def one_microtubule(seed=0, *, field_nm=(8000.0, 8000.0), **options):
    """Return the labels of a straight one as along, across and height, nm."""
    options = {"depth_nm": 0.0, "efficiency": 1.0, "linkage_nm": (0.0, 0.0)} | options
    labels = microtubules(
        np.random.default_rng(seed),
        field_nm=field_nm,
        filaments=1,
        persistence_nm=STRAIGHT,
        **options,
    )
    points = np.stack([labels.x_nm, labels.y_nm], axis=1)
    points -= points.mean(axis=0)
    _, _, axes = np.linalg.svd(points, full_matrices=False)
    along, across = (points @ axes.T).T
    inner = abs(along) < np.ptp(along) / 2 - 100  # away from the field's border
    along, across = along[inner], across[inner]
    across = across - np.polyval(np.polyfit(along, across, 1), along)
    return along, across, labels.z_nm[inner]


@pytest.mark.parametrize(("length_um", "cosine"), [(1, 0.951), (5, 0.779), (20, 0.369)])
def test_directions_decorrelate_over_the_persistence_length(length_um, cosine):
    steps = round(length_um * 1000 / 20)
    tangents = worm_like_chain(
        np.random.default_rng(0),
        chains=6000,
        steps=steps + 1,
        persistence_nm=10_000.0,
        step_nm=20.0,
    )
    assert tangents.shape == (6000, steps + 1, 2)
    np.testing.assert_allclose(np.linalg.norm(tangents[:50], axis=-1), 1.0)
    mean = np.sum(tangents[:, 0] * tangents[:, -1], axis=-1).mean()
    assert mean == pytest.approx(cosine, abs=0.025)


def test_infinitely_stiff_chains_are_straight_in_every_direction():
    tangents = worm_like_chain(
        np.random.default_rng(0), chains=4000, steps=9, persistence_nm=np.inf
    )
    np.testing.assert_allclose(tangents[:, -1], tangents[:, 0])
    first = tangents[:, 0]
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(first.T @ first / 4000, np.eye(2) / 2, atol=0.04)


def test_filament_points_lie_in_the_field_on_connected_lines():
    points = filament_points(
        np.random.default_rng(1), field_nm=FIELD_NM, filaments=1, spacing_nm=25.0
    )
    assert np.all(points >= 0)
    assert points[:, 0].max() < 6000
    assert points[:, 1].max() < 4000
    gaps = np.linalg.norm(np.diff(points, axis=0), axis=1)
    assert np.mean(abs(gaps - 25.0) < 1e-9) > 0.99


def test_filaments_cross_the_whole_field():
    """Ends of straight filaments lie on the border."""
    for seed in range(20):
        points = filament_points(
            np.random.default_rng(seed),
            field_nm=FIELD_NM,
            filaments=1,
            persistence_nm=STRAIGHT,
        )
        for x, y in (points[0], points[-1]):
            assert min(x, y, 6000 - x, 4000 - y) <= 20.0


@pytest.mark.parametrize("persistence_nm", [500.0, 30_000.0])
def test_every_filament_leaves_a_point(persistence_nm):
    for seed in range(50):
        points = filament_points(
            np.random.default_rng(seed),
            field_nm=(300.0, 300.0),
            filaments=1,
            persistence_nm=persistence_nm,
        )
        assert len(points) > 0


def test_filaments_bend_as_their_persistence_says():
    def roughness(persistence_nm):
        points = filament_points(
            np.random.default_rng(3),
            field_nm=(20_000.0, 20_000.0),
            filaments=1,
            persistence_nm=persistence_nm,
        )
        heading = np.unwrap(np.arctan2(*np.diff(points, axis=0).T[::-1]))
        return np.median(np.diff(heading) ** 2) / 0.455  # median of chi-square

    assert roughness(10_000.0) == pytest.approx(20 / 10_000, rel=0.3)
    assert roughness(40_000.0) == pytest.approx(20 / 40_000, rel=0.3)


def test_a_microtubule_carries_1625_sites_per_micrometre():
    along, _, _ = one_microtubule()
    middle = np.sum(abs(along) < 1000)
    assert middle == pytest.approx(2 * 1625, abs=20)


@pytest.mark.parametrize("efficiency", [0.05, 0.3])
def test_the_efficiency_thins_the_labels(efficiency):
    along, _, _ = one_microtubule(efficiency=efficiency)
    expected = 1625 * efficiency * np.ptp(along) / 1000
    assert len(along) == pytest.approx(expected, abs=4 * expected**0.5)


def test_direct_labels_lie_on_the_wall():
    _, across, z = one_microtubule()
    np.testing.assert_allclose(np.hypot(across, z - 12.5), 12.5, atol=0.2)


def test_the_wall_stays_round_where_a_microtubule_climbs():
    along, across, z = one_microtubule(4, depth_nm=1e6, elevation_sd_rad=0.5)
    steepest, radius_nm = 0.0, 0.0
    for start in np.arange(along.min(), along.max() - 150, 150.0):
        piece = (along >= start) & (along < start + 150)
        points = np.stack([along[piece], across[piece], z[piece]], axis=1)
        points -= points.mean(axis=0)
        _, _, axes = np.linalg.svd(points, full_matrices=False)
        if abs(axes[0, 2]) > steepest:
            steepest = abs(axes[0, 2])
            radius_nm = np.linalg.norm(points @ axes[1:].T, axis=1).mean()
    assert steepest > 0.3
    assert radius_nm == pytest.approx(12.5, abs=0.4)


def test_antibodies_stand_off_radially():
    _, across, z = one_microtubule(linkage_nm=(5.0, 17.5))
    radius = np.hypot(across, z - 30.0)
    assert 17.0 < radius.min() < 18.0
    assert 29.5 < radius.max() < 30.5
    assert radius.mean() == pytest.approx(23.75, abs=0.3)
    assert z.min() >= 0


def test_the_projected_width_of_labelled_microtubules():
    profile = np.concatenate(
        [one_microtubule(seed, linkage_nm=(5.0, 17.5))[1] for seed in range(12)]
    )
    blurred = profile + np.random.default_rng(0).normal(0, 10, len(profile))
    density, edges = np.histogram(blurred, np.arange(-81, 82, 3.0))
    above = edges[:-1][density > density[20:34].max() / 2]
    assert np.ptp(above) + 3 == pytest.approx(58, abs=6)


def test_elevation_and_depth():
    _, _, flat = one_microtubule(depth_nm=500.0, elevation_sd_rad=0.0)
    # a regular polygon of 13 corners measures between these
    narrow, wide = 12.5 * (1 + np.cos(np.pi / 13)), 25 * np.cos(np.pi / 26)
    assert narrow - 1e-6 < np.ptp(flat) < wide + 1e-6
    slopes = []
    for seed in range(40):
        along, _, z = one_microtubule(
            seed, depth_nm=1e6, outer_diameter_nm=1e-3, efficiency=0.3
        )
        order = np.argsort(along)
        grid = np.arange(along.min(), along.max(), 100.0)
        slopes.append(np.diff(np.interp(grid, along[order], z[order])) / 100)
    assert np.concatenate(slopes).std() == pytest.approx(0.08, rel=0.15)
    labels = microtubules(
        np.random.default_rng(0), field_nm=FIELD_NM, depth_nm=200.0, filaments=30
    )
    assert labels.z_nm.min() >= 0
    assert labels.z_nm.max() <= 200 + 60


def test_microtubules_are_numbered_and_cut_at_the_field():
    labels = microtubules(np.random.default_rng(0), field_nm=FIELD_NM, filaments=9)
    assert sorted(set(labels.instance)) == list(range(9))
    assert 0 <= labels.x_nm.min() < labels.x_nm.max() < 6000
    assert 0 <= labels.y_nm.min() < labels.y_nm.max() < 4000
    for number in range(9):  # a filament is one line, not a cloud
        mine = labels.instance == number
        points = np.stack([labels.x_nm[mine], labels.y_nm[mine]])
        small, large = np.linalg.eigvalsh(np.cov(points))
        assert small < 0.1 * large


def test_radial_microtubules_share_their_origin():
    labels = microtubules(
        np.random.default_rng(2),
        field_nm=(8000.0, 8000.0),
        filaments=12,
        persistence_nm=STRAIGHT,
        layout="radial",
        linkage_nm=(0.0, 0.0),
    )
    normals, offsets = [], []
    for number in range(12):
        mine = labels.instance == number
        points = np.stack([labels.x_nm[mine], labels.y_nm[mine]], axis=1)
        _, axes = np.linalg.eigh(np.cov(points.T))
        normals.append(axes[:, 0])
        offsets.append(axes[:, 0] @ points.mean(axis=0))
    origin, *_ = np.linalg.lstsq(np.array(normals), np.array(offsets))
    misses = np.array(normals) @ origin - offsets
    assert abs(misses).max() < 12.5


def test_vesicles_are_spheres_with_their_labels_spread_evenly():
    cloud = vesicles(
        np.random.default_rng(0),
        field_nm=(20_000.0, 20_000.0),
        diameter_nm=(150.0, 150.0),
        labels=(50, 60),
    )
    heights, count = [], 0
    for number in np.unique(cloud.instance):
        mine = cloud.instance == number
        if mine.sum() < 50:
            continue  # cut by the border
        points = np.stack([cloud.x_nm[mine], cloud.y_nm[mine], cloud.z_nm[mine]], 1)
        # a sphere |p|² = 2 p·c + (r² - c²) is linear in centre and constant
        shift = points.mean(axis=0)
        p = points - shift
        solution, *_ = np.linalg.lstsq(
            np.column_stack([2 * p, np.ones(len(p))]), np.sum(p**2, axis=1)
        )
        centre = solution[:3]
        assert (solution[3] + centre @ centre) ** 0.5 == pytest.approx(75.0, abs=1e-6)
        assert (shift + centre)[2] == pytest.approx(75.0, abs=1e-6)
        heights.append((p - centre)[:, 2] / 75)
        count += 1
    heights = np.concatenate(heights)
    assert count == pytest.approx(0.5 * 400, rel=0.25)
    assert heights.mean() == pytest.approx(0.0, abs=0.03)
    assert heights.var() == pytest.approx(1 / 3, rel=0.03)


def test_vesicles_keep_their_numbers_and_distances():
    cloud = vesicles(
        np.random.default_rng(1),
        field_nm=(30_000.0, 30_000.0),
        density_per_um2=3.0,
        diameter_nm=(10.0, 10.0),
        labels=(20, 60),
        spacing_nm=250.0,
    )
    numbers, counts = np.unique(cloud.instance, return_counts=True)
    assert len(numbers) == pytest.approx(2700, abs=4 * 2700**0.5)
    assert counts.max() == 60
    assert np.mean(counts) == pytest.approx(40, abs=1)
    x, y = (
        np.bincount(cloud.instance, column)[numbers] / counts
        for column in (cloud.x_nm, cloud.y_nm)
    )
    distance = np.hypot(x[:, None] - x, y[:, None] - y)
    np.fill_diagonal(distance, np.inf)
    # centres of few labels wander by a few of the 5 nm
    assert 240 < distance.min() < 260


def test_caps_cover_the_top_only():
    cloud = vesicles(
        np.random.default_rng(2),
        field_nm=(9000.0, 9000.0),
        diameter_nm=(120.0, 120.0),
        cap=0.5,
    )
    assert 60.0 <= cloud.z_nm.min() < 62.0
    assert 118.0 < cloud.z_nm.max() <= 120.0


def test_a_sphere_looks_like_a_ring():
    cloud = vesicles(
        np.random.default_rng(3),
        field_nm=(9000.0, 9000.0),
        diameter_nm=(160.0, 160.0),
        labels=(2000, 2000),
        density_per_um2=0.2,
    )
    mine = cloud.instance == cloud.instance[0]
    assert mine.sum() == 2000
    x, y = cloud.x_nm[mine], cloud.y_nm[mine]
    radius = np.hypot(x - x.mean(), y - y.mean()) / 80
    # projected share within u is 1 - sqrt(1 - u²): half the labels beyond 0.866
    assert np.mean(radius > 0.866) == pytest.approx(0.5, abs=0.05)


def test_labels_outside_the_field_are_dropped():
    cloud = Labels(
        np.array([0.0, 10.0, -1.0, 5.0]),
        np.array([0.0, 5.0, 5.0, 20.0]),
        np.zeros(4),
        np.arange(4),
    )
    assert cloud.inside((20.0, 11.0)).instance.tolist() == [0, 1]
    assert len(cloud.inside((20.0, 10.0))) == 1


@pytest.mark.parametrize("preset", [microtubules, vesicles])
def test_equal_generators_give_equal_labels(preset):
    first, again, other = (
        preset(np.random.default_rng(seed), field_nm=FIELD_NM) for seed in (5, 5, 6)
    )
    np.testing.assert_array_equal(first.x_nm, again.x_nm)
    assert len(first) != len(other) or np.any(first.x_nm != other.x_nm)


def test_nothing_to_draw():
    rng = np.random.default_rng(0)
    assert len(microtubules(rng, field_nm=FIELD_NM, filaments=0)) == 0
    assert len(microtubules(rng, field_nm=FIELD_NM, efficiency=0.0)) == 0
    assert len(vesicles(rng, field_nm=FIELD_NM, density_per_um2=0.0)) == 0
    assert filament_points(rng, field_nm=FIELD_NM, filaments=0).shape == (0, 2)


@pytest.mark.parametrize(
    ("call", "options", "message"),
    [
        (filament_points, {"field_nm": (0.0, 10.0)}, "field_nm must be positive"),
        (filament_points, {"persistence_nm": 0.0}, "must be positive"),
        (filament_points, {"spacing_nm": -1.0}, "must be positive"),
        (microtubules, {"efficiency": 1.5}, r"efficiency must be in \[0, 1\]"),
        (vesicles, {"cap": 0.0}, r"cap must be in \(0, 1\]"),
        (vesicles, {"density_per_um2": 20.0}, "40 % is the limit"),
    ],
)
def test_impossible_structures_are_refused(call, options, message):
    with pytest.raises(ValueError, match=message):
        call(np.random.default_rng(0), **({"field_nm": FIELD_NM} | options))
