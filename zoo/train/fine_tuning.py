"""Training of any image network on a user's own pairs, from published weights on."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

from zoo import catalog
from zoo.core.errors import BadInput
from zoo.core.files import sha256
from zoo.core.recipe import Budget, BudgetName, Recipe, Stage
from zoo.inputs.raw_frames import RawFrames
from zoo.inputs.recording import rescales
from zoo.simulate.measured_images import MANIFEST, MeasuredImages, read_manifest
from zoo.tasks.image import ImageRestoration
from zoo.train.judging import Judge
from zoo.train.own_pairs import prepare
from zoo.train.run import RUN, require_free

PAIRS = "pairs"
"""Folder of a run with the registered pairs."""
PATCH_PX = 64
"""Edge of the patches of networks that make finer images, input px."""
SAME_GRID_PX = 128
"""The same of networks that keep the pixels (CARE's two-dimensional example)."""
RAW_FRAME_PX = 96
"""The same for raw frames, whose illumination pattern smaller patches do not show."""
GENTLE = 0.2
"""Learning rate of a fine-tuning, in units of the recipe's own."""
DIMMEST = 0.7
"""Factor down to which patches are dimmed, where inputs are scaled by their range."""


class Own(NamedTuple):
    """What is trained on own pairs, and how it is judged."""

    recipe: Recipe
    judge: Judge | None
    """None where pairs are no images that can be compared."""
    notes: list[str]
    """What a user should know about the pairs."""


@contextmanager
def own_pairs(
    name: str,
    changes: dict[str, Any],
    data: Path | None,
    *,
    run_folder: Path,
    resume: bool = False,
) -> Iterator[Own]:
    """Yield a recipe that learns from a user's pairs, registered in its run folder.

    If the training is refused before it begins, they are removed again.

    Parameters
    ----------
    name
        Name of a recipe.
    changes
        Settings, as `zoo.core.config.parse_settings` returns them.
    data
        Folder with ``input/`` and ``target/`` for networks that make images; what the
        source of the recipe reads for others; None to learn from what it draws.
    run_folder
        Folder of the run.
    resume
        Whether the run has begun; its pairs are then used as they were registered.

    Raises
    ------
    BadInput
        If the pairs do not fit the network or each other, or the recipe takes none.
    """
    declared = catalog.recipe(name)
    if data is None or not isinstance(declared.contract.task, ImageRestoration):
        yield Own(catalog.configured(name, changes, data=data), None, [])
        return
    recipe = for_own_pairs(declared).override(**changes)
    folder = run_folder / PAIRS
    notes: list[str] = []
    if not (resume and (folder / MANIFEST).is_file()):
        if not resume:
            require_free(run_folder)
        notes = prepare(recipe, data, folder, only_px=_only_tile(recipe))
    try:
        yield Own(_bound(recipe, folder), _judge(recipe, folder, run_folder), notes)
    except BaseException:
        if not (run_folder / RUN).exists():
            shutil.rmtree(folder, ignore_errors=True)
            with suppress(OSError):
                run_folder.rmdir()
        raise


def for_own_pairs(recipe: Recipe) -> Recipe:
    """Return a recipe whose source and budgets are those of a fine-tuning.

    Raises
    ------
    BadInput
        If the network does not turn images into images.
    """
    grid = recipe.contract.grid
    if grid.space != "yx" or grid.output_space != "yx":
        raise BadInput(
            f"{recipe.name} takes or makes volumes, own pairs are images; leave --data "
            "out"
        )
    if grid.scale("y") != grid.scale("x"):
        raise BadInput(
            f"{recipe.name} does not enlarge y and x alike; leave --data out"
        )
    scale = grid.scale("x")
    known = recipe.promise.training.get("pixel_size_nm")
    source = MeasuredImages(
        crop_px=patch_px(recipe),
        scale=scale,
        pixel_size_nm=100.0 if known is None else sum(known) / 2,
        selection="foreground" if scale > 1 else "bright",
        gain=(DIMMEST if rescales(recipe.contract) else 1.0, 1.0),
    )
    budgets = {size: fine_tuning(recipe, size) for size in recipe.budgets}
    return recipe.override(source=source, budgets=budgets, retraining=None)


def patch_px(recipe: Recipe) -> int:
    """Return the edge of the patches that a network is fine-tuned on, input px."""
    axis = recipe.contract.grid.axes["y"]
    if _only_tile(recipe) is not None:
        return int(axis.size or 0)
    wanted = PATCH_PX if axis.scale > 1 else SAME_GRID_PX
    if isinstance(recipe.contract.input, RawFrames):
        wanted = RAW_FRAME_PX
    if axis.size is not None:
        wanted = min(wanted, axis.size)
    return axis.minimum + max(wanted - axis.minimum, 0) // axis.step * axis.step


def fine_tuning(recipe: Recipe, size: BudgetName) -> Budget:
    """Return how a network is fine-tuned: few steps, small ones, all on own pairs."""
    own = recipe.budgets[size]
    stages = {
        "smoke": Stage(epochs=2, steps=4, batch_size=2),
        "cpu": Stage(epochs=12, steps=50, batch_size=4),
        "gpu": Stage(epochs=20, steps=100, batch_size=16),
    }
    return Budget(
        stages=(stages[size],),
        learning_rate=GENTLE * own.learning_rate,
        warmup_steps=min(own.warmup_steps, 20),
        mixed_precision=own.mixed_precision,
        validation_samples=2 if size == "smoke" else 16,
        hours={"smoke": None, "cpu": 1.0, "gpu": 0.1}[size],
    )


def _only_tile(recipe: Recipe) -> int | None:
    """Return the only size that a network takes while it is trained, px."""
    size = recipe.contract.grid.axes["y"].size
    return None if recipe.training_options.get("tile", size) is None else size


def _bound(recipe: Recipe, folder: Path) -> Recipe:
    """Return a recipe whose source reads registered pairs."""
    manifest = read_manifest(folder)
    pairs: dict[str, Any] = {
        "source__folder": folder,
        "source__pairs_sha256": sha256(folder / MANIFEST),
        "source__crop_px": manifest["crop_px"],
    }
    if manifest["pixel_size_nm"] is not None:
        pairs["source__pixel_size_nm"] = manifest["pixel_size_nm"]
    return recipe.override(**pairs)


def _judge(recipe: Recipe, folder: Path, run_folder: Path) -> Judge:
    grid = recipe.contract.grid
    return Judge(folder, run_folder, grid, fixed_px=_only_tile(recipe))
