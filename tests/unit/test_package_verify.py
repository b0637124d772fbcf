"""Packages are built, verified, damaged and verified again."""

import json
import shutil
import tempfile
from pathlib import Path

import numpy as np
import pytest
import yaml

import zoo.recipes
from zoo.core.errors import BadPackage, ZooError
from zoo.io.packages import open_package
from zoo.package import build, export, isolated
from zoo.package.archive import read_members, sha256
from zoo.package.build import build_package, example_image, write_package
from zoo.package.examination import Examination
from zoo.package.source import read_source
from zoo.package.verify import Check, Report, verify

pytestmark = [
    pytest.mark.tensorflow,
    pytest.mark.filterwarnings("ignore:__array__ implementation"),
]

RECIPES = Path(__file__).parents[1] / "data" / "recipes"
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


@pytest.fixture(autouse=True, scope="module")
def tiny():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(zoo.recipes, "__path__", [*zoo.recipes.__path__, str(RECIPES)])
        from zoo.recipes import tiny  # pyright: ignore[reportAttributeAccessIssue]

        yield tiny


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
    (folder / "recipe.json").write_text(recipe.model_dump_json())
    (folder / "run.json").write_text(
        json.dumps({"budget": "smoke", "samples": 24, "seconds": 9, "finished": True})
    )
    return folder


@pytest.fixture(scope="module")
def made(tiny, tmp_path_factory):
    """A run, the package built from it with all formats, and its verification."""
    folder = tmp_path_factory.mktemp("made")
    run = finished_run(tiny.TINY, folder / "run")
    formats = ("keras", "onnx", "saved_model")
    reports = []

    def kept(path):
        reports.append(verify(path))
        return reports[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("zoo.package.verify.verify", kept)
        package = build_package(run, folder / "dist", formats=formats, score=False)
    return run, package, reports[0]


@pytest.fixture
def package(made, tmp_path):
    """A copy of the package to damage."""
    return Path(shutil.copytree(made[1], tmp_path / "copy"))


def rewrite(folder, change):
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


def test_a_built_package_holds_what_it_should_and_passes(made):
    run, package, report = made

    assert {p.name for p in package.iterdir()} == FILES | {"saved_model.zip"}
    assert report.failed == [], "\n".join(map(str, report.rows))
    assert outcome(report) == {
        "style of the description": True,
        "hashes": True,
        "sizes in Java consumers": True,
        "README": True,
        "official test of keras_v3": True,
        "official test of onnx": True,
        "official test of tensorflow_saved_model_bundle": True,
        "tiles of bioimageio.core": True,
        "our predictor": True,
        "keras_v3 without our code": True,
        "formats against each other": True,
        "generated files": True,
        "scores": None,
    }
    assert (package.parent / "tiny_noise.zip").is_file()
    assert run.is_dir()
    assert not list(package.parent.glob(".*"))


def test_the_archive_holds_the_folder(made):
    package = made[1]
    members = read_members(package.parent / "tiny_noise.zip")
    assert members == {p.name: p.read_bytes() for p in package.iterdir()}


def test_the_same_run_gives_the_same_bytes(made, tmp_path, monkeypatch):
    run, package, _ = made
    monkeypatch.setattr(build, "_require_verified", str)

    again = build_package(
        run, tmp_path, formats=("keras", "onnx", "saved_model"), score=False
    )

    assert (again / "rdf.yaml").read_bytes() == (package / "rdf.yaml").read_bytes()
    assert sha256(tmp_path / "tiny_noise.zip") == sha256(
        package.parent / "tiny_noise.zip"
    )


def test_a_package_is_rebuilt_from_itself_with_its_weights(
    made, package, tmp_path, monkeypatch
):
    monkeypatch.setattr(build, "_require_verified", str)
    readme = package / "README.md"
    readme.write_text(readme.read_text().replace("## Data\n", "## Data\n\nNoise.\n"))

    again = build_package(package, tmp_path / "out", formats=("keras",), score=False)

    assert {p.name for p in again.iterdir()} == FILES - {"model.onnx"}
    for name in ("weights.keras", "test_input.npy", "test_output.npy", "recipe.json"):
        assert (again / name).read_bytes() == (made[1] / name).read_bytes()
    assert "## Data\n\nNoise.\n" in (again / "README.md").read_text()


def test_the_test_picture_is_one_of_the_test_set(made, tiny):
    image = np.load(made[1] / "test_input.npy")
    assert image.shape == (1, 16, 16, 1)
    assert image.dtype == np.float32
    example = example_image(tiny.TINY)
    np.testing.assert_array_equal(image[0], example[:16, :16])
    assert np.array_equal(image, image.round())  # camera counts


def test_the_record_keeps_the_run_and_the_versions(made):
    record = json.loads((made[1] / "recipe.json").read_text())
    assert record["run"]["samples"] == 24
    assert set(record["export"]) == {"keras", "tensorflow", "tf2onnx", "parameters"}
    assert record["export"]["parameters"] == 196


def test_changed_weights_fail(package):
    path = package / "model.onnx"
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 0xFF
    path.write_bytes(content)

    report = verify(package, entries=("onnx",))

    assert not report.ok
    failed = {row.name: row.detail for row in report.failed}
    assert "model.onnx is not the file" in failed["hashes"]
    assert failed["official test of onnx"]
    with pytest.raises(BadPackage, match=r"model\.onnx .* differs from the hash"):
        build_package(package, package.parent / "out", score=False)
    assert not (package.parent / "out" / "tiny_noise").exists()


def test_a_wrong_test_output_fails_even_with_its_hash(package):
    output = np.load(package / "test_output.npy")
    output[0, 3, 4, 0] += 0.02 * output.max()
    output[0, 10:20] *= 1.01
    np.save(package / "test_output.npy", output)
    rewrite(package, dict)

    report = verify(package, entries=("onnx",))

    failed = {row.name: row.detail for row in report.failed}
    assert "disagree with expected values" in failed["official test of onnx"]


def test_a_wrong_size_in_the_description_fails(package):
    def change(rdf):
        for axis in rdf["outputs"][0]["axes"][1:3]:
            axis["scale"] = 4.0

    rewrite(package, change)

    report = verify(package, entries=("onnx",))

    failed = {row.name: row.detail for row in report.failed}
    assert (
        "16 px by the specification and 64 px in Java"
        in (failed["sizes in Java consumers"])
    )
    assert "official test of onnx" in failed
    assert "rdf.yaml not as generated" in failed["generated files"]


def test_weights_of_another_network_fail_against_each_other(package, tiny):
    export.export_onnx(tiny.TINY.network.build(), package / "model.onnx")
    rewrite(package, dict)

    with tempfile.TemporaryDirectory() as scratch:
        opened = open_package(package)
        checks = dict(Examination(opened, Path(scratch), ("keras_v3", "onnx")).checks())
        with pytest.raises(BadPackage, match="onnx differs from keras_v3"):
            checks["formats against each other"]()
        assert "cannot import zoo" in checks["keras_v3 without our code"]()


def test_a_halo_that_is_too_small_shows_in_the_tiles(tiny, tmp_path):
    short = tiny.TINY.override(network__grid__halo=1, name="tiny_short")
    run = finished_run(short, tmp_path / "run")
    folder = tmp_path / "package"
    folder.mkdir()
    write_package(read_source(run, recipe=short), folder, formats=("onnx",))

    report = verify(folder, entries=("onnx",))

    assert [row.name for row in report.failed] == ["tiles of bioimageio.core"]
    assert "the halo of 1 px is too small" in report.failed[0].detail


def test_a_package_that_fails_is_not_written(made, tmp_path, monkeypatch):
    failed = Report([Check("some check", False, "some reason")])
    monkeypatch.setattr("zoo.package.verify.verify", lambda _: failed)
    (tmp_path / "tiny_noise").mkdir()
    (tmp_path / "tiny_noise" / "old").touch()

    with pytest.raises(BadPackage, match="not written, it fails: some check: some re"):
        build_package(made[0], tmp_path, score=False)

    assert [p.name for p in tmp_path.rglob("*")] == ["tiny_noise", "old"]


def test_a_missing_section_fails(package):
    readme = package / "README.md"
    readme.write_text(readme.read_text().replace("## Validation", "## Results"))
    report = verify(package, entries=())
    assert (
        "lacks the sections Validation"
        in {row.name: row.detail for row in report.failed}["README"]
    )


def test_global_context_and_nine_channels(tiny, tmp_path):
    run = finished_run(tiny.TINY_IMAGE, tmp_path / "run")
    package = tmp_path / "package"
    package.mkdir()
    write_package(read_source(run), package, formats=("onnx",))

    report = verify(package, entries=("onnx",))

    assert report.failed == [], "\n".join(map(str, report.rows))
    assert outcome(report)["our predictor"] is True
    assert outcome(report)["tiles of bioimageio.core"] is True
    rdf = yaml.safe_load((package / "rdf.yaml").read_text())
    assert len(rdf["inputs"][0]["axes"][3]["channel_names"]) == 9
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
def test_a_package_of_another_program_is_verified(made, tmp_path, version):
    folder = foreign(tmp_path / "foreign", made[1], version)

    report = verify(folder)

    assert report.ok, "\n".join(map(str, report.rows))
    rows = {row.name: row for row in report.rows}
    assert rows["official test of onnx"].ok
    assert rows["our predictor"].ok, rows["our predictor"].detail
    for name in ("style of the description", "README", "generated files", "scores"):
        assert rows[name].ok is None
        assert "another program wrote this package" in rows[name].detail


def test_what_cannot_be_built(made, tmp_path, tiny):
    with pytest.raises(BadPackage, match=r"no format is named hdf5"):
        build_package(made[0], tmp_path, formats=("hdf5",))
    with pytest.raises(ZooError, match="nothing_like_it"):
        build_package("nothing_like_it", tmp_path)
    small = tiny.TINY.override(prediction={"tile": 40})
    run = finished_run(small, tmp_path / "run")
    with pytest.raises(BadPackage, match="declares 40 px"):
        build_package(run, tmp_path / "dist", formats=(), recipe=small, score=False)
    plain = tiny.TINY.override(benchmark=tiny.TinySource())
    with pytest.raises(BadPackage, match=r"neither\s+example\(\) nor recordings\(\)"):
        example_image(plain)
    assert read_source(run, recipe=small).recipe.prediction == {"tile": 40}


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


def test_a_check_that_dies_is_an_answer():
    request = {"task": "weights", "path": "none.onnx", "kind": "onnx", "runs": []}
    answers = isolated.run([request, {"task": "nothing"}])
    assert "none.onnx" in answers[0]["error"]
    assert "KeyError" in answers[1]["error"]
    assert isolated.run([request], seconds=0.01)[0]["error"].startswith("no answer")
