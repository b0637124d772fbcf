"""Scores as a table for people and as ``metrics.json`` for programs."""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import numpy as np

from zoo.core.errors import BadInput

UNITS = {
    "_nm": "nm",
    "_px": "px",
    "_um": "µm",
    "_per_um2": "/µm²",
    "_photons": "photons",
    "_percent": "%",
    "_db": "dB",
    "_s": "s",
}
"""Endings of a figure's name and the unit that they stand for."""

NAMES = {
    "tp": "matched",
    "fp": "false",
    "fn": "missed",
    "f1": "F1",
    "rmse": "RMSE",
    "crlb": "CRLB",
    "nmse": "NMSE",
    "nrmse": "NRMSE",
    "psnr": "PSNR",
    "ssim": "SSIM",
    "ms": "MS",
    "frc": "FRC",
    "fwhm": "FWHM",
    "rsp": "RSP",
    "rse": "RSE",
    "jaccard": "Jaccard",
    "pearson": "Pearson",
}
"""Words of a figure's name that are printed differently."""


def table(metrics: Mapping[str, Any]) -> str:
    """Lay out nested scores as aligned text.

    A mapping of numbers becomes one line per figure.  A mapping of such mappings
    becomes a grid, one line per condition and one column per figure.  Anything
    deeper is printed group by group under its name.  Lists are left out; they
    belong into the file.

    Parameters
    ----------
    metrics
        Numbers, texts and mappings by name; the unit is the end of the name.

    Examples
    --------
    >>> print(table({"jaccard": 0.9312, "rmse_lateral_nm": 21.456, "fn": 12}))
    Jaccard       0.931
    RMSE lateral  21.5   nm
    missed        12
    >>> print(table({"sparse": {"bias_x_nm": 0.1}, "dense": {"bias_x_nm": -0.25}}))
            bias x (nm)
    sparse        0.100
    dense        -0.250
    """
    return "\n".join(_sections(metrics, "")).strip("\n")


def write_metrics(
    path: Path, metrics: Mapping[str, Any], *, overwrite: bool = False
) -> Path:
    """Write scores as JSON; the file appears only when it is complete.

    NaN and infinity, which JSON does not know, become ``null``.

    Parameters
    ----------
    path
        File to write; its folder is made.
    metrics
        Numbers (also NumPy's), texts, lists and mappings.
    overwrite
        Whether an existing file may be replaced.

    Returns
    -------
    path : Path

    Raises
    ------
    BadInput
        If the file exists and `overwrite` is false.
    """
    path = Path(path)
    refuse_existing(path, overwrite=overwrite)
    path.parent.mkdir(parents=True, exist_ok=True)
    text = json.dumps(plain(metrics), indent=2, ensure_ascii=False, allow_nan=False)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        temporary.write_text(text + "\n", encoding="utf-8")
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def refuse_existing(path: Path, *, overwrite: bool) -> None:
    """Raise `BadInput` if `path` exists and must not be replaced."""
    if path.exists() and not overwrite:
        raise BadInput(
            f"{path} exists and is not overwritten; "
            "choose another place or give --overwrite"
        )


def plain(value: Any) -> Any:
    """Return `value` as JSON can hold it: no NumPy types, no NaN, no infinity.

    Examples
    --------
    >>> plain({"a": np.float32(0.5), "b": [np.int64(2), float("nan")]})
    {'a': 0.5, 'b': [2, None]}
    """
    if isinstance(value, Mapping):
        mapping = cast("Mapping[Any, Any]", value)
        return {str(key): plain(inner) for key, inner in mapping.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in cast("Sequence[Any]", value)]
    scalar = cast("Any", value.item() if isinstance(value, np.generic) else value)
    if isinstance(scalar, float) and not math.isfinite(scalar):
        return None
    return scalar


def _sections(metrics: Mapping[str, Any], title: str) -> list[str]:
    plain_rows = {k: v for k, v in metrics.items() if _is_cell(v)}
    inner: dict[str, Mapping[str, Any]] = {
        k: v for k, v in metrics.items() if isinstance(v, Mapping) and v
    }
    flat = {k: v for k, v in inner.items() if all(map(_is_cell, v.values()))}
    lines = ["", title] if title and (plain_rows or flat) else []
    if plain_rows:
        lines += _list(plain_rows)
    if flat:
        lines += ([""] if plain_rows else []) + _grid(flat)
    for name, deeper in inner.items():
        if name not in flat:
            lines += _sections(deeper, f"{title} / {name}" if title else name)
    return lines


def _list(rows: Mapping[str, Any]) -> list[str]:
    cells = [(*_label(name), _cell(value)) for name, value in rows.items()]
    first = max(len(label) for label, _, _ in cells)
    second = max(len(text) for _, _, text in cells)
    return [
        f"{label:<{first}}  {text:<{second}}  {unit}".rstrip()
        for label, unit, text in cells
    ]


def _grid(conditions: Mapping[str, Mapping[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(name for row in conditions.values() for name in row))
    labels = [_label(name) for name in columns]
    heads = [f"{label} ({unit})" if unit else label for label, unit in labels]
    body = [
        [_cell(row.get(name, "")) for name in columns] for row in conditions.values()
    ]
    widths = [
        max(len(head), *(len(line[k]) for line in body)) for k, head in enumerate(heads)
    ]
    first = max(len(name) for name in conditions)
    lines = [[" " * first, *(h.rjust(w) for h, w in zip(heads, widths, strict=True))]]
    for name, line in zip(conditions, body, strict=True):
        cells = (text.rjust(width) for text, width in zip(line, widths, strict=True))
        lines.append([name.ljust(first), *cells])
    return ["  ".join(line) for line in lines]


def _label(name: str) -> tuple[str, str]:
    """Split the name of a figure into words and unit."""
    endings = sorted((e for e in UNITS if name.endswith(e)), key=len)
    ending = endings[-1] if endings and name != endings[-1] else ""
    words = name.removesuffix(ending).split("_")
    return " ".join(NAMES.get(word, word) for word in words), UNITS.get(ending, "")


def _is_cell(value: Any) -> bool:
    return value is None or isinstance(value, str | bool | int | float | np.generic)


# named: narrowing by the classes themselves leaves an integer of unknown width
_VERBATIM: tuple[type[Any], ...] = (bool, int, str, np.integer, np.bool_)


def _cell(value: Any) -> str:
    """Format a number with three significant digits, at least."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, _VERBATIM):
        return str(value)
    number = float(value)
    if not number or not math.isfinite(number):
        return f"{number:g}"
    digits = 3 - 1 - math.floor(math.log10(abs(number)))
    return f"{number:.{min(max(digits, 0), 3)}f}"
