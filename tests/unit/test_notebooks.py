"""`notebooks/` and `zoo.notebook`: sources and generated files."""

import importlib.util
import json
import re
import sys
import types
from pathlib import Path

import pytest
import yaml

from zoo import notebook
from zoo.core.errors import BadInput
from zoo.io.library import package_names

NOTEBOOKS = Path(__file__).parents[2] / "notebooks"


def load_sync():
    spec = importlib.util.spec_from_file_location("sync", NOTEBOOKS / "sync.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


SYNC = load_sync()
SOURCES = SYNC.sources()


def test_there_is_one_for_every_kind_of_task():
    assert {"predict", "localization", "images", "single_emitters"} <= {
        path.stem for path in SOURCES
    }


def test_generated_files_are_up_to_date():
    for path, text in SYNC.generated().items():
        assert path.read_text(encoding="utf-8") == text, f"{path}: notebooks/sync.py"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.stem)
def test_a_notebook_is_folded_short_and_without_outputs(path):
    made = json.loads(path.with_suffix(".ipynb").read_text(encoding="utf-8"))
    assert (made["nbformat"], made["nbformat_minor"]) == (4, 5)
    code = [cell for cell in made["cells"] if cell["cell_type"] == "code"]
    ids = [cell["id"] for cell in made["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in code:
        assert cell["outputs"] == []
        assert cell["metadata"] == {"cellView": "form"}
        assert len(cell["source"]) <= SYNC.LONGEST_CELL
    assert "".join(code[0]["source"]).splitlines()[-1].startswith("!pip install")
    text = SYNC.script(path)
    sections = re.findall(r"^# # \*\*(\d)\.", text, flags=re.MULTILINE)
    assert sections == sorted(sections)
    assert sections[0] == "0"
    assert sections[-1] == "7"
    offered = re.findall(r'package = "\w+"  # @param (\[.*\])', text)
    for name in json.loads(offered[0]) if offered else []:
        assert name in package_names()


def test_an_address_gives_badge_and_links():
    address = "https://github.com/someone/superres-zoo"
    path = SOURCES[0]
    first = SYNC.notebook(path, address)["cells"][0]
    link = f"someone/superres-zoo/blob/main/notebooks/{path.stem}.ipynb"
    assert link in "".join(first["source"])
    described = yaml.safe_load(SYNC.configuration(path, address))
    assert described["git_repo"] == address
    inner = described["config"]["dl4miceverywhere"]
    assert inner["notebook_url"].startswith(f"{address}/raw/main/notebooks/")
    assert set(inner) >= {
        "notebook_url", "requirements_url", "cuda_version", "ubuntu_version",
        "python_version", "sections_to_remove", "notebook_version",
        "dl4miceverywhere_version", "description",
    }  # fmt: skip
    text = SYNC.configuration(path, None)
    assert (NOTEBOOKS.parent / yaml.safe_load(text)["download_url"]).is_file()


def test_cells_that_sources_share_are_written_into_each():
    uses = {}
    for path in SOURCES:
        text = path.read_text(encoding="utf-8")
        for part in re.findall(r"^# %% shared: (\w+)", text, flags=re.MULTILINE):
            uses.setdefault(part, []).append(path.stem)
        whole = SYNC.script(path)
        assert "# %% shared" not in whole
        assert f'work_folder = "superres-zoo-{path.stem.replace("_", "-")}"' in whole
        for kind, code in SYNC.cells(whole):
            assert "$" not in code, f"{path.stem}: a value is missing in {kind} {code}"
    parts = {path.stem for path in (NOTEBOOKS / "shared").glob("*.py")}
    assert parts == set(uses)
    assert min(map(len, uses.values())) > 1, "what one notebook has stands in it"


def test_a_shared_part_needs_its_values(tmp_path):
    source = tmp_path / "mine.py"
    source.write_text("# %% shared: quality_control\n", encoding="utf-8")
    with pytest.raises(KeyError, match="name"):
        SYNC.script(source)


def test_a_command_that_fails_says_why(capsys):
    with pytest.raises(notebook.CommandFailed, match="nothing_like_it"):
        notebook.command("show", "nothing_like_it")
    assert capsys.readouterr().out.startswith("$ zoo show nothing_like_it\n")


def test_a_recording_of_the_user_is_taken(tmp_path):
    file = tmp_path / "mine.tif"
    file.write_bytes(b"II")
    assert notebook.recording(str(file), "dfcan_sim", tmp_path) == file
    with pytest.raises(BadInput, match="does not exist"):
        notebook.recording(str(tmp_path / "other.tif"), "dfcan_sim", tmp_path)


def test_files_are_kept_where_they_were_asked_for(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert notebook.folder("work", on_drive=False).is_dir()
    with pytest.raises(notebook.CommandFailed, match="Colab only"):
        notebook.folder("work", on_drive=True)
    notebook.hand_over([Path("a.csv")])
    assert capsys.readouterr().out == "a.csv\n"
    given, mounted = [], []
    colab = types.ModuleType("google.colab")
    colab.files = types.SimpleNamespace(download=given.append)
    colab.drive = types.SimpleNamespace(mount=mounted.append)
    monkeypatch.setitem(sys.modules, "google", types.ModuleType("google"))
    monkeypatch.setitem(sys.modules, "google.colab", colab)
    monkeypatch.setattr(notebook, "DRIVE", tmp_path / "drive")
    notebook.hand_over([Path("a.csv")])
    assert given == ["a.csv"]
    place = notebook.folder("work", on_drive=True)
    assert place == tmp_path / "drive" / "MyDrive" / "work"
    assert mounted == [str(tmp_path / "drive")]
