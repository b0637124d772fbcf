"""What came out of a prediction."""

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from zoo.core.errors import BadInput
from zoo.core.extras import missing
from zoo.core.files import new_folder, write_json
from zoo.core.products import Movie, Panel, Product, Products, Table
from zoo.predict.writing import PREVIEW, REPORT, FolderWriter, result_files

if TYPE_CHECKING:
    from matplotlib.figure import Figure


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
    panels
        Input and outcome as `plot` shows them.
    input_pixel_nm
        Edge of a pixel of the first panel; None if it is not known.
    """

    def __init__(
        self,
        products: Iterable[Product] = (),
        *,
        report: dict[str, Any],
        folder: Path | None = None,
        panels: Sequence[Panel] = (),
        input_pixel_nm: float | None = None,
    ) -> None:
        products = list(products)
        super().__init__(products)
        self.report = report
        """Everything worth knowing about how this came about."""
        self.folder = folder
        """Where files were written, if they were."""
        self._panels, self._input_pixel_nm = panels, input_pixel_nm
        tables = [product for product in products if isinstance(product, Table)]
        self._movies: dict[str, Movie | None] = {t.name: t.movie for t in tables}

    def __repr__(self) -> str:
        return f"<Result of {self.report['package']['name']}: {self._contents()}>"

    def _repr_html_(self) -> str:
        """Return the images, what there is and the warnings, for notebooks."""
        name = escape(str(self.report["package"]["name"]))
        parts = [f"<p><b>{name}</b>: {escape(self._contents())}</p>"]
        if self._panels:
            parts.append(f'<img alt="input and result" src="{self._png()}">')
        warnings = "".join(f"<li>{escape(text)}</li>" for text in self.warnings)
        parts += [f"<p>Warnings:</p><ul>{warnings}</ul>"] if warnings else []
        return "\n".join(parts)

    def _contents(self) -> str:
        """Return what there is in a few words, such as ``12 localizations``."""
        words = [f"{len(table):,} {name}" for name, table in self.tables.items()]
        for name, image in self.images.items():
            words.append(f"{name} {' x '.join(map(str, image.array.shape))}")
        if self.folder is not None:
            words.append(f"files in {self.folder}")
        return ", ".join(words)

    def _png(self) -> str:
        """Return the panels as an address that holds the image itself."""
        from base64 import b64encode
        from io import BytesIO

        from zoo.predict.preview import write_preview

        stream = BytesIO()
        write_preview(stream, self._panels, pixel_size_nm=self._input_pixel_nm)
        return f"data:image/png;base64,{b64encode(stream.getvalue()).decode()}"

    def plot(self) -> "Figure":
        """Draw input and outcome side by side, as in ``preview.png``.

        Returns
        -------
        figure : matplotlib.figure.Figure
            Notebooks show it; ``savefig`` writes it.

        Raises
        ------
        BadInput
            If there is nothing to draw.
        """
        from zoo.predict.preview import draw_preview

        if not self._panels:
            raise BadInput("this result has no panels; a prediction's has")
        return draw_preview(self._panels, pixel_size_nm=self._input_pixel_nm)

    def to_pandas(self, name: str = "localizations") -> Any:
        """Return a table as a data frame, its columns named as in the file.

        Parameters
        ----------
        name
            Name of the table.

        Returns
        -------
        pandas.DataFrame

        Raises
        ------
        BadInput
            If there is no such table in memory.
        MissingExtra
            If pandas is not installed.
        """
        from zoo.io.tables import COLUMNS, read_localizations

        table = self.tables.get(name)
        if table is None and self.folder is not None:
            path = self.folder / f"{name}.csv"
            table = read_localizations(path) if path.is_file() else None
        if table is None:
            raise BadInput(
                f"the result of {self.report['package']['name']} has no table {name}"
            )
        try:
            import pandas as pd
        except ModuleNotFoundError as error:
            extra = missing(error.name)
            raise (error if extra is None else extra) from error
        names = [column for column in COLUMNS if column in table.columns]
        return pd.DataFrame({COLUMNS[c].header: getattr(table, c) for c in names})

    def save(self, directory: str | Path, *, overwrite: bool = False) -> Path:
        """Write what `Predictor.predict_to_folder` would have written.

        Parameters
        ----------
        directory
            Folder for the results.
        overwrite
            Whether results in an existing folder may be replaced.

        Returns
        -------
        directory : Path

        Raises
        ------
        BadInput
            If the folder exists and may not be replaced, or the results went to
            another folder already.
        """
        from zoo.predict.preview import write_preview

        if self.folder is not None:
            raise BadInput(f"the results are in {self.folder} already; copy the folder")
        target = Path(directory)
        replaces = result_files(target) if overwrite else None
        with new_folder(target, replaces=replaces) as part, FolderWriter(part) as files:
            for name, table in self.tables.items():
                files.take(Table(name, table, self._movies.get(name)))
            for image in self.images.values():
                files.take(image)
            files.finish()
            if self._panels:
                pixel_nm = self._input_pixel_nm
                write_preview(part / PREVIEW, self._panels, pixel_size_nm=pixel_nm)
            write_json(part / REPORT, self.report)
        return target

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
