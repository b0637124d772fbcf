"""What the scores of renderings are worth, on images whose fault is known."""

import numpy as np
import pytest

from zoo.core.localizations import Localizations
from zoo.core.products import Image, Products
from zoo.core.random import generator
from zoo.metrics.renderings import by_precision, smoothed
from zoo.simulate.renderings import RenderingPairs
from zoo.test_sets._gaps import Gaps, bridged, gapped_scene
from zoo.test_sets.renderings import RenderingTestSet, frames_for
from zoo.test_sets.spectral_renderings import (
    SpectralTestSet,
    crosstalk_percent,
    likeness,
)


def test_a_rendering_by_precision_keeps_every_localization():
    rng = generator(1)
    x_nm, y_nm = rng.uniform(1200, 1800, (2, 500))
    table = Localizations(
        x_nm=x_nm, y_nm=y_nm, uncertainty_nm=np.full(500, 20.0) + rng.random(500)
    )
    image = by_precision(table, 150, pixel_size_nm=20.0)
    assert image.sum() == pytest.approx(500)
    one = Localizations(
        x_nm=np.array([1510.0]),
        y_nm=np.array([1510.0]),
        uncertainty_nm=np.array([40.0]),
    )
    spot = by_precision(one, 150, pixel_size_nm=20.0)
    assert spot.max() == pytest.approx(1 / (2 * np.pi * 2**2), rel=0.03)
    with pytest.raises(ValueError, match="no uncertainty"):
        by_precision(Localizations(x_nm=x_nm, y_nm=y_nm), 150, pixel_size_nm=20.0)


def test_frames_are_read_off_the_curve():
    assert frames_for(0.6, (100, 1000), (0.6, 0.8)) == 100
    assert frames_for(0.1, (100, 1000), (0.6, 0.8)) == 100
    # a curve that falls once does not count twice
    assert frames_for(0.7, (1000, 100, 10), (0.8, 0.5, 0.6)) == pytest.approx(
        100 * 10**0.5, rel=1e-3
    )


@pytest.mark.parametrize("gap_nm", [100.0, 500.0])
def test_gaps_are_bridged_by_what_fills_them_and_only_by_that(gap_nm):
    source = RenderingPairs()
    scene, gaps = gapped_scene(generator(2), source, 256, gap_nm)
    dense = source.dense(scene)
    assert len(gaps.x_nm) > 10
    assert bridged(dense, gaps, 20.0) < 15
    filled = dense.copy()
    for y_nm in np.unique(gaps.y_nm):
        filled[int(y_nm / 20) - 1 : int(y_nm / 20) + 2] = 0.5
    assert bridged(filled, gaps, 20.0) == 100
    assert bridged(0 * dense, gaps, 20.0) == 0


def test_a_wide_kernel_bridges_short_gaps():
    source = RenderingPairs()
    scene, gaps = gapped_scene(generator(3), source, 256, 100.0)
    assert bridged(smoothed(source.dense(scene), 5.0), gaps, 20.0) > 80


def test_half_a_gap_is_half_as_many():
    image = np.full((40, 40), 0.0)
    image[10] = image[30] = 1.0
    image[10, 18:23] = 0.0
    gaps = Gaps(np.array([410.0, 410.0]), np.array([210.0, 610.0]), 100.0)
    assert bridged(image, gaps, 20.0) == 50


def test_cross_talk_is_the_light_that_is_in_the_wrong_color():
    truth = np.zeros((64, 64, 2))
    truth[10:20, :, 0] = truth[40:50, :, 1] = 0.8
    assert crosstalk_percent(truth, truth) == 0
    mixed = truth.copy()
    mixed[10:20, :, 1] += 0.2
    # of 0.8 + 0.2 in the first, of 0.8 in the second structure
    assert crosstalk_percent(mixed, truth) == pytest.approx(100 * 0.2 / 1.8)
    # gains of the colours are their own
    assert crosstalk_percent(mixed * (1, 5), truth) == pytest.approx(100 * 0.2 / 1.8)
    assert crosstalk_percent(0 * truth, truth) == 0


def test_an_empty_color_is_left_out_of_the_likeness():
    rng = generator(4)
    truth = np.stack([rng.random((180, 180)), np.zeros((180, 180))], axis=-1)
    assert likeness(2 * truth + 1, truth) == pytest.approx(1)


def test_a_histogram_needs_as_many_frames_as_it_has():
    test_set = RenderingTestSet(fields=1, levels=(60, 300, 3000), size_px=176)
    scored = []
    for case in test_set.cases():
        counts = smoothed(case.input[0, ..., 0], 0.0)
        found = Products([Image("image", counts, "yx")])
        scored.append((case.name, test_set.score(case, found)))
    metrics = test_set.metrics(scored)
    for row in metrics["table"].values():
        assert row["ms_ssim"] == pytest.approx(row["ms_ssim_histogram"], abs=2e-3)
        assert row["frames_saved"] == pytest.approx(1, rel=0.1)
        # the estimate that may choose its bandwidth is never worse
        assert row["ms_ssim_kde"] > row["ms_ssim_histogram"]
    curve = [row["ms_ssim_histogram"] for row in metrics["table"].values()]
    assert curve == sorted(curve)
    # every one of the localizations is a pixel that was taken for a structure
    assert metrics["noise"]["20"]["false_area_percent"] == pytest.approx(0.8, rel=0.2)


def test_several_structures_are_told_apart_and_have_a_mean():
    conditions = RenderingPairs(structures=("microtubules", "actin"), switch=True)
    test_set = RenderingTestSet(conditions=conditions, levels=(60, 3000)).reduced()
    assert test_set.fields == 2
    scored, numbers = [], {}
    for case in test_set.cases():
        number = float(case.input[0, 0, 0, 2])
        numbers.setdefault(case.name, set()).add(number)
        result = (test_set.perfect if number == 2 else test_set.nothing)(case)
        scored.append((case.name, test_set.score(case, result)))
    # switched tables say the other structure, noise is said to be each
    assert numbers["actin/300"] == {2}
    assert numbers["microtubules/300"] == numbers["gaps/100"] == {0}
    assert numbers["switched/300"] == numbers["noise/5"] == {0, 2}
    metrics = test_set.metrics(scored)
    each = [metrics[kind]["300"]["ms_ssim"] for kind in ("microtubules", "actin")]
    assert each[1] > 0.999 > each[0]
    assert metrics["table"]["300"]["ms_ssim"] == pytest.approx(sum(each) / 2, abs=1e-3)
    assert "table/300" not in dict(scored)
    assert metrics["actin"]["300"]["frames_saved"] > 5
    corners = [table.corner for table in test_set.tables(metrics)]
    assert "frames, actin" in corners
    assert not any("mitochondria" in corner for corner in corners)


def test_windows_of_the_spectrum_misplace_what_theory_says():
    test_set = SpectralTestSet(fields=1, distances_nm=(15.0,), size_px=176)
    case = next(test_set.cases())
    row = test_set.metrics([(case.name, test_set.score(case, test_set.perfect(case)))])
    values = row["distance"]["15"]
    # a normal distribution beyond one standard deviation; photons widen it
    assert 14 < values["misplaced_percent"] < 22
    assert values["crosstalk_percent"] < 0.1
    assert values["ms_ssim_eighth"] < values["ms_ssim_all_frames"] < values["ms_ssim"]


def test_colors_that_are_interrupted_or_nothing_but_noise_are_told_apart():
    test_set = SpectralTestSet(fields=1, distances_nm=(25.0,), size_px=176)
    cases = list(test_set.cases())
    groups = [case.name.partition("/")[0] for case in cases]
    assert groups == ["distance", *["gaps"] * 5, *["noise"] * 3]

    def metrics(image):
        products = [Products([Image("image", image(c), "yxc")]) for c in cases]
        pairs = zip(cases, products, strict=True)
        return test_set.metrics([(c.name, test_set.score(c, p)) for c, p in pairs])

    ideal = metrics(lambda case: case.truth)
    filled = metrics(lambda case: np.ones(case.truth.shape))
    for length in ("100", "500"):
        assert ideal["gaps"][length]["bridged_percent"] == 0
        assert ideal["gaps"][length]["bridged_truth_percent"] == 0
        assert filled["gaps"][length]["bridged_percent"] == 100
        assert not cases[1].truth[..., 1].any()
    for row in ideal["noise"].values():
        assert row["false_area_percent"] == 0
    for row in filled["noise"].values():
        assert row["false_area_percent"] == 100
    corners = [table.corner for table in test_set.tables(ideal)]
    assert corners == ["distance of spectra [nm]", "gap [nm]", "noise [1/µm²]"]
    assert set(test_set.headlines(ideal)) == {"distance", "noise"}


@pytest.mark.parametrize("test_set", [
    RenderingTestSet(fields=1, levels=(300,), size_px=176),
    SpectralTestSet(fields=1, size_px=176, distances_nm=(25.0,)),
], ids=lambda s: s.kind)  # fmt: skip
def test_errors_are_measured_on_other_acquisitions(test_set):
    other = test_set.calibrating()
    cases = zip(test_set.cases(), other.cases(), strict=False)
    ours, theirs = next(cases)
    assert ours.name.partition("/")[0] == theirs.name.partition("/")[0]
    assert np.shape(ours.truth) == np.shape(theirs.truth)
    assert not np.array_equal(ours.truth, theirs.truth)
