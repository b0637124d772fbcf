"""Which map tells errors of ANNA-PALM's images best: the classical one or the Q-net's.

Images of tables of 300 frames with a widefield image are compared with the widefield
image around every pixel, without a learnt network (`zoo.tasks.consistency`), by the
SQUIRREL error map, and through the consistency network that was trained along (the
paper's Q-net, `consistency.keras` beside the weights).  Every map is high where it sees
an error.  Printed are

*fine*, *coarse*: rank correlation of map and true error, over squares of 80 and of
320 nm; *beyond*: the coarse one that is left when the brightness of the image is known,
a partial correlation; *other*: that beside the widefield image of another field of the
same structure; *told*: how often the mean of the map, weighted by the widefield image,
is higher for the other field, 0.5 by chance;
*invented*, *missing*: how often the map is higher within a filament of 2 µm that was
added to the image, or within a disc of 0.4 µm that was blackened, than elsewhere.

    python benchmarks/consistency.py anna_palm_structures

The constants of the classical map were tried on the test sets and on fields of
``--seed 777``.  Constants of 0.2 or 0.3 find these errors a little better still, and
overlook dim structures.
"""

import argparse
import json
from collections.abc import Callable, Iterator
from itertools import product
from typing import Any, NamedTuple

import numpy as np
from common import print_row
from scipy.ndimage import gaussian_filter, zoom

from zoo.core.random import generator
from zoo.evaluate.scoring import frozen_test_set
from zoo.io.keras_network import load_network
from zoo.io.library import open_package
from zoo.losses_renderings import similarity_map
from zoo.metrics.reliability import elements, image_error, rank_correlation
from zoo.metrics.squirrel import error_map
from zoo.predict.predictor import Predictor
from zoo.simulate.renderings import SINGLE
from zoo.tasks.consistency import CONSTANTS, consistency, widest_px
from zoo.test_sets.renderings import HEADLINE, RenderingTestSet

BINNING = 4
"""Pixels of a rendering per pixel of the consistency network's output."""
COARSE = 4
"""Such pixels per edge of a square of about the resolution of a widefield image."""
FILAMENT_NM, DISC_NM = 2000.0, 400.0
"""Length of an invented filament, radius of what is blackened."""
OTHERS = 2
"""Widefield images of other fields that a field is shown with."""
COLUMNS = ("fine", "coarse", "beyond", "other", "told", "invented", "missing")
WIDTHS = (28, *[10] * len(COLUMNS))

Map = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Field(NamedTuple):
    """A field of a test set."""

    input: np.ndarray
    """(1, y, x, c) what the network takes."""
    truth: np.ndarray
    """(y, x) rendering of the whole acquisition."""
    structure: str
    """What carries the dyes."""

    @property
    def widefield(self) -> np.ndarray:
        """(y, x) widefield image."""
        return self.input[0, ..., 1]

    def beside(self, other: "Field") -> np.ndarray:
        """Return the input with the widefield image of another field."""
        changed = self.input.copy()
        changed[..., 1] = other.input[..., 1]
        return changed


class Picture(NamedTuple):
    """What a package makes of a field."""

    field: int
    """Number of the field."""
    beside: str
    """Whose widefield image it saw: that of the ``right`` field or of an ``other``."""
    widefield: np.ndarray
    """(y, x) that image."""
    image: np.ndarray
    """(y, x) its output."""
    error: np.ndarray | None
    """(y, x) absolute error; None without anything in common with the truth."""


def main() -> None:
    """Print a table, or JSON for programs."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("package", help="anna_palm_... package")
    parser.add_argument("--fields", type=int, help="fields; all of the test set")
    parser.add_argument("--seed", type=int, help="seed of the fields; the test set's")
    parser.add_argument("--plants", type=int, default=4, help="errors of a kind")
    parser.add_argument("--json", action="store_true", help="print JSON")
    chosen = parser.parse_args()

    package = open_package(chosen.package)
    test_set = frozen_test_set(package)
    if not isinstance(test_set, RenderingTestSet):
        parser.error(f"{package.name} is not tested on renderings")
    if chosen.fields is not None:
        test_set = test_set.override(fields=chosen.fields)
    if chosen.seed is not None:
        test_set = test_set.override(seed=chosen.seed)
    if test_set.fields < 2 * len(test_set.conditions.structures):
        parser.error("every structure needs two fields, one beside the other")
    fields = list(read_fields(test_set))
    predictor = Predictor(package, error_map=False)
    network = load_network(package.folder / "consistency.keras")
    largest_px = widest_px(predictor.contract)
    if largest_px is None:
        parser.error(f"{package.name} sees no widefield image")
    pictures = list(predicted(fields, predictor))
    pixel_nm = test_set.conditions.pixel_size_nm
    rows = {
        name: judged(each, pictures, pixel_nm, plants=chosen.plants)
        for name, each in maps(network, largest_px).items()
    }
    if chosen.json:
        print(json.dumps(rows, indent=2))
        return
    print(f"{package.name}, {len(fields)} fields, {HEADLINE} frames")
    print_row(("", *COLUMNS), WIDTHS)
    for name, row in rows.items():
        print_row((name, *(f"{row[column]:.3f}" for column in COLUMNS)), WIDTHS)


def read_fields(test_set: RenderingTestSet) -> Iterator[Field]:
    """Yield the fields of a test set with their widefield images."""
    wanted = test_set.override(levels=(max(test_set.levels),))
    for case in wanted.cases():
        if case.name.startswith("gaps"):  # no further fields
            return
        if case.name == f"widefield/{HEADLINE}":
            yield Field(case.input, case.truth, case.facts.structure)


def maps(network: Any, largest_px: float) -> dict[str, Map]:
    """Return the maps by name: of widefield and image, both (y, x)."""

    def seen(image: np.ndarray) -> np.ndarray:
        return np.asarray(network(image[None, ..., None].astype(np.float32)))[0, ..., 0]

    def unlike(
        widefield: np.ndarray,
        image: np.ndarray,
        constants: tuple[float, float] = CONSTANTS,
    ) -> np.ndarray:
        match = error_map(widefield, image, largest_fwhm_px=largest_px)
        alike, _ = consistency(
            widefield,
            image,
            sigma_px=match.sigma_px,
            gain=match.gain,
            offset=match.offset,
            constants=constants,
        )
        return binned(1.0 - alike)

    def squirrel(widefield: np.ndarray, image: np.ndarray) -> np.ndarray:
        return binned(error_map(widefield, image, largest_fwhm_px=largest_px).error)

    def similarity(widefield: np.ndarray, image: np.ndarray) -> np.ndarray:
        pair = (a.astype(np.float32) for a in (binned(widefield), seen(image)))
        one, other = (a[None, ..., None] for a in pair)
        return 1.0 - np.asarray(similarity_map(one, other))[0, ..., 0]

    def published(widefield: np.ndarray, image: np.ndarray) -> np.ndarray:
        return similarity(widefield, image) * (seen(image) + binned(widefield))

    def matched(widefield: np.ndarray, image: np.ndarray) -> np.ndarray:
        fine = zoom(seen(image), BINNING, order=1, mode="grid-mirror", grid_mode=True)
        return unlike(widefield, fine)

    def brightness(widefield: np.ndarray, image: np.ndarray) -> np.ndarray:
        del widefield
        return binned(image)

    return {
        "classical": unlike,
        "with K of 0.01 and 0.03": lambda w, i: unlike(w, i, (0.01, 0.03)),
        "SQUIRREL": squirrel,
        "Q-net, as published": published,
        "Q-net, its similarity": similarity,
        "Q-net in the classical map": matched,
        "brightness": brightness,
    }


def predicted(fields: list[Field], predictor: Predictor) -> Iterator[Picture]:
    """Yield what the package makes of each field, and beside others' widefield."""
    for number, field in enumerate(fields):
        others = [
            other
            for n, other in enumerate(fields)
            if other.structure == field.structure and n != number
        ]
        for other in (None, *others[:OTHERS]):
            inputs = field.input if other is None else field.beside(other)
            image = np.asarray(predictor.predict(inputs).image)
            yield Picture(
                number,
                "right" if other is None else "other",
                inputs[0, ..., 1],
                image,
                image_error(image, field.truth),
            )


def judged(
    unlike: Map, pictures: list[Picture], pixel_nm: float, *, plants: int
) -> dict[str, float]:
    """Return what a map is worth, averaged over pictures."""
    found: dict[str, list[float]] = {column: [] for column in COLUMNS}
    means: dict[str, list[float]] = {"right": [], "other": []}
    for picture in pictures:
        values = unlike(picture.widefield, picture.image)
        light = binned(picture.widefield)
        means[picture.beside].append(float(np.average(values, weights=light)))
        if picture.error is not None:
            ranks = correlations(values, picture.error, picture.image)
            kept = {"other": ranks["beyond"]} if picture.beside == "other" else ranks
            for name, rank in kept.items():
                found[name].append(rank)
        if picture.beside == "other":
            continue
        rng = generator(17, picture.field)
        for _ in range(plants):
            for kind, plant in (("invented", invented), ("missing", missing)):
                changed, where = plant(rng, picture.image, pixel_nm)
                seen = unlike(picture.widefield, changed)
                found[kind].append(higher(seen[where], seen[~where]))
    pairs = list(product(means["other"], means["right"]))
    found["told"] = [float(other > right) for other, right in pairs]
    return {name: round(float(np.mean(values)), 4) for name, values in found.items()}


def correlations(
    values: np.ndarray, error: np.ndarray, image: np.ndarray
) -> dict[str, float]:
    """Return how a map on 80 nm, and the true error, rank the places of an image."""
    wide = means_over(values, COARSE)
    errors = elements(error, edge_px=BINNING * COARSE)
    light = means_over(image, BINNING * COARSE)
    plain = rank_correlation(wide, errors)
    one, other = rank_correlation(wide, light), rank_correlation(errors, light)
    left = np.sqrt(max((1 - one**2) * (1 - other**2), 0.0))
    return {
        "fine": rank_correlation(values, elements(error, edge_px=BINNING)),
        "coarse": plain,
        "beyond": (plain - one * other) / left if left > 1e-6 else 0.0,
    }


def invented(
    rng: np.random.Generator, image: np.ndarray, pixel_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with a straight filament, and the squares where it lies."""
    half = FILAMENT_NM / pixel_nm / 2
    size = np.array(image.shape)
    centre, angle = rng.uniform(0.25, 0.75, 2) * size, rng.uniform(0, np.pi)
    y, x = (np.arange(n) - c for n, c in zip(size, centre, strict=True))
    along = np.cos(angle) * x + np.sin(angle) * y[:, None]
    across = np.cos(angle) * y[:, None] - np.sin(angle) * x
    near = np.hypot(np.maximum(np.abs(along) - half, 0), across)
    line = SINGLE * np.exp(-0.5 * near**2)
    return np.maximum(image, line), binned(near < BINNING) > 0.5


def missing(
    rng: np.random.Generator, image: np.ndarray, pixel_nm: float
) -> tuple[np.ndarray, np.ndarray]:
    """Return the image with a black disc where it is bright, and the squares there."""
    radius = DISC_NM / pixel_nm
    light = gaussian_filter(image, radius / 2)
    edge = int(2 * radius)
    inner = np.zeros(image.shape, bool)
    inner[edge:-edge, edge:-edge] = True
    bright = np.argwhere(inner & (light >= np.percentile(light[inner], 90)))
    row, column = bright[int(rng.integers(len(bright)))]
    y, x = np.mgrid[: image.shape[0], : image.shape[1]]
    disc = np.hypot(y - row, x - column) < radius
    return np.where(disc, 0.0, image), binned(disc) > 0.5


def binned(image: np.ndarray) -> np.ndarray:
    """Return means over squares of 80 nm."""
    return means_over(image, BINNING)


def means_over(image: np.ndarray, edge: int) -> np.ndarray:
    """Return means over squares of so many pixels."""
    height, width = (n // edge for n in image.shape)
    part = np.asarray(image[: height * edge, : width * edge], float)
    return part.reshape(height, edge, width, edge).mean(axis=(1, 3))


def higher(first: np.ndarray, second: np.ndarray) -> float:
    """Return the share of pairs whose first value is higher: the area under the ROC."""
    order = np.sort(second)
    below = np.searchsorted(order, first, "left") + np.searchsorted(
        order, first, "right"
    )
    return float(below.mean() / (2 * len(second)))


if __name__ == "__main__":
    main()
