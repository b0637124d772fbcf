"""Packages are built, verified, damaged and verified again."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml

from zoo.core.errors import BadInput, BadPackage, ZooError
from zoo.core.files import sha256
from zoo.io.library import open_package
from zoo.package import build, export
from zoo.package.build import build_package, write_package
from zoo.package.checks import verify_package
from zoo.package.examples import cut_example
from zoo.package.trained import read_trained
from zoo.package.zips import read_members, write_zip
from zoo.verify import Check, Report, isolated
from zoo.verify.compare import absent_kernels, relative_error
from zoo.verify.examination import Examination

tensorflow = pytest.mark.tensorflow

FILES = {
    "rdf.yaml",
    "README.md",
    "weights.keras",
    "model.onnx",
    "test_input.npy",
    "test_output.npy",
    "sample_input.tif",
    "sample_output.tif",
    "cover.png",
    "recipe.json",
}


def finished_run(recipe, folder):
    """Write the folder of a training whose weights are far from zero."""
    folder.mkdir(parents=True)
    model = recipe.network.build(**recipe.options)
    rng = np.random.default_rng(4)
    model.set_weights(
        [
            w + 0.2 * rng.random(w.shape).astype("float32") + 0.1 * (w.ndim == 1)
            for w in model.get_weights()
        ]
    )
    model.save(folder / "weights.keras")
    np.save(folder / "mask.npy", np.ones((4, 4), np.float32))
    np.save(folder / "stray.npy", np.ones(4))
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    run = {"budget": "smoke", "samples": 24, "seconds": 9, "finished": True}
    run["results"] = ["mask.npy"]
    (folder / "run.json").write_text(json.dumps(run))
    return folder


@pytest.fixture(scope="module")
def built(tiny, tmp_path_factory):
    """A run, the package built from it with all formats, and its verification."""
    folder = tmp_path_factory.mktemp("built")
    run = finished_run(tiny.TINY, folder / "run")
    formats = ("keras", "onnx", "saved_model")
    reports = []

    def kept(path):
        reports.append(verify_package(path))
        return reports[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.package.checks.verify_package", kept)
        package = build_package(run, folder / "dist", formats=formats, score=False)
    return run, package, reports[0]


@pytest.fixture
def package(built, tmp_path):
    """A copy of the package to damage."""
    return Path(shutil.copytree(built[1], tmp_path / "copy"))


def rewrite(folder, change=dict):
    """Change the description of a package, hashes brought up to date."""
    path = folder / "rdf.yaml"
    rdf = yaml.safe_load(path.read_text())
    change(rdf)
    for tensor in (*rdf["inputs"], *rdf["outputs"]):
        for key in ("test_tensor", "sample_tensor"):
            tensor[key]["sha256"] = sha256(folder / tensor[key]["source"])
    for entry in rdf["weights"].values():
        entry["sha256"] = sha256(folder / entry["source"])
    path.write_text(yaml.safe_dump(rdf, sort_keys=False))


def outcome(report):
    return {row.name: row.ok for row in report.rows}


def failures(report):
    return {row.name: row.detail for row in report.failed}


@tensorflow
def test_a_built_package_holds_what_it_should_and_passes(built):
    run, package, report = built

    assert {p.name for p in package.iterdir()} == FILES | {
        "saved_model.zip",
        "mask.npy",
    }
    assert report.failed == [], "\n".join(map(str, report.rows))
    assert outcome(report) == {
        "contract": True,
        "hashes": True,
        "official test of keras_v3": True,
        "official test of onnx": True,
        "official test of tensorflow_saved_model_bundle": True,
        "tiles of bioimageio.core": True,
        "our predictor": True,
        "keras_v3 without our code": True,
        "formats against each other": True,
        "kernels of all formats": True,
        "README": True,
        "generated files": True,
        "scores": None,
    }
    assert run.is_dir()
    assert not list(package.parent.glob(".*"))
    members = read_members(package.parent / "tiny_noise.zip")
    assert members == {p.name: p.read_bytes() for p in package.iterdir()}


@tensorflow
def test_the_same_run_gives_the_same_bytes(built, tmp_path, monkeypatch):
    run, package, _ = built
    monkeypatch.setattr(build, "require_verified", str)

    again = build_package(
        run, tmp_path, formats=("keras", "onnx", "saved_model"), score=False
    )

    assert (again / "rdf.yaml").read_bytes() == (package / "rdf.yaml").read_bytes()
    assert sha256(tmp_path / "tiny_noise.zip") == sha256(
        package.parent / "tiny_noise.zip"
    )


@tensorflow
def test_a_package_is_rebuilt_from_itself_with_its_weights(
    built, package, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "require_verified", str)
    readme = package / "README.md"
    prose = "## Data\n\nNoise. ![Noise](noise.png)\n"
    readme.write_text(readme.read_text().replace("## Data\n", prose))
    for name in ("noise.png", "nobody_shows_it.png"):
        shutil.copyfile(package / "cover.png", package / name)

    again = build_package(package, tmp_path / "out", formats=("keras",), score=False)

    further = {"mask.npy", "noise.png"}
    assert {p.name for p in again.iterdir()} == (FILES | further) - {"model.onnx"}
    rdf = yaml.safe_load((again / "rdf.yaml").read_text())
    assert {entry["source"] for entry in rdf["attachments"]} == further
    for name in ("weights.keras", "test_input.npy", "test_output.npy", "recipe.json"):
        assert (again / name).read_bytes() == (built[1] / name).read_bytes()
    assert prose in (again / "README.md").read_text()


@tensorflow
def test_the_test_input_is_the_example_and_the_record_keeps_the_run(built, tiny):
    image = np.load(built[1] / "test_input.npy")
    assert image.shape == (1, 16, 16, 1)
    assert image.dtype == np.float32
    example = tiny.TINY.test_set.example()
    np.testing.assert_array_equal(image[0], example[:16, :16])
    record = json.loads((built[1] / "recipe.json").read_text())
    assert record["run"]["samples"] == 24
    assert set(record["export"]) == {"keras", "tensorflow", "tf2onnx", "parameters"}
    assert record["export"]["parameters"] == 196


def test_an_example_is_cut_to_what_a_network_takes(tiny):
    from zoo.core.grid import Axis, Grid

    axes = {"z": Axis(), "y": Axis(step=16, minimum=16), "x": Axis(size=20)}
    grid = Grid(input_axes="bcxyz", output_axes="bzyxc", axes=axes)
    contract = tiny.TINY.contract.override(grid=grid, tile=None)
    example = np.arange(5 * 40 * 30, dtype=float).reshape(5, 40, 30, 1)
    tensor = cut_example(example, contract, "a")
    assert (tensor.shape, tensor.dtype) == ((1, 1, 20, 32, 5), np.float32)
    np.testing.assert_array_equal(tensor[0, 0].T, example[:, :32, :20, 0])
    with pytest.raises(BadPackage, match="10 px along x, its contract declares 20"):
        cut_example(example[:, :, :10], contract, "a")
    with pytest.raises(BadPackage, match="3 axes, its contract wants z, y, x, c"):
        cut_example(example[0], contract, "a")


@tensorflow
def test_changed_weights_fail(package):
    path = package / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)

    failed = failures(verify_package(package, entries=("onnx",)))

    assert "model.onnx is not the file" in failed["hashes"]
    assert failed["official test of onnx"]
    with pytest.raises(BadPackage, match=r"model\.onnx .* differs from the hash"):
        build_package(package, package.parent / "out", score=False)
    assert not (package.parent / "out" / "tiny_noise").exists()


@tensorflow
def test_a_wrong_test_output_fails_even_with_its_hash(package):
    output = np.load(package / "test_output.npy")
    output[0, 3, 4, 0] += 0.02 * output.max()
    output[0, 10:20] *= 1.01
    np.save(package / "test_output.npy", output)
    rewrite(package)

    failed = failures(verify_package(package, entries=("onnx",)))

    assert "disagree with expected values" in failed["official test of onnx"]


@tensorflow
def test_a_changed_description_fails(package):
    def change(rdf):
        for axis in rdf["outputs"][0]["axes"][1:3]:
            axis["scale"] = 4.0

    rewrite(package, change)
    readme = package / "README.md"
    readme.write_text(readme.read_text().replace("## Validation", "## Results"))

    failed = failures(verify_package(package, entries=("onnx",)))

    assert "official test of onnx" in failed
    assert "rdf.yaml not as generated" in failed["generated files"]
    assert "lacks the sections Validation" in failed["README"]


def checks(folder, entries, scratch):
    examination = Examination(open_package(folder), Path(scratch), entries)
    return dict(examination.checks())


@tensorflow
def test_weights_of_another_network_fail_against_each_other(package, tiny):
    export.export_onnx(tiny.TINY.network.build(), package / "model.onnx")
    rewrite(package)

    with tempfile.TemporaryDirectory() as scratch:
        asked = checks(package, ("keras_v3", "onnx"), scratch)
        with pytest.raises(BadPackage, match="onnx differs from keras_v3"):
            asked["formats against each other"]()
        with pytest.raises(BadPackage, match=r"onnx does not hold \d of 2 kernels"):
            asked["kernels of all formats"]()
        assert "cannot import zoo" in asked["keras_v3 without our code"]()


@tensorflow
def test_no_program_opens_weights_that_declare_more_than_they_hold(
    package, monkeypatch
):
    # graph (7), initializer (5), dims (1) of 2^34
    content = b"\x3a\x08\x2a\x06\x08\x80\x80\x80\x80\x40"
    (package / "model.onnx").write_bytes(content)
    rewrite(package)

    def run(requests, **_):
        paths = [str(request) for request in requests]
        assert not any("model.onnx" in path or "'onnx'" in path for path in paths)
        return [{"error": "not asked"} for _ in requests]

    monkeypatch.setattr(isolated, "run", run)
    failed = failures(verify_package(package, entries=("keras_v3", "onnx")))
    assert "declares an array of" in failed["official test of onnx"]
    assert "not asked" in failed["official test of keras_v3"]


def write_saved_model(path, graph_function):
    """Write a zipped SavedModel whose signature runs a function."""
    import tensorflow as tf

    spec = tf.TensorSpec([None, None, None, 1], tf.float32, name="input")
    module = tf.Module()
    module.run = tf.function(graph_function, input_signature=[spec])
    folder = path.with_suffix(".saved")
    signature = module.run.get_concrete_function()
    tf.saved_model.save(module, folder, signatures={"serving_default": signature})
    shutil.make_archive(str(path.with_suffix("")), "zip", folder)
    shutil.rmtree(folder)


def writes(path):
    """Return a function of a graph that writes a file whenever it runs."""
    import tensorflow as tf

    def compute(frames):
        with tf.control_dependencies([tf.io.write_file(str(path), "written")]):
            return {"output": tf.repeat(tf.repeat(frames, 2, 1), 2, 2)}

    return compute


def hostile(package, tmp_path):
    """Make weights of a package write files; return the files."""
    marks = [tmp_path / "by-saved-model", tmp_path / "by-python"]
    write_saved_model(package / "saved_model.zip", writes(marks[0]))
    source = f"open({str(marks[1])!r}, 'w')\nclass Net: pass\n"
    (package / "net.py").write_text(source)
    (package / "weights.pt").write_bytes(b"0")

    def change(rdf):
        rdf["weights"]["pytorch_state_dict"] = {
            "source": "weights.pt",
            "architecture": {
                "source": "net.py",
                "callable": "Net",
                "sha256": sha256(package / "net.py"),
            },
            "pytorch_version": "2.0",
            "parent": "keras_v3",
        }
        rdf["config"].pop("superres_zoo")

    rewrite(package, change)
    return marks


@tensorflow
def test_programs_in_a_package_run_with_trust_only(package, tmp_path, monkeypatch):
    asked = []

    def run(requests, *, writable, trust):
        asked.extend((request.get("entry"), trust) for request in requests)
        assert len(writable) == 1
        return [{"error": "not asked"} for _ in requests]

    monkeypatch.setattr(isolated, "run", run)
    hostile(package, tmp_path)
    program, bundle = "pytorch_state_dict", "tensorflow_saved_model_bundle"

    rows = {row.name: row for row in verify_package(package).rows}
    skipped = rows[f"official test of {program}"]
    assert skipped.ok is None
    assert "--trust runs it with your rights" in skipped.detail
    assert rows[f"official test of {bundle}"].ok is False
    assert "WriteFile" in rows[f"official test of {bundle}"].detail
    assert {entry for entry, _ in asked} == {"keras_v3", "onnx", None}
    assert not any(trust for _, trust in asked)

    asked.clear()
    verify_package(package, trust=True)
    assert {program, bundle} <= {entry for entry, _ in asked}
    assert all(trust for _, trust in asked)


@pytest.mark.slow
@tensorflow
def test_no_file_is_written_even_if_the_list_had_a_gap(package, tmp_path, monkeypatch):
    marks = hostile(package, tmp_path)
    entry = "tensorflow_saved_model_bundle"
    monkeypatch.setattr("zoo.verify.examination.check_weights", lambda *_: None)
    monkeypatch.setattr("zoo.verify.runs.is_bounded", lambda *_: True)

    failed = failures(verify_package(package, entries=(entry,)))
    assert not any(mark.exists() for mark in marks)
    assert f"official test of {entry}" in failed

    verify_package(package, entries=(entry,), trust=True)
    assert marks[0].read_text() == "written"  # the same, unconfined


@tensorflow
def test_a_package_that_names_files_outside_is_not_verified(package, monkeypatch):
    monkeypatch.setattr(isolated, "run", None)
    rewrite(package, lambda rdf: rdf.update(documentation="../secret.md"))
    with pytest.raises(BadPackage, match=r"'\.\./secret\.md' outside its folder"):
        verify_package(package)


@tensorflow
def test_a_halo_that_is_too_small_shows_in_the_tiles(tiny, tmp_path):
    short = tiny.TINY.override(
        contract__grid__axes__y__halo=1, contract__grid__axes__x__halo=1, name="short"
    )
    run = finished_run(short, tmp_path / "run")
    folder = tmp_path / "package"
    folder.mkdir()
    write_package(read_trained(run, recipe=short), folder, formats=("onnx",))

    failed = failures(verify_package(folder, entries=("onnx",)))

    assert list(failed) == ["tiles of bioimageio.core"]
    assert "the halo of 1 px is too small" in failed["tiles of bioimageio.core"]


@tensorflow
def test_a_package_that_fails_is_not_written(built, tmp_path, monkeypatch):
    failed = Report([Check("some check", False, "some reason")])
    monkeypatch.setattr("zoo.package.checks.verify_package", lambda _: failed)
    old = shutil.copytree(built[1], tmp_path / "tiny_noise")
    before = {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*")}

    with pytest.raises(BadPackage, match="not written, it fails: some check: some re"):
        build_package(built[0], tmp_path, score=False, overwrite=True)

    assert {p: p.stat().st_mtime_ns for p in tmp_path.rglob("*") if p != old} == {
        p: t for p, t in before.items() if p != old
    }


@tensorflow
def test_only_what_an_earlier_run_wrote_is_replaced(built, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "require_verified", str)
    run, package, _ = built
    target = Path(shutil.copytree(package, tmp_path / "tiny_noise"))
    archive = Path(shutil.copy(package.with_name("tiny_noise.zip"), tmp_path))
    (target / "notes.txt").write_text("mine")
    (target / "cover.png").write_bytes(b"old")

    def state():
        return {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}

    before = state()
    with pytest.raises(BadInput, match=r"tiny_noise\.zip exists .* --overwrite"):
        build_package(run, tmp_path, formats=(), score=False)
    archive.rename(tmp_path / "elsewhere.zip")
    with pytest.raises(BadInput, match=r"tiny_noise exists already.* --overwrite"):
        build_package(run, tmp_path, formats=(), score=False)
    (tmp_path / "elsewhere.zip").rename(archive)
    assert state() == before

    assert build_package(run, tmp_path, formats=(), score=False, overwrite=True)

    assert (target / "notes.txt").read_text() == "mine"
    names = {p.name for p in target.iterdir()} - {"notes.txt"}
    assert names == (FILES | {"mask.npy"}) - {"model.onnx"}
    assert set(read_members(archive)) == names
    assert (target / "cover.png").read_bytes() == (package / "cover.png").read_bytes()


@tensorflow
def test_what_no_earlier_run_wrote_stays(built, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "require_verified", str)

    def refused(folder):
        before = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        with pytest.raises(BadInput) as caught:
            build_package(built[0], folder, formats=(), score=False, overwrite=True)
        after = {p: p.read_bytes() for p in folder.rglob("*") if p.is_file()}
        assert before == after
        return str(caught.value)

    mine = tmp_path / "a" / "tiny_noise"
    mine.mkdir(parents=True)
    (mine / "README.md").write_text("my own")
    assert "zoo package did not write it" in refused(mine.parent)

    archive = tmp_path / "b" / "tiny_noise.zip"
    archive.parent.mkdir()
    write_zip(archive, {"rdf.yaml": b"type: model", "holiday.jpg": b"0"})
    assert "zoo package did not write it" in refused(archive.parent)

    target = Path(shutil.copytree(built[1], tmp_path / "c" / "tiny_noise"))
    rewrite(target, lambda rdf: rdf.pop("attachments"))
    assert "mask.npy is not replaced: no earlier package names" in refused(
        target.parent
    )


@tensorflow
def test_global_context_and_nine_channels(tiny, tmp_path):
    run = finished_run(tiny.TINY_IMAGE, tmp_path / "run")
    package = tmp_path / "package"
    package.mkdir()
    write_package(read_trained(run), package, formats=("onnx",))

    report = verify_package(package, entries=("onnx",))

    assert report.failed == [], "\n".join(map(str, report.rows))
    assert outcome(report)["our predictor"] is True
    assert outcome(report)["tiles of bioimageio.core"] is True
    assert np.load(package / "test_input.npy").shape == (1, 16, 16, 9)
    assert np.load(package / "test_output.npy").shape == (1, 32, 32, 1)


def foreign(folder, source, version="0.5"):
    """Describe the ONNX file as another program would, with bioimageio.spec alone."""
    folder.mkdir()
    for name in ("model.onnx", "test_input.npy", "test_output.npy"):
        shutil.copy(source / name, folder / name)
    (folder / "doc.md").write_text("# A network\n")
    common = {
        "type": "model",
        "name": "Some other network",
        "description": "Made by another program.",
        "authors": [{"name": "Somebody"}],
        "license": "MIT",
        "cite": [{"text": "Nobody", "doi": "10.1364/OPTICA.5.000458"}],
        "documentation": "doc.md",
    }
    if version == "0.4":
        rdf = common | {
            "format_version": "0.4.10",
            "inputs": [
                {
                    "name": "raw",
                    "axes": "byxc",
                    "data_type": "float32",
                    "shape": [1, 16, 16, 1],
                    "preprocessing": [
                        {
                            "name": "scale_range",
                            "kwargs": {
                                "axes": "yxc",
                                "mode": "per_sample",
                                "min_percentile": 0,
                                "max_percentile": 100,
                            },
                        }
                    ],
                }
            ],
            "outputs": [
                {
                    "name": "out",
                    "axes": "byxc",
                    "data_type": "float32",
                    "shape": [1, 32, 32, 1],
                    "postprocessing": [
                        {"name": "clip", "kwargs": {"min": 0, "max": 1e6}}
                    ],
                }
            ],
            "test_inputs": ["test_input.npy"],
            "test_outputs": ["test_output.npy"],
            "timestamp": "2024-01-01T00:00:00",
            "weights": {"onnx": {"source": "model.onnx", "opset_version": 17}},
        }
        rdf["cite"] = [{"text": "Nobody", "doi": "10.1364/OPTICA.5.000458"}]
        (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
        return folder
    from bioimageio.spec import save_bioimageio_package_as_folder
    from bioimageio.spec.model import v0_5

    space = {"type": "space", "scale": 1.0}
    model = v0_5.ModelDescr.model_validate(
        common
        | {
            "format_version": "0.5.12",
            "documentation": {"source": folder / "doc.md"},
            "inputs": [
                {
                    "id": "raw",
                    "axes": [
                        {"type": "batch"},
                        {"id": "y", "size": {"min": 16, "step": 4}, **space},
                        {"id": "x", "size": {"min": 16, "step": 4}, **space},
                        {"type": "channel", "channel_names": ["a"]},
                    ],
                    "test_tensor": {"source": folder / "test_input.npy"},
                    "preprocessing": [
                        {
                            "id": "scale_range",
                            "kwargs": {
                                "axes": ["y", "x", "channel"],
                                "min_percentile": 0,
                                "max_percentile": 100,
                            },
                        }
                    ],
                }
            ],
            "outputs": [
                {
                    "id": "out",
                    "axes": [
                        {"type": "batch"},
                        *(
                            {
                                "id": axis,
                                "type": "space",
                                "scale": 0.5,
                                "size": {"tensor_id": "raw", "axis_id": axis},
                            }
                            for axis in "yx"
                        ),
                        {"type": "channel", "channel_names": ["b"]},
                    ],
                    "test_tensor": {"source": folder / "test_output.npy"},
                    "postprocessing": [{"id": "clip", "kwargs": {"min": 0}}],
                }
            ],
            "weights": {"onnx": {"source": folder / "model.onnx", "opset_version": 17}},
        }
    )
    out = folder / "package"
    save_bioimageio_package_as_folder(model, output_path=out)
    return out


@pytest.mark.parametrize("version", ["0.5", "0.4"])
@pytest.mark.filterwarnings("ignore::ResourceWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@tensorflow
def test_a_package_of_another_program_is_verified(built, tmp_path, version):
    folder = foreign(tmp_path / "foreign", built[1], version)

    report = verify_package(folder)

    assert report.ok, "\n".join(map(str, report.rows))
    rows = {row.name: row for row in report.rows}
    assert rows["official test of onnx"].ok
    assert rows["our predictor"].ok, rows["our predictor"].detail
    for name in ("README", "generated files", "scores", "kernels of all formats"):
        assert rows[name].ok is None
        assert "another program wrote this package" in rows[name].detail


@tensorflow
def test_what_cannot_be_built(built, tmp_path, tiny):
    with pytest.raises(BadPackage, match=r"no format is named hdf5"):
        build_package(built[0], tmp_path, formats=("hdf5",))
    with pytest.raises(ZooError, match="nothing_like_it"):
        build_package("nothing_like_it", tmp_path)
    small = tiny.TINY.override(contract__tile={"y": 40, "x": 40})
    run = finished_run(small, tmp_path / "run")
    with pytest.raises(BadPackage, match="declares 40 px"):
        build_package(run, tmp_path / "dist", formats=(), recipe=small, score=False)


def test_reports_read_as_lines():
    report = Report(
        [Check("a", True, "x"), Check("b", None, "y"), Check("c", False, "z")]
    )
    assert [str(row) for row in report.rows] == [
        "ok    a: x",
        "skip  b: y",
        "FAIL  c: z",
    ]
    assert not report.ok
    assert Report([Check("b", None, "y")]).ok


@tensorflow
def test_a_check_that_dies_is_an_answer():
    request = {"task": "weights", "path": "none.onnx", "kind": "onnx", "runs": []}
    answers = isolated.run([request, {"task": "nothing"}])
    assert "none.onnx" in answers[0]["error"]
    assert "KeyError" in answers[1]["error"]
    assert isolated.run([request], seconds=0.01)[0]["error"].startswith("no answer")


def test_relative_error_is_infinite_where_it_means_nothing():
    one = np.ones(3)
    assert relative_error(one, np.ones(4)) == np.inf
    assert relative_error(np.array([1, np.nan, 1]), one) == np.inf
    assert relative_error(one * (1 + 2e-5), one) > 1e-5
    assert relative_error(one, one) == 0


def test_kernels_are_known_however_a_format_turns_and_folds_them():
    rng = np.random.default_rng(0)
    kernel = rng.normal(size=(3, 3, 4, 5)).astype(np.float32)
    turned = kernel.transpose(3, 2, 0, 1)
    factors = rng.normal(size=(5, 1, 1, 1)).astype(np.float32)  # of either sign
    # neither vectors nor single numbers, such as a rectifier's slope, are kernels
    bias = {"bias": np.ones(5, np.float32), "slope": np.ones((1, 1, 1), np.float32)}
    for constant in (kernel, turned, turned * factors):
        assert absent_kernels({"k": kernel} | bias, [constant]) == []
        for place in ((0, 0, 0, 0), (4, 3, 2, 1)):
            wrong = np.array(constant)
            place = place if constant is not kernel else place[::-1]
            wrong[place] += 1e-3 * np.linalg.norm(wrong)
            assert absent_kernels({"k": kernel}, [wrong]) == ["k"]
    assert absent_kernels({"k": kernel}, [turned[:4]]) == ["k"]


@tensorflow
def test_a_run_gets_a_name_of_its_own_and_keeps_it(built, tmp_path, monkeypatch):
    monkeypatch.setattr(build, "require_verified", str)
    mine = build_package(
        built[0], tmp_path, formats=(), score=False, name="mine", authors=["Somebody"]
    )
    assert {p.name for p in tmp_path.iterdir()} == {"mine", "mine.zip"}
    again = build_package(mine, tmp_path / "out", formats=(), score=False)
    assert again == tmp_path / "out" / "mine"
    for name in ("README.md", "rdf.yaml", "recipe.json"):
        assert (again / name).read_bytes() == (mine / name).read_bytes()
    with pytest.raises(BadInput, match="mine is not published; name a folder"):
        build_package(mine, formats=(), score=False)
