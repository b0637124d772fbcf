"""Every fenced command of README, CONTRIBUTING and cards runs, or a reason is given.

Quick ones run here as they stand; those of minutes run in the slow suite, some with
less work than a reader would ask for.
"""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

ROOT = Path(__file__).parents[2]
DOCUMENTS = ["README.md", "CONTRIBUTING.md", "SECURITY.md", "docs/fiji.md"]
DOCUMENTS += sorted(
    str(path.relative_to(ROOT)) for path in (ROOT / "specs").glob("*/README.md")
)
FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)

ELSEWHERE = {
    r"python3 -m venv .*": ".ci/run executes these lines with another folder",
    r"python -m pip install .*": ".ci/run executes it",
    r"pre-commit install": "changes the checkout",
    r"\.ci/run": "is what runs this test",
    r"pytest -m slow": "is what runs the slow part of this test",
    r"zoo \w+ .*<recipe>.*": "a placeholder; README has the same with a name",
    r"zoo train dfcan_.*": "hours; tests/slow/test_learning.py runs their smoke budget",
}
"""Commands that are not run here, and why."""
SLOW = {
    r"zoo evaluate \w+": None,
    r"zoo verify .*": None,
    r"python benchmarks/(predict|images)\.py": "{} --quick",
    r"zoo (train|package|convert) .*": None,
    r"bioimageio predict .*": None,
}
"""Commands of minutes, and what is run instead of them, if something is."""
LESS = {"--budget cpu": "--budget smoke"}
"""Words of slow commands that others stand for."""


def commands(document):
    """Return the shell lines of a document: comments gone, continuations joined."""
    lines = []
    for language, text in FENCE.findall((ROOT / document).read_text(encoding="utf-8")):
        if language == "bash":
            joined = re.sub(r"\s*\\\n\s*", " ", text).splitlines()
            lines += [re.sub(r"\s+# .*", "", line).strip() for line in joined]
    return list(filter(None, lines))


def matching(rules, line):
    """Return the rules that are about a command."""
    return [rule for rule in rules if re.fullmatch(rule, line)]


ALL = [(document, line) for document in DOCUMENTS for line in commands(document)]
LEFT = [pair for pair in ALL if not matching(ELSEWHERE, pair[1])]
QUICK = [pair for pair in LEFT if not matching(SLOW, pair[1])]


def write_inputs(folder):
    """Write the files that the documents name."""
    rng = np.random.default_rng(3)

    def write(name, shape, nm):
        spots = 3000 * (rng.random(shape) < 0.004)
        tifffile.imwrite(
            folder / name,
            rng.poisson(100 + spots).astype(np.uint16),
            imagej=True,
            resolution=(1000 / nm, 1000 / nm),
            metadata={"unit": "um", "axes": "TYX"[-len(shape) :]},
        )

    write("movie.tif", (4, 72, 72), 100)
    write("raw_frames.tif", (9, 128, 128), 62.6)
    write("cells.ome.tif", (128, 128), 62.6)
    write("image.tif", (256, 256), 31.3)
    table = "frame,x [nm],y [nm]\n1,1050,2050\n2,3050,1250\n"
    (folder / "truth.csv").write_text(table, encoding="utf-8")
    np.save(folder / "frame.npy", rng.poisson(100, (1, 64, 64, 1)).astype(np.float32))
    write_beads(folder / "beads.tif")


def write_what_came_before(folder, line):
    """Write the table that a command of the README takes from the one above it."""
    if "storm/localizations.csv" in line:
        (folder / "storm").mkdir()
        rows = [f"{n // 2},{2000 + 3 * n},{2500 + n}" for n in range(2, 600)]
        table = "\n".join(["frame,x [nm],y [nm]", *rows, ""])
        (folder / "storm" / "localizations.csv").write_text(table, encoding="utf-8")


def write_beads(path):
    """Write a stack of one bead under the optics that the README's command states."""
    from zoo.physics.pupil import PupilOptics, PupilPsf

    truth = PupilOptics(na=1.45, wavelength_nm=670.0, pixel_nm=100.0)
    focus = np.arange(-750.0, 751.0, 50.0)
    nowhere = np.zeros(len(focus))
    middle = np.full(len(focus), 1350.0)
    spot = PupilPsf(truth).images(middle, middle, nowhere, (27, 27), focus_nm=focus)
    stack = np.full((len(focus), 40, 40), 20.0)
    stack[:, 5:32, 5:32] += 20_000 * spot
    counts = np.random.default_rng(1).poisson(stack) * 2 + 100
    tifffile.imwrite(
        path,
        counts.astype(np.uint16),
        imagej=True,
        resolution=(10, 10),
        metadata={"unit": "um", "axes": "ZYX"},
    )


def test_every_command_is_accounted_for():
    assert {document for document, _ in ALL} >= {"README.md", "CONTRIBUTING.md"}
    lines = [line for _, line in ALL]
    for line in lines:
        rules = matching(ELSEWHERE, line) or matching(SLOW, line)
        assert len(rules) <= 1, line
    for rule in (*ELSEWHERE, *SLOW):
        assert any(matching([rule], line) for line in lines), f"{rule} is of no use"
    for text in LESS:
        assert any(text in line for line in lines), f"{text} is of no use"


@pytest.mark.parametrize(("document", "line"), QUICK, ids=lambda value: value[:60])
def test_a_quick_command_runs(document, line, zoo, tmp_path, monkeypatch):
    write_inputs(tmp_path)
    write_what_came_before(tmp_path, line)
    monkeypatch.chdir(tmp_path)
    program, *words = shlex.split(line)
    assert program == "zoo", f"{document}: {line} is neither quick nor slow"
    code, _, err = zoo(*words)
    assert code == 0, err


def test_the_python_of_the_readme_runs(tmp_path, monkeypatch):
    pytest.importorskip("pandas")
    write_inputs(tmp_path)
    monkeypatch.chdir(tmp_path)
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    blocks = [block for language, block in FENCE.findall(text) if language == "python"]
    assert blocks
    for block in blocks:
        exec(compile(block, "README.md", "exec"), {})
    assert (tmp_path / "picture.png").is_file()
    assert (tmp_path / "result" / "localizations.csv").is_file()


@pytest.mark.slow
@pytest.mark.parametrize("document", DOCUMENTS)
def test_slow_commands_run_in_their_order(document, tmp_path):
    write_inputs(tmp_path)
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    for line in commands(document):
        rules = matching(SLOW, line)
        if not rules or matching(ELSEWHERE, line):
            continue
        shorter = (SLOW[rules[0]] or "{}").format(line)
        for text, other in LESS.items():
            shorter = shorter.replace(text, other)
        done = subprocess.run(
            shorter.replace("benchmarks/", f"{ROOT}/benchmarks/"),
            shell=True,
            cwd=tmp_path,
            env=os.environ | {"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, f"{shorter}\n{done.stdout}\n{done.stderr}"
