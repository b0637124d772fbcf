"""What came out of a prediction."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from zoo.core.products import Product, Products


class Result(Products):
    """Products of a prediction, and how they came about.

    Parameters
    ----------
    products
        Tables and images; of those that went to files, only single images.
    report
        Everything worth knowing about how this came about.
    folder
        Where files were written, if they were.
    """

    def __init__(
        self,
        products: Iterable[Product] = (),
        *,
        report: dict[str, Any],
        folder: Path | None = None,
    ) -> None:
        super().__init__(products)
        self.report = report
        """Everything worth knowing about how this came about."""
        self.folder = folder
        """Where files were written, if they were."""

    def __repr__(self) -> str:
        names = ", ".join([*self.tables, *self.images]) or "in files"
        return f"<Result of {self.report['package']['name']}: {names}>"

    @property
    def task(self) -> str:
        """Kind of the package's task, such as ``density`` or ``image``."""
        return self.report["task"]

    @property
    def warnings(self) -> list[str]:
        """What a user should know, one line each; also in `report`."""
        return self.report["warnings"]

    @property
    def pixel_size_nm(self) -> float | None:
        """Edge of a pixel of the image along x; None if it is not known."""
        return self.report["output"].get("pixel_size_nm")

    @property
    def error_map(self) -> np.ndarray | None:
        """Where the image disagrees with the input, in the input's intensities.

        None if there is no such map: ``report["error_map"]`` says why.
        """
        image = self.images.get("error_map")
        return None if image is None else image.array


class Sink(Protocol):
    """Takes products as they come."""

    def take(self, product: Product) -> None:
        """Take a table, an image, or the next part of one."""
        ...


class Memory:
    """Keeps all products."""

    def __init__(self) -> None:
        self.products: list[Product] = []
        """What came, in order."""

    def take(self, product: Product) -> None:
        """Keep a product."""
        self.products.append(product)
