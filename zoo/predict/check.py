"""A recording looked at before it is trusted: measured, and held against packages."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from zoo.core.contract import Contract
from zoo.core.errors import BadInput, BadPackage
from zoo.io import library
from zoo.io.package import Package, cards_folder
from zoo.predict.contract import read_contract
from zoo.predict.options import split_options
from zoo.tasks.conditions import (
    Condition,
    compare,
    condition_report,
    overall,
    spelled,
)

if TYPE_CHECKING:
    from rich.console import Group

ORDER = ("inside", "near", "outside", "unknown")
"""Grades, the best first."""


@dataclass(frozen=True)
class Checked:
    """A recording beside what one package was trained on."""

    name: str
    """The package."""
    contract: Contract
    """What it takes."""
    conditions: tuple[Condition, ...]
    """What was measured, and how it relates."""
    warnings: tuple[str, ...]
    """What else there is to know about the recording."""

    @property
    def grade(self) -> str:
        """The worst grade of a condition."""
        return overall(self.conditions)

    @property
    def outside(self) -> int:
        """Conditions that lie outside."""
        return sum(c.grade == "outside" for c in self.conditions)

    def report(self) -> dict[str, Any]:
        """Return all of it, ready for JSON."""
        block = condition_report(self.name, self.contract, self.conditions)
        return {"package": self.name} | block | {"warnings": [*self.warnings]}


def check(
    source: Any, package: str | None = None, *, pixel_size_nm: float | None = None
) -> list[Checked]:
    """Hold a recording against a package, and against the others that take it.

    Nothing is predicted: of packages only the descriptions are read.

    Parameters
    ----------
    source
        What a package's input opens: a path or an array.
    package
        Name or path of the package that is meant; None for the one that fits best.
    pixel_size_nm
        Edge of a pixel; overrides the file's.

    Returns
    -------
    checked
        The package that is meant first, then the others that can read the recording,
        the best first.

    Raises
    ------
    BadInput
        If the recording cannot be read, or no package takes it.
    BadPackage, UnknownPackage
        If the package cannot be found or read.
    """
    first: list[Checked] = []
    if package is not None:
        first.append(_checked(_described(package), source, pixel_size_nm))
    others: list[Checked] = []
    refusals: list[str] = []
    for name in library.package_names():
        if first and name == first[0].name:
            continue
        try:
            other = _checked(_described(name), source, pixel_size_nm)
            if sum(c.grade != "unknown" for c in other.conditions) > 1:
                others.append(other)
        except (BadInput, BadPackage) as error:
            refusals.append(str(error))
    others.sort(key=lambda c: (ORDER.index(c.grade), c.outside))
    if not first and not others:
        raise BadInput(refusals[0] if refusals else "there is no package to check for")
    return first + others


def advice(checked: Sequence[Checked]) -> str | None:
    """Return what to do about a recording that the first package does not fit.

    The name of one that fits better, else the command that trains one that would.
    """
    first, *others = checked
    if first.grade != "outside":
        return None
    if others and others[0].outside < first.outside:
        better = others[0]
        word = "fits" if better.grade != "outside" else "is nearer"
        return f"{better.name} {word} ({better.grade}, {better.outside} outside)"
    command = first.report().get("retrain")
    return f"a network for it: {command}" if command else None


def _described(name_or_path: str) -> Package:
    """Return a package of which the description is enough."""
    if name_or_path in library.package_names() and not Path(name_or_path).exists():
        return Package(cards_folder() / name_or_path)
    return library.open_package(name_or_path)


def _checked(package: Package, source: Any, pixel_size_nm: float | None) -> Checked:
    contract = read_contract(package)
    options = split_options(contract, package.name)
    recording = contract.input.open(
        source,
        contract,
        name=package.name,
        options=options.input,
        pixel_size_nm=pixel_size_nm,
    )
    try:
        conditions = compare(contract, recording.measurements())
        return Checked(
            name=package.name,
            contract=contract,
            conditions=tuple(conditions),
            warnings=tuple(recording.warnings()),
        )
    finally:
        recording.close()


def describe(source: str, checked: Sequence[Checked]) -> "Group":
    """Lay out what was found, for a terminal."""
    from rich.console import Group
    from rich.table import Table

    first, *others = checked
    block = first.report()
    table = Table(box=None, pad_edge=False, header_style="")
    for name in ("CONDITION", "MEASURED", "TRAINED", "GRADE"):
        table.add_column(name)
    for condition in first.conditions:
        measured, limits = condition.measured, condition.limits
        value = f"- ({measured.note})"
        if measured.value is not None:
            value = f"{measured.value:.3g} {measured.unit}".strip()
        trained = "" if limits is None else spelled(*limits)
        table.add_row(measured.text, value, trained, condition.grade)
    lines: list[Any] = [f"{source}: {block['summary']}", "", table]
    lines += [f"warning: {text}" for text in first.warnings]
    better = advice(checked)
    if better is not None:
        lines.append(better)
    if others:
        lines += ["", "other packages: "]
        lines += [f"  {c.name}: {c.grade}, {c.outside} outside" for c in others]
    return Group(*lines)
