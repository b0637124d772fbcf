"""What a training on own pairs does for held-out images: pictures, and a comparison."""

from collections.abc import Mapping
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from zoo.core.files import new_folder, replacing, write_json
from zoo.core.grid import Grid
from zoo.metrics.baselines import bicubic
from zoo.metrics.comparison import means, similarity
from zoo.simulate.measured_images import numbers_of, read_manifest, read_pair

BEFORE = "before"
"""Folder of a run with what the network made of held-out images at the start."""
PICTURES = "validation"
"""Folder of a run with a picture for every epoch."""
COMPARISON = "comparison.json"
"""File of a run that compares held-out images before and after."""
TILES_PX = (256, 512)
"""Edge of the tiles that a network of any size judges held-out images in, px; the
larger one where it sees far."""
OVERLAP_PX = 32
"""Overlap of neighbouring tiles, px, at least; each gives its half."""
SHOWN_PX = 128
"""Edge of the part of a held-out image that pictures show, input px."""
METRICS = ("psnr", "ssim", "nrmse")
"""What is compared, after the affine match of least squares."""

Scores = dict[str, float]
Comparison = dict[str, Any]


class Judge:
    """Judges a network on the held-out images of its own pairs.

    Parameters
    ----------
    pairs
        Folder of registered pairs.
    run_folder
        Receives pictures and comparison.
    grid
        Grid of the network.
    fixed_px
        Edge of the only tile that the network takes while it is trained, px; None if
        it takes any.
    """

    def __init__(
        self, pairs: Path, run_folder: Path, grid: Grid, *, fixed_px: int | None
    ) -> None:
        self._pairs, self._run, self._grid = pairs, run_folder, grid
        halo = grid.axes["x"].halo or 0
        self._fixed_px = fixed_px
        self._tile_px = fixed_px or TILES_PX[halo > OVERLAP_PX]
        self._overlap_px = min(max(2 * halo, OVERLAP_PX), self._tile_px // 2)
        self._numbers = numbers_of(pairs, "held_out")

    def begin(self, network: Any) -> None:
        """Remember what the network makes of held-out images before it is trained."""
        folder = self._run / BEFORE
        if folder.exists():  # of a run that is resumed
            return
        with new_folder(folder) as part:
            for number in self._numbers:
                image = read_pair(self._pairs, number).input
                np.save(part / f"{number:05d}.npy", self.predict(network, image))

    def epoch(self, number: int, network: Any) -> Path:
        """Draw a held-out image before training and now, beside input and target."""
        shown = self._numbers[0]
        image, target = read_pair(self._pairs, shown)
        rows, columns = self._brightest_part(target)
        now = self.predict(network, np.asarray(image[rows[0], columns[0]]))
        before = self._before(shown)[rows[1], columns[1]]
        aim = np.asarray(target[rows[1], columns[1]])
        path = self._run / PICTURES / f"epoch-{number:04d}.png"
        path.parent.mkdir(exist_ok=True)
        write_picture(
            path,
            {
                "input": image[rows[0], columns[0]],
                "before": before,
                f"epoch {number}": now,
                "target": aim,
            },
            aim,
        )
        return path

    def end(self, network: Any) -> Comparison:
        """Compare all held-out images before and after; return the means and write all.

        ``bicubic`` is the enlarged input, for networks of one channel.
        """
        names = read_manifest(self._pairs)["pairs"]
        rows: list[dict[str, Any]] = []
        for number in self._numbers:
            image, target = read_pair(self._pairs, number)
            images = {
                "before": self._before(number),
                "after": self.predict(network, image),
            }
            if image.shape[-1] == target.shape[-1]:
                enlarged = bicubic(np.moveaxis(image, -1, 0), self._grid.scale("x"))
                images["bicubic"] = np.moveaxis(enlarged, 0, -1)
            scores = {name: score(one, target) for name, one in images.items()}
            rows.append({"name": names[number]["name"], **scores})
        kinds = [kind for kind in rows[0] if kind != "name"]
        mean = {kind: means([row[kind] for row in rows]) for kind in kinds}
        found = {
            "images": len(rows),
            **mean,
            "better": sum(r["after"]["psnr"] > r["before"]["psnr"] for r in rows),
        }
        told: Comparison = _finite(found)
        write_json(self._run / COMPARISON, {"mean": told, "each": _finite(rows)})
        return told

    def predict(self, network: Any, image: np.ndarray) -> np.ndarray:
        """Return what a network makes of an image of any size, tile by tile.

        Parameters
        ----------
        network
            Keras model of a batch of tiles.
        image : (y, x, c)
            Scaled as the network takes it.

        Returns
        -------
        output : (sy, sx, c) float32
        """
        scale = self._grid.scale("x")
        height, width = image.shape[:2]
        output: np.ndarray | None = None
        tiles = [spans(n, self._tile_px, self._overlap_px) for n in (height, width)]
        for y in tiles[0]:
            for x in tiles[1]:
                tile = np.asarray(image[y[0] : y[1], x[0] : x[1]], np.float32)
                found = np.asarray(network.predict_on_batch(tile[None]))[0]
                if output is None:
                    shape = (scale * height, scale * width, found.shape[-1])
                    output = np.empty(shape, np.float32)
                to, cut = (
                    tuple(
                        slice(scale * (keep[0] - first), scale * (keep[1] - first))
                        for keep, first in zip((y[2:], x[2:]), start, strict=True)
                    )
                    for start in ((0, 0), (y[0], x[0]))
                )
                output[to] = found[cut]
        if output is None:
            raise ValueError(f"an image of {height} x {width} px has no tiles")
        return output

    def _before(self, number: int) -> np.ndarray:
        return np.load(self._run / BEFORE / f"{number:05d}.npy", mmap_mode="r")

    def _brightest_part(self, target: np.ndarray) -> tuple[list[slice], list[slice]]:
        """Return rows and columns of the part to show, in input and target."""
        scale = self._grid.scale("x")
        edge = self._fixed_px or SHOWN_PX
        grey = np.asarray(target.mean(axis=-1))
        found: list[list[slice]] = []
        for axis in (0, 1):
            size = grey.shape[axis] // scale
            length = min(edge, size)
            profile = grey.sum(axis=1 - axis).reshape(size, scale).sum(axis=1)
            sums = np.convolve(profile, np.ones(length), mode="valid")
            step = self._grid.axes["yx"[axis]].step
            first = int(np.argmax(sums))
            length -= length % step
            found.append([slice(s * first, s * (first + length)) for s in (1, scale)])
        return found[0], found[1]


def spans(length: int, tile: int, overlap: int) -> list[tuple[int, int, int, int]]:
    """Cut a length into tiles that overlap by so much, or more.

    Returns
    -------
    spans
        Begin and end of every tile, and begin and end of the part that it gives.

    Examples
    --------
    >>> spans(300, 128, 32)
    [(0, 128, 0, 107), (86, 214, 107, 193), (172, 300, 193, 300)]
    """
    if length <= tile:
        return [(0, length, 0, length)]
    count = -(-(length - overlap) // (tile - overlap))
    starts = [int(s) for s in np.linspace(0, length - tile, count).round()]
    middles = [(one + tile + other) // 2 for one, other in pairwise(starts)]
    edges = [0, *middles, length]
    return [(s, s + tile, edges[n], edges[n + 1]) for n, s in enumerate(starts)]


def score(image: np.ndarray, target: np.ndarray) -> Scores:
    """Compare an image (y, x, c) with its target, channel by channel; return means."""
    rows = [
        similarity(image[..., channel], target[..., channel])
        for channel in range(target.shape[-1])
        if np.ptp(target[..., channel]) > 0
    ]
    return {name: means(rows).get(name, float("nan")) for name in METRICS}


def write_picture(
    path: Path, images: Mapping[str, np.ndarray], target: np.ndarray
) -> None:
    """Write images of one field side by side, on the grid of the finest.

    Parameters
    ----------
    path
        PNG to write.
    images
        (y, x, c) by title; shown is the mean of the channels.
    target
        What the second and third are compared with.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(images), 3.5), dpi=100, layout="constrained")
    FigureCanvasAgg(figure)
    panels: Any = figure.subplots(1, len(images), squeeze=False)
    for axes, (title, image) in zip(panels.flat, images.items(), strict=True):
        grey = np.asarray(image).mean(axis=-1)
        low, high = np.percentile(grey, (0.5, 99.8))
        axes.imshow(
            grey,
            cmap="gray",
            vmin=low,
            vmax=max(high, low + 1e-6),
            interpolation="nearest",
        )
        if image.shape == target.shape and image is not target and np.ptp(target) > 0:
            title = f"{title}, {score(image, target)['psnr']:.1f} dB"
        axes.set_title(title, fontsize=10)
        axes.set_axis_off()
    with replacing(path) as part:
        figure.savefig(part, format="png", metadata={"Software": None})


def describe(found: Comparison | None) -> list[str]:
    """Return a comparison in lines for a reader; none of a training without one."""
    if found is None:
        return []
    words = {
        "before": "before fine-tuning",
        "after": "after fine-tuning",
        "bicubic": "input, enlarged",
    }
    lines = [f"{found['images']} held-out images, means after an affine match:"]
    for kind, title in words.items():
        if kind in found:
            values = found[kind]
            lines.append(
                f"  {title:<19} PSNR {values['psnr']:6.2f} dB   SSIM "
                f"{values['ssim']:.3f}   NRMSE {values['nrmse']:.3f}"
            )
    gain = found["after"]["psnr"] - found["before"]["psnr"]
    lines.append(
        f"  {gain:+.2f} dB; better on {found['better']} of {found['images']} images"
    )
    return lines


def _finite(value: Any) -> Any:
    """Replace numbers that JSON does not have by None."""
    if isinstance(value, dict):
        return {key: _finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_finite(inner) for inner in value]
    return None if isinstance(value, float) and not np.isfinite(value) else value
