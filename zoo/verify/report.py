"""The checks of a package, one after the other, and their outcome."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.core.extras import require
from zoo.core.files import temporary
from zoo.core.formats import KERAS
from zoo.io.library import open_package
from zoo.io.package import Package
from zoo.verify.examination import Examination, Question
from zoo.verify.trials import NotApplicable


@dataclass(frozen=True)
class Check:
    """The outcome of one check."""

    name: str
    """What was checked."""
    ok: bool | None
    """Whether it holds; ``None`` if it does not apply."""
    detail: str
    """What was measured, what is wrong, or why it does not apply."""

    def __str__(self) -> str:
        word = {True: "ok  ", False: "FAIL", None: "skip"}[self.ok]
        return f"{word}  {self.name}: {self.detail}"


@dataclass(frozen=True)
class Report:
    """The outcome of all checks of a package."""

    rows: list[Check] = field(default_factory=list)
    """Checks in the order in which they ran."""

    @property
    def ok(self) -> bool:
        """Whether nothing failed."""
        return not self.failed

    @property
    def failed(self) -> list[Check]:
        """The checks that failed."""
        return [row for row in self.rows if row.ok is False]


def verify(
    name_or_path: str | Path,
    *,
    entries: Sequence[str] | None = None,
    further: Callable[[Package], Iterable[Question]] | None = None,
    trust: bool = False,
) -> Report:
    """Check a package with the official tool and against itself.

    Every weights entry is tested by bioimageio.core in another process, under a
    description that holds no other entry; our predictor is compared with core's, the
    formats with each other at two sizes and batch sizes, kernel by kernel besides.
    Hashes are checked, too.  Rules of this zoo are skipped for packages that other
    programs wrote.

    Parameters
    ----------
    name_or_path
        Name of a package, or a bioimage.io folder, zip or address.
    entries
        Weights entries to run; all by default.
    further
        Function that gives further checks of a package.
    trust
        Whether to run weights that may do more than compute, in a process that may do
        what the user may.  By default only weights of known operations are run, without
        a network, in a process that can write to temporary folders of its own.

    Raises
    ------
    MissingExtra
        If the extra ``package`` is not installed.
    ZooError
        If there is no such package, or its description cannot be read at all.
    """
    require("bioimageio")
    package = open_package(name_or_path, needs=KERAS.entry)
    rows: list[Check] = []
    with temporary("zoo-verify") as scratch:
        examination = Examination(package, scratch, entries, trust=trust)
        questions = list(examination.checks())
        questions += [] if further is None else further(package)
        for name, check in questions:
            try:
                rows.append(Check(name, True, check()))
            except NotApplicable as reason:
                rows.append(Check(name, None, str(reason)))
            except (ZooError, ValueError, OSError, KeyError) as error:
                rows.append(Check(name, False, str(error) or type(error).__name__))
    return Report(rows)
