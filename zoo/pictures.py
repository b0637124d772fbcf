"""Figures around a training: simulation and recording, loss, held-out samples."""

import csv
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from zoo.core.contract import Contract
from zoo.core.errors import BadInput
from zoo.core.files import replacing
from zoo.core.recipe import Recipe
from zoo.tasks.conditions import Condition, compare, condition_report

if TYPE_CHECKING:
    from matplotlib.figure import Figure

LIKE, TRAINING = "comparison.png", "training.png"
"""Files that ``zoo simulate --like`` and ``zoo train`` end with."""
COLUMNS = 4
"""Frames side by side."""
SAMPLES = 3
"""Held-out samples that are shown as images."""
VECTORS = 256
"""Held-out samples that are shown as points, where outputs are vectors."""
_DPI = 110


class Likeness:
    """Frames of a recording beside simulated ones, and what was measured of both.

    Parameters
    ----------
    recipe
        What was simulated.
    simulated
        File that `zoo.simulate.write.write_simulation` wrote.
    recording
        A user's file.
    pixel_size_nm
        Edge of a pixel of `recording`; overrides the file's.

    Raises
    ------
    BadInput
        If the recording cannot be read, or the package takes no images.
    """

    def __init__(
        self,
        recipe: Recipe,
        simulated: Path,
        recording: str | Path,
        *,
        pixel_size_nm: float | None = None,
    ) -> None:
        contract = recipe.promise
        self.name = recipe.name
        """Name of the recipe."""
        self._contract = contract
        files = ((recording, pixel_size_nm), (simulated, None))
        looks = [_look(contract, self.name, file, nm) for file, nm in files]
        (self._own, self.conditions), (self._simulated, _) = looks

    def summary(self) -> list[str]:
        """Return in words how the recording relates to the training, and what next."""
        block = condition_report(self.name, self._contract, self.conditions)
        lines = [str(block["summary"])]
        if "retrain" in block:
            settings = str(block["retrain"]).split(" ", 3)[3]
            lines.append(f"simulate nearer to it: add {settings}")
        lines.append(f"next: zoo train {self.name} -o runs/mine, with the same --set")
        return lines

    def draw(self) -> "Figure":
        """Draw the frames, those of the recording above."""
        from matplotlib.figure import Figure

        rows = (("recording", self._own), ("simulation", self._simulated))
        figure = Figure(figsize=(2.4 * COLUMNS, 5.4), layout="constrained")
        axes: Any = figure.subplots(2, COLUMNS, squeeze=False)
        for row, (title, frames) in enumerate(rows):
            low, high = np.percentile(frames, (0.5, 99.8))
            for column in range(COLUMNS):
                place = axes[row, column]
                place.set_axis_off()
                if column < len(frames):
                    place.imshow(
                        frames[column],
                        cmap="gray",
                        vmin=low,
                        vmax=max(float(high), float(low) + 1e-6),
                        interpolation="nearest",
                    )
            axes[row, 0].set_title(title, loc="left", fontsize=10)
        return figure

    def write(self, folder: Path) -> Path:
        """Write the figure into a folder and return its path."""
        return _save(self.draw(), folder / LIKE)


def _look(
    contract: Contract, name: str, source: str | Path, pixel_size_nm: float | None
) -> tuple[list[np.ndarray], list[Condition]]:
    """Return a few frames of a recording, and how it relates to the training."""
    recording = contract.input.open(
        str(source),
        contract,
        name=name,
        options=type(contract.input).options(),
        pixel_size_nm=pixel_size_nm,
    )
    try:
        conditions = compare(contract, recording.measurements())
        frames: list[np.ndarray] = []
        for _, part in recording.chunks(1):
            frames += [_plane(frame) for frame in part]
            if len(frames) >= COLUMNS:
                break
    finally:
        recording.close()
    if not frames:
        raise BadInput(f"{source} holds no frames to compare with")
    return frames[:COLUMNS], conditions


def _plane(frame: np.ndarray) -> np.ndarray:
    """Return (y, x) of ([z,] y, x, c): the first channel, the middle plane."""
    plane = frame[..., 0]
    return plane if plane.ndim == 2 else plane[len(plane) // 2]


def training_figure(recipe: Recipe, run: Path) -> "Figure":
    """Draw the loss of a finished run, and what its network makes of held-out samples.

    Samples are drawn as those that the training never saw.  Images are shown beside
    input and target, where the target is one; vectors as points over the truth.  The
    loss stands alone where a training shows its network something else than images, or
    tiles of another size than the packaged network takes.

    Parameters
    ----------
    recipe
        What was trained.
    run
        Its folder, with ``history.csv`` and ``weights.keras``.

    Raises
    ------
    BadInput
        If the folder holds no finished run.
    """
    from matplotlib.figure import Figure

    from zoo.io.keras_network import load_network
    from zoo.train.batches import validation_pairs
    from zoo.train.run import HISTORY, WEIGHTS

    if not (run / HISTORY).is_file() or not (run / WEIGHTS).is_file():
        raise BadInput(f"{run} holds no finished run; finish it with zoo train")
    vectors = not recipe.promise.grid.output_space
    count = VECTORS if vectors else SAMPLES
    inputs, targets = validation_pairs(recipe.source, seed=recipe.seed, count=count)
    network = load_network(run / WEIGHTS)
    if not _takes(network.input_shape, inputs.shape):
        figure = Figure(figsize=(10, 3), layout="constrained")
        _draw_loss(figure.subplots(), run / HISTORY)
        return figure
    outputs = np.asarray(network.predict(inputs, verbose=0))
    figure = Figure(figsize=(10, 7.5), layout="constrained")
    halves: Any = figure.subfigures(2, 1, height_ratios=(1, 2))
    upper, lower = halves
    _draw_loss(upper.subplots(), run / HISTORY)
    if vectors:
        _draw_vectors(lower, recipe.promise.grid.outputs, outputs, targets)
    else:
        _draw_images(lower, inputs, outputs, targets)
    return figure


def _takes(declared: Sequence[int | None], shape: Sequence[int]) -> bool:
    """Say whether a network takes arrays of a shape.

    Examples
    --------
    >>> _takes((None, None, None, 1), (3, 32, 40, 1)), _takes((None, 3), (5, 4))
    (True, False)
    """
    return len(declared) == len(shape) and all(
        own in (None, length) for own, length in zip(declared, shape, strict=True)
    )


def write_training(recipe: Recipe, run: Path) -> Path:
    """Write `training_figure` into the run's folder and return its path."""
    return _save(training_figure(recipe, run), run / TRAINING)


def _draw_loss(axes: Any, history: Path) -> None:
    """Draw every loss that was written down, by samples seen."""
    with history.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    seen = [float(row["samples"]) for row in rows]
    for name in ("loss", "val_loss"):
        values = [float(row[name]) if row.get(name) else np.nan for row in rows]
        if np.isfinite(values).any():
            label = "held-out samples" if name == "val_loss" else "training"
            axes.plot(seen, values, marker=".", label=label)
    if rows and all(float(row["loss"]) > 0 for row in rows if row.get("loss")):
        axes.set_yscale("log")
    axes.set_xlabel("samples")
    axes.set_ylabel("loss")
    axes.legend()


def _draw_images(
    figure: Any, inputs: np.ndarray, outputs: np.ndarray, targets: np.ndarray
) -> None:
    """Draw held-out samples: one row each, input, output and target."""
    columns = [("input", inputs, "gray"), ("network", outputs, "inferno")]
    if targets.shape == outputs.shape:
        columns.append(("target", targets, "inferno"))
    axes: Any = figure.subplots(len(inputs), len(columns), squeeze=False)
    for j, (title, images, colours) in enumerate(columns):
        axes[0, j].set_title(title, fontsize=10)
        for i, image in enumerate(images):
            plane = image[..., 0]
            plane = plane if plane.ndim == 2 else plane.max(axis=0)
            axes[i, j].imshow(
                plane, cmap=colours, vmax=max(np.percentile(plane, 99.8), 1e-6)
            )
            axes[i, j].set_axis_off()


def _draw_vectors(
    figure: Any, names: Sequence[str], outputs: np.ndarray, targets: np.ndarray
) -> None:
    """Draw every output that is no uncertainty over its truth."""
    shown = [i for i, name in enumerate(names) if not name.startswith("uncertainty")]
    shown = [i for i in shown if i < targets.shape[-1]]
    axes: Any = figure.subplots(1, max(len(shown), 1), squeeze=False)
    for place, i in zip(axes[0], shown, strict=False):
        ends = [float(f(targets[:, i])) for f in (np.min, np.max)]
        place.plot(ends, ends, color="0.6", linewidth=1)
        place.plot(targets[:, i], outputs[:, i], ".", markersize=3)
        place.set_title(names[i].replace("_", " "), fontsize=10)
        place.set_xlabel("true")
    axes[0, 0].set_ylabel("network")


def _save(figure: "Figure", path: Path) -> Path:
    with replacing(path) as part:
        figure.savefig(part, format="png", dpi=_DPI, metadata={"Software": None})
    return path
