"""What is worth telling about a prediction: provenance, sizes, times."""

import platform
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from zoo.core.contract import Contract, Recording, Running
from zoo.io.description import file_of
from zoo.io.package import Package
from zoo.predict.engines import Engine
from zoo.predict.plan import Plan
from zoo.tasks.conditions import compare, condition_report, condition_warnings


@dataclass
class Timing:
    """When a prediction began and when its first frames were done."""

    start: float
    """Clock at the beginning, s."""
    first: float = 0.0
    """Seconds until the first frames were done, loading of weights included."""
    frames: int = 0
    """Frames done."""

    def note(self, frames: int) -> None:
        """Take note that further frames are done."""
        self.frames += frames
        if frames and not self.first:
            self.first = time.perf_counter() - self.start


def warnings_of(recording: Recording, running: Running, plan: Plan) -> list[str]:
    """Return what the user should know about a recording and its results."""
    warnings = recording.warnings()
    if plan.seams:
        tile = " x ".join(map(str, plan.tile))
        warnings.append(
            "the package does not say how far its network looks; seams between its "
            f"tiles of {tile} px are possible"
        )
    return warnings + running.warnings()


def build_report(
    package: Package,
    contract: Contract,
    recording: Recording,
    running: Running,
    *,
    engine: Engine,
    plan: Plan,
    timing: Timing,
    warnings: list[str],
) -> dict[str, Any]:
    """Return everything worth knowing about a prediction, ready for JSON."""
    conditions = compare(contract, recording.measurements())
    seconds = time.perf_counter() - timing.start
    bounds = package.zoo.get("bounds")
    report: dict[str, Any] = {
        "package": {
            "name": package.name,
            "folder": str(package.folder),
            "weights_sha256": package.sha256,
            "entry": engine.entry,
            "entry_sha256": file_of(package.weights[engine.entry])[1],
            **({"bounds": bounds} if bounds else {}),
        },
        "task": contract.task.kind,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": provenance(engine.versions),
        "engine": engine.name,
        "device": engine.device,
        "input": {},
        "output": _output(contract, recording),
        "options": {
            "batch_size": plan.batch,
            "threads": engine.threads,
            "tile": list(plan.tile),
            "tiles_per_frame": len(plan.tiles),
        },
        "training": {key: list(value) for key, value in contract.training.items()},
    }
    if conditions:
        report["conditions"] = condition_report(package.name, contract, conditions)
    for part in (recording.report(), running.report()):
        options = part.pop("options", {})
        report["options"] |= options
        report |= part
    return report | {
        "seconds": round(seconds, 3),
        "seconds_to_first_frames": round(timing.first, 3),
        "frames_per_second": round(timing.frames / seconds, 3),
        "peak_memory_mib": peak_memory_mib(),
        "warnings": [*package.shortfall, *warnings, *condition_warnings(conditions)],
    }


def _output(contract: Contract, recording: Recording) -> dict[str, Any]:
    """Return the size of an output image; the number of values of a vector."""
    grid = contract.grid
    if not grid.output_space:
        return {"values": list(grid.outputs)}
    scales = {letter: grid.scale(letter) for letter in grid.output_space}
    sizes = grid.output_size(recording.sizes)
    pixel_nm = recording.pixel_size_nm.get("x")
    plane = {scales["y"], scales["x"]}
    output = {
        "scale": scales["x"] if len(plane) == 1 else scales,
        "height": sizes["y"],
        "width": sizes["x"],
        "pixel_size_nm": None if pixel_nm is None else pixel_nm / scales["x"],
    }
    return output | ({"depth": sizes["z"]} if "z" in sizes else {})


def provenance(engine_versions: Mapping[str, str]) -> dict[str, str]:
    """Return the versions of what took part in a prediction."""
    from importlib.metadata import PackageNotFoundError, version

    try:
        own = version("superres-zoo")
    except PackageNotFoundError:  # run from a checkout that is not installed
        own = "not installed"
    return {
        "superres-zoo": own,
        "python": platform.python_version(),
        "numpy": np.__version__,
        **engine_versions,
    }


def peak_memory_mib() -> float | None:
    """Return the most memory that this process has held, MiB; None on Windows."""
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    # kilobytes on Linux, bytes on macOS
    return round(peak / (2**20 if sys.platform == "darwin" else 2**10), 1)
