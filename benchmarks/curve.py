"""Scores on the frozen test set against training samples: a run stage by stage.

    python benchmarks/curve.py RUN PACKAGE -o FOLDER [--metric emitters/34/jaccard ...]
                               [--frames 2]

RUN is the folder of a finished ``zoo train``, whose ``stage-*.npz`` hold the weights at
the end of every stage, PACKAGE what ``zoo package`` made of it.  The weights take the
places of those of a copy of the package, and every copy is scored as the package was.
``curve.csv`` and ``curve.png`` are written, for the card.  Stages in which the network
does not learn (of a mask that is designed) count as samples, but are not scored.
"""

import argparse
import csv
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import common


def with_weights(package: Path, checkpoint: Path, copy: Path) -> Path:
    """Copy a package, with the weights of a checkpoint, hashes included."""
    from zoo.core.files import sha256
    from zoo.io.keras_network import load_network
    from zoo.train.checkpoint import stored_weights

    shutil.copytree(package, copy)
    weights, description = copy / "weights.keras", copy / "rdf.yaml"
    before = sha256(weights)
    model: Any = load_network(weights)
    model.set_weights(stored_weights(checkpoint))
    model.save(weights)
    text = description.read_text(encoding="utf-8")
    description.write_text(text.replace(before, sha256(weights)), encoding="utf-8")
    return copy


def curve(
    run: Path, package: Path, *, metrics: Sequence[str], frames: int | None
) -> Iterator[tuple[int, list[float]]]:
    """Yield samples and metrics of every stage."""
    from zoo.core.test_set import find_metric
    from zoo.evaluate.scoring import frozen_test_set, score_package
    from zoo.io.library import open_package
    from zoo.package.trained import kept_stages, read_trained

    test_set: Any = frozen_test_set(open_package(str(package)))
    if frames is not None:
        count = test_set.frames
        fewer = tuple(min(n, frames) for n in count) if isinstance(count, tuple) else 0
        test_set = test_set.override(frames=fewer or min(count, frames))
    for stage in kept_stages(read_trained(run)):
        if getattr(stage.objective, "phase", "network") != "network":
            continue
        with tempfile.TemporaryDirectory() as folder:
            copy = with_weights(package, stage.path, Path(folder) / package.name)
            found = score_package(copy, test_set, engine="keras")
        values = [find_metric(found, name) for name in metrics]
        yield stage.samples, [float("nan") if v is None else v for v in values]


def draw(path: Path, rows: Sequence[tuple[int, list[float]]], names: list[str]) -> None:
    """Draw every metric against the samples."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4 * len(names), 3.2), layout="constrained")
    samples = [count for count, _ in rows]
    for place, name in enumerate(names):
        axes = figure.add_subplot(1, len(names), place + 1)
        axes.plot(samples, [values[place] for _, values in rows], "o-")
        axes.set_title(name)
        axes.set_xlabel("training samples")
    figure.savefig(path, dpi=110)


def main() -> None:
    """Print, write and draw the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("run", type=Path)
    parser.add_argument("package", type=Path)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--metric", action="append", help="as in metrics.json")
    parser.add_argument("--frames", type=int, help="of each condition, at most")
    arguments = parser.parse_args()
    from zoo.package.trained import read_trained

    bounds = read_trained(arguments.run).recipe.acceptance
    names = arguments.metric or [bound.metric for bound in bounds]
    arguments.output.mkdir(parents=True, exist_ok=True)
    widths = (10, *(len(name) + 2 for name in names))
    common.print_machine("scores on the test set by samples of the training")
    common.print_row(("samples", *names), widths)
    rows: list[tuple[int, list[float]]] = []
    with (arguments.output / "curve.csv").open("w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["samples", *names])
        for samples, values in curve(
            arguments.run, arguments.package, metrics=names, frames=arguments.frames
        ):
            rows.append((samples, values))
            cells = [f"{value:.4g}" for value in values]
            writer.writerow([samples, *cells])
            common.print_row((samples, *cells), widths)
    if rows:
        draw(arguments.output / "curve.png", rows, names)


if __name__ == "__main__":
    main()
