"""Whether a package is what it says: executed, compared, counted, never assumed."""

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from zoo.core.errors import ZooError
from zoo.io.packages import open_package
from zoo.package.examination import Examination
from zoo.package.trials import NotApplicable


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


def verify(name_or_path: str | Path, *, entries: Sequence[str] | None = None) -> Report:
    """Check a package with the official tool and against itself.

    Every weights entry is tested by bioimageio.core in another process, under a
    description that holds no other entry; our predictor is compared with core's, the
    formats with each other at two sizes and batch sizes.  Hashes, the sizes that Java
    consumers compute, the README and the generated files are checked, too.  Rules of
    this zoo are skipped for packages that other programs wrote.

    Parameters
    ----------
    name_or_path
        Name of a package, or a bioimage.io folder, zip or address.
    entries
        Weights entries to run; all by default.

    Raises
    ------
    ZooError
        If there is no such package, or its description cannot be read at all.
    """
    package = open_package(name_or_path)
    rows: list[Check] = []
    with tempfile.TemporaryDirectory(prefix="zoo-verify-") as scratch:
        examination = Examination(package, Path(scratch), entries)
        for name, check in examination.checks():
            try:
                rows.append(Check(name, True, check()))
            except NotApplicable as reason:
                rows.append(Check(name, None, str(reason)))
            except (ZooError, ValueError, OSError, KeyError) as error:
                rows.append(Check(name, False, str(error) or type(error).__name__))
    return Report(rows)
