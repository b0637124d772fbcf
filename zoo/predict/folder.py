"""Result folders that are complete or not there at all."""

import errno
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from zoo.core.errors import BadInput

RESULTS = (
    "image.ome.tif",
    "error_map.ome.tif",
    "localizations.csv",
    "reconstruction.ome.tif",
    "preview.png",
    "report.json",
)
"""Every file that a prediction may write; nothing else in a folder is ever touched."""


@contextmanager
def staged(
    directory: str | Path, *, overwrite: bool = False, needed_bytes: int = 0
) -> Iterator[Path]:
    """Yield an empty folder whose files appear in `directory` if all goes well.

    Files are collected in a hidden folder beside `directory`.  When the block ends,
    that folder is renamed, or, where `directory` exists, its files replace those of
    the same names; results of an earlier prediction that have no successor are
    removed, other files stay.  When the block fails, also by Ctrl-C, the hidden folder
    is removed and `directory` is as before.

    Parameters
    ----------
    directory
        The folder of results; folders above it are made as needed.
    overwrite
        Whether `directory` may exist.
    needed_bytes
        Room that the results will take, about.

    Raises
    ------
    BadInput
        If `directory` exists and may not be replaced, or is no folder.
    OSError
        If it cannot be written, or there is too little room; found out before the
        block runs.
    """
    target = Path(directory)
    _check_target(target, overwrite=overwrite)
    parent = target.absolute().parent
    made: list[Path] = []
    part = parent / f".{target.name}.part-{os.getpid()}-{secrets.token_hex(3)}"
    try:
        _make(parent, part, made, target)
        free = shutil.disk_usage(part).free
        if free < needed_bytes:
            raise OSError(
                errno.ENOSPC,
                f"the results need about {needed_bytes / 1e6:.0f} MB, "
                f"{free / 1e6:.0f} MB are free",
                str(target),
            )
        yield part
        if target.exists():
            _replace(part, target)
        else:
            part.rename(target)
    except BaseException:
        shutil.rmtree(part, ignore_errors=True)
        for folder in reversed(made):
            with suppress(OSError):  # somebody else uses it by now
                folder.rmdir()
        raise


def _check_target(target: Path, *, overwrite: bool) -> None:
    if not target.exists() and not target.is_symlink():
        return
    if not target.is_dir():
        raise BadInput(f"{target} is a file; give a folder for the results")
    if not overwrite:
        raise BadInput(
            f"{target} exists already; choose another folder or use --overwrite"
        )
    blocked = [name for name in RESULTS if (target / name).is_dir()]
    if blocked:
        raise BadInput(f"{target / blocked[0]} is a folder; rename it first")
    if not os.access(target, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "not writable", str(target))


def _make(parent: Path, part: Path, made: list[Path], target: Path) -> None:
    """Make `part` and the folders above it, noting the latter in `made`."""
    try:
        for folder in [p for p in (parent, *parent.parents) if not p.exists()][::-1]:
            folder.mkdir(exist_ok=True)
            made.append(folder)
        part.mkdir()
    except OSError as error:
        reason = error.strerror or str(error)
        raise OSError(
            error.errno, f"results cannot be written ({reason})", str(target)
        ) from error


def _replace(part: Path, target: Path) -> None:
    """Move finished files over those of an earlier prediction."""
    # the report goes last: it speaks for the other files
    fresh = sorted(part.iterdir(), key=lambda file: file.name == "report.json")
    names = {file.name for file in fresh}
    for file in fresh:
        file.replace(target / file.name)
    for name in set(RESULTS) - names:
        (target / name).unlink(missing_ok=True)
    part.rmdir()
