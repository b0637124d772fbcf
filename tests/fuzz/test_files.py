"""Damaged and hostile files of every kind: one line, nothing written, bounded memory.

Each kind has a process of its own, whose memory the system bounds; see `harness.py`,
with which a case that failed is made again.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

HARNESS = Path(__file__).with_name("harness.py")
KINDS = ("tiff", "csv", "yaml", "zip", "onnx", "keras", "hdf5", "bundle")
FEW, MANY = 60, 1500

pytestmark = pytest.mark.skipif(
    sys.platform != "linux", reason="other systems bound no memory"
)


def outcome(kind, first, count, folder):
    """Run cases; return what came of each and the largest memory in bytes."""
    command = [sys.executable, str(HARNESS), kind, str(first), str(count), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, (rows[-1:], done.stderr[-2000:])
    cases = [row for row in rows if "case" in row]
    assert [row["case"] for row in cases] == list(range(first, first + count))
    wrong = [row for row in cases if row["faults"]]
    assert not wrong, wrong[:5]
    # both, or the cases say nothing
    assert {row["code"] for row in cases} == {0, 1}
    return cases, rows[-1]["peak"]


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files(kind, tmp_path):
    outcome(kind, 0, FEW, tmp_path)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_thousands_of_damaged_files(kind, tmp_path, capsys):
    cases, peak = outcome(kind, FEW, MANY, tmp_path)
    refused = [row for row in cases if row["code"]]
    kinds = {row["line"][:40] for row in refused}
    with capsys.disabled():
        print(
            f"\n{kind}: {len(cases)} cases, {len(refused)} refused with about "
            f"{len(kinds)} different lines, at most {peak / 1e6:.0f} MB"
        )
