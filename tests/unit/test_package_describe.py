import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from zoo.core.contract import Contract
from zoo.core.errors import BadPackage
from zoo.core.recipe import Budget, Stage
from zoo.package import project
from zoo.package.card import blocks
from zoo.package.describe import (
    VERSION,
    describe,
    identity_of,
    tags,
    to_yaml,
    tolerance,
    validate,
)
from zoo.package.own import Own
from zoo.package.trained import (
    Trained,
    declared_recipe,
    read_trained,
    rebuild,
    record_of,
)

METRICS = {
    "density": {"1": {"jaccard": 0.912345, "bias_x_nm": -0.2, "fp": 3}},
    "empty": {"all": {"false_per_100_frames": 0.5}},
}


@pytest.fixture
def trained(tmp_path, tiny, toy_package):
    """The files of the local toy network, scored."""
    return toy_package(tiny.TINY, tmp_path / "p", metrics=METRICS)


@pytest.mark.parametrize("name", ["TINY", "TINY_IMAGE"])
def test_official_classes_accept_the_description(tmp_path, tiny, toy_package, name):
    trained = toy_package(getattr(tiny, name), tmp_path / "p")
    rdf = describe(trained)
    validate(rdf, trained.folder)
    assert yaml.safe_load(to_yaml(rdf)) == rdf
    assert rdf["version"] == VERSION


def test_an_address_of_the_project_is_told(trained, monkeypatch):
    address = "https://github.com/someone/superres-zoo"
    monkeypatch.setattr("zoo.package.describe.repository", lambda: address)
    rdf = describe(trained)
    assert rdf["git_repo"] == address
    assert [person["github_user"] for person in rdf["maintainers"]] == ["someone"]
    validate(rdf, trained.folder)
    with pytest.raises(BadPackage, match="git_repo"):
        validate(rdf | {"git_repo": "nowhere"}, trained.folder)
    own = Own(name="mine", title="Mine, retrained", authors=("A. User",))
    mine = trained._replace(own=own)
    assert "git_repo" not in describe(mine)


def test_the_address_is_that_of_the_project_file(tmp_path, monkeypatch):
    text = '[project.urls]\nRepository = "https://example.org/a/zoo/"\n'
    (tmp_path / "pyproject.toml").write_text(text)
    module = tmp_path / "zoo" / "package" / "project.py"
    monkeypatch.setattr(project, "__file__", str(module))
    assert project.repository() == "https://example.org/a/zoo"


def test_equal_files_give_equal_text(tmp_path, tiny, toy_package):
    texts = [
        to_yaml(describe(toy_package(tiny.TINY, tmp_path / name))) for name in "ab"
    ]
    assert texts[0] == texts[1]
    assert str(tmp_path) not in texts[0]
    assert "2026" not in texts[0]  # no dates


def test_tensors_of_a_local_network(trained):
    rdf = describe(trained)

    y, out = rdf["inputs"][0]["axes"][1], rdf["outputs"][0]["axes"][1]
    assert (y["size"], y["scale"], y["concatenable"]) == (16, 4.0, True)
    assert (out["scale"], out["halo"]) == (2.0, 4)
    assert out["size"] == {"tensor_id": "input", "axis_id": "y", "offset": 0}
    assert rdf["outputs"][0]["axes"][3]["channel_names"] == ["density"]
    assert rdf["inputs"][0]["preprocessing"][0]["id"] == "scale_range"
    assert rdf["outputs"][0]["postprocessing"] == [
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1e6}}
    ]


def test_tensors_of_a_global_network_with_nine_channels(tmp_path, tiny, toy_package):
    rdf = describe(toy_package(tiny.TINY_IMAGE, tmp_path / "p"))

    axes = rdf["inputs"][0]["axes"]
    assert axes[1]["size"] == 16
    assert axes[3]["channel_names"][:2] == ["angle1_phase1", "angle1_phase2"]
    assert len(axes[3]["channel_names"]) == 9
    assert "halo" not in rdf["outputs"][0]["axes"][1]
    assert rdf["config"]["bioimageio"]["modality"].startswith("structured")
    assert rdf["config"]["superres_zoo"]["published_architecture"] is False
    assert (axes[1]["scale"], rdf["outputs"][0]["axes"][1]["scale"]) == (4.0, 2.0)
    kwargs = rdf["inputs"][0]["preprocessing"][0]["kwargs"]
    assert kwargs["axes"] == ["y", "x", "channel"]
    assert rdf["outputs"][0]["postprocessing"] == [
        {"id": "clip", "kwargs": {"min": 0.0, "max": 1.0}}
    ]
    assert rdf["inputs"][0]["description"] == "Nine raw frames"
    assert rdf["outputs"][0]["description"] == "One fine image"


@pytest.mark.parametrize("name", ["TINY", "TINY_IMAGE"])
def test_the_section_of_this_zoo_is_the_contract(tmp_path, tiny, toy_package, name):
    recipe = getattr(tiny, name)
    section = describe(toy_package(recipe, tmp_path / "p"))["config"]["superres_zoo"]
    assert section["version"] == 2
    assert Contract.model_validate(section["contract"]) == recipe.promise
    assert not {"preprocessing", "postprocessing"} & set(section["contract"])


def test_what_a_contract_leaves_open_stays_open(tmp_path, tiny, toy_package):
    grid = tiny.TINY.contract.grid.override(axes__y__halo=None)
    recipe = tiny.TINY.override(contract__grid=grid, contract__tile=None)
    section = describe(toy_package(recipe, tmp_path / "p"))["config"]["superres_zoo"]
    again = Contract.model_validate(section["contract"])
    assert again.grid.axes["y"].halo is None
    assert "tile" not in section["contract"]


def test_the_batch_size_is_the_one_most_samples_were_seen_in(
    tmp_path, tiny, toy_package
):
    first, last = Stage(epochs=5, steps=9, batch_size=4), tiny.SMOKE.stages[0]
    for stages, expected in (
        ((first, last.override(batch_size=1)), 4),
        ((last.override(batch_size=1, epochs=1), first.override(batch_size=8)), 8),
    ):
        recipe = tiny.TINY.override(budgets={"smoke": Budget(stages=stages)})
        rdf = describe(toy_package(recipe, tmp_path / str(expected)))
        training = rdf["config"]["bioimageio"]["training"]
        assert training["training_batch_size"] == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"batch": 4}, "a batch of exactly 4 cannot be described"),
        ({"grid__output_axes": "byx"}, "has no channel axis"),
    ],
)
def test_contracts_that_the_format_cannot_express(
    tmp_path, tiny, toy_package, changes, message
):
    trained = toy_package(tiny.TINY, tmp_path / "p")
    contract = tiny.TINY.contract.override(**changes)
    recipe = tiny.TINY.override(contract=contract)
    with pytest.raises(BadPackage, match=message):
        describe(trained._replace(recipe=recipe))


def test_weights_name_their_parent_and_versions(trained):
    (trained.folder / "saved_model.zip").write_bytes(b"zip")

    weights = describe(trained)["weights"]

    assert "parent" not in weights["keras_v3"]
    assert weights["keras_v3"]["keras_version"] == "3.15.1"
    assert weights["keras_v3"]["backend"] == ["tensorflow", "2.21.0"]
    assert weights["onnx"]["parent"] == "keras_v3"
    assert weights["onnx"]["opset_version"] == 17
    bundle = weights["tensorflow_saved_model_bundle"]
    assert (bundle["parent"], bundle["tensorflow_version"]) == ("keras_v3", "2.21.0")


def test_what_else_a_training_made_is_attached(trained):
    assert "attachments" not in describe(trained)
    np.save(trained.folder / "mask.npy", np.ones((4, 4)))
    (trained.folder / "spots.png").write_bytes(b"a picture that the card shows")
    rdf = describe(trained)
    names = [entry["source"] for entry in rdf["attachments"]]
    assert names == ["mask.npy", "spots.png"]
    validate(rdf, trained.folder)


def test_config_holds_what_the_collection_and_the_cards_read(trained):
    rdf = describe(trained)

    section = rdf["config"]["superres_zoo"]
    assert (section["network"], section["parameters"]) == ("tiny_density", 196)
    assert section["evaluations"] == METRICS
    assert "data" not in section["run"]
    assert section["contract"]["training"] == {
        "pixel_size_nm": [100.0, 100.0],
        "photons": [300.0, 6000.0],
        "background_photons": [2.0, 50.0],
    }
    official = rdf["config"]["bioimageio"]
    assert official["task"] == "single-molecule localization"
    training = official["training"]
    assert training["training_epochs"] == 2
    assert training["training_batch_size"] == 4
    assert training["training_duration"] == 1.5
    assert training["loss_function"] == "TinyLoss"
    assert training["loss_function_kwargs"] == {"weight": 2.0}
    assert training["optimizer"] == "Adam"
    assert training["learning_rate_schedule"] == (
        "linear rise over 100 steps, cosine fall to a hundredth"
    )
    assert rdf["cite"][0]["doi"] == "10.1364/OPTICA.5.000458"


def test_tolerance_follows_the_size_of_the_output():
    small = tolerance(np.array([0.0, 3e-4]))
    assert small["absolute_tolerance"] == pytest.approx(3e-8)
    assert tolerance(np.array([-50.0, 10.0]))["absolute_tolerance"] == 0.005
    assert tolerance(np.zeros(4))["absolute_tolerance"] == 0.0
    assert tolerance(np.array([1.0]))["absolute_tolerance"] == 1e-4


def test_words_to_search_for_are_unique(tmp_path, tiny):
    recipe = tiny.TINY.override(tags=("2d", "tensorflow", "2d"))
    source = Trained(tmp_path, recipe, {}, {}, packaged=False)
    words = tags(identity_of(source))
    assert len(words) == len(set(words))
    assert {"2d", "super-resolution-microscopy", "tiny-density"} <= set(words)
    assert set(tiny.TINY.contract.task.tags) <= set(words)


def test_a_missing_file_is_named(trained):
    (trained.folder / "sample_output.tif").unlink()
    with pytest.raises(BadPackage, match=r"holds no sample_output\.tif"):
        describe(trained)


def test_official_classes_refuse_with_their_reason(trained):
    rdf = describe(trained)
    rdf["outputs"][0]["axes"][1]["halo"] = 3
    with pytest.raises(BadPackage, match="not an integer"):
        validate(rdf, trained.folder)


def test_generated_parts_of_the_card(trained):
    parts = blocks(trained)

    size = "| height and width | 16 px; the files take any | 32 px |"
    assert size in parts["tensors"]
    assert "| context | halo 2 px | halo 4 px |" in parts["tensors"]
    assert "| pixel size | 100 nm | 50 nm |" in parts["tensors"]
    assert "`clip` (min 0, max 1,000,000)" in parts["tensors"]
    row = "| photons | 300–6000 photons | Photons per emitter, log-uniform |"
    assert row in parts["training"]
    assert "24 simulated samples in 1.5 hours" in parts["made"]
    assert "| density | Jaccard | bias x [nm] | false |" in parts["scores"]
    assert "| 1 | 0.912 | -0.2 | 3 |" in parts["scores"]
    assert "| density/1/jaccard | at least 0.5 | 0.912 | yes |" in parts["scores"]
    assert "https://doi.org/10.1364/OPTICA.5.000458" in parts["citation"]


def test_tensors_and_data_of_an_image_network(tmp_path, tiny, toy_package):
    choosy = tiny.TINY_IMAGE.override(source=tiny.ChoosySource())
    parts = blocks(toy_package(choosy, tmp_path / "p"))
    assert "| height and width | 16 px, fixed | 32 px |" in parts["tensors"]
    assert "| context | whole tile | – |" in parts["tensors"]
    assert "| tiles | overlap 4 px in `zoo predict` | blended |" in parts["tensors"]
    assert "angle1_phase1, angle1_phase2" in parts["tensors"]
    assert "| structures | er, pits | What is shown |" in parts["training"]
    assert "| tilt | 0.05 rad | Tilt |" in parts["training"]


def test_a_package_without_scores_says_so(tmp_path, tiny, toy_package):
    trained = toy_package(tiny.TINY, tmp_path / "p")
    assert "Not scored" in blocks(trained)["scores"]
    assert "evaluations" not in describe(trained)["config"]["superres_zoo"]


def test_a_record_gives_its_recipe_back(trained, tiny):
    (trained.folder / "rdf.yaml").write_text(to_yaml(describe(trained)))

    again = read_trained(trained.folder)

    assert again.recipe == tiny.TINY
    assert again.export == trained.export
    assert again.run == {k: v for k, v in trained.run.items() if k != "data"}
    assert record_of(again, again.export) == record_of(trained, trained.export)


def test_training_is_recorded_presentation_is_declared(tmp_path, tiny, toy_package):
    tile = {"y": 8, "x": 8}
    recipe = tiny.TINY.override(
        source__photons=(1.0, 2.0), title="Another title", contract__tile=tile
    )
    folder = toy_package(recipe, tmp_path / "p").folder
    run = {"settings": {"contract__tile__y": 8}}
    (folder / "run.json").write_text(json.dumps(run))
    (folder / "history.csv").write_text("epoch,loss,val_loss\n1,0.5,nan\n")

    as_run = read_trained(folder)
    (folder / "rdf.yaml").touch()
    as_package = read_trained(folder).recipe

    assert as_run.recipe.source == as_package.source == recipe.source
    assert as_run.recipe.title == as_package.title == tiny.TINY.title
    assert as_package.contract == tiny.TINY.contract
    assert as_run.recipe.contract.tile == tile  # asked for when it was started
    assert as_run.run["history"] == [{"epoch": 1, "loss": 0.5, "val_loss": None}]
    assert '"val_loss": null' in record_of(as_run, {})


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": "nobody"}, "names the recipe 'nobody'"),
        ({"source": {"kind": "tiny", "photons": "many"}}, "does not fit .*photons"),
        ({"network": {"name": "other"}}, "about the network other"),
    ],
)
def test_a_record_that_fits_nothing_is_refused(trained, change, message):
    path = trained.folder / "recipe.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | change))
    with pytest.raises(BadPackage, match=message):
        read_trained(trained.folder)


def test_what_is_neither_run_nor_package_is_refused(tmp_path, trained):
    with pytest.raises(BadPackage, match=r"recipe.json is missing"):
        read_trained(tmp_path)
    folder = trained.folder
    (folder / "run.json").write_text('{"finished": false}')
    with pytest.raises(BadPackage, match="zoo train --resume"):
        read_trained(folder)
    (folder / "run.json").unlink()
    (folder / "weights.keras").unlink()
    with pytest.raises(BadPackage, match=r"no weights.keras"):
        read_trained(folder)
    (folder / "recipe.json").write_text("{")
    with pytest.raises(BadPackage, match="not valid JSON"):
        read_trained(folder)


def test_recipes_are_found_by_name(tiny):
    assert declared_recipe("tiny_noise") is tiny.TINY
    assert declared_recipe("nobody") is None
    assert rebuild(tiny.TINY, {}, where=Path("x")) == tiny.TINY
