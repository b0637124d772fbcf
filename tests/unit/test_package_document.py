import json
import shutil

import pytest

from zoo.core.errors import BadPackage
from zoo.core.grid import Axis, Grid
from zoo.package.card import made
from zoo.package.describe import describe, to_yaml
from zoo.package.document import (
    SECTIONS,
    check_generated,
    drifted,
    fill,
    in_and_out,
    index_packages,
    missing_sections,
    readme_text,
    regenerate,
    skeleton,
    unwritten_sections,
)
from zoo.package.trained import Trained
from zoo.package.zips import write_zip, zip_folder
from zoo.tasks.density import Density


@pytest.fixture
def root(tmp_path, tiny, toy_package):
    """A checkout with one package whose files are as generated."""
    trained = toy_package(tiny.TINY, tmp_path / "specs" / "tiny_noise")
    folder = trained.folder
    (folder / "README.md").unlink()
    (folder / "README.md").write_text(readme_text(trained))
    (folder / "rdf.yaml").write_text(to_yaml(describe(trained)))
    (tmp_path / "README.md").write_text(
        "# Zoo\n\n<!-- generated:packages -->\n<!-- end -->\n\nBye.\n"
    )
    (tmp_path / "zoo").mkdir()
    (tmp_path / "zoo" / "index.json").write_text('{"base_url": null, "packages": {}}')
    regenerate(tmp_path)
    return tmp_path


def test_only_what_stands_between_the_marks_is_replaced():
    text = (
        "before\n<!-- generated:one -->\nold\n<!-- end -->\nbetween\n"
        "<!-- generated:two -->\n<!-- end -->\nafter\n"
    )
    found = fill(text, {"one": "1\n", "two": "2", "three": "3"})
    assert found == text.replace("old", "1").replace("two -->\n", "two -->\n2\n")
    assert fill(found, {"one": "1", "two": "2"}) == found


def test_an_unknown_mark_is_refused():
    with pytest.raises(BadPackage, match="named 'x'; there are one"):
        fill("<!-- generated:x -->\n<!-- end -->", {"one": ""})


def test_a_new_readme_has_every_section_and_says_what_to_write(tmp_path, tiny):
    source = Trained(tmp_path, tiny.TINY, {}, {}, packaged=False)

    text = readme_text(source)

    assert missing_sections(text) == []
    assert unwritten_sections(text) == ["Intended use", "Not for", "Data", "Limits"]
    assert "| axes | batch, y, x, channel |" in text
    assert skeleton(source).count("<!-- end -->") == 4
    assert missing_sections("## Description\n# validation\n") == [
        s for s in SECTIONS if s not in ("Description", "Validation")
    ]


def test_in_and_out_in_a_few_words(tiny):
    assert in_and_out(tiny.TINY_IMAGE.contract).startswith("9 raw frames → 2x finer")
    axes = {"y": Axis(size=8), "x": Axis(size=8)}
    vector = tiny.TINY.contract.override(
        grid=Grid(output_axes="bc", axes=axes), tile=None
    )
    assert in_and_out(vector) == f"1 frame → {Density().products(vector.grid)}"


@pytest.mark.parametrize(
    ("names", "hashes", "text"),
    [
        ("a/w.keras", "1" * 64, "the weights of `a/w.keras`."),
        (
            "a/w.keras, b/w.keras",
            f"{'1' * 64}, {'2' * 64}",
            "the mean of the weights of `a/w.keras, b/w.keras` (11111111, 22222222).",
        ),
    ],
)
def test_a_card_says_what_its_training_began_with(
    toy_package, tiny, tmp_path, names, hashes, text
):
    trained = toy_package(tiny.TINY, tmp_path / "tiny_noise")
    begun = {"budget": "cpu", "start": names, "start_sha256": hashes}
    assert f"It began with {text}" in made(trained._replace(run=begun))


def test_prose_survives(root):
    readme = root / "specs" / "tiny_noise" / "README.md"
    readme.write_text(readme.read_text().replace("## Limits\n", "## Limits\n\nMine.\n"))

    assert check_generated(root) == []
    regenerate(root)

    assert "## Limits\n\nMine.\n" in readme.read_text()


def test_nothing_has_drifted_after_writing(root):
    assert check_generated(root) == []
    assert regenerate(root) == []
    row = "[`tiny_noise`](specs/tiny_noise/README.md) | density | 1 frame → 2x finer"
    assert row in (root / "README.md").read_text()


@pytest.mark.parametrize(
    ("file", "old", "new"),
    [
        ("specs/tiny_noise/rdf.yaml", "Doubles", "Trebles"),
        ("specs/tiny_noise/recipe.json", "6000.0", "7000.0"),
        ("specs/tiny_noise/README.md", "| axes | batch", "| axes | stack"),
        ("README.md", "2x finer", "3x finer"),
    ],
)
def test_an_edited_file_is_found_and_mended(root, file, old, new):
    path = root / file
    before = path.read_text()
    assert old in before
    path.write_text(before.replace(old, new))

    found = check_generated(root)
    if file.endswith("recipe.json"):  # the record is what the others follow
        assert found == [
            file.replace("recipe.json", n) for n in ("README.md", "rdf.yaml")
        ]
        path.write_text(before)
    else:
        assert file in found
        assert file in regenerate(root)
    assert check_generated(root) == []
    assert path.read_text() == before


def test_a_changed_recipe_shows_in_its_packages(root, tiny, monkeypatch):
    changed = tiny.TINY.override(summary="Does something else.")
    monkeypatch.setattr(tiny, "TINY", changed)
    folder = root / "specs" / "tiny_noise"
    assert drifted(folder) == ["recipe.json", "rdf.yaml"]


def test_the_index_holds_what_downloads_are_checked_by(root, tmp_path):
    dist = tmp_path / "dist"
    dist.mkdir()
    archive = zip_folder(root / "specs" / "tiny_noise", dist / "tiny_noise.zip")
    index = root / "zoo" / "index.json"

    packages = index_packages(dist, index)

    assert packages == json.loads(index.read_text())["packages"]
    entry = packages["tiny_noise"]
    assert entry["file"] == "tiny_noise.zip"
    assert entry["size"] == archive.stat().st_size
    assert len(entry["sha256"]) == 64
    assert json.loads(index.read_text())["base_url"] is None
    assert check_generated(root) == []

    # a package with other weights is not what the index describes
    weights = root / "specs" / "tiny_noise" / "weights.keras"
    write_zip(weights, {"metadata.json": b'{"keras_version": "3.16"}'})
    regenerate(root)
    assert check_generated(root) == ["zoo/index.json"]
    shutil.rmtree(root / "specs" / "tiny_noise")
    regenerate(root)
    assert check_generated(root) == ["zoo/index.json"]


def test_an_archive_that_is_no_package_is_not_entered(tmp_path):
    write_zip(tmp_path / "x.zip", {"a": b""})
    with pytest.raises(BadPackage, match=r"no weights.keras"):
        index_packages(tmp_path, tmp_path / "index.json")
