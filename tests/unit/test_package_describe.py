import json
from pathlib import Path

import numpy as np
import pytest
import yaml

import zoo.recipes
from zoo.core.errors import BadPackage
from zoo.core.recipe import Budget, Stage
from zoo.package.archive import write_zip
from zoo.package.card import blocks, find_metric
from zoo.package.describe import (
    describe,
    tags,
    to_yaml,
    tolerance,
    training_conditions,
    validate,
)
from zoo.package.pictures import write_cover, write_sample
from zoo.package.rules import java_arithmetic, plain_style
from zoo.package.source import (
    Source,
    declared_recipe,
    read_source,
    rebuild,
    record_of,
)

RECIPES = Path(__file__).parents[1] / "data" / "recipes"
RUN = {
    "budget": "smoke",
    "samples": 24,
    "seconds": 5400.0,
    "backend": "jax",
    "data": "/home/somebody",
    "settings": {},
}
EXPORT = {"keras": "3.15.1", "tensorflow": "2.21.0", "tf2onnx": "1.17.0"}
METRICS = {
    "density": {"1": {"jaccard": 0.912345, "bias_x_nm": -0.2, "fp": 3}},
    "empty": {"all": {"false_per_100_frames": 0.5}},
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    """Make the recipes of the tests known to ``zoo.recipes``."""
    monkeypatch.setattr(zoo.recipes, "__path__", [*zoo.recipes.__path__, str(RECIPES)])
    from zoo.recipes import tiny  # pyright: ignore[reportAttributeAccessIssue]

    return tiny


def package(recipe, folder, *, metrics=METRICS):
    """Write all files that a description names, without running a network."""
    folder.mkdir(parents=True, exist_ok=True)
    grid = recipe.grid
    rng = np.random.default_rng(0)
    image = rng.integers(90, 900, (1, 16, 16, grid.channels)).astype(np.float32)
    output = rng.random((1, 32, 32, 1), np.float32) * 42
    output[0, 0, 0, 0] = 42
    np.save(folder / "test_input.npy", image)
    np.save(folder / "test_output.npy", output)
    write_sample(folder / "sample_input.tif", image[0], pixel_size_nm=100)
    write_sample(folder / "sample_output.tif", output[0], pixel_size_nm=50)
    write_cover(folder / "cover.png", image[0], output[0])
    write_zip(
        folder / "weights.keras", {"metadata.json": b'{"keras_version":"3.15.1"}'}
    )
    (folder / "model.onnx").write_bytes(b"onnx")
    (folder / "README.md").write_text("# A\n## Validation\n")
    source = Source(folder, recipe, RUN, EXPORT, packaged=True)
    (folder / "recipe.json").write_text(record_of(source, EXPORT))
    if metrics is not None:
        (folder / "metrics.json").write_text(json.dumps(metrics))
    return source


@pytest.mark.parametrize("name", ["TINY", "TINY_IMAGE"])
def test_official_classes_accept_the_description(tmp_path, tiny, name):
    source = package(getattr(tiny, name), tmp_path / "p")

    rdf = describe(source)

    validate(rdf, source.folder)
    assert plain_style(rdf) == []
    assert java_arithmetic(rdf) == []
    assert yaml.safe_load(to_yaml(rdf)) == rdf


def test_equal_files_give_equal_text(tmp_path, tiny):
    texts = [
        to_yaml(describe(package(tiny.TINY, tmp_path / name))) for name in ("a", "b")
    ]
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]
    assert "2026" not in texts[0]  # no dates


def test_tensors_of_a_local_network(tmp_path, tiny):
    rdf = describe(package(tiny.TINY, tmp_path / "p"))

    y, out = rdf["inputs"][0]["axes"][1], rdf["outputs"][0]["axes"][1]
    assert (y["size"], y["scale"], y["concatenable"]) == (16, 4.0, True)
    assert (out["scale"], out["halo"]) == (2.0, 4)
    assert out["size"] == {"tensor_id": "input", "axis_id": "y", "offset": 0}
    assert rdf["outputs"][0]["axes"][3]["channel_names"] == ["density"]
    assert rdf["inputs"][0]["preprocessing"][0]["id"] == "scale_range"
    assert rdf["outputs"][0]["postprocessing"] == [
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1e6}}
    ]


def test_tensors_of_a_global_network_with_nine_channels(tmp_path, tiny):
    rdf = describe(package(tiny.TINY_IMAGE, tmp_path / "p"))

    axes = rdf["inputs"][0]["axes"]
    assert axes[1]["size"] == 16
    assert axes[3]["channel_names"][:2] == ["angle1_phase1", "angle1_phase2"]
    assert len(axes[3]["channel_names"]) == 9
    assert "halo" not in rdf["outputs"][0]["axes"][1]
    assert rdf["config"]["bioimageio"]["modality"].startswith("structured")
    assert rdf["config"]["superres_zoo"]["published_architecture"] is False
    assert (axes[1]["scale"], rdf["outputs"][0]["axes"][1]["scale"]) == (4.0, 2.0)
    assert rdf["inputs"][0]["preprocessing"][0]["kwargs"]["axes"] == [
        "y",
        "x",
        "channel",
    ]
    assert rdf["outputs"][0]["postprocessing"] == [
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}}
    ]
    assert rdf["inputs"][0]["description"] == "Nine raw frames"
    assert rdf["outputs"][0]["description"] == "One fine image"


def test_the_predictor_is_told_what_no_other_program_reads(tmp_path, tiny):
    rdf = describe(package(tiny.TINY_IMAGE, tmp_path / "p"))

    told = rdf["config"]["superres_zoo"]
    # of the network as it was built, not as its paper has it
    expected = {
        "task": "image",
        "scale": 2,
        "tile": 16,
        "halo": 0,
        "overlap": 4,
        "reference": "mean",
        "frame_order": "angle-major",
    }
    assert told | expected == told
    elsewhere = {"input_channels", "input_text", "output_text", "modality"}
    assert not elsewhere & set(told)


def test_the_batch_size_is_the_one_most_samples_were_seen_in(tmp_path, tiny):
    first, last = Stage(epochs=5, steps=9, batch_size=4), tiny.SMOKE.stages[0]
    for stages, expected in (
        ((first, last.override(batch_size=1)), 4),
        ((last.override(batch_size=1, epochs=1), first.override(batch_size=8)), 8),
    ):
        budgets = {"smoke": Budget(stages=stages)}
        source = package(tiny.TINY.override(budgets=budgets), tmp_path / str(expected))
        training = describe(source)["config"]["bioimageio"]["training"]
        assert training["training_batch_size"] == expected


def test_free_size_where_no_tile_is_declared(tmp_path, tiny):
    recipe = tiny.TINY.override(prediction={})
    source = package(recipe, tmp_path / "p")
    rdf = describe(source)
    assert rdf["inputs"][0]["axes"][1]["size"] == {"min": 64, "step": 1}
    assert "tile" not in rdf["config"]["superres_zoo"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prediction": {"tile": 4}}, "larger than twice the halo of 2"),
        (
            {"prediction": {"tile": 16, "input_channels": ["a", "b"]}},
            "names 2 channels",
        ),
        ({"network__grid__axes": "bcyx"}, None),
        ({"network__grid__axes": "bzyx"}, "batch, y, x and channel"),
    ],
)
def test_declarations_that_cannot_be_described(tmp_path, tiny, changes, message):
    source = package(tiny.TINY.override(**changes), tmp_path / "p")
    if message is None:
        assert [a["id"] for a in describe(source)["inputs"][0]["axes"]][1] == "channel"
        return
    with pytest.raises(BadPackage, match=message):
        describe(source)


def test_weights_name_their_parent_and_versions(tmp_path, tiny):
    source = package(tiny.TINY, tmp_path / "p")
    (source.folder / "saved_model.zip").write_bytes(b"zip")

    weights = describe(source)["weights"]

    assert "parent" not in weights["keras_v3"]
    assert weights["keras_v3"]["keras_version"] == "3.15.1"
    assert weights["keras_v3"]["backend"] == ["tensorflow", "2.21.0"]
    assert weights["onnx"]["parent"] == "keras_v3"
    assert weights["onnx"]["opset_version"] == 17
    bundle = weights["tensorflow_saved_model_bundle"]
    assert (bundle["parent"], bundle["tensorflow_version"]) == ("keras_v3", "2.21.0")


def test_config_holds_what_the_predictor_and_the_cards_read(tmp_path, tiny):
    rdf = describe(package(tiny.TINY, tmp_path / "p"))

    zoo_part = rdf["config"]["superres_zoo"]
    expected = {
        "version": 1,
        "network": "tiny_density",
        "task": "density",
        "parameters": 196,
        "scale": 2,
        "halo": 2,
        "step": 1,
        "tile": 16,
        "ideal_peak": 10.0,
        "threshold": 0.3,
        "window_px": 3,
    }
    assert zoo_part | expected == zoo_part
    assert zoo_part["training"] == {
        "pixel_size_nm": [100.0, 100.0],
        "photons": [300.0, 6000.0],
        "background_photons": [2.0, 50.0],
    }
    assert zoo_part["evaluations"] == METRICS
    assert "data" not in zoo_part["run"]
    training = rdf["config"]["bioimageio"]["training"]
    assert training["training_epochs"] == 2
    assert training["training_batch_size"] == 4
    assert training["training_duration"] == 1.5
    assert training["loss_function_kwargs"] == {"weight": 2.0}
    assert rdf["cite"][0]["doi"] == "10.1364/OPTICA.5.000458"


def test_tolerance_follows_the_size_of_the_output():
    small = tolerance(np.array([0.0, 3e-4]))
    assert small["absolute_tolerance"] == pytest.approx(3e-8)
    assert tolerance(np.array([-50.0, 10.0]))["absolute_tolerance"] == 0.005
    assert tolerance(np.zeros(4))["absolute_tolerance"] == 0.0
    assert tolerance(np.array([1.0]))["absolute_tolerance"] == 1e-4


def test_words_to_search_for_are_unique(tiny):
    recipe = tiny.TINY.override(tags=("2d", "tensorflow", "2d"))
    words = tags(recipe)
    assert len(words) == len(set(words))
    assert {"2d", "super-resolution-microscopy", "tiny-density"} <= set(words)


def test_conditions_are_ranges_of_numbers(tiny):
    assert set(training_conditions(tiny.TINY)) == {
        "pixel_size_nm",
        "photons",
        "background_photons",
    }


def test_a_missing_file_is_named(tmp_path, tiny):
    source = package(tiny.TINY, tmp_path / "p")
    (source.folder / "sample_output.tif").unlink()
    with pytest.raises(BadPackage, match=r"holds no sample_output\.tif"):
        describe(source)


def test_official_classes_refuse_with_their_reason(tmp_path, tiny):
    source = package(tiny.TINY, tmp_path / "p")
    rdf = describe(source)
    rdf["outputs"][0]["axes"][1]["halo"] = 3
    with pytest.raises(BadPackage, match="not an integer"):
        validate(rdf, source.folder)


def test_generated_parts_of_the_card(tmp_path, tiny):
    parts = blocks(package(tiny.TINY, tmp_path / "p"))

    assert (
        "| height and width | 16 px; the files take any | 32 px |" in parts["tensors"]
    )
    assert "| pixel size | 100 nm | 50 nm |" in parts["tensors"]
    assert "`clip` (min 0, max 1,000,000)" in parts["tensors"]
    row = "| photons | 300–6000 photons | Photons per emitter, log-uniform |"
    assert row in parts["training"]
    assert "24 simulated samples in 1.5 hours" in parts["made"]
    assert "| density | jaccard | bias x [nm] | fp |" in parts["scores"]
    assert "| 1 | 0.912 | -0.2 | 3 |" in parts["scores"]
    assert "| density/1/jaccard | at least 0.5 | 0.912 | yes |" in parts["scores"]
    assert "https://doi.org/10.1364/OPTICA.5.000458" in parts["citation"]


LEVELS = ("15", "240", "all", "below_100", "above_100")


def image_scores(psnr, **more):
    """Return scores of a structure as they are measured on an image test set."""
    figures = {"ssim": 0.9, "nrmse": 0.1, "resolution_nm": 113.0} | more
    return {
        level: {"psnr": psnr + number, "psnr_bicubic": 20.0, **figures}
        for number, level in enumerate(LEVELS)
    }


def test_scores_of_images_stand_beside_those_of_classical_methods(tmp_path, tiny):
    metrics = {
        "er": image_scores(24.0, psnr_wiener=22.25),
        "pits": image_scores(31.0, resolution_nm=None, psnr_over_bicubic=3.0),
        "other": {"one": {"figure": 7}},
    }
    source = package(tiny.TINY_IMAGE, tmp_path / "p", metrics=metrics)

    scores = blocks(source)["scores"]

    headings = (
        "| all signal levels | PSNR [dB] | bicubic | Wiener | SSIM | NRMSE | "
        "resolution [nm] |"
    )
    assert scores.startswith(headings)
    assert "| er | 26 | 20 | 22.2 | 0.9 | 0.1 | 113 |" in scores
    assert "| pits | 33 | 20 | – | 0.9 | 0.1 | – |" in scores
    below, above = scores.index("below 100 ph"), scores.index("above 100 ph")
    assert "| er | 27 | 20 |" in scores[below:above]
    assert "| er | 28 | 20 |" in scores[above:]
    assert "| PSNR [dB] by photons | 15 | 240 |" in scores
    assert "| er | 24 | 25 |" in scores
    assert "| other | figure |" in scores
    # the description holds the summary, the file beside it all levels
    evaluations = describe(source)["config"]["superres_zoo"]["evaluations"]
    assert list(evaluations["er"]) == ["all", "below_100", "above_100"]
    assert evaluations["other"] == metrics["other"]


def test_a_method_left_to_find_the_stripes_is_shown_by_two_figures(tmp_path, tiny):
    scores = {
        f"{figure}_{method}": value
        for figure, value in (("psnr", 21.0), ("ssim", 0.5), ("nrmse", 0.25))
        for method in ("wiener", "wiener_estimated")
    }
    metrics = {"er": image_scores(24.0, **scores)}
    shown = blocks(package(tiny.TINY_IMAGE, tmp_path / "p", metrics=metrics))["scores"]
    estimated = "Wiener, estimated stripes"
    assert shown.startswith(
        f"| all signal levels | PSNR [dB] | bicubic | Wiener | {estimated} | SSIM | "
        f"Wiener | {estimated} | NRMSE | Wiener | resolution [nm] |"
    )
    assert "| er | 26 | 20 | 21 | 21 | 0.9 | 0.5 | 0.5 | 0.1 | 0.25 | 113 |" in shown


def test_tensors_and_data_of_an_image_network(tmp_path, tiny):
    choosy = tiny.TINY_IMAGE.override(source=tiny.ChoosySource())
    parts = blocks(package(choosy, tmp_path / "p"))
    assert "| height and width | 16 px, fixed | 32 px |" in parts["tensors"]
    assert "| context | whole tile | – |" in parts["tensors"]
    assert "| tiles | overlap 4 px in `zoo predict` | blended |" in parts["tensors"]
    assert "angle1_phase1, angle1_phase2" in parts["tensors"]
    assert "| structures | er, pits | What is shown |" in parts["training"]
    assert "| tilt | 0.05 rad | Tilt |" in parts["training"]


def test_a_package_without_scores_says_so(tmp_path, tiny):
    source = package(tiny.TINY, tmp_path / "p", metrics=None)
    assert "Not scored" in blocks(source)["scores"]
    assert "evaluations" not in describe(source)["config"]["superres_zoo"]


def test_scores_are_found_by_path():
    assert find_metric(METRICS, "density/1/fp") == 3.0
    assert find_metric(METRICS, "density/9/fp") is None
    assert find_metric(METRICS, "density/1/fp/x") is None


def test_a_record_gives_its_recipe_back(tmp_path, tiny):
    source = package(tiny.TINY, tmp_path / "p")
    (source.folder / "rdf.yaml").write_text(to_yaml(describe(source)))

    again = read_source(source.folder)

    assert again.recipe == tiny.TINY
    assert again.export == EXPORT
    assert again.run == {k: v for k, v in RUN.items() if k != "data"}
    assert record_of(again, again.export) == record_of(source, EXPORT)


def test_training_is_recorded_presentation_is_declared(tmp_path, tiny):
    trained = tiny.TINY.override(
        source__photons=(1.0, 2.0), title="Another title", prediction={"tile": 8}
    )
    source = package(trained, tmp_path / "p")
    (source.folder / "run.json").write_text('{"settings": {"prediction__tile": 8}}')

    as_run = read_source(source.folder).recipe
    (source.folder / "rdf.yaml").touch()
    as_package = read_source(source.folder).recipe

    assert as_run.source == as_package.source == trained.source
    assert as_run.title == as_package.title == tiny.TINY.title
    assert as_package.prediction == tiny.TINY.prediction
    assert as_run.prediction == trained.prediction  # asked for when it was started


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "nobody"}, "names the recipe 'nobody'"),
        ({"source": {"kind": "tiny", "photons": "many"}}, "does not fit .* photons"),
        ({"network": {"name": "other"}}, "about the network other"),
    ],
)
def test_a_record_that_fits_nothing_is_refused(tmp_path, tiny, change, message):
    folder = package(tiny.TINY, tmp_path / "p").folder
    record = json.loads((folder / "recipe.json").read_text())
    (folder / "recipe.json").write_text(json.dumps(record | change))
    with pytest.raises(BadPackage, match=message):
        read_source(folder)


def test_what_is_neither_run_nor_package_is_refused(tmp_path, tiny):
    with pytest.raises(BadPackage, match=r"recipe.json is missing"):
        read_source(tmp_path)
    folder = package(tiny.TINY, tmp_path / "p").folder
    (folder / "run.json").write_text('{"finished": false}')
    with pytest.raises(BadPackage, match="zoo train --resume"):
        read_source(folder)
    (folder / "run.json").unlink()
    (folder / "weights.keras").unlink()
    with pytest.raises(BadPackage, match=r"no weights.keras"):
        read_source(folder)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(BadPackage, match="not valid JSON"):
        read_source(folder)


def test_recipes_are_found_by_name(tiny):
    assert declared_recipe("tiny_noise") is tiny.TINY
    assert declared_recipe("nobody") is None
    assert rebuild(tiny.TINY, {}, where=Path("x")) == tiny.TINY
