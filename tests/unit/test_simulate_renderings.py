"""Dyes, acquisitions and renderings: what must hold between them."""

import numpy as np
import pytest

from zoo.core.random import generator
from zoo.physics.nuclear_pores import nuclear_pores
from zoo.simulate.acquisitions import Blinking, begin, localize
from zoo.simulate.dye_clouds import CLOUDS, Cloud, cloud, tubulin
from zoo.simulate.renderings import MARGIN_PX, RenderingPairs, histogram
from zoo.simulate.spectral_renderings import SpectralPairs

EDGE_NM = 5000.0


@pytest.mark.parametrize("structure", CLOUDS)
def test_dyes_lie_in_the_field_and_state_their_density(structure):
    counts = []
    for seed in range(4):
        dyes = cloud(generator(1, seed), structure, EDGE_NM)
        counts.append(len(dyes.x_nm))
        if counts[-1]:
            for place in (dyes.x_nm, dyes.y_nm):
                assert 0 <= place.min() <= place.max() < EDGE_NM
        assert np.isfinite(dyes.density_per_nm2)
        assert dyes.density_per_nm2 >= 0
    assert max(counts) > 100


def test_an_unknown_structure_is_refused():
    with pytest.raises(ValueError, match="structure must be one of"):
        cloud(generator(0), "golgi", EDGE_NM)


def test_peroxisomes_are_rendered_where_no_switch_would_have_to_know_them():
    source = RenderingPairs(structures=("peroxisomes",), crop_px=64)
    for seed in range(20):
        renderings, dense = source.sample(generator(5, seed))
        assert renderings.shape == (64, 64, 2)
        if dense.max() > 0.3:
            break
    else:
        pytest.fail("no body in any of the fields")
    with pytest.raises(ValueError, match="mitochondria apart, not peroxisomes"):
        RenderingPairs(structures=("actin", "peroxisomes"), switch=True)


def test_a_microtubule_is_as_dense_as_it_says():
    densities = []
    for seed in range(8):
        dyes = tubulin(
            generator(2, seed),
            EDGE_NM,
            filaments_per_um=(0.2, 0.2),
            bundle_share=0.0,
            persistence_nm=(1e9, 1e9),
            gap_share=0.0,
        )
        # mean over the diameter against the Gaussian of that standard deviation
        cells = np.histogram2d(dyes.y_nm, dyes.x_nm, (np.arange(0, 5001, 20),) * 2)[0]
        usual = (cells**2).sum() / cells.sum() / 400
        densities.append(usual / dyes.density_per_nm2)
    assert 0.6 < np.median(densities) < 1.6


def test_nuclear_pores_have_eight_corners():
    labels = nuclear_pores(
        generator(3), field_nm=(20_000.0, 20_000.0), density_per_um2=1.0, linkage_nm=1.0
    )
    pore = labels.instance == labels.instance[len(labels) // 2]
    x, y = labels.x_nm[pore], labels.y_nm[pore]
    # opposite corners: the diameter of the ring
    apart = np.hypot(x[:, None] - x, y[:, None] - y)
    assert apart.max() == pytest.approx(107, abs=6)
    count = len(labels) / (labels.instance.max() + 1)
    assert count == pytest.approx(32 * 0.7, rel=0.05)


def acquisition(seed=4, **changes):
    rng = generator(seed)
    x, y = rng.uniform(0, EDGE_NM, (2, 3000))
    dyes = Cloud(x, y, 1e-4, np.inf)
    blinking = Blinking(
        **{"total_frames": 10_000, "false_share": (0.0, 0.0)}
        | {"sticky_per_um2": (0.0, 0.0)}
        | changes
    )
    return begin(rng, dyes, blinking, edge_nm=EDGE_NM)


def test_blocks_share_the_localizations_of_the_whole():
    made = acquisition()
    rng = generator(5)
    expected = float(made.counts.sum())
    whole = localize(rng, made, first=0, frames=10_000)
    assert len(whole) == pytest.approx(expected, rel=0.05)
    assert whole.frame.min() >= 1
    assert whole.frame.max() <= 10_000
    assert (np.diff(whole.frame) >= 0).all()
    early = localize(rng, made, first=0, frames=1000)
    late = localize(rng, made, first=9000, frames=1000)
    # activity falls
    assert len(early) > len(late) > 0
    share = made.activity(0, 1000)
    assert len(early) == pytest.approx(expected * share, rel=0.15)
    assert late.frame.min() > 9000


def test_errors_are_as_large_as_stated():
    made = acquisition(photons_spread=0.0, precision_nm=(12.0, 12.0))
    table = localize(generator(6), made, first=0, frames=10_000)
    np.testing.assert_allclose(table.uncertainty_nm, 12.0)
    away = np.hypot(
        table.x_nm[:500, None] - made.dyes.x_nm, table.y_nm[:500, None] - made.dyes.y_nm
    ).min(axis=1)
    # Rayleigh; a nearer dye by chance shortens it a little
    assert away.mean() == pytest.approx(12 * np.sqrt(np.pi / 2), rel=0.2)


def test_events_last_as_many_frames_as_stated():
    made = acquisition(on_frames=(3.0, 3.0), precision_nm=(0.01, 0.01))
    table = localize(generator(7), made, first=0, frames=10_000)
    places = np.round(table.x_nm).astype(int) * 10_000 + np.round(table.y_nm)
    order = np.lexsort((table.frame, places))
    place, frame = places[order], table.frame[order]
    goes_on = (np.diff(place) == 0) & (np.diff(frame) == 1)
    assert len(table) / (len(table) - goes_on.sum()) == pytest.approx(3.0, rel=0.15)


def test_false_localizations_come_on_top():
    made = acquisition(false_share=(0.5, 0.5))
    table = localize(generator(8), made, first=0, frames=10_000)
    assert len(table) == pytest.approx(1.5 * made.counts.sum(), rel=0.05)


def test_a_single_microtubule_is_half_as_bright_as_can_be():
    source = RenderingPairs()
    peaks = []
    for seed in range(6):
        rng = generator(9, seed)
        edge_nm = (128 + 2 * MARGIN_PX) * 20.0
        dyes = tubulin(
            rng,
            edge_nm,
            filaments_per_um=(0.01, 0.01),
            bundle_share=0.0,
            persistence_nm=(1e9, 1e9),
            gap_share=0.0,
        )
        made = begin(rng, dyes, source.blinking, edge_nm=edge_nm)
        image = source.dense(source.as_scene(made, "microtubules", 128))
        if (image > 0.1).sum() > 100:
            peaks.append(np.quantile(image[image > 0.1], 0.8))
    assert 0.35 < np.median(peaks) < 0.65


def test_the_target_knows_no_frames_and_the_input_does():
    source = RenderingPairs(noise_share=0.0)
    scene = source.scene(generator(10), "microtubules", 128)
    few = source.sparse(generator(11), scene, frames=100).sum()
    many = source.sparse(generator(11), scene, frames=10_000).sum()
    assert many > 20 * max(few, 1)
    first, second = source.pair(generator(12), scene), source.pair(generator(13), scene)
    assert np.array_equal(first[1], second[1])
    assert not np.array_equal(first[0], second[0])


def test_channels_may_be_missing_and_noise_has_no_target():
    blind = RenderingPairs(without_widefield_share=1.0, noise_share=0.0, crop_px=64)
    assert not blind.sample(generator(14))[0][..., 1].any()
    only = RenderingPairs(
        without_widefield_share=0.0,
        without_sparse_share=1.0,
        noise_share=0.0,
        crop_px=64,
    )
    image = only.sample(generator(14))[0]
    assert not image[..., 0].any()
    assert image[..., 1].any()
    noise = RenderingPairs(noise_share=1.0, crop_px=64)
    image, target = noise.sample(generator(15))
    assert image[..., 0].any()
    assert not target.any()
    switched = RenderingPairs(structures=("actin",), switch=True, crop_px=64)
    assert np.unique(switched.sample(generator(16))[0][..., 2]).tolist() == [2]


def test_the_widefield_image_shows_the_same_structure():
    source = RenderingPairs(haze=(0.0, 0.0), registration_nm=0.0)
    scene = source.scene(generator(17), "microtubules", 256)
    image = source.widefield(generator(18), scene)
    dense = source.dense(scene)
    assert image.shape == dense.shape
    assert (image.min(), image.max()) == (0, 1)
    assert np.corrcoef(image.ravel(), dense.ravel())[0, 1] > 0.3


def test_cross_talk_follows_from_the_spectra():
    near = SpectralPairs(distance_nm=(15.0, 15.0), spread_nm=(10.0, 10.0))
    far = SpectralPairs(distance_nm=(40.0, 40.0), spread_nm=(5.0, 5.0))
    shares = []
    for source in (near, far):
        scene = source.scene(generator(19), 128)
        table, dye = source.table(generator(20), scene, share=1.0)
        edge = scene.windows_nm[0][1]
        wrong = (table.wavelength_nm >= edge) != (dye == 1)
        shares.append(wrong.mean())
        frame = source.sparse(table, scene)
        assert frame.shape == (128, 128, 2)
        assert histogram(table, 128, 20.0).sum() == len(table)
    # a Gaussian beyond 0.75 and 4 standard deviations, photons aside
    assert 0.15 < shares[0] < 0.35
    assert shares[1] < 0.02


def test_three_colors_need_three_structures():
    with pytest.raises(ValueError, match="two or more"):
        SpectralPairs(structures=("microtubules",))
