"""Training on a user's own pairs of images: what is read, refused, moved and judged."""

import json
import shutil
from importlib import import_module
from itertools import pairwise

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, shift

from zoo import catalog
from zoo.core.errors import BadInput
from zoo.core.grid import Grid
from zoo.core.random import generator
from zoo.inputs.frames import Frames
from zoo.io.write import write_ome_tiff
from zoo.simulate.measured_images import (
    MANIFEST,
    MeasuredImages,
    bright,
    foreground,
    numbers_of,
    read_pair,
)
from zoo.train import fine_tuning, judging, own_pairs, registering
from zoo.train.registration_map import MAP, write_map

EDGE, SCALE, PIXEL_NM = 40, 2, 100.0
MOVED = (3.0, -4.0)


@pytest.fixture(autouse=True)
def recipe(toy_recipes, monkeypatch):
    """Make a recipe known that doubles images of one channel."""
    assert toy_recipes.is_dir()
    monkeypatch.setattr(own_pairs, "write_map", lambda path, *_, **__: path.touch())
    toy = import_module("zoo.recipes.tiny").TINY_IMAGE.override(
        name="tiny_image",
        options={"channels": 1, "tile": 16},
        contract__grid=Grid.square(scale=SCALE, size=16, overlap=4),
        contract__input=Frames(scaling="image", diffraction_limited=True),
    )
    monkeypatch.setattr(catalog, "recipe", lambda _name: toy)
    return toy


def truth(seed, edge=SCALE * EDGE):
    """Return blobs on a dark field, (y, x)."""
    rng = np.random.default_rng(seed)
    points = np.zeros((edge, edge))
    points[tuple(rng.integers(0, edge, (2, edge // 2)))] = 1
    image = gaussian_filter(points, 1.5)
    return image / image.max()


def seen(sample, seed=0):
    """Return the sample as a coarse camera shows it, uint16."""
    blurred = gaussian_filter(sample, 2.5)
    coarse = blurred.reshape(len(sample) // 2, 2, -1, 2).sum(axis=(1, 3))
    counts = 400 * coarse / coarse.max() + 20
    return np.random.default_rng(seed).poisson(counts).astype(np.uint16)


def write(folder, name, image, *, pixel_nm):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    axes = "yx" if image.ndim == 2 else "tyx"
    write_ome_tiff(path, image, pixel_size_nm=pixel_nm, axes=axes)


def write_pairs(folder, count, *, moved=MOVED, edge=EDGE):
    for number in range(count):
        sample = truth(number, SCALE * edge)
        aim = shift(sample, moved, order=3)
        image = seen(sample, number)
        write(folder, f"input/cell {number}.ome.tif", image, pixel_nm=PIXEL_NM)
        aim = (1000 * aim.clip(0)).astype(np.uint16)
        write(folder, f"target/cell {number}.tif", aim, pixel_nm=PIXEL_NM / SCALE)
    return folder


@pytest.fixture
def pairs(tmp_path):
    return write_pairs(tmp_path / "pairs", 5)


def prepared(recipe, pairs, folder):
    """Register pairs; return the source that reads them, and the notes."""
    with fine_tuning.own_pairs(recipe.name, {}, pairs, run_folder=folder) as own:
        (folder / "run.json").write_text("{}")  # as a training that has begun
        return own.recipe.source, own


def test_targets_are_moved_onto_their_inputs(recipe, pairs, tmp_path):
    source, own = prepared(recipe, pairs, tmp_path / "run")
    folder = tmp_path / "run" / fine_tuning.PAIRS
    listed = json.loads((folder / MANIFEST).read_text())
    assert [row["name"] for row in listed["pairs"]] == [f"cell {n}" for n in range(5)]
    for number, row in enumerate(listed["pairs"]):
        assert row["shift_px"] == pytest.approx(MOVED, abs=0.5)
        image, target = read_pair(folder, number)
        # what only one of the two shows is cut off
        assert target.shape == (SCALE * image.shape[0], SCALE * image.shape[1], 1)
        assert image.shape[0] == EDGE - 4
        assert target.min() >= 0
        assert target.max() <= 1
        assert len(row["input_sha256"]) == 64
    assert (folder / MAP).exists()
    assert source.pixel_size_nm == PIXEL_NM
    assert source.pairs_sha256
    assert own.notes == []
    # the record of a training says nothing about where the pairs lay
    assert "folder" not in json.loads(source.model_dump_json())


def test_files_are_held_out_whole(recipe, pairs, tmp_path):
    source, _ = prepared(recipe, pairs, tmp_path / "run")
    folder = source.folder
    training, held_out = (numbers_of(folder, p) for p in ("training", "held_out"))
    assert len(held_out) == 1
    assert sorted(training + held_out) == list(range(5))
    judged = source.held_out()
    assert judged.part == "held_out"
    assert not judged.symmetries
    [number] = held_out
    whole = read_pair(folder, number).input
    for seed in range(6):
        patch, aim = judged.sample(generator(seed))
        assert aim.shape == (SCALE * len(patch), SCALE * len(patch), 1)
        places = np.argwhere(np.isin(whole[..., 0], patch[0, 0, 0]))
        edge = len(patch)
        assert any(
            np.array_equal(whole[y : y + edge, x : x + edge], patch) for y, x in places
        )
    record = judged.record(generator(0), frames=3)
    assert record.counts.shape == (1, *whole.shape[:2])


def test_patches_are_flipped_turned_and_dimmed_alike(recipe, pairs, tmp_path):
    source, _ = prepared(recipe, pairs, tmp_path / "run")
    plain = source.override(symmetries=False, gain=(1, 1), crop_px=16)
    moved = source.override(symmetries=True, gain=(0.5, 0.5), crop_px=16)
    different = 0
    for seed in range(12):
        patch, aim = plain.sample(generator(seed))
        other, dimmed = moved.sample(generator(seed))
        np.testing.assert_allclose(np.sort(other, None), 0.5 * np.sort(patch, None))
        np.testing.assert_allclose(np.sort(dimmed, None), 0.5 * np.sort(aim, None))
        coarse = dimmed.reshape(16, SCALE, 16, SCALE).mean(axis=(1, 3))
        blurred = gaussian_filter(other[..., 0], 1)
        assert np.corrcoef(coarse.ravel(), blurred.ravel())[0, 1] > 0.5
        different += not np.array_equal(other, 0.5 * patch)
    assert different > 6


def test_patches_lie_where_there_is_something():
    target = np.zeros((120, 120))
    target[20:24, 20:90] = 1.0
    for found in (foreground(target), bright(target, 16)):
        rows, columns = np.divmod(found, 120)
        assert len(found) < 5000
        assert rows.max() < 50
        assert columns.max() < 110
    # an image without anything offers every place
    assert len(foreground(np.zeros((9, 9)))) == len(bright(np.zeros((9, 9)), 4)) == 81


def test_a_single_pair_is_told_what_it_cannot_do(recipe, tmp_path):
    write_pairs(tmp_path / "pairs", 1)
    with pytest.raises(BadInput, match=r"holds 1 pair; .*nothing can be held out.*ten"):
        prepared(recipe, tmp_path / "pairs", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("rename", r"input holds cell 3, .*target does not \(5 inputs, 5 targets\)"),
        ("remove", r"input holds cell 3, .*target does not \(5 inputs, 4 targets\)"),
        ("folder", "has no folder target; own pairs lie in input/ and target/"),
        ("twice", "have one name"),
    ],
)
def test_numbers_and_names_of_files_must_agree(
    recipe, pairs, tmp_path, change, message
):
    file = pairs / "target" / "cell 3.tif"
    if change == "rename":
        file.rename(file.with_name("other.tif"))
    elif change == "remove":
        file.unlink()
    elif change == "folder":
        shutil.rmtree(file.parent)
    else:
        shutil.copy(file, file.with_name("cell 3.ome.tif"))
    with pytest.raises(BadInput, match=message):
        prepared(recipe, pairs, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_other_files_beside_the_pairs_are_left_alone(pairs):
    (pairs / "input" / "notes.txt").write_text("by hand")
    (pairs / "target" / ".DS_Store").write_text("x")
    assert [pair.name for pair in own_pairs.find_pairs(pairs)] == [
        f"cell {n}" for n in range(5)
    ]


def unfitting(kind):
    """Return an input, a target, and their pixels, nm."""
    sample = truth(0)
    image, aim = seen(sample), (1000 * sample).astype(np.uint16)
    return {
        "coarser": (aim, image, PIXEL_NM / SCALE, PIXEL_NM),
        "coarser pixels": (image, aim, PIXEL_NM, 2 * PIXEL_NM),
        "size": (image, aim[:-6], PIXEL_NM, PIXEL_NM / SCALE),
        "pixels": (image, aim, PIXEL_NM, PIXEL_NM),
        "frames": (np.stack([image] * 2), aim, PIXEL_NM, PIXEL_NM / SCALE),
        "field": (image, np.rot90(truth(8) ** 2), PIXEL_NM, PIXEL_NM / SCALE),
        "constant": (image, 0 * aim, PIXEL_NM, PIXEL_NM / SCALE),
        "other pixels": (image, aim, 120.0, 60.0),
    }[kind]


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("coarser", "the target is coarser than its input; perhaps they are exchanged"),
        ("coarser pixels", "the target is coarser than its input"),
        ("size", "has 74 x 80 px, .* makes 80 x 80 px: crop both to one field"),
        ("pixels", r"pixels of 100 nm, .* of 100 nm; .* pixels of 50 nm"),
        ("frames", "holds 2 images, .* 1; give one target for every input"),
        ("field", "does not show what .* does"),
        ("constant", "is constant; leave this pair out"),
        ("other pixels", "train on one pixel size at a time"),
    ],
)
def test_pairs_that_do_not_fit_are_refused(recipe, pairs, tmp_path, kind, message):
    image, aim, image_nm, aim_nm = unfitting(kind)
    if aim.dtype == float:
        aim = (1000 * aim).astype(np.uint16)
    (pairs / "target" / "cell 1.tif").unlink()
    write(pairs, "input/cell 1.ome.tif", image, pixel_nm=image_nm)
    write(pairs, "target/cell 1.ome.tif", aim, pixel_nm=aim_nm)
    with pytest.raises(BadInput, match=message):
        prepared(recipe, pairs, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_pairs_far_apart_are_refused_with_their_shift(tmp_path):
    pairs = write_pairs(tmp_path / "pairs", 2, moved=(-12.0, 9.0), edge=80)
    folder = tmp_path / "run"
    changes = {"source__max_shift_px": 4.0}
    message = (
        r"shifted by -6\.\d px along y and \+4\.\d px along x \(7\d\d nm\).*up to 4 px "
        r"are corrected: .*source.max_shift_px=9"
    )
    with pytest.raises(BadInput, match=message):
        fine_tuning.own_pairs("x", changes, pairs, run_folder=folder).__enter__()
    assert not folder.exists()
    changes["source__max_shift_px"] = 9
    with fine_tuning.own_pairs("x", changes, pairs, run_folder=folder) as own:
        assert own.recipe.source.max_shift_px == 9


def test_local_shifts_are_told_and_drawn(recipe, tmp_path, monkeypatch):
    pairs = write_pairs(tmp_path / "pairs", 2, moved=(0.0, 0.0), edge=150)
    sample = truth(0, SCALE * 150)
    bent = np.concatenate([sample[:, :150], shift(sample, (4, 0))[:, 150:]], axis=1)
    aim = (1000 * bent.clip(0)).astype(np.uint16)
    write(pairs, "target/cell 0.tif", aim, pixel_nm=PIXEL_NM / SCALE)
    monkeypatch.setattr(own_pairs, "write_map", write_map)
    _, own = prepared(recipe, pairs, tmp_path / "run")
    picture = tmp_path / "run" / fine_tuning.PAIRS / MAP
    assert picture.read_bytes().startswith(b"\x89PNG")
    [note] = own.notes
    assert "cell 0: parts of the target still lie up to" in note
    assert MAP in note


def test_a_network_of_one_size_takes_no_smaller_images(recipe, tmp_path):
    only = recipe.override(training_options={})
    assert fine_tuning.patch_px(only) == 16
    pair = own_pairs.find_pairs(write_pairs(tmp_path / "pairs", 2))[0]
    registering.register(pair, fine_tuning.for_own_pairs(recipe))
    with pytest.raises(BadInput, match="at least 40 px are needed"):
        registering.register(pair, fine_tuning.for_own_pairs(recipe), only_px=40)


def test_sources_without_their_pairs_say_so():
    with pytest.raises(BadInput, match="zoo train NAME --data DIR"):
        MeasuredImages().sample(generator(0))


def test_tiles_cover_an_image_and_join_in_the_middle_of_their_overlap(tmp_path):
    class Doubling:
        def predict_on_batch(self, tile):
            assert tile.shape[1] <= 32
            return tile.repeat(2, axis=1).repeat(2, axis=2)

    image = np.random.default_rng(0).random((70, 33, 1)).astype(np.float32)
    grid = Grid.square(scale=2)
    (tmp_path / MANIFEST).write_text('{"pairs": []}')
    judge = judging.Judge(tmp_path, tmp_path, grid, fixed_px=32)
    output = judge.predict(Doubling(), image)
    np.testing.assert_array_equal(output, image.repeat(2, 0).repeat(2, 1))
    for length in (5, 32, 33, 100, 257):
        parts = judging.spans(length, 32, 8)
        assert parts[0][2] == 0
        assert parts[-1][3] == length
        for one, other in pairwise(parts):
            assert one[3] == other[2]
        assert all(begin <= a < b <= end for begin, end, a, b in parts)


def test_training_on_own_pairs(pairs, tmp_path, zoo):
    run = tmp_path / "run"
    words = ("train", "tiny_image", "--data", pairs, "--budget", "smoke", "-o", run)
    code, out, err = zoo(*words)
    assert (code, err) == (0, "")
    assert "1 held-out images, means after an affine match:" in out
    assert "before fine-tuning" in out
    assert "after fine-tuning" in out
    names = {path.name for path in (run / judging.PICTURES).iterdir()}
    assert names == {"epoch-0001.png", "epoch-0002.png"}
    stored = json.loads((run / "run.json").read_text())
    compared = json.loads((run / judging.COMPARISON).read_text())
    assert stored["comparison"] == compared["mean"]
    assert compared["mean"]["images"] == len(compared["each"]) == 1
    assert compared["each"][0]["name"].startswith("cell ")
    # a finished run stays what it is, also where the user's pairs are gone
    pairs.rename(tmp_path / "elsewhere")
    assert zoo("train", "--resume", run)[0] == 0
    assert json.loads((run / "run.json").read_text())["comparison"] == compared["mean"]
    # and its folder is not taken by another one
    (tmp_path / "elsewhere").rename(pairs)
    assert "already holds a run" in zoo(*words)[2]
    assert (run / fine_tuning.PAIRS / MANIFEST).exists()


def test_pairs_of_a_start_that_was_killed_are_replaced(recipe, pairs, tmp_path):
    run = tmp_path / "run"
    changed = fine_tuning.for_own_pairs(recipe)
    own_pairs.prepare(changed, pairs, run / fine_tuning.PAIRS)
    for end in ("input", "target"):
        next((pairs / end).glob("cell 4.*")).unlink()
    source, _ = prepared(recipe, pairs, run)
    kept = sorted(p.name for p in source.folder.glob("*.npy"))
    assert len(kept) == 2 * 4


def test_pairs_are_removed_with_a_training_that_does_not_begin(pairs, tmp_path):
    run = tmp_path / "run"
    with (
        pytest.raises(BadInput, match="does not fit"),
        fine_tuning.own_pairs("x", {}, pairs, run_folder=run),
    ):
        raise BadInput("does not fit")
    assert not run.exists()
