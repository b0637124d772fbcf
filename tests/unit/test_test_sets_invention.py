"""What image packages invent: cases that are known, and what is made of them."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.core.errors import BadInput
from zoo.core.products import Image, Products
from zoo.evaluate.further import INVENTION, headlines, own_metrics, tables
from zoo.simulate.sim_images import SimPairs
from zoo.test_sets.emitters import EmitterTestSet
from zoo.test_sets.invention import GROUP, SETTINGS, InventionTestSet
from zoo.test_sets.scans import FluorescenceTestSet, MovieTestSet, ScanTestSet
from zoo.test_sets.sim_images import SimImageTestSet


def _set(modality="widefield", **changes):
    return InventionTestSet(
        of=SimImageTestSet(conditions=SimPairs(modality=modality, crop_px=128)),
        **changes,
    )


def _scored(test_set, image):
    evidence = []
    for case in test_set.cases():
        products = Products([Image("image", image(case), "yx")])
        evidence.append((case.name, test_set.score(case, products)))
    return test_set.metrics(evidence)[GROUP]


def test_every_condition_is_named_once():
    names = [setting.name for setting in SETTINGS]
    assert len(names) == len(set(names))
    assert sum(setting.tiles for setting in SETTINGS) <= 40  # a network's time


@pytest.mark.parametrize(("modality", "frames"), [("widefield", 1), ("sim", 9)])
def test_the_microscope_is_that_of_the_package(modality, frames):
    test_set = _set(modality, settings=("crossing_60_deg", "noise", "pixels_larger"))
    cases = list(test_set.cases())
    assert len(cases) == 2 + 3 + 2
    for case in cases:
        assert case.input.shape == (1, 128, 128, frames)
        assert case.truth.shape == (256, 256)
    assert cases[-1].pixel_size_nm == pytest.approx(1.2 * 62.6)
    assert not cases[2].truth.any()


SCANS = {
    "em": ScanTestSet(),
    "confocal": FluorescenceTestSet(),
    "movie": MovieTestSet(),
}


@pytest.mark.parametrize(("of", "channels", "gap"), [
    ("em", 1, "gap_54_nm"), ("confocal", 1, "gap_360_nm"), ("movie", 5, "gap_360_nm"),
])  # fmt: skip
def test_scans_show_the_same_at_the_lengths_of_their_microscope(of, channels, gap):
    chosen = ("gap_180_nm", "noise", "pixels_larger", "haze", "noise_doubled", "usual")
    test_set = InventionTestSet(of=SCANS[of], settings=chosen)
    cases = list(test_set.cases())
    for case in cases:
        assert case.input.shape == (1, 96, 96, channels)
        assert case.truth.shape == (384, 384)
    sizes = {case.name.partition("/")[2]: case.pixel_size_nm for case in cases}
    assert sizes["pixels_larger"] == pytest.approx(1.2 * sizes["usual"])
    perfect = [(c.name, test_set.score(c, test_set.perfect(c))) for c in cases]
    found = test_set.metrics(perfect)[GROUP]
    assert list(found)[:2] == [gap, "noise"]
    assert found[gap]["bridged_percent"] == 0
    for name in list(found)[1:]:
        assert found[name]["false_spots_per_100_um2"] == 0
    nothing = test_set.score(cases[1], test_set.nothing(cases[1]))
    assert nothing["false_spots_per_100_um2"] == 0
    corner = tables(SCANS[of], {GROUP: found})[0]
    assert list(corner.rows) == [f"gaps of {gap.split('_')[1]} nm"]


def test_scans_that_are_noisier_or_inverted_are_told_by_their_images():
    test_set = InventionTestSet(of=SCANS["em"], settings=("usual", "noise_doubled"))
    usual, _, noisy, _ = test_set.cases()
    for case, at_least in ((usual, 0.2), (noisy, 0.02)):
        ideal = case.truth.reshape(96, 4, 96, 4).mean(axis=(1, 3))
        likeness = np.corrcoef(case.input[0, ..., 0].ravel(), ideal.ravel())[0, 1]
        assert likeness < -at_least  # stained is dark
    grains = [np.std(np.diff(case.input[0, ..., 0], axis=0)) for case in (usual, noisy)]
    assert grains[1] > 1.2 * grains[0]


def test_the_ideal_image_invents_nothing():
    names = ("gap_180_nm", "crossing_30_deg", "haze", "rings", "clouds", "usual")
    found = _scored(_set(settings=names), lambda case: case.truth)
    assert found["gap_180_nm"]["bridged_percent"] == 0
    assert found["crossing_30_deg"]["rewired_percent"] == 0
    for name in names[2:]:
        row = found[name]
        assert row["false_filaments_per_100_um2"] == 0
        assert row["false_spots_per_100_um2"] == 0
        assert row["missed_percent"] == 0


def test_blurred_images_bridge_what_ideal_ones_do_not():
    names = ("gap_120_nm", "crossing_30_deg")
    found = _scored(_set(settings=names), lambda case: gaussian_filter(case.truth, 8.0))
    assert found["gap_120_nm"]["bridged_percent"] > 80
    assert found["crossing_30_deg"]["rewired_percent"] > 80


def test_structure_out_of_noise_is_counted():
    def woven(case):
        image = np.zeros_like(case.truth)
        image[40:43, 20:200] = image[80:84, 50:54] = 0.6
        return image

    row = _scored(_set(settings=("noise",)), woven)["noise"]
    assert row["false_filaments_per_100_um2"] == pytest.approx(1.56, rel=0.01)
    assert row["false_spots_per_100_um2"] == pytest.approx(1.56, rel=0.01)
    assert "psnr_db" not in row


def test_light_beyond_the_training_follows_the_package():
    bright = _set(settings=("noise_doubled",), photons=(80.0, 600.0))
    dim = _set(settings=("noise_doubled",), photons=(8.0, 600.0))

    def likeness(test_set):
        case = next(test_set.cases())
        ideal = case.truth.reshape(128, 2, 128, 2).mean(axis=(1, 3))
        return float(np.corrcoef(case.input[0, ..., 0].ravel(), ideal.ravel())[0, 1])

    assert likeness(dim) < 0.8 * likeness(bright)


def test_bad_declarations_and_images_are_refused():
    with pytest.raises(ValueError, match="gap_180"):
        _set(settings=("gap_18_nm",))
    with pytest.raises(ValueError, match="offers a bench"):
        InventionTestSet(of=EmitterTestSet())
    test_set = _set(settings=("noise",))
    case = next(test_set.cases())
    with pytest.raises(BadInput, match="returns none"):
        test_set.score(case, Products())
    small = Products([Image("image", np.zeros((8, 8)), "yx")])
    with pytest.raises(BadInput, match="must be finite"):
        test_set.score(case, small)


def test_cards_show_it_in_tables_of_its_own():
    of = SimImageTestSet(conditions=SimPairs(modality="widefield", crop_px=128))
    test_set = _set(settings=("gap_180_nm", "crossing_90_deg", "noise"))
    metrics = {GROUP: _scored(test_set, lambda case: case.truth)}
    corners = [table.corner for table in tables(of, metrics)]
    assert corners == ["invented: gaps", "invented: crossings", "invented: objects"]
    assert own_metrics(metrics) == {}
    assert set(headlines(of, metrics)[INVENTION]) == {"gap_180_nm", "noise"}
