"""`zoo check`: a recording held against packages, by hand and for programs."""

import json

import numpy as np
import pytest
import tifffile

from zoo.core.errors import BadInput, UnknownPackage
from zoo.physics.psf import gaussian_spots
from zoo.predict.check import advice, check


@pytest.fixture
def movie(tmp_path):
    """Return a function that writes a movie of a density and returns its path."""

    def write(density, pixel_nm=100.0):
        rng = np.random.default_rng(3)
        frames = []
        for _ in range(6):
            place = rng.uniform(0, 64, (2, rng.poisson(density * 6.4**2)))
            light = gaussian_spots(*place, 1500.0, (64, 64), sigma_px=1.2) + 10
            frames.append(rng.poisson(light))
        path = tmp_path / f"movie{density:g}.tif"
        tifffile.imwrite(
            path,
            np.array(frames, np.uint16),
            imagej=True,
            resolution=(1000 / pixel_nm, 1000 / pixel_nm),
            metadata={"unit": "um", "axes": "TYX"},
        )
        return path

    return write


def test_a_recording_inside_is_told_so(zoo, checkout, movie):
    del checkout
    code, out, err = zoo("check", movie(2.0), "--for", "tiny_spots")
    assert (code, err) == (0, "")
    assert "inside what tiny_spots was trained on" in " ".join(out.split())
    assert "emitters per frame" in out
    assert "0.001 to 9" in out


def test_a_crowd_comes_with_numbers_and_the_way_out(zoo, checkout, movie):
    del checkout
    code, out, _ = zoo("check", movie(25.0), "--for", "tiny_spots", "--json")
    assert code == 0
    (found,) = json.loads(out)
    assert (found["package"], found["overall"]) == ("tiny_spots", "outside")
    row = next(r for r in found["measured"] if r["name"] == "density_per_um2")
    assert row["grade"] == "outside"
    assert row["value"] > 12
    assert row["trained"] == [0.001, 9.0]
    assert found["retrain"].startswith("zoo train tiny_spots --set source.density")
    _, out, _ = zoo("check", movie(25.0), "--for", "tiny_spots")
    assert "zoo train tiny_spots" in out


def test_without_a_package_the_best_comes_first(checkout, movie):
    del checkout
    checked = check(movie(2.0))
    assert [c.name for c in checked] == ["tiny_spots"]
    assert checked[0].grade == "inside"
    assert advice(checked) is None


def test_a_given_pixel_size_counts(checkout, movie):
    del checkout
    (found,) = check(movie(2.0), "tiny_spots", pixel_size_nm=160.0)
    grades = {c.measured.name: c.grade for c in found.conditions}
    assert grades["pixel_size_nm"] == "outside"


def test_failures_are_one_line(zoo, checkout, movie, tmp_path):
    del checkout
    with pytest.raises(UnknownPackage):
        check(movie(2.0), "tiny_spot")
    with pytest.raises(BadInput, match="does not exist"):
        check(tmp_path / "nothing.tif")
    code, out, err = zoo("check", tmp_path / "nothing.tif")
    assert (code, out) == (1, "")
    assert err.count("\n") == 1
