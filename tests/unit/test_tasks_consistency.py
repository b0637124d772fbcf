"""Agreement of an estimate with a widefield image falls where the two differ."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from zoo.core.contract import Contract
from zoo.core.grid import Grid
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.inputs.renderings import RenderingOptions, Renderings
from zoo.io.write import write_imagej_tiff
from zoo.simulate.renderings import RenderingPairs
from zoo.tasks import consistency as module
from zoo.tasks.consistency import (
    WIDEST_NM,
    BesideLocalizations,
    consistency,
    widest_px,
)
from zoo.tasks.image import ImageOptions, ImageRestoration

PALM = Contract(
    grid=Grid.square(channels=("localizations", "widefield")),
    input=Renderings(pixel_size_nm=20.0, second="widefield"),
    task=ImageRestoration(),
)
SIGMA_NM = 150.0


@pytest.fixture(scope="module")
def field():
    """Return a dense rendering and what a widefield microscope sees of it."""
    source = RenderingPairs()
    scene = source.scene(generator(6, 2), "microtubules", 256)
    dense = source.dense(scene)
    seen = gaussian_filter(dense, SIGMA_NM / 20)
    return dense, 0.1 + 2 * seen + generator(1).normal(0, 0.01, dense.shape)


def test_what_explains_the_widefield_image_agrees_everywhere(field):
    dense, widefield = field
    alike, mean = consistency(
        widefield, dense, sigma_px=SIGMA_NM / 20, gain=2.0, offset=0.1
    )
    assert alike.dtype == np.float32
    assert alike.min() >= 0
    assert alike.max() <= 1
    assert np.percentile(alike, 5) > 0.9
    assert mean > 0.95


def test_what_is_missing_or_invented_is_seen_where_it_is(field):
    dense, widefield = field
    wrong = dense.copy()
    wrong[:100, :100] = 0
    alike, mean = consistency(
        widefield, wrong, sigma_px=SIGMA_NM / 20, gain=2.0, offset=0.1
    )
    # away from the border of the two parts, by the windows; dark places agree
    light = widefield[:60, :60] - widefield.min()
    assert np.average(alike[:60, :60], weights=light) < 0.55
    assert alike[140:, 140:].mean() > 0.9
    _, right = consistency(
        widefield, dense, sigma_px=SIGMA_NM / 20, gain=2.0, offset=0.1
    )
    assert mean < right - 0.02


def test_an_invented_filament_stands_out_from_the_noise_of_dark_places(field):
    dense, _ = field
    dense = np.where(np.arange(256) < 128, dense, 0)  # nothing to the right
    seen = gaussian_filter(dense, SIGMA_NM / 20)
    noise = generator(2).normal(0, 0.03 * np.ptp(seen), dense.shape)
    wrong = dense.copy()
    wrong[90:190, 199:202] = 0.5
    alike, _ = consistency(
        seen + noise, wrong, sigma_px=SIGMA_NM / 20, gain=1.0, offset=0.0
    )
    dark = np.delete(alike[:, 160:], slice(60, 220), axis=0)
    assert dark.min() > 0.8
    assert alike[100:180, 198:203].max() < dark.min()


def test_strips_agree_with_the_whole(field, monkeypatch):
    dense, widefield = field
    told = {"sigma_px": 5.0, "gain": 2.0, "offset": 0.1}
    whole, mean = consistency(widefield, dense, **told)
    monkeypatch.setattr(module, "_ROWS", 50)
    strips, same = consistency(widefield, dense, **told)
    np.testing.assert_allclose(strips, whole, atol=1e-5)
    assert same == pytest.approx(mean)


def test_an_image_that_is_dark_where_the_other_is_bright_has_no_agreement(field):
    dense, widefield = field
    _, mean = consistency(widefield, 1 - dense, sigma_px=7.5, gain=-2.0, offset=2.1)
    assert mean < 0.7
    flat, mean = consistency(0 * widefield, 0 * dense, sigma_px=0, gain=0, offset=0)
    assert np.isnan(mean)
    assert np.isfinite(flat).all()


def test_only_widefield_images_beside_localizations_are_compared_so():
    assert widest_px(PALM) == WIDEST_NM / 20
    assert isinstance(PALM.input, BesideLocalizations)
    for changes in ({"pixel_size_nm": 10.0}, {"second": "none"}, {"second": "colors"}):
        renderings = PALM.input.override(**changes)
        expected = None if "second" in changes else WIDEST_NM / 10
        assert widest_px(PALM.model_copy(update={"input": renderings})) == expected
    frames = Frames(scaling="image", diffraction_limited=True)
    assert widest_px(PALM.model_copy(update={"input": frames})) is None


def test_a_prediction_with_a_widefield_image_has_a_map(field, tmp_path):
    dense, widefield = field
    rows, columns = np.nonzero(dense > 0.3)
    table = Localizations(x_nm=20.0 * columns + 10, y_nm=20.0 * rows + 10)
    counts = (1000 * np.maximum(widefield, 0)).astype(np.uint16)
    write_imagej_tiff(tmp_path / "w.tif", counts[None], pixel_size_nm=20.0)
    for given in (None, str(tmp_path / "w.tif")):
        recording = PALM.input.open(
            table,
            PALM,
            name="package",
            options=RenderingOptions(widefield=given, field_um=5.12),
        )
        running = PALM.task.start(recording, PALM, ImageOptions())
        ((_, frames),) = recording.chunks(1)
        found = {p.name: p for p in running.add(frames, dense[None, ..., None], 0)}
        report = running.report()
        if given is None:
            assert set(found) == {"image"}
            assert "consistency" not in report
            continue
        assert set(found) == {"image", "error_map", "consistency"}
        assert "No learnt network" in found["consistency"].description
        assert found["consistency"].pixel_size_nm["x"] == 20
        assert report["consistency"]["mean"] > 0.85
        # the blur of a microscope is far wider than four of these pixels
        sigma_nm = 20 * running._comparison.metrics[0, 0, 2]
        assert sigma_nm == pytest.approx(SIGMA_NM, rel=0.15)
        assert report["error_map"]["rsp"] > 0.95
