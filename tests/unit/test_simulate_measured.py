"""Training pairs cropped out of a recording whose emitters are known."""

from pathlib import Path

import numpy as np
import pytest

from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.io.tables import write_localizations
from zoo.io.write import write_imagej_tiff
from zoo.simulate.frames import DensityFrames
from zoo.simulate.measured import MeasuredFrames
from zoo.simulate.write import SHOWN_EPOCH, write_simulation

PIXEL_NM = 110.0


@pytest.fixture
def folder(tmp_path):
    """Write frames in which one bright pixel holds the only emitter of a frame."""
    counts = np.full((4, 18, 24), 100, np.uint16)
    rows, columns = np.array([8, 9, 13, 17]), np.array([12, 7, 0, 23])
    counts[range(4), rows, columns] = 900
    truth = Localizations(
        x_nm=(columns + 0.3) * PIXEL_NM,
        y_nm=(rows + 0.8) * PIXEL_NM,
        frame=np.arange(1, 5),
    )
    write_imagej_tiff(tmp_path / "input.tif", counts, pixel_size_nm=PIXEL_NM)
    write_localizations(tmp_path / "truth.csv", truth)
    return tmp_path


def test_a_crop_takes_its_emitters_along(folder):
    source = MeasuredFrames(folder=folder, crop_px=12, scale=8)
    seen = 0
    for seed in range(60):
        frame, spikes = source.sample(generator(seed))
        assert frame.shape == (12, 12, 1)
        assert spikes.shape == (96, 96, 1)
        assert frame.dtype == spikes.dtype == np.float32
        bright = np.argwhere(frame[..., 0] > frame.min())
        # 0.8 and 0.3 of a camera pixel lie in fine pixels 6 and 2
        expected = [[8 * row + 6, 8 * column + 2] for row, column in bright]
        assert np.argwhere(spikes[..., 0]).tolist() == expected
        seen += len(expected)
    assert seen > 10


def test_every_position_and_frame_is_drawn(folder):
    rng = np.random.default_rng(2)
    counts = rng.integers(1000, size=(4, 18, 24)).astype(np.uint16)
    write_imagej_tiff(folder / "input.tif", counts, pixel_size_nm=PIXEL_NM)
    source = MeasuredFrames(folder=folder, crop_px=17, scale=1)
    places = [(f, y, x) for f in range(4) for y in range(2) for x in range(8)]
    crops = [
        counts[f, y : y + 17, x : x + 17].ravel().astype(float) for f, y, x in places
    ]
    found = set()
    for seed in range(100):
        crop = source.sample(generator(seed))[0].ravel()
        alike = np.corrcoef([crop, *crops])[0, 1:]
        assert alike.max() > 0.5
        found.add(places[int(alike.argmax())])
    assert [{place[axis] for place in found} for axis in range(3)] == [
        set(range(4)),
        {0, 1},
        set(range(8)),
    ]


def test_a_crop_as_large_as_the_frame_is_the_frame(folder):
    frame, spikes = MeasuredFrames(folder=folder, crop_px=18).sample(generator(0))
    assert frame.shape == (18, 18, 1)
    assert spikes.shape == (144, 144, 1)


def test_seeds_decide(folder):
    source = MeasuredFrames(folder=folder, crop_px=12)
    pairs = [source.sample(generator(seed)) for seed in (1, 1, *range(2, 12))]
    assert np.array_equal(pairs[0][0], pairs[1][0])
    assert np.array_equal(pairs[0][1], pairs[1][1])
    assert any(not np.array_equal(pairs[0][1], pair[1]) for pair in pairs[2:])


def test_the_pixel_size_of_the_file_counts(folder):
    source = MeasuredFrames(folder=folder, pixel_size_nm=65.0)
    assert source.record(generator(0), frames=1).pixel_size_nm == pytest.approx(110.0)


def test_the_declared_pixel_size_stands_in_for_a_missing_one(folder):
    import tifffile

    tifffile.imwrite(
        folder / "input.tif", np.zeros((4, 18, 24), np.uint16), photometric="minisblack"
    )
    source = MeasuredFrames(folder=folder, pixel_size_nm=65.0)
    assert source.record(generator(0), frames=1).pixel_size_nm == 65.0


def test_a_record_is_the_beginning_of_the_recording(folder):
    counts, truth, *_ = MeasuredFrames(folder=folder).record(generator(0), frames=3)
    assert counts.shape == (3, 18, 24)
    assert isinstance(truth, Localizations)
    assert truth.frame.tolist() == [1, 2, 3]
    rows, columns = (
        np.floor(p / PIXEL_NM).astype(int) for p in (truth.y_nm, truth.x_nm)
    )
    assert (counts[range(3), rows, columns] == 900).all()


@pytest.mark.parametrize("missing", ["input.tif", "truth.csv"])
def test_a_folder_without_pairs_is_refused_in_one_line(folder, missing):
    (folder / missing).unlink()
    with pytest.raises(BadInput, match=missing) as caught:
        MeasuredFrames(folder=folder).sample(generator(0))
    assert "\n" not in str(caught.value)
    assert str(folder) in str(caught.value)


def test_frames_smaller_than_a_crop_are_refused(folder):
    with pytest.raises(BadInput, match="18 x 24 px") as caught:
        MeasuredFrames(folder=folder, crop_px=19).sample(generator(0))
    assert "source.crop_px" in str(caught.value)


def test_what_a_simulation_writes_can_be_learnt_from(tmp_path):
    simulated = DensityFrames(
        crop_px=10, field_px=16, empty_share=0, density_per_um2=(6, 6)
    )
    write_simulation(simulated, tmp_path, count=3, seed=5)
    source = simulated.measured(tmp_path)
    recording = simulated.record(generator(5, SHOWN_EPOCH, 0), frames=3)
    back = source.record(generator(0, SHOWN_EPOCH, 0), frames=3)
    assert np.array_equal(back.counts, recording.counts)
    assert isinstance(recording.truth, Localizations)
    assert isinstance(back.truth, Localizations)
    # tables are written with hundredths of a nanometre or better
    np.testing.assert_allclose(back.truth.x_nm, recording.truth.x_nm, atol=0.01)
    np.testing.assert_allclose(back.truth.y_nm, recording.truth.y_nm, atol=0.01)
    assert back.truth.frame.tolist() == recording.truth.frame.tolist()
    frame, spikes = source.sample(generator(1))
    assert frame.shape == (10, 10, 1)
    assert spikes.sum() > 0


def test_a_declaration_survives_json(folder):
    source = MeasuredFrames(folder=folder, crop_px=12)
    again = MeasuredFrames.model_validate_json(source.model_dump_json())
    assert again == source
    assert isinstance(again.folder, Path)


@pytest.mark.tensorflow
def test_a_folder_without_pairs_is_refused_before_anything_is_written(tmp_path, zoo):
    (tmp_path / "half").mkdir()
    (tmp_path / "half" / "input.tif").write_bytes(b"")
    for folder, lack in (("nowhere", "input.tif"), ("half", "truth.csv")):
        words = ("--data", tmp_path / folder, "-o", tmp_path / "run")
        code, _, err = zoo("train", "deep_storm_microtubules", *words)
        assert code == 1
        assert f"has no {lack}" in err
        assert not (tmp_path / "run").exists()
