"""Simulations whose emitters are known, as training pairs."""

from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import Field

from zoo.core.contract import CONDITION
from zoo.core.errors import BadInput
from zoo.core.localizations import Localizations
from zoo.core.recipe import Simulation, Source
from zoo.io.stacks import open_stack
from zoo.io.tables import read_localizations
from zoo.simulate.pairs import Scene, as_pair


class MeasuredFrames(Source):
    """Crops of a recording whose emitters are known, as ``zoo simulate`` writes it."""

    kind: Literal["measured_frames"] = "measured_frames"
    """Type of the source."""
    folder: Path
    """Folder with ``input.tif`` and ``truth.csv``."""
    crop_px: int = Field(default=26, ge=8)
    """Edge of the training frames, camera px."""
    scale: int = Field(default=8, ge=1)
    """Fine pixels per camera pixel along an axis."""
    pixel_size_nm: Annotated[float, CONDITION] = Field(default=100.0, gt=0)
    """Camera pixel where the file does not say, nm."""

    def sample(self, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Return a random crop (y, x, 1) and its spike map (8y, 8x, 1), float32."""
        whole = _recording(self.folder, self.pixel_size_nm)
        frames, height, width = whole.counts.shape
        if min(height, width) < self.crop_px:
            raise BadInput(
                f"frames in {self.folder} are {height} x {width} px, training crops "
                f"{self.crop_px}; give larger frames or --set source.crop_px"
            )
        frame = int(rng.integers(frames))
        top = int(rng.integers(height - self.crop_px + 1))
        left = int(rng.integers(width - self.crop_px + 1))
        rows, columns = (slice(first, first + self.crop_px) for first in (top, left))
        emitters = _emitters_of(whole, frame + 1)
        shifted = emitters.with_columns(
            x_nm=emitters.x_nm - left * whole.pixel_size_nm,
            y_nm=emitters.y_nm - top * whole.pixel_size_nm,
        )
        return as_pair(
            Scene(whole.counts[frame, rows, columns], shifted),
            rng,
            scale=self.scale,
            pixel_size_nm=whole.pixel_size_nm,
        )

    def record(self, rng: np.random.Generator, *, frames: int) -> Simulation:  # noqa: ARG002
        """Return the first frames of the measured recording."""
        whole = _recording(self.folder, self.pixel_size_nm)
        truth = _truth(whole)
        return Simulation(
            whole.counts[:frames],
            truth.select(truth.frame <= frames),
            whole.pixel_size_nm,
        )


@lru_cache(maxsize=2)
def _recording(folder: Path, pixel_size_nm: float) -> Simulation:
    for name in ("input.tif", "truth.csv"):
        if not (folder / name).is_file():
            raise BadInput(
                f"{folder} has no {name}; measured pairs are an input.tif and a "
                "truth.csv, as zoo simulate writes them"
            )
    with open_stack(folder / "input.tif") as stack:
        counts = stack.read(0, stack.frames)[..., 0]
        pixel = stack.pixel_size_nm or pixel_size_nm
    return Simulation(counts, read_localizations(folder / "truth.csv"), pixel)


def _truth(whole: Simulation) -> Localizations:
    if not isinstance(whole.truth, Localizations):
        raise BadInput("a density network learns from a table of emitters")
    return whole.truth


def _emitters_of(whole: Simulation, frame: int) -> Localizations:
    truth = _truth(whole)
    return truth.select(truth.frame == frame)
