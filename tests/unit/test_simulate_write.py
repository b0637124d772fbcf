"""A simulation on disk: whole or not at all, and nothing overwritten unasked."""

from typing import Literal

import numpy as np
import pytest
import tifffile

import zoo.simulate.write as write
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.random import generator
from zoo.core.recipe import Simulation, Source
from zoo.io.stacks import open_stack
from zoo.io.tables import read_localizations
from zoo.simulate.frames import DensityFrames
from zoo.simulate.sim_images import SimPairs
from zoo.simulate.write import SHOWN_EPOCH, write_simulation

SMALL = DensityFrames(field_px=16, empty_share=0)


class Images(Source):
    """Frames with an image twice as fine as their truth."""

    kind: Literal["images"] = "images"

    def sample(self, rng):
        return rng.random((8, 8, 1)), rng.random((16, 16, 1))

    def record(self, rng, *, frames):
        counts = rng.integers(1000, size=(frames, 8, 12)).astype(np.uint16)
        return Simulation(counts, rng.random((frames, 16, 24)), 90.0)


def contents(folder):
    return sorted(path.name for path in folder.iterdir())


def test_emitters_become_a_movie_and_a_table(tmp_path):
    folder = tmp_path / "new" / "folder"
    written = write_simulation(SMALL, folder, count=3, seed=7)
    assert written == [folder / "input.tif", folder / "truth.csv"]
    assert contents(folder) == ["input.tif", "truth.csv"]
    expected = SMALL.record(generator(7, SHOWN_EPOCH, 0), frames=3)
    with open_stack(folder / "input.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(100.0)
        assert stack.dtype == np.uint16
        assert np.array_equal(stack.read(0, 3)[..., 0], expected.counts)
    table = read_localizations(folder / "truth.csv")
    assert isinstance(expected.truth, Localizations)
    assert len(table) == len(expected.truth)
    np.testing.assert_allclose(table.x_nm, expected.truth.x_nm, atol=0.01)


def test_images_become_two_movies_of_one_field(tmp_path):
    written = write_simulation(Images(), tmp_path, count=2, seed=7)
    assert [path.name for path in written] == ["input.tif", "truth.tif"]
    with open_stack(tmp_path / "input.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(90.0)
    with open_stack(tmp_path / "truth.tif") as stack:
        assert (stack.height, stack.width) == (16, 24)
        assert stack.dtype == np.float32
        assert stack.pixel_size_nm == pytest.approx(45.0)


def test_raw_frames_are_nine_pages_for_one_image_of_the_truth(tmp_path):
    source = SimPairs(modality="sim", field_px=32)
    write_simulation(source, tmp_path, count=2, seed=7)
    expected = source.record(generator(7, SHOWN_EPOCH, 0), frames=2)
    with open_stack(tmp_path / "input.tif") as stack:
        assert (stack.frames, stack.height, stack.width) == (18, 32, 32)
        assert stack.dtype == np.uint16
        assert stack.pixel_size_nm == pytest.approx(62.6)
        assert np.array_equal(stack.read(0, 18)[..., 0], expected.counts)
    with open_stack(tmp_path / "truth.tif") as stack:
        assert (stack.frames, stack.height, stack.width) == (2, 64, 64)
        assert stack.pixel_size_nm == pytest.approx(31.3)


def test_one_frame_is_written(tmp_path):
    write_simulation(SMALL, tmp_path, count=1, seed=7)
    with open_stack(tmp_path / "input.tif") as stack:
        assert (stack.frames, stack.height, stack.width) == (1, 16, 16)


def test_equal_seeds_give_equal_files(tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        write_simulation(SMALL, tmp_path / name, count=2, seed=seed)
    for file in ("input.tif", "truth.csv"):
        first, second, other = ((tmp_path / n / file).read_bytes() for n in "abc")
        assert first == second
        assert first != other


class Volumes(Images):
    """Planes of depth, twice as many in the truth."""

    kind: Literal["volumes"] = "volumes"

    def record(self, rng, *, frames):
        counts = rng.integers(1000, size=(frames, 3, 8, 12)).astype(np.uint16)
        truth = rng.random((frames, 6, 16, 24))
        return Simulation(counts, truth, 90.0, z_step_nm=300.0)


class Tables(Images):
    """A table and the image that belongs to it."""

    kind: Literal["tables"] = "tables"

    def record(self, rng, *, frames):
        table = Localizations(x_nm=rng.uniform(0, 800, 5), y_nm=rng.uniform(0, 800, 5))
        drawn = rng.random((frames, 16, 24))
        return Simulation(drawn, drawn, 50.0, table=table)


def test_volumes_keep_their_depth(tmp_path):
    write_simulation(Volumes(), tmp_path, count=2, seed=7)
    expected = Volumes().record(generator(7, SHOWN_EPOCH, 0), frames=2)
    for name, step_nm, pixel_nm in (("input", 300, 90), ("truth", 150, 45)):
        with tifffile.TiffFile(tmp_path / f"{name}.tif") as file:
            assert file.series[0].axes == "TZYX"
            assert f'PhysicalSizeZ="{step_nm / 1000:g}"' in file.ome_metadata
            assert f'PhysicalSizeX="{pixel_nm / 1000:g}"' in file.ome_metadata
            if name == "input":
                assert np.array_equal(file.asarray(), expected.counts)


def test_a_table_is_an_input_too(tmp_path):
    written = write_simulation(Tables(), tmp_path, count=2, seed=7)
    assert [path.name for path in written] == ["input.csv", "truth.tif"]
    assert len(read_localizations(tmp_path / "input.csv")) == 5
    with open_stack(tmp_path / "truth.tif") as stack:
        assert stack.pixel_size_nm == pytest.approx(50.0)


@pytest.mark.parametrize("name", ["input.tif", "truth.csv", "truth.tif"])
def test_nothing_is_overwritten_unasked(tmp_path, name):
    (tmp_path / name).write_text("mine")
    with pytest.raises(BadInput, match=name) as caught:
        write_simulation(SMALL, tmp_path, count=2, seed=1)
    assert "--overwrite" in str(caught.value)
    assert contents(tmp_path) == [name]
    assert (tmp_path / name).read_text() == "mine"


def test_files_are_replaced_when_asked(tmp_path):
    (tmp_path / "truth.csv").write_text("old")
    (tmp_path / "notes.txt").write_text("kept")
    write_simulation(SMALL, tmp_path, count=2, seed=1, overwrite=True)
    assert contents(tmp_path) == ["input.tif", "notes.txt", "truth.csv"]
    assert len(read_localizations(tmp_path / "truth.csv"))
    assert (tmp_path / "notes.txt").read_text() == "kept"


@pytest.mark.parametrize("count", [0, -3])
def test_a_simulation_has_frames(tmp_path, count):
    folder = tmp_path / "new"
    with pytest.raises(BadInput, match=f"at least 1, not {count}"):
        write_simulation(SMALL, folder, count=count, seed=1)
    assert not folder.exists()


@pytest.mark.parametrize("error", [OSError("No space left"), KeyboardInterrupt()])
def test_a_failure_leaves_nothing(tmp_path, monkeypatch, error):
    def fail(*_args, **_kwargs):
        raise error

    monkeypatch.setattr(write, "write_localizations", fail)
    with pytest.raises(type(error)):
        write_simulation(SMALL, tmp_path, count=2, seed=1)
    assert contents(tmp_path) == []


@pytest.mark.parametrize("name", ["new", "new/er", "there/new"])
def test_a_failure_leaves_no_new_folder(tmp_path, monkeypatch, name):
    (tmp_path / "there").mkdir()

    def fail(*_args, **_kwargs):
        raise OSError("No space left")

    monkeypatch.setattr(write, "write_localizations", fail)
    with pytest.raises(OSError, match="No space"):
        write_simulation(SMALL, tmp_path / name, count=2, seed=1)
    assert [path.name for path in tmp_path.rglob("*")] == ["there"]


def test_a_name_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(BadInput, match="is a file; give a folder"):
        write_simulation(SMALL, tmp_path / "file", count=2, seed=1)
    assert contents(tmp_path) == ["file"]
    assert (tmp_path / "file").read_text() == "mine"


def test_a_failure_leaves_what_was_there(tmp_path, monkeypatch):
    write_simulation(SMALL, tmp_path, count=2, seed=1)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(*_args, **_kwargs):
        raise OSError("No space left")

    monkeypatch.setattr(write, "write_localizations", fail)
    with pytest.raises(OSError, match="No space"):
        write_simulation(SMALL, tmp_path, count=2, seed=2, overwrite=True)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_source_that_fails_makes_no_folder(tmp_path):
    class Broken(Images):
        def record(self, rng, *, frames):
            raise BadInput(f"no {frames} frames in {type(rng).__name__}")

    with pytest.raises(BadInput, match="no 2 frames"):
        write_simulation(Broken(), tmp_path / "new", count=2, seed=1)
    assert contents(tmp_path) == []


def test_progress_ends_at_the_last_frame(tmp_path):
    calls = []
    write_simulation(
        SMALL, tmp_path, count=2, seed=1, progress=lambda *done: calls.append(done)
    )
    assert calls[-1] == (2, 2)
