"""Bad input through the command line: exit 1, one line that helps, nothing written."""

import errno
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import tifffile
import yaml

from zoo import demo

ROOT = Path(__file__).parents[2]
RESULTS = {
    "localizations.csv",
    "preview.png",
    "reconstruction.ome.tif",
    "report.json",
}


@pytest.fixture(autouse=True)
def specs(checkout):
    return checkout


def sha256(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def refused(zoo, tmp_path):
    """Return a function that runs a command which must fail and leave no trace."""

    def listing():
        files = (p for p in tmp_path.rglob("*") if "cache" not in p.parts)
        return {p: p.stat().st_mtime_ns for p in files if p.is_file()}, {
            p for p in tmp_path.iterdir() if p.name != "cache"
        }

    def call(*words):
        before = listing()
        code, out, err = zoo(*words)
        assert code == 1
        assert out == ""
        assert err.count("\n") == 1
        assert err.startswith("zoo: ")
        assert "Traceback" not in err
        assert listing() == before
        return err

    return call


def recording(frames=4, size=32):
    """Return frames with one spot each, at row 10 + t and column 20."""
    y, x = np.mgrid[:size, :size]
    spots = [
        np.exp(-((y - 10 - t % 8) ** 2 + (x - 20) ** 2) / 4) for t in range(frames)
    ]
    return (100 + 900 * np.stack(spots)).astype(np.uint16)


def write_tiff(path, counts, *, pixel_size_nm=100.0, **options):
    resolution = None
    options["photometric"] = "minisblack"
    if pixel_size_nm is not None:
        resolution = (1000 / pixel_size_nm,) * 2
        options["metadata"] = {"unit": "um", "axes": "TYX"[-counts.ndim :]}
        options["imagej"] = True
    tifffile.imwrite(path, counts, resolution=resolution, **options)
    return path


@pytest.fixture
def good(tmp_path):
    return write_tiff(tmp_path / "good.tif", recording())


def test_the_stand_in_works(zoo, specs, good, tmp_path):
    code, out, err = zoo("predict", "tiny_spots", good, "-o", tmp_path / "out")
    assert (code, err) == (0, "")
    assert {p.name for p in (tmp_path / "out").iterdir()} == RESULTS
    assert "localizations.csv" in out
    table = (tmp_path / "out" / "localizations.csv").read_text(encoding="utf-8")
    assert len(table.splitlines()) == 5
    code, out, _ = zoo(
        "predict", specs / "tiny_spots", good, "-o", tmp_path / "q", "-q"
    )
    assert (code, out) == (0, "")


def test_list_and_show(zoo, specs):
    code, out, _ = zoo("list")
    assert code == 0
    row = out.splitlines()[1].split()
    assert row[:3] == ["tiny_spots", "density", "1,234"]
    assert {"onnx", "keras"} <= set(row)
    assert row[-1] == str(specs / "tiny_spots")
    assert json.loads(zoo("list", "--json")[1])[0]["parameters"] == 1234

    for name in ("tiny_spots", specs / "tiny_spots"):
        code, out, _ = zoo("show", name)
        assert code == 0
        for expected in (
            "Intended use",
            "Tests of the program.",
            "Not for",
            "anything else",
            "90–110 nm",
            "0.910",
            "1,234 trainable",
            "not the published one",
            "4,000 samples",
            "Somebody 2018 doi:10.1/x",
        ):
            assert expected in out
        assert max(map(len, out.splitlines())) <= 100
    card = json.loads(zoo("show", "tiny_spots", "--json")[1])
    assert card["scores"]["density"]["1"]["jaccard"] == 0.91
    assert card["task"] == card["contract"]["task"]["kind"] == "density"
    assert card["contract"]["grid"]["axes"]["y"]["scale"] == 2
    assert card["training"]["pixel_size_nm"] == [90, 110]


def test_show_has_what_the_readme_has(zoo, specs):
    readme = specs / "tiny_spots" / "README.md"
    words = ["training condition", "Jaccard"]
    columns = [f"number{i}" for i in range(30)]
    table = [columns, ["-"] * 30, [f"value{i}" for i in range(30)]]
    with readme.open("a", encoding="utf-8") as file:
        file.write("\n<!-- generated:training -->\nnone\n<!-- end -->\n")
        file.write("\n<!-- generated:scores -->\n")
        file.write("\n".join(f"| {' | '.join(row)} |" for row in table))
        file.write("\n<!-- end -->\n")
    out = zoo("show", "tiny_spots")[1]
    assert "generated" not in out
    for word in words:
        assert word not in out
    for i, column in enumerate(columns):  # too wide a table lies on its side
        assert [column, f"value{i}"] in [line.split() for line in out.splitlines()]


def test_missing_file(refused, tmp_path):
    err = refused("predict", "tiny_spots", tmp_path / "no.tif", "-o", tmp_path / "out")
    assert "no.tif" in err


@pytest.mark.skipif(sys.platform != "linux", reason="such names cannot be made")
def test_names_that_are_not_utf8_are_refused_before_the_work(
    refused, good, specs, tmp_path, monkeypatch
):
    from zoo.predict.predictor import Predictor

    monkeypatch.setattr(Predictor, "forward", None)
    odd = os.fsdecode(b"odd\xff")
    recording = tmp_path / f"{odd}.tif"
    shutil.copy(good, recording)
    package = shutil.copytree(specs / "tiny_spots", tmp_path / odd)
    for words in (
        ("tiny_spots", recording, "-o", tmp_path / "out"),
        ("tiny_spots", good, "-o", tmp_path / f"{odd}-out"),
        (package, good, "-o", tmp_path / "out"),
    ):
        err = refused("predict", *words)
        assert "odd\\udcff" in err
        assert "is not UTF-8; rename" in err


def test_not_a_tiff(refused, tmp_path):
    path = tmp_path / "text.tif"
    path.write_text("this is not an image", encoding="utf-8")
    err = refused("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert "not a TIFF" in err


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("cells.nd2", ("Nikon", "Bio-Formats", "OME-TIFF", "package nd2")),
        ("cells.CZI", ("Zeiss", "package pylibCZIrw")),
        ("cells.lif", ("Leica", "package liffile")),
        ("cells.vsi", ("Olympus", "OME-TIFF")),
    ],
)
def test_formats_of_microscopes_say_what_to_do(refused, tmp_path, name, words):
    (tmp_path / name).write_bytes(b"ZISRAWFILE" + bytes(2000))
    text = refused("predict", "tiny_spots", tmp_path / name, "-o", tmp_path / "out")
    assert all(word in text for word in words)


@pytest.mark.parametrize("kept", [0.5, 0.98])
def test_truncated_tiff(refused, tmp_path, kept):
    path = write_tiff(tmp_path / "cut.tif", recording(20))
    content = path.read_bytes()
    path.write_bytes(content[: int(kept * len(content))])
    err = refused("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert "cut.tif" in err


def test_colour_image(refused, tmp_path):
    path = tmp_path / "rgb.tif"
    tifffile.imwrite(path, np.zeros((32, 32, 3), np.uint8), photometric="rgb")
    err = refused("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert "colour" in err or "RGB" in err


def test_wrong_number_of_channels(refused, tmp_path):
    path = tmp_path / "two.tif"
    counts = np.zeros((3, 2, 32, 32), np.uint16)
    tifffile.imwrite(path, counts, imagej=True, metadata={"axes": "TCYX"})
    words = ("predict", "tiny_spots", path, "-o", tmp_path / "out")
    err = refused(*words, "--pixel-size-nm", "100")
    assert "two.tif" in err
    assert "channel" in err


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_values_that_are_no_numbers(refused, tmp_path, value):
    counts = recording(30).astype(np.float32)
    counts[17, 3, 3] = value
    path = write_tiff(tmp_path / "holes.tif", counts)
    err = refused("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert "NaN or infinite" in err
    assert "frame 18" in err


def test_constant_frames_work_and_warn(zoo, tmp_path):
    path = write_tiff(tmp_path / "flat.tif", np.full((5, 32, 32), 100, np.uint16))
    code, _, err = zoo("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert code == 0
    assert "5 of 5 frames are constant" in err
    table = (tmp_path / "out" / "localizations.csv").read_text(encoding="utf-8")
    assert len(table.splitlines()) == 1


def test_too_small_a_frame(refused, tmp_path):
    path = write_tiff(tmp_path / "small.tif", recording(2, size=32)[:, :15, :])
    err = refused("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert "15" in err
    assert "16" in err


def test_missing_pixel_size_is_asked_for(refused, zoo, tmp_path):
    path = write_tiff(tmp_path / "plain.tif", recording(), pixel_size_nm=None)
    words = ("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert "--pixel-size-nm" in refused(*words)
    assert zoo(*words, "--pixel-size-nm", "100")[0] == 0


def test_pixel_size_far_from_training_warns(zoo, tmp_path):
    path = write_tiff(tmp_path / "coarse.tif", recording(), pixel_size_nm=160.0)
    code, _, err = zoo("predict", "tiny_spots", path, "-o", tmp_path / "out")
    assert code == 0
    assert "warning" in err
    assert "160 nm" in err
    assert "90 to 110 nm" in err


def test_impossible_options(refused, good, tmp_path):
    for words in (
        ("--pixel-size-nm", "-1"),
        ("--threshold", "0"),
        ("--tile", "0"),
        ("--batch-size", "-2"),
    ):
        err = refused("predict", "tiny_spots", good, "-o", tmp_path / "out", *words)
        assert words[1].lstrip("-") in err


def test_read_only_output(refused, good, tmp_path, monkeypatch):
    # the tests may run as root, whom permissions do not stop
    mkdir = os.mkdir

    def refuse(path, *args, **options):
        if Path(path).parent == tmp_path and "cache" not in str(path):
            raise OSError(errno.EROFS, "Read-only file system", str(path))
        return mkdir(path, *args, **options)

    monkeypatch.setattr(os, "mkdir", refuse)
    err = refused("predict", "tiny_spots", good, "-o", tmp_path / "out")
    assert "Read-only file system" in err
    assert "-o" in err


@pytest.mark.parametrize("overwrite", [False, True])
def test_full_disk(refused, good, tmp_path, monkeypatch, overwrite):
    target = tmp_path / "out"
    words = ["predict", "tiny_spots", good, "-o", target]
    if overwrite:
        target.mkdir()
        (target / "localizations.csv").write_text("old", encoding="utf-8")
        words.append("--overwrite")

    def full(*_, **__):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("zoo.io.tables.LocalizationWriter.write", full)
    err = refused(*words)
    assert "No space left on device" in err
    assert "free some space" in err


def test_existing_output(refused, zoo, good, tmp_path):
    target = tmp_path / "out"
    target.mkdir()
    (target / "localizations.csv").write_text("precious", encoding="utf-8")
    (target / "notes.txt").write_text("mine", encoding="utf-8")
    words = ("predict", "tiny_spots", good, "-o", target)
    assert "--overwrite" in refused(*words)
    assert zoo(*words, "--overwrite")[0] == 0
    assert (target / "localizations.csv").read_text(encoding="utf-8") != "precious"
    assert (target / "notes.txt").read_text(encoding="utf-8") == "mine"


def test_input_and_package_stay_where_they_are(refused, specs, good, tmp_path):
    target = tmp_path / "out"
    shutil.copytree(specs / "tiny_spots", target / "package")
    movie = target / "movie.tif"
    shutil.copy(good, movie)
    for name, source in (("tiny_spots", movie), (target / "package", good)):
        err = refused("predict", name, source, "-o", target, "--overwrite")
        assert "is read and lies in" in err


def test_output_that_is_a_file(refused, good, tmp_path):
    (tmp_path / "out").write_text("mine", encoding="utf-8")
    for words in ((), ("--overwrite",)):
        err = refused("predict", "tiny_spots", good, "-o", tmp_path / "out", *words)
        assert "is a file" in err


def test_corrupted_weights(refused, specs, good, tmp_path):
    weights = specs / "tiny_spots" / "model.onnx"
    content = bytearray(weights.read_bytes())
    content[len(content) // 2] ^= 1
    weights.write_bytes(content)
    for name in ("tiny_spots", specs / "tiny_spots"):
        err = refused("predict", name, good, "-o", tmp_path / "out")
        assert "model.onnx" in err
        assert "hash" in err
    assert "hash" in refused("download", "tiny_spots", "-o", tmp_path / "copy")


def test_unknown_package_lists_the_near_ones(refused, good, tmp_path):
    for words in (
        ("predict", "tiny_spot", good, "-o", tmp_path / "out"),
        ("show", "tiny_spot"),
        ("download", "tiny_spot"),
        ("evaluate", "tiny_spot"),
    ):
        err = refused(*words)
        assert "'tiny_spot'" in err
        assert "did you mean tiny_spots?" in err


def test_zip_with_path_traversal(refused, specs, good, tmp_path):
    path = tmp_path / "evil.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (specs / "tiny_spots").iterdir():
            archive.write(file, file.name)
        archive.writestr("../../escaped.txt", "out of the box")
    for words in (
        ("predict", path, good, "-o", tmp_path / "out"),
        ("show", path),
    ):
        assert "escaped.txt" in refused(*words)
    assert not list(tmp_path.parent.rglob("escaped.txt"))


def test_honest_zip_works(zoo, specs, good, tmp_path):
    path = tmp_path / "fine.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for file in (specs / "tiny_spots").iterdir():
            archive.write(file, file.name)
    assert zoo("predict", path, good, "-o", tmp_path / "out")[0] == 0


@pytest.mark.parametrize(
    ("module", "layer"), [("keras.layers", "Lambda"), ("evil.layers", "SpectralThing")]
)
def test_keras_file_with_code_in_it(refused, specs, good, tmp_path, module, layer):
    folder = specs / "tiny_spots"
    config = {"module": module, "class_name": layer, "config": {}}
    with zipfile.ZipFile(folder / "weights.keras", "w") as archive:
        archive.writestr("metadata.json", "{}")
        archive.writestr("config.json", json.dumps(config))
        archive.writestr("model.weights.h5", b"")
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text(encoding="utf-8"))
    rdf["weights"]["keras_v3"]["sha256"] = sha256(folder / "weights.keras")
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf), encoding="utf-8")
    words = ("predict", "tiny_spots", good, "-o", tmp_path / "out")
    assert layer in refused(*words, "--engine", "keras")


def test_download_copies_and_keeps_what_is_there(refused, zoo, specs, tmp_path):
    code, out, _ = zoo("download", "tiny_spots", "-o", tmp_path / "mine")
    copy = tmp_path / "mine" / "tiny_spots"
    assert (code, out.strip()) == (0, str(copy))
    assert sha256(copy / "model.onnx") == sha256(specs / "tiny_spots" / "model.onnx")
    (copy / "model.onnx").write_bytes(b"changed")
    assert "exists" in refused("download", "tiny_spots", "-o", tmp_path / "mine")


def test_evaluate_wants_both_files(refused, good, tmp_path):
    words = ("evaluate", "tiny_spots", "-o", tmp_path / "scores")
    assert "--truth" in refused(*words, "--input", good)
    assert "--input" in refused(*words, "--truth", tmp_path / "truth.csv")


def test_foreign_packages_have_no_frozen_test_set(refused, specs, tmp_path):
    path = specs / "tiny_spots" / "rdf.yaml"
    rdf = yaml.safe_load(path.read_text(encoding="utf-8"))
    del rdf["config"]
    path.write_text(yaml.safe_dump(rdf), encoding="utf-8")
    err = refused("evaluate", specs / "tiny_spots", "-o", tmp_path / "scores")
    assert "--input FILE --truth FILE" in err


def test_evaluate_a_recording_with_its_truth(zoo, specs, good, tmp_path):
    truth = tmp_path / "truth.csv"
    rows = [f"{n + 1},{n + 1},2050,{1050 + 100 * n}" for n in range(4)]
    truth.write_text(
        "\n".join(['"id","frame","x [nm]","y [nm]"', *rows]), encoding="utf-8"
    )
    words = ("evaluate", specs / "tiny_spots", "--input", good, "--truth", truth)
    code, out, _ = zoo(*words, "-o", tmp_path)
    assert code == 0
    assert "Jaccard" in out
    metrics = json.loads((tmp_path / "metrics.json").read_text(encoding="utf-8"))
    scores = metrics["localizations"]["all"]
    assert (scores["tp"], scores["fp"], scores["fn"]) == (4, 0, 0)
    assert scores["rmse_lateral_nm"] < 50


def test_demonstration_with_the_stand_in(refused, zoo, tmp_path, monkeypatch):
    monkeypatch.setattr(demo, "PACKAGE", "tiny_spots")
    monkeypatch.setattr(demo, "FRAMES", 4)
    target = tmp_path / "new" / "show"
    code, out, err = zoo("demo", "-o", target)
    assert (code, err) == (0, "")
    files = {p.relative_to(target).as_posix() for p in target.rglob("*") if p.is_file()}
    own = set(demo.FILES)
    assert files == own | {f"result/{name}" for name in RESULTS}
    assert "Jaccard index" in out
    assert "Trust this as far as" in out
    for name in files:
        assert str(target / name) in out
    metrics = json.loads((target / "metrics.json").read_text(encoding="utf-8"))
    assert metrics["demo"]["microtubules"]["tp"] > 0
    report = json.loads((target / "result" / "report.json").read_text(encoding="utf-8"))
    assert report["input"]["source"] == str(target / "input.tif")

    assert "--overwrite" in refused("demo", "-o", target)
    assert zoo("demo", "-o", target, "--overwrite")[0] == 0
    (tmp_path / "mine").mkdir()
    for name in ("truth.csv", "metrics.json"):  # of a simulation and an evaluation
        (tmp_path / "mine" / name).write_text("{}", encoding="utf-8")
    assert "is kept" in refused("demo", "-o", tmp_path / "mine", "--overwrite")
    (target / "thesis.txt").write_text("precious", encoding="utf-8")
    assert zoo("demo", "-o", target, "--overwrite")[0] == 0
    assert (target / "thesis.txt").read_text(encoding="utf-8") == "precious"
    for name in ("truth.csv", "result/localizations.csv"):
        mine = (target / name).read_bytes() + b"# and mine"
        (target / name).write_bytes(mine)
        err = refused("demo", "-o", target, "--overwrite")
        assert f"{name} is not what the demonstration wrote, and is kept" in err
        assert (target / name).read_bytes() == mine
        (target / name).unlink()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
@pytest.mark.parametrize("wish", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_leaves_nothing_behind(zoo, specs, good, tmp_path, wish):
    noise = np.random.default_rng(0).integers(0, 1000, (6000, 48, 48), np.uint16)
    np.save(tmp_path / "long.npy", noise)
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", "from zoo.cli import main; main()", "predict"),
            *(specs / "tiny_spots", tmp_path / "long.npy", "-o", tmp_path / "new/out"),
            *("--pixel-size-nm", "100"),
        ],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        deadline = time.monotonic() + 60
        while not list(tmp_path.glob("new/.part-*/localizations.csv")):
            assert process.poll() is None, process.stderr
            assert time.monotonic() < deadline
            time.sleep(0.02)
        code, _, err = zoo("predict", "tiny_spots", good, "-o", tmp_path / "new/out")
        assert code == 1
        assert f"is being written by process {process.pid}; wait" in err
        process.send_signal(wish)
        out, err = process.communicate(timeout=30)
    finally:
        process.kill()
    assert process.returncode == 1
    assert out == ""
    assert err == "zoo: interrupted; nothing incomplete was left behind\n"
    assert not (tmp_path / "new").exists()
