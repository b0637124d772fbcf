"""Cards of packages, read from their descriptions alone: no framework, no weights."""

import json
import re
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

from zoo.io import packages

SHORT: dict[str, str] = {
    "keras_v3": "keras",
    "onnx": "onnx",
    "tensorflow_saved_model_bundle": "saved_model",
}
"""Weights entries as the command line calls them."""

_MARKER = re.compile(r"<!--.*?-->", re.DOTALL)
_PURPOSE = ("intended use", "not for", "limits")
_WIDTH = 88
_UNITS = (
    ("_per_um2", "/µm²"),
    ("_nm", "nm"),
    ("_um", "µm"),
    ("_px", "px"),
    ("_rad", "rad"),
    ("photons", "photons"),
)


def rows() -> list[dict[str, Any]]:
    """Return one row per package: name, task, parameters, formats and weights.

    ``weights`` is the place where they are now, or ``download`` if they have to be
    fetched first.
    """
    found = []
    for name in packages.package_names():
        rdf = packages.read_card(name)
        section = _section(rdf)
        where = packages.locate(name)
        found.append(
            {
                "name": name,
                "task": section.get("task", ""),
                "parameters": section.get("parameters"),
                "formats": _formats(rdf),
                "weights": "download" if where is None else str(where),
            }
        )
    return found


def listing(rows: list[dict[str, Any]]) -> str:
    """Lay rows out as aligned text, one line per package."""
    if not rows:
        return "no packages; a checkout has them in specs/"
    cells = [["NAME", "TASK", "PARAMETERS", "FORMATS", "WEIGHTS"]]
    for row in rows:
        parameters = row["parameters"]
        cells.append(
            [
                row["name"],
                row["task"],
                "" if parameters is None else f"{parameters:,}",
                " ".join(row["formats"]),
                row["weights"],
            ]
        )
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    align: list[Callable[[str, int], str]] = [str.ljust] * len(widths)
    align[2] = str.rjust
    return "\n".join(
        "  ".join(f(c, w) for f, c, w in zip(align, line, widths, strict=True)).rstrip()
        for line in cells
    )


def card(name_or_path: str) -> dict[str, Any]:
    """Return what there is to know about a package, ready for JSON.

    Parameters
    ----------
    name_or_path
        A package of this zoo by name, or any bioimage.io folder, zip or address.

    Raises
    ------
    UnknownPackage
        If there is no such package; lists those that resemble it.
    """
    rdf, folder = _description(name_or_path)
    section = _section(rdf)
    return {
        "name": str(name_or_path) if not section else rdf.get("id", rdf["name"]),
        "title": rdf["name"],
        "summary": rdf.get("description", ""),
        "purpose": _purpose(folder, rdf),
        "network": section.get("network"),
        "published_architecture": section.get("published_architecture"),
        "task": section.get("task", "image"),
        "parameters": section.get("parameters"),
        "input": [_tensor(tensor) for tensor in rdf.get("inputs", [])],
        "output": [_tensor(tensor) for tensor in rdf.get("outputs", [])],
        "scale": section.get("scale"),
        "training": section.get("training", {}),
        "run": section.get("run", {}),
        "scores": _scores(folder, section),
        "formats": _formats(rdf),
        "licence": rdf.get("license"),
        "citation": [
            {key: entry[key] for key in ("text", "doi", "url") if entry.get(key)}
            for entry in rdf.get("cite", [])
        ],
    }


def describe(card: dict[str, Any]) -> str:
    """Lay a card out as text."""
    from zoo.evaluate.report import table
    from zoo.evaluate.summary import headlines

    lines = [f"{card['name']}: {card['title']}", *_wrap(card["summary"])]
    for heading, text in card["purpose"].items():
        lines += ["", heading, *_wrap(text, indent="  ")]
    for kind in ("input", "output"):
        lines += ["", kind.capitalize()]
        lines += [f"  {_tensor_line(tensor)}" for tensor in card[kind]]
    if card["scale"] and card["scale"] > 1:
        lines.append(f"  {card['scale']} output pixels per input pixel along y and x")
    if card["training"]:
        lines += ["", "Trained on"]
        width = max(len(_unit(name)[0]) for name in card["training"])
        lines += [
            f"  {_unit(name)[0]:<{width}}  {_span(bounds)} {_unit(name)[1]}".rstrip()
            for name, bounds in card["training"].items()
        ]
    if card["scores"]:
        lines += ["", "Scores on the frozen test set"]
        shown = table(headlines(card["scores"]))
        lines += textwrap.indent(shown, "  ").splitlines()
    lines += ["", "Network", *_wrap(_network_line(card), indent="  ")]
    lines += ["", "Citation"]
    for entry in card["citation"]:
        where = f"doi:{entry['doi']}" if "doi" in entry else entry.get("url", "")
        lines += _wrap(f"{entry.get('text', '')} {where}".strip(), indent="  ")
    return "\n".join(lines)


def _description(name_or_path: str) -> tuple[dict[str, Any], Path]:
    if name_or_path in packages.package_names():
        return (
            packages.read_card(name_or_path),
            packages.cards_folder() / name_or_path,
        )
    package = packages.open_package(name_or_path)
    return package.rdf, package.folder


def _section(rdf: dict[str, Any]) -> dict[str, Any]:
    return (rdf.get("config") or {}).get("superres_zoo") or {}


def _formats(rdf: dict[str, Any]) -> list[str]:
    entries: dict[str, Any] = rdf.get("weights") or {}
    return [SHORT.get(entry, entry) for entry in entries]


def _scores(folder: Path, section: dict[str, Any]) -> dict[str, Any]:
    path = folder / "metrics.json"
    if path.is_file():
        return json.loads(path.read_text(encoding="utf-8"))
    return section.get("evaluations", {})


def _purpose(folder: Path, rdf: dict[str, Any]) -> dict[str, str]:
    """Return the sections of the README that say what a package is for and not for."""
    path = folder / str(rdf.get("documentation") or "README.md")
    if not path.is_file():
        return {}
    found: dict[str, str] = {}
    heading = ""
    for line in _MARKER.sub("", path.read_text(encoding="utf-8")).splitlines():
        if line.startswith("#"):
            heading = line.lstrip("#").strip()
        elif heading.lower() in _PURPOSE:
            found[heading] = f"{found.get(heading, '')}\n{line}"
    return {name: text.strip() for name, text in found.items() if text.strip()}


def _tensor(tensor: dict[str, Any]) -> dict[str, Any]:
    axes = tensor.get("axes", [])
    if isinstance(axes, str):  # format 0.4
        ids = list(axes)
        sizes: dict[str, Any] = {}
    else:
        ids = [axis.get("id", axis.get("type", "")) for axis in axes]
        sizes = {
            axis["id"]: axis["size"]
            for axis in axes
            if isinstance(axis.get("size"), int)
        }
    data = tensor.get("data") or {}
    dtype = data.get("type") if isinstance(data, dict) else None
    return {
        "axes": ids,
        "sizes": sizes,
        "dtype": dtype or tensor.get("data_type", "float32"),
        "description": tensor.get("description", ""),
    }


def _tensor_line(tensor: dict[str, Any]) -> str:
    axes = ", ".join(
        f"{axis} {tensor['sizes'][axis]}" if axis in tensor["sizes"] else axis
        for axis in tensor["axes"]
    )
    text = tensor["description"]
    return f"({axes}) {tensor['dtype']}{': ' if text else ''}{text}"


def _network_line(card: dict[str, Any]) -> str:
    parts = [card["network"] or "unnamed network"]
    if card["parameters"] is not None:
        parts.append(f"{card['parameters']:,} trainable parameters")
    if card["published_architecture"] is not None:
        own = "an architecture of this zoo, not the published one"
        published = "the published architecture"
        parts.append(published if card["published_architecture"] else own)
    run = card["run"]
    if run.get("budget"):
        samples = f", {run['samples']:,} samples" if "samples" in run else ""
        parts.append(f"trained with the budget {run['budget']}{samples}")
    if card["formats"]:
        parts.append(f"weights as {', '.join(card['formats'])}")
    if card["licence"]:
        parts.append(f"licence {card['licence']}")
    return "; ".join(parts)


def _unit(name: str) -> tuple[str, str]:
    """Split a field's name into words and unit."""
    for ending, unit in _UNITS:
        if name.endswith(ending):
            return name.removesuffix(ending).strip("_").replace("_", " ") or name, unit
    return name.replace("_", " "), ""


def _span(bounds: list[Any]) -> str:
    low, high = bounds
    return f"{low:g}" if low == high else f"{low:g} to {high:g}"


def _wrap(text: str, *, indent: str = "") -> list[str]:
    """Break paragraphs into lines; lists and tables keep theirs."""
    lines: list[str] = []
    for paragraph in re.split(r"\n\s*\n|\n(?=\s*[-*|])", text.strip()):
        hanging = "  " if paragraph.lstrip()[:1] in ("-", "*") else ""
        lines += textwrap.wrap(
            " ".join(paragraph.split()),
            _WIDTH,
            initial_indent=indent,
            subsequent_indent=indent + hanging,
            break_long_words=False,
        )
    return lines
