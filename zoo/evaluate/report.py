"""Scores laid out for people, and as ``metrics.json`` for programs."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from zoo.core.files import refuse_existing, write_json
from zoo.core.test_set import ScoreTable

if TYPE_CHECKING:
    from rich.console import Group


def layout(tables: Sequence[ScoreTable]) -> "Group":
    """Return tables that `rich` draws.

    Conditions stand below each other where there are more of them than metrics, beside
    each other otherwise, so that tables stay narrow.

    Examples
    --------
    >>> from rich.console import Console
    >>> columns = {"jaccard": "Jaccard", "rmse_lateral_nm": "RMSE lateral [nm]"}
    >>> row = {"jaccard": 0.9312, "rmse_lateral_nm": 21.456}
    >>> Console(width=40).print(layout([ScoreTable("density", columns, {"3": row})]))
    density                 3
    ─────────────────────────
    Jaccard             0.931
    RMSE lateral [nm]    21.5
    """
    from rich.box import SIMPLE_HEAD
    from rich.console import Group
    from rich.table import Table as Grid
    from rich.text import Text  # brackets of units are no markup

    grids: list[Grid | str] = []
    for table in tables:
        grid = Grid(box=SIMPLE_HEAD, show_edge=False, pad_edge=False)
        grid.add_column(Text(table.corner))
        down = len(table.rows) > len(table.columns)
        for name in table.columns.values() if down else table.rows:
            grid.add_column(Text(name), justify="right")
        if down:
            for condition, row in table.rows.items():
                cells = (cell(row.get(metric)) for metric in table.columns)
                grid.add_row(Text(condition), *cells)
        else:
            for metric, words in table.columns.items():
                cells = (cell(row.get(metric)) for row in table.rows.values())
                grid.add_row(Text(words), *cells)
        grids += ["", grid] if grids else [grid]
    return Group(*grids)


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
    write_json(path, plain(metrics))
    return path


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


# named: narrowing by the classes themselves leaves an integer of unknown width
_VERBATIM: tuple[type[Any], ...] = (bool, int, str, np.integer, np.bool_)


def cell(value: Any) -> str:
    """Return a number with three significant digits, at least.

    Examples
    --------
    >>> cell(21.456), cell(0.95), cell(1234.5), cell(12), cell(None)
    ('21.5', '0.950', '1234', '12', '–')
    """
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, _VERBATIM):
        return str(value)
    number = float(value)
    if not number or not math.isfinite(number):
        return f"{number:g}"
    digits = 3 - 1 - math.floor(math.log10(abs(number)))
    return f"{number:.{min(max(digits, 0), 3)}f}"
