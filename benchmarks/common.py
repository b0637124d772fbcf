"""What the benchmarks share: fresh processes, their memory, the machine, tables."""

import json
import os
import platform
import resource
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))


def in_fresh_process(script: str, case: dict[str, Any]) -> dict[str, Any]:
    """Run ``script --case CASE`` and return the JSON that it prints last.

    The last line of an error becomes ``error``.
    """
    done = subprocess.run(
        [sys.executable, script, "--case", json.dumps(case)],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ
        | {"KERAS_BACKEND": os.environ.get("KERAS_BACKEND", "tensorflow")},
    )
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["failed"])[-1]
        return {"error": last.partition(": ")[2] or last}
    return json.loads(done.stdout.strip().splitlines()[-1])


def peak_mib() -> float:
    """Return the largest resident memory that this process has had, MiB."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)


def machine() -> dict[str, Any]:
    """Return what a timing belongs to."""
    from zoo.predict.engines import thread_count

    return {
        "machine": platform.machine(),
        "processors": thread_count(),
        "python": platform.python_version(),
    }


def print_machine(about: str) -> None:
    """Print the machine and what is measured on it."""
    found = machine()
    print(
        f"{found['machine']}, {found['processors']} processors, Python "
        f"{found['python']}, {about}\n"
    )


def matched_scores(
    image: np.ndarray, target: np.ndarray, *, edge: int
) -> tuple[float, float]:
    """Return PSNR and SSIM after the best linear match, but for a border.

    `image` and `target` are (y, x, 1), `edge` counts pixels.
    """
    from zoo.metrics.images import affine_match, psnr, ssim

    inner = (slice(edge, -edge), slice(edge, -edge), 0)
    matched, goal = affine_match(image[inner], target[inner]), target[inner]
    return psnr(matched, goal, data_range=1.0), ssim(matched, goal, data_range=1.0)


def print_row(cells: Sequence[Any], widths: Sequence[int]) -> None:
    """Print a line of a table, the first cell to the left."""
    line = str(cells[0]).ljust(widths[0]) + "".join(
        str(cell).rjust(width)
        for cell, width in zip(cells[1:], widths[1:], strict=True)
    )
    print(line, flush=True)


def number(result: dict[str, Any], name: str, form: str) -> str:
    """Return a result in a format, a dash if there is none."""
    return "-" if result.get(name) is None else f"{result[name]:{form}}"
