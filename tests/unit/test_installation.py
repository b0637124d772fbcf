"""What an installation without extras can do, and what it says about the rest."""

import json
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

import zoo as package_of_all
from zoo import catalog
from zoo.core import extras
from zoo.core.errors import BadPackage, ZooError
from zoo.io.package import Package
from zoo.predict.engines import choose_engine

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
WHEEL_BYTES = 98e6
WITHOUT = """
import sys
for name in {names}:
    sys.modules[name] = None  # as if it was not installed
from zoo.cli import main
main()
"""


def without(names, *words, cwd):
    """Run a command in a process in which some modules cannot be imported."""
    return subprocess.run(
        [sys.executable, "-c", WITHOUT.format(names=sorted(names)), *map(str, words)],
        cwd=cwd,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_extras_and_base_are_those_of_the_project():
    project = PROJECT["project"]
    optional = project["optional-dependencies"]

    def names(requirements):
        return {r.split("[")[0].split(">")[0].split(".")[0] for r in requirements}

    for module, extra in extras.EXTRAS.items():
        assert module in names(optional[extra]), module
        assert module not in names(project["dependencies"]), module
    for extra in ("train", "package", "zarr", "mrc", "bench", "notebooks"):
        assert extra in optional["all"][0]


def test_every_package_is_in_the_wheel_or_can_be_downloaded():
    rules = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    left_out = {p for rule in rules["exclude"] for p in ROOT.glob(rule)}
    folders = [path.parent for path in (ROOT / "specs").glob("*/rdf.yaml")]
    index = json.loads((ROOT / "zoo" / "index.json").read_text(encoding="utf-8"))
    weights = [folder / "model.onnx" for folder in folders]
    for path in weights:
        assert path not in left_out or path.parent.name in index["packages"]
    assert any(path not in left_out for path in weights)
    kept = [p for f in folders for p in f.iterdir() if p not in left_out]
    assert sum(path.stat().st_size for path in kept) < WHEEL_BYTES


def test_names_of_networks_need_no_framework():
    code = (
        "import sys, zoo\n"
        "print(*zoo.networks())\n"
        "print([m for m in ('keras', 'tensorflow', 'jax') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    names, imported = done.stdout.splitlines()
    assert names.split() == list(catalog.networks())
    assert imported == "[]"


def test_a_user_catches_one_error():
    assert package_of_all.ZooError is ZooError
    with pytest.raises(package_of_all.ZooError):
        package_of_all.load("no_such_package")


def test_packages_run_without_what_extras_bring(small_package, tmp_path):
    import numpy as np

    rng = np.random.default_rng(0)
    np.save(tmp_path / "movie.npy", rng.integers(90, 900, (3, 24, 24), np.uint16))
    table = tmp_path / "table.csv"
    table.write_text("frame,x [nm],y [nm]\n1,50,50\n", encoding="utf-8")
    for words in (
        ("list",),
        ("show", "dfcan_sim"),
        ("predict", small_package, "movie.npy", "--pixel-size-nm", 100, "-o", "out"),
        ("evaluate", table, "--truth", table),
    ):
        done = without(extras.EXTRAS, *words, cwd=tmp_path)
        assert (done.returncode, done.stderr) == (0, ""), words
    assert (tmp_path / "out" / "localizations.csv").is_file()


@pytest.mark.parametrize(
    ("words", "extra"),
    [
        (("simulate", "deep_storm_microtubules", "-o", "sim"), "train"),
        (("train", "deep_storm_microtubules", "-o", "run"), "train"),
        (("package", "deep_storm_microtubules", "-o", "dist"), "package"),
        (("verify", "deep_storm_microtubules"), "package"),
        (("predict", "dfcan_sim", "a.npy", "-o", "p", "--engine", "keras"), "train"),
        (("convert", "dfcan_sim", "--to", "zerocostdl4mic", "-o", "c"), "train"),
        (("predict", "dfcan_sim", "empty.zarr", "-o", "p"), "zarr"),
        (("predict", "dfcan_sim", "empty.mrc", "-o", "p"), "mrc"),
    ],
    ids=lambda value: "-".join(value[:1]) if isinstance(value, tuple) else value,
)
def test_a_missing_extra_is_named_in_one_line(words, extra, tmp_path):
    import numpy as np

    np.save(tmp_path / "a.npy", np.ones((9, 32, 32), np.uint16))
    (tmp_path / "empty.zarr").mkdir()
    (tmp_path / "empty.zarr" / ".zgroup").write_text("{}", encoding="utf-8")
    (tmp_path / "empty.mrc").write_bytes(bytes(2048))
    before = set(tmp_path.iterdir())
    done = without(extras.EXTRAS, *words, cwd=tmp_path)
    assert done.returncode == 1
    assert f'pip install "superres-zoo[{extra}]"' in done.stderr
    assert done.stderr.count("\n") == 1
    assert set(tmp_path.iterdir()) == before


def test_what_is_installed_is_not_missed():
    extras.require("keras", "numpy", "onnx")
    with pytest.raises(extras.MissingExtra, match=r"superres-zoo\[mrc\]"):
        raise extras.missing("mrcfile.utils")
    assert extras.missing(None) is None


def test_weights_that_are_not_there_are_not_chosen(small_package, tmp_path):
    folder = shutil.copytree(small_package, tmp_path / "installed")
    (folder / "weights.keras").unlink()
    package = Package(folder)
    assert choose_engine(package) == "onnx"
    with pytest.raises(BadPackage, match="use --engine onnx"):
        choose_engine(package, "keras")
    (folder / "model.onnx").unlink()
    assert choose_engine(package) == "onnx"  # and its file is asked for
