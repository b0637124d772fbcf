"""Strengths of crappifiers, recovered from pairs."""

import json

import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput
from zoo.core.random import generator
from zoo.physics.smooth_noise import smooth_noise
from zoo.simulate.crappifier_fit import described, everything, fit_folder, read_pairs
from zoo.simulate.crappifier_statistics import Pair, Reference
from zoo.simulate.crappifier_strengths import (
    KNOWN,
    Fit,
    fit,
    fit_sampling,
    misfit,
)
from zoo.simulate.crappifiers import (
    DownsampledOnly,
    Electron,
    Fluorescence,
    GaussianNoise,
    PoissonNoise,
    Pssr2,
)


def scenes(count: int = 4, side: int = 256, contrast: float = 0.17) -> list[np.ndarray]:
    found = []
    for number in range(count):
        field = smooth_noise(generator(1, number), (side, side), 6.0)
        found.append(np.clip(0.5 + contrast * field, 0.02, 0.98))
    return found


def pairs_of(crappifier, count: int = 4, **scene) -> list[Pair]:
    dense = scenes(count, **scene)
    return [Pair(crappifier(d, generator(7, k)), d) for k, d in enumerate(dense)]


@pytest.mark.parametrize(
    ("true", "start"),
    [
        (GaussianNoise(deviation=0.06), GaussianNoise()),
        pytest.param(Electron(variance=0.02), Electron(), marks=pytest.mark.slow),
        pytest.param(Electron(variance=0.12), Electron(), marks=pytest.mark.slow),
        pytest.param(PoissonNoise(peak=25.0), PoissonNoise(), marks=pytest.mark.slow),
    ],
)
def test_a_strength_is_recovered_from_four_pairs(true, start):
    found = fit(start, pairs_of(true)).crappifier
    for name in true.strengths:
        assert getattr(found, name) == pytest.approx(getattr(true, name), rel=0.1)


def test_the_truth_fits_better_than_another_kind():
    pairs = pairs_of(Electron(variance=0.05))
    right = misfit(Electron(variance=0.05), pairs)
    assert right < 2
    assert misfit(GaussianNoise(deviation=0.1), pairs) > 2 * right
    assert misfit(Electron(variance=0.1), pairs) > 2 * right


def test_what_has_no_strength_cannot_be_fitted():
    with pytest.raises(BadInput, match="crappifier with a strength"):
        fit(DownsampledOnly(), pairs_of(DownsampledOnly(), 1))
    with pytest.raises(BadInput, match="0 pairs"):
        fit(Electron(), [])


def test_what_is_zero_is_fitted_only_where_it_is_asked_for():
    assert everything(Pssr2()).blur_px > 0
    assert everything(Electron()) == Electron()
    found = fit(Pssr2(), pairs_of(Pssr2(), 1))
    assert set(found.errors) == {"poisson", "gaussian"}
    assert found.crappifier.blur_px == 0


@pytest.fixture
def folder(tmp_path):
    for kind in ("input", "target"):
        (tmp_path / kind).mkdir()
    for number, pair in enumerate(pairs_of(GaussianNoise(deviation=0.1), 2)):
        for kind, image in (("input", pair.coarse), ("target", pair.dense)):
            levels = np.round(255 * image).astype(np.uint8)
            tifffile.imwrite(tmp_path / kind / f"field{number}.tif", levels)
    return tmp_path


def test_a_folder_is_fitted_and_the_result_trains(folder, tmp_path):
    output = tmp_path / "mine.json"
    lines = fit_folder(folder, output, kind="gaussian")
    stored = json.loads(output.read_text(encoding="utf-8"))
    assert stored["crappifier"]["deviation"] == pytest.approx(0.1, rel=0.1)
    assert stored["pairs"] == 2
    assert stored["crappifier"]["sampling"] == "zoom"
    assert stored["relative_errors"]["deviation"] < KNOWN
    assert set(stored["samplings"]) == {"zoom", "rescale", "centres", "triangle"}
    assert any("source.crappifiers=" in line for line in lines)
    with pytest.raises(BadInput, match="exists"):
        fit_folder(folder, output, kind="gaussian")


def test_files_that_do_not_fit_each_other_are_refused(folder, tmp_path):
    (tmp_path / "input" / "field1.tif").rename(tmp_path / "input" / "other.tif")
    with pytest.raises(BadInput, match=r"same name .* field1, other has none"):
        read_pairs(folder)
    (tmp_path / "input" / "other.tif").rename(tmp_path / "input" / "field1.tif")
    tifffile.imwrite(tmp_path / "target" / "field1.tif", np.zeros((128, 128), np.uint8))
    with pytest.raises(BadInput, match=r"field1 must have 4 times the pixels"):
        read_pairs(folder)
    with pytest.raises(BadInput, match="is missing"):
        read_pairs(tmp_path / "input")


def test_an_unknown_kind_is_refused(folder, tmp_path):
    with pytest.raises(BadInput, match="no crappifier is of the kind 'electrons'"):
        fit_folder(folder, tmp_path / "x.json", kind="electrons")


@pytest.mark.slow
def test_all_strengths_are_recovered_at_once_from_four_pairs():
    true = Pssr2(poisson=1.5, gaussian=18.0, blur_px=0.8)
    # tiles of the size that the paper trains on, with bright and dark parts
    pairs = pairs_of(true, side=512, contrast=0.3)
    found = fit(Pssr2(blur_px=0.4), pairs)
    assert found.traded == ()
    assert set(found.errors) == {"poisson", "gaussian", "blur_px"}
    for name, error in found.errors.items():
        assert error < KNOWN
        value, expected = getattr(found.crappifier, name), getattr(true, name)
        assert value == pytest.approx(expected, rel=0.1)


@pytest.mark.slow
def test_salt_and_pepper_are_recovered_among_strong_noise():
    # half of the pixels are black or white by the noise alone: in four pairs of 256 px
    # even an ideal estimate of pepper scatters by 9 %, and by half of that here
    true = Fluorescence(variance=0.3, salt=0.05, pepper=0.04, sampling="centres")
    pairs = pairs_of(true, side=512, contrast=0.3)
    found = fit(Fluorescence(sampling="centres"), pairs)
    assert found.traded == ()
    for name in true.strengths:
        value = getattr(found.crappifier, name)
        assert value == pytest.approx(getattr(true, name), rel=0.1)


@pytest.mark.slow
def test_salt_and_pepper_among_noise_are_known_as_well_as_is_said():
    true = Fluorescence(variance=0.3, salt=0.05, pepper=0.04, sampling="centres")
    found = fit(Fluorescence(sampling="centres"), pairs_of(true, contrast=0.3))
    assert found.crappifier.variance == pytest.approx(true.variance, rel=0.1)
    assert found.errors["variance"] < KNOWN < found.errors["pepper"]
    assert ("salt", "pepper") in found.traded
    for name, error in found.errors.items():
        ratio = getattr(found.crappifier, name) / getattr(true, name)
        assert abs(np.log(ratio)) < 3 * error


@pytest.mark.slow
def test_the_sampling_is_found_with_the_strength():
    true = GaussianNoise(deviation=0.1, sampling="rescale")
    fits = fit_sampling(GaussianNoise(), pairs_of(true))
    assert set(fits) == {"zoom", "rescale", "centres", "triangle"}
    best, second = list(fits.values())[:2]
    assert best.crappifier.sampling == "rescale"
    assert best.crappifier.deviation == pytest.approx(0.1, rel=0.1)
    assert second.distance > 2 * best.distance


def test_what_trades_off_is_said():
    # noise of a single brightness is as well of the one kind as of the other
    flat = [np.full((256, 256), 0.5, np.float32)] * 2
    true = Pssr2(poisson=1.0, gaussian=13.0)
    pairs = [Pair(true(d, generator(7, k)), d) for k, d in enumerate(flat)]
    found = fit(Pssr2(poisson=2.0, gaussian=5.0), pairs)
    assert found.traded == (("poisson", "gaussian"),)
    assert max(found.errors.values()) > KNOWN
    deviation, expected = (
        (c.poisson**2 * 127.5 + c.gaussian**2) ** 0.5 for c in (found.crappifier, true)
    )
    assert deviation == pytest.approx(expected, rel=0.05)
    lines = described({"triangle": found})
    assert any("poisson and gaussian trade off" in line for line in lines)


def test_a_strength_that_makes_no_difference_is_said_to_be_unknown():
    dark = [np.full((128, 128), 0.1, np.float32)]
    true = Fluorescence(variance=0.01, salt=1e-5, pepper=1e-5)
    pairs = [Pair(true(d, generator(7, k)), d) for k, d in enumerate(dark)]
    found = fit(true, pairs)
    assert found.errors["pepper"] > 2 * KNOWN
    lines = described({"rescale": found})
    assert any(line.startswith("pepper") for line in lines)


def test_lines_say_what_is_known_and_what_is_not():
    known = Fit(GaussianNoise(deviation=0.1), 1.0, {"deviation": 0.02}, (), 1.2)
    close = known._replace(distance=1.4)
    apart = known._replace(distance=3.0)
    lines = described({"zoom": known, "rescale": apart})
    assert lines == [
        "gaussian, sampled by zoom: deviation 0.1 ± 2 %; misfit 1.00 (1 is chance)"
    ]
    lines = described({"zoom": known, "centres": close, "rescale": apart})
    assert lines[1].startswith("these pairs do not tell zoom from centres;")


def test_statistics_of_equal_scans_are_equal():
    pairs = pairs_of(GaussianNoise(deviation=0.1), 1, side=64)
    reference = Reference(pairs, "zoom")
    assert reference.real.shape == reference.least.shape
    again = reference.statistics([pair.coarse for pair in pairs])
    np.testing.assert_array_equal(again, reference.real)
    drawn = reference.drawn(GaussianNoise(deviation=0.1), [1, 2])
    assert drawn.shape == (2, len(reference.real))
    assert not np.array_equal(drawn[0], drawn[1])
