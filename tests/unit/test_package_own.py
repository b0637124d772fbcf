"""Packages that a user trained say what they are, and how far they reach."""

import json
import shutil

import numpy as np
import pytest
import yaml

from zoo.core.errors import BadInput, BadPackage
from zoo.core.files import sha256
from zoo.io.package import Package
from zoo.package import checks, own
from zoo.package.describe import describe, to_yaml, validate
from zoo.package.document import drifted, readme_text, skeleton, unwritten_sections
from zoo.package.own import ANONYMOUS, refuse_borrowed_name, with_identity
from zoo.package.trained import Trained, read_trained, record_of
from zoo.predict.predictor import Predictor
from zoo.verify.trials import NotApplicable

BAD = {"density": {"1": {"jaccard": 0.0, "bias_x_nm": 900.0, "false": 3}}}
NONE = {"density": {"1": {"jaccard": None}}}
GOOD = {"density": {"1": {"jaccard": 0.9, "bias_x_nm": 0.0, "false": 3}}}


@pytest.fixture
def mine(tiny, toy_package, tmp_path):
    """Return a function that writes a package of one's own with some scores."""

    def write(metrics, **identity):
        trained = toy_package(tiny.TINY, tmp_path / "mine", metrics=metrics)
        run = trained.run | {"settings": {"source__photons": [500, 900]}}
        trained = with_identity(trained._replace(run=run), "mine_110nm", **identity)
        folder = trained.folder
        (folder / "README.md").unlink()
        (folder / "recipe.json").write_text(record_of(trained, trained.export))
        (folder / "README.md").write_text(readme_text(trained))
        (folder / "rdf.yaml").write_text(to_yaml(describe(trained)))
        return trained

    return write


def test_identity_and_card_are_its_own(mine):
    trained = mine(BAD, title="Mine at 110 nm", authors=["Somebody", "Else"])
    validate(yaml.safe_load((trained.folder / "rdf.yaml").read_text()), trained.folder)
    package = Package(trained.folder)
    assert package.rdf["id"] == package.name == "mine_110nm"
    assert package.rdf["name"] == "Mine at 110 nm"
    assert package.rdf["authors"] == [{"name": "Somebody"}, {"name": "Else"}]
    assert "not the published package" in package.rdf["description"]
    assert package.zoo["recipe"] == "tiny_noise"

    text = package.documentation()
    assert text.startswith("# Mine at 110 nm\n")
    assert unwritten_sections(text) == []
    assert "**This is not the published package `tiny_noise`.**" in text
    assert "trained by Somebody, Else with" in text
    assert "changed in `source.photons=[500,900]`" in text
    assert "photons 300–6000 photons" in text
    assert "zoo package RUN --name mine_110nm" in text
    assert "--set source.photons=[500,900]" in text


def test_it_is_read_back_and_does_not_drift(mine):
    trained = mine(GOOD)
    again = read_trained(trained.folder)
    assert again.own == trained.own
    assert again.name == "mine_110nm"
    assert again.recipe.name == "tiny_noise"
    assert again.own.authors == (ANONYMOUS,)
    assert again.own.title == "mine_110nm (own training of tiny_noise)"
    assert drifted(trained.folder) == []
    assert checks.drift(Package(trained.folder)).startswith("description, record")
    path = trained.folder / "recipe.json"
    record = json.loads(path.read_text())
    path.write_text(json.dumps(record | {"package": {"name": 3}}))
    with pytest.raises(BadPackage, match="names its package wrongly"):
        read_trained(trained.folder)


def test_a_setting_may_have_named_the_recipe(tiny, toy_package, tmp_path):
    trained = toy_package(tiny.TINY, tmp_path / "p")
    run = trained.run | {"recipe": "tiny_noise", "settings": {"name": "mine"}}
    renamed = trained._replace(recipe=tiny.TINY.override(name="mine"), run=run)
    (trained.folder / "recipe.json").write_text(record_of(renamed, trained.export))
    assert read_trained(trained.folder).recipe.name == "tiny_noise"


def test_scores_outside_the_bounds_are_told_everywhere(mine):
    folder = mine(BAD).folder
    package = Package(folder)
    assert package.zoo["bounds"] == {"held": 0, "of": 1}
    assert package.shortfall[0].startswith("mine_110nm holds 0 of the 1 bounds")
    text = package.documentation()
    assert "* Results that somebody relies on" in text
    assert "It holds 0 of the 1 bounds that tiny_noise requires" in text
    assert "density/1/jaccard = 0." in text
    with pytest.raises(NotApplicable, match="holds 0 of the 1 bounds"):
        checks.scores(package, strict=False)
    with pytest.raises(BadPackage, match="holds 0 of the 1 bounds"):
        checks.scores(package, strict=True)


def test_a_score_without_a_value_holds_no_bound(mine):
    text = Package(mine(NONE).folder).documentation()
    assert "Outside its bound: density/1/jaccard has no value." in text


def test_scores_within_the_bounds_and_none(mine):
    package = Package(mine(GOOD).folder)
    assert package.zoo["bounds"] == {"held": 1, "of": 1}
    assert package.shortfall == []
    assert "Results that somebody relies on" not in package.documentation()
    assert checks.scores(package, strict=True) == "1 bounds of the recipe hold"
    (package.folder / "metrics.json").unlink()
    with pytest.raises(NotApplicable, match="not been scored"):
        checks.scores(package, strict=False)
    with pytest.raises(BadPackage, match="not been scored"):
        checks.scores(package, strict=True)
    assert "has not been scored" in readme_text(read_trained(package.folder))


def test_gaps_of_a_readme_fail_strictly_only(tiny, toy_package, tmp_path):
    trained = toy_package(tiny.TINY, tmp_path / "p")
    (trained.folder / "README.md").write_text(skeleton(trained))
    (trained.folder / "rdf.yaml").write_text(to_yaml(describe(trained)))
    package = Package(trained.folder)
    assert "still to be written: Intended use" in checks.readme(package, strict=False)
    with pytest.raises(BadPackage, match="nobody has written Intended use"):
        checks.readme(package, strict=True)


@pytest.mark.parametrize(
    ("name", "further", "message"),
    [
        ("Mine 110", {}, "cannot be the name of a package"),
        ("../mine", {}, "cannot be the name of a package"),
        ("dfcan_sim", {}, "is the name of a package or recipe of this zoo"),
        ("tiny_noise", {}, "is the name of a package or recipe of this zoo"),
        ("mine", {"title": "Mine: 110"}, "the title must have 5 to 64 letters"),
        (None, {"title": "Mine at 110 nm"}, "with a --name of its own"),
        (None, {"authors": ["Somebody"]}, "with a --name of its own"),
    ],
)
def test_names_that_are_not_possible(tiny, tmp_path, name, further, message):
    trained = Trained(tmp_path, tiny.TINY, {}, {}, packaged=False)
    with pytest.raises(BadInput, match=message):
        with_identity(trained, name, **further)


def test_a_long_name_still_gives_a_title(tiny, tmp_path):
    trained = Trained(tmp_path, tiny.TINY, {}, {}, packaged=False)
    name = "a" * 60
    assert len(with_identity(trained, name).own.title) == 64


def test_the_name_of_published_weights_is_theirs(tiny, tmp_path, monkeypatch):
    (tmp_path / "weights.keras").write_bytes(b"trained at home")
    run = Trained(tmp_path, tiny.TINY, {}, {}, packaged=False)
    refuse_borrowed_name(run)  # nothing is published under it
    monkeypatch.setattr(own, "package_names", lambda: ["tiny_noise"])
    card = {"weights": {"keras_v3": {"sha256": "0" * 64}}}
    monkeypatch.setattr(own, "read_card", lambda _: card)
    for trained in (run, run._replace(packaged=True)):
        with pytest.raises(BadInput, match="give it its own with --name"):
            refuse_borrowed_name(trained)
        refuse_borrowed_name(with_identity(trained, "mine"))
    card["weights"]["keras_v3"]["sha256"] = sha256(tmp_path / "weights.keras")
    refuse_borrowed_name(run._replace(packaged=True))


def test_a_prediction_and_the_card_repeat_it(small_package, tmp_path, zoo):
    folder = shutil.copytree(small_package, tmp_path / "weak")
    rdf = yaml.safe_load((folder / "rdf.yaml").read_text())
    rdf["config"]["superres_zoo"]["bounds"] = {"held": 1, "of": 13}
    (folder / "rdf.yaml").write_text(yaml.safe_dump(rdf))
    frames = np.random.default_rng(0).integers(90, 900, (2, 24, 24), np.uint16)
    result = Predictor(folder).predict(frames, pixel_size_nm=100.0)
    assert "holds 1 of the 13 bounds" in result.warnings[0]
    assert result.report["package"]["bounds"] == {"held": 1, "of": 13}
    code, out, _ = zoo("show", folder)
    assert code == 0
    assert "holds 1 of the 13 bounds" in " ".join(out.split())
    assert json.loads(zoo("show", folder, "--json")[1])["bounds"]["held"] == 1
