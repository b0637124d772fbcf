"""What is worth telling about a prediction: counts, warnings, provenance."""

import platform
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import numpy as np

from zoo.io.description import file_of
from zoo.io.packages import Package
from zoo.io.stacks import Stack
from zoo.predict.contract import Contract
from zoo.predict.engines import Engine
from zoo.predict.normalise import MovieScale
from zoo.predict.plan import Plan
from zoo.predict.recording import Recording
from zoo.predict.reference import looks_super_resolved

PIXEL_SIZE_TOLERANCE = 0.02
"""Relative distance from the training range at which a pixel size gets a warning."""


@dataclass
class Observed:
    """What the frames were like, added up while they pass."""

    frames: int = 0
    """Frames seen."""
    constant: int = 0
    """Frames of a single value, in any of their channels."""
    saturated: int = 0
    """Frames with a pixel at the largest value of the file's integer type."""
    localizations: int = 0
    """Emitters found."""
    total: np.ndarray | None = field(default=None, repr=False)
    """Sum of all frames and mean of channels, (y, x) float64."""

    def add(self, frames: np.ndarray, dtype: np.dtype[Any]) -> None:
        """Take note of frames, (t, y, x, c)."""
        high = frames.max(axis=(1, 2))
        flat = (high == frames.min(axis=(1, 2))).any(axis=1)
        self.frames += len(frames)
        self.constant += int(np.count_nonzero(flat))
        if dtype.kind in "ui":
            full = (high >= np.iinfo(dtype).max).any(axis=1)
            self.saturated += int(np.count_nonzero(full))
        summed = frames.sum(axis=0, dtype=float).mean(axis=-1)
        self.total = summed if self.total is None else self.total + summed

    @property
    def mean(self) -> np.ndarray:
        """Mean frame, (y, x) float32."""
        if self.total is None:
            raise ValueError("no frames were seen")
        return (self.total / self.frames).astype(np.float32)


@dataclass
class Timing:
    """When a prediction began and when its first frames were done."""

    start: float
    """Clock at the beginning, s."""
    first: float = 0.0
    """Seconds until the first frames were done, loading of weights included."""

    def note(self, done: int) -> None:
        """Take note that some frames are done."""
        if done and not self.first:
            self.first = time.perf_counter() - self.start


def pixel_size_warning(contract: Contract, pixel_size_nm: float | None) -> str | None:
    """Compare a pixel size with those that the network was trained on.

    Examples
    --------
    >>> trained = Contract(task="density", training={"pixel_size_nm": [100, 100]})
    >>> pixel_size_warning(trained, 101.0)
    >>> pixel_size_warning(trained, 160.0).partition(";")[0]
    'pixels of 160 nm lie outside the training range of 100 nm'
    """
    limits = contract.training.get("pixel_size_nm")
    if limits is None:
        return None
    low, high = _limits(limits)
    if pixel_size_nm is None:
        return (
            "the recording states no pixel size; the network was trained for "
            f"{_range(low, high)} nm, check yours and give it with --pixel-size-nm"
        )
    slack = PIXEL_SIZE_TOLERANCE
    if low * (1 - slack) <= pixel_size_nm <= high * (1 + slack):
        return None
    found = f"pixels of {pixel_size_nm:.4g} nm lie outside the training range of "
    found += f"{_range(low, high)} nm"
    if contract.task == "density":
        return (
            f"{found}; expect missed and false localizations, or train for this "
            "pixel size"
        )
    if looks_super_resolved(contract, pixel_size_nm):
        return (
            f"{found}: the recording looks already super-resolved, or enlarged; give "
            "the camera's own image to the package"
        )
    return (
        f"{found}; fine structure may be missing or made up, resample the recording "
        "or train for this pixel size"
    )


def collect_warnings(
    contract: Contract, recording: Recording, plan: Plan, observed: Observed
) -> list[str]:
    """Return what the user should know about a recording and its results.

    Parameters
    ----------
    contract
        The package, with its training conditions.
    recording
        The recording.
    plan
        How frames were cut.
    observed
        What was counted.
    """
    stack = recording.stack
    found = list(stack.notes)
    if text := recording.order_warning():
        found.append(text)
    if text := pixel_size_warning(contract, stack.pixel_size_nm):
        found.append(text)
    blended = contract.fixed is None or contract.overlap > 0
    if len(plan.tiles) > 1 and (contract.halo is None or not blended):
        found.append(
            "the package does not say how far its network looks; seams between its "
            f"tiles of {plan.tile[0]} x {plan.tile[1]} px are possible"
        )
    count = observed.frames
    if observed.constant:
        what = "are constant (a single value)"
        if stack.channels > 1:
            what = "have a channel that is constant (a single value)"
        found.append(
            f"{observed.constant} of {count} frames {what}; nothing can be found there"
        )
    if observed.saturated:
        found.append(
            f"{observed.saturated} of {count} frames hold saturated pixels; "
            "what is brighter than the camera's range is lost"
        )
    if contract.task == "density":
        found += _density_warnings(contract, stack, observed)
    return found


def _density_warnings(
    contract: Contract, stack: Stack, observed: Observed
) -> list[str]:
    if not observed.localizations:
        return [
            "no localizations were found; check the threshold, and that spots are "
            "bright on a dark background"
        ]
    limits = contract.training.get("density_per_um2")
    if limits is None or stack.pixel_size_nm is None:
        return []
    low, high = _limits(limits)
    area_um2 = stack.height * stack.width * (stack.pixel_size_nm / 1000) ** 2
    density = observed.localizations / observed.frames / area_um2
    if density <= high:
        return []
    return [
        f"{density:.2g} localizations per µm² and frame are more than the training "
        f"range of {_range(low, high)}; many emitters were merged or missed"
    ]


def build_report(
    package: Package,
    contract: Contract,
    recording: Recording,
    *,
    engine: Engine,
    plan: Plan,
    scales: Sequence[MovieScale],
    threshold: float,
    observed: Observed,
    timing: Timing,
    warnings: list[str],
) -> dict[str, Any]:
    """Return everything worth knowing about a prediction, ready for JSON."""
    seconds = time.perf_counter() - timing.start
    stack = recording.stack
    pixel_nm = stack.pixel_size_nm
    options: dict[str, Any] = {
        "batch_size": plan.batch,
        "tile": list(plan.tile),
        "tiles_per_frame": len(plan.tiles),
        "normalization": "movie" if scales else "frame",
    }
    if len(scales) == 1:
        options |= {"movie_low": scales[0].low, "movie_high": scales[0].high}
    elif scales:  # one for each channel
        options["movie_low"] = [scale.low for scale in scales]
        options["movie_high"] = [scale.high for scale in scales]
    if recording.order is not None:
        options["frame_order"] = recording.order
    report: dict[str, Any] = {
        "package": {
            "name": package.name,
            "folder": str(package.folder),
            "weights_sha256": package.sha256,
            "entry": engine.entry,
            "entry_sha256": file_of(package.weights[engine.entry])[1],
        },
        "task": contract.task,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": provenance(engine.versions),
        "engine": engine.name,
        "device": engine.device,
        "input": {
            "source": stack.source,
            "frames": stack.frames,
            "height": stack.height,
            "width": stack.width,
            "channels": stack.channels,
            "channels_per_run": contract.channels,
            "dtype": stack.dtype.name,
            "axes": stack.axes,
            "pixel_size_nm": pixel_nm,
            "pixel_size_source": stack.pixel_size_source,
        },
        "output": {
            "scale": contract.scale,
            "height": stack.height * contract.scale,
            "width": stack.width * contract.scale,
            "pixel_size_nm": None if pixel_nm is None else pixel_nm / contract.scale,
        },
        "options": options,
        "training": dict(contract.training),
        "frames": observed.frames,
        "constant_frames": observed.constant,
        "saturated_frames": observed.saturated,
    }
    if contract.task == "density":
        report["localizations"] = observed.localizations
        options |= {
            "threshold": threshold,
            "threshold_value": threshold * contract.ideal_peak,
            "window_px": contract.window_px,
            "centroid_px": contract.centroid_px or contract.window_px,
        }
    return report | {
        "seconds": round(seconds, 3),
        "seconds_to_first_frames": round(timing.first, 3),
        "frames_per_second": round(observed.frames / seconds, 3),
        "peak_memory_mib": peak_memory_mib(),
        "warnings": warnings,
    }


def output_names(package: Package) -> tuple[str, ...]:
    """Return the names of a network's output channels; one stands for no axis."""
    axes = package.outputs[0]["axes"]
    axis = next((axis for axis in axes if axis["id"] == "channel"), {})
    return tuple(map(str, axis.get("channel_names", ("image",))))


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


def _limits(limits: Any) -> tuple[float, float]:
    """Return the ends of a range that may be a single number."""
    values = np.ravel(limits).astype(float)
    return float(values.min()), float(values.max())


def _range(low: float, high: float) -> str:
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"
