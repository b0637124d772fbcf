"""Cards of packages: the README, and the description for programs; no framework."""

from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.errors import BadPackage
from zoo.core.formats import short_name
from zoo.core.names import label
from zoo.core.test_set import group_tables
from zoo.io import library
from zoo.io.package import Package, cards_folder

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table


def rows() -> list[dict[str, Any]]:
    """Return one row per package: name, task, parameters, formats and weights.

    ``weights`` is the place where they are now, or ``download`` if they have to be
    fetched first.
    """
    return [_row(name, library.read_card(name)) for name in library.package_names()]


def listing(rows: list[dict[str, Any]]) -> "Table":
    """Lay rows out as a table, one line per package."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("name", "task", "parameters", "formats", "weights"):
        justify = "right" if name == "parameters" else "left"
        table.add_column(name.upper(), justify=justify, no_wrap=True)
    for row in rows:
        table.add_row(*_texts(row).values())
    return table


def card(name_or_path: str) -> dict[str, Any]:
    """Return what there is to know about a package, ready for JSON.

    ``contract`` holds input and output: axes, sizes, scale and processing; None where
    the package of another program is none that this one could run.

    Parameters
    ----------
    name_or_path
        A package of this zoo by name, or any bioimage.io folder, zip or address.

    Raises
    ------
    UnknownPackage
        If there is no such package; lists those that resemble it.
    BadPackage
        If a package of this zoo breaks its own rules, or a description is not of the
        form that its format prescribes.
    """
    package = _package(name_or_path)
    with _well_formed(package):
        return _card(package)


def _card(package: Package) -> dict[str, Any]:
    from zoo.predict.contract import read_contract

    rdf, section = package.rdf, package.zoo
    try:
        contract = read_contract(package).model_dump(mode="json")
    except BadPackage:
        if section:
            raise
        contract = None
    return _row(package.name, rdf) | {
        "title": rdf["name"],
        "summary": rdf.get("description", ""),
        "network": section.get("network"),
        "published_architecture": section.get("published_architecture"),
        "contract": contract,
        "training": (contract or {}).get("training", {}),
        "run": section.get("run", {}),
        "scores": section.get("evaluations", {}),
        "bounds": section.get("bounds"),
        "licence": rdf.get("license"),
        "citation": [
            {key: entry[key] for key in ("text", "doi", "url") if entry.get(key)}
            for entry in rdf.get("cite", [])
        ],
    }


def describe(name_or_path: str) -> "Group":
    """Lay a card out: a few facts, then the README of the package.

    Training conditions and scores follow where the README does not have them.

    Raises
    ------
    UnknownPackage
        If there is no such package; lists those that resemble it.
    BadPackage
        If its description is not of the form that its format prescribes.
    """
    package = _package(name_or_path)
    with _well_formed(package):
        return _described(package)


@contextmanager
def _well_formed(package: Package) -> Generator[None]:
    """Say in one line that a description holds something else than it should."""
    try:
        yield
    except (AttributeError, LookupError, TypeError, ValueError) as error:
        raise BadPackage(
            f"the description of {package.name} in {package.folder} is not of the form "
            f"that its format prescribes; get the package again ({error})"
        ) from error


def _described(package: Package) -> "Group":
    from rich.console import Group
    from rich.table import Table

    from zoo.evaluate.report import layout

    rdf, section = package.rdf, package.zoo
    text = package.documentation()
    facts = Table(box=None, show_header=False, pad_edge=False)
    for words in _facts(package):
        facts.add_row(*map(str, words))
    parts: list[Any] = [_markdown(text or f"# {rdf['name']}"), "", facts]
    conditions = (section.get("contract") or {}).get("training") or {}
    if conditions and "generated:training" not in text:
        table = Table("training condition", "range", box=None, pad_edge=False)
        for name, bounds in conditions.items():
            words, unit = label(name)
            table.add_row(words, f"{_span(bounds)} {unit}".strip())
        parts += ["", table]
    if section.get("evaluations") and "generated:scores" not in text:
        parts += ["", layout(group_tables(section["evaluations"]))]
    return Group(*parts)


def _package(name_or_path: str) -> Package:
    if name_or_path in library.package_names():  # its weights may be elsewhere
        return Package(cards_folder() / name_or_path, name_or_path)
    return library.open_package(name_or_path)


def _row(name: str, rdf: Mapping[str, Any]) -> dict[str, Any]:
    section: Mapping[str, Any] = (rdf.get("config") or {}).get("superres_zoo") or {}
    task = (section.get("contract") or {}).get("task") or {}
    where = library.locate(name) if name in library.package_names() else Path(name)
    return {
        "name": name,
        "task": task.get("kind", "image"),
        "parameters": section.get("parameters"),
        "formats": [short_name(entry) for entry in rdf.get("weights") or {}],
        "weights": "download" if where is None else str(where),
    }


def _texts(row: Mapping[str, Any]) -> dict[str, str]:
    parameters = row["parameters"]
    return {
        **{name: str(value) for name, value in row.items()},
        "parameters": "" if parameters is None else f"{parameters:,}",
        "formats": " ".join(row["formats"]),
    }


def _facts(package: Package) -> Iterator[tuple[str, str]]:
    """Yield what a reader of the README does not learn from it."""
    rdf, section = package.rdf, package.zoo
    yield "package", package.name
    yield "summary", " ".join(str(rdf.get("description", "")).split())
    if section:
        published = section.get("published_architecture")
        yield "task", _row(package.name, rdf)["task"]
        yield (
            "network",
            f"{section.get('network')}, "
            + ("" if published else "an architecture of this zoo, not ")
            + "the published one",
        )
        yield "parameters", f"{section.get('parameters', 0):,} trainable"
        run = section.get("run") or {}
        if run.get("budget"):
            samples = f", {run['samples']:,} samples" if "samples" in run else ""
            yield "training", f"budget {run['budget']}{samples}"
    for line in package.shortfall:
        yield "attention", line
    yield "weights", " ".join(_row(package.name, rdf)["formats"])
    yield "licence", str(rdf.get("license") or "not stated")
    for entry in rdf.get("cite", []):
        where = f"doi:{entry['doi']}" if entry.get("doi") else entry.get("url", "")
        yield "cite", f"{entry.get('text', '')} {where}".strip()


def _span(bounds: tuple[float, float]) -> str:
    low, high = bounds
    return f"{low:g}" if low == high else f"{low:g}–{high:g}"


def _markdown(text: str) -> Any:
    """Return a README as `rich` draws it; wide tables lie on their side."""
    from rich.box import SIMPLE
    from rich.markdown import Markdown, TableElement
    from rich.measure import Measurement
    from rich.table import Table

    class Turning(TableElement):
        def __rich_console__(self, console: Any, options: Any) -> Iterator[Any]:
            head = self.header.row if self.header else None
            body = self.body.rows if self.body else []
            cells = [[c.content for c in row.cells] for row in (head, *body) if row]
            tables: list[Table] = []
            for lines in (cells, list(zip(*cells, strict=True))):
                table = Table(box=SIMPLE, pad_edge=False)
                for words in lines[0]:
                    table.add_column(words)
                for line in lines[1:]:
                    table.add_row(*line)
                tables.append(table)
            free = options.update(max_width=10_000)
            width = Measurement.get(console, free, tables[0]).maximum
            yield tables[width > options.max_width and len(cells) < len(cells[0])]

    class Readme(Markdown):
        elements = Markdown.elements | {"table_open": Turning}

    return Readme(without_comments(text))


def without_comments(text: str) -> str:
    r"""Return Markdown without its comments, in time proportional to the text.

    Examples
    --------
    >>> without_comments("a\n<!-- b\nc -->\nd <!-- e")
    'a\nd <!-- e'
    """
    parts: list[str] = []
    position = 0
    while (start := text.find("<!--", position)) >= 0:
        end = text.find("-->", start + 4)
        if end < 0:
            break
        parts.append(text[position:start])
        position = end + 3
        position += text.startswith("\n", position)
    return "".join([*parts, text[position:]])
